//! What a tool's transcript says of its use: one record after the other, as its profile says where the numbers stand.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Usage;
use crate::profile::drive::{field, text_of};

/// Messages whose last record is remembered: a tool writes those of one message one after the other.
const OPEN_MAX: usize = 64;

/// Where a transcript has the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageRule {
    /// The field of a hook's word that holds the transcript's path; nothing where the words of the hooks are the records,
    /// with their event as `event`.
    pub path: String,
    /// What a record must have.
    #[serde(rename = "where")]
    pub fields: BTreeMap<String, String>,
    /// Fields that are added up.
    pub input: Vec<String>,
    #[serde(default)]
    pub cached: Vec<String>,
    pub output: Vec<String>,
    /// `input` counts what was read from the cache as well.
    #[serde(default)]
    pub input_includes_cached: bool,
    /// Each record holds the sum of all so far.
    #[serde(default)]
    pub cumulative: bool,
    /// Records that are alike in this field are about the same answer; the last one counts.
    pub once: Option<String>,
    /// The field that names the model.
    pub model: Option<String>,
}

/// What a conversation used from its beginning on, attempts before this one included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    pub usage: Usage,
    /// As the tool calls the model that answered last.
    pub model: Option<String>,
}

/// Adds up a transcript.
#[derive(Debug)]
pub struct Reader<'a> {
    rule: &'a UsageRule,
    sum: Usage,
    open: VecDeque<(String, Usage)>,
    model: Option<String>,
    any: bool,
}

impl<'a> Reader<'a> {
    pub fn new(rule: &'a UsageRule) -> Reader<'a> {
        Reader { rule, sum: Usage::default(), open: VecDeque::new(), model: None, any: false }
    }

    /// Takes in one line of the transcript; one that is no record says nothing.
    pub fn line(&mut self, line: &[u8]) {
        if let Ok(record) = serde_json::from_slice::<Value>(line) {
            self.record(&record);
        }
    }

    pub fn record(&mut self, record: &Value) {
        let is_meant =
            |(path, wanted): (&String, &String)| field(record, path).and_then(Value::as_str) == Some(wanted);
        if !self.rule.fields.iter().all(is_meant) {
            return;
        }
        let Some(usage) = self.of(record) else { return };
        self.any = true;
        let model = self.rule.model.as_ref().and_then(|path| text_of(record, path));
        self.model = model.or(self.model.take());
        if self.rule.cumulative {
            self.sum = Usage { turns: self.sum.turns + 1, ..usage };
            return;
        }
        match self.rule.once.as_ref().and_then(|path| text_of(record, path)) {
            Some(id) => self.of_message(id, usage),
            None => self.sum = added(self.sum, usage),
        }
    }

    fn of_message(&mut self, id: String, usage: Usage) {
        if let Some((_, known)) = self.open.iter_mut().find(|(known, _)| *known == id) {
            *known = usage;
            return;
        }
        if self.open.len() == OPEN_MAX
            && let Some((_, oldest)) = self.open.pop_front()
        {
            self.sum = added(self.sum, oldest);
        }
        self.open.push_back((id, usage));
    }

    /// All of it; nothing where no record told any number.
    pub fn reading(self) -> Option<Reading> {
        let usage = self.open.iter().fold(self.sum, |sum, (_, usage)| added(sum, *usage));
        self.any.then_some(Reading { usage, model: self.model })
    }

    fn of(&self, record: &Value) -> Option<Usage> {
        let number = |path: &String| field(record, path).and_then(Value::as_u64);
        let sum = |paths: &[String]| paths.iter().filter_map(number).fold(0_u64, u64::saturating_add);
        self.rule.input.iter().find_map(number)?;
        let cached = sum(&self.rule.cached);
        let input = sum(&self.rule.input);
        let input_tokens = if self.rule.input_includes_cached { input.saturating_sub(cached) } else { input };
        let output_tokens = sum(&self.rule.output);
        Some(Usage {
            input_tokens,
            cached_tokens: cached,
            output_tokens,
            turns: 1,
            cost_usd_millionths: None,
        })
    }
}

fn added(sum: Usage, more: Usage) -> Usage {
    Usage {
        input_tokens: sum.input_tokens.saturating_add(more.input_tokens),
        cached_tokens: sum.cached_tokens.saturating_add(more.cached_tokens),
        output_tokens: sum.output_tokens.saturating_add(more.output_tokens),
        turns: sum.turns.saturating_add(more.turns),
        cost_usd_millionths: None,
    }
}

impl Reading {
    /// What came since an earlier reading of the same conversation.
    pub fn since(&self, before: Option<&Reading>) -> Usage {
        let Some(before) = before else { return self.usage };
        Usage {
            input_tokens: self.usage.input_tokens.saturating_sub(before.usage.input_tokens),
            cached_tokens: self.usage.cached_tokens.saturating_sub(before.usage.cached_tokens),
            output_tokens: self.usage.output_tokens.saturating_sub(before.usage.output_tokens),
            turns: self.usage.turns.saturating_sub(before.usage.turns),
            cost_usd_millionths: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Profiles;

    fn read(id: &str, lines: &[&str]) -> Option<Reading> {
        let profiles = Profiles::built_in().unwrap();
        let rule = profiles.get(id).unwrap().usage.clone().unwrap();
        let mut reader = Reader::new(&rule);
        lines.iter().for_each(|line| reader.line(line.as_bytes()));
        reader.reading()
    }

    const CLAUDE: [&str; 4] = [
        r#"{"type":"user","message":{"content":"\"usage\":{\"input_tokens\":9}"}}"#,
        r#"{"type":"assistant","message":{"id":"a","model":"claude-opus-4-5","usage":{"input_tokens":100,"cache_read_input_tokens":5,"output_tokens":1}}}"#,
        r#"{"type":"assistant","message":{"id":"a","model":"claude-opus-4-5","usage":{"input_tokens":100,"cache_read_input_tokens":5,"output_tokens":7}}}"#,
        r#"{"type":"assistant","message":{"id":"b","model":"claude-opus-4-5","usage":{"input_tokens":10,"cache_creation_input_tokens":3,"output_tokens":2}}}"#,
    ];

    #[test]
    fn records_of_one_message_count_once() {
        let reading = read("claude", &CLAUDE).unwrap();
        let Usage { input_tokens, cached_tokens, output_tokens, turns, .. } = reading.usage;
        assert_eq!((input_tokens, cached_tokens, output_tokens, turns), (113, 5, 9, 2));
        assert_eq!(reading.model.as_deref(), Some("claude-opus-4-5"));
        assert_eq!(read("claude", &CLAUDE[..1]), None, "no number is no zero");
    }

    #[test]
    fn sums_that_grow_are_not_added_up_and_what_was_there_before_is_taken_off() {
        let line = |input: u64, cached: u64, output: u64| {
            format!(
                r#"{{"type":"event_msg","payload":{{"type":"token_count","info":{{"total_token_usage":{{"input_tokens":{input},"cached_input_tokens":{cached},"output_tokens":{output}}}}}}}}}"#
            )
        };
        let (one, two) = (line(100, 20, 7), line(250, 20, 14));
        let before = read("codex", &[&one]).unwrap();
        let after = read("codex", &[&one, "{", &two]).unwrap();
        assert_eq!((before.usage.input_tokens, after.usage.input_tokens), (80, 230));
        let since = after.since(Some(&before));
        assert_eq!(
            (since.input_tokens, since.cached_tokens, since.output_tokens, since.turns),
            (150, 0, 7, 1)
        );
    }
}
