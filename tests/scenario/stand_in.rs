//! The stand-in does what a real command line would: the other scenarios rest on it.

use std::fmt::Write as _;
use std::time::Duration;

use niia_tests::{House, Terminal, wait_until};
use sha2::{Digest, Sha256};

const SOON: Duration = Duration::from_secs(20);

fn open(house: &House, name: &str) -> Terminal {
    house.program(&house.at("bin").join(name), [] as [&str; 0]).in_terminal()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[test]
fn it_answers_what_it_was_asked_and_shows_what_it_sees() {
    let house = House::new();
    let project = house.repository("project");
    house.file("pad/review/1.md", "two findings");
    let claude =
        house.install("claude", "say {name} was asked: {prompt}\nsee\nquote\njson {\"verdict\": \"ship\"}");
    let call = house.program(&claude, ["--model", "opus", "-p", "Review {this}."]).inside(project.path());
    let said = call.env("NIIA_SCRATCHPAD", house.at("pad").to_string_lossy()).run().exits(0);
    let expected = "claude was asked: Review {this}.\nworktree: README.md\nscratchpad: review/1.md (12)\n\
                    --- review/1.md\ntwo findings\n```json\n{\"verdict\": \"ship\"}\n```\n";
    assert_eq!(said.out, expected);
}

#[test]
fn it_writes_files_only_once_where_it_is_told_so_and_then_crashes() {
    let house = House::new();
    let codex =
        house.install("codex", "once {env:HOME}/crashed crash\nwrite deep/answer.txt {model}\nexit 3");
    let call = || house.program(&codex, ["exec", "-m", "best", "Go"]);
    assert_eq!(call().run().code, None, "a signal ended it");
    let said = call().run().exits(3);
    assert_eq!(said.out, "");
    assert_eq!(std::fs::read_to_string(house.at("home/deep/answer.txt")).unwrap(), "best\n");
}

#[test]
fn in_a_terminal_a_pasted_megabyte_arrives_whole_and_is_submitted_once() {
    let house = House::new();
    house.install("claude", "chat\ndigest");
    let mut terminal = open(&house, "claude");
    terminal.wait_for("\x1b[?2004h", SOON);
    let mut text = String::new();
    while text.len() < 1_000_000 {
        let _ = writeln!(text, "line {} — wörtlich", text.len());
    }
    terminal.write(format!("\x1b[200~{text}\x1b[201~").as_bytes(), SOON);
    terminal.write(b"\r", SOON);
    terminal.wait_for(&format!("sha256 {} bytes {} submission 1", sha256(text.as_bytes()), text.len()), SOON);
    terminal.write(b"/exit\r", SOON);
    let (status, rest) = terminal.end(SOON);
    assert!(status.success());
    assert!(!rest.contains("submission 2"), "{rest:?}");
}

#[test]
fn an_enter_too_close_behind_a_paste_is_lost_as_in_some_real_ones() {
    let house = House::new();
    house.install("gemini", "chat swallow=60000\ndigest");
    let mut terminal = open(&house, "gemini");
    terminal.wait_for("\x1b[?2004h", SOON);
    terminal.write(b"\x1b[200~hello\x1b[201~\r", SOON);
    terminal.wait_for("> hello", SOON);
    // Cleared by hand, there is no text whose Enter could come too soon.
    terminal.write(b"\x03\x03", SOON);
    let (status, rest) = terminal.end(SOON);
    assert!(status.success() && !rest.contains("submission"), "{rest:?}");
}

#[test]
fn the_trust_question_has_no_as_its_default() {
    let house = House::new();
    house.install("claude", "trust\nsay trusted");
    let mut terminal = open(&house, "claude");
    terminal.wait_for("❯ 1. No, exit", SOON);
    terminal.write(b"\r", SOON);
    assert_eq!(terminal.end(SOON).0.code(), Some(1));
    let mut terminal = open(&house, "claude");
    terminal.wait_for("❯ 1. No, exit", SOON);
    terminal.write(b"\x1b[B", SOON);
    terminal.wait_for("❯ 2. Yes, proceed", SOON);
    terminal.write(b"\r", SOON);
    let (status, rest) = terminal.end(SOON);
    assert!(status.success() && rest.contains("trusted"), "{rest:?}");
}

#[test]
fn its_daemons_leave_session_and_environment_behind_and_are_known_all_the_same() {
    let house = House::new();
    let tool = house.install("claude", "daemons 3 {env:HOME}/pids\nsay {prompt}");
    let said = house.program(&tool, ["-p", "done"]).run().exits(0);
    assert_eq!(said.out, "done\n");
    let residents = house.residents();
    let noted = std::fs::read_to_string(house.at("home/pids")).unwrap();
    let mut noted: Vec<u32> = noted.lines().map(|line| line.parse().unwrap()).collect();
    noted.sort_unstable();
    let mut seen: Vec<u32> = residents.iter().map(|resident| resident.id).collect();
    seen.sort_unstable();
    assert_eq!(seen, noted);
    for resident in &residents {
        let environment = std::fs::read(format!("/proc/{}/environ", resident.id)).unwrap();
        assert!(environment.is_empty(), "{resident} has an environment");
        resident.kill();
    }
    wait_until("they are gone", SOON, || house.residents().is_empty().then_some(()));
}

#[test]
fn a_house_names_what_a_test_leaves_behind() {
    let left = std::panic::catch_unwind(|| {
        let house = House::new().leaving_within(Duration::from_millis(100));
        let tool = house.install("claude", "daemons 1 {env:HOME}/pids");
        let _ = house.program(&tool, ["-p", "stay"]).run().exits(0);
        let path = house.at("home/lost.sock");
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    });
    let message = *left.unwrap_err().downcast::<String>().unwrap();
    assert!(message.starts_with("the test left behind:"), "{message}");
    assert!(message.contains("--linger-inner") && message.contains("home/lost.sock"), "{message}");
}
