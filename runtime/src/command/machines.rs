//! Other machines: pairing, peers, and the remote twins of local verbs.

use niia_net::trust::Rights;

use super::{Caller, attach, done, run, say, serve, sessions};
use crate::cli::machines::{Pair, Peer, PeerVerb, Remote, RemoteVerb};
use crate::cli::runs::Run;
use crate::cli::sessions::{AnySession, Attach, GetAnswer, Read, SessionOption, Sessions, Write};
use crate::control::words::{MachinesRequest, PeerAnswer, PeersView, Reply, Request};
use crate::failure::{Exit, Failure};
use crate::network::PeerView;
use crate::report::table::{Table, cell, toned_cell};
use crate::report::{Look, Tone, neutral};

/// Seconds without a byte that count as quiet.
const QUIET_SECONDS: f64 = 2.0;

pub async fn pair(caller: &Caller, words: Pair) -> Result<Exit, Failure> {
    match words.code {
        Some(code) => {
            let request = MachinesRequest::PairType { code, machine: words.machine, rights: words.allow };
            let peer = peer_of(caller.ask(Request::Machines(request)).await?, "pair")?;
            paired(caller, &peer)
        }
        None => show(caller, words.allow).await,
    }
}

async fn show(caller: &Caller, rights: Rights) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let reply = client.ask(Request::Machines(MachinesRequest::PairShow { rights })).await?;
    let Reply::Code { code, port, fingerprint } = reply else {
        return Err(Failure::out_of_turn("pair"));
    };
    let data = serde_json::json!({ "code": code, "port": port, "fingerprint": fingerprint });
    caller.show(&data, |_| {
        format!(
            "the code is  {code}\n\
             type `niia pair {code}` on the other machine, or `niia pair {code} HOST:{port}` where multicast does not \
             reach\n"
        )
    })?;
    match client.next().await? {
        Some(Reply::Peer(peer)) => paired(caller, &peer),
        Some(_) => Err(Failure::out_of_turn("pair")),
        None => Err(Failure::new(Exit::Unreachable, "the node went away while the code was shown")),
    }
}

fn peer_of(reply: Reply, asked: &str) -> Result<Box<PeerView>, Failure> {
    match reply {
        Reply::Peer(peer) => Ok(peer),
        _ => Err(Failure::out_of_turn(asked)),
    }
}

fn paired(caller: &Caller, peer: &PeerView) -> Result<Exit, Failure> {
    caller.show(peer, |_| {
        let rights = peer.rights.as_deref().unwrap_or("none");
        format!(
            "paired with {0}\nits fingerprint is {1}\nit may do here: {rights}; `niia peer allow {0} …` changes that\n",
            neutral(&peer.name),
            peer.fingerprint
        )
    })?;
    Ok(Exit::Done)
}

pub fn login() -> Result<Exit, Failure> {
    say("niia has no accounts: machines trust each other by pairing.\n\
         `niia pair` on one machine shows a code, `niia pair CODE` on the other one types it.\n\
         The AI tools themselves log in as they always do: `niia doctor` says which are not.\n")?;
    Ok(Exit::Done)
}

pub async fn peer(caller: &Caller, words: Peer) -> Result<Exit, Failure> {
    let request = match words.verb {
        PeerVerb::Ls => return list(caller).await,
        PeerVerb::Add { address, fingerprint, via: Some(via), name, allow: rights } => {
            MachinesRequest::PeerVia { name: name.unwrap_or(address), via, fingerprint, rights }
        }
        PeerVerb::Add { address, fingerprint, via: None, name, allow: rights } => {
            let fingerprint = fingerprint.unwrap_or_default();
            MachinesRequest::PeerAdd { name, address, fingerprint, rights }
        }
        PeerVerb::Rm { name } => {
            let request = MachinesRequest::PeerRemove { name };
            return done(&caller.ask(Request::Machines(request)).await?, "peer rm");
        }
        PeerVerb::Allow { name, rights, folder, models } => {
            let absolute =
                |folder: &std::path::PathBuf| Ok(std::path::absolute(folder)?.to_string_lossy().into_owned());
            let folders = folder.iter().map(absolute).collect::<Result<Vec<String>, Failure>>()?;
            let folders = (!folders.is_empty()).then_some(folders);
            MachinesRequest::PeerAllow { name, rights, folders, models }
        }
    };
    let peer = peer_of(caller.ask(Request::Machines(request)).await?, "peer")?;
    caller.show(&peer, |_| {
        let rights = peer.rights.as_deref().unwrap_or("none");
        format!("{} may do here: {rights}\n", neutral(&peer.name))
    })?;
    Ok(Exit::Done)
}

async fn peers(caller: &Caller, request: MachinesRequest) -> Result<Box<PeersView>, Failure> {
    match caller.ask(Request::Machines(request)).await? {
        Reply::Peers(view) => Ok(view),
        _ => Err(Failure::out_of_turn("peer ls")),
    }
}

async fn list(caller: &Caller) -> Result<Exit, Failure> {
    let view = peers(caller, MachinesRequest::Peers).await?;
    caller.show(&view, |look| peers_text(&view, look))?;
    Ok(Exit::Done)
}

fn peers_text(view: &PeersView, look: Look) -> String {
    let own = format!("this node's fingerprint is {}\n", view.fingerprint);
    if view.peers.is_empty() {
        return format!("{own}no machine is paired; `niia pair` pairs one\n");
    }
    let mut table = Table::headless();
    for peer in &view.peers {
        let rights = peer.rights.as_deref().unwrap_or("not paired");
        let seen = match (peer.linked, peer.nearby) {
            (true, _) => "linked",
            (false, true) => "nearby",
            (false, false) => "",
        };
        let address = match &peer.via {
            Some(via) => format!("via {via}"),
            None => peer.addresses.last().cloned().unwrap_or_default(),
        };
        let short = peer.fingerprint.get(..16).unwrap_or(&peer.fingerprint);
        table.row(vec![
            cell(neutral(&peer.name)),
            cell(rights),
            cell(seen),
            toned_cell(neutral(&address), Tone::Faint),
            toned_cell(short, Tone::Faint),
        ]);
    }
    own + &table.text(look)
}

pub async fn remote(caller: &Caller, words: Remote) -> Result<Exit, Failure> {
    match words.verb {
        RemoteVerb::Status { machine } => status(caller, &machine).await,
        RemoteVerb::Sessions { machine, all } => {
            sessions::sessions(&caller.on(&machine), Sessions { run: None, all, machine: None }).await
        }
        RemoteVerb::Run { machine, words } => run::run(caller, Run { home: Some(machine), ..*words }).await,
        RemoteVerb::Start { machine, words } => serve::serve_at(caller, words, Some(machine)).await,
        RemoteVerb::Read(there) => {
            let name = AnySession { session: there.session };
            sessions::read(&caller.on(&there.machine), Read { name }).await
        }
        RemoteVerb::Write { machine, text, session, urgent } => {
            let words = Write { name: SessionOption { session }, text, no_enter: false, urgent };
            sessions::write(&caller.on(&machine), words).await
        }
        RemoteVerb::Ask { machine, question, session, timeout } => {
            let name = SessionOption { session };
            let words = GetAnswer { name, question, quiet: QUIET_SECONDS, timeout };
            sessions::get_answer(&caller.on(&machine), words).await
        }
        RemoteVerb::Cp { from, to } => copy(caller, &from, &to).await,
        RemoteVerb::Attach { there, take } => {
            let name = AnySession { session: there.session };
            attach::attach(&caller.on(&there.machine), Attach { name, take }).await
        }
    }
}

/// `MACHINE:PATH`, as scp reads it: a colon ahead of every slash.
fn place(word: &str) -> Option<(&str, &str)> {
    word.split_once(':').filter(|(machine, _)| !machine.is_empty() && !machine.contains('/'))
}

async fn copy(caller: &Caller, from: &str, to: &str) -> Result<Exit, Failure> {
    let (machine, there, here, fetch) = match (place(from), place(to)) {
        (Some((machine, there)), None) => (machine, there, to, true),
        (None, Some((machine, there))) => (machine, there, from, false),
        _ => {
            return Err(Failure::usage("one of both is a path here, the other one MACHINE:PATH").help(
                "`niia remote cp notes.md seoul-server:/srv/data/`; a name with a colon is written ./name",
            ));
        }
    };
    let began = std::time::Instant::now();
    let request = MachinesRequest::Copy {
        machine: machine.to_owned(),
        there: there.to_owned(),
        here: std::path::absolute(here)?,
        fetch,
    };
    let Reply::Value(bytes) = caller.ask(Request::Machines(request)).await? else {
        return Err(Failure::out_of_turn("remote cp"));
    };
    let bytes = bytes.as_u64().unwrap_or_default();
    let data = serde_json::json!({ "from": from, "to": to, "bytes": bytes });
    caller.show(&data, |_| {
        format!("{} copied in {:.1} s\n", crate::report::bytes(bytes), began.elapsed().as_secs_f64())
    })?;
    Ok(Exit::Done)
}

/// 0 where all that were asked answer, else 4.
async fn status(caller: &Caller, machine: &str) -> Result<Exit, Failure> {
    let machine = (machine != "list").then(|| machine.to_owned());
    let view = peers(caller, MachinesRequest::Status { machine }).await?;
    caller.show(&view, |look| status_text(&view, look))?;
    let all_up = view.answers.iter().all(|answer| matches!(answer, PeerAnswer::Up { .. }));
    Ok(if all_up { Exit::Done } else { Exit::Unreachable })
}

fn status_text(view: &PeersView, look: Look) -> String {
    if view.peers.is_empty() {
        return "no machine is paired; `niia pair` pairs one\n".to_owned();
    }
    let mut table = Table::headless();
    for (peer, answer) in view.peers.iter().zip(&view.answers) {
        let name = cell(neutral(&peer.name));
        table.row(match answer {
            PeerAnswer::Up { version, round_trip_us, sessions_live, runs_live } => vec![
                name,
                toned_cell("up", Tone::Good),
                cell(format!("{} sessions, {} runs", sessions_live, runs_live)),
                toned_cell(format!("niia {}, {} µs", neutral(version), round_trip_us), Tone::Faint),
            ],
            PeerAnswer::Down { reason } => {
                vec![name, toned_cell("down", Tone::Bad), cell(neutral(reason)), cell("")]
            }
        });
    }
    table.text(look)
}
