//! What can be known of a tool before anything is spent: cheap looks at variables and files, never a call to a provider.
//! What a look does not show is unknown; it is not guessed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drive::text_of;

/// Where to look. `{home}` and `{repository}` stand for those folders.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preflight {
    /// One of these variables is a login.
    pub login_env: Vec<String>,
    /// One of these files is a login.
    pub login_files: Vec<String>,
    /// Where the tool keeps that it trusts a repository.
    pub trust: Option<Kept>,
    /// Where the tool keeps which version is the newest.
    pub newest: Option<Kept>,
}

/// A value in a file of JSON: the names that lead to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    pub file: String,
    pub at: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    pub login: Known,
    pub trusted: Known,
    /// A newer version that the tool may offer or ask about.
    pub update: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Known {
    Yes { by: String },
    No { by: String },
    Unknown,
}

/// The place that is looked at.
#[expect(missing_debug_implementations, reason = "it is made of looks")]
pub struct Around<'a> {
    pub home: &'a str,
    /// The repository's main folder; nothing where there is none.
    pub repository: Option<&'a str>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// A file's text.
    pub file: &'a dyn Fn(&str) -> Option<String>,
}

impl Preflight {
    pub fn look(&self, version: Option<&str>, around: &Around<'_>) -> Found {
        Found {
            login: self.login(around),
            trusted: self.trusted(around),
            update: self.update(version, around),
        }
    }

    fn login(&self, around: &Around<'_>) -> Known {
        let set = |name: &&String| (around.env)(name).is_some_and(|value| !value.is_empty());
        if let Some(name) = self.login_env.iter().find(set) {
            return Known::Yes { by: format!("${name}") };
        }
        let files = self.login_files.iter().map(|file| around.put_in(file));
        let found = files.into_iter().find(|file| (around.file)(file).is_some());
        found.map_or(Known::Unknown, |by| Known::Yes { by })
    }

    fn trusted(&self, around: &Around<'_>) -> Known {
        let (Some(trust), Some(_)) = (&self.trust, around.repository) else { return Known::Unknown };
        let by = around.put_in(&trust.file);
        match trust.value(around) {
            Some(Value::Bool(true)) => Known::Yes { by },
            _ => Known::No { by },
        }
    }

    fn update(&self, version: Option<&str>, around: &Around<'_>) -> Option<String> {
        let newest = self.newest.as_ref()?;
        let newest = text_of(&serde_json::json!({ "newest": newest.value(around)? }), "newest")?;
        let have = version?;
        let has = have.split(|c: char| !c.is_ascii_digit() && c != '.').any(|word| word == newest);
        (!has).then_some(newest)
    }
}

impl Kept {
    fn value(&self, around: &Around<'_>) -> Option<Value> {
        let kept: Value = serde_json::from_str(&(around.file)(&around.put_in(&self.file))?).ok()?;
        self.at.iter().try_fold(&kept, |value, name| value.get(around.put_in(name))).cloned()
    }
}

impl Around<'_> {
    fn put_in(&self, text: &str) -> String {
        text.replace("{home}", self.home).replace("{repository}", self.repository.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    #[test]
    fn what_can_be_seen_is_told_and_the_rest_is_unknown() {
        let profiles = Profiles::built_in().unwrap();
        let look = |id: &str, version: &str, variable: &str, files: &[(&str, &str)]| {
            let env = |name: &str| (name == variable).then(|| "x".to_owned());
            let file =
                |path: &str| files.iter().find(|(name, _)| *name == path).map(|(_, text)| (*text).to_owned());
            let around = Around { home: "/home/ann", repository: Some("/repo"), env: &env, file: &file };
            profiles.get(id).unwrap().preflight.look(Some(version), &around)
        };
        let trusts = r#"{"projects":{"/repo":{"hasTrustDialogAccepted":true}}}"#;
        let yes = |by: &str| Known::Yes { by: by.into() };
        let found = look(
            "claude",
            "2.1.329 (Claude Code)",
            "ANTHROPIC_API_KEY",
            &[("/home/ann/.claude.json", trusts)],
        );
        assert_eq!(
            found,
            Found { login: yes("$ANTHROPIC_API_KEY"), trusted: yes("/home/ann/.claude.json"), update: None }
        );
        let found = look("claude", "2.1.329 (Claude Code)", "", &[]);
        assert_eq!(found.login, Known::Unknown);
        assert_eq!(found.trusted, Known::No { by: "/home/ann/.claude.json".into() });
        let newest = [("/home/ann/.codex/version.json", r#"{"latest_version":"0.170.0"}"#)];
        assert_eq!(look("codex", "codex-cli 0.169.0", "", &newest).update.as_deref(), Some("0.170.0"));
        assert_eq!(look("codex", "codex-cli 0.170.0", "", &newest).update, None);
        assert_eq!(look("llm", "llm 1", "", &[]).trusted, Known::Unknown);
    }
}
