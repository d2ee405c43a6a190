//! Letters to people on other machines: what an agent tells everybody is also for those whose machines the document
//! names.
//!
//! A letter is on disk here before it is sent, and on disk there before it counts as sent; one that comes twice is the
//! same letter.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use niia_actors::ask::chain;
use niia_net::frame;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_net::reconnect;
use niia_net::trust::Rights;
use niia_spec::notice::{InboxView, LetterView};
use niia_spec::plan::Plan;
use niia_spec::plan::draw::is_one_of;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::guest::write_whole;
use super::machine::hosts_of;
use super::words::Purpose;
use crate::network::Network;
use crate::notify::Notifier;

/// Letters of other machines that are kept for people; of more the oldest go.
pub const LETTERS_MAX: usize = 1_000;
/// Letters that wait to be sent; what is said past it is said here alone.
const WAITING_MAX: usize = 1_000;
/// The longest letter: as much as a mailbox takes, and some more.
const LETTER_BYTES_MAX: usize = 256 * 1024;
/// How long the other end may take to keep one.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// A letter on its way.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct OnItsWay {
    to: NodeId,
    letter: InboxView,
}

/// What is said when it has arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Kept,
    Refused { reason: String },
}

/// Letters that leave this machine, and those that came for its people.
#[derive(Debug)]
pub struct Letters {
    leaving: PathBuf,
    came: PathBuf,
    network: Option<Arc<Network>>,
    notifier: Notifier,
    more: Notify,
}

impl Letters {
    pub fn new(state_folder: &Path, network: Option<Arc<Network>>, notifier: Notifier) -> Letters {
        let folder = state_folder.join("letters");
        let (leaving, came) = (folder.join("leaving"), folder.join("came"));
        Letters { leaving, came, network, notifier, more: Notify::new() }
    }

    /// The paired machines that a document names, but for this one.
    fn readers(&self, plan: &Plan) -> BTreeSet<NodeId> {
        let Some(network) = &self.network else { return BTreeSet::new() };
        let own = network.hosts();
        let workers = plan.phases.iter().flat_map(|phase| phase.work.workers());
        let chosen = workers.flat_map(|worker| &worker.machine).flat_map(|choice| hosts_of(plan, choice));
        let hosts = plan.machines.values().map(|machine| machine.host.as_str());
        let hosts = hosts.chain(chosen.map(|(host, _)| host)).filter(|host| !is_one_of(host, &own));
        hosts.filter_map(|host| network.named(host).ok()).collect()
    }

    /// Sends a letter to the people of all machines that a document names. What cannot be kept for sending is told.
    pub fn send(&self, plan: &Plan, letter: &InboxView) -> io::Result<()> {
        for to in self.readers(plan) {
            if list(&self.leaving).len() >= WAITING_MAX {
                return Err(io::Error::other(format!("{WAITING_MAX} letters wait to be sent already")));
            }
            let on_its_way = OnItsWay { to, letter: letter.clone() };
            let name = format!("{}.json", file_name(&to.short(), letter));
            keep(&self.leaving, &name, &serde_json::to_vec(&on_its_way)?)?;
        }
        self.more.notify_one();
        Ok(())
    }

    /// Carries what waits, until the node ends.
    pub async fn carry(self: Arc<Self>) {
        let mut failures = 0;
        loop {
            let left = self.carry_all().await;
            if left == 0 {
                failures = 0;
                self.more.notified().await;
                continue;
            }
            failures += 1;
            let pause = reconnect::pause(failures, fastrand::u64(..));
            // Somebody else may be reached at once.
            let _ = tokio::time::timeout(pause, self.more.notified()).await;
        }
    }

    /// How many could not be sent now.
    async fn carry_all(&self) -> usize {
        let mut away = BTreeSet::new();
        let mut left = 0;
        for path in list(&self.leaving) {
            let read = fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice::<OnItsWay>(&bytes)?));
            let on_its_way = match read {
                Ok(on_its_way) => on_its_way,
                Err(error) => {
                    tracing::error!(path = %path.display(), %error, "a letter cannot be read");
                    continue;
                }
            };
            if away.contains(&on_its_way.to) {
                left += 1;
                continue;
            }
            match self.sent(&on_its_way).await {
                Ok(()) => drop(fs::remove_file(&path)),
                Err(reason) => {
                    tracing::debug!(to = %on_its_way.to, reason, "a letter waits");
                    away.insert(on_its_way.to);
                    left += 1;
                }
            }
        }
        left
    }

    async fn sent(&self, on_its_way: &OnItsWay) -> Result<(), String> {
        let network = self.network.as_ref().ok_or("this node reaches nobody")?;
        if network.trust().get(&on_its_way.to).is_none() {
            return Ok(()); // Nobody to write to any more.
        }
        let link = network.reach(&on_its_way.to).await.map_err(|error| chain(&error))?;
        let mut stream = link.open(&Purpose::Letter).await.map_err(|error| chain(&error))?;
        frame::write(&mut stream, &on_its_way.letter).await.map_err(|error| chain(&error))?;
        let said = tokio::time::timeout(KEPT_WITHIN, frame::read(&mut stream)).await;
        match said.map_err(|_| "it does not answer".to_owned())?.map_err(|error| chain(&error))? {
            Said::Kept => Ok(()),
            Said::Refused { reason } => {
                tracing::warn!(to = %on_its_way.to, reason, "a letter is refused");
                Ok(())
            }
        }
    }

    /// Keeps a letter that came for people here.
    pub async fn take(&self, from: &NodeId, mut stream: Stream) -> Result<(), String> {
        let letter: InboxView =
            frame::read_up_to(&mut stream, LETTER_BYTES_MAX).await.map_err(|e| chain(&e))?;
        let said = match self.taken(from, letter).await {
            Ok(()) => Said::Kept,
            Err(reason) => {
                tracing::warn!(peer = %from, reason, "a letter is refused");
                Said::Refused { reason }
            }
        };
        frame::write(&mut stream, &said).await.map_err(|error| chain(&error))
    }

    async fn taken(&self, from: &NodeId, mut view: InboxView) -> Result<(), String> {
        let peer = self.network.as_ref().and_then(|network| network.trust().get(from));
        let peer = peer.filter(|peer| peer.rights != Rights::NONE);
        let peer =
            peer.ok_or_else(|| format!("{from} may do nothing here, so it writes to nobody either"))?;
        view.letter.from = format!("{} on {}", view.letter.from, peer.name);
        view.letter.read = false;
        let name = format!("{}.json", file_name(&from.short(), &view));
        // Said once more it has another time, and is the same letter.
        let letter = |path: &Path| {
            let stem = path.file_stem()?.to_string_lossy().into_owned();
            Some(stem.split_once('-')?.1.to_owned())
        };
        let same = |path: &PathBuf| letter(path) == letter(Path::new(&name));
        if list(&self.came).iter().any(same) {
            return Ok(());
        }
        let bytes = serde_json::to_vec(&view).map_err(|error| error.to_string())?;
        keep(&self.came, &name, &bytes).map_err(|error| error.to_string())?;
        let all = list(&self.came);
        for old in all.iter().take(all.len().saturating_sub(LETTERS_MAX)) {
            // What cannot be removed now is removed with the next letter.
            let _ = fs::remove_file(old);
        }
        let (notifier, from) = (self.notifier.clone(), view.letter.from);
        tokio::spawn(
            async move { notifier.tell(&format!("niia: {from} writes to you: `niia inbox`")).await },
        );
        Ok(())
    }

    /// What came, the oldest first; taking them marks them as read.
    pub fn inbox(&self, all: bool, take: bool) -> Vec<InboxView> {
        let mut found = Vec::new();
        for path in list(&self.came) {
            let read = path.extension().is_some_and(|end| end == "read");
            if read && !all {
                continue;
            }
            let Ok(bytes) = fs::read(&path) else { continue };
            let Ok(mut view) = serde_json::from_slice::<InboxView>(&bytes) else { continue };
            view.letter.read = read;
            if take && !read {
                // One that cannot be marked is shown once more.
                let _ = fs::rename(&path, path.with_extension("read"));
            }
            found.push(view);
        }
        found
    }
}

/// Files of a folder in the order of their names, which is that of their times.
fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "json" || end == "read")).collect();
    all.sort();
    all
}

fn keep(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    write_whole(&folder.join(name), bytes)
}

/// The same for the same letter, and nothing that it says itself.
fn file_name(who: &str, view: &InboxView) -> String {
    let LetterView { id, at_ms, .. } = &view.letter;
    let hash = niia_net::hash(format!("{}\n{id}", view.run).as_bytes());
    format!("{at_ms:016}-{who}-{}", &hash[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use niia_spec::name::Slug;

    fn letter(n: u64) -> InboxView {
        InboxView {
            run: Slug::nearest("team"),
            letter: LetterView {
                id: format!("id-{n}/../x"),
                from: "mesh/codex".to_owned(),
                to: "person".to_owned(),
                text: format!("push {n} is fine"),
                at_ms: n,
                read: false,
                fate: String::new(),
                cause: None,
            },
        }
    }

    #[test]
    fn a_letter_is_named_by_what_it_is_and_leads_nowhere() {
        let (one, two) = (file_name("ab", &letter(1)), file_name("ab", &letter(2)));
        assert_eq!(one, file_name("ab", &letter(1)));
        assert!(one < two && !one.contains('/') && !one.contains('.'), "{one}");
    }

    #[test]
    fn what_came_is_shown_in_order_until_it_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let notifier = Notifier::new(&crate::config::Config::default());
        let letters = Letters::new(folder.path(), None, notifier);
        for n in [2, 1] {
            let name = format!("{}.json", file_name("ab", &letter(n)));
            keep(&letters.came, &name, &serde_json::to_vec(&letter(n)).unwrap()).unwrap();
        }
        let texts = |all, take| -> Vec<String> {
            letters.inbox(all, take).into_iter().map(|view| view.letter.text).collect()
        };
        assert_eq!(texts(false, true), ["push 1 is fine", "push 2 is fine"]);
        assert_eq!(texts(false, false), Vec::<String>::new());
        assert_eq!(texts(true, false).len(), 2);
    }
}
