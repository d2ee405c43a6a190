//! Whom a session that is kept from the network reached, or tried to.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Forbidden by the session's rules.
    Refused,
    /// Allowed, and it could not be reached.
    Failed,
    /// Allowed and reached.
    Allowed,
}

/// One host, and what came of asking for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Contact {
    pub verdict: Access,
    /// As the program asked for it.
    pub host: String,
    /// Why it was refused or failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    pub count: u64,
}

impl Contact {
    /// For people.
    pub fn sentence(&self) -> String {
        let times = match self.count {
            1 => String::new(),
            count => format!(" ({count} times)"),
        };
        match self.verdict {
            Access::Allowed => format!("{} was reached{times}", self.host),
            Access::Refused => format!("{} was refused{times}: {}", self.host, self.why),
            Access::Failed => format!("{} could not be reached{times}: {}", self.host, self.why),
        }
    }
}
