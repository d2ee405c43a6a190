//! Before the program's start: its launch, its tree, its prompt.
//!
//! Every step may be done again after a crash and comes to the same; a launch is drawn up anew from the same facts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use niia_spec::course::{Ending, Outcome, Unavailable};
use niia_spec::name::Slug;
use niia_spec::plan::TreePlan;
use niia_spec::profile::{Call, Invocation, PromptBy, neutralise};

use super::chore::Chores;
use super::finish::{profile_of, tree_of};
use super::hooks;
use super::trees::trees_for;
use crate::ask::chain;
use crate::git::{LinkedWorktree, Merged, ObjectId, RunTrees, TreeName};
use crate::keeper;
use crate::launch::{self, Facts, Kept, Launch, Place, Prepared, Program};
use crate::machine::Assignment;
use crate::machine::local::LocalMachine;

mod mcp;
mod past;
mod talk;
mod tmp;

pub(super) use talk::shared_transcript;

pub use past::past_of;

/// A session drawn up, with what is needed to end it as well.
#[derive(Debug)]
pub(super) struct Drawn {
    pub launch: Launch,
    pub prompt: PromptBy,
    /// A typed prompt begins with a fixed line.
    pub prefix_line: bool,
    /// What a conversation needs beside its launch.
    pub talk: talk::Drawn,
}

/// Where the prompt lies for programs that read it as a file.
pub(super) fn prompt_path(session_folder: &Path) -> PathBuf {
    session_folder.join("prompt.md")
}

/// Draws a session up from what is known of it.
pub(super) fn draw(assignment: &Assignment, machine: &LocalMachine) -> Result<Drawn, Box<Ending>> {
    let context = &assignment.context;
    let folder = context.session_folder(assignment.attempt());
    let wanted = assignment.worker.session.ports;
    // Where the tool has one of its own, it is the last.
    let own = u16::from(talk::wants_port(assignment));
    let reserve = |wanted| {
        let folder = machine.state_folder.join("ports");
        launch::reserve_ports(&folder, &assignment.session, wanted).map_err(|error| failed(chain(&error)))
    };
    let mut ports = reserve(wanted.saturating_add(own))?;
    let own_port = ports.get(usize::from(wanted)).copied();
    ports.truncate(usize::from(wanted));
    let (invocation, talk) = invocation(assignment, machine, &folder, own_port)?;
    let facts = Facts {
        session: assignment.session.clone(),
        plan: assignment.worker.session.clone(),
        program: Program {
            at: invocation.argv().len().saturating_sub(invocation.args.len() + 1),
            argv: invocation.argv(),
            env: program_env(assignment, &invocation),
            env_pass: invocation.env_pass.clone(),
            reach: reach(assignment),
        },
        caller_env: context.origin.env.clone(),
        own_env: own_env(assignment, machine),
        place: place(assignment)?,
        scratchpad: Some(context.scratchpad_folder()),
        state: talk::state(assignment),
        folder,
        excludes_of_user: excludes_of_user(&context.origin.env),
        ports,
        folders_allowed: Vec::new(),
        confining: machine.confining.clone(),
        timeout_ms_max: context.plan.limits.timeout_per_agent_ms,
    };
    let mut launch = launch::draw_up(&facts).map_err(|error| failed(chain(&error)))?;
    for name in &assignment.worker.session.plugins {
        let folder = context.origin.plugins.get(name).and_then(|program| program.parent());
        let folder =
            folder.ok_or_else(|| failed(format!("there is no plugin `{name}` in the plugin folder")))?;
        launch = launch::external::apply(launch, folder, std::slice::from_ref(name))
            .map_err(|error| failed(chain(&error)))?;
    }
    own_niia_first(&mut launch.env, &machine.program);
    launch::sandbox::confine(&mut launch, &facts).map_err(|error| failed(chain(&error)))?;
    if let (Some(policy), Some(name), Some(trees)) =
        (&mut launch.policy, tree_of(assignment), trees_for(assignment))
    {
        launch::sandbox::grant(policy, &trees.grants(&name));
    }
    if let Some(policy) = &mut launch.policy {
        talk::grant(policy, assignment, &talk);
    }
    Ok(Drawn { launch, prompt: invocation.prompt, prefix_line: invocation.prefix_line, talk })
}

/// The program, and what a conversation with it needs.
fn invocation(
    assignment: &Assignment,
    machine: &LocalMachine,
    folder: &Path,
    port: Option<u16>,
) -> Result<(Invocation, talk::Drawn), Box<Ending>> {
    let model = assignment.model_plan().ok_or_else(|| failed("its worker has no model".to_owned()))?;
    let profile =
        profile_of(assignment).ok_or_else(|| failed(format!("there is no profile `{}`", model.profile)))?;
    let prompt_file = prompt_path(folder).display().to_string();
    let servers = if profile.mcp.takes { mcp::servers(assignment, machine, folder) } else { Vec::new() };
    let call = Call {
        model: model.model.as_deref(),
        args: &model.args,
        prompt: Some(&*assignment.prompt).filter(|prompt| !prompt.is_empty()),
        prompt_file: &prompt_file,
        shell: assignment.worker.session.shell.as_deref(),
        talk: niia_spec::profile::Talk::default(),
        mcp: &servers,
    };
    let wrong = |error| failed(chain(&error));
    if !assignment.conversation || profile.conversation.is_none() {
        let (overlay, niia) =
            (talk::overlay(folder).display().to_string(), machine.program.display().to_string());
        let told = niia_spec::profile::Talk { overlay: Some(&overlay), niia: Some(&niia), ..call.talk };
        let call = Call { talk: told, ..call };
        let called = profile.call(&call).map_err(wrong)?;
        return Ok((called, talk::Drawn::of_files(profile.handed_files(&call))));
    }
    let told = talk::Told::of(assignment, machine, folder, profile, port)?;
    let begun = profile.begin(&Call { talk: told.talk(), ..call });
    let begun = begun.ok_or_else(|| failed(format!("`{}` holds no conversation", profile.id)))?;
    let begun = begun.map_err(wrong)?;
    let drawn = told.drawn(profile, assignment, begun.files, begun.home);
    let mut invocation = begun.invocation;
    invocation.env.extend(drawn.home_variable());
    Ok((invocation, drawn))
}

fn program_env(assignment: &Assignment, invocation: &Invocation) -> BTreeMap<String, String> {
    let mut env = invocation.env.clone();
    // What is niia's own comes by another way.
    env.remove(niia_spec::profile::call::PROMPT_FILE_VARIABLE);
    env.extend(assignment.model_plan().map(|model| model.env.clone()).unwrap_or_default());
    env
}

/// Whom the session's tool needs to reach.
fn reach(assignment: &Assignment) -> launch::network::Reach {
    launch::network::Reach {
        sandboxed: profile_of(assignment).map(|profile| profile.sandboxed.clone()).unwrap_or_default(),
        model: assignment.model_plan().and_then(|model| model.model.clone()),
        trusted: mcp::hosts(assignment)
            .chain(assignment.context.plan.trusted_domains.iter().cloned())
            .collect(),
    }
}

/// What niia itself tells a session's programs.
fn own_env(assignment: &Assignment, machine: &LocalMachine) -> BTreeMap<String, String> {
    let context = &assignment.context;
    let folder = context.session_folder(assignment.attempt());
    let worker = &assignment.attempt().worker;
    let mut env = BTreeMap::from(
        [
            ("NIIA_RUN", context.run.to_string()),
            ("NIIA_PHASE", worker.phase.to_string()),
            ("NIIA_WORKER", worker.worker.to_string()),
            ("NIIA_HOME", machine.state_folder.display().to_string()),
            ("NIIA_PROMPT_FILE", prompt_path(&folder).display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let lines = lines_of_work(assignment);
    let above = context.scratchpads_above().map(|pad| pad.display().to_string());
    let above: Vec<String> = above.collect();
    if !above.is_empty() {
        env.insert(launch::scratchpad::ABOVE.to_owned(), above.join(":"));
    }
    if assignment.conversation {
        let hooks = hooks::folder(&folder).display().to_string();
        env.insert(hooks::FOLDER_VARIABLE.to_owned(), hooks);
    }
    if let Some(folder) = tmp::folder(assignment) {
        env.insert("TMPDIR".to_owned(), folder.display().to_string());
    }
    env.extend(past::variables(context, &assignment.worker.session));
    if !lines.is_empty() {
        env.insert("NIIA_WORKTREES".to_owned(), lines.join(":"));
    }
    env
}

/// The trees of rival versions that earlier phases made.
fn lines_of_work(assignment: &Assignment) -> Vec<String> {
    let Some(trees) = &assignment.context.trees else {
        return Vec::new();
    };
    let phases = assignment.context.plan.phases.iter();
    let earlier = phases.take_while(|phase| phase.name != assignment.attempt().worker.phase);
    let mut paths: Vec<String> = Vec::new();
    for worker in earlier.flat_map(|phase| phase.work.workers()) {
        if let TreePlan::Shared { slug, line: true } = &worker.tree {
            let path = trees.path_of(&TreeName::Worker(slug.clone())).display().to_string();
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

fn place(assignment: &Assignment) -> Result<Place, Box<Ending>> {
    let context = &assignment.context;
    match (tree_of(assignment), &context.trees) {
        (Some(name), Some(trees)) => {
            let path = trees.path_of(&name);
            Ok(Place::Tree { name, path })
        }
        (Some(_), None) => Err(failed("a work tree is asked for, and there is no repository".to_owned())),
        (None, _) => Ok(Place::Folder { path: context.origin.cwd.clone() }),
    }
}

/// The user's own list of what git does not see, where git looks for it when nothing else is set.
fn excludes_of_user(env: &BTreeMap<String, String>) -> Option<PathBuf> {
    let config = env.get("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.or_else(|| env.get("HOME").map(|home| Path::new(home).join(".config")))?;
    Some(config.join("git/ignore")).filter(|path| path.is_file())
}

/// `niia` inside a session is this very program, whatever else the path holds.
fn own_niia_first(env: &mut BTreeMap<String, String>, program: &Path) {
    let Some(folder) = program.parent().map(|folder| folder.display().to_string()) else {
        return;
    };
    let path = match env.get("PATH").filter(|path| !path.is_empty()) {
        Some(path) => format!("{path}:{folder}"),
        None => folder,
    };
    env.insert("PATH".to_owned(), path);
}

/// Makes ready what the launch asks for, and gives the program to start.
pub(super) fn ready(
    assignment: &Assignment,
    drawn: &Drawn,
    chores: &Chores,
) -> Result<(keeper::Program, Prepared), Box<Ending>> {
    let folder = assignment.context.session_folder(assignment.attempt());
    let kept = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
    let kept = kept.and_then(|()| keep_prompt(&folder, &assignment.prompt));
    let kept = kept.and_then(|()| talk::prepare(assignment, drawn, &folder));
    kept.map_err(|error| failed(format!("its folder {} cannot be written: {error}", folder.display())))?;
    let tmp = tmp::folder(assignment).map_or(Ok(()), |folder| tmp::make(&folder));
    tmp.map_err(|error| failed(format!("a folder for what passes cannot be made: {error}")))?;
    make_folders(&drawn.launch, &folder)
        .map_err(|error| failed(format!("the folders of its sandbox: {error}")))?;
    if let Some(mend) = &assignment.mend {
        begin_mending(assignment, &mend.trees)?;
    }
    bring_up(assignment)?;
    let checkout = trees_for(assignment).map(LinkedWorktree::new);
    let checkout = checkout.as_ref().map(|checkout| checkout as &dyn crate::git::Checkout);
    let prepared = launch::prepare_by(&drawn.launch, checkout, &mut |what, number, text| {
        chores.run(&drawn.launch, what, number, text)
    })
    .map_err(|error| failed(chain(&error)))?;
    let launch = &drawn.launch;
    let program = keeper::Program {
        session: assignment.session.to_string(),
        argv: launch.argv.iter().map(Into::into).collect(),
        env: launch.env.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        cwd: launch.cwd.clone(),
        cols: launch.cols,
        rows: launch.rows,
        record: launch.record,
        recording_bytes_max: launch.recording_bytes_max,
        sandbox: launch.policy.clone(),
        reach: launch.reach.clone(),
    };
    Ok((program, prepared))
}

/// What a sandbox puts back of the session's own folder must be there.
fn make_folders(launch: &Launch, folder: &Path) -> std::io::Result<()> {
    let Some(policy) = &launch.policy else { return Ok(()) };
    let mut wanted = vec![folder.join(launch::CONTROL_FOLDER)];
    wanted.extend(policy.run_as.map(|_| folder.join(launch::sandbox::HOME_FOLDER)));
    wanted.iter().try_for_each(|path| fs::DirBuilder::new().recursive(true).mode(0o700).create(path))
}

/// The socket at which a sandboxed session reaches the node.
pub(super) fn control_socket(session_folder: &Path) -> PathBuf {
    session_folder.join(launch::CONTROL_FOLDER).join(launch::sandbox::CONTROL_SOCKET)
}

/// A tree that goes on from an earlier phase gets what was merged since.
fn bring_up(assignment: &Assignment) -> Result<(), Box<Ending>> {
    let goes_on = matches!(assignment.worker.tree, TreePlan::Result | TreePlan::Shared { .. });
    let (Some(trees), Some(name)) = (&trees_for(assignment), tree_of(assignment)) else {
        return Ok(());
    };
    if assignment.mend.is_some() {
        return Ok(());
    }
    if let Some(from) = resumed(assignment, trees, &name)? {
        trees.create(&name, &from).map_err(|error| failed(chain(&error)))?;
    }
    if !goes_on {
        return Ok(());
    }
    match trees.enter(&name).map_err(|error| failed(chain(&error)))? {
        (_, None) => Ok(()),
        (tree, Some(conflict)) => {
            let files = conflict.files.join(", ");
            let reason = format!("{}: {} ({files})", tree.path.display(), conflict.reason);
            Err(Box::new(Ending::plain(
                Outcome::NeedsAttention { reason },
                "bringing its tree up to `result`",
            )))
        }
    }
}

/// The commit an earlier run's line stands at, where the session is to go on from that and has no tree yet.
fn resumed(
    assignment: &Assignment,
    trees: &RunTrees,
    name: &TreeName,
) -> Result<Option<ObjectId>, Box<Ending>> {
    let Some(wanted) = assignment.worker.session.resume.as_deref().filter(|_| !trees.path_of(name).exists())
    else {
        return Ok(None);
    };
    let no_line = || failed(format!("`resume`: nothing unfinished is called `{wanted}` in this repository"));
    let slug = |text: &str| Slug::new(text).map_err(|error| failed(format!("`resume`: `{wanted}`: {error}")));
    let repository = trees.repository();
    let found = match wanted.split_once('/') {
        Some((run, line)) => repository.resolve(&format!("refs/heads/niia/{}/w/{}", slug(run)?, slug(line)?)),
        None => repository.unfinished(&slug(wanted)?).map(|lines| {
            let others = lines.into_iter().filter(|line| line.run != *trees.run());
            others.map(|line| line.commit).next()
        }),
    };
    found.map_err(|error| failed(chain(&error)))?.map(Some).ok_or_else(no_line)
}

/// Lays the conflict out in a tree of its own. Trying the merge again says what conflicts now.
fn begin_mending(assignment: &Assignment, branches: &[TreeName]) -> Result<(), Box<Ending>> {
    let Some(trees) = &trees_for(assignment) else {
        return Err(failed("there is no repository to mend in".to_owned()));
    };
    match trees.merge(branches).map_err(|error| failed(chain(&error)))? {
        Merged::Conflict(conflict) => {
            trees.begin_mending(&conflict).map(drop).map_err(|error| failed(chain(&error)))
        }
        Merged::Commit { .. } => Err(Box::new(Ending::plain(Outcome::Done, "the branches merge by now"))),
    }
}

fn keep_prompt(folder: &Path, prompt: &str) -> std::io::Result<()> {
    if prompt.is_empty() {
        return Ok(());
    }
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(prompt_path(folder))?;
    file.write_all(neutralise(prompt).as_bytes())
}

/// What is due after a session: its teardown, its link, its ports.
pub(super) fn put_away(
    assignment: &Assignment,
    machine: &LocalMachine,
    (drawn, prepared): &(Drawn, Prepared),
    chores: &Chores,
) {
    let alone = matches!(assignment.worker.tree, TreePlan::Own { .. } | TreePlan::ReadOnly);
    let kept = if alone { Kept::ForNobody } else { Kept::ForOthers };
    let mut runner = |what: &'static str, number, text: &str| chores.run(&drawn.launch, what, number, text);
    for failure in launch::finish_by(&drawn.launch, prepared, kept, &mut runner).failures {
        tracing::warn!(session = %assignment.session, error = chain(&failure), "a teardown failed");
    }
    if let Some(folder) = tmp::folder(assignment) {
        tmp::remove(&folder);
    }
    let ports = machine.state_folder.join("ports");
    if let Err(error) = launch::release_ports(&ports, &assignment.session) {
        tracing::warn!(session = %assignment.session, error = chain(&error), "its ports stay reserved");
    }
}

/// The end of an attempt whose program could not be started.
pub(super) fn not_started(error: &keeper::StartError) -> Box<Ending> {
    use keeper::StartError;
    let reason = chain(error);
    let outcome = match error {
        // The model is not to be had here: the next one is.
        StartError::Program { .. } | StartError::Interpreter { .. } | StartError::Empty => {
            Outcome::Unavailable { class: Unavailable::NotInstalled, reason }
        }
        StartError::Lost | StartError::KeeperEnded { .. } => Outcome::Lost { reason },
        _ => Outcome::Failed { reason },
    };
    Box::new(Ending::plain(outcome, "the program was not started"))
}

pub(super) fn failed(reason: String) -> Box<Ending> {
    Box::new(Ending::plain(Outcome::Failed { reason }, "before the program's start"))
}
