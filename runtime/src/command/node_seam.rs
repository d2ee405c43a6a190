//! Where the command line hands over to the node.

use crate::config::{Config, Folders};
use crate::control::ready::Ready;
use crate::failure::{Exit, Failure};

/// Runs the node until it is told to stop.
pub async fn run(_folders: Folders, _config: Config, ready: Ready) -> Result<Exit, Failure> {
    let reason = "this build has no node";
    ready.failed(reason);
    Err(Failure::new(Exit::Unreachable, reason))
}
