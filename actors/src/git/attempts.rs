//! An attempt's work as it was when the attempt ended: under a ref of its own, whatever the next attempt makes of the
//! tree, and in numbers for whoever goes on with it.

use super::error::GitError;
use super::refs;
use super::repository::ObjectId;
use super::trees::{RunTrees, TreeError, TreeName};
use super::{CommitInfo, Refusal};

/// Lines of a list of changed files that are told to whoever goes on.
const STAT_LINES_MAX: usize = 40;

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// The ref that has it.
    Ref(String),
    /// There is nothing that the run's begin does not have.
    Nothing,
    /// It may not become a commit; it lies in the tree, and stays there.
    Refused(Vec<Refusal>),
}

impl RunTrees {
    /// Keeps what lies in a tree, the branch untouched. Asked again, the ref is the same and holds what lies there then.
    pub fn keep_attempt(&self, name: &TreeName, info: &CommitInfo) -> Result<Kept, TreeError> {
        let lock = self.lock_tree(name)?;
        let marker = self.marker(name)?;
        let Some(branch) = &marker.branch else { return Ok(Kept::Nothing) };
        let tip = refs::read(self.repository(), branch)?.unwrap_or_else(|| marker.at.clone());
        let commit = match self.commit_on(name, &marker, &tip, info, &lock)? {
            Ok(commit) => commit,
            Err(reasons) => return Ok(Kept::Refused(reasons)),
        };
        if commit == *self.base() {
            return Ok(Kept::Nothing);
        }
        let reference = format!("refs/niia/{}/attempts/{}/{}", self.run(), info.worker, info.attempt);
        refs::keep(self.repository(), &reference, &commit)?;
        Ok(Kept::Ref(reference))
    }

    /// Which files differ between the run's begin and a ref of its own, and by how much.
    pub fn stat(&self, reference: &str) -> Result<Option<String>, GitError> {
        let Some(commit): Option<ObjectId> = refs::read(self.repository(), reference)? else {
            return Ok(None);
        };
        let call =
            self.engine.call("diff").args(["--stat=100", "--no-color", "--no-ext-diff", "--no-textconv"]);
        let text = call.arg(self.base()).arg(&commit).text()?;
        let mut lines: Vec<&str> = text.lines().collect();
        if lines.len() > STAT_LINES_MAX {
            let last = lines.pop().unwrap_or_default();
            lines.truncate(STAT_LINES_MAX - 2);
            lines.extend(["…", last]);
        }
        Ok(Some(lines.join("\n")))
    }
}
