//! The composer on the screen: title, bracketed paste, a box to write in, and a turn for each submission.

use std::io;
use std::time::Instant;

use super::act::{Actor, Halt};
use super::composer::{Composer, Input};
use super::play::ChatStyle;
use super::terminal::{self, Raw};

/// Of a long text the composer shows only its size, as the real ones do.
const SHOWN_BYTES_MAX: usize = 200;

const PASTE_ON: &str = "\x1b[?2004h";
const PASTE_OFF: &str = "\x1b[?2004l";
const ALTERNATE_ON: &str = "\x1b[?1049h";
const ALTERNATE_OFF: &str = "\x1b[?1049l";

/// Holds the terminal until the person is through with it.
pub(super) fn hold(actor: &mut Actor, style: &ChatStyle) -> Result<(), Halt> {
    let _raw = Raw::enter()?;
    terminal::print(&opening(actor.name(), style), true)?;
    let ended = turns(actor, style);
    terminal::print(&closing(style), true)?;
    ended
}

fn opening(name: &str, style: &ChatStyle) -> String {
    let alternate = if style.alternate { ALTERNATE_ON } else { "" };
    let paste = if style.plain { "" } else { PASTE_ON };
    format!("{alternate}{paste}\x1b]0;✳ {name}\x07Welcome to {name}. /exit leaves.\n{}", prompt_line(b""))
}

fn closing(style: &ChatStyle) -> String {
    let alternate = if style.alternate { ALTERNATE_OFF } else { "" };
    let paste = if style.plain { "" } else { PASTE_OFF };
    format!("\n{paste}{alternate}")
}

fn turns(actor: &mut Actor, style: &ChatStyle) -> Result<(), Halt> {
    let mut composer = Composer::new(style.swallow);
    loop {
        let bytes = terminal::read()?;
        if bytes.is_empty() {
            return Ok(());
        }
        for input in composer.take(&bytes, Instant::now()) {
            match input {
                Input::End | Input::Interrupt => return Ok(()),
                Input::Submit(text) if text.trim_ascii() == b"/exit" => return Ok(()),
                Input::Submit(text) => turn(actor, text)?,
            }
        }
        terminal::print(&prompt_line(composer.text()), true)?;
    }
}

fn turn(actor: &mut Actor, text: Vec<u8>) -> Result<(), Halt> {
    let name = actor.name().to_owned();
    terminal::print(&format!("\r\x1b[K\x1b]0;⠂ {name}\x07"), true)?;
    actor.turn(text)?;
    terminal::print(&format!("\x1b]0;✳ {name}\x07"), true)?;
    Ok(())
}

fn prompt_line(text: &[u8]) -> String {
    let shown = if text.len() > SHOWN_BYTES_MAX {
        format!("[{} bytes]", text.len())
    } else {
        String::from_utf8_lossy(text).replace(char::is_control, " ")
    };
    format!("\r\x1b[K> {shown}")
}

impl From<io::Error> for Halt {
    fn from(trouble: io::Error) -> Halt {
        Halt::Trouble(trouble)
    }
}
