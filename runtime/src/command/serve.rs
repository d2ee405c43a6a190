//! `niia serve`: a headless session. It is a run of one session, so everything that holds for runs holds for it.

use std::time::Duration;

use niia_spec::notice::WorkerState;
use serde_json::{Map, Value, json};

use super::document::from_text;
use super::run::person::Person;
use super::run::{Begun, begin};
use super::{Caller, say};
use crate::cli::runs::Run;
use crate::cli::sessions::Serve;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// How long a session may take to start before its name is given anyway: its tree may have to be made first.
const START_WITHIN: Duration = Duration::from_secs(30);

pub async fn serve(caller: &Caller, words: Serve) -> Result<Exit, Failure> {
    serve_at(caller, words, None).await
}

/// The same on another machine.
pub async fn serve_at(caller: &Caller, words: Serve, home: Option<String>) -> Result<Exit, Failure> {
    let text = document_of(&words).to_string().into_bytes();
    let sound = from_text(caller, "serve.connector.json".to_owned(), text, None)?;
    let run = Run {
        file: None,
        words: None,
        task: None,
        detach: true,
        home: home.clone(),
        include_dirty: words.include_dirty,
        output: None,
        event: None,
        event_name: None,
        no_input: false,
        allow_mcp: false,
    };
    let begun = begin(caller, sound, &run, Person::present(false)).await?;
    let begun = begun.ok_or_else(|| Failure::out_of_turn("serve"))?;
    let Begun { run, first_session, mut client } = begun;
    let started = tokio::time::timeout(START_WITHIN, started(&mut client, &run));
    // A session that takes longer is no failure: it is as good as one that is looked at later.
    started.await.unwrap_or(Ok(()))?;
    if !caller.json {
        let shows = home.map_or_else(
            || format!("niia attach {first_session}"),
            |machine| format!("niia remote attach {machine} {first_session}"),
        );
        say(&format!("session {first_session}\n`{shows}` shows it\n"))?;
    }
    Ok(Exit::Done)
}

/// Returns when the program runs in its terminal, so that whoever attaches next finds it there.
async fn started(client: &mut Client, run: &str) -> Result<(), Failure> {
    client.tell(Request::Follow { run: Some(run.to_owned()) }).await?;
    while let Some(Reply::Run(view)) = client.next().await? {
        let mut workers = view.phases.iter().flat_map(|phase| &phase.workers);
        if workers.any(|worker| {
            !matches!(worker.state, WorkerState::Waiting | WorkerState::NotStarted | WorkerState::Starting)
        }) {
            break;
        }
        if view.state.is_over() {
            let reason = view.reason.as_deref().map(neutral).unwrap_or_else(|| "nobody says why".to_owned());
            return Err(Failure::new(Exit::Failed, format!("the session did not start: {reason}")));
        }
    }
    Ok(())
}

/// The document that says the same.
fn document_of(words: &Serve) -> Value {
    let mut session = Map::new();
    // Without a tree of its own it works where it was called, as any program that is started there.
    session.insert("worktree".to_owned(), words.worktree.as_ref().map_or(json!(false), |slug| json!(slug)));
    if words.sandbox {
        session.insert("sandbox".to_owned(), json!(true));
    }
    let mut document = json!({ "connector": "2.1", "name": "serve", "type": "session", "session": session });
    if !words.command.is_empty() {
        document["models"] = json!({ "primary": { "use": "command", "args": words.command } });
    } else if let Some(model) = &words.model {
        // The same once more: a tool that crashes is started again, and goes on with its own conversation.
        // Of two that are alike in all a plan would keep one; the variable tells them apart.
        let again = json!({ "use": model, "env": { "RESUMED_BY_NIIA": "1" } });
        document["models"] = json!({ "primary": model, "fallback": again });
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_served_is_a_document_without_errors() {
        let words = Serve {
            worktree: Some("my-feature".to_owned()),
            sandbox: true,
            include_dirty: false,
            model: None,
            command: vec!["bash".to_owned(), "-l".to_owned()],
        };
        let text = document_of(&words).to_string();
        let (document, findings) = niia_spec::read(text.as_bytes(), "serve");
        assert!(document.is_some(), "{findings:?}");
    }
}
