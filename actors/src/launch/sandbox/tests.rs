use niia_spec::plan::SandboxPlan;

use super::*;
use crate::launch::draw_up;
use crate::launch::tests::facts;

fn policy(change: impl FnOnce(&mut Facts)) -> (Policy, Launch) {
    let mut facts = facts();
    facts.plan.sandbox = Some(SandboxPlan::default());
    facts.confining.state_folder = PathBuf::from("/state");
    change(&mut facts);
    let mut launch = draw_up(&facts).unwrap();
    confine(&mut launch, &facts).unwrap();
    (launch.policy.clone().unwrap(), launch)
}

fn paths(paths: &[PathBuf]) -> Vec<&str> {
    paths.iter().map(|path| path.to_str().unwrap()).collect()
}

#[test]
fn a_sandboxed_session_may_write_its_tree_and_scratchpad_and_sees_nothing_else_of_the_node() {
    let (policy, launch) = policy(|_| ());
    assert_eq!(paths(&policy.write), ["/state/scratchpad", "/state/trees/review-1"]);
    assert_eq!(paths(&policy.sockets), ["/state/session/control"]);
    assert!(policy.hidden.contains(&PathBuf::from("/state")));
    assert!(policy.hidden.contains(&PathBuf::from("/home/ada/.ssh")));
    assert_eq!(launch.env[SOCKET_VARIABLE], "/state/session/control/node.sock");
    assert_eq!(policy.network, Network::Open);
    assert_eq!(policy.pids_max, Some(PIDS_MAX_DEFAULT));
    policy.check().unwrap();
}

#[test]
fn what_the_document_adds_is_of_the_tree_the_home_or_absolute() {
    let (policy, _) = policy(|facts| {
        facts.plan.sandbox = Some(SandboxPlan {
            write: vec!["./out".to_owned(), "~/cache".to_owned(), "/srv/data".to_owned()],
            read_deny: vec!["secret".to_owned()],
            memory_mb: Some(512),
            pids: Some(99),
        });
    });
    for path in ["/state/trees/review-1/out", "/home/ada/cache", "/srv/data"] {
        assert!(policy.write.contains(&PathBuf::from(path)), "{path}");
    }
    assert!(policy.hidden.contains(&PathBuf::from("/state/trees/review-1/secret")));
    assert_eq!((policy.memory_bytes_max, policy.pids_max), (Some(512 << 20), Some(99)));
}

#[test]
fn a_session_that_is_another_user_than_the_node_has_a_home_of_its_own() {
    let (policy, launch) = policy(|facts| facts.confining.run_as = Some(RunAs { uid: 1000, gid: 1000 }));
    assert_eq!(launch.env["HOME"], "/state/session/home");
    assert!(policy.write.contains(&PathBuf::from("/state/session/home")));
    assert_eq!(policy.run_as, Some(RunAs { uid: 1000, gid: 1000 }));
}

#[test]
fn a_session_without_a_sandbox_has_no_policy() {
    let facts = facts();
    let mut launch = draw_up(&facts).unwrap();
    confine(&mut launch, &facts).unwrap();
    assert_eq!(launch.policy, None);
}

#[test]
fn the_past_is_read_and_the_memory_is_written_where_what_is_said_may_go_on() {
    let policy = |egress| {
        let (policy, _) = policy(|facts| {
            facts.plan.egress = egress;
            for (name, path) in [
                (EVENT_VARIABLE, "/state/runs/x/event.json"),
                (HISTORY_VARIABLE, "/state/places/p/history"),
                (MEMORY_VARIABLE, "/state/places/p/memory"),
            ] {
                facts.own_env.insert(name.to_owned(), path.to_owned());
            }
        });
        policy.check().unwrap();
        policy
    };
    let has = |list: &[PathBuf], path: &str| list.contains(&PathBuf::from(path));
    let open = policy(Egress::All);
    assert!(has(&open.read_only, "/state/runs/x/event.json"));
    assert!(has(&open.read_only, "/state/places/p/history"));
    assert!(has(&open.write, "/state/places/p/memory"));
    let kept = policy(Egress::Result);
    assert!(has(&kept.read_only, "/state/places/p/memory") && !has(&kept.write, "/state/places/p/memory"));
}
