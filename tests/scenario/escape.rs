//! Nobody gets out: every attempt of the adversary, without a sandbox and in one.
//!
//! `cargo test -p niia-tests --test all scenario::escape -- --nocapture` prints the table and what is unusual.
//! `NIIA_ESCAPE=name,name` plays only these attempts, `NIIA_ESCAPE_TOLD=1` prints what each of them said.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use niia_tests::escape::{Attempt, Control, FAMILIES, Family, Mode, Stage, Verdict};

/// As many at once as the smallest machine has processors.
const AT_ONCE: usize = 2;

/// One attempt as it was played.
struct Played {
    family: &'static str,
    attempt: &'static Attempt,
    verdict: Verdict,
}

fn play(mode: Mode) -> Vec<Played> {
    let only = std::env::var("NIIA_ESCAPE").unwrap_or_default();
    let wanted = |attempt: &Attempt| only.is_empty() || only.split(',').any(|name| name == attempt.name);
    let all = |family: &'static Family| family.attempts.iter().map(move |attempt| (family.name, attempt));
    let attempts: Vec<_> = FAMILIES.iter().flat_map(all).filter(|(_, attempt)| wanted(attempt)).collect();
    let stage = Stage::new(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let (next, played) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((family, attempt)) = attempts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = stage.play(attempt, mode);
                    told(attempt, mode, &verdict);
                    played.lock().unwrap().push(Played { family, attempt, verdict });
                }
            });
        }
    });
    played.into_inner().unwrap()
}

fn told(attempt: &Attempt, mode: Mode, verdict: &Verdict) {
    if std::env::var_os("NIIA_ESCAPE_TOLD").is_some() {
        println!("{mode:?} {}: {verdict:?}", attempt.name);
    }
}

/// A line for each family: attempts, and how many of them succeeded.
fn table(title: &str, played: &[Played], counts: impl Fn(&Played) -> bool) {
    println!("\n{title:<24} attempts  succeeded");
    for family in FAMILIES {
        let of: Vec<&Played> = played.iter().filter(|one| one.family == family.name).collect();
        if !of.is_empty() {
            let succeeded = of.iter().filter(|one| counts(one)).count();
            println!("  {:<22} {:>8} {succeeded:>10}", family.name, of.len());
        }
    }
    let succeeded = played.iter().filter(|one| counts(one)).count();
    println!("  {:<22} {:>8} {succeeded:>10}", "all", played.len());
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn every_attempt_to_escape_is_real() {
    let played = play(Mode::Control);
    table("without a sandbox", &played, |one| one.verdict.evidence.is_some());
    let wrong = played.iter().filter_map(|one| {
        let verdict = &one.verdict;
        let (name, said) = (one.attempt.name, &verdict.said);
        match one.attempt.control {
            Control::Root(_) if !is_root() => None,
            Control::Plain | Control::Root(_) if verdict.evidence.is_none() => {
                Some(format!("{name} does not succeed: {said} {}", verdict.trouble.as_deref().unwrap_or("")))
            }
            Control::Never(why) if verdict.evidence.is_some() => {
                Some(format!("{name} succeeds, though {why}: {:?}", verdict.evidence))
            }
            _ => None,
        }
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{} of {}:\n  {}", wrong.len(), played.len(), wrong.join("\n  "));
}

/// Nobody may get out, and everybody must have tried.
fn nobody_gets_out(title: &str, mode: Mode) {
    let played = play(mode);
    table(title, &played, |one| one.verdict.evidence.is_some());
    let out = played.iter().filter_map(|one| {
        let (name, tries) = (one.attempt.name, one.attempt.tries);
        let verdict = &one.verdict;
        match (&verdict.evidence, &verdict.trouble) {
            (Some(evidence), _) => Some(format!("{}/{name} {tries}: {evidence}", one.family)),
            (None, Some(trouble)) => Some(format!("{}/{name} was not made: {trouble}", one.family)),
            (None, None) => None,
        }
    });
    let out: Vec<String> = out.collect();
    assert!(out.is_empty(), "{} of {}:\n  {}", out.len(), played.len(), out.join("\n  "));
}

#[test]
fn nobody_escapes_from_the_sandbox_of_a_plain_user() {
    nobody_gets_out("sandbox of a plain user", Mode::Plain);
}

#[test]
fn nobody_escapes_from_the_sandbox_that_root_makes_for_a_user() {
    if is_root() {
        nobody_gets_out("sandbox by root", Mode::RunAs);
    }
}
