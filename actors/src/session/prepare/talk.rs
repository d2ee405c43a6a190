//! What a conversation is started with: its name, its settings, where its hooks tell.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use niia_spec::course::Ending;
use niia_spec::permission::Policy;
use niia_spec::plan::Permission;
use niia_spec::profile::Talk;

use super::{Drawn, place};
use crate::session::finish::profile_of;
use crate::launch::Place;
use crate::machine::Assignment;
use crate::machine::local::LocalMachine;
use crate::session::{hooks, way};

/// Texts that outlive the call they are lent to.
pub(super) struct Told {
    session: String,
    resumes: bool,
    overlay: String,
    niia: String,
    cwd: String,
    permission: &'static str,
}

impl Told {
    pub(super) fn of(
        assignment: &Assignment,
        machine: &LocalMachine,
        folder: &Path,
    ) -> Result<Told, Box<Ending>> {
        let cwd = match place(assignment)? {
            Place::Tree { path, .. } | Place::Folder { path } => path,
        };
        let before = way::earlier(assignment).filter(|_| assignment.conversation);
        Ok(Told {
            resumes: before.is_some(),
            session: before.unwrap_or_else(|| name_of(&assignment.session.to_string())),
            overlay: overlay(folder).display().to_string(),
            niia: machine.program.display().to_string(),
            cwd: cwd.display().to_string(),
            permission: match assignment.worker.session.permission {
                Permission::Ask => "ask",
                Permission::ReadOnly => "read-only",
                Permission::WorkspaceWrite => "workspace-write",
                Permission::Full => "full",
            },
        })
    }

    pub(super) fn talk(&self) -> Talk<'_> {
        Talk {
            session: Some(&self.session),
            overlay: Some(&self.overlay),
            niia: Some(&self.niia),
            cwd: Some(&self.cwd),
            permission: Some(self.permission),
            resumes: self.resumes,
        }
    }
}

/// What a session that stays needs of its own folder inside a sandbox: its tool's settings, and where its hooks tell.
pub(super) fn grant(policy: &mut crate::sandbox::Policy, session_folder: &Path) {
    policy.read_only.push(overlay(session_folder));
    policy.write.push(hooks::folder(session_folder));
}

fn overlay(session_folder: &Path) -> PathBuf {
    session_folder.join(hooks::OVERLAY)
}

/// A name in the form of a UUID, the same for the same session: a node that takes it up draws the same launch.
fn name_of(session: &str) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&blake3::hash(session.as_bytes()).as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

/// Writes the settings and makes the place where hooks tell.
pub(super) fn prepare(assignment: &Assignment, drawn: &Drawn, session_folder: &Path) -> io::Result<()> {
    if !assignment.conversation {
        return Ok(());
    }
    hooks::prepare(session_folder)?;
    let folder = overlay(session_folder);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
    for (name, text) in &drawn.overlay {
        write(&folder.join(name), text.as_bytes())?;
    }
    match policy(assignment, drawn) {
        Some(policy) => write(&hooks::policy_path(session_folder), &serde_json::to_vec(&policy)?),
        None => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, bytes)
}

/// What the session lets its tool do: a worker's by its document. Whoever talks to a session without a prompt is asked
/// by the tool itself.
fn policy(assignment: &Assignment, drawn: &Drawn) -> Option<Policy> {
    let session = &assignment.worker.session;
    let profile = profile_of(assignment).filter(|_| !assignment.prompt.is_empty())?;
    let mut writable = vec![drawn.launch.cwd.clone()];
    writable.extend(session.scratchpad.then(|| assignment.context.scratchpad_folder()));
    Policy::of(profile, session.permission, session.on_dialog, writable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_always_has_the_same_name_and_no_other_has_it() {
        let name = name_of("review-k3f9x/find/1/1");
        assert_eq!(name, name_of("review-k3f9x/find/1/1"));
        assert_ne!(name, name_of("review-k3f9x/find/1/2"));
        assert_eq!((name.len(), &name[14..15]), (36, "4"));
    }
}
