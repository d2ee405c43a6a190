//! What a request asks, whichever API it came by.
//!
//! Orders in the last text a person said, of which the last one counts:
//! `<<say TEXT>>` answers this, `<<slow MS TEXT>>` answers it word by word with that pause, `<<tool NAME JSON>>` calls
//! a tool with this input (`SPACE/NAME` where tools have spaces) and, given its result, answers `the tool said: ` and the result's first line. Several orders
//! divided by ` ;; ` are followed one after the other, each once the one before has its result. `<<quote TEXT>>` answers
//! the lines of the prompt in which the text stands, `<<recall WORD>>` says whether a person has said that word before.
//! `{cwd}` is the folder the tool says it works in.

use serde_json::Value;

use super::http::Request;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Messages,
    Responses,
    Chat,
    Gemini,
    Ollama,
}

/// A request to a model.
#[derive(Clone, Debug)]
pub struct Asked {
    pub api: Api,
    pub model: String,
    pub streams: bool,
    /// The last text a person said.
    pub prompt: String,
    /// How many times a person spoke.
    pub turns: usize,
    first: String,
    /// All that persons said before the last text.
    pub before: String,
    /// What a tool returned, where that is the last word.
    result: Option<String>,
    /// How many results came since a person spoke.
    pub results: usize,
    cwd: String,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    Text { text: String, pause_ms: u64 },
    Tool { name: String, input: Value },
}

/// One message, in words all APIs have in common.
enum Said {
    Person(String),
    Tool(String),
    Model,
}

impl Asked {
    /// What is asked of a model; nothing where it is something else.
    #[must_use]
    pub fn of(request: &Request) -> Option<Asked> {
        let path = request.path.split('?').next().unwrap_or_default();
        let body: Value = serde_json::from_slice(&request.body).ok()?;
        let (api, list, streams) = match path {
            path if path.ends_with("/messages") => (Api::Messages, "messages", body["stream"] == true),
            path if path.ends_with("/responses") => (Api::Responses, "input", body["stream"] == true),
            path if path.ends_with("/chat/completions") => (Api::Chat, "messages", body["stream"] == true),
            path if path.ends_with("/api/chat") => (Api::Ollama, "messages", body["stream"] != false),
            path if path.ends_with(":streamGenerateContent") => (Api::Gemini, "contents", true),
            path if path.ends_with(":generateContent") => (Api::Gemini, "contents", false),
            _ => return None,
        };
        let said: Vec<Said> = match &body[list] {
            Value::String(text) => vec![Said::Person(text.clone())],
            Value::Array(items) => items.iter().filter_map(said).collect(),
            _ => return None,
        };
        let model = match api {
            Api::Gemini => path.rsplit('/').next().and_then(|last| last.split(':').next()),
            _ => body["model"].as_str(),
        };
        let persons: Vec<&String> = said
            .iter()
            .filter_map(|said| match said {
                Said::Person(text) => Some(text),
                _ => None,
            })
            .collect();
        let result = match said.last() {
            Some(Said::Tool(result)) => Some(result.clone()),
            _ => None,
        };
        let results = said.iter().rev().take_while(|said| !matches!(said, Said::Person(_)));
        let results = results.filter(|said| matches!(said, Said::Tool(_))).count();
        Some(Asked {
            results,
            cwd: cwd(&request.body),
            api,
            model: model.unwrap_or_default().to_owned(),
            streams,
            prompt: persons.last().map(|text| (*text).clone()).unwrap_or_default(),
            turns: persons.len(),
            first: persons.first().map(|text| (*text).clone()).unwrap_or_default(),
            before: persons.iter().rev().skip(1).map(|text| text.as_str()).collect::<Vec<_>>().join("\n"),
            result,
        })
    }

    #[must_use]
    pub fn answer(&self) -> Answer {
        let text = |text: String| Answer::Text { text, pause_ms: 0 };
        let order = order(&self.prompt).map(|orders| orders.split(" ;; ").collect::<Vec<_>>());
        let step = order.as_ref().and_then(|steps| steps.get(self.results)).map(|step| step.trim());
        if let Some(result) = self.result.as_ref().filter(|_| step.is_none()) {
            return text(format!("the tool said: {}", result.lines().next().unwrap_or_default()));
        }
        let Some(order) = step.map(|step| step.replace("{cwd}", &self.cwd)) else {
            return text(format!("turns {}; first <{}>", self.turns, tail(&self.first)));
        };
        let order = order.as_str();
        match order.split_once(' ').unwrap_or((order, "")) {
            ("slow", rest) => {
                let (pause, text) = rest.split_once(' ').unwrap_or((rest, ""));
                Answer::Text { text: text.to_owned(), pause_ms: pause.parse().unwrap_or(0) }
            }
            ("tool", rest) => {
                let (name, input) = rest.split_once(' ').unwrap_or((rest, "{}"));
                let input = serde_json::from_str(input).unwrap_or(Value::Null);
                Answer::Tool { name: name.to_owned(), input }
            }
            ("quote", rest) => {
                let lines = self.prompt.lines().filter(|line| line.contains(rest) && !line.contains("<<"));
                text(lines.collect::<Vec<_>>().join("\n"))
            }
            ("recall", word) if self.before.contains(word) => text(format!("I remember {word}")),
            ("recall", word) => text(format!("I know no {word}")),
            ("say", rest) => text(rest.replace("{turns}", &self.turns.to_string())),
            _ => text(format!("no such order: {order}")),
        }
    }
}

/// The folder a tool says it works in, as its own words have it.
fn cwd(body: &[u8]) -> String {
    const SAYS: [&str; 2] = ["orking directory: ", "<cwd>"];
    let body = String::from_utf8_lossy(body);
    let rest = SAYS.iter().find_map(|says| body.split_once(says)).map(|(_, rest)| rest).unwrap_or_default();
    rest.chars().take_while(|c| !"\\\"<\n ".contains(*c)).collect()
}

/// What is answered to the last of these texts, which one person said one after the other.
#[must_use]
pub fn reply(said: &[String]) -> Answer {
    let (last, before) = said.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let asked = Asked {
        api: Api::Messages,
        model: String::new(),
        streams: false,
        prompt: last.to_owned(),
        turns: said.len(),
        first: said.first().cloned().unwrap_or_default(),
        before: before.join("\n"),
        result: None,
        results: 0,
        cwd: String::new(),
    };
    asked.answer()
}

/// The last order of a text. Tools put words of their own around a prompt.
fn order(text: &str) -> Option<&str> {
    let begin = text.rfind("<<")? + 2;
    let end = text[begin..].find(">>")?;
    Some(&text[begin..begin + end])
}

fn tail(text: &str) -> &str {
    text.trim().rsplit('\n').next().unwrap_or_default()
}

fn said(item: &Value) -> Option<Said> {
    let results = ["function_call_output", "custom_tool_call_output"];
    if results.iter().any(|kind| item["type"] == **kind) {
        return Some(Said::Tool(text_of(&item["output"])));
    }
    match item["role"].as_str() {
        Some("user" | "function") => Some(by_person(item)),
        Some("tool") => Some(Said::Tool(text_of(&item["content"]))),
        Some("assistant" | "model") => Some(Said::Model),
        _ => None,
    }
}

fn by_person(item: &Value) -> Said {
    let parts = item["content"].as_array().or_else(|| item["parts"].as_array());
    let Some(parts) = parts else { return Said::Person(text_of(&item["content"])) };
    // A result and what the person said next may come in one message; what the tool itself puts beside a result
    // begins with a bracket.
    let texts = parts.iter().filter_map(|part| part["text"].as_str());
    let spoke =
        texts.into_iter().any(|text| !text.trim_start().starts_with(['<', '[']) || text.contains("<<"));
    for part in parts.iter().filter(|_| !spoke) {
        if part["type"] == "tool_result" {
            return Said::Tool(text_of(&part["content"]));
        }
        if !part["functionResponse"].is_null() {
            return Said::Tool(text_of(&part["functionResponse"]["response"]));
        }
    }
    let texts: Vec<&str> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
    Said::Person(texts.join("\n"))
}

/// The text of a value that may be a text, a list of parts, or an object with one.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text_of).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) => {
            let known = ["text", "output", "content", "error"];
            match known.iter().find_map(|name| fields.get(*name)) {
                Some(value) => text_of(value),
                None => value.to_string(),
            }
        }
        _ => String::new(),
    }
}
