//! A bad network between two UDP ends: delay, loss, doubles, reordering, damage, and holes that swallow everything, in
//! one direction or both. What happens to which datagram follows from a seed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Larger than any datagram.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// How long the sockets are listened to at most before somebody looks whether it is over.
const TURN: Duration = Duration::from_millis(20);
/// Datagrams on their way; a network loses what is too much for it.
const WAITING_MAX: usize = 50_000;

/// How bad it is. Chances are in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub loss: u8,
    pub double: u8,
    /// Held back so that later ones overtake it.
    pub reorder: u8,
    pub damage: u8,
    pub delay: Duration,
    /// More delay, by chance.
    pub jitter: Duration,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From those who dial to the end behind the proxy.
    There,
    Back,
}

/// Stands in front of one UDP end. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    link: Mutex<Link>,
    holes: [AtomicBool; 2],
    over: AtomicBool,
    carried: AtomicU64,
    /// What went there, for whoever wants to say it again.
    kept: Mutex<Option<Vec<Vec<u8>>>>,
}

impl Proxy {
    /// # Errors
    /// Where no socket can be had.
    pub fn before(target: SocketAddr, link: Link, seed: u64) -> io::Result<Proxy> {
        let front = UdpSocket::bind("127.0.0.1:0")?;
        let address = front.local_addr()?;
        let shared = Arc::new(Shared {
            link: Mutex::new(link),
            holes: Default::default(),
            over: AtomicBool::new(false),
            carried: AtomicU64::new(0),
            kept: Mutex::new(None),
        });
        let worker = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut carrier = Carrier {
                front,
                target,
                backs: HashMap::new(),
                waiting: BinaryHeap::new(),
                random: fastrand::Rng::with_seed(seed),
                shared: worker,
                number: 0,
            };
            // A socket that broke carries nothing any more; the ends find out as they would of a cable.
            let _ = carrier.carry();
        });
        Ok(Proxy { address, shared, thread: Some(thread) })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn set(&self, link: Link) {
        *self.shared.link.lock().unwrap_or_else(PoisonError::into_inner) = link;
    }

    /// Swallows everything that goes this way, or lets it pass again.
    pub fn hole(&self, direction: Direction, open: bool) {
        self.shared.holes[direction as usize].store(open, Ordering::Relaxed);
    }

    /// Begins to keep what goes there.
    pub fn keep(&self) {
        *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was kept, and keeps no more.
    #[must_use]
    pub fn kept(&self) -> Vec<Vec<u8>> {
        self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Datagrams that were carried so far.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.shared.carried.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A datagram on its way; the number keeps those of one moment in order.
type Waiting = Reverse<(Instant, u64, Direction2, SocketAddr, Vec<u8>)>;

/// [`Direction`] as a number, for the queue's order.
type Direction2 = u8;

struct Carrier {
    front: UdpSocket,
    target: SocketAddr,
    /// For each who dials, a socket of its own towards the target.
    backs: HashMap<SocketAddr, UdpSocket>,
    waiting: BinaryHeap<Waiting>,
    random: fastrand::Rng,
    shared: Arc<Shared>,
    number: u64,
}

impl Carrier {
    fn carry(&mut self) -> io::Result<()> {
        self.front.set_nonblocking(true)?;
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
        while !self.shared.over.load(Ordering::Relaxed) {
            self.listen()?;
            while let Some((count, from)) = received(self.front.recv_from(&mut buffer))? {
                if !self.backs.contains_key(&from) {
                    let back = UdpSocket::bind("127.0.0.1:0")?;
                    back.connect(self.target)?;
                    back.set_nonblocking(true)?;
                    self.backs.insert(from, back);
                }
                let bytes = buffer[..count].to_vec();
                self.take(Direction::There, from, bytes);
            }
            let dialled: Vec<SocketAddr> = self.backs.keys().copied().collect();
            for who in dialled {
                while let Some(count) = self.backs.get(&who).map(|back| back.recv(&mut buffer)) {
                    let Some(count) = received(count)? else { break };
                    let bytes = buffer[..count].to_vec();
                    self.take(Direction::Back, who, bytes);
                }
            }
            self.let_go();
        }
        Ok(())
    }

    /// Waits until somebody speaks, or until something is due.
    fn listen(&self) -> io::Result<()> {
        let due = self
            .waiting
            .peek()
            .map_or(TURN, |Reverse((due, ..))| due.saturating_duration_since(Instant::now()));
        let sockets = std::iter::once(&self.front).chain(self.backs.values());
        let mut sockets: Vec<PollFd<'_>> = sockets.map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        let limit = Timespec::try_from(due.min(TURN)).map_err(io::Error::other)?;
        match poll(&mut sockets, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn take(&mut self, direction: Direction, who: SocketAddr, mut bytes: Vec<u8>) {
        if direction == Direction::There
            && let Some(kept) = &mut *self.shared.kept.lock().unwrap_or_else(PoisonError::into_inner)
            && kept.len() < WAITING_MAX
        {
            kept.push(bytes.clone());
        }
        let link = *self.shared.link.lock().unwrap_or_else(PoisonError::into_inner);
        let hole = self.shared.holes[direction as usize].load(Ordering::Relaxed);
        if hole || self.chance(link.loss) || self.waiting.len() >= WAITING_MAX {
            return;
        }
        if self.chance(link.damage) && !bytes.is_empty() {
            let at = self.random.usize(..bytes.len());
            bytes[at] ^= 1 << self.random.u8(..8);
        }
        let copies = if self.chance(link.double) { 2 } else { 1 };
        for _ in 0..copies {
            let mut due = Instant::now() + link.delay;
            if !link.jitter.is_zero() {
                due += link.jitter.mul_f64(self.random.f64());
            }
            if self.chance(link.reorder) {
                due += link.delay + Duration::from_millis(self.random.u64(1..20));
            }
            self.number += 1;
            self.waiting.push(Reverse((due, self.number, direction as u8, who, bytes.clone())));
        }
    }

    fn let_go(&mut self) {
        let now = Instant::now();
        while self.waiting.peek().is_some_and(|Reverse((due, ..))| *due <= now) {
            let Some(Reverse((_, _, direction, who, bytes))) = self.waiting.pop() else { return };
            self.shared.carried.fetch_add(1, Ordering::Relaxed);
            // An end that is not there just now loses it, as it would without us.
            if direction == Direction::There as u8 {
                drop(self.backs.get(&who).map(|back| back.send(&bytes)));
            } else {
                drop(self.front.send_to(&bytes, who));
            }
        }
    }

    fn chance(&mut self, percent: u8) -> bool {
        percent > 0 && self.random.u8(..100) < percent
    }
}

/// What came, or nothing; a refusal by an end that is away is nothing as well.
fn received<T>(came: io::Result<T>) -> io::Result<Option<T>> {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    match came {
        Ok(came) => Ok(Some(came)),
        Err(error) if matches!(error.kind(), WouldBlock | TimedOut | ConnectionRefused | Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(link: Link) -> (UdpSocket, UdpSocket, Proxy) {
        let far = UdpSocket::bind("127.0.0.1:0").unwrap();
        let near = UdpSocket::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy::before(far.local_addr().unwrap(), link, 1).unwrap();
        near.connect(proxy.address()).unwrap();
        for end in [&far, &near] {
            end.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        }
        (near, far, proxy)
    }

    fn count(end: &UdpSocket) -> usize {
        let mut buffer = [0; 100];
        std::iter::from_fn(|| end.recv_from(&mut buffer).ok()).count()
    }

    #[test]
    fn a_good_link_carries_everything_both_ways() {
        let (near, far, _proxy) = ends(Link::default());
        let mut buffer = [0; 100];
        for n in 0..100u8 {
            near.send(&[n]).unwrap();
            let (_, from) = far.recv_from(&mut buffer).unwrap();
            far.send_to(&[n], from).unwrap();
            assert_eq!(near.recv(&mut buffer).unwrap(), 1);
            assert_eq!(buffer[0], n);
        }
    }

    #[test]
    fn a_bad_link_loses_and_doubles_and_a_hole_swallows_one_direction() {
        let (near, far, proxy) = ends(Link { loss: 30, ..Link::default() });
        (0..200).for_each(|_| assert_eq!(near.send(b"x").unwrap(), 1));
        let came = count(&far);
        assert!((80..190).contains(&came), "{came}");
        proxy.set(Link { double: 50, ..Link::default() });
        (0..200).for_each(|_| assert_eq!(near.send(b"x").unwrap(), 1));
        assert!(count(&far) > 220);
        proxy.hole(Direction::There, true);
        near.send(b"x").unwrap();
        assert_eq!(count(&far), 0);
    }
}
