//! The sockets of others.
//!
//! To reach a unix socket no right to write its file system is needed, and no network: a read-only mount and an empty
//! network namespace leave it open. So each one that exists is covered. Newer kernels' landlock refuses them all.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;

use crate::sandbox::Refusal;
use crate::sandbox::refusal::at;

/// Each mask is a mount; a machine with more sockets is no usual one.
const MASKED_MAX: usize = 1024;
/// Some ten thousand sockets.
const LIST_BYTES_MAX: u64 = 4 << 20;
const LIST: &str = "/proc/net/unix";

/// Every socket in the file system of this machine but those given.
pub(super) fn of_others(given: &[PathBuf]) -> Result<Vec<PathBuf>, Refusal> {
    let cure = "end what listens there, or use a machine with fewer services";
    let mut text = Vec::new();
    File::open(LIST)
        .and_then(|file| file.take(LIST_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|error| Refusal::new("socket", at(LIST, error), "mount /proc"))?;
    if text.len() as u64 > LIST_BYTES_MAX {
        return Err(Refusal::new("socket", "this machine has too many sockets to mask", cure));
    }
    let text = String::from_utf8_lossy(&text);
    let mut found: Vec<PathBuf> = text
        .lines()
        .filter_map(path_of)
        .filter_map(|path| std::fs::canonicalize(path).ok())
        .filter(|path| !given.iter().any(|given| path.starts_with(given)))
        .collect();
    found.sort();
    found.dedup();
    if found.len() > MASKED_MAX {
        let why = format!("{} sockets would have to be masked, at most {MASKED_MAX} can be", found.len());
        return Err(Refusal::new("socket", why, cure));
    }
    Ok(found)
}

/// The eighth field of a line, where the socket has a name in the file system.
fn path_of(line: &str) -> Option<&str> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_start();
        rest = &rest[rest.find(' ')?..];
    }
    let path = rest.trim_start();
    path.starts_with('/').then_some(path)
}

#[cfg(test)]
mod tests {
    use super::path_of;

    #[test]
    fn only_names_in_the_file_system_are_paths() {
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01 18523 /var/lib/a b/socket";
        assert_eq!(path_of(line), Some("/var/lib/a b/socket"));
        assert_eq!(path_of("0000: 00000002 00000000 00010000 0001 01 18523 @/tmp/abstract"), None);
        assert_eq!(path_of("0000: 00000003 00000000 00000000 0001 03 18523"), None);
        assert_eq!(path_of("Num       RefCount Protocol Flags    Type St Inode Path"), None);
    }
}
