//! Runs as their users see them: started, looked at, waited for.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::{House, Said, must, wait_until};

/// The folder of a node's program is left by it only when something is wrong with the machine itself.
const NODE_WITHIN: Duration = Duration::from_secs(30);

impl House {
    /// Writes a document as `NAME.connector.json`.
    pub fn document(&self, name: &str, document: &Value) -> PathBuf {
        self.file(&format!("{name}.connector.json"), &format!("{document:#}"))
    }

    /// Runs a document inside a folder and follows it to its end.
    #[must_use]
    pub fn run(&self, folder: &Path, document: &Path) -> Said {
        self.niia([Path::new("run"), document]).inside(folder).run()
    }

    /// Hands a document to the node and comes back with the run's id.
    #[must_use]
    pub fn detach(&self, folder: &Path, document: &Path) -> String {
        let call = self.niia([Path::new("run"), document, Path::new("--detach")]).inside(folder);
        call.run().exits(0).run_id()
    }

    /// The run as it stands now; the exit code only says so once more.
    #[must_use]
    pub fn status(&self, run: &str) -> Value {
        self.niia(["status", run, "--json"]).run().json()
    }

    /// The run once it is over, however it ended.
    #[must_use]
    pub fn wait_over(&self, run: &str, limit: Duration) -> Value {
        wait_until(&format!("{run} is over"), limit, || {
            let status = self.status(run);
            (status["state"] != "running").then_some(status)
        })
    }

    /// Ends the session of a run and waits until the run is over: a node that is sent home before lets a session go on.
    ///
    /// # Panics
    /// When it is not over within a minute.
    pub fn end(&self, run: &str) {
        drop(self.niia(["kill", run]).run().exits(0));
        let _ = self.wait_over(run, Duration::from_secs(60));
    }

    /// Every session of a run, those that are over too.
    #[must_use]
    pub fn sessions(&self, run: &str) -> Vec<Value> {
        let said = self.niia(["sessions", run, "--all", "--json"]).run().exits(0);
        match said.json() {
            Value::Array(sessions) => sessions,
            other => panic!("no list of sessions: {other}"),
        }
    }

    /// Every byte a session printed.
    #[must_use]
    pub fn recording(&self, session: &Value) -> Vec<u8> {
        let folder = Path::new(session["folder"].as_str().unwrap_or_default());
        let entries = must(&format!("look into {}", folder.display()), fs::read_dir(folder));
        let names = entries.flatten().map(|entry| entry.path());
        let is_log =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-"));
        let mut logs: Vec<PathBuf> = names.filter(is_log).collect();
        logs.sort();
        logs.iter().flat_map(|log| must("read a recording", fs::read(log))).collect()
    }

    /// The last phase's answer.
    #[must_use]
    pub fn report(&self, run: &str) -> String {
        let status = self.status(run);
        let path = status["report"].as_str().unwrap_or_else(|| panic!("{run} has no report: {status:#}"));
        must("read the report", fs::read_to_string(path))
    }

    /// The process id of the node, once it is there.
    #[must_use]
    pub fn node(&self) -> u32 {
        wait_until("the node is there", NODE_WITHIN, || {
            let said = self.niia(["daemon", "status", "--json"]).run();
            let node: Value = serde_json::from_str(&said.out).ok()?;
            node["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
        })
    }

    /// Lets everybody who lives here stand still, or go on.
    pub fn freeze(&self, frozen: bool) {
        let signal = if frozen { Signal::STOP } else { Signal::CONT };
        for resident in self.residents() {
            drop(resident.signal(signal));
        }
    }

    /// Ends one resident at once, as `kill -9` does.
    ///
    /// # Panics
    /// When nobody with this id lives here.
    pub fn kill(&self, id: u32) {
        let resident = self.residents().into_iter().find(|resident| resident.id == id);
        match resident {
            Some(resident) => resident.kill(),
            None => panic!("nobody with the id {id} lives here"),
        }
    }
}
