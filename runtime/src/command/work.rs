//! What a run did to the repository: shown, merged, and tidied away.

use std::path::Path;

use niia_spec::notice::{RunState, RunView};
use serde_json::json;

use super::checkout::Checkout;
use super::runs::view_of;
use super::{Caller, say_json};
use crate::cli::runs::{Diff, Merge, RunName};
use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// A run's line of work and where it began.
struct Line {
    checkout: Checkout,
    run: Box<RunView>,
    branch: String,
    base: String,
    tip: String,
}

async fn line_of(caller: &Caller, name: RunName) -> Result<Line, Failure> {
    let mut client = caller.client().await?;
    let run = view_of(&mut client, name.run).await?;
    let (Some(repository), Some(branch)) = (run.repository.clone(), run.branch.clone()) else {
        let message =
            format!("run {} has no branch: it did not work in a repository, or changed nothing yet", run.run);
        return Err(Failure::new(Exit::Failed, message));
    };
    let checkout = Checkout::at(&repository);
    let gone = |what: &str| {
        Failure::new(
            Exit::Failed,
            format!("`{}` is not in `{}` any more", neutral(what), neutral(&repository)),
        )
    };
    let full = if branch.starts_with("refs/") { branch.clone() } else { format!("refs/heads/{branch}") };
    let tip = checkout.commit(&full)?.ok_or_else(|| gone(&branch))?;
    let base = match checkout.commit(&format!("refs/niia/{}/base", run.run))? {
        Some(base) => base,
        // The base is kept as long as the run is; without it, where the branches part is as near as can be known.
        None => merge_base(&checkout, &tip)?.ok_or_else(|| gone("the commit it began on"))?,
    };
    Ok(Line { checkout, run, branch, base, tip })
}

fn merge_base(checkout: &Checkout, tip: &str) -> Result<Option<String>, Failure> {
    let found = checkout.run(&["merge-base", "HEAD", tip])?;
    Ok(found.status.success().then(|| String::from_utf8_lossy(&found.stdout).trim().to_owned()))
}

pub async fn diff(caller: &Caller, words: Diff) -> Result<Exit, Failure> {
    let line = line_of(caller, words.name).await?;
    let range = format!("{}..{}", line.base, line.tip);
    // A worker may have named programs for showing differences; none of them is run.
    let fixed = ["diff", "--no-ext-diff", "--no-textconv"];
    if caller.json {
        let listed = line.checkout.ask(&[
            "diff",
            "--no-ext-diff",
            "--no-textconv",
            "--numstat",
            "-z",
            "--no-renames",
            &range,
        ])?;
        let files: Vec<_> = String::from_utf8_lossy(&listed.stdout).split('\0').filter_map(numstat).collect();
        say_json(
            &json!({ "run": line.run.run, "branch": line.branch, "base": line.base, "tip": line.tip, "files": files }),
        )?;
        return Ok(Exit::Done);
    }
    let mut arguments = fixed.to_vec();
    if words.stat {
        arguments.push("--stat");
    }
    arguments.push(&range);
    let shown = line.checkout.show(&arguments)?;
    Ok(if shown { Exit::Done } else { Exit::Failed })
}

fn numstat(entry: &str) -> Option<serde_json::Value> {
    let mut parts = entry.splitn(3, '\t');
    let (added, removed, file) = (parts.next()?, parts.next()?, parts.next()?);
    // A file that is no text has no lines.
    Some(json!({ "file": file, "added": added.parse::<u64>().ok(), "removed": removed.parse::<u64>().ok() }))
}

/// Merges into the branch that is checked out, where that goes without a conflict; else nothing is touched.
pub async fn merge(caller: &Caller, words: Merge) -> Result<Exit, Failure> {
    let line = line_of(caller, words.name).await?;
    if line.run.state == RunState::Running {
        return Err(Failure::new(Exit::Failed, format!("run {} is not over yet", line.run.run))
            .help(format!("`niia status {} --follow` waits for it", line.run.run)));
    }
    let checkout = &line.checkout;
    if checkout.run(&["merge-base", "--is-ancestor", &line.tip, "HEAD"])?.status.success() {
        return merged(caller, &line, "there is nothing to merge: its work is here already");
    }
    let tried = checkout.run(&[
        "merge-tree",
        "--write-tree",
        "--name-only",
        "--no-messages",
        "-z",
        "HEAD",
        &line.tip,
    ])?;
    match tried.status.code() {
        Some(0) => {}
        Some(1) => return Err(conflict(&line, &String::from_utf8_lossy(&tried.stdout))),
        _ => {
            let said = neutral(&String::from_utf8_lossy(&tried.stderr));
            return Err(Failure::new(Exit::Failed, format!("git could not try the merge: {said}")));
        }
    }
    let message = format!("Merge the work of run {}", line.run.run);
    let name = format!("refs/heads/{}", line.branch.trim_start_matches("refs/heads/"));
    checkout.ask(&["merge", "--no-edit", "--no-verify", "-m", &message, &name])?;
    merged(caller, &line, "merged")
}

fn conflict(line: &Line, listed: &str) -> Failure {
    // The first entry is the tree; then come the files.
    let files: Vec<String> =
        listed.split('\0').skip(1).filter(|file| !file.is_empty()).map(neutral).collect();
    let root = line.checkout.root.display();
    Failure::new(
        Exit::Attention,
        format!("merging would conflict in {}; nothing was touched", files.join(", ")),
    )
    .help(format!("`git -C {root} merge {}` leaves the conflict for you to solve", line.branch))
}

fn merged(caller: &Caller, line: &Line, word: &str) -> Result<Exit, Failure> {
    let data = json!({ "run": line.run.run, "branch": line.branch, "tip": line.tip, "result": word });
    let root: &Path = &line.checkout.root;
    caller.show(&data, |_| format!("{}: {word} ({})\n", line.run.run, root.display()))?;
    Ok(Exit::Done)
}
