//! Help, wrong words, exit codes.

use super::place::Place;

const VERBS: &[&[&str]] = &[
    &["init"],
    &["run"],
    &["plan"],
    &["check"],
    &["status"],
    &["logs"],
    &["attach"],
    &["diff"],
    &["merge"],
    &["cancel"],
    &["doctor"],
    &["daemon"],
    &["daemon", "run"],
    &["daemon", "start"],
    &["daemon", "stop"],
    &["daemon", "status"],
    &["daemon", "install"],
    &["schema"],
    &["runs"],
    &["resume"],
    &["explain"],
    &["approve"],
    &["deny"],
    &["claim"],
    &["output"],
    &["output", "set"],
    &["output", "get"],
    &["scratchpad"],
    &["scratchpad", "ls"],
    &["scratchpad", "cat"],
    &["scratchpad", "put"],
    &["mailbox"],
    &["mailbox", "send"],
    &["mailbox", "list"],
    &["mailbox", "read"],
    &["serve"],
    &["sessions"],
    &["read"],
    &["write"],
    &["wait-idle"],
    &["get-answer"],
    &["interrupt"],
    &["profile"],
    &["profile", "ls"],
    &["profile", "show"],
    &["profile", "check"],
    &["profile", "try"],
    &["hook"],
    &["resize"],
    &["kill"],
    &["replay"],
    &["gc"],
    &["top"],
];

#[test]
fn a_dozen_verbs_stand_in_the_help_and_every_verb_has_an_example() {
    let place = Place::new();
    let help = place.say(&["--help"]);
    assert_eq!(help.code, 0);
    insta::assert_snapshot!(help.out);
    for verb in VERBS {
        let words: Vec<&str> = verb.iter().copied().chain(["--help"]).collect();
        let said = place.say(&words);
        assert_eq!(said.code, 0, "{verb:?}: {}", said.err);
        assert!(said.out.contains("Example"), "{verb:?} has no example:\n{}", said.out);
        let call = format!("  niia {}", verb.join(" "));
        assert!(said.out.contains(&call), "{verb:?}: its example calls something else");
    }
}

#[test]
fn wrong_words_are_exit_code_two_and_say_what_was_meant() {
    let place = Place::new();
    let said = place.say(&["stauts"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("status"), "{}", said.err);
    for words in
        [&[][..], &["run", "--frobnicate"], &["resize", "--session", "a", "12by9"], &["logs", "-n", "many"]]
    {
        assert_eq!(place.say(words).code, 2, "{words:?}");
    }
}

#[test]
fn without_a_node_the_exit_code_is_four_and_the_cure_is_named() {
    let place = Place::new();
    let said = place.say(&["daemon", "status"]);
    assert_eq!(said.code, 4);
    assert!(said.err.contains("no node runs for") && said.err.contains("niia daemon start"), "{}", said.err);
    let said = place.say(&["daemon", "status", "--json"]);
    let error: serde_json::Value = serde_json::from_str(&said.err).unwrap();
    assert_eq!(error["error"]["exit"], 4);
    assert_eq!(place.say(&["daemon", "stop"]).code, 0, "what is to be stopped does not run");
}

#[test]
fn wrong_settings_are_told_with_their_place() {
    let place = Place::new();
    std::fs::write(place.state().join("config/niia.toml"), "sessions_max = 4\nnotfy = []\n").unwrap();
    place.write("connector.json", super::place::DOCUMENT);
    let said = place.say(&["plan"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("niia.toml:2:1: unknown field `notfy`"), "{}", said.err);
}

#[test]
fn the_completion_scripts_and_manual_pages_are_written() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = place.say(&["completions", shell]);
        assert_eq!(said.code, 0);
        assert!(said.out.contains("niia"), "{shell}");
    }
    assert!(place.say(&["man"]).out.contains(".TH niia"));
    let pages = place.work().join("man");
    assert_eq!(place.say(&["man", "man"]).code, 0);
    assert!(super::place::exists(&pages.join("niia.1")) && super::place::exists(&pages.join("niia-run.1")));
}

#[test]
fn a_reader_that_leaves_is_no_error_message() {
    let place = Place::new();
    let mut child = place.niia(&["schema"]).spawn().unwrap();
    drop(child.stdout.take());
    let said = super::place::said(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (141, ""));
}

#[test]
fn the_doctor_tells_each_thing_with_its_cure() {
    let place = Place::new();
    place.program("claude", "[ \"$1\" = --version ] && echo '9.9.9 (Stand-in)'");
    let said = place.say(&["doctor"]);
    assert_eq!(said.code, 0, "{}", said.out);
    let stranger = "(9.9.9 (Stand-in)); called for one prompt";
    assert!(said.out.contains(stranger), "{}", said.out);
    assert!(said.out.contains("it starts at the first command that needs it"), "{}", said.out);
    std::fs::write(place.state().join("config/niia.toml"), "x = 1").unwrap();
    let said = place.say(&["doctor", "--json"]);
    assert_eq!(said.code, 1);
    let findings: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let wrong = findings.as_array().unwrap().iter().find(|finding| finding["health"] == "fail").unwrap();
    assert_eq!(wrong["about"], "configuration");
}
