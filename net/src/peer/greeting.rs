//! The first frames: who one is, what one wants, and the answer.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::PeerError;
use super::link::{CloseCode, PeerLink, Stream, broken};
use super::outgoing::{Lively, Outgoing};
use crate::endpoint::Shaken;
use crate::frame;
use crate::identity::NodeId;
use crate::link::LinkError;
use crate::trust::{Admission, Rights, Want, shown};
use crate::wire::Hello;

/// What nodes speak with one another, as both say in their greeting.
pub(super) const SPOKEN: &str = "niia nodes";
/// How long the other end may take to greet.
pub(super) const GREETING_WITHIN: Duration = Duration::from_secs(10);
/// A greeting is short; a stranger gets no more memory than that.
pub(super) const GREETING_BYTES_MAX: usize = 16 * 1024;
/// How long a refused end is given to read why.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// What an end says of itself first. Only the handshake's key is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    pub hello: Hello,
    pub name: String,
    pub incarnation: u64,
    pub want: Want,
}

impl Greeting {
    pub fn new(name: &str, incarnation: u64, build: &str, want: Want) -> Greeting {
        Greeting { hello: Hello::new(SPOKEN, build), name: name.to_owned(), incarnation, want }
    }
}

/// The answer of the end that was dialled.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    Welcome { greeting: Box<Greeting> },
    Refused(Refused),
}

/// Why somebody was not let in, in the same words for both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct Refused {
    pub why: RefusedWhy,
    /// The node that refuses, and the one that came.
    pub by: NodeId,
    pub came: NodeId,
    /// More of it, where there is more.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusedWhy {
    NotPaired,
    NoPairing,
    Version,
    Itself,
    WrongCode,
    /// Words that fit no greeting.
    Nonsense,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.why {
            RefusedWhy::NotPaired => {
                f.write_str("the two nodes are not paired: `niia pair` on both pairs them")
            }
            RefusedWhy::NoPairing => {
                f.write_str("nobody is awaited there who wants to pair: begin with `niia pair` there")
            }
            RefusedWhy::Version => f.write_str("the two nodes are too far apart in their versions"),
            RefusedWhy::Itself => f.write_str("that is this very node"),
            RefusedWhy::WrongCode => f.write_str("the code was wrong"),
            RefusedWhy::Nonsense => f.write_str("what was said is no greeting"),
        }?;
        if !self.detail.is_empty() {
            write!(f, ": {}", shown_detail(&self.detail))?;
        }
        write!(f, " (refused by {}, came from {})", self.by, self.came)
    }
}

fn shown_detail(text: &str) -> String {
    const DETAIL_CHARS_MAX: usize = 300;
    text.chars().filter(|c| !c.is_control()).take(DETAIL_CHARS_MAX).collect()
}

/// The other end has greeted and was let in to work, or may say what it makes of a code.
#[derive(Debug)]
pub enum Welcomed {
    Work(PeerLink),
    Pair(Box<Pairing>),
}

/// A stranger who may pair, and nothing else.
#[derive(Debug)]
pub struct Pairing {
    pub(super) shaken: Shaken,
    pub(super) control: Stream,
    pub name: String,
}

/// Refuses in words, and gives the other end the time to read them.
#[derive(Debug)]
pub struct Refusing {
    shaken: Shaken,
    control: Option<Stream>,
    pub refused: Refused,
}

impl Refusing {
    pub(super) fn new(shaken: Shaken, control: Option<Stream>, refused: Refused) -> Refusing {
        Refusing { shaken, control, refused }
    }

    pub async fn tell(mut self) -> Refused {
        let text = self.refused.to_string();
        if let Some(control) = &mut self.control {
            let said = frame::write(control, &Answer::Refused(self.refused.clone())).await;
            if said.is_ok() {
                control.writer_mut().finish();
                // It has been read, or the other end has left: either way there is nothing more to say.
                let _ = tokio::time::timeout(READ_WITHIN, control.writer_mut().stopped()).await;
            }
        }
        self.shaken.connection.close(CloseCode::Refused.number(), text.as_bytes());
        self.refused
    }
}

/// The end that was dialled: reads the greeting, asks `decide`, answers.
pub async fn admit_work(
    shaken: Shaken,
    own: NodeId,
    ours: Greeting,
    decide: impl FnOnce(NodeId, Want) -> Admission,
) -> Result<Welcomed, Box<Refusing>> {
    let refused = |why, detail: String| Refused { why, by: own, came: shaken.id, detail };
    let (mut control, theirs) = match first_frame(&shaken).await {
        Ok(came) => came,
        Err(error) => {
            let refused = refused(RefusedWhy::Nonsense, error.to_string());
            return Err(Box::new(Refusing::new(shaken, None, refused)));
        }
    };
    let refusal = match ours.hello.agree(&theirs.hello) {
        Err(error) => Some((RefusedWhy::Version, error.to_string())),
        Ok(_) => None,
    };
    let admission = decide(shaken.id, theirs.want);
    let refusal = refusal.or(match admission {
        Admission::Work(_) | Admission::Pair => None,
        Admission::Unknown => Some((RefusedWhy::NotPaired, String::new())),
        Admission::NoPairing => Some((RefusedWhy::NoPairing, String::new())),
        Admission::Self_ => Some((RefusedWhy::Itself, String::new())),
    });
    if let Some((why, detail)) = refusal {
        let refused = refused(why, detail);
        return Err(Box::new(Refusing::new(shaken, Some(control), refused)));
    }
    let version = ours.hello.version.min(theirs.hello.version);
    let welcome = Answer::Welcome { greeting: Box::new(ours) };
    if let Err(error) = frame::write(&mut control, &welcome).await {
        let refused = refused(RefusedWhy::Nonsense, error.to_string());
        return Err(Box::new(Refusing::new(shaken, None, refused)));
    }
    let name = shown(&theirs.name);
    Ok(match admission {
        Admission::Work(rights) => {
            let about = (name, theirs.incarnation, version);
            Welcomed::Work(PeerLink::new(shaken, control, about, rights))
        }
        _ => Welcomed::Pair(Box::new(Pairing { shaken, control, name })),
    })
}

async fn first_frame(shaken: &Shaken) -> Result<(Stream, Greeting), PeerError> {
    let greeting = async {
        let (writer, reader) = shaken.connection.accept_bi().await.map_err(broken)?;
        let mut control =
            tokio::io::join(reader, Outgoing::new(writer, shaken.tap.clone(), Lively::default()));
        let greeting: Greeting = frame::read_up_to(&mut control, GREETING_BYTES_MAX).await?;
        Ok((control, greeting))
    };
    tokio::time::timeout(GREETING_WITHIN, greeting).await.unwrap_or(Err(PeerError::Silent))
}

/// The end that dialled: checks the key, greets, and believes in the connection once it is welcomed.
pub async fn greet(
    shaken: Shaken,
    own: NodeId,
    wanted: Option<NodeId>,
    ours: Greeting,
    rights: Rights,
) -> Result<Welcomed, PeerError> {
    if let Some(wanted) = wanted.filter(|wanted| *wanted != shaken.id) {
        let error = PeerError::WrongKey { wanted, came: shaken.id };
        let reason = format!(
            "a key was met that is not the expected one: {} instead of {wanted}; met by {own}",
            shaken.id
        );
        shaken.connection.close(CloseCode::WrongKey.number(), reason.as_bytes());
        return Err(error);
    }
    let want = ours.want;
    let greeting = async {
        let (writer, reader) = shaken.connection.open_bi().await.map_err(broken)?;
        let mut control =
            tokio::io::join(reader, Outgoing::new(writer, shaken.tap.clone(), Lively::default()));
        frame::write(&mut control, &ours).await?;
        let answer: Answer = frame::read_up_to(&mut control, GREETING_BYTES_MAX).await?;
        Ok::<_, PeerError>((control, answer))
    };
    let greeting = tokio::time::timeout(GREETING_WITHIN, greeting).await.unwrap_or(Err(PeerError::Silent));
    let (control, answer) = match greeting {
        Ok(came) => came,
        // What the connection itself was closed with says more than a stream that broke.
        Err(PeerError::Link(LinkError::Stream { .. })) if shaken.connection.close_reason().is_some() => {
            return Err(broken(shaken.connection.closed().await));
        }
        Err(error) => return Err(error),
    };
    let theirs = match answer {
        Answer::Refused(refused) => return Err(refused.into()),
        Answer::Welcome { greeting } => greeting,
    };
    let version = ours.hello.agree(&theirs.hello).map_err(LinkError::from)?;
    let name = shown(&theirs.name);
    Ok(match want {
        Want::Work => {
            let about = (name, theirs.incarnation, version);
            Welcomed::Work(PeerLink::new(shaken, control, about, rights))
        }
        Want::Pair => Welcomed::Pair(Box::new(Pairing { shaken, control, name })),
    })
}
