//! What a run did to a repository: shown and merged, the user's checkout never left in a mess.

use niia::control::words::Reply;
use niia_spec::notice::RunView;

use super::place::{Place, PlayedNode, a_run};

/// A repository in which a run has changed `a.txt` on its own branch.
fn worked() -> (Place, RunView) {
    let place = Place::new();
    place.repository();
    let base = place.git(&["rev-parse", "HEAD"]);
    place.git(&["update-ref", "refs/niia/review-k3f9x/base", &base]);
    place.git(&["checkout", "-q", "-b", "niia/review-k3f9x/result"]);
    place.write("a.txt", "one\nof the run\n");
    place.git(&["commit", "-qam", "work"]);
    place.git(&["checkout", "-q", "main"]);
    let mut run = a_run(&place, "done", "done", "");
    run.repository = Some(place.work().display().to_string());
    run.branch = Some("niia/review-k3f9x/result".to_owned());
    (place, run)
}

fn node(place: &Place, run: &RunView) -> PlayedNode {
    let run = run.clone();
    PlayedNode::at(place, move |caller| {
        while caller.hear().is_some() {
            caller.answer(Reply::Run(Box::new(run.clone())));
        }
    })
}

#[test]
fn a_run_that_changed_something_is_shown_and_merged() {
    let (place, run) = worked();
    let _node = node(&place, &run);
    let said = place.say(&["diff"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("+of the run"), "{}", said.out);
    assert!(place.say(&["diff", "--stat"]).out.contains("a.txt | 1 +"));
    let json: serde_json::Value = serde_json::from_str(&place.say(&["diff", "--json"]).out).unwrap();
    assert_eq!(
        (json["files"][0]["file"].as_str(), json["files"][0]["added"].as_u64()),
        (Some("a.txt"), Some(1))
    );
    place.write("b.txt", "mine\n");
    place.git(&["add", "-A"]);
    place.git(&["commit", "-qm", "mine"]);
    std::fs::write(
        place.work().join(".git/config"),
        "[user]\n\tname = A\n\temail = a@example.com\n[core]\n\trepositoryformatversion = 0\n",
    )
    .unwrap();
    let said = place.say(&["merge"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(std::fs::read_to_string(place.work().join("a.txt")).unwrap(), "one\nof the run\n");
    assert!(place.say(&["merge"]).out.contains("nothing to merge"));
    assert!(
        place.say(&["diff"]).out.contains("+of the run"),
        "what it changed is shown after the merge, too"
    );
}

#[test]
fn a_conflict_is_named_and_nothing_is_touched() {
    let (place, run) = worked();
    let _node = node(&place, &run);
    place.write("a.txt", "one\nof mine\n");
    place.git(&["commit", "-qam", "mine"]);
    let before = place.git(&["rev-parse", "HEAD"]);
    let said = place.say(&["merge"]);
    assert_eq!(said.code, 5);
    assert!(said.err.contains("conflict in a.txt; nothing was touched"), "{}", said.err);
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert_eq!(place.git(&["rev-parse", "HEAD"]), before);
}

#[test]
fn a_run_that_goes_on_or_changed_nothing_is_not_merged() {
    let (place, mut run) = worked();
    run.state = niia_spec::notice::RunState::Running;
    let running = node(&place, &run);
    assert!(place.say(&["merge"]).err.contains("is not over yet"));
    drop(running);
    run.branch = None;
    let _node = node(&place, &run);
    let said = place.say(&["diff"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("has no branch"), "{}", said.err);
}
