//! `niia init`: a first document from the tools that are found here. It never writes over anything.

use std::fs::OpenOptions;
use std::io::{self, Write};

use serde_json::{Value, json};

use super::surroundings::on_path;
use super::{Caller, say, say_json};
use crate::cli::runs::Init;
use crate::failure::{Exit, Failure};

/// The tools that work on a repository by themselves, in the order they are preferred in.
const AGENTS: [&str; 5] = ["claude", "codex", "gemini", "opencode", "aider"];

pub fn init(caller: &Caller, words: &Init) -> Result<Exit, Failure> {
    let found: Vec<&str> = AGENTS.into_iter().filter(|agent| on_path(agent).is_some()).collect();
    let document = document_for(&found);
    let text = serde_json::to_string_pretty(&document);
    let text = text.map_err(|error| Failure::trouble("could not write JSON", error))? + "\n";
    let path = words.file.display();
    let mut file = OpenOptions::new().write(true).create_new(true).open(&words.file).map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return Failure::usage(format!("`{path}` is there already; it was left as it is"));
        }
        Failure::trouble(format!("could not write `{path}`"), error)
    })?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::trouble(format!("could not write `{path}`"), error))?;
    if caller.json {
        say_json(&json!({ "file": words.file, "found": found }))?;
        return Ok(Exit::Done);
    }
    let with = if found.is_empty() {
        "no AI tool was found, so it uses git alone".to_owned()
    } else {
        format!("with {}", found.join(", "))
    };
    say(&format!("`{path}` is written, {with}\n`niia plan` says what it would do, `niia run` does it\n"))?;
    Ok(Exit::Done)
}

/// A document that works with what is here: a review by several, by one twice, or by git alone.
fn document_for(found: &[&str]) -> Value {
    let phases = match found {
        [] => return without_agents(),
        [one] => vec![
            json!({ "name": "review", "model": one, "prompt": "Review the newest changes of this repository. Name real faults only, each with its place." }),
            json!({ "name": "fix", "model": one, "prompt": "Fix what the review found, smallest change first, and run the tests." }),
        ],
        several => {
            let reviewer = |tool: &&str| json!({ "id": tool, "model": tool });
            let reviewers: Vec<Value> = several.iter().take(3).map(reviewer).collect();
            vec![
                json!({
                    "name": "review",
                    "prompt": "Review the newest changes of this repository. Name real faults only, each with its place.",
                    "workers": reviewers,
                }),
                json!({ "name": "report", "model": several[0], "prompt": "Join the reviews into one report: what several found first, then the rest." }),
            ]
        }
    };
    json!({
        "connector": "2.0",
        "name": "first-review",
        "description": "Several tools review the newest changes; one joins what they found.",
        "pipeline": { "phases": phases },
    })
}

fn without_agents() -> Value {
    let git = |words: &[&str]| json!({ "use": "command", "args": words });
    json!({
        "connector": "2.0",
        "name": "first-look",
        "task": "See what changed lately, and who knows about it.",
        "description": "What changed lately and where; put an AI tool in the place of `git` once one is installed.",
        "models": {
            "changes": git(&["git", "--no-pager", "log", "--stat", "-10"]),
            "authors": git(&["git", "--no-pager", "shortlog", "-sn", "HEAD"]),
        },
        "pipeline": { "phases": [
            { "name": "look", "workers": [
                { "id": "changes", "model": "changes" },
                { "id": "authors", "model": "authors" },
            ] },
        ] },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use niia_spec::diagnostic::Severity;

    #[test]
    fn what_is_written_passes_check_whatever_is_installed() {
        for count in 0..=AGENTS.len() {
            let text = document_for(&AGENTS[..count]).to_string();
            let (document, findings) = niia_spec::read(text.as_bytes(), "connector.json");
            assert!(document.is_some(), "{findings:?}");
            assert!(findings.iter().all(|finding| finding.severity == Severity::Note), "{findings:?}");
        }
    }

    #[test]
    fn an_existing_file_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connector.json");
        std::fs::write(&file, "mine").unwrap();
        let folders = crate::config::Folders { state: folder.path().into(), config: folder.path().into() };
        let failure =
            init(&Caller { json: false, folders, machine: None }, &Init { file: file.clone() }).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    }
}
