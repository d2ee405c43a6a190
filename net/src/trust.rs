//! Whom this node trusts, and with what. A peer is a key; names and addresses are only ways to find it.

mod store;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::identity::NodeId;

pub use store::{Trust, TrustError};

/// Peers a node remembers: more machines than anybody pairs by hand.
pub const PEERS_MAX: usize = 256;
/// Names and addresses kept of one peer: the newest.
pub const WAYS_MAX: usize = 16;
/// Characters of a name that another node gives itself.
pub const NAME_CHARS_MAX: usize = 64;

/// What a peer may do here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rights {
    /// Have workers and runs here.
    pub run: bool,
    /// See sessions, runs and what they print.
    pub read: bool,
    /// Type into sessions, end them.
    pub write: bool,
    /// Copy files to and from here.
    pub files: bool,
}

/// One of the rights, for asking and for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    Run,
    Read,
    Write,
    Files,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no right: there are run, read, write, files, all and none, with commas between them")]
pub struct RightsError {
    text: String,
}

impl Rights {
    pub const ALL: Rights = Rights { run: true, read: true, write: true, files: true };
    pub const NONE: Rights = Rights { run: false, read: false, write: false, files: false };

    #[must_use]
    pub fn has(&self, right: Right) -> bool {
        match right {
            Right::Run => self.run,
            Right::Read => self.read,
            Right::Write => self.write,
            Right::Files => self.files,
        }
    }

    fn list(&self) -> Vec<&'static str> {
        let each = [(self.run, "run"), (self.read, "read"), (self.write, "write"), (self.files, "files")];
        each.into_iter().filter(|(has, _)| *has).map(|(_, name)| name).collect()
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Right::Run => "run",
            Right::Read => "read",
            Right::Write => "write",
            Right::Files => "files",
        })
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = self.list();
        f.write_str(&if list.is_empty() { "none".to_owned() } else { list.join(",") })
    }
}

impl std::str::FromStr for Rights {
    type Err = RightsError;

    fn from_str(text: &str) -> Result<Rights, RightsError> {
        let mut rights = Rights::NONE;
        for word in text.split(',').map(str::trim) {
            match word {
                "run" => rights.run = true,
                "read" => rights.read = true,
                "write" => rights.write = true,
                "files" => rights.files = true,
                "all" => rights = Rights::ALL,
                "none" => {}
                _ => return Err(RightsError { text: word.to_owned() }),
            }
        }
        Ok(rights)
    }
}

/// A node this one trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    /// What it is called here.
    pub name: String,
    /// Names it ever announced, newest last.
    pub announced: Vec<String>,
    /// `HOST:PORT`, given by hand or seen, newest last.
    pub addresses: Vec<String>,
    pub rights: Rights,
    /// Profiles its workers may use here; nothing said means all.
    pub models: Option<Vec<String>>,
    /// Folders it may copy from and to; nothing said means its runs' own alone.
    pub folders: Vec<String>,
    pub added_at_ms: u64,
    /// A peer that carries what the two say to each other, where neither can be dialled by the other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via: Option<NodeId>,
}

impl Peer {
    /// Remembers a name the peer goes by.
    pub fn also_called(&mut self, name: &str) {
        remember(&mut self.announced, name);
    }

    pub fn also_at(&mut self, address: &str) {
        remember(&mut self.addresses, address);
    }

    fn is_called(&self, name: &str) -> bool {
        let same = |own: &String| plain(own) == plain(name);
        same(&self.name) || self.announced.iter().any(same)
    }
}

fn remember(list: &mut Vec<String>, new: &str) {
    list.retain(|old| old != new);
    list.push(new.to_owned());
    let over = list.len().saturating_sub(WAYS_MAX);
    list.drain(..over);
}

/// A host's name without the suffix of its network, in small letters.
#[must_use]
pub fn plain(name: &str) -> String {
    let small = name.trim().trim_end_matches('.').to_lowercase();
    small.strip_suffix(".local").map(str::to_owned).unwrap_or(small)
}

/// A name as another node gives it itself, fit to be shown: bounded, without what steers a terminal.
#[must_use]
pub fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect()
}

/// All peers, by their key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peers(pub BTreeMap<NodeId, Peer>);

/// What came of looking for a peer by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    One(NodeId),
    Several(Vec<NodeId>),
    None,
}

impl Peers {
    /// The peer a name means: its name here or one it announced, its fingerprint, or the beginning of that; `user@host`
    /// where several nodes share a host.
    #[must_use]
    pub fn named(&self, name: &str) -> Named {
        if let Ok(id) = name.parse::<NodeId>() {
            return if self.0.contains_key(&id) { Named::One(id) } else { Named::None };
        }
        let exact = self.0.iter().filter(|(_, peer)| plain(&peer.name) == plain(name));
        let exact: Vec<NodeId> = exact.map(|(id, _)| *id).collect();
        let found = match exact.len() {
            0 => self.0.iter().filter(|(_, peer)| peer.is_called(name)).map(|(id, _)| *id).collect(),
            _ => exact,
        };
        match found[..] {
            [one] => Named::One(one),
            [] => self.by_beginning(name),
            _ => Named::Several(found),
        }
    }

    fn by_beginning(&self, name: &str) -> Named {
        const SHORTEST: usize = 6;
        let fits = self.0.keys().filter(|id| name.len() >= SHORTEST && id.to_string().starts_with(name));
        match fits.copied().collect::<Vec<_>>()[..] {
            [one] => Named::One(one),
            [] => Named::None,
            ref several => Named::Several(several.to_vec()),
        }
    }
}

/// What somebody wants who has come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    /// To work together, as paired nodes do.
    Work,
    /// To pair.
    Pair,
}

/// Whether somebody is let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Work(Rights),
    /// He may say one thing: what he makes of the code.
    Pair,
    Unknown,
    /// Nobody is awaited who wants to pair.
    NoPairing,
    /// It is this node itself.
    Self_,
}

/// Decides by the key alone. Nothing the other end says of itself makes it more than it is.
#[must_use]
pub fn admit(peers: &Peers, own: NodeId, came: NodeId, want: Want, pairing_open: bool) -> Admission {
    match (peers.0.get(&came), want) {
        _ if came == own => Admission::Self_,
        (_, Want::Pair) if pairing_open => Admission::Pair,
        (_, Want::Pair) => Admission::NoPairing,
        (Some(peer), Want::Work) => Admission::Work(peer.rights),
        (None, Want::Work) => Admission::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> NodeId {
        NodeId::of_key(&[n])
    }

    fn peers() -> Peers {
        let peer = |name: &str, announced: &[&str]| Peer {
            name: name.to_owned(),
            announced: announced.iter().map(|s| (*s).to_owned()).collect(),
            rights: Rights { run: true, ..Rights::NONE },
            ..Peer::default()
        };
        Peers(BTreeMap::from([
            (id(1), peer("seoul", &["SEOUL-SERVER.local"])),
            (id(2), peer("ana@lab", &["lab.local"])),
            (id(3), peer("bo@lab", &["LAB"])),
        ]))
    }

    #[test]
    fn only_a_known_key_works_here_and_only_an_open_code_pairs() {
        let peers = peers();
        let decide = |came, want, open| admit(&peers, id(0), came, want, open);
        let run = Rights { run: true, ..Rights::NONE };
        assert_eq!(decide(id(1), Want::Work, false), Admission::Work(run));
        assert_eq!(decide(id(9), Want::Work, true), Admission::Unknown);
        assert_eq!(decide(id(9), Want::Pair, true), Admission::Pair);
        assert_eq!(decide(id(9), Want::Pair, false), Admission::NoPairing);
        assert_eq!(decide(id(0), Want::Pair, true), Admission::Self_);
    }

    #[test]
    fn a_host_is_found_by_every_name_it_ever_had_and_two_of_one_name_are_not_guessed_at() {
        let peers = peers();
        for name in ["seoul", "SEOUL", "seoul-server", "Seoul-Server.LOCAL", "seoul-server.local."] {
            assert_eq!(peers.named(name), Named::One(id(1)), "{name}");
        }
        assert_eq!(
            peers.named("lab"),
            Named::Several(peers.0.keys().copied().filter(|k| *k != id(1)).collect())
        );
        assert_eq!(peers.named("bo@lab"), Named::One(id(3)));
        assert_eq!(peers.named(&id(2).to_string()), Named::One(id(2)));
        assert_eq!(peers.named(&id(2).short()), Named::One(id(2)));
        for name in ["", "berlin", &id(2).to_string()[..4], &id(8).to_string()] {
            assert_eq!(peers.named(name), Named::None, "{name}");
        }
    }

    #[test]
    fn rights_are_read_as_they_are_written() {
        for text in ["run,read,write,files", "run", "none", "read,files"] {
            assert_eq!(text.parse::<Rights>().unwrap().to_string(), text);
        }
        assert_eq!("all".parse(), Ok(Rights::ALL));
        assert!("run,fly".parse::<Rights>().unwrap_err().to_string().starts_with("`fly` is no right"));
    }

    #[test]
    fn a_peer_that_announces_name_after_name_fills_nothing_up() {
        let mut peer = Peer::default();
        for n in 0..1_000 {
            peer.also_called(&format!("name-{n}"));
            peer.also_at("10.0.0.1:1");
        }
        assert_eq!((peer.announced.len(), peer.addresses.len()), (WAYS_MAX, 1));
        assert_eq!(peer.announced.last().unwrap(), "name-999");
        assert_eq!(shown(&format!("a\x1b[2J{}", "x".repeat(500))).chars().count(), NAME_CHARS_MAX);
    }
}
