//! Texts nobody would write: cut off, damaged, huge, deep. Each gets an answer, in bounded time and memory.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read the corpus")]

mod place;

use std::fs;
use std::path::{Path, PathBuf};

use niia_spec::diagnostic::{Code, Diagnostic, has_errors, render};
use niia_spec::read::{DEPTH_MAX, FINDINGS_MAX, TEXT_BYTES_MAX};
use niia_spec::{draw, read};

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents");
    let folders = ["good", "bad", "bad-structure"].map(|folder| fs::read_dir(root.join(folder)).unwrap());
    folders.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// Reads a text, and draws and shows what it gives; no text may break any of it.
fn survives(text: &[u8]) -> Vec<Diagnostic> {
    let (document, found) = read(text, "x.json");
    assert_eq!(document.is_some(), !has_errors(&found));
    assert!(found.len() <= FINDINGS_MAX + 1);
    if let Some(document) = document {
        let around = place::surroundings("x");
        if let Ok(drawn) = draw(&document, &around) {
            assert!(!niia_spec::plan::show::show(&drawn.plan, &around, &[]).is_empty());
        }
    } else {
        assert!(!render(&found, text).is_empty());
    }
    found
}

fn only(text: &[u8], code: Code) {
    let found = survives(text);
    let codes: Vec<Code> = found.iter().map(|one| one.code).collect();
    assert_eq!(codes, [code], "{:?}", found.first().map(|one| &one.message));
}

#[test]
fn a_document_cut_off_anywhere_is_refused() {
    for path in documents() {
        let text = fs::read(&path).unwrap();
        let text = text.trim_ascii_end();
        if read(text, "x").0.is_none() {
            continue;
        }
        for end in 0..text.len() {
            assert!(has_errors(&survives(&text[..end])), "{} cut at {end}", path.display());
        }
    }
}

#[test]
fn a_damaged_document_is_answered() {
    let mut random = fastrand::Rng::with_seed(2024);
    for path in documents() {
        let text = fs::read(&path).unwrap();
        for _ in 0..if text.is_empty() { 0 } else { 60 } {
            let mut damaged = text.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..damaged.len().max(1));
                match random.u8(..4) {
                    0 => damaged[at] = random.u8(..),
                    1 => drop(damaged.remove(at)),
                    2 => damaged.insert(at, *b"{}[]\",:0tn\\".get(random.usize(..11)).unwrap()),
                    _ => damaged[at] ^= 1 << random.u8(..8),
                }
                if damaged.is_empty() {
                    break;
                }
            }
            survives(&damaged);
        }
    }
}

#[test]
fn depth_is_refused_before_it_is_parsed() {
    for depth in [DEPTH_MAX + 1, 100_000] {
        only("[".repeat(depth).as_bytes(), Code::TooDeep);
        only(format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).as_bytes(), Code::TooDeep);
        only("{\"a\":".repeat(depth).as_bytes(), Code::TooDeep);
    }
    let brackets = format!("{{\"connector\": \"2.0\", \"task\": \"{}\"}}", "[".repeat(100_000));
    assert_eq!(survives(brackets.as_bytes()), []);
}

#[test]
fn size_is_refused_before_it_is_parsed() {
    only(&vec![b' '; TEXT_BYTES_MAX + 1], Code::TooLarge);
    let long = format!("{{\"connector\": \"2.0\", \"task\": \"{}\"}}", "a".repeat(TEXT_BYTES_MAX - 100));
    assert_eq!(survives(long.as_bytes()), []);
}

#[test]
fn what_is_no_text_is_one_finding() {
    only(b"", Code::Empty);
    only(b" \n\t", Code::Empty);
    only(b"\xef\xbb\xbf{}", Code::ByteOrderMark);
    only(b"\xff\xfe{\0}\0", Code::ByteOrderMark);
    only(b"{\"task\": \"\xff\"}", Code::NotUtf8);
    only(b"{\"task\": NaN}", Code::Syntax);
    only(b"{\"task\": -Infinity}", Code::Syntax);
    only(b"{\"task\": \"\\ud800\"}", Code::Syntax);
    only(b"{\"task\": \"a\nb\"}", Code::Syntax);
    only(b"{} {}", Code::Syntax);
    only(b"[]", Code::NotAnObject);
    only(b"\"claude\"", Code::NotAnObject);
}

#[test]
fn more_findings_than_anybody_reads_are_counted() {
    let fields: Vec<String> = (0..5000).map(|n| format!("\"zz{n}\": {n}")).collect();
    let found = survives(format!("{{\"connector\": \"2.0\", {}}}", fields.join(",")).as_bytes());
    assert_eq!(found.len(), FINDINGS_MAX + 1);
    assert_eq!(found.last().map(|one| one.code), Some(Code::MoreFindings));
}

#[test]
fn numbers_of_any_size_are_answered() {
    for number in ["1e308", "-1e308", "1e999999", "18446744073709551616", "-1", "0", "0.5", "-0", "1E400"] {
        for field in ["\"workers\"", "\"rounds\"", "\"grace_ms\""] {
            let text = format!(
                "{{\"connector\": \"2.0\", \"pipeline\": {{\"phases\": [{{{field}: {number}, \"prompt\": \"x\"}}]}}}}"
            );
            let found = survives(text.as_bytes());
            assert!(has_errors(&found), "{text}");
        }
    }
    for number in ["2", "2.0", "2e0", "0.2e1"] {
        let text = format!(
            "{{\"connector\": \"2.0\", \"pipeline\": {{\"phases\": [{{\"workers\": {number}, \"prompt\": \"x\"}}]}}}}"
        );
        assert_eq!(survives(text.as_bytes()), []);
    }
}

/// Documents that are small to write and would be large to look at. Each is answered, and in a moment.
#[test]
fn nothing_small_takes_long() {
    let list =
        |count: usize, entry: &dyn Fn(usize) -> String| (0..count).map(entry).collect::<Vec<_>>().join(",");
    let agents = list(9000, &|_| r#"{"model":"opus"}"#.to_owned());
    survives(
        format!(r#"{{"task":"x","limits":{{"max_total_agents":9000}},"agents":[{agents}]}}"#).as_bytes(),
    );
    let names = list(2000, &|n| {
        format!(r#"{{"name":"phase-name-{n}","after":[{}]}}"#, list(100, &|m| format!("\"pahse-{m}\"")))
    });
    survives(format!(r#"{{"task":"x","pipeline":{{"phases":[{names}]}}}}"#).as_bytes());
    let circles = list(1000, &|n| {
        format!(r#"{{"name":"p{n}","after":[{}]}}"#, list(100, &|m| format!("\"p{}\"", (n + m) % 1000)))
    });
    survives(format!(r#"{{"task":"x","pipeline":{{"phases":[{circles}]}}}}"#).as_bytes());
    let models = list(9000, &|n| format!(r#""alias-{n}":"unknown-{n}""#));
    let phases = list(150, &|n| format!(r#"{{"model":"alias-{n}","prompt":"x"}}"#));
    survives(format!(r#"{{"models":{{{models}}},"pipeline":{{"phases":[{phases}]}}}}"#).as_bytes());
    let prompt = "long ".repeat(500_000);
    let text = format!(
        r#"{{"connector":"2.0","limits":{{"max_total_agents":9000}},"pipeline":{{"phases":[{{"workers":9000,"prompt":"{prompt}"}}]}}}}"#
    );
    only(text.as_bytes(), Code::LimitExceeded);
}
