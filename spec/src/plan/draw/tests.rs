//! What a document becomes in a plan, field by field.

use std::path::PathBuf;

use super::{KnownProfile, Repository, Surroundings, draw};
use crate::diagnostic::Code;
use crate::name::Slug;
use crate::plan::{Plan, TreePlan, WorkerPlan, expand_run};
use crate::read::read;

fn around() -> Surroundings {
    let profile = |name: &str, lists: &[&str]| KnownProfile {
        name: name.to_owned(),
        lists: lists.iter().map(|name| (*name).to_owned()).collect(),
        program: Some(name.to_owned()),
        installed: Some(PathBuf::from("/usr/bin").join(name)),
        local: name == "ollama",
    };
    Surroundings {
        repository: Some(Repository { root: PathBuf::from("/repo") }),
        profiles: vec![
            profile("claude", &["haiku", "sonnet", "opus"]),
            profile("codex", &[]),
            profile("ollama", &[]),
        ],
        file_stem: "nightly.connector.json".to_owned(),
        hosts: vec!["Desk.local".to_owned()],
        ..Surroundings::default()
    }
}

fn plan(document: &str) -> Plan {
    let (document, found) = read(document.as_bytes(), "x.json");
    draw(&document.unwrap_or_else(|| panic!("{found:?}")), &around()).unwrap().plan
}

/// The plan of one phase, written as its fields.
fn phase(fields: &str) -> Plan {
    plan(&format!(r#"{{ "pipeline": {{ "phases": [ {{ "name": "p", {fields} }} ] }} }}"#))
}

fn worker(plan: &Plan, at: usize) -> &WorkerPlan {
    plan.phases.iter().flat_map(|phase| phase.work.workers()).nth(at).unwrap()
}

#[test]
fn a_document_without_a_name_has_its_files() {
    assert_eq!(plan("{}").name.as_str(), "nightly");
    assert_eq!(plan(r#"{ "name": "own" }"#).name.as_str(), "own");
}

#[test]
fn variables_are_written_out_and_the_runs_name_comes_last() {
    let mut plan = phase(
        r#""model": "opus", "machine": "gpu", "workers": 2, "session": { "worktree": "{phase}-{worker}-{run}" },
           "prompt": "{worker}/{workers} {phase} {name} {model} {machine} {run} {{run}} {{x}} {y}""#,
    );
    assert_eq!(worker(&plan, 1).prompt.as_deref(), Some("2/2 p nightly opus gpu {run} {{run}} {x} {y}"));
    expand_run(&mut plan, &Slug::new("nightly-ab12c").unwrap());
    assert_eq!(
        worker(&plan, 1).prompt.as_deref(),
        Some("2/2 p nightly opus gpu nightly-ab12c {run} {x} {y}")
    );
    let slug = Slug::new("p-2-nightly-ab12c").unwrap();
    assert_eq!(worker(&plan, 1).tree, TreePlan::Own { slug });
}

#[test]
fn a_long_run_name_in_a_slug_keeps_its_end() {
    let mut plan = phase(&format!(
        r#""workers": 2, "prompt": "x", "session": {{ "worktree": "{}-{{worker}}-{{run}}" }}"#,
        "a".repeat(40)
    ));
    expand_run(&mut plan, &Slug::new(&format!("{}-zz99z", "n".repeat(50))).unwrap());
    let trees: Vec<&TreePlan> = (0..2).map(|at| &worker(&plan, at).tree).collect();
    assert_ne!(trees[0], trees[1]);
    assert!(
        trees.iter().all(|tree| matches!(tree, TreePlan::Own { slug } if slug.as_str().ends_with("-zz99z")))
    );
}

#[test]
fn an_inner_session_overrides_an_outer_one_field_by_field() {
    let plan = plan(
        r#"{ "session": { "env": { "A": "doc", "B": "doc" }, "timeout_ms": 1000, "sandbox": true },
             "pipeline": { "phases": [ { "prompt": "x", "session": { "env": { "B": "phase" }, "network": false },
               "workers": [ { "session": { "env": { "C": "own" }, "timeout_ms": 9 } }, {} ] } ] } }"#,
    );
    let said = |at: usize| {
        let session = &worker(&plan, at).session;
        let env: Vec<String> = session.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("{} {} {:?} {:?}", env.join(" "), session.timeout_ms, session.network, session.egress)
    };
    assert_eq!(said(0), "A=doc B=phase C=own 9 None Result");
    assert_eq!(said(1), "A=doc B=phase 1000 None Result");
    assert!(worker(&plan, 0).session.sandbox.is_some());
}

#[test]
fn what_gives_its_result_alone_is_taken_from_no_tree_where_somebody_later_could_tell_it_on() {
    let tree = |own: &str, later: &str| {
        let plan = plan(&format!(
            r#"{{ "session": {{ "sandbox": true, "worktree": "ticket" }}, "pipeline": {{ "phases": [
                {{ "name": "look", "prompt": "x", "session": {{ {own} }} }},
                {{ "name": "mend", "prompt": "x", "session": {{ {later} }} }} ] }} }}"#
        ));
        [0, 1].map(|at| worker(&plan, at).tree == TreePlan::ReadOnly)
    };
    assert_eq!(tree(r#""network": false"#, r#""network": "provider""#), [true, false]);
    assert_eq!(tree(r#""network": false"#, r#""network": false"#), [false, false], "nobody can tell it on");
    assert_eq!(tree(r#""network": false, "egress": "all""#, r#""network": "open""#), [false, false]);
    assert_eq!(tree(r#""network": "open", "egress": "result""#, r#""network": "open""#), [true, false]);
}

#[test]
fn what_a_local_model_sees_elsewhere_stays_there() {
    let egress = |fields: &str| format!("{:?}", worker(&phase(fields), 0).session.egress);
    assert_eq!(egress(r#""prompt": "x", "model": "ollama/llama3""#), "All");
    assert_eq!(egress(r#""prompt": "x", "model": "ollama/llama3", "machine": "desk""#), "All");
    assert_eq!(egress(r#""prompt": "x", "model": "ollama/llama3", "machine": "lab""#), "Result");
    assert_eq!(egress(r#""prompt": "x", "model": "opus", "machine": "lab""#), "All");
    assert_eq!(egress(r#""prompt": "x", "model": "opus", "session": { "network": "none" }"#), "Result");
    assert_eq!(egress(r#""prompt": "x", "session": { "network": false, "egress": "all" }"#), "All");
}

#[test]
fn who_takes_over_is_written_or_falls_from_primary() {
    let models = |document: &str| {
        let plan = plan(document);
        let models = worker(&plan, 0).models.iter().map(|model| match &model.model {
            Some(name) => format!("{}/{name}", model.profile),
            None => model.profile.clone(),
        });
        models.collect::<Vec<_>>().join(" ")
    };
    let with = |models: &str, fields: &str| {
        format!(r#"{{ "models": {models}, "pipeline": {{ "phases": [ {{ "prompt": "x"{fields} }} ] }} }}"#)
    };
    let three = r#"{ "primary": "opus", "fallback": "codex", "emergency": "ollama/llama-70b" }"#;
    assert_eq!(models(&with(three, "")), "claude/opus codex ollama/llama3.3:70b");
    assert_eq!(models(&with(three, r#", "model": "primary""#)), "claude/opus codex ollama/llama3.3:70b");
    assert_eq!(models(&with(three, r#", "model": "opus""#)), "claude/opus");
    assert_eq!(
        models(&with(three, r#", "failover": ["emergency", "haiku"]"#)),
        "claude/opus ollama/llama3.3:70b claude/haiku"
    );
    assert_eq!(models(&with(three, r#", "failover": []"#)), "claude/opus");
    assert_eq!(models(&with(r#"{ "only": "haiku" }"#, "")), "claude/haiku");
    assert_eq!(models(&with(r#"{ "a": "haiku", "b": "codex" }"#, "")), "claude");
    assert_eq!(models(&with(r#"{ "claude": "claude/opus" }"#, r#", "model": "claude""#)), "claude/opus");
}

#[test]
fn no_model_anywhere_is_an_error_and_a_default_is_taken_first() {
    let (document, _) = read(br#"{ "pipeline": { "phases": [ { "prompt": "x" } ] } }"#, "x.json");
    let document = document.unwrap();
    let mut around = around();
    around.default_model = Some("codex".to_owned());
    let drawn = draw(&document, &around).unwrap();
    assert_eq!(worker(&drawn.plan, 0).models[0].because, "no model given: the node's default_model; codex");
    around.default_model = None;
    around.profiles.iter_mut().for_each(|profile| profile.installed = None);
    let found = draw(&document, &around).unwrap_err();
    assert_eq!(found.iter().map(|one| one.code).collect::<Vec<_>>(), [Code::NoModel]);
}

#[test]
fn every_worker_has_the_tree_the_rules_give_it() {
    let trees = |document: &str| {
        let plan = plan(document);
        let trees =
            plan.phases.iter().flat_map(|phase| phase.work.workers()).map(|worker| match &worker.tree {
                TreePlan::Own { slug } => slug.to_string(),
                TreePlan::Shared { slug, line: false } => format!("={slug}"),
                TreePlan::Shared { slug, line: true } => format!("|{slug}"),
                other => format!("{other:?}"),
            });
        trees.collect::<Vec<_>>().join(" ")
    };
    let phases = |phases: &str| trees(&format!(r#"{{ "pipeline": {{ "phases": [ {phases} ] }} }}"#));
    assert_eq!(phases(r#"{ "name": "a", "workers": 2 }, { "name": "b" }"#), "a-1 a-2 Result");
    assert_eq!(phases(r#"{ "workers": 2, "session": { "worktree": "w-{worker}" } }"#), "w-1 w-2");
    assert_eq!(
        phases(r#"{ "workers": 2, "session": { "worktree": "w-{phase}" } }"#),
        "=w-phase-1 =w-phase-1"
    );
    assert_eq!(
        phases(r#"{ "workers": 2, "session": { "worktree": "w" } }, { "session": { "worktree": "w" } }"#),
        "=w =w =w"
    );
    assert_eq!(phases(r#"{ "workers": [ { "session": { "worktree": "w" } }, {} ] }"#), "|w phase-1-2");
    assert_eq!(
        phases(r#"{ "name": "a", "workers": 2 }, { "session": { "worktree": "a-1" } }"#),
        "=a-1 a-2 =a-1"
    );
    assert_eq!(phases(r#"{ "session": { "worktree": false } }"#), "Checkout");
    let meeting = r#"{ "type": "meeting", "agenda": [ { "topic": "t" } ], "participants": [ {}, {} ]"#;
    assert_eq!(phases(&format!("{meeting} }}")), "ReadOnly ReadOnly");
    assert_eq!(
        phases(&format!(r#"{meeting}, "session": {{ "permission": "full" }} }}"#)),
        "=phase-1 =phase-1"
    );
    assert_eq!(
        trees(r#"{ "agents": [ { "id": "a" }, { "id": "b" }, { "id": "c", "machine": "lab" } ] }"#),
        "=mesh =mesh =mesh-lab"
    );
    assert_eq!(trees("{}"), "Result");
}

#[test]
fn a_phase_comes_after_the_one_before_it_unless_it_says_otherwise() {
    let plan = plan(
        r#"{ "pipeline": { "phases": [ {"name":"a"}, {"name":"b"}, {"name":"c","after":["a"]}, {"name":"d","after":[]} ] } }"#,
    );
    let after: Vec<String> = plan
        .phases
        .iter()
        .map(|phase| phase.after.iter().map(Slug::as_str).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(after, ["", "a", "a", ""]);
}

#[test]
fn a_phase_may_tighten_the_limits_and_not_loosen_them() {
    let plan = plan(
        r#"{ "limits": { "max_cost_usd": 5, "max_turns": 10 }, "pipeline": { "phases": [
             { "limits": { "max_cost_usd": 9, "max_turns": 3, "on_unknown_cost": "deny" } } ] } }"#,
    );
    let limits = &plan.phases[0].limits;
    assert_eq!((limits.max_cost_usd, limits.max_turns, limits.deny_unknown_cost), (Some(5.0), 3, true));
    assert_eq!((plan.limits.max_turns, plan.limits.max_depth, plan.limits.max_total_agents), (10, 8, 200));
}

#[test]
fn the_scratchpad_is_on_unless_the_nearest_word_says_false() {
    let on = |document: &str| {
        let plan = plan(document);
        (plan.phases[0].scratchpad, worker(&plan, 0).session.scratchpad)
    };
    assert_eq!(on(r#"{ "pipeline": { "phases": [ {} ] } }"#), (true, true));
    assert_eq!(on(r#"{ "pipeline": { "phases": [ {} ], "scratchpad": false } }"#), (false, false));
    assert_eq!(
        on(r#"{ "pipeline": { "phases": [ { "scratchpad": true } ], "scratchpad": false } }"#),
        (true, true)
    );
    assert_eq!(
        on(r#"{ "session": { "scratchpad": false }, "pipeline": { "phases": [ {} ] } }"#),
        (true, false)
    );
    assert_eq!(
        on(r#"{ "pipeline": { "phases": [ { "session": { "scratchpad": false } } ] } }"#),
        (true, false)
    );
}

#[test]
fn a_plan_survives_being_written_down() {
    let plan =
        phase(r#""prompt": "x", "workers": 2, "model": "opus", "machine": { "labels": { "gpu": "a" } }"#);
    let json = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&json).unwrap(), plan);
    let packed = rmp_serde::to_vec_named(&plan).unwrap();
    assert_eq!(rmp_serde::from_slice::<Plan>(&packed).unwrap(), plan);
}

#[test]
fn a_fragment_is_read_and_cannot_be_run() {
    for (text, key) in [
        (r#"{ "primary": "claude", "review": "codex" }"#, "models"),
        (r#"{ "phases": [ { "prompt": "x" } ] }"#, "pipeline"),
    ] {
        let (document, found) = read(text.as_bytes(), "x.json");
        let told: Vec<(Code, bool)> =
            found.iter().map(|one| (one.code, one.message.contains(&format!("`{key}`")))).collect();
        assert_eq!(told, [(Code::Fragment, true)], "{text}");
        let found = draw(&document.unwrap(), &around()).unwrap_err();
        assert_eq!(found[0].code, Code::NothingToRun);
    }
}
