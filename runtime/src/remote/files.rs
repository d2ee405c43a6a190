//! Files that are copied to and from another machine: below the folders that are open to it there, and nowhere else.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use niia_actors::ask::chain;
use niia_actors::scratchpad::open_beneath;
use niia_net::frame;
use niia_net::identity::NodeId;
use niia_net::peer::Stream;
use niia_net::transfer;
use niia_net::trust::Right;
use niia_spec::name::Slug;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::words::Purpose;
use super::{guest::blocking, starter_of};
use crate::control::server::run_stays;
use crate::network::Network;
use crate::node::Node;

/// The largest file that is copied; more is a matter for other tools.
pub const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;
/// What a file is called while it is written.
const UNFINISHED: &str = ".niia-unfinished-";
/// What of a run lies open to the machine that began it.
const OF_RUN: [&str; 2] = ["scratchpad", "report.md"];

/// What is said before and after the contents.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Ready { bytes: u64 },
    Done,
    Refused { reason: String },
}

/// A place below a folder that is open to somebody.
struct Open {
    root: PathBuf,
    below: PathBuf,
}

/// Where a path leads that another machine names, if it may go there.
fn open_to(node: &Node, from: &NodeId, path: &str, writes: bool) -> Result<Open, String> {
    let peer = node.network.as_ref().and_then(|network| network.trust().get(from));
    let peer = peer.ok_or_else(|| format!("{from} is not paired with this machine any more"))?;
    let of_run = of_run(node, from, Path::new(path), writes)?;
    if let Some(open) = of_run {
        return Ok(open);
    }
    if !peer.rights.has(Right::Files) {
        return Err(format!("this needs the right `files` there, and {from} has: {}", peer.rights));
    }
    let path = Path::new(path);
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(format!("`{}` leads upwards", path.display()));
    }
    let below = |folder: &String| {
        let below = if path.is_absolute() { path.strip_prefix(folder).ok()? } else { path };
        Some(Open { root: PathBuf::from(folder), below: below.to_owned() })
    };
    peer.folders.iter().find_map(below).ok_or_else(|| {
        let open = if peer.folders.is_empty() { "none is".to_owned() } else { peer.folders.join(", ") };
        format!("`{}` lies in no folder that is open to {}: {open}", path.display(), peer.name)
    })
}

/// `RUN/scratchpad/…` of a run that was begun there.
fn of_run(node: &Node, from: &NodeId, path: &Path, writes: bool) -> Result<Option<Open>, String> {
    let mut parts = path.components();
    let Some(Component::Normal(first)) = parts.next() else { return Ok(None) };
    let Some(run) = first.to_str().and_then(|name| Slug::new(name).ok()) else { return Ok(None) };
    let guest = node.guests.home_of_run(&run) == Some(*from);
    if !guest && starter_of(node, &run).flatten() != Some(from.to_string()) {
        return Ok(None);
    }
    let below = parts.as_path();
    let Some(Component::Normal(part)) = below.components().next() else {
        return Err(format!("of a run there are {}", OF_RUN.join(", ")));
    };
    if !OF_RUN.iter().any(|open| part == *open) || writes && part != "scratchpad" {
        return Err(format!(
            "of a run there are {}, and the scratchpad alone is written to",
            OF_RUN.join(", ")
        ));
    }
    if run_stays(node, &run) {
        return Err(format!(
            "what `{run}` has here stays here: it has workers whose `egress` does not let it go"
        ));
    }
    Ok(Some(Open { root: node.run_folder(&run), below: below.to_owned() }))
}

fn root_of(open: &Open) -> Result<OwnedFd, String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(&open.root, flags, Mode::empty())
        .map_err(|error| format!("the folder `{}`: {error}", open.root.display()))
}

fn beneath(root: &OwnedFd, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, String> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    open_beneath(root.as_fd(), path, flags, mode)
        .map_err(|error| format!("`{}` cannot be opened: {}", path.display(), io::Error::from(error)))
}

/// A file of ours for the machine that asks.
pub async fn give(node: Arc<Node>, from: NodeId, mut stream: Stream, path: String) -> Result<(), String> {
    let opened = open_to(&node, &from, &path, false);
    let opened = match opened {
        Ok(open) => blocking(move || {
            let file = File::from(beneath(&root_of(&open)?, &open.below, OFlags::RDONLY, Mode::empty())?);
            let about = file.metadata().map_err(|error| error.to_string())?;
            if !about.is_file() {
                return Err(format!("`{}` is no file", open.below.display()));
            }
            Ok((file, about.len()))
        })
        .await
        .map_err(|error| error.to_string()),
        Err(reason) => Err(reason),
    };
    let (file, bytes) = match opened {
        Ok(opened) => opened,
        Err(reason) => return refuse(&mut stream, &from, &path, reason).await,
    };
    stream.writer_mut().yields();
    frame::write(&mut stream, &Said::Ready { bytes }).await.map_err(|error| chain(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    transfer::send(&mut stream, &mut file, bytes).await.map_err(|error| chain(&error))?;
    tracing::info!(peer = %from, path, bytes, "a file was given");
    Ok(())
}

async fn refuse(stream: &mut Stream, from: &NodeId, path: &str, reason: String) -> Result<(), String> {
    tracing::warn!(peer = %from, path, reason, "refused");
    frame::write(stream, &Said::Refused { reason }).await.map_err(|error| chain(&error))
}

/// A file that is being written below a folder; it goes away with this value unless it was finished.
struct Unfinished {
    folder: OwnedFd,
    name: String,
    last: std::ffi::OsString,
    finished: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            // It may never have been made.
            let _ = rustix::fs::unlinkat(&self.folder, self.name.as_str(), AtFlags::empty());
        }
    }
}

impl Unfinished {
    /// `into` is what a file is called that is put into a folder.
    fn begin(open: &Open, into: &str) -> Result<(Unfinished, File), String> {
        let root = root_of(open)?;
        let mut path = open.below.clone();
        if beneath(&root, &path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).is_ok() {
            path.push(Path::new(into).file_name().ok_or("it has no name")?);
        }
        let last = path.file_name().ok_or("it has no name")?.to_owned();
        let parent = path.parent().unwrap_or(Path::new(""));
        let folder = beneath(&root, parent, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        let name = format!("{UNFINISHED}{:016x}", fastrand::u64(..));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = beneath(&folder, Path::new(&name), flags, Mode::from_raw_mode(0o644))?;
        Ok((Unfinished { folder, name, last, finished: false }, File::from(file)))
    }

    fn finish(mut self) -> Result<(), String> {
        let moved =
            rustix::fs::renameat(&self.folder, self.name.as_str(), &self.folder, self.last.as_os_str());
        moved.map_err(|error| io::Error::from(error).to_string())?;
        self.finished = true;
        Ok(())
    }
}

/// A file of the machine that asks, for a place of ours.
pub async fn take(
    node: Arc<Node>,
    from: NodeId,
    mut stream: Stream,
    path: String,
    name: String,
) -> Result<(), String> {
    let begun = match open_to(&node, &from, &path, true) {
        Ok(open) => {
            blocking(move || Unfinished::begin(&open, &name)).await.map_err(|error| error.to_string())
        }
        Err(reason) => Err(reason),
    };
    let (unfinished, file) = match begun {
        Ok(begun) => begun,
        Err(reason) => return refuse(&mut stream, &from, &path, reason).await,
    };
    frame::write(&mut stream, &Said::Ready { bytes: 0 }).await.map_err(|error| chain(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    let kept = match transfer::receive(&mut stream, &mut file, FILE_BYTES_MAX).await {
        Ok(bytes) => match file.sync_all().await {
            Ok(()) => unfinished.finish().map(|()| bytes),
            Err(error) => Err(error.to_string()),
        },
        Err(error) => Err(chain(&error)),
    };
    match kept {
        Ok(bytes) => {
            tracing::info!(peer = %from, path, bytes, "a file was taken");
            frame::write(&mut stream, &Said::Done).await.map_err(|error| chain(&error))
        }
        Err(reason) => refuse(&mut stream, &from, &path, reason).await,
    }
}

/// Brings a file of another machine here; how many bytes it has.
pub async fn fetch(network: &Network, id: &NodeId, there: &str, here: &Path) -> Result<u64, String> {
    let mut stream = stream_to(network, id, &Purpose::Get { path: there.to_owned() }).await?;
    let mut target = here.to_owned();
    if target.is_dir() {
        target.push(Path::new(there).file_name().ok_or_else(|| format!("`{there}` has no name"))?);
    }
    ready(&mut stream).await?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let failed = |error: &dyn std::error::Error| format!("`{}`: {}", target.display(), chain(error));
    let unfinished = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
    let mut file = tokio::fs::File::from_std(unfinished.reopen().map_err(|error| failed(&error))?);
    let received = transfer::receive(&mut stream, &mut file, FILE_BYTES_MAX).await;
    let bytes = received.map_err(|error| chain(&error))?;
    file.sync_all().await.map_err(|error| failed(&error))?;
    let readable = std::fs::Permissions::from_mode(0o644);
    unfinished.as_file().set_permissions(readable).map_err(|error| failed(&error))?;
    unfinished.persist(&target).map_err(|error| failed(&error.error))?;
    Ok(bytes)
}

/// Brings a file of ours there.
pub async fn bring(network: &Network, id: &NodeId, here: &Path, there: &str) -> Result<u64, String> {
    let failed = |error: &dyn std::error::Error| format!("`{}`: {}", here.display(), chain(error));
    let mut file = tokio::fs::File::open(here).await.map_err(|error| failed(&error))?;
    let about = file.metadata().await.map_err(|error| failed(&error))?;
    if !about.is_file() {
        return Err(format!("`{}` is no file", here.display()));
    }
    let name = here.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut stream = stream_to(network, id, &Purpose::Put { path: there.to_owned(), name }).await?;
    ready(&mut stream).await?;
    stream.writer_mut().yields();
    transfer::send(&mut stream, &mut file, about.len()).await.map_err(|error| chain(&error))?;
    match frame::read(&mut stream).await.map_err(|error| chain(&error))? {
        Said::Done => Ok(about.len()),
        Said::Refused { reason } => Err(reason),
        Said::Ready { .. } => Err("it says something out of turn".to_owned()),
    }
}

async fn stream_to(network: &Network, id: &NodeId, purpose: &Purpose) -> Result<Stream, String> {
    let link = network.reach(id).await.map_err(|error| chain(&error))?;
    link.open(purpose).await.map_err(|error| chain(&error))
}

async fn ready(stream: &mut Stream) -> Result<(), String> {
    match frame::read(stream).await.map_err(|error| chain(&error))? {
        Said::Ready { .. } => Ok(()),
        Said::Refused { reason } => Err(reason),
        Said::Done => Err("it says something out of turn".to_owned()),
    }
}
