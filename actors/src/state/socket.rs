//! Sockets in the state folder: a stale one is replaced, a living one never, and a long path is no obstacle.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::Lock;

/// The longest path the kernel binds, in bytes, without its final zero.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error(
        "somebody answers at the socket {path} who does not hold the lock of its folder; end that program first"
    )]
    Alive { path: PathBuf },
    #[error("{path} is in the way: it is no socket")]
    NoSocket { path: PathBuf },
    #[error("the socket {path} cannot be made")]
    Bind { path: PathBuf, source: io::Error },
}

/// Listens at a name in the folder whose lock is held. What lies there already is asked first.
pub fn bind(lock: &Lock, name: &str) -> Result<UnixListener, SocketError> {
    let path = lock.state().socket(name);
    let failed = |source| SocketError::Bind { path: path.clone(), source };
    match std::fs::symlink_metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(about) if !about.file_type().is_socket() => return Err(SocketError::NoSocket { path }),
        Ok(_) => clear(&path)?,
    }
    let listener = by_short_path(&path, |short| UnixListener::bind(short)).map_err(failed)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Listens at a path nobody else has a reason to listen at: what lies there was left by a node that was killed.
pub fn bind_anew(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = by_short_path(path, |short| UnixListener::bind(short))?;
    std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Reaches the socket at a path of any length.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    by_short_path(path, |short| UnixStream::connect(short))
}

fn clear(path: &Path) -> Result<(), SocketError> {
    let failed = |source| SocketError::Bind { path: path.to_owned(), source };
    match by_short_path(path, probe) {
        // A full queue belongs to a living listener too.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::Alive { path: path.to_owned() }),
        // Nobody listens any more: left by a node that was killed.
        Err(Errno::CONNREFUSED) => std::fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error.into())),
    }
}

/// Knocks without waiting: whoever listens may be stopped or busy for ever.
fn probe(path: &Path) -> Result<(), Errno> {
    let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::ioctl_fionbio(&socket, true)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)
}

/// A path that is too long is reached through a descriptor of its folder.
fn by_short_path<T, E: From<Errno>>(path: &Path, use_it: impl Fn(&Path) -> Result<T, E>) -> Result<T, E> {
    if path.as_os_str().len() <= PATH_BYTES_MAX {
        return use_it(path);
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return use_it(path);
    };
    if !cfg!(target_os = "linux") {
        return Err(Errno::NAMETOOLONG.into());
    }
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
    let folder = rustix::fs::open(folder, flags, Mode::empty())?;
    use_it(&Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name))
}
