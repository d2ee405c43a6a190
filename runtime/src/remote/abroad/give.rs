//! Giving a run away: it is written down, offered until it is known whether it was taken, and forgotten where it was not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository, RunTrees};
use niia_net::identity::NodeId;
use niia_net::reconnect;
use niia_spec::name::RunId;
use niia_spec::origin::Origin;
use niia_spec::plan::Plan;

use super::record::{Record, Standing};
use super::{Abroad, GIVEN_WITHIN, heard, heard_within, out_of_turn, refusal};
use crate::control::words::{Refusal, RefusalCode};
use crate::network::boottime;
use crate::node::accept;
use crate::remote::carry::Trouble;
use crate::remote::guest::blocking;
use crate::remote::repository_name;
use crate::remote::words::{HostOffer, Purpose, Word};

impl Abroad {
    /// Gives a run a home elsewhere. When this returns its name, it is durable there.
    pub async fn begin(
        self: &Arc<Self>,
        machine: &str,
        plan: Plan,
        origin: Origin,
    ) -> Result<(RunId, PathBuf), Refusal> {
        let network = self.network().map_err(|reason| refusal(RefusalCode::Trouble, reason))?;
        let home = network.named(machine).map_err(|message| Refusal {
            help: Some("`niia peer ls` lists them, `niia pair` adds one".to_owned()),
            ..refusal(RefusalCode::NotFound, message)
        })?;
        // Nothing is made here before the way there is known to be open.
        let reached = network.reach(&home).await;
        reached.map_err(|error| refusal(RefusalCode::State, chain(&error)))?;
        let run = accept::name(&plan.name);
        let (record, offer) = self.prepared(run.clone(), home, plan, origin).await?;
        self.put(record.clone());
        let given = self.given(&record, &offer).await;
        match given {
            Ok(()) => {
                let record = Record { standing: Standing::Taken, ..record };
                record.keep().map_err(|error| refusal(RefusalCode::Trouble, error.to_string()))?;
                let folder = record.folder.clone();
                self.put(record);
                tokio::spawn(Arc::clone(self).look_after(run.clone()));
                Ok((run, folder))
            }
            Err(Trouble::Broken(reason)) => {
                tokio::spawn(Arc::clone(self).look_after(run.clone()));
                let name = self.home_name(&home);
                let help = format!("`niia status {run}` says so once {name} is reached");
                let message = format!("nobody can say whether {name} has taken the run {run}: {reason}");
                Err(Refusal { help: Some(help), ..refusal(RefusalCode::State, message) })
            }
            Err(Trouble::Refused(reason) | Trouble::Home(reason)) => {
                self.forget(&run).await;
                let message = format!("{} refuses: {reason}", self.home_name(&home));
                Err(refusal(RefusalCode::Unsupported, message))
            }
        }
    }

    /// What is written down before the run is offered, and the offer.
    async fn prepared(
        &self,
        run: RunId,
        home: NodeId,
        mut plan: Plan,
        mut origin: Origin,
    ) -> Result<(Record, Vec<u8>), Refusal> {
        let mut outputs = BTreeMap::new();
        for (n, phase) in plan.phases.iter_mut().enumerate() {
            if let Some(path) = phase.output.take() {
                let name = format!("output-{n}");
                outputs.insert(name.clone(), origin.cwd.join(path));
                phase.output = Some(name);
            }
        }
        let mut record = Record {
            run: run.clone(),
            home,
            repository: origin.repository.take().filter(|_| accept::works_in_trees(&plan)),
            base: None,
            cwd: std::mem::take(&mut origin.cwd),
            outputs,
            output: origin.output.take(),
            begun_at_ms: niia_actors::session::wall_ms(),
            standing: Standing::Offered,
            seen: None,
            withheld: None,
            folder: self.folder.join(run.as_str()),
        };
        let made = tokio::task::spawn_blocking(move || {
            let trouble = |error: String| refusal(RefusalCode::Trouble, error);
            record.keep().map_err(|error| trouble(error.to_string()))?;
            if let Some(root) = &record.repository {
                let repository = Repository::discover(root).map_err(|error| trouble(chain(&error)))?;
                let git = record.folder.join("git");
                let base = accept::starting_point(&repository, &record.run, &git, origin.include_dirty);
                let base = base.inspect_err(|_| drop(std::fs::remove_dir_all(&record.folder)))?;
                RunTrees::begin(&repository, &record.run, &git, &base)
                    .map_err(|error| trouble(chain(&error)))?;
                (origin.base, record.base) = (Some(base.as_str().to_owned()), Some(base));
                record.keep().map_err(|error| trouble(error.to_string()))?;
            }
            let offer = serde_json::to_vec(&HostOffer { plan, origin });
            Ok((record, offer.map_err(|error| trouble(error.to_string()))?))
        });
        made.await.map_err(|error| refusal(RefusalCode::Trouble, error.to_string()))?
    }

    /// Offers it until it is known whether it was taken.
    async fn given(&self, record: &Record, offer: &[u8]) -> Result<(), Trouble> {
        let began = boottime();
        let mut failures = 0;
        loop {
            let trouble = match self.offered(record, offer).await {
                Err(Trouble::Broken(reason)) => reason,
                known => return known,
            };
            if boottime().saturating_sub(began) > GIVEN_WITHIN {
                return Err(Trouble::Broken(trouble));
            }
            failures += 1;
            tokio::time::sleep(reconnect::pause(failures, fastrand::u64(..))).await;
        }
    }

    async fn offered(&self, record: &Record, offer: &[u8]) -> Result<(), Trouble> {
        let repository = record.repository.as_ref().zip(record.base.as_ref());
        let name = repository.as_ref().map(|(root, _)| {
            let common = Repository::discover(root).map(|found| found.common_dir);
            repository_name(&common.unwrap_or_else(|_| root.to_path_buf()))
        });
        let purpose = Purpose::Host { run: record.run.clone(), repository: name };
        let mut talk = self.talk(&record.home, &purpose).await?;
        let known = match heard(&mut talk).await? {
            (Word::New { known }, _) => known,
            (Word::Known, _) => return Ok(()),
            (Word::Refused { reason }, _) => return Err(Trouble::Refused(reason)),
            (word, _) => return Err(out_of_turn(&word)),
        };
        talk.bring(&Word::Offer, offer).await?;
        if let Some((root, base)) = repository {
            let (root, base, folder) = (root.clone(), base.clone(), record.folder.clone());
            let pack = blocking(move || pack_of(&root, &folder, &base, &known)).await;
            if let Some(pack) = pack.map_err(|error| Trouble::Home(error.to_string()))? {
                talk.bring(&Word::Pack, &pack).await?;
            }
        }
        talk.say(&Word::Ready).await?;
        match heard_within(&mut talk, GIVEN_WITHIN).await? {
            (Word::Accepted, _) => Ok(()),
            (Word::Refused { reason }, _) => Err(Trouble::Refused(reason)),
            (word, _) => Err(out_of_turn(&word)),
        }
    }
}

fn pack_of(
    root: &Path,
    folder: &Path,
    base: &ObjectId,
    known: &[ObjectId],
) -> Result<Option<Vec<u8>>, String> {
    let repository = Repository::discover(root).map_err(|error| chain(&error))?;
    let room = tempfile::tempdir_in(folder).map_err(|error| error.to_string())?;
    let pack =
        repository.pack(room.path(), std::slice::from_ref(base), known).map_err(|error| chain(&error))?;
    pack.map(std::fs::read).transpose().map_err(|error| error.to_string())
}
