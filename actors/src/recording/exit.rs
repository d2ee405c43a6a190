//! How the program of a session ended.

use serde::{Deserialize, Serialize};

use super::{Kind, Record};

/// How a program ended, as its minder saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub status: ExitStatus,
    /// Time spent in the program and in all of its descendants.
    pub user_ms: u32,
    pub system_ms: u32,
    /// How many bytes were printed in all.
    pub log_end: u64,
    pub why: Why,
    /// Descendants that even SIGKILL did not end in time; 0 is the rule.
    pub left_behind: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitStatus {
    Code(i32),
    Signal { number: i32, core: bool },
}

/// What made a program end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// By itself, or by a signal that did not come from niia.
    Itself,
    /// The node ordered it.
    Ordered,
    /// The minder was asked to end, as at a shutdown of the machine.
    Shutdown,
}

impl Exit {
    /// The exit code, where there is one.
    pub fn code(&self) -> Option<i32> {
        match self.status {
            ExitStatus::Code(code) => Some(code),
            ExitStatus::Signal { .. } => None,
        }
    }

    /// The signal that ended it, where one did.
    pub fn signal(&self) -> Option<i32> {
        match self.status {
            ExitStatus::Code(_) => None,
            ExitStatus::Signal { number, .. } => Some(number),
        }
    }

    pub fn success(&self) -> bool {
        self.status == ExitStatus::Code(0)
    }

    pub(crate) fn record(&self, at_us: u64) -> Record {
        let (sub, number) = match self.status {
            ExitStatus::Code(code) => (0, code),
            ExitStatus::Signal { number, core: false } => (1, number),
            ExitStatus::Signal { number, core: true } => (2, number),
        };
        let why = match self.why {
            Why::Itself => 0,
            Why::Ordered => 1,
            Why::Shutdown => 2,
        };
        Record {
            kind: Kind::Exit,
            sub,
            // Exit codes have 8 bits and signals 7.
            small: u16::try_from(number).unwrap_or(u16::MAX),
            at_us,
            offset: self.log_end,
            first: u64::from(self.user_ms) | u64::from(self.system_ms) << 32,
            second: why | u64::from(self.left_behind) << 8,
        }
    }

    pub(crate) fn of_record(record: &Record) -> Exit {
        let number = i32::from(record.small);
        let status = match record.sub {
            0 => ExitStatus::Code(number),
            core => ExitStatus::Signal { number, core: core == 2 },
        };
        let why = match record.second & 0xff {
            0 => Why::Itself,
            1 => Why::Ordered,
            _ => Why::Shutdown,
        };
        Exit {
            status,
            user_ms: record.first as u32,
            system_ms: (record.first >> 32) as u32,
            log_end: record.offset,
            why,
            left_behind: (record.second >> 8) as u16,
        }
    }
}
