//! History and memory of a place.

use std::collections::BTreeMap;

use niia_spec::name::Slug;
use niia_spec::notice::{PastPhase, PastWorker, RunState};

use super::*;

fn past(run: &str, ended_at_ms: u64) -> PastRun {
    let worker = PastWorker {
        worker: "1".to_owned(),
        model: "haiku".to_owned(),
        outcome: "done".to_owned(),
        prompt: Some("Look.\n# not a heading".to_owned()),
        answer: Some("We chose B.".to_owned()),
        outputs: BTreeMap::new(),
        withheld: false,
    };
    PastRun {
        run: Slug::nearest(run),
        name: "review".to_owned(),
        occasion: None,
        begun_at_ms: ended_at_ms - 1_000,
        ended_at_ms,
        state: RunState::Done,
        reason: None,
        repository: None,
        task: None,
        phases: vec![PastPhase {
            phase: "look".to_owned(),
            outcome: "done".to_owned(),
            minutes: None,
            workers: vec![worker],
        }],
    }
}

#[test]
fn a_history_tells_of_runs_in_the_order_of_time_and_of_none_that_ended_before() {
    let state = tempfile::tempdir().unwrap();
    let place = Place::at(state.path(), Path::new("/home/ada/project"));
    let day = 86_400_000;
    for (run, ended) in [("c", 3 * day), ("a", day), ("b", 2 * day)] {
        place.keep(&past(run, ended)).unwrap();
        place.keep(&past(run, ended)).unwrap();
    }
    let told = |since| {
        let (runs, unreadable) = place.since(since).unwrap();
        assert!(unreadable.is_empty());
        runs.iter().map(|past| past.run.to_string()).collect::<Vec<_>>().concat()
    };
    assert_eq!((told(0), told(2 * day), told(4 * day)), ("abc".to_owned(), "bc".to_owned(), String::new()));
    let page = fs::read_to_string(place.history().join("1970-01-01T23-59-59Z-a.md")).unwrap();
    assert!(page.contains("> We chose B.") && page.contains("> # not a heading"), "{page}");
    fs::write(place.history().join("1970-01-09T00-00-00Z-x.json"), "{").unwrap();
    let (runs, unreadable) = place.since(0).unwrap();
    assert_eq!((runs.len(), unreadable.len()), (3, 1), "what is damaged is named");
}

#[test]
fn two_places_of_one_name_are_told_apart_and_a_guest_has_none_here() {
    let state = Path::new("/state");
    let one = Place::at(state, Path::new("/a/project"));
    assert_ne!(one, Place::at(state, Path::new("/b/project")));
    let origin = Origin { cwd: "/a/project".into(), ..Origin::default() };
    assert_eq!(Place::of_run(Path::new("/state/runs/x"), &origin), Some(one));
    assert_eq!(Place::of_run(Path::new("/state/guests/x"), &origin), None);
}

#[test]
fn a_memory_past_its_bound_is_full() {
    let state = tempfile::tempdir().unwrap();
    let place = Place::at(state.path(), Path::new("/p"));
    assert_eq!(place.remembered().unwrap().files, []);
    fs::write(place.memory().join("notes.md"), "remember").unwrap();
    let view = place.remembered().unwrap();
    assert_eq!((view.files, view.bytes, view.full), (vec![("notes.md".to_owned(), 8)], 8, false));
    let big = fs::File::create(place.memory().join("big")).unwrap();
    big.set_len(MEMORY_BYTES_MAX).unwrap();
    assert!(place.remembered().unwrap().full);
}
