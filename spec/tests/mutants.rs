//! The kept mutants of the course (`spec/mutants/course.txt`) and the proof that the laws catch each of them.
//!
//! `NIIA_MUTANTS=all cargo test -p niia-spec --test mutants -- --nocapture` applies one after the other to a copy of the
//! crate and plays the laws there; `NIIA_MUTANTS=5` takes five of them, evenly spread, and any other text those in whose
//! name it stands. Without the variable
//! only the list is looked at: each of its lines must stand in the course as it is now.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a mutant is built and played by programs"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

const LIST: &str = include_str!("../mutants/course.txt");
/// The laws take less than a third of this; a mutant that decides for ever is stopped by it.
const CPU_SECONDS_MAX: u32 = 120;
/// A mutant that decides for ever fills the memory with commands.
const MEMORY_KIB_MAX: u32 = 2 * 1024 * 1024;

#[derive(Debug, Default)]
struct Mutant<'a> {
    name: &'a str,
    file: &'a str,
    after: &'a str,
    is: &'a str,
    becomes: &'a str,
}

fn mutants() -> Vec<Mutant<'static>> {
    let mut mutants: Vec<Mutant> = Vec::new();
    for line in LIST.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            mutants.push(Mutant { name, ..Mutant::default() });
        } else if let (Some(mutant), Some((word, text))) = (mutants.last_mut(), line.split_once(' ')) {
            match word {
                "in" => mutant.file = text,
                "after" => mutant.after = text,
                "-" => mutant.is = text,
                "+" => mutant.becomes = text,
                _ => panic!("what is `{line}`?"),
            }
        }
    }
    mutants
}

impl Mutant<'_> {
    /// The source with the mutant's line in the place of its own.
    fn applied(&self, source: &str) -> Result<String, String> {
        let from =
            source.find(self.after).ok_or(format!("`{}` does not stand in {}", self.after, self.file))?;
        let times = source[from..].matches(self.is).count();
        if self.is.is_empty() || times == 0 || (times > 1 && self.after.is_empty()) {
            return Err(format!("{}: `{}` stands {times} times in {}", self.name, self.is, self.file));
        }
        Ok(source[..from].to_owned() + &source[from..].replacen(self.is, self.becomes, 1))
    }
}

#[test]
fn every_kept_mutant_stands_in_the_course_as_it_is_now() {
    let course = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/course");
    let read =
        |mutant: &Mutant| fs::read_to_string(course.join(mutant.file)).map_err(|error| error.to_string());
    let applied = |mutant: &Mutant| read(mutant).and_then(|source| mutant.applied(&source));
    let astray: Vec<String> = mutants().iter().filter_map(|mutant| applied(mutant).err()).collect();
    assert_eq!(astray, [] as [String; 0]);
    assert!(mutants().len() >= 25, "only {} mutants are kept", mutants().len());
}

#[test]
fn every_kept_mutant_is_caught_by_the_laws() {
    let Ok(wanted) = std::env::var("NIIA_MUTANTS") else {
        return;
    };
    let all = mutants();
    let every = wanted.parse().map_or(1, |number: usize| all.len().div_ceil(number.max(1)));
    let named = |mutant: &&Mutant| wanted == "all" || every > 1 || mutant.name.contains(&wanted);
    let chosen: Vec<&Mutant> = all.iter().filter(named).step_by(every).collect();
    assert!(!chosen.is_empty(), "no mutant has `{wanted}` in its name");
    let scratch = Scratch::new().unwrap();
    assert_eq!(scratch.play().unwrap(), Played::LawsHold, "without a mutant");
    let mut missed = Vec::new();
    for mutant in chosen {
        let played = scratch.play_mutant(mutant).unwrap();
        println!("{:10} {}", format!("{played:?}"), mutant.name);
        if played != Played::Caught {
            missed.push(mutant.name);
        }
    }
    assert_eq!(missed, [] as [&str; 0], "not caught");
}

/// A copy of this crate in a workspace of its own.
///
/// It builds into a target folder of its own, too: to cargo copy and original are the same crate, and it would take what
/// was built of a mutant for the crate itself.
struct Scratch {
    folder: PathBuf,
    crate_folder: PathBuf,
}

impl Scratch {
    fn new() -> io::Result<Scratch> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.join("..");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
        let crate_folder = folder.join("spec");
        copy(&here.join("src"), &crate_folder.join("src"))?;
        copy(&here.join("tests/course"), &crate_folder.join("tests/course"))?;
        fs::copy(here.join("Cargo.toml"), crate_folder.join("Cargo.toml"))?;
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        let manifest = fs::read_to_string(root.join("Cargo.toml"))?;
        let members = manifest.lines().find(|line| line.starts_with("members")).unwrap_or("no members");
        fs::write(folder.join("Cargo.toml"), manifest.replace(members, "members = [\"spec\"]"))?;
        Ok(Scratch { folder, crate_folder })
    }

    fn play_mutant(&self, mutant: &Mutant) -> io::Result<Played> {
        let path = self.crate_folder.join("src/course").join(mutant.file);
        let source = fs::read_to_string(&path)?;
        fs::write(&path, mutant.applied(&source).map_err(io::Error::other)?)?;
        let played = self.play();
        fs::write(&path, source)?;
        played
    }

    /// Builds the copy and plays its laws.
    fn play(&self) -> io::Result<Played> {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "test",
            "--offline",
            "-p",
            "niia-spec",
            "--test",
            "course",
            "--no-run",
            "--message-format=json",
        ]);
        cargo.current_dir(&self.folder);
        // Kept from one campaign to the next, for what this crate depends on.
        cargo.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants-built"));
        let built = cargo.output()?;
        let told = String::from_utf8_lossy(&built.stdout);
        let program = told.split("\"executable\":\"").nth(1).and_then(|rest| rest.split('"').next());
        let Some(program) = program.filter(|_| built.status.success()) else {
            return Ok(Played::NoProgram);
        };
        let limits = format!(
            "ulimit -t {CPU_SECONDS_MAX}; ulimit -v {MEMORY_KIB_MAX}; exec \"$0\" laws:: talk:: tree::"
        );
        let mut shell = Command::new("sh");
        shell.args(["-c", &limits, program]).current_dir(&self.crate_folder).env("RUST_BACKTRACE", "0");
        // One seed less than the full number: the laws themselves must catch it, not the table of what was reached.
        shell.env("NIIA_COURSE_SEEDS", "9999");
        let held = shell.output()?.status.success();
        Ok(if held { Played::LawsHold } else { Played::Caught })
    }
}

/// What became of the laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Played {
    LawsHold,
    Caught,
    /// It does not build, so it is no mutant.
    NoProgram,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies in the target folder and is written over the next time.
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
