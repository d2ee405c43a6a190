//! A carrier for a sandbox that is only tried: its one allowed host is a port of this machine, and nothing leaves it.

use std::io::{self, PipeWriter};
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::carrier::Carrier;
use super::decisions::{self, Log};
use super::lookup::{Lookup, Resolve};
use super::rules::Rules;
use super::shared::Reach;
use super::{PROXY_PORT, address};

/// A name for examples: nobody has it. Every other one is denied.
const ALLOWED: &str = "allowed.example";

/// Carries until it is dropped.
pub(crate) struct Rehearsal {
    lifeline: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// Every name is this machine, so it is the rules alone that keep anybody from one.
struct Here;

impl Resolve for Here {
    fn begin(&mut self, _host: &str) -> io::Result<Lookup> {
        Lookup::known("127.0.0.1\n")
    }
}

fn forbidden(found: IpAddr) -> Option<&'static str> {
    if found == Ipv4Addr::LOCALHOST { None } else { address::forbidden(found) }
}

impl Rehearsal {
    /// Stands behind a session's proxy port; the allowed host answers at `port` of this machine.
    pub fn begin(listener: OwnedFd, port: u16, folder: &Path) -> io::Result<Rehearsal> {
        let rules = Rules::new([ALLOWED], Vec::new()).map_err(io::Error::other)?;
        let log = Log::open(&folder.join(decisions::FILE))?;
        let (theirs, lifeline) = io::pipe()?;
        let reach = Reach { resolve: Box::new(Here), forbidden, port };
        let carrier = Carrier::new(rules, vec![(PROXY_PORT, listener)], theirs.into(), log, reach)?;
        // How it ended shows in what was reached.
        let thread = thread::spawn(move || drop(carrier.run()));
        Ok(Rehearsal { lifeline: Some(lifeline), thread: Some(thread) })
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
