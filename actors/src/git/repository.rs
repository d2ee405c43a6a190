//! The user's repository: what it is, before anything is done in it.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::GitError;
use super::program::{Call, Git};

/// The name of a commit or a tree: 40 or 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectId(String);

/// Why a text is no object's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a git object")]
pub struct NoObjectId(pub String);

impl ObjectId {
    pub fn new(text: &str) -> Result<ObjectId, NoObjectId> {
        let hexadecimal = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        match text.len() {
            40 | 64 if hexadecimal => Ok(ObjectId(text.to_owned())),
            _ => Err(NoObjectId(text.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<std::ffi::OsStr> for ObjectId {
    fn as_ref(&self) -> &std::ffi::OsStr {
        self.0.as_ref()
    }
}

impl TryFrom<String> for ObjectId {
    type Error = NoObjectId;
    fn try_from(text: String) -> Result<ObjectId, NoObjectId> {
        ObjectId::new(&text)
    }
}

impl From<ObjectId> for String {
    fn from(id: ObjectId) -> String {
        id.0
    }
}

/// Why a folder is no place for work trees.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    #[error("`{}` is in no git repository", dir.display())]
    NoRepository { dir: PathBuf },
    #[error("`{}` is a bare repository: niia works from a checkout", dir.display())]
    Bare { dir: PathBuf },
    #[error("`{}` lies inside the folder in which git keeps its own files", dir.display())]
    InsideGitFolder { dir: PathBuf },
    #[error(
        "git does not trust `{}`, because somebody else owns it: `git config --global --add safe.directory` cures that",
        dir.display()
    )]
    NotTrusted { dir: PathBuf },
    #[error(transparent)]
    Git(#[from] GitError),
}

/// One checkout of a repository, as it was found.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(super) git: Git,
    /// The checkout's top folder.
    pub root: PathBuf,
    /// The checkout's own git folder; in a linked work tree another one than `common_dir`.
    pub git_dir: PathBuf,
    /// What all checkouts of the repository share.
    pub common_dir: PathBuf,
    /// Nothing before the first commit.
    pub head: Option<ObjectId>,
    /// The branch that is checked out, such as `refs/heads/main`; nothing where the head is detached.
    pub branch: Option<String>,
    pub traits: Traits,
}

/// What makes a repository different from a plain one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Its history ends somewhere; niia works on what is there.
    pub shallow: bool,
    /// Its objects are fetched when they are needed; git does so without asking for a password.
    pub partial: bool,
    /// Its folders of submodules stay empty in a work tree of niia's.
    pub submodules: bool,
    /// Files are kept by LFS.
    pub lfs: bool,
    pub lfs_installed: bool,
    /// Only a part of its files is checked out; the same part is in niia's work trees.
    pub sparse: bool,
    /// The checkout is itself a linked work tree.
    pub linked: bool,
}

impl Repository {
    /// Looks at the repository that a folder is in.
    pub fn discover(dir: &Path) -> Result<Repository, DiscoverError> {
        Repository::discover_with(&Git::find()?, dir)
    }

    pub fn discover_with(git: &Git, dir: &Path) -> Result<Repository, DiscoverError> {
        let dir = dir.canonicalize().map_err(GitError::file(dir))?;
        let ask = |what: &[&str]| git.call("rev-parse").args(what).in_folder(&dir);
        match ask(&["--is-bare-repository"]).text() {
            Ok(bare) if bare == "true" => return Err(DiscoverError::Bare { dir }),
            Ok(_) => {}
            Err(error) => return Err(refused(error, dir)),
        }
        if ask(&["--is-inside-work-tree"]).text()? != "true" {
            return Err(DiscoverError::InsideGitFolder { dir });
        }
        let path = |what: &str| ask(&["--path-format=absolute", what]).bytes().map(path_of);
        let mut repository = Repository {
            git: git.clone(),
            root: path("--show-toplevel")?,
            git_dir: path("--absolute-git-dir")?,
            common_dir: path("--git-common-dir")?,
            head: None,
            branch: None,
            traits: Traits::default(),
        };
        repository.look_at_head()?;
        repository.traits = repository.look_at_traits()?;
        Ok(repository)
    }

    /// Where the user's checkout stands now.
    pub fn look_at_head(&mut self) -> Result<(), GitError> {
        self.branch = self.call("symbolic-ref").args(["-q", "HEAD"]).maybe()?;
        self.head = self.resolve("HEAD")?;
        Ok(())
    }

    /// The commit a name stands for.
    pub fn resolve(&self, name: &str) -> Result<Option<ObjectId>, GitError> {
        let commit = format!("{name}^{{commit}}");
        let found = self.call("rev-parse").args(["--verify", "-q", "--end-of-options", &commit]).maybe()?;
        found.map(|text| object_id("rev-parse", &text)).transpose()
    }

    /// The user's own list of what git does not see, where there is one.
    pub fn excludes_file(&self) -> Result<Option<PathBuf>, GitError> {
        let set = self.call("config").args(["--type=path", "--get", "core.excludesFile"]).maybe()?;
        let usual = || {
            let config =
                std::env::var_os("XDG_CONFIG_HOME").filter(|folder| !folder.is_empty()).map(PathBuf::from);
            let config = config.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".config")));
            config.map(|folder| folder.join("git/ignore"))
        };
        Ok(set.map(PathBuf::from).or_else(usual).filter(|file| file.is_file()))
    }

    /// The program by which this repository is driven.
    pub fn git(&self) -> &Git {
        &self.git
    }

    /// A call that uses the repository's own folder and configuration.
    pub(super) fn call(&self, verb: &str) -> Call {
        self.git.call(verb).env("GIT_DIR", &self.git_dir).env("GIT_COMMON_DIR", &self.common_dir)
    }

    fn look_at_traits(&self) -> Result<Traits, GitError> {
        let is_set = |pattern: &str| {
            let values = self.call("config").args(["--type=bool", "--get-regexp", pattern]).maybe();
            values.map(|values| values.is_some_and(|values| values.contains(" true")))
        };
        let files = |pathspec: &str| {
            let names = self.in_checkout("ls-files").args(["-z", "--", pathspec]).long().bytes();
            names.map(|names| !names.is_empty())
        };
        let lfs = files(":(top,attr:filter=lfs)")?;
        Ok(Traits {
            shallow: self.common_dir.join("shallow").exists(),
            partial: is_set(r"^remote\..*\.promisor$")?,
            submodules: files(":(top,glob).gitmodules")?,
            lfs,
            lfs_installed: lfs && self.git.finds("git-lfs"),
            sparse: is_set(r"^core\.sparsecheckout$")?,
            linked: self.git_dir != self.common_dir,
        })
    }

    pub(super) fn in_checkout(&self, verb: &str) -> Call {
        self.call(verb).env("GIT_WORK_TREE", &self.root).in_folder(&self.root)
    }
}

pub(super) fn object_id(verb: &str, text: &str) -> Result<ObjectId, GitError> {
    ObjectId::new(text).map_err(|_| GitError::Strange { verb: verb.to_owned(), text: text.to_owned() })
}

fn path_of(mut bytes: Vec<u8>) -> PathBuf {
    // One line end is git's; a path may well end in one of its own.
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// git says in words alone why a folder is none for it.
fn refused(error: GitError, dir: PathBuf) -> DiscoverError {
    match &error {
        GitError::Failed { message, .. } if message.contains("dubious ownership") => {
            DiscoverError::NotTrusted { dir }
        }
        GitError::Failed { message, .. } if message.contains("not a git repository") => {
            DiscoverError::NoRepository { dir }
        }
        _ => error.into(),
    }
}
