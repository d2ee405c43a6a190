//! `niia gc`: takes away the work trees of runs that are long over. What no commit holds is put aside first, every
//! branch is kept by a ref, and recordings, reports and journals stay.

use niia_actors::git::{Branch, Removed, TreeName, Uncommitted};
use niia_spec::notice::RunView;
use serde_json::json;

use super::{Worked, open};
use crate::cli::node::Gc;
use crate::command::{Caller, say};
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::{neutral, now_ms};

/// How many runs are looked at, the newest first.
const RUNS_MAX: u32 = 10_000;

const DAY_MS: u64 = 86_400_000;

/// One tree and what became of it.
#[derive(serde::Serialize)]
struct Line {
    run: String,
    tree: String,
    did: &'static str,
    why: Option<String>,
}

pub async fn gc(caller: &Caller, words: Gc) -> Result<Exit, Failure> {
    let Reply::Runs(runs) = caller.ask(Request::Runs { limit: RUNS_MAX }).await? else {
        return Err(Failure::out_of_turn("runs"));
    };
    let before = now_ms().saturating_sub(u64::from(words.older_than) * DAY_MS);
    let is_old = |run: &RunView| run.state.is_over() && run.ended_at_ms.is_some_and(|ended| ended <= before);
    let mut lines = Vec::new();
    let mut failed = false;
    for run in runs.into_iter().filter(is_old).filter(|run| run.repository.is_some()) {
        let name = run.run.to_string();
        match open(Box::new(run)) {
            Ok(worked) => failed |= tidy(&worked, words.dry_run, &mut lines),
            // Its repository may be gone, or its trees never were: there is nothing of it to take away.
            Err(failure) => lines.push(line(&name, "", "left", Some(failure.to_string()))),
        }
    }
    let removed = lines.iter().filter(|line| line.did != "left").count();
    caller.show(&json!({ "dry_run": words.dry_run, "trees": lines }), |_| text(&lines, words.dry_run))?;
    if removed == 0 && !caller.json {
        say(&format!("nothing to take away from runs that ended more than {} days ago\n", words.older_than))?;
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn line(run: &str, tree: &str, did: &'static str, why: Option<String>) -> Line {
    Line { run: run.to_owned(), tree: tree.to_owned(), did, why: why.map(|why| neutral(&why)) }
}

/// True where something should have gone and did not.
fn tidy(worked: &Worked, dry_run: bool, lines: &mut Vec<Line>) -> bool {
    let run = worked.run.run.as_str();
    let listed = match worked.trees.list() {
        Ok(listed) => listed,
        Err(error) => {
            lines.push(line(run, "", "left", Some(crate::failure::chain(&error))));
            return true;
        }
    };
    let mut failed = false;
    for tree in listed.iter().filter(|tree| tree.there) {
        let name = tree.path.display().to_string();
        if dry_run {
            lines.push(line(run, &name, "would be removed", None));
            continue;
        }
        let done = remove(worked, &tree.name);
        failed |= done.is_err();
        match done {
            Ok(archive) => lines.push(line(run, &name, "removed", archive)),
            Err(why) => lines.push(line(run, &name, "left", Some(why))),
        }
    }
    failed
}

/// Where uncommitted files were put, or why the tree stayed.
fn remove(worked: &Worked, tree: &TreeName) -> Result<Option<String>, String> {
    match worked.trees.remove(tree, Uncommitted::Archive, Branch::Stays) {
        Ok(Removed::Done { archive }) => {
            Ok(archive.map(|path| format!("what was not committed lies in `{}`", path.display())))
        }
        Ok(Removed::Refused { paths }) => Err(format!("{} files in it are not committed", paths.len())),
        Err(error) => Err(crate::failure::chain(&error)),
    }
}

fn text(lines: &[Line], dry_run: bool) -> String {
    let mut text = String::new();
    for line in lines.iter().filter(|line| !dry_run || line.did != "left") {
        let why = line.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        text.push_str(&format!("{}  {}  {}{why}\n", line.run, neutral(&line.tree), line.did));
    }
    text
}
