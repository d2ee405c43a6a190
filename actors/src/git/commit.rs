//! Committing what a worker left.
//!
//! niia commits by its own index, and reads of the worker's git no more than where its head is. Commits that the
//! worker made itself stay as they are; what it left uncommitted goes on top of them.

use serde::{Deserialize, Serialize};

use super::admin;
use super::content::{Content, Refusal};
use super::error::GitError;
use super::lock::Lock;
use super::marker::Marker;
use super::overlay;
use super::refs;
use super::repository::{ObjectId, object_id};
use super::steps::step;
use super::trees::{RunTrees, TreeError, TreeName};

/// How far back a commit of the same attempt is looked for.
const COMMITS_LOOKED_AT_MAX: usize = 10_000;

/// Who is to be named in the commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Such as `review/1`; for a shared tree the phase.
    pub worker: String,
    pub attempt: u32,
    pub message: String,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Committed {
    /// The branch holds the work up to this commit.
    Commit { commit: ObjectId },
    /// The tree is as it was.
    Nothing,
    /// A person must look. Nothing was committed and nothing was changed.
    Refused { reasons: Vec<Refusal> },
}

/// Where the worker's work is.
enum Work {
    /// On this commit; the branch may stand elsewhere.
    At(ObjectId),
    Refused(Refusal),
}

impl RunTrees {
    /// Commits what a tree holds. Asked again for the same attempt, the answer is the same.
    ///
    /// Nobody may work in the tree any more.
    pub fn commit(&self, name: &TreeName, info: &CommitInfo) -> Result<Committed, TreeError> {
        let lock = self.lock_tree(name)?;
        let mut marker = self.marker(name)?;
        if let Some(answer) = marker.answer_to(info) {
            return Ok(answer);
        }
        let Some(branch) = marker.branch.clone() else {
            return Ok(Committed::Nothing);
        };
        if let Err(error) = self.bring_home(name, &mut marker) {
            return Ok(Committed::Refused { reasons: vec![Refusal::of_foreign(error)?] });
        }
        let refusals = self.refuse_at_sight(&marker)?;
        if !refusals.is_empty() {
            return Ok(Committed::Refused { reasons: refusals });
        }
        let tip = self.tip_of(&branch, &marker)?;
        let work = match self.work(name, &marker, &tip, &lock)? {
            Work::At(work) => work,
            Work::Refused(reason) => return Ok(Committed::Refused { reasons: vec![reason] }),
        };
        match self.commit_of(info, &work)? {
            // It was asked for before, and others have committed on top of it.
            Some(commit) if commit != work => return Ok(Committed::Commit { commit }),
            // It was asked for before, and niia died before the rest was done.
            Some(commit) => {
                self.move_branch(&marker, &branch, &tip, &commit)?;
                return self.settle(name, &mut marker, &commit, info);
            }
            None => {}
        }
        let commit = match self.commit_on(name, &marker, &work, info, &lock)? {
            Ok(commit) => commit,
            Err(reasons) => return Ok(Committed::Refused { reasons }),
        };
        step("git.commit.written");
        self.move_branch(&marker, &branch, &tip, &commit)?;
        step("git.commit.moved");
        self.settle(name, &mut marker, &commit, info)
    }

    fn refuse_at_sight(&self, marker: &Marker) -> Result<Vec<Refusal>, TreeError> {
        if marker.path.symlink_metadata().is_err() {
            return Err(TreeError::Gone { path: marker.path.clone() });
        }
        if marker.path.join(".git").is_dir() {
            return Ok(vec![Refusal::NestedRepository { path: ".".to_owned() }]);
        }
        let Some(admin) = &marker.admin else { return Ok(Vec::new()) };
        admin::refuse_live_lock(&marker.path, admin)?;
        Ok(admin::unfinished(admin)
            .map(|what| Refusal::Unfinished { what: what.to_owned() })
            .into_iter()
            .collect())
    }

    fn tip_of(&self, branch: &str, marker: &Marker) -> Result<ObjectId, GitError> {
        if let Some(tip) = refs::read(&self.repository, branch)? {
            return Ok(tip);
        }
        // The worker removed its own branch.
        refs::create(&self.repository, branch, &marker.at, "niia: a removed branch is put back")?;
        Ok(marker.at.clone())
    }

    /// The commit that what lies in the tree belongs on.
    fn work(&self, name: &TreeName, marker: &Marker, tip: &ObjectId, lock: &Lock) -> Result<Work, TreeError> {
        if !marker.admin.as_ref().is_some_and(|admin| admin.join("gitdir").exists()) {
            return Ok(Work::At(tip.clone()));
        }
        let (on_branch, head) = self.worker_head(name, marker)?;
        if on_branch == marker.branch {
            return Ok(Work::At(tip.clone()));
        }
        let Some(head) = head else {
            return Ok(Work::At(tip.clone()));
        };
        if head == *tip || self.is_ancestor(tip, &head)? || self.is_new(&head, on_branch.as_deref(), tip)? {
            return Ok(Work::At(head));
        }
        // It only looked at an older or a foreign commit, or changed something on top of that.
        if self.content(name, marker).write(&head, lock)? == self.tree_of(&head)? {
            self.populate(name, marker, tip, lock)?;
            return Ok(Work::At(tip.clone()));
        }
        let head = on_branch.unwrap_or_else(|| head.to_string());
        Ok(Work::Refused(Refusal::HeadElsewhere { head }))
    }

    /// Whether a commit is on no branch but the worker's own: then it is its work.
    fn is_new(&self, head: &ObjectId, own: Option<&str>, tip: &ObjectId) -> Result<bool, GitError> {
        let mut call =
            self.repository.call("rev-list").args(["--max-count=1"]).arg(head).arg("--not").arg(tip);
        if let Some(own) = own.and_then(|own| own.strip_prefix("refs/heads/")) {
            call = call.arg(format!("--exclude={own}"));
        }
        Ok(!call.args(["--branches", "--remotes", "--tags"]).text()?.is_empty())
    }

    /// What lies in the tree as a commit on top of the work; the work itself where there is nothing more.
    pub(super) fn commit_on(
        &self,
        name: &TreeName,
        marker: &Marker,
        work: &ObjectId,
        info: &CommitInfo,
        lock: &Lock,
    ) -> Result<Result<ObjectId, Vec<Refusal>>, TreeError> {
        let content = self.content(name, marker);
        let reasons = content.refusals(work, lock)?;
        if !reasons.is_empty() {
            return Ok(Err(reasons));
        }
        let tree = content.write(work, lock)?;
        step("git.commit.added");
        if tree == self.tree_of(work)? {
            return Ok(Ok(work.clone()));
        }
        let message = self.message(
            &info.message,
            &[("Niia-Worker", &info.worker), ("Niia-Attempt", &info.attempt.to_string())],
        );
        Ok(Ok(self.write_commit(&tree, &[work], &message)?))
    }

    pub(super) fn content<'t>(&'t self, name: &TreeName, marker: &'t Marker) -> Content<'t> {
        let hidden = overlay::hidden(marker);
        Content { engine: &self.engine, tree: &marker.path, index: self.index_of(name), hidden }
    }

    /// The commit of this attempt, if its tree's branch has one: how it is found out after a crash whether the
    /// attempt was committed. Nothing is changed.
    pub fn commit_of_attempt(
        &self,
        name: &TreeName,
        info: &CommitInfo,
    ) -> Result<Option<ObjectId>, TreeError> {
        let tip = match self.branch_of(name) {
            Some(branch) => refs::read(&self.repository, &branch)?,
            None => None,
        };
        Ok(tip.map(|tip| self.commit_of(info, &tip)).transpose()?.flatten())
    }

    /// The commit that carries this attempt's trailers.
    fn commit_of(&self, info: &CommitInfo, tip: &ObjectId) -> Result<Option<ObjectId>, GitError> {
        let format = "--format=%H%x00%(trailers:key=Niia-Run,valueonly,separator=%x01)%x00\
                      %(trailers:key=Niia-Worker,valueonly,separator=%x01)%x00\
                      %(trailers:key=Niia-Attempt,valueonly,separator=%x01)%x02";
        let call = self.engine.call("log").args([format, "--no-show-signature"]);
        let call =
            call.arg(format!("--max-count={COMMITS_LOOKED_AT_MAX}")).arg(tip).arg("--not").arg(&self.base);
        let bytes = call.bytes()?;
        let text = String::from_utf8_lossy(&bytes);
        let attempt = info.attempt.to_string();
        let wanted = [self.run.as_str(), &one_line(&info.worker), &attempt];
        for entry in text.split('\u{2}') {
            let mut parts = entry.trim_start_matches('\n').split('\0');
            let commit = parts.next().unwrap_or_default();
            if parts.eq(wanted) {
                return Ok(Some(object_id("log", commit)?));
            }
        }
        Ok(None)
    }

    /// The branch moves to the commit; where that means leaving one behind, a ref keeps it.
    fn move_branch(
        &self,
        marker: &Marker,
        branch: &str,
        tip: &ObjectId,
        commit: &ObjectId,
    ) -> Result<(), TreeError> {
        for left in [tip, &marker.at] {
            if !self.is_ancestor(left, commit)? {
                self.keep(left)?;
            }
        }
        if self.is_ancestor(commit, tip)? {
            return Ok(());
        }
        refs::advance(&self.repository, branch, tip, commit, "niia: the work of an attempt")?;
        Ok(())
    }

    /// Leaves the tree as its next worker should find it, and remembers the answer.
    fn settle(
        &self,
        name: &TreeName,
        marker: &mut Marker,
        commit: &ObjectId,
        info: &CommitInfo,
    ) -> Result<Committed, TreeError> {
        self.settle_head(name, marker, commit)?;
        step("git.commit.head");
        let answer = (*commit != marker.at).then(|| commit.clone());
        marker.at = commit.clone();
        marker.remember(info, answer.clone());
        marker.write(&self.mark_of(name))?;
        step("git.commit.settled");
        Ok(answer.map_or(Committed::Nothing, |commit| Committed::Commit { commit }))
    }

    /// The worker's git: its head on its branch, and an index that knows the files.
    fn settle_head(&self, name: &TreeName, marker: &mut Marker, commit: &ObjectId) -> Result<(), TreeError> {
        if marker.private.is_some() {
            self.make_private(name, marker, commit)?;
            return self.hand_over_index(name, marker);
        }
        let Some(admin) = marker.admin.as_ref().filter(|admin| admin.join("gitdir").exists()) else {
            return Ok(());
        };
        if let Some(branch) = &marker.branch
            && admin::head_branch(&self.repository, admin)?.as_ref() != Some(branch)
        {
            admin::set_head_branch(&self.repository, admin, branch)?;
        }
        self.hand_over_index(name, marker)
    }

    /// A ref for a commit that no branch holds any more.
    pub(super) fn keep(&self, commit: &ObjectId) -> Result<(), GitError> {
        refs::keep(&self.repository, &format!("refs/niia/{}/kept/{commit}", self.run), commit)
    }

    pub(super) fn is_ancestor(&self, old: &ObjectId, new: &ObjectId) -> Result<bool, GitError> {
        let call = self.engine.call("merge-base").arg("--is-ancestor").arg(old).arg(new);
        Ok(call.maybe()?.is_some())
    }

    pub(super) fn tree_of(&self, commit: &ObjectId) -> Result<ObjectId, GitError> {
        let text = self
            .engine
            .call("rev-parse")
            .args(["--verify", "-q"])
            .arg(format!("{commit}^{{tree}}"))
            .text()?;
        object_id("rev-parse", &text)
    }

    pub(super) fn write_commit(
        &self,
        tree: &ObjectId,
        parents: &[&ObjectId],
        message: &str,
    ) -> Result<ObjectId, GitError> {
        let mut call = self.engine.call("commit-tree").arg(tree);
        for parent in parents {
            call = call.arg("-p").arg(parent);
        }
        object_id("commit-tree", &call.args(["-F", "-"]).input(message).text()?)
    }

    /// A message with niia's trailers; the run's is always there.
    pub(super) fn message(&self, text: &str, trailers: &[(&str, &str)]) -> String {
        let text = text.replace('\0', "");
        let text = match text.trim() {
            "" => "Work of an attempt",
            text => text,
        };
        let mut message = format!("{text}\n\nNiia-Run: {}\n", self.run);
        for (key, value) in trailers {
            message.push_str(&format!("{key}: {}\n", one_line(value)));
        }
        message
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
