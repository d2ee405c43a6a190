use super::*;
use crate::profile::Profiles;

const TOOL: &str = r#"
id = "tool"
program = "tool"
prompt = "stdin"

[[screen]]
is = "trust"
screen = 'Do you trust this folder'

[[screen]]
is = "rate_limited"
screen = '(?m)^Limit reached'

[[screen]]
is = "ready"
screen = '(?m)^> ?$'
quiet_ms = 500

[[screen]]
is = "working"
title = '^[◐◑]'
"#;

/// What a session shows, in few words; the rest is as of a program that runs and is quiet.
#[derive(Default)]
struct Shows<'a> {
    screen: &'a str,
    title: &'a str,
    reports: &'a [&'a str],
    process: Option<Process>,
    busy: bool,
}

fn check(profile: &str, shows: Shows<'_>, expected: &str) -> Detected {
    let profiles = Profiles::built_in().unwrap().with([("tool.toml", TOOL)]).unwrap();
    let mut statuses = Statuses::default();
    for report in shows.reports {
        let _ = statuses.take(report, 0);
    }
    let process = shows.process.unwrap_or(Process::Running { has_printed: true });
    let quiet_ms = if shows.busy { 0 } else { 10_000 };
    let seen = Seen {
        screen: shows.screen,
        title: shows.title,
        statuses: &statuses,
        hooks: &[],
        records: &[],
        process: &process,
        quiet_ms,
        now_ms: 7,
    };
    let found = detect(profiles.get(profile).unwrap(), &seen, None);
    assert_eq!(format!("{:?} by {}", found.state, found.evidence.rule), expected);
    found
}

#[test]
fn a_screen_nobody_has_described_is_unknown_and_never_idle() {
    let shows = Shows { screen: "Welcome!\n\n  ? for help\n", ..Shows::default() };
    let found = check("generic", shows, "Unknown by no rule of profile generic matches");
    assert_eq!(found.evidence.excerpt, "? for help");
    check(
        "claude",
        Shows { screen: "> ", ..Shows::default() },
        "Unknown by no rule of profile claude matches",
    );
    check(
        "tool",
        Shows { screen: "> typed", ..Shows::default() },
        "Unknown by no rule of profile tool matches",
    );
}

#[test]
fn a_program_that_printed_nothing_is_starting() {
    let process = Some(Process::Running { has_printed: false });
    check("tool", Shows { process, ..Shows::default() }, "Starting by nothing was printed yet");
}

#[test]
fn rules_of_the_profile_read_screen_and_title() {
    check("tool", Shows { screen: "hello\n> ", ..Shows::default() }, "Ready by screen 3 of profile tool");
    check(
        "tool",
        Shows { screen: "hello\n> ", busy: true, ..Shows::default() },
        "Unknown by no rule of profile tool matches",
    );
    check("tool", Shows { title: "◐ thinking", ..Shows::default() }, "Working by screen 4 of profile tool");
    check(
        "tool",
        Shows { screen: "Limit reached\n> ", ..Shows::default() },
        "RateLimited { until: None } by screen 2 of profile tool",
    );
}

#[test]
fn a_dialog_counts_before_a_report_of_idleness_and_names_its_choices() {
    let screen = "1. an old list\n\nDo you trust this folder?\n ❯ 1. Yes, proceed\n   2. No, exit\n\n> ";
    let expected =
        "WaitingInput { kind: Trust, choices: [\"Yes, proceed\", \"No, exit\"] } by screen 1 of profile tool";
    let found = check("tool", Shows { screen, reports: &["state=idle"], ..Shows::default() }, expected);
    assert_eq!(found.evidence.excerpt, "Do you trust this folder");
}

#[test]
fn common_questions_are_known_even_of_programs_nobody_described() {
    let asks = |screen| check_kind("generic", screen);
    assert_eq!(asks("Overwrite file? [y/N] "), Some(Asked::Question));
    assert_eq!(asks("Run it? (Y)es/(N)o [Yes]: "), Some(Asked::Question));
    assert_eq!(asks("Do you trust the files in this folder?\n 1. Yes\n 2. No"), Some(Asked::Trust));
    assert_eq!(asks("Password: "), Some(Asked::Login));
    assert_eq!(asks("I asked it: overwrite? [y/N]\nIt said no.\n> "), None);
    assert_eq!(asks("Would you like to know more about ownership?\n> "), None);
}

fn check_kind(profile: &str, screen: &str) -> Option<Asked> {
    let profiles = Profiles::built_in().unwrap();
    let (statuses, process) = (Statuses::default(), Process::Running { has_printed: true });
    let seen = Seen {
        screen,
        title: "",
        statuses: &statuses,
        hooks: &[],
        records: &[],
        process: &process,
        quiet_ms: 10_000,
        now_ms: 0,
    };
    match detect(profiles.get(profile).unwrap(), &seen, None).state {
        State::WaitingInput { kind, .. } => Some(kind),
        _ => None,
    }
}

#[test]
fn the_programs_own_word_is_believed_before_its_screen() {
    check(
        "tool",
        Shows { screen: "> ", reports: &["state=working:app=x"], ..Shows::default() },
        "Working by the program reports working",
    );
    check(
        "generic",
        Shows { reports: &["state=done"], ..Shows::default() },
        "Ready by the program reports done",
    );
    let message = "state=blocked:kind=permission:msg=cnVuIGxz";
    let expected = "WaitingInput { kind: Permission, choices: [] } by the program reports blocked";
    let found =
        check("generic", Shows { reports: &["state=working", message], ..Shows::default() }, expected);
    assert_eq!(found.evidence.excerpt, "run ls");
    check(
        "generic",
        Shows { reports: &["state=idle", "state=clear"], ..Shows::default() },
        "Unknown by no rule of profile generic matches",
    );
    check(
        "generic",
        Shows { reports: &["state=idle:id=a", "state=working:id=b/c"], ..Shows::default() },
        "Working by the program reports working",
    );
}

#[test]
fn an_interruption_is_told_by_the_first_rule_of_an_end_that_holds() {
    let profiles = Profiles::built_in().unwrap();
    let opencode = profiles.get("opencode").unwrap();
    let idle = |info: serde_json::Value| Told {
        event: "session.idle".into(),
        body: serde_json::json!({ "with": [{ "info": info }] }),
        at_ms: 7,
    };
    let told = |info| tells_interruption(opencode, &idle(info));
    assert!(told(serde_json::json!({ "role": "assistant", "error": { "name": "MessageAbortedError" } })));
    assert!(!told(serde_json::json!({ "role": "assistant", "error": { "name": "APIError" } })));
    assert!(!told(serde_json::json!({ "role": "assistant" })));
}

#[test]
fn the_end_counts_before_everything() {
    let exited = Some(Process::Exited(Exit::Code(3)));
    check(
        "tool",
        Shows { screen: "> ", reports: &["state=working"], process: exited, ..Shows::default() },
        "Exited { exit: Code(3) } by exit",
    );
    let lost = Some(Process::Lost { reason: "its minder is gone".into() });
    check(
        "tool",
        Shows { process: lost, ..Shows::default() },
        "Lost { reason: \"its minder is gone\" } by lost",
    );
}

#[test]
fn a_state_keeps_its_beginning_while_it_lasts() {
    let profiles = Profiles::built_in().unwrap();
    let (statuses, process) = (Statuses::default(), Process::Running { has_printed: true });
    let at = |now_ms, screen, before: Option<&Detected>| {
        let seen = Seen {
            screen,
            title: "",
            statuses: &statuses,
            hooks: &[],
            records: &[],
            process: &process,
            quiet_ms: 0,
            now_ms,
        };
        detect(profiles.get("generic").unwrap(), &seen, before)
    };
    let first = at(100, "a", None);
    let second = at(200, "b", Some(&first));
    assert_eq!((second.evidence.since_ms, second.evidence.excerpt.as_str()), (100, "b"));
    assert_eq!(at(300, "Password: ", Some(&second)).evidence.since_ms, 300);
}

#[test]
fn a_report_that_breaks_the_rules_is_dropped_whole() {
    let long = format!("state=idle:msg={}", "QUFB".repeat(1_000));
    let deep = format!("state=idle:id={}", ["a"; 9].join("/"));
    for body in [
        "",
        "idle",
        "state=sleeping",
        "app=x",
        "state=idle:kind=permission",
        "state=working:progress=101",
        "state=idle:msg=%%",
        "state=idle:id=a b",
        "state=idle:id=a//b",
        &deep,
        "state=idle:msg=/w==",
        &long,
        &"x=y:".repeat(2_000),
    ] {
        let mut statuses = Statuses::default();
        assert!(statuses.take(body, 0).is_err(), "{body}");
        assert!(statuses.is_empty());
    }
    let mut statuses = Statuses::default();
    statuses.take("state=working:colour=red:progress=40:title=aGk", 5).unwrap();
    let report = statuses.strongest().unwrap();
    assert_eq!((report.progress, report.title.as_str(), report.at_ms), (Some(40), "hi", 5));
    for part in 0..1_000 {
        let _ = statuses.take(&format!("state=idle:id=p{part}"), 0);
    }
    assert_eq!(statuses.records.len(), status::RECORDS_MAX);
}

#[test]
fn no_screen_and_no_report_makes_detection_panic() {
    let mut random = fastrand::Rng::with_seed(61);
    let profiles = Profiles::built_in().unwrap();
    for _ in 0..300 {
        let text: String =
            (0..random.usize(0..200)).map(|_| if random.bool() { random.char(..) } else { '1' }).collect();
        let mut statuses = Statuses::default();
        let _ = statuses.take(&text, 0);
        let process = Process::Running { has_printed: true };
        let seen = Seen {
            screen: &text,
            title: &text,
            statuses: &statuses,
            hooks: &[],
            records: &[],
            process: &process,
            quiet_ms: 1,
            now_ms: 0,
        };
        for profile in profiles.ls() {
            assert!(detect(profile, &seen, None).evidence.excerpt.chars().count() <= EXCERPT_CHARS_MAX);
        }
    }
}
