//! Landlock: the second guard of the files, by what is opened and not by where it is mounted.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

use crate::sandbox::Refusal;
use crate::sandbox::kernel;
use crate::sandbox::mounts::{Entry, Kind};
use crate::sandbox::policy::Network;
use crate::sandbox::wire::Layers;

const CURE: &str = "use Linux 5.13 or newer with landlock in its list of security modules (`lsm=landlock,…`)";
/// The first kernel whose landlock keeps a session from sockets without a place in the file system.
const ABI_OF_SCOPES: i32 = 6;
/// The newest that is known here; a newer kernel offers it too.
const ABI_NEWEST: i32 = 9;
/// What may be written in `/dev`: there the mounts are of files, each of which is its own rule.
const DEVICES: [&str; 7] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty", "/dev/console"];

pub(in super::super) fn restrict(
    entries: &[Entry],
    private: &[PathBuf],
    network: Network,
    layers: &mut Layers,
) -> Result<(), Refusal> {
    let found =
        kernel::landlock_abi().ok_or_else(|| Refusal::new("write", "this kernel has no landlock", CURE))?;
    if found < ABI_OF_SCOPES && network == Network::Open {
        let why =
            format!("landlock {found} of this kernel does not close sockets without a file to the session");
        return Err(Refusal::new("socket", why, "use Linux 6.12 or newer, or do not open the network"));
    }
    let number = found.min(ABI_NEWEST);
    let status = enforce(ABI::from(number), entries, private)
        .map_err(|error| Refusal::new("write", format!("landlock: {error}"), CURE))?;
    if status != RulesetStatus::FullyEnforced {
        return Err(Refusal::new("write", format!("landlock {found} enforces only a part"), CURE));
    }
    let scopes =
        if number >= ABI_OF_SCOPES { "; signals and sockets without a file stay inside" } else { "" };
    let sockets = if number >= 9 { "; sockets in the file system too" } else { "" };
    layers.insert(
        "landlock".to_owned(),
        format!("version {found}, enforced in full: files may be written where the mounts allow it{scopes}{sockets}"),
    );
    Ok(())
}

fn enforce(abi: ABI, entries: &[Entry], private: &[PathBuf]) -> Result<RulesetStatus, RulesetError> {
    let all = AccessFs::from_all(abi);
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(all)?;
    let scopes = Scope::from_all(abi);
    if !scopes.is_empty() {
        ruleset = ruleset.scope(scopes)?;
    }
    let read = AccessFs::from_read(abi);
    let mut rules = ruleset.create()?;
    rules = add(rules, Path::new("/"), read)?;
    for place in private.iter().map(PathBuf::as_path).chain([Path::new("/dev/pts")]) {
        rules = add(rules, place, all)?;
    }
    let files = all & AccessFs::from_file(abi);
    for entry in entries {
        rules = match entry.kind {
            Kind::Write if entry.is_folder => add(rules, &entry.path, all)?,
            Kind::Write | Kind::Socket => add(rules, &entry.path, files)?,
            _ => rules,
        };
    }
    for device in DEVICES {
        rules = add(rules, Path::new(device), files)?;
    }
    // `/dev/stdout` and its like lead to what the program was given, which lies in no folder it sees.
    for stream in [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()] {
        if rustix::termios::isatty(stream) {
            rules = rules.add_rule(PathBeneath::new(stream.as_fd(), files))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// A rule for what is there.
fn add(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    match PathFd::new(path) {
        Ok(place) => rules.add_rule(PathBeneath::new(place, access)),
        // What is not there needs none: less is allowed, never more.
        Err(_) => Ok(rules),
    }
}
