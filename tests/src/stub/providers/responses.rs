//! The events of the Responses API.

use serde_json::{Value, json};

use super::{Api, id, pieces, usage_of};
use crate::stub::asked::Answer;

/// The ids of one response: its events speak of the same things.
struct Ids {
    response: String,
    item: String,
    call: String,
}

impl Ids {
    fn new() -> Ids {
        Ids { response: id("resp"), item: id("item"), call: id("call") }
    }
}

fn item(answer: &Answer, ids: &Ids, status: &str) -> Value {
    match answer {
        Answer::Text { text, .. } => json!({ "type": "message", "id": ids.item, "role": "assistant",
            "status": status, "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
        Answer::Tool { name, input } => {
            let mut call = json!({ "type": "function_call", "id": ids.item, "call_id": ids.call,
                "name": name, "arguments": input.to_string(), "status": status });
            // Tools of a server have a space of names of their own: `mcp__server/tool`.
            if let Some((space, name)) = name.split_once('/') {
                (call["namespace"], call["name"]) = (json!(space), json!(name));
            }
            call
        }
    }
}

fn response(model: &str, ids: &Ids, status: &str) -> Value {
    json!({ "id": ids.response, "object": "response", "created_at": 1, "model": model, "status": status, "output": [] })
}

/// The whole response.
pub(super) fn completed(model: &str, answer: &Answer) -> Value {
    whole(model, answer, &Ids::new())
}

fn whole(model: &str, answer: &Answer, ids: &Ids) -> Value {
    let mut response = response(model, ids, "completed");
    response["output"] = json!([item(answer, ids, "completed")]);
    let mut usage = usage_of(Api::Responses);
    usage["input_tokens_details"] = json!({ "cached_tokens": 0 });
    usage["output_tokens_details"] = json!({ "reasoning_tokens": 0 });
    response["usage"] = usage;
    response
}

pub(super) fn events(model: &str, answer: &Answer) -> Vec<Value> {
    let ids = &Ids::new();
    let mut events =
        vec![json!({ "type": "response.created", "response": response(model, ids, "in_progress") })];
    let empty = match answer {
        Answer::Text { .. } => json!({ "type": "message", "id": ids.item, "role": "assistant",
            "status": "in_progress", "content": [] }),
        Answer::Tool { .. } => item(answer, ids, "in_progress"),
    };
    events.push(json!({ "type": "response.output_item.added", "output_index": 0, "item": empty }));
    if let Answer::Text { text, .. } = answer {
        events.extend(pieces(text).map(|piece| {
            json!({ "type": "response.output_text.delta", "item_id": ids.item, "output_index": 0,
                "content_index": 0, "delta": piece })
        }));
    }
    events.push(json!({ "type": "response.output_item.done", "output_index": 0, "item": item(answer, ids, "completed") }));
    events.push(json!({ "type": "response.completed", "response": whole(model, answer, ids) }));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}
