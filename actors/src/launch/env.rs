//! The environment of a session: made from an allow-list, never the node's own.

use std::collections::BTreeMap;

use super::{Facts, Launch, LaunchError};
use crate::git::secrets;

/// A kernel takes no string longer than 128 KiB, its name and the final NUL included.
const VARIABLE_BYTES_MAX: usize = 128 * 1024 - 1;
/// All variables together: what is left of the kernel's bound on arguments and environment on the meanest system.
const ENV_BYTES_MAX: usize = 512 * 1024;
/// `${A:-${B:-…}}` deeper than this is a mistake.
const NESTING_MAX: u32 = 8;

/// What stands in place of a secret.
pub const STRUCK_OUT: &str = "<secret>";

/// The caller's variables that every session gets. A `*` at the end stands for anything.
const ALLOWED: [&str; 17] = [
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "USER",
    "LOGNAME",
    "SHELL",
    "TZ",
    "TMPDIR",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "NO_COLOR",
    "HOSTNAME",
];

/// What niia's own terminal is, whatever the caller's is.
const TERMINAL: [(&str, &str); 2] = [("TERM", "xterm-256color"), ("COLORTERM", "truecolor")];

/// What an AI's program or a terminal leaves for its children: a session is no child of theirs.
const OF_ANOTHER_SESSION: [&str; 21] = [
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SSE_PORT",
    "CLAUDE_CODE_SESSION_*",
    "CLAUDE_CODE_SANDBOXED",
    "CLAUDE_CODE_REMOTE*",
    "CODEX_SANDBOX*",
    "CODEX_THREAD_ID",
    "CODEX_INTERNAL_*",
    "CODEX_CI",
    "GEMINI_CLI",
    "QWEN_CODE",
    "OPENCODE",
    "OPENCODE_PID",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "AI_AGENT",
    "AGENT",
    "NIIA_*",
    "TMUX*",
    "STY",
];

/// Names that only niia sets.
const OWN_PREFIX: &str = "NIIA_";

/// Why an environment cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    #[error("`{field}`: the name of a variable may not be empty nor hold `=`, NUL or a line end")]
    Name { field: String },
    #[error("`{field}`: a value may not hold a NUL")]
    Value { field: String },
    #[error("`{field}`: names beginning with `{OWN_PREFIX}` are niia's own")]
    Reserved { field: String },
    #[error("`{field}`: `{text}` is no `${{NAME}}` nor `${{NAME:-default}}`")]
    Form { field: String, text: String },
    #[error("not set where the run was started: {}", list(.missing))]
    Missing { missing: Vec<Missing> },
    #[error("`{field}` has {bytes} bytes: at most {VARIABLE_BYTES_MAX} go")]
    TooLong { field: String, bytes: usize },
    #[error("the environment has {bytes} bytes: at most {ENV_BYTES_MAX} go")]
    TooMuch { bytes: usize },
}

/// A variable that is asked for and not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub name: String,
    pub field: String,
}

fn list(missing: &[Missing]) -> String {
    let each = missing.iter().map(|missing| format!("`{}` (for `{}`)", missing.name, missing.field));
    each.collect::<Vec<_>>().join(", ")
}

/// Later ones win: allow-list, terminal, profile, document, niia's own.
pub(super) fn apply(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    let mut env = passed(facts);
    env.extend(TERMINAL.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut missing = Vec::new();
    for (part, given) in [("models.env", &facts.program.env), ("session.env", &facts.plan.env)] {
        for (name, text) in given {
            let field = format!("{part}.{}", name.escape_debug());
            check_name(&field, name)?;
            if name.starts_with(OWN_PREFIX) {
                return Err(EnvError::Reserved { field }.into());
            }
            let value = expand(text, &facts.caller_env, &field, &mut missing, 0)?;
            env.insert(name.clone(), value);
        }
    }
    if !missing.is_empty() {
        return Err(EnvError::Missing { missing }.into());
    }
    env.extend(facts.own_env.clone());
    env.append(&mut launch.env);
    settings_of_git(&mut env, &launch.git_settings);
    launch.env = env;
    check(&launch.env)?;
    Ok(launch)
}

/// What is taken along of the caller's environment.
fn passed(facts: &Facts) -> BTreeMap<String, String> {
    let wanted = |name: &str| {
        let named = |patterns: &[&str]| patterns.iter().any(|pattern| fits(pattern, name));
        let by_profile = facts.program.env_pass.iter().any(|pattern| fits(pattern, name));
        (named(&ALLOWED) || by_profile) && !named(&OF_ANOTHER_SESSION)
    };
    let all = facts.caller_env.iter().filter(|(name, _)| wanted(name));
    all.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => pattern == name,
    }
}

/// Puts settings after those that the environment has already.
fn settings_of_git(env: &mut BTreeMap<String, String>, settings: &[(String, String)]) {
    if settings.is_empty() {
        return;
    }
    let before: usize = env.get("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0);
    for (n, (key, value)) in settings.iter().enumerate() {
        env.insert(format!("GIT_CONFIG_KEY_{}", before + n), key.clone());
        env.insert(format!("GIT_CONFIG_VALUE_{}", before + n), value.clone());
    }
    env.insert("GIT_CONFIG_COUNT".to_owned(), (before + settings.len()).to_string());
}

fn check_name(field: &str, name: &str) -> Result<(), EnvError> {
    if name.is_empty() || name.contains(['=', '\0', '\n', '\r']) {
        return Err(EnvError::Name { field: field.to_owned() });
    }
    Ok(())
}

/// Whether a program can be given this environment.
pub(super) fn check(env: &BTreeMap<String, String>) -> Result<(), EnvError> {
    let mut all = 0;
    for (name, value) in env {
        let field = format!("env.{}", name.escape_debug());
        check_name(&field, name)?;
        if value.contains('\0') {
            return Err(EnvError::Value { field });
        }
        let bytes = name.len() + value.len() + 1;
        if bytes > VARIABLE_BYTES_MAX {
            return Err(EnvError::TooLong { field, bytes });
        }
        all += bytes + 1;
    }
    if all > ENV_BYTES_MAX {
        return Err(EnvError::TooMuch { bytes: all });
    }
    Ok(())
}

/// A text with its variables filled in; nothing where one is missing or it is no such text.
pub fn expanded(text: &str, caller: &BTreeMap<String, String>) -> Option<String> {
    let mut missing = Vec::new();
    let filled = expand(text, caller, "", &mut missing, 0).ok()?;
    missing.is_empty().then_some(filled)
}

/// Fills in `${NAME}` and `${NAME:-default}`; `$${` is a plain `${`. What is missing is noted, all of it.
fn expand(
    text: &str,
    caller: &BTreeMap<String, String>,
    field: &str,
    missing: &mut Vec<Missing>,
    depth: u32,
) -> Result<String, EnvError> {
    let form = |text: &str| EnvError::Form { field: field.to_owned(), text: text.to_owned() };
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at - 1]);
            filled.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        filled.push_str(&rest[..at]);
        let end = closing(&rest[at..]).filter(|_| depth < NESTING_MAX).ok_or_else(|| form(&rest[at..]))?;
        let inner = &rest[at + 2..at + end];
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        if !is_variable(name) {
            return Err(form(&rest[at..=at + end]));
        }
        match (caller.get(name), default) {
            (Some(value), None) => filled.push_str(value),
            (Some(value), Some(_)) if !value.is_empty() => filled.push_str(value),
            (_, Some(default)) => filled.push_str(&expand(default, caller, field, missing, depth + 1)?),
            (None, None) => missing.push(Missing { name: name.to_owned(), field: field.to_owned() }),
        }
        rest = &rest[at + end + 1..];
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Where the brace ends that begins at the second character.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0_u32;
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => open += 1,
            b'}' => {
                open -= 1;
                if open == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Parts of a name that say its value is a secret.
const SECRET_WORDS: [&str; 14] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PWD",
    "CREDENTIAL",
    "CREDENTIALS",
    "APIKEY",
    "PAT",
    "DSN",
    "COOKIE",
    "JWT",
    "BEARER",
];
/// At a name's end.
const KEY: &str = "KEY";
/// Names that hold such a word and no secret.
const NO_SECRETS: [&str; 4] = ["PWD", "OLDPWD", "PUBLIC_KEY", "SSH_PUBLIC_KEY"];

/// Whether a value looks like one that must not reach a log, an event or a screen.
pub fn is_secret(name: &str, value: &str) -> bool {
    if value.is_empty() || NO_SECRETS.contains(&name) {
        return false;
    }
    let upper = name.to_ascii_uppercase();
    let mut words = upper.split(|c: char| !c.is_ascii_alphanumeric());
    words.clone().next_back() == Some(KEY)
        || words.any(|word| SECRET_WORDS.contains(&word))
        || secrets::find_in(value.as_bytes(), |_| false).is_some()
        || has_password(value)
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

#[cfg(test)]
mod tests;
