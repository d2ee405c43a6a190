//! Free ports for a session: a block that no other session has and nobody listens on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use niia_spec::name::SessionId;

/// Below what systems give to outgoing connections (32768 on Linux, 49152 elsewhere).
const PORT_FIRST: u16 = 21_000;
const PORT_LAST: u16 = 31_999;
/// A session that wants more ports than this has mistaken the field.
pub const PORTS_MAX: u16 = 100;

#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    #[error("`ports` is {wanted}: at most {PORTS_MAX} go")]
    TooMany { wanted: u16 },
    #[error("no {wanted} free ports in a row from {PORT_FIRST} to {PORT_LAST}")]
    None { wanted: u16 },
    #[error("could not use `{}`", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// Reserves ports for a session, or finds those it has. `folder` is shared by all sessions of the node.
///
/// Each port is a file that names its session: whoever makes the file has the port.
pub fn reserve_ports(folder: &Path, session: &SessionId, wanted: u16) -> Result<Vec<u16>, PortsError> {
    if wanted == 0 {
        return Ok(Vec::new());
    }
    if wanted > PORTS_MAX {
        return Err(PortsError::TooMany { wanted });
    }
    fs::create_dir_all(folder).map_err(|source| PortsError::File { path: folder.to_owned(), source })?;
    let owner = session.to_string();
    let had = ports_of(folder, &owner)?;
    if had.len() == usize::from(wanted) {
        return Ok(had);
    }
    // What a crash left half reserved.
    release(folder, &had)?;
    let blocks = (PORT_LAST - PORT_FIRST + 1) / wanted;
    // Each session begins elsewhere, so that one that is started again mostly gets the same.
    let start = u16::from_le_bytes([
        blake3::hash(owner.as_bytes()).as_bytes()[0],
        blake3::hash(owner.as_bytes()).as_bytes()[1],
    ]) % blocks;
    for n in 0..blocks {
        let first = PORT_FIRST + (start + n) % blocks * wanted;
        let block: Vec<u16> = (first..first + wanted).collect();
        if take(folder, &owner, &block)? {
            return Ok(block);
        }
    }
    Err(PortsError::None { wanted })
}

/// Gives a session's ports back.
pub fn release_ports(folder: &Path, session: &SessionId) -> Result<(), PortsError> {
    release(folder, &ports_of(folder, &session.to_string())?)
}

fn take(folder: &Path, owner: &str, block: &[u16]) -> Result<bool, PortsError> {
    for (n, port) in block.iter().enumerate() {
        let path = folder.join(port.to_string());
        let made = OpenOptions::new().create_new(true).write(true).open(&path);
        let held = match made {
            Ok(mut file) => {
                file.write_all(owner.as_bytes()).map_err(|source| PortsError::File { path, source })?;
                if is_free(*port) {
                    continue;
                }
                &block[..=n]
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => &block[..n],
            Err(source) => return Err(PortsError::File { path, source }),
        };
        release(folder, held)?;
        return Ok(false);
    }
    Ok(true)
}

fn release(folder: &Path, ports: &[u16]) -> Result<(), PortsError> {
    for port in ports {
        let path = folder.join(port.to_string());
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(PortsError::File { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn ports_of(folder: &Path, owner: &str) -> Result<Vec<u16>, PortsError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(PortsError::File { path: folder.to_owned(), source }),
    };
    let mut ports: Vec<u16> = Vec::new();
    for entry in entries.flatten() {
        let port = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(port) = port
            && fs::read(entry.path()).is_ok_and(|found| found == owner.as_bytes())
        {
            ports.push(port);
        }
    }
    ports.sort_unstable();
    Ok(ports)
}

/// Whether a server could listen on it: for this machine alone and for all, by either protocol.
fn is_free(port: u16) -> bool {
    let addresses: [SocketAddr; 3] = [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv4Addr::UNSPECIFIED, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ];
    addresses.iter().all(|address| match TcpListener::bind(address) {
        Ok(_) => true,
        // A machine without the newer protocol has nobody on it.
        Err(error) => address.is_ipv6() && error.kind() == io::ErrorKind::AddrNotAvailable,
    })
}
