//! What a tool needs that is kept from most of the machine: whom it must reach, where it keeps its state.

use std::collections::BTreeMap;

use serde::Deserialize;

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
}

impl SandboxedKeys {
    /// Lays these keys over what is there, or says what is wrong with them.
    pub(crate) fn put(&self, into: &mut Sandboxed) -> Result<(), String> {
        let SandboxedKeys { hosts, base_url_env, local_port, state, files, env, swap } = self.clone();
        into.hosts = hosts.unwrap_or_else(|| std::mem::take(&mut into.hosts));
        into.base_url_env = base_url_env.unwrap_or_else(|| std::mem::take(&mut into.base_url_env));
        into.local_port = local_port.or(into.local_port);
        into.state.extend(state.unwrap_or_default());
        into.files.extend(files.unwrap_or_default());
        into.env.extend(env.unwrap_or_default());
        into.swap = swap.unwrap_or_else(|| std::mem::take(&mut into.swap));
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
    use crate::profile::Profiles;

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
