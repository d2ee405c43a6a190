//! Sessions in which nothing happens.

use std::time::Duration;

use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::tmux::Tmux;
use super::usage;

const SESSIONS: usize = 200;
const PROGRAM: &str = "sleep 100000";
/// After a while without work everybody has given back what they need no more.
const SETTLE: Duration = Duration::from_secs(3);
const WATCH: Duration = Duration::from_secs(5);

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut minder = Row::new("an idle session, its minder (PSS)", "KiB", Bar::AtMost(130.0));
    let mut whole = Row::new("an idle session, minder and the node's share (PSS)", "KiB", Bar::AtMost(130.0));
    let mut cpu = Row::new("idle CPU of 1,000 sessions", "ms/s", Bar::AtMost(2.0));
    for _ in 0..rounds {
        // A node that has had as many sessions before would give the new ones what those left in its allocator.
        let scene = Scene::warm();
        let document = scene.document("idle", &scene::fan(SESSIONS, &PROGRAM.split(' ').collect::<Vec<_>>()));
        std::thread::sleep(SETTLE);
        let servants = || scene.pids("niia").into_iter().chain(scene.pids("niia-keeper")).collect::<Vec<_>>();
        let pss = |pids: &[u32]| pids.iter().map(|pid| usage::pss_kib(*pid)).sum::<u64>() as f64;
        let before = pss(&servants());
        let run = scene.begin(&document, SESSIONS);
        std::thread::sleep(SETTLE);
        let minders = pss(&scene.pids("niia-minder")) / SESSIONS as f64;
        let share = (pss(&servants()) - before) / SESSIONS as f64;
        minder.niia.push(minders);
        whole.niia.push(minders + share);
        cpu.niia.push(idle_cpu(&scene) * 1_000.0 / SESSIONS as f64);
        scene.cancel(&run);
        if let Some(tmux) = Tmux::start(&scene.folder()) {
            whole.tmux.extend(tmux.idle_kib(SESSIONS, PROGRAM));
            cpu.tmux.extend(tmux.idle_cpu(WATCH).map(|spent| spent * 1_000.0 / SESSIONS as f64));
        }
    }
    vec![minder, whole, cpu]
}

/// Milliseconds a second of everybody who belongs to niia.
fn idle_cpu(scene: &Scene) -> f64 {
    let pids: Vec<u32> =
        ["niia", "niia-keeper", "niia-minder"].iter().flat_map(|name| scene.pids(name)).collect();
    let spent = || pids.iter().map(|pid| usage::cpu_exact(*pid)).sum::<Duration>();
    let before = spent();
    std::thread::sleep(WATCH);
    spent().saturating_sub(before).as_secs_f64() * 1e3 / WATCH.as_secs_f64()
}
