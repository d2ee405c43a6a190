//! The question whether this folder is trusted: the highlighted answer is No, as it is in the tools that ask it.

use std::io;

use super::terminal::{self, Raw};

/// Asks until there is an answer; nobody there means No.
pub(super) fn ask() -> io::Result<bool> {
    if !terminal::is_terminal() {
        return Ok(false);
    }
    let _raw = Raw::enter()?;
    let folder = std::env::current_dir()?;
    let mut yes = false;
    terminal::print(
        &format!("\nDo you trust the files in this folder?\n\n  {}\n\n", folder.display()),
        true,
    )?;
    loop {
        terminal::print(&choices(yes), true)?;
        let keys = terminal::read()?;
        match keys.as_slice() {
            [] | [0x1b] | [3] | [b'n'] => return Ok(false),
            b"\x1b[A" | b"\x1b[B" | b"k" | b"j" => yes = !yes,
            b"1" => yes = false,
            b"2" => yes = true,
            b"\r" | b"\n" => return Ok(yes),
            _ => {}
        }
        // Back over the choices, to draw them again.
        terminal::print("\x1b[4A\r\x1b[J", true)?;
    }
}

fn choices(yes: bool) -> String {
    let mark = |here: bool| if here { "❯" } else { " " };
    format!(
        "  {} 1. No, exit\n  {} 2. Yes, proceed\n\n  Enter to confirm · Esc to cancel\n",
        mark(!yes),
        mark(yes)
    )
}
