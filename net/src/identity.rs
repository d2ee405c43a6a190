//! Who a node is: a key made at its first start, and everything that follows from it.
//!
//! The key lies on disk, readable by its user alone. The certificate is made from it at each start and kept nowhere:
//! what other nodes remember is the key. So is what a restarted node needs to be recognised by half-open connections.

mod id;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

pub use id::{NodeId, NodeIdError};

/// The name in every certificate: what tells nodes apart is their key.
pub const CERTIFICATE_NAME: &str = "niia";
/// How long a certificate is good for, in years: it is made anew at each start, and no node runs that long.
const CERTIFICATE_YEARS: u64 = 10;
/// A year on average, in seconds; certificates end at the beginning of one.
const YEAR_SECONDS: u64 = 31_556_952;
/// More than a key needs; past it the file is something else.
const KEY_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the folder {path} of this node's key cannot be used")]
    Folder { path: PathBuf, source: io::Error },
    #[error("this node's key {path} cannot be used")]
    File { path: PathBuf, source: io::Error },
    #[error("others may read this node's key {path}: `chmod 600` it, or remove it and pair again")]
    Open { path: PathBuf },
    #[error("{path} holds no key: remove it, and pair again with those that knew it")]
    Damaged { path: PathBuf, source: rcgen::Error },
    #[error("a key cannot be made")]
    Generate { source: rcgen::Error },
    #[error("a certificate cannot be made of the key")]
    Certificate { source: rcgen::Error },
}

/// A node's own key and certificate.
pub struct Identity {
    id: NodeId,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The key is nobody's business, a log's least of all.
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Identity {
    /// The identity that lies in a folder; it is made where there is none.
    pub fn open(folder: &Path) -> Result<Identity, IdentityError> {
        let in_folder = |source| IdentityError::Folder { path: folder.to_owned(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(in_folder)?;
        let path = folder.join("key.pem");
        match read_key(&path)? {
            Some(key) => Identity::of(&key),
            None => {
                let key = KeyPair::generate_for(&PKCS_ED25519)
                    .map_err(|source| IdentityError::Generate { source })?;
                keep(folder, &path, &key)?;
                Identity::of(&key)
            }
        }
    }

    /// An identity that is kept nowhere.
    pub fn passing() -> Result<Identity, IdentityError> {
        let key =
            KeyPair::generate_for(&PKCS_ED25519).map_err(|source| IdentityError::Generate { source })?;
        Identity::of(&key)
    }

    fn of(key: &KeyPair) -> Result<Identity, IdentityError> {
        Identity::until_year(key, this_year() + CERTIFICATE_YEARS)
    }

    fn until_year(key: &KeyPair, year: u64) -> Result<Identity, IdentityError> {
        let failed = |source| IdentityError::Certificate { source };
        let mut about = CertificateParams::new([CERTIFICATE_NAME.to_owned()]).map_err(failed)?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, CERTIFICATE_NAME);
        about.distinguished_name = name;
        about.not_after = rcgen::date_time_ymd(i32::try_from(year).unwrap_or(i32::MAX), 1, 1);
        Ok(Identity::with(about.self_signed(key).map_err(failed)?.der().clone(), key))
    }

    pub(crate) fn with(certificate: CertificateDer<'static>, key: &KeyPair) -> Identity {
        let id = NodeId::of_key(&rcgen::PublicKeyData::subject_public_key_info(key));
        Identity { id, certificate, key: key.serialize_der() }
    }

    /// One whose certificate ended years ago.
    #[cfg(any(test, feature = "probe"))]
    pub(crate) fn long_ago() -> Result<Identity, IdentityError> {
        let key =
            KeyPair::generate_for(&PKCS_ED25519).map_err(|source| IdentityError::Generate { source })?;
        Identity::until_year(&key, this_year() - 2)
    }

    pub fn id(&self) -> NodeId {
        self.id
    }

    pub(crate) fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// A secret that is the same after each restart: half-open connections are then reset at once instead of waiting
    /// for their end.
    pub(crate) fn derived(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, &self.key)
    }
}

fn this_year() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    1970 + since.as_secs() / YEAR_SECONDS
}

fn read_key(path: &Path) -> Result<Option<KeyPair>, IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    let about = match fs::symlink_metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed(source)),
    };
    if !about.is_file() || about.len() > KEY_BYTES_MAX {
        return Err(failed(io::ErrorKind::InvalidData.into()));
    }
    if about.mode() & 0o077 != 0 {
        return Err(IdentityError::Open { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let key = KeyPair::from_pem(&text)
        .map_err(|source| IdentityError::Damaged { path: path.to_owned(), source })?;
    Ok(Some(key))
}

/// Puts the key there whole or not at all; of two starts at once one key stays.
fn keep(folder: &Path, path: &Path, key: &KeyPair) -> Result<(), IdentityError> {
    let failed = |source| IdentityError::File { path: path.to_owned(), source };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.as_file().set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
    file.write_all(key.serialize_pem().as_bytes()).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist_noclobber(path).map_err(|error| failed(error.error))?;
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_the_same_after_a_restart_and_its_key_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (first, again) = (Identity::open(folder.path()).unwrap(), Identity::open(folder.path()).unwrap());
        assert_eq!(first.id(), again.id());
        assert_eq!(first.derived("x"), again.derived("x"));
        assert_ne!(first.derived("x"), first.derived("y"));
        let mode = fs::metadata(folder.path().join("key.pem")).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_ne!(first.id(), Identity::passing().unwrap().id());
        assert!(!format!("{first:?}").contains("key:"));
    }

    #[test]
    fn a_key_that_others_may_read_or_that_is_damaged_is_refused_with_the_cure() {
        let folder = tempfile::tempdir().unwrap();
        Identity::open(folder.path()).unwrap();
        let key = folder.path().join("key.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Identity::open(folder.path()).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&key, "no key").unwrap();
        assert!(Identity::open(folder.path()).unwrap_err().to_string().contains("pair again"));
    }
}
