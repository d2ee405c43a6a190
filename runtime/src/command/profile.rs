//! `niia profile`: the tools niia knows how to drive, and whether one of them works here.

mod attempt;

use std::path::Path;

use niia_spec::profile::{Profiles, built_in_text};
use serde_json::json;

use super::surroundings::{on_path, profiles};
use super::{Caller, say, say_json};
use crate::cli::profiles::{Profile, ProfileVerb};
use crate::config::user_profiles;
use crate::failure::{Exit, Failure};
use crate::report::table::{Table, cell};

/// The largest file that is looked at.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

pub async fn profile(caller: &Caller, words: Profile) -> Result<Exit, Failure> {
    match words.verb {
        ProfileVerb::Ls => ls(caller),
        ProfileVerb::Show { id } => show(caller, &id),
        ProfileVerb::Check { files } => check(caller, &files),
        ProfileVerb::Try { model, timeout } => attempt::attempt(caller, &model, timeout).await,
    }
}

fn ls(caller: &Caller) -> Result<Exit, Failure> {
    let profiles = profiles(caller)?;
    let mut table = Table::new(&["PROFILE", "INSTALLED", "CONVERSES", "FROM", "ABOUT"]);
    let mut list = Vec::new();
    for profile in profiles.ls() {
        let program = profile.program.as_deref().filter(|program| !program.contains('{'));
        let place = program.and_then(on_path).map(|path| path.display().to_string());
        let installed = match (&place, program) {
            (Some(path), _) => path.clone(),
            (None, Some(_)) => "no".to_owned(),
            (None, None) => "-".to_owned(),
        };
        let converses = if profile.converses() { "yes" } else { "no" };
        table.row(vec![
            cell(&profile.id),
            cell(&installed),
            cell(converses),
            cell(&profile.source),
            cell(&profile.about),
        ]);
        list.push(
            json!({ "id": profile.id, "about": profile.about, "installed": place, "source": profile.source,
            "converses": profile.converses(), "names": profile.names.keys().collect::<Vec<_>>() }),
        );
    }
    caller.show(&list, |look| table.text(look))?;
    Ok(Exit::Done)
}

/// The files a profile is made of: the built-in one, then the user's, which changes the keys it names.
fn show(caller: &Caller, id: &str) -> Result<Exit, Failure> {
    let known = profiles(caller)?;
    let profile = known.get(id).ok_or_else(|| unknown(&known, id))?;
    let own = user_profiles(&caller.folders)?;
    let own = own.iter().find(|(name, _)| *name == profile.source).map(|(_, text)| text.as_str());
    let built_in = built_in_text(id);
    if caller.json {
        say_json(&json!({ "id": id, "built_in": built_in, "own": own, "source": profile.source }))?;
        return Ok(Exit::Done);
    }
    let mut text = built_in.unwrap_or_default().to_owned();
    if let Some(own) = own {
        text.push_str(&format!("\n# {} of the user's folder changes:\n{own}", profile.source));
    }
    say(&text)?;
    Ok(Exit::Done)
}

fn unknown(known: &Profiles, id: &str) -> Failure {
    let message =
        known.resolve(id).err().map_or_else(|| format!("no profile is called `{id}`"), |e| e.to_string());
    Failure::usage(message).help("`niia profile ls` lists them")
}

/// All files are looked at, so that all that is wrong is said in one go.
fn check(caller: &Caller, files: &[std::path::PathBuf]) -> Result<Exit, Failure> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for file in files {
        texts.push((file.display().to_string(), read(file)?));
    }
    if files.is_empty() {
        texts = user_profiles(&caller.folders)?;
    }
    let built_in =
        || Profiles::built_in().map_err(|e| Failure::new(Exit::Bug, "a built-in profile").because(e));
    let mut wrong = Vec::new();
    let mut good = Vec::new();
    for (name, text) in &texts {
        match built_in()?.with([(name.as_str(), text.as_str())]) {
            Ok(_) => good.push(name.clone()),
            Err(error) => wrong.push(error),
        }
    }
    if caller.json {
        let wrong: Vec<_> = wrong
            .iter()
            .map(|e| json!({ "file": e.file, "line": e.line, "column": e.column, "message": e.message }))
            .collect();
        say_json(&json!({ "good": good, "wrong": wrong }))?;
    } else {
        let lines =
            wrong.iter().map(ToString::to_string).chain(good.iter().map(|name| format!("{name}: good")));
        let text: Vec<String> = lines.collect();
        say(&if text.is_empty() {
            "there are no profiles of your own\n".into()
        } else {
            text.join("\n") + "\n"
        })?;
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Document })
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |error| Failure::trouble(format!("could not read `{}`", file.display()), error);
    let length = std::fs::metadata(file).map_err(unreadable)?.len();
    if length > FILE_BYTES_MAX {
        return Err(Failure::usage(format!(
            "`{}` has {length} bytes: no profile is so long",
            file.display()
        )));
    }
    std::fs::read_to_string(file).map_err(unreadable)
}
