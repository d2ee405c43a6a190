//! How each provider says it.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::asked::{Answer, Api, Asked};
use super::http::{self, Request};

/// What every turn is said to have cost, so that whoever counts can be checked.
pub const TOKENS_IN: u64 = 100;
pub const TOKENS_OUT: u64 = 7;

/// Questions that go to no model: which models there are, how many tokens a text has.
pub fn aside(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    let path = request.path.split('?').next().unwrap_or_default();
    let body = match path {
        path if path.ends_with("/count_tokens") => json!({ "input_tokens": TOKENS_IN }),
        path if path.ends_with(":countTokens") => json!({ "totalTokens": TOKENS_IN }),
        path if path.ends_with("/api/tags") => {
            json!({ "models": [{ "name": "llama3:latest", "model": "llama3:latest" }] })
        }
        path if path.ends_with("/api/version") => json!({ "version": "0.13.5" }),
        path if path.ends_with("/models") => {
            json!({ "object": "list", "data": [{ "id": "stub", "object": "model" }] })
        }
        _ => {
            return http::json(
                stream,
                404,
                &[],
                &json!({ "error": { "message": "there is no such thing here" } }),
            );
        }
    };
    http::json(stream, 200, &[], &body)
}

/// A refusal as the provider words it.
pub fn refuse(
    stream: &mut TcpStream,
    api: Api,
    (status, kind, message): (u16, &str, &str),
    retry_after_s: Option<u64>,
) -> io::Result<()> {
    let headers: Vec<(&str, String)> =
        retry_after_s.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
    let body = match api {
        Api::Messages => json!({ "type": "error", "error": { "type": kind, "message": message } }),
        Api::Gemini => {
            let word = match status {
                401 | 403 => "UNAUTHENTICATED",
                429 => "RESOURCE_EXHAUSTED",
                404 => "NOT_FOUND",
                _ => "UNAVAILABLE",
            };
            json!({ "error": { "code": status, "message": message, "status": word } })
        }
        Api::Ollama => json!({ "error": message }),
        Api::Responses | Api::Chat => {
            json!({ "error": { "message": message, "type": kind, "code": kind, "param": null } })
        }
    };
    http::json(stream, status, &headers, &body)
}

static NEXT: AtomicU64 = AtomicU64::new(1);

/// An id no other answer has: clients take two messages of one id for one.
pub(super) fn id(of: &str) -> String {
    format!("{of}_{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether the server is being closed.
pub type Closing<'a> = dyn Fn() -> bool + 'a;

/// Says an answer in the provider's way.
pub fn answer(stream: &mut TcpStream, asked: &Asked, closing: &Closing<'_>) -> io::Result<()> {
    let answer = asked.answer();
    if !asked.streams {
        return http::json(stream, 200, &[], &whole(asked, &answer));
    }
    let kind = if asked.api == Api::Ollama { "application/x-ndjson" } else { "text/event-stream" };
    http::begin(stream, 200, kind, &[])?;
    let pause = match &answer {
        Answer::Text { pause_ms, .. } => Duration::from_millis(*pause_ms),
        Answer::Tool { .. } => Duration::ZERO,
    };
    for event in events(asked, &answer) {
        if closing() {
            return Ok(());
        }
        let named = event["type"].as_str().filter(|_| matches!(asked.api, Api::Messages | Api::Responses));
        let text = match (asked.api, named) {
            (Api::Ollama, _) => format!("{event}\n"),
            (_, Some(name)) => format!("event: {name}\ndata: {event}\n\n"),
            (_, None) => format!("data: {event}\n\n"),
        };
        stream.write_all(text.as_bytes())?;
        stream.flush()?;
        std::thread::sleep(pause);
    }
    if asked.api == Api::Chat {
        stream.write_all(b"data: [DONE]\n\n")?;
    }
    Ok(())
}

fn whole(asked: &Asked, answer: &Answer) -> Value {
    let model = &asked.model;
    match asked.api {
        Api::Messages => {
            let (content, reason) = match answer {
                Answer::Text { text, .. } => (json!({ "type": "text", "text": text }), "end_turn"),
                Answer::Tool { name, input } => (
                    json!({ "type": "tool_use", "id": id("toolu"), "name": name, "input": input }),
                    "tool_use",
                ),
            };
            json!({ "id": id("msg"), "type": "message", "role": "assistant", "model": model, "content": [content],
                "stop_reason": reason, "stop_sequence": null, "usage": usage_of(Api::Messages) })
        }
        Api::Responses => responses::completed(model, answer),
        Api::Chat => {
            let message = chat_message(answer);
            let reason = if matches!(answer, Answer::Tool { .. }) { "tool_calls" } else { "stop" };
            json!({ "id": id("chat"), "object": "chat.completion", "created": 1, "model": model,
                "choices": [{ "index": 0, "message": message, "finish_reason": reason }], "usage": usage_of(Api::Chat) })
        }
        Api::Gemini => gemini_chunk(model, &gemini_part(answer), Some("STOP")),
        Api::Ollama => ollama_chunk(model, &text_of(answer), true),
    }
}

fn text_of(answer: &Answer) -> String {
    match answer {
        Answer::Text { text, .. } => text.clone(),
        Answer::Tool { name, input } => json!({ "name": name, "arguments": input }).to_string(),
    }
}

fn usage_of(api: Api) -> Value {
    let (read, said) = (TOKENS_IN, TOKENS_OUT);
    match api {
        Api::Messages | Api::Responses => {
            json!({ "input_tokens": read, "output_tokens": said, "total_tokens": read + said })
        }
        Api::Chat => json!({ "prompt_tokens": read, "completion_tokens": said, "total_tokens": read + said }),
        Api::Gemini => {
            json!({ "promptTokenCount": read, "candidatesTokenCount": said, "totalTokenCount": read + said })
        }
        Api::Ollama => json!({ "prompt_eval_count": read, "eval_count": said }),
    }
}

/// Words with the white space after them, so that joined they are the text again.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

fn events(asked: &Asked, answer: &Answer) -> Vec<Value> {
    let model = &asked.model;
    match asked.api {
        Api::Messages => messages_events(model, answer),
        Api::Responses => responses::events(model, answer),
        Api::Chat => chat_events(model, answer),
        Api::Gemini => match answer {
            Answer::Text { text, .. } => {
                let parts = pieces(text).map(|piece| gemini_chunk(model, &json!({ "text": piece }), None));
                parts.chain([gemini_chunk(model, &json!({ "text": "" }), Some("STOP"))]).collect()
            }
            Answer::Tool { .. } => vec![gemini_chunk(model, &gemini_part(answer), Some("STOP"))],
        },
        Api::Ollama => match answer {
            Answer::Text { text, .. } => {
                let parts = pieces(text).map(|piece| ollama_chunk(model, piece, false));
                parts.chain([ollama_chunk(model, "", true)]).collect()
            }
            Answer::Tool { name, input } => {
                let call = json!({ "function": { "name": name, "arguments": input } });
                let mut called = ollama_chunk(model, "", false);
                called["message"]["tool_calls"] = json!([call]);
                vec![called, ollama_chunk(model, "", true)]
            }
        },
    }
}

fn messages_events(model: &str, answer: &Answer) -> Vec<Value> {
    let mut events = vec![json!({ "type": "message_start", "message": { "id": id("msg"), "type": "message",
        "role": "assistant", "model": model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": { "input_tokens": TOKENS_IN, "output_tokens": 1 } } })];
    let (block, deltas, reason): (Value, Vec<Value>, &str) = match answer {
        Answer::Text { text, .. } => (
            json!({ "type": "text", "text": "" }),
            pieces(text).map(|piece| json!({ "type": "text_delta", "text": piece })).collect(),
            "end_turn",
        ),
        Answer::Tool { name, input } => (
            json!({ "type": "tool_use", "id": id("toolu"), "name": name, "input": {} }),
            vec![json!({ "type": "input_json_delta", "partial_json": input.to_string() })],
            "tool_use",
        ),
    };
    events.push(json!({ "type": "content_block_start", "index": 0, "content_block": block }));
    for delta in deltas {
        events.push(json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    }
    events.push(json!({ "type": "content_block_stop", "index": 0 }));
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": reason, "stop_sequence": null },
        "usage": { "output_tokens": TOKENS_OUT } }));
    events.push(json!({ "type": "message_stop" }));
    events
}

fn chat_message(answer: &Answer) -> Value {
    match answer {
        Answer::Text { text, .. } => json!({ "role": "assistant", "content": text }),
        Answer::Tool { name, input } => {
            json!({ "role": "assistant", "content": null, "tool_calls": [{ "index": 0,
            "id": id("call"), "type": "function", "function": { "name": name, "arguments": input.to_string() } }] })
        }
    }
}

fn chat_events(model: &str, answer: &Answer) -> Vec<Value> {
    let name = id("chat");
    let chunk = |delta: Value, reason: Option<&str>| {
        json!({ "id": name, "object": "chat.completion.chunk", "created": 1, "model": model,
            "choices": [{ "index": 0, "delta": delta, "finish_reason": reason }] })
    };
    let mut events = vec![chunk(json!({ "role": "assistant", "content": "" }), None)];
    match answer {
        Answer::Text { text, .. } => {
            events.extend(pieces(text).map(|piece| chunk(json!({ "content": piece }), None)));
            events.push(chunk(json!({}), Some("stop")));
        }
        Answer::Tool { .. } => {
            events.push(chunk(chat_message(answer), None));
            events.push(chunk(json!({}), Some("tool_calls")));
        }
    }
    let mut last =
        json!({ "id": name, "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [] });
    last["usage"] = usage_of(Api::Chat);
    events.push(last);
    events
}

fn gemini_part(answer: &Answer) -> Value {
    match answer {
        Answer::Text { text, .. } => json!({ "text": text }),
        Answer::Tool { name, input } => json!({ "functionCall": { "name": name, "args": input } }),
    }
}

fn gemini_chunk(model: &str, part: &Value, reason: Option<&str>) -> Value {
    let mut candidate = json!({ "index": 0, "content": { "role": "model", "parts": [part] } });
    if let Some(reason) = reason {
        candidate["finishReason"] = json!(reason);
    }
    json!({ "candidates": [candidate], "usageMetadata": usage_of(Api::Gemini), "modelVersion": model })
}

fn ollama_chunk(model: &str, text: &str, done: bool) -> Value {
    let mut chunk = json!({ "model": model, "created_at": "2026-01-01T00:00:00Z",
        "message": { "role": "assistant", "content": text }, "done": done });
    if done {
        chunk["done_reason"] = json!("stop");
        chunk["prompt_eval_count"] = json!(TOKENS_IN);
        chunk["eval_count"] = json!(TOKENS_OUT);
    }
    chunk
}

mod responses;
