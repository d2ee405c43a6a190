//! The stand-in: a program that looks like an AI command line.
//!
//! It answers as `claude -p`, `codex exec`, `aider --message` or `ollama run` would, or opens a composer in the
//! terminal as they do when called bare. What else it does, a *play* says: a text of one act a line (see [`play`]).
//! The play is found by, in this order, `--play FILE` (which makes a play an executable by its first line
//! `#!/path/to/stand-in --play`), the variable `STAND_IN_PLAY`, a file `NAME.play` beside the executable.

mod act;
mod asked;
mod chat;
mod composer;
mod imitate;
mod linger;
pub mod play;
pub mod storm;
mod terminal;
mod trust;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use act::{Actor, Halt};
use play::{Play, PlayError};

/// What it does when nobody wrote a play: say what it was asked and show what it sees.
const PLAY_OF_NOBODY: &str = "say {name} was asked: {prompt}\nsee\n";

/// The same for a call without a prompt: a composer that shows it read every byte.
const PLAY_OF_A_BARE_CALL: &str = "chat\ndigest\nsay {name} read: {head}\n";

/// What a shell calls a usage error; a play that does not parse is one.
const EXIT_USAGE: u8 = 64;

/// Plays the part the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let words: Vec<String> = args.iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    match words.get(1).map(String::as_str) {
        Some("--linger") => return linger::step_out(words.get(2)),
        Some("--linger-inner") => return linger::stay(words.get(2)),
        _ => {}
    }
    let (name, play_file, rest) = parts(&words);
    if rest == ["--version"] {
        // As the tools do, whatever their play is: niia asks before it starts one.
        println!("{name} (stand-in) 1");
        return ExitCode::SUCCESS;
    }
    let asked = asked::Asked::by(&rest);
    let play = match find_play(play_file.as_deref(), asked.prompt.is_some()) {
        Ok(play) => play,
        Err(trouble) => {
            eprintln!("stand-in: {trouble}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match Actor::new(name, asked, play).perform() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Halt::Exit(code)) => ExitCode::from(code),
        Err(Halt::Trouble(trouble)) => {
            eprintln!("stand-in: {trouble}");
            ExitCode::FAILURE
        }
    }
}

/// The name it is called by, the play's file, and the arguments that are meant for the one it plays.
fn parts(words: &[String]) -> (String, Option<PathBuf>, Vec<String>) {
    let called = words.first().map_or("stand-in", String::as_str);
    if let (Some("--play"), Some(file)) = (words.get(1).map(String::as_str), words.get(2)) {
        return (stem(file), Some(PathBuf::from(file)), words[3..].to_vec());
    }
    let beside = std::env::current_exe().ok().and_then(|exe| {
        let name = Path::new(called).file_name()?.to_owned();
        let file = exe.with_file_name(name).with_extension("play");
        file.is_file().then_some(file)
    });
    let play = std::env::var_os("STAND_IN_PLAY").map(PathBuf::from).or(beside);
    (stem(called), play, words.get(1..).unwrap_or_default().to_vec())
}

fn stem(path: &str) -> String {
    Path::new(path).file_stem().map_or_else(|| path.to_owned(), |stem| stem.to_string_lossy().into_owned())
}

fn find_play(file: Option<&Path>, asked: bool) -> Result<Play, PlayError> {
    match file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|source| PlayError::Unreadable { file: file.to_owned(), source })?;
            text.parse()
        }
        None if asked => PLAY_OF_NOBODY.parse(),
        None => PLAY_OF_A_BARE_CALL.parse(),
    }
}
