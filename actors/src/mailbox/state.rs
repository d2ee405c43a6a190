//! What the mailbox knows and decides: which letters wait for whom. Nothing here waits for anything.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::letter::{Draft, Letter, NO_CAUSE, Party};
use crate::journal::Fate;

/// The longest chain of letters that lead to each other: workers that answer one another for ever end here.
pub const HOPS_MAX: u32 = 32;
/// The largest letter, in bytes. More belongs into the scratchpad, and its name into a letter.
pub const LETTER_BYTES_MAX: usize = 64 * 1024;
/// The longest id of a letter, in bytes: room for any kind of unique name.
pub const ID_BYTES_MAX: usize = 128;
/// The most bytes of text handed out at once: they travel in one frame.
const TAKE_BYTES_MAX: usize = 512 * 1024;

/// Why a letter is not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error(
        "a letter has at most {LETTER_BYTES_MAX} bytes, this one has {bytes}: put it into the scratchpad and send its name"
    )]
    TooLarge { bytes: usize },
    #[error("the id of a letter has 1 to {ID_BYTES_MAX} printable characters without spaces")]
    Id,
    #[error("the letter `{id}` was sent before with other words or to somebody else")]
    IdTaken { id: String },
    #[error(
        "the letter stands at the end of {HOPS_MAX} that led to each other and was not delivered: somebody must break the circle"
    )]
    TooManyHops,
    #[error("the run has had the {max} letters its `max_messages` allows")]
    TooManyLetters { max: u32 },
    #[error("nobody reads the letters of `{reader}`: {letters} wait, and so do too many senders")]
    Full { reader: String, letters: usize },
    #[error("the letter could not be stored: {reason}")]
    NotStored { reason: String },
}

/// What to do with a draft.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Store it. A dead one is stored too, so that a person finds it, and refused to its sender.
    Store(Letter),
    /// It is there already, under this number.
    Known(u64),
    /// The same letter is being stored at this moment.
    Underway,
    /// Its reader has too many unread letters: its sender waits.
    Wait,
    Refuse(Refusal),
}

#[derive(Debug)]
pub struct MailboxState {
    letters_max: usize,
    messages_max: u32,
    /// Every letter by its id, read ones too: an id is good once.
    known: HashMap<String, Known>,
    unread: HashMap<Party, BTreeMap<Place, Letter>>,
    /// Letters that were handed out and not confirmed, by the name they were asked for with.
    given_out: HashMap<(Party, String), Vec<Letter>>,
    /// Letters on their way to the disk, by reader.
    underway: HashMap<Party, usize>,
    /// The last letter each reader was given.
    given: HashMap<Party, String>,
}

/// Where a letter stands among those of its reader: urgent ones first, then by number.
type Place = (bool, u64);

fn place(letter: &Letter) -> Place {
    (letter.fate != Fate::Urgent, letter.number)
}

#[derive(Debug)]
struct Known {
    number: Option<u64>,
    digest: blake3::Hash,
    hops: u32,
}

impl MailboxState {
    /// A mailbox with the letters the journal kept.
    pub fn new(letters_max: usize, messages_max: u32, letters: Vec<Letter>) -> MailboxState {
        let mut state = MailboxState {
            letters_max,
            messages_max,
            known: HashMap::new(),
            unread: HashMap::new(),
            given_out: HashMap::new(),
            underway: HashMap::new(),
            given: HashMap::new(),
        };
        for letter in letters {
            let digest = digest(&letter.from, &letter.to, &letter.text);
            let known = Known { number: Some(letter.number), digest, hops: letter.hops };
            state.known.insert(letter.id.clone(), known);
            match letter.fate {
                Fate::Unread | Fate::Urgent => state.keep(letter),
                Fate::Given { ref to } => {
                    drop(state.given.insert(letter.to.clone(), letter.id.clone()));
                    state.given_out.entry((letter.to.clone(), to.clone())).or_default().push(letter);
                }
                Fate::Read => drop(state.given.insert(letter.to, letter.id)),
                Fate::Dead { .. } => {}
            }
        }
        state
    }

    /// Decides about a draft. One that is to be stored counts from now on.
    pub fn admit(&mut self, draft: &Draft, at: &str) -> Admission {
        if let Some(refusal) = misshapen(draft) {
            return Admission::Refuse(refusal);
        }
        let digest = digest(&draft.from, &draft.to, &draft.text);
        if let Some(known) = self.known.get(&draft.id) {
            return match known.number {
                _ if known.digest != digest => Admission::Refuse(Refusal::IdTaken { id: draft.id.clone() }),
                Some(number) => Admission::Known(number),
                None => Admission::Underway,
            };
        }
        if self.known.len() >= self.messages_max as usize {
            return Admission::Refuse(Refusal::TooManyLetters { max: self.messages_max });
        }
        let (cause, hops) = self.cause(draft);
        let dead = hops > HOPS_MAX;
        if !dead && self.waiting_for(&draft.to) >= self.letters_max {
            return Admission::Wait;
        }
        let fate = match (dead, draft.urgent) {
            (true, _) => Fate::Dead { reason: Refusal::TooManyHops.to_string() },
            (false, true) => Fate::Urgent,
            (false, false) => Fate::Unread,
        };
        self.known.insert(draft.id.clone(), Known { number: None, digest, hops });
        *self.underway.entry(draft.to.clone()).or_default() += 1;
        Admission::Store(Letter {
            number: 0,
            id: draft.id.clone(),
            from: draft.from.clone(),
            to: draft.to.clone(),
            text: draft.text.clone(),
            at: at.to_owned(),
            cause,
            hops,
            fate,
        })
    }

    /// The letter is durable and has its number: from now on its reader can be given it.
    pub fn stored(&mut self, letter: Letter) {
        self.landed(&letter.to);
        if let Some(known) = self.known.get_mut(&letter.id) {
            known.number = Some(letter.number);
        }
        if letter.fate.waits() {
            self.keep(letter);
        }
    }

    /// The letter could not be stored: as if it had never come.
    pub fn lost(&mut self, letter: &Letter) {
        self.landed(&letter.to);
        self.known.remove(&letter.id);
    }

    /// Takes a reader's letters out, oldest first, as many as travel together. They are given only once they are marked.
    pub fn take(&mut self, reader: &Party) -> Vec<Letter> {
        let Some(unread) = self.unread.get_mut(reader) else {
            return Vec::new();
        };
        let mut taken: Vec<Letter> = Vec::new();
        let mut bytes = 0;
        while let Some(first) = unread.first_entry() {
            bytes += first.get().text.len();
            if bytes > TAKE_BYTES_MAX && !taken.is_empty() {
                break;
            }
            taken.push(first.remove());
        }
        if let Some(last) = taken.last() {
            self.given.insert(reader.clone(), last.id.clone());
        }
        taken
    }

    /// Letters for a reader that will say that they came, under the name it asks with: the same again where it asks again.
    pub fn hand_out(&mut self, reader: &Party, to: &str) -> Vec<Letter> {
        let key = (reader.clone(), to.to_owned());
        if let Some(again) = self.given_out.get(&key) {
            return again.clone();
        }
        let taken = self.take(reader);
        if !taken.is_empty() {
            self.given_out.insert(key, taken.clone());
        }
        taken
    }

    /// The letters that were handed out under this name have come.
    pub fn came(&mut self, reader: &Party, to: &str) -> Vec<Letter> {
        self.given_out.remove(&(reader.clone(), to.to_owned())).unwrap_or_default()
    }

    /// A reader's letters up to a number, in the order in which they are told.
    pub fn waiting(&self, reader: &Party, up_to: u64) -> Vec<Letter> {
        let unread = self.unread.get(reader).into_iter().flat_map(BTreeMap::values);
        unread.filter(|letter| letter.number <= up_to).cloned().collect()
    }

    /// Takes a reader's letters up to a number out, in the order in which they are told.
    pub fn take_up_to(&mut self, reader: &Party, up_to: u64) -> Vec<Letter> {
        let Some(unread) = self.unread.get_mut(reader) else {
            return Vec::new();
        };
        let (taken, later) =
            std::mem::take(unread).into_iter().partition(|((_, number), _)| *number <= up_to);
        *unread = later;
        let taken: Vec<Letter> = BTreeMap::into_values(taken).collect();
        if let Some(last) = taken.last() {
            self.given.insert(reader.clone(), last.id.clone());
        }
        taken
    }

    /// From now on so many letters are taken in.
    pub fn allow(&mut self, messages_max: u32) {
        self.messages_max = messages_max;
    }

    /// Puts letters back that did not reach their reader after all.
    pub fn give_back(&mut self, letters: Vec<Letter>) {
        letters.into_iter().for_each(|letter| self.keep(letter));
    }

    /// Takes one unread letter out for good.
    pub fn bury(&mut self, reader: &Party, number: u64) -> Option<Letter> {
        let unread = self.unread.get_mut(reader)?;
        let place = *unread.keys().find(|(_, waiting)| *waiting == number)?;
        unread.remove(&place)
    }

    /// Takes out for good what waits for workers.
    pub fn bury_all(&mut self) -> Vec<Letter> {
        let of_workers = self.unread.iter_mut().filter(|(reader, _)| matches!(reader, Party::Worker(_)));
        of_workers.flat_map(|(_, unread)| std::mem::take(unread).into_values()).collect()
    }

    /// How many letters wait for a reader.
    pub fn unread(&self, reader: &Party) -> usize {
        self.unread.get(reader).map_or(0, BTreeMap::len)
    }

    /// How many letters wait, for everybody for whom some do.
    pub fn all_unread(&self) -> BTreeMap<Party, usize> {
        let waiting = self.unread.iter().filter(|(_, letters)| !letters.is_empty());
        waiting.map(|(reader, letters)| (reader.clone(), letters.len())).collect()
    }

    pub fn letters_max(&self) -> usize {
        self.letters_max
    }

    fn waiting_for(&self, reader: &Party) -> usize {
        self.unread(reader) + self.underway.get(reader).copied().unwrap_or_default()
    }

    fn keep(&mut self, letter: Letter) {
        self.unread.entry(letter.to.clone()).or_default().insert(place(&letter), letter);
    }

    fn landed(&mut self, reader: &Party) {
        if let Some(count) = self.underway.get_mut(reader) {
            *count = count.saturating_sub(1);
        }
    }

    /// A worker that names no cause writes because of what it read last: circles of any number of workers are found.
    fn cause(&self, draft: &Draft) -> (Option<String>, u32) {
        let read_last = || match draft.from {
            Party::Worker(_) => self.given.get(&draft.from).cloned(),
            Party::Person | Party::Niia => None,
        };
        let cause = match draft.cause.as_deref() {
            Some(NO_CAUSE) => None,
            named => named.filter(|id| self.known.contains_key(*id)).map(str::to_owned).or_else(read_last),
        };
        let before = cause.as_ref().and_then(|id| self.known.get(id)).map_or(0, |known| known.hops);
        (cause, before + 1)
    }
}

fn misshapen(draft: &Draft) -> Option<Refusal> {
    let fits = (1..=ID_BYTES_MAX).contains(&draft.id.len());
    if !fits || !draft.id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(Refusal::Id);
    }
    let bytes = draft.text.len();
    (bytes > LETTER_BYTES_MAX).then_some(Refusal::TooLarge { bytes })
}

fn digest(from: &Party, to: &Party, text: &str) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    for words in [from.to_string().as_str(), to.to_string().as_str(), text] {
        hasher.update(&(words.len() as u64).to_be_bytes());
        hasher.update(words.as_bytes());
    }
    hasher.finalize()
}
