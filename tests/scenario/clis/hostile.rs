//! Prompts that are no friends: each arrives as the text it is, once, and nothing of it is run.
//!
//! They are made from a seed (`NIIA_HOSTILE_SEED`), so many as `NIIA_HOSTILE` says for each imitation and
//! `NIIA_HOSTILE_REAL` for each real tool.

use std::fs;

use niia_spec::profile::Profiles;
use niia_tests::House;
use niia_tests::house::Call;

use super::tool::{Tool, tool};

const SEED: u64 = 7;
const IMITATED: usize = 25;
const REAL: usize = 5;
/// Of the longest prompts there is one among so many.
const LONGEST_EVERY: usize = 250;
const LONGEST_BYTES: usize = 1_000_000;

fn number(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Pieces that mean something else somewhere: to a shell, to a tool, to a terminal.
const PIECES: [&str; 40] = [
    "!touch evil",
    "/quit",
    "/exit",
    "@file.txt",
    "@alp",
    "@/etc/passwd",
    "\\",
    "\u{1b}[201~",
    "\u{1b}[200~",
    "\u{1b}[201~\r!touch evil\r",
    "\r\n",
    "\r",
    "\n",
    "\n\n",
    "\n!touch evil\n",
    "\n/quit\n",
    "\t",
    "  ",
    "🦀👩‍👩‍👧",
    "\u{200f}שלום\u{202e}",
    "漢字",
    "e\u{301}",
    "`touch evil`",
    "$(touch evil)",
    "#",
    "&",
    "&& touch evil",
    "; touch evil",
    "| tee evil",
    "> evil",
    "?",
    "\u{3}",
    "\u{4}",
    "\u{1a}",
    "\u{0}",
    "\u{7f}\u{8}",
    "\u{9b}31m\u{85}",
    "\u{1b}]0;title\u{7}",
    "'\"",
    "{}[]<>%~^*",
];

/// A prompt of these pieces and of plain words; a word of its own says which one it is.
fn prompt(random: &mut fastrand::Rng, number: usize, longest: usize) -> String {
    let mut text = String::new();
    for _ in 0..random.usize(1..12) {
        text.push_str(random.choice(PIECES).unwrap_or_default());
        if random.bool() {
            text.push_str(["word", " two words ", "line\n", " x"][random.usize(..4)]);
        }
    }
    if random.usize(..12) == 0 {
        text.push_str(&"a very long line without any end ".repeat(random.usize(100..600)));
    }
    if number % LONGEST_EVERY == LONGEST_EVERY - 1 {
        while text.len() < longest {
            text.push_str("one of many lines, \u{1b}[201~ wörtlich\r\n");
        }
    }
    // Whatever it ends with stays at its end: there it does the most harm.
    let tag = format!("p{number}q");
    if random.bool() {
        format!("{text}{tag}{}", random.choice(PIECES).unwrap_or_default())
    } else {
        tag + &text
    }
}

fn prompts(count: usize, longest: usize) -> Vec<String> {
    let seed = std::env::var("NIIA_HOSTILE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let mut random = fastrand::Rng::with_seed(seed);
    (0..count).map(|number| prompt(&mut random, number, longest)).collect()
}

/// What must arrive: without C0 except newline and tab, without DEL and C1, with one kind of newline, and with what the
/// tool's profile declares.
fn as_it_arrives(text: &str, name: &str) -> String {
    let mut text: String =
        text.replace("\r\n", "\n").chars().filter(|c| matches!(c, '\n' | '\t') || !c.is_control()).collect();
    let profiles = Profiles::built_in().unwrap();
    let declared = &profiles.get(name).unwrap().typing;
    text = declared.drops.taken_out_of(&text);
    if declared.at_space {
        text = text.replace('@', "@ ");
    }
    if declared.tab_spaces > 0 {
        text = text.replace('\t', &" ".repeat(declared.tab_spaces));
    }
    if declared.trims {
        text.truncate(text.trim_end().len());
    }
    text
}

/// Asks by a file: a prompt may be longer than any argument.
fn ask<'a>(call: impl Fn(&[&str]) -> Call<'a>, run: &str, text: &str) -> String {
    let call = call(&["get-answer", "--json", "--session", run, "--timeout", "100", "-"]);
    let said = call.input(text.as_bytes()).run().exits(0);
    let answer: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    answer["evidence"].as_str().unwrap_or_default().to_owned()
}

fn imitation_takes_hostile_prompts(name: &'static str) {
    let house = House::new();
    house.install(name, &format!("imitate {name}"));
    let (home, count) = (house.at("home"), number("NIIA_HOSTILE", IMITATED));
    for file in ["alp", "file.txt"] {
        fs::write(home.join(file), "the content of a file").unwrap();
    }
    let model = if name == "aider" { "aider/openai/stub" } else { name };
    let run = house.niia(["serve", "--model", model]).run().exits(0).run_id();
    let prompts = prompts(count, LONGEST_BYTES);
    for text in &prompts {
        let _ = ask(|words| house.niia(words), &run, text);
        assert!(!home.join("evil").exists(), "{name} ran a part of {text:?}");
    }
    let heard = fs::read_to_string(home.join("heard.jsonl")).unwrap();
    let heard: Vec<String> = heard.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(heard.len(), prompts.len(), "each once");
    for (heard, sent) in heard.iter().zip(&prompts) {
        let wanted = format!("[niia]\n{}", as_it_arrives(sent, name));
        assert_eq!(heard, wanted.trim_end_matches('\n'), "{name}: {sent:?}");
    }
    house.end(&run);
}

#[test]
fn claude_is_imitated_and_takes_hostile_prompts_as_text() {
    imitation_takes_hostile_prompts("claude");
}

#[test]
fn codex_is_imitated_and_takes_hostile_prompts_as_text() {
    imitation_takes_hostile_prompts("codex");
}

#[test]
fn gemini_is_imitated_and_takes_hostile_prompts_as_text() {
    imitation_takes_hostile_prompts("gemini");
}

#[test]
fn aider_is_imitated_and_takes_hostile_prompts_as_text() {
    imitation_takes_hostile_prompts("aider");
}

fn real_one_takes_hostile_prompts(name: &'static str) {
    let Some(tool) = tool(name) else { return };
    for file in ["alp", "file.txt"] {
        let _ = tool.house.file(&format!("home/{file}"), "the content of a file");
    }
    let run = tool.serve();
    let prompts = prompts(number("NIIA_HOSTILE_REAL", REAL), 0);
    for (n, text) in prompts.iter().enumerate() {
        let _ = ask(|words| tool.niia(words), &run, text);
        assert!(!tool.has("evil"), "{name} ran a part of {text:?}");
        arrived_once(&tool, &format!("p{n}q"), text);
    }
    tool.end(&run);
}

/// The provider was asked it once, in the tool's own conversation, to the letter.
fn arrived_once(tool: &Tool, tag: &str, text: &str) {
    let wanted = format!("[niia]\n{}", as_it_arrives(text, tool.name));
    let wanted = wanted.trim_end_matches('\n');
    let heard = tool.prompts(tag);
    let whole = heard.iter().filter(|prompt| prompt.contains(wanted)).count();
    assert!(whole >= 1, "{}: {text:?} arrived as {heard:?}", tool.name);
    let twice = heard.iter().filter(|prompt| prompt.matches(tag).count() > wanted.matches(tag).count());
    assert_eq!(twice.count(), 0, "{}: doubled: {heard:?}", tool.name);
}

#[test]
fn claude_takes_hostile_prompts_as_text() {
    real_one_takes_hostile_prompts("claude");
}

#[test]
fn codex_takes_hostile_prompts_as_text() {
    real_one_takes_hostile_prompts("codex");
}

#[test]
fn gemini_takes_hostile_prompts_as_text() {
    real_one_takes_hostile_prompts("gemini");
}

#[test]
fn opencode_takes_hostile_prompts_as_text() {
    real_one_takes_hostile_prompts("opencode");
}

#[test]
fn aider_takes_hostile_prompts_as_text() {
    real_one_takes_hostile_prompts("aider");
}
