//! What is measured: one function a row.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Goal, Rounds, Row};
use super::tmux::Tmux;
use super::{Settings, bare, memory, terminals};
use crate::house::{House, Terminal, must, wait_until};

/// A row by its name.
type Measure = fn(&Settings) -> Row;

pub(super) const ALL: [(&str, Measure); 10] = [
    ("fan-out", fan_out),
    ("processor", processor),
    ("idle-memory", idle_memory),
    ("memory-after-output", memory_after_output),
    ("throughput-1", throughput_of_one),
    ("throughput-50", throughput_of_fifty),
    ("echo", echo),
    ("durable-step", durable_step),
    ("start-warm", start_warm),
    ("start-cold", start_cold),
];

/// Sessions of the memory rows.
const SESSIONS: usize = 50;

/// No measurement of a healthy program takes so long.
const LIMIT: Duration = Duration::from_secs(600);

fn document(house: &House, name: &str, args: &[&str], phases: &Value) -> PathBuf {
    let models = json!({ "tool": { "use": "command", "args": args } });
    house.document(name, &json!({ "name": name, "models": models, "pipeline": { "phases": phases } }))
}

/// One phase with so many workers, in a folder that is no repository.
fn crowd(house: &House, args: &[&str], workers: usize) -> PathBuf {
    let phase = json!({ "name": "crowd", "model": "tool", "workers": workers, "prompt": "x" });
    document(house, "crowd", args, &json!([phase]))
}

fn node_up(house: &House) {
    let _ = house.niia(["daemon", "start"]).run().exits(0);
}

/// Runs a document to its end.
fn run(house: &House, file: &std::path::Path) -> Duration {
    let start = Instant::now();
    let call = house.niia(["run".as_ref(), file.as_os_str(), "--no-input".as_ref()]).limit(LIMIT);
    let _ = call.run().exits(0);
    start.elapsed()
}

fn fan_out(settings: &Settings) -> Row {
    let house = House::new();
    node_up(&house);
    let count = settings.workers;
    let file = crowd(&house, &["true"], count);
    let tmux = Tmux::start(&house);
    let rounds = |measure: &dyn Fn() -> Duration| Rounds::of(settings.rounds, || measure().as_secs_f64());
    Row {
        what: format!("{count} trivial workers in terminals, journalled, wall"),
        unit: "s",
        niia: rounds(&|| run(&house, &file)),
        limit: Some(rounds(&|| bare::fan_out(count))),
        tmux: tmux.as_ref().map(|tmux| rounds(&|| tmux.fan_out(count))),
        goal: Goal::TimesLimit(2.0),
    }
}

fn processor(settings: &Settings) -> Row {
    let house = House::new();
    node_up(&house);
    let count = settings.workers;
    let file = crowd(&house, &["true"], count);
    let a_worker = |before: f64, after: f64| 1000.0 * (after - before) / count as f64;
    let niia = Rounds::of(settings.rounds, || {
        let before = memory::processor_time(&house.residents());
        run(&house, &file);
        a_worker(before, memory::processor_time(&house.residents()))
    });
    let limit = Rounds::of(settings.rounds, || {
        let before = bare::processor_time();
        bare::fan_out(count);
        a_worker(before, bare::processor_time())
    });
    let what = "processor time a worker, node and keeper included".to_owned();
    Row { what, unit: "ms", niia, limit: Some(limit), tmux: None, goal: Goal::AtMost(2.5) }
}

/// Starts sessions that stay, and says what all of niia but their programs takes a session more than without them.
fn memory_a_session(args: &[&str]) -> f64 {
    let house = House::new();
    node_up(&house);
    let ours = || -> Vec<_> {
        let program = args[0];
        house.residents().into_iter().filter(|resident| !resident.line.contains(program)).collect()
    };
    let before = memory::own_bytes(&ours());
    let file = crowd(&house, args, SESSIONS);
    let id = house.detach(&house.at("home"), &file);
    wait_until("all sessions have printed", LIMIT, || {
        let sessions = house.sessions(&id);
        let printed = |session: &&Value| session["printed_bytes"].as_u64().is_some_and(|bytes| bytes > 0);
        (sessions.iter().filter(printed).count() == SESSIONS).then_some(())
    });
    wait_until("nothing more comes", LIMIT, || {
        let total =
            || -> u64 { house.sessions(&id).iter().filter_map(|s| s["printed_bytes"].as_u64()).sum() };
        let first = total();
        std::thread::sleep(Duration::from_secs(1));
        (total() == first).then_some(())
    });
    let after = memory::own_bytes(&ours());
    let _ = house.niia(["cancel", &id]).run().exits(0);
    let _ = house.wait_over(&id, LIMIT);
    (after - before) / SESSIONS as f64 / 1024.0
}

fn idle_memory(settings: &Settings) -> Row {
    let niia =
        Rounds::of(settings.rounds, || memory_a_session(&["sh", "-c", "echo here; exec sleep 100000"]));
    let what = format!("own memory of an idle session (PSS, mean of {SESSIONS})");
    Row { what, unit: "KiB", niia, limit: None, tmux: None, goal: Goal::AtMost(130.0) }
}

fn memory_after_output(settings: &Settings) -> Row {
    let line = r#"i=0; while [ $i -lt 16000 ]; do printf '\033[3%dm%060d\033[0m\n' $((i % 8)) $i; i=$((i + 1)); done; exec sleep 100000"#;
    let niia = Rounds::of(settings.rounds, || memory_a_session(&["sh", "-c", line]));
    let what = format!("memory of a session after 1 MB of coloured output (PSS, mean of {SESSIONS})");
    Row { what, unit: "KiB", niia, limit: None, tmux: None, goal: Goal::AtMost(400.0) }
}

/// Megabytes a second through so many sessions at once.
fn throughput(settings: &Settings, sessions: usize, megabytes: usize, least: f64) -> Row {
    let house = House::new();
    node_up(&house);
    let tool = house.install("printer", &format!("print-mb {megabytes}"));
    let name = tool.display().to_string();
    let file = crowd(&house, &[&name], sessions);
    let tmux = Tmux::start(&house);
    let total = (sessions * megabytes) as f64;
    let rate =
        |measure: &dyn Fn() -> Duration| Rounds::of(settings.rounds, || total / measure().as_secs_f64());
    let folder = house.at("tmp");
    Row {
        what: format!(
            "output of {sessions} session{} at once, recorded",
            if sessions == 1 { "" } else { "s" }
        ),
        unit: "MB/s",
        niia: rate(&|| run(&house, &file)),
        limit: Some(rate(&|| bare::drain(&tool, &[], sessions, &folder))),
        tmux: tmux.as_ref().map(|tmux| rate(&|| tmux.drain(&name, sessions))),
        goal: Goal::AtLeast(least),
    }
}

fn throughput_of_one(settings: &Settings) -> Row {
    throughput(settings, 1, 200, 40.0)
}

fn throughput_of_fifty(settings: &Settings) -> Row {
    throughput(settings, 50, 10, 45.0)
}

fn echo(settings: &Settings) -> Row {
    let house = House::new();
    node_up(&house);
    let said = house.niia(["serve", "--", "cat"]).run().exits(0);
    let id = said.run_id();
    let mut attached = house.niia(["attach", &id]).in_terminal();
    let mut command = Command::new("cat");
    let mut alone = Terminal::open(std::mem::replace(&mut command, Command::new("true")));
    let server = Tmux::start(&house);
    let mut client = server.as_ref().map(|tmux| tmux.client("cat"));
    let (mut niia, mut limit, mut tmux) = <(Rounds, Rounds, Rounds)>::default();
    let (mut niia_slow, mut limit_slow, mut tmux_slow) = <(Rounds, Rounds, Rounds)>::default();
    for _ in 0..settings.rounds {
        terminals::push(terminals::echoes(&mut attached), &mut niia, &mut niia_slow);
        terminals::push(terminals::echoes(&mut alone), &mut limit, &mut limit_slow);
        if let Some(client) = &mut client {
            terminals::push(terminals::echoes(client), &mut tmux, &mut tmux_slow);
        }
    }
    attached.write(b"\x1c", LIMIT);
    attached.end(LIMIT);
    let _ = house.niia(["kill", &id]).run().exits(0);
    alone.write(b"\n\x04", LIMIT);
    alone.end(LIMIT);
    drop(server);
    let what = format!("key to echo through attach, ms (slowest in a hundred: {:.3})", niia_slow.median());
    let tmux = client.map(|client| {
        client.end(LIMIT);
        tmux
    });
    Row { what, unit: "ms", niia, limit: Some(limit), tmux, goal: Goal::Tmux }
}

/// What a phase of one worker costs more than none: from a long pipeline less a short one.
fn durable_step(settings: &Settings) -> Row {
    let house = House::new();
    node_up(&house);
    let pipeline = |steps: usize| {
        let phase = |number| json!({ "name": format!("step-{number}"), "model": "tool", "prompt": "x" });
        let phases: Vec<Value> = (0..steps).map(phase).collect();
        document(&house, &format!("steps-{steps}"), &["true"], &json!(phases))
    };
    let (short, long) = (pipeline(10), pipeline(110));
    let niia = Rounds::of(settings.rounds, || {
        let less = run(&house, &short);
        10.0 * run(&house, &long).saturating_sub(less).as_secs_f64()
    });
    let limit = Rounds::of(settings.rounds, || 10.0 * bare::fan_out(100).as_secs_f64());
    let what = "a durable step in a terminal, marginal".to_owned();
    Row { what, unit: "ms", niia, limit: Some(limit), tmux: None, goal: Goal::AtMost(3.0) }
}

/// From the command line to the worker's first act, in milliseconds.
fn start(house: &House) -> f64 {
    let began = house.at("home/began");
    let line = format!("date +%s%N >{}", began.display());
    let file = crowd(house, &["sh", "-c", &line], 1);
    let now = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let before = now();
    run(house, &file);
    let text = must("read when it began", fs::read_to_string(&began));
    let after = Duration::from_nanos(must("read when it began", text.trim().parse()));
    must("forget when it began", fs::remove_file(began));
    after.saturating_sub(before).as_secs_f64() * 1000.0
}

fn start_warm(settings: &Settings) -> Row {
    let house = House::new();
    node_up(&house);
    let niia = Rounds::of(settings.rounds, || start(&house));
    let what = "`niia run` to the first worker's first act, node up".to_owned();
    Row { what, unit: "ms", niia, limit: None, tmux: None, goal: Goal::AtMost(40.0) }
}

fn start_cold(settings: &Settings) -> Row {
    let niia = Rounds::of(settings.rounds, || start(&House::new()));
    let what = "the same, without a node".to_owned();
    Row { what, unit: "ms", niia, limit: None, tmux: None, goal: Goal::AtMost(150.0) }
}
