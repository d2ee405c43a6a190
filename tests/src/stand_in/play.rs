//! A play: what the stand-in does, one act a line.
//!
//! ```text
//! #!/path/to/stand-in --play
//! say {name} looked at it.            print a line; {prompt} {head} {name} {model} {cwd} {pid} {turn} {env:NAME}
//! see                                 print the files of the folder and of the scratchpad
//! quote                               print what others left in the scratchpad
//! write notes.md Some text            write a file
//! note /tmp/calls {pid}               append a line to a file, in one write
//! json {"verdict": "ship"}            print a fenced block of JSON
//! digest                              print the prompt's sha256, its bytes and which submission it is
//! print-lines 1000 | print-mb 200     numbered lines at full speed
//! pause 200                           milliseconds, with a spinner in a terminal
//! wait-for /tmp/go                    until that file is there
//! run niia claim first                a shell command, output and exit code printed
//! daemons 3 /tmp/pids                 descendants that leave the session and ignore TERM and HUP
//! ignore                              ignore TERM and HUP itself
//! storm /tmp/storm 50 200             write to 50 agents at random, 200 letters, and read what comes
//! query                               ask the terminal who it is and print the reply
//! exit 3 | crash | hang               three ways not to answer
//! when TEXT ACT                       only if the prompt holds TEXT (no blanks; `+` stands for one)
//! once FILE ACT                       only the first time: FILE remembers
//! imitate claude                      behave as that tool does, hazards and all (codex, gemini, aider too)
//! trust                               the question whether this folder is trusted, default No
//! chat [alt] [plain] [swallow=MS]     from here on a composer; the acts below are played for each submission
//! ```

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What is done before anything is asked, and what for each submission.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Play {
    pub opening: Vec<Act>,
    pub chat: Option<ChatStyle>,
    pub turn: Vec<Act>,
}

/// How the composer behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChatStyle {
    /// On the alternate screen.
    pub alternate: bool,
    /// Without bracketed paste.
    pub plain: bool,
    /// An Enter that comes so soon after text is taken for part of it and lost.
    pub swallow: Duration,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    Say(String),
    See,
    Quote,
    Write { path: String, text: String },
    Note { path: String, text: String },
    Json(String),
    Digest,
    PrintLines(u64),
    Pause(Duration),
    WaitFor(String),
    Run(String),
    Daemons { count: usize, path: String },
    Ignore,
    Storm(super::storm::Storm),
    Query,
    Exit(u8),
    Crash,
    Hang,
    When { text: String, act: Box<Act> },
    Once { path: String, act: Box<Act> },
    Imitate(String),
    Trust,
}

/// Why a text is no play.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error("the play {} cannot be read", file.display())]
    Unreadable { file: PathBuf, source: std::io::Error },
    #[error("`{line}` is no act")]
    Unknown { line: String },
    #[error("`{line}` lacks a number where one belongs")]
    Number { line: String },
}

impl FromStr for Play {
    type Err = PlayError;

    fn from_str(text: &str) -> Result<Play, PlayError> {
        let mut play = Play::default();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (word, rest) = split(line);
            if word == "chat" {
                play.chat = Some(style(rest).ok_or_else(|| PlayError::Unknown { line: line.to_owned() })?);
                continue;
            }
            let acts = if play.chat.is_some() { &mut play.turn } else { &mut play.opening };
            acts.push(act(line)?);
        }
        Ok(play)
    }
}

fn style(words: &str) -> Option<ChatStyle> {
    let mut style = ChatStyle::default();
    for word in words.split_whitespace() {
        match word.split_once('=') {
            None if word == "alt" => style.alternate = true,
            None if word == "plain" => style.plain = true,
            Some(("swallow", ms)) => style.swallow = Duration::from_millis(ms.parse().ok()?),
            _ => return None,
        }
    }
    Some(style)
}

fn act(line: &str) -> Result<Act, PlayError> {
    let (word, rest) = split(line);
    let (first, text) = split(rest);
    let number = |text: &str| text.parse::<u64>().map_err(|_| PlayError::Number { line: line.to_owned() });
    let count = |text: &str| text.parse::<usize>().map_err(|_| PlayError::Number { line: line.to_owned() });
    Ok(match word {
        "say" => Act::Say(rest.to_owned()),
        "see" => Act::See,
        "quote" => Act::Quote,
        "write" => Act::Write { path: first.to_owned(), text: text.to_owned() },
        "note" => Act::Note { path: first.to_owned(), text: text.to_owned() },
        "json" => Act::Json(rest.to_owned()),
        "digest" => Act::Digest,
        "print-lines" => Act::PrintLines(number(rest)?),
        "print-mb" => Act::PrintLines(crate::numbered::lines_of_megabytes(number(rest)?)),
        "pause" => Act::Pause(Duration::from_millis(number(rest)?)),
        "wait-for" => Act::WaitFor(rest.to_owned()),
        "run" => Act::Run(rest.to_owned()),
        "daemons" => Act::Daemons { count: count(first)?, path: text.to_owned() },
        "ignore" => Act::Ignore,
        "storm" => {
            let unknown = || PlayError::Unknown { line: line.to_owned() };
            Act::Storm(super::storm::Storm::of(rest).ok_or_else(unknown)?)
        }
        "query" => Act::Query,
        "exit" => Act::Exit(rest.parse().map_err(|_| PlayError::Number { line: line.to_owned() })?),
        "crash" => Act::Crash,
        "hang" => Act::Hang,
        "when" => Act::When { text: first.replace('+', " "), act: Box::new(act(text)?) },
        "once" => Act::Once { path: first.to_owned(), act: Box::new(act(text)?) },
        "imitate" => Act::Imitate(rest.to_owned()),
        "trust" => Act::Trust,
        _ => {
            return Err(PlayError::Unknown { line: line.to_owned() });
        }
    })
}

fn split(line: &str) -> (&str, &str) {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_play_opens_and_then_plays_its_turns() {
        let play: Play =
            "#!/bin/stand-in --play\ntrust\nchat alt swallow=300\nwhen two+words pause 20\ndigest\n"
                .parse()
                .unwrap();
        assert_eq!(play.opening, [Act::Trust]);
        let style = ChatStyle { alternate: true, plain: false, swallow: Duration::from_millis(300) };
        assert_eq!(play.chat, Some(style));
        let pause = Box::new(Act::Pause(Duration::from_millis(20)));
        assert_eq!(play.turn, [Act::When { text: "two words".to_owned(), act: pause }, Act::Digest]);
    }

    #[test]
    fn a_line_that_is_no_act_is_named() {
        let error = "say hello\nsing".parse::<Play>().unwrap_err();
        assert_eq!(error.to_string(), "`sing` is no act");
        let error = "pause soon".parse::<Play>().unwrap_err();
        assert_eq!(error.to_string(), "`pause soon` lacks a number where one belongs");
        assert!("chat loud".parse::<Play>().is_err());
    }
}
