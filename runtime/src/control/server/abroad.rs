//! Requests about runs that were begun here and have their home elsewhere: asked there, and told as it is seen from
//! here.

use niia_net::identity::NodeId;
use niia_net::link::Link;
use niia_net::reconnect;
use niia_net::wire::Hello;
use niia_spec::name::RunId;

use super::find::{ambiguous, knows};
use super::{Connection, ServeError, machines, runs};
use crate::control::SPOKEN;
use crate::control::caller::Caller;
use crate::control::parts::{self, Unpacker};
use crate::control::words::{Refusal, Reply, Request, RunName};
use crate::node::Node;
use crate::remote::Purpose;
use niia_actors::ask::chain;
use niia_net::link::{LinkReceiver, LinkSender};

/// A connection to the node that has the run.
struct Far {
    sender: LinkSender,
    receiver: LinkReceiver<super::Reader>,
    unpacker: Unpacker,
}

impl Far {
    async fn open(node: &Node, home: &NodeId) -> Result<Far, String> {
        let network = machines::network(node).map_err(|refusal| refusal.message)?;
        let link = network.reach(home).await.map_err(|error| chain(&error))?;
        let stream = link.open(&Purpose::Control).await.map_err(|error| chain(&error))?;
        let (reader, writer) = stream.into_inner();
        let mut far = Link::new(Box::new(reader) as super::Reader, writer);
        far.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await.map_err(|error| chain(&error))?;
        let (sender, receiver) = far.split();
        Ok(Far { sender, receiver, unpacker: Unpacker::default() })
    }

    async fn ask(&mut self, request: Request) -> Result<(), String> {
        for part in parts::pack(request).map_err(|error| chain(&error))? {
            self.sender.send(&part).await.map_err(|error| chain(&error))?;
        }
        Ok(())
    }

    /// The next answer. May be dropped while it waits.
    async fn next(&mut self) -> Result<Reply, String> {
        loop {
            let came = self.receiver.receive::<Reply>().await.map_err(|error| chain(&error))?;
            let came = came.ok_or_else(|| "it went away".to_owned())?;
            if let Some(reply) = self.unpacker.take(came).map_err(|error| chain(&error))? {
                return Ok(reply);
            }
        }
    }
}

impl Connection {
    /// The run abroad that a request is about, where it is about one.
    pub(super) fn abroad(&self, request: &mut Request) -> Result<Option<RunId>, Refusal> {
        if self.caller != Caller::Person || self.visitor.is_some() {
            return Ok(None);
        }
        let Some(name) = run_named(request) else { return Ok(None) };
        let run = match &name {
            Some(name) if knows(&self.node, name)? => None,
            Some(name) => match &self.node.abroad.named(name)[..] {
                [] => None,
                [run] => Some(run.clone()),
                several => {
                    return Err(ambiguous(
                        name,
                        &several.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    ));
                }
            },
            None => newest(&self.node)?,
        };
        if let Some(run) = &run {
            name_run(request, run);
        }
        Ok(run)
    }

    /// Asks the run's home, and tells what it says.
    pub(super) async fn ask_abroad(&mut self, run: RunId, request: Request) -> Result<(), ServeError> {
        if matches!(request, Request::Follow { .. }) {
            return self.follow_abroad(&run).await;
        }
        let abroad = std::sync::Arc::clone(&self.node.abroad);
        if matches!(request, Request::Fetch { .. }) {
            let reply = match abroad.fetch(&run).await {
                Ok(()) => Reply::Done,
                Err(reason) => Reply::Refused(self.unreached(&run, &reason)),
            };
            return self.reply(reply).await;
        }
        let status = matches!(request, Request::Status { .. });
        match self.asked(&run, request).await {
            Ok(Reply::Run(view)) => {
                abroad.saw(&view);
                let rests = view.state.rests();
                // A result that is there comes home with the question.
                let fetched = if rests { abroad.fetch(&run).await } else { Ok(()) };
                let mut view = abroad.shown(*view);
                view.warnings
                    .extend(fetched.err().map(|reason| format!("its result is not here yet: {reason}")));
                self.reply(Reply::Run(Box::new(view))).await
            }
            Ok(reply) => self.reply(reply).await,
            Err(reason) => match abroad.last_seen(&run).filter(|_| status) {
                Some(mut view) => {
                    if !view.state.is_over() {
                        view.warnings.push(format!("how it stands now is not known: {reason}"));
                    }
                    self.reply(Reply::Run(Box::new(view))).await
                }
                None => self.reply(Reply::Refused(self.unreached(&run, &reason))).await,
            },
        }
    }

    fn unreached(&self, run: &RunId, reason: &str) -> Refusal {
        machines::unreachable(format!("the home of `{run}` is not reached: {reason}"))
    }

    async fn asked(&self, run: &RunId, request: Request) -> Result<Reply, String> {
        let home = self.node.abroad.home_of(run).ok_or_else(|| "it is not known here".to_owned())?;
        let mut far = Far::open(&self.node, &home).await?;
        far.ask(request).await?;
        far.next().await
    }

    /// Views as they come, for as long as somebody looks; a home that is lost is looked for.
    async fn follow_abroad(&mut self, run: &RunId) -> Result<(), ServeError> {
        let mut follower = self.node.followers.enter(run);
        let mut failures = 0;
        loop {
            let lost = tokio::select! {
                lost = Self::views(&self.node, &self.sender, run) => lost?,
                gone = self.receiver.receive::<Request>() => {
                    drop(gone);
                    return Ok(());
                }
            };
            let Some(reason) = lost else {
                follower.told = true;
                return self.reply(Reply::End { outcome: None }).await;
            };
            tracing::debug!(%run, reason, "the home of a run that is followed is lost");
            failures += 1;
            tokio::select! {
                () = tokio::time::sleep(reconnect::pause(failures, fastrand::u64(..))) => {}
                gone = self.receiver.receive::<Request>() => {
                    drop(gone);
                    return Ok(());
                }
            }
        }
    }

    /// Tells views until the run rests; why they ended, where that was too early.
    async fn views(node: &Node, sender: &LinkSender, run: &RunId) -> Result<Option<String>, ServeError> {
        let Some(home) = node.abroad.home_of(run) else { return Ok(None) };
        let mut far = match Far::open(node, &home).await {
            Ok(far) => far,
            Err(reason) => return Ok(Some(reason)),
        };
        if let Err(reason) = far.ask(Request::Follow { run: Some(run.to_string()) }).await {
            return Ok(Some(reason));
        }
        loop {
            match far.next().await {
                Ok(Reply::Run(view)) => {
                    node.abroad.saw(&view);
                    let rests = view.state.rests();
                    if rests && let Err(reason) = node.abroad.fetch(run).await {
                        return Ok(Some(reason));
                    }
                    for part in parts::pack(Reply::Run(Box::new(node.abroad.shown(*view))))? {
                        sender.send(&part).await?;
                    }
                    if rests {
                        return Ok(None);
                    }
                }
                Ok(Reply::Refused(refusal)) => return Ok(Some(refusal.message)),
                Ok(_) => return Ok(Some("it says something else than was asked".to_owned())),
                Err(reason) => return Ok(Some(reason)),
            }
        }
    }
}

/// The newest of all runs, where that lives elsewhere.
fn newest(node: &Node) -> Result<Option<RunId>, Refusal> {
    let Some((run, begun_at_ms)) = node.abroad.newest() else { return Ok(None) };
    Ok((runs::newest_at_ms(node)? < begun_at_ms).then_some(run))
}

/// The run that a request names, where it is about one at all.
pub(super) fn run_named(request: &Request) -> Option<RunName> {
    match request {
        Request::Status { run }
        | Request::Follow { run }
        | Request::Fetch { run }
        | Request::Cancel { run, .. }
        | Request::Approve { run, .. }
        | Request::Deny { run, .. }
        | Request::Resume { run }
        | Request::Journal { run, .. }
        | Request::OutputGet { run, .. }
        | Request::ScratchpadList { run }
        | Request::ScratchpadCat { run, .. }
        | Request::ScratchpadPut { run, .. }
        | Request::MailboxSend { run, .. }
        | Request::MailboxList { run, .. }
        | Request::MailboxRead { run, .. }
        | Request::Conclude { run, .. } => Some(run.clone()),
        Request::Sessions { run: run @ Some(_), .. } => Some(run.clone()),
        Request::Session { session }
        | Request::Read { session }
        | Request::Write { session, .. }
        | Request::WaitIdle { session, .. }
        | Request::Kill { session } => session.split_once('/').map(|(run, _)| Some(run.to_owned())),
        _ => None,
    }
}

/// Names it in full: what is not said means something else at its home.
fn name_run(request: &mut Request, full: &RunId) {
    match request {
        Request::Status { run }
        | Request::Follow { run }
        | Request::Fetch { run }
        | Request::Cancel { run, .. }
        | Request::Approve { run, .. }
        | Request::Deny { run, .. }
        | Request::Resume { run }
        | Request::Journal { run, .. }
        | Request::OutputGet { run, .. }
        | Request::ScratchpadList { run }
        | Request::ScratchpadCat { run, .. }
        | Request::ScratchpadPut { run, .. }
        | Request::MailboxSend { run, .. }
        | Request::MailboxList { run, .. }
        | Request::MailboxRead { run, .. }
        | Request::Conclude { run, .. }
        | Request::Sessions { run, .. } => *run = Some(full.to_string()),
        _ => {}
    }
}
