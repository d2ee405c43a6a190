//! A session whose terminal is on another machine: an actor like any other, whose life is to forward.

use std::pin::Pin;
use std::sync::Arc;

use niia_spec::course::{EndReason, Ending};
use ractor::{Actor, SpawnErr};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Life, Order, Session, SessionFacts, SessionHandle, look};
use crate::machine::{Assignment, News};
use crate::phase::PhaseHandle;
use crate::run::LiveSessions;

/// What is still to be done about an attempt once its end is durable.
pub type Afterwards = Pin<Box<dyn Future<Output = ()> + Send>>;

/// How an attempt that was made elsewhere came to its end.
pub struct Carried {
    pub ending: Ending,
    /// Until the end is durable here, the other machine must not forget what it knows of it.
    pub afterwards: Option<Afterwards>,
}

impl std::fmt::Debug for Carried {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Carried").field("ending", &self.ending).finish_non_exhaustive()
    }
}

/// What the one who carries an attempt to another machine has of it.
#[derive(Debug)]
pub struct Away {
    pub assignment: Arc<Assignment>,
    /// Why it is to be ended, once it is.
    pub ended: watch::Receiver<Option<EndReason>>,
    facts: Arc<SessionFacts>,
    parent: PhaseHandle,
}

impl Away {
    /// Its program runs there.
    pub fn started(&self) {
        // A phase that is gone will be told the end, which says as much.
        let _ = self.parent.told(self.assignment.attempt().clone(), News::Started);
    }

    /// It is heard of again; what its program does is known already.
    pub fn is_there(&self, doing: &str) {
        if self.facts.place().doing.contains("does not answer") {
            self.facts.does(doing);
        }
    }

    /// What happens with it now, for people.
    pub fn does(&self, doing: &str) {
        self.facts.does(doing);
    }
}

impl SessionHandle {
    /// An attempt that `carry` has made elsewhere; it returns how that ended.
    pub async fn away<F>(
        assignment: Assignment,
        live: LiveSessions,
        parent: PhaseHandle,
        carry: impl FnOnce(Away) -> F,
    ) -> Result<SessionHandle, SpawnErr>
    where
        F: Future<Output = Carried> + Send + 'static,
    {
        let facts = Arc::new(SessionFacts::new(&assignment));
        let (orders, inbox) = mpsc::unbounded_channel();
        let (tell, known) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        let (above, attempt) = (parent.cell(), assignment.attempt().clone());
        let assignment = Arc::new(assignment);
        let carried = carry(Away {
            assignment: Arc::clone(&assignment),
            ended,
            facts: Arc::clone(&facts),
            parent: parent.clone(),
        });
        let (own, forget) = (Arc::clone(&facts), live.clone());
        let life = async move {
            // Nobody can give orders before the session is known by name.
            drop(known.await);
            let Carried { ending, afterwards } = obeyed(carried, inbox, &end, &own).await;
            own.ended();
            forget.leave(&own.session);
            let durable = parent.ended(own.session.attempt.clone(), ending);
            if let Some(afterwards) = afterwards {
                // A task of its own: this actor is stopped as soon as its phase has heard. An end that is not written
                // down, because its run is gone, is asked for again.
                tokio::spawn(async move {
                    if durable.await.is_ok() {
                        afterwards.await;
                    }
                });
            }
        };
        let (actor, _) = Actor::spawn_linked(None, Session, (attempt, Box::pin(life) as Life), above).await?;
        let session = SessionHandle { actor, orders, facts };
        live.enter(session.facts.session.clone(), session.clone());
        // A life that broke at once has told so by itself.
        let _ = tell.send(());
        Ok(session)
    }
}

/// Carries it to its end, and hands orders on meanwhile. There is no terminal here: whoever asks for one hears that by
/// the lost reply.
async fn obeyed(
    carried: impl Future<Output = Carried> + Send,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    end: &watch::Sender<Option<EndReason>>,
    facts: &SessionFacts,
) -> Carried {
    tokio::pin!(carried);
    let mut gone = false;
    loop {
        tokio::select! {
            carried = &mut carried => return carried,
            order = inbox.recv(), if !gone => match order {
                Some(Order::End(reason)) => drop(end.send_replace(Some(reason))),
                // Whoever asked may have gone; that is no trouble of the session's.
                Some(Order::Look(reply)) => drop(reply.send(look::waiting_view(facts))),
                Some(_) => {}
                None => gone = true,
            },
        }
    }
}
