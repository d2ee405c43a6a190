//! Phases that are a connector of their own.

use super::Drawer;
use super::phases::numbered;
use super::sessions::{Levels, Standing};
use super::variables::Variables;
use crate::document::Phase;
use crate::name::PhaseName;
use crate::plan::{ModelPlan, PhaseWork, TreePlan, WorkerPlan};

/// A run takes as long as all its sessions together: without a word of the phase's own it may take a week.
const TIMEOUT_MS_DEFAULT: u64 = 7 * 24 * 60 * 60 * 1000;

impl<'d> Drawer<'d> {
    /// The run of another document stands in the phase's only seat.
    pub(super) fn connector(&mut self, name: &PhaseName, phase: &'d Phase, path: &str) -> PhaseWork {
        let own = phase.session.as_ref().map(|session| &session.value);
        let levels = Levels {
            own: None,
            phase: own,
            document: self.document.session.as_ref().map(|session| &session.value),
        };
        let mut session = levels.plan(Standing {
            scratchpad: true,
            local_model: false,
            elsewhere: false,
            reads_only: false,
            timeout_ms_max: None,
        });
        let asked = own.and_then(|session| session.timeout_ms.as_ref());
        session.timeout_ms = asked.map_or(TIMEOUT_MS_DEFAULT, |ms| ms.0);
        let document = self.name.clone();
        let variables = Variables {
            worker: "1",
            workers: 1,
            phase: name.as_str(),
            name: document.as_str(),
            model: path,
            machine: "",
        };
        let prompt = phase.prompt.as_ref().map(|prompt| variables.text(&prompt.value));
        let repository = self.around.repository.is_some();
        let worker = WorkerPlan {
            name: numbered(1),
            models: vec![ModelPlan::plain(path, "connector", "a document of its own")],
            prompt,
            machine: Vec::new(),
            session,
            // Its work is done in the trees of its own run, which begins on the line of this one.
            tree: if repository { TreePlan::ReadOnly } else { TreePlan::Folder },
        };
        PhaseWork::Connector { path: path.to_owned(), plan: None, worker: Box::new(worker) }
    }
}
