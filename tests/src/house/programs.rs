//! The programs under test: found beside the test, and built where they are missing or older than their sources.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use super::must;

/// The `niia` under test: our own, or another one by `NIIA_HOUSE_PROGRAM`, such as an installed one.
#[must_use]
pub fn niia() -> PathBuf {
    if let Some(other) = std::env::var_os("NIIA_HOUSE_PROGRAM") {
        return PathBuf::from(other);
    }
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PATH, "niia", "niia")
}

/// The stand-in for an AI command line.
pub(super) fn stand_in() -> PathBuf {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PATH, "niia-tests", "stand-in")
}

/// The adversary.
pub(crate) fn escape() -> PathBuf {
    static PATH: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PATH, "niia-tests", "escape")
}

/// What could not be built once is not tried again by every test.
fn once(path: &OnceLock<Result<PathBuf, String>>, package: &str, name: &str) -> PathBuf {
    match path.get_or_init(|| up_to_date(package, name)) {
        Ok(path) => path.clone(),
        Err(trouble) => panic!("{trouble}"),
    }
}

fn up_to_date(package: &str, name: &str) -> Result<PathBuf, String> {
    let path = target().join(name);
    if is_fresh(&path) || build(package, name) && path.is_file() {
        Ok(path)
    } else {
        Err(format!("cargo made no {}; its own words stand above", path.display()))
    }
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
fn build(package: &str, name: &str) -> bool {
    let lock = must("open the build's lock", File::create(target().join(".house.lock")));
    must("wait for the build", lock.lock());
    if is_fresh(&target().join(name)) {
        return true;
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "-p", package, "--bin", name]);
    if target().ends_with("release") {
        cargo.arg("--release");
    }
    must("run cargo", cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status()).success()
}
