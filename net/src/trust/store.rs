//! The peers on disk: one file, replaced whole.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{PEERS_MAX, Peer, Peers};
use crate::identity::NodeId;

/// More than so many peers with all their names take; past it the file is something else.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error("the list of peers {path} cannot be used")]
    File { path: PathBuf, source: io::Error },
    #[error("the list of peers {path} is damaged; nobody is trusted by a guess")]
    Damaged { path: PathBuf, source: serde_json::Error },
    #[error("a node remembers {PEERS_MAX} peers; `niia peer rm` forgets one")]
    TooMany,
    #[error("the node {id} is no peer")]
    Unknown { id: NodeId },
}

/// The peers of this node, in memory and on disk. What cannot be kept is not believed.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    peers: Mutex<Peers>,
}

impl Trust {
    pub fn open(folder: &Path) -> Result<Trust, TrustError> {
        let path = folder.join("peers.json");
        let failed = |source| TrustError::File { path: path.clone(), source };
        let peers = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Peers::default(),
            Err(source) => return Err(failed(source)),
            Ok(about) if about.len() > FILE_BYTES_MAX => {
                return Err(failed(io::ErrorKind::FileTooLarge.into()));
            }
            Ok(_) => {
                let bytes = fs::read(&path).map_err(failed)?;
                serde_json::from_slice(&bytes)
                    .map_err(|source| TrustError::Damaged { path: path.clone(), source })?
            }
        };
        Ok(Trust { path, peers: Mutex::new(peers) })
    }

    pub fn peers(&self) -> Peers {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn get(&self, id: &NodeId) -> Option<Peer> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).0.get(id).cloned()
    }

    pub fn is_empty(&self) -> bool {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner).0.is_empty()
    }

    /// Trusts a node from now on, or changes what is known of it.
    pub fn put(&self, id: NodeId, peer: Peer) -> Result<(), TrustError> {
        self.change(|peers| {
            if peers.0.len() >= PEERS_MAX && !peers.0.contains_key(&id) {
                return Err(TrustError::TooMany);
            }
            peers.0.insert(id, peer);
            Ok(())
        })
    }

    /// Changes what is known of a peer, if it is one.
    pub fn update(&self, id: &NodeId, change: impl FnOnce(&mut Peer)) -> Result<(), TrustError> {
        self.change(|peers| {
            change(peers.0.get_mut(id).ok_or(TrustError::Unknown { id: *id })?);
            Ok(())
        })
    }

    /// Trusts it no longer.
    pub fn remove(&self, id: &NodeId) -> Result<Peer, TrustError> {
        let mut removed = None;
        self.change(|peers| {
            removed = Some(peers.0.remove(id).ok_or(TrustError::Unknown { id: *id })?);
            Ok(())
        })?;
        removed.ok_or(TrustError::Unknown { id: *id })
    }

    fn change(&self, change: impl FnOnce(&mut Peers) -> Result<(), TrustError>) -> Result<(), TrustError> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = peers.clone();
        change(&mut changed)?;
        if changed != *peers {
            self.keep(&changed).map_err(|source| TrustError::File { path: self.path.clone(), source })?;
            *peers = changed;
        }
        Ok(())
    }

    fn keep(&self, peers: &Peers) -> io::Result<()> {
        let folder = self.path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(&serde_json::to_vec_pretty(peers)?)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        fs::File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trust::Rights;

    #[test]
    fn trust_outlives_a_restart_and_ends_when_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let id = NodeId::of_key(b"peer");
        let trust = Trust::open(folder.path()).unwrap();
        assert!(trust.is_empty());
        let peer = Peer { name: "seoul".to_owned(), rights: Rights::ALL, ..Peer::default() };
        trust.put(id, peer.clone()).unwrap();
        trust.update(&id, |peer| peer.rights = Rights::NONE).unwrap();
        let again = Trust::open(folder.path()).unwrap();
        assert_eq!(again.get(&id), Some(Peer { rights: Rights::NONE, ..peer }));
        again.remove(&id).unwrap();
        assert!(Trust::open(folder.path()).unwrap().is_empty());
        assert!(matches!(again.remove(&id), Err(TrustError::Unknown { .. })));
    }

    #[test]
    fn a_damaged_list_trusts_nobody_and_a_full_one_takes_nobody_more() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("peers.json"), "{\"").unwrap();
        assert!(matches!(Trust::open(folder.path()), Err(TrustError::Damaged { .. })));
        fs::remove_file(folder.path().join("peers.json")).unwrap();
        let trust = Trust::open(folder.path()).unwrap();
        let all = (0..PEERS_MAX as u64).map(|n| (NodeId::of_key(&n.to_le_bytes()), Peer::default()));
        *trust.peers.lock().unwrap() = Peers(all.collect());
        let one_more = trust.put(NodeId::of_key(b"one more"), Peer::default());
        assert!(matches!(one_more, Err(TrustError::TooMany)));
    }
}
