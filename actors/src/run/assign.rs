//! What a session is told to do: its worker, its model, and its prompt with all that it must know around it.

use std::borrow::Cow;
use std::sync::Arc;

use niia_spec::course::{Ending, MENDER, Outcome, PhaseState, RunCourse};
use niia_spec::name::{AttemptId, WorkerId};
use niia_spec::plan::{PhasePlan, PhaseWork, Plan, StepPlan, TreePlan, WorkerPlan};
use niia_spec::wrap::{
    EarlierResult, EventTold, LineOfWork, Place, Remembered, Template, Wrapping, asks_for_the_past, talk,
};

use super::context::RunContext;
use super::handover;
use super::report::{done_attempt, excerpt, talk_result};
use super::talk::TurnWords;
use crate::git::TreeName;
use crate::machine::{Assignment, Mend};
use crate::session::finish::kept_answer;

/// The profile whose prompt is given as it is written: a plain program is no agent.
const BARE_PROFILE: &str = "command";
/// Characters of the prompt in the subject of a commit.
const SUBJECT_CHARS_MAX: usize = 60;

/// The assignment of one attempt, or how the attempt ended before it began.
pub(super) fn assignment(
    context: &Arc<RunContext>,
    course: &RunCourse,
    attempt: &AttemptId,
    model: u32,
    words: Option<TurnWords>,
) -> Result<Assignment, Box<Ending>> {
    let failed = |reason: String| Box::new(Ending::plain(Outcome::Failed { reason }, "niia"));
    let phase = context
        .plan
        .phases
        .iter()
        .find(|phase| phase.name == attempt.worker.phase)
        .ok_or_else(|| failed(format!("the plan has no phase `{}`", attempt.worker.phase)))?;
    let desk = Desk { context, course, phase };
    let worker = desk.worker(attempt).ok_or_else(|| failed(format!("the plan has no worker `{attempt}`")))?;
    let mend = desk.mend(attempt);
    let model = usize::try_from(model).unwrap_or(usize::MAX);
    let wrapping = match &mend {
        Some(mend) => Wrapping::bare(&mending_prompt(mend)),
        None => desk.wrapping(worker, model, attempt),
    };
    let template = match &context.origin.wrapping {
        Some(text) => {
            let users = Template::parse(text);
            Cow::Owned(users.map_err(|error| failed(format!("the user's wrapping: {error}")))?)
        }
        None => Cow::Borrowed(Template::built_in()),
    };
    let connector = desk.connector()?;
    let bare = is_bare(worker, model) || mend.is_some() || connector.is_some();
    let prompt = if bare { wrapping.prompt.clone().unwrap_or_default() } else { template.wrap(&wrapping) };
    // Without a task there is somebody who will ask: a person, or another worker.
    let conversation = prompt.is_empty() && converses(context, worker, model);
    let (prompt, turn) = match words {
        Some(words) => {
            let TurnWords { said, news, turn, transcript } = words;
            let further = talk::further(&news, &transcript, &turn);
            (talk::whole(&prompt, &said, &transcript, &turn), Some(further.into()))
        }
        None => (prompt, None),
    };
    Ok(Assignment {
        conversation,
        session: context.session_id(attempt),
        worker: Arc::new(worker.clone()),
        model,
        prompt: prompt.into(),
        subject: subject(worker, attempt),
        mend,
        step: desk.step(attempt).cloned().map(Arc::new),
        connector,
        turn,
        context: Arc::clone(context),
    })
}

fn converses(context: &RunContext, worker: &WorkerPlan, model: usize) -> bool {
    let profile = worker.models.get(model).and_then(|model| context.profiles.get(&model.profile));
    profile.is_some_and(niia_spec::profile::Profile::converses)
}

fn is_bare(worker: &WorkerPlan, model: usize) -> bool {
    worker.models.get(model).is_some_and(|model| model.profile == BARE_PROFILE)
}

fn subject(worker: &WorkerPlan, attempt: &AttemptId) -> String {
    let words = worker.prompt.as_deref().and_then(|prompt| prompt.lines().next()).unwrap_or_default();
    let words: String = words.chars().filter(|c| !c.is_control()).take(SUBJECT_CHARS_MAX).collect();
    if words.is_empty() { attempt.worker.to_string() } else { format!("{}: {words}", attempt.worker) }
}

fn mending_prompt(mend: &Mend) -> String {
    let files: Vec<String> = mend.files.iter().map(|file| format!("- {file}")).collect();
    format!(
        "Two branches of this repository change the same places. The files below hold git's conflict markers. Make \
         each of them whole again so that what both sides meant is kept, and leave no marker behind. Change nothing \
         else, and commit nothing: that is done for you.\n\n{}\n",
        files.join("\n")
    )
}

/// What is known when an assignment is made.
struct Desk<'a> {
    context: &'a RunContext,
    course: &'a RunCourse,
    phase: &'a PhasePlan,
}

impl Desk<'_> {
    /// The worker of the plan; a mender works as the phase's first one.
    fn worker(&self, attempt: &AttemptId) -> Option<&WorkerPlan> {
        let workers = self.phase.work.workers();
        let named = self.phase.everybody().find(|worker| worker.name == attempt.worker.worker);
        named.or_else(|| {
            (attempt.worker.worker.as_str() == MENDER).then(|| workers.first().copied()).flatten()
        })
    }

    fn step(&self, attempt: &AttemptId) -> Option<&StepPlan> {
        self.phase.steps.iter().find(|step| step.worker.name == attempt.worker.worker)
    }

    /// The plan of the document that the phase runs.
    fn connector(&self) -> Result<Option<Arc<Plan>>, Box<Ending>> {
        let PhaseWork::Connector { path, plan: key, worker } = &self.phase.work else { return Ok(None) };
        let all = &self.context.plan.connectors;
        let found = key.as_ref().and_then(|key| all.get(key)).ok_or_else(|| {
            let reason = format!("the document `{path}` was not taken along");
            Box::new(Ending::plain(Outcome::Failed { reason }, "niia"))
        })?;
        let mut plan = Plan { connectors: all.clone(), ..found.clone() };
        // What the phase says counts more than the document's own task, and that more than the task of all.
        let goal = worker.prompt.clone().or_else(|| plan.task.clone());
        plan.task = goal.or_else(|| self.context.plan.task.clone());
        Ok(Some(Arc::new(plan)))
    }

    fn mend(&self, attempt: &AttemptId) -> Option<Mend> {
        if attempt.worker.worker.as_str() != MENDER {
            return None;
        }
        let files = match self.course.phase(&self.phase.name)?.state() {
            PhaseState::Mending { files, .. } => files.clone(),
            _ => Vec::new(),
        };
        let trees = super::gather::merged_trees(self.context, self.course, &self.phase.name);
        Some(Mend { files, trees })
    }

    fn wrapping(&self, worker: &WorkerPlan, model: usize, attempt: &AttemptId) -> Wrapping {
        let plan = &self.context.plan;
        if is_bare(worker, model) {
            return Wrapping {
                prompt: worker.prompt.clone().or_else(|| plan.task.clone()),
                ..Wrapping::default()
            };
        }
        if matches!(self.phase.work, PhaseWork::Session { .. })
            && worker.prompt.is_none()
            && plan.task.is_none()
        {
            return Wrapping::default();
        }
        Wrapping {
            place: self.place(worker),
            task: plan.task.clone(),
            description: plan.description.clone(),
            flow: plan.flow.clone(),
            scratchpad: worker
                .session
                .scratchpad
                .then(|| self.context.scratchpad_folder().display().to_string()),
            results: self.results(),
            lines: self.lines(),
            publishes: self.phase.publishes.clone(),
            shape: self.phase.output_schema.as_ref().map(|schema| format!("{schema:#}")),
            same_prompt: self.same_prompt(worker),
            absent: self.absent(),
            event: self.event(),
            remembered: self.remembered(worker),
            handover: self.handover(attempt),
            prompt: worker.prompt.clone(),
        }
    }

    /// Servers the document asks for that were found nowhere.
    fn absent(&self) -> Vec<String> {
        let servers = self.phase.mcp.iter().chain(&self.context.plan.mcp);
        servers.filter(|server| server.command.is_none()).map(|server| server.name.clone()).collect()
    }

    fn event(&self) -> Option<EventTold> {
        let event = self.context.plan.event.as_ref()?;
        let path = self.context.event_path()?.display().to_string();
        let payload = serde_json::to_string_pretty(&event.payload).unwrap_or_default();
        Some(EventTold { name: event.name.clone(), payload, path })
    }

    /// What earlier runs left, for a worker whose words ask for it; everybody has it in the environment.
    fn remembered(&self, worker: &WorkerPlan) -> Option<Remembered> {
        let plan = &self.context.plan;
        let words = [&worker.prompt, &plan.task, &plan.description, &plan.flow];
        if !worker.machine.is_empty()
            || !words.iter().any(|text| text.as_deref().is_some_and(asks_for_the_past))
        {
            return None;
        }
        let past = crate::session::past_of(self.context, &worker.session)?;
        let text = |path: &std::path::Path| path.display().to_string();
        let memory = past.memory.map(|(path, writable)| (text(&path), writable));
        Some(Remembered { history: Some(text(&past.history)), memory })
    }

    fn place(&self, worker: &WorkerPlan) -> Option<Place> {
        let phases = &self.context.plan.phases;
        let workers = self.phase.work.workers();
        Some(Place {
            run: self.context.run.clone(),
            phase: self.phase.name.clone(),
            phase_number: phases.iter().position(|phase| phase.name == self.phase.name)? + 1,
            phases: phases.len(),
            worker: worker.name.clone(),
            worker_number: workers.iter().position(|other| other.name == worker.name)? + 1,
            workers: workers.len(),
        })
    }

    /// What workers of earlier phases came to, in the order of the plan.
    fn results(&self) -> Vec<EarlierResult> {
        let earlier = self.context.plan.phases.iter().take_while(|phase| phase.name != self.phase.name);
        let talks = earlier.clone().filter_map(|phase| {
            let (path, text) = talk_result(self.context, self.course, phase)?;
            let path = self.context.scratchpad_folder().join(path).display().to_string();
            Some(EarlierResult { from: phase.name.to_string(), text, path })
        });
        let talks: Vec<EarlierResult> = talks.collect();
        let worked = earlier.filter(|phase| self.course.talk(&phase.name).is_none());
        let done = worked.flat_map(|phase| {
            let workers = self.course.done_workers(&phase.name).into_iter();
            workers.map(|worker| WorkerId { phase: phase.name.clone(), worker: worker.clone() })
        });
        let worked = done.filter_map(|worker| {
            let attempt = done_attempt(self.course, &worker)?;
            let folder = self.context.session_folder(&attempt);
            let text = kept_answer(&folder, excerpt(self.course, &attempt)).unwrap_or_default();
            let shared = self.context.scratchpad_folder().join(worker.phase.as_str());
            let path = shared.join(format!("{}.md", worker.worker)).display().to_string();
            Some(EarlierResult { from: worker.to_string(), text, path })
        });
        let mut results: Vec<EarlierResult> = worked.collect();
        results.extend(talks);
        results.sort_by_key(|result| self.phase_at(&result.from));
        results
    }

    /// Where the phase stands that a result is from.
    fn phase_at(&self, from: &str) -> usize {
        let name = from.split('/').next().unwrap_or_default();
        self.context.plan.phases.iter().position(|phase| phase.name.as_str() == name).unwrap_or(usize::MAX)
    }

    /// Rival versions of the work that earlier phases made.
    fn lines(&self) -> Vec<LineOfWork> {
        let Some(trees) = &self.context.trees else {
            return Vec::new();
        };
        let earlier = self.context.plan.phases.iter().take_while(|phase| phase.name != self.phase.name);
        let mut lines: Vec<LineOfWork> = Vec::new();
        for worker in earlier.flat_map(|phase| phase.work.workers()) {
            let TreePlan::Shared { slug, line: true } = &worker.tree else {
                continue;
            };
            if lines.iter().any(|line| line.name == slug.as_str()) {
                continue;
            }
            let tree = TreeName::Worker(slug.clone());
            lines.push(LineOfWork {
                name: slug.to_string(),
                path: trees.path_of(&tree).display().to_string(),
                branch: trees
                    .branch_of(&tree)
                    .unwrap_or_default()
                    .trim_start_matches("refs/heads/")
                    .to_owned(),
            });
        }
        lines
    }

    fn same_prompt(&self, worker: &WorkerPlan) -> usize {
        self.phase.work.workers().iter().filter(|other| other.prompt == worker.prompt).count()
    }

    fn handover(&self, attempt: &AttemptId) -> Option<String> {
        let earlier = usize::try_from(attempt.attempt.checked_sub(2)?).ok()?;
        let ending = self.course.worker(&attempt.worker)?.attempts().get(earlier)?.ending.as_ref()?;
        let reason = match &ending.outcome {
            Outcome::Failed { reason }
            | Outcome::Misshapen { reason }
            | Outcome::Unavailable { reason, .. }
            | Outcome::Lost { reason } => reason,
            _ => return None,
        };
        Some(handover::brief(self.context, ending, reason))
    }
}
