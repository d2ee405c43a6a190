//! What workers say among themselves.

use niia::control::words::{Reply, Request};
use niia_spec::notice::LetterView;
use serde_json::json;

use super::place::{Place, PlayedNode};

fn node(place: &Place) -> PlayedNode {
    PlayedNode::at(place, |caller| {
        while let Some(request) = caller.hear() {
            let reply = match request {
                Request::Claim { key, .. } => {
                    Reply::Claimed { first: key == "free", holder: "find/2".to_owned() }
                }
                Request::OutputSet { key, value, .. } => {
                    assert_eq!((key.as_str(), value), ("n", json!([1, "a"])));
                    Reply::Done
                }
                Request::OutputGet { key: Some(_), .. } => Reply::Value(json!("auth")),
                Request::OutputGet { .. } => Reply::Value(json!({ "find": { "class": "auth" } })),
                Request::ScratchpadList { .. } => {
                    Reply::Paths(vec!["notes.md".to_owned(), "find/x".to_owned()])
                }
                Request::ScratchpadCat { .. } => Reply::Bytes { bytes: vec![0, 159, 27, 10] },
                Request::ScratchpadPut { bytes, .. } => {
                    assert_eq!(bytes.len(), 5_000_000);
                    Reply::Done
                }
                Request::MailboxSend { to, text, id, run, .. } => {
                    let sent = (to.as_str(), text.as_str(), id.as_deref(), run.as_deref());
                    assert_eq!(sent, ("reviewer", "ready\n", Some("r1"), Some("rev")));
                    Reply::Done
                }
                Request::MailboxCame { .. } => Reply::Done,
                _ => Reply::Letters(vec![LetterView {
                    id: "r1".to_owned(),
                    from: "find/1".to_owned(),
                    to: "reviewer".to_owned(),
                    text: "one\n\u{1b}[2Jtwo".to_owned(),
                    at_ms: 1_000_000,
                    read: false,
                    fate: "unread".to_owned(),
                    cause: None,
                }]),
            };
            caller.answer(reply);
        }
    })
}

#[test]
fn the_first_claim_is_zero_and_every_other_is_one() {
    let place = Place::new();
    let _node = node(&place);
    assert_eq!(place.say(&["claim", "free"]).code, 0);
    let said = place.say(&["claim", "src/a.rs"]);
    assert_eq!((said.code, said.out.as_str()), (1, "taken by find/2\n"));
}

#[test]
fn outputs_are_json_where_they_are_json_and_text_elsewhere() {
    let place = Place::new();
    let _node = node(&place);
    assert_eq!(place.say(&["output", "set", "n", "[1, \"a\"]"]).code, 0);
    assert_eq!(place.say(&["output", "get", "class"]).out, "auth\n");
    assert_eq!(place.say(&["output", "get", "class", "--json"]).out, "\"auth\"\n");
    assert_eq!(place.say(&["output", "get"]).out, "{\"find\":{\"class\":\"auth\"}}\n");
}

#[test]
fn files_of_the_scratchpad_go_through_a_pipe_as_they_are() {
    let place = Place::new();
    let _node = node(&place);
    assert_eq!(place.say(&["scratchpad", "ls"]).out, "notes.md\nfind/x\n");
    let output = place.niia(&["scratchpad", "cat", "x"]).output().unwrap();
    assert_eq!(output.stdout, [0, 159, 27, 10]);
    assert_eq!(place.say_with(&["scratchpad", "put", "x"], &vec![7; 5_000_000]).code, 0);
    let said = place.say_with(&["scratchpad", "put", "x"], &vec![7; 16 * 1024 * 1024 + 1]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("more than 16777216 bytes"), "{}", said.err);
}

#[test]
fn letters_are_sent_from_stdin_and_read_without_harm() {
    let place = Place::new();
    let _node = node(&place);
    let words = ["mailbox", "send", "reviewer", "-", "--id", "r1", "--run", "rev"];
    assert_eq!(place.say_with(&words, b"ready\n").code, 0);
    let said = place.say(&["mailbox", "read"]);
    assert_eq!(said.out, "find/1 → reviewer  1970-01-01 00:16:40  r1  (new)\n  one\n  [2Jtwo\n");
}
