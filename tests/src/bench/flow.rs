//! Output: how fast it is taken, and what it leaves in memory.

use std::time::Duration;

use serde_json::Value;

use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::tmux::Tmux;
use super::{bare, chores, usage};

/// Of one session, and of each of many: as many bytes in all.
const ONE_MEGABYTES: u64 = 200;
const MANY: usize = 50;
const MANY_MEGABYTES: u64 = 4;
/// tmux is slower; the rate is the same with less.
const TMUX_MEGABYTES: u64 = 20;
const SESSIONS: usize = 50;
const SETTLE: Duration = Duration::from_secs(3);

pub fn throughput(rounds: usize) -> Vec<Row> {
    let mut one = Row::new("output of one session, recorded", "MB/s", Bar::AtLeast(40.0));
    let mut many = Row::new("output of 50 sessions at once, recorded", "MB/s", Bar::AtLeast(45.0));
    for _ in 0..rounds {
        let scene = Scene::warm();
        let folder = scene.folder();
        one.limit.push(bare::throughput(&folder, 1, ONE_MEGABYTES));
        one.niia.push(recorded(&scene, 1, ONE_MEGABYTES));
        many.limit.push(bare::throughput(&folder, MANY, MANY_MEGABYTES));
        many.niia.push(recorded(&scene, MANY, MANY_MEGABYTES));
        if let Some(tmux) = Tmux::start(&folder) {
            one.tmux.extend(tmux.throughput(1, TMUX_MEGABYTES));
            many.tmux.extend(tmux.throughput(MANY, 1));
        }
    }
    vec![one, many]
}

/// Megabytes a second of a whole run, and each recording holds every byte.
fn recorded(scene: &Scene, sessions: usize, megabytes: u64) -> f64 {
    let chore = scene::chore(&["--emit", &megabytes.to_string()]);
    let document = scene.document("emit", &scene::fan(sessions, &scene::words(&chore)));
    let took = scene.run(&document);
    let newest = scene.house.niia(["sessions", "--all", "--json"]).run().exits(0).json();
    let Value::Array(ended) = newest else { panic!("no list of sessions") };
    assert_eq!(ended.len(), sessions, "every session is listed");
    for session in &ended {
        assert_eq!(session["printed_bytes"], chores::emitted_bytes(megabytes), "a recording is not whole");
    }
    sessions as f64 * chores::emitted_bytes(megabytes) as f64 / 1e6 / took.wall.as_secs_f64()
}

pub fn megabyte(rounds: usize) -> Vec<Row> {
    let mut row = Row::new(
        "memory of a session after 1 MB of coloured output, minder and node (PSS)",
        "KiB",
        Bar::AtMost(400.0),
    );
    let chore = scene::chore(&["--colour"]);
    for _ in 0..rounds {
        let scene = Scene::warm();
        // The program's own pages are there once and no session's: one screen is drawn before.
        let first = scene.begin(&scene.document("first", &scene::fan(1, &scene::words(&chore))), 1);
        crate::wait_until("the first has printed", scene::LIMIT, || {
            let printed = scene.house.sessions(&first)[0]["printed_bytes"].as_u64();
            (printed >= Some(1_000_000)).then_some(())
        });
        scene.cancel(&first);
        let document = scene.document("colour", &scene::fan(SESSIONS, &scene::words(&chore)));
        let servants = || scene.pids("niia").into_iter().chain(scene.pids("niia-keeper")).collect::<Vec<_>>();
        let pss = |pids: &[u32]| pids.iter().map(|pid| usage::pss_kib(*pid)).sum::<u64>() as f64;
        let before = pss(&servants());
        let run = scene.begin(&document, SESSIONS);
        crate::wait_until("all has been printed", scene::LIMIT, || {
            let sessions = scene.house.sessions(&run);
            let printed =
                |session: &Value| session["printed_bytes"].as_u64().unwrap_or_default() >= 1_000_000;
            (sessions.len() == SESSIONS && sessions.iter().all(printed)).then_some(())
        });
        std::thread::sleep(SETTLE);
        let all = pss(&scene.pids("niia-minder")) + pss(&servants()) - before;
        row.niia.push(all / SESSIONS as f64);
        scene.cancel(&run);
        if let Some(tmux) = Tmux::start(&scene.folder()) {
            row.tmux.extend(tmux.idle_kib(SESSIONS, &chore.join(" ")));
        }
    }
    vec![row]
}
