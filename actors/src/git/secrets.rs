//! What looks like a secret: by a file's name, and by what stands in a text.
//!
//! The list is short on purpose. A rule belongs here when a text that fits it is hardly ever anything else.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexSet};

/// A token of fewer different characters than this is a placeholder.
const DIFFERENT_CHARACTERS_MIN: usize = 8;

/// Name of the rule, and what it looks for.
const CONTENT_RULES: [(&str, &str); 12] = [
    ("private key", r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"),
    ("AWS access key", r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    ("AWS secret key", r#"(?i)aws_secret_access_key["']?\s*[=:]\s*["']?[A-Za-z0-9/+]{40}\b"#),
    ("GitHub token", r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    ("GitLab token", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("Anthropic key", r"\bsk-ant-[A-Za-z0-9_-]{32,}"),
    ("OpenAI key", r"\bsk-(?:[A-Za-z0-9]{40,}|(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,})"),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("Slack token", r"\bxox[abeprs]-[A-Za-z0-9-]{20,}"),
    ("Stripe key", r"\b[sr]k_live_[A-Za-z0-9]{20,}"),
    ("npm token", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("Hugging Face token", r"\bhf_[A-Za-z0-9]{34,}\b"),
];

static CONTENT: LazyLock<Option<(RegexSet, Vec<Regex>)>> = LazyLock::new(|| {
    let patterns = CONTENT_RULES.iter().map(|(_, pattern)| *pattern);
    let each: Result<Vec<Regex>, regex::Error> = patterns.clone().map(Regex::new).collect();
    Some((RegexSet::new(patterns).ok()?, each.ok()?))
});

/// Something in a text that looks like a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Secret<'t> {
    pub rule: &'static str,
    /// From 1.
    pub line: usize,
    pub text: &'t [u8],
}

/// The first secret that a text seems to hold and that `known` does not excuse.
pub(crate) fn find_in<'t>(text: &'t [u8], known: impl Fn(&[u8]) -> bool) -> Option<Secret<'t>> {
    let (all, each) = CONTENT.as_ref()?;
    for rule in all.matches(text) {
        for found in each[rule].find_iter(text) {
            let token = found.as_bytes();
            let is_key = rule == 0;
            if (is_key || !is_placeholder(token)) && !known(token) {
                let line = text[..found.start()].iter().filter(|b| **b == b'\n').count() + 1;
                return Some(Secret { rule: CONTENT_RULES[rule].0, line, text: token });
            }
        }
    }
    None
}

/// Documents and tests are full of keys that are none.
fn is_placeholder(token: &[u8]) -> bool {
    let mut seen = [false; 256];
    // What is the same in all keys of a kind says nothing: the longest such beginning has about a dozen characters.
    let telling = &token[token.len().saturating_sub(28)..];
    for byte in telling {
        seen[usize::from(*byte)] = true;
    }
    let different = seen.iter().filter(|seen| **seen).count();
    different < DIFFERENT_CHARACTERS_MIN || token.windows(7).any(|part| part.eq_ignore_ascii_case(b"example"))
}

/// Whole names of files that hold secrets.
const NAMES: [(&str, &str); 11] = [
    (".env", "environment file"),
    (".netrc", "password file"),
    (".pgpass", "password file"),
    (".git-credentials", "password file"),
    (".htpasswd", "password file"),
    ("id_rsa", "private key"),
    ("id_dsa", "private key"),
    ("id_ecdsa", "private key"),
    ("id_ed25519", "private key"),
    ("id_ed25519_sk", "private key"),
    ("id_ecdsa_sk", "private key"),
];

const ENDINGS: [(&str, &str); 6] = [
    (".p12", "key store"),
    (".pfx", "key store"),
    (".jks", "key store"),
    (".keystore", "key store"),
    (".kdbx", "password store"),
    (".ppk", "private key"),
];

/// Forms of `.env` that are made to be shown.
const SHOWN: [&str; 6] = ["example", "sample", "template", "dist", "defaults", "schema"];

/// What kind of secret a file of this name (its last part) holds.
pub(crate) fn of_name(name: &str) -> Option<&'static str> {
    let name = name.to_ascii_lowercase();
    if let Some((_, kind)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Some(kind);
    }
    if let Some(rest) = name.strip_prefix(".env.") {
        return (!rest.split('.').any(|part| SHOWN.contains(&part))).then_some("environment file");
    }
    ENDINGS
        .iter()
        .find(|(ending, _)| name.len() > ending.len() && name.ends_with(ending))
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Option<&'static str> {
        find_in(text.as_bytes(), |_| false).map(|secret| secret.rule)
    }

    /// Letters that look like a key's; put together here, so that no key-shaped text stands in this file.
    fn letters(n: usize) -> String {
        "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW".chars().cycle().take(n).collect()
    }

    #[test]
    fn keys_are_known_by_their_shape() {
        let (l20, l36, l40, l60) = (letters(20), letters(36), letters(40), letters(60));
        let upper: String = "A2B3C4D5E6F7G2H3".to_owned();
        for (text, expected) in [
            (format!("-----BEGIN {} KEY-----\nMII", "RSA PRIVATE"), "private key"),
            (format!("-----BEGIN {} KEY-----", "PRIVATE"), "private key"),
            (format!("-----BEGIN {} KEY BLOCK-----", "PGP PRIVATE"), "private key"),
            (format!("id = AKIA{upper}"), "AWS access key"),
            (format!("AWS_SECRET_ACCESS_KEY=\"{l40}\""), "AWS secret key"),
            (format!("ghp_{l36}"), "GitHub token"),
            (format!("github_pat_{l60}"), "GitHub token"),
            (format!("glpat-{l20}"), "GitLab token"),
            (format!("key: sk-ant-api03-{l40}"), "Anthropic key"),
            (format!("sk-{l40}aaaaaaaa"), "OpenAI key"),
            (format!("sk-proj-{l60}"), "OpenAI key"),
            (format!("AIza{}", letters(35)), "Google API key"),
            (format!("xoxb-{l20}"), "Slack token"),
            (format!("sk_live_{l20}aaaa"), "Stripe key"),
            (format!("npm_{l36}"), "npm token"),
            (format!("hf_{l36}"), "Hugging Face token"),
        ] {
            assert_eq!(rule(&text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_only_resembles_a_key_is_none() {
        for text in [
            "-----BEGIN PUBLIC KEY-----".to_owned(),
            "-----BEGIN CERTIFICATE-----".to_owned(),
            format!("AKIA{}", "IOSFODNN7EXAMPLE"),
            format!("sk-ant-{}", "x".repeat(40)),
            format!("ghp_{}", "0".repeat(36)),
            "class=\"sk-folding-cube sk-cube-grid-of-very-many-parts-in-a-row-here\"".to_owned(),
            "task-1234567890123456789012345678901234567890123456".to_owned(),
            "let hf_model = hf_load();".to_owned(),
            format!("sha256 {}", letters(64)),
        ] {
            assert_eq!(rule(&text), None, "{text}");
        }
    }

    #[test]
    fn a_secret_is_found_with_its_line_and_may_be_excused() {
        let key = format!("ghp_{}", letters(36));
        let text = format!("one\ntwo {key}\n");
        let found = find_in(text.as_bytes(), |_| false).unwrap();
        assert_eq!((found.line, found.text), (2, key.as_bytes()));
        assert_eq!(find_in(text.as_bytes(), |token| token == key.as_bytes()), None);
    }

    #[test]
    fn names_of_secret_files_are_known() {
        for name in [".env", ".env.local", ".ENV.production", "id_rsa", "id_ed25519", "server.p12", ".netrc"]
        {
            assert!(of_name(name).is_some(), "{name}");
        }
        for name in
            [".env.example", ".env.local.sample", "id_rsa.pub", "env", "main.rs", ".p12", "key.rs", ".envrc"]
        {
            assert_eq!(of_name(name), None, "{name}");
        }
    }
}
