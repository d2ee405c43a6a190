//! How a terminal treats what is typed, asked on its master.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{LocalModes, tcgetattr};

/// The part of a terminal's settings that a delivery depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineMode {
    /// Input reaches the program line by line, and a line has a longest length.
    pub canonical: bool,
    /// What is typed appears in the output.
    pub echo: bool,
}

/// The settings of a terminal, asked on either end.
pub fn line_mode(terminal: impl AsFd) -> io::Result<LineMode> {
    let settings = tcgetattr(terminal)?;
    let on = |mode: LocalModes| settings.local_modes.contains(mode);
    Ok(LineMode { canonical: on(LocalModes::ICANON), echo: on(LocalModes::ECHO) })
}
