//! The steps of a phase: ordinary programs in sessions of the phase's.

use super::sessions::{Levels, Standing};
use super::trees::Place;
use super::variables::Variables;
use super::{Drawer, limits, machines};
use crate::document::{Intent, Phase, Run, Step};
use crate::name::{PhaseName, Slug};
use crate::plan::{ModelPlan, StepPlan, StepRule, WorkerPlan};
use crate::read::At;

/// The profile of programs that are no agents.
const PROFILE: &str = "command";

impl<'d> Drawer<'d> {
    pub(super) fn steps(&mut self, name: &PhaseName, phase: &'d Phase) -> Vec<StepPlan> {
        let steps = phase.steps.iter().flat_map(|steps| &steps.value).enumerate();
        steps.map(|(at, step)| self.step(name, phase, at, step)).collect()
    }

    fn step(&mut self, phase_name: &PhaseName, phase: &'d Phase, at: usize, step: &'d At<Step>) -> StepPlan {
        let name =
            step.name.as_ref().map_or_else(|| format!("step-{}", at + 1), |name| name.value.to_string());
        let argv = argv(step);
        let worker = self.step_worker(phase_name, phase, Slug::nearest(&name), &argv);
        let rules = step.rules.iter().flat_map(|rules| &rules.value).map(|rule| StepRule {
            when: rule.when.as_ref().map(|when| when.value.clone()).unwrap_or_default(),
            next: rule.next.as_ref().map(|next| next.value.to_string()),
            set: rule
                .set
                .iter()
                .flat_map(|set| &set.value.entries)
                .map(|(key, value)| (key.value.clone(), value.0.clone()))
                .collect(),
        });
        StepPlan {
            name,
            argv,
            writes: step.intent.as_ref().is_some_and(|intent| intent.value == Intent::Write),
            output: step.output.as_ref().map(|output| output.0.clone()),
            rules: rules.collect(),
            worker,
        }
    }

    /// Where and how a step is run: as the only worker of its phase would be.
    fn step_worker(
        &mut self,
        phase_name: &PhaseName,
        phase: &'d Phase,
        name: Slug,
        argv: &[String],
    ) -> WorkerPlan {
        let machine = machines::choices(phase.machine.as_ref());
        let elsewhere = self.elsewhere(&machine);
        let levels = Levels {
            own: None,
            phase: phase.session.as_ref().map(|session| &session.value),
            document: self.document.session.as_ref().map(|session| &session.value),
        };
        let own_limit = phase.limits.as_ref().map(|limits| &limits.value);
        let standing = Standing {
            scratchpad: true,
            local_model: false,
            elsewhere,
            reads_only: false,
            timeout_ms_max: limits::phase(&self.limits, own_limit).timeout_per_agent_ms,
        };
        let (document, word) = (self.name.clone(), machines::word(&machine));
        let variables = Variables {
            worker: name.as_str(),
            workers: 1,
            phase: phase_name.as_str(),
            name: document.as_str(),
            model: PROFILE,
            machine: &word,
        };
        let program = argv.first().map(String::as_str).unwrap_or_default();
        let model = ModelPlan { args: argv.to_vec(), ..ModelPlan::plain(program, PROFILE, "a step") };
        let tree = self.tree(levels, Place::Alone, elsewhere, &variables);
        let session = levels.plan(standing);
        WorkerPlan { name, models: vec![model], prompt: None, machine, session, tree }
    }
}

fn argv(step: &Step) -> Vec<String> {
    let texts = |list: &[At<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>();
    match (&step.run.as_ref().map(|run| &run.value), &step.binary) {
        (Some(Run::Line(line)), _) => vec!["sh".to_owned(), "-c".to_owned(), line.0.clone()],
        (Some(Run::Arguments(list)), _) => texts(list),
        (None, Some(binary)) => {
            let args = step.args.as_ref().map(|args| texts(&args.value)).unwrap_or_default();
            std::iter::once(binary.0.clone()).chain(args).collect()
        }
        (None, None) => Vec::new(),
    }
}
