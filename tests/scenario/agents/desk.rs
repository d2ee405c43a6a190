//! A house with the real tools in it, each with a stub of its own for its provider.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use niia_tests::house::{Call, House, Repository};
use niia_tests::stub::Stub;
use serde_json::{Value, json};

/// A run that is cancelled ends its sessions in this time, each by force after a grace.
const CANCELLED_WITHIN: Duration = Duration::from_secs(60);
/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

pub struct Desk {
    pub house: House,
    pub claude: Stub,
    pub codex: Stub,
    pub gemini: Stub,
    pub aider: Stub,
    pub project: Repository,
    begun: RefCell<Vec<String>>,
}

/// The folder the tools are installed in, where all of these are there; else nothing, and a word why.
fn installed(names: &[&str]) -> Option<PathBuf> {
    let folder =
        std::env::var_os("NIIA_CLIS").map_or_else(|| PathBuf::from("/var/cache/niia-clis"), PathBuf::from);
    for name in names {
        let program = folder.join("bin").join(name);
        if !program.exists() {
            // Past what the test harness keeps to itself: a test that did nothing must not look as if it had.
            let word = format!(
                "SKIPPED {name}: {} is not there; `tests/clis/install` installs it\n",
                program.display()
            );
            std::io::stderr().write_all(word.as_bytes()).unwrap();
            return None;
        }
    }
    Some(folder.join("bin"))
}

impl Desk {
    /// A project, and these tools as somebody has them who has run each once by hand.
    pub fn with(names: &[&str]) -> Option<Desk> {
        let bin = installed(names)?;
        let house = House::new();
        for name in names {
            house.executable(name, &format!("#!/bin/sh\nexec '{}' \"$@\"\n", bin.join(name).display()));
        }
        let [claude, codex, gemini, aider] = std::array::from_fn(|_| Stub::open(0).unwrap());
        let project = house.repository("project");
        let root = project.path().canonicalize().unwrap().display().to_string();
        let settings = json!({ "hasCompletedOnboarding": true, "projects": { root: { "hasTrustDialogAccepted": true } } });
        let _ = house.file("home/.claude.json", &settings.to_string());
        let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#;
        let _ = house.file("home/.gemini/settings.json", settings);
        let desk = Desk { house, claude, codex, gemini, aider, project, begun: RefCell::default() };
        desk.configure_codex(desk.codex.port());
        Some(desk)
    }

    pub fn configure_codex(&self, port: u16) {
        let _ = self.house.file(
            "home/.codex/config.toml",
            &format!(
                "model = \"stub\"\nmodel_provider = \"stub\"\n[model_providers.stub]\nname = \"stub\"\n\
                 base_url = \"http://127.0.0.1:{port}/v1\"\nwire_api = \"responses\"\nenv_key = \"OPENAI_API_KEY\"\n\
                 request_max_retries = 1\nstream_max_retries = 1\n"
            ),
        );
    }

    pub fn niia<'a>(&'a self, words: &[&str]) -> Call<'a> {
        self.call(words, &BTreeMap::new())
    }

    /// With some variables other than usual; one that is empty is not there.
    pub fn call<'a>(&'a self, words: &[&str], other: &BTreeMap<&str, String>) -> Call<'a> {
        let at = |stub: &Stub| format!("http://127.0.0.1:{}", stub.port());
        let usual = [
            ("ANTHROPIC_BASE_URL", at(&self.claude)),
            ("ANTHROPIC_AUTH_TOKEN", "none".to_owned()),
            ("OPENAI_API_KEY", "none".to_owned()),
            ("OPENAI_API_BASE", at(&self.aider) + "/v1"),
            ("GEMINI_API_KEY", "none".to_owned()),
            ("GOOGLE_GEMINI_BASE_URL", at(&self.gemini)),
            ("HTTPS_PROXY", NOWHERE.to_owned()),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
        ];
        let call = usual.into_iter().fold(self.house.niia(words), |call, (name, value)| {
            match other.get(name).cloned().unwrap_or(value) {
                none if none.is_empty() => call,
                value => call.env(name, value),
            }
        });
        call.inside(self.project.path())
    }

    /// Starts a document and comes back with the run's id.
    pub fn begin(&self, name: &str, document: &Value) -> String {
        self.begin_with(name, document, &BTreeMap::new())
    }

    pub fn begin_with(&self, name: &str, document: &Value, other: &BTreeMap<&str, String>) -> String {
        let file = self.house.document(name, document).display().to_string();
        let run = self.call(&["run", &file, "--detach"], other).run().exits(0).run_id();
        self.begun.borrow_mut().push(run.clone());
        run
    }

    /// Ends whatever still runs.
    pub fn cancel_all(&self) {
        for run in self.begun.borrow().iter() {
            // One that is over cannot be cancelled, and need not.
            let _ = self.niia(&["cancel", run]).run();
            let _ = self.house.wait_over(run, CANCELLED_WITHIN);
        }
    }

    /// The text of what was committed on the run's line.
    pub fn committed(&self, run: &str, file: &str) -> String {
        self.project.show(&format!("niia/{run}/result"), file)
    }

    /// Everything below HOME that is the user's own, with its content.
    pub fn home(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let home = self.house.at("home");
        collect(&home, &home, &mut files);
        files
    }
}

fn collect(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(root, &path, files),
            Ok(kind) if kind.is_file() => {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                files.insert(name, fs::read(&path).unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// The workers' last attempts: phase/worker → attempt.
pub fn attempts(status: &Value, phase: &str, worker: &str) -> Vec<Value> {
    let phases = status["phases"].as_array().unwrap();
    let phase = phases.iter().find(|one| one["phase"] == phase).unwrap_or_else(|| panic!("{status}"));
    let workers = phase["workers"].as_array().unwrap();
    let worker = workers.iter().find(|one| one["worker"] == worker).unwrap_or_else(|| panic!("{status}"));
    worker["attempts"].as_array().unwrap().clone()
}
