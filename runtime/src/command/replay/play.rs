//! A recording played in this terminal with its own timing.
//!
//! What the program printed goes into a screen of niia's own, and that screen is painted: a recording can do nothing to
//! the terminal it is played in.

use std::io::{self, Write};
use std::time::Duration;

use niia_actors::recording::{Recording, Step};
use niia_actors::session::screen::{Screen, Size};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

use super::{screen_for, trouble};
use crate::command::say;
use crate::failure::{Exit, Failure};

/// Between two paintings: more often nobody sees.
const FRAME_EVERY: Duration = Duration::from_millis(40);

/// The alternate screen for as long as this lives.
struct Stage;

impl Stage {
    fn enter() -> Result<Stage, Failure> {
        say("\x1b[?1049h\x1b[2J\x1b[H")?;
        Ok(Stage)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What the painting switched on is switched off, whatever it was.
        let back = b"\x1b[?2004l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?1004l\x1b[?1l\x1b>\x1b[0m\x1b[?25h\x1b[?1049l";
        let mut out = io::stdout().lock();
        // A terminal that is gone needs nothing put back.
        let _ = out.write_all(back).and_then(|()| out.flush());
    }
}

/// Plays it to its end, or until it is interrupted.
pub async fn play(recording: Recording, speed: f64) -> Result<Exit, Failure> {
    let interrupt = signal(SignalKind::interrupt());
    let mut interrupt = interrupt.map_err(|error| Failure::trouble("could not listen for signals", error))?;
    let screen = screen_for(&recording);
    let text = {
        let _stage = Stage::enter()?;
        run(recording, screen, speed, &mut interrupt).await?
    };
    // The last screen stays readable after the stage is gone.
    say(&(crate::report::neutral_lines(text.trim_end()) + "\n"))?;
    Ok(Exit::Done)
}

async fn run(
    recording: Recording,
    mut screen: Screen,
    speed: f64,
    interrupt: &mut Signal,
) -> Result<String, Failure> {
    let begun = Instant::now();
    let mut painted = begun;
    for step in recording.replay().map_err(trouble)? {
        let step = step.map_err(trouble)?;
        let at = match &step {
            Step::Output { at, .. } | Step::Gap { at, .. } | Step::Resize { at, .. } => *at,
            Step::Mark { at, .. } | Step::Exit { at, .. } => *at,
        };
        let due = begun + at.div_f64(speed);
        if due > Instant::now() {
            paint(&mut screen)?;
            painted = Instant::now();
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                _ = interrupt.recv() => break,
            }
        } else if painted.elapsed() >= FRAME_EVERY {
            paint(&mut screen)?;
            painted = Instant::now();
            // A recording that was printed faster than it is shown can be interrupted, too.
            tokio::task::yield_now().await;
        }
        match step {
            Step::Output { bytes, .. } => screen.feed(&bytes),
            Step::Resize { cols, rows, .. } => screen.resize(Size::clamped(cols, rows)),
            Step::Gap { from, to, .. } => {
                screen.feed(format!("\r\n[{} bytes were not kept]\r\n", to - from).as_bytes())
            }
            Step::Mark { .. } | Step::Exit { .. } => {}
        }
    }
    paint(&mut screen)?;
    Ok(screen.text())
}

fn paint(screen: &mut Screen) -> Result<(), Failure> {
    let mut frame = b"\x1b[?2026h".to_vec();
    frame.extend(screen.repaint());
    frame.extend(b"\x1b[?2026l");
    let mut out = io::stdout().lock();
    out.write_all(&frame)?;
    Ok(out.flush()?)
}
