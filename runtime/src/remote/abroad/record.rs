//! What is on disk of a run abroad: `abroad/<run>/run.json`, how it stood when it was last heard of, and its report.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use niia_actors::git::{ObjectId, Repository, RunTrees};
use niia_net::identity::NodeId;
use niia_spec::name::RunId;
use niia_spec::notice::RunView;
use serde::{Deserialize, Serialize};

use crate::remote::guest::write_whole;
use crate::remote::words::Told;
use niia_actors::ask::chain;

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Offered; whether it was taken is not known.
    Offered,
    Taken,
    /// It is over and its result is here.
    Collected,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    pub run: RunId,
    pub home: NodeId,
    pub repository: Option<PathBuf>,
    pub base: Option<ObjectId>,
    /// The folder it was begun in.
    pub cwd: PathBuf,
    /// Files of the user's own: by what they are called at home, where they belong here.
    pub outputs: BTreeMap<String, PathBuf>,
    /// Where the report is wanted.
    pub output: Option<PathBuf>,
    pub begun_at_ms: u64,
    pub standing: Standing,
    /// How it stood when it was last heard of.
    pub seen: Option<RunView>,
    pub withheld: Option<String>,
    #[serde(skip)]
    pub folder: PathBuf,
}

/// All that are on disk; one that cannot be read is said and left where it is.
pub fn all(folder: &Path) -> Vec<Record> {
    let entries = fs::read_dir(folder).map(|dir| dir.flatten().collect()).unwrap_or_else(|_| Vec::new());
    entries
        .into_iter()
        .filter_map(|entry| {
            let file = entry.path().join("run.json");
            match fs::read(&file).and_then(|bytes| Ok(serde_json::from_slice::<Record>(&bytes)?)) {
                Ok(record) => Some(Record { folder: entry.path(), ..record }),
                Err(error) => {
                    tracing::error!(file = %file.display(), %error, "a run abroad cannot be read");
                    None
                }
            }
        })
        .collect()
}

impl Record {
    pub fn keep(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        write_whole(&self.folder.join("run.json"), &serde_json::to_vec(self)?)
    }

    fn report(&self) -> PathBuf {
        self.folder.join("report.md")
    }

    /// Its branches here, where it works in a repository.
    pub fn trees(&self) -> Result<Option<RunTrees>, String> {
        let (Some(root), Some(base)) = (&self.repository, &self.base) else { return Ok(None) };
        let repository = Repository::discover(root).map_err(|error| chain(&error))?;
        let trees = RunTrees::begin(&repository, &self.run, &self.folder.join("git"), base);
        trees.map(Some).map_err(|error| chain(&error))
    }

    /// Takes what came from home. What is named there is foreign input.
    pub fn take(&mut self, told: Told, brought: Brought) -> Result<(), String> {
        if let Some(trees) = self.trees()? {
            if let Some(pack) = brought.pack {
                let file =
                    tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| error.to_string())?;
                fs::write(file.path(), pack).map_err(|error| error.to_string())?;
                trees.repository().take_in(file.path(), &[]).map_err(|error| chain(&error))?;
            }
            trees.take_over(&told.branches).map_err(|error| chain(&error))?;
        }
        let written = |path: &Path, bytes: &[u8]| {
            write_whole(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
        };
        if let Some(report) = brought.report {
            written(&self.report(), &report)?;
            if let Some(output) = self.output.as_ref().filter(|_| told.view.state.is_over()) {
                written(output, &report)?;
            }
        }
        for (name, bytes) in brought.written {
            if let Some(path) = self.outputs.get(&name) {
                written(path, &bytes)?;
            }
        }
        if told.view.state.is_over() {
            self.standing = Standing::Collected;
        }
        (self.seen, self.withheld) = (Some(told.view), told.withheld);
        self.keep().map_err(|error| error.to_string())
    }

    /// How it is shown here: what lies here is named as it lies here.
    pub fn shown(&self, view: RunView, home: &str) -> RunView {
        let report = self.report();
        let mut warnings = view.warnings;
        warnings.push(format!("its home is {home}"));
        warnings.extend(self.withheld.clone());
        RunView {
            origin: self.cwd.display().to_string(),
            repository: self.repository.as_ref().map(|root| root.display().to_string()),
            folder: self.folder.display().to_string(),
            report: report.is_file().then(|| report.display().to_string()),
            branch: view.branch.filter(|_| self.base.is_some() && self.withheld.is_none()),
            warnings,
            ..view
        }
    }

    /// Nothing of it stays: it was never begun.
    pub fn remove(&self) -> Result<(), String> {
        if let Some(trees) = self.trees()? {
            trees.repository().forget_run(self.run.as_str()).map_err(|error| chain(&error))?;
        }
        fs::remove_dir_all(&self.folder).map_err(|error| error.to_string())
    }
}

/// What came along with how it stands.
#[derive(Debug, Default)]
pub struct Brought {
    pub pack: Option<Vec<u8>>,
    pub report: Option<Vec<u8>>,
    pub written: Vec<(String, Vec<u8>)>,
}
