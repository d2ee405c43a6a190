//! Profiles: how one command-line tool is driven, as data.
//!
//! A profile is a TOML file. It says which program is started, how a prompt reaches it, which environment it may see
//! and what its endings mean. A new tool is a new file, no code. A user's file with the id of a built-in profile
//! changes just the keys it names.

pub mod call;
pub mod classify;
pub mod drive;
pub mod file;
pub mod home;
pub mod mcp;
pub mod outputs;
pub mod path;
pub mod pattern;
pub mod preflight;
pub mod sandboxed;
pub mod text;
pub mod transcript;
mod way;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use call::{Beginning, Call, CallError, FIRST_LINE, Invocation, PromptBy, Talk};
pub use classify::{Exit, class_of, classify};
pub use drive::{
    Conversation, Decides, DialogRule, Enter, FirstTurn, ReportRule, ToolKind, ToolRule, TurnEnds, TypingWay,
    WordRule,
};
pub use file::ProfileError;
pub use home::{OwnHome, merged_settings};
pub use mcp::{Handing, OWN_SERVER, Server};
pub use outputs::{merged, outputs_of};
pub use pattern::Pattern;
pub use preflight::Preflight;
pub use sandboxed::Sandboxed;
pub use text::neutralise;
pub use transcript::{AnswerIs, LineKind, Reading, Transcript};
pub use way::Way;

use crate::course::Unavailable;
use crate::profile::call::Entry;
use crate::profile::file::ProfileFile;
use crate::usage::read::UsageRule;

/// How different a name may be from a known one to be proposed in its place (Jaro-Winkler, 1 is equal).
const NEAR_ENOUGH: f64 = 0.75;
/// A wrong name is answered with at most this many proposals: more would not be read.
const PROPOSALS_MAX: usize = 3;

/// The profiles that come with the program, by file name.
const BUILT_IN: [(&str, &str); 11] = [
    ("claude.toml", include_str!("profile/builtin/claude.toml")),
    ("codex.toml", include_str!("profile/builtin/codex.toml")),
    ("gemini.toml", include_str!("profile/builtin/gemini.toml")),
    ("opencode.toml", include_str!("profile/builtin/opencode.toml")),
    ("aider.toml", include_str!("profile/builtin/aider.toml")),
    ("ollama.toml", include_str!("profile/builtin/ollama.toml")),
    ("ollama-agent.toml", include_str!("profile/builtin/ollama-agent.toml")),
    ("llm.toml", include_str!("profile/builtin/llm.toml")),
    ("command.toml", include_str!("profile/builtin/command.toml")),
    ("shell.toml", include_str!("profile/builtin/shell.toml")),
    ("generic.toml", include_str!("profile/builtin/generic.toml")),
];

/// The file of a built-in profile.
pub fn built_in_text(id: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(name, _)| name.strip_suffix(".toml") == Some(id)).map(|(_, text)| *text)
}

/// How one command-line tool is driven.
#[derive(Clone, Debug)]
pub struct Profile {
    pub id: String,
    /// One line for people.
    pub about: String,
    /// The program to start, looked up on the session's PATH; nothing where the model's `args` name it.
    pub program: Option<String>,
    pub prompt: PromptWay,
    /// Names that lead here on their own, each with the model it stands for: `opus` → `opus`.
    pub names: BTreeMap<String, String>,
    /// Common names of models and what the tool itself calls them: `llama-70b` → `llama3.3:70b`.
    pub tags: BTreeMap<String, String>,
    pub model_required: bool,
    /// Variables of the caller the tool may see besides PATH, HOME and LANG.
    pub env_pass: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// A prompt typed into this tool begins with a fixed line, so that its first character is never a command.
    pub prefix_line: bool,
    /// Arguments that make the program tell its version.
    pub version: Vec<String>,
    /// This tool exits with 0 after errors too, so its last lines are looked at even then.
    pub zero_may_lie: bool,
    pub errors: Vec<ErrorRule>,
    pub screens: Vec<ScreenRule>,
    /// What of the version's text is the version.
    pub version_pattern: Option<Pattern>,
    /// How it is started to stay; nothing for a tool that answers once and ends.
    pub conversation: Option<Conversation>,
    pub typing: TypingWay,
    /// How the hook that is asked for a permission answers; nothing where the tool asks none.
    pub decides: Option<Decides>,
    /// Commands that go through under `workspace-write`, where they are not niia's own list.
    pub safe_commands: Option<Vec<String>>,
    /// A turn in which the tool says nothing for so long, while no command of its own runs, hangs.
    pub silent_max_ms: u64,
    /// Arguments for each word of a document's `permission`.
    pub permission: BTreeMap<String, Vec<String>>,
    /// The same for tools that are told by variables.
    pub permission_env: BTreeMap<String, BTreeMap<String, String>>,
    /// The file it writes its conversation down in.
    pub transcript: Option<Transcript>,
    pub dialogs: Vec<DialogRule>,
    /// What the hooks it calls mean.
    pub hooks: Vec<WordRule>,
    /// What the records of its transcript mean.
    pub records: Vec<WordRule>,
    /// What its reports of the status protocol mean, where that is not what the protocol says.
    pub reports: Vec<ReportRule>,
    pub sandboxed: Sandboxed,
    /// Who drives its models where files are to be changed and commands run, in this order.
    pub works_by: Vec<WorksBy>,
    /// Where its transcript says what it used.
    pub usage: Option<UsageRule>,
    /// Where to look whether it can work, before anything is spent.
    pub preflight: Preflight,
    /// How it is handed MCP servers.
    pub mcp: Handing,
    pub(crate) argv: Vec<Entry>,
    /// The arguments for a prompt that is no possible argument.
    pub(crate) large: Option<Vec<Entry>>,
    /// The file it was read from; of a changed built-in, the user's.
    pub source: String,
}

/// Another profile that drives this one's models.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorksBy {
    pub profile: String,
    /// What it calls the model; `{model}` is this profile's name for it.
    pub model: String,
    #[serde(default)]
    pub args: Vec<String>,
}

/// How a prompt reaches the tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptWay {
    /// As one argument, where `{prompt}` stands in `argv`.
    Argument,
    /// Typed into its terminal.
    Stdin,
    /// As the path of a file, where `{prompt_file}` stands in `argv`.
    File,
    /// As the model's own `args` ask for it by a placeholder of theirs.
    Args,
}

/// What an ending means: a pattern for the last lines of the output, an exit code, or both at once.
#[derive(Clone, Debug)]
pub struct ErrorRule {
    pub class: Unavailable,
    pub pattern: Option<Pattern>,
    pub exit: Option<i32>,
    /// For the code by which the tool's own word names an error; such a rule has nothing else.
    pub code: Option<Pattern>,
    /// The tool gives this code for finer things as well, which only its words tell apart.
    pub coarse: bool,
}

/// What a screen means while the tool runs. All that is named must match.
#[derive(Clone, Debug)]
pub struct ScreenRule {
    pub is: ScreenMeaning,
    pub screen: Option<Pattern>,
    pub title: Option<Pattern>,
    /// Where this is to be seen as well, the rule says nothing.
    pub unless: Option<Pattern>,
    /// The screen must have been quiet for this long.
    pub quiet_ms: u64,
    /// A tool that has drawn this for a while has failed, though it goes on trying.
    pub ends: Option<TurnEnds>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScreenMeaning {
    Ready,
    Working,
    /// It asks whether it may do something.
    Permission,
    /// It asks a question.
    Question,
    /// It wants a login.
    Login,
    /// It asks whether the folder is to be trusted.
    Trust,
    RateLimited,
}

/// All profiles of one machine: the user's before the built-in ones.
#[derive(Clone, Debug)]
pub struct Profiles {
    all: Vec<Profile>,
}

/// What a reference to a model leads to.
#[derive(Clone, Debug)]
pub struct Resolution<'a> {
    pub profile: &'a Profile,
    /// As the tool itself calls it.
    pub model: Option<String>,
    /// How the reference led here, for people.
    pub because: String,
}

/// No profile goes by this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no profile and no model is called `{reference}`{}", proposal(near))]
pub struct UnknownModel {
    pub reference: String,
    /// The most alike first.
    pub near: Vec<String>,
}

fn proposal(near: &[String]) -> String {
    match near {
        [] => String::new(),
        near => format!("; did you mean `{}`?", near.join("`, `")),
    }
}

impl Profile {
    /// Whether it takes further prompts in one session.
    pub fn converses(&self) -> bool {
        self.conversation.is_some()
    }

    /// The times of quiet that mean something with this tool, the shortest first.
    pub fn quiets(&self) -> Vec<u64> {
        let words = self.hooks.iter().chain(&self.records).map(|rule| rule.quiet_ms);
        let mut quiets: Vec<u64> = words.chain(self.screens.iter().map(|rule| rule.quiet_ms)).collect();
        quiets.sort_unstable();
        quiets.dedup();
        quiets
    }

    /// The dialog of this name.
    pub fn dialog(&self, id: &str) -> Option<&DialogRule> {
        self.dialogs.iter().find(|dialog| dialog.id == id)
    }
}

impl Profiles {
    /// The profiles that come with the program.
    pub fn built_in() -> Result<Profiles, ProfileError> {
        let files =
            BUILT_IN.iter().map(|(name, text)| ProfileFile::read(name, text)?.built_in().finish(None));
        Ok(Profiles { all: files.collect::<Result<_, _>>()? })
    }

    /// These profiles with the user's files laid over them, each given as (name, text).
    ///
    /// A file with a known id changes the keys it names; another one is a profile of its own and comes first.
    pub fn with<'a>(
        mut self,
        files: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Profiles, ProfileError> {
        let mut own: Vec<Profile> = Vec::new();
        for (name, text) in files {
            let read = ProfileFile::read(name, text)?;
            if own.iter().any(|profile| profile.id == read.id()) {
                return Err(read.wrong_id(format!("another file already says how `{}` is driven", read.id())));
            }
            let base =
                self.all.iter().position(|profile| profile.id == read.id()).map(|at| self.all.remove(at));
            own.push(read.finish(base)?);
        }
        own.append(&mut self.all);
        Ok(Profiles { all: own })
    }

    pub fn ls(&self) -> &[Profile] {
        &self.all
    }

    pub fn get(&self, id: &str) -> Option<&Profile> {
        self.all.iter().find(|profile| profile.id == id)
    }

    /// Reads a reference: a profile's id, `profile/model`, or a name a profile lists.
    pub fn resolve(&self, reference: &str) -> Result<Resolution<'_>, UnknownModel> {
        if let Some(profile) = self.get(reference) {
            return Ok(Resolution { profile, model: None, because: format!("profile {}", profile.id) });
        }
        let named = |profile: &&Profile| profile.names.contains_key(reference);
        if let Some(profile) = self.all.iter().find(named) {
            let because = format!("{reference} is a model of {}", profile.id);
            return Ok(Resolution { profile, model: profile.names.get(reference).cloned(), because });
        }
        let Some((id, model)) = reference.split_once('/').filter(|(_, model)| !model.is_empty()) else {
            return Err(self.unknown(reference, reference));
        };
        let Some(profile) = self.get(id) else {
            return Err(self.unknown(reference, id));
        };
        let tag = profile.tags.get(model);
        let because = match tag {
            Some(tag) => format!("profile {id}, which calls {model} {tag}"),
            None => format!("profile {id}"),
        };
        Ok(Resolution { profile, model: Some(tag.map_or(model, String::as_str).to_owned()), because })
    }

    fn unknown(&self, reference: &str, name: &str) -> UnknownModel {
        let known =
            self.all.iter().flat_map(|profile| std::iter::once(&profile.id).chain(profile.names.keys()));
        let mut near: Vec<(f64, &String)> =
            known.map(|known| (strsim::jaro_winkler(&name.to_lowercase(), known), known)).collect();
        near.retain(|(likeness, _)| *likeness >= NEAR_ENOUGH);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let near = near.into_iter().take(PROPOSALS_MAX).map(|(_, known)| known.clone()).collect();
        UnknownModel { reference: reference.to_owned(), near }
    }
}

#[cfg(test)]
mod tests;
