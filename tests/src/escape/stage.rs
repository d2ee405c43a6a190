//! The stage: makes a scene, lets an attempt be made in it, and looks from outside whether it succeeded.

mod fixture;
mod services;
mod start;
mod victim;
mod world;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use fixture::Fixture;
use start::Ended;

use niia_actors::sandbox::Policy;
use tempfile::TempDir;

use super::{Attempt, Control, Scene, Seen};
use crate::house::{is_seen_by_all, must, public_folder};

/// An attempt that is not over by then hangs.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// In this time whatever an attempt started is gone after it, where anything ends it.
const LEAVING_WITHIN: Duration = Duration::from_secs(2);

/// How the attempt is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Without a sandbox, to show that it is real.
    Control,
    /// In a sandbox made by a plain user.
    Plain,
    /// In a sandbox made by root, for a plain user.
    RunAs,
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What shows that it succeeded.
    pub evidence: Option<String>,
    /// What it says of itself.
    pub said: String,
    /// Why it was not made at all: then it shows nothing.
    pub trouble: Option<String>,
}

/// Where attempts are made.
#[derive(Debug)]
pub struct Stage {
    /// Repositories as every scene has them.
    template: PathBuf,
    /// The folder in which scenes are made; not below `/tmp`, which a sandbox has for itself.
    root: PathBuf,
    programs: Programs,
    scenes: AtomicU32,
    /// Where the programs and scenes had to go elsewhere; gone with the stage.
    _elsewhere: Option<TempDir>,
}

#[derive(Debug)]
struct Programs {
    escape: PathBuf,
    niia: PathBuf,
}

impl Stage {
    /// Makes scenes below `root`, or elsewhere where a plain user, or a sandbox, sees nothing of `root`.
    ///
    /// # Panics
    /// When there is no place for them.
    #[must_use]
    pub fn new(root: &Path) -> Stage {
        let (escape, niia) = crate::house::adversary();
        let mut programs = Programs { escape, niia };
        let elsewhere = (!is_seen_by_all(root)).then(|| elsewhere(&mut programs));
        let root = elsewhere.as_ref().map_or(root, TempDir::path).to_owned();
        let folder = tempfile::Builder::new().prefix("t-").tempdir_in(&root);
        let template = must("make a template", folder).keep();
        fixture::repositories(&template);
        Stage { template, root, programs, scenes: AtomicU32::new(0), _elsewhere: elsewhere }
    }

    /// The stage of all tests that run just now: made for the first, gone with the last.
    ///
    /// # Panics
    /// When there is no place for it.
    #[must_use]
    pub fn shared(root: &Path) -> Arc<Stage> {
        static SHARED: Mutex<Weak<Stage>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let stage = Arc::new(Stage::new(root));
            *shared = Arc::downgrade(&stage);
            stage
        })
    }

    /// Makes one attempt in a scene of its own.
    #[must_use]
    pub fn play(&self, attempt: &Attempt, mode: Mode) -> Verdict {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let mut fixture = Fixture::new(self, number, attempt.name, mode == Mode::RunAs);
        let ended = match (mode, attempt.control) {
            (Mode::Control, Control::Root(_)) => start::as_root(&fixture, attempt.name),
            (Mode::Control, _) => start::as_user(&fixture, attempt.name),
            (Mode::Plain, _) => start::sandboxed(&fixture, attempt.name, false),
            (Mode::RunAs, _) => start::sandboxed(&fixture, attempt.name, true),
        };
        judge(attempt, &mut fixture, ended)
    }
}

/// A folder in a place that everybody sees, with the programs in it.
fn elsewhere(programs: &mut Programs) -> TempDir {
    let Some(folder) = public_folder("niia-stage-") else {
        panic!("no place for a stage: build in a folder that everybody may pass")
    };
    for program in [&mut programs.escape, &mut programs.niia] {
        let name = program.file_name().unwrap_or_default();
        let copied = folder.path().join(name);
        must("copy a program", std::fs::copy(&*program, &copied));
        *program = copied;
    }
    folder
}

/// A program to be run in the sandbox of a scene, and what is broken about the set-up.
#[derive(Debug)]
pub struct Setup {
    pub argv: Vec<OsString>,
    /// Changes the policy the scene would have.
    pub policy: fn(&mut Policy, &Scene),
    /// Changes what lies in the scene, as whoever runs the test.
    pub scene: fn(&Scene),
    /// Runs in the process that becomes the helper; only calls the kernel.
    pub before: fn() -> io::Result<()>,
}

impl Setup {
    /// A shell script in the worktree of a scene, with nothing broken.
    #[must_use]
    pub fn script(text: &str) -> Setup {
        Setup {
            argv: ["/bin/bash", "-c", text].map(OsString::from).into(),
            policy: |_, _| {},
            scene: |_| {},
            before: || Ok(()),
        }
    }
}

/// What became of a program in a sandbox.
#[derive(Debug)]
pub struct Outcome {
    /// What the starter was told, where no sandbox was made.
    pub refused: Option<String>,
    pub code: Option<i32>,
    pub printed: String,
}

impl Stage {
    /// Runs a program in the sandbox of a scene of its own.
    ///
    /// # Panics
    /// When it cannot be started at all, or hangs.
    #[must_use]
    pub fn run(&self, setup: &Setup) -> Outcome {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let fixture = Fixture::new(self, number, "", false);
        (setup.scene)(&fixture.scene);
        must("run it in a sandbox", start::set_up(&fixture, setup, false))
    }

    /// The same, begun by root.
    ///
    /// # Panics
    /// When it cannot be started at all, or hangs.
    #[must_use]
    pub fn run_as_root(&self, setup: &Setup) -> Outcome {
        let number = self.scenes.fetch_add(1, Ordering::Relaxed);
        let fixture = Fixture::new(self, number, "", false);
        must("run it in a sandbox", start::set_up(&fixture, setup, true))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.template);
    }
}

fn judge(attempt: &Attempt, fixture: &mut Fixture, ended: Result<Ended, String>) -> Verdict {
    let ended = match ended {
        Ok(ended) => ended,
        Err(trouble) => return Verdict { evidence: None, said: String::new(), trouble: Some(trouble) },
    };
    let claim = fixture.claim();
    let left = left(fixture);
    let (reached, text) = claim.clone().unwrap_or_default();
    let mut evidence = fixture.evidence();
    if let Some(left) = left {
        evidence.get_or_insert(left);
    }
    if text.contains(&fixture.secret) || ended.printed.contains(&fixture.secret) {
        evidence = Some("it came back with the secret".to_owned());
    }
    if attempt.seen == Seen::Told && reached && evidence.is_none() {
        evidence = Some(text.clone());
    }
    let said = match claim {
        Some((_, text)) => text,
        None => format!("no word; {}; printed {:?}", ended.how, ended.printed),
    };
    // Whoever was ended for it has made the attempt all the same.
    let made = said.starts_with("no word") && !ended.by_signal;
    Verdict { evidence, trouble: made.then(|| said.clone()), said }
}

/// Who is still there although the attempt is over.
fn left(fixture: &Fixture) -> Option<String> {
    let begun = Instant::now();
    loop {
        let here = fixture.strangers();
        if here.is_empty() {
            return None;
        }
        if begun.elapsed() > LEAVING_WITHIN {
            let lines: Vec<String> = here.iter().map(ToString::to_string).collect();
            here.iter().for_each(crate::house::Resident::kill);
            return Some(format!("left behind: {}", lines.join(", ")));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
