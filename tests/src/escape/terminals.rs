//! Terminals: typing where a person types, reading what a person types, taking a terminal over.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};

use super::sys::ask;
use super::{Attempt, Claim, Scene, missed, reached};

const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541C;
const TIOCCONS: u64 = 0x541D;
const TIOCSETD: u64 = 0x5423;
const TIOCSCTTY: u64 = 0x540E;

fn own() -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

fn others(scene: &Scene) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOCTTY).open(&scene.terminal)
}

/// Types into a terminal as if somebody sat there.
fn types(terminal: &File, request: u64) -> Claim {
    for byte in b"evil\n" {
        ask!(libc::SYS_ioctl, terminal.as_raw_fd(), request, &raw const *byte)?;
    }
    reached("typed")
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::told("type-own", "types into its own terminal", |_| types(&own()?, TIOCSTI)),
    Attempt::told(
        "type-own-masked",
        "does so with a number whose upper half a filter may not look at",
        |_| types(&own()?, TIOCSTI | 1 << 32),
    ),
    Attempt::told("type-input", "types into what it was given as input", |_| {
        ask!(libc::SYS_ioctl, 0, TIOCSTI, b"x".as_ptr())?;
        reached("typed")
    }),
    Attempt::outside("type-others", "types into the victim's terminal", |s| types(&others(s)?, TIOCSTI))
        .root("a plain user types only into a controlling terminal"),
    Attempt::outside("write-others", "writes onto the victim's screen", |s| {
        others(s)?.write_all(b"evil")?;
        reached("written")
    }),
    Attempt::outside("read-others", "reads what is typed to the victim", |s| {
        let mut terminal = others(s)?;
        s.ready("type")?;
        // Readers queue: the first line is the victim's, one of the next is not.
        let mut line = [0; 256];
        let count = terminal.read(&mut line)?;
        reached(String::from_utf8_lossy(&line[..count]))
    }),
    Attempt::outside("settings-others", "turns the echo of the victim's terminal off", |s| {
        let terminal = others(s)?;
        // SAFETY: all zero is a valid set of settings.
        let mut settings: libc::termios = unsafe { std::mem::zeroed() };
        ask!(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TCGETS, &raw mut settings)?;
        settings.c_lflag ^= libc::ECHO;
        ask!(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TCSETS, &raw const settings)?;
        reached("turned off")
    }),
    Attempt::outside("hang-up-others", "has the victim's terminal flushed of what was typed", |s| {
        let size = [1_u16, 1, 0, 0];
        ask!(libc::SYS_ioctl, others(s)?.as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr())?;
        reached("made one cell large")
    }),
    Attempt::told("steal-terminal", "makes the victim's terminal its own", |s| {
        let terminal = others(s)?;
        let taken = super::sys::in_child(|| {
            ask!(libc::SYS_setsid)
                .and_then(|_| ask!(libc::SYS_ioctl, terminal.as_raw_fd(), TIOCSCTTY, 1))
                .is_ok()
        })?;
        if taken { reached("taken") } else { missed("it stays the victim's") }
    })
    .root("only root takes another's terminal"),
    Attempt::told("console-messages", "has the machine's messages sent to itself", |_| {
        ask!(libc::SYS_ioctl, own()?.as_raw_fd(), TIOCCONS, 0)?;
        reached("redirected")
    })
    .never("even root would take the machine's messages from their reader for good"),
    Attempt::told("paste-console", "pastes into a virtual console", |_| {
        let mut command = [3_u8; 8];
        ask!(libc::SYS_ioctl, own()?.as_raw_fd(), TIOCLINUX, command.as_mut_ptr())?;
        reached("pasted")
    })
    .never("a terminal of a session is no virtual console"),
    Attempt::told("paste-console-masked", "does so with the upper half set", |_| {
        let mut command = [3_u8; 8];
        ask!(libc::SYS_ioctl, own()?.as_raw_fd(), TIOCLINUX | 1 << 32, command.as_mut_ptr())?;
        reached("pasted")
    })
    .never("a terminal of a session is no virtual console"),
    Attempt::told("discipline", "loads another discipline for its terminal", |_| {
        // 27 takes everything and says nothing; others load modules.
        for discipline in [27_i32, 16, 21, 3] {
            if ask!(libc::SYS_ioctl, own()?.as_raw_fd(), TIOCSETD, &raw const discipline).is_ok() {
                return reached(format!("discipline {discipline}"));
            }
        }
        missed("none was taken")
    }),
    Attempt::told("virtual-console", "opens the machine's screen", |_| {
        for name in ["/dev/tty0", "/dev/tty1", "/dev/console", "/dev/vcs", "/dev/vcsa1", "/dev/fb0"] {
            let screen = OpenOptions::new().read(true).custom_flags(libc::O_NOCTTY).open(name);
            // A sandbox may show the session's own terminal under one of these names.
            let major = |file: &File| file.metadata().map(|data| libc::major(data.rdev()));
            if screen.is_ok_and(|file| major(&file).is_ok_and(|major| major < 128)) {
                return reached(name);
            }
        }
        missed("none could be opened")
    })
    .root("the machine's screen is root's"),
    Attempt::told("see-terminals", "sees which terminals others have", |s| {
        let name = s.terminal.file_name().unwrap_or_default();
        let seen = std::fs::read_dir("/dev/pts")?.flatten().filter(|entry| {
            let owner = entry.metadata().map(|data| data.uid());
            entry.file_name() == name && owner.is_ok_and(|owner| owner == s.uid)
        });
        if seen.count() == 0 { missed("the victim's is not there") } else { reached("seen") }
    }),
];
