//! Names of hosts, as rules and clients write them.
//!
//! Compared is only what both were brought to: lower case, ASCII, without the final dot. What a resolver could take for
//! an address is no name: addresses are reached by nobody.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name DNS can carry, written out.
pub(super) const NAME_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

/// Why a text names no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a host has a name of 1 to {NAME_BYTES_MAX} characters")]
    Length,
    #[error("a part of a host's name has 1 to {LABEL_BYTES_MAX} letters, digits, `-` or `_`")]
    Label,
    #[error("a host's name is written in ASCII: `xn--…` in place of other letters")]
    Foreign,
    #[error("an address is no name, and no address can be reached")]
    Address,
    #[error("`*.` stands before a name of at least two parts")]
    Wildcard,
    #[error("a host is reached at port 443 only")]
    Port,
}

/// The one form in which names are compared.
pub(super) fn canonical(text: &str) -> Result<String, NameError> {
    if !text.is_ascii() {
        return Err(NameError::Foreign);
    }
    if text.starts_with('[') || text.contains(':') {
        return Err(NameError::Address);
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(NameError::Length);
    }
    let legal = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if !name.split('.').all(legal) {
        return Err(NameError::Label);
    }
    // `127.1`, `2130706433` and `0x7f000001` are addresses to a resolver; no top-level domain is a number.
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let digits = last.strip_prefix("0x").unwrap_or(&last);
    let hexadecimal = last.starts_with("0x") && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NameError::Address);
    }
    Ok(name.to_ascii_lowercase())
}

/// A host, or with `*.` in front all that lie below it, itself not among them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    name: String,
    below: bool,
}

impl Pattern {
    pub fn new(text: &str) -> Result<Pattern, NameError> {
        let (text, port) = match text.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') => (name, Some(port)),
            _ => (text, None),
        };
        if port.is_some_and(|port| port != "443") {
            return Err(NameError::Port);
        }
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (canonical(name)?, true),
            None if text.contains('*') => return Err(NameError::Wildcard),
            None => (canonical(text)?, false),
        };
        // A whole top-level domain is nobody's to be trusted.
        if below && !name.contains('.') {
            return Err(NameError::Wildcard);
        }
        Ok(Pattern { name, below })
    }

    /// Whether a name in its canonical form is meant.
    pub fn fits(&self, name: &str) -> bool {
        if !self.below {
            return self.name == name;
        }
        name.strip_suffix(&self.name)
            .and_then(|rest| rest.strip_suffix('.'))
            .is_some_and(|rest| !rest.is_empty())
    }
}

impl TryFrom<String> for Pattern {
    type Error = NameError;

    fn try_from(text: String) -> Result<Pattern, NameError> {
        Pattern::new(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.to_string()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.below { "*." } else { "" }, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, host: &str) -> bool {
        let pattern = Pattern::new(pattern).unwrap();
        canonical(host).is_ok_and(|host| pattern.fits(&host))
    }

    #[test]
    fn a_rule_means_one_host_or_all_below_one() {
        for (pattern, host) in [
            ("api.example.com", "api.example.com"),
            ("api.example.com", "API.Example.COM."),
            ("API.example.com.", "api.example.com"),
            ("api.example.com:443", "api.example.com"),
            ("*.example.com", "a.example.com"),
            ("*.example.com", "a.b.EXAMPLE.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert!(fits(pattern, host), "{pattern} {host}");
        }
        for (pattern, host) in [
            ("*.example.com", "example.com"),
            ("*.example.com", ".example.com"),
            ("*.good.test", "evilgood.test"),
            ("*.good.test", "good.test.evil.test"),
            ("example.com", "a.example.com"),
            ("example.com", "example.com.."),
            ("example.com", "example.com.evil.test"),
            ("xn--bcher-kva.example", "bücher.example"),
        ] {
            assert!(!fits(pattern, host), "{pattern} {host}");
        }
    }

    #[test]
    fn what_a_resolver_would_take_for_an_address_is_no_name() {
        for text in
            ["127.0.0.1", "127.1", "2130706433", "0x7f.1", "0x7f000001", "a.0X7F", "[::1]", "::1", "1.2.3.4."]
        {
            assert_eq!(canonical(text), Err(NameError::Address), "{text}");
        }
    }

    #[test]
    fn a_text_that_names_no_host_says_why() {
        for (text, error) in [
            ("", NameError::Length),
            (".", NameError::Length),
            ("a..b", NameError::Label),
            ("a b.example", NameError::Label),
            ("a/b.example", NameError::Label),
            ("user@host.example", NameError::Label),
            ("a%00.example", NameError::Label),
            ("bücher.example", NameError::Foreign),
            ("*", NameError::Wildcard),
            ("*.com", NameError::Wildcard),
            ("a.*.example", NameError::Wildcard),
            ("example.com:80", NameError::Port),
        ] {
            assert_eq!(Pattern::new(text), Err(error), "{text}");
        }
        assert_eq!(canonical(&"a".repeat(64)), Err(NameError::Label));
        assert_eq!(canonical(&"a.".repeat(200)), Err(NameError::Length));
    }
}
