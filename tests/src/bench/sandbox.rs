//! What a sandbox adds to the start of a program, beside bubblewrap doing what of it bubblewrap does.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use niia_actors::sandbox::{self, Policy};

use super::PROGRAM;
use super::table::{Bar, Row};

/// Starts in one round; a single one is as noisy as it is short.
const STARTS: u32 = 40;
/// Sandboxes are made by a plain user; root takes a number nobody has.
const GUEST: u32 = 61_234;
const TRIVIAL: &str = "/bin/true";
/// The most a sandbox may add.
const MS_MAX: f64 = 8.0;
/// As others call bubblewrap for the same purpose.
const BUBBLEWRAP: [&str; 24] = [
    "--unshare-all",
    "--die-with-parent",
    "--new-session",
    "--ro-bind",
    "/",
    "/",
    "--dev",
    "/dev",
    "--proc",
    "/proc",
    "--tmpfs",
    "/tmp",
    "--tmpfs",
    "/run",
    "--tmpfs",
    "/var/tmp",
    "--cap-drop",
    "ALL",
    "--setenv",
    "PATH",
    "/usr/bin:/bin",
    "--chdir",
    "/",
    "--",
];

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut row = Row::new("what a sandbox adds to a start (limit: bubblewrap)", "ms", Bar::AtMost(MS_MAX));
    // A plain user must be able to run it, wherever it was built.
    let Some(helper) = helper() else { return vec![row] };
    for _ in 0..rounds {
        let bare = time(|| run(Command::new(TRIVIAL)));
        row.niia.push(time(|| confined(helper.path())) - bare);
        if Path::new("/usr/bin/bwrap").exists() {
            row.limit.push(time(bubblewrap) - bare);
        }
    }
    vec![row]
}

/// A copy of the measured executable where every user may run it.
struct Helper(tempfile::TempDir);

impl Helper {
    fn path(&self) -> PathBuf {
        self.0.path().join("niia")
    }
}

fn helper() -> Option<Helper> {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().ok()?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).ok()?;
    let helper = Helper(folder);
    std::fs::copy(std::env::var_os(PROGRAM)?, helper.path()).ok()?;
    Some(helper)
}

/// Milliseconds of one start and end, on the average.
fn time(mut once: impl FnMut()) -> f64 {
    let began = Instant::now();
    (0..STARTS).for_each(|_| once());
    began.elapsed().as_secs_f64() * 1e3 / f64::from(STARTS)
}

fn as_guest(command: &mut Command) -> &mut Command {
    if rustix::process::geteuid().is_root() {
        command.uid(GUEST).gid(GUEST);
    }
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null())
}

fn run(mut command: Command) {
    let status = as_guest(&mut command).status();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{command:?}: {status:?}");
}

fn bubblewrap() {
    let mut command = Command::new("/usr/bin/bwrap");
    command.args(BUBBLEWRAP).arg(TRIVIAL);
    run(command);
}

fn confined(helper: PathBuf) {
    let policy = Policy::default();
    let env = [("PATH", "/usr/bin:/bin")];
    let begun = sandbox::command(&helper, &policy, &[TRIVIAL], env).and_then(|(mut command, line)| {
        let child = as_guest(&mut command).spawn()?;
        Ok((child, line.begun(command)))
    });
    let (mut child, begun) = begun.unwrap_or_else(|error| panic!("no helper: {error}"));
    begun.made().and_then(|_| begun.go()).unwrap_or_else(|error| panic!("no sandbox: {error}"));
    let status = child.wait();
    assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{status:?}");
}
