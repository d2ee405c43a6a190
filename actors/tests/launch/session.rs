//! A session that is about to start.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use niia_actors::git::{LinkedWorktree, TreeName};
use niia_actors::launch::{Facts, Launch, Place, PrepareError, Prepared, Program, draw_up, prepare};
use niia_spec::plan::{Egress, NetworkPlan, OnDialog, Permission, SessionPlan};

use crate::scene::*;

pub fn plan() -> SessionPlan {
    SessionPlan {
        sandbox: None,
        network: NetworkPlan::Open,
        scratchpad: true,
        env: BTreeMap::new(),
        env_from_home: Vec::new(),
        permission: Permission::WorkspaceWrite,
        timeout_ms: 60_000,
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

pub struct Session {
    pub scene: Scene,
    pub checkout: LinkedWorktree,
    pub facts: Facts,
}

impl Session {
    pub fn new(change: impl FnOnce(&mut SessionPlan)) -> Session {
        Session::in_scene(Scene::new(), change)
    }

    pub fn in_scene(scene: Scene, change: impl FnOnce(&mut SessionPlan)) -> Session {
        let trees = scene.begin("demo-1");
        let scratchpad = scene.home().join("pad");
        std::fs::create_dir(&scratchpad).unwrap();
        let mut plan = plan();
        change(&mut plan);
        let caller = ["PATH", "HOME"].map(|name| (name.to_owned(), std::env::var(name).unwrap()));
        let facts = Facts {
            session: "demo-1/build/1/1".parse().unwrap(),
            plan,
            program: Program { argv: vec!["true".to_owned()], ..Program::default() },
            caller_env: BTreeMap::from(caller),
            own_env: BTreeMap::new(),
            place: Place::Tree { name: worker("one"), path: trees.path_of(&worker("one")) },
            scratchpad: Some(scratchpad),
            folder: scene.home().join("session"),
            state: scene.home().join("session/state"),
            excludes_of_user: None,
            ports: Vec::new(),
            folders_allowed: Vec::new(),
            confining: Default::default(),
            timeout_ms_max: None,
        };
        Session { scene, checkout: LinkedWorktree::new(trees), facts }
    }

    pub fn launch(&self) -> Launch {
        draw_up(&self.facts).unwrap()
    }

    pub fn prepare(&self) -> Result<Prepared, PrepareError> {
        prepare(&self.launch(), Some(&self.checkout))
    }

    pub fn tree(&self) -> PathBuf {
        self.checkout.trees().path_of(&self.name())
    }

    pub fn name(&self) -> TreeName {
        worker("one")
    }

    /// What a program of the session's would see.
    pub fn sh(&self, script: &str) -> String {
        let launch = self.launch();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).env_clear().envs(&launch.env).current_dir(&launch.cwd);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}
