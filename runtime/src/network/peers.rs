//! The peers of this node, for people and programs.

use niia_net::identity::NodeId;
use niia_net::peer::CloseCode;
use niia_net::trust::{Named, Peer, Rights, TrustError};
use serde::{Deserialize, Serialize};

use super::{Network, NetworkError};

/// Another node as it is known here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PeerView {
    pub name: String,
    pub fingerprint: String,
    /// What it may do here; nothing where it is not paired.
    pub rights: Option<String>,
    /// Names it ever announced.
    pub announced: Vec<String>,
    pub addresses: Vec<String>,
    /// The peer over which it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// Folders it may copy from and to here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub folders: Vec<String>,
    /// Profiles it may use here; nothing means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Heard of on the local network just now.
    pub nearby: bool,
    pub linked: bool,
    /// It shows a code just now.
    pub pairs: bool,
}

impl Network {
    /// All peers, and the nodes nearby that are none. Looking opens no port by itself.
    pub async fn views(&self) -> Vec<PeerView> {
        let open = self.open.lock().await.clone();
        let nearby = open.and_then(|open| open.discovery.as_ref().map(|seen| seen.all())).unwrap_or_default();
        let mut views: Vec<PeerView> = self.trust.peers().0.keys().map(|id| self.view_of(id)).collect();
        for sighting in nearby {
            let fingerprint = sighting.id.to_string();
            if let Some(view) = views.iter_mut().find(|view| view.fingerprint == fingerprint) {
                (view.nearby, view.pairs) = (true, sighting.pairs);
                continue;
            }
            views.push(PeerView {
                name: format!("{}@{}", sighting.user, sighting.host),
                fingerprint,
                rights: None,
                announced: vec![sighting.host],
                addresses: sighting.addresses.iter().map(ToString::to_string).collect(),
                via: None,
                folders: Vec::new(),
                models: None,
                nearby: true,
                linked: false,
                pairs: sighting.pairs,
            });
        }
        views
    }

    pub fn view_of(&self, id: &NodeId) -> PeerView {
        let peer = self.trust.get(id);
        let rights = peer.as_ref().map(|peer| peer.rights.to_string());
        let peer = peer.unwrap_or_default();
        PeerView {
            name: peer.name,
            fingerprint: id.to_string(),
            rights,
            announced: peer.announced,
            addresses: peer.addresses,
            via: peer.via.map(|via| self.trust.get(&via).map_or_else(|| via.short(), |peer| peer.name)),
            folders: peer.folders,
            models: peer.models,
            nearby: false,
            linked: self.linked(id).is_some(),
            pairs: false,
        }
    }

    /// The peer a name means.
    pub fn named(&self, name: &str) -> Result<NodeId, String> {
        match self.trust.peers().named(name) {
            Named::One(id) => Ok(id),
            Named::None => Err(names_nobody(name)),
            Named::Several(ids) => {
                let ids: Vec<String> = ids.iter().map(NodeId::short).collect();
                Err(format!(
                    "`{name}` fits several peers: {}; their fingerprints tell them apart",
                    ids.join(", ")
                ))
            }
        }
    }

    /// Trusts a node whose fingerprint a person has compared.
    pub async fn add(
        &self,
        name: &str,
        address: &str,
        id: NodeId,
        rights: Rights,
    ) -> Result<PeerView, NetworkError> {
        let mut peer = self.trust.get(&id).unwrap_or_default();
        name.clone_into(&mut peer.name);
        peer.also_at(address);
        (peer.rights, peer.added_at_ms) = (rights, niia_actors::session::wall_ms());
        self.trust.put(id, peer)?;
        tracing::info!(peer = %id, name, %rights, "added");
        self.opened().await?;
        Ok(self.view_of(&id))
    }

    /// Trusts a node no longer: its link ends at once.
    pub async fn remove(&self, id: &NodeId) -> Result<Peer, TrustError> {
        let peer = self.trust.remove(id)?;
        tracing::info!(peer = %id, name = peer.name, "removed");
        self.links.close(id, CloseCode::Revoked, "this peer was removed there");
        self.close_unneeded().await;
        Ok(peer)
    }

    /// Folders and models are left as they are where nothing is said of them.
    pub fn allow(
        &self,
        id: &NodeId,
        rights: Rights,
        folders: Option<Vec<String>>,
        models: Option<Vec<String>>,
    ) -> Result<PeerView, TrustError> {
        self.trust.update(id, |peer| {
            peer.rights = rights;
            peer.folders = folders.unwrap_or_else(|| std::mem::take(&mut peer.folders));
            peer.models = models.or_else(|| peer.models.take());
        })?;
        tracing::info!(peer = %id, %rights, "rights changed");
        Ok(self.view_of(id))
    }
}

/// What is said where a name fits no peer.
pub fn names_nobody(name: &str) -> String {
    format!("no machine that is paired with this one is called `{name}`")
}
