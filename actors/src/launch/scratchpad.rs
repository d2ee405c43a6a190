//! The folder all sessions of a run share: its path in the environment, and a link to it in the tree.
//!
//! The link is hidden from git by a setting of the session's own, so that nothing is written into the repository. A
//! folder of the user's own gets none: their git would show it to them.

use std::path::Path;

use super::{Facts, Launch, LaunchError, Place, Preparation};

/// The link's name where it is free, and otherwise.
pub const LINK_NAMES: [&str; 2] = ["scratchpad", ".niia-scratchpad"];

/// Where the scratchpads of the runs above are told, the nearest first: to be read, not to be written.
pub const ABOVE: &str = "NIIA_SCRATCHPADS_ABOVE";

/// The file of the session's own that lists what its git must not see.
pub(super) const EXCLUDES: &str = "git-excludes";

pub(super) fn apply(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    let Some(scratchpad) = facts.scratchpad.as_ref().filter(|_| facts.plan.scratchpad) else {
        return Ok(launch);
    };
    launch.env.insert("NIIA_SCRATCHPAD".to_owned(), text(scratchpad)?);
    launch.scratchpad = Some(scratchpad.clone());
    let Place::Tree { name, path } = &facts.place else { return Ok(launch) };
    let (tree, within) = (name.clone(), path.clone());
    let excludes = facts.folder.join(EXCLUDES);
    launch.git_settings.push(("core.excludesFile".to_owned(), text(&excludes)?));
    let excludes_of_user = facts.excludes_of_user.clone();
    launch.preparations.push(Preparation::Scratchpad { tree, within, excludes, excludes_of_user });
    Ok(launch)
}

fn text(path: &Path) -> Result<String, LaunchError> {
    path.to_str().map(str::to_owned).ok_or_else(|| LaunchError::NoText { path: path.to_owned() })
}
