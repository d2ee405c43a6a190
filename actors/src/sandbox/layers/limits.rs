//! How much a session may take.

use rustix::process::{Resource, Rlimit};

use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;
use crate::sandbox::{Policy, Refusal};

/// Open files of one process: far above what a build or a server needs.
const DESCRIPTORS_MAX: u64 = 16_384;

/// Sets what holds for each process, and the number of processes, which the kernel counts in the session's own user
/// namespace: it must be set after that was entered.
pub(in super::super) fn set(policy: &Policy, layers: &mut Layers) -> Result<(), Refusal> {
    let mut words = Vec::new();
    put("memory", Resource::Core, 0)?;
    words.push(format!("{} open files a process", put("files", Resource::Nofile, DESCRIPTORS_MAX)?));
    if let Some(pids) = policy.pids_max {
        let now = put("processes", Resource::Nproc, pids)?;
        words.push(format!("{now} processes"));
    }
    if let Some(bytes) = policy.memory_bytes_max {
        let now = put("memory", Resource::Data, bytes)?;
        words.push(format!(
            "{bytes} bytes of memory for all together, looked at while it runs: who takes it above that is ended"
        ));
        words.push(format!("{now} bytes of private memory a process"));
    }
    words.push(format!("{} bytes of private files", policy.files_bytes_max()));
    words.push("no core files".to_owned());
    layers.insert("limits".to_owned(), words.join(", "));
    Ok(())
}

/// Sets a limit for good, never above what holds already, and says what holds.
fn put(property: &'static str, resource: Resource, value: u64) -> Result<u64, Refusal> {
    let cure = "raise the limits of the node's own service, or ask for less";
    let before = rustix::process::getrlimit(resource);
    let value = before.maximum.map_or(value, |maximum| maximum.min(value));
    let wanted = Rlimit { current: Some(value), maximum: Some(value) };
    rustix::process::setrlimit(resource, wanted)
        .map_err(|errno| Refusal::new(property, at("the limit cannot be set", errno), cure))?;
    let now = rustix::process::getrlimit(resource);
    if now.current != Some(value) || now.maximum != Some(value) {
        return Err(Refusal::new(property, "the limit was set and does not hold", cure));
    }
    Ok(value)
}
