//! What a session is kept from. What cannot be kept from it in full is refused: nothing runs unsandboxed that was to
//! be sandboxed.

use niia_spec::plan::NetworkPlan;

use super::{Facts, Launch, LaunchError};

pub(super) fn apply(launch: Launch, _facts: &Facts) -> Result<Launch, LaunchError> {
    check(&launch)?;
    Ok(launch)
}

pub(super) fn check(launch: &Launch) -> Result<(), LaunchError> {
    if launch.sandbox.is_some() {
        return Err(LaunchError::Refused {
            property: "sandbox",
            why: "this version of niia cannot enforce one".to_owned(),
            cure: "set `sandbox` to false to run the session without".to_owned(),
        });
    }
    if launch.network != NetworkPlan::Open {
        return Err(LaunchError::Refused {
            property: "network",
            why: "this version of niia cannot keep a session from the network".to_owned(),
            cure: "leave `network` out, or set it to \"open\"".to_owned(),
        });
    }
    Ok(())
}
