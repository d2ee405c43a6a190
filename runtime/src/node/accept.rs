//! Taking a run in: everything that could speak against it is asked before anything of it exists, and it is durable
//! before its name is told.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use niia_actors::failpoint;
use niia_actors::git::{ObjectId, Repository, RunTrees, Snapshot, TreeName};
use niia_actors::run::{RunContext, RunMeta, Times, keep_variables};
use niia_spec::condition::{self, Condition};
use niia_spec::course::{Outputs, RunCourse, Verdict};
use niia_spec::name::{RunId, SessionId, Slug};
use niia_spec::origin::Origin;
use niia_spec::plan::{PhasePlan, Plan, TreePlan};

use super::{Node, admission};
use crate::control::words::{Refusal, RefusalCode};
use niia_actors::ask::chain;

/// Random characters at the end of a run's name: 32^5 names a day would collide once in a thousand years of days.
const SUFFIX_CHARS: usize = 5;
/// As much of the document's name as stands in a run's: the rest of a slug's 64 bytes is for the suffix.
const NAME_BYTES_MAX: usize = 48;
/// Letters and digits that nobody takes for one another.
const ALPHABET: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// What a run begins on.
#[derive(Debug)]
pub enum From {
    /// The checkout: its newest commit, or a snapshot of it.
    Checkout,
    /// What lies in a tree of another run just now.
    Tree { trees: Box<RunTrees>, name: TreeName },
    /// The line of another run.
    Result { trees: Box<RunTrees> },
}

/// Where among other runs a run stands.
#[derive(Debug)]
pub struct Begins {
    /// The sessions it is begun in, the outermost first.
    pub lineage: Vec<SessionId>,
    pub from: From,
    /// Where that follows from what began it.
    pub name: Option<RunId>,
}

impl Begins {
    /// A person began it.
    pub fn alone() -> Begins {
        Begins { lineage: Vec::new(), from: From::Checkout, name: None }
    }
}

/// Takes the run in. When this returns its name, the run survives anything but its disk.
pub async fn accept(node: &Node, plan: Plan, origin: Origin, begins: Begins) -> Result<RunId, Refusal> {
    let run = begins.name.clone().unwrap_or_else(|| name(&plan.name));
    accept_as(node, run, plan, origin, begins).await
}

/// The same for a run that has a name already.
pub async fn accept_as(
    node: &Node,
    run: RunId,
    mut plan: Plan,
    origin: Origin,
    begins: Begins,
) -> Result<RunId, Refusal> {
    can_do(node, &plan)?;
    admission::admit(&plan, node.room())?;
    if let Some(trouble) = node.trouble() {
        let message = format!("this node takes no run just now: {trouble}");
        let help = "what runs goes on; runs are taken again once that is mended".to_owned();
        return Err(Refusal { code: RefusalCode::Trouble, message, help: Some(help) });
    }
    niia_spec::plan::expand_run(&mut plan, &run);
    let plan = Arc::new(plan);
    let course = RunCourse::new(Arc::clone(&plan), judge)
        .map_err(|error| refusal(RefusalCode::Unsupported, chain(&error)))?;
    let folder = node.run_folder(&run);
    let (begun, live) = (run.clone(), node.live.clone());
    let journal = node.journal.clone();
    let taken = tokio::task::spawn_blocking(move || {
        // A folder that is there already is another run's, and stays as it is.
        begin_folder(&folder)?;
        let made = make(&begun, &folder, &plan, origin, begins).and_then(|meta| {
            let words = (serde_json::to_vec(&*plan), serde_json::to_vec(&stripped(&meta)));
            let (Ok(plan_bytes), Ok(meta_bytes)) = words else {
                return Err(refusal(RefusalCode::Wrong, "the plan cannot be written down".to_owned()));
            };
            let context = RunContext::open(&begun, folder.clone(), Arc::clone(&plan), meta, live)
                .map_err(|error| refusal(RefusalCode::Trouble, chain(&error)))?;
            failpoint::hit("accept.before_begin");
            journal
                .begin(&begun, plan_bytes, meta_bytes)
                .wait()
                .map_err(|error| refusal(RefusalCode::Trouble, chain(&error)))?;
            failpoint::hit("accept.after_begin");
            Ok(context)
        });
        if made.is_err() {
            remove_half_made(&folder);
        }
        made
    });
    let context = taken.await.map_err(|error| refusal(RefusalCode::Trouble, error.to_string()))??;
    node.root
        .adopt(Arc::new(context), course, Times::default(), true)
        .await
        .map_err(|error| refusal(RefusalCode::Trouble, chain(&error)))?;
    Ok(run)
}

/// Refuses what could not be run here, whatever room there is.
pub fn can_do(node: &Node, plan: &Plan) -> Result<(), Refusal> {
    let reaches = |host: &str| node.network.as_ref().is_some_and(|network| network.named(host).is_ok());
    admission::can_do(plan, &node.hosts(), &reaches, node.sandboxes())
}

/// Judges a condition for the course.
pub fn judge(text: &str, outputs: &Outputs) -> Verdict {
    let condition = match Condition::parse(text) {
        Ok(condition) => condition,
        Err(error) => return Verdict::Broken(error.message),
    };
    let phases = outputs.phases.iter().map(|phase| {
        let workers = phase.workers.iter().map(|worker| worker.values.clone()).collect();
        (phase.phase.to_string(), workers)
    });
    let known = condition::Outputs { phases: phases.collect(), event: outputs.event.clone() };
    match condition.evaluate(&known) {
        Ok(condition::Verdict::Holds) => Verdict::Holds,
        Ok(condition::Verdict::DoesNotHold) => Verdict::DoesNotHold,
        Ok(condition::Verdict::NeverSet { keys }) => Verdict::NeverSet(keys),
        Err(error) => Verdict::Broken(error.to_string()),
    }
}

/// A new run's name.
pub fn name(document: &Slug) -> RunId {
    let suffix: String =
        (0..SUFFIX_CHARS).map(|_| char::from(ALPHABET[fastrand::usize(..ALPHABET.len())])).collect();
    let stem: String = document.as_str().chars().take(NAME_BYTES_MAX).collect();
    Slug::nearest(&format!("{stem}-{suffix}"))
}

/// The name of a run that follows from what it was begun by.
pub(super) fn name_for(document: &Slug, by: &str) -> RunId {
    let hash = blake3::hash(by.as_bytes());
    let suffix = hash.as_bytes().iter().take(SUFFIX_CHARS);
    let suffix: String =
        suffix.map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])).collect();
    let stem: String = document.as_str().chars().take(NAME_BYTES_MAX).collect();
    Slug::nearest(&format!("{stem}-{suffix}"))
}

/// Makes the run's folder and its beginning in the repository.
fn make(
    run: &RunId,
    folder: &Path,
    plan: &Plan,
    mut origin: Origin,
    begins: Begins,
) -> Result<RunMeta, Refusal> {
    let trouble = |what: &str, error: &dyn std::error::Error| {
        refusal(RefusalCode::Trouble, format!("{what}: {}", chain(error)))
    };
    if origin.from.is_some() {
        // The folder it was begun in lies on another machine.
        origin.cwd = folder.join("work");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&origin.cwd)
            .map_err(|error| trouble("the run's folder cannot be made", &error))?;
    }
    keep_variables(folder, &origin.env).map_err(|error| trouble("the run cannot begin", &error))?;
    let base = match &origin.repository {
        Some(root) if works_in_trees(plan) => Some(begin_in(root, run, folder, &origin, &begins.from)?),
        _ => None,
    };
    Ok(RunMeta {
        begun_at_ms: niia_actors::session::wall_ms(),
        origin,
        base: base.map(|id| id.as_str().to_owned()),
        lineage: begins.lineage,
    })
}

fn begin_folder(folder: &Path) -> Result<(), Refusal> {
    fs::DirBuilder::new().mode(0o700).create(folder).map_err(|error| {
        refusal(RefusalCode::Trouble, format!("the run's folder cannot be made: {}", chain(&error)))
    })
}

pub(crate) fn works_in_trees(plan: &Plan) -> bool {
    let workers = plan.phases.iter().flat_map(PhasePlan::everybody);
    workers.into_iter().any(|worker| !matches!(worker.tree, TreePlan::Checkout | TreePlan::Folder))
}

/// Marks the commit the run starts from.
fn begin_in(
    root: &Path,
    run: &RunId,
    folder: &Path,
    origin: &Origin,
    from: &From,
) -> Result<ObjectId, Refusal> {
    let trouble = |error: &dyn std::error::Error| refusal(RefusalCode::Trouble, chain(error));
    let repository = Repository::discover(root).map_err(|error| trouble(&error))?;
    let base = match (&origin.base, from) {
        (_, From::Tree { trees, name }) => {
            taken(trees.snapshot_of(name, run).map_err(|error| trouble(&error))?, "what lies in the tree")?
        }
        (_, From::Result { trees }) => trees.result().map_err(|error| trouble(&error))?,
        (Some(base), From::Checkout) => ObjectId::new(base).map_err(|error| trouble(&error))?,
        (None, From::Checkout) => starting_point(&repository, run, folder, origin.include_dirty)?,
    };
    RunTrees::begin(&repository, run, &folder.join("git"), &base).map_err(|error| trouble(&error))?;
    Ok(base)
}

/// The head, or a snapshot of the user's uncommitted changes on top of it.
pub(crate) fn starting_point(
    repository: &Repository,
    run: &RunId,
    folder: &Path,
    include_dirty: bool,
) -> Result<ObjectId, Refusal> {
    let Some(head) = repository.head.clone() else {
        return Err(Refusal {
            code: RefusalCode::State,
            message: format!(
                "{} has no commit yet, so there is nothing to make a work tree of",
                repository.root.display()
            ),
            help: Some("commit something first, or say `\"worktree\": false`".to_owned()),
        });
    };
    if include_dirty { snapshot(repository, run, folder) } else { Ok(head) }
}

/// The user's uncommitted changes as a commit; checkout and index stay as they are.
fn snapshot(repository: &Repository, run: &RunId, folder: &Path) -> Result<ObjectId, Refusal> {
    let snapshot = repository.snapshot(run, &folder.join("git"));
    taken(snapshot.map_err(|error| refusal(RefusalCode::Trouble, chain(&error)))?, "your uncommitted changes")
}

fn taken(snapshot: Snapshot, what: &str) -> Result<ObjectId, Refusal> {
    match snapshot {
        Snapshot::Clean { commit } | Snapshot::Commit { commit } => Ok(commit),
        Snapshot::Refused { reasons } => {
            let reasons: Vec<String> = reasons.iter().map(ToString::to_string).collect();
            Err(Refusal {
                code: RefusalCode::State,
                message: format!("{what} cannot be taken along: {}", reasons.join("; ")),
                help: Some(
                    "commit what is to be there, ignore or move what is not, and begin again".to_owned(),
                ),
            })
        }
    }
}

/// The variables have a file of their own and go nowhere else.
fn stripped(meta: &RunMeta) -> RunMeta {
    let mut meta = meta.clone();
    meta.origin.env.clear();
    meta
}

/// Nothing has happened in it yet: what lies there was made a moment ago by `make`.
fn remove_half_made(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(folder = %folder.display(), %error, "a half-made run could not be removed");
    }
}

fn refusal(code: RefusalCode, message: String) -> Refusal {
    Refusal { code, message, help: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_called_after_its_document_and_is_a_slug_however_long_that_is() {
        let long = Slug::nearest(&"x".repeat(64));
        for document in [Slug::nearest("dual-review"), long] {
            let run = name(&document);
            assert!(run.as_str().starts_with(&document.as_str()[..10]));
            assert!(Slug::new(run.as_str()).is_ok());
            assert_ne!(name(&document), run);
        }
    }
}
