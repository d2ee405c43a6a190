//! tmux, where it is installed, doing the same.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::house::{House, LOOK_PERIOD, must};

/// A tmux server of the house's own.
#[derive(Debug)]
pub(super) struct Tmux<'a> {
    house: &'a House,
    program: PathBuf,
}

impl<'a> Tmux<'a> {
    /// Nothing where it is not installed.
    pub(super) fn start(house: &'a House) -> Option<Tmux<'a>> {
        let program = PathBuf::from("/usr/bin/tmux");
        if !program.is_file() {
            return None;
        }
        let tmux = Tmux { house, program };
        tmux.call(&["new-session", "-d", "-s", "bench", "sleep 100000"]);
        Some(tmux)
    }

    fn call(&self, args: &[&str]) -> String {
        let call = self.house.program(&self.program, ["-L", "bench"].iter().chain(args));
        call.env("TMUX_TMPDIR", self.house.path().display().to_string()).run().exits(0).out
    }

    /// Starts `true` in so many windows, one after the other, and waits until all are gone.
    pub(super) fn fan_out(&self, count: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            self.call(&["new-window", "-d", "true"]);
        }
        self.wait_for_one_window();
        start.elapsed()
    }

    /// Has a shell line print in so many windows at once.
    pub(super) fn drain(&self, line: &str, windows: usize) -> Duration {
        let start = Instant::now();
        for _ in 0..windows {
            self.call(&["new-window", "-d", line]);
        }
        self.wait_for_one_window();
        start.elapsed()
    }

    fn wait_for_one_window(&self) {
        while self.call(&["list-windows", "-t", "bench"]).lines().count() > 1 {
            std::thread::sleep(LOOK_PERIOD);
        }
    }

    /// The command line of a client that shows a new window of its own with this program in it.
    pub(super) fn client(&self, line: &str) -> crate::house::Terminal {
        self.call(&["new-session", "-d", "-s", "echo", line]);
        let call = self.house.program(&self.program, ["-L", "bench", "attach", "-t", "echo"]);
        call.env("TMUX_TMPDIR", self.house.path().display().to_string()).in_terminal()
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.call(&["kill-server"]);
            // tmux leaves its socket behind.
            let folder = self.house.at(&format!("tmux-{}", rustix::process::getuid().as_raw()));
            must("remove tmux's socket", std::fs::remove_dir_all(folder));
        }
    }
}
