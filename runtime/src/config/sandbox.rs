//! `[sandbox]`: what this machine settles for the sandboxes of its sessions.

use std::fs;

use niia_actors::sandbox::RunAs;
use serde::Deserialize;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// Who sandboxed sessions are where the node runs as root: a user's name, or `uid:gid`.
    pub run_as: Option<UserName>,
}

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct UserName(pub RunAs);

#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error("`{text}` is neither a user of this machine (/etc/passwd) nor `uid:gid`")]
    Unknown { text: String },
    #[error("`{text}` is root, whom no sandbox holds")]
    Root { text: String },
}

impl TryFrom<String> for UserName {
    type Error = UserError;

    fn try_from(text: String) -> Result<UserName, UserError> {
        let found = numbers(&text).or_else(|| by_name(&text, &fs::read_to_string("/etc/passwd").ok()?));
        match found {
            None => Err(UserError::Unknown { text }),
            Some(RunAs { uid: 0, .. }) => Err(UserError::Root { text }),
            Some(user) => Ok(UserName(user)),
        }
    }
}

fn numbers(text: &str) -> Option<RunAs> {
    let (uid, gid) = text.split_once(':')?;
    Some(RunAs { uid: uid.parse().ok()?, gid: gid.parse().ok()? })
}

fn by_name(name: &str, passwd: &str) -> Option<RunAs> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_named = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        is_named.then_some(RunAs { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_or_numbered_and_never_root() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1001:1002::/home/build:/bin/sh\n";
        assert_eq!(by_name("build", passwd), Some(RunAs { uid: 1001, gid: 1002 }));
        assert_eq!(by_name("nobody else", passwd), None);
        assert_eq!(numbers("61234:61235"), Some(RunAs { uid: 61234, gid: 61235 }));
        assert!(matches!(UserName::try_from("0:0".to_owned()), Err(UserError::Root { .. })));
        assert!(matches!(UserName::try_from("no:body".to_owned()), Err(UserError::Unknown { .. })));
    }
}
