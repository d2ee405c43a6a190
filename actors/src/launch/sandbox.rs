//! What a session is kept from. What cannot be kept from it in full is refused: nothing runs unsandboxed that was to
//! be sandboxed.

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
    Ok(())
}
