//! A session whose terminal is on another machine: an actor like any other, whose life is to forward.

use std::sync::Arc;

use niia_spec::course::{EndReason, Ending};
use ractor::{Actor, SpawnErr};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Life, Order, Session, SessionFacts, SessionHandle, look};
use crate::machine::{Assignment, News};
use crate::phase::PhaseHandle;
use crate::run::LiveSessions;

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
        F: Future<Output = Ending> + Send + 'static,
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
            let ending = obeyed(carried, inbox, &end, &own).await;
            own.ended();
            forget.leave(&own.session);
            // A phase that is gone hears of the end from the journal's open effects.
            let _ = parent.told(own.session.attempt.clone(), News::Ended(ending));
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
    carried: impl Future<Output = Ending> + Send,
    mut inbox: mpsc::UnboundedReceiver<Order>,
    end: &watch::Sender<Option<EndReason>>,
    facts: &SessionFacts,
) -> Ending {
    tokio::pin!(carried);
    let mut gone = false;
    loop {
        tokio::select! {
            ending = &mut carried => return ending,
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
