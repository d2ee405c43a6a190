//! `niia replay`: a session's recording, played, shown at one moment, as text or as an asciicast.

mod play;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use niia_actors::recording::{Cast, Read, Recording, RecordingError, Step, write_asciicast};
use niia_actors::session::answer::Answer;
use niia_actors::session::screen::{Screen, Size};
use niia_spec::notice::SessionView;
use serde_json::json;

use super::Caller;
use super::sessions::view_of;
use crate::cli::sessions::Replay;
use crate::failure::{Exit, Failure};
use crate::report::neutral_lines;

/// How much is read of a recording at a time.
const READ_BYTES: usize = 64 * 1024;

pub async fn replay(caller: &Caller, words: Replay) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let view = view_of(&mut client, &words.name.session).await?;
    let recording = open(&view)?;
    if let Some(file) = &words.cast {
        return cast(caller, &view, recording, file);
    }
    if let Some(at) = words.at {
        return show_at(caller, &view, recording, Duration::from_secs_f64(at));
    }
    if words.text || caller.json || !caller.look().live {
        let text = text_of(recording)?;
        caller.show(&json!({ "session": view.session, "text": text }), |_| neutral_lines(&text))?;
        return Ok(Exit::Done);
    }
    play::play(recording, words.speed).await
}

/// A session's recording, for reading.
pub fn open(view: &SessionView) -> Result<Recording, Failure> {
    Recording::open(Path::new(&view.folder)).map_err(|error| unreadable(view, error))
}

fn unreadable(view: &SessionView, error: RecordingError) -> Failure {
    let failure = Failure::trouble(format!("there is nothing to show of `{}`", view.session), error);
    failure
        .help("a session that has just begun, or whose document says `\"record\": false`, has no recording")
}

fn trouble(error: std::io::Error) -> Failure {
    Failure::trouble("could not read the recording", error)
}

fn cast(caller: &Caller, view: &SessionView, recording: Recording, file: &Path) -> Result<Exit, Failure> {
    let unwritable = |error| Failure::trouble(format!("could not write `{}`", file.display()), error);
    let about = Cast { title: Some(view.session.to_string()), term: None };
    let failed = |error| Failure::trouble("the recording could not be exported", error);
    if file == Path::new("-") {
        write_asciicast(recording, &about, &mut std::io::stdout().lock()).map_err(failed)?;
        return Ok(Exit::Done);
    }
    let mut out = BufWriter::new(File::create(file).map_err(unwritable)?);
    write_asciicast(recording, &about, &mut out).map_err(failed)?;
    out.flush().map_err(unwritable)?;
    caller.show(&json!({ "session": view.session, "cast": file }), |_| {
        format!("`{}` is written\n", file.display())
    })?;
    Ok(Exit::Done)
}

/// The screen as it stood so long after the start.
fn show_at(caller: &Caller, view: &SessionView, recording: Recording, at: Duration) -> Result<Exit, Failure> {
    let mut screen = screen_for(&recording);
    for step in recording.replay().map_err(trouble)? {
        match step.map_err(trouble)? {
            Step::Output { at: then, bytes, .. } if then <= at => screen.feed(&bytes),
            Step::Resize { at: then, cols, rows } if then <= at => screen.resize(Size::clamped(cols, rows)),
            Step::Gap { .. } | Step::Mark { .. } => {}
            _ => break,
        }
    }
    let text = screen.text();
    let data = json!({ "session": view.session, "text": text, "title": screen.title() });
    caller.show(&data, |_| neutral_lines(text.trim_end()) + "\n")?;
    Ok(Exit::Done)
}

fn screen_for(recording: &Recording) -> Screen {
    let start = recording.start();
    Screen::new(Size::clamped(start.cols, start.rows))
}

/// Everything a person would have read of it.
fn text_of(recording: Recording) -> Result<String, Failure> {
    let start = *recording.start();
    let mut answer = Answer::new(Size::clamped(start.cols, start.rows));
    for step in recording.replay().map_err(trouble)? {
        match step.map_err(trouble)? {
            Step::Output { bytes, .. } => answer.feed(&bytes),
            Step::Resize { cols, rows, .. } => answer.resize(Size::clamped(cols, rows)),
            Step::Gap { from, to, .. } => answer.left_out(to - from),
            Step::Mark { .. } | Step::Exit { .. } => {}
        }
    }
    let text = answer.finish().text;
    Ok(if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" })
}

/// The text printed between two offsets of a recording.
pub fn text_between(view: &SessionView, from: u64, to: u64) -> Result<String, Failure> {
    let mut recording = open(view)?;
    read_text(&mut recording, Size::clamped(view.cols, view.rows), from, to).map_err(trouble)
}

/// The same for a recording that is open.
pub fn read_text(recording: &mut Recording, size: Size, from: u64, to: u64) -> std::io::Result<String> {
    let mut answer = Answer::new(size);
    let mut buffer = vec![0; READ_BYTES];
    let mut offset = from;
    while offset < to {
        let wanted = usize::try_from(to - offset).unwrap_or(READ_BYTES).min(READ_BYTES);
        match recording.read_at(offset, &mut buffer[..wanted])? {
            Read::Bytes(0) => break,
            Read::Bytes(count) => {
                answer.feed(&buffer[..count]);
                offset += count as u64;
            }
            Read::Gap { from, to } => {
                answer.left_out(to - from);
                offset = to;
            }
        }
    }
    Ok(answer.finish().text)
}
