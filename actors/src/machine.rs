//! Where an attempt is made: the seam between a phase and whatever opens its terminals.
//!
//! A phase knows machines only by this trait. [`local::LocalMachine`] opens a terminal here; a machine elsewhere sends
//! the assignment over a link and returns the handle of an actor that forwards; a test plays a part.

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use niia_spec::course::Ending;
use niia_spec::name::{AttemptId, SessionId};
use niia_spec::plan::{Plan, StepPlan, WorkerPlan};

use crate::git::TreeName;
use crate::phase::PhaseHandle;
use crate::run::RunContext;
use crate::session::SessionHandle;

pub mod breakers;
pub mod local;
pub(crate) mod starts;

/// What a session is told to do.
#[derive(Clone, Debug)]
pub struct Assignment {
    pub session: SessionId,
    pub worker: Arc<WorkerPlan>,
    /// Which of the worker's models, from 0.
    pub model: usize,
    /// The prompt as it is delivered.
    pub prompt: Arc<str>,
    /// What the document itself asks of the worker, for the commit's message.
    pub subject: String,
    /// A conflict to mend instead of a task of the document.
    pub mend: Option<Mend>,
    /// Its program is started for a conversation: it stays after a turn and takes further prompts.
    pub conversation: bool,
    /// It is a step of its phase: its print and its exit are looked at by rules.
    pub step: Option<Arc<StepPlan>>,
    /// It is a document of its own, whose run stands in the place of a session.
    pub connector: Option<Arc<Plan>>,
    /// What is new in this turn of a talk, for a speaker that remembers the turns before; `prompt` holds all of it.
    pub turn: Option<Arc<str>>,
    pub context: Arc<RunContext>,
}

/// Branches that could not be merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mend {
    pub files: Vec<String>,
    /// Whose branches are merged, in worker order.
    pub trees: Vec<TreeName>,
}

impl Assignment {
    pub fn attempt(&self) -> &AttemptId {
        &self.session.attempt
    }

    /// The model of this attempt; the plan's first where the number fits none.
    pub fn model_plan(&self) -> Option<&niia_spec::plan::ModelPlan> {
        self.worker.models.get(self.model).or_else(|| self.worker.models.first())
    }
}

/// What a session tells its phase.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// Its program runs.
    Started,
    /// It shows a question that a person must answer.
    Asks(String),
    /// It is over and its work is committed.
    Ended(Ending),
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("no machine of {machines} is paired with this one")]
    MachineAbsent { machines: String },
    #[error("this machine runs no documents within others")]
    NoConnectors,
    #[error("the session's actor did not start")]
    Actor(#[source] ractor::SpawnErr),
}

/// The future of a start, boxed so that machines can be told apart at run time.
pub type Starting<'a> = Pin<Box<dyn Future<Output = Result<SessionHandle, StartError>> + Send + 'a>>;

pub trait Machine: Debug + Send + Sync {
    /// Begins an attempt. It returns as soon as somebody is responsible for it; all that follows is told to `parent`.
    fn start(&self, assignment: Assignment, parent: PhaseHandle) -> Starting<'_>;
}

/// Who knows other machines.
pub trait Elsewhere: Debug + Send + Sync {
    /// The machine that is meant by the first choice it knows; nothing where that is this one.
    fn find(&self, assignment: &Assignment) -> Result<Option<Arc<dyn Machine>>, StartError>;
}

/// The machines a node can reach.
#[derive(Debug)]
pub struct Machines {
    here: Arc<dyn Machine>,
    elsewhere: Option<Arc<dyn Elsewhere>>,
    /// Where documents of their own are run.
    within: Option<Arc<dyn Machine>>,
}

impl Machines {
    pub fn only(here: Arc<dyn Machine>) -> Machines {
        Machines { here, elsewhere: None, within: None }
    }

    #[must_use]
    pub fn and(self, elsewhere: Arc<dyn Elsewhere>) -> Machines {
        Machines { elsewhere: Some(elsewhere), ..self }
    }

    #[must_use]
    pub fn within(self, within: Arc<dyn Machine>) -> Machines {
        Machines { within: Some(within), ..self }
    }

    /// This machine, whatever a plan says.
    pub fn here(&self) -> Arc<dyn Machine> {
        Arc::clone(&self.here)
    }

    /// Where this attempt is made; this machine when the plan names none. A conflict lies here and is mended here.
    pub fn of(&self, assignment: &Assignment) -> Result<Arc<dyn Machine>, StartError> {
        if assignment.connector.is_some() {
            return self.within.clone().ok_or(StartError::NoConnectors);
        }
        let elsewhere = self
            .elsewhere
            .as_ref()
            .filter(|_| !assignment.worker.machine.is_empty() && assignment.mend.is_none());
        let found = elsewhere.map(|elsewhere| elsewhere.find(assignment)).transpose()?.flatten();
        Ok(found.unwrap_or_else(|| self.here()))
    }
}
