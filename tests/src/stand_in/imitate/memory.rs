//! What was said in a conversation, by its name, and all that was heard.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

pub(super) struct Memory {
    home: PathBuf,
    file: PathBuf,
    prompts: Vec<String>,
}

impl Memory {
    pub(super) fn open(conversation: &str) -> io::Result<Memory> {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        let folder = home.join(".stand-in");
        fs::create_dir_all(&folder)?;
        let name: String =
            conversation.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let file = folder.join(name).with_extension("jsonl");
        let known = fs::read_to_string(&file).unwrap_or_default();
        let prompts = known.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Memory { home, file, prompts })
    }

    pub(super) fn prompts(&self) -> &[String] {
        &self.prompts
    }

    pub(super) fn hear(&mut self, prompt: &str) -> io::Result<()> {
        self.prompts.push(prompt.to_owned());
        for file in [&self.file, &self.home.join("heard.jsonl")] {
            append(file, &(serde_json::to_string(prompt)? + "\n"))?;
        }
        Ok(())
    }
}

pub(super) fn append(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).open(file)?.write_all(text.as_bytes())
}
