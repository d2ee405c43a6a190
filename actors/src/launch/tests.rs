//! What the plugins make of facts.

use std::collections::BTreeMap;
use std::path::PathBuf;

use niia_spec::name::Slug;
use niia_spec::plan::{Egress, NetworkPlan, OnDialog, Permission, SandboxPlan, SessionPlan};

use super::*;

pub(super) fn plan() -> SessionPlan {
    SessionPlan {
        sandbox: None,
        network: NetworkPlan::Open,
        scratchpad: true,
        env: BTreeMap::new(),
        env_from_home: Vec::new(),
        permission: Permission::WorkspaceWrite,
        timeout_ms: 7_200_000,
        resume: None,
        egress: Egress::All,
        answer_within_ms: 600_000,
        on_dialog: OnDialog::Ask,
        include: Vec::new(),
        setup: Vec::new(),
        teardown: Vec::new(),
        ports: 0,
        plugins: Vec::new(),
        cols: 120,
        rows: 40,
        shell: None,
        cwd: None,
        record: true,
        recording_bytes_max: 1 << 30,
    }
}

pub(super) fn facts() -> Facts {
    let caller = [("PATH", "/bin"), ("HOME", "/home/ada"), ("LC_ALL", "C.UTF-8"), ("CLAUDECODE", "1")];
    let more = [("GITHUB_TOKEN", "t"), ("ANTHROPIC_API_KEY", "k"), ("TERM", "dumb"), ("NIIA_RUN", "outer")];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Facts {
        session: "demo-1/review/1/1".parse().unwrap(),
        plan: plan(),
        program: Program {
            argv: vec!["claude".to_owned(), "-p".to_owned(), "hello".to_owned()],
            env: BTreeMap::new(),
            env_pass: vec!["ANTHROPIC_*".to_owned(), "CLAUDE*".to_owned()],
            ..Program::default()
        },
        caller_env: caller.iter().chain(&more).map(owned).collect(),
        own_env: BTreeMap::from([("NIIA_RUN".to_owned(), "demo-1".to_owned())]),
        place: Place::Tree {
            name: TreeName::Worker(Slug::new("review-1").unwrap()),
            path: PathBuf::from("/state/trees/review-1"),
        },
        scratchpad: Some(PathBuf::from("/state/scratchpad")),
        folder: PathBuf::from("/state/session"),
        state: PathBuf::from("/state/session/state"),
        excludes_of_user: None,
        ports: Vec::new(),
        folders_allowed: vec![PathBuf::from("/srv/allowed")],
        confining: Default::default(),
        timeout_ms_max: None,
    }
}

fn refused(facts: &Facts) -> String {
    draw_up(facts).unwrap_err().to_string()
}

#[test]
fn a_session_gets_its_tree_its_scratchpad_and_an_environment_of_its_own() {
    let launch = draw_up(&facts()).unwrap();
    let env: Vec<String> = launch.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        env,
        [
            "ANTHROPIC_API_KEY=k",
            "COLORTERM=truecolor",
            "GIT_CONFIG_COUNT=1",
            "GIT_CONFIG_KEY_0=core.excludesFile",
            "GIT_CONFIG_VALUE_0=/state/session/git-excludes",
            "HOME=/home/ada",
            "LC_ALL=C.UTF-8",
            "NIIA_RUN=demo-1",
            "NIIA_SCRATCHPAD=/state/scratchpad",
            "PATH=/bin",
            "TERM=xterm-256color",
        ]
    );
    assert_eq!(launch.cwd, PathBuf::from("/state/trees/review-1"));
    assert_eq!(launch.argv, ["claude", "-p", "hello"]);
    assert_eq!(launch.timeout_ms, 7_200_000);
}

#[test]
fn a_launch_is_the_same_after_a_journey_through_json() {
    let launch = draw_up(&facts()).unwrap();
    let text = serde_json::to_string(&launch).unwrap();
    assert_eq!(serde_json::from_str::<Launch>(&text).unwrap(), launch);
}

#[test]
fn a_secret_never_reaches_what_is_shown() {
    let mut facts = facts();
    facts.plan.env.insert("DEPLOY".to_owned(), "https://ada:swordfish@host".to_owned());
    facts.plan.env.insert("MY_TOKEN".to_owned(), "swordfish".to_owned());
    facts.program.argv.push(format!("ghp_{}", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vWxYz0123"));
    let launch = draw_up(&facts).unwrap();
    assert_eq!(launch.env["MY_TOKEN"], "swordfish", "the program itself gets it");
    for text in [format!("{launch:?}"), serde_json::to_string(&launch.shown()).unwrap()] {
        assert!(!text.contains("swordfish") && !text.contains("ghp_") && !text.contains("\"k\""), "{text}");
    }
}

#[test]
fn settings_of_git_go_behind_those_the_document_gives() {
    let mut facts = facts();
    for (name, value) in [("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "a.b"), ("GIT_CONFIG_VALUE_0", "c")]
    {
        facts.plan.env.insert(name.to_owned(), value.to_owned());
    }
    let env = draw_up(&facts).unwrap().env;
    assert_eq!((&*env["GIT_CONFIG_COUNT"], &*env["GIT_CONFIG_KEY_0"]), ("2", "a.b"));
    assert_eq!(env["GIT_CONFIG_KEY_1"], "core.excludesFile");
}

#[test]
fn names_and_values_that_no_program_could_be_given_are_refused_by_field() {
    for (name, value, error) in [
        (
            "A=B",
            "x",
            "`session.env.A=B`: the name of a variable may not be empty nor hold `=`, NUL or a line end",
        ),
        (
            "A\nB",
            "x",
            "`session.env.A\\nB`: the name of a variable may not be empty nor hold `=`, NUL or a line end",
        ),
        ("", "x", "`session.env.`: the name of a variable may not be empty nor hold `=`, NUL or a line end"),
        ("A", "x\0y", "`env.A`: a value may not hold a NUL"),
        ("NIIA_RUN", "x", "`session.env.NIIA_RUN`: names beginning with `NIIA_` are niia's own"),
        ("A", "${NOWHERE}", "not set where the run was started: `NOWHERE` (for `session.env.A`)"),
    ] {
        let mut facts = facts();
        facts.plan.env.insert(name.to_owned(), value.to_owned());
        assert_eq!(refused(&facts), error);
    }
    let mut facts = facts();
    facts.plan.env.insert("A".to_owned(), "x".repeat(200_000));
    assert_eq!(refused(&facts), "`env.A` has 200002 bytes: at most 131071 go");
    facts.plan.env = (0..6).map(|n| (format!("A{n}"), "x".repeat(100_000))).collect();
    assert!(refused(&facts).starts_with("the environment has 600"));
}

#[test]
fn a_sandbox_that_cannot_be_had_is_refused_and_nothing_runs_without() {
    let mut facts = facts();
    facts.plan.sandbox = Some(SandboxPlan { pids: Some(2), ..SandboxPlan::default() });
    assert!(refused(&facts).starts_with("REFUSED: processes: "));
    facts.plan.sandbox = None;
    facts.plan.network = NetworkPlan::None;
    assert!(refused(&facts).starts_with("REFUSED: network: "));
}

#[test]
fn a_folder_to_work_in_stays_below_the_tree_unless_policy_says_otherwise() {
    let cwd = |text: &str| {
        let mut facts = facts();
        facts.plan.cwd = Some(text.to_owned());
        draw_up(&facts)
            .map(|launch| launch.cwd.to_string_lossy().into_owned())
            .map_err(|error| error.to_string())
    };
    assert_eq!(cwd("web/app"), Ok("/state/trees/review-1/web/app".to_owned()));
    assert_eq!(cwd("/srv/allowed/x"), Ok("/srv/allowed/x".to_owned()));
    assert_eq!(cwd("../x"), Err("`cwd` leads out of the tree: `../x`".to_owned()));
    assert!(cwd("/etc").is_err() && cwd("/srv/allowed/../x").is_err() && cwd("/srv/allowedly").is_err());
}

#[test]
fn a_path_that_is_no_text_is_refused_and_never_bent() {
    use std::os::unix::ffi::OsStrExt;
    let mut facts = facts();
    facts.scratchpad = Some(PathBuf::from(std::ffi::OsStr::from_bytes(b"/state/\xff")));
    assert!(refused(&facts).starts_with("the path `/state/"));
}

#[test]
fn the_tighter_time_holds() {
    let mut facts = facts();
    facts.timeout_ms_max = Some(1000);
    assert_eq!(draw_up(&facts).unwrap().timeout_ms, 1000);
    facts.plan.timeout_ms = 10;
    assert_eq!(draw_up(&facts).unwrap().timeout_ms, 10);
    facts.plan.timeout_ms = 0;
    assert!(refused(&facts).starts_with("`timeout_ms` is 0"));
}

#[test]
fn ports_are_exported_by_number() {
    let mut facts = facts();
    facts.plan.ports = 2;
    assert_eq!(refused(&facts), "`ports` asks for 2, but 0 are reserved");
    facts.ports = vec![21_000, 21_001];
    let env = draw_up(&facts).unwrap().env;
    assert_eq!((&*env["NIIA_PORT"], &*env["NIIA_PORT_1"]), ("21000", "21001"));
}

#[test]
fn a_program_that_cannot_be_started_is_refused() {
    let mut facts = facts();
    facts.program.argv = vec!["a".to_owned(), "b\0c".to_owned()];
    assert_eq!(refused(&facts), "argument 1 of the program holds a NUL");
    facts.program.argv.clear();
    assert_eq!(refused(&facts), "the profile names no program");
    facts.program.argv = vec!["a".to_owned()];
    facts.plan.cols = 0;
    assert!(refused(&facts).starts_with("`cols` is 0"));
}
