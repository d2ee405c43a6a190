//! Looking at sessions and doing something to them.

use niia_spec::notice::SessionView;

use super::agents::text_or_stdin;
use super::{Caller, done, say};
use niia_spec::detect::Turned;
use niia_spec::profile::TurnEnds;

use crate::cli::sessions::{GetAnswer, Interrupt, Kill, Read, Resize, Sessions, WaitIdle, Write};
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral_lines;
use crate::report::session::{receipt_text, session_text, sessions_text, was_taken};

/// Asks for one session's view.
pub async fn view_of(client: &mut Client, session: &str) -> Result<Box<SessionView>, Failure> {
    match client.ask(Request::Session { session: session.to_owned() }).await? {
        Reply::Session(view) => Ok(view),
        _ => Err(Failure::out_of_turn("session")),
    }
}

pub async fn sessions(caller: &Caller, words: Sessions) -> Result<Exit, Failure> {
    let there = words.machine.as_deref().map(|machine| caller.on(machine));
    let request = Request::Sessions { run: words.run, ended_too: words.all };
    let Reply::Sessions(sessions) = there.as_ref().unwrap_or(caller).ask(request).await? else {
        return Err(Failure::out_of_turn("sessions"));
    };
    if sessions.is_empty() && !caller.json {
        let hint = if words.all { "" } else { "; `--all` shows those that are over" };
        say(&format!("no sessions{hint}\n"))?;
        return Ok(Exit::Done);
    }
    caller.show(&sessions, |look| sessions_text(&sessions, look))?;
    Ok(Exit::Done)
}

pub async fn read(caller: &Caller, words: Read) -> Result<Exit, Failure> {
    let reply = caller.ask(Request::Read { session: words.name.session }).await?;
    let Reply::Screen { text, title, cursor } = reply else {
        return Err(Failure::out_of_turn("read"));
    };
    let data = serde_json::json!({ "text": text, "title": title, "cursor": cursor });
    caller.show(&data, |_| neutral_lines(text.trim_end()) + "\n")?;
    Ok(Exit::Done)
}

pub async fn write(caller: &Caller, words: Write) -> Result<Exit, Failure> {
    let text = text_or_stdin(words.text)?;
    let enter = !words.no_enter;
    let request = Request::Write { session: words.name.session, text, enter, urgent: words.urgent };
    let Reply::Receipt(receipt) = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("write"));
    };
    caller.show(&receipt, |_| receipt_text(&receipt) + "\n")?;
    Ok(if was_taken(&receipt, enter) { Exit::Done } else { Exit::Failed })
}

pub async fn wait_idle(caller: &Caller, words: WaitIdle) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let view = idle(&mut client, &words.name.session, words.quiet, words.timeout).await?;
    caller.show(&view, |look| session_text(&view, look))?;
    Ok(Exit::Done)
}

/// Waits until a session is quiet or over, and gives it as it is then.
async fn idle(
    client: &mut Client,
    session: &str,
    quiet: f64,
    timeout: f64,
) -> Result<Box<SessionView>, Failure> {
    let request = Request::WaitIdle {
        session: session.to_owned(),
        quiet_ms: milliseconds(quiet),
        within_ms: milliseconds(timeout),
    };
    match client.ask(request).await? {
        Reply::Session(view) => Ok(view),
        Reply::Done => view_of(client, session).await,
        _ => Err(Failure::out_of_turn("wait-idle")),
    }
}

fn milliseconds(seconds: f64) -> u64 {
    // The command line bounds it; a float that fits becomes a whole number of milliseconds.
    (seconds * 1000.0).round() as u64
}

/// Asks, waits until the session has gone quiet, and prints what it printed since.
pub async fn get_answer(caller: &Caller, words: GetAnswer) -> Result<Exit, Failure> {
    let within = std::time::Duration::from_secs_f64(words.timeout);
    match tokio::time::timeout(within, answer(caller, words)).await {
        Ok(answered) => answered,
        Err(_) => Err(Failure::new(Exit::Failed, format!("no answer within {within:?}"))
            .help("`niia read` shows its screen; a question that waits for a turn to end is typed after it")),
    }
}

async fn answer(caller: &Caller, words: GetAnswer) -> Result<Exit, Failure> {
    let question = text_or_stdin(words.question)?;
    let session = words.name.session;
    let mut client = caller.client().await?;
    let before = view_of(&mut client, &session).await?;
    if before.conversation {
        return turn(caller, &mut client, session, question, words.timeout).await;
    }
    let request = Request::Write { session: session.clone(), text: question, enter: true, urgent: false };
    let Reply::Receipt(receipt) = client.ask(request).await? else {
        return Err(Failure::out_of_turn("write"));
    };
    if !was_taken(&receipt, true) {
        return Err(Failure::new(Exit::Failed, format!("the question was {}", receipt_text(&receipt))));
    }
    let after = idle(&mut client, &session, words.quiet, words.timeout).await?;
    let (from, to) = (before.printed_bytes, after.printed_bytes);
    let answer = match &caller.machine {
        None => super::replay::text_between(&after, from, to)?,
        Some(_) => printed_there(&mut client, &after, from, to).await?,
    };
    let data = serde_json::json!({ "answer": answer, "receipt": receipt, "state": after.state });
    caller.show(&data, |_| neutral_lines(answer.trim_end()) + "\n")?;
    Ok(Exit::Done)
}

/// What a session of another machine printed: its recording lies there.
async fn printed_there(
    client: &mut Client,
    view: &SessionView,
    from: u64,
    to: u64,
) -> Result<String, Failure> {
    use niia_actors::session::{answer::Answer, screen::Size};

    let session = view.session.to_string();
    let Reply::Output { bytes, .. } = client.ask(Request::Printed { session, from, to }).await? else {
        return Err(Failure::out_of_turn("get-answer"));
    };
    let mut answer = Answer::new(Size::clamped(view.cols, view.rows));
    answer.feed(&bytes);
    answer.left_out((to - from).saturating_sub(bytes.len() as u64));
    Ok(answer.finish().text)
}

/// A conversation's turn has an end of its own, and an answer to the letter.
async fn turn(
    caller: &Caller,
    client: &mut Client,
    session: String,
    prompt: String,
    timeout: f64,
) -> Result<Exit, Failure> {
    let request = Request::Turn { session: session.clone(), prompt, within_ms: milliseconds(timeout) };
    let end = match client.ask(request).await? {
        Reply::Turned(Turned::Ended(end)) => end,
        Reply::Turned(Turned::Undelivered { reason }) => {
            return Err(Failure::new(Exit::Failed, format!("the question was not delivered: {reason}")));
        }
        Reply::Turned(Turned::Unknown { reason }) => {
            return Err(Failure::new(
                Exit::Failed,
                format!("nobody can say what became of the question: {reason}"),
            ));
        }
        _ => return Err(Failure::out_of_turn("turn")),
    };
    let answer = end.answer.clone().unwrap_or_default();
    let data = serde_json::json!({ "answer": answer, "ends": end.ends, "class": end.class, "reason": end.reason,
        "evidence": end.source });
    caller.show(&data, |_| neutral_lines(answer.trim_end()) + "\n")?;
    match end.ends {
        TurnEnds::Answered => Ok(Exit::Done),
        TurnEnds::Interrupted => Err(Failure::new(Exit::Failed, "the turn was interrupted")),
        TurnEnds::Failed => {
            let class = end.class.map(|class| format!("{class:?}: ")).unwrap_or_default();
            Err(Failure::new(Exit::Failed, format!("the turn failed: {class}{}", end.reason))
                .help(format!("`niia explain {session}` says what it does now")))
        }
    }
}

/// Ends the turn under way early.
pub async fn interrupt(caller: &Caller, words: Interrupt) -> Result<Exit, Failure> {
    done(&caller.ask(Request::Interrupt { session: words.name.session }).await?, "interrupt")
}

pub async fn resize(caller: &Caller, words: Resize) -> Result<Exit, Failure> {
    let (cols, rows) = words.size;
    done(&caller.ask(Request::Resize { session: words.name.session, cols, rows }).await?, "resize")
}

pub async fn kill(caller: &Caller, words: Kill) -> Result<Exit, Failure> {
    done(&caller.ask(Request::Kill { session: words.name.session }).await?, "kill")
}
