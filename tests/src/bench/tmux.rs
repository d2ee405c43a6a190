//! tmux doing the same, where it is installed: a server of its own, without anybody's settings.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::{bare, chores, usage};

/// How long the server may take to show what it was asked for.
const SHOWN_WITHIN: Duration = Duration::from_secs(10);

/// One server.
pub struct Tmux {
    socket: PathBuf,
}

impl Tmux {
    /// Nothing where tmux is not installed.
    pub fn start(folder: &Path) -> Option<Tmux> {
        let tmux = Tmux { socket: folder.join("tmux") };
        tmux.ask(&["new-session", "-d", "-x", "120", "-y", "40", "sleep", "100000"])?;
        Some(tmux)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(&self.socket).args(["-f", "/dev/null"]).args(args);
        command.env_remove("TMUX").stdin(Stdio::null());
        command
    }

    fn ask(&self, args: &[&str]) -> Option<Output> {
        self.command(args).output().ok().filter(|output| output.status.success())
    }

    fn server(&self) -> Option<u32> {
        let output = self.ask(&["display-message", "-p", "#{pid}"])?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    }

    fn windows(&self) -> usize {
        let output = self.ask(&["list-windows", "-F", "x"]);
        output.map_or(0, |output| output.stdout.iter().filter(|byte| **byte == b'x').count())
    }

    fn wait_for_windows(&self, done: impl Fn(usize) -> bool) {
        let began = Instant::now();
        while !done(self.windows()) && began.elapsed() < SHOWN_WITHIN {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// So many programs that do nothing, each in a window: wall clock, and CPU a program.
    pub fn fan_out(&self, count: usize) -> Option<(Duration, Duration)> {
        let server = self.server()?;
        let (server_cpu, cpu, began) = (usage::cpu_with_children(server), usage::own_cpu(), Instant::now());
        for _ in 0..count {
            self.ask(&["new-window", "-d", "true"])?;
        }
        self.wait_for_windows(|windows| windows <= 1);
        let wall = began.elapsed();
        let spent = usage::cpu_with_children(server).saturating_sub(server_cpu) + usage::own_cpu() - cpu;
        Some((wall, spent / u32::try_from(count).ok()?))
    }

    /// Megabytes a second from so many windows at once.
    pub fn throughput(&self, windows: usize, megabytes: u64) -> Option<f64> {
        let chore = format!("{} --emit {megabytes}", chores::program().display());
        let began = Instant::now();
        for _ in 0..windows {
            self.ask(&["new-window", "-d", &chore])?;
        }
        let done = |left| left <= 1;
        while !done(self.windows()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let bytes = windows as u64 * chores::emitted_bytes(megabytes);
        Some(bytes as f64 / 1e6 / began.elapsed().as_secs_f64())
    }

    /// Opens idle windows and says what each of them costs the server, in KiB.
    pub fn idle_kib(&self, count: usize, program: &str) -> Option<f64> {
        let server = self.server()?;
        let before = usage::pss_kib(server);
        for _ in 0..count {
            self.ask(&["new-window", "-d", program])?;
        }
        self.wait_for_windows(|windows| windows > count);
        std::thread::sleep(Duration::from_secs(1));
        Some(usage::pss_kib(server).saturating_sub(before) as f64 / count as f64)
    }

    /// Time the server spends with its windows idle, in milliseconds a second.
    pub fn idle_cpu(&self, watch: Duration) -> Option<f64> {
        let server = self.server()?;
        let before = usage::cpu_exact(server);
        std::thread::sleep(watch);
        Some((usage::cpu_exact(server) - before).as_secs_f64() * 1e3 / watch.as_secs_f64())
    }

    /// Keys through an attached client; each one's time, in microseconds.
    pub fn echo(&self, keys: usize, pause: Duration) -> Option<Vec<f64>> {
        use std::io::{Read, Write};
        let chore = format!("{} --echo", chores::program().display());
        self.ask(&["set-option", "-g", "status", "off"])?;
        self.ask(&["new-window", &chore])?;
        let mut attach = self.command(&["attach-session"]);
        attach.env("TERM", "xterm-256color");
        let mut client = bare::start(attach);
        let mut bytes = [0; 16 * 1024];
        let mut seen = Vec::new();
        while !seen.windows(chores::READY.len()).any(|part| part == chores::READY.as_bytes()) {
            let count = client.master.read(&mut bytes).ok()?;
            seen.extend_from_slice(&bytes[..count]);
        }
        // What it paints besides has come by then.
        std::thread::sleep(Duration::from_millis(500));
        let mut times = Vec::new();
        for number in 0..keys {
            std::thread::sleep(pause);
            // Letters that stand in no escape sequence tmux sends.
            let key = [b"QXYZ"[number % 4]];
            let began = Instant::now();
            client.master.write_all(&key).ok()?;
            loop {
                let count = client.master.read(&mut bytes).ok()?;
                if bytes[..count].contains(&key[0]) {
                    break;
                }
            }
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        drop(self.ask(&["detach-client"]));
        client.finish(None);
        Some(times)
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        drop(self.ask(&["kill-server"]));
        drop(fs::remove_file(&self.socket));
    }
}
