//! Where an attempt is made: what there is to be reached, and where.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Everything the adversary is told. It is told where all lies: hiding is no defence.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scene {
    /// The folder of all of it; its name is the scene's mark.
    pub base: PathBuf,
    /// Who the adversary is.
    pub uid: u32,
    /// A process of the same user.
    pub victim: i32,
    /// Where in the victim's memory a word lies.
    pub word: u64,
    /// The victim's terminal.
    pub terminal: PathBuf,
    pub tcp: u16,
    pub tcp6: u16,
    pub udp: u16,
    pub udp6: u16,
    /// `address:port` of a name server.
    pub dns: String,
    /// A key in the user's keyring.
    pub key: String,
    /// A descriptor that was left open, where one was.
    pub leaked: Option<i32>,
    /// The adversary's own program.
    pub program: PathBuf,
}

impl Scene {
    pub fn load(path: &Path) -> io::Result<Scene> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// The file by which the adversary is told.
    #[must_use]
    pub fn told(&self) -> PathBuf {
        self.tree().join(".scene.json")
    }

    #[must_use]
    pub fn mark(&self) -> String {
        self.base.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.base.join("home")
    }

    /// A path in a folder of the user's that nobody granted.
    #[must_use]
    pub fn outside(&self, name: &str) -> PathBuf {
        self.base.join("home/outside").join(name)
    }

    /// The worktree: the one place to work in.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.base.join("work/tree")
    }

    /// The worktree of another session.
    #[must_use]
    pub fn other_tree(&self) -> PathBuf {
        self.base.join("work/other")
    }

    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.base.join("scratch")
    }

    /// The user's own repository.
    #[must_use]
    pub fn project(&self) -> PathBuf {
        self.base.join("home/project")
    }

    /// The repository of the session, in the node's state.
    #[must_use]
    pub fn private(&self) -> PathBuf {
        self.base.join("state/private/tree.git")
    }

    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    #[must_use]
    pub fn socket(&self, name: &str) -> PathBuf {
        self.base.join("run").join(name)
    }

    /// The name of an abstract socket.
    #[must_use]
    pub fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.mark())
    }

    /// Asks for what happens only while an attempt is made: a late socket, a key typed, a visit.
    pub fn ready(&self, what: &str) -> io::Result<()> {
        fs::write(self.tree().join(".ready"), what)
    }

    /// What the attempt says of itself.
    pub fn claim(&self, reached: bool, text: &str) -> io::Result<()> {
        let claim = serde_json::json!({ "reached": reached, "text": text });
        fs::write(self.tree().join(".claim.json"), claim.to_string())
    }
}
