//! How much memory the machine has to give.

/// `MemAvailable` of `/proc/meminfo` (see proc(5)), in MiB; everything where the system does not say.
pub fn free_mib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    parse(&text).unwrap_or(u64::MAX)
}

fn parse(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_available_counts_not_what_is_free() {
        assert_eq!(parse("MemFree: 1024 kB\nMemAvailable:   4194304 kB\n"), Some(4096));
        assert_eq!(parse("MemFree: 1024 kB\n"), None);
    }
}
