//! From an occasion to a run: decided and written down, then begun, then noted.

use std::path::Path;
use std::sync::Arc;

use niia_actors::ask::chain;
use niia_actors::clock;
use niia_actors::journal::{Durable, Journal, Put};
use niia_actors::run::kept_variables;
use niia_spec::event::Happened;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{Came, Triggered, TriggeredView};
use niia_spec::schedule::diary::{Occasion, Order};
use ractor::RpcReplyPort;
use tokio::task::JoinHandle;

use super::shelf::{self, Firing, Record};
use super::state::{Appointments, trouble};
use super::{Message, Patience};
use crate::control::words::{Refusal, RefusalCode};
use crate::node::accept::Begins;
use crate::node::{Node, accept};

/// Bytes of events that wait, of one document; past it the caller is told to come back.
const EVENTS_WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A run on its way.
type Beginning = JoinHandle<Result<RunId, Refusal>>;

/// A firing that is to be a run, written down or about to be.
pub(super) struct Decided {
    number: u64,
    occasion: Occasion,
    run: RunId,
    words: String,
}

/// What is known at once of what becomes of an event, and what has to be waited for.
struct Answer {
    name: Slug,
    came: Triggered,
    beginning: Option<Beginning>,
}

impl Appointments {
    /// Begins a run under a name that is written down first, together with `puts`.
    pub fn start(
        &mut self,
        name: &Slug,
        occasion: Occasion,
        event: Option<Arc<Happened>>,
        puts: Vec<Put>,
    ) -> Option<(RunId, Beginning)> {
        let kept = self.kept.get_mut(name)?;
        kept.pages.firings += 1;
        let number = kept.pages.firings;
        self.start_as(name, number, occasion, event, puts)
    }

    /// What a node that was killed had decided and not begun. Nothing of it exists but its name, so it gets a new one.
    pub fn start_again(&mut self, name: &Slug, number: u64, occasion: Occasion) {
        drop(self.start_as(name, number, occasion, None, Vec::new()));
    }

    fn start_as(
        &mut self,
        name: &Slug,
        number: u64,
        occasion: Occasion,
        event: Option<Arc<Happened>>,
        mut puts: Vec<Put>,
    ) -> Option<(RunId, Beginning)> {
        let decided = self.decide(name, number, occasion, event.as_deref(), &mut puts)?;
        let durable = self.journal.shelve(puts);
        self.set_out(name, decided, event, durable)
    }

    /// A firing that is to be a run, and the name the run will have; `puts` makes that durable.
    pub fn decide(
        &mut self,
        name: &Slug,
        number: u64,
        occasion: Occasion,
        event: Option<&Happened>,
        puts: &mut Vec<Put>,
    ) -> Option<Decided> {
        let kept = self.kept.get_mut(name)?;
        let run = accept::name(&kept.record.plan.name);
        let words = kept.words(occasion, event.map(|event| event.name.as_str()));
        let came = Came::Begins { run: run.clone() };
        let at_ms = clock::wall_ms();
        let firing = Firing { number, at_ms, occasion: Some(occasion), words: words.clone(), came };
        kept.note(firing, puts);
        puts.push(shelf::put_pages(name, &kept.pages));
        kept.live.insert(run.clone());
        Some(Decided { number, occasion, run, words })
    }

    /// Begins what was decided, once that is durable.
    pub fn set_out(
        &self,
        name: &Slug,
        decided: Decided,
        event: Option<Arc<Happened>>,
        durable: Durable,
    ) -> Option<(RunId, Beginning)> {
        let (journal, node, me) = (self.journal.clone(), self.node.clone(), self.me.clone());
        let (record, folder) = (self.kept.get(name)?.record.clone(), self.folder.join(name.as_str()));
        let Decided { number, occasion, run, words } = decided;
        let (name, named) = (name.clone(), run.clone());
        let beginning = tokio::spawn(async move {
            let result = async {
                durable.await.map_err(|error| trouble(chain(&error)))?;
                niia_actors::failpoint::hit("schedule.decided");
                let node = node.upgrade().ok_or_else(|| trouble("this node is going down".to_owned()))?;
                begin(&node, &journal, record, &folder, (occasion, words, event), named).await
            };
            let result = result.await;
            niia_actors::failpoint::hit("schedule.begun");
            me.tell(Message::Begun { name, number, occasion, result: result.clone() });
            result
        });
        Some((run, beginning))
    }

    /// A run that was to begin has begun, or there was no room for it, or it cannot.
    pub fn begun(&mut self, name: &Slug, number: u64, occasion: Occasion, result: Result<RunId, Refusal>) {
        let Some(kept) = self.kept.get_mut(name) else { return };
        let Some(mut firing) = kept.firings.iter().find(|firing| firing.number == number).cloned() else {
            return;
        };
        let mut puts = Vec::new();
        let postponed = match result {
            Ok(run) => {
                firing.came = Came::Run { run, state: None };
                kept.no_room = None;
                false
            }
            Err(refusal) => {
                if let Some(run) = firing.run() {
                    kept.live.remove(run);
                }
                let again = refusal.code == RefusalCode::Limit || refusal.code == RefusalCode::Trouble;
                let postponed = again && occasion != Occasion::Person;
                if postponed {
                    if kept.no_room.as_ref() != Some(&refusal.message) {
                        tracing::warn!(%name, reason = refusal.message, "a run waits for room");
                    }
                    kept.no_room = Some(refusal.message);
                } else {
                    tell_person(&self.notifier, name, &refusal.message);
                    firing.came = Came::Refused { why: refusal.message };
                }
                postponed
            }
        };
        if postponed {
            kept.firings.retain(|known| known.number != number);
            puts.push(shelf::forget_firing(name, number));
            kept.pages.diary.postpone(occasion);
        } else {
            if let Occasion::Event { number } = occasion {
                kept.events.remove(&number);
                puts.push(shelf::forget_event(name, number));
            }
            kept.note(firing, &mut puts);
        }
        puts.push(shelf::put_pages(name, &kept.pages));
        self.shelve_soon(puts);
        if !postponed {
            self.go_on(name);
        }
    }

    pub fn run_now(&mut self, name: &Slug, reply: RpcReplyPort<Result<RunId, Refusal>>) {
        let beginning = self.start(name, Occasion::Person, None, Vec::new());
        let Some((_, beginning)) = beginning else {
            return drop(reply.send(Err(self.unknown(name))));
        };
        tokio::spawn(async move {
            let result = beginning.await.unwrap_or_else(|error| Err(trouble(error.to_string())));
            drop(reply.send(result));
        });
    }

    /// Something has happened: every document that waits for it begins, or waits for room.
    pub fn happened(
        &mut self,
        event: &Arc<Happened>,
        place: Option<&Path>,
        patience: Patience,
        reply: RpcReplyPort<Vec<TriggeredView>>,
    ) {
        let awaited =
            self.kept.values().filter_map(|kept| Some((kept.name().clone(), kept.awaits(event, place)?)));
        let awaited: Vec<(Slug, Result<bool, String>)> = awaited.collect();
        let answers: Vec<Answer> = awaited
            .into_iter()
            .map(|(name, awaited)| match awaited {
                Ok(true) => self.called(name, event),
                Ok(false) => Answer { name, came: Triggered::Passed, beginning: None },
                Err(why) => Answer { name, came: Triggered::Broken { why }, beginning: None },
            })
            .collect();
        // Whatever was written down for them is durable when this is.
        let durable = self.journal.settle();
        tokio::spawn(async move {
            let kept = durable.await.map_err(|error| chain(&error));
            let mut views = Vec::new();
            for Answer { name, mut came, beginning } in answers {
                if let Err(why) = &kept {
                    came = Triggered::Refused { why: why.clone() };
                } else if let Some(beginning) = beginning.filter(|_| patience == Patience::Begun) {
                    came = match beginning.await {
                        Ok(Ok(run)) => Triggered::Run { run },
                        Ok(Err(refusal)) => Triggered::Refused { why: refusal.message },
                        Err(error) => Triggered::Refused { why: error.to_string() },
                    };
                }
                views.push(TriggeredView { name, came });
            }
            drop(reply.send(views));
        });
    }

    fn called(&mut self, name: Slug, event: &Arc<Happened>) -> Answer {
        let full = |name| Answer { name, came: Triggered::Full, beginning: None };
        let Some(kept) = self.kept.get_mut(&name) else { return full(name) };
        let number = kept.pages.events + 1;
        let (put, size) = shelf::put_event(&name, number, event);
        if kept.events.values().sum::<usize>() + size > EVENTS_WAITING_BYTES_MAX {
            return full(name);
        }
        match kept.pages.diary.called(number, kept.live.len()) {
            Order::Start(occasion) => {
                kept.pages.events = number;
                kept.events.insert(number, size);
                let begun = self.start(&name, occasion, Some(Arc::clone(event)), vec![put]);
                match begun {
                    Some((run, beginning)) => {
                        Answer { name, came: Triggered::Run { run }, beginning: Some(beginning) }
                    }
                    None => full(name),
                }
            }
            Order::Waits(_) => {
                kept.pages.events = number;
                kept.events.insert(number, size);
                let puts = vec![put, shelf::put_pages(&name, &kept.pages)];
                self.shelve_soon(puts);
                Answer { name, came: Triggered::Waits, beginning: None }
            }
            Order::Full { .. } | Order::Missed { .. } | Order::Skipped { .. } => full(name),
        }
    }
}

fn tell_person(notifier: &crate::notify::Notifier, name: &Slug, reason: &str) {
    tracing::error!(%name, reason, "a kept document cannot be run");
    let (notifier, text) = (notifier.clone(), format!("niia: {name} could not be run: {reason}"));
    tokio::spawn(async move { notifier.tell(&text).await });
}

/// Hands the run to the node.
async fn begin(
    node: &Node,
    journal: &Journal,
    record: Record,
    folder: &Path,
    (occasion, words, event): (Occasion, String, Option<Arc<Happened>>),
    run: RunId,
) -> Result<RunId, Refusal> {
    let Record { name, mut plan, mut origin, .. } = record;
    origin.env = kept_variables(folder).map_err(|error| trouble(chain(&error)))?;
    origin.occasion = Some(words);
    if let Occasion::Event { number } = occasion {
        let event = match event {
            Some(event) => (*event).clone(),
            None => shelf::event(journal, &name, number).map_err(|why| Refusal {
                code: RefusalCode::NotFound,
                message: why,
                help: None,
            })?,
        };
        plan.event = Some(Box::new(event));
    }
    accept::accept_as(node, run, plan, origin, Begins::alone()).await
}
