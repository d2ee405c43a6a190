//! The events of the Responses API.

use serde_json::{Value, json};

use super::{Api, pieces, usage_of};
use crate::stub::asked::Answer;

fn item(answer: &Answer, status: &str) -> Value {
    match answer {
        Answer::Text { text, .. } => json!({ "type": "message", "id": "item_1", "role": "assistant",
            "status": status, "content": [{ "type": "output_text", "text": text, "annotations": [] }] }),
        Answer::Tool { name, input } => json!({ "type": "function_call", "id": "item_1", "call_id": "call_1",
            "name": name, "arguments": input.to_string(), "status": status }),
    }
}

fn response(model: &str, status: &str) -> Value {
    json!({ "id": "resp_1", "object": "response", "created_at": 1, "model": model, "status": status, "output": [] })
}

/// The whole response.
pub(super) fn completed(model: &str, answer: &Answer) -> Value {
    let mut response = response(model, "completed");
    response["output"] = json!([item(answer, "completed")]);
    let mut usage = usage_of(Api::Responses);
    usage["input_tokens_details"] = json!({ "cached_tokens": 0 });
    usage["output_tokens_details"] = json!({ "reasoning_tokens": 0 });
    response["usage"] = usage;
    response
}

pub(super) fn events(model: &str, answer: &Answer) -> Vec<Value> {
    let mut events = vec![json!({ "type": "response.created", "response": response(model, "in_progress") })];
    let empty = match answer {
        Answer::Text { .. } => json!({ "type": "message", "id": "item_1", "role": "assistant",
            "status": "in_progress", "content": [] }),
        Answer::Tool { .. } => item(answer, "in_progress"),
    };
    events.push(json!({ "type": "response.output_item.added", "output_index": 0, "item": empty }));
    if let Answer::Text { text, .. } = answer {
        events.extend(pieces(text).map(|piece| {
            json!({ "type": "response.output_text.delta", "item_id": "item_1", "output_index": 0,
                "content_index": 0, "delta": piece })
        }));
    }
    events.push(json!({ "type": "response.output_item.done", "output_index": 0, "item": item(answer, "completed") }));
    events.push(json!({ "type": "response.completed", "response": completed(model, answer) }));
    for (number, event) in events.iter_mut().enumerate() {
        event["sequence_number"] = json!(number);
    }
    events
}
