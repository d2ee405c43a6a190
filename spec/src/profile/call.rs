//! A profile's argument list made for one prompt.
//!
//! How a prompt arrives:
//! - as an argument, where the profile has `{prompt}` in its `argv`; a prompt that cannot be an argument (longer than
//!   the kernel takes, or with a `-` in front, which would be read as an option) goes the profile's `large` way, by
//!   a file's path or as standard input;
//! - typed into the terminal (`stdin`);
//! - as the path of a file (`{prompt_file}`);
//! - as the model's own `args` say (profile `command`): `{prompt}` inside an argument is replaced by the text,
//!   `{prompt_file}` by the path of a file that holds it; an argument `{stdin}` is taken out and standard input is that
//!   file; an argument `{typed}` is taken out and the text is typed. An argument list that asks for none of these gets
//!   the text typed only if the program switches bracketed paste on, and nothing otherwise: most commands read no
//!   prompt at all.
//!
//! Whatever the way, `NIIA_PROMPT_FILE` names the file that holds the prompt.

use std::collections::BTreeMap;

use crate::profile::{Profile, PromptWay, Server, neutralise};

/// The longest argument: Linux takes 128 KiB for one, its final NUL included.
pub const ARGUMENT_BYTES_MAX: usize = 128 * 1024 - 1;
/// The variable that names the prompt's file.
pub const PROMPT_FILE_VARIABLE: &str = "NIIA_PROMPT_FILE";
/// The shell where nobody says which.
const SHELL: &str = "/bin/sh";
/// Gives a program the prompt's file as standard input and becomes that program.
const WITH_PROMPT_AS_INPUT: &str = r#"exec "$@" <"$NIIA_PROMPT_FILE""#;

/// What a profile is called with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Call<'a> {
    pub model: Option<&'a str>,
    pub args: &'a [String],
    /// Nothing starts the tool for a person.
    pub prompt: Option<&'a str>,
    /// Where the caller keeps the neutralised prompt; it must lie there before the program starts.
    pub prompt_file: &'a str,
    pub shell: Option<&'a str>,
    /// What only a conversation needs.
    pub talk: Talk<'a>,
    /// MCP servers the tool is handed, where it takes any.
    pub mcp: &'a [Server],
}

/// What a conversation is started with.
#[derive(Clone, Copy, Debug, Default)]
pub struct Talk<'a> {
    /// The conversation's name for the tool, assigned by niia or told by the tool.
    pub session: Option<&'a str>,
    /// The folder of the session's own settings.
    pub overlay: Option<&'a str>,
    /// This program.
    pub niia: Option<&'a str>,
    pub cwd: Option<&'a str>,
    /// The word of the document's `permission`.
    pub permission: Option<&'a str>,
    /// The conversation is taken up again by the tool's own means.
    pub resumes: bool,
    /// A folder that all attempts of the worker share.
    pub kept: Option<&'a str>,
    /// A port of the machine that is the session's own, and a word that only the session knows.
    pub port: Option<&'a str>,
    pub secret: Option<&'a str>,
}

/// A program to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    pub program: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    pub env_pass: Vec<String>,
    pub prompt: PromptBy,
    /// A typed prompt begins with a fixed line.
    pub prefix_line: bool,
    /// A command that runs beside it.
    pub beside: Vec<String>,
}

/// How this prompt reaches this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptBy {
    /// There is no prompt.
    Nothing,
    Argument,
    /// It is given the path of the prompt's file.
    File,
    /// Its standard input is the prompt's file; its output still is the terminal.
    Input,
    /// Typed into its terminal once it is ready.
    Typed,
    /// Typed if it switches bracketed paste on; a program that never does gets nothing typed.
    WhenAsked,
}

/// Why a profile cannot be called so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("`{profile}` must be told which model: write `{profile}/MODEL`")]
    ModelMissing { profile: String },
    #[error("`{profile}` takes no model, but `{model}` was asked for")]
    ModelUnwanted { profile: String, model: String },
    #[error("`{profile}` needs `args`: the program and its arguments")]
    ProgramMissing { profile: String },
    #[error(
        "a prompt of {bytes} bytes is no possible argument of `{profile}` (the system takes {ARGUMENT_BYTES_MAX}): \
         let `{{prompt_file}}` or `{{stdin}}` stand for it"
    )]
    PromptTooLong { profile: String, bytes: usize },
    #[error("an argument or variable for `{profile}` holds a NUL byte, which no program can be given")]
    Nul { profile: String },
}

/// One entry of an argument list: its parts stand or fall together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry(pub Vec<Template>);

/// One argument with its placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Hole(Hole),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hole {
    Prompt,
    PromptFile,
    Model,
    Args,
    Shell,
    Session,
    Overlay,
    Niia,
    Cwd,
    Permission,
    Mcp,
    Kept,
    Port,
    Secret,
}

impl Template {
    /// Reads an argument. `{word}` is a placeholder and must be a known one; any other brace is a brace.
    pub(crate) fn read(text: &str) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, word, after)) = placeholder(rest) {
            let hole = match word {
                "prompt" => Hole::Prompt,
                "prompt_file" => Hole::PromptFile,
                "model" => Hole::Model,
                "args" => Hole::Args,
                "shell" => Hole::Shell,
                "session" => Hole::Session,
                "overlay" => Hole::Overlay,
                "niia" => Hole::Niia,
                "cwd" => Hole::Cwd,
                "permission" => Hole::Permission,
                "mcp" => Hole::Mcp,
                "kept" => Hole::Kept,
                "port" => Hole::Port,
                "secret" => Hole::Secret,
                word => {
                    return Err(format!(
                        "`{{{word}}}` is no placeholder: there are {{prompt}}, {{prompt_file}}, {{model}}, {{args}}, \
                         {{shell}}, {{session}}, {{overlay}}, {{niia}}, {{cwd}}, {{kept}}, {{port}}, {{secret}}, {{permission}} \
                         and {{mcp}}"
                    ));
                }
            };
            if matches!(hole, Hole::Args | Hole::Permission | Hole::Mcp) && text != format!("{{{word}}}") {
                return Err(format!("`{{{word}}}` stands for several arguments, so it must stand alone"));
            }
            parts.extend((!before.is_empty()).then(|| Part::Text(before.to_owned())));
            parts.push(Part::Hole(hole));
            rest = after;
        }
        parts.extend((!rest.is_empty()).then(|| Part::Text(rest.to_owned())));
        Ok(Template(parts))
    }

    pub(crate) fn has(&self, hole: Hole) -> bool {
        self.0.contains(&Part::Hole(hole))
    }
}

/// The first `{word}` of a text with what stands before and after it.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + text.get(from..)?.find('{')?;
        let inside = text.get(open + 1..)?;
        let word_bytes = inside.bytes().take_while(|b| b.is_ascii_lowercase() || *b == b'_').count();
        if word_bytes > 0 && inside.as_bytes().get(word_bytes) == Some(&b'}') {
            return Some((&text[..open], &inside[..word_bytes], &inside[word_bytes + 1..]));
        }
        from = open + 1;
    }
}

impl Profile {
    /// The program to start for one call, or why there is none.
    pub fn call(&self, call: &Call<'_>) -> Result<Invocation, CallError> {
        self.check_model(call)?;
        let prompt = call.prompt.map(neutralise);
        let (argv, by) = match (&prompt, self.prompt) {
            (None, _) => (self.filled(&self.argv, call, None), PromptBy::Nothing),
            (Some(text), PromptWay::Argument) => self.by_argument(call, text)?,
            (Some(text), PromptWay::File) => (self.filled(&self.argv, call, Some(text)), PromptBy::File),
            (Some(text), PromptWay::Stdin) => (self.filled(&self.argv, call, Some(text)), PromptBy::Typed),
            (Some(text), PromptWay::Args) => self.by_args(call, text)?,
        };
        self.invocation(call, argv, by)
    }

    fn check_model(&self, call: &Call<'_>) -> Result<(), CallError> {
        let profile = self.id.clone();
        match call.model {
            None if self.model_required => Err(CallError::ModelMissing { profile }),
            Some(model) if !self.takes(Hole::Model) => {
                Err(CallError::ModelUnwanted { profile, model: model.to_owned() })
            }
            _ => Ok(()),
        }
    }

    fn takes(&self, hole: Hole) -> bool {
        self.argv.iter().any(|entry| entry.0.iter().any(|template| template.has(hole)))
    }

    fn by_argument(&self, call: &Call<'_>, text: &str) -> Result<(Vec<String>, PromptBy), CallError> {
        if text.len() <= ARGUMENT_BYTES_MAX && !text.starts_with('-') {
            return Ok((self.filled(&self.argv, call, Some(text)), PromptBy::Argument));
        }
        let Some(large) = &self.large else {
            if text.len() <= ARGUMENT_BYTES_MAX {
                return Ok((self.filled(&self.argv, call, Some(text)), PromptBy::Argument));
            }
            return Err(CallError::PromptTooLong { profile: self.id.clone(), bytes: text.len() });
        };
        let by_path = large.iter().any(|entry| entry.0.iter().any(|template| template.has(Hole::PromptFile)));
        let by = if by_path { PromptBy::File } else { PromptBy::Input };
        Ok((self.filled(large, call, Some(text)), by))
    }

    /// The way the model's own arguments ask for.
    fn by_args(&self, call: &Call<'_>, text: &str) -> Result<(Vec<String>, PromptBy), CallError> {
        let mut by = PromptBy::WhenAsked;
        let mut args = Vec::new();
        for arg in call.args {
            match arg.as_str() {
                "{stdin}" => by = PromptBy::Input,
                "{typed}" => by = PromptBy::Typed,
                arg if arg.contains("{prompt}") => {
                    by = PromptBy::Argument;
                    args.push(arg.replace("{prompt}", text));
                }
                arg if arg.contains("{prompt_file}") => {
                    by = PromptBy::File;
                    args.push(arg.replace("{prompt_file}", call.prompt_file));
                }
                arg => args.push(arg.to_owned()),
            }
        }
        if by == PromptBy::Argument && args.iter().any(|arg| arg.len() > ARGUMENT_BYTES_MAX) {
            return Err(CallError::PromptTooLong { profile: self.id.clone(), bytes: text.len() });
        }
        Ok((self.filled(&self.argv, &Call { args: &args, ..*call }, Some(text)), by))
    }

    fn filled(&self, entries: &[Entry], call: &Call<'_>, prompt: Option<&str>) -> Vec<String> {
        let mut argv = Vec::new();
        for entry in entries {
            if entry.0.iter().any(|template| template.has(Hole::Args)) {
                argv.extend(call.args.iter().cloned());
                continue;
            }
            if entry.0.iter().any(|template| template.has(Hole::Permission)) {
                let granted = call.talk.permission.and_then(|word| self.permission.get(word));
                argv.extend(granted.into_iter().flatten().cloned());
                continue;
            }
            if entry.0.iter().any(|template| template.has(Hole::Mcp)) {
                let servers = self.mcp.argv.iter().filter(|_| !call.mcp.is_empty());
                argv.extend(servers.map(|text| self.handed(call, text)));
                continue;
            }
            let parts: Option<Vec<String>> =
                entry.0.iter().map(|template| fill(template, call, prompt)).collect();
            argv.extend(parts.into_iter().flatten());
        }
        argv
    }

    fn invocation(
        &self,
        call: &Call<'_>,
        argv: Vec<String>,
        prompt: PromptBy,
    ) -> Result<Invocation, CallError> {
        let mut argv = argv.into_iter();
        let program = match &self.program {
            Some(program) => program.replace("{shell}", call.shell.unwrap_or(SHELL)),
            None => argv.next().ok_or_else(|| CallError::ProgramMissing { profile: self.id.clone() })?,
        };
        let mut env = self.env.clone();
        if !call.mcp.is_empty() {
            env.extend(self.mcp.env.iter().map(|(name, text)| (name.clone(), self.handed(call, text))));
        }
        if prompt != PromptBy::Nothing {
            env.insert(PROMPT_FILE_VARIABLE.to_owned(), call.prompt_file.to_owned());
        }
        let args: Vec<String> = argv.collect();
        if args.iter().chain(env.values()).chain([&program]).any(|text| text.contains('\0')) {
            return Err(CallError::Nul { profile: self.id.clone() });
        }
        let env_pass = self.env_pass.clone();
        Ok(Invocation {
            program,
            args,
            env,
            env_pass,
            prompt,
            prefix_line: self.prefix_line,
            beside: Vec::new(),
        })
    }
}

impl Profile {
    /// A text of the profile's with the session's folder and its MCP servers filled in.
    pub(super) fn handed(&self, call: &Call<'_>, text: &str) -> String {
        let text = talk::put_in(text, &call.talk);
        if !text.contains("{servers}") {
            return text;
        }
        // In JSON it stands quoted, so that the text is JSON before it is filled in, too.
        let servers = self.mcp.servers(call.mcp);
        text.replace("\"{servers}\"", &servers).replace("{servers}", &servers)
    }

    /// Files of the session's own by which the tool is handed its servers.
    pub fn handed_files(&self, call: &Call<'_>) -> BTreeMap<String, String> {
        let files = self.mcp.files.iter().filter(|_| !call.mcp.is_empty());
        files.map(|(name, text)| (name.clone(), self.handed(call, text))).collect()
    }
}

/// An argument with its placeholders filled; nothing where one of them has no value.
fn fill(template: &Template, call: &Call<'_>, prompt: Option<&str>) -> Option<String> {
    let mut filled = String::new();
    for part in &template.0 {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Hole(Hole::Prompt) => filled.push_str(prompt?),
            Part::Hole(Hole::PromptFile) => filled.push_str(prompt.map(|_| call.prompt_file)?),
            Part::Hole(Hole::Model) => filled.push_str(call.model?),
            Part::Hole(Hole::Shell) => filled.push_str(call.shell.unwrap_or(SHELL)),
            Part::Hole(Hole::Session) => filled.push_str(call.talk.session?),
            Part::Hole(Hole::Overlay) => filled.push_str(call.talk.overlay?),
            Part::Hole(Hole::Niia) => filled.push_str(call.talk.niia?),
            Part::Hole(Hole::Cwd) => filled.push_str(call.talk.cwd?),
            Part::Hole(Hole::Kept) => filled.push_str(call.talk.kept?),
            Part::Hole(Hole::Port) => filled.push_str(call.talk.port?),
            Part::Hole(Hole::Secret) => filled.push_str(call.talk.secret?),
            Part::Hole(Hole::Args | Hole::Permission | Hole::Mcp) => {}
        }
    }
    Some(filled)
}

mod talk;
pub use talk::{Beginning, FIRST_LINE};

impl Invocation {
    /// The whole command, its program first.
    ///
    /// Where standard input is to be the prompt's file, a shell opens it and then becomes the program.
    pub fn argv(&self) -> Vec<String> {
        let mut argv = Vec::with_capacity(self.args.len() + 5);
        if self.prompt == PromptBy::Input {
            argv.extend([SHELL, "-c", WITH_PROMPT_AS_INPUT, "niia"].map(str::to_owned));
        } else if !self.beside.is_empty() {
            let beside: Vec<String> = self.beside.iter().map(|word| quoted(word)).collect();
            let script = format!(r#"{} </dev/null >/dev/null 2>&1 & exec "$@""#, beside.join(" "));
            argv.extend([SHELL, "-c", &script, "niia"].map(str::to_owned));
        }
        argv.push(self.program.clone());
        argv.extend(self.args.iter().cloned());
        argv
    }
}

/// A word as a shell reads it as one.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
