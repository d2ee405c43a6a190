//! Leaving something that the user, or one of the user's programs, would run later.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Attempt, Claim, Scene, reached};

/// Appends to a file of the home, made where it is not there.
fn plant(scene: &Scene, name: &str, text: &str) -> Claim {
    let path = scene.home().join(name);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).open(&path)?.write_all(text.as_bytes())?;
    reached(format!("planted in {name}"))
}

fn program(path: &Path) -> Claim {
    fs::write(path, "#!/bin/sh\n")?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o755))?;
    reached("installed")
}

pub const ATTEMPTS: &[Attempt] = &[
    Attempt::outside("bashrc", "adds a line to what a shell reads first", |s| plant(s, ".bashrc", "evil\n")),
    Attempt::outside("profile", "adds a line to what a login reads first", |s| {
        plant(s, ".profile", "evil\n")
    }),
    Attempt::outside("zshenv", "makes a file another shell reads first", |s| plant(s, ".zshenv", "evil\n")),
    Attempt::outside("gitconfig", "gives the user's git a pager", |s| {
        plant(s, ".gitconfig", "[core]\n\tpager = evil\n")
    }),
    Attempt::outside("git-config-folder", "gives the user's git attributes", |s| {
        plant(s, ".config/git/attributes", "* filter=evil\n")
    }),
    Attempt::outside("authorized-keys", "lets another key log in", |s| {
        plant(s, ".ssh/authorized_keys", "ssh-ed25519 AAAA evil\n")
    }),
    Attempt::outside("ssh-config", "has ssh run a command", |s| {
        plant(s, ".ssh/config", "Host *\n  ProxyCommand evil\n")
    }),
    Attempt::outside("user-unit", "leaves a unit that starts at the next login", |s| {
        plant(s, ".config/systemd/user/evil.service", "[Service]\nExecStart=evil\n")
    }),
    Attempt::outside("autostart", "leaves an entry that starts with the desktop", |s| {
        plant(s, ".config/autostart/evil.desktop", "[Desktop Entry]\nExec=evil\n")
    }),
    Attempt::outside("program-on-path", "puts a program before git on the user's PATH", |s| {
        program(&s.home().join("bin/git"))
    }),
    Attempt::outside("cli-hooks", "gives an AI command line a hook", |s| {
        plant(s, ".claude/settings.json", "{\"hooks\":{}}")
    }),
    Attempt::outside("cli-servers", "gives an AI command line a tool server", |s| {
        plant(s, ".codex/config.toml", "[mcp_servers.evil]\ncommand = \"evil\"\n")
    }),
    Attempt::outside("cargo-config", "gives the user's cargo a linker", |s| {
        plant(s, ".cargo/config.toml", "[build]\nrustc-wrapper = \"evil\"\n")
    }),
    Attempt::outside("npmrc", "gives the user's npm a script shell", |s| {
        plant(s, ".npmrc", "script-shell=evil\n")
    }),
    Attempt::outside("own-plugin", "leaves a plugin for niia", |s| {
        fs::create_dir_all(s.home().join(".config/niia/plugins"))?;
        program(&s.home().join(".config/niia/plugins/evil"))
    }),
];
