//! Everybody in a scene who listens: whoever comes is heard of, and told the secret.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::escape::sys::{ask, c};
use crate::house::must;

/// How long somebody who came may take to say something.
const SAY_WITHIN: Duration = Duration::from_millis(500);

/// Between two looks whether something was asked for.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// A line is typed so often, for the victim takes its share.
const TYPED: usize = 30;

#[derive(Debug)]
enum Ear {
    Tcp(TcpListener),
    Unix(UnixListener),
    Packets(OwnedFd),
    Udp(UdpSocket),
    Letters(UnixDatagram),
}

/// Those who listen, and what they heard.
#[derive(Debug)]
pub struct Services {
    pub tcp: u16,
    pub tcp6: u16,
    pub udp: u16,
    pub udp6: u16,
    pub dns: SocketAddr,
    ears: Vec<(String, Ear)>,
    uid: u32,
}

/// Services that answer.
#[derive(Debug)]
pub struct Open {
    heard: Arc<Mutex<Vec<String>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What the services are told of the scene.
#[derive(Debug)]
pub struct Told {
    pub secret: String,
    pub ready: PathBuf,
    pub late: PathBuf,
    pub hijack: String,
    pub typist: fs::File,
}

impl Services {
    pub fn new(uid: u32, dns: &[SocketAddr]) -> Services {
        let tcp = must("listen", TcpListener::bind("127.0.0.1:0"));
        // The one port is reached by every address of the loop.
        let port = must("listen", tcp.local_addr()).port();
        drop(tcp);
        let tcp =
            must("listen", TcpListener::bind(("0.0.0.0", port)).or_else(|_| TcpListener::bind("0.0.0.0:0")));
        let tcp6 = must("listen", TcpListener::bind("[::1]:0"));
        let udp = must("listen", UdpSocket::bind("0.0.0.0:0"));
        let udp6 = must("listen", UdpSocket::bind("[::1]:0"));
        let name_server = must("serve names", UdpSocket::bind(dns));
        let names = must("serve names", name_server.local_addr());
        let port = |address: std::io::Result<SocketAddr>| must("listen", address).port();
        let mut services = Services {
            tcp: port(tcp.local_addr()),
            tcp6: port(tcp6.local_addr()),
            udp: port(udp.local_addr()),
            udp6: port(udp6.local_addr()),
            dns: names,
            ears: Vec::new(),
            uid,
        };
        if let Ok(by_connection) = TcpListener::bind(names) {
            services.hear("dns over a connection", Ear::Tcp(by_connection));
        }
        services.hear("tcp", Ear::Tcp(tcp));
        services.hear("tcp6", Ear::Tcp(tcp6));
        services.hear("udp", Ear::Udp(udp));
        services.hear("udp6", Ear::Udp(udp6));
        services.hear("dns", Ear::Udp(name_server));
        services
    }

    fn hear(&mut self, what: &str, ear: Ear) {
        self.ears.push((what.to_owned(), ear));
    }

    /// A socket at a path, whose owner is the user.
    pub fn at(&mut self, path: &Path) {
        let listener = must(&format!("listen at {}", path.display()), UnixListener::bind(path));
        self.own(path);
        self.hear(&path.display().to_string(), Ear::Unix(listener));
    }

    pub fn letters_at(&mut self, path: &Path) {
        let socket = must("listen for letters", UnixDatagram::bind(path));
        self.own(path);
        self.hear(&path.display().to_string(), Ear::Letters(socket));
    }

    pub fn packets_at(&mut self, path: &Path) {
        let fd = must(
            "listen",
            ask!(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0),
        );
        let mut address = [0_u8; 110];
        address[0] = 1;
        let name = c(path);
        address[2..2 + name.as_bytes().len()].copy_from_slice(name.as_bytes());
        must("listen", ask!(libc::SYS_bind, fd, address.as_ptr(), 110));
        must("listen", ask!(libc::SYS_listen, fd, 8));
        // SAFETY: the descriptor was made just now and is nobody else's.
        let socket = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).unwrap_or(-1)) };
        self.own(path);
        self.hear(&path.display().to_string(), Ear::Packets(socket));
    }

    pub fn by_name(&mut self, stream: &str, letters: &str) {
        let address = must("name a socket", UnixAddr::from_abstract_name(stream));
        self.hear("a name", Ear::Unix(must("listen", UnixListener::bind_addr(&address))));
        let address = must("name a socket", UnixAddr::from_abstract_name(letters));
        self.hear("letters to a name", Ear::Letters(must("listen", UnixDatagram::bind_addr(&address))));
    }

    fn own(&self, path: &Path) {
        let _own = std::os::unix::fs::lchown(path, Some(self.uid), Some(self.uid));
    }

    /// Begins to answer.
    pub fn open(mut self, told: Told) -> Open {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let (hear, over) = (Arc::clone(&heard), Arc::clone(&end));
        let thread = std::thread::spawn(move || {
            let mut told = told;
            while !over.load(Ordering::Relaxed) {
                self.listen(&told.secret, &hear);
                self.serve(&mut told);
            }
        });
        Open { heard, end, thread: Some(thread) }
    }

    fn listen(&self, secret: &str, heard: &Mutex<Vec<String>>) {
        let mut ready: Vec<PollFd<'_>> =
            self.ears.iter().map(|(_, ear)| PollFd::from_borrowed_fd(ear.fd(), PollFlags::IN)).collect();
        if !matches!(poll(&mut ready, Some(&LOOK)), Ok(count) if count > 0) {
            return;
        }
        for (at, (what, ear)) in self.ears.iter().enumerate() {
            if ready[at].revents().contains(PollFlags::IN) {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push(what.clone());
                ear.answer(secret);
            }
        }
    }

    /// Does what an attempt has asked for.
    fn serve(&mut self, told: &mut Told) {
        let Ok(wish) = fs::read_to_string(&told.ready) else { return };
        let mut words = wish.split_whitespace();
        match (words.next(), words.next()) {
            (Some("late"), _) if !told.late.exists() => self.at(&told.late.clone()),
            (Some("hijack"), _) => visit_name(&told.hijack, &told.secret),
            (Some("visit"), Some(port)) => visit(port.parse().unwrap_or(0), &told.secret),
            (Some("type"), _) => {
                let _done = fs::remove_file(&told.ready);
                for _ in 0..TYPED {
                    let _typed = told.typist.write_all(format!("{}\n", told.secret).as_bytes());
                    std::thread::sleep(Duration::from_millis(10));
                }
            }
            _ => {}
        }
    }
}

impl Ear {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Ear::Tcp(socket) => socket.as_fd(),
            Ear::Unix(socket) => socket.as_fd(),
            Ear::Packets(socket) => socket.as_fd(),
            Ear::Udp(socket) => socket.as_fd(),
            Ear::Letters(socket) => socket.as_fd(),
        }
    }

    /// Whoever came is told the secret; that it is gone again is its own affair.
    fn answer(&self, secret: &str) {
        let mut said = [0; 1024];
        match self {
            Ear::Tcp(socket) => {
                if let Ok((mut stream, _)) = socket.accept() {
                    let _in_time = stream.set_read_timeout(Some(SAY_WITHIN));
                    let _said = stream.read(&mut said);
                    let _told = stream.write_all(secret.as_bytes());
                }
            }
            Ear::Unix(socket) => {
                if let Ok((mut stream, _)) = socket.accept() {
                    let _in_time = stream.set_read_timeout(Some(SAY_WITHIN));
                    let _said = stream.read(&mut said);
                    let _told = stream.write_all(secret.as_bytes());
                }
            }
            Ear::Packets(socket) => drop(rustix::net::accept(socket)),
            Ear::Udp(socket) => drop(socket.recv(&mut said)),
            Ear::Letters(socket) => drop(socket.recv(&mut said)),
        }
    }
}

fn visit(port: u16, secret: &str) {
    for host in
        [std::net::IpAddr::from([127, 0, 0, 1]), std::net::IpAddr::from(std::net::Ipv6Addr::LOCALHOST)]
    {
        if let Ok(mut stream) = TcpStream::connect_timeout(&SocketAddr::new(host, port), SAY_WITHIN) {
            let _told = stream.write_all(secret.as_bytes());
            return;
        }
    }
}

fn visit_name(name: &str, secret: &str) {
    if let Ok(address) = UnixAddr::from_abstract_name(name)
        && let Ok(mut stream) = UnixStream::connect_addr(&address)
    {
        let _told = stream.write_all(secret.as_bytes());
    }
}

impl Open {
    /// Who came so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One more look, for what was sent at the last moment.
    pub fn settle(&self) {
        std::thread::sleep(Duration::from_millis(30));
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}
