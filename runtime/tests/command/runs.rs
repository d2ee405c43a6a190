//! Looking at runs and sessions, and deciding about them.

use niia::control::words::{NodeView, Refusal, RefusalCode, Reply, Request};
use niia_spec::notice::{JournalLine, Receipt, SessionView};
use serde_json::json;

use super::place::{Place, PlayedNode, a_run};

fn node(place: &Place, answer: impl Fn(Request) -> Reply + Send + Sync + 'static) -> PlayedNode {
    PlayedNode::at(place, move |caller| {
        while let Some(request) = caller.hear() {
            caller.answer(answer(request));
        }
    })
}

fn a_session(state: &str) -> SessionView {
    serde_json::from_value(json!({
        "session": { "run": "review-k3f9x", "attempt": { "worker": { "phase": "find", "worker": "1" }, "attempt": 1 } },
        "state": state, "rule": "prompt-shown", "excerpt": "> \u{1b}[31m?", "since_ms": 1_000_000_u64,
        "profile": "claude", "model": "opus", "pid": 77, "cwd": "/w", "printed_bytes": 2048, "folder": "/s/log",
        "cols": 120, "rows": 40, "held_by": null,
    }))
    .unwrap()
}

#[test]
fn a_status_shows_each_worker_and_its_exit_code_says_how_the_run_stands() {
    let place = Place::new();
    let mut run = a_run(&place, "failed", "failed", "");
    run.reason = Some("find/1 failed\u{1b}[2J".to_owned());
    let data = run.clone();
    let _node = node(&place, move |_| Reply::Run(Box::new(run.clone())));
    let said = place.say(&["status", "review"]);
    assert_eq!(said.code, 1);
    let text = said.out.replace(&place.state().display().to_string(), "STATE");
    insta::assert_snapshot!(text);
    let json: niia_spec::notice::RunView =
        serde_json::from_str(&place.say(&["status", "--json"]).out).unwrap();
    assert_eq!(json, data);
}

#[test]
fn a_run_that_waits_for_a_person_says_how_to_answer() {
    let place = Place::new();
    let mut run = a_run(&place, "running", "waiting", "");
    run.phases[0].state = niia_spec::notice::PhaseState::Asking;
    let _node = node(&place, move |request| match request {
        Request::Approve { phase: Some(phase), .. } if phase == "find" => Reply::Done,
        Request::Approve { .. } => Reply::Refused(Refusal {
            code: RefusalCode::Ambiguous,
            message: "two phases ask".to_owned(),
            help: None,
        }),
        _ => Reply::Run(Box::new(run.clone())),
    });
    let said = place.say(&["status"]);
    assert_eq!(said.code, 5);
    assert!(said.out.contains("niia approve --phase find"), "{}", said.out);
    assert_eq!(place.say(&["approve", "--phase", "find"]).code, 0);
    assert_eq!(place.say(&["approve"]).code, 2);
}

#[test]
fn runs_are_listed_and_none_is_said() {
    let place = Place::new();
    let run = a_run(&place, "done", "done", "");
    let _node = node(&place, move |request| match request {
        Request::Runs { limit: 1 } => Reply::Runs(vec![run.clone()]),
        _ => Reply::Runs(Vec::new()),
    });
    let said = place.say(&["runs", "-n", "1"]);
    assert!(said.out.contains("review-k3f9x  done   1970-01-01 00:16:40  1 min 02 s  1/1"), "{}", said.out);
    assert!(place.say(&["runs"]).out.contains("no runs yet"));
    assert_eq!(place.say(&["runs", "--json"]).out, "[]\n");
}

#[test]
fn a_session_is_explained_by_its_evidence() {
    let place = Place::new();
    let _node = node(&place, |request| match request {
        Request::Sessions { .. } => Reply::Sessions(vec![a_session("waiting_input(permission)")]),
        _ => Reply::Session(Box::new(a_session("ready"))),
    });
    let said = place.say(&["explain", "review-k3f9x/find/1/1"]);
    assert!(said.out.contains("prompt-shown") && said.out.contains("ready"), "{}", said.out);
    let listed = place.say(&["sessions"]);
    assert!(listed.out.contains("waiting_input(permission)"), "{}", listed.out);
    assert!(!listed.out.contains('\u{1b}') && !said.out.contains('\u{1b}'));
}

#[test]
fn a_run_is_explained_from_its_journal() {
    let place = Place::new();
    let line = |seq, at_ms, event, commands| JournalLine { seq, at_ms, event, commands };
    let attempt = json!({ "worker": { "phase": "find", "worker": "1" }, "attempt": 1 });
    let run = a_run(&place, "running", "waiting", "");
    let _node = node(&place, move |request| match request {
        Request::Journal { .. } => Reply::Journal(vec![
            line(
                1,
                1_000_000,
                json!("begun"),
                json!([{ "open": { "phase": "find" } }, { "start": { "attempt": attempt, "model": 0 } }]),
            ),
            line(2, 1_002_500, json!({ "started": { "attempt": attempt } }), json!([])),
            line(3, 1_003_000, json!({ "unheard_of": 1 }), json!([])),
        ]),
        _ => Reply::Run(Box::new(run.clone())),
    });
    insta::assert_snapshot!(place.say(&["explain", "review-k3f9x"]).out);
}

#[test]
fn rules_of_a_profile_are_tried_on_a_screen() {
    let place = Place::new();
    place.write("screen.txt", "\u{1b}[1mAPI Error: 429\u{1b}[0m rate limit");
    let said = place.say(&["explain", "--screen", "screen.txt", "--profile", "claude"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("error rule") && said.out.contains("rate_limited"), "{}", said.out);
    let said = place.say(&["explain", "--screen", "screen.txt", "--profile", "cluade"]);
    assert_eq!(said.code, 2);
}

#[test]
fn the_receipt_of_a_text_is_its_exit_code() {
    let cases = [
        (Receipt::Submitted, 0),
        (Receipt::TurnEnded, 0),
        (Receipt::Typed, 1),
        (Receipt::TypedNotSubmitted { reason: "Enter was swallowed".to_owned() }, 1),
        (Receipt::Undelivered { reason: "held: person typing".to_owned() }, 1),
        (Receipt::Unknown { reason: "the node was restarted".to_owned() }, 1),
    ];
    for (receipt, code) in cases {
        let place = Place::new();
        let answer = receipt.clone();
        let _node = node(&place, move |_| Reply::Receipt(answer.clone()));
        let said = place.say(&["write", "--session", "find/1", "go on"]);
        assert_eq!(said.code, code, "{receipt:?}: {}", said.out);
    }
}

#[test]
fn a_screen_is_read_as_text_that_can_do_nothing() {
    let place = Place::new();
    let _node = node(&place, |_| Reply::Screen {
        text: "one\n\u{1b}[2Jtwo\n\n\n".to_owned(),
        title: "t".to_owned(),
        cursor: (1, 2),
    });
    assert_eq!(place.say(&["read", "find/1"]).out, "one\n[2Jtwo\n");
    let json: serde_json::Value =
        serde_json::from_str(&place.say(&["read", "find/1", "--json"]).out).unwrap();
    assert_eq!((json["title"].as_str(), json["cursor"][1].as_u64()), (Some("t"), Some(2)));
}

#[test]
fn the_node_says_how_it_is() {
    let place = Place::new();
    let state_folder = place.state();
    let _node = node(&place, move |_| {
        Reply::Node(Box::new(NodeView {
            version: "0.1.0".to_owned(),
            pid: 7,
            state_folder: state_folder.clone(),
            up_ms: 61_000,
            runs_live: 1,
            sessions_live: 2,
            sessions_max: 64,
            memory_floor_mib: 512,
            degraded: Some("disk full".to_owned()),
            breakers: Vec::new(),
            webhook: None,
        }))
    });
    let said = place.say(&["daemon", "status"]);
    assert_eq!(said.code, 0);
    insta::assert_snapshot!(said.out.replace(&place.state().display().to_string(), "STATE"));
}

#[test]
fn an_id_is_completed_by_asking_the_node() {
    let place = Place::new();
    let run = a_run(&place, "done", "done", "");
    let _node = node(&place, move |request| match request {
        Request::Runs { .. } => Reply::Runs(vec![run.clone()]),
        _ => Reply::Sessions(vec![a_session("ready")]),
    });
    let complete = |words: &[&str]| {
        let mut command = place.niia(&["--", "niia"]);
        let index = words.len().to_string();
        command.args(words).env("COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", index).env("_CLAP_IFS", "\n");
        super::place::said(command.output().unwrap()).out
    };
    assert_eq!(complete(&["status", "rev"]), "review-k3f9x");
    assert_eq!(complete(&["attach", "review-k3f9x/"]), "review-k3f9x/find/1/1");
}
