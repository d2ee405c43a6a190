//! Requests by which a program inside a session asks a person, and a person answers.

use std::time::Duration;

use niia_spec::name::SessionId;
use niia_spec::plan::Plan;

use super::find::live_session;
use super::{Connection, ServeError, child};
use crate::control::caller::Caller;
use crate::control::words::{Refusal, RefusalCode, Reply};
use crate::node::Node;
use crate::node::asks::{ANSWER_BYTES_MAX, ASKS_MAX, CHOICES_MAX, QUESTION_BYTES_MAX};

impl Connection {
    /// Puts the question, and answers once a person has, or nobody has in time. Whoever asks may go away meanwhile.
    pub(super) async fn ask_person(
        &mut self,
        question: String,
        choices: Vec<String>,
    ) -> Result<(), ServeError> {
        let Caller::Agent(session) = self.caller.clone() else {
            let refusal = refused(
                RefusalCode::NotAllowed,
                "a person is asked from inside a session".to_owned(),
                "ask in your own words",
            );
            return self.reply(Reply::Refused(refusal)).await;
        };
        let node = self.node.clone();
        let asking = wait(&node, &session, question, choices);
        tokio::pin!(asking);
        let reply = tokio::select! {
            reply = &mut asking => reply.unwrap_or_else(Reply::Refused),
            gone = self.next() => match gone? {
                None => return Ok(()),
                Some(_) => Reply::Refused(refused(
                    RefusalCode::Wrong,
                    "a question waits on this connection".to_owned(),
                    "ask on another one",
                )),
            },
        };
        self.reply(reply).await
    }
}

async fn wait(
    node: &Node,
    session: &SessionId,
    question: String,
    choices: Vec<String>,
) -> Result<Reply, Refusal> {
    let within = within(&child::plan_of(node, session)?, session);
    if within.is_zero() {
        return Err(nobody(within));
    }
    bounded(&question, &choices)?;
    let told = format!("niia: {session} asks: {question}\n(niia answer {session} TEXT)");
    let mut asked = node.asks.ask(session.clone(), question, choices).ok_or_else(|| {
        refused(
            RefusalCode::Limit,
            format!("{ASKS_MAX} questions of {session} wait already"),
            "wait for their answers",
        )
    })?;
    let notifier = node.notifier.clone();
    tokio::spawn(async move { notifier.tell(&told).await });
    match tokio::time::timeout(within, asked.answer()).await {
        Ok(Some(text)) => Ok(Reply::Answered { text, by: "a person".to_owned() }),
        Ok(None) | Err(_) => Err(nobody(within)),
    }
}

/// How long the document lets a session wait for a person.
fn within(plan: &Plan, session: &SessionId) -> Duration {
    let worker = &session.attempt.worker;
    let phase = plan.phases.iter().find(|phase| phase.name == worker.phase);
    let workers = phase.map(|phase| phase.work.workers()).unwrap_or_default();
    let own = workers.into_iter().find(|one| one.name == worker.worker);
    own.map_or(Duration::ZERO, |worker| Duration::from_millis(worker.session.answer_within_ms))
}

fn bounded(question: &str, choices: &[String]) -> Result<(), Refusal> {
    let fits = !question.trim().is_empty()
        && question.len() <= QUESTION_BYTES_MAX
        && choices.len() <= CHOICES_MAX
        && choices.iter().all(|choice| choice.len() <= QUESTION_BYTES_MAX);
    let message = format!(
        "a question has 1 to {QUESTION_BYTES_MAX} bytes, and up to {CHOICES_MAX} answers to choose from"
    );
    if fits { Ok(()) } else { Err(refused(RefusalCode::Limit, message, "put the rest into the scratchpad")) }
}

fn nobody(within: Duration) -> Refusal {
    let message = match within.is_zero() {
        true => "there is nobody to ask here".to_owned(),
        false => format!("nobody answered within {} s", within.as_secs()),
    };
    refused(
        RefusalCode::State,
        message,
        "decide by yourself, and say in your answer what you decided and why",
    )
}

/// A person answers what a session asks.
pub(super) fn answer(node: &Node, caller: &Caller, name: &str, text: String) -> Result<Reply, Refusal> {
    if text.len() > ANSWER_BYTES_MAX {
        let message = format!("an answer has at most {ANSWER_BYTES_MAX} bytes");
        return Err(refused(RefusalCode::Limit, message, "put the rest into the scratchpad"));
    }
    let (session, _) = live_session(node, caller, name)?;
    let asked = node.asks.question(&session);
    match node.asks.answer(&session, text) {
        true => Ok(Reply::Word { text: asked.unwrap_or_default() }),
        false => Err(refused(
            RefusalCode::State,
            format!("{session} asks nothing"),
            "`niia sessions` says which ones wait for a person",
        )),
    }
}

/// Yes or no to what a session asks, where it asks something.
pub(super) fn decide(node: &Node, session: &SessionId, yes: bool) -> Option<Reply> {
    let asked = node.asks.question(session)?;
    let word = if yes { "yes" } else { "no" };
    node.asks.answer(session, word.to_owned()).then_some(Reply::Word { text: asked })
}

fn refused(code: RefusalCode, message: String, help: &str) -> Refusal {
    Refusal { code, message, help: Some(help.to_owned()) }
}
