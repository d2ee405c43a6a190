//! What a session costs beside what the kernel alone would charge for it.
//!
//! `cargo run --release -p niia-actors --example measure_keeper` prints ratios; the binary `niia-keeper` must have been
//! built by the same profile. The limit is a loop that opens a terminal, forks, executes and reads, and does nothing
//! else.

use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use niia_actors::keeper::{Keeper, Notice, Program, Terminal};

const FAN_OUT: usize = 1_000;
const IDLE_SESSIONS: usize = 100;
const ONE_BYTES: usize = 200 << 20;
const FIFTY: usize = 50;
const FIFTY_BYTES: usize = 8 << 20;
/// Lines that are written one by one.
const SHORT_LINES: &str = "1000000";
const ROUNDS: usize = 3;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut folder = std::env::temp_dir();
    folder.push(format!("niia-measure-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(folder: &Path) -> Outcome<()> {
    let executable =
        std::env::current_exe()?.parent().and_then(Path::parent).map(|path| path.join("niia-keeper"));
    let keeper = Keeper::new(folder.join("run"), executable.unwrap_or_default());
    let only = std::env::args().nth(1);
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    for round in 0..ROUNDS {
        let place = folder.join(round.to_string());
        if wanted("fan-out") {
            fan_out(&keeper, &place).await?;
        }
        if wanted("one") {
            let text = text(folder, ONE_BYTES)?;
            throughput(&keeper, &place.join("one"), 1, &["/bin/cat", &text]).await?;
        }
        if wanted("fifty") {
            let text = text(folder, FIFTY_BYTES)?;
            throughput(&keeper, &place.join("fifty"), FIFTY, &["/bin/cat", &text]).await?;
        }
        if wanted("short-lines") {
            throughput(&keeper, &place.join("short"), 1, &["/usr/bin/stdbuf", "-oL", "seq", SHORT_LINES])
                .await?;
        }
    }
    if wanted("idle") {
        idle(&keeper, &folder.join("idle")).await?;
    }
    Ok(())
}

fn program(argv: &[&str]) -> Program {
    Program {
        session: "measure".to_owned(),
        argv: argv.iter().map(Into::into).collect(),
        env: std::env::vars_os().collect(),
        cwd: PathBuf::from("/"),
        cols: 120,
        rows: 40,
        record: true,
        recording_bytes_max: 1 << 30,
        sandbox: None,
        reach: None,
    }
}

async fn run_to_end(keeper: Keeper, folder: PathBuf, program: Program) -> Outcome<u64> {
    let terminal = keeper.start(&folder, &program).await?;
    let end = follow(&terminal).await?;
    terminal.acknowledge().await;
    Ok(end)
}

async fn follow(terminal: &Terminal) -> Outcome<u64> {
    loop {
        match terminal.next().await {
            Notice::Exited(exit) => return Ok(exit.log_end),
            Notice::Lost(lost) => return Err(format!("{lost:?}").into()),
            _ => {}
        }
    }
}

async fn fan_out(keeper: &Keeper, folder: &Path) -> Outcome<()> {
    let (cpu, since) = (cpu_ms(&[])?, Instant::now());
    for _ in 0..FAN_OUT {
        let (mut child, master) = bare(&["/bin/true"])?;
        child.wait()?;
        drop(master);
    }
    let (bare_wall, bare_cpu) = (since.elapsed(), cpu_ms(&[])? - cpu);
    run_to_end(keeper.clone(), folder.join("first"), program(&["/bin/true"])).await?;
    let keepers = processes_named("niia-keeper", folder.parent().unwrap_or(folder));
    let (cpu, since) = (cpu_ms(&keepers)?, Instant::now());
    all(keeper, &folder.join("fan-out"), FAN_OUT, &program(&["/bin/true"])).await?;
    let (wall, cpu) = (since.elapsed(), cpu_ms(&keepers)? - cpu);
    println!(
        "{FAN_OUT} × true: {:.0} ms, bare {:.0} ms, {:.2} × limit; CPU a session {:.2} ms, bare {:.2} ms",
        ms(wall),
        ms(bare_wall),
        ms(wall) / ms(bare_wall),
        cpu / FAN_OUT as f64,
        bare_cpu / FAN_OUT as f64,
    );
    Ok(())
}

async fn all(keeper: &Keeper, folder: &Path, count: usize, program: &Program) -> Outcome<u64> {
    let mut sessions = Vec::new();
    for number in 0..count {
        let (keeper, folder, program) = (keeper.clone(), folder.join(number.to_string()), program.clone());
        sessions.push(tokio::spawn(async move {
            run_to_end(keeper, folder, program).await.map_err(|error| error.to_string())
        }));
    }
    let mut bytes = 0;
    for session in sessions {
        bytes += session.await??;
    }
    Ok(bytes)
}

fn text(folder: &Path, bytes: usize) -> io::Result<String> {
    let file = folder.join(format!("text-{bytes}"));
    if !file.exists() {
        let line = format!("{:079}\n", 7);
        std::fs::write(&file, line.repeat(bytes / line.len()))?;
    }
    Ok(file.to_string_lossy().into_owned())
}

async fn throughput(keeper: &Keeper, folder: &Path, count: usize, argv: &[&str]) -> Outcome<()> {
    let since = Instant::now();
    let readers: Vec<_> = (0..count).map(|_| bare(argv)).collect::<io::Result<Vec<_>>>()?;
    let threads: Vec<_> =
        readers.into_iter().map(|(child, master)| std::thread::spawn(|| read_all(child, master))).collect();
    let mut read = 0;
    for thread in threads {
        read += thread.join().map_err(|_| "a reader broke")??;
    }
    let bare_rate = read as f64 / since.elapsed().as_secs_f64() / 1e6;
    let since = Instant::now();
    let recorded = all(keeper, folder, count, &program(argv)).await?;
    let rate = recorded as f64 / since.elapsed().as_secs_f64() / 1e6;
    std::fs::remove_dir_all(folder)?;
    println!(
        "{count} at once: {rate:.1} MB/s recorded, bare reader {bare_rate:.1} MB/s, {:.2} × limit",
        rate / bare_rate
    );
    Ok(())
}

async fn idle(keeper: &Keeper, folder: &Path) -> Outcome<()> {
    let mut terminals = Vec::new();
    for number in 0..IDLE_SESSIONS {
        let program = program(&["/bin/sleep", "1000"]);
        terminals.push(keeper.start(&folder.join(number.to_string()), &program).await?);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let minders = processes_named("niia-minder", folder);
    let cpu = cpu_ms(&minders)?;
    let mut pss = 0;
    let mut private = 0;
    for pid in &minders {
        let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        let field = |name: &str| -> u64 {
            let line = rollup.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default()
        };
        pss += field("Pss:");
        private += field("Private_Dirty:");
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    println!(
        "{} idle sessions: PSS of a minder {:.1} KiB, of it private {:.1} KiB; CPU of all {:.2} ms/s",
        minders.len(),
        pss as f64 / minders.len() as f64,
        private as f64 / minders.len() as f64,
        (cpu_ms(&minders)? - cpu) / 5.0,
    );
    for terminal in terminals {
        terminal.end(Duration::ZERO).await?;
        follow(&terminal).await?;
        terminal.acknowledge().await;
    }
    Ok(())
}

/// A terminal and a program in it, and nothing more.
fn bare(argv: &[&str]) -> io::Result<(std::process::Child, OwnedFd)> {
    let pair = portable_pty::native_pty_system()
        .openpty(portable_pty::PtySize::default())
        .map_err(io::Error::other)?;
    let raw = pair.master.as_raw_fd().ok_or(io::ErrorKind::Unsupported)?;
    // SAFETY: `pair` lives to the end of this function.
    let master = unsafe { BorrowedFd::borrow_raw(raw) }.try_clone_to_owned()?;
    let slave = rustix::pty::ioctl_tiocgptpeer(
        &master,
        rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY,
    )?;
    rustix::io::fcntl_setfd(&slave, rustix::io::FdFlags::CLOEXEC)?;
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(Stdio::from(slave));
    // SAFETY: only system calls between fork and exec.
    unsafe {
        command.pre_exec(|| {
            rustix::process::setsid()?;
            Ok(rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?)
        });
    }
    Ok((command.spawn()?, master))
}

fn read_all(mut child: std::process::Child, master: OwnedFd) -> io::Result<usize> {
    let mut master = std::fs::File::from(master);
    let (mut total, mut buffer) = (0, vec![0; 64 << 10]);
    // The end of a terminal is an error.
    while let Ok(count) = master.read(&mut buffer) {
        if count == 0 {
            break;
        }
        total += count;
    }
    child.wait()?;
    Ok(total)
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Time of this process, of its children that have ended, and of these processes with theirs.
fn cpu_ms(others: &[u32]) -> Outcome<f64> {
    let mut ticks = 0.0;
    for pid in others.iter().copied().chain([std::process::id()]) {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(4);
        ticks += fields.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
    }
    // The kernel counts in hundredths of a second here, whatever its own clock.
    Ok(ticks * 10.0)
}

fn processes_named(name: &str, below: &Path) -> Vec<u32> {
    let below = std::fs::canonicalize(below).unwrap_or_default();
    let entries = std::fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let cwd = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        comm.trim() == name && cwd.starts_with(&below)
    })
    .collect()
}
