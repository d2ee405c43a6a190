//! One program run to its end, within a bound of time and of output.
//!
//! The program gets a process group of its own. Whatever of that group is left when the program is over, or when its
//! time is, is killed: nothing that was started here goes on in the background.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How long a wait for output lasts before it is asked again whether the program is over: a grandchild may hold its
/// pipes open for ever.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What a pipe holds at most; one read takes it whole.
const PIPE_BYTES: usize = 64 * 1024;

/// What a program reads.
#[derive(Debug)]
pub enum Input {
    Nothing,
    Bytes(Vec<u8>),
    /// A file it inherits. A lock that must be held for as long as the program lives is handed over this way.
    File(OwnedFd),
}

#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub time: Duration,
    /// Output past this is read and dropped.
    pub output_bytes_max: usize,
    pub error_bytes_max: usize,
}

/// What a program that reads foreign bytes may take of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub memory_bytes_max: u64,
    /// Of each file it writes.
    pub file_bytes_max: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub output: Vec<u8>,
    pub errors: Vec<u8>,
    pub output_cut: bool,
    pub timed_out: bool,
}

impl Ran {
    /// How it ended, for people.
    pub fn ending(&self) -> String {
        match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            (None, None) => "an unknown end".to_owned(),
        }
    }
}

/// A pipe that is read, up to a bound.
struct Reader<P> {
    pipe: Option<P>,
    bytes: Vec<u8>,
    bytes_max: usize,
    cut: bool,
}

impl<P: Read + AsFd> Reader<P> {
    fn new(pipe: Option<P>, bytes_max: usize) -> io::Result<Reader<P>> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Reader { pipe, bytes: Vec::new(), bytes_max, cut: false })
    }

    /// Reads all there is now.
    fn read(&mut self) -> io::Result<()> {
        let mut piece = [0; PIPE_BYTES];
        while let Some(pipe) = &mut self.pipe {
            match pipe.read(&mut piece) {
                Ok(0) => self.pipe = None,
                Ok(n) => {
                    let room = self.bytes_max.saturating_sub(self.bytes.len()).min(n);
                    self.bytes.extend_from_slice(&piece[..room]);
                    self.cut |= room < n;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// A pipe that is written.
struct Writer {
    pipe: Option<std::process::ChildStdin>,
    bytes: Vec<u8>,
    written: usize,
}

impl Writer {
    fn new(pipe: Option<std::process::ChildStdin>, bytes: Vec<u8>) -> io::Result<Writer> {
        if let Some(pipe) = &pipe {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(Writer { pipe, bytes, written: 0 })
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(pipe) = &mut self.pipe {
            if self.written == self.bytes.len() {
                self.pipe = None;
                break;
            }
            match pipe.write(&self.bytes[self.written..]) {
                Ok(n) => self.written += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A program need not read all it is given; how it ends says whether that was right.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => self.pipe = None,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Runs the command and waits for its end.
pub fn run(command: Command, input: Input, bounds: Bounds) -> io::Result<Ran> {
    run_within(command, input, bounds, None)
}

/// The same within limits that the kernel holds.
pub fn run_within(
    mut command: Command,
    input: Input,
    bounds: Bounds,
    limits: Option<Limits>,
) -> io::Result<Ran> {
    let (stdin, bytes) = match input {
        Input::Nothing => (Stdio::null(), Vec::new()),
        Input::Bytes(bytes) => (Stdio::piped(), bytes),
        Input::File(file) => (Stdio::from(file), Vec::new()),
    };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut group = Group { leader: command.spawn()?, waited_for: false };
    let leader = &mut group.leader;
    if let Some(limits) = limits {
        limit(leader, limits)?;
    }
    let mut writer = Writer::new(leader.stdin.take(), bytes)?;
    let mut output = Reader::new(leader.stdout.take(), bounds.output_bytes_max)?;
    let mut errors = Reader::new(leader.stderr.take(), bounds.error_bytes_max)?;
    let deadline = Instant::now() + bounds.time;
    let timed_out = !follow(&group.leader, &mut writer, &mut output, &mut errors, deadline)?;
    let status = group.end()?;
    output.read()?;
    errors.read()?;
    Ok(Ran { status, output: output.bytes, errors: errors.bytes, output_cut: output.cut, timed_out })
}

fn limit(leader: &Child, limits: Limits) -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, prlimit};
    let all = [
        (Resource::Data, limits.memory_bytes_max),
        (Resource::Fsize, limits.file_bytes_max),
        (Resource::Core, 0),
    ];
    for (resource, max) in all {
        match prlimit(
            Some(Pid::from_child(leader)),
            resource,
            Rlimit { current: Some(max), maximum: Some(max) },
        ) {
            // It is over already.
            Ok(_) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The process group. Until its leader has been waited for its number belongs to nobody else.
struct Group {
    leader: Child,
    waited_for: bool,
}

impl Group {
    fn end(&mut self) -> io::Result<ExitStatus> {
        // Nobody left to kill is what is wished for.
        let _ = kill_process_group(Pid::from_child(&self.leader), Signal::KILL);
        let status = self.leader.wait()?;
        self.waited_for = true;
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.waited_for {
            // Something else went wrong and is being told; that must leave no program behind.
            let _ = self.end();
        }
    }
}

/// Moves bytes until the program is over (true) or its time is (false).
fn follow(
    child: &Child,
    writer: &mut Writer,
    output: &mut Reader<impl Read + AsFd>,
    errors: &mut Reader<impl Read + AsFd>,
    deadline: Instant,
) -> io::Result<bool> {
    loop {
        writer.write()?;
        output.read()?;
        errors.read()?;
        if is_over(child)? {
            return Ok(true);
        }
        let now = Instant::now();
        if now >= deadline {
            return Ok(false);
        }
        let wait = LOOK_AGAIN_AFTER.min(deadline - now);
        let mut pipes = Vec::with_capacity(3);
        pipes.extend(writer.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
        pipes.extend(output.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        pipes.extend(errors.pipe.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        if pipes.is_empty() {
            // Its pipes are closed, so its end is near: a short nap rather than a poll of nothing.
            std::thread::sleep(Duration::from_millis(1));
            continue;
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut pipes, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the program has ended; it stays unwaited for, so that its number stays its own.
fn is_over(child: &Child) -> io::Result<bool> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(Pid::from_child(child)), look)?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: Input, bounds: Bounds) -> Ran {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(script);
        run(command, input, bounds).unwrap()
    }

    const WIDE: Bounds =
        Bounds { time: Duration::from_secs(60), output_bytes_max: 1 << 20, error_bytes_max: 1 << 20 };

    #[test]
    fn a_program_gets_its_input_and_gives_its_output() {
        let long = vec![b'x'; 700_000];
        let ran = shell("cat; echo oh >&2; exit 3", Input::Bytes(long.clone()), WIDE);
        assert_eq!((ran.status.code(), ran.output == long, &ran.errors[..]), (Some(3), true, &b"oh\n"[..]));
    }

    #[test]
    fn output_past_its_bound_is_dropped_and_said() {
        let ran =
            shell("head -c 300000 /dev/zero", Input::Nothing, Bounds { output_bytes_max: 1000, ..WIDE });
        assert_eq!((ran.output.len(), ran.output_cut, ran.status.code()), (1000, true, Some(0)));
    }

    #[test]
    fn a_program_whose_time_is_over_is_killed_with_its_children() {
        let ran = shell(
            "sleep 600 & sleep 600",
            Input::Nothing,
            Bounds { time: Duration::from_millis(50), ..WIDE },
        );
        assert!(ran.timed_out);
        assert_eq!(ran.status.signal(), Some(9));
    }

    #[test]
    fn what_a_program_leaves_behind_does_not_keep_us_waiting() {
        let before = Instant::now();
        let ran = shell("sleep 600 & echo $!", Input::Nothing, WIDE);
        assert!(!ran.timed_out && before.elapsed() < Duration::from_secs(30));
        let pid: i32 = String::from_utf8(ran.output).unwrap().trim().parse().unwrap();
        let gone = |pid| match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z"),
            Err(_) => true,
        };
        let patience = Instant::now();
        while !gone(pid) {
            assert!(patience.elapsed() < Duration::from_secs(30), "the child lives");
            std::thread::yield_now();
        }
    }
}
