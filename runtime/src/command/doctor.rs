//! `niia doctor`: whether everything niia needs is here; each line with its cure.

mod looks;
mod sandbox;

use serde::Serialize;

use super::{Caller, say, say_json};
use crate::failure::{Exit, Failure};
use crate::report::table::{Table, cell, toned_cell};
use crate::report::{Look, Tone};

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    Ok,
    /// niia works, but something of it does not, or not well.
    Warn,
    /// niia does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub health: Health,
    pub about: &'static str,
    pub found: String,
    /// What makes it well.
    pub cure: Option<String>,
}

impl Finding {
    pub fn ok(about: &'static str, found: impl Into<String>) -> Finding {
        Finding { health: Health::Ok, about, found: found.into(), cure: None }
    }

    pub fn warn(about: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { health: Health::Warn, about, found: found.into(), cure: Some(cure.into()) }
    }

    pub fn fail(about: &'static str, found: impl Into<String>, cure: impl Into<String>) -> Finding {
        Finding { health: Health::Fail, about, found: found.into(), cure: Some(cure.into()) }
    }
}

/// 0 where niia works, also with warnings; 1 where it does not.
pub async fn doctor(caller: &Caller) -> Result<Exit, Failure> {
    let mut findings = vec![looks::git(), looks::terminal()];
    findings.extend(looks::state(&caller.folders));
    findings.push(looks::config(caller));
    findings.extend(looks::tools(caller));
    findings.extend(looks::limits());
    findings.push(looks::memory());
    findings.push(sandbox::sandbox(caller));
    findings.push(looks::node(caller).await);
    if caller.json {
        say_json(&findings)?;
    } else {
        say(&text(&findings, caller.look()))?;
    }
    let failed = findings.iter().any(|finding| finding.health == Health::Fail);
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn text(findings: &[Finding], look: Look) -> String {
    let mut table = Table::headless();
    for finding in findings {
        let (word, tone) = match finding.health {
            Health::Ok => ("ok", Tone::Good),
            Health::Warn => ("warn", Tone::Asking),
            Health::Fail => ("fail", Tone::Bad),
        };
        table.row(vec![toned_cell(word, tone), cell(finding.about), cell(&finding.found)]);
        if let Some(cure) = &finding.cure {
            table.row(vec![cell(""), cell(""), toned_cell(format!("→ {cure}"), Tone::Faint)]);
        }
    }
    table.text(look)
}
