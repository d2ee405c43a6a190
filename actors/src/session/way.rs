//! Which way a session's program is driven. Decided once, before its start, and written down: a node that takes the
//! session up goes on the same way.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use niia_spec::detect::{Told, is_taken, takes_a_prompt};
use niia_spec::name::AttemptId;
use niia_spec::plan::{ModelPlan, Permission, TreePlan};
use niia_spec::profile::{Profile, Way};
use serde::{Deserialize, Serialize};

use super::finish::profile_of;
use super::prepare::shared_transcript;
use super::{hooks, transcript};
use crate::machine::Assignment;
use crate::tool::Tools;

const FILE: &str = "way.json";
/// What a tool is told whose conversation was cut off: it knows the task already.
const GO_ON: &str = "You were cut off in the middle of the task above. What you did so far is still there. Go on with \
                     it where you were, and answer it as it asks.";

/// What was decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    pub way: Way,
    /// The tool's own name of the conversation that is taken up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumes: Option<String>,
    /// Who drives the model in the place of its own profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ModelPlan>,
}

/// What an earlier node decided.
pub fn chosen(session_folder: &Path) -> Option<Chosen> {
    serde_json::from_slice(&fs::read(session_folder.join(FILE)).ok()?).ok()
}

/// Decides, and writes it down. A session that nobody gives a prompt is driven as its profile says: whoever talks to it
/// sees what answers.
pub(super) fn choose(assignment: &Assignment, tools: &Tools) -> io::Result<Option<Chosen>> {
    if assignment.prompt.is_empty() {
        return Ok(None);
    }
    let by = by_another(assignment, tools);
    let mut assignment = assignment.clone();
    if let Some(by) = &by {
        put_model(&mut assignment, by);
    }
    let assignment = &assignment;
    let Some(profile) = profile_of(assignment) else { return Ok(None) };
    let way = tools.way(profile, &assignment.context.origin.env);
    let resumes = if way.conversation { earlier(assignment) } else { None };
    let chosen = Chosen { way, resumes, by };
    let folder = assignment.context.session_folder(assignment.attempt());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    let beside = folder.join("way.new");
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(&chosen)?)?;
    fs::rename(&beside, folder.join(FILE))?;
    Ok(Some(chosen))
}

/// Makes the assignment say what was chosen.
pub(super) fn apply(assignment: &mut Arc<Assignment>, chosen: &Chosen) {
    let assignment = Arc::make_mut(assignment);
    if let Some(by) = &chosen.by {
        put_model(assignment, by);
    }
    assignment.conversation = chosen.way.conversation;
    if chosen.resumes.is_some() {
        assignment.prompt = match &assignment.turn {
            Some(turn) => Arc::clone(turn),
            None => GO_ON.into(),
        };
    }
}

/// Who drives this model where its own profile only chats and the worker is to change files. A program that is not the
/// tool it is called as is left to do what it does.
fn by_another(assignment: &Assignment, tools: &Tools) -> Option<ModelPlan> {
    let (profile, model) = (profile_of(assignment)?, assignment.model_plan()?);
    let worker = &assignment.worker;
    let reads = worker.session.permission == Permission::ReadOnly
        || worker.tree == TreePlan::ReadOnly && (assignment.turn.is_some() || !worker.writes_for_itself());
    let env = &assignment.context.origin.env;
    if reads || profile.works_by.is_empty() || tools.is_other(profile, env) {
        return None;
    }
    let by = profile.works_by.iter().find(|by| {
        let other = assignment.context.profiles.get(&by.profile);
        other.is_some_and(|other| tools.way(other, env).conversation)
    })?;
    let named = model.model.as_deref().unwrap_or_default();
    Some(ModelPlan {
        profile: by.profile.clone(),
        model: Some(by.model.replace("{model}", named)),
        args: by.args.iter().chain(&model.args).cloned().collect(),
        because: format!("{}, driven by {}", model.because, by.profile),
        ..model.clone()
    })
}

fn put_model(assignment: &mut Assignment, model: &ModelPlan) {
    let worker = Arc::make_mut(&mut assignment.worker);
    if let Some(place) = worker.models.get_mut(assignment.model) {
        *place = model.clone();
    }
}

/// Whether the next attempt can go on with this one's conversation.
pub(super) fn goes_on(assignment: &Assignment) -> bool {
    let mut next = assignment.clone();
    next.session.attempt.attempt += 1;
    earlier(&next).is_some()
}

/// The conversation of the attempt before this one, where the same tool can go on with it: it had taken its prompt,
/// and it keeps what was said where this attempt finds it.
pub(super) fn earlier(assignment: &Assignment) -> Option<String> {
    let attempt = assignment.attempt();
    let profile = profile_of(assignment)?;
    if !profile.conversation.as_ref().is_some_and(niia_spec::profile::Conversation::resumes) {
        return None;
    }
    let folders = (1..attempt.attempt).rev().map(|number| {
        let before = AttemptId { attempt: number, ..attempt.clone() };
        assignment.context.session_folder(&before)
    });
    let mut before = folders.map(|folder| (hooks::conversation(&folder), folder)).peekable();
    let newest =
        before.peek().and_then(|(told, _)| told.clone()).filter(|told| told.profile == profile.id)?;
    // One that was taken up itself had its prompt in an attempt before.
    let same = before.take_while(|(told, _)| told.as_ref() == Some(&newest));
    let says_so = |told: &Told| takes_a_prompt(profile, told) || is_taken(profile, told);
    let taken = |(_, folder): (_, PathBuf)| hooks::all(&folder).iter().any(says_so);
    (same.into_iter().any(taken) || written(assignment, profile).iter().any(says_so)).then_some(newest.name)
}

/// What a tool whose hooks tell of no prompt has written of the conversation so far.
fn written(assignment: &Assignment, profile: &Profile) -> Vec<Told> {
    match (shared_transcript(assignment, profile), &profile.transcript) {
        (Some(path), Some(transcript)) => transcript::whole(&path, transcript, profile),
        _ => Vec::new(),
    }
}
