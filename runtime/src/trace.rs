//! What niia says about itself while it works: `NIIA_LOG=debug niia …` for people, `run/node.log` for the node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// The variable that says what is worth telling, in the words of `tracing` (`debug`, `niia=trace`).
pub const LOG_VARIABLE: &str = "NIIA_LOG";

/// One node log; with the one before it kept there are never more than two of them.
pub const NODE_LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Tells on stderr, and only what was asked for.
pub fn to_stderr() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("off"));
    // A second call (a test's, an embedder's) finds its place taken, which is as good.
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).try_init());
}

/// Tells in a file that never grows past its bound.
pub fn to_file(path: &Path) -> io::Result<()> {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let log = NodeLog::open(path)?;
    drop(tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(log).try_init());
    Ok(())
}

/// A log file that is put aside when it is full.
#[derive(Clone, Debug)]
pub struct NodeLog(Arc<Mutex<Pages>>);

#[derive(Debug)]
struct Pages {
    path: PathBuf,
    file: File,
    written: u64,
    bytes_max: u64,
}

impl NodeLog {
    pub fn open(path: &Path) -> io::Result<NodeLog> {
        NodeLog::bounded(path, NODE_LOG_BYTES_MAX)
    }

    fn bounded(path: &Path, bytes_max: u64) -> io::Result<NodeLog> {
        let file = open_log(path)?;
        let written = file.metadata()?.len();
        Ok(NodeLog(Arc::new(Mutex::new(Pages { path: path.to_owned(), file, written, bytes_max }))))
    }
}

/// Opens a log for appending, for its owner alone.
pub fn open_log(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Puts a log aside that has reached its bound.
pub fn put_aside_when_full(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.len() >= NODE_LOG_BYTES_MAX => fs::rename(path, aside(path)),
        _ => Ok(()),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

impl Pages {
    fn turn(&mut self) -> io::Result<()> {
        fs::rename(&self.path, aside(&self.path))?;
        self.file = open_log(&self.path)?;
        self.written = 0;
        Ok(())
    }
}

impl Write for &NodeLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.written >= pages.bytes_max {
            pages.turn()?;
        }
        let written = pages.file.write(bytes)?;
        pages.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for NodeLog {
    type Writer = &'a NodeLog;

    fn make_writer(&'a self) -> &'a NodeLog {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_is_put_aside_and_there_are_never_more_than_two() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.log");
        let log = NodeLog::bounded(&path, 100).unwrap();
        for n in 0..50 {
            writeln!(&log, "line {n:03} of the node").unwrap();
        }
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["node.log", "node.log.1"]);
        assert!(fs::metadata(&path).unwrap().len() <= 130);
        assert!(fs::read_to_string(&path).unwrap().ends_with("line 049 of the node\n"));
    }
}
