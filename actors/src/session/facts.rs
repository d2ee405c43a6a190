//! What anybody may know of a session without asking it.

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use niia_spec::name::SessionId;

use crate::machine::Assignment;

/// Written by the session's life, read by views: a glance costs the session nothing.
#[derive(Debug)]
pub struct SessionFacts {
    pub session: SessionId,
    pub folder: PathBuf,
    pub profile: String,
    pub model: Option<String>,
    minder: AtomicU32,
    program: AtomicU32,
    printed_bytes: AtomicU64,
    runs: AtomicBool,
    place: Mutex<Place>,
    asks: Mutex<Option<String>>,
}

/// Where it is and what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub cwd: Option<PathBuf>,
    /// What happens before the program runs, or after it.
    pub doing: String,
}

impl SessionFacts {
    pub(crate) fn new(assignment: &Assignment) -> SessionFacts {
        let model = assignment.model_plan();
        SessionFacts {
            session: assignment.session.clone(),
            folder: assignment.context.session_folder(assignment.attempt()),
            profile: model.map(|model| model.profile.clone()).unwrap_or_default(),
            model: model.and_then(|model| model.model.clone()),
            minder: AtomicU32::new(0),
            program: AtomicU32::new(0),
            printed_bytes: AtomicU64::new(0),
            runs: AtomicBool::new(false),
            place: Mutex::new(Place { cwd: None, doing: "waits for a place".to_owned() }),
            asks: Mutex::new(None),
        }
    }

    pub(crate) fn runs_as(&self, minder: u32, program: u32) {
        self.minder.store(minder, Ordering::Relaxed);
        self.program.store(program, Ordering::Relaxed);
        self.runs.store(true, Ordering::Release);
    }

    pub(crate) fn printed(&self, bytes: u64) {
        self.printed_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.runs.store(false, Ordering::Release);
        self.minder.store(0, Ordering::Relaxed);
    }

    /// What a person must answer, or that nobody need answer anything any more.
    pub(crate) fn asks(&self, what: Option<String>) {
        *self.asks.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = what;
    }

    /// The question it shows.
    pub fn asked(&self) -> Option<String> {
        self.asks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) fn does(&self, doing: &str) {
        self.with_place(|place| doing.clone_into(&mut place.doing));
    }

    pub(crate) fn is_at(&self, cwd: PathBuf) {
        self.with_place(|place| place.cwd = Some(cwd));
    }

    fn with_place(&self, change: impl FnOnce(&mut Place)) {
        let mut place = self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut place);
    }

    pub fn place(&self) -> Place {
        self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The minder's process, while there is one.
    pub fn minder(&self) -> Option<u32> {
        Some(self.minder.load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    /// The program's process, while it runs.
    pub fn program(&self) -> Option<u32> {
        Some(self.program.load(Ordering::Relaxed)).filter(|_| self.runs())
    }

    pub fn runs(&self) -> bool {
        self.runs.load(Ordering::Acquire)
    }

    pub fn printed_bytes(&self) -> u64 {
        self.printed_bytes.load(Ordering::Relaxed)
    }
}
