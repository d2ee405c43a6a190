//! What this user and this machine settled once: `niia.toml`, the folders, the user's own profiles and plugins.

mod folders;
mod sandbox;

pub use folders::{Folders, FoldersError, door, machine_id, own_hosts};
pub use sandbox::{SandboxConfig, UserName};

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::attach::keys::{Prefix, PrefixError};

/// More than any settings need; past it the file is something else.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;

/// More than any profile or wrapping needs.
pub const USER_FILE_BYTES_MAX: u64 = 256 * 1024;

/// How many profiles and plugins of their own a user may have.
pub const USER_FILES_MAX: usize = 256;

/// `niia.toml`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How many sessions the node lets live at a time.
    pub sessions_max: Option<u32>,
    /// The node starts no session while less memory than this is free.
    pub memory_floor_mib: Option<u64>,
    /// The model of a document that names none.
    pub default_model: Option<String>,
    /// A program and its first arguments; the text to tell is added as the last one.
    pub notify: Vec<String>,
    /// Ring the terminal at the end of a run and when a person must answer.
    pub bell: Option<bool>,
    pub sandbox: SandboxConfig,
    /// The key before `d` that leaves `attach`: `ctrl-\` unless something else is said.
    pub detach_key: Option<DetachKey>,
    /// How events of others are taken.
    pub webhook: crate::webhook::WebhookConfig,
    /// How this node is reached by others.
    pub network: crate::network::NetworkSettings,
}

/// The key before `d` that leaves `attach`, such as `ctrl-]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DetachKey(pub Prefix);

impl TryFrom<String> for DetachKey {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<DetachKey, PrefixError> {
        text.parse().map(DetachKey)
    }
}

/// Why the settings could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("could not read `{}`", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("`{}` has more than {max} bytes", path.display())]
    TooLong { path: PathBuf, max: u64 },
    #[error("{}:{line}:{column}: {message}", path.display())]
    Wrong { path: PathBuf, line: usize, column: usize, message: String },
    #[error("`{}` holds more than {USER_FILES_MAX} files", path.display())]
    TooMany { path: PathBuf },
}

impl Config {
    /// Reads `niia.toml`; where there is none, everything is as niia has it.
    pub fn read(folders: &Folders) -> Result<Config, ConfigError> {
        let path = folders.config.join("niia.toml");
        match read_bounded(&path, CONFIG_BYTES_MAX)? {
            Some(text) => Config::from_toml(&text, &path),
            None => Ok(Config::default()),
        }
    }

    fn from_toml(text: &str, path: &Path) -> Result<Config, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let (line, column) = line_and_column(text, at);
            let message = error.message().replace('\n', ", ");
            ConfigError::Wrong { path: path.to_owned(), line, column, message }
        })
    }
}

fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at.min(text.len())).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
    (line, column)
}

/// The text of a file, nothing where there is none.
fn read_bounded(path: &Path, max: u64) -> Result<Option<String>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(error)),
    };
    let mut text = String::new();
    file.take(max + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > max {
        return Err(ConfigError::TooLong { path: path.to_owned(), max });
    }
    Ok(Some(text))
}

/// The user's own profiles: (file name, text), in the order of their names.
pub fn user_profiles(folders: &Folders) -> Result<Vec<(String, String)>, ConfigError> {
    let mut profiles = Vec::new();
    for path in files_of(&folders.config.join("profiles"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !name.ends_with(".toml") {
            continue;
        }
        if let Some(text) = read_bounded(&path, USER_FILE_BYTES_MAX)? {
            profiles.push((name, text));
        }
    }
    Ok(profiles)
}

/// The user's own wrapping of prompts, where there is one.
pub fn user_wrapping(folders: &Folders) -> Result<Option<String>, ConfigError> {
    read_bounded(&folders.config.join("wrapping.md"), USER_FILE_BYTES_MAX)
}

/// The executables of the plugin folder by name.
pub fn user_plugins(folders: &Folders) -> Result<std::collections::BTreeMap<String, PathBuf>, ConfigError> {
    let executable =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    let files = files_of(&folders.config.join("plugins"))?;
    let named = |path: PathBuf| Some((path.file_name()?.to_str()?.to_owned(), path));
    Ok(files.into_iter().filter(executable).filter_map(named).collect())
}

/// The files of a folder in the order of their names; none where there is no such folder.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        if paths.len() == USER_FILES_MAX {
            return Err(ConfigError::TooMany { path: folder.to_owned() });
        }
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
