//! The run that is disturbed: three phases of four, three and one worker, each of which leaves a trace of its start,
//! prints numbered lines at full speed and writes a file that is committed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use niia_tests::{Call, House, Repository, numbered, wait_until};
use serde_json::{Value, json};

/// The workers of each phase.
pub const PHASES: [(&str, u32); 3] = [("one", 4), ("two", 3), ("three", 1)];
pub const WORKERS: usize = 8;

/// Time for a run with nothing to print, and for each megabyte its workers print together, on a busy machine.
const RUN_WITHIN: Duration = Duration::from_secs(90);
const MEGABYTE_WITHIN: Duration = Duration::from_millis(400);

/// A run in a house of its own.
pub struct Printers {
    pub house: House,
    pub project: Repository,
    pub document: PathBuf,
    megabytes: u64,
    /// The last phase's worker is a composer into which its prompt is typed.
    typed: bool,
}

impl Printers {
    pub fn new(megabytes: u64, typed: bool) -> Printers {
        let house = House::new();
        let project = house.repository("project");
        let trace = format!(
            "note {} {{env:NIIA_SESSION}}\nprint-mb {megabytes}\nwrite out-{{env:NIIA_PHASE}}-{{env:NIIA_WORKER}}.txt {{env:NIIA_SESSION}}\n",
            house.at("home/starts").display()
        );
        let printer = house.install("printer", &trace);
        let composer = house.install("composer", &format!("chat\ndigest\n{trace}exit 0\n"));
        let phase = |(name, workers): (&str, u32)| {
            let model = if typed && name == "three" { "composer" } else { "printer" };
            json!({ "name": name, "model": model, "workers": workers, "prompt": "Print all of it." })
        };
        let document = json!({
            "name": "printers",
            "models": {
                "printer": { "use": "command", "args": [printer] },
                "composer": { "use": "command", "args": [composer, "{typed}"] }
            },
            "pipeline": { "phases": PHASES.map(phase) }
        });
        let document = house.document("printers", &document);
        Printers { house, project, document, megabytes, typed }
    }

    /// Starts a node that dies at the named point, perhaps while it starts.
    pub fn start_node(&self, fail_point: Option<String>) {
        let _ = armed(self.house.niia(["daemon", "start"]), fail_point).run();
    }

    /// Hands the run to the node, which may die meanwhile; the name of the run, if it came so far.
    pub fn detach(&self) -> Option<String> {
        self.detach_or(None)
    }

    /// The same; where there is no node any more, the one that is started for it dies at the named point.
    pub fn detach_or(&self, fail_point: Option<String>) -> Option<String> {
        let words = [Path::new("run"), &self.document, Path::new("--detach")];
        let said = armed(self.house.niia(words), fail_point).inside(self.project.path()).run();
        (said.code == Some(0)).then(|| said.run_id())
    }

    /// Whether the run is known to be over; a node that is started for the question dies at the named point.
    pub fn is_over(&self, run: Option<&str>, fail_point: Option<String>) -> bool {
        let Some(run) = run else { return false };
        let said = armed(self.house.niia(["status", run, "--json"]), fail_point).run();
        let status: Result<Value, _> = serde_json::from_str(&said.out);
        status.is_ok_and(|status| status["state"] != "running")
    }

    /// The runs the node knows.
    pub fn runs(&self) -> Vec<String> {
        let said = self.house.niia(["runs", "--json"]).run().exits(0);
        let runs = said.json();
        let names = runs.as_array().into_iter().flatten().filter_map(|run| run["run"].as_str());
        names.map(str::to_owned).collect()
    }

    /// The node's process id as its lock has it; nothing while there is none that lives.
    pub fn node(&self) -> Option<u32> {
        let id = fs::read_to_string(self.house.at("state/run/lock")).ok()?.trim().parse().ok()?;
        self.house.residents().iter().any(|resident| resident.id == id).then_some(id)
    }

    /// How long all of it may take.
    pub fn within(&self) -> Duration {
        RUN_WITHIN + MEGABYTE_WITHIN * u32::try_from(self.megabytes).unwrap_or(u32::MAX) * 8
    }

    pub fn wait_over(&self, run: &str) -> Value {
        wait_until(&format!("{run} is over\n{}", self.log()), self.within(), || {
            let said = self.house.niia(["status", run, "--json"]).run();
            // A node that is killed while it is asked gives no answer; the next one does.
            let status: Value = serde_json::from_str(&said.out).ok()?;
            (status["state"] != "running").then_some(status)
        })
    }

    /// The run has ended right, as if nobody had been killed.
    pub fn check(&self, run: &str) {
        let status = self.wait_over(run);
        assert_eq!(status["state"], "done", "{status:#}\n{}", self.log());
        self.check_effects(run);
        self.check_journal(run);
        self.check_recordings(run);
        self.check_result(run);
    }

    /// The end of the node's own log, for whoever looks into a failure.
    pub fn log(&self) -> String {
        let log = fs::read_to_string(self.house.at("state/node.log"))
            .or_else(|_| fs::read_to_string(self.house.at("state/run/node.log")))
            .unwrap_or_default();
        let from = log.len().saturating_sub(4_000);
        log.get(from..).unwrap_or(&log).to_owned()
    }

    fn sessions_wanted(&self, run: &str) -> Vec<String> {
        let of = |(phase, workers): (&str, u32)| {
            (1..=workers).map(move |worker| format!("{phase}/{worker}/1")).collect::<Vec<_>>()
        };
        let mut wanted: Vec<String> =
            PHASES.into_iter().flat_map(of).map(|attempt| format!("{run}/{attempt}")).collect();
        wanted.sort();
        wanted
    }

    /// Each program ran once and did its work once.
    fn check_effects(&self, run: &str) {
        let starts = fs::read_to_string(self.house.at("home/starts")).unwrap();
        let mut starts: Vec<&str> = starts.lines().collect();
        starts.sort_unstable();
        assert_eq!(starts, self.sessions_wanted(run), "each session starts its program once");
    }

    /// Nothing stands in the journal twice: no start, no end, no gathering.
    fn check_journal(&self, run: &str) {
        let rows = self.house.niia(["explain", run, "--json"]).run().exits(0).json();
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for row in rows.as_array().unwrap() {
            let event = &row["event"];
            if event.to_string().contains("\"ended\"") || event.to_string().contains("\"gathered\"") {
                *counts.entry(key(event)).or_default() += 1;
            }
            for command in row["commands"].as_array().unwrap() {
                *counts.entry(key(command)).or_default() += 1;
            }
        }
        let twice: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "recorded twice: {twice:#?}");
        let ends = counts.keys().filter(|key| key.contains("ended")).count();
        assert_eq!(ends, WORKERS, "{counts:#?}");
    }

    /// What was recorded is what was printed, byte by byte.
    fn check_recordings(&self, run: &str) {
        let wanted = hash_of_printed(self.megabytes);
        let sessions = self.house.sessions(run);
        assert_eq!(sessions.len(), WORKERS);
        for session in &sessions {
            if self.typed && session["session"].to_string().contains("three") {
                self.check_typed(session);
                continue;
            }
            let (hash, bytes) = hash_of_recording(Path::new(session["folder"].as_str().unwrap()));
            assert!(hash == wanted, "{}: {bytes} bytes are recorded, and differ", session["session"]);
        }
    }

    /// The prompt arrived whole and was submitted once.
    fn check_typed(&self, session: &Value) {
        let printed = String::from_utf8_lossy(&self.house.recording(session)).into_owned();
        let digests: Vec<&str> = printed.lines().filter(|line| line.contains("sha256 ")).collect();
        assert_eq!(digests.len(), 1, "submitted once: {digests:?}");
        let wanted = format!("sha256 {} bytes", sha256("Print all of it."));
        assert!(digests[0].contains(&wanted), "{digests:?} is not {wanted}");
    }

    /// The work of all eight is in the result, and the user's own checkout is untouched.
    fn check_result(&self, run: &str) {
        let branch = format!("niia/{run}/result");
        for session in self.sessions_wanted(run) {
            let mut parts = session.split('/').skip(1);
            let (phase, worker) = (parts.next().unwrap(), parts.next().unwrap());
            let file = self.project.show(&branch, &format!("out-{phase}-{worker}.txt"));
            assert_eq!(file.trim(), session);
        }
        let files = self.project.git(["ls-tree", "--name-only", &branch]);
        assert_eq!(files.lines().filter(|file| file.starts_with("out-")).count(), WORKERS, "{files}");
        assert_eq!(self.project.git(["status", "--porcelain"]), "");
        let _ = self.project.git(["fsck", "--no-progress", "--connectivity-only"]);
    }
}

fn armed<'a>(call: Call<'a>, fail_point: Option<String>) -> Call<'a> {
    match fail_point {
        Some(point) => call.env("NIIA_FAIL_POINT", point),
        None => call,
    }
}

/// What is done by a row, without what may differ from one time to the next.
fn key(value: &Value) -> String {
    let mut value = value.clone();
    if let Some(ending) = value.pointer_mut("/ended/ending") {
        *ending = Value::Null;
    }
    if let Some(object) = value.as_object_mut() {
        object.retain(|name, _| !matches!(name.as_str(), "ending" | "gathering" | "outcome"));
    }
    value.to_string()
}

fn sha256(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The terminal turns each newline into a return and a newline.
fn hash_of_printed(megabytes: u64) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for number in 0..numbered::lines_of_megabytes(megabytes) {
        let line = numbered::line(number);
        hasher.update(line.trim_end_matches('\n').as_bytes()).update(b"\r\n");
    }
    hasher.finalize()
}

fn hash_of_recording(folder: &Path) -> (blake3::Hash, u64) {
    let entries = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let mut logs: Vec<PathBuf> = entries
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("log-")))
        .collect();
    logs.sort();
    let (mut hasher, mut bytes, mut buffer) = (blake3::Hasher::new(), 0, vec![0; 1 << 20]);
    for log in logs {
        let mut log = fs::File::open(log).unwrap();
        loop {
            let count = log.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            hasher.update(&buffer[..count]);
            bytes += count as u64;
        }
    }
    (hasher.finalize(), bytes)
}
