//! Capabilities: the session has none, and can get none.

use rustix::thread::{CapabilitySet, CapabilitySets};

use crate::sandbox::Refusal;
use crate::sandbox::refusal::at;
use crate::sandbox::wire::Layers;

const CURE: &str = "please report this with the output of `niia doctor`";
const STATUS: &str = "/proc/self/status";
/// The sets of a process, by their names in its status.
const SETS: [&str; 5] = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"];

pub(in super::super) fn drop_all() -> Result<(), Refusal> {
    let refuse =
        |error: rustix::io::Errno| Refusal::new("privileges", at("they cannot be dropped", error), CURE);
    for number in 0..u64::BITS {
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(
            1 << number,
        )) {
            Ok(()) => {}
            // Beyond the last one that this kernel knows.
            Err(rustix::io::Errno::INVAL) if number > 0 => break,
            Err(errno) => return Err(refuse(errno)),
        }
    }
    rustix::thread::clear_ambient_capability_set().map_err(refuse)?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, sets).map_err(refuse)
}

/// Reads back what the kernel says of this process: privileges, and that filters are on it.
pub(in super::super) fn check(filters: usize, layers: &mut Layers) -> Result<(), Refusal> {
    let text = std::fs::read_to_string(STATUS)
        .map_err(|error| Refusal::new("privileges", at(STATUS, error), "mount /proc"))?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned()).unwrap_or_default()
    };
    for set in SETS {
        let held = value(set);
        if held.is_empty() || held.bytes().any(|digit| digit != b'0') {
            return Err(Refusal::new("privileges", format!("{set} is `{held}`"), CURE));
        }
    }
    if value("NoNewPrivs") != "1" {
        return Err(Refusal::new("privileges", "new ones could be got", CURE));
    }
    let is_filtered = value("Seccomp") == "2";
    // Older kernels do not count them.
    let enough = value("Seccomp_filters").parse::<usize>().map_or(true, |count| count >= filters);
    if !is_filtered || !enough {
        return Err(Refusal::new("calls", "the filters are not on the process", CURE));
    }
    layers.insert("privileges".to_owned(), "no capability in any set, none can be got".to_owned());
    Ok(())
}
