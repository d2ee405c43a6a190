//! A tool nobody has heard of: one file in the user's folder, and niia talks to it.

use niia_tests::House;
use serde_json::Value;

/// Claude's own words under another name, as far as a profile says them.
const PROFILE: &str = r#"
id = "parrot"
about = "A parrot"
program = "parrot"
prompt = "argument"
argv = [["-p", "{prompt}"]]
prefix_line = true
version = ["--version"]

[conversation]
argv = [["--session-id", "{session}"], ["--settings", "{overlay}/parrot.json"], "{prompt}"]
resume = [["--resume", "{session}"], ["--settings", "{overlay}/parrot.json"], "{prompt}"]
first_turn = "argument"

[conversation.files]
"parrot.json" = '''
{"hooks": {
  "SessionStart": [{"hooks": [{"command": "{niia} hook SessionStart"}]}],
  "UserPromptSubmit": [{"hooks": [{"command": "{niia} hook UserPromptSubmit"}]}],
  "Stop": [{"hooks": [{"command": "{niia} hook Stop"}]}]
}}
'''

[typing]
confirmed_by_word = true

[[hook]]
event = "SessionStart"
session = "session_id"

[[hook]]
event = "UserPromptSubmit"
is = "working"
receipt = "prompt"

[[hook]]
event = "Stop"
is = "ready"
ends = "answered"
answer = "last_assistant_message"

[[screen]]
is = "ready"
screen = '(?m)^❯'
quiet_ms = 300
"#;

fn house() -> House {
    let house = House::new();
    house.install("parrot", "imitate claude");
    let _ = house.file("state/config/profiles/parrot.toml", PROFILE);
    house
}

#[test]
fn a_tool_of_the_users_own_holds_a_conversation_by_its_file_alone() {
    let house = house();
    let listed = house.niia(["profile", "ls"]).run().exits(0).out;
    assert!(listed.contains("parrot"), "{listed}");
    let run = house.niia(["serve", "--model", "parrot"]).run().exits(0).run_id();
    let ask = |question: &str| {
        let said = house.niia(["get-answer", "--json", "--session", &run, question]).run().exits(0);
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        (answer["answer"].as_str().unwrap_or_default().to_owned(), answer["evidence"].clone())
    };
    assert_eq!(ask("!touch evil\n<<say alpha it is>>"), ("alpha it is".to_owned(), "hook:Stop".into()));
    assert_eq!(ask("<<recall alpha>>").0, "I remember alpha");
    assert!(!house.at("home/evil").exists());
    house.end(&run);
}

#[test]
fn what_is_wrong_in_a_file_is_said_with_its_place_before_anything_is_started() {
    let house = house();
    let wrong = [
        ("event = \"Stop\"", "evnt = \"Stop\"", "unknown field `evnt`"),
        ("'(?m)^❯'", "'(?m)^❯('", "not a pattern"),
        ("\"{prompt}\"]\nresume", "\"{promt}\"]\nresume", "`{promt}` is no placeholder"),
        ("[typing]", "[transcript]\nfile = \"{keep}/x\"\n\n[typing]", "`{keep}` is no placeholder"),
        ("[typing]", "[permission]\nsome = [\"-x\"]\n\n[typing]", "`some` is no permission"),
    ];
    for (right, with, why) in wrong {
        let text = PROFILE.replacen(right, with, 1);
        let line = 1 + text
            .lines()
            .position(|line| with.lines().any(|with| with.trim() == line.trim()))
            .unwrap_or(0);
        let file = house.file("state/config/profiles/parrot.toml", &text);
        let checked = house.niia(["profile", "check"]).run();
        assert_eq!(checked.code, Some(3), "{checked:?}");
        assert!(checked.out.contains(why), "{why}: {checked:?}");
        let place = checked.out.split("parrot.toml:").nth(1).unwrap_or_default();
        let numbers: Vec<u32> = place.split(':').take(2).filter_map(|number| number.parse().ok()).collect();
        assert!(numbers.len() == 2 && numbers[0] >= u32::try_from(line).unwrap_or(1), "{checked:?}");
        let served = house.niia(["serve", "--model", "parrot"]).run();
        assert_ne!(served.code, Some(0), "{served:?}");
        assert!(served.err.contains("parrot.toml:") && served.err.contains(why), "{served:?}");
        drop(file);
    }
}
