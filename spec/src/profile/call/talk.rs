//! A call that begins a conversation.

use std::collections::BTreeMap;

use super::{ARGUMENT_BYTES_MAX, Call, CallError, Invocation, PromptBy};
use crate::profile::drive::FirstTurn;
use crate::profile::{Profile, neutralise};

/// The line put before a prompt so that its first character is never a command.
pub const FIRST_LINE: &str = "[niia]";

/// A conversation to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    pub invocation: Invocation,
    /// Files of the session's own, by name, to be written into the overlay folder first.
    pub files: BTreeMap<String, String>,
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
            let put_in = |(name, text): (&String, &String)| (name.clone(), self.handed(call, text));
            invocation.env.extend(conversation.env.iter().map(put_in));
            let files = conversation.files.iter().map(put_in).chain(self.handed_files(call)).collect();
            Ok(Beginning { invocation, files })
        }))
    }

    /// A prompt as this tool is given it: without control characters, behind a fixed first line, with a line feed at
    /// its end, and with a space after each `@` where the tool would read a file's name.
    pub fn as_typed(&self, text: &str) -> String {
        let mut text = neutralise(text);
        if self.typing.at_space {
            text = text.replace('@', "@ ");
        }
        let first = if self.prefix_line { format!("{FIRST_LINE}\n") } else { String::new() };
        let last = if self.typing.final_newline { "\n" } else { "" };
        format!("{first}{}{last}", text.trim_end_matches('\n'))
    }
}
