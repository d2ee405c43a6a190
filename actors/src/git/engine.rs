//! The engine: a git folder of niia's own, by which it reads and writes the repository's objects.
//!
//! After a worker has touched a tree everything in it is foreign: its `.git`, its index, and the configuration it
//! shares with the repository may name programs. So niia reads none of it. The engine has the repository's objects, a
//! copy of the harmless configuration as it was when the run began, and an index for each tree. Filters (LFS, line
//! ends by program) belong to that copy: those configured when the run began work as ever, those added since do
//! nothing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::error::GitError;
use super::program::{Call, Git};
use super::repository::Repository;

/// Sections of the configuration that are taken over, and of each the keys; nothing else is.
const TAKEN: [(&str, &[&str]); 12] = [
    (
        "core",
        &[
            "autocrlf",
            "eol",
            "safecrlf",
            "checkroundtripencoding",
            "filemode",
            "symlinks",
            "ignorecase",
            "precomposeunicode",
            "sparsecheckout",
            "sparsecheckoutcone",
            "excludesfile",
            "attributesfile",
            "bigfilethreshold",
            "compression",
            "checkstat",
            "trustctime",
            "protecthfs",
            "protectntfs",
            "longpaths",
            "sharedrepository",
        ],
    ),
    ("extensions", &["objectformat", "compatobjectformat", "partialclone"]),
    ("filter", &["clean", "smudge", "process", "required"]),
    ("lfs", &["url", "storage", "repositoryformatversion", "fetchinclude", "fetchexclude"]),
    ("remote", &["url", "fetch", "promisor", "partialclonefilter"]),
    ("url", &["insteadof"]),
    ("user", &["name", "email"]),
    ("author", &["name", "email"]),
    ("committer", &["name", "email"]),
    ("i18n", &["commitencoding"]),
    ("merge", &["renames", "renamelimit", "directoryrenames"]),
    ("diff", &["renames", "renamelimit", "algorithm"]),
];

/// The name niia commits under where the user has configured none.
const FALLBACK_NAME: &str = "niia";
const FALLBACK_EMAIL: &str = "niia@localhost";

#[derive(Clone, Debug)]
pub(super) struct Engine {
    git: Git,
    folder: PathBuf,
    objects: PathBuf,
    shallow: PathBuf,
    identity: Identity,
}

/// By whom and how niia's commits are signed.
#[derive(Clone, Debug)]
struct Identity {
    author: (String, String),
    committer: (String, String),
}

impl Engine {
    /// Makes the engine in a folder, or takes up the one that is there: its configuration is that of the beginning.
    pub(super) fn open(repository: &Repository, folder: &Path) -> Result<Engine, GitError> {
        if !folder.join("config").exists() {
            make(repository, folder)?;
        }
        let common = &repository.common_dir;
        let mut engine = Engine {
            git: repository.git.clone(),
            folder: folder.to_owned(),
            objects: common.join("objects"),
            shallow: common.join("shallow"),
            identity: Identity { author: fallback(), committer: fallback() },
        };
        engine.identity = engine.read_identity()?;
        Ok(engine)
    }

    /// A call that reads and writes objects, and knows of no tree.
    pub(super) fn call(&self, verb: &str) -> Call {
        let Identity { author, committer } = &self.identity;
        let call = self
            .git
            .call(verb)
            .env("GIT_DIR", &self.folder)
            .env("GIT_OBJECT_DIRECTORY", &self.objects)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", &author.0)
            .env("GIT_AUTHOR_EMAIL", &author.1)
            .env("GIT_COMMITTER_NAME", &committer.0)
            .env("GIT_COMMITTER_EMAIL", &committer.1)
            .in_folder(&self.folder);
        if self.shallow.exists() { call.env("GIT_SHALLOW_FILE", &self.shallow) } else { call }
    }

    /// Where it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A call that works on a tree, by an index of niia's own.
    pub(super) fn on_tree(&self, verb: &str, tree: &Path, index: &Path) -> Call {
        self.call(verb)
            .env("GIT_WORK_TREE", tree)
            .env("GIT_INDEX_FILE", index)
            // In the configuration this would be a nested repository's to overrule.
            .env("GIT_LITERAL_PATHSPECS", "0")
            .in_folder(tree)
    }

    fn read_identity(&self) -> Result<Identity, GitError> {
        let value = |key: &str| self.call("config").args(["--get", key]).maybe();
        let part = |who: &str, what: &str, otherwise: &str| -> Result<String, GitError> {
            let own = value(&format!("{who}.{what}"))?.filter(|text| !text.trim().is_empty());
            let shared = value(&format!("user.{what}"))?.filter(|text| !text.trim().is_empty());
            Ok(own.or(shared).unwrap_or_else(|| otherwise.to_owned()))
        };
        let of = |who: &str| -> Result<(String, String), GitError> {
            Ok((part(who, "name", FALLBACK_NAME)?, part(who, "email", FALLBACK_EMAIL)?))
        };
        Ok(Identity { author: of("author")?, committer: of("committer")? })
    }
}

fn fallback() -> (String, String) {
    (FALLBACK_NAME.to_owned(), FALLBACK_EMAIL.to_owned())
}

/// Its configuration is written last: an engine that has one is whole.
fn make(repository: &Repository, folder: &Path) -> Result<(), GitError> {
    for part in ["refs/heads", "info"] {
        let part = folder.join(part);
        fs::create_dir_all(&part).map_err(GitError::file(&part))?;
    }
    write_whole(&folder.join("HEAD"), b"ref: refs/heads/none\n")?;
    let info = |from: &Path, name: &str| {
        copy_if_there(&from.join("info").join(name), &folder.join("info").join(name))
    };
    info(&repository.common_dir, "exclude")?;
    info(&repository.common_dir, "attributes")?;
    info(&repository.git_dir, "sparse-checkout")?;
    let listed = repository.call("config").args(["--list", "-z"]).bytes()?;
    write_whole(&folder.join("config"), &config_from(&listed, &repository.common_dir))
}

fn copy_if_there(from: &Path, to: &Path) -> Result<(), GitError> {
    match fs::read(from) {
        Ok(bytes) => write_whole(to, &bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(GitError::file(from)(error)),
    }
}

/// Writes a file so that it is there whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), GitError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.{:08x}", std::process::id(), fastrand::u32(..)));
    let beside = PathBuf::from(beside);
    let write = || {
        let mut file = fs::OpenOptions::new().create_new(true).write(true).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        match path.parent() {
            Some(folder) => fs::File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(|error| {
        // What could not be written must not stay half written; the error says what matters.
        let _ = fs::remove_file(&beside);
        GitError::file(path)(error)
    })
}

/// The engine's configuration, from what `git config --list -z` says of the repository's.
fn config_from(listed: &[u8], common_dir: &Path) -> Vec<u8> {
    let sha256 = listed.split(|b| *b == 0).any(|entry| entry == b"extensions.objectformat\nsha256");
    let partial = listed.split(|b| *b == 0).any(|entry| entry.starts_with(b"extensions.partialclone\n"));
    let version = if sha256 || partial { 1 } else { 0 };
    let mut config = format!("[core]\n\trepositoryformatversion = {version}\n\tbare = false\n").into_bytes();
    for entry in listed.split(|b| *b == 0).filter(|entry| !entry.is_empty()) {
        let (key, value) = match entry.iter().position(|b| *b == b'\n') {
            Some(at) => (&entry[..at], Some(&entry[at + 1..])),
            None => (entry, None),
        };
        write_setting(&mut config, key, value);
    }
    // LFS looks for its objects beside the repository's own; the engine has none there.
    let has_storage = listed.split(|b| *b == 0).any(|entry| entry.starts_with(b"lfs.storage\n"));
    if !has_storage {
        use std::os::unix::ffi::OsStrExt;
        write_setting(&mut config, b"lfs.storage", Some(common_dir.join("lfs").as_os_str().as_bytes()));
    }
    config
}

fn write_setting(config: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    let mut ends = key.iter().enumerate().filter(|(_, b)| **b == b'.').map(|(at, _)| at);
    let Some(first) = ends.next() else { return };
    let last = ends.next_back().unwrap_or(first);
    let (section, name) = (&key[..first], &key[last + 1..]);
    let subsection = (last > first).then(|| &key[first + 1..last]);
    let taken = TAKEN.iter().any(|(taken, names)| {
        taken.as_bytes() == section && names.iter().any(|taken| taken.as_bytes() == name)
    });
    if !taken || subsection.is_some_and(|text| text.contains(&b'\n')) {
        return;
    }
    config.push(b'[');
    config.extend_from_slice(section);
    if let Some(subsection) = subsection {
        config.extend_from_slice(b" \"");
        escape(config, subsection);
        config.push(b'"');
    }
    config.extend_from_slice(b"]\n\t");
    config.extend_from_slice(name);
    if let Some(value) = value {
        config.extend_from_slice(b" = \"");
        escape(config, value);
        config.push(b'"');
    }
    config.push(b'\n');
}

fn escape(config: &mut Vec<u8>, text: &[u8]) {
    for byte in text {
        match byte {
            b'"' | b'\\' => config.extend_from_slice(&[b'\\', *byte]),
            b'\n' => config.extend_from_slice(b"\\n"),
            b'\t' => config.extend_from_slice(b"\\t"),
            byte => config.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_settings_are_taken_over() {
        let listed = b"core.autocrlf\ninput\0core.fsmonitor\n/tmp/evil\0merge.x.driver\nevil\0\
            alias.st\n!evil\0filter.lfs.clean\ngit-lfs clean -- \"%f\"\0diff.x.textconv\nevil\0core.symlinks\0\
            remote.a.b.url\n/some\twhere\0";
        let text = String::from_utf8(config_from(listed, Path::new("/r/.git"))).unwrap();
        assert_eq!(
            text,
            "[core]\n\trepositoryformatversion = 0\n\tbare = false\n\
             [core]\n\tautocrlf = \"input\"\n\
             [filter \"lfs\"]\n\tclean = \"git-lfs clean -- \\\"%f\\\"\"\n\
             [core]\n\tsymlinks\n\
             [remote \"a.b\"]\n\turl = \"/some\\twhere\"\n\
             [lfs]\n\tstorage = \"/r/.git/lfs\"\n"
        );
    }
}
