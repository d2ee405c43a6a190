//! `niia serve`: a headless session. It is a run of one session, so everything that holds for runs holds for it.

use serde_json::{Map, Value, json};

use super::document::from_text;
use super::run::begin;
use super::run::person::Person;
use super::{Caller, say};
use crate::cli::runs::Run;
use crate::cli::sessions::Serve;
use crate::failure::{Exit, Failure};

pub async fn serve(caller: &Caller, words: Serve) -> Result<Exit, Failure> {
    let text = document_of(&words).to_string().into_bytes();
    let sound = from_text(caller, "serve.connector.json".to_owned(), text, None)?;
    let run = Run {
        file: None,
        words: None,
        task: None,
        detach: true,
        include_dirty: words.include_dirty,
        output: None,
        no_input: false,
    };
    let begun = begin(caller, sound, &run, Person::present(false)).await?;
    if !caller.json {
        say(&format!("session {}\n`niia attach {0}` shows it\n", begun.first_session))?;
    }
    Ok(Exit::Done)
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
        document["models"] = json!({ "primary": model });
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
