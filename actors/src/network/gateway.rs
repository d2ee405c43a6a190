//! The way to a model on this machine: questions to it pass, nothing else does.
//!
//! A server for local models also fetches, publishes, copies and deletes them, and runs some of them on machines of its
//! maker. So a request is taken apart, looked at, and what goes on is a new one made from what was understood. There is
//! one request a connection: what follows it is never sent on.

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::json;

use super::head::{self, Head, Status};

/// A long conversation with pictures in it.
pub(super) const BODY_BYTES_MAX: usize = 32 << 20;

/// What asks a model something: chat, generation, embedding.
const QUESTIONS: [&str; 13] = [
    "/api/chat",
    "/api/generate",
    "/api/embed",
    "/api/embeddings",
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/completion",
    "/chat/completions",
    "/embedding",
];
/// What a tool wants to know of its model before it asks.
const DESCRIPTION: &str = "/api/show";
/// Headers that mean something to a model's server and cannot change what a request is.
const PASSED: [&str; 6] =
    ["accept", "authorization", "x-api-key", "anthropic-version", "anthropic-beta", "user-agent"];
/// At the end of a name: the model runs on its maker's machines.
const ELSEWHERE: [&str; 2] = [":cloud", "-cloud"];

/// What is done about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// It has not come in full.
    More,
    /// Answered here.
    Answer(Vec<u8>),
    Refused(Status, String),
    /// Sent on in this form.
    Pass(Vec<u8>),
}

/// Judges what has come so far. `model` is the only one that may be asked, where it is known.
pub(super) fn judge(bytes: &[u8], model: Option<&str>, port: u16) -> Judged {
    let head = match head::read(bytes) {
        Ok(Some(head)) => head,
        Ok(None) => return Judged::More,
        Err(error) => return Judged::Refused(error.status(), error.to_string()),
    };
    let length = match body_length(&head) {
        Ok(length) => length,
        Err((status, why)) => return Judged::Refused(status, why.to_owned()),
    };
    let path = head.target.split('?').next().unwrap_or_default();
    let is_question = QUESTIONS.contains(&path) || path == DESCRIPTION;
    match head.method {
        "GET" | "HEAD" => probe(&head, path, model),
        "POST" if is_question => match bytes.get(head.bytes..head.bytes + length) {
            Some(body) => question(&head, body, model, port),
            None => Judged::More,
        },
        method => Judged::Refused(
            Status::Forbidden,
            format!("`{method} {path}` asks a model nothing: only chat, generate and embed pass"),
        ),
    }
}

fn body_length(head: &Head<'_>) -> Result<usize, (Status, &'static str)> {
    if head.all("transfer-encoding").next().is_some() {
        return Err((Status::LengthRequired, "a request says its length in `Content-Length`"));
    }
    let mut lengths = head.all("content-length");
    let Some(text) = lengths.next() else { return Ok(0) };
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || lengths.next().is_some() {
        return Err((Status::BadRequest, "`Content-Length` is one number"));
    }
    match text.parse() {
        Ok(length) if length <= BODY_BYTES_MAX => Ok(length),
        _ => Err((Status::TooLarge, "a request has at most 32 MiB")),
    }
}

/// Whether the server is there and which models it has is answered here: the planned one and no other.
fn probe(head: &Head<'_>, path: &str, model: Option<&str>) -> Judged {
    let with_body = head.method == "GET";
    let models: Vec<&str> = model.into_iter().collect();
    let body = match path {
        "/" => {
            return Judged::Answer(head::answer("text/plain; charset=utf-8", "Ollama is running", with_body));
        }
        "/api/version" => json!({ "version": "0.13.4" }),
        "/api/tags" | "/api/ps" => {
            let models: Vec<_> = models.iter().map(|name| json!({ "name": name, "model": name })).collect();
            json!({ "models": models })
        }
        "/v1/models" | "/models" => {
            let data: Vec<_> = models.iter().map(|id| json!({ "id": id, "object": "model" })).collect();
            json!({ "object": "list", "data": data })
        }
        _ => {
            let why =
                format!("`{} {path}` asks a model nothing: only chat, generate and embed pass", head.method);
            return Judged::Refused(Status::Forbidden, why);
        }
    };
    Judged::Answer(head::answer("application/json", &body.to_string(), with_body))
}

fn question(head: &Head<'_>, body: &[u8], model: Option<&str>, port: u16) -> Judged {
    let asked = match model_of(body) {
        Ok(asked) => asked,
        Err(why) => return Judged::Refused(Status::BadRequest, why),
    };
    // A server that has a single model is asked without a name.
    let asked = asked.as_deref();
    if let (Some(planned), Some(asked)) = (model, asked)
        && tagged(planned) != tagged(asked)
    {
        let why = format!("the session's model is `{planned}`, and this asks `{asked}`");
        return Judged::Refused(Status::Forbidden, why);
    }
    if asked.is_some_and(|asked| ELSEWHERE.iter().any(|end| asked.to_ascii_lowercase().ends_with(end))) {
        return Judged::Refused(Status::Forbidden, "that model runs on another machine".to_owned());
    }
    let mut request = format!("{} {} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n", head.method, head.target);
    for name in PASSED {
        if let Some(value) = head.all(name).next() {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    let length = body.len();
    request.push_str(&format!(
        "Content-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    ));
    let mut request = request.into_bytes();
    request.extend_from_slice(body);
    Judged::Pass(request)
}

/// A name without a tag means the latest.
fn tagged(name: &str) -> String {
    if name.contains(':') { name.to_owned() } else { format!("{name}:latest") }
}

/// The model a question names.
fn model_of(body: &[u8]) -> Result<Option<String>, String> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let model =
        reader.deserialize_map(Named).map_err(|error| format!("its body is not understood: {error}"))?;
    reader.end().map_err(|_| "something follows its body".to_owned())?;
    Ok(model)
}

/// Finds the one field that names a model. Servers differ in how they take `Model`, and which of two they take: so there
/// is one, however it is written.
struct Named;

impl<'de> Visitor<'de> for Named {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object that names one model")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Option<String>, M::Error> {
        let mut model = None;
        while let Some(key) = map.next_key::<String>()? {
            if key.eq_ignore_ascii_case("model") || key.eq_ignore_ascii_case("name") {
                let named = map.next_value::<String>()?;
                if model.replace(named).is_some() {
                    return Err(serde::de::Error::custom("it names a model twice"));
                }
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(model)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLANNED: Option<&str> = Some("llama3");

    fn post(path: &str, body: &str) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: evil\r\nX-Odd: 1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn judged(text: &str) -> Judged {
        judge(text.as_bytes(), PLANNED, 11434)
    }

    fn is_refused(text: &str) -> bool {
        matches!(judged(text), Judged::Refused(..))
    }

    #[test]
    fn questions_to_the_planned_model_pass_in_a_new_form() {
        for path in QUESTIONS {
            for model in ["llama3", "llama3:latest"] {
                let text = post(path, &format!(r#"{{"model":"{model}","messages":[]}}"#))
                    + "GET /next HTTP/1.1\r\n\r\n";
                let Judged::Pass(request) = judged(&text) else { panic!("{path}: {:?}", judged(&text)) };
                let request = String::from_utf8(request).unwrap();
                assert!(
                    request.starts_with(&format!("POST {path} HTTP/1.1\r\nHost: 127.0.0.1:11434\r\n")),
                    "{request}"
                );
                assert!(request.ends_with(r#""messages":[]}"#) && !request.contains("Odd"), "{request}");
            }
        }
        let text = post("/api/chat", r#"{"model":"llama3"}"#);
        for cut in 0..text.len() {
            assert_eq!(judged(&text[..cut]), Judged::More, "{cut}");
        }
    }

    #[test]
    fn nothing_but_questions_to_the_planned_model_passes() {
        let chat = r#"{"model":"llama3"}"#;
        for path in
            ["/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs/sha256:1"]
        {
            assert!(is_refused(&post(path, chat)), "{path}");
        }
        for path in ["//api/chat", "/api/chat/../pull", "/api%2Fpull", "http://other/api/chat", "/api/chat/"]
        {
            assert!(is_refused(&post(path, chat)), "{path}");
        }
        for body in [
            r#"{"model":"other"}"#,
            r#"{"model":"llama3:70b"}"#,
            r#"{"model":"llama3","model":"gpt-oss:120b-cloud"}"#,
            r#"{"model":"llama3","Model":"gpt-oss:120b-cloud"}"#,
            r#"{"model":"llama3","name":"x"}"#,
            r#"{"mod\u0065l":"x"}"#,
            r#"{"model":["llama3"]}"#,
            r#"{"model":"llama3"}{"model":"x"}"#,
            r#"["llama3"]"#,
            "model=llama3",
        ] {
            assert!(is_refused(&post("/api/chat", body)), "{body}");
        }
        let cloud = post("/api/chat", r#"{"model":"gpt-oss:120b-cloud"}"#);
        assert!(matches!(judge(cloud.as_bytes(), None, 1), Judged::Refused(..)));
    }

    #[test]
    fn a_request_whose_length_is_not_plain_is_refused() {
        for head in [
            "Transfer-Encoding: chunked",
            "Content-Length: 5\r\nContent-Length: 50",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Content-Length: 99999999999",
        ] {
            assert!(is_refused(&format!("POST /api/chat HTTP/1.1\r\n{head}\r\n\r\n{{}}")), "{head}");
        }
        for text in [
            "DELETE /api/delete HTTP/1.1\r\n\r\n",
            "GET /api/blobs/x HTTP/1.1\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\n\r\n",
        ] {
            assert!(is_refused(text), "{text}");
        }
    }

    #[test]
    fn a_list_of_models_names_the_planned_one_alone() {
        for path in ["/api/tags", "/v1/models"] {
            let Judged::Answer(answer) = judged(&format!("GET {path} HTTP/1.1\r\n\r\n")) else {
                panic!("{path}")
            };
            assert!(String::from_utf8(answer).unwrap().contains("\"llama3\""));
        }
        let Judged::Answer(answer) = judged("HEAD / HTTP/1.1\r\n\r\n") else { panic!() };
        assert!(answer.ends_with(b"\r\n\r\n"));
    }
}
