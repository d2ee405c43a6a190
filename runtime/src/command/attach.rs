//! `niia attach`: this terminal, joined to a session through the node.
//!
//! The node says what to paint first and how far the recording has grown; what was printed is read from the recording
//! itself, so that a viewer costs the node next to nothing.

mod fed;
mod joint;

use std::io::IsTerminal;

use tokio::sync::mpsc;

use self::joint::Joint;
use super::sessions::view_of;
use super::{Caller, say};
use crate::attach::{Left, Settings};
use crate::cli::sessions::Attach;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};

/// Events and acts on their way between the terminal and the node; output has a bound of its own, well below this.
const WAITING_MAX: usize = 64;

pub async fn attach(caller: &Caller, words: Attach) -> Result<Exit, Failure> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("`niia attach` needs a terminal")
            .help("`niia read` prints the screen, `niia logs -f` follows it"));
    }
    let prefix = caller.config()?.detach_key.unwrap_or_default().0;
    let mut client = caller.client().await?;
    let session = view_of(&mut client, &words.name.session).await?.session.to_string();
    let look = caller.look();
    let request =
        Request::Attach { session: session.clone(), cols: look.cols, rows: look.rows, take: words.take };
    client.tell(request).await?;
    // The terminal is left as it is until the node has agreed: a refusal is an ordinary message.
    let Some(first @ Reply::Painted { .. }) = client.next().await? else {
        return Err(Failure::out_of_turn("attach"));
    };
    let (events, shown) = mpsc::channel(WAITING_MAX);
    let (acts, done) = mpsc::channel(WAITING_MAX);
    let joint = tokio::spawn(Joint::new(client, events, caller.machine.is_some()).join(first, done));
    let settings = Settings { session: session.clone(), prefix, take: false };
    let attached = crate::attach::attach(std::io::stdin(), settings, shown, acts).await;
    joint.abort();
    let attached = attached.map_err(|error| Failure::trouble("the terminal cannot be used", error))?;
    let failure = joint.await.ok().and_then(Result::err);
    if attached.missed_bytes > 0 {
        let missed = crate::report::bytes(attached.missed_bytes);
        eprintln!(
            "{missed} were not shown here, because this terminal was too slow for them; `niia replay {session}` has them"
        );
    }
    left(caller, &session, attached.left, failure).await
}

async fn left(caller: &Caller, session: &str, left: Left, failure: Option<Failure>) -> Result<Exit, Failure> {
    match left {
        Left::Detached => say(&format!("detached; {session} goes on\n"))?,
        Left::Ended { .. } => say(&format!("{session} is over: {}\n", how_it_ended(caller, session).await))?,
        Left::HungUp => {}
        Left::Signal(_) => return Ok(Exit::Failed),
        Left::Disconnected => {
            let lost = || Failure::new(Exit::Unreachable, "the node went away");
            return Err(failure
                .unwrap_or_else(lost)
                .help(format!("{session} goes on: `niia attach {session}`")));
        }
    }
    Ok(Exit::Done)
}

/// The session's last state. That it cannot be had any more is no failure of the watching.
async fn how_it_ended(caller: &Caller, session: &str) -> String {
    let asked = async {
        let mut client = caller.client().await?;
        view_of(&mut client, session).await
    };
    match asked.await {
        Ok(view) => crate::report::neutral(&format!("{} ({})", view.state, view.rule)),
        Err(_) => "the node does not say how".to_owned(),
    }
}
