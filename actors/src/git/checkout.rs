//! The seam between a session and the repository: what a tree is made of.
//!
//! An unsandboxed session works in a linked work tree, whose commits are the repository's at once. A sandboxed one
//! must not be able to write to the repository at all; whatever it is given instead stands behind the same words.

use std::path::PathBuf;

use super::marker::Overlay;
use super::repository::ObjectId;
use super::trees::{RunTrees, Tree, TreeError, TreeName};
use super::{IncludeError, refs};

pub trait Checkout: Send + Sync {
    /// The tree of this name, ready to be worked in: made from the run's line, or taken up where it stands.
    fn create(&self, name: &TreeName) -> Result<Tree, TreeError>;

    /// Where it lies, whether it is there or not.
    fn path(&self, name: &TreeName) -> PathBuf;

    /// Makes the commits of its branch part of the repository, and says where the branch stands.
    fn import(&self, name: &TreeName) -> Result<Option<ObjectId>, TreeError>;

    /// Copies ignored files of the user's checkout into the tree.
    fn include(&self, name: &TreeName, patterns: &[String]) -> Result<Vec<Overlay>, IncludeError>;

    /// Remembers what niia put into a tree: never committed, and no reason to keep the tree.
    fn overlay(&self, name: &TreeName, overlays: Vec<Overlay>) -> Result<(), TreeError>;

    /// What in the tree is neither committed nor ignored nor an overlay, and what is ignored: for telling what a
    /// `setup` made.
    fn loose_paths(&self, name: &TreeName) -> Result<Vec<PathBuf>, TreeError>;
}

/// A work tree of the repository itself, or where `RunTrees::privately` was said, of a private one.
#[derive(Clone, Debug)]
pub struct LinkedWorktree {
    trees: RunTrees,
}

impl LinkedWorktree {
    pub fn new(trees: RunTrees) -> LinkedWorktree {
        LinkedWorktree { trees }
    }

    pub fn trees(&self) -> &RunTrees {
        &self.trees
    }
}

impl Checkout for LinkedWorktree {
    fn create(&self, name: &TreeName) -> Result<Tree, TreeError> {
        self.trees.create(name, &self.trees.result()?)
    }

    fn path(&self, name: &TreeName) -> PathBuf {
        self.trees.path_of(name)
    }

    fn import(&self, name: &TreeName) -> Result<Option<ObjectId>, TreeError> {
        // The commits of a linked tree were the repository's from the beginning.
        self.trees.take_home(name)?;
        match self.trees.branch_of(name) {
            Some(branch) => Ok(refs::read(self.trees.repository(), &branch)?),
            None => Ok(None),
        }
    }

    fn include(&self, name: &TreeName, patterns: &[String]) -> Result<Vec<Overlay>, IncludeError> {
        self.trees.include(name, patterns)
    }

    fn overlay(&self, name: &TreeName, overlays: Vec<Overlay>) -> Result<(), TreeError> {
        self.trees.overlay(name, overlays)
    }

    fn loose_paths(&self, name: &TreeName) -> Result<Vec<PathBuf>, TreeError> {
        self.trees.loose_paths(name)
    }
}
