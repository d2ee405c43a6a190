//! The mailbox: letters between the workers of one run, and the person whose run it is.
//!
//! A sender is told that its letter is sent when it is durable. A reader is given each letter once, in the order in which
//! they were taken in, after they are marked as read. A reader that lets letters pile up makes its senders wait.

mod letter;
mod state;

use std::collections::{BTreeMap, VecDeque};

use niia_spec::name::RunId;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr};
use tokio::sync::mpsc;

pub use letter::{Draft, Letter, NO_CAUSE, Party, PartyError};
pub use state::{Admission, HOPS_MAX, ID_BYTES_MAX, LETTER_BYTES_MAX, MailboxState, Refusal};

use crate::ask::{AskError, ask};
use crate::journal::{Durable, Fate, Journal, JournalError};

/// The most senders that wait for room at a time; further ones are refused.
const SENDERS_MAX: usize = 256;

/// A way to reach one mailbox.
#[derive(Clone, Debug)]
pub struct MailboxHandle(ActorRef<MailboxMessage>);

#[derive(Debug)]
pub struct MailboxArguments {
    pub run: RunId,
    pub journal: Journal,
    /// A reader that lets more letters than this pile up makes its senders wait.
    pub letters_max: usize,
    /// The run's `max_messages`.
    pub messages_max: u32,
    /// Whoever is told of each letter that was taken in; at the start, of those that wait.
    pub posted: Option<mpsc::UnboundedSender<Letter>>,
}

/// What a sender is told: the number of its letter.
pub type Sent = Result<u64, Refusal>;

impl MailboxHandle {
    /// Starts a mailbox with the letters its run has had so far.
    pub async fn start(
        arguments: MailboxArguments,
        supervisor: Option<ActorCell>,
    ) -> Result<MailboxHandle, SpawnErr> {
        let spawned = match supervisor {
            Some(supervisor) => Actor::spawn_linked(None, MailboxActor, arguments, supervisor).await,
            None => Actor::spawn(None, MailboxActor, arguments).await,
        };
        spawned.map(|(actor, _)| MailboxHandle(actor))
    }

    /// Hands a letter in and returns once it is durable.
    pub async fn send(&self, draft: Draft) -> Result<Sent, AskError> {
        ask(&self.0, |reply| MailboxMessage::Send { draft, reply }).await
    }

    /// The reader's unread letters, as many as travel together; they are read from now on.
    pub async fn take(&self, reader: Party) -> Result<Vec<Letter>, AskError> {
        ask(&self.0, |reply| MailboxMessage::Take { reader, reply }).await
    }

    /// The reader's unread letters under a name the reader chose: asking again with it gives the same ones again, after a
    /// restart too. They are read once the reader has said that they came.
    pub async fn hand_out(&self, reader: Party, to: String) -> Result<Vec<Letter>, AskError> {
        ask(&self.0, |reply| MailboxMessage::HandOut { reader, to, reply }).await
    }

    /// The letters that were handed out under this name have come; answers how many that were, once it is durable.
    pub async fn came(&self, reader: Party, to: String) -> Result<usize, AskError> {
        ask(&self.0, |reply| MailboxMessage::Came { reader, to, reply }).await
    }

    /// The reader's unread letters up to this number, which stay unread.
    pub async fn waiting(&self, reader: Party, up_to: u64) -> Result<Vec<Letter>, AskError> {
        ask(&self.0, |reply| MailboxMessage::Waiting { reader, up_to, reply }).await
    }

    /// The reader's unread letters up to this number; they are read from now on.
    pub async fn take_up_to(&self, reader: Party, up_to: u64) -> Result<Vec<Letter>, AskError> {
        ask(&self.0, |reply| MailboxMessage::TakeUpTo { reader, up_to, reply }).await
    }

    /// From now on the run may have so many letters.
    pub fn allow(&self, messages_max: u32) {
        if let Err(error) = crate::ask::tell(&self.0, MailboxMessage::Allow { messages_max }) {
            tracing::debug!(%error, "a bound for a mailbox that is gone");
        }
    }

    /// How many letters wait, for everybody for whom some do.
    pub async fn unread(&self) -> Result<BTreeMap<Party, usize>, AskError> {
        ask(&self.0, |reply| MailboxMessage::Unread { reply }).await
    }

    /// Lays a letter that cannot be delivered aside, with the reason. False where it does not wait for that reader.
    pub async fn bury(&self, reader: Party, number: u64, reason: String) -> Result<bool, AskError> {
        ask(&self.0, |reply| MailboxMessage::Bury { reader, number, reason, reply }).await
    }

    /// Nobody of the run reads any more: what waits for its workers is laid aside, with the reason. What is for people
    /// stays.
    pub fn close(&self, reason: &str) {
        if let Err(error) = crate::ask::tell(&self.0, MailboxMessage::Close { reason: reason.to_owned() }) {
            tracing::debug!(%error, "a mailbox that is gone is closed");
        }
    }

    pub fn stop(&self) {
        self.0.stop(None);
    }
}

/// Every letter of a run, as the journal has it, with what of it is damaged. Reads the file in the caller's thread.
pub fn list(journal: &Journal, run: &RunId) -> Result<(Vec<Letter>, Vec<String>), JournalError> {
    let found = journal.letters(run)?;
    let mut damage = found.damage;
    let mut letters = Vec::new();
    for (number, row) in found.letters {
        match Letter::from_row(number, row) {
            Some(letter) => letters.push(letter),
            None => damage.push(format!("letter {number} is from or to nobody")),
        }
    }
    Ok((letters, damage))
}

#[derive(Debug)]
enum MailboxMessage {
    Send { draft: Draft, reply: RpcReplyPort<Sent> },
    Take { reader: Party, reply: RpcReplyPort<Vec<Letter>> },
    HandOut { reader: Party, to: String, reply: RpcReplyPort<Vec<Letter>> },
    Came { reader: Party, to: String, reply: RpcReplyPort<usize> },
    Waiting { reader: Party, up_to: u64, reply: RpcReplyPort<Vec<Letter>> },
    TakeUpTo { reader: Party, up_to: u64, reply: RpcReplyPort<Vec<Letter>> },
    Allow { messages_max: u32 },
    Unread { reply: RpcReplyPort<BTreeMap<Party, usize>> },
    Bury { reader: Party, number: u64, reason: String, reply: RpcReplyPort<bool> },
    Close { reason: String },
    Settled { result: Result<u64, JournalError>, then: Then },
}

/// What goes on once the journal has answered.
#[derive(Debug)]
enum Then {
    Sent {
        letter: Letter,
        reply: RpcReplyPort<Sent>,
    },
    Taken {
        letters: Vec<Letter>,
        reply: RpcReplyPort<Vec<Letter>>,
    },
    /// Handed out; whoever asked and has gone asks again.
    Given {
        letters: Vec<Letter>,
        reply: RpcReplyPort<Vec<Letter>>,
    },
    Came {
        count: usize,
        reply: RpcReplyPort<usize>,
    },
    Buried {
        letter: Letter,
        reply: RpcReplyPort<bool>,
    },
    /// Nobody waits for it: letters that go back to the unread ones, or that nobody will read.
    Returned,
}

struct State {
    run: RunId,
    journal: Journal,
    mailbox: MailboxState,
    posted: Option<mpsc::UnboundedSender<Letter>>,
    /// Senders whose reader has no room, in the order in which they came.
    waiting: VecDeque<(Draft, RpcReplyPort<Sent>)>,
    /// To the task that awaits the journal's answers in the order of the questions.
    clerk: mpsc::UnboundedSender<(Durable, Then)>,
}

struct MailboxActor;

impl Actor for MailboxActor {
    type Msg = MailboxMessage;
    type State = State;
    type Arguments = MailboxArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<MailboxMessage>,
        arguments: MailboxArguments,
    ) -> Result<State, ActorProcessingErr> {
        let MailboxArguments { run, journal, letters_max, messages_max, posted } = arguments;
        // An earlier mailbox of this run may have letters on their way to the disk.
        journal.settle().await?;
        let (letters, damage) = list(&journal, &run)?;
        for damage in damage {
            tracing::error!(%run, damage, "the mailbox is damaged");
        }
        if let Some(posted) = &posted {
            let waiting = letters.iter().filter(|letter| letter.fate.waits());
            // Whoever wanted to hear of them may have gone.
            waiting.for_each(|letter| drop(posted.send(letter.clone())));
        }
        let mailbox = MailboxState::new(letters_max, messages_max, letters);
        let (clerk, answers) = mpsc::unbounded_channel();
        tokio::spawn(await_answers(answers, myself));
        Ok(State { run, journal, mailbox, posted, waiting: VecDeque::new(), clerk })
    }

    async fn handle(
        &self,
        _: ActorRef<MailboxMessage>,
        message: MailboxMessage,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            MailboxMessage::Send { draft, reply } => state.send(draft, reply),
            MailboxMessage::Take { reader, reply } => state.take(&reader, None, reply),
            MailboxMessage::HandOut { reader, to, reply } => state.hand_out(&reader, to, reply),
            MailboxMessage::Came { reader, to, reply } => state.came(&reader, &to, reply),
            MailboxMessage::Waiting { reader, up_to, reply } => {
                answer(reply, state.mailbox.waiting(&reader, up_to));
            }
            MailboxMessage::TakeUpTo { reader, up_to, reply } => state.take(&reader, Some(up_to), reply),
            MailboxMessage::Allow { messages_max } => state.mailbox.allow(messages_max),
            MailboxMessage::Unread { reply } => answer(reply, state.mailbox.all_unread()),
            MailboxMessage::Bury { reader, number, reason, reply } => {
                state.bury(&reader, number, reason, reply);
            }
            MailboxMessage::Close { reason } => state.close(reason),
            MailboxMessage::Settled { result, then } => state.settled(result, then),
        }
        Ok(())
    }
}

/// The journal answers in order, so one task awaits all of a mailbox's answers without one overtaking another.
async fn await_answers(
    mut answers: mpsc::UnboundedReceiver<(Durable, Then)>,
    mailbox: ActorRef<MailboxMessage>,
) {
    while let Some((durable, then)) = answers.recv().await {
        let result = durable.await;
        if mailbox.cast(MailboxMessage::Settled { result, then }).is_err() {
            return;
        }
    }
}

/// An asker that gave up waiting is no fault of the mailbox.
fn answer<T>(reply: RpcReplyPort<T>, answer: T) {
    drop(reply.send(answer));
}

impl State {
    fn send(&mut self, draft: Draft, reply: RpcReplyPort<Sent>) {
        if reply.is_closed() {
            return;
        }
        match self.mailbox.admit(&draft, &crate::clock::now().to_string()) {
            Admission::Known(number) => answer(reply, Ok(number)),
            Admission::Refuse(refusal) => answer(reply, Err(refusal)),
            Admission::Store(letter) => {
                let durable = self.journal.post(&self.run, letter.to_row());
                self.then(durable, Then::Sent { letter, reply });
            }
            Admission::Wait | Admission::Underway if self.waiting.len() < SENDERS_MAX => {
                self.waiting.push_back((draft, reply));
            }
            Admission::Wait | Admission::Underway => {
                let letters = self.mailbox.unread(&draft.to);
                answer(reply, Err(Refusal::Full { reader: draft.to.to_string(), letters }));
            }
        }
    }

    fn take(&mut self, reader: &Party, up_to: Option<u64>, reply: RpcReplyPort<Vec<Letter>>) {
        if reply.is_closed() {
            return;
        }
        let letters = match up_to {
            Some(up_to) => self.mailbox.take_up_to(reader, up_to),
            None => self.mailbox.take(reader),
        };
        if letters.is_empty() {
            return answer(reply, letters);
        }
        let numbers = letters.iter().map(|letter| letter.number).collect();
        let durable = self.journal.mark(&self.run, numbers, Fate::Read);
        self.then(durable, Then::Taken { letters, reply });
        self.retry(|draft| draft.to == *reader);
    }

    fn hand_out(&mut self, reader: &Party, to: String, reply: RpcReplyPort<Vec<Letter>>) {
        if reply.is_closed() {
            return;
        }
        let letters = self.mailbox.hand_out(reader, &to);
        if letters.is_empty() {
            return answer(reply, letters);
        }
        let numbers = letters.iter().map(|letter| letter.number).collect();
        let durable = self.journal.mark(&self.run, numbers, Fate::Given { to });
        self.then(durable, Then::Given { letters, reply });
        self.retry(|draft| draft.to == *reader);
    }

    fn came(&mut self, reader: &Party, to: &str, reply: RpcReplyPort<usize>) {
        let letters = self.mailbox.came(reader, to);
        if letters.is_empty() {
            return answer(reply, 0);
        }
        let count = letters.len();
        let numbers = letters.iter().map(|letter| letter.number).collect();
        let durable = self.journal.mark(&self.run, numbers, Fate::Read);
        self.then(durable, Then::Came { count, reply });
    }

    fn bury(&mut self, reader: &Party, number: u64, reason: String, reply: RpcReplyPort<bool>) {
        let Some(letter) = self.mailbox.bury(reader, number) else {
            return answer(reply, false);
        };
        let durable = self.journal.mark(&self.run, vec![number], Fate::Dead { reason });
        self.then(durable, Then::Buried { letter, reply });
        self.retry(|draft| draft.to == *reader);
    }

    fn close(&mut self, reason: String) {
        let numbers: Vec<u64> = self.mailbox.bury_all().into_iter().map(|letter| letter.number).collect();
        if !numbers.is_empty() {
            let durable = self.journal.mark(&self.run, numbers, Fate::Dead { reason });
            self.then(durable, Then::Returned);
        }
    }

    fn then(&mut self, durable: Durable, then: Then) {
        // The clerk lives as long as this state does.
        drop(self.clerk.send((durable, then)));
    }

    fn settled(&mut self, result: Result<u64, JournalError>, then: Then) {
        match then {
            Then::Sent { letter, reply } => self.sent(result, letter, reply),
            Then::Taken { letters, reply } => self.taken(result, letters, reply),
            Then::Given { letters, reply } => match result {
                Ok(_) => answer(reply, letters),
                Err(error) => {
                    tracing::warn!(run = %self.run, %error, "letters are not handed out");
                    answer(reply, Vec::new());
                }
            },
            Then::Came { count, reply } => answer(reply, if result.is_ok() { count } else { 0 }),
            Then::Buried { letter, reply } => {
                answer(reply, result.is_ok());
                if result.is_err() {
                    self.mailbox.give_back(vec![letter]);
                }
            }
            Then::Returned => {}
        }
    }

    fn sent(&mut self, result: Result<u64, JournalError>, mut letter: Letter, reply: RpcReplyPort<Sent>) {
        let (id, reader) = (letter.id.clone(), letter.to.clone());
        match result {
            Ok(number) => {
                letter.number = number;
                if let Some(posted) = &self.posted {
                    drop(posted.send(letter.clone()));
                }
                let dead = matches!(letter.fate, Fate::Dead { .. });
                self.mailbox.stored(letter);
                answer(reply, if dead { Err(Refusal::TooManyHops) } else { Ok(number) });
            }
            Err(error) => {
                self.mailbox.lost(&letter);
                answer(reply, Err(Refusal::NotStored { reason: error.to_string() }));
            }
        }
        self.retry(|draft| draft.id == id || draft.to == reader);
    }

    fn taken(
        &mut self,
        result: Result<u64, JournalError>,
        letters: Vec<Letter>,
        reply: RpcReplyPort<Vec<Letter>>,
    ) {
        if let Err(error) = result {
            tracing::warn!(run = %self.run, %error, "letters stay unread");
            self.mailbox.give_back(letters);
            return answer(reply, Vec::new());
        }
        let numbers = letters.iter().map(|letter| letter.number).collect();
        let read = letters.iter().cloned().map(|letter| Letter { fate: Fate::Read, ..letter }).collect();
        if reply.send(read).is_err() {
            // Whoever asked has gone and has seen none of them.
            let durable = self.journal.mark(&self.run, numbers, Fate::Unread);
            self.then(durable, Then::Returned);
            self.mailbox.give_back(letters);
        }
    }

    /// Lets those who waited for this try again; who still has no room waits on, in the old order.
    fn retry(&mut self, for_this: impl Fn(&Draft) -> bool) {
        for (draft, reply) in std::mem::take(&mut self.waiting) {
            if for_this(&draft) {
                self.send(draft, reply);
            } else {
                self.waiting.push_back((draft, reply));
            }
        }
    }
}
