//! Documents: found, read, checked, drawn. Nothing is started here.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use niia_spec::diagnostic::{Code, Diagnostic, has_errors, render};
use niia_spec::document::Document;
use niia_spec::plan::Plan;
use niia_spec::plan::draw::Surroundings;
use niia_spec::read::{At, TEXT_BYTES_MAX};
use niia_spec::schedule::Schedule;
use serde::Serialize;
use serde_json::json;

use super::agents::read_input;
use super::connectors;
use super::preflight;
use super::surroundings::{profiles, surroundings};
use super::{Caller, say, say_json};
use crate::cli::runs::{Check, Plan as PlanWords};
use crate::failure::{Exit, Failure};

/// The longest file that `agent.flow` may name: it is told to every agent.
const FLOW_BYTES_MAX: u64 = 1024 * 1024;

/// How many of the next firings a plan names.
const FIRINGS_SHOWN: usize = 3;

/// A document without errors, and what is to be said about it.
#[derive(Debug)]
pub struct Sound {
    /// Where it lies; nothing for what came over stdin or was made here.
    pub path: Option<PathBuf>,
    pub name: String,
    pub text: Vec<u8>,
    pub document: Document,
    pub warnings: Vec<Diagnostic>,
}

/// A document drawn for this place.
#[derive(Debug)]
pub struct Drawn {
    pub plan: Plan,
    pub warnings: Vec<Diagnostic>,
    pub text: Vec<u8>,
}

/// The findings of one file, as programs read them.
#[derive(Serialize)]
struct FileFindings<'a> {
    file: &'a str,
    sound: bool,
    findings: &'a [Diagnostic],
}

pub fn check(caller: &Caller, words: &Check) -> Result<Exit, Failure> {
    let mut wrong = false;
    let mut collected = Vec::new();
    for file in &words.files {
        let (name, text, _) = read_file(file)?;
        let (document, mut findings) = niia_spec::read(&text, &name);
        findings.extend(document.iter().flat_map(|document| unknown_models(caller, document, &name)));
        wrong |= has_errors(&findings);
        if caller.json {
            let sound = !has_errors(&findings);
            let one = serde_json::to_value(FileFindings { file: &name, sound, findings: &findings });
            collected.push(one.map_err(|error| Failure::trouble("could not write JSON", error))?);
        } else if findings.is_empty() {
            say(&format!("{name}: nothing is wrong\n"))?;
        } else {
            say(&crate::report::neutral_lines(&render(&findings, &text)))?;
        }
    }
    if caller.json {
        say_json(&collected)?;
    }
    Ok(if wrong { Exit::Document } else { Exit::Done })
}

/// Models that no profile knows: not the document's fault alone, since a user may add profiles.
fn unknown_models(caller: &Caller, document: &Document, name: &str) -> Vec<Diagnostic> {
    let Ok(around) = surroundings(caller, name) else { return Vec::new() };
    let findings = niia_spec::draw(document, &around).err().unwrap_or_default();
    findings.into_iter().filter(|finding| finding.code == Code::UnknownModel).collect()
}

pub fn plan(caller: &Caller, words: &PlanWords) -> Result<Exit, Failure> {
    let mut sound = load(caller, words.file.as_deref())?;
    set_task(&mut sound, words.task.clone());
    let around = surroundings(caller, &sound.name)?;
    let drawn = draw(caller, sound, &around)?;
    let repository = around.repository.as_ref().map(|repository| repository.root.as_path());
    let tools = preflight::of_plan(&drawn.plan, &profiles(caller)?, repository);
    if caller.json {
        let (plan, warnings) = (&drawn.plan, &drawn.warnings);
        say_json(&json!({ "plan": plan, "warnings": warnings, "surroundings": around, "tools": tools }))?;
        return Ok(Exit::Done);
    }
    let mut shown = niia_spec::plan::show::show(&drawn.plan, &around, &firings(&drawn.plan));
    for tool in &tools {
        shown.push_str(&format!("tool {}\n", tool.line()));
        for (trouble, cure) in tool.troubles() {
            shown.push_str(&format!("  {trouble}: {cure}\n"));
        }
    }
    say(&crate::report::neutral_lines(&shown))?;
    tell(caller, &drawn.warnings, &drawn.text);
    Ok(Exit::Done)
}

/// The next times a scheduled document would run, in the zone it names.
fn firings(plan: &Plan) -> Vec<String> {
    let Some(schedule) = &plan.schedule else { return Vec::new() };
    let Ok(cron) = Schedule::parse(&schedule.cron) else { return Vec::new() };
    let zone =
        schedule.timezone.as_deref().and_then(niia_spec::schedule::zone).unwrap_or_else(TimeZone::system);
    let next = |at: &Timestamp| cron.next_after(*at, &zone);
    let firings = std::iter::successors(next(&niia_actors::clock::now()), next).take(FIRINGS_SHOWN);
    firings.map(|at| at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()).collect()
}

pub fn schema() -> Result<Exit, Failure> {
    let schema = serde_json::to_string_pretty(&niia_spec::schema());
    say(&(schema.map_err(|error| Failure::trouble("could not write JSON", error))? + "\n"))?;
    Ok(Exit::Done)
}

/// Reads a document, the one of this folder where none is named. One with errors is told and refused.
pub fn load(caller: &Caller, file: Option<&str>) -> Result<Sound, Failure> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => the_one_here(Path::new("."))?,
    };
    let (name, text, path) = read_file(&file)?;
    from_text(caller, name, text, path)
}

/// The same for a text that is here already.
pub fn from_text(
    caller: &Caller,
    name: String,
    text: Vec<u8>,
    path: Option<PathBuf>,
) -> Result<Sound, Failure> {
    let (document, findings) = niia_spec::read(&text, &name);
    match document {
        Some(document) => Ok(Sound { path, name, text, document, warnings: findings }),
        None => Err(refuse(caller, &name, &findings, &text)),
    }
}

/// Draws a document's plan for this place, with those of the documents its phases run, or tells what keeps it from
/// being run here.
pub fn draw(caller: &Caller, sound: Sound, around: &Surroundings) -> Result<Drawn, Failure> {
    let path = sound.path.clone();
    let mut drawn = draw_alone(caller, sound, around)?;
    for (warnings, text) in connectors::embed(caller, &mut drawn.plan, path.as_deref())? {
        tell(caller, &warnings, &text);
    }
    Ok(drawn)
}

/// The same without the documents its phases run.
pub(super) fn draw_alone(caller: &Caller, sound: Sound, around: &Surroundings) -> Result<Drawn, Failure> {
    match niia_spec::draw(&sound.document, around) {
        Ok(drawn) => {
            let mut warnings = sound.warnings;
            warnings.extend(drawn.warnings);
            let mut plan = drawn.plan;
            read_flow(&mut plan, sound.path.as_deref())?;
            Ok(Drawn { plan, warnings, text: sound.text })
        }
        Err(findings) => Err(refuse(caller, &sound.name, &findings, &sound.text)),
    }
}

/// The task of the command line counts more than the document's.
pub fn set_task(sound: &mut Sound, task: Option<String>) {
    let Some(value) = task else { return };
    sound.warnings.retain(|finding| finding.code != Code::NoTask);
    let span = sound.document.span;
    sound.document.task = Some(At { value, span });
}

/// Tells findings where they do not mix with what is printed for programs.
pub fn tell(caller: &Caller, findings: &[Diagnostic], text: &[u8]) {
    if !findings.is_empty() && !caller.json {
        eprint!("{}", crate::report::neutral_lines(&render(findings, text)));
    }
}

fn refuse(caller: &Caller, name: &str, findings: &[Diagnostic], text: &[u8]) -> Failure {
    let errors = findings.iter().filter(|finding| has_errors(std::slice::from_ref(finding))).count();
    if caller.json {
        // The findings go where the plan would have gone; a reader that left misses them by its own choice.
        drop(say_json(&FileFindings { file: name, sound: false, findings }));
    } else {
        tell(caller, findings, text);
    }
    let errors = if errors == 1 { "an error".to_owned() } else { format!("{errors} errors") };
    Failure::new(Exit::Document, format!("`{name}` cannot be run: it has {errors}; nothing was started"))
}

/// A file's name for messages, its bytes, and where it lies.
fn read_file(file: &str) -> Result<(String, Vec<u8>, Option<PathBuf>), Failure> {
    // One byte more than a document may have: the reader of documents refuses it with its bound.
    let max = TEXT_BYTES_MAX as u64 + 1;
    if file == "-" {
        return Ok(("stdin".to_owned(), read_bounded(None, max)?, None));
    }
    let path = Path::new(file);
    let text = read_bounded(Some(path), max)?;
    let lies =
        std::path::absolute(path).map_err(|error| Failure::trouble("could not name the document", error))?;
    Ok((file.to_owned(), text, Some(lies)))
}

/// At most so many bytes: what is longer is cut, and refused by whoever reads it.
fn read_bounded(path: Option<&Path>, max: u64) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let Some(path) = path else {
        let mut bytes = Vec::new();
        std::io::stdin().lock().take(max).read_to_end(&mut bytes)?;
        return Ok(bytes);
    };
    let unreadable =
        |error| Failure::new(Exit::Usage, format!("could not read `{}`", path.display())).because(error);
    let found = fs::metadata(path).map_err(unreadable)?;
    if found.is_dir() {
        return Err(Failure::usage(format!("`{}` is a folder, not a document", path.display())));
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(unreadable)?.take(max).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The single document of a folder.
fn the_one_here(folder: &Path) -> Result<String, Failure> {
    let unreadable = |error| Failure::trouble("could not look for a document in this folder", error);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let name = entry.map_err(unreadable)?.file_name().to_string_lossy().into_owned();
        if name == "connector.json" || name.ends_with(".connector.json") {
            found.push(name);
        }
    }
    found.sort();
    match &found[..] {
        [one] => Ok(one.clone()),
        [] => Err(Failure::usage("there is no connector.json in this folder")
            .help("name a document, or write a first one with `niia init`")),
        // Among several the plain name is the folder's own.
        _ if found.iter().any(|name| name == "connector.json") => Ok("connector.json".to_owned()),
        _ => Err(Failure::usage(format!("there are several documents here: {}", found.join(", ")))
            .help("name the one you mean: `niia run FILE`")),
    }
}

/// `agent.flow` may be the path of a file beside the document; its text is what travels.
fn read_flow(plan: &mut Plan, document: Option<&Path>) -> Result<(), Failure> {
    let (Some(flow), Some(folder)) = (&plan.flow, document.and_then(Path::parent)) else {
        return Ok(());
    };
    let one_line = !flow.contains('\n') && flow.len() < 1024;
    let path = folder.join(flow.trim());
    if !one_line || !path.is_file() {
        return Ok(());
    }
    let bytes = read_input(Some(&path), FLOW_BYTES_MAX)?;
    let text = String::from_utf8(bytes);
    plan.flow = Some(text.map_err(|error| {
        Failure::new(Exit::Document, format!("`{}`, which `agent.flow` names, is no text", path.display()))
            .because(error)
    })?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(names: &[&str]) -> Result<String, Failure> {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            fs::write(folder.path().join(name), "{}").unwrap();
        }
        the_one_here(folder.path())
    }

    #[test]
    fn the_document_of_a_folder_is_found_where_there_is_no_doubt() {
        assert_eq!(folder_with(&["a.connector.json", "package.json"]).unwrap(), "a.connector.json");
        assert_eq!(folder_with(&["a.connector.json", "connector.json"]).unwrap(), "connector.json");
        assert_eq!(folder_with(&["package.json"]).unwrap_err().exit, Exit::Usage);
        let several = folder_with(&["b.connector.json", "a.connector.json"]).unwrap_err();
        assert!(several.message.contains("a.connector.json, b.connector.json"));
    }
}
