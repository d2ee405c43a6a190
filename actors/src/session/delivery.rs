//! A text on its way into a program: typed, submitted, confirmed.
//!
//! Pure: events come in, steps go out. The text is typed once and never again; only Enter is repeated, and only while
//! nothing speaks for a turn having begun. Between the first byte and Enter nobody else may write, answers to
//! terminal queries included (`is_typing`).
//!
//! How it is typed depends on the terminal as it is at that moment:
//! - bracketed paste on, terminal raw: one paste, whatever its length;
//! - raw without bracketed paste: the characters themselves, line feeds as they are, Enter only at the end;
//! - line by line (canonical, such as a plain `read`): the terminal cuts lines at 4,095 bytes, so a text with a longer
//!   one is not typed at all and the receipt says which line it is.

mod terminal;

pub use terminal::{LineMode, line_mode};

use niia_spec::detect::State;
use niia_spec::profile::{TypingWay, neutralise};

/// One write. A terminal's input queue has 4,096 bytes.
pub const CHUNK_BYTES_MAX: usize = 4 * 1024;
/// The longest line a terminal takes in canonical mode, its line feed included.
pub const LINE_BYTES_MAX: usize = 4095;
/// How long the program must be quiet between the text and Enter: an Enter in a burst is taken for part of a paste.
pub const SETTLE_MS: u64 = 50;
/// A program that is never quiet gets its Enter after this time.
pub const SETTLE_MS_MAX: u64 = 2_000;
/// How long a sign of a beginning turn is waited for before the first repetition of Enter; doubled for each further one.
pub const CONFIRM_MS: u64 = 2_000;
/// Enter is pressed at most this often for one text.
pub const ENTERS_MAX: u32 = 3;
/// How long after a person's last key a text waits for its turn.
pub const HELD_MS_MAX: u64 = 120_000;

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
const ENTER: &[u8] = b"\r";

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEvent {
    /// What the program would do with a text now.
    Readiness(Readiness),
    /// How its terminal treats input now.
    Terminal(Terminal),
    /// A person pressed a key, and so holds the writing lease.
    PersonTyped,
    /// Nobody but niia is writing any more.
    PersonLeft,
    /// So many bytes of the last `Write` were taken.
    Written {
        bytes: usize,
    },
    /// The program printed something.
    Output,
    /// The program says, or its screen shows, that it works.
    Working,
    /// The program says, or its screen shows, that it is done or waits for more.
    Idle,
    Expired(DeliveryWake),
    /// The program is gone.
    Ended,
    Cancelled,
}

/// What must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryStep {
    /// Write as much of this as the terminal takes, without blocking, and say how much that was.
    Write(Vec<u8>),
    Wake {
        wake: DeliveryWake,
        after_ms: u64,
    },
    Receipt(Receipt),
}

/// A time asked for; one that is not the last asked for means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryWake(u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It waits for a text.
    Accepts,
    /// It works, starts or is not understood.
    Busy,
    /// It asks something; whatever is typed would be an answer.
    Dialog,
}

/// How long a program that nobody has described must be quiet before it is taken to wait for a text.
pub const READY_QUIET_MS: u64 = 500;

/// What a session in this state would do with a text. One that nobody has described takes it if its terminal says that
/// it has an editor (`asks_for_text`: bracketed paste) and it is quiet.
pub fn readiness(state: &State, asks_for_text: bool, quiet_ms: u64) -> Readiness {
    match state {
        State::Ready => Readiness::Accepts,
        State::Unknown if asks_for_text && quiet_ms >= READY_QUIET_MS => Readiness::Accepts,
        State::WaitingInput { .. } => Readiness::Dialog,
        _ => Readiness::Busy,
    }
}

/// How a program's terminal treats what is typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terminal {
    pub bracketed_paste: bool,
    pub line_mode: LineMode,
}

/// How far a text has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receipt {
    Queued,
    /// It waits because a person is writing.
    Held,
    /// All of it is typed.
    Typed,
    /// Enter was pressed.
    Submitted,
    TurnStarted {
        evidence: &'static str,
    },
    TurnEnded {
        evidence: &'static str,
    },
    /// Nothing of it was typed.
    Undelivered {
        reason: String,
    },
    /// It is typed, whole or in part, but nothing speaks for its having been submitted.
    TypedNotSubmitted {
        reason: String,
    },
    /// The program ended before anything could be known.
    Unknown {
        reason: String,
    },
}

impl Receipt {
    /// Whether nothing more will be said.
    pub fn is_last(&self) -> bool {
        !matches!(
            self,
            Receipt::Queued
                | Receipt::Held
                | Receipt::Typed
                | Receipt::Submitted
                | Receipt::TurnStarted { .. }
        )
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Queued,
    Typing,
    Settling,
    /// Enter is being written.
    Entering,
    Confirming,
    Started,
    Over,
}

/// One text on its way.
#[derive(Clone, Debug)]
pub struct Delivery {
    text: String,
    /// What is still to be written, paste marks included.
    rest: Vec<u8>,
    /// Bytes of `rest` that are offered to the terminal.
    offered: usize,
    written: usize,
    stage: Stage,
    readiness: Readiness,
    terminal: Option<Terminal>,
    held: bool,
    enters: u32,
    /// The program never fell quiet before Enter, so its printing proves nothing.
    noisy: bool,
    settled_ms: u64,
    /// The quiet before Enter.
    settle_ms: u64,
    /// Only the tool's own word says that a turn has begun.
    by_word: bool,
    wake: u64,
}

impl Delivery {
    /// A text to be typed, neutralised; `first_line` is put before it where the program's own commands begin with a
    /// character of their own.
    pub fn new(text: &str, first_line: Option<&str>) -> (Delivery, Vec<DeliveryStep>) {
        let text = match first_line {
            Some(line) => format!("{}\n{}\n", neutralise(line), neutralise(text).trim_end_matches('\n')),
            None => neutralise(text),
        };
        let delivery = Delivery {
            text,
            rest: Vec::new(),
            offered: 0,
            written: 0,
            stage: Stage::Queued,
            readiness: Readiness::Busy,
            terminal: None,
            held: false,
            enters: 0,
            noisy: false,
            settled_ms: 0,
            settle_ms: SETTLE_MS,
            by_word: false,
            wake: 0,
        };
        (delivery, vec![DeliveryStep::Receipt(Receipt::Queued)])
    }

    /// The same for a tool whose profile says how it takes a text.
    #[must_use]
    pub fn typed_for(self, way: &TypingWay) -> Delivery {
        Delivery { settle_ms: way.settle_ms.clamp(1, SETTLE_MS_MAX), by_word: way.confirmed_by_word, ..self }
    }

    /// From the first byte to Enter: whoever else writes now would write into the middle of the text.
    pub fn is_typing(&self) -> bool {
        matches!(self.stage, Stage::Typing | Stage::Settling | Stage::Entering)
    }

    /// Whether what is written now is Enter.
    pub fn is_entering(&self) -> bool {
        self.stage == Stage::Entering
    }

    /// A text that an earlier node has typed: Enter is due once the program is quiet.
    pub fn typed() -> (Delivery, Vec<DeliveryStep>) {
        let (mut delivery, _) = Delivery::new("", None);
        delivery.stage = Stage::Settling;
        let wake = delivery.wake(SETTLE_MS);
        (delivery, vec![wake])
    }

    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Takes one event and returns what must be done about it.
    #[must_use]
    pub fn on(&mut self, event: DeliveryEvent) -> Vec<DeliveryStep> {
        if self.stage == Stage::Over {
            return Vec::new();
        }
        match event {
            DeliveryEvent::Readiness(readiness) => self.ready(readiness),
            DeliveryEvent::Terminal(terminal) => {
                self.terminal = Some(terminal);
                self.begin()
            }
            DeliveryEvent::PersonTyped => self.hold(),
            DeliveryEvent::PersonLeft => {
                self.held = false;
                self.begin()
            }
            DeliveryEvent::Written { bytes } => self.wrote(bytes),
            DeliveryEvent::Output => self.printed(),
            DeliveryEvent::Working => self.started("the program says that it works"),
            DeliveryEvent::Idle => self.idle(),
            DeliveryEvent::Expired(wake) if wake == DeliveryWake(self.wake) => self.expired(),
            DeliveryEvent::Expired(_) => Vec::new(),
            DeliveryEvent::Ended => self.ended(),
            DeliveryEvent::Cancelled => self.give_up("cancelled"),
        }
    }

    fn ready(&mut self, readiness: Readiness) -> Vec<DeliveryStep> {
        self.readiness = readiness;
        match (readiness, self.stage) {
            (Readiness::Dialog, Stage::Typing | Stage::Settling | Stage::Confirming) => {
                self.give_up("the program asks something")
            }
            _ => self.begin(),
        }
    }

    /// A person writes: what has not begun waits, what has begun is finished first.
    fn hold(&mut self) -> Vec<DeliveryStep> {
        if self.stage != Stage::Queued {
            return Vec::new();
        }
        let mut steps = Vec::new();
        if !std::mem::replace(&mut self.held, true) {
            steps.push(DeliveryStep::Receipt(Receipt::Held));
        }
        steps.push(self.wake(HELD_MS_MAX));
        steps
    }

    /// Begins to type if all that is needed is there.
    fn begin(&mut self) -> Vec<DeliveryStep> {
        let Some(terminal) = self.terminal else { return Vec::new() };
        if self.stage != Stage::Queued || self.held || self.readiness != Readiness::Accepts {
            return Vec::new();
        }
        if terminal.line_mode.canonical {
            let lines = self.text.split('\n').enumerate();
            if let Some((n, line)) = lines.into_iter().find(|(_, line)| line.len() >= LINE_BYTES_MAX) {
                let reason = format!(
                    "line {} has {} bytes, and the program reads line by line, of which the terminal takes {} bytes each",
                    n + 1,
                    line.len(),
                    LINE_BYTES_MAX - 1
                );
                return self.over(Receipt::Undelivered { reason });
            }
        }
        let text = std::mem::take(&mut self.text).into_bytes();
        let paste = terminal.bracketed_paste && !terminal.line_mode.canonical;
        self.rest = if paste { [PASTE_BEGIN, &text, PASTE_END].concat() } else { text };
        self.wake += 1;
        self.stage = Stage::Typing;
        self.offer()
    }

    /// The next piece; Enter is a piece of its own.
    fn offer(&mut self) -> Vec<DeliveryStep> {
        let piece = &self.rest[self.written..(self.written + CHUNK_BYTES_MAX).min(self.rest.len())];
        self.offered = piece.len();
        if piece.is_empty() { self.all_typed() } else { vec![DeliveryStep::Write(piece.to_vec())] }
    }

    fn wrote(&mut self, bytes: usize) -> Vec<DeliveryStep> {
        match self.stage {
            Stage::Typing => {
                self.written += bytes.min(self.offered);
                self.offer()
            }
            Stage::Entering if bytes == 0 => vec![DeliveryStep::Write(ENTER.to_vec())],
            Stage::Entering => self.entered(),
            _ => Vec::new(),
        }
    }

    fn all_typed(&mut self) -> Vec<DeliveryStep> {
        self.rest = Vec::new();
        self.stage = Stage::Settling;
        vec![DeliveryStep::Receipt(Receipt::Typed), self.wake(self.settle_ms)]
    }

    fn printed(&mut self) -> Vec<DeliveryStep> {
        match self.stage {
            Stage::Settling if self.settled_ms < SETTLE_MS_MAX => {
                // It still works the text in; the time waited is counted so that this has an end.
                self.noisy = true;
                Vec::new()
            }
            Stage::Confirming if !self.noisy && !self.by_word => {
                self.started("the program printed something after Enter")
            }
            _ => Vec::new(),
        }
    }

    fn idle(&mut self) -> Vec<DeliveryStep> {
        match self.stage {
            Stage::Started => self.over(Receipt::TurnEnded { evidence: "the program says that it waits" }),
            _ => Vec::new(),
        }
    }

    fn expired(&mut self) -> Vec<DeliveryStep> {
        match self.stage {
            Stage::Queued if self.held => self.give_up("a person was writing"),
            Stage::Settling => self.settled(),
            Stage::Confirming if self.enters < ENTERS_MAX => self.enter(),
            Stage::Confirming => self.give_up("nothing happened after Enter"),
            _ => Vec::new(),
        }
    }

    /// One time of quiet is over: was it one?
    fn settled(&mut self) -> Vec<DeliveryStep> {
        self.settled_ms += self.settle_ms;
        if self.noisy && self.settled_ms < SETTLE_MS_MAX {
            self.noisy = false;
            return vec![self.wake(self.settle_ms)];
        }
        self.enter()
    }

    fn enter(&mut self) -> Vec<DeliveryStep> {
        self.enters += 1;
        self.stage = Stage::Entering;
        vec![DeliveryStep::Write(ENTER.to_vec())]
    }

    fn entered(&mut self) -> Vec<DeliveryStep> {
        self.stage = Stage::Confirming;
        let first = self.enters == 1;
        let receipt = first.then_some(DeliveryStep::Receipt(Receipt::Submitted));
        let wake = self.wake(CONFIRM_MS << (self.enters - 1));
        receipt.into_iter().chain([wake]).collect()
    }

    fn started(&mut self, evidence: &'static str) -> Vec<DeliveryStep> {
        if self.stage != Stage::Confirming {
            return Vec::new();
        }
        self.wake += 1;
        self.stage = Stage::Started;
        vec![DeliveryStep::Receipt(Receipt::TurnStarted { evidence })]
    }

    fn ended(&mut self) -> Vec<DeliveryStep> {
        match self.stage {
            Stage::Queued => self.over(Receipt::Undelivered { reason: "the program ended".to_owned() }),
            Stage::Started => self.over(Receipt::TurnEnded { evidence: "the program ended" }),
            _ => self.over(Receipt::Unknown {
                reason: "the program ended while the text was on its way".to_owned(),
            }),
        }
    }

    fn give_up(&mut self, why: &str) -> Vec<DeliveryStep> {
        let reason = why.to_owned();
        let nothing = self.stage == Stage::Queued || self.stage == Stage::Typing && self.written == 0;
        let receipt = match self.stage {
            _ if nothing => Receipt::Undelivered { reason },
            Stage::Started => Receipt::Unknown { reason },
            _ => Receipt::TypedNotSubmitted { reason },
        };
        self.over(receipt)
    }

    fn over(&mut self, receipt: Receipt) -> Vec<DeliveryStep> {
        self.stage = Stage::Over;
        self.rest = Vec::new();
        vec![DeliveryStep::Receipt(receipt)]
    }

    fn wake(&mut self, after_ms: u64) -> DeliveryStep {
        self.wake += 1;
        DeliveryStep::Wake { wake: DeliveryWake(self.wake), after_ms }
    }
}

#[cfg(test)]
mod tests;
