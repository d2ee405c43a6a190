//! One answer for each request: a table of contents.

use niia_spec::notice::JournalLine;

use super::agents::Reading;
use super::{agents, appointments, asks, machines, past, runs, sessions, talks};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply, Request};
use crate::node::accept::Begins;
use crate::node::{Node, accept, child};

pub(super) async fn answer(node: &Node, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
    match request {
        Request::Node => Ok(Reply::Node(Box::new(node.view().await))),
        Request::Run { plan, origin } => {
            let run = match caller {
                Caller::Person => accept::accept(node, *plan, *origin, Begins::alone()).await?,
                Caller::Agent(session) => child::begin(node, session, *plan, *origin).await?,
            };
            let folder = node.run_folder(&run);
            Ok(Reply::Accepted { run, folder })
        }
        Request::RunAbroad { machine, plan, origin } => {
            let (run, folder) = node.abroad.begin(&machine, *plan, *origin).await?;
            Ok(Reply::Accepted { run, folder })
        }
        // What is asked after is here.
        Request::Fetch { .. } => Ok(Reply::Done),
        Request::Runs { limit } => Ok(Reply::Runs(runs::list(node, caller, limit).await?)),
        Request::Status { run } => Ok(Reply::Run(Box::new(runs::status(node, caller, &run).await?))),
        Request::Cancel { run, reason } => runs::cancel(node, caller, &run, reason).await,
        Request::Approve { run, phase } => runs::approve(node, caller, &run, phase).await,
        Request::Deny { run, phase, reason } => runs::deny(node, caller, &run, phase, reason).await,
        Request::Resume { run } => runs::resume(node, caller, &run).await,
        Request::Journal { run, from_seq } => runs::journal(node, caller, &run, from_seq)
            .await
            .map(|lines: Vec<JournalLine>| Reply::Journal(lines)),
        Request::Schedule(request) => appointments::answer(node, request).await,
        Request::Trigger { event, place } => appointments::trigger(node, *event, place).await,
        Request::Past(request) => past::answer(node, caller, request).await,
        Request::Stop { end_sessions } => {
            if end_sessions {
                runs::cancel_all(node).await;
            }
            node.stop();
            Ok(Reply::Done)
        }
        Request::Machines(request) => machines::answer(node, request).await,
        request => of_session(node, caller, request).await,
    }
}

async fn of_session(node: &Node, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
    match request {
        Request::Sessions { run, ended_too } => {
            Ok(Reply::Sessions(sessions::list(node, caller, &run, ended_too).await?))
        }
        Request::Session { session } => {
            Ok(Reply::Session(Box::new(sessions::look(node, caller, &session).await?)))
        }
        Request::Read { session } => sessions::read(node, caller, &session).await,
        Request::Write { session, text, enter, urgent } => {
            sessions::write(node, caller, &session, text, enter, urgent).await
        }
        Request::WaitIdle { session, quiet_ms, within_ms } => {
            sessions::wait_idle(node, caller, &session, quiet_ms, within_ms).await
        }
        Request::Turn { session, prompt, within_ms } => {
            sessions::turn(node, caller, &session, prompt, within_ms).await
        }
        Request::Interrupt { session } => sessions::interrupt(node, caller, &session),
        Request::Dialog { session, allow } => sessions::dialog(node, caller, &session, allow).await,
        Request::Resize { session, cols, rows } => sessions::resize(node, caller, &session, (cols, rows)),
        Request::Kill { session } => sessions::kill(node, caller, &session),
        Request::Answer { session, text } => asks::answer(node, caller, &session, text),
        Request::Keys { .. } | Request::View { .. } | Request::Take | Request::Repaint => {
            Err(misplaced("attach"))
        }
        Request::Printed { session, from, to } => sessions::printed(node, caller, &session, (from, to)).await,
        request => among_workers(node, caller, request).await,
    }
}

/// What workers do among themselves. What is left over belongs into a talk of its own, such as following a run.
async fn among_workers(node: &Node, caller: &Caller, request: Request) -> Result<Reply, Refusal> {
    match request {
        Request::OutputSet { run, key, value } => agents::output_set(node, caller, &run, key, value).await,
        Request::OutputGet { run, phase, key } => agents::output_get(node, caller, &run, phase, key).await,
        Request::Claim { run, key } => agents::claim(node, caller, &run, key).await,
        Request::ScratchpadList { run } => agents::scratchpad_list(node, caller, &run).await,
        Request::ScratchpadCat { run, path } => agents::scratchpad_cat(node, caller, &run, path).await,
        Request::ScratchpadPut { run, path, bytes } => {
            agents::scratchpad_put(node, caller, &run, path, bytes).await
        }
        Request::MailboxSend { run, to, text, id, cause, urgent } => {
            agents::send(node, caller, &run, agents::Post { to, text, id, cause, urgent }).await
        }
        Request::MailboxSent { run, writer } => agents::sent(node, caller, &run, writer).await,
        Request::Inbox { all, take } => talks::inbox(node, caller, all, take).await,
        Request::Conclude { run, phase } => talks::conclude(node, caller, &run, phase).await,
        Request::MailboxList { run, reader } => {
            agents::letters(node, caller, &run, reader, Reading::Look).await
        }
        Request::MailboxRead { run, reader, to } => {
            let reading = to.map_or(Reading::Take, Reading::HandOut);
            agents::letters(node, caller, &run, reader, reading).await
        }
        Request::MailboxCame { run, reader, to } => agents::came(node, caller, &run, reader, to).await,
        _ => Err(misplaced("a talk of its own")),
    }
}

fn misplaced(place: &str) -> Refusal {
    Refusal { code: RefusalCode::Wrong, message: format!("this word belongs into {place}"), help: None }
}
