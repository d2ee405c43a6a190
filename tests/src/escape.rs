//! The adversary: attempts to get out of a sandbox, each shown to be real by doing the same without one.
//!
//! An attempt is made by the program `escape` (`escape act NAME SCENE`) in a scene of its own: a home with secrets, a
//! repository, a victim, sockets and listeners, all made afresh. Whether it succeeded is seen from outside: something in
//! the scene changed, somebody was heard, the victim felt it, a secret came back. Only where nothing outside could tell
//! (a system call that must not be reached) the adversary's own word counts.

mod files;
mod floods;
mod helper;
mod kernel;
mod leftovers;
mod loaders;
mod metadata;
mod mounts;
mod namespaces;
mod network;
mod persistence;
pub mod planted;
mod privileges;
mod proc;
mod processes;
mod protocols;
mod repository;
pub mod scene;
mod secrets;
mod sockets;
mod stage;
pub mod sys;
mod terminals;
mod victim;

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

pub use scene::Scene;
pub use stage::{Mode, Outcome, Setup, Stage, Verdict};

/// What an attempt says of itself: what it reached, or why it did not get there.
pub type Claim = io::Result<String>;

/// One attempt to get out.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    pub name: &'static str,
    /// What it tries, after "it".
    pub tries: &'static str,
    pub act: fn(&Scene) -> Claim,
    pub seen: Seen,
    pub control: Control,
}

/// How its success is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// From outside only: what it says of itself counts only where it holds the secret.
    Outside,
    /// Nothing outside could tell, so its own word counts.
    Told,
}

/// What shows that the attempt is real.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// It succeeds as a plain user without a sandbox.
    Plain,
    /// A plain user may not do it anyway, for this reason; root may.
    Root(&'static str),
    /// It cannot succeed on a machine such as this one, for this reason.
    Never(&'static str),
}

/// Attempts of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub attempts: &'static [Attempt],
}

/// Every family that is played against the helper alone.
pub const FAMILIES: &[Family] = &[
    Family { name: "files", attempts: files::ATTEMPTS },
    Family { name: "metadata", attempts: metadata::ATTEMPTS },
    Family { name: "persistence", attempts: persistence::ATTEMPTS },
    Family { name: "secrets", attempts: secrets::ATTEMPTS },
    Family { name: "proc", attempts: proc::ATTEMPTS },
    Family { name: "processes", attempts: processes::ATTEMPTS },
    Family { name: "sockets", attempts: sockets::ATTEMPTS },
    Family { name: "network", attempts: network::ATTEMPTS },
    Family { name: "protocols", attempts: protocols::ATTEMPTS },
    Family { name: "terminals", attempts: terminals::ATTEMPTS },
    Family { name: "mounts", attempts: mounts::ATTEMPTS },
    Family { name: "namespaces", attempts: namespaces::ATTEMPTS },
    Family { name: "privileges", attempts: privileges::ATTEMPTS },
    Family { name: "kernel", attempts: kernel::ATTEMPTS },
    Family { name: "loaders", attempts: loaders::ATTEMPTS },
    Family { name: "floods", attempts: floods::ATTEMPTS },
    Family { name: "repository", attempts: repository::ATTEMPTS },
    Family { name: "helper", attempts: helper::ATTEMPTS },
    Family { name: "leftovers", attempts: leftovers::ATTEMPTS },
];

impl Attempt {
    /// Seen from outside, real for a plain user.
    pub(crate) const fn outside(
        name: &'static str,
        tries: &'static str,
        act: fn(&Scene) -> Claim,
    ) -> Attempt {
        Attempt { name, tries, act, seen: Seen::Outside, control: Control::Plain }
    }

    /// Believed on its word, real for a plain user.
    pub(crate) const fn told(name: &'static str, tries: &'static str, act: fn(&Scene) -> Claim) -> Attempt {
        Attempt { name, tries, act, seen: Seen::Told, control: Control::Plain }
    }

    pub(crate) const fn root(mut self, why: &'static str) -> Attempt {
        self.control = Control::Root(why);
        self
    }

    pub(crate) const fn never(mut self, why: &'static str) -> Attempt {
        self.control = Control::Never(why);
        self
    }
}

/// It got there.
pub(crate) fn reached(what: impl Into<String>) -> Claim {
    Ok(what.into())
}

/// It did not get there.
pub(crate) fn missed(why: &str) -> Claim {
    Err(io::Error::other(why.to_owned()))
}

/// The adversary's own program.
#[must_use]
pub fn program() -> std::path::PathBuf {
    crate::house::adversary().0
}

fn find(name: &str) -> Option<&'static Attempt> {
    FAMILIES.iter().flat_map(|family| family.attempts).find(|attempt| attempt.name == name)
}

/// The program.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["list"] => {
            for family in FAMILIES {
                family.attempts.iter().for_each(|attempt| {
                    println!("{:<12} {:<32} it {}", family.name, attempt.name, attempt.tries);
                });
            }
            ExitCode::SUCCESS
        }
        ["act", name, scene] => act(name, Path::new(scene)),
        ["victim"] => victim::live(),
        ["linger"] => leftovers::linger(),
        ["whoami"] => privileges::whoami(),
        ["plant", what, folder, mark] => planted::plant(what, Path::new(folder), Path::new(mark)),
        _ => {
            eprintln!("escape list | act NAME SCENE");
            ExitCode::from(2)
        }
    }
}

fn act(name: &str, scene: &Path) -> ExitCode {
    let (Some(attempt), Ok(scene)) = (find(name), Scene::load(scene)) else {
        eprintln!("there is no attempt {name}, or no scene at {}", scene.display());
        return ExitCode::from(2);
    };
    let claim = (attempt.act)(&scene);
    let (reached, text) = match claim {
        Ok(text) => (true, text),
        Err(trouble) => (false, trouble.to_string()),
    };
    let left = scene.claim(reached, &text);
    // The terminal may be among what the attempt has spoilt.
    let word = if reached { "reached" } else { "missed" };
    let _said = writeln!(io::stdout(), "{word}: {text}; left word: {left:?}");
    ExitCode::SUCCESS
}
