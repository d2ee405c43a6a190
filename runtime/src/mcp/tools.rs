//! The tools of `niia mcp`: their names, what is told of them, the schemas of what they take.
//!
//! Each is a verb that a program inside a session may say anyway; none of them knows more than its verb.

use niia_spec::read::SLUG_PATTERN;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a tool was called with.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "tool", content = "arguments", rename_all = "snake_case")]
pub enum Words {
    ScratchpadList(Nothing),
    ScratchpadRead(OnePath),
    ScratchpadWrite(WrittenFile),
    MailboxSend(Sent),
    MailboxList(Listed),
    MailboxRead(Nothing),
    OutputSet(OneOutput),
    OutputGet(WhichOutput),
    Claim(OneKey),
    Status(Nothing),
    Run(SubRun),
    AskPerson(Question),
    Done(WhichPhase),
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnePath {
    pub path: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenFile {
    pub path: String,
    pub text: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    pub to: String,
    pub text: String,
    pub id: Option<String>,
    pub reply_to: Option<String>,
    #[serde(default)]
    pub urgent: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listed {
    #[serde(default)]
    pub sent: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOutput {
    pub key: String,
    pub value: Value,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichOutput {
    pub phase: Option<String>,
    pub key: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneKey {
    pub key: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubRun {
    pub document: String,
    pub task: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    pub question: String,
    #[serde(default)]
    pub choices: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WhichPhase {
    pub phase: Option<String>,
}

/// One tool as it is told to clients.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    pub name: &'static str,
    pub about: &'static str,
    pub reads_only: bool,
    schema: fn() -> Value,
}

impl Described {
    /// The JSON Schema of its arguments.
    pub fn schema(&self) -> Map<String, Value> {
        match (self.schema)() {
            Value::Object(schema) => schema,
            _ => Map::new(),
        }
    }
}

/// Why a call cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("there is no tool `{0}`")]
    Unknown(String),
    #[error("`{tool}` cannot be called so: {reason}")]
    Arguments { tool: String, reason: String },
}

impl Words {
    /// What a call says.
    pub fn of(tool: &str, arguments: Map<String, Value>) -> Result<Words, CallError> {
        if !TOOLS.iter().any(|known| known.name == tool) {
            return Err(CallError::Unknown(tool.to_owned()));
        }
        serde_json::from_value(json!({ "tool": tool, "arguments": arguments }))
            .map_err(|error| CallError::Arguments { tool: tool.to_owned(), reason: error.to_string() })
    }
}

/// All tools, in the order in which they are listed.
pub const TOOLS: [Described; 13] = [
    Described {
        name: "scratchpad_list",
        about: "List the files of the scratchpad, the folder all workers of this run share.",
        reads_only: true,
        schema: nothing,
    },
    Described {
        name: "scratchpad_read",
        about: "Read a text file of the scratchpad.",
        reads_only: true,
        schema: || object(&[("path", path())], &["path"]),
    },
    Described {
        name: "scratchpad_write",
        about: "Write a text file into the scratchpad; one of that name is replaced.",
        reads_only: false,
        schema: || {
            let held = json!({ "type": "string", "description": "What it shall hold." });
            object(&[("path", path()), ("text", held)], &["path", "text"])
        },
    },
    Described {
        name: "mailbox_send",
        about: "Send a letter to another worker of this run, to `all` of a mesh, or to `person`. It is told to its \
                reader as soon as that is idle.",
        reads_only: false,
        schema: sent,
    },
    Described {
        name: "mailbox_list",
        about: "List your letters without marking them read; with `sent`, those you wrote and what became of each.",
        reads_only: true,
        schema: || {
            let sent = json!({ "type": "boolean", "description": "The ones you wrote.", "default": false });
            object(&[("sent", sent)], &[])
        },
    },
    Described {
        name: "mailbox_read",
        about: "Read your unread letters and mark them read.",
        reads_only: false,
        schema: nothing,
    },
    Described {
        name: "output_set",
        about: "Publish a value under a key: later phases and their conditions read it.",
        reads_only: false,
        schema: || {
            let value = json!({ "description": "Any JSON value." });
            object(&[("key", key("The name of the value.")), ("value", value)], &["key", "value"])
        },
    },
    Described {
        name: "output_get",
        about: "Read what was published in this run: everything, of one phase, or one value.",
        reads_only: true,
        schema: || {
            let mut schema =
                object(&[("phase", slug("Only of this phase.")), ("key", key("Only this value."))], &[]);
            schema["dependentRequired"] = json!({ "key": ["phase"] });
            schema
        },
    },
    Described {
        name: "claim",
        about: "Take an item before you work on it, so that no two workers do the same. Says whether it is yours.",
        reads_only: false,
        schema: || object(&[("key", key("The item, in words the workers agree on."))], &["key"]),
    },
    Described {
        name: "status",
        about: "How this run stands: its phases, its workers, what they do.",
        reads_only: true,
        schema: nothing,
    },
    Described {
        name: "run",
        about: "Run another connector.json as part of this run and wait for its end. It has at most the rights of \
                this session.",
        reads_only: false,
        schema: || {
            let document = text("The path of the document, from the folder this session works in.");
            object(&[("document", document), ("task", text("The goal its agents are told."))], &["document"])
        },
    },
    Described {
        name: "ask_person",
        about: "Ask a person a question and wait for the answer. Ask only what you cannot find out or decide \
                yourself: it may take minutes, and there may be nobody.",
        reads_only: false,
        schema: || {
            let choices = json!({ "type": "array", "items": text("One of them."), "maxItems": 16,
                "description": "Answers to choose from, where the question has such." });
            object(
                &[("question", text("The question, whole by itself.")), ("choices", choices)],
                &["question"],
            )
        },
    },
    Described {
        name: "done",
        about: "End the talk you are in, where the document lets its agents do that.",
        reads_only: false,
        schema: || object(&[("phase", slug("The phase, where it is not your own."))], &[]),
    },
];

fn sent() -> Value {
    let to = text("A worker's name, `phase/worker`, `all` or `person`.");
    let id = json!({ "type": "string", "minLength": 1, "maxLength": niia_actors::mailbox::ID_BYTES_MAX,
        "pattern": "^[!-~]+$",
        "description": "A name for this letter: the same one sent again is not delivered twice." });
    let reply_to = text("The id of the letter it answers, or `none`; without it the last one you read.");
    let urgent =
        json!({ "type": "boolean", "description": "It is told before the others.", "default": false });
    let words = text("The letter.");
    object(
        &[("to", to), ("text", words), ("id", id), ("reply_to", reply_to), ("urgent", urgent)],
        &["to", "text"],
    )
}

fn nothing() -> Value {
    object(&[], &[])
}

/// An object that has these fields and no others.
fn object(fields: &[(&str, Value)], required: &[&str]) -> Value {
    let fields: Map<String, Value> =
        fields.iter().map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "properties": fields,
        "required": required, "additionalProperties": false })
}

fn text(about: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "description": about })
}

fn key(about: &str) -> Value {
    json!({ "type": "string", "minLength": 1, "maxLength": 256, "description": about })
}

fn slug(about: &str) -> Value {
    json!({ "type": "string", "pattern": SLUG_PATTERN, "description": about })
}

fn path() -> Value {
    text("A path within the scratchpad, such as `notes.md`.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_that_is_told_of_can_be_called_and_no_other() {
        for tool in TOOLS {
            let schema = tool.schema();
            let required = schema["required"].as_array().unwrap();
            let whole: Map<String, Value> =
                required.iter().map(|name| (name.as_str().unwrap().to_owned(), json!("x"))).collect();
            assert!(Words::of(tool.name, whole.clone()).is_ok(), "{}", tool.name);
            for name in whole.keys() {
                let mut less = whole.clone();
                drop(less.remove(name));
                let error = Words::of(tool.name, less).unwrap_err().to_string();
                assert!(error.contains(&format!("missing field `{name}`")), "{}: {error}", tool.name);
            }
            let mut more = whole;
            let _ = more.insert("nonsense".to_owned(), json!(1));
            let error = Words::of(tool.name, more).unwrap_err().to_string();
            assert!(error.contains("unknown field `nonsense`"), "{}: {error}", tool.name);
        }
        assert_eq!(Words::of("rm", Map::new()), Err(CallError::Unknown("rm".to_owned())));
    }
}
