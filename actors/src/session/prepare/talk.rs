//! What a conversation is started with: its name, its settings, where its hooks tell.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use niia_spec::course::Ending;
use niia_spec::permission::Policy;
use niia_spec::plan::Permission;
use niia_spec::profile::{OwnHome, Profile, Talk, merged_settings};

use super::{failed, place};
use crate::launch::{Launch, Place};
use crate::machine::Assignment;
use crate::machine::local::LocalMachine;
use crate::session::finish::profile_of;
use crate::session::{hooks, way};

/// The longest file of a user's settings that is added to.
const SETTINGS_BYTES_MAX: u64 = 1024 * 1024;
/// A word nobody guesses.
const SECRET_BYTES: usize = 16;
const SECRET: &str = "secret";
/// The folder of a tool's settings among what a worker keeps.
const HOME: &str = "home";
/// The folder of a sandboxed tool's state.
const STATE: &str = "state";

/// What a conversation needs beside its launch.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drawn {
    /// What it is called, where niia knows that before the tool tells.
    pub name: Option<String>,
    /// Where its transcript lies, if that is known before the tool tells.
    pub transcript: Option<PathBuf>,
    /// Files of the session's own settings, by name.
    overlay: BTreeMap<String, String>,
    kept: PathBuf,
    home: Option<OwnHome>,
    /// Where the user has what is linked into the session's own folder of settings.
    theirs: Option<PathBuf>,
}

/// Texts that outlive the call they are lent to.
pub(super) struct Told {
    session: String,
    /// Niia has given the name, or an earlier attempt's tool has told it.
    is_known: bool,
    resumes: bool,
    overlay: String,
    niia: String,
    cwd: String,
    kept: String,
    port: Option<String>,
    secret: String,
    permission: &'static str,
}

impl Told {
    pub(super) fn of(
        assignment: &Assignment,
        machine: &LocalMachine,
        folder: &Path,
        profile: &Profile,
        port: Option<u16>,
    ) -> Result<Told, Box<Ending>> {
        let cwd = match place(assignment)? {
            Place::Tree { path, .. } | Place::Folder { path } => path,
        };
        let before = way::earlier(assignment).filter(|_| assignment.conversation);
        let secret = secret(folder)
            .map_err(|error| failed(format!("its folder {} cannot be written: {error}", folder.display())))?;
        let mut told = Told {
            resumes: before.is_some(),
            is_known: before.is_some(),
            session: before.unwrap_or_else(|| name_of(&assignment.session.to_string())),
            overlay: overlay(folder).display().to_string(),
            niia: machine.program.display().to_string(),
            cwd: cwd.display().to_string(),
            kept: kept(assignment).display().to_string(),
            port: port.map(|port| port.to_string()),
            secret,
            permission: match assignment.worker.session.permission {
                Permission::Ask => "ask",
                Permission::ReadOnly => "read-only",
                Permission::WorkspaceWrite => "workspace-write",
                Permission::Full => "full",
            },
        };
        if let Some(name) = profile.conversation_name(&told.talk()) {
            (told.session, told.is_known) = (name, true);
        }
        Ok(told)
    }

    pub(super) fn talk(&self) -> Talk<'_> {
        Talk {
            session: Some(&self.session),
            overlay: Some(&self.overlay),
            niia: Some(&self.niia),
            cwd: Some(&self.cwd),
            permission: Some(self.permission),
            resumes: self.resumes,
            kept: Some(&self.kept),
            port: self.port.as_deref(),
            secret: Some(&self.secret),
        }
    }

    pub(super) fn drawn(
        &self,
        profile: &Profile,
        assignment: &Assignment,
        overlay: BTreeMap<String, String>,
        home: Option<OwnHome>,
    ) -> Drawn {
        let env = &assignment.context.origin.env;
        let theirs = home.as_ref().and_then(|home| {
            let above = env.get(&home.variable).or_else(|| env.get("HOME"))?;
            Some(Path::new(above).join(&home.folder))
        });
        Drawn {
            name: self.is_known.then(|| self.session.clone()),
            transcript: profile.transcript_file(&self.talk()).map(PathBuf::from),
            overlay,
            kept: PathBuf::from(&self.kept),
            home,
            theirs,
        }
    }
}

impl Drawn {
    /// What a tool needs that answers once: files, and nothing else.
    pub(super) fn of_files(overlay: BTreeMap<String, String>) -> Drawn {
        Drawn { overlay, ..Drawn::default() }
    }

    /// The variable by which the tool finds its folder of settings.
    pub(super) fn home_variable(&self) -> Option<(String, String)> {
        let home = self.home.as_ref()?;
        Some((home.variable.clone(), self.kept.join(HOME).display().to_string()))
    }
}

/// Whether the tool is given a port of its own.
pub(super) fn wants_port(assignment: &Assignment) -> bool {
    let conversation = profile_of(assignment).and_then(|profile| profile.conversation.as_ref());
    assignment.conversation && conversation.is_some_and(|conversation| conversation.wants_port())
}

/// What a session needs of its own folder inside a sandbox: its tool's settings, and, where it stays, the place where its
/// hooks tell.
pub(super) fn grant(policy: &mut crate::sandbox::Policy, assignment: &Assignment, drawn: &Drawn) {
    let folder = assignment.context.session_folder(assignment.attempt());
    if assignment.conversation || !drawn.overlay.is_empty() {
        policy.read_only.push(overlay(&folder));
    }
    if !assignment.conversation {
        return;
    }
    policy.write.push(hooks::folder(&folder));
    policy.write.push(kept(assignment));
}

pub(super) fn overlay(session_folder: &Path) -> PathBuf {
    session_folder.join(hooks::OVERLAY)
}

/// A folder that all attempts of a worker share: the first one's.
fn kept(assignment: &Assignment) -> PathBuf {
    let mut first = assignment.attempt().clone();
    first.attempt = 1;
    assignment.context.session_folder(&first).join("kept")
}

/// Where a sandboxed tool keeps its state. A conversation is taken up again by the next attempt from what it wrote there.
pub(super) fn state(assignment: &Assignment) -> PathBuf {
    let folder = if assignment.conversation {
        kept(assignment)
    } else {
        assignment.context.session_folder(assignment.attempt())
    };
    folder.join(STATE)
}

/// The transcript that all attempts of a worker share, where the tool is told to write one.
pub(in crate::session) fn shared_transcript(assignment: &Assignment, profile: &Profile) -> Option<PathBuf> {
    let kept = kept(assignment).display().to_string();
    profile.transcript_file(&Talk { kept: Some(&kept), ..Talk::default() }).map(PathBuf::from)
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

/// A word only the session knows, made once: a node that takes it up draws the same launch.
fn secret(session_folder: &Path) -> io::Result<String> {
    let path = session_folder.join(SECRET);
    match fs::read_to_string(&path) {
        Ok(secret) if secret.len() == 2 * SECRET_BYTES => return Ok(secret),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut bytes = [0; SECRET_BYTES];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    fs::DirBuilder::new().recursive(true).mode(0o700).create(session_folder)?;
    write(&path, &secret)?;
    Ok(secret)
}

/// Writes the settings and makes the place where hooks tell.
pub(super) fn prepare(
    assignment: &Assignment,
    drawn: &super::Drawn,
    session_folder: &Path,
) -> io::Result<()> {
    let folder = overlay(session_folder);
    let talk = &drawn.talk;
    if !assignment.conversation && talk.overlay.is_empty() {
        return Ok(());
    }
    make(&folder)?;
    for (name, text) in &talk.overlay {
        write(&folder.join(name), text)?;
    }
    if !assignment.conversation {
        return Ok(());
    }
    hooks::prepare(session_folder)?;
    make(&talk.kept)?;
    if let Some(policy) = policy(assignment, drawn) {
        write(&hooks::policy_path(session_folder), &serde_json::to_string(&policy)?)?;
    }
    match &talk.home {
        Some(home) => make_home(home, talk.theirs.as_deref(), &drawn.launch),
        None => Ok(()),
    }
}

/// What the session lets its tool do: a worker's by its document. Whoever talks to a session without a prompt is asked
/// by the tool itself.
fn policy(assignment: &Assignment, drawn: &super::Drawn) -> Option<Policy> {
    let session = &assignment.worker.session;
    let profile = profile_of(assignment).filter(|_| !assignment.prompt.is_empty())?;
    let mut writable = vec![drawn.launch.cwd.clone()];
    writable.extend(session.scratchpad.then(|| assignment.context.scratchpad_folder()));
    Policy::of(profile, session.permission, session.on_dialog, writable)
}

/// Makes the folder of settings where the launch says that it is. In a sandbox nothing of the user's is linked: it
/// could not be read, and would be no secret if it could.
fn make_home(home: &OwnHome, theirs: Option<&Path>, launch: &Launch) -> io::Result<()> {
    let Some(root) = launch.env.get(&home.variable) else { return Ok(()) };
    let folder = Path::new(root).join(&home.folder);
    make(&folder)?;
    let theirs = theirs.filter(|theirs| *theirs != folder && launch.sandbox.is_none());
    if let Some(theirs) = theirs {
        link(home, theirs, &folder)?;
    }
    for (name, ours) in &home.merge {
        let user = theirs.map(|theirs| theirs.join(name));
        let text = user.as_deref().map(settings).transpose()?.flatten();
        let merged = merged_settings(text.as_deref(), ours).map_err(|error| {
            let path = user.as_deref().unwrap_or(Path::new(name)).display();
            io::Error::new(io::ErrorKind::InvalidData, format!("`{path}`: {error}"))
        })?;
        write(&folder.join(name), &merged)?;
    }
    Ok(())
}

/// Links what the user has and the session does not.
fn link(home: &OwnHome, theirs: &Path, folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(theirs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let name = entry?.file_name();
        let is = |known: &str| name.to_str() == Some(known);
        if home.own.iter().any(|own| is(own)) || home.merge.iter().any(|(merged, _)| is(merged)) {
            continue;
        }
        match symlink(theirs.join(&name), folder.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The user's settings, where there are any.
fn settings(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(SETTINGS_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > SETTINGS_BYTES_MAX {
        let why = format!("`{}` has more than {SETTINGS_BYTES_MAX} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    Ok(Some(text))
}

fn make(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())
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

    #[test]
    fn a_session_has_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let first = secret(folder.path()).unwrap();
        assert_eq!((first.len(), secret(folder.path()).unwrap()), (32, first.clone()));
        assert_ne!(secret(&folder.path().join("other")).unwrap(), first);
    }

    #[test]
    fn what_the_user_has_is_linked_but_for_what_is_the_sessions_own() {
        let folder = tempfile::tempdir().unwrap();
        let (theirs, own) = (folder.path().join("theirs"), folder.path().join("own"));
        fs::create_dir_all(theirs.join("tmp")).unwrap();
        fs::create_dir_all(&own).unwrap();
        for name in ["login.json", "settings.json"] {
            fs::write(theirs.join(name), "{}").unwrap();
        }
        let home = OwnHome {
            variable: "X".into(),
            folder: ".x".into(),
            own: vec!["tmp".into()],
            merge: vec![("settings.json".into(), "{}".into())],
        };
        for _ in 0..2 {
            link(&home, &theirs, &own).unwrap();
        }
        let names = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["login.json"]);
    }
}
