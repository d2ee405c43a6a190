//! Documents that run by themselves: kept, listed, forgotten, run now; and events that are told by hand.

use std::path::Path;

use niia_spec::event::Happened;
use niia_spec::notice::{Came, FiringView, KeptView, Triggered, TriggeredView};
use serde_json::{Value, json};

use super::agents::read_input;
use super::checkout::Checkout;
use super::document::{self, Drawn};
use super::follow::{Followed, follow};
use super::origin::{Extra, origin};
use super::surroundings::{current_folder, surroundings};
use super::{Caller, say_json};
use crate::cli::appointments::{Schedule, ScheduleVerb, Trigger};
use crate::control::words::{Reply, Request, ScheduleRequest, ToKeep};
use crate::failure::{Exit, Failure};
use crate::report::run::state_word;
use crate::report::table::{Table, cell, toned_cell};
use crate::report::{Look, Tone, moment, neutral};

/// Firings that are listed of one document.
const FIRINGS_SHOWN: usize = 20;

pub async fn schedule(caller: &Caller, words: Schedule) -> Result<Exit, Failure> {
    match words.verb {
        ScheduleVerb::Add { file, task } => add(caller, file.as_deref(), task).await,
        ScheduleVerb::Ls { name } => ls(caller, name.as_deref()).await,
        ScheduleVerb::Rm { name } => {
            let request = Request::Schedule(ScheduleRequest::Remove { name: name.clone() });
            super::done(&caller.ask(request).await?, "schedule rm")?;
            caller
                .show(&json!({ "removed": name }), |_| format!("`{}` is kept no longer\n", neutral(&name)))?;
            Ok(Exit::Done)
        }
        ScheduleVerb::RunNow { name, detach } => run_now(caller, name, detach).await,
    }
}

async fn add(caller: &Caller, file: Option<&str>, task: Option<String>) -> Result<Exit, Failure> {
    let mut sound = document::load(caller, file)?;
    document::set_task(&mut sound, task);
    let around = surroundings(caller, &sound.name)?;
    let (path, digest) = (sound.path.clone(), blake3::hash(&sound.text).to_hex().to_string());
    let Drawn { plan, warnings, text } = document::draw(caller, sound, &around)?;
    document::tell(caller, &warnings, &text);
    let repository = around.repository.map(|repository| repository.root);
    let github = repository.as_deref().and_then(of_github);
    let extra = Extra { repository, document: path, ..Extra::default() };
    let origin = origin(caller, &plan, extra)?;
    let document = ToKeep { plan: Box::new(plan), origin: Box::new(origin), digest, github };
    let request = Request::Schedule(ScheduleRequest::Add(Box::new(document)));
    let Reply::Kept(kept) = caller.ask(request).await? else {
        return Err(Failure::out_of_turn("schedule add"));
    };
    let Some(kept) = kept.first() else { return Err(Failure::out_of_turn("schedule add")) };
    caller.show(kept, |_| added_text(kept))?;
    if !caller.json && !super::daemon::is_installed() {
        eprintln!(
            "note: it runs only while the node does; `niia daemon install` has the node started at login"
        );
    }
    Ok(Exit::Done)
}

fn added_text(kept: &KeptView) -> String {
    let mut text = format!("kept `{}`, in {}\n", kept.name, neutral(&kept.folder.display().to_string()));
    for (_, time) in &kept.next {
        text.push_str(&format!("  next  {time}\n"));
    }
    for trigger in &kept.triggers {
        text.push_str(&format!("  on    {}\n", neutral(trigger)));
    }
    text
}

/// `owner/name` of the repository on GitHub, where `origin` is there.
fn of_github(root: &Path) -> Option<String> {
    let url = Checkout { root: root.to_owned(), has_commit: true }.remote_url()?;
    let rest = url.split_once("github.com").map(|(_, rest)| rest.trim_start_matches([':', '/']))?;
    let name = rest.trim_end_matches('/').trim_end_matches(".git");
    (name.split('/').count() == 2).then(|| name.to_owned())
}

async fn ls(caller: &Caller, name: Option<&str>) -> Result<Exit, Failure> {
    let Reply::Kept(mut kept) = caller.ask(Request::Schedule(ScheduleRequest::List)).await? else {
        return Err(Failure::out_of_turn("schedule ls"));
    };
    if let Some(name) = name {
        kept.retain(|view| view.name.as_str() == name);
        let Some(view) = kept.first() else {
            return Err(Failure::usage(format!("no document `{}` is kept here", neutral(name)))
                .help("`niia schedule ls` lists them"));
        };
        caller.show(view, |look| one_text(view, look))?;
        return Ok(Exit::Done);
    }
    caller.show(&kept, |look| match kept.is_empty() {
        true => "nothing is kept; `niia schedule add FILE` keeps a document\n".to_owned(),
        false => all_text(&kept, look),
    })?;
    Ok(Exit::Done)
}

fn all_text(kept: &[KeptView], look: Look) -> String {
    let mut table = Table::new(&["name", "when", "next", "last"]);
    for view in kept {
        let when = view.schedule.iter().chain(&view.triggers).cloned().collect::<Vec<_>>().join(", ");
        let last = view.firings.last();
        let mut times = view.next.iter().map(|(_, time)| time.clone());
        table.row(vec![
            cell(view.name.as_str()),
            cell(when),
            cell(times.next().unwrap_or_default()),
            last.map_or_else(
                || cell(state_of(view)),
                |firing| toned_cell(last_words(view, firing), tone(firing)),
            ),
        ]);
        for time in times {
            table.row(vec![cell(""), cell(""), cell(time), cell("")]);
        }
    }
    table.text(look)
}

/// What is to be said where nothing came of it yet.
fn state_of(view: &KeptView) -> String {
    match (&view.trouble, view.waiting) {
        (Some(trouble), _) => trouble.clone(),
        (None, 0) => String::new(),
        (None, waiting) => format!("{waiting} waiting"),
    }
}

fn last_words(view: &KeptView, firing: &FiringView) -> String {
    let mut words = format!("{}, {}", came_words(&firing.came), moment(firing.at_ms));
    if view.waiting > 0 {
        words.push_str(&format!(", {} waiting", view.waiting));
    }
    if view.changed {
        words.push_str(", the file has changed since it was added");
    }
    if let Some(trouble) = &view.trouble {
        words.push_str(&format!(", {trouble}"));
    }
    words
}

fn came_words(came: &Came) -> String {
    match came {
        Came::Begins { run } => format!("{run} begins"),
        Came::Run { run, state: Some(state) } => format!("{run} {}", state_word(*state)),
        Came::Run { run, state: None } => run.to_string(),
        Came::Missed { count, at_least: true } => format!("missed at least {count}"),
        Came::Missed { count: 1, .. } => "missed".to_owned(),
        Came::Missed { count, .. } => format!("missed {count}"),
        Came::Skipped { why } => format!("skipped: {why}"),
        Came::Refused { why } => format!("could not be run: {why}"),
    }
}

fn tone(firing: &FiringView) -> Tone {
    match firing.came {
        Came::Refused { .. } | Came::Missed { .. } => Tone::Bad,
        _ => Tone::Plain,
    }
}

/// One document with what came of it, the newest first.
fn one_text(view: &KeptView, look: Look) -> String {
    let mut table = Table::headless();
    let mut fact = |name: &str, value: String| {
        if !value.is_empty() {
            table.row(vec![toned_cell(name, Tone::Faint), cell(value)]);
        }
    };
    fact("name", view.name.to_string());
    fact("document", view.document.as_ref().map(|path| path.display().to_string()).unwrap_or_default());
    fact("folder", view.folder.display().to_string());
    fact("schedule", view.schedule.clone().unwrap_or_default());
    fact("triggers", view.triggers.join(", "));
    fact("next", view.next.iter().map(|(_, time)| time.clone()).collect::<Vec<_>>().join(", "));
    fact("running", view.runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "));
    fact("waiting", if view.waiting > 0 { view.waiting.to_string() } else { String::new() });
    fact("trouble", view.trouble.clone().unwrap_or_default());
    if view.changed {
        fact("note", "the file has changed since it was added: add it again".to_owned());
    }
    for firing in view.firings.iter().rev().take(FIRINGS_SHOWN) {
        fact("came", format!("{}: {}, {}", moment(firing.at_ms), firing.occasion, came_words(&firing.came)));
    }
    table.text(look)
}

async fn run_now(caller: &Caller, name: String, detach: bool) -> Result<Exit, Failure> {
    let mut client = caller.client().await?;
    let request = Request::Schedule(ScheduleRequest::RunNow { name });
    let Reply::Accepted { run, folder } = client.ask(request).await? else {
        return Err(Failure::out_of_turn("schedule run-now"));
    };
    if caller.json {
        say_json(&json!({ "run": run, "folder": folder }))?;
    } else {
        super::run::announce(caller, run.as_str())?;
    }
    if detach {
        return Ok(Exit::Done);
    }
    match follow(caller, run.as_str(), client, true).await? {
        Followed::Over { view, exit } => {
            super::run::tell_result(caller, &view)?;
            Ok(exit)
        }
        Followed::Detached => Ok(Exit::Done),
    }
}

pub async fn trigger(caller: &Caller, words: Trigger) -> Result<Exit, Failure> {
    niia_spec::event::is_event(&words.event).map_err(Failure::usage)?;
    let payload = words.payload.as_deref().map_or(Ok(Value::Null), payload)?;
    // What happens in a repository concerns the documents of that repository.
    let local = words.event.starts_with("git.") || words.event.starts_with("file.");
    let place = if local { Some(place()?) } else { None };
    let event = Box::new(Happened { name: words.event, payload });
    let Reply::Triggered(told) = caller.ask(Request::Trigger { event, place }).await? else {
        return Err(Failure::out_of_turn("trigger"));
    };
    caller.show(&told, |_| match told.is_empty() {
        true => "no kept document waits for this; `niia schedule add FILE` keeps one\n".to_owned(),
        false => told.iter().map(triggered_text).collect(),
    })?;
    let failed = told.iter().any(|view| {
        matches!(view.came, Triggered::Full | Triggered::Refused { .. } | Triggered::Broken { .. })
    });
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

fn triggered_text(view: &TriggeredView) -> String {
    let came = match &view.came {
        Triggered::Run { run } => format!("run {run}"),
        Triggered::Waits => "waits for room".to_owned(),
        Triggered::Passed => "its filter does not hold".to_owned(),
        Triggered::Broken { why } => format!("its filter cannot be worked out: {}", neutral(why)),
        Triggered::Full => "as many events wait as may: come back later".to_owned(),
        Triggered::Refused { why } => format!("could not be run: {}", neutral(why)),
    };
    format!("{}: {came}\n", view.name)
}

/// A payload from a file or stdin.
pub fn payload(file: &Path) -> Result<Value, Failure> {
    let from = (file != Path::new("-")).then_some(file);
    let bytes = read_input(from, niia_spec::event::PAYLOAD_BYTES_MAX as u64)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::usage(format!("the payload `{}` is no JSON", file.display())).because(error)
    })
}

/// The repository around this folder, or the folder itself.
pub fn place() -> Result<std::path::PathBuf, Failure> {
    let cwd = current_folder()?;
    let around = Checkout::around(&cwd)?.filter(|checkout| checkout.has_commit);
    Ok(around.map_or(cwd, |checkout| checkout.root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_on_github_is_known_by_its_remote() {
        let folder = tempfile::tempdir().unwrap();
        let git = |words: &[&str]| {
            let done = std::process::Command::new("git").arg("-C").arg(folder.path()).args(words).output();
            assert!(done.unwrap().status.success());
        };
        git(&["init", "-q"]);
        assert_eq!(of_github(folder.path()), None);
        git(&["remote", "add", "origin", "git@github.com:ada/engine.git"]);
        assert_eq!(of_github(folder.path()), Some("ada/engine".to_owned()));
        for (url, name) in [
            ("https://github.com/ada/engine", Some("ada/engine")),
            ("ssh://git@github.com/ada/engine.git", Some("ada/engine")),
            ("https://example.com/ada/engine", None),
            ("/srv/git/engine", None),
        ] {
            git(&["remote", "set-url", "origin", url]);
            assert_eq!(of_github(folder.path()).as_deref(), name, "{url}");
        }
    }
}
