//! How a tool is driven over several turns, as its profile says it: how a conversation is started and taken up again,
//! how a text is typed, which dialogs there are and which keys answer them, and what the tool's own words mean.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::detect::{Asked, ReportState};
use crate::profile::call::{Entry, Hole};
pub use crate::profile::path::{field, text_of};
use crate::profile::{OwnHome, Pattern, ScreenMeaning};

/// How a conversation is started.
#[derive(Clone, Debug)]
pub struct Conversation {
    pub(crate) argv: Vec<Entry>,
    /// In place of `argv` where a session is taken up again by the tool's own means.
    pub(crate) resume: Option<Vec<Entry>>,
    pub first_turn: FirstTurn,
    pub env: BTreeMap<String, String>,
    /// Files of the session's own, by name, in which `{niia}` and `{overlay}` are filled in.
    pub files: BTreeMap<String, String>,
    /// A tool that is not ready after this time is reported, with its screen.
    pub ready_within_ms: u64,
    /// What niia calls the conversation, with placeholders; nothing where any name will do.
    pub name: Option<String>,
    /// A folder of settings of the session's own.
    pub home: Option<OwnHome>,
    /// A command that is started beside the tool and ends with it.
    pub(crate) beside: Vec<Entry>,
}

impl Conversation {
    /// Whether it can be taken up again by the tool's own means.
    pub fn resumes(&self) -> bool {
        self.resume.is_some()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FirstTurn {
    /// As an argument: no composer, no paste, no Enter.
    Argument,
    Typed,
}

/// How a text is typed into the tool's composer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TypingWay {
    /// The quiet between a text and Enter.
    pub settle_ms: u64,
    /// A text ends with a line feed, so that its last character completes nothing.
    pub final_newline: bool,
    /// A space is put after each `@`, which else names a file to be read in.
    pub at_space: bool,
    /// So many blanks stand in a tab's place: the tool would put them there itself.
    pub tab_spaces: usize,
    /// The tool takes white space from the end of a text.
    pub trims: bool,
    /// What the tool takes out of a text; nothing where the pattern is empty.
    pub drops: Pattern,
    /// Keys that empty the composer.
    pub clear: String,
    /// Keys that end a turn early.
    pub interrupt: String,
    /// A beginning turn is known by the tool's own word; what it prints after Enter proves nothing.
    pub confirmed_by_word: bool,
}

impl Default for TypingWay {
    fn default() -> TypingWay {
        TypingWay {
            settle_ms: 50,
            final_newline: true,
            at_space: false,
            tab_spaces: 0,
            trims: false,
            drops: Pattern::new(""),
            clear: String::new(),
            interrupt: String::new(),
            confirmed_by_word: false,
        }
    }
}

/// How the hook answers that a tool asks whether it may do something.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decides {
    /// The hook that waits for an answer.
    pub event: String,
    /// The field that holds the tool's name.
    pub name: String,
    /// What is printed to let it happen.
    pub allow: String,
    /// What is printed to refuse; `{reason}` is the reason as a text of JSON.
    pub deny: String,
    #[serde(default, rename = "tool")]
    pub tools: Vec<ToolRule>,
}

/// What a tool of this name does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolRule {
    pub tool: Pattern,
    pub kind: ToolKind,
    /// The field that holds the command, or the file.
    pub field: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolKind {
    Run,
    Edit,
    Read,
}

/// A dialog of the tool, and the keys that answer it.
#[derive(Clone, Debug)]
pub struct DialogRule {
    pub id: String,
    pub kind: Asked,
    pub screen: Pattern,
    /// Where this is to be seen as well, the dialog is only quoted.
    pub unless: Option<Pattern>,
    pub title: Option<Pattern>,
    pub allow: Option<String>,
    pub deny: Option<String>,
    /// What a blind Enter would do.
    pub enter: Enter,
    /// The tool's own words know nothing of this dialog, so they do not count against it.
    pub silent: bool,
    /// It asks whether to go on trying what has failed. Nobody need be asked: it is denied by itself, and the tool then
    /// says why it failed.
    pub denied: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Enter {
    Allows,
    Denies,
    /// It takes no Enter, or nobody knows.
    Unknown,
}

/// What a word of the tool's own means: a hook it called, a record of its transcript.
#[derive(Clone, Debug, PartialEq)]
pub struct WordRule {
    /// The hook's event; of a record nothing.
    pub event: String,
    /// Fields, each with the value it must have.
    pub fields: BTreeMap<String, Value>,
    pub is: Option<ScreenMeaning>,
    pub ends: Option<TurnEnds>,
    /// The field that holds the answer's text.
    pub answer: Option<String>,
    /// The field that holds an error's code.
    pub code: Option<String>,
    /// The field that holds the prompt that was taken.
    pub receipt: Option<String>,
    /// A command of the tool's own runs from here to its next word.
    pub runs: bool,
    /// A field that holds what still goes on; where it is not empty, the turn is not over.
    pub pending: Option<String>,
    /// The field that holds the tool's own name of the conversation.
    pub session: Option<String>,
    /// Fields, each with what its text must look like.
    pub matches: BTreeMap<String, Pattern>,
    /// What must be to be seen as well: the tool says the same of several things.
    pub screen: Option<Pattern>,
    /// With what must be to be seen: for how long nothing else was printed.
    pub quiet_ms: u64,
    /// Of an end its transcript says more: the answer, an interruption, an error.
    pub from_records: bool,
    /// It says that a prompt was taken, and not which.
    pub takes: bool,
    /// After this failure the tool goes on trying by itself, longer than anybody waits: it is interrupted.
    pub stops: bool,
    /// The field that names the conversation it is about: of another one it says nothing.
    pub own: Option<String>,
    /// The field that holds the path of the transcript.
    pub transcript: Option<String>,
}

/// What a report of the status protocol means.
#[derive(Clone, Debug)]
pub struct ReportRule {
    pub state: ReportState,
    pub kind: Option<Asked>,
    pub is: ScreenMeaning,
    pub ends: Option<TurnEnds>,
    /// Where on its screen the tool says why; the last such place counts.
    pub reason: Option<Pattern>,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnEnds {
    Answered,
    Interrupted,
    Failed,
}

impl Conversation {
    /// Whether the tool is given a port of the machine.
    pub fn wants_port(&self) -> bool {
        let has = |entry: &Entry| entry.0.iter().any(|part| part.has(Hole::Port));
        self.argv.iter().any(has)
    }
}

impl WordRule {
    /// Whether the rule is about this word.
    pub fn holds(&self, event: &str, body: &Value) -> bool {
        self.event == event
            && self.fields.iter().all(|(path, wanted)| field(body, path) == Some(wanted))
            && self
                .matches
                .iter()
                .all(|(path, wanted)| text_of(body, path).is_some_and(|text| wanted.is_match(&text)))
    }

    /// Whether what must be to be seen with it is there.
    pub fn is_shown(&self, screen: &str, quiet_ms: u64) -> bool {
        quiet_ms >= self.quiet_ms && self.screen.as_ref().is_none_or(|wanted| wanted.is_match(screen))
    }

    /// Whether a turn begins with it.
    pub fn begins_turn(&self) -> bool {
        self.receipt.is_some() || self.takes
    }

    /// Whether something still goes on, so that the session may go on by itself.
    pub fn is_pending(&self, body: &Value) -> bool {
        let Some(path) = &self.pending else { return false };
        match field(body, path) {
            None | Some(Value::Null | Value::Bool(false)) => false,
            Some(Value::Array(list)) => !list.is_empty(),
            Some(Value::Object(fields)) => !fields.is_empty(),
            Some(_) => true,
        }
    }
}

/// A value as a tool's JSON would have it.
pub(crate) fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        toml::Value::Boolean(yes) => Value::from(*yes),
        toml::Value::Array(list) => list.iter().map(json).collect(),
        toml::Value::Table(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), json(value))).collect()
        }
        toml::Value::Datetime(time) => Value::from(time.to_string()),
    }
}
