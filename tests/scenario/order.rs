//! The order of the house: no function too long to see at once, no file too long to know, no `unwrap` outside tests,
//! and rooms that depend only on whom they may.

mod rooms;
mod sources;

use std::sync::LazyLock;

use sources::Source;

/// A function longer than this has a second one hiding inside.
const FUNCTION_LINES_MAX: usize = 70;

/// So has a file.
const FILE_LINES_MAX: usize = 500;

/// Read once for all the rules.
static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(sources::all);

fn check(rule: impl Fn(&Source) -> Vec<String>) {
    let sources = &*SOURCES;
    assert!(sources.len() > 20, "the sources are found");
    let broken: Vec<String> = sources.iter().flat_map(rule).collect();
    assert!(broken.is_empty(), "\n  {}", broken.join("\n  "));
}

#[test]
fn no_file_is_too_long_to_know() {
    check(|source| {
        let lines = source.text.lines().count();
        let long = lines > FILE_LINES_MAX;
        long.then(|| format!("{}: {lines} lines, {FILE_LINES_MAX} are allowed", source.name()))
            .into_iter()
            .collect()
    });
}

#[test]
fn no_function_is_too_long_to_see_at_once() {
    check(|source| {
        let functions = source.findings().functions.into_iter();
        let long = functions.filter(|function| function.lines > FUNCTION_LINES_MAX);
        long.map(|f| format!("{}:{} {}: {} lines", source.name(), f.line, f.name, f.lines)).collect()
    });
}

#[test]
fn nothing_is_unwrapped_outside_tests() {
    check(|source| {
        let unwraps = if source.is_test { Vec::new() } else { source.findings().unwraps };
        unwraps.iter().map(|line| format!("{}:{line} unwraps", source.name())).collect()
    });
}

#[test]
fn every_file_says_first_what_it_is_about() {
    check(|source| {
        let says = source.is_test || source.text.starts_with("//!");
        (!says).then(|| format!("{} begins without `//!`", source.name())).into_iter().collect()
    });
}

#[test]
fn these_checks_find_what_they_look_for() {
    let text = "fn a() {\n  b().unwrap();\n}\n#[cfg(test)]\nmod tests {\n  fn c() { d().unwrap(); }\n}\n#[test]\nfn e() { f().unwrap() }";
    let findings = Source::of("x.rs", text).findings();
    assert_eq!(findings.unwraps, [2]);
    let lengths: Vec<(String, usize)> = findings.functions.into_iter().map(|f| (f.name, f.lines)).collect();
    assert_eq!(lengths, [("a".to_owned(), 3), ("c".to_owned(), 1), ("e".to_owned(), 1)]);
}
