//! `niia rehearse`: the whole document with stand-ins instead of models, in a node and a repository of its own.

pub mod worker;

use std::path::{Path, PathBuf};
use std::process::Command;

use niia_spec::course::PhaseOutcome;
use niia_spec::diagnostic::Code;
use niia_spec::notice::RunView;
use niia_spec::plan::draw::{Repository, Surroundings};
use niia_spec::plan::{PhaseWork, Plan};
use niia_spec::rehearsal::{self, Rehearsal};
use serde_json::json;

use super::document::{self, Drawn, Sound};
use super::follow::{Followed, follow};
use super::origin::{Extra, origin};
use super::surroundings::surroundings;
use super::{Caller, daemon, say, say_json};
use crate::cli::rehearse::Rehearse;
use crate::config::Folders;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral;

/// What stand-ins are told where the document leaves its goal to the command line.
const TASK: &str = "This is a rehearsal.";

pub async fn rehearse(caller: &Caller, words: Rehearse) -> Result<Exit, Failure> {
    let mut sound = document::load(caller, words.file.as_deref())?;
    let told = sound.document.task.is_some();
    document::set_task(&mut sound, words.task.or_else(|| (!told).then(|| TASK.to_owned())));
    let stage = Stage::set()?;
    let mut around = surroundings(caller, &sound.name)?;
    around.repository = Some(Repository { root: stage.repository() });
    let path = sound.path.clone();
    let Drawn { plan, mut warnings, text } = document::draw(caller, sound, &around)?;
    // Whose part is played need not be there.
    warnings.retain(|finding| finding.code != Code::ProgramAbsent);
    document::tell(caller, &warnings, &text);
    check_within(caller, &plan, path.as_deref(), &around)?;
    let program =
        std::env::current_exe().map_err(|error| Failure::trouble("niia does not find itself", error))?;
    let program = program.display().to_string();
    let rehearsal = rehearsal::rehearse(plan, &words.fault, &words.set, &program)
        .map_err(|error| Failure::usage("it cannot be rehearsed so").because(error))?;
    if !caller.json {
        rehearsal.notes.iter().for_each(|note| eprintln!("note: in a rehearsal {note}"));
    }
    let played = play(caller, &stage, rehearsal, &program).await;
    // Whatever came of it: nothing stays.
    let struck = stage.strike().await;
    let exit = played?;
    struck.map(|()| exit)
}

/// A connector within the document is played by one stand-in, so that it is looked at here.
fn check_within(
    caller: &Caller,
    plan: &Plan,
    document: Option<&Path>,
    around: &Surroundings,
) -> Result<(), Failure> {
    let folder = document.and_then(Path::parent).unwrap_or(Path::new("."));
    for phase in &plan.phases {
        if let PhaseWork::Connector { path, .. } = &phase.work {
            let file = folder.join(path).display().to_string();
            let mut sound: Sound = document::load(caller, Some(&file))?;
            document::set_task(&mut sound, Some(TASK.to_owned()));
            document::draw(caller, sound, around)?;
        }
    }
    Ok(())
}

async fn play(caller: &Caller, stage: &Stage, rehearsal: Rehearsal, program: &str) -> Result<Exit, Failure> {
    let Rehearsal { plan, notes } = rehearsal;
    let there = Caller {
        json: caller.json,
        folders: Folders { state: stage.state(), config: caller.folders.config.clone() },
        machine: None,
    };
    std::env::set_current_dir(stage.repository())
        .map_err(|error| Failure::trouble("the rehearsal's folder is gone", error))?;
    let extra = Extra { repository: Some(stage.repository()), ..Extra::default() };
    let mut origin = origin(caller, &plan, extra)?;
    origin.plugins.clear();
    origin.profiles.push((format!("{}.toml", rehearsal::PROFILE), rehearsal::profile(program)));
    let mut client = Client::reach(&there.folders).await?;
    let request = Request::Run { plan: Box::new(plan), origin: Box::new(origin) };
    let Reply::Accepted { run, .. } = client.ask(request).await? else {
        return Err(Failure::out_of_turn("run"));
    };
    match follow(&there, run.as_str(), client, false).await? {
        Followed::Detached => Err(Failure::new(Exit::Failed, "the rehearsal was broken off")),
        Followed::Over { view, exit } => {
            tell(caller, &view, &notes)?;
            Ok(exit)
        }
    }
}

/// How it went, phase by phase, and the report.
fn tell(caller: &Caller, view: &RunView, notes: &[String]) -> Result<(), Failure> {
    let report = view.report.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    if caller.json {
        return say_json(&json!({ "run": view, "report": report, "notes": notes }));
    }
    let mut text = String::new();
    for phase in &view.phases {
        let word = match &phase.outcome {
            None => "not begun".to_owned(),
            Some(PhaseOutcome::Done) => "done".to_owned(),
            Some(PhaseOutcome::Skipped { reason }) => format!("skipped: {reason}"),
            Some(PhaseOutcome::Failed { reason }) => format!("failed: {reason}"),
            Some(other) => format!("{other:?}"),
        };
        text.push_str(&format!("{}  {}\n", neutral(phase.phase.as_str()), neutral(&word)));
    }
    if let Some(reason) = &view.reason {
        text.push_str(&format!("{}: {}\n", crate::report::run::state_word(view.state), neutral(reason)));
    }
    say(&text)
}

/// A folder with a node's state and a repository, which are of the rehearsal alone.
#[derive(Debug)]
struct Stage(tempfile::TempDir);

impl Stage {
    fn set() -> Result<Stage, Failure> {
        let folder = tempfile::Builder::new().prefix("niia-rehearsal-").tempdir();
        let folder = folder.map_err(|error| Failure::trouble("there is no place for a rehearsal", error))?;
        let stage = Stage(folder);
        stage.begin_repository()?;
        Ok(stage)
    }

    fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    fn repository(&self) -> PathBuf {
        self.0.path().join("repository")
    }

    /// A repository with one commit; none of the user's settings count in it.
    fn begin_repository(&self) -> Result<(), Failure> {
        let folder = self.repository();
        let trouble = |error| Failure::trouble("the rehearsal's repository cannot be made", error);
        std::fs::create_dir(&folder).map_err(trouble)?;
        std::fs::write(folder.join("README.md"), "# A rehearsal\n").map_err(trouble)?;
        let who = ["-c", "user.name=niia", "-c", "user.email=niia@localhost", "-c", "commit.gpgsign=false"];
        for words in [&["init", "--quiet"][..], &["add", "--all"], &["commit", "--quiet", "-m", "The stage"]]
        {
            let mut git = Command::new("git");
            git.args(who).args(words).current_dir(&folder);
            git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
            let status = git.status().map_err(trouble)?;
            if !status.success() {
                let message = format!("the rehearsal's repository cannot be made: git {} failed", words[0]);
                return Err(Failure::new(Exit::Failed, message));
            }
        }
        Ok(())
    }

    /// Ends its node and removes it all.
    async fn strike(self) -> Result<(), Failure> {
        let folders = Folders { state: self.state(), config: self.state() };
        daemon::end(&folders, true).await?;
        // Who stands in a folder keeps it from going on some systems.
        drop(std::env::set_current_dir("/"));
        self.0.close().map_err(|error| Failure::trouble("the rehearsal's folder stays behind", error))
    }
}
