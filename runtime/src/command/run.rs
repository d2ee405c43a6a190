//! `niia run`: the only reader of the user's files. It reads, draws, asks what only a person can say, and hands the
//! plan to the node; the run is durable before its id is printed.

mod event;
mod home;
pub mod person;
mod servers;

use std::fs;
use std::io::Read;
use std::path::Path;

use niia_spec::diagnostic::{Code, Diagnostic, Severity};
use niia_spec::notice::{RunState, RunView};
use niia_spec::plan::{PhaseWork, Plan, TreePlan};
use serde_json::json;

use self::person::Person;
use super::checkout::Checkout;
use super::document::{self, Drawn, Sound};
use super::follow::{Followed, follow};
use super::origin::{Extra, origin, origin_for_elsewhere};
use super::surroundings::surroundings;
use super::{Caller, say, say_json};
use crate::cli::runs::Run;
use crate::control::client::Client;
use crate::control::words::{Reply, Request};
use crate::failure::{Exit, Failure};
use crate::report::neutral_lines;

/// How many lines of the report end the output.
const REPORT_LINES_SHOWN: usize = 20;

/// How much of the report is looked at for them.
const REPORT_BYTES_SHOWN: u64 = 64 * 1024;

/// How many files are named in a sentence.
const FILES_NAMED: usize = 5;

pub async fn run(caller: &Caller, words: Run) -> Result<Exit, Failure> {
    let person = Person::present(words.no_input);
    let (file, task) = file_and_task(&words);
    let mut sound = document::load(caller, file.as_deref())?;
    document::set_task(&mut sound, task);
    let Some(begun) = begin(caller, sound, &words, person).await? else {
        return Ok(Exit::Done);
    };
    if words.detach {
        return Ok(Exit::Done);
    }
    match follow(caller, &begun.run, begun.client, !words.no_input).await? {
        Followed::Detached => Ok(Exit::Done),
        Followed::Over { view, exit } => {
            tell_result(caller, &view)?;
            if let Some(output) = &words.output {
                copy_report(&view, output)?;
            }
            Ok(exit)
        }
    }
}

/// A run the node has taken.
#[derive(Debug)]
pub struct Begun {
    pub run: String,
    /// The session its first worker will have.
    pub first_session: String,
    pub client: Client,
}

/// From a document without errors to a run the node has taken; nothing where the event is none it waits for.
pub async fn begin(
    caller: &Caller,
    sound: Sound,
    words: &Run,
    person: Person,
) -> Result<Option<Begun>, Failure> {
    let mut around = surroundings(caller, &sound.name)?;
    let mut home = home::wanted(caller, words.home.as_deref(), &mut around).await?;
    let path = sound.path.clone();
    let sound = with_task(sound, person)?;
    let Drawn { mut plan, warnings, text } = document::draw(caller, sound, &around)?;
    document::tell(caller, &warnings, &text);
    if home.is_some() {
        home::without_checkout(&mut plan);
    }
    if home.is_none() && words.home.is_none() {
        home = home::proposed(&plan, &around, person)?;
    }
    if let Some(file) = &words.event {
        if !event::put(caller, &mut plan, file, words.event_name.as_deref())? {
            return Ok(None);
        }
    } else {
        tell_once(&plan);
    }
    let project = match &around.repository {
        Some(repository) => repository.root.clone(),
        None => super::surroundings::current_folder()?,
    };
    servers::ask(caller, &plan, &project, person, words.allow_mcp)?;
    let mut extra = Extra {
        repository: around.repository.map(|repository| repository.root),
        // Notes were told just now, and are nothing to come back to.
        warnings: warnings.iter().filter(|found| found.severity == Severity::Warning).map(sentence).collect(),
        output: words.output.as_deref().map(std::path::absolute).transpose()?,
        include_dirty: words.include_dirty,
        document: path,
    };
    // Inside a session it begins with what lies in that session's tree just now.
    if !super::is_inside_a_session() {
        ask_about_changes(&plan, &mut extra, person)?;
    }
    submit(caller, plan, extra, home).await.map(Some)
}

/// `niia run` keeps no appointments: a document that has some is told apart from one that was kept for them.
fn tell_once(plan: &Plan) {
    let kept = match (plan.schedule.is_some(), plan.triggers.is_empty()) {
        (true, true) => "a schedule",
        (true, false) => "a schedule and a trigger",
        (false, false) => "a trigger",
        (false, true) => return,
    };
    eprintln!(
        "note: this document has {kept}; `niia run` runs it once, now, and `niia schedule add` keeps it"
    );
}

/// Hands a plan to the node. Nothing is begun unless the node says so.
async fn submit(caller: &Caller, plan: Plan, extra: Extra, home: Option<String>) -> Result<Begun, Failure> {
    let origin = match &home {
        None => origin(caller, &plan, extra)?,
        Some(_) => origin_for_elsewhere(caller, &plan, extra)?,
    };
    let first =
        plan.phases.first().and_then(|phase| Some((phase, phase.work.workers().first()?.name.clone())));
    let first = first.map(|(phase, worker)| format!("{}/{worker}/1", phase.name)).unwrap_or_default();
    let mut client = caller.client().await?;
    let (plan, origin) = (Box::new(plan), Box::new(origin));
    let request = match home {
        None => Request::Run { plan, origin },
        Some(machine) => Request::RunAbroad { machine, plan, origin },
    };
    let Reply::Accepted { run, folder } = client.ask(request).await? else {
        return Err(Failure::out_of_turn("run"));
    };
    if caller.json {
        say_json(&json!({ "run": run, "folder": folder }))?;
    } else {
        announce(caller, run.as_str())?;
    }
    Ok(Begun { first_session: format!("{run}/{first}"), run: run.to_string(), client })
}

/// The same, for whoever says nothing of it.
pub async fn accepted(caller: &Caller, sound: Sound) -> Result<String, Failure> {
    let around = surroundings(caller, &sound.name)?;
    let path = sound.path.clone();
    let plan = document::draw(caller, sound, &around)?.plan;
    let repository = around.repository.map(|repository| repository.root);
    let extra =
        Extra { repository, warnings: Vec::new(), output: None, include_dirty: false, document: path };
    let origin = origin(caller, &plan, extra)?;
    match caller.ask(Request::Run { plan: Box::new(plan), origin: Box::new(origin) }).await? {
        Reply::Accepted { run, .. } => Ok(run.to_string()),
        _ => Err(Failure::out_of_turn("run")),
    }
}

/// The first line of every run.
pub fn announce(caller: &Caller, run: &str) -> Result<(), Failure> {
    if caller.json { Ok(()) } else { say(&format!("run {run}\n")) }
}

/// `niia run "fix it"` is a task, `niia run fix.json` a file.
fn file_and_task(words: &Run) -> (Option<String>, Option<String>) {
    let task = words.task.clone().or_else(|| words.words.clone());
    match &words.file {
        Some(file) if task.is_none() && !names_a_file(file) => (None, Some(file.clone())),
        file => (file.clone(), task),
    }
}

fn names_a_file(word: &str) -> bool {
    word == "-"
        || word.ends_with(".json")
        || Path::new(word).exists()
        || (word.contains(['/', '.']) && !word.contains(char::is_whitespace))
}

/// Asks for the goal once, where nobody is told anything.
fn with_task(mut sound: Sound, person: Person) -> Result<Sound, Failure> {
    let untold = sound.warnings.iter().any(|finding| finding.code == Code::NoTask);
    if !untold {
        return Ok(sound);
    }
    if let Some(task) = person.ask("What is the goal?")? {
        document::set_task(&mut sound, Some(task));
    }
    Ok(sound)
}

/// What is not committed is no part of what the workers see, unless the person says so.
fn ask_about_changes(plan: &Plan, extra: &mut Extra, person: Person) -> Result<(), Failure> {
    let Some(root) = extra.repository.clone().filter(|_| !extra.include_dirty && works_in_trees(plan)) else {
        return Ok(());
    };
    let checkout = Checkout { root, has_commit: true };
    let mut found = checkout.uncommitted()?;
    let document = extra.document.as_deref();
    found.untracked.retain(|file| document != Some(&checkout.root.join(file)));
    if !found.untracked.is_empty() {
        let files = named(&found.untracked);
        extra.warnings.push(format!(
            "files git does not know are not taken along: {files} (`--include-dirty` takes them)"
        ));
    }
    if found.changed.is_empty() {
        return Ok(());
    }
    let files = named(&found.changed);
    let question = format!(
        "{files}: changed, not committed. Take the changes along? [y]es, as a snapshot / [n]o, begin at the last commit"
    );
    match person.ask_key(&question, &['y', 'n'])? {
        Some('y') => extra.include_dirty = true,
        Some(_) => extra.warnings.push(format!("uncommitted changes are not taken along: {files}")),
        None => {
            return Err(Failure::usage(format!("there are uncommitted changes: {files}")).help(
                "commit or stash them, or take them along as a snapshot with `--include-dirty`; nothing was started",
            ));
        }
    }
    Ok(())
}

fn works_in_trees(plan: &Plan) -> bool {
    let in_tree = |tree: &TreePlan| !matches!(tree, TreePlan::Checkout | TreePlan::Folder);
    plan.phases.iter().any(|phase| match &phase.work {
        PhaseWork::Connector { .. } => true,
        _ => phase.everybody().any(|worker| in_tree(&worker.tree)),
    })
}

fn named(files: &[String]) -> String {
    let mut text = files
        .iter()
        .take(FILES_NAMED)
        .map(|file| crate::report::neutral(file))
        .collect::<Vec<_>>()
        .join(", ");
    if files.len() > FILES_NAMED {
        text.push_str(&format!(" and {} more", files.len() - FILES_NAMED));
    }
    text
}

fn sentence(finding: &Diagnostic) -> String {
    format!("{} ({}:{}:{})", finding.message, finding.at.file, finding.at.line, finding.at.column)
}

/// What ends the output of a run: where its report lies, and how it begins.
pub fn tell_result(caller: &Caller, view: &RunView) -> Result<(), Failure> {
    if caller.json {
        return Ok(());
    }
    let mut text = String::new();
    if let (Some(reason), true) = (&view.reason, view.state != RunState::Done) {
        text.push_str(&format!(
            "{}: {}\n",
            crate::report::run::state_word(view.state),
            crate::report::neutral(reason)
        ));
    }
    if let Some(report) = &view.report {
        text.push_str(&format!("report: {report}\n"));
        text.push_str(&first_lines(Path::new(report)));
    }
    if view.branch.is_some() {
        text.push_str(&format!("changes: niia diff {0} · niia merge {0}\n", view.run));
    }
    for line in crate::report::run::attention_lines(view) {
        text.push_str(&format!("{}\n", line.trim_start()));
    }
    if view.state == RunState::NeedsAttention {
        text.push_str(&format!("why:     niia explain {0}\n", view.run));
    }
    say(&text)
}

fn first_lines(report: &Path) -> String {
    let mut bytes = Vec::new();
    let read = fs::File::open(report).and_then(|file| file.take(REPORT_BYTES_SHOWN).read_to_end(&mut bytes));
    if let Err(error) = read {
        return format!("  (could not be read: {error})\n");
    }
    let text = neutral_lines(&String::from_utf8_lossy(&bytes));
    let mut lines = text.lines();
    let mut shown: String =
        lines.by_ref().take(REPORT_LINES_SHOWN).map(|line| format!("  {line}\n")).collect();
    if lines.next().is_some() {
        shown.push_str("  …\n");
    }
    shown
}

fn copy_report(view: &RunView, output: &Path) -> Result<(), Failure> {
    let Some(report) = &view.report else {
        let message = format!("the run left no report, so `{}` was not written", output.display());
        return Err(Failure::new(Exit::Failed, message));
    };
    let copied = fs::copy(report, output);
    copied.map_err(|error| Failure::trouble(format!("could not write `{}`", output.display()), error))?;
    Ok(())
}

#[cfg(test)]
mod tests;
