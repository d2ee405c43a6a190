//! Reading a profile's TOML file. Whatever is wrong is told with file, line and column.

mod drive;

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::course::Unavailable;
use crate::profile::call::{Entry, Hole, Template};
use crate::profile::mcp::{Handing, HandingKeys};
use crate::profile::sandboxed::{Sandboxed, SandboxedKeys};
use crate::profile::{
    Decides, ErrorRule, Pattern, Preflight, Profile, PromptWay, ScreenMeaning, ScreenRule, TurnEnds,
    TypingWay, WorksBy,
};
use crate::usage::read::UsageRule;

/// The largest profile file: the longest built-in one has 3 KiB.
pub const FILE_BYTES_MAX: usize = 256 * 1024;

/// A model may think for long; one that has said nothing for so long while nothing of its own runs is not heard again.
const SILENT_MAX_MS: u64 = 600_000;

/// What is wrong in a profile's file, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ProfileError {
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub message: String,
}

/// A file that is right as TOML; what it does not name is left to the profile it changes.
#[derive(Debug)]
pub(crate) struct ProfileFile {
    name: String,
    text: String,
    keys: Keys,
    built_in: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    id: Spanned<String>,
    about: Option<String>,
    program: Option<String>,
    argv: Option<Vec<EntryKey>>,
    large: Option<Vec<EntryKey>>,
    prompt: Option<Spanned<PromptWay>>,
    names: Option<BTreeMap<String, String>>,
    tags: Option<BTreeMap<String, String>>,
    model_required: Option<bool>,
    env_pass: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    prefix_line: Option<bool>,
    version: Option<Vec<String>>,
    zero_may_lie: Option<bool>,
    error: Option<Vec<Spanned<ErrorKeys>>>,
    screen: Option<Vec<Spanned<ScreenKeys>>>,
    version_pattern: Option<Spanned<String>>,
    conversation: Option<Spanned<drive::ConversationKeys>>,
    typing: Option<TypingWay>,
    decides: Option<Decides>,
    safe_commands: Option<Vec<String>>,
    silent_max_ms: Option<u64>,
    permission: Option<BTreeMap<Spanned<String>, Vec<String>>>,
    permission_env: Option<BTreeMap<Spanned<String>, BTreeMap<String, String>>>,
    transcript: Option<Spanned<drive::TranscriptKeys>>,
    dialog: Option<Vec<Spanned<drive::DialogKeys>>>,
    hook: Option<Vec<Spanned<drive::WordKeys>>>,
    record: Option<Vec<Spanned<drive::WordKeys>>>,
    report: Option<Vec<drive::ReportKeys>>,
    sandboxed: Option<Spanned<SandboxedKeys>>,
    mcp: Option<Spanned<HandingKeys>>,
    preflight: Option<Preflight>,
    usage: Option<UsageRule>,
    works_by: Option<Vec<WorksBy>>,
}

/// An argument or a group of arguments, which stand or fall together.
type EntryKey = Spanned<toml::Value>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorKeys {
    class: Unavailable,
    pattern: Option<Spanned<String>>,
    exit: Option<i32>,
    code: Option<Spanned<String>>,
    #[serde(default)]
    coarse: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScreenKeys {
    is: ScreenMeaning,
    screen: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    unless: Option<Spanned<String>>,
    #[serde(default)]
    quiet_ms: u64,
    ends: Option<TurnEnds>,
}

impl ProfileFile {
    pub(crate) fn read(name: &str, text: &str) -> Result<ProfileFile, ProfileError> {
        if text.len() > FILE_BYTES_MAX {
            let message =
                format!("a profile has at most {FILE_BYTES_MAX} bytes, this one has {}", text.len());
            return Err(wrong(name, text, 0..0, message));
        }
        let keys: Keys = toml::from_str(text).map_err(|error| {
            wrong(name, text, error.span().unwrap_or(0..0), error.message().trim().to_owned())
        })?;
        Ok(ProfileFile { name: name.to_owned(), text: text.to_owned(), keys, built_in: false })
    }

    /// This file as one of the program's own, whose patterns are known to be right.
    pub(crate) fn built_in(self) -> ProfileFile {
        ProfileFile { built_in: true, ..self }
    }

    pub(crate) fn id(&self) -> &str {
        self.keys.id.get_ref()
    }

    pub(crate) fn wrong_id(&self, message: String) -> ProfileError {
        self.wrong(self.keys.id.span(), message)
    }

    fn wrong(&self, span: Range<usize>, message: String) -> ProfileError {
        wrong(&self.name, &self.text, span, message)
    }

    /// The profile this file gives, laid over the one it changes.
    pub(crate) fn finish(self, base: Option<Profile>) -> Result<Profile, ProfileError> {
        if crate::name::Slug::new(self.id()).is_err() {
            return Err(self.wrong_id(format!("`{}` is no id: letters, digits, `.`, `_` and `-`", self.id())));
        }
        let argv = self.keys.argv.as_deref().map(|keys| self.entries(keys)).transpose()?;
        let large = self.keys.large.as_deref().map(|keys| self.entries(keys)).transpose()?;
        let errors = self.keys.error.as_deref().map(|keys| self.errors(keys)).transpose()?;
        let screens = self.keys.screen.as_deref().map(|keys| self.screens(keys)).transpose()?;
        let mut profile = match base {
            Some(base) => base,
            None => self.bare()?,
        };
        let keys = &self.keys;
        put(&mut profile.about, keys.about.clone());
        put(&mut profile.program, keys.program.clone().map(Some));
        put(&mut profile.prompt, keys.prompt.as_ref().map(|way| *way.get_ref()));
        put(&mut profile.model_required, keys.model_required);
        put(&mut profile.env_pass, keys.env_pass.clone());
        put(&mut profile.silent_max_ms, keys.silent_max_ms);
        put(&mut profile.prefix_line, keys.prefix_line);
        put(&mut profile.version, keys.version.clone());
        put(&mut profile.zero_may_lie, keys.zero_may_lie);
        put(&mut profile.argv, argv);
        put(&mut profile.large, large.map(Some));
        put(&mut profile.errors, errors);
        put(&mut profile.screens, screens);
        put(&mut profile.preflight, keys.preflight.clone());
        put(&mut profile.works_by, keys.works_by.clone());
        put(&mut profile.usage, keys.usage.clone().map(Some));
        profile.names.extend(keys.names.clone().unwrap_or_default());
        profile.tags.extend(keys.tags.clone().unwrap_or_default());
        profile.env.extend(keys.env.clone().unwrap_or_default());
        self.put_drive(&mut profile)?;
        if let Some(keys) = &self.keys.sandboxed {
            let put = keys.get_ref().put(&mut profile.sandboxed);
            put.map_err(|message| self.wrong(keys.span(), message))?;
        }
        if let Some(keys) = &self.keys.mcp {
            let put = keys.get_ref().put(&mut profile.mcp);
            put.map_err(|message| self.wrong(keys.span(), message))?;
        }
        profile.source.clone_from(&self.name);
        self.check(&profile)?;
        Ok(profile)
    }

    /// A profile of its own before its keys are put in.
    fn bare(&self) -> Result<Profile, ProfileError> {
        let Some(prompt) = self.keys.prompt.as_ref() else {
            return Err(self.wrong_id("`prompt` is missing: argument, stdin, file or args".to_owned()));
        };
        Ok(Profile {
            id: self.id().to_owned(),
            about: String::new(),
            program: None,
            prompt: *prompt.get_ref(),
            names: BTreeMap::new(),
            tags: BTreeMap::new(),
            model_required: false,
            env_pass: Vec::new(),
            env: BTreeMap::new(),
            prefix_line: false,
            version: Vec::new(),
            zero_may_lie: false,
            errors: Vec::new(),
            screens: Vec::new(),
            version_pattern: None,
            conversation: None,
            typing: TypingWay::default(),
            decides: None,
            safe_commands: None,
            silent_max_ms: SILENT_MAX_MS,
            permission: BTreeMap::new(),
            permission_env: BTreeMap::new(),
            transcript: None,
            dialogs: Vec::new(),
            hooks: Vec::new(),
            records: Vec::new(),
            reports: Vec::new(),
            sandboxed: Sandboxed::default(),
            mcp: Handing::default(),
            usage: None,
            works_by: Vec::new(),
            preflight: Preflight::default(),
            argv: Vec::new(),
            large: None,
            source: self.name.clone(),
        })
    }

    /// What must hold between the keys.
    fn check(&self, profile: &Profile) -> Result<(), ProfileError> {
        let at = || self.keys.prompt.as_ref().map_or_else(|| self.keys.id.span(), Spanned::span);
        let has = |hole: Hole| profile.argv.iter().any(|entry| entry.0.iter().any(|part| part.has(hole)));
        let needed = match profile.prompt {
            PromptWay::Argument => Some((Hole::Prompt, "{prompt}")),
            PromptWay::File => Some((Hole::PromptFile, "{prompt_file}")),
            PromptWay::Args => Some((Hole::Args, "{args}")),
            PromptWay::Stdin => None,
        };
        if let Some((_, word)) = needed.filter(|(hole, _)| !has(*hole)) {
            return Err(self.wrong(at(), format!("with this `prompt`, `{word}` must stand in `argv`")));
        }
        if profile.program.is_none() && !has(Hole::Args) {
            return Err(self
                .wrong_id("`program` is missing, and `argv` has no `{args}` that could name it".to_owned()));
        }
        if profile.model_required && !has(Hole::Model) {
            return Err(
                self.wrong_id("`model_required` is said, but `{model}` does not stand in `argv`".to_owned())
            );
        }
        Ok(())
    }

    fn entries(&self, keys: &[EntryKey]) -> Result<Vec<Entry>, ProfileError> {
        let entry = |key: &EntryKey| {
            let texts: Vec<Option<&str>> = match key.get_ref() {
                toml::Value::Array(together) => together.iter().map(toml::Value::as_str).collect(),
                one => vec![one.as_str()],
            };
            let template = |text: Option<&str>| {
                let text = text.ok_or_else(|| "an argument is a text, or a list of texts".to_owned())?;
                Template::read(text)
            };
            let templates: Result<Vec<Template>, String> = texts.into_iter().map(template).collect();
            templates.map(Entry).map_err(|message| self.wrong(key.span(), message))
        };
        keys.iter().map(entry).collect()
    }

    fn errors(&self, keys: &[Spanned<ErrorKeys>]) -> Result<Vec<ErrorRule>, ProfileError> {
        let rule = |rule: &Spanned<ErrorKeys>| {
            let keys = rule.get_ref();
            if keys.pattern.is_none() && keys.exit.is_none() && keys.code.is_none() {
                return Err(
                    self.wrong(rule.span(), "an error needs a `pattern`, an `exit` or a `code`".to_owned())
                );
            }
            if keys.code.is_some() && (keys.pattern.is_some() || keys.exit.is_some()) {
                let message = "a `code` comes from the tool's own word and stands alone".to_owned();
                return Err(self.wrong(rule.span(), message));
            }
            if keys.coarse && keys.code.is_none() {
                return Err(self.wrong(rule.span(), "only a `code` can be `coarse`".to_owned()));
            }
            let pattern = keys.pattern.as_ref().map(|pattern| self.pattern(pattern)).transpose()?;
            let code = keys.code.as_ref().map(|code| self.pattern(code)).transpose()?;
            Ok(ErrorRule { class: keys.class, pattern, exit: keys.exit, code, coarse: keys.coarse })
        };
        keys.iter().map(rule).collect()
    }

    fn screens(&self, keys: &[Spanned<ScreenKeys>]) -> Result<Vec<ScreenRule>, ProfileError> {
        let rule = |rule: &Spanned<ScreenKeys>| {
            let keys = rule.get_ref();
            if keys.screen.is_none() && keys.title.is_none() {
                return Err(
                    self.wrong(rule.span(), "a screen needs a `screen` or `title` pattern".to_owned())
                );
            }
            let screen = keys.screen.as_ref().map(|pattern| self.pattern(pattern)).transpose()?;
            let title = keys.title.as_ref().map(|pattern| self.pattern(pattern)).transpose()?;
            let unless = keys.unless.as_ref().map(|pattern| self.pattern(pattern)).transpose()?;
            Ok(ScreenRule { is: keys.is, screen, title, unless, quiet_ms: keys.quiet_ms, ends: keys.ends })
        };
        keys.iter().map(rule).collect()
    }

    /// A pattern of the user's is tried now, so that what is wrong with it is said with its place.
    fn pattern(&self, text: &Spanned<String>) -> Result<Pattern, ProfileError> {
        let pattern = Pattern::new(text.get_ref());
        if !self.built_in {
            let wrong = |message| self.wrong(text.span(), format!("not a pattern: {message}"));
            pattern.check().map_err(wrong)?;
        }
        Ok(pattern)
    }
}

fn put<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn wrong(file: &str, text: &str, span: Range<usize>, message: String) -> ProfileError {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    ProfileError { file: file.to_owned(), line, column, message }
}
