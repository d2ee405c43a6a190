//! Whether a tool may do what it asks for: a pure decision from the document's `permission`, put into the session's own
//! folder so that the hook that is asked decides by itself, also while no node runs.

mod command;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::plan::{OnDialog, Permission};
use crate::profile::drive::text_of;
use crate::profile::{Decides, Profile, ToolKind};

/// Commands that read, build or test: what they change lies in the worktree, or nowhere. A profile may name others.
pub const SAFE_COMMANDS: [&str; 46] = [
    "cargo build",
    "cargo check",
    "cargo clippy",
    "cargo doc",
    "cargo fmt",
    "cargo metadata",
    "cargo nextest",
    "cargo test",
    "cargo tree",
    "cat",
    "cd",
    "cut",
    "diff",
    "du",
    "echo",
    "find",
    "git blame",
    "git diff",
    "git log",
    "git ls-files",
    "git merge-base",
    "git rev-parse",
    "git show",
    "git status",
    "go test",
    "go vet",
    "grep",
    "head",
    "ls",
    "make",
    "npm run build",
    "npm run lint",
    "npm test",
    "pnpm test",
    "printf",
    "pwd",
    "pytest",
    "python -m pytest",
    "python3 -m pytest",
    "rg",
    "tail",
    "test",
    "true",
    "wc",
    "which",
    "yarn test",
];
/// Words that make one of these commands do more than it does by itself.
const UNSAFE_WORDS: [&str; 4] = ["-ok", "-okdir", "-delete", "--output"];
/// Prefixes of words that do the same.
const UNSAFE_PREFIXES: [&str; 8] =
    ["--output=", "--config=", "--pre=", "--fix", "--target-dir", "-exec", "-fprint", "-fls"];
/// What an agent may ask of its own run. The node itself refuses what is not an agent's.
const NIIA_VERBS: [&str; 10] =
    ["claim", "output", "mailbox", "scratchpad", "status", "done", "memory", "history", "runs", "logs"];

/// What a session's hook decides by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    pub permission: Permission,
    pub on_dialog: OnDialog,
    /// Folders whose files may be changed: the worktree, the scratchpad.
    pub writable: Vec<PathBuf>,
    pub safe_commands: Vec<String>,
    pub decides: Decides,
}

/// What is decided, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allow {
        because: String,
    },
    Deny {
        because: String,
    },
    /// A person decides.
    Ask {
        because: String,
    },
}

/// What a tool asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wish {
    Run(String),
    Edit(PathBuf),
    Read,
    Other(String),
}

impl Policy {
    /// The policy of a session; nothing where its tool asks no hook.
    pub fn of(
        profile: &Profile,
        permission: Permission,
        on_dialog: OnDialog,
        writable: Vec<PathBuf>,
    ) -> Option<Policy> {
        let decides = profile.decides.clone()?;
        let safe_commands = match &profile.safe_commands {
            Some(own) => own.clone(),
            None => SAFE_COMMANDS.map(str::to_owned).to_vec(),
        };
        Some(Policy { permission, on_dialog, writable, safe_commands, decides })
    }

    /// What is decided about the word of a hook; nothing where the word asks for nothing. `real` says where a path
    /// really leads, links followed.
    pub fn decide(&self, event: &str, body: &Value, real: &dyn Fn(&Path) -> PathBuf) -> Option<Decision> {
        if event != self.decides.event {
            return None;
        }
        let wish = self.wish(body);
        let because = match self.judged(&wish, real) {
            Ok(because) => return Some(Decision::Allow { because }),
            Err(because) => because,
        };
        Some(match (self.permission, self.on_dialog) {
            (Permission::ReadOnly, _) => {
                Decision::Deny { because: format!("permission is read-only: {because}") }
            }
            (_, OnDialog::Allow) => Decision::Allow { because: format!("on_dialog is allow: {because}") },
            (_, OnDialog::Deny) => Decision::Deny { because: format!("on_dialog is deny: {because}") },
            (_, OnDialog::Ask | OnDialog::Fail) => Decision::Ask { because },
        })
    }

    /// What the hook prints for it; nothing leaves the question to the tool's own dialog.
    pub fn answer(&self, decision: &Decision) -> Option<String> {
        match decision {
            Decision::Allow { .. } => Some(self.decides.allow.clone()),
            Decision::Deny { because } => {
                let reason = Value::from(format!("niia: {because}")).to_string();
                Some(self.decides.deny.replace("{reason}", &reason))
            }
            Decision::Ask { .. } => None,
        }
    }

    fn wish(&self, body: &Value) -> Wish {
        let name = text_of(body, &self.decides.name).unwrap_or_default();
        let Some(rule) = self.decides.tools.iter().find(|rule| rule.tool.is_match(&name)) else {
            return Wish::Other(name);
        };
        let said = rule.field.as_ref().and_then(|field| text_of(body, field));
        match (rule.kind, said) {
            (ToolKind::Run, Some(command)) => Wish::Run(command),
            (ToolKind::Edit, Some(path)) => Wish::Edit(PathBuf::from(path)),
            (ToolKind::Read, _) => Wish::Read,
            (_, None) => Wish::Other(name),
        }
    }

    /// Why it is allowed, or why not by itself.
    fn judged(&self, wish: &Wish, real: &dyn Fn(&Path) -> PathBuf) -> Result<String, String> {
        if self.permission == Permission::Full {
            return Ok("permission is full".to_owned());
        }
        if *wish == Wish::Read {
            return Ok("it only reads".to_owned());
        }
        match (self.permission, wish) {
            (_, Wish::Other(name)) => Err(format!("nothing is said about the tool {name}")),
            (Permission::Ask, Wish::Run(command)) => Err(format!("it wants to run: {}", shortened(command))),
            (Permission::Ask | Permission::ReadOnly, Wish::Edit(path)) => {
                Err(format!("it wants to change {}", path.display()))
            }
            (_, Wish::Run(command)) => self.judged_command(command),
            (_, Wish::Edit(path)) => self.judged_edit(path, real),
            (_, Wish::Read) => Ok("it only reads".to_owned()),
        }
    }

    fn judged_command(&self, line: &str) -> Result<String, String> {
        let unsure = || format!("it is no safe command: {}", shortened(line));
        let commands = command::simple_commands(line).ok_or_else(unsure)?;
        if commands.iter().all(|words| self.is_safe(words)) {
            return Ok(format!("a safe command: {}", shortened(line)));
        }
        Err(unsure())
    }

    fn is_safe(&self, words: &[String]) -> bool {
        let does_more = |word: &String| {
            UNSAFE_WORDS.contains(&word.as_str())
                || UNSAFE_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
        };
        if words.iter().any(does_more) {
            return false;
        }
        if words.first().is_some_and(|first| first == "niia") {
            return words.get(1).is_some_and(|verb| NIIA_VERBS.contains(&verb.as_str()));
        }
        // Away from its folder nobody knows what a command that follows is about.
        if words.first().is_some_and(|first| first == "cd") {
            return words.len() == 2 && self.is_below(Path::new(&words[1]));
        }
        self.safe_commands.iter().any(|safe| {
            let safe: Vec<&str> = safe.split_whitespace().collect();
            words.len() >= safe.len() && safe.iter().zip(words).all(|(safe, word)| safe == word)
        })
    }

    fn is_below(&self, path: &Path) -> bool {
        let plain = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        plain || self.writable.iter().any(|folder| flat(path).starts_with(folder))
    }

    fn judged_edit(&self, path: &Path, real: &dyn Fn(&Path) -> PathBuf) -> Result<String, String> {
        let first = self.writable.first().cloned().unwrap_or_default();
        let whole = real(&flat(&first.join(path)));
        match self.writable.iter().find(|folder| whole.starts_with(real(folder))) {
            // What git does when it is called next is written there.
            Some(_) if whole.components().any(|part| part.as_os_str() == ".git") => {
                Err(format!("{} belongs to git", path.display()))
            }
            Some(folder) => Ok(format!("a file below {}", folder.display())),
            None => Err(format!("{} lies outside of the worktree", path.display())),
        }
    }
}

/// A path without `.` and `..`.
fn flat(path: &Path) -> PathBuf {
    let mut flat = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(flat.pop()),
            part => flat.push(part),
        }
    }
    flat
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    text.chars().take(CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A decision as the hook's word carries it, beside what the tool said.
pub fn told(decision: &Decision) -> BTreeMap<&'static str, Value> {
    let (word, because) = match decision {
        Decision::Allow { because } => ("allow", because),
        Decision::Deny { because } => ("deny", because),
        Decision::Ask { because } => ("ask", because),
    };
    BTreeMap::from([("niia_decided", Value::from(word)), ("niia_because", Value::from(because.as_str()))])
}

#[cfg(test)]
mod tests;
