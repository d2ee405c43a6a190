//! Reading what must stay unread: keys, tokens, the node's state, what other sessions said.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{OpenOptionsExt, symlink};

use super::sys::{ask, c};
use super::{Attempt, Claim, Scene, missed, reached};

/// The key most attempts are after.
pub const KEY: &str = ".ssh/id_ed25519";

/// Every file of a home that holds a secret in the scene.
pub const FILES: [&str; 20] = [
    KEY,
    ".aws/credentials",
    ".gnupg/private-keys-v1.d/key",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".git-credentials",
    ".config/gh/hosts.yml",
    ".config/gcloud/credentials.db",
    ".config/op/config",
    ".azure/accessTokens.json",
    ".kube/config",
    ".docker/config.json",
    ".cargo/credentials.toml",
    ".password-store/key.gpg",
    ".bash_history",
    ".mozilla/firefox/x.default/logins.json",
    ".config/google-chrome/Default/Login Data",
    ".local/share/keyrings/login.keyring",
    ".claude/.credentials.json",
];

fn read(scene: &Scene, name: &str) -> Claim {
    fs::read_to_string(scene.home().join(name))
}

macro_rules! reads {
    ($name:literal, $file:literal) => {
        Attempt::outside($name, concat!("reads ~/", $file), |s| read(s, $file))
    };
}

pub const ATTEMPTS: &[Attempt] = &[
    reads!("ssh-key", ".ssh/id_ed25519"),
    reads!("aws-credentials", ".aws/credentials"),
    reads!("gnupg-key", ".gnupg/private-keys-v1.d/key"),
    reads!("netrc", ".netrc"),
    reads!("npm-token", ".npmrc"),
    reads!("pypi-token", ".pypirc"),
    reads!("git-credentials", ".git-credentials"),
    reads!("gh-token", ".config/gh/hosts.yml"),
    reads!("gcloud-token", ".config/gcloud/credentials.db"),
    reads!("onepassword", ".config/op/config"),
    reads!("azure-token", ".azure/accessTokens.json"),
    reads!("kube-config", ".kube/config"),
    reads!("docker-login", ".docker/config.json"),
    reads!("cargo-token", ".cargo/credentials.toml"),
    reads!("password-store", ".password-store/key.gpg"),
    reads!("shell-history", ".bash_history"),
    reads!("firefox-logins", ".mozilla/firefox/x.default/logins.json"),
    reads!("chrome-logins", ".config/google-chrome/Default/Login Data"),
    reads!("keyring", ".local/share/keyrings/login.keyring"),
    reads!("claude-login", ".claude/.credentials.json"),
    Attempt::outside("secret-by-symlink", "reads a key through a link in the worktree", |s| {
        symlink(s.home().join(KEY), s.tree().join("link"))?;
        fs::read_to_string(s.tree().join("link"))
    }),
    Attempt::outside("secret-by-folder-link", "reads a key through a link to its folder", |s| {
        symlink(s.home().join(".ssh"), s.tree().join("folder"))?;
        fs::read_to_string(s.tree().join("folder/id_ed25519"))
    }),
    Attempt::outside("secret-by-hardlink", "gives a key a name in the worktree and reads that", |s| {
        fs::hard_link(s.home().join(KEY), s.tree().join("key"))?;
        fs::read_to_string(s.tree().join("key"))
    }),
    Attempt::outside("secret-by-rename", "moves the folder of a key into the worktree", |s| {
        fs::rename(s.home().join(".ssh"), s.tree().join("keys"))?;
        fs::read_to_string(s.tree().join("keys/id_ed25519"))
    }),
    Attempt::outside("secret-by-own-root", "reads a key through the link of its own root", |s| {
        fs::read_to_string(format!("/proc/self/root{}", s.home().join(KEY).display()))
    }),
    Attempt::outside("secret-by-handle", "takes hold of the path of a key and opens that", |s| {
        let path = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(s.home().join(KEY))?;
        fs::read_to_string(format!("/proc/self/fd/{}", path.as_raw_fd()))
    }),
    Attempt::outside("secret-by-climbing", "reads a key by climbing from the worktree", |s| {
        let folder = File::open(s.tree())?;
        let key = c("../../home/.ssh/id_ed25519");
        let fd = ask!(libc::SYS_openat, folder.as_raw_fd(), &key, libc::O_RDONLY)?;
        fs::read_to_string(format!("/proc/self/fd/{fd}"))
    }),
    Attempt::told("list-secrets", "lists the folder of the keys", |s| {
        let names = fs::read_dir(s.home().join(".ssh"))?.count();
        if names == 0 { missed("the folder is empty") } else { reached(format!("{names} names")) }
    }),
    Attempt::told("size-of-secret", "asks how long a key is", |s| {
        let length = fs::metadata(s.home().join(KEY))?.len();
        if length == 0 { missed("there is nothing") } else { reached(format!("{length} bytes")) }
    }),
    Attempt::told("watch-secret", "asks to be told when the folder of the keys is used", |s| {
        let fd = ask!(libc::SYS_inotify_init1, 0)?;
        // Its own listing must not be what is seen, so the folder has to hold the key.
        ask!(libc::SYS_inotify_add_watch, fd, &c(s.home().join(KEY)), libc::IN_ALL_EVENTS)?;
        if fs::metadata(s.home().join(KEY))?.len() == 0 {
            return missed("it watches a mask");
        }
        reached("watching")
    }),
    Attempt::outside("node-journal", "reads the node's journal", |s| {
        fs::read_to_string(s.state().join("journal.db"))
    }),
    Attempt::outside("other-recording", "reads what another session printed", |s| {
        fs::read_to_string(s.state().join("runs/other/log-0"))
    }),
    Attempt::outside("other-worktree-read", "reads the private notes in another session's tree", |s| {
        fs::read_to_string(s.other_tree().join("work.txt"))
    }),
    Attempt::outside("node-token", "reads the node's own key", |s| {
        fs::read_to_string(s.state().join("identity.key"))
    }),
    Attempt::told("shadow", "reads the machine's passwords", |_| {
        let text = fs::read_to_string("/etc/shadow")?;
        if text.is_empty() { missed("it is empty") } else { reached("read") }
    })
    .root("only root reads it"),
    Attempt::told("block-device", "reads the disk itself", |_| {
        let devices = fs::read_to_string("/proc/partitions")?;
        for name in devices.lines().skip(2).filter_map(|line| line.split_whitespace().last()) {
            if File::open(format!("/dev/{name}")).is_ok() {
                return reached(format!("/dev/{name} is open"));
            }
        }
        missed("no disk could be opened")
    })
    .never("this machine shows no disk, and only root would open it"),
    Attempt::told("kernel-log", "reads what the kernel said", |_| {
        let mut text = vec![0_u8; 4096];
        let count = ask!(libc::SYS_syslog, 3, text.as_mut_ptr(), 4096)?;
        if count == 0 { missed("it is empty") } else { reached(format!("{count} bytes")) }
    })
    .root("the kernel keeps it from plain users here"),
    Attempt::told("kernel-log-device", "reads the same from its device", |_| {
        File::open("/dev/kmsg")?;
        reached("open")
    })
    .root("the kernel keeps it from plain users here"),
];
