//! What a run did to the repository: shown, merged, and tidied away.

mod page;
mod tidy;

use std::path::Path;

use niia_actors::git::{Diff as How, LandError, Landing, Repository, RunTrees};
use niia_spec::notice::{RunState, RunView};
use serde_json::json;

pub use self::tidy::gc;
use super::runs::view_of;
use super::surroundings::current_folder;
use super::{Caller, say_bytes, say_json};
use crate::cli::runs::{Diff, Merge, RunName};
use crate::control::words::Request;
use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// The folder in a run's own in which its work trees are kept.
const TREES: &str = "git";

/// A run that worked in a repository.
struct Worked {
    run: Box<RunView>,
    repository: Repository,
    trees: RunTrees,
}

async fn worked(caller: &Caller, name: RunName) -> Result<Worked, Failure> {
    let mut client = caller.client().await?;
    // What a run that lives elsewhere has done so far is brought here first.
    client.ask(Request::Fetch { run: name.run.clone() }).await?;
    let run = view_of(&mut client, name.run).await?;
    open(run)
}

fn open(run: Box<RunView>) -> Result<Worked, Failure> {
    let folder = Path::new(&run.folder).join(TREES);
    let Some(root) = run.repository.clone().filter(|_| folder.is_dir()) else {
        let message =
            format!("run {} did not work in a repository, so there is nothing to show or merge", run.run);
        return Err(Failure::new(Exit::Failed, message));
    };
    let lost = |error: &dyn std::error::Error| {
        let reason = neutral(&crate::failure::chain(error));
        Failure::new(Exit::Failed, format!("the work of run {} cannot be reached: {reason}", run.run))
    };
    let repository = Repository::discover(Path::new(&root)).map_err(|error| lost(&error))?;
    let trees = RunTrees::open(&repository, &folder).map_err(|error| lost(&error))?;
    Ok(Worked { run, repository, trees })
}

pub async fn diff(caller: &Caller, words: Diff) -> Result<Exit, Failure> {
    let worked = worked(caller, words.name).await?;
    let trouble = |error| Failure::trouble("could not show what changed", error);
    if caller.json {
        return diff_json(&worked);
    }
    let how = if words.stat { How::Stat } else { How::Patch };
    let look = caller.look();
    let text = worked.trees.diff(how, look.coloured).map_err(trouble)?;
    if look.live {
        page::show(&text.bytes, look)?;
    } else {
        say_bytes(&text.bytes)?;
    }
    if text.cut {
        eprintln!(
            "niia: there is more than is shown here: `git diff` with branch {}",
            worked.trees.result_branch()
        );
    }
    Ok(Exit::Done)
}

fn diff_json(worked: &Worked) -> Result<Exit, Failure> {
    let trouble = |error| Failure::trouble("could not show what changed", error);
    let names = worked.trees.diff(How::Names, false).map_err(trouble)?;
    let text = String::from_utf8_lossy(&names.bytes).into_owned();
    let files: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(change, file)| json!({ "change": change, "file": file }))
        .collect();
    let tip = worked.trees.result().map_err(trouble)?;
    say_json(&json!({
        "run": worked.run.run,
        "branch": worked.trees.result_branch(),
        "base": worked.trees.base().as_str(),
        "tip": tip.as_str(),
        "files": files,
        "cut": names.cut,
    }))?;
    Ok(Exit::Done)
}

/// Merges into the branch that is checked out, where nothing of the user's is touched by it; else nothing is done.
pub async fn merge(caller: &Caller, words: Merge) -> Result<Exit, Failure> {
    let worked = worked(caller, words.name).await?;
    if worked.run.state == RunState::Running {
        return Err(Failure::new(Exit::Failed, format!("run {} is not over yet", worked.run.run))
            .help(format!("`niia status {} --follow` waits for it", worked.run.run)));
    }
    let checkout = checkout_of(&worked)?;
    let root = checkout.root.display().to_string();
    match worked.trees.land(&checkout) {
        Ok(landing) => {
            let text = match &landing {
                Landing::UpToDate => "there is nothing to merge, its work is here already".to_owned(),
                Landing::Landed { files, .. } => format!("merged into `{root}`, {} files", files.len()),
            };
            let data = json!({ "run": worked.run.run, "checkout": root, "landing": landing });
            caller.show(&data, |_| format!("{}: {text}\n", worked.run.run))?;
            Ok(Exit::Done)
        }
        Err(error) => Err(not_landed(error, &worked.trees.result_branch())),
    }
}

/// The checkout the caller stands in, where it is one of the run's repository; else the one the run began in.
fn checkout_of(worked: &Worked) -> Result<Repository, Failure> {
    let here = Repository::discover_with(worked.repository.git(), &current_folder()?);
    // A caller outside of every repository means the one the run knows.
    Ok(here
        .ok()
        .filter(|here| here.common_dir == worked.repository.common_dir)
        .unwrap_or(worked.repository.clone()))
}

fn not_landed(error: LandError, branch: &str) -> Failure {
    let (exit, help) = match &error {
        LandError::Conflict { .. } => {
            (Exit::Attention, Some(format!("`git merge {branch}` leaves the conflict for you to solve")))
        }
        LandError::Dirty { .. } | LandError::InTheWay { .. } => {
            (Exit::Attention, Some("commit, stash or move them, then try again".to_owned()))
        }
        LandError::Unfinished { .. } => (Exit::Attention, None),
        LandError::NoCommit | LandError::NoCommonHistory | LandError::Tree(_) => (Exit::Failed, None),
    };
    let reason = neutral(&crate::failure::chain(&error));
    let failure = Failure::new(exit, format!("nothing was merged: {reason}"));
    match help {
        Some(help) => failure.help(help),
        None => failure,
    }
}
