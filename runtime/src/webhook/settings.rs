//! What the configuration says of webhooks: where to listen, and the secrets by which senders are believed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use niia_spec::name::Slug;
use ring::hmac;
use serde::Deserialize;

use crate::config::Folders;

/// A secret shorter than this can be guessed.
const SECRET_BYTES_MIN: usize = 16;
/// A file of secrets, the old and the new one while they are changed.
const SECRET_FILE_BYTES_MAX: u64 = 16 * 1024;

/// `[webhook]` of `niia.toml`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebhookConfig {
    /// A port, which is this machine's own alone, or an address with a port. Without it there are no webhooks.
    pub listen: Option<Listen>,
    /// The secret of every hook that has none of its own.
    pub secret_file: Option<PathBuf>,
    pub github: HookConfig,
    /// Hooks by name: `webhook.NAME` at `/hook/NAME`.
    pub hooks: BTreeMap<String, HookConfig>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HookConfig {
    pub secret_file: Option<PathBuf>,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Listen(pub SocketAddr);

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Port(u16),
    Text(String),
}

impl TryFrom<Written> for Listen {
    type Error = String;

    fn try_from(written: Written) -> Result<Listen, String> {
        let loopback = |port| Listen(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        match written {
            Written::Port(port) => Ok(loopback(port)),
            Written::Text(text) => match (text.parse::<u16>(), text.parse::<SocketAddr>()) {
                (Ok(port), _) => Ok(loopback(port)),
                (_, Ok(address)) => Ok(Listen(address)),
                _ => Err(format!(
                    "`{text}` is neither a port nor an address with a port, such as 127.0.0.1:8765"
                )),
            },
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("`webhook` names no `secret_file`: nobody could be believed")]
    NoSecret,
    #[error("`webhook.hooks.{name}` is no name for a hook")]
    Name { name: String },
    #[error("the secret file `{}` cannot be read", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("others may read the secret file `{0}`: `chmod 600 {0}`", path.display())]
    Open { path: PathBuf },
    #[error("the secret file `{}` holds no secret of {SECRET_BYTES_MIN} bytes or more on a line of its own", path.display())]
    Short { path: PathBuf },
}

/// The keys by which signatures are checked. A file may hold several, a line each: the old and the new one.
pub(super) struct Secrets {
    github: Vec<hmac::Key>,
    hooks: BTreeMap<String, Vec<hmac::Key>>,
    /// Of every other hook.
    any: Vec<hmac::Key>,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("hooks", &self.hooks.keys()).finish_non_exhaustive()
    }
}

impl Secrets {
    pub fn read(config: &WebhookConfig, folders: &Folders) -> Result<Secrets, SettingsError> {
        let read =
            |path: &Option<PathBuf>| path.as_deref().map_or(Ok(Vec::new()), |path| keys(path, folders));
        let any = read(&config.secret_file)?;
        let mut github = read(&config.github.secret_file)?;
        if github.is_empty() {
            github.clone_from(&any);
        }
        let mut hooks = BTreeMap::new();
        for (name, hook) in &config.hooks {
            if Slug::new(name).is_err() {
                return Err(SettingsError::Name { name: name.clone() });
            }
            let own = read(&hook.secret_file)?;
            hooks.insert(name.clone(), if own.is_empty() { any.clone() } else { own });
        }
        if github.is_empty() && hooks.values().all(Vec::is_empty) {
            return Err(SettingsError::NoSecret);
        }
        Ok(Secrets { github, hooks, any })
    }

    pub fn of_github(&self) -> &[hmac::Key] {
        &self.github
    }

    pub fn of_hook(&self, name: &str) -> &[hmac::Key] {
        self.hooks.get(name).unwrap_or(&self.any)
    }
}

/// `~/` is the home, and what is relative lies beside the configuration.
fn keys(path: &Path, folders: &Folders) -> Result<Vec<hmac::Key>, SettingsError> {
    let path = match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => folders.config.join(path),
    };
    let unreadable = |source| SettingsError::Unreadable { path: path.clone(), source };
    let about = fs::metadata(&path).map_err(unreadable)?;
    if about.mode() & 0o077 != 0 {
        return Err(SettingsError::Open { path });
    }
    if about.len() > SECRET_FILE_BYTES_MAX {
        return Err(SettingsError::Short { path });
    }
    let text = fs::read_to_string(&path).map_err(unreadable)?;
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() || lines.iter().any(|line| line.len() < SECRET_BYTES_MIN) {
        return Err(SettingsError::Short { path });
    }
    Ok(lines.iter().map(|line| hmac::Key::new(hmac::HMAC_SHA256, &secret_of(line))).collect())
}

/// A secret as it is written; `whsec_` and base64 is how Standard Webhooks write theirs.
fn secret_of(line: &str) -> Vec<u8> {
    let encoded = line.strip_prefix("whsec_").and_then(|text| STANDARD.decode(text).ok());
    encoded.unwrap_or_else(|| line.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_port_is_this_machines_own() {
        let listen =
            |text: &str| toml::from_str::<WebhookConfig>(text).unwrap().listen.unwrap().0.to_string();
        assert_eq!(listen("listen = 8765"), "127.0.0.1:8765");
        assert_eq!(listen("listen = \"8765\""), "127.0.0.1:8765");
        assert_eq!(listen("listen = \"0.0.0.0:8765\""), "0.0.0.0:8765");
        assert!(toml::from_str::<WebhookConfig>("listen = \"everywhere\"").is_err());
        assert_eq!(toml::from_str::<WebhookConfig>("").unwrap().listen, None);
    }

    #[test]
    fn a_secret_that_others_may_read_or_guess_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders { state: folder.path().into(), config: folder.path().into() };
        let config = WebhookConfig { secret_file: Some("secret".into()), ..WebhookConfig::default() };
        let read = |text: &str, mode| {
            let path = folder.path().join("secret");
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            Secrets::read(&config, &folders)
        };
        assert_eq!(read("0123456789abcdef\nfedcba9876543210\n", 0o600).unwrap().of_hook("any").len(), 2);
        assert!(matches!(read("0123456789abcdef", 0o644), Err(SettingsError::Open { .. })));
        assert!(matches!(read("short", 0o600), Err(SettingsError::Short { .. })));
        assert!(matches!(read("", 0o600), Err(SettingsError::Short { .. })));
        let nothing = Secrets::read(&WebhookConfig::default(), &folders);
        assert!(matches!(nothing, Err(SettingsError::NoSecret)));
    }
}
