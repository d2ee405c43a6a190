//! A call that begins a conversation.

use std::collections::BTreeMap;

use super::{ARGUMENT_BYTES_MAX, Call, CallError, Invocation, PromptBy, Talk, Template, fill};
use crate::profile::drive::{Conversation, FirstTurn};
use crate::profile::{OwnHome, Profile, neutralise};

/// The line put before a prompt so that its first character is never a command.
pub const FIRST_LINE: &str = "[niia]";

/// A conversation to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    pub invocation: Invocation,
    /// Files of the session's own, by name, to be written into the overlay folder first.
    pub files: BTreeMap<String, String>,
    /// The same for a folder of the tool's settings.
    pub home: Option<OwnHome>,
}

impl Profile {
    /// The program that holds a conversation; nothing for a tool that answers once and ends.
    pub fn begin(&self, call: &Call<'_>) -> Option<Result<Beginning, CallError>> {
        let conversation = self.conversation.as_ref()?;
        Some(self.check_model(call).and_then(|()| {
            let prompt = call.prompt.map(|text| self.as_typed(text));
            let fits = |text: &String| text.len() <= ARGUMENT_BYTES_MAX && !text.starts_with('-');
            let first =
                prompt.as_ref().filter(|text| conversation.first_turn == FirstTurn::Argument && fits(text));
            let argv = match (&conversation.resume, call.talk.resumes) {
                (Some(resume), true) => resume,
                _ => &conversation.argv,
            };
            let argv = self.filled(argv, call, first.map(String::as_str));
            let by = match (&prompt, first) {
                (None, _) => PromptBy::Nothing,
                (_, Some(_)) => PromptBy::Argument,
                (Some(_), None) => PromptBy::Typed,
            };
            let mut invocation = self.invocation(call, argv, by)?;
            invocation.beside = self.filled(&conversation.beside, call, None);
            invocation.env.extend(self.conversation_env(conversation, call));
            let files = conversation.files.iter();
            let files = files.map(|(name, text)| (name.clone(), self.handed(call, text)));
            let files = files.chain(self.handed_files(call)).collect();
            let home = conversation.home.clone().map(|home| OwnHome {
                merge: home
                    .merge
                    .iter()
                    .map(|(name, text)| (name.clone(), self.handed(call, text)))
                    .collect(),
                ..home
            });
            Ok(Beginning { invocation, files, home })
        }))
    }

    fn conversation_env(&self, conversation: &Conversation, call: &Call<'_>) -> Vec<(String, String)> {
        let granted = call.talk.permission.and_then(|word| self.permission_env.get(word));
        let env = conversation.env.iter().chain(granted.into_iter().flatten());
        env.map(|(name, value)| (name.clone(), put_in(value, &call.talk))).collect()
    }

    /// What niia calls a conversation of this tool; nothing where any name will do.
    pub fn conversation_name(&self, talk: &Talk<'_>) -> Option<String> {
        let name = self.conversation.as_ref()?.name.as_deref()?;
        filled(name, talk)
    }

    /// Where the tool's transcript lies, if that is known before it tells.
    pub fn transcript_file(&self, talk: &Talk<'_>) -> Option<String> {
        filled(self.transcript.as_ref()?.file.as_deref()?, talk)
    }

    /// A prompt as this tool is given it: without control characters, behind a fixed first line, with a line feed at
    /// its end, with a space after each `@` where the tool would read a file's name, and without what it would take
    /// out or put in itself, so that what it takes is what was typed.
    pub fn as_typed(&self, text: &str) -> String {
        let way = &self.typing;
        let mut text = way.drops.taken_out_of(&neutralise(text));
        if way.at_space {
            text = text.replace('@', "@ ");
        }
        if way.tab_spaces > 0 {
            text = text.replace('\t', &" ".repeat(way.tab_spaces));
        }
        if way.trims {
            text.truncate(text.trim_end().len());
        }
        let first = if self.prefix_line { format!("{FIRST_LINE}\n") } else { String::new() };
        let last = if self.typing.final_newline { "\n" } else { "" };
        format!("{first}{}{last}", text.trim_end_matches('\n'))
    }
}

/// A text of which only these placeholders are filled: JSON is full of braces.
pub(super) fn put_in(text: &str, talk: &Talk<'_>) -> String {
    let known = [
        ("{niia}", talk.niia.unwrap_or("niia")),
        ("{overlay}", talk.overlay.unwrap_or_default()),
        ("{kept}", talk.kept.unwrap_or_default()),
        ("{port}", talk.port.unwrap_or_default()),
        ("{secret}", talk.secret.unwrap_or_default()),
    ];
    known.iter().fold(text.to_owned(), |text, (hole, value)| text.replace(hole, value))
}

fn filled(text: &str, talk: &Talk<'_>) -> Option<String> {
    fill(&Template::read(text).ok()?, &Call { talk: *talk, ..Call::default() }, None)
}
