//! What a run did to a repository: shown and merged, the user's checkout never left in a mess.

use std::path::{Path, PathBuf};

use niia::control::words::{Reply, Request};
use niia_actors::git::{Repository, RunTrees, TreeName};
use niia_spec::name::Slug;
use niia_spec::notice::RunView;

use super::place::{Place, PlayedNode, a_run};

/// A repository in which a run has changed `a.txt` on its own branch, and a tree it left.
fn worked() -> (Place, RunView, PathBuf) {
    let place = Place::new();
    place.repository();
    let mut run = a_run(&place, "done", "done", "");
    run.repository = Some(place.work().display().to_string());
    run.branch = Some("niia/review-k3f9x/result".to_owned());
    let folder = Path::new(&run.folder).join("git");
    std::fs::create_dir_all(&run.folder).unwrap();
    let repository = Repository::discover(&place.work()).unwrap();
    let head = repository.head.clone().unwrap();
    let trees = RunTrees::begin(&repository, &run.run, &folder, &head).unwrap();
    let tree = trees.create(&TreeName::Worker(Slug::new("find-1").unwrap()), &head).unwrap();
    place.git(&["checkout", "-q", "niia/review-k3f9x/result"]);
    place.write("a.txt", "one\nof the run\n");
    place.git(&["commit", "-qam", "work"]);
    place.git(&["checkout", "-q", "main"]);
    (place, run, tree.path)
}

fn node(place: &Place, run: &RunView) -> PlayedNode {
    let run = run.clone();
    PlayedNode::at(place, move |caller| {
        while let Some(request) = caller.hear() {
            caller.answer(match request {
                Request::Runs { .. } => Reply::Runs(vec![run.clone()]),
                _ => Reply::Run(Box::new(run.clone())),
            });
        }
    })
}

#[test]
fn a_run_that_changed_something_is_shown_and_merged() {
    let (place, run, _) = worked();
    let _node = node(&place, &run);
    let said = place.say(&["diff"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("+of the run"), "{}", said.out);
    assert!(place.say(&["diff", "--stat"]).out.contains("1 file changed"));
    let json: serde_json::Value = serde_json::from_str(&place.say(&["diff", "--json"]).out).unwrap();
    assert_eq!(
        (json["files"][0]["file"].as_str(), json["files"][0]["change"].as_str()),
        (Some("a.txt"), Some("M"))
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
    let (place, run, _) = worked();
    let _node = node(&place, &run);
    place.write("a.txt", "one\nof mine\n");
    place.git(&["commit", "-qam", "mine"]);
    let before = place.git(&["rev-parse", "HEAD"]);
    let said = place.say(&["merge"]);
    assert_eq!(said.code, 5);
    assert!(said.err.contains("nothing was merged") && said.err.contains("a.txt"), "{}", said.err);
    assert_eq!(place.git(&["status", "--porcelain"]), "");
    assert_eq!(place.git(&["rev-parse", "HEAD"]), before);
}

#[test]
fn a_run_that_goes_on_or_changed_nothing_is_not_merged() {
    let (place, mut run, _) = worked();
    run.state = niia_spec::notice::RunState::Running;
    let running = node(&place, &run);
    assert!(place.say(&["merge"]).err.contains("is not over yet"));
    drop(running);
    run.repository = None;
    let _node = node(&place, &run);
    let said = place.say(&["diff"]);
    assert_eq!(said.code, 1);
    assert!(said.err.contains("did not work in a repository"), "{}", said.err);
}

#[test]
fn changes_that_are_not_committed_are_in_nobodys_way_unless_they_are_the_same_files() {
    let (place, run, _) = worked();
    let _node = node(&place, &run);
    place.write("a.txt", "one\nnot committed\n");
    let said = place.say(&["merge"]);
    assert_eq!(said.code, 5, "{}", said.err);
    assert!(said.err.contains("a.txt") && said.err.contains("commit, stash"), "{}", said.err);
    assert_eq!(std::fs::read_to_string(place.work().join("a.txt")).unwrap(), "one\nnot committed\n");
}

#[test]
fn trees_of_old_runs_are_taken_away_and_what_no_commit_holds_is_put_aside() {
    let (place, mut run, tree) = worked();
    let _node = node(&place, &run);
    std::fs::write(tree.join("thought.txt"), "not committed").unwrap();
    let said = place.say(&["gc", "--dry-run"]);
    assert!(said.out.contains("would be removed"), "{}", said.out);
    assert!(tree.exists());
    let said = place.say(&["gc"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(said.out.contains("what was not committed lies in"), "{}", said.out);
    assert!(!tree.exists());
    assert!(place.say(&["gc"]).out.contains("nothing to take away"));
    let kept = place.git(&["branch", "--list", "niia/*"]);
    assert!(kept.contains("niia/review-k3f9x/result"), "{kept}");
    run.ended_at_ms = None;
    run.state = niia_spec::notice::RunState::Running;
    let _node = node(&place, &run);
    assert!(place.say(&["gc"]).out.contains("nothing to take away"), "a run that goes on keeps everything");
}
