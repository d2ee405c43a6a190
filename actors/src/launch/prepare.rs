//! Carrying out what a launch asks for on disk, and what is due after the session.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::scratchpad::LINK_NAMES;
use super::state;
use super::{Launch, Preparation};
use crate::git::process::{self, Bounds, Input};
use crate::git::{Checkout, IncludeError, Kind, Overlay, Tree, TreeError, TreeName, overlay};

/// A setup that fetches what a large project needs takes minutes; one that takes longer hangs.
const COMMAND_TIME: Duration = Duration::from_secs(30 * 60);
/// The end of what a failed command printed.
const COMMAND_OUTPUT_BYTES_MAX: usize = 256 * 1024;
const SHOWN_CHARS_MAX: usize = 2_000;
/// A list of what git does not see is a few lines.
const EXCLUDES_BYTES_MAX: u64 = 1024 * 1024;

/// Why a session could not be prepared. What was begun has been undone, but for the tree, which keeps its work.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    #[error("there is no repository for the tree `{name:?}`")]
    NoRepository { name: TreeName },
    #[error("the tree lies in `{}`, not in `{}`", found.display(), expected.display())]
    OtherTree { found: PathBuf, expected: PathBuf },
    #[error("the folder `{}` cannot be worked in", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the folder `{}` leads out of the tree", path.display())]
    Outside { path: PathBuf },
    #[error("could not write `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("`{what}` number {number} (`{command}`) failed with {ending}: {output}")]
    Command { what: &'static str, number: usize, command: String, ending: String, output: String },
    #[error("`{what}` number {number} (`{command}`) could not be started")]
    Start { what: &'static str, number: usize, command: String, source: io::Error },
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Include(#[from] IncludeError),
}

/// What was made ready.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prepared {
    pub tree: Option<Tree>,
    /// The link to the scratchpad.
    pub link: Option<PathBuf>,
}

/// What came after the session.
#[derive(Debug, Default)]
pub struct Finished {
    /// Of the `teardown` commands that failed; all of them were run.
    pub failures: Vec<PrepareError>,
}

/// Whether others go on working in the same folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The link stays where it is.
    ForOthers,
    ForNobody,
}

/// Carries out a launch's preparations, in the one order that makes sense: tree, files, link, commands.
///
/// Done again after a crash it finds what is there.
pub fn prepare(launch: &Launch, checkout: Option<&dyn Checkout>) -> Result<Prepared, PrepareError> {
    prepare_by(launch, checkout, &mut |what, number, text| run(launch, what, number, text))
}

/// Runs one command of a session: what it is for, its number from 1, and its text.
pub type Runner<'a> = dyn FnMut(&'static str, usize, &str) -> Result<(), PrepareError> + 'a;

/// As `prepare`, with somebody else to run the commands.
pub fn prepare_by(
    launch: &Launch,
    checkout: Option<&dyn Checkout>,
    runner: &mut Runner<'_>,
) -> Result<Prepared, PrepareError> {
    let mut prepared = Prepared::default();
    let done = prepare_into(launch, checkout, &mut prepared, runner);
    if done.is_err()
        && let Some(link) = &prepared.link
    {
        remove_link(link, launch);
    }
    done.map(|()| prepared)
}

fn prepare_into(
    launch: &Launch,
    checkout: Option<&dyn Checkout>,
    prepared: &mut Prepared,
    runner: &mut Runner<'_>,
) -> Result<(), PrepareError> {
    for preparation in &launch.preparations {
        match preparation {
            Preparation::Tree { name } => prepared.tree = Some(make_tree(launch, checkout, name)?),
            Preparation::Include { name, patterns } => {
                let checkout = checkout.ok_or_else(|| PrepareError::NoRepository { name: name.clone() })?;
                let overlays = checkout.include(name, patterns)?;
                checkout.overlay(name, overlays)?;
            }
            Preparation::State { folder, folders, files } => {
                state::make(folder, folders, files)
                    .map_err(|source| PrepareError::File { path: folder.clone(), source })?;
            }
            _ => {}
        }
    }
    for preparation in &launch.preparations {
        if let Preparation::Scratchpad { tree, within, excludes, excludes_of_user } = preparation {
            let link = link(launch, within)?;
            prepared.link.clone_from(&link);
            write_excludes(excludes, excludes_of_user.as_deref(), link.as_deref())?;
            if let (Some(checkout), Some(link)) = (checkout, &link) {
                let path = PathBuf::from(link.file_name().unwrap_or_default());
                checkout.overlay(tree, vec![Overlay { path, kind: Kind::Link, blake3: None }])?;
            }
        }
    }
    check_folder(launch)?;
    set_up(launch, checkout, runner)
}

fn make_tree(
    launch: &Launch,
    checkout: Option<&dyn Checkout>,
    name: &TreeName,
) -> Result<Tree, PrepareError> {
    let checkout = checkout.ok_or_else(|| PrepareError::NoRepository { name: name.clone() })?;
    let tree = checkout.create(name)?;
    match &launch.tree {
        Some(expected) if *expected != tree.path => {
            Err(PrepareError::OtherTree { found: tree.path, expected: expected.clone() })
        }
        _ => Ok(tree),
    }
}

/// The link goes by the first of its names that is free, or is it already.
fn link(launch: &Launch, within: &Path) -> Result<Option<PathBuf>, PrepareError> {
    let Some(scratchpad) = &launch.scratchpad else { return Ok(None) };
    for name in LINK_NAMES {
        let link = within.join(name);
        match symlink(scratchpad, &link) {
            Ok(()) => return Ok(Some(link)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::read_link(&link).is_ok_and(|target| target == *scratchpad) {
                    return Ok(Some(link));
                }
            }
            Err(source) => return Err(PrepareError::File { path: link, source }),
        }
    }
    // Both names are taken: the variable alone tells of it.
    Ok(None)
}

fn remove_link(link: &Path, launch: &Launch) {
    let Some(scratchpad) = &launch.scratchpad else { return };
    let ours = fs::read_link(link).is_ok_and(|target| target == *scratchpad);
    if ours && let Err(error) = fs::remove_file(link) {
        tracing::warn!(path = %link.display(), %error, "the link to the scratchpad stays");
    }
}

/// The user's own list goes first, so that it is as it would be without niia.
fn write_excludes(file: &Path, of_user: Option<&Path>, link: Option<&Path>) -> Result<(), PrepareError> {
    let failed = |source| PrepareError::File { path: file.to_owned(), source };
    let mut lines = match of_user {
        Some(of_user) if fs::metadata(of_user).is_ok_and(|meta| meta.len() <= EXCLUDES_BYTES_MAX) => {
            fs::read(of_user).map_err(|source| PrepareError::File { path: of_user.to_owned(), source })?
        }
        _ => Vec::new(),
    };
    if lines.last().is_some_and(|end| *end != b'\n') {
        lines.push(b'\n');
    }
    if let Some(name) = link.and_then(Path::file_name) {
        lines.extend_from_slice(format!("/{}\n", name.to_string_lossy()).as_bytes());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(file, lines).map_err(failed)
}

/// A program started in a folder that is not there would run somewhere else without a word.
fn check_folder(launch: &Launch) -> Result<(), PrepareError> {
    let path = launch.cwd.clone();
    let real =
        launch.cwd.canonicalize().map_err(|source| PrepareError::Folder { path: path.clone(), source })?;
    if !real.is_dir() {
        return Err(PrepareError::Folder { path, source: io::ErrorKind::NotADirectory.into() });
    }
    let within = launch.tree.as_ref().filter(|tree| launch.cwd.starts_with(tree));
    match within.map(|tree| tree.canonicalize()) {
        Some(Ok(tree)) if !real.starts_with(&tree) => Err(PrepareError::Outside { path }),
        _ => Ok(()),
    }
}

fn set_up(
    launch: &Launch,
    checkout: Option<&dyn Checkout>,
    runner: &mut Runner<'_>,
) -> Result<(), PrepareError> {
    for preparation in &launch.preparations {
        let Preparation::Setup { commands } = preparation else { continue };
        let (name, checkout) = match (tree_of(launch), checkout) {
            (Some(name), Some(checkout)) => (name, checkout),
            _ => {
                run_all(runner, "setup", commands)?;
                continue;
            }
        };
        let before = checkout.loose_paths(name)?;
        run_all(runner, "setup", commands)?;
        let after = checkout.loose_paths(name)?;
        let top = launch.tree.clone().unwrap_or_default();
        let made = after.into_iter().filter(|path| !before.contains(path));
        checkout.overlay(name, made.map(|path| overlay::made(&top, path)).collect())?;
    }
    Ok(())
}

fn tree_of(launch: &Launch) -> Option<&TreeName> {
    launch.preparations.iter().find_map(|preparation| match preparation {
        Preparation::Tree { name } => Some(name),
        _ => None,
    })
}

fn run_all(runner: &mut Runner<'_>, what: &'static str, commands: &[String]) -> Result<(), PrepareError> {
    for (index, command) in commands.iter().enumerate() {
        runner(what, index + 1, command)?;
    }
    Ok(())
}

fn run(launch: &Launch, what: &'static str, number: usize, text: &str) -> Result<(), PrepareError> {
    let top = launch.tree.as_ref().unwrap_or(&launch.cwd);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(text).env_clear().envs(&launch.env).current_dir(top);
    let bounds = Bounds {
        time: COMMAND_TIME,
        output_bytes_max: COMMAND_OUTPUT_BYTES_MAX,
        error_bytes_max: COMMAND_OUTPUT_BYTES_MAX,
    };
    let named = || text.chars().take(SHOWN_CHARS_MAX).collect::<String>();
    let ran = process::run(command, Input::Nothing, bounds).map_err(|source| PrepareError::Start {
        what,
        number,
        command: named(),
        source,
    })?;
    if ran.status.success() && !ran.timed_out {
        return Ok(());
    }
    let ending = if ran.timed_out { format!("no end after {COMMAND_TIME:?}") } else { ran.ending() };
    let output = shown(launch, if ran.errors.is_empty() { &ran.output } else { &ran.errors });
    Err(PrepareError::Command { what, number, command: named(), ending, output })
}

/// The end of what a command printed, without the session's secrets.
fn shown(launch: &Launch, output: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(output).trim().to_owned();
    for (name, value) in &launch.env {
        if super::is_secret(name, value) {
            text = text.replace(value, super::env::STRUCK_OUT);
        }
    }
    let skipped = text.chars().count().saturating_sub(SHOWN_CHARS_MAX);
    text.chars().skip(skipped).collect()
}

/// What is due when a session is over: its `teardown`, and its link.
pub fn finish(launch: &Launch, prepared: &Prepared, kept: Kept) -> Finished {
    finish_by(launch, prepared, kept, &mut |what, number, text| run(launch, what, number, text))
}

/// As `finish`, with somebody else to run the commands.
pub fn finish_by(launch: &Launch, prepared: &Prepared, kept: Kept, runner: &mut Runner<'_>) -> Finished {
    let mut finished = Finished::default();
    for preparation in &launch.preparations {
        let Preparation::Teardown { commands } = preparation else { continue };
        for (index, command) in commands.iter().enumerate() {
            finished.failures.extend(runner("teardown", index + 1, command).err());
        }
    }
    if kept == Kept::ForNobody
        && let Some(link) = &prepared.link
    {
        remove_link(link, launch);
    }
    finished
}
