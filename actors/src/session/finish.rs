//! After the program's end: its answer, what that end means, and its work in git.
//!
//! Every step may be done again after a crash and comes to the same.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use niia_spec::course::{EndReason, Ending, Outcome, Stepped, Unavailable, take_within_bounds};
use niia_spec::detect::TurnEnd;
use niia_spec::detect::work::Verdict;
use niia_spec::plan::TreePlan;
use niia_spec::profile::{self, Profile};

use super::answer::Answer;
use super::hooks;
use super::screen::Size;
use crate::ask::chain;
use crate::git::{CommitInfo, Committed, Mended, TreeName};
use crate::keeper::Lost;
use crate::machine::Assignment;
use crate::recording::{Exit, ExitStatus, Read, Recording, Why};
use crate::session::answer::ANSWER_RAW_BYTES_MAX;

/// Lies in the folder of a conversation that was ended because it is over.
const CONCLUDED: &str = "concluded";
/// Characters of an answer that the journal keeps for lists.
const EXCERPT_CHARS_MAX: usize = 400;
/// The same for what is said in a talk: conditions over it see so much of it.
const SAID_CHARS_MAX: usize = 16 * 1024;
/// Bytes read from a recording at a time.
const READ_BYTES: usize = 256 * 1024;

/// Where an attempt's answer lies, whole, whatever its outcome.
pub fn answer_path(session_folder: &Path) -> PathBuf {
    session_folder.join("answer.md")
}

/// An attempt's answer. A short one stands in the journal whole, as the ending's excerpt, and that counts where a loss of
/// power took the file.
pub fn kept_answer(session_folder: &Path, excerpt: &str) -> io::Result<String> {
    match fs::read_to_string(answer_path(session_folder)) {
        Ok(text) if text.starts_with(excerpt) => Ok(text),
        Err(error) if excerpt.is_empty() || error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(excerpt.to_owned()),
    }
}

/// How a session's terminal ended.
#[derive(Clone, Debug)]
pub(super) enum Over {
    Exited(Exit),
    Lost(Lost),
}

/// Why a session was ended, where that did not come from itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordered {
    pub by: Option<EndReason>,
    /// Nobody can say what became of its prompt.
    pub unsure: Option<String>,
}

/// Takes the answer, classifies the end, commits the work.
pub(super) fn finish(assignment: &Assignment, over: &Over, ordered: &Ordered) -> Ending {
    let context = &assignment.context;
    let folder = context.session_folder(assignment.attempt());
    let size = (assignment.worker.session.cols, assignment.worker.session.rows);
    let (answer, trouble) = match read_answer(&folder, size) {
        Ok(answer) => (answer, None),
        Err(error) => (String::new(), Some(error)),
    };
    let turn = profile_of(assignment)
        .filter(|_| assignment.conversation)
        .and_then(|profile| hooks::last_turn(&folder, profile));
    // Somebody's work ends with an answer; a conversation that is there for whoever talks to it just ends.
    let works = assignment.conversation && !assignment.prompt.is_empty();
    let by_nobody = ordered.by.is_none() && ordered.unsure.is_none();
    let verdict = concluded(&folder).filter(|_| by_nobody);
    let (outcome, evidence) = match (&verdict, &turn, over) {
        (Some(verdict), _, _) => (verdict.outcome.clone(), verdict.evidence.clone()),
        // It was left by its own means after a turn: that one counts.
        (None, Some(turn), Over::Exited(exit)) if works && by_nobody && exit.why == Why::Itself => {
            let verdict = Verdict::of(turn);
            (verdict.outcome, verdict.evidence)
        }
        _ => outcome(assignment, over, ordered, &answer, trouble),
    };
    let outcome = if works && verdict.is_none() { unanswered(outcome, turn.as_ref()) } else { outcome };
    // What the tool itself says it answered is exact; its screen is a drawing of it.
    let exact = verdict.and_then(|verdict| verdict.answer).or_else(|| turn.and_then(|turn| turn.answer));
    let answer = exact.unwrap_or(answer);
    let (outcome, stepped) = stepped(assignment, over, outcome, &answer);
    let mut ending = Ending::plain(outcome, &evidence);
    let chars_max = if assignment.turn.is_some() { SAID_CHARS_MAX } else { EXCERPT_CHARS_MAX };
    ending.excerpt = answer.chars().take(chars_max).collect();
    if ending.outcome == Outcome::Done {
        ending.outputs = outputs(assignment, &answer);
        ending.step = stepped;
        ending.untaken = take_within_bounds(&mut ending.outputs);
    }
    let in_journal = ending.excerpt.len() == answer.len();
    if let Err(error) = keep_answer(assignment, &folder, &answer, in_journal, ending.outcome == Outcome::Done)
    {
        ending.answered = may_be_taken_again(assignment, &ending);
        ending.outcome = Outcome::NeedsAttention { reason: format!("its answer could not be kept: {error}") };
    }
    ending.contacts = crate::network::contacts(&folder);
    ending.usage = super::used::used(assignment, &ending.outcome);
    commit(assignment, &mut ending);
    hand_over(assignment, &mut ending);
    ending
}

/// A step that came to an end of its own is judged by its rules, whatever its exit code.
fn stepped(
    assignment: &Assignment,
    over: &Over,
    outcome: Outcome,
    answer: &str,
) -> (Outcome, Option<Stepped>) {
    match (&assignment.step, over, &outcome) {
        (
            Some(step),
            Over::Exited(exit),
            Outcome::Done | Outcome::Failed { .. } | Outcome::Unavailable { .. },
        ) if exit.why == Why::Itself => match exit.status {
            ExitStatus::Code(code) => (Outcome::Done, Some(step.stepped(code, answer))),
            ExitStatus::Signal { .. } => (outcome, None),
        },
        _ => (outcome, None),
    }
}

/// The end of an attempt that was no terminal: what came of it is kept as an answer is.
pub fn came_home(
    assignment: &Assignment,
    outcome: Outcome,
    answer: &str,
    outputs: BTreeMap<String, serde_json::Value>,
) -> Ending {
    let folder = assignment.context.session_folder(assignment.attempt());
    let mut ending = Ending::plain(outcome, "");
    ending.excerpt = answer.chars().take(EXCERPT_CHARS_MAX).collect();
    if ending.outcome == Outcome::Done {
        ending.outputs = outputs;
        ending.untaken = take_within_bounds(&mut ending.outputs);
    }
    let made = fs::create_dir_all(&folder).map_err(|error| error.to_string());
    let done = ending.outcome == Outcome::Done;
    let in_journal = ending.excerpt.len() == answer.len();
    if let Err(error) = made.and_then(|()| keep_answer(assignment, &folder, answer, in_journal, done)) {
        ending.outcome = Outcome::NeedsAttention { reason: format!("its answer could not be kept: {error}") };
    }
    ending
}

/// What whoever tries next must know: whether the conversation can be gone on with, when the provider is there again,
/// and the work as it is now, under a ref of its own.
fn hand_over(assignment: &Assignment, ending: &mut Ending) {
    match &ending.outcome {
        Outcome::Unavailable { class, reason } => {
            let said = format!("{reason}\n{}", ending.excerpt);
            ending.again_in_ms = niia_spec::breaker::again_in_ms(&said, super::wall_ms() / 1000);
            ending.resumable =
                *class == Unavailable::Crashed && assignment.conversation && super::way::goes_on(assignment);
        }
        Outcome::Failed { .. } | Outcome::Lost { .. } => {}
        _ => return,
    }
    let (Some(trees), Some(tree)) = (&assignment.context.trees, tree_of(assignment)) else { return };
    if matches!(tree, TreeName::Reading(_) | TreeName::Mending) || !trees.path_of(&tree).exists() {
        return;
    }
    match trees.keep_attempt(&tree, &commit_info(assignment)) {
        Ok(crate::git::Kept::Ref(kept)) => ending.kept = Some(kept),
        Ok(crate::git::Kept::Nothing) => {}
        // It lies in the tree, where the next attempt finds it.
        Ok(crate::git::Kept::Refused(reasons)) => {
            tracing::warn!(session = %assignment.session, ?reasons, "its work is not kept by a ref");
        }
        Err(error) => {
            tracing::warn!(session = %assignment.session, error = chain(&error), "its work is not kept by a ref");
        }
    }
}

fn commit_info(assignment: &Assignment) -> CommitInfo {
    let attempt = assignment.attempt();
    CommitInfo {
        worker: attempt.worker.to_string(),
        attempt: attempt.attempt,
        message: assignment.subject.clone(),
    }
}

/// A good end may be taken once more as long as its recording is there; what is not recorded is gone with its minder.
fn may_be_taken_again(assignment: &Assignment, ending: &Ending) -> bool {
    ending.outcome == Outcome::Done && assignment.worker.session.record
}

/// Writes down that a conversation is ended because it is over, and how.
pub(super) fn conclude(folder: &Path, verdict: Option<&Verdict>) -> io::Result<()> {
    let reason = "it was concluded before any turn had ended".to_owned();
    let none = || Verdict {
        outcome: Outcome::Failed { reason },
        evidence: "no word told of an end".to_owned(),
        answer: None,
    };
    let verdict = verdict.cloned().unwrap_or_else(none);
    let beside = folder.join("concluded.new");
    let mut file = fs::File::create(&beside)?;
    file.write_all(&serde_json::to_vec(&verdict)?)?;
    file.sync_all()?;
    fs::rename(beside, folder.join(CONCLUDED))
}

pub(super) fn is_concluded(folder: &Path) -> bool {
    folder.join(CONCLUDED).exists()
}

fn concluded(folder: &Path) -> Option<Verdict> {
    serde_json::from_slice(&fs::read(folder.join(CONCLUDED)).ok()?).ok()
}

/// A tool that ended before it had answered has not done its work, whatever its exit says.
fn unanswered(outcome: Outcome, turn: Option<&TurnEnd>) -> Outcome {
    match outcome {
        Outcome::Done if turn.is_none() => {
            Outcome::Failed { reason: "it ended before it had answered".to_owned() }
        }
        Outcome::Failed { reason } if turn.is_none() => {
            Outcome::Unavailable { class: Unavailable::Crashed, reason }
        }
        outcome => outcome,
    }
}

fn outcome(
    assignment: &Assignment,
    over: &Over,
    ordered: &Ordered,
    answer: &str,
    trouble: Option<io::Error>,
) -> (Outcome, String) {
    let exit = match over {
        Over::Exited(exit) => exit,
        Over::Lost(lost) => {
            let reason = format!("the minder of its terminal (program {}) was killed", lost.pid);
            return (Outcome::Lost { reason }, "no exit was recorded".to_owned());
        }
    };
    // Who ended it knows why; what the program made of that end says nothing.
    if exit.why == Why::Ordered {
        if let (None, Some(reason)) = (ordered.by, &ordered.unsure) {
            return (
                Outcome::NeedsAttention { reason: reason.clone() },
                "the screen of its terminal".to_owned(),
            );
        }
        return match ordered.by {
            Some(EndReason::TimedOut) => (Outcome::TimedOut, "its time was up".to_owned()),
            Some(EndReason::NotNeeded) => (Outcome::Cancelled, "it was not needed any more".to_owned()),
            Some(EndReason::Cancelled) | None => (Outcome::Cancelled, "it was ended by order".to_owned()),
        };
    }
    if exit.why == Why::Shutdown {
        let reason = "its minder was told to end, as at a shutdown".to_owned();
        return (Outcome::Lost { reason }, "the minder's last word".to_owned());
    }
    if let Some(error) = trouble {
        let reason = format!("its recording cannot be read: {error}");
        return (Outcome::NeedsAttention { reason }, "the recording".to_owned());
    }
    match profile_of(assignment) {
        Some(profile) => profile::classify(profile, &ended(exit), answer),
        None => (Outcome::Failed { reason: "its profile is gone".to_owned() }, "the profiles".to_owned()),
    }
}

pub(super) fn profile_of(assignment: &Assignment) -> Option<&Profile> {
    assignment.context.profiles.get(&assignment.model_plan()?.profile)
}

fn ended(exit: &Exit) -> profile::Exit {
    match exit.status {
        ExitStatus::Code(code) => profile::Exit::Code(code),
        ExitStatus::Signal { number, .. } => profile::Exit::Signal(number),
    }
}

pub(super) fn read_answer(folder: &Path, size: (u16, u16)) -> io::Result<String> {
    let mut recording = Recording::open(folder).map_err(io::Error::other)?;
    if recording.is_forgotten()? {
        // An earlier node has come so far: its minder was let go of once the answer was kept.
        return fs::read_to_string(answer_path(folder));
    }
    let end = recording.len()?;
    let mut answer = Answer::new(Size::clamped(size.0, size.1));
    let mut offset = end.saturating_sub(ANSWER_RAW_BYTES_MAX as u64);
    answer.left_out(offset);
    let mut buffer = vec![0; READ_BYTES.min(usize::try_from(end - offset).unwrap_or(READ_BYTES)).max(1)];
    while offset < end {
        match recording.read_at(offset, &mut buffer)? {
            Read::Bytes(0) => break,
            Read::Bytes(count) => {
                answer.feed(&buffer[..count]);
                offset += count as u64;
            }
            Read::Gap { from, to } => {
                answer.left_out(to - from);
                offset = to;
            }
        }
    }
    Ok(answer.finish().text)
}

/// The outputs an answer ends with, and those the phase's `outputs.json` holds.
fn outputs(assignment: &Assignment, answer: &str) -> BTreeMap<String, serde_json::Value> {
    if let Some(step) = &assignment.step {
        let printed = serde_json::Value::String(answer.trim_end().to_owned());
        return step.output.iter().map(|key| (key.clone(), printed.clone())).collect();
    }
    let mut outputs = profile::outputs_of(answer);
    let file = format!("{}/outputs.json", assignment.attempt().worker.phase);
    match assignment.context.scratchpad.cat(&file) {
        Ok(bytes) => match serde_json::from_slice(&bytes) {
            Ok(serde_json::Value::Object(object)) => outputs.extend(object),
            Ok(_) => tracing::warn!(session = %assignment.session, file, "holds no object of outputs"),
            Err(error) => tracing::warn!(session = %assignment.session, file, %error, "is no JSON"),
        },
        Err(error) if error.is_not_found() => {}
        Err(error) => tracing::warn!(session = %assignment.session, file, %error, "cannot be read"),
    }
    outputs
}

/// Keeps the answer beside the recording; a good one also lies where other workers find it. What a worker put there
/// itself is not written over: the answer then gets a name of its own.
///
/// The attempt's end is recorded next, and nothing of it may be lost then: an answer that does not fit into that record
/// is on disk when this returns.
fn keep_answer(
    assignment: &Assignment,
    folder: &Path,
    answer: &str,
    in_journal: bool,
    done: bool,
) -> Result<(), String> {
    let kept = fs::File::create(answer_path(folder)).and_then(|mut file| {
        file.write_all(answer.as_bytes())?;
        if in_journal { Ok(()) } else { file.sync_all() }
    });
    kept.map_err(|error| error.to_string())?;
    // What is said in a talk stands in its transcript.
    if !done || !assignment.worker.session.scratchpad || assignment.turn.is_some() {
        return Ok(());
    }
    let worker = &assignment.attempt().worker;
    let scratchpad = &assignment.context.scratchpad;
    let plain = format!("{}/{}.md", worker.phase, worker.worker);
    let taken = scratchpad.cat(&plain).is_ok_and(|there| there != answer.as_bytes());
    let path = if taken { format!("{}/{}.answer.md", worker.phase, worker.worker) } else { plain };
    scratchpad.put_copy(&path, answer.as_bytes()).map_err(|error| chain(&error))
}

/// The tree a worker works in, where that is one of the run's.
pub(super) fn tree_of(assignment: &Assignment) -> Option<TreeName> {
    if assignment.mend.is_some() {
        return Some(TreeName::Mending);
    }
    match &assignment.worker.tree {
        TreePlan::Own { slug } | TreePlan::Shared { slug, .. } => Some(TreeName::Worker(slug.clone())),
        TreePlan::Result => Some(TreeName::Result),
        TreePlan::ReadOnly => {
            let worker = &assignment.attempt().worker;
            let slug = niia_spec::name::Slug::nearest(&format!("{}-{}", worker.phase, worker.worker));
            Some(TreeName::Reading(slug))
        }
        TreePlan::Checkout | TreePlan::Folder => None,
    }
}

/// Commits what the worker left in a tree of its own. A shared tree is committed once, after the phase.
fn commit(assignment: &Assignment, ending: &mut Ending) {
    let shared = matches!(assignment.worker.tree, TreePlan::Shared { .. });
    let (Some(trees), Some(tree)) = (&assignment.context.trees, tree_of(assignment)) else {
        return;
    };
    if matches!(tree, TreeName::Reading(_)) || (shared && assignment.mend.is_none()) {
        return;
    }
    // An attempt that ended before it had a tree left nothing in it.
    if !trees.path_of(&tree).exists() {
        return;
    }
    let info = commit_info(assignment);
    let committed = match &assignment.mend {
        Some(_) => trees.finish_mending(&info).map(|mended| match mended {
            Mended::Commit { commit } => Committed::Commit { commit },
            Mended::Refused { reasons } => Committed::Refused { reasons },
        }),
        None => trees.commit(&tree, &info),
    };
    let trouble = match committed {
        Ok(Committed::Commit { commit }) => {
            ending.commit = Some(commit.as_str().to_owned());
            return;
        }
        Ok(Committed::Nothing) => return,
        Ok(Committed::Refused { reasons }) => {
            reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        }
        Err(error) => chain(&error),
    };
    let path = trees.path_of(&tree);
    tracing::warn!(session = %assignment.session, trouble, "its work is not committed");
    if ending.outcome == Outcome::Done {
        let reason = format!("its work in {} is not committed: {trouble}", path.display());
        // A mender that left marks behind has not done its task; whether another one tries is the course's to say.
        ending.outcome = match assignment.mend {
            Some(_) => Outcome::Failed { reason },
            None => {
                ending.answered = may_be_taken_again(assignment, ending);
                Outcome::NeedsAttention { reason }
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_answer_outlives_its_file_and_a_long_one_is_what_the_file_says() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |excerpt| kept_answer(folder.path(), excerpt);
        assert_eq!(kept("all is well").unwrap(), "all is well");
        assert!(kept("").is_err(), "nothing is known of it");
        for lost in ["", "\0\0\0\0"] {
            fs::write(answer_path(folder.path()), lost).unwrap();
            assert_eq!(kept("all is well").unwrap(), "all is well");
        }
        fs::write(answer_path(folder.path()), "all is well, and more").unwrap();
        assert_eq!(kept("all is").unwrap(), "all is well, and more");
    }
}
