//! What each tool tells of its work: hooks it is given on its command line or in its settings, and its transcript.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::Manner;
use super::memory::append;

pub(super) struct Words {
    tool: &'static str,
    pub(super) conversation: String,
    /// The command of each hook.
    hooks: BTreeMap<String, String>,
    transcript: PathBuf,
}

impl Words {
    pub(super) fn of(manner: &Manner, args: &[String]) -> io::Result<Words> {
        let after = |flag: &str| {
            let at = args.iter().position(|arg| arg == flag);
            at.and_then(|at| args.get(at + 1)).cloned()
        };
        let named = ["--session-id", "--resume", "resume", "--chat-history-file"];
        let conversation = named.iter().find_map(|flag| after(flag));
        let conversation = conversation.unwrap_or_else(|| format!("stand-in-{}", std::process::id()));
        let home = |variable: &str| std::env::var_os(variable).map(PathBuf::from);
        let (hooks, transcript) = match manner.name {
            "claude" => (settings(after("--settings").map(PathBuf::from))?, PathBuf::new()),
            "codex" => (configured(args), PathBuf::new()),
            "gemini" => {
                let folder =
                    home("GEMINI_CLI_HOME").or_else(|| home("HOME")).unwrap_or_default().join(".gemini");
                let chats = folder.join("tmp/home/chats");
                fs::create_dir_all(&chats)?;
                (settings(Some(folder.join("settings.json")))?, chats.join(format!("{conversation}.jsonl")))
            }
            _ => {
                let waits = after("--notifications-command").map(|command| ("waits".to_owned(), command));
                (waits.into_iter().collect(), PathBuf::from(&conversation))
            }
        };
        Ok(Words { tool: manner.name, conversation, hooks, transcript })
    }

    fn call(&self, event: &str, mut body: Value) -> io::Result<()> {
        let Some(command) = self.hooks.get(event) else { return Ok(()) };
        if let Some(fields) = body.as_object_mut() {
            fields.insert("session_id".to_owned(), json!(self.conversation));
            fields.insert("transcript_path".to_owned(), json!(self.transcript));
        }
        let mut hook = Command::new("sh");
        let mut hook = hook.args(["-c", command]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        if let Some(mut stdin) = hook.stdin.take() {
            // A hook that is gone already has no use for the rest.
            drop(stdin.write_all(body.to_string().as_bytes()));
        }
        hook.wait().map(drop)
    }

    pub(super) fn started(&self) -> io::Result<()> {
        self.call("SessionStart", json!({ "source": "startup" }))
    }

    /// A prompt was taken.
    pub(super) fn taken(&self, prompt: &str) -> io::Result<()> {
        match self.tool {
            "gemini" => {
                self.call("BeforeAgent", json!({ "prompt": prompt }))?;
                self.record(&json!({ "type": "user", "content": [{ "text": prompt }] }))
            }
            "aider" => {
                let lines: Vec<String> = prompt.lines().map(|line| format!("#### {line}  \n")).collect();
                append(&self.transcript, &format!("\n{}", lines.concat()))
            }
            _ => self.call("UserPromptSubmit", json!({ "prompt": prompt })),
        }
    }

    pub(super) fn answered(&self, prompt: &str, text: &str) -> io::Result<()> {
        match self.tool {
            "gemini" => {
                self.record(&json!({ "type": "gemini", "content": text }))?;
                // As the real one does: what its hook says is no answer.
                let wrong = format!("{text} {}", text.replace(' ', "  "));
                self.call("AfterAgent", json!({ "prompt": prompt, "prompt_response": wrong }))
            }
            "aider" => {
                append(&self.transcript, &format!("\n{text}\n\n> Tokens: 7 sent, 7 received.  \n"))?;
                self.call("waits", Value::Null)
            }
            _ => self.call("Stop", json!({ "last_assistant_message": text, "background_tasks": [] })),
        }
    }

    /// Claude tells of it by no hook at all.
    pub(super) fn interrupted(&self, said: &str) -> io::Result<()> {
        match self.tool {
            "gemini" => {
                self.record(&json!({ "type": "info", "content": "Request cancelled." }))?;
                self.call("AfterAgent", json!({ "prompt_response": said }))
            }
            "aider" => {
                append(&self.transcript, &format!(">  \n> ^C again to exit  \n\n{said}\n"))?;
                self.call("waits", Value::Null)
            }
            "codex" => self.call("Interrupt", json!({})),
            _ => Ok(()),
        }
    }

    fn record(&self, record: &Value) -> io::Result<()> {
        append(&self.transcript, &format!("{record}\n"))
    }
}

/// The hooks of a file of settings.
fn settings(file: Option<PathBuf>) -> io::Result<BTreeMap<String, String>> {
    let Some(file) = file else { return Ok(BTreeMap::new()) };
    let settings: Value = serde_json::from_str(&fs::read_to_string(Path::new(&file))?)?;
    let hooks = settings["hooks"].as_object().into_iter().flatten();
    let command = |hook: &Value| hook[0]["hooks"][0]["command"].as_str().unwrap_or_default().to_owned();
    Ok(hooks.map(|(event, hook)| (event.clone(), command(hook))).collect())
}

/// The hooks of arguments `-c hooks.EVENT=[{hooks=[{type='command',command='COMMAND'}]}]`.
fn configured(args: &[String]) -> BTreeMap<String, String> {
    let hook = |arg: &String| {
        let (event, rest) = arg.strip_prefix("hooks.")?.split_once('=')?;
        let (_, command) = rest.split_once("command='")?;
        Some((event.to_owned(), command.split('\'').next()?.to_owned()))
    };
    args.iter().filter_map(hook).collect()
}
