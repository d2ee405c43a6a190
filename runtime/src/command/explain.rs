//! `niia explain`: why a run or session is as it is; of a run from its journal alone.

use niia_spec::detect::{Process, Seen, Statuses, detect};
use niia_spec::notice::JournalLine;
use serde_json::json;

use super::agents::read_input;
use super::runs::view_of;
use super::sessions;
use super::surroundings::profiles;
use super::{Caller, say, say_json};
use crate::cli::runs::Explain;
use crate::control::client::Client;
use crate::control::words::{Reply, Request, RunName};
use crate::failure::{Exit, Failure};
use crate::report::journal::account;
use crate::report::neutral;
use crate::report::run::attention_lines;
use crate::report::session::session_text;

/// The largest screen or recording whose rules are tried.
const SCREEN_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub async fn explain(caller: &Caller, words: Explain) -> Result<Exit, Failure> {
    if let (Some(file), Some(profile)) = (&words.screen, &words.profile) {
        let bytes = read_input(Some(file), SCREEN_BYTES_MAX)?;
        return screen(caller, &String::from_utf8_lossy(&bytes), profile);
    }
    let mut client = caller.client().await?;
    match words.name {
        Some(name) if name.contains('/') => session(caller, &mut client, &name).await,
        name => run(caller, &mut client, name).await,
    }
}

async fn session(caller: &Caller, client: &mut Client, name: &str) -> Result<Exit, Failure> {
    let view = sessions::view_of(client, name).await?;
    caller.show(&view, |look| session_text(&view, look))?;
    Ok(Exit::Done)
}

async fn run(caller: &Caller, client: &mut Client, name: RunName) -> Result<Exit, Failure> {
    let run = view_of(client, name).await?;
    let lines = journal(client, Some(run.run.to_string()), 0).await?;
    let held: String = attention_lines(&run).into_iter().map(|line| line + "\n").collect();
    let begun = run.occasion.as_ref().map(|occasion| format!("begun by {}\n", neutral(occasion)));
    caller.show(&lines, |_| begun.unwrap_or_default() + &account(&lines) + &held)?;
    Ok(Exit::Done)
}

/// The journal of a run from a line on.
pub async fn journal(client: &mut Client, run: RunName, from_seq: u64) -> Result<Vec<JournalLine>, Failure> {
    match client.ask(Request::Journal { run, from_seq }).await? {
        Reply::Journal(lines) => Ok(lines),
        _ => Err(Failure::out_of_turn("journal")),
    }
}

/// Tries a profile's rules on a text, so that whoever writes a profile sees which rule fires.
fn screen(caller: &Caller, text: &str, profile: &str) -> Result<Exit, Failure> {
    let profiles = profiles(caller)?;
    let Some(profile) = profiles.get(profile) else {
        let known: Vec<&str> = profiles.ls().iter().map(|profile| profile.id.as_str()).collect();
        let message = format!("no profile is called `{profile}`");
        return Err(Failure::usage(message).help(format!("there are {}", known.join(", "))));
    };
    let text = strip_escapes(text);
    let fired: Vec<_> = profile
        .screens
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.screen.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
        .map(|(n, rule)| json!({ "rule": n + 1, "is": rule.is, "needs_quiet_ms": rule.quiet_ms, "needs_title": rule.title.is_some() }))
        .collect();
    let errors: Vec<_> = profile
        .errors
        .iter()
        .enumerate()
        .filter(|(_, rule)| rule.pattern.as_ref().is_some_and(|pattern| pattern.is_match(&text)))
        .map(|(n, rule)| json!({ "rule": n + 1, "class": rule.class }))
        .collect();
    let (statuses, process) = (Statuses::default(), Process::Running { has_printed: true });
    let seen = Seen {
        screen: text.trim_end(),
        title: "",
        statuses: &statuses,
        hooks: &[],
        records: &[],
        process: &process,
        quiet_ms: u64::MAX,
        now_ms: 0,
    };
    let state = detect(profile, &seen, None);
    let found = json!({ "state": state.state, "rule": state.evidence.rule, "excerpt": state.evidence.excerpt,
        "dialog": state.dialog, "profile": profile.id, "source": profile.source, "screen": fired, "error": errors });
    if caller.json {
        say_json(&found)?;
        return Ok(Exit::Done);
    }
    let mut lines = vec![format!("profile {} ({})", profile.id, profile.source)];
    lines.push(format!("state: {} by {}", state.state.word(), state.evidence.rule));
    if !state.evidence.excerpt.is_empty() {
        lines.push(format!("saw: {}", neutral(&state.evidence.excerpt)));
    }
    for rule in &fired {
        lines.push(format!("screen rule {}: {}", rule["rule"], rule["is"].as_str().unwrap_or_default()));
    }
    for rule in &errors {
        lines.push(format!("error rule {}: {}", rule["rule"], rule["class"].as_str().unwrap_or_default()));
    }
    if fired.is_empty() && errors.is_empty() {
        lines.push("no screen rule and no error rule fires".to_owned());
    }
    say(&(lines.join("\n") + "\n"))?;
    Ok(Exit::Done)
}

/// A recording's text without what it told the terminal.
pub fn strip_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\x1b' => skip_sequence(&mut chars),
            '\u{9b}' => skip_until_final(&mut chars),
            c => plain.push(c),
        }
    }
    plain
}

fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => skip_until_final(chars),
        // Operating system commands and the like go on to their terminator.
        Some(']' | 'P' | '^' | '_' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\x07' || c == '\u{9c}' {
                    return;
                }
                if c == '\x1b' {
                    chars.next_if_eq(&'\\');
                    return;
                }
            }
        }
        Some('(' | ')' | '*' | '+' | '#' | ' ') => drop(chars.next()),
        _ => {}
    }
}

fn skip_until_final(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    for c in chars.by_ref() {
        if matches!(c, '@'..='~') {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_recording_told_the_terminal_is_no_text() {
        assert_eq!(
            strip_escapes("\x1b[1;31mred\x1b[0m \x1b]0;title\x07a\x1b]8;;x\x1b\\b\x1b(Bc\u{9b}2Jd"),
            "red abcd"
        );
        assert_eq!(strip_escapes("plain\x1b"), "plain");
    }
}
