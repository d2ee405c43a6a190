//! The MCP servers a session's tool is handed: niia's own, and those of the document.

use std::collections::BTreeMap;
use std::path::Path;

use niia_spec::plan::McpPlan;
use niia_spec::profile::{OWN_SERVER, Server};

use super::control_socket;
use crate::launch::{SOCKET_VARIABLE, env};
use crate::machine::Assignment;
use crate::machine::local::LocalMachine;

/// Hosts the servers of a session need to reach.
pub(super) fn hosts(assignment: &Assignment) -> impl Iterator<Item = String> {
    planned(assignment).into_iter().flat_map(|server| server.hosts.clone())
}

/// The phase's servers and the document's.
fn planned(assignment: &Assignment) -> Vec<&McpPlan> {
    let plan = &assignment.context.plan;
    let phase = plan.phases.iter().find(|phase| phase.name == assignment.attempt().worker.phase);
    phase.map(|phase| &phase.mcp).into_iter().flatten().chain(&plan.mcp).collect()
}

/// niia's own first; of several with one name the phase's counts, then the document's.
pub(super) fn servers(assignment: &Assignment, machine: &LocalMachine, folder: &Path) -> Vec<Server> {
    let mut servers = vec![own(assignment, machine, folder)];
    for server in planned(assignment) {
        if !servers.iter().any(|known| known.name == server.name) {
            servers.extend(handed(server, &assignment.context.origin.env));
        }
    }
    servers
}

/// A tool starts its servers with few variables or none, so that what leads to the node is told here.
fn own(assignment: &Assignment, machine: &LocalMachine, folder: &Path) -> Server {
    let mut env = BTreeMap::from([("NIIA_HOME".to_owned(), machine.state_folder.display().to_string())]);
    if assignment.worker.session.sandbox.is_some() {
        env.insert(SOCKET_VARIABLE.to_owned(), control_socket(folder).display().to_string());
    }
    Server {
        name: OWN_SERVER.to_owned(),
        command: machine.program.display().to_string(),
        args: vec!["mcp".to_owned()],
        env,
    }
}

/// A server of the plan; one that was found nowhere, or is no program, is told to the agent as absent.
fn handed(server: &McpPlan, caller: &BTreeMap<String, String>) -> Option<Server> {
    let env = server.env.iter().filter_map(|(name, text)| {
        let value = env::expanded(text, caller);
        if value.is_none() {
            tracing::warn!(server = %server.name, variable = %name, "a variable of an MCP server is not set");
        }
        Some((name.clone(), value?))
    });
    Some(Server {
        name: server.name.clone(),
        command: server.command.clone()?,
        args: server.args.clone(),
        env: env.collect(),
    })
}
