//! What a sandboxed session may do to its tree and to the private repository behind it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::PrivateRepository;
use crate::git::paths;
use crate::git::trees::{RunTrees, Tree, TreeName};

/// Paths by what may be done with them. The most specific one wins; at equal paths `hidden` before `read_only` before
/// `write`.
///
/// A path that stands here is to be a mount point: it cannot be renamed then, nor can anything be put in its place. So
/// the folders above a protected file stand here as well, up to the first one that is granted. A path that may be
/// written can lie in a folder that may not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grants {
    #[serde(with = "paths::list")]
    pub write: Vec<PathBuf>,
    #[serde(with = "paths::list")]
    pub read_only: Vec<PathBuf>,
    #[serde(with = "paths::list")]
    pub hidden: Vec<PathBuf>,
    /// The session has a copy of its own of these files: what it changes there nobody else sees.
    #[serde(with = "paths::list")]
    pub own: Vec<PathBuf>,
}

/// What a session in this tree may do. In a tree with a private repository all work with git goes, and nothing that
/// tells a git outside what to run or where to look can be changed: what the session's own git is configured to do is
/// for itself, and forgotten at its end.
///
/// A linked tree has the user's own repository behind it: of that nothing is granted, so git reads there and no more.
pub fn grants(tree: &Tree) -> Grants {
    grants_at(&tree.path, &tree.name, tree.private.as_ref())
}

impl RunTrees {
    /// The same for a tree by its name, which need not be there yet.
    pub fn grants(&self, name: &TreeName) -> Grants {
        let private = self.private.then(|| self.private_repository(name));
        grants_at(&self.path_of(name), name, private.as_ref())
    }
}

fn grants_at(path: &Path, name: &TreeName, private: Option<&PrivateRepository>) -> Grants {
    let pointer = path.join(".git");
    let Some(private) = private else {
        return Grants { write: vec![path.to_path_buf()], read_only: vec![pointer], ..Grants::default() };
    };
    let (folder, admin) = (&private.folder, &private.admin);
    let mut read_only = vec![
        pointer,
        folder.join("hooks"),
        folder.join("info"),
        // With the list of alternates; nothing else in it is needed.
        folder.join("objects/info"),
        // Above the tree's own part, which would else be renamed away together with its pointers.
        folder.join("worktrees"),
        admin.join("commondir"),
        admin.join("gitdir"),
    ];
    let own = vec![folder.join("config"), admin.join("config.worktree")];
    read_only.extend(private.sources.iter().cloned());
    read_only.extend(private.sources.iter().filter_map(|objects| Some(objects.parent()?.join("lfs"))));
    let mut write = vec![path.to_path_buf(), folder.clone(), folder.join("objects"), admin.clone()];
    if matches!(name, TreeName::Reading(_)) {
        read_only.extend(std::mem::take(&mut write));
    }
    Grants { write, read_only, hidden: private.hidden.clone(), own }
}
