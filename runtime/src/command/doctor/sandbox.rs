//! The doctor's look at the sandbox: it makes one and tries it, both ways.

use niia_actors::sandbox::{EntryError, prove};

use super::Finding;
use crate::command::Caller;
use crate::config::Config;
use crate::report::neutral;

const ABOUT: &str = "sandbox";

/// A session that asks for no sandbox works without one: what is missing is a warning.
pub fn sandbox(caller: &Caller) -> Finding {
    let run_as = Config::read(&caller.folders).ok().and_then(|config| config.sandbox.run_as);
    let run_as = run_as.map(|user| user.0).filter(|_| rustix::process::geteuid().is_root());
    let Ok(helper) = std::env::current_exe() else {
        return Finding::warn(ABOUT, "this program's own file cannot be found", "install niia anew");
    };
    let folder = match caller.folders.open_state() {
        Ok(_) => caller.folders.run(),
        Err(error) => {
            return Finding::warn(ABOUT, neutral(&error.to_string()), "NIIA_HOME names another one");
        }
    };
    match prove(&helper, &folder, run_as) {
        Ok(proof) if proof.wrong.is_empty() => {
            let layers: Vec<&str> = proof.layers().keys().map(String::as_str).collect();
            let found = format!("tier {}, proved both ways: {}", proof.made.tier, layers.join(", "));
            Finding::ok(ABOUT, neutral(&found))
        }
        Ok(proof) => Finding::fail(
            ABOUT,
            format!("a sandbox was made and does not hold: {}", proof.wrong.join("; ")),
            "run nothing that needs one here, and report this",
        ),
        Err(EntryError::Refused(refusal)) => {
            let found = format!("REFUSED: {}: {}", refusal.property, refusal.why);
            Finding::warn(ABOUT, neutral(&found), neutral(&refusal.cure))
        }
        Err(error) => {
            let found = niia_actors::ask::chain(&error);
            Finding::warn(ABOUT, neutral(&found), "sessions that ask for a sandbox are refused")
        }
    }
}
