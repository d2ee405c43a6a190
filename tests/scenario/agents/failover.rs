//! The matrix of failures: whatever keeps one tool from answering, the other goes on in its place.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use niia_tests::stub::{Failure, Stub};
use serde_json::{Value, json};

use super::desk::{Desk, attempts};

/// From the provider's first failing answer to the next model's first question.
const GOES_ON_WITHIN: Duration = Duration::from_secs(15);
const LIMIT: Duration = Duration::from_secs(240);
/// The profile's own limit for a tool that says nothing, made shorter by the user's file.
const SILENT_MAX: Duration = Duration::from_secs(8);
/// The same for tools that take so long to start.
const SILENT_MAX_OF_SLOW: Duration = Duration::from_secs(25);

/// What stands above a worker's prompt.
const TASK: &str = "# Your task\n";

/// What keeps a tool from answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    NotInstalled,
    NotLoggedIn,
    /// The provider fails so.
    Fails(&'static str),
    ConnectionRefused,
    CrashBeforeATool,
    CrashAfterATool,
}

struct Row {
    tool: &'static str,
    trouble: Trouble,
    class: &'static str,
}

use Trouble::{ConnectionRefused, CrashAfterATool, CrashBeforeATool, Fails, NotInstalled, NotLoggedIn};

const TOOLS: [&str; 4] = ["claude", "codex", "gemini", "aider"];
const TROUBLES: [(Trouble, &str); 11] = [
    (NotInstalled, "not_installed"),
    (NotLoggedIn, "not_logged_in"),
    (Fails("401"), "not_logged_in"),
    (Fails("429"), "rate_limited"),
    (Fails("429-bare"), "rate_limited"),
    (Fails("529"), "overloaded"),
    (Fails("quota"), "quota"),
    (Fails("hang"), "hangs"),
    (ConnectionRefused, "network"),
    (CrashBeforeATool, "crashed"),
    (CrashAfterATool, "crashed"),
];
/// These are played always, all of them with `NIIA_MATRIX=all`, and some with a part of a row's name.
const ALWAYS: [(&str, Trouble); 2] = [("claude", Fails("429")), ("codex", Fails("401"))];

fn matrix() -> impl Iterator<Item = Row> {
    let of = |tool| TROUBLES.map(|(trouble, class)| Row { tool, trouble, class });
    TOOLS.into_iter().flat_map(of)
}

#[test]
fn whatever_keeps_a_tool_from_answering_the_other_goes_on() {
    let all = std::env::var("NIIA_MATRIX").unwrap_or_default();
    let wanted = |row: &Row| match all.as_str() {
        "all" => true,
        "" => ALWAYS.contains(&(row.tool, row.trouble)),
        name => format!("{} {:?}", row.tool, row.trouble).contains(name),
    };
    let mut wrong = Vec::new();
    for row in matrix().filter(wanted) {
        let mut tools = vec!["claude", "codex"];
        tools.extend(Some(row.tool).filter(|tool| !tools.contains(tool)));
        let Some(desk) = Desk::with(&tools) else { return };
        let name = format!("{} {:?}", row.tool, row.trouble);
        match play(&desk, &row) {
            Ok(took) => println!("{name}: {} after {took:.1?}", row.class),
            Err(why) => {
                println!("{name}: FAILED {}", why.lines().next().unwrap_or_default());
                wrong.push(format!("{name}: {why}"));
                // What is wrong is known, and the other rows are to be played.
                desk.cancel_all();
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn document(first: &str, second: &str, prompt: &str) -> Value {
    json!({ "connector": "2.1", "name": "over", "session": { "timeout_ms": 200_000 },
        "pipeline": { "phases": [{ "name": "work", "model": first, "failover": [second], "prompt": prompt }] } })
}

/// The model that fails, the one that goes on, and the stubs of both.
fn cast<'a>(desk: &'a Desk, row: &Row) -> (&'static str, &'static str, &'a Stub, &'a Stub) {
    match row.tool {
        "claude" => ("claude", "codex", &desk.claude, &desk.codex),
        "codex" => ("codex", "claude", &desk.codex, &desk.claude),
        "gemini" => ("gemini/gemini-2.5-flash", "claude", &desk.gemini, &desk.claude),
        _ => ("aider/openai/stub", "claude", &desk.aider, &desk.claude),
    }
}

/// Brings about what keeps the tool from answering; the variables that are other than usual.
fn bring_about(desk: &Desk, row: &Row, failing: &Stub) -> BTreeMap<&'static str, String> {
    let nowhere = |name: &'static str| BTreeMap::from([(name, "http://127.0.0.1:9".to_owned())]);
    match (row.trouble, row.tool) {
        (NotInstalled, tool) => std::fs::remove_file(desk.house.at("bin").join(tool)).unwrap(),
        (NotLoggedIn, tool) => {
            let key = match tool {
                "claude" => "ANTHROPIC_AUTH_TOKEN",
                "gemini" => "GEMINI_API_KEY",
                _ => "OPENAI_API_KEY",
            };
            return BTreeMap::from([(key, String::new())]);
        }
        (Fails(word), _) => failing.fail(Failure::by_word(word)),
        (ConnectionRefused, "claude") => return nowhere("ANTHROPIC_BASE_URL"),
        (ConnectionRefused, "codex") => desk.configure_codex(9),
        (ConnectionRefused, "gemini") => return nowhere("GOOGLE_GEMINI_BASE_URL"),
        (ConnectionRefused, _) => return nowhere("OPENAI_API_BASE"),
        (CrashBeforeATool | CrashAfterATool, _) => {}
    }
    BTreeMap::new()
}

fn play(desk: &Desk, row: &Row) -> Result<Duration, String> {
    let (first, second, failing, other) = cast(desk, row);
    let silent_max = match row.tool {
        "claude" | "codex" => SILENT_MAX,
        _ => SILENT_MAX_OF_SLOW,
    };
    let own = format!("id = \"{0}\"\nsilent_max_ms = {1}\n", row.tool, silent_max.as_millis());
    let _ = desk.house.file(&format!("state/config/profiles/{}.toml", row.tool), &own);
    let other_env = bring_about(desk, row, failing);
    let begun = Instant::now();
    let run = desk.begin_with("over", &document(first, second, &prompt(row)), &other_env);
    if matches!(row.trouble, CrashBeforeATool | CrashAfterATool) {
        kill_in_turn(desk, &run, failing, row)?;
    }
    let status = desk.house.wait_over(&run, LIMIT);
    let tried = attempts(&status, "work", "1");
    let explained = desk.niia(&["explain", &run]).run().out;
    if status["state"] != "done" || tried.len() != 2 {
        return Err(format!("{} by {} attempts: {tried:?}\n{explained}", status["state"], tried.len()));
    }
    let class = &tried[0]["outcome"]["unavailable"]["class"];
    if class != row.class {
        return Err(format!("its class is {}: {class}", tried[0]));
    }
    if tried[0]["evidence"].as_str().is_none_or(str::is_empty)
        || !explained.contains(&format!("({})", row.class))
    {
        return Err(format!("the class and its evidence are not explained:\n{explained}"));
    }
    let Some(asked) = asked_once(other, &order(row))? else {
        return Err(format!("the other tool was not asked: {:?}", other.seen()));
    };
    let _ = asked_once(failing, &order(row))?;
    // Where the failing provider was never asked, from the run's begin.
    let went_on = other.opened() + asked;
    let from = failing.seen().first().map_or(begun, |seen| failing.opened() + seen.after);
    let took = went_on.saturating_duration_since(from);
    let most = if row.class == "hangs" { silent_max + GOES_ON_WITHIN } else { GOES_ON_WITHIN };
    if took > most {
        return Err(format!("it went on after {took:?}"));
    }
    spared(desk, row, first, second, failing, &other_env)?;
    Ok(took)
}

/// When the provider was asked this first; no conversation has a task twice, however often the tool itself tried again.
fn asked_once(stub: &Stub, order: &str) -> Result<Option<Duration>, String> {
    let seen = stub.seen();
    // What the prompt says is also the subject of a commit; the heading above it is not.
    let tasks = |text: &str| text.matches(TASK).count();
    match seen.iter().find(|seen| tasks(&seen.prompt) + tasks(&seen.before) > 1) {
        Some(doubled) => Err(format!("the prompt was put twice: {doubled:?}")),
        None => Ok(seen.iter().find(|seen| seen.prompt.contains(order)).map(|seen| seen.after)),
    }
}

/// The next run does not wait for the same once more.
fn spared(
    desk: &Desk,
    row: &Row,
    first: &str,
    second: &str,
    failing: &Stub,
    other_env: &BTreeMap<&str, String>,
) -> Result<(), String> {
    if matches!(row.class, "crashed" | "not_installed") {
        return Ok(());
    }
    let before = failing.seen().len();
    let run = desk.begin_with("over", &document(first, second, &prompt(row)), other_env);
    let status = desk.house.wait_over(&run, LIMIT);
    let tried = attempts(&status, "work", "1");
    if status["state"] != "done" {
        return Err(format!("the next run is {}: {tried:?}", status["state"]));
    }
    if failing.seen().len() != before || tried[0]["evidence"] != "the breaker of its provider" {
        return Err(format!("the next run asked once more: {tried:?}"));
    }
    Ok(())
}

fn prompt(row: &Row) -> String {
    format!("Do the task. {}", order(row))
}

/// What the provider is to answer, by which a prompt is known again.
fn order(row: &Row) -> String {
    const SLOW: &str = "slow 1500 the task is done now and here";
    match (row.trouble, row.tool) {
        (CrashAfterATool, "claude") => {
            format!("<<tool Write {{\"file_path\":\"{{cwd}}/made.md\",\"content\":\"x\"}} ;; {SLOW}>>")
        }
        (CrashAfterATool, "codex") => {
            format!("<<tool exec_command {{\"cmd\":\"printf x > made.md\"}} ;; {SLOW}>>")
        }
        (CrashAfterATool, "gemini") => format!("<<tool glob {{\"pattern\":\"*\"}} ;; {SLOW}>>"),
        // Aider calls no tools: its work is in its answer.
        (CrashBeforeATool | CrashAfterATool, _) => format!("<<{SLOW}>>"),
        _ => "<<say the task is done>>".to_owned(),
    }
}

/// Kills the tool once its provider was asked, or was told what the tool's own command said.
fn kill_in_turn(desk: &Desk, run: &str, failing: &Stub, row: &Row) -> Result<(), String> {
    let asked = || failing.seen().iter().any(|seen| seen.prompt.contains("the task"));
    niia_tests::wait_until("it is asked", LIMIT, || asked().then_some(()));
    let session = format!("{run}/work/1");
    let pid = niia_tests::wait_until("its program is known", LIMIT, || {
        let view: Value =
            serde_json::from_str(&desk.niia(&["explain", "--json", &session]).run().out).ok()?;
        view["pid"].as_i64()
    });
    let says = || {
        let screen = desk.niia(&["read", &session]).run().out;
        screen.lines().any(|line| line.contains("the task") && !line.contains("<<"))
    };
    // Aider shows its answer as it comes; others may show it only once it is whole.
    let told = || match row.tool {
        "aider" => says(),
        _ => failing.seen().iter().any(|seen| seen.results > 0 && seen.prompt.contains("the task")),
    };
    if row.trouble == CrashAfterATool {
        niia_tests::wait_until("a tool of its own was called", LIMIT, || told().then_some(()));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL)
        .map_err(|error| format!("it could not be killed in its turn: {error}"))
}
