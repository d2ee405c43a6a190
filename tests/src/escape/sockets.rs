//! Unix sockets: whoever reaches a docker, an agent of keys or a bus has the user's powers.

use std::io::{Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use super::sys::{ask, c};
use super::{Attempt, Claim, missed, reached};

/// How long something that happens meanwhile may take.
const MEANWHILE: Duration = Duration::from_secs(2);

/// Speaks to a socket; what comes back holds the secret.
fn speak(path: impl AsRef<Path>) -> Claim {
    let path = path.as_ref();
    // A socket's path may have 107 bytes; from its folder its name is short.
    if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
        std::env::set_current_dir(folder)?;
        return talk(UnixStream::connect(name)?);
    }
    missed("it has no name")
}

fn talk(mut stream: UnixStream) -> Claim {
    stream.set_read_timeout(Some(MEANWHILE))?;
    stream.write_all(b"knock\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    reached(answer)
}

fn by_name(name: &str) -> Claim {
    talk(UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?)?)
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("docker", "speaks to docker in the home", |s| {
        speak(s.home().join(".docker/run/docker.sock"))
    }),
    Attempt::outside("ssh-agent", "speaks to the agent of the keys", |s| speak(s.socket("agent.sock"))),
    Attempt::outside("ssh-agent-by-environment", "asks the environment where the agent is", |_| {
        match std::env::var_os("SSH_AUTH_SOCK") {
            Some(path) => speak(Path::new(&path)),
            None => missed("nobody says"),
        }
    }),
    Attempt::outside("bus", "speaks to the user's bus", |s| speak(s.socket("bus"))),
    Attempt::outside("gpg-agent", "speaks to the agent of the other keys", |s| {
        speak(s.home().join(".gnupg/S.gpg-agent"))
    }),
    Attempt::outside("node", "speaks to niia's node itself", |s| speak(s.state().join("run/node.sock"))),
    Attempt::outside("other-session", "speaks to the minder of another session", |s| {
        speak(s.state().join("runs/other/control.sock"))
    }),
    Attempt::outside("any-folder", "speaks to a socket in an ordinary folder of the home", |s| {
        speak(s.outside("app.sock"))
    }),
    Attempt::outside("in-run", "speaks to a socket in /run", |s| speak(format!("/run/{}.sock", s.mark()))),
    Attempt::outside("in-tmp", "speaks to a socket in /tmp", |s| speak(format!("/tmp/{}.sock", s.mark()))),
    Attempt::outside("by-symlink", "speaks to a socket through a link", |s| {
        symlink(s.outside("app.sock"), s.tree().join("link"))?;
        speak(s.tree().join("link"))
    }),
    Attempt::outside("by-hardlink", "gives a socket a name in the worktree", |s| {
        std::fs::hard_link(s.outside("app.sock"), s.tree().join("taken"))?;
        speak(s.tree().join("taken"))
    }),
    Attempt::outside("by-handle", "speaks to a socket through a handle of its path", |s| {
        let fd = ask!(libc::SYS_openat, libc::AT_FDCWD, &c(s.outside("app.sock")), libc::O_PATH)?;
        speak(format!("/proc/self/fd/{fd}"))
    }),
    Attempt::outside("late", "speaks to a socket made while it runs", |s| {
        s.ready("late")?;
        let begun = Instant::now();
        loop {
            match speak(s.outside("late.sock")) {
                Err(_) if begun.elapsed() < MEANWHILE => std::thread::sleep(Duration::from_millis(20)),
                answer => return answer,
            }
        }
    }),
    Attempt::outside("datagram", "sends a letter to a socket", |s| {
        std::env::set_current_dir(s.outside(""))?;
        UnixDatagram::unbound()?.send_to(b"knock", "log.sock")?;
        reached("sent")
    }),
    Attempt::outside("packets", "speaks to a socket of packets", |s| {
        std::env::set_current_dir(s.outside(""))?;
        let fd = ask!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_SEQPACKET, 0)?;
        let mut address = [0_u8; 110];
        address[0] = 1;
        address[2..2 + 11].copy_from_slice(b"packet.sock");
        ask!(libc::SYS_connect, fd, address.as_ptr(), 110)?;
        ask!(libc::SYS_write, fd, b"knock".as_ptr(), 5)?;
        reached("sent")
    }),
    Attempt::outside("abstract", "speaks to a socket that has only a name", |s| by_name(&s.name("abstract"))),
    Attempt::outside("abstract-datagram", "sends a letter to a name", |s| {
        let address = SocketAddr::from_abstract_name(s.name("letters"))?;
        UnixDatagram::unbound()?.send_to_addr(b"knock", &address)?;
        reached("sent")
    }),
    Attempt::outside("abstract-hijack", "takes a name that others outside ask for", |s| {
        let address = SocketAddr::from_abstract_name(s.name("hijack"))?;
        let listener = UnixListener::bind_addr(&address)?;
        s.ready("hijack")?;
        listener.set_nonblocking(true)?;
        let begun = Instant::now();
        while begun.elapsed() < MEANWHILE {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(MEANWHILE))?;
                let mut said = String::new();
                stream.read_to_string(&mut said)?;
                return reached(said);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        missed("nobody came")
    }),
    Attempt::told("list-sockets", "reads which sockets there are", |s| {
        let list = std::fs::read_to_string("/proc/net/unix")?;
        if list.contains(&s.mark()) { reached("listed") } else { missed("none of the scene's is listed") }
    }),
];
