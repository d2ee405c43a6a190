//! What processes use, as the kernel counts it.

use std::fs;
use std::time::Duration;

/// The machine in a line, for whoever reads the figures.
pub fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = field(&cpus, "model name").unwrap_or("unknown processor").to_owned();
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = field(&memory, "MemTotal").and_then(number).unwrap_or_default() / 1024;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{count} × {model}, {memory} MiB, Linux {}, load {}", kernel.trim(), load())
}

pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// Time a process and its buried children have spent, to a hundredth of a second.
pub fn cpu_with_children(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    // Fields 14 to 17 of the line; the state, which comes first here, is the third.
    let ticks: u64 =
        after.split_whitespace().skip(11).take(4).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second().max(1))
}

/// Time a process has run, to a nanosecond, all of its threads.
pub fn cpu_exact(pid: u32) -> Duration {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Duration::ZERO;
    };
    let of = |path: std::path::PathBuf| {
        fs::read_to_string(path.join("schedstat")).ok().and_then(|text| number(&text))
    };
    Duration::from_nanos(tasks.flatten().filter_map(|task| of(task.path())).sum())
}

/// What this process and all children it has buried have spent.
pub fn own_cpu() -> Duration {
    // SAFETY: `rusage` is plain integers and the kernel fills it in.
    let of = |who| unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    [libc::RUSAGE_SELF, libc::RUSAGE_CHILDREN]
        .map(of)
        .iter()
        .map(|usage| time(usage.ru_utime) + time(usage.ru_stime))
        .sum()
}

/// What a process alone is to blame for of the memory it shares, in KiB.
pub fn pss_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    field(&text, "Pss:").and_then(number).unwrap_or_default()
}

/// The most a process has had in memory, in KiB.
pub fn peak_kib(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    field(&text, "VmHWM").and_then(number).unwrap_or_default()
}

/// The name a process goes by.
pub fn name(pid: u32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim().to_owned()
}
