//! `niia logs`: what the workers of a run printed, as text.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use niia_actors::recording::{Recording, RecordingError};
use niia_actors::session::screen::Size;
use niia_spec::notice::SessionView;
use serde_json::json;

use super::follow::exit_of;
use super::replay::read_text;
use super::runs::view_of;
use super::{Caller, say, say_json};
use crate::cli::runs::Logs;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::{neutral_lines, toned};

/// How much of a recording's end is looked at for its last lines.
const TAIL_BYTES: u64 = 1024 * 1024;

/// How much of what is new is shown at a time.
const PIECE_BYTES: u64 = 256 * 1024;

/// Between two looks whether a recording has grown: nobody reads faster.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How far a line may grow before it is shown without its end.
const LINE_BYTES_MAX: u64 = 64 * 1024;

pub async fn logs(caller: &Caller, words: Logs) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let run = view_of(&mut client, words.name.run.clone()).await?;
    let mut reader = Reader { caller, words: &words, tails: BTreeMap::new(), last: None };
    reader.look(sessions(&mut client, run.run.as_str()).await?)?;
    if reader.tails.is_empty() && !words.follow {
        return nothing(caller, &words);
    }
    if !words.follow {
        return Ok(Exit::Done);
    }
    loop {
        // Looked at before the recordings are: what was printed before the end is then shown before it.
        let run = view_of(&mut client, Some(run.run.to_string())).await?;
        reader.look(sessions(&mut client, run.run.as_str()).await?)?;
        reader.grow()?;
        if run.state.rests() {
            return Ok(exit_of(run.state));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn nothing(caller: &Caller, words: &Logs) -> Result<Exit, Failure> {
    match &words.worker {
        Some(worker) => Err(Failure::usage(format!("no worker `{worker}` has printed anything"))
            .help("`niia status` lists the workers")),
        None if caller.json => Ok(Exit::Done),
        None => {
            say("nobody has printed anything yet\n")?;
            Ok(Exit::Done)
        }
    }
}

async fn sessions(client: &mut Client, run: &str) -> Result<Vec<SessionView>, Failure> {
    match client.ask(Request::Sessions { run: Some(run.to_owned()), ended_too: true }).await? {
        Reply::Sessions(sessions) => Ok(sessions),
        _ => Err(Failure::out_of_turn("sessions")),
    }
}

/// One recording and how far it was shown.
struct Tail {
    name: String,
    recording: Recording,
    size: Size,
    shown: u64,
}

struct Reader<'a> {
    caller: &'a Caller,
    words: &'a Logs,
    tails: BTreeMap<String, Tail>,
    /// Whose lines stood last: a head is printed where that changes.
    last: Option<String>,
}

impl Reader<'_> {
    /// Takes up sessions that are new, and shows the last lines of each.
    fn look(&mut self, sessions: Vec<SessionView>) -> Result<(), Failure> {
        for view in sessions {
            let name = view.session.to_string();
            if self.tails.contains_key(&name) || !self.is_wanted(&view) {
                continue;
            }
            let recording = match Recording::open(Path::new(&view.folder)) {
                Ok(recording) => recording,
                // It has not begun to print, or nothing of it was to be recorded.
                Err(RecordingError::Absent { .. }) => continue,
                Err(error) => {
                    return Err(Failure::trouble(format!("could not read what {name} printed"), error));
                }
            };
            let size = Size::clamped(view.cols, view.rows);
            let mut tail = Tail { name: name.clone(), recording, size, shown: 0 };
            let text = tail.last_lines(self.words.lines)?;
            self.tell(&name, &text)?;
            self.tails.insert(name, tail);
        }
        Ok(())
    }

    fn is_wanted(&self, view: &SessionView) -> bool {
        let Some(wanted) = &self.words.worker else { return true };
        let worker = &view.session.attempt.worker;
        *wanted == worker.to_string() || *wanted == worker.worker.as_str() || *wanted == worker.phase.as_str()
    }

    /// Shows what is new.
    fn grow(&mut self) -> Result<(), Failure> {
        let mut told = Vec::new();
        for tail in self.tails.values_mut() {
            while let Some(text) = tail.new_lines()? {
                told.push((tail.name.clone(), text));
            }
        }
        for (name, text) in told {
            self.tell(&name, &text)?;
        }
        Ok(())
    }

    fn tell(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        if text.is_empty() {
            return Ok(());
        }
        let text = neutral_lines(text);
        if self.caller.json {
            return text.lines().try_for_each(|line| say_json(&json!({ "session": name, "line": line })));
        }
        let look = self.caller.look();
        let mut out = String::new();
        if self.last.as_deref() != Some(name) {
            out.push_str(&toned(&format!("── {name}"), crate::report::Tone::Faint, look.coloured));
            out.push('\n');
            self.last = Some(name.to_owned());
        }
        out.push_str(&text);
        if !text.ends_with('\n') {
            out.push('\n');
        }
        say(&out)
    }
}

impl Tail {
    fn trouble(&self, error: std::io::Error) -> Failure {
        Failure::trouble(format!("could not read what {} printed", self.name), error)
    }

    /// The last lines of what is there.
    fn last_lines(&mut self, lines: u32) -> Result<String, Failure> {
        let end = self.recording.len().map_err(|error| self.trouble(error))?;
        let from = end.saturating_sub(TAIL_BYTES);
        let text =
            read_text(&mut self.recording, self.size, from, end).map_err(|error| self.trouble(error))?;
        self.shown = end;
        let all: Vec<&str> = text.lines().collect();
        let kept = all.len().saturating_sub(usize::try_from(lines).unwrap_or(usize::MAX));
        Ok(all[kept..].iter().map(|line| format!("{line}\n")).collect())
    }

    /// What is new, up to the end of a line; nothing where there is none.
    fn new_lines(&mut self) -> Result<Option<String>, Failure> {
        let end = self.recording.len().map_err(|error| self.trouble(error))?;
        let ended = self.recording.exit().map_err(|error| self.trouble(error))?.is_some();
        let to = end.min(self.shown + PIECE_BYTES);
        if to == self.shown {
            return Ok(None);
        }
        let whole = ended && to == end || to - self.shown > LINE_BYTES_MAX;
        let to = match self.line_end(to)? {
            Some(at) => at,
            None if whole => to,
            None => return Ok(None),
        };
        let text =
            read_text(&mut self.recording, self.size, self.shown, to).map_err(|error| self.trouble(error))?;
        self.shown = to;
        Ok(Some(text))
    }

    /// Where the last line before this offset ends.
    fn line_end(&mut self, to: u64) -> Result<Option<u64>, Failure> {
        let mut end = None;
        let mut offset = self.shown;
        let mut buffer = vec![0; 64 * 1024];
        while offset < to {
            let wanted = usize::try_from(to - offset).unwrap_or(buffer.len()).min(buffer.len());
            let read = self.recording.read_at(offset, &mut buffer[..wanted]);
            match read.map_err(|error| self.trouble(error))? {
                niia_actors::recording::Read::Bytes(0) => break,
                niia_actors::recording::Read::Bytes(count) => {
                    let last = buffer[..count].iter().rposition(|byte| *byte == b'\n');
                    end = last.map(|at| offset + at as u64 + 1).or(end);
                    offset += count as u64;
                }
                niia_actors::recording::Read::Gap { to, .. } => {
                    end = Some(to);
                    offset = to;
                }
            }
        }
        Ok(end)
    }
}
