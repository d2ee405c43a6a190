//! A pattern that is compiled when it is first needed: most profiles of a machine are never asked.

use std::fmt;
use std::sync::OnceLock;

use regex::{Regex, RegexBuilder};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The compiled size a pattern may have; a repetition of repetitions grows without end.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;

/// A regular expression of a profile.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        Pattern { text: text.to_owned(), compiled: OnceLock::new() }
    }

    /// Why this is no pattern, if it is none.
    pub fn check(&self) -> Result<(), String> {
        match compile(&self.text) {
            Ok(regex) => {
                self.compiled.get_or_init(|| Some(regex));
                Ok(())
            }
            Err(error) => Err(error.to_string().lines().last().unwrap_or_default().to_owned()),
        }
    }

    /// The first place where the text matches; what is no pattern matches nowhere.
    pub fn find<'t>(&self, text: &'t str) -> Option<&'t str> {
        let regex = self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()?;
        regex.find(text).map(|found| found.as_str())
    }

    /// The last place where the text matches.
    pub fn find_last<'t>(&self, text: &'t str) -> Option<&'t str> {
        let regex = self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()?;
        regex.find_iter(text).last().map(|found| found.as_str())
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.find(text).is_some()
    }

    /// The text without what matches; an empty pattern takes nothing.
    pub fn taken_out_of(&self, text: &str) -> String {
        if self.text.is_empty() {
            return text.to_owned();
        }
        match self.compiled.get_or_init(|| compile(&self.text).ok()) {
            Some(regex) => regex.replace_all(text, "").into_owned(),
            None => text.to_owned(),
        }
    }

    /// What the first group that took part holds where the text matches; the match itself where there is no group.
    pub fn group<'t>(&self, text: &'t str) -> Option<&'t str> {
        let regex = self.compiled.get_or_init(|| compile(&self.text).ok()).as_ref()?;
        let groups = regex.captures(text)?;
        let found = groups.iter().skip(1).flatten().next();
        match (found, groups.len()) {
            (Some(found), _) => Some(found.as_str()),
            (None, 1) => groups.get(0).map(|found| found.as_str()),
            (None, _) => Some(""),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Pattern, D::Error> {
        let pattern = Pattern::new(&String::deserialize(deserializer)?);
        pattern.check().map_err(|message| D::Error::custom(format!("not a pattern: {message}")))?;
        Ok(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build()
}
