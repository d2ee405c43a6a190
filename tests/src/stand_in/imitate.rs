//! Imitations of real command lines: their hooks, transcripts and reports, and what makes them hard to drive. What is
//! typed may be run as a command, swallowed, taken for the name of a file or for a key; the end of a turn is told in
//! each one's own way, or not at all.
//!
//! What is submitted to a model is written to `heard.jsonl` in HOME, each text a line, and the answer follows from it as
//! the stub's do. A conversation is remembered by its name.

mod manner;
mod memory;
mod words;

use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use super::act::Halt;
use super::composer::{Composer, Input};
use super::terminal::{self, Raw};
use crate::stub::asked::{Answer, reply};
use manner::Manner;
use memory::Memory;
use words::Words;

/// What a prompt begins with.
const FIRST_LINE: &str = "[niia]";
/// Of what stands in its composer it shows so much.
const SHOWN_BYTES_MAX: usize = 240;
const SHOWN_CHARS_MAX: usize = 60;
/// While it answers it looks for keys so often.
const KEYS_PERIOD: Duration = Duration::from_millis(10);

/// Plays the tool of this name until it is told to leave.
pub(super) fn play(name: &str, args: &[String]) -> Result<(), Halt> {
    let Some(manner) = Manner::of(name) else {
        return Err(Halt::Trouble(io::Error::other(format!("nobody knows how {name} behaves"))));
    };
    if args.iter().any(|arg| arg == "--version") {
        println!("{}", manner.version);
        return Ok(());
    }
    let _raw = Raw::enter()?;
    let words = Words::of(&manner, args)?;
    let memory = Memory::open(&words.conversation)?;
    let composer = Composer::new(manner.swallow);
    // A prompt among the arguments is the first turn.
    let first = args.iter().find(|arg| arg.starts_with(FIRST_LINE));
    Imitation { manner, words, memory, composer, reports: false, keys: Vec::new() }.run(first)
}

struct Imitation {
    manner: Manner,
    words: Words,
    memory: Memory,
    composer: Composer,
    /// The terminal has said that it takes reports.
    reports: bool,
    /// What was read while it answered.
    keys: Vec<u8>,
}

impl Imitation {
    fn run(mut self, first: Option<&String>) -> Result<(), Halt> {
        terminal::print(self.manner.opening, true)?;
        self.reports = self.manner.reports_unasked;
        self.draw()?;
        self.words.started()?;
        self.report("idle")?;
        if let Some(first) = first {
            self.turn(first)?;
            self.draw()?;
        }
        loop {
            let bytes = match std::mem::take(&mut self.keys) {
                keys if keys.is_empty() => terminal::read()?,
                keys => keys,
            };
            if bytes.is_empty() {
                return Ok(());
            }
            self.hear_replies(&bytes)?;
            for input in self.composer.take(&bytes, Instant::now()) {
                match input {
                    Input::Submit(text) => {
                        if self.submitted(&String::from_utf8_lossy(&text))? {
                            return Ok(());
                        }
                    }
                    Input::End | Input::Interrupt => return Ok(()),
                }
            }
            self.draw()?;
        }
    }

    /// What the terminal answers to its questions.
    fn hear_replies(&mut self, bytes: &[u8]) -> io::Result<()> {
        let holds = |what: &[u8]| bytes.windows(what.len()).any(|part| part == what);
        if holds(b"\x1b[?0u") {
            self.composer.swallows(self.manner.swallow_with_kitty);
        }
        if holds(b"\x1b]7501;?") && !self.reports {
            self.reports = true;
            self.report("idle")?;
        }
        Ok(())
    }

    /// What Enter does to a text: it may be something else than a prompt. True where that is to leave.
    fn submitted(&mut self, text: &str) -> Result<bool, Halt> {
        if let Some(stays) = self.manner.swallows_enter(text) {
            self.composer.put(stays.as_bytes());
            return Ok(false);
        }
        let bare = text.trim_start();
        if let Some(command) = bare.strip_prefix('!').filter(|_| self.manner.bang) {
            let _ = Command::new("sh").args(["-c", command]).output()?;
            return Ok(false);
        }
        if let Some(command) = bare.strip_prefix('/').filter(|_| self.manner.slash) {
            return Ok(["quit", "exit"].contains(&command.trim()));
        }
        let prompt = self.manner.as_understood(text);
        self.turn(&prompt)?;
        Ok(false)
    }

    fn turn(&mut self, prompt: &str) -> Result<(), Halt> {
        self.words.taken(prompt)?;
        self.report("working")?;
        self.memory.hear(prompt)?;
        let (text, pause) = match reply(self.memory.prompts()) {
            Answer::Text { text, pause_ms } => (text, Duration::from_millis(pause_ms)),
            Answer::Tool { name, .. } => (format!("no tool {name} here"), Duration::ZERO),
        };
        terminal::print("\r\n", true)?;
        let mut said = String::new();
        for piece in text.split_inclusive(' ') {
            terminal::print(piece, true)?;
            said.push_str(piece);
            if self.interrupted_within(pause)? {
                self.words.interrupted(&said)?;
                return Ok(self.report("idle")?);
            }
        }
        terminal::print("\r\n", true)?;
        self.words.answered(prompt, &text)?;
        Ok(self.report("done")?)
    }

    /// Waits, and tells whether the key that interrupts was pressed meanwhile.
    fn interrupted_within(&mut self, pause: Duration) -> io::Result<bool> {
        let until = Instant::now() + pause;
        while Instant::now() < until {
            if !terminal::has_input(KEYS_PERIOD)? {
                continue;
            }
            let keys = terminal::read()?;
            if keys == self.manner.interrupt {
                return Ok(true);
            }
            self.keys.extend(keys);
        }
        Ok(false)
    }

    fn report(&self, state: &str) -> io::Result<()> {
        if self.reports {
            terminal::print(&format!("\x1b]7501;state={state}:app=stand-in\x1b\\"), true)
        } else {
            Ok(())
        }
    }

    fn draw(&self) -> io::Result<()> {
        let text = self.composer.text();
        let head = String::from_utf8_lossy(&text[..text.len().min(SHOWN_BYTES_MAX)]);
        let shown: String = head.replace(char::is_control, " ").chars().take(SHOWN_CHARS_MAX).collect();
        terminal::print(&(self.manner.composer)(&shown), true)
    }
}
