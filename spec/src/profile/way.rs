//! Which way a program is driven: a conversation is held with it, or it is called for one prompt.

use serde::{Deserialize, Serialize};

use super::Profile;

/// As much of what a program says of itself as is told to people.
const SAID_CHARS_MAX: usize = 80;

/// How a program is driven, and why so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    pub conversation: bool,
    /// The version it says it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// For people.
    pub because: String,
}

impl Profile {
    /// A conversation is held with a program that says by its version that it is the tool this profile is about. Any
    /// other program of that name, a script in its place, is called for one prompt. `said` is what it answered when it
    /// was asked for its version.
    pub fn way(&self, said: Option<&str>) -> Way {
        let one_prompt = |because: String| Way { conversation: false, version: None, because };
        if !self.converses() {
            return one_prompt(format!("profile {} answers one prompt and ends", self.id));
        }
        let Some(pattern) = &self.version_pattern else {
            let because = format!("profile {} names no `version_pattern` to know it by", self.id);
            return Way { conversation: true, version: None, because };
        };
        let Some(said) = said else {
            return one_prompt("it did not tell its version".to_owned());
        };
        match pattern.find(said) {
            Some(version) => {
                let version = shortened(version);
                let because = format!("it says it is {version}");
                Way { conversation: true, version: Some(version), because }
            }
            None => one_prompt(format!("it says `{}`, as {} would not", shortened(said), self.id)),
        }
    }
}

fn shortened(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use crate::profile::Profiles;

    #[test]
    fn a_tool_is_known_by_what_it_says_of_itself() {
        let profiles = Profiles::built_in().unwrap();
        let way = |id: &str, said: Option<&str>| {
            let way = profiles.get(id).unwrap().way(said);
            (way.conversation, way.because)
        };
        for (id, said, converses) in [
            ("claude", Some("2.1.329 (Claude Code)\n"), true),
            ("claude", Some("claude was asked: --version\n"), false),
            ("claude", Some(""), false),
            ("claude", None, false),
            ("codex", Some("codex-cli 0.169.0\n"), true),
            ("codex", Some("2.1.329 (Claude Code)"), false),
            ("llm", Some("llm, version 0.36"), false),
        ] {
            assert_eq!(way(id, said).0, converses, "{id} {said:?}");
        }
        assert_eq!(way("codex", Some("codex-cli 0.169.0\n")).1, "it says it is codex-cli 0.169.0");
        assert_eq!(way("claude", Some("\nhello there")).1, "it says `hello there`, as claude would not");
        assert_eq!(way("llm", None).1, "profile llm answers one prompt and ends");
    }
}
