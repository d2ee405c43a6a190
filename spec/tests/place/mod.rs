//! A machine for documents to be planned on.

use std::path::PathBuf;

use niia_spec::plan::draw::{KnownMcp, KnownProfile, Repository, Surroundings};

/// A repository, claude and codex installed, and the profiles that are built in.
pub fn surroundings(file_stem: &str) -> Surroundings {
    let profile = |name: &str, lists: &[&str], installed: bool| KnownProfile {
        name: name.to_owned(),
        lists: lists.iter().map(|name| (*name).to_owned()).collect(),
        program: Some(name.to_owned()),
        installed: installed.then(|| PathBuf::from("/usr/bin").join(name)),
        local: name == "ollama",
    };
    Surroundings {
        // A document is planned without a repository where its name says so.
        repository: (!file_stem.starts_with("no-repository"))
            .then(|| Repository { root: PathBuf::from("/home/me/shop") }),
        profiles: vec![
            profile("claude", &["haiku", "sonnet", "opus"], true),
            profile("codex", &[], true),
            profile("gemini", &[], false),
            profile("aider", &[], false),
            profile("ollama", &[], false),
            KnownProfile { program: None, ..profile("command", &[], false) },
        ],
        default_model: None,
        mcp: vec![KnownMcp {
            name: "github".to_owned(),
            source: ".mcp.json".to_owned(),
            command: Some("github-mcp".to_owned()),
            ..KnownMcp::default()
        }],
        file_stem: file_stem.to_owned(),
        hosts: vec!["my-laptop".to_owned()],
    }
}
