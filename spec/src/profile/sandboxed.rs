//! What a tool needs that is kept from most of the machine: whom it must reach, where it keeps its state.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::plan::Permission;

/// How a tool is driven inside a sandbox, beside what holds for it anyway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandboxed {
    /// The hosts of its provider, `*.` for all below one.
    pub hosts: Vec<String>,
    /// Variables by which a person gives it another endpoint than its provider's.
    pub base_url_env: Vec<String>,
    /// The port of this machine at which it finds its models where no such variable is set.
    pub local_port: Option<u16>,
    /// Variables that say where it keeps its state, each with the name of that folder among the session's own.
    pub state: BTreeMap<String, String>,
    /// What lies there from the start: paths below the session's own folder for state, and their text.
    pub files: BTreeMap<String, String>,
    pub env: BTreeMap<String, String>,
    /// Arguments in which one word takes another's place: the option, the word, the new word. A sandbox of the tool's
    /// own does not work within ours, which holds more strictly.
    pub swap: Vec<[String; 3]>,
    /// Arguments that stand before all others.
    pub args: Vec<Addition>,
}

/// Arguments a tool gets only inside a sandbox. In them, and in what lies in its folder from the start, `{cwd}` is the
/// folder it works in, `{env:NAME}` a variable, `{env:NAME:-TEXT}` a variable or this text where there is none, and
/// `{end:NAME}` the last twenty letters of a variable; all of them as they are written between the quotes of JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Addition {
    pub add: Vec<String>,
    /// Only where all of these variables are set.
    #[serde(default)]
    pub with: Vec<String>,
    /// Only where none of these is.
    #[serde(default)]
    pub without: Vec<String>,
    /// Only where the session may do as much as one of these words says; empty for any.
    #[serde(default)]
    pub permissions: Vec<Permission>,
}

impl Addition {
    /// Whether it is for a session that has these variables and may do so much.
    pub fn fits(&self, env: &BTreeMap<String, String>, permission: Permission) -> bool {
        let is_set = |name: &String| env.get(name).is_some_and(|value| !value.is_empty());
        self.with.iter().all(is_set)
            && !self.without.iter().any(is_set)
            && (self.permissions.is_empty() || self.permissions.contains(&permission))
    }
}

/// As many letters of a key as a tool itself writes down to know it again.
const END_LETTERS: usize = 20;

/// Puts in what stands for the session's own folder and variables.
pub fn filled(text: &str, cwd: &str, env: &BTreeMap<String, String>) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        whole.push_str(&rest[..at]);
        rest = &rest[at..];
        let hole = rest.find('}').and_then(|end| Some((value(&rest[1..end], cwd, env)?, end + 1)));
        // Any other brace is a brace.
        let (value, length) = hole.unwrap_or_else(|| ("{".to_owned(), 1));
        whole.push_str(&value);
        rest = &rest[length..];
    }
    whole.push_str(rest);
    whole
}

fn value(hole: &str, cwd: &str, env: &BTreeMap<String, String>) -> Option<String> {
    let of = |name: &str| env.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let value = match hole.split_once(':') {
        None if hole == "cwd" => cwd,
        Some(("env", name)) => {
            let (name, otherwise) = name.split_once(":-").unwrap_or((name, ""));
            of(name).unwrap_or(otherwise)
        }
        Some(("end", name)) => {
            let value = of(name).unwrap_or_default();
            let last = value.char_indices().rev().take(END_LETTERS).last();
            &value[last.map_or(0, |(at, _)| at)..]
        }
        _ => return None,
    };
    let quoted = serde_json::Value::from(value).to_string();
    Some(quoted[1..quoted.len() - 1].to_owned())
}

/// The table `[sandboxed]` of a profile's file; a key that is not there changes nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SandboxedKeys {
    hosts: Option<Vec<String>>,
    base_url_env: Option<Vec<String>>,
    local_port: Option<u16>,
    state: Option<BTreeMap<String, String>>,
    files: Option<BTreeMap<String, String>>,
    env: Option<BTreeMap<String, String>>,
    swap: Option<Vec<[String; 3]>>,
    args: Option<Vec<Addition>>,
}

impl SandboxedKeys {
    /// Lays these keys over what is there, or says what is wrong with them.
    pub(crate) fn put(&self, into: &mut Sandboxed) -> Result<(), String> {
        let SandboxedKeys { hosts, base_url_env, local_port, state, files, env, swap, args } = self.clone();
        into.hosts = hosts.unwrap_or_else(|| std::mem::take(&mut into.hosts));
        into.base_url_env = base_url_env.unwrap_or_else(|| std::mem::take(&mut into.base_url_env));
        into.local_port = local_port.or(into.local_port);
        into.state.extend(state.unwrap_or_default());
        into.files.extend(files.unwrap_or_default());
        into.env.extend(env.unwrap_or_default());
        into.swap = swap.unwrap_or_else(|| std::mem::take(&mut into.swap));
        into.args = args.unwrap_or_else(|| std::mem::take(&mut into.args));
        let stays_below = |path: &str| {
            !path.is_empty()
                && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
                && !path.contains('\0')
        };
        if let Some(host) = into.hosts.iter().find(|host| crate::read::text::domain(host).is_err()) {
            return Err(format!("`{host}` is no host: write `api.example.com` or `*.example.com`"));
        }
        match into.state.values().chain(into.files.keys()).find(|path| !stays_below(path)) {
            Some(path) => Err(format!("`{path}` is no path below the session's own folder")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    #[test]
    fn what_is_put_in_stays_between_its_quotes() {
        let env = [("KEY", "sk-0123456789abcdefghij"), ("URL", "a\"b"), ("NONE", "")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        for (text, told) in [
            (r#"{"{cwd}":{}}"#, r#"{"/a\\\"b":{}}"#),
            ("{env:URL}", r#"a\"b"#),
            ("{env:NONE:-https://x/v1}|{env:GONE}|{env:KEY:-x}", "https://x/v1||sk-0123456789abcdefghij"),
            ("{end:KEY}|{end:URL}|{end:GONE}", r#"0123456789abcdefghij|a\"b|"#),
            ("{other} {", "{other} {"),
        ] {
            assert_eq!(filled(text, "/a\\\"b", &env), told, "{text}");
        }
    }

    #[test]
    fn arguments_are_added_where_variables_and_permission_are_so() {
        let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let (with, without) = (words(&["KEY"]), words(&["OTHER"]));
        let permissions = vec![Permission::WorkspaceWrite, Permission::Full];
        let addition = Addition { add: Vec::new(), with, without, permissions };
        let env = |names: &[&str]| names.iter().map(|&name| (name.to_owned(), "x".to_owned())).collect();
        assert!(addition.fits(&env(&["KEY"]), Permission::Full));
        assert!(!addition.fits(&env(&["KEY"]), Permission::ReadOnly));
        assert!(!addition.fits(&env(&[]), Permission::Full));
        assert!(!addition.fits(&env(&["KEY", "OTHER"]), Permission::Full));
    }

    fn profile(text: &str) -> Result<crate::profile::Profile, String> {
        let profiles = Profiles::built_in().unwrap().with([("claude.toml", text)]);
        profiles.map(|profiles| profiles.get("claude").unwrap().clone()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_user_changes_just_what_the_file_names() {
        let before = profile("id = 'claude'").unwrap().sandboxed;
        assert!(before.hosts.contains(&"api.anthropic.com".to_owned()));
        let after = profile("id = 'claude'\n[sandboxed]\nhosts = ['llm.example.com']").unwrap().sandboxed;
        assert_eq!(after.hosts, ["llm.example.com"]);
        assert_eq!(after.state, before.state);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (key, why) in [
            ("hosts = ['a b']", "is no host"),
            ("state = { X = '../up' }", "no path below"),
            ("files = { '/etc/x' = '' }", "no path below"),
            ("host = ['a.example']", "unknown field"),
        ] {
            let error = profile(&format!("id = 'claude'\n[sandboxed]\n{key}")).unwrap_err();
            assert!(error.starts_with("claude.toml:") && error.contains(why), "{error}");
        }
    }
}
