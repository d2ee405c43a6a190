//! What the built-in profiles make of screens, words and endings that real tools brought about, and of some that only
//! look so.
//!
//! A case is a header of `key: value` lines, a line `--` and a screen. Each rule of each profile is there for a case:
//! without it some case comes out otherwise.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a case that cannot be read has failed")]

use std::fmt::Write as _;

use niia_spec::course::Outcome;
use niia_spec::detect::{
    Process, Seen, State, Statuses, Told, detect, goes_on_trying, is_foreign, is_receipt, is_taken,
    session_name, transcript_told, turn_end,
};
use niia_spec::profile::{Exit, Profile, Profiles, classify};

/// When a case is looked at; what is told without a time was told a second before.
const NOW_MS: u64 = 10_000;
const TOLD_MS: u64 = 9_000;
/// A screen is taken to be quiet for so long where its case says nothing else.
const QUIET_MS: u64 = 5_000;

const FILES: [(&str, &str); 7] = [
    ("claude", include_str!("corpus/claude.txt")),
    ("codex", include_str!("corpus/codex.txt")),
    ("gemini", include_str!("corpus/gemini.txt")),
    ("opencode", include_str!("corpus/opencode.txt")),
    ("aider", include_str!("corpus/aider.txt")),
    ("rest", include_str!("corpus/rest.txt")),
    ("real", include_str!("corpus/real.txt")),
];
const ERRORS: &str = include_str!("corpus/errors.txt");

#[derive(Debug)]
struct Case {
    name: String,
    profile: String,
    title: String,
    reports: Vec<(String, u64)>,
    hooks: Vec<Told>,
    records: Vec<Told>,
    process: Process,
    quiet_ms: u64,
    screen: String,
    /// What the tool's own word said at that moment, of a frame cut from the recording of a real session.
    label: Option<String>,
    /// `expect`, `by`, `ends`, `session` and what is asked of the last word, as written.
    wanted: Vec<(String, String)>,
}

fn cases() -> Vec<Case> {
    let all = FILES.iter().flat_map(|(file, text)| {
        text.split("== ").filter(|case| !case.trim().is_empty()).map(move |case| read(file, case))
    });
    all.collect()
}

fn read(file: &str, text: &str) -> Case {
    let (head, screen) = text.split_once("\n--\n").unwrap_or_else(|| panic!("{file}: no screen in {text}"));
    let mut lines = head.lines();
    let name = format!("{file}: {}", lines.next().unwrap_or_default());
    let mut case = Case {
        name,
        profile: String::new(),
        title: String::new(),
        reports: Vec::new(),
        hooks: Vec::new(),
        records: Vec::new(),
        process: Process::Running { has_printed: true },
        quiet_ms: QUIET_MS,
        screen: screen.trim_end_matches('\n').to_owned(),
        label: None,
        wanted: Vec::new(),
    };
    for line in lines {
        let (key, value) = line.split_once(": ").unwrap_or_else(|| panic!("{}: {line}", case.name));
        match key {
            "profile" => case.profile = value.to_owned(),
            "title" => case.title = value.to_owned(),
            "quiet" => case.quiet_ms = value.parse().unwrap(),
            "report" => case.reports.push(timed(value)),
            "hook" => {
                let (event, body) = value.split_once(' ').unwrap();
                case.hooks.push(told(event, body));
            }
            "record" => case.records.push(told("", value)),
            "label" => case.label = Some(value.to_owned()),
            "process" => case.process = process(value),
            "expect" | "by" | "ends" | "session" | "taken" | "foreign" | "tries" | "transcript" => {
                case.wanted.push((key.to_owned(), value.to_owned()))
            }
            other => panic!("{}: no such key: {other}", case.name),
        }
    }
    case
}

fn timed(text: &str) -> (String, u64) {
    match text.rsplit_once(" @") {
        Some((text, at)) => (text.to_owned(), TOLD_MS + at.parse::<u64>().unwrap()),
        None => (text.to_owned(), TOLD_MS),
    }
}

fn told(event: &str, body: &str) -> Told {
    let (body, at_ms) = timed(body);
    Told { event: event.to_owned(), body: serde_json::from_str(&body).unwrap(), at_ms }
}

fn process(text: &str) -> Process {
    match text.split_once(' ') {
        None => Process::Running { has_printed: false },
        Some(("exit", code)) => Process::Exited(Exit::Code(code.parse().unwrap())),
        Some((_, signal)) => Process::Exited(Exit::Signal(signal.parse().unwrap())),
    }
}

/// What comes of a case under this profile, in the words a case is written in.
fn found(case: &Case, profile: &Profile) -> Vec<(String, String)> {
    let mut statuses = Statuses::default();
    for (report, at_ms) in &case.reports {
        statuses.take(report, *at_ms).unwrap();
    }
    let seen = Seen {
        screen: &case.screen,
        title: &case.title,
        statuses: &statuses,
        hooks: &case.hooks,
        records: &case.records,
        process: &case.process,
        quiet_ms: case.quiet_ms,
        now_ms: NOW_MS,
    };
    let detected = detect(profile, &seen, None);
    let one = |key: &str| {
        let value = match key {
            "expect" => word(&detected.state),
            "by" => detected.evidence.rule.clone(),
            "session" => session_name(profile, &case.hooks).unwrap_or_default(),
            "taken" => taken(profile, case),
            "foreign" => yes(case.hooks.iter().any(|told| is_foreign(profile, told, "ours"))),
            "tries" => yes(goes_on_trying(profile, &seen, TOLD_MS)),
            "transcript" => {
                case.hooks.iter().find_map(|told| transcript_told(profile, told)).unwrap_or_default()
            }
            _ => ends(profile, &seen),
        };
        (key.to_owned(), value)
    };
    case.wanted.iter().map(|(key, _)| one(key)).collect()
}

fn word(state: &State) -> String {
    match state {
        State::Starting => "starting".into(),
        State::Ready => "ready".into(),
        State::Working => "working".into(),
        State::WaitingInput { kind, .. } => format!("waiting_input {}", lower(kind)),
        State::RateLimited { .. } => "rate_limited".into(),
        State::Exited { .. } => "exited".into(),
        State::Lost { .. } => "lost".into(),
        State::Unknown => "unknown".into(),
    }
}

/// Whether the last word says that this prompt was taken, or that some was.
fn taken(profile: &Profile, case: &Case) -> String {
    let Some(last) = case.records.last().or(case.hooks.last()) else { return "no".into() };
    yes(is_receipt(profile, last, "[niia]\nthe prompt") || is_taken(profile, last))
}

fn yes(is: bool) -> String {
    if is { "yes".into() } else { "no".into() }
}

fn lower(word: &impl std::fmt::Debug) -> String {
    format!("{word:?}").to_lowercase()
}

fn ends(profile: &Profile, seen: &Seen<'_>) -> String {
    let begins = |told: &&Told| {
        profile.hooks.iter().any(|rule| rule.begins_turn() && rule.holds(&told.event, &told.body))
    };
    let since_ms = seen.hooks.iter().filter(begins).map(|told| told.at_ms).max().unwrap_or(TOLD_MS);
    let Some(end) = turn_end(profile, seen, since_ms) else { return "not".into() };
    let mut text = lower(&end.ends);
    if let Some(class) = end.class {
        write!(text, " {}", serde_json::to_value(class).unwrap().as_str().unwrap()).unwrap();
    } else if let Some(answer) = &end.answer {
        write!(text, " {answer:?}").unwrap();
    }
    write!(text, " by {}", end.source).unwrap();
    text
}

/// A wanted value matches a found one that begins with it and goes on at a space at most.
fn differs(case: &Case, profile: &Profile) -> Option<String> {
    let matches = |wanted: &str, found: &str| {
        found.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with(" of profile"))
    };
    let found = found(case, profile);
    let pairs = case.wanted.iter().zip(&found);
    let wrong = pairs.filter(|((_, wanted), (_, found))| !matches(wanted, found));
    let wrong: Vec<String> =
        wrong.map(|((key, wanted), (_, found))| format!("{key}: {wanted}, but found: {found}")).collect();
    (!wrong.is_empty()).then(|| format!("{}\n    {}", case.name, wrong.join("\n    ")))
}

struct Ending {
    profile: String,
    exit: i32,
    class: String,
    text: String,
}

fn endings() -> Vec<Ending> {
    let lines = ERRORS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let parts: Vec<&str> = line.splitn(4, " | ").collect();
            Ending {
                profile: parts[0].to_owned(),
                exit: parts[1].parse().unwrap(),
                class: parts[2].to_owned(),
                text: format!("some words before\n{}\n", parts[3]),
            }
        })
        .collect()
}

fn class(ending: &Ending, profile: &Profile) -> String {
    match classify(profile, &Exit::Code(ending.exit), &ending.text).0 {
        Outcome::Unavailable { class, .. } => {
            serde_json::to_value(class).unwrap().as_str().unwrap().to_owned()
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn every_screen_and_word_of_the_corpus_is_understood() {
    let profiles = Profiles::built_in().unwrap();
    let cases = cases();
    assert!(cases.len() >= 120, "{} cases", cases.len());
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            differs(case, profiles.get(&case.profile).unwrap_or_else(|| panic!("{}", case.name)))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Frames of real sessions (`NIIA_CUT=FOLDER tests/clis/run` cuts them): by the screen alone the same is found as the
/// tool's own word said then.
#[test]
fn frames_of_real_sessions_are_understood_without_the_tools_word() {
    let profiles = Profiles::built_in().unwrap();
    let cases = cases();
    let frames: Vec<&Case> = cases.iter().filter(|case| case.label.is_some()).collect();
    assert!(frames.len() >= 20, "{} frames", frames.len());
    for frame in frames {
        assert!(frame.hooks.is_empty() && frame.records.is_empty(), "{}", frame.name);
        assert_eq!(differs(frame, profiles.get(&frame.profile).unwrap()), None);
    }
}

#[test]
fn every_ending_of_the_corpus_has_its_class() {
    let profiles = Profiles::built_in().unwrap();
    let wrong = endings().into_iter().filter_map(|ending| {
        let found = class(&ending, profiles.get(&ending.profile).unwrap());
        (found != ending.class).then(|| format!("{} {}: {found}", ending.profile, ending.text))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A profile without one of its rules, and which one that is.
fn without_one(profile: &Profile) -> Vec<(String, Profile)> {
    let mut all = Vec::new();
    let mut each = |what: &str, count: usize, remove: &dyn Fn(&mut Profile, usize)| {
        for n in 0..count {
            let mut less = profile.clone();
            remove(&mut less, n);
            all.push((format!("{} {what} {}", profile.id, n + 1), less));
        }
    };
    each("screen", profile.screens.len(), &|profile, n| drop(profile.screens.remove(n)));
    each("dialog", profile.dialogs.len(), &|profile, n| drop(profile.dialogs.remove(n)));
    each("dialog without its unless", profile.dialogs.len(), &|profile, n| profile.dialogs[n].unless = None);
    each("hook", profile.hooks.len(), &|profile, n| drop(profile.hooks.remove(n)));
    each("record", profile.records.len(), &|profile, n| drop(profile.records.remove(n)));
    each("hook without its screen", profile.hooks.len(), &|profile, n| profile.hooks[n].screen = None);
    each("hook without its quiet", profile.hooks.len(), &|profile, n| profile.hooks[n].quiet_ms = 0);
    each("hook without its records", profile.hooks.len(), &|profile, n| {
        profile.hooks[n].from_records = false
    });
    each("hook without its transcript", profile.hooks.len(), &|profile, n| {
        profile.hooks[n].transcript = None
    });
    each("hook of any conversation", profile.hooks.len(), &|profile, n| profile.hooks[n].own = None);
    each("hook that takes nothing", profile.hooks.len(), &|profile, n| profile.hooks[n].takes = false);
    each("record that takes nothing", profile.records.len(), &|profile, n| profile.records[n].takes = false);
    each("hook that stops nothing", profile.hooks.len(), &|profile, n| profile.hooks[n].stops = false);
    each("record that stops nothing", profile.records.len(), &|profile, n| profile.records[n].stops = false);
    each("report", profile.reports.len(), &|profile, n| drop(profile.reports.remove(n)));
    each("error", profile.errors.len(), &|profile, n| drop(profile.errors.remove(n)));
    // What was not there cannot be missed.
    all.retain(|(_, less)| format!("{less:?}") != format!("{profile:?}"));
    all
}

#[test]
fn no_rule_can_be_taken_out_unnoticed() {
    let profiles = Profiles::built_in().unwrap();
    let (cases, endings) = (cases(), endings());
    let mut unnoticed = Vec::new();
    let mut rules = 0;
    for profile in profiles.ls() {
        for (what, less) in without_one(profile) {
            rules += 1;
            let mut own = cases.iter().filter(|case| case.profile == profile.id);
            let seen = own.any(|case| differs(case, &less).is_some())
                || endings
                    .iter()
                    .any(|ending| ending.profile == profile.id && class(ending, &less) != ending.class);
            if !seen {
                unnoticed.push(what);
            }
        }
    }
    assert!(rules > 100, "{rules} rules");
    assert!(unnoticed.is_empty(), "nothing speaks for:\n{}", unnoticed.join("\n"));
}
