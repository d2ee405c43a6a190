//! What processes take, as the kernel counts it.

use std::fs;

use crate::house::Resident;

/// Bytes of memory that are a process's own, shared pages by their share.
pub(super) fn own_bytes(residents: &[Resident]) -> f64 {
    residents.iter().map(|resident| own_bytes_of(resident.id)).sum()
}

fn own_bytes_of(id: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).unwrap_or_default();
    let kib = text
        .lines()
        .find_map(|line| line.strip_prefix("Pss:"))
        .and_then(|rest| rest.split_whitespace().next());
    kib.and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// Processor time of processes and of those they waited for, in seconds.
pub(super) fn processor_time(residents: &[Resident]) -> f64 {
    let stat =
        |resident: &Resident| fs::read_to_string(format!("/proc/{}/stat", resident.id)).unwrap_or_default();
    residents.iter().map(|resident| ticks(&stat(resident), 4)).sum()
}

/// The first so many of utime, stime, cutime and cstime together, in seconds.
pub(super) fn ticks(stat: &str, fields: usize) -> f64 {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let counts = after_name.split_whitespace().skip(11).take(fields);
    let ticks: f64 = counts.filter_map(|count| count.parse::<f64>().ok()).sum();
    // Linux counts user-visible processor time in hundredths of a second.
    ticks / 100.0
}
