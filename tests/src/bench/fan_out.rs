//! A thousand workers that do nothing, at once.

use super::bare;
use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::tmux::Tmux;

const WORKERS: usize = 1_000;
/// tmux takes seven times as long: a tenth of the workers says as much.
const TMUX_WORKERS: usize = 100;

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut wall = Row::new("1,000 trivial workers, wall", "s", Bar::TimesLimit(2.0));
    let mut cpu = Row::new("CPU a worker, all of niia and the program", "ms", Bar::AtMost(2.5));
    let scene = Scene::warm();
    let document = scene.document("fan-out", &scene::fan(WORKERS, &["true"]));
    let tmux = Tmux::start(&scene.folder());
    for _ in 0..rounds {
        let (bare_wall, bare_cpu) = bare::fan_out(WORKERS);
        wall.limit.push(bare_wall.as_secs_f64());
        cpu.limit.push(bare_cpu.as_secs_f64() * 1e3);
        let took = scene.run(&document);
        wall.niia.push(took.wall.as_secs_f64());
        cpu.niia.push(took.cpu.as_secs_f64() * 1e3 / WORKERS as f64);
        if let Some((tmux_wall, tmux_cpu)) = tmux.as_ref().and_then(|tmux| tmux.fan_out(TMUX_WORKERS)) {
            wall.tmux.push(tmux_wall.as_secs_f64() * (WORKERS / TMUX_WORKERS) as f64);
            cpu.tmux.push(tmux_cpu.as_secs_f64() * 1e3);
        }
    }
    vec![wall, cpu]
}
