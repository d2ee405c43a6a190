//! The stable names of what can be found.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $variant:ident = $name:literal,)*) => {
        /// The stable name of a kind of finding. Names are added, never changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Code {
            /// Every code there is.
            pub const ALL: &'static [Code] = &[$(Code::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $name,)*
                }
            }

            /// What the code stands for, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Code::$variant => concat!($($doc),*).trim_ascii(),)*
                }
            }
        }
    };
}

codes! {
    /// The text is larger than a document may be.
    TooLarge = "too-large",
    /// Objects and lists lie deeper in each other than a document may go.
    TooDeep = "too-deep",
    /// The text is not UTF-8.
    NotUtf8 = "not-utf8",
    /// The text begins with a byte order mark.
    ByteOrderMark = "byte-order-mark",
    /// The text is not JSON.
    Syntax = "syntax",
    /// The text holds nothing.
    Empty = "empty",
    /// The document is not an object.
    NotAnObject = "not-an-object",
    /// The text is a part of a document, such as the value of `models`.
    Fragment = "fragment",
    /// More is wrong than is told.
    MoreFindings = "more-findings",
    /// A field stands twice in one object.
    DuplicateField = "duplicate-field",
    /// No such field belongs here.
    UnknownField = "unknown-field",
    /// A field that must be there is not.
    MissingField = "missing-field",
    /// A field says nothing where it stands.
    UnusedField = "unused-field",
    /// A value is of the wrong kind.
    WrongType = "wrong-type",
    /// A word is none of those the field takes.
    UnknownWord = "unknown-word",
    /// A number lies outside of its bounds.
    OutOfBounds = "out-of-bounds",
    /// A list is too short or too long.
    WrongLength = "wrong-length",
    /// A text is not of the form its field asks for.
    BadForm = "bad-form",
    /// A name is no slug.
    BadName = "bad-name",
    /// A name is kept for something else.
    ReservedName = "reserved-name",
    /// A name stands for two things.
    DuplicateName = "duplicate-name",
    /// `connector` names no version of this language.
    UnknownVersion = "unknown-version",
    /// `connector` names a later version than this one.
    NewerVersion = "newer-version",
    /// `connector` is missing.
    NoVersion = "no-version",
    /// An alias leads back to itself.
    AliasCycle = "alias-cycle",
    /// Phases or agents wait for each other.
    AfterCycle = "after-cycle",
    /// No phase has this name.
    UnknownPhase = "unknown-phase",
    /// No worker, participant or agent has this name.
    UnknownWorker = "unknown-worker",
    /// No step has this name.
    UnknownStep = "unknown-step",
    /// A condition is no CEL.
    BadCondition = "bad-condition",
    /// A condition reads a phase that is not over by then.
    ConditionTooEarly = "condition-too-early",
    /// A schedule is no cron line.
    BadSchedule = "bad-schedule",
    /// No time zone has this name.
    UnknownTimezone = "unknown-timezone",
    /// `{…}` that is no variable.
    UnknownVariable = "unknown-variable",
    /// More than one of the document's own limits allows.
    LimitExceeded = "limit-exceeded",
    /// Nobody is told what to do.
    NoTask = "no-task",
    /// There is nothing to run.
    NothingToRun = "nothing-to-run",
    /// No alias or profile has this name.
    UnknownModel = "unknown-model",
    /// No model is named and none can be chosen.
    NoModel = "no-model",
    /// A program that would be started is not on PATH.
    ProgramAbsent = "program-absent",
    /// No MCP server of this name is known.
    UnknownMcp = "unknown-mcp",
    /// A worktree is asked for where there is no repository.
    NoRepository = "no-repository",
    /// A path leads out of the tree.
    PathOutside = "path-outside",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
