//! Plans for which there is no course, and bounds on what workers may tell.

use std::sync::Arc;

use niia_spec::course::{
    CLAIM_KEY_BYTES_MAX, CLAIMS_MAX, CourseError, Event, OUTPUT_KEY_BYTES_MAX, OUTPUT_KEYS_MAX,
    OUTPUT_VALUE_BYTES_MAX, RunCourse,
};
use niia_spec::name::WorkerId;
use niia_spec::plan::{PhaseWork, Plan};
use serde_json::Value;

use crate::document::{judge, plan, slug};

fn refusal(plan: Plan) -> String {
    let error: Option<CourseError> = RunCourse::new(Arc::new(plan), judge).err();
    error.map(|error| error.to_string()).unwrap_or_default()
}

fn one_phase() -> Plan {
    Arc::unwrap_or_clone(plan("talk/1: claude"))
}

#[test]
fn a_phase_of_steps_without_a_step_is_refused() {
    let mut plan = one_phase();
    plan.phases[0].work = PhaseWork::Steps;
    assert_eq!(
        refusal(plan),
        "phase `talk` is of type steps without a step, which this version cannot perform"
    );
}

#[test]
fn a_plan_whose_names_lead_nowhere_or_in_a_circle_is_refused() {
    let refused = |text: &str| refusal(Arc::unwrap_or_clone(plan(text)));
    assert_eq!(refused("a/1: x\na: after b"), "phase `a` comes after `b`, which is no phase");
    assert_eq!(refused("a/1: x\na: after b\nb/1: x"), "phase `a` comes after itself");
    assert_eq!(refused("a/1: x\na/1: x"), "two workers are called `a/1`");
    assert_eq!(refused("a/merge: x"), "`a/merge` has the name of the worker that mends merges");
    let mut twice = one_phase();
    twice.phases.push(twice.phases[0].clone());
    assert_eq!(refusal(twice), "two phases are called `talk`");
}

fn begun() -> (RunCourse, WorkerId) {
    let mut course = RunCourse::new(plan("work/1: claude"), judge).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(course.on(&Event::Begun).len(), 3);
    (course, WorkerId { phase: slug("work"), worker: slug("1") })
}

#[test]
fn outputs_are_kept_up_to_their_bounds() {
    let (mut course, worker) = begun();
    let mut publish = |key: String, value: Value| {
        let commands = course.on(&Event::Published { worker: worker.clone(), key, value });
        assert_eq!(commands, []);
        course.outputs().phases[0].workers[0].values.len()
    };
    let longest = OUTPUT_VALUE_BYTES_MAX - 2; // The quotes count.
    assert_eq!(publish("key".to_owned(), "x".repeat(longest + 1).into()), 0);
    assert_eq!(publish("key".to_owned(), "x".repeat(longest).into()), 1);
    assert_eq!(publish("k".repeat(OUTPUT_KEY_BYTES_MAX + 1), "x".into()), 1);
    assert_eq!(publish("k".repeat(OUTPUT_KEY_BYTES_MAX), "x".into()), 2);
    for n in 2..OUTPUT_KEYS_MAX {
        assert_eq!(publish(format!("key-{n}"), n.into()), n + 1);
    }
    assert_eq!(publish("one-more".to_owned(), "x".into()), OUTPUT_KEYS_MAX);
    assert_eq!(publish("key".to_owned(), "replaced".into()), OUTPUT_KEYS_MAX);
    assert_eq!(course.outputs().phases[0].workers[0].values["key"], "replaced");
}

#[test]
fn claims_are_kept_up_to_their_bounds() {
    let (mut course, by) = begun();
    let mut claim = |key: String| {
        let commands = course.on(&Event::Claimed { key: key.clone(), by: by.clone() });
        assert_eq!(commands, []);
        course.holder(&key).is_some()
    };
    assert!(!claim("k".repeat(CLAIM_KEY_BYTES_MAX + 1)));
    assert!(claim("k".repeat(CLAIM_KEY_BYTES_MAX)));
    for n in 1..CLAIMS_MAX {
        assert!(claim(n.to_string()), "claim {n}");
    }
    assert!(!claim("one more".to_owned()));
}
