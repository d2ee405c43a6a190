//! What the node itself observes: commits, pushes and changed files at the places of kept documents.
//!
//! Where branches stood is remembered, so that what happened while no node ran is noticed by the next one. Files are
//! looked at only while a node runs; what changes in them while one of the place's own runs goes on is that run's doing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use niia_actors::ask::chain;
use niia_actors::git::{ObjectId, Repository};
use niia_actors::journal::{Journal, Put};
use niia_spec::event::Happened;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{AppointmentsHandle, Patience};

/// How often it is looked.
const PERIOD: Duration = Duration::from_secs(2);
/// A look may take this part of the time at most: a large repository is looked at less often.
const REST_TIMES: u32 = 20;
/// Files that are compared one by one; of a place with more of them only these are seen.
const FILES_MAX: usize = 10_000;
/// Files that an event names.
const FILES_TOLD_MAX: usize = 100;
/// Where it is remembered where branches stood.
const SEEN: &str = "seen";

/// What is watched: the events of each place, and whether one of its runs goes on.
pub(super) type Wanted = BTreeMap<PathBuf, Wish>;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    pub events: BTreeSet<String>,
    pub busy: bool,
}

/// A watch at work; it ends with this handle.
#[derive(Debug)]
pub struct Watching(AbortHandle);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(super) fn begin(
    journal: Journal,
    wanted: watch::Receiver<Wanted>,
    appointments: AppointmentsHandle,
) -> Watching {
    let watch = Watch { journal, appointments, places: BTreeMap::new() };
    Watching(tokio::spawn(watch.go_on(wanted)).abort_handle())
}

struct Watch {
    journal: Journal,
    appointments: AppointmentsHandle,
    places: BTreeMap<PathBuf, Sight>,
}

/// What was seen of a place.
#[derive(Clone, Debug, Default)]
struct Sight {
    refs: Option<BTreeMap<String, String>>,
    files: Option<BTreeMap<String, Stamp>>,
    /// Seen once, and told when it is seen again.
    changing: Option<BTreeMap<String, Stamp>>,
}

/// By what a changed file is known: size and time of change in nanoseconds.
type Stamp = (u64, i128);

impl Watch {
    async fn go_on(mut self, mut wanted: watch::Receiver<Wanted>) {
        loop {
            // Nothing is looked at while nothing is wanted.
            if wanted.wait_for(|wanted| !wanted.is_empty()).await.is_err() {
                return;
            }
            let now = wanted.borrow_and_update().clone();
            let began = Instant::now();
            let looked = tokio::task::spawn_blocking(move || {
                let events = self.look(&now);
                (self, events)
            });
            let Ok((watch, events)) = looked.await else { return };
            self = watch;
            for (place, event) in events {
                let told = self.appointments.happened(event, Some(place), Patience::Taken).await;
                if let Err(error) = told {
                    tracing::debug!(%error, "an event for a node that is going down");
                }
            }
            tokio::time::sleep((began.elapsed() * REST_TIMES).max(PERIOD)).await;
        }
    }

    fn look(&mut self, wanted: &Wanted) -> Vec<(PathBuf, Happened)> {
        self.places.retain(|place, _| wanted.contains_key(place));
        let mut events = Vec::new();
        for (place, wish) in wanted {
            let mut sight = self.places.remove(place).unwrap_or_default();
            let repository = Repository::discover(place).ok();
            let wants = |event: &str| wish.events.contains(event);
            if let Some(repository) = repository.as_ref().filter(|_| wants("git.commit") || wants("git.push"))
            {
                events.extend(self.look_at_refs(place, repository, &mut sight));
            }
            if wants("file.changed") {
                let files = files(place, repository.as_ref());
                events.extend(look_at_files(place, files, wish.busy, &mut sight));
            }
            self.places.insert(place.clone(), sight);
        }
        events
            .into_iter()
            .filter(|(place, event)| wanted.get(place).is_some_and(|wish| wish.events.contains(&event.name)))
            .collect()
    }

    fn look_at_refs(
        &self,
        place: &Path,
        repository: &Repository,
        sight: &mut Sight,
    ) -> Vec<(PathBuf, Happened)> {
        let refs: BTreeMap<String, String> = match repository.branches() {
            Ok(refs) => refs.into_iter().map(|(name, id)| (name, id.as_str().to_owned())).collect(),
            Err(error) => {
                tracing::debug!(place = %place.display(), error = chain(&error), "branches cannot be looked at");
                return Vec::new();
            }
        };
        let name = place.display().to_string();
        let seen = sight.refs.take().or_else(|| remembered(&self.journal, &name));
        sight.refs = Some(refs.clone());
        if seen.as_ref() == Some(&refs) {
            return Vec::new();
        }
        let put = Put::value(SEEN, &name, serde_json::to_vec(&refs).unwrap_or_default());
        if let Err(error) = self.journal.shelve(vec![put]).wait() {
            tracing::warn!(error = chain(&error), "where branches stand is not written down");
        }
        // What there was at the first look is no news.
        let Some(seen) = seen else { return Vec::new() };
        let moved = refs.iter().filter(|(name, id)| seen.get(*name) != Some(*id));
        moved
            .map(|(name, id)| (place.to_owned(), moved_event(place, repository, name, seen.get(name), id)))
            .collect()
    }
}

fn remembered(journal: &Journal, name: &str) -> Option<BTreeMap<String, String>> {
    let bytes = journal.shelved(SEEN, name).ok().flatten()?;
    serde_json::from_slice(&bytes).ok()
}

/// A branch here has new commits, or one of another repository has, as it is known after a push or a fetch.
fn moved_event(
    place: &Path,
    repository: &Repository,
    name: &str,
    old: Option<&String>,
    new: &str,
) -> Happened {
    let event = if name.starts_with("refs/remotes/") { "git.push" } else { "git.commit" };
    let branch = name.trim_start_matches("refs/heads/").trim_start_matches("refs/remotes/");
    let ids = old.and_then(|old| Some((ObjectId::new(old).ok()?, ObjectId::new(new).ok()?)));
    let commits = ids.and_then(|(old, new)| repository.commits(&old, &new).ok()).unwrap_or_default();
    let commits: Vec<Value> = commits
        .into_iter()
        .map(|commit| json!({ "id": commit.id, "author": commit.author, "subject": commit.subject }))
        .collect();
    Happened {
        name: event.to_owned(),
        payload: json!({
            "repository": place.display().to_string(), "ref": name, "branch": branch,
            "before": old, "after": new, "commits": commits,
        }),
    }
}

/// The files of a place that are worth a look: of a repository those that differ from its index, of a folder all.
fn files(place: &Path, repository: Option<&Repository>) -> Option<BTreeMap<String, Stamp>> {
    let names = match repository.map(Repository::files_changed) {
        Some(Ok(names)) => names,
        Some(Err(error)) => {
            tracing::debug!(place = %place.display(), error = chain(&error), "files cannot be looked at");
            return None;
        }
        None => walked(place),
    };
    let stamp = |name: String| {
        let about = fs::symlink_metadata(place.join(&name)).ok();
        let stamp = about.map_or((0, 0), |about| {
            (about.len(), i128::from(about.mtime()) * 1_000_000_000 + i128::from(about.mtime_nsec()))
        });
        (name, stamp)
    };
    Some(names.into_iter().take(FILES_MAX).map(stamp).collect())
}

/// Every file below a folder, up to the bound; hidden ones are somebody's own.
fn walked(place: &Path) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![PathBuf::new()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(place.join(&folder)).into_iter().flatten().flatten() {
            let name = folder.join(entry.file_name());
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !hidden => folders.push(name),
                Ok(kind) if kind.is_file() && !hidden => found.push(name.to_string_lossy().into_owned()),
                _ => {}
            }
            if found.len() >= FILES_MAX || folders.len() >= FILES_MAX {
                return found;
            }
        }
    }
    found
}

/// What has changed is told once it holds still from one look to the next.
fn look_at_files(
    place: &Path,
    files: Option<BTreeMap<String, Stamp>>,
    busy: bool,
    sight: &mut Sight,
) -> Option<(PathBuf, Happened)> {
    let files = files?;
    let Some(seen) = sight.files.as_ref().filter(|_| !busy) else {
        (sight.files, sight.changing) = (Some(files), None);
        return None;
    };
    let changed: Vec<&String> =
        files.iter().filter(|(name, stamp)| seen.get(*name) != Some(*stamp)).map(|(name, _)| name).collect();
    if changed.is_empty() {
        // A file that is as the index has it again was committed or put back.
        (sight.files, sight.changing) = (Some(files), None);
        return None;
    }
    if sight.changing.as_ref() != Some(&files) {
        sight.changing = Some(files);
        return None;
    }
    let told: Vec<&String> = changed.iter().take(FILES_TOLD_MAX).copied().collect();
    let payload = json!({
        "repository": place.display().to_string(), "files": told, "count": changed.len(),
    });
    (sight.files, sight.changing) = (Some(files), None);
    Some((place.to_owned(), Happened { name: "file.changed".to_owned(), payload }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(listed: &[(&str, u64)]) -> Option<BTreeMap<String, Stamp>> {
        Some(listed.iter().map(|(name, size)| ((*name).to_owned(), (*size, 0))).collect())
    }

    #[test]
    fn a_change_is_told_once_when_it_holds_still_and_none_that_a_run_of_the_place_makes() {
        let place = Path::new("/p");
        let mut sight = Sight::default();
        let mut look = |listed: &[(&str, u64)], busy| {
            let told = look_at_files(place, files(listed), busy, &mut sight);
            told.map(|(_, event)| event.payload["files"].to_string())
        };
        assert_eq!(look(&[("a", 1)], false), None, "what was there is no news");
        assert_eq!(look(&[("a", 2)], false), None, "it may go on");
        assert_eq!(look(&[("a", 3)], false), None);
        assert_eq!(look(&[("a", 3)], false), Some("[\"a\"]".to_owned()));
        assert_eq!(look(&[("a", 3)], false), None, "once");
        assert_eq!(look(&[("a", 3), ("b", 1)], true), None);
        assert_eq!(look(&[("a", 3), ("b", 1)], false), None, "a run made it");
        assert_eq!(look(&[], false), None, "it was committed");
    }
}
