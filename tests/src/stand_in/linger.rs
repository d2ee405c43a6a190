//! Descendants that try to outlive everybody: out of the session, out of the group, deaf to TERM and HUP.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

/// Starts `count` of them and comes back when each has written its process id as a line of `file`.
pub(super) fn start(count: usize, file: &Path) -> io::Result<()> {
    let before = lines(file);
    for _ in 0..count {
        let mut outer = quiet("--linger", file)?.spawn()?;
        outer.wait()?;
    }
    while lines(file) < before + count {
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// The first fork: leaves its session, starts the one who stays, and is gone.
pub(super) fn step_out(file: Option<&String>) -> ExitCode {
    let Some(file) = file else {
        return ExitCode::FAILURE;
    };
    // Who already leads a session stays in it; the second step leaves it all the same.
    let _ = rustix::process::setsid();
    match quiet("--linger-inner", Path::new(file)).and_then(|mut inner| inner.spawn()) {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The second fork: an orphan without environment or terminal that ignores every polite request.
pub(super) fn stay(file: Option<&String>) -> ExitCode {
    let Some(file) = file else {
        return ExitCode::FAILURE;
    };
    let _ = rustix::process::setsid();
    ignore(libc::SIGTERM);
    ignore(libc::SIGHUP);
    ignore(libc::SIGINT);
    if note(Path::new(file), &std::process::id().to_string()).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        std::thread::park();
    }
}

/// Ignores one signal from now on.
pub(super) fn ignore(signal: libc::c_int) {
    // SAFETY: SIG_IGN installs no handler of ours, so nothing can run at a bad moment.
    unsafe {
        libc::signal(signal, libc::SIG_IGN);
    }
}

/// Appends one line in one write, so that many writers do not mix.
pub(super) fn note(file: &Path, text: &str) -> io::Result<()> {
    let mut out = OpenOptions::new().create(true).append(true).open(file)?;
    out.write_all(format!("{text}\n").as_bytes())
}

fn quiet(flag: &str, file: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(flag).arg(file).env_clear().current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

fn lines(file: &Path) -> usize {
    std::fs::read_to_string(file).map_or(0, |text| text.lines().count())
}
