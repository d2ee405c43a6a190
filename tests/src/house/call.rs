//! One call of a program in the house, and what it said.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use super::{House, Terminal, must};

/// A call that is not over by then has failed; long enough for a busy machine with two cores.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// A call that is being put together.
#[derive(Debug)]
pub struct Call<'a> {
    house: &'a House,
    program: PathBuf,
    args: Vec<OsString>,
    folder: PathBuf,
    env: Vec<(String, String)>,
    input: Option<Vec<u8>>,
    limit: Duration,
}

/// A program that runs.
#[derive(Debug)]
pub struct Going<'a> {
    house: &'a House,
    child: Child,
    line: String,
    out: PathBuf,
    err: PathBuf,
    limit: Duration,
}

/// What a program said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// The command line, for messages.
    pub line: String,
    /// Nothing where a signal ended it.
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl<'a> Call<'a> {
    pub(super) fn new<A: AsRef<OsStr>>(
        house: &'a House,
        program: &Path,
        args: impl IntoIterator<Item = A>,
    ) -> Call<'a> {
        Call {
            house,
            program: program.to_owned(),
            args: args.into_iter().map(|arg| arg.as_ref().to_owned()).collect(),
            folder: house.at("home"),
            env: Vec::new(),
            input: None,
            limit: CALL_LIMIT,
        }
    }

    /// Called from this folder.
    #[must_use]
    pub fn inside(mut self, folder: &Path) -> Call<'a> {
        folder.clone_into(&mut self.folder);
        self
    }

    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Call<'a> {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    #[must_use]
    pub fn input(mut self, bytes: &[u8]) -> Call<'a> {
        self.input = Some(bytes.to_owned());
        self
    }

    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Call<'a> {
        self.limit = limit;
        self
    }

    /// Starts it in a terminal held by the test.
    #[must_use]
    pub fn in_terminal(self) -> Terminal {
        Terminal::open(self.command())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder).env_clear();
        command.envs(self.house.environment()).envs(self.env.iter().cloned());
        self.house.hand_over();
        if let Some(user) = self.house.user() {
            command.uid(user).gid(user);
        }
        command
    }

    /// Starts it and does not wait.
    #[must_use]
    pub fn start(self) -> Going<'a> {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let number = CALLS.fetch_add(1, Ordering::Relaxed);
        // Files rather than pipes: a descendant that keeps one open holds nobody up.
        let out = self.house.at("tmp").join(format!("call-{number}.out"));
        let err = out.with_extension("err");
        let mut command = self.command();
        command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(must("open a file for what is said", File::create(&out)));
        command.stderr(must("open a file for what is said", File::create(&err)));
        let line = line(&self.program, &self.args);
        let mut child = must(&format!("start `{line}`"), command.spawn());
        if let (Some(bytes), Some(mut pipe)) = (self.input, child.stdin.take()) {
            must("write its input", pipe.write_all(&bytes));
        }
        Going { house: self.house, child, line, out, err, limit: self.limit }
    }

    /// Starts it and waits until it is over.
    #[must_use]
    pub fn run(self) -> Said {
        self.start().wait()
    }
}

impl Going<'_> {
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    #[must_use]
    pub fn out_so_far(&self) -> String {
        text(&self.out)
    }

    /// Signals this one program.
    pub fn signal(&self, signal: Signal) {
        let pid = self.pid();
        let descriptor = must("take hold of the call", pidfd_open(pid, PidfdFlags::empty()));
        must("signal the call", pidfd_send_signal(descriptor, signal));
    }

    /// Waits until it is over.
    ///
    /// # Panics
    /// When it takes longer than its limit.
    #[must_use]
    pub fn wait(mut self) -> Said {
        let descriptor = must("take hold of the call", pidfd_open(self.pid(), PidfdFlags::empty()));
        let limit = must("reckon with the limit", Timespec::try_from(self.limit));
        let mut ended = [PollFd::new(&descriptor, PollFlags::IN)];
        let in_time = loop {
            match poll(&mut ended, Some(&limit)) {
                Ok(count) => break count > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(trouble) => panic!("could not wait for `{}`: {trouble}", self.line),
            }
        };
        if !in_time {
            must("end the call", self.child.kill());
        }
        let status = must("wait for the call", self.child.wait());
        let said = Said { line: self.line, code: status.code(), out: text(&self.out), err: text(&self.err) };
        assert!(in_time, "`{}` was not over after {:?}\n{}{}", said.line, self.limit, said.out, said.err);
        if let Some(run) = said.find_run() {
            self.house.hear_of(&run);
        }
        said
    }

    fn pid(&self) -> Pid {
        match i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            Some(pid) => pid,
            None => panic!("`{}` has no process id", self.line),
        }
    }
}

impl Said {
    /// It must have ended with this code.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    pub fn exits(self, code: i32) -> Said {
        let Said { line, out, err, .. } = &self;
        assert_eq!(self.code, Some(code), "`{line}` ended otherwise\n--- said\n{out}\n--- complained\n{err}");
        self
    }

    /// The id of the run it started: `run dual-review-4k2m7`.
    ///
    /// # Panics
    /// When it named none.
    #[must_use]
    pub fn run_id(&self) -> String {
        match self.find_run() {
            Some(run) => run,
            None => panic!("`{}` names no run\n{}{}", self.line, self.out, self.err),
        }
    }

    /// What it said, as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_str(&self.out) {
            Ok(value) => value,
            Err(trouble) => panic!("`{}` printed no JSON: {trouble}\n{}{}", self.line, self.out, self.err),
        }
    }

    fn find_run(&self) -> Option<String> {
        self.out
            .lines()
            .find_map(|line| line.strip_prefix("run "))
            .and_then(|rest| rest.split(' ').next())
            .map(str::to_owned)
    }
}

fn text(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

fn line(program: &Path, args: &[OsString]) -> String {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let args = args.iter().map(|arg| arg.to_string_lossy().into_owned());
    std::iter::once(name).chain(args).collect::<Vec<_>>().join(" ")
}
