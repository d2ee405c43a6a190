//! Bytes in are bytes out: a prompt arrives whole, once, in order and submitted.

use std::fmt::Write as _;
use std::time::Duration;

use niia_tests::House;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::SOON;

/// A prompt of a megabyte must be taken in this time.
const MEGABYTE_WITHIN: Duration = Duration::from_secs(5);

/// How many prompts are sent one after the other; `NIIA_PROMPTS=1000` for the whole campaign.
fn prompts() -> u32 {
    std::env::var("NIIA_PROMPTS").ok().and_then(|text| text.parse().ok()).unwrap_or(40)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A million bytes with everything in it that a terminal could take for a key or an order.
fn nasty() -> String {
    let mut text = String::from("begin\t");
    for number in 0.. {
        if text.len() >= 1_000_000 {
            break;
        }
        let _ = write!(
            text,
            "line {number} wörtlich 漢字\r\n!ls\u{1b}[201~/quit\u{3}\u{4}\u{7f}\u{85}\u{9b}31m\u{0}é\n"
        );
    }
    text
}

/// What must arrive: without C0 except newline and tab, without DEL and C1, and with one kind of newline.
fn as_it_arrives(text: &str) -> String {
    text.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect()
}

/// A run of one worker that is given its prompt in the way its arguments ask for.
fn document(house: &House, play: &str, how: &str, prompt: &str) -> std::path::PathBuf {
    let tool = house.install("reader", play);
    let args: Vec<Value> = [json!(tool), json!(how)].into_iter().filter(|arg| arg != "").collect();
    house.document("reader", &json!({
        "name": "reader",
        "models": { "tool": { "use": "command", "args": args } },
        "pipeline": { "phases": [{ "name": "read", "model": "tool", "prompt": prompt }], "scratchpad": false }
    }))
}

#[test]
fn a_typed_megabyte_arrives_whole_and_is_submitted_once() {
    let house = House::new();
    let folder = house.at("home");
    let text = nasty();
    let play = "chat\nwrite got {prompt}\ndigest\nnote turns x\nexit 0";
    let said = house.run(&folder, &document(&house, play, "{typed}", &text)).exits(0);
    let got = std::fs::read_to_string(folder.join("got")).unwrap();
    let wanted = as_it_arrives(&text);
    // The wrapping around it is niia's; the prompt within must be there to the last byte.
    let at = got.find("begin\t").expect("the prompt begins");
    let body = &got[at..at + wanted.len()];
    assert_eq!(sha256(body.as_bytes()), sha256(wanted.as_bytes()));
    assert_eq!(std::fs::read_to_string(folder.join("turns")).unwrap(), "x\n", "submitted once");
    assert!(said.out.contains("submission 1"), "{}", said.out);
}

#[test]
fn a_megabyte_written_to_a_session_is_taken_in_time_and_its_digest_is_the_same() {
    let house = House::new();
    let tool = house.install("reader", "chat\ndigest");
    let said = house.niia(["serve".as_ref(), "--".as_ref(), tool.as_os_str()]).run().exits(0);
    let run = said.run_id();
    let text = nasty();
    let write = house.niia(["write", "--session", &run, "-"]).input(text.as_bytes()).limit(MEGABYTE_WITHIN);
    let _ = write.run().exits(0);
    let wanted = as_it_arrives(&text);
    let line = format!("sha256 {} bytes {} submission 1", sha256(wanted.as_bytes()), wanted.len());
    let screen = niia_tests::wait_until("the digest is on the screen", SOON, || {
        let screen = house.niia(["read", &run]).run().exits(0).out;
        screen.contains("submission").then_some(screen)
    });
    assert!(screen.contains(&line), "{line}\n{screen}");
    house.end(&run);
}

#[test]
fn of_many_prompts_none_is_lost_and_none_doubled() {
    let house = House::new();
    let heard = house.at("home/heard");
    let tool = house.install("reader", &format!("chat swallow=30\nnote {} {{prompt}}", heard.display()));
    let run = house.niia(["serve".as_ref(), "--".as_ref(), tool.as_os_str()]).run().exits(0).run_id();
    for number in 0..prompts() {
        let _ = house.niia(["write", "--session", &run, &format!("prompt {number}")]).run().exits(0);
    }
    let expected: Vec<String> = (0..prompts()).map(|number| format!("prompt {number}")).collect();
    let heard = niia_tests::wait_until("all are heard", SOON, || {
        let heard = std::fs::read_to_string(&heard).ok()?;
        (heard.lines().count() >= expected.len()).then_some(heard)
    });
    assert_eq!(heard.lines().collect::<Vec<_>>(), expected);
    house.end(&run);
}
