//! The sections about conversations.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use super::{EntryKey, ProfileError, ProfileFile, put};
use crate::detect::{Asked, ReportState};
use crate::profile::call::{Entry, Hole, Template};
use crate::profile::drive::{
    Conversation, DialogRule, Enter, FirstTurn, ReportRule, TurnEnds, WordRule, json,
};
use crate::profile::{AnswerIs, LineKind, OwnHome, Transcript, merged_settings};
use crate::profile::{Pattern, Profile, ScreenMeaning};

/// The words of a document's `permission`.
const PERMISSIONS: [&str; 4] = ["ask", "read-only", "workspace-write", "full"];
/// A tool that nobody has measured is given so long to be ready.
const READY_WITHIN_MS: u64 = 30_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConversationKeys {
    argv: Vec<EntryKey>,
    resume: Option<Vec<EntryKey>>,
    first_turn: Spanned<FirstTurn>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    files: BTreeMap<Spanned<String>, String>,
    ready_within_ms: Option<u64>,
    name: Option<Spanned<String>>,
    home: Option<Spanned<HomeKeys>>,
    #[serde(default)]
    beside: Vec<EntryKey>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HomeKeys {
    variable: String,
    folder: String,
    #[serde(default)]
    own: Vec<String>,
    #[serde(default)]
    merge: BTreeMap<String, String>,
}

/// The table `[transcript]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TranscriptKeys {
    file: Option<Spanned<String>>,
    #[serde(default)]
    answer: AnswerIs,
    #[serde(default)]
    line: Vec<LineKeys>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LineKeys {
    kind: String,
    pattern: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DialogKeys {
    id: Spanned<String>,
    kind: Asked,
    screen: Spanned<String>,
    unless: Option<Spanned<String>>,
    title: Option<Spanned<String>>,
    allow: Option<String>,
    deny: Option<String>,
    #[serde(default = "unknown")]
    enter: Enter,
    #[serde(default)]
    silent: bool,
    #[serde(default)]
    denied: bool,
}

fn unknown() -> Enter {
    Enter::Unknown
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WordKeys {
    event: Option<Spanned<String>>,
    #[serde(default, rename = "where")]
    fields: BTreeMap<String, toml::Value>,
    is: Option<ScreenMeaning>,
    ends: Option<TurnEnds>,
    answer: Option<String>,
    code: Option<String>,
    receipt: Option<String>,
    pending: Option<String>,
    session: Option<String>,
    #[serde(default)]
    runs: bool,
    #[serde(default)]
    matches: BTreeMap<String, Spanned<String>>,
    screen: Option<Spanned<String>>,
    #[serde(default)]
    quiet_ms: u64,
    #[serde(default)]
    from_records: bool,
    #[serde(default)]
    takes: bool,
    #[serde(default)]
    stops: bool,
    own: Option<String>,
    transcript: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportKeys {
    state: ReportState,
    kind: Option<Asked>,
    is: ScreenMeaning,
    ends: Option<TurnEnds>,
    reason: Option<Spanned<String>>,
}

impl ProfileFile {
    /// Puts what the file says of conversations into a profile.
    pub(super) fn put_drive(&self, profile: &mut Profile) -> Result<(), ProfileError> {
        let keys = &self.keys;
        if let Some(conversation) = &keys.conversation {
            profile.conversation = Some(self.conversation(conversation)?);
        }
        for (word, argv) in keys.permission.iter().flatten() {
            profile.permission.insert(self.permission(word)?, argv.clone());
        }
        for (word, env) in keys.permission_env.iter().flatten() {
            profile.permission_env.insert(self.permission(word)?, env.clone());
        }
        if let Some(transcript) = &keys.transcript {
            profile.transcript = Some(self.transcript(transcript.get_ref())?);
        }
        put(&mut profile.typing, keys.typing.clone());
        put(&mut profile.decides, keys.decides.clone().map(Some));
        put(&mut profile.safe_commands, keys.safe_commands.clone().map(Some));
        put(&mut profile.version_pattern, self.maybe_pattern(keys.version_pattern.as_ref())?.map(Some));
        put(&mut profile.dialogs, keys.dialog.as_deref().map(|keys| self.dialogs(keys)).transpose()?);
        put(&mut profile.hooks, keys.hook.as_deref().map(|keys| self.words(keys, true)).transpose()?);
        put(&mut profile.records, keys.record.as_deref().map(|keys| self.words(keys, false)).transpose()?);
        put(&mut profile.reports, keys.report.as_deref().map(|keys| self.reports(keys)).transpose()?);
        Ok(())
    }

    fn permission(&self, word: &Spanned<String>) -> Result<String, ProfileError> {
        if PERMISSIONS.contains(&word.get_ref().as_str()) {
            return Ok(word.get_ref().clone());
        }
        let message = format!("`{}` is no permission: there are {}", word.get_ref(), PERMISSIONS.join(", "));
        Err(self.wrong(word.span(), message))
    }

    fn transcript(&self, keys: &TranscriptKeys) -> Result<Transcript, ProfileError> {
        let kind =
            |keys: &LineKeys| Ok(LineKind { kind: keys.kind.clone(), pattern: self.pattern(&keys.pattern)? });
        let file = keys.file.as_ref().map(|file| self.placed(file)).transpose()?;
        let lines = keys.line.iter().map(kind).collect::<Result<_, ProfileError>>()?;
        Ok(Transcript { file, lines, answer: keys.answer })
    }

    /// A text whose placeholders are all known.
    fn placed(&self, text: &Spanned<String>) -> Result<String, ProfileError> {
        match Template::read(text.get_ref()) {
            Ok(_) => Ok(text.get_ref().clone()),
            Err(message) => Err(self.wrong(text.span(), message)),
        }
    }

    fn home(&self, keys: &Spanned<HomeKeys>) -> Result<OwnHome, ProfileError> {
        let HomeKeys { variable, folder, own, merge } = keys.get_ref();
        let names = [folder].into_iter().chain(own).chain(merge.keys());
        let is_name =
            |name: &str| !name.is_empty() && !matches!(name, "." | "..") && !name.contains(['/', '\0']);
        if let Some(wrong) = names.into_iter().find(|name| !is_name(name)) {
            return Err(self.wrong(keys.span(), format!("`{wrong}` is no name of a file or folder")));
        }
        for (name, text) in merge {
            // Servers stand there as an object, and are known when the tool is started.
            if let Err(error) = merged_settings(None, &text.replace("{servers}", "{}")) {
                return Err(self.wrong(keys.span(), format!("what is added to `{name}`: {error}")));
            }
        }
        let merge = merge.iter().map(|(name, text)| (name.clone(), text.clone())).collect();
        Ok(OwnHome { variable: variable.clone(), folder: folder.clone(), own: own.clone(), merge })
    }

    fn conversation(&self, keys: &Spanned<ConversationKeys>) -> Result<Conversation, ProfileError> {
        let at = keys.span();
        let keys = keys.get_ref();
        let argv = self.entries(&keys.argv)?;
        let has = |hole: Hole| argv.iter().any(|entry: &Entry| entry.0.iter().any(|part| part.has(hole)));
        let first_turn = *keys.first_turn.get_ref();
        if first_turn == FirstTurn::Argument && !has(Hole::Prompt) {
            let message = "with this `first_turn`, `{prompt}` must stand in `argv`".to_owned();
            return Err(self.wrong(keys.first_turn.span(), message));
        }
        if !keys.files.is_empty()
            && !has(Hole::Overlay)
            && !keys.env.values().any(|v| v.contains("{overlay}"))
        {
            let message = "`files` are written, but nothing tells the tool of `{overlay}`".to_owned();
            return Err(self.wrong(at, message));
        }
        for name in keys.files.keys() {
            if crate::name::Slug::new(name.get_ref()).is_err() {
                let message = format!("`{}` is no file name: it must have no folder", name.get_ref());
                return Err(self.wrong(name.span(), message));
            }
        }
        Ok(Conversation {
            argv,
            resume: keys.resume.as_deref().map(|keys| self.entries(keys)).transpose()?,
            first_turn,
            env: keys.env.clone(),
            files: keys.files.iter().map(|(name, text)| (name.get_ref().clone(), text.clone())).collect(),
            ready_within_ms: keys.ready_within_ms.unwrap_or(READY_WITHIN_MS),
            name: keys.name.as_ref().map(|name| self.placed(name)).transpose()?,
            home: keys.home.as_ref().map(|home| self.home(home)).transpose()?,
            beside: self.entries(&keys.beside)?,
        })
    }

    fn maybe_pattern(&self, text: Option<&Spanned<String>>) -> Result<Option<Pattern>, ProfileError> {
        text.map(|pattern| self.pattern(pattern)).transpose()
    }

    fn dialogs(&self, keys: &[Spanned<DialogKeys>]) -> Result<Vec<DialogRule>, ProfileError> {
        let mut rules: Vec<DialogRule> = Vec::new();
        for keys in keys {
            let keys = keys.get_ref();
            if rules.iter().any(|rule| rule.id == *keys.id.get_ref()) {
                let message = format!("there is a dialog `{}` already", keys.id.get_ref());
                return Err(self.wrong(keys.id.span(), message));
            }
            rules.push(DialogRule {
                id: keys.id.get_ref().clone(),
                kind: keys.kind,
                screen: self.pattern(&keys.screen)?,
                unless: self.maybe_pattern(keys.unless.as_ref())?,
                title: self.maybe_pattern(keys.title.as_ref())?,
                allow: keys.allow.clone(),
                deny: keys.deny.clone(),
                enter: keys.enter,
                silent: keys.silent,
                denied: keys.denied,
            });
        }
        Ok(rules)
    }

    fn words(&self, keys: &[Spanned<WordKeys>], of_hooks: bool) -> Result<Vec<WordRule>, ProfileError> {
        let rule = |spanned: &Spanned<WordKeys>| {
            let keys = spanned.get_ref();
            match (&keys.event, of_hooks) {
                (None, true) => return Err(self.wrong(spanned.span(), "a hook needs its `event`".to_owned())),
                (Some(event), false) => {
                    return Err(self
                        .wrong(event.span(), "a record is known by `where`, not by an `event`".to_owned()));
                }
                _ => {}
            }
            if keys.fields.is_empty() && keys.matches.is_empty() && !of_hooks {
                return Err(self.wrong(spanned.span(), "a record needs a `where` or `matches`".to_owned()));
            }
            let fields = keys.fields.iter().map(|(path, value)| (path.clone(), json(value))).collect();
            Ok(WordRule {
                event: keys.event.as_ref().map(|event| event.get_ref().clone()).unwrap_or_default(),
                fields,
                is: keys.is,
                ends: keys.ends,
                answer: keys.answer.clone(),
                code: keys.code.clone(),
                receipt: keys.receipt.clone(),
                pending: keys.pending.clone(),
                session: keys.session.clone(),
                runs: keys.runs,
                matches: self.matches(&keys.matches)?,
                screen: self.maybe_pattern(keys.screen.as_ref())?,
                quiet_ms: keys.quiet_ms,
                from_records: keys.from_records,
                takes: keys.takes,
                stops: keys.stops,
                own: keys.own.clone(),
                transcript: keys.transcript.clone(),
            })
        };
        keys.iter().map(rule).collect()
    }

    fn matches(
        &self,
        keys: &BTreeMap<String, Spanned<String>>,
    ) -> Result<BTreeMap<String, Pattern>, ProfileError> {
        keys.iter().map(|(path, pattern)| Ok((path.clone(), self.pattern(pattern)?))).collect()
    }

    fn reports(&self, keys: &[ReportKeys]) -> Result<Vec<ReportRule>, ProfileError> {
        let rule = |keys: &ReportKeys| {
            let reason = self.maybe_pattern(keys.reason.as_ref())?;
            Ok(ReportRule { state: keys.state, kind: keys.kind, is: keys.is, ends: keys.ends, reason })
        };
        keys.iter().map(rule).collect()
    }
}
