//! `niia mcp`: the tools of a session for one client.

use super::Caller;
use crate::cli::agents::Mcp;
use crate::failure::{Exit, Failure};

pub async fn mcp(caller: &Caller, words: Mcp) -> Result<Exit, Failure> {
    let starts = !super::inside::is_inside(std::process::id());
    let served = crate::mcp::serve(caller.folders.clone(), words.run.run, starts).await;
    served.map_err(|error| Failure::trouble("the client cannot be served", error))?;
    Ok(Exit::Done)
}
