//! The breakers of this machine: shared by all runs of its node, kept on disk so that a node that is started again
//! knows them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use niia_spec::breaker::{Breakers, Open};
use niia_spec::course::Outcome;
use niia_spec::plan::ModelPlan;
use niia_spec::profile::Profile;
use serde::{Deserialize, Serialize};

const FILE: &str = "breakers.json";

/// Clones share the state.
#[derive(Clone, Debug, Default)]
pub struct BreakerRoom(Arc<Mutex<Room>>);

#[derive(Debug, Default)]
struct Room {
    file: PathBuf,
    breakers: Breakers,
}

/// Times are those of one boot of the machine.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    boot: String,
    breakers: Breakers,
}

/// One that stands now, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub provider: String,
    pub open: Open,
    pub left_ms: u64,
}

impl BreakerRoom {
    pub fn open(state_folder: &Path) -> BreakerRoom {
        let file = state_folder.join(FILE);
        let stored = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Stored>(&bytes).ok());
        let breakers = stored.filter(|stored| stored.boot == boot()).map(|stored| stored.breakers);
        BreakerRoom(Arc::new(Mutex::new(Room { file, breakers: breakers.unwrap_or_default() })))
    }

    /// Why the provider is not asked now, and for how long.
    pub fn stands(&self, key: &str) -> Option<(Open, u64)> {
        self.with(|room| room.breakers.stands(key, now_ms()).map(|(open, left)| (open.clone(), left)))
    }

    pub fn all(&self) -> Vec<Standing> {
        self.with(|room| {
            let all = room.breakers.all(now_ms()).into_iter();
            all.map(|(key, open, left_ms)| Standing {
                provider: key.split('@').next().unwrap_or(key).to_owned(),
                open: open.clone(),
                left_ms,
            })
            .collect()
        })
    }

    pub fn note(&self, key: &str, outcome: &Outcome, again_in_ms: Option<u64>) {
        self.with(|room| {
            if room.breakers.note(key, outcome, again_in_ms, now_ms())
                && let Err(error) = room.keep()
            {
                // They are known as long as the node runs; a next one learns them anew.
                tracing::warn!(%error, "the breakers are not on disk");
            }
        });
    }

    fn with<T>(&self, look: impl FnOnce(&mut Room) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Room {
    fn keep(&self) -> std::io::Result<()> {
        let stored = Stored { boot: boot(), breakers: self.breakers.clone() };
        let beside = self.file.with_extension("new");
        fs::write(&beside, serde_json::to_vec(&stored)?)?;
        fs::rename(beside, &self.file)
    }
}

/// Who is asked: the profile's provider, by the address and with the login that hold here. Another login, or another
/// address, is somebody else. Nothing for a plain program, which asks nobody.
pub fn key(profile: &Profile, model: &ModelPlan, env: &BTreeMap<String, String>) -> Option<String> {
    if profile.errors.is_empty() {
        return None;
    }
    let mut hash = blake3::Hasher::new();
    let mut add = |part: &[u8]| {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    };
    for name in profile.sandboxed.base_url_env.iter().chain(&profile.preflight.login_env) {
        let value = model.env.get(name).or_else(|| env.get(name)).map(String::as_str).unwrap_or_default();
        add(name.as_bytes());
        add(value.as_bytes());
    }
    let home = env.get("HOME").map(String::as_str).unwrap_or_default();
    for file in &profile.preflight.login_files {
        let changed =
            fs::metadata(file.replace("{home}", home)).map(|found| (found.ctime(), found.ctime_nsec()));
        add(format!("{:?}", changed.ok()).as_bytes());
    }
    Some(format!("{}@{}", profile.id, &hash.finalize().to_hex()[..16]))
}

/// Counts sleep as well: who is back in an hour is back then.
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec).unwrap_or_default() * 1000
        + u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000_000
}

fn boot() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use niia_spec::course::Unavailable;

    #[test]
    fn a_node_that_is_started_again_knows_who_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let room = BreakerRoom::open(folder.path());
        let refused = Outcome::Unavailable { class: Unavailable::RateLimited, reason: "429".into() };
        room.note("claude@x", &refused, None);
        let again = BreakerRoom::open(folder.path());
        assert_eq!(again.stands("claude@x").unwrap().0.class, Unavailable::RateLimited);
        assert_eq!(again.all()[0].provider, "claude");
        again.note("claude@x", &Outcome::Done, None);
        assert_eq!(BreakerRoom::open(folder.path()).stands("claude@x"), None);
        fs::write(folder.path().join(FILE), "{").unwrap();
        assert_eq!(BreakerRoom::open(folder.path()).all(), []);
    }
}
