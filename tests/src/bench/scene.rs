//! A house with a node in it, as a user would have it, and documents to run there.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{chores, usage};
use crate::House;
use crate::house::Resident;

/// A row that takes longer than this is no row but a hang.
pub const LIMIT: Duration = Duration::from_secs(600);

/// One house.
pub struct Scene {
    pub house: House,
}

/// What one run took.
pub struct Took {
    pub wall: Duration,
    /// Of the command line, the node, the keeper, the minders and the programs.
    pub cpu: Duration,
}

impl Scene {
    /// A house whose node is up and has run something already.
    pub fn warm() -> Scene {
        Scene::with("")
    }

    /// The same with this in its configuration.
    pub fn with(configuration: &str) -> Scene {
        let scene = Scene { house: House::new().leaving_within(Duration::from_secs(60)) };
        drop(scene.house.file("state/config/niia.toml", configuration));
        let warmup = scene.document("warmup", &fan(1, &["true"]));
        scene.run(&warmup);
        scene
    }

    pub fn document(&self, name: &str, document: &Value) -> PathBuf {
        self.house.document(name, document)
    }

    /// A folder for what is measured without niia, on the same disk.
    pub fn folder(&self) -> PathBuf {
        self.house.at("tmp")
    }

    pub fn pids(&self, name: &str) -> Vec<u32> {
        self.house
            .residents()
            .iter()
            .map(|resident: &Resident| resident.id)
            .filter(|pid| usage::name(*pid) == name)
            .collect()
    }

    /// The process of the node.
    ///
    /// # Panics
    /// When there is none.
    pub fn node(&self) -> u32 {
        self.house.node()
    }

    /// Runs a document to its end, as a person would.
    pub fn run(&self, document: &Path) -> Took {
        let servants =
            |name: &str| self.pids(name).iter().map(|pid| usage::cpu_with_children(*pid)).sum::<Duration>();
        let all = || servants("niia") + servants("niia-keeper");
        let (before, own, began) = (all(), usage::own_cpu(), Instant::now());
        let said = self.house.niia([Path::new("run"), document]).limit(LIMIT).run();
        let (wall, own) = (began.elapsed(), usage::own_cpu() - own);
        drop(said.exits(0));
        // The last minder is buried a moment after its session has ended.
        crate::wait_until("the minders are gone", LIMIT, || {
            self.pids("niia-minder").is_empty().then_some(())
        });
        Took { wall, cpu: own + all().saturating_sub(before) }
    }

    /// Begins a run whose sessions stay, and waits until each of them runs.
    pub fn begin(&self, document: &Path, sessions: usize) -> String {
        let run = self.house.detach(&self.house.at("home"), document);
        crate::wait_until("all sessions run", LIMIT, || {
            let sleeping = self.pids("niia-minder").len() >= sessions;
            sleeping.then_some(())
        });
        run
    }

    pub fn cancel(&self, run: &str) {
        drop(self.house.niia(["cancel", run]).run());
        crate::wait_until("the minders are gone", LIMIT, || {
            self.pids("niia-minder").is_empty().then_some(())
        });
    }
}

fn model(command: &[&str]) -> Value {
    json!({ "it": { "use": "command", "args": command } })
}

fn limits(sessions: usize) -> Value {
    json!({ "max_total_agents": sessions, "max_parallel": sessions })
}

/// One phase of so many workers at once.
pub fn fan(workers: usize, command: &[&str]) -> Value {
    json!({
        "connector": "2.0",
        "models": model(command),
        "limits": limits(workers),
        "pipeline": { "phases": [{ "name": "fan", "model": "it", "workers": workers }] },
    })
}

/// So many phases of one worker each, one after the other.
pub fn chain(phases: usize, command: &[&str]) -> Value {
    let phases: Vec<Value> =
        (1..=phases).map(|number| json!({ "name": format!("step-{number}"), "model": "it" })).collect();
    json!({
        "connector": "2.0",
        "models": model(command),
        "limits": limits(phases.len()),
        "pipeline": { "phases": phases },
    })
}

/// A chore of this program, as a document's command.
pub fn chore(args: &[&str]) -> Vec<String> {
    let mut command = vec![chores::program().display().to_string()];
    command.extend(args.iter().map(|arg| (*arg).to_owned()));
    command
}

/// A command's words, as the documents take them.
pub fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}
