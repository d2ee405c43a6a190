//! The programs under test: found beside the test, and built where they are missing or older than their sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::must;

/// The `niia` under test.
pub(super) fn niia() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| up_to_date("niia", "niia")).clone()
}

/// The stand-in for an AI command line.
pub(super) fn stand_in() -> PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| up_to_date("niia-tests", "stand-in")).clone()
}

fn up_to_date(package: &str, name: &str) -> PathBuf {
    let path = target().join(name);
    if !is_fresh(&path) {
        build(package, name);
        assert!(path.is_file(), "`cargo build -p {package} --bin {name}` made no {}", path.display());
    }
    path
}

/// `target/debug` for a test in `target/debug/deps`.
fn target() -> PathBuf {
    let test = must("find the test's own path", std::env::current_exe());
    match test.parent() {
        Some(deps) if deps.ends_with("deps") => deps.parent().unwrap_or(deps).to_owned(),
        Some(folder) => folder.to_owned(),
        None => panic!("a test lies in some folder"),
    }
}

/// Cargo writes beside each program which sources it was made of.
fn is_fresh(program: &Path) -> bool {
    let Some(made) = modified(program) else {
        return false;
    };
    let Ok(list) = fs::read_to_string(program.with_extension("d")) else {
        return false;
    };
    let Some((_, sources)) = list.split_once(": ") else {
        return false;
    };
    // A blank within a path is escaped.
    let sources = sources.trim_end().replace("\\ ", "\0");
    sources
        .split(' ')
        .all(|source| modified(Path::new(&source.replace('\0', " "))).is_some_and(|then| then <= made))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|data| data.modified()).ok()
}

/// Tests run side by side, so the first one builds and the others wait for it.
fn build(package: &str, name: &str) {
    let lock = must("open the build's lock", File::create(target().join(".house.lock")));
    must("wait for the build", lock.lock());
    if is_fresh(&target().join(name)) {
        return;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", package, "--bin", name]);
    if target().ends_with("release") {
        cargo.arg("--release");
    }
    let status = must("run cargo", cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status());
    assert!(status.success(), "cargo could not build `{name}`");
}
