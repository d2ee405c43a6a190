//! How each tool takes what is typed. All of this was seen in the real ones.

use std::time::Duration;

/// What is typed, and what becomes of it.
pub(super) struct Manner {
    pub name: &'static str,
    pub version: &'static str,
    /// What it prints first: questions to its terminal among it.
    pub opening: &'static str,
    /// The last lines of its screen.
    pub composer: fn(&str) -> String,
    /// An Enter so soon after a text is lost; less is, where the terminal knows the kitty keyboard.
    pub swallow: Duration,
    pub swallow_with_kitty: Duration,
    /// `!` in front runs a command, `/` is one of its own.
    pub bang: bool,
    pub slash: bool,
    /// Enter behind a `\` begins a new line.
    pub backslash: bool,
    /// Enter behind the name of a file completes it.
    pub completes: bool,
    /// A name behind an `@` is read in.
    pub reads_in: bool,
    pub interrupt: &'static [u8],
    pub reports_unasked: bool,
}

const PASTE_ON: &str = "\x1b[?2004h";

impl Manner {
    pub(super) fn of(name: &str) -> Option<Manner> {
        let plain = Manner {
            name: "",
            version: "",
            opening: PASTE_ON,
            composer: |_| String::new(),
            swallow: Duration::ZERO,
            swallow_with_kitty: Duration::ZERO,
            bang: true,
            slash: true,
            backslash: false,
            completes: false,
            reads_in: false,
            interrupt: b"\x1b",
            reports_unasked: false,
        };
        Some(match name {
            "claude" => Manner {
                name: "claude",
                version: "2.1.329 (Claude Code)",
                opening: "\x1b[?1049h\x1b[?2004h\x1b]0;✳ stand-in\x07\x1b]7501;?\x1b\\\x1b[c",
                composer: |text| format!("\x1b[2J\x1b[H{LINE}\n❯ {text}\n{LINE}\n  ? for shortcuts\n"),
                backslash: true,
                ..plain
            },
            "codex" => Manner {
                name: "codex",
                version: "codex-cli 0.169.0",
                composer: |text| format!("\x1b[2J\x1b[H› {text}\n\n  ? for shortcuts\n"),
                completes: true,
                reports_unasked: true,
                ..plain
            },
            "gemini" => Manner {
                name: "gemini",
                version: "0.61.0",
                opening: "\x1b[?2004h\x1b[?u\x1b]0;◇  Ready (home)\x07",
                composer: |text| {
                    let shown = if text.is_empty() { "Type your message or @path/to/file" } else { text };
                    format!("\x1b[2J\x1b[H{LINE}\n >   {shown}\n")
                },
                swallow: Duration::from_millis(450),
                swallow_with_kitty: Duration::from_millis(30),
                bang: false,
                backslash: true,
                completes: true,
                reads_in: true,
                ..plain
            },
            "aider" => Manner {
                name: "aider",
                version: "aider 0.86.2",
                composer: |text| format!("\n{LINE}\n> {text}"),
                interrupt: b"\x03",
                ..plain
            },
            _ => return None,
        })
    }

    /// What stays in the composer, where Enter does not submit the text.
    pub fn swallows_enter(&self, text: &str) -> Option<String> {
        if self.backslash && text.ends_with('\\') {
            return Some(format!("{}\n", text.trim_end_matches('\\')));
        }
        let last = text.rsplit(char::is_whitespace).next().unwrap_or_default();
        // The completion is taken, a blank behind it; the next Enter submits.
        (self.completes && last.starts_with('@')).then(|| format!("{text} "))
    }

    /// The prompt as it reaches the model.
    pub fn as_understood(&self, text: &str) -> String {
        let text = text.trim_end_matches(['\n', '\r']);
        if !self.reads_in {
            return text.to_owned();
        }
        let is_name = |word: &&str| word.len() > 1 && word.starts_with('@');
        let names =
            text.split_whitespace().filter(is_name).map(|name| format!("\n--- content of {name} ---"));
        names.fold(text.to_owned(), |text, content| text + &content)
    }
}

const LINE: &str = "────────────────────────────────────────";
