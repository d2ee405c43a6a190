use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use super::*;

fn ask(stub: &Stub, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", stub.port())).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_api_says_what_the_prompt_orders() {
    let stub = Stub::open(0).unwrap();
    let said = r#"[{"role":"user","content":"first"},{"role":"assistant","content":"x"},{"role":"user","content":"<<say hello-{turns}>>"}]"#;
    for (path, list) in [
        ("/v1/messages", "messages"),
        ("/v1/responses", "input"),
        ("/v1/chat/completions", "messages"),
        ("/api/chat", "messages"),
    ] {
        for stream in [true, false] {
            let answer = ask(&stub, path, &format!(r#"{{"model":"m","stream":{stream},"{list}":{said}}}"#));
            assert!(answer.contains("200") && answer.contains("hello-2"), "{path} {stream}: {answer}");
        }
    }
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"<<say hello>>"}]}]}"#;
    assert!(ask(&stub, "/v1beta/models/g:streamGenerateContent?alt=sse", contents).contains("hello"));
    assert!(ask(&stub, "/v1beta/models/g:generateContent", contents).contains("hello"));
    assert_eq!(stub.seen().len(), 10);
    assert_eq!(stub.seen()[0].turns, 2);
}

#[test]
fn a_tool_is_called_and_its_result_is_repeated() {
    let stub = Stub::open(0).unwrap();
    let call = r#"{"model":"m","messages":[{"role":"user","content":"<<tool Write {\"a\":1}>>"}]}"#;
    assert!(ask(&stub, "/v1/messages", call).contains("tool_use"));
    let result = r#"{"model":"m","messages":[{"role":"user","content":"<<tool Write {}>>"},{"role":"assistant","content":"x"},{"role":"user","content":[{"type":"tool_result","content":"written"}]}]}"#;
    assert!(ask(&stub, "/v1/messages", result).contains("the tool said: written"));
}

#[test]
fn a_failure_is_worded_as_the_provider_does_until_it_is_taken_back() {
    let stub = Stub::open(0).unwrap();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}]}"#;
    stub.fail(Failure::by_word("429"));
    let refused = ask(&stub, "/v1/messages", body);
    assert!(refused.starts_with("HTTP/1.1 429") && refused.contains("retry-after: 2"));
    stub.fail(None);
    assert!(ask(&stub, "/v1/messages", body).contains("turns 1; first <x>"));
    let statuses: Vec<u16> = stub.seen().iter().map(|seen| seen.status).collect();
    assert_eq!(statuses, [429, 200]);
}
