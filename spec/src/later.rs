//! Files that could run something later, without anybody asking them to: what a change brings that an editor, a shell,
//! a git or a forge acts upon as soon as it sees it.
//!
//! A build file is none of them: it runs when somebody builds. The list is of what runs by being opened, entered,
//! committed in or pushed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// One path that differs between two commits, and is there in the later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// From the top, parts divided by `/`.
    pub path: String,
    /// It was not there before.
    pub new: bool,
    /// As git writes it: `100644`, `120000` for a link, `160000` for a repository of its own.
    pub mode: String,
}

/// One that could run something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunsLater {
    pub path: String,
    /// Who acts upon it.
    pub by: String,
    pub new: bool,
}

/// The mode of a repository inside another.
const REPOSITORY: &str = "160000";

/// Names that count wherever they stand.
const NAMES: [(&str, &str); 38] = [
    (".envrc", "direnv"),
    ("mise.toml", "mise"),
    (".mise.toml", "mise"),
    (".mcp.json", "tools that start MCP servers"),
    ("mcp.json", "tools that start MCP servers"),
    (".devcontainer.json", "editors that open containers"),
    (".gitpod.yml", "Gitpod"),
    (".gitmodules", "git, for submodules"),
    (".pre-commit-config.yaml", "pre-commit"),
    (".overcommit.yml", "overcommit"),
    ("lefthook.yml", "lefthook"),
    ("lefthook.yaml", "lefthook"),
    ("lefthook.toml", "lefthook"),
    (".lefthook.yml", "lefthook"),
    (".aider.conf.yml", "aider"),
    ("opencode.json", "opencode"),
    ("opencode.jsonc", "opencode"),
    (".exrc", "vim"),
    (".vimrc", "vim"),
    (".nvimrc", "neovim"),
    (".nvim.lua", "neovim"),
    (".lvimrc", "vim"),
    (".dir-locals.el", "emacs"),
    (".gdbinit", "gdb"),
    (".lldbinit", "lldb"),
    (".pdbrc", "pdb"),
    (".irbrc", "irb"),
    (".pryrc", "pry"),
    (".ghci", "ghci"),
    (".rprofile", "R"),
    ("sitecustomize.py", "python"),
    ("usercustomize.py", "python"),
    (".gitlab-ci.yml", "GitLab, when it is pushed"),
    (".travis.yml", "Travis, when it is pushed"),
    (".drone.yml", "Drone, when it is pushed"),
    ("azure-pipelines.yml", "Azure, when it is pushed"),
    ("jenkinsfile", "Jenkins, when it is pushed"),
    (".cirrus.yml", "Cirrus, when it is pushed"),
];

/// Endings that count wherever they stand.
const ENDINGS: [(&str, &str); 4] = [
    (".code-workspace", "VS Code"),
    (".run.xml", "JetBrains editors"),
    (".pth", "python"),
    (".desktop", "the desktop"),
];

/// Folders, at any depth, all of whose files count.
const FOLDERS: [(&str, &str); 23] = [
    (".vscode", "VS Code"),
    (".idea", "JetBrains editors"),
    (".fleet", "JetBrains editors"),
    (".zed", "Zed"),
    (".vs", "Visual Studio"),
    (".devcontainer", "editors that open containers"),
    (".claude", "claude"),
    (".codex", "codex"),
    (".gemini", "gemini"),
    (".cursor", "Cursor"),
    (".opencode", "opencode"),
    (".husky", "git, as hooks"),
    (".githooks", "git, as hooks"),
    (".lefthook", "lefthook"),
    (".hg", "Mercurial"),
    (".cargo", "cargo, which editors start"),
    (".github/workflows", "GitHub, when it is pushed"),
    (".github/actions", "GitHub, when it is pushed"),
    (".gitea/workflows", "Gitea, when it is pushed"),
    (".forgejo/workflows", "Forgejo, when it is pushed"),
    (".circleci", "CircleCI, when it is pushed"),
    (".buildkite", "Buildkite, when it is pushed"),
    (".yarn/releases", "yarn"),
];

/// What git looks for by name among hooks (githooks(5)).
const HOOKS: [&str; 20] = [
    "applypatch-msg",
    "pre-applypatch",
    "post-applypatch",
    "pre-commit",
    "pre-merge-commit",
    "prepare-commit-msg",
    "commit-msg",
    "post-commit",
    "pre-rebase",
    "post-checkout",
    "post-merge",
    "pre-push",
    "pre-receive",
    "update",
    "post-receive",
    "post-update",
    "reference-transaction",
    "post-rewrite",
    "fsmonitor-watchman",
    "post-index-change",
];

/// What of a change could run something later, by path.
#[must_use]
pub fn runs_later(changes: &[Changed]) -> Vec<RunsLater> {
    let heads = repositories(changes);
    let found = |change: &Changed| {
        let by = by(change).or_else(|| in_repository(&change.path, &heads))?;
        Some(RunsLater { path: change.path.clone(), by: by.to_owned(), new: change.new })
    };
    let mut all: Vec<RunsLater> = changes.iter().filter_map(found).collect();
    all.sort();
    all
}

/// Who acts upon one path by its name; file systems there are that do not tell large letters from small ones.
fn by(change: &Changed) -> Option<&'static str> {
    if change.mode == REPOSITORY {
        return Some("git, as a repository of its own");
    }
    let path = change.path.to_ascii_lowercase();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    let named = NAMES.iter().find(|(known, _)| *known == name);
    let ended = ENDINGS.iter().find(|(ending, _)| name.len() > ending.len() && name.ends_with(ending));
    let within = FOLDERS.iter().find(|(known, _)| lies_in(folder, known));
    let hook = HOOKS.contains(&name) && lies_in(folder, "hooks");
    named
        .or(ended)
        .or(within)
        .map(|(_, by)| *by)
        .or(hook.then_some("git, as a hook"))
        // A link by such a name leads to what counts.
        .or_else(|| FOLDERS.iter().find(|(known, _)| lies_in(&path, known)).map(|(_, by)| *by))
}

/// Whether a folder is the known one, or lies below one, at any depth.
fn lies_in(folder: &str, known: &str) -> bool {
    let wrapped = format!("/{folder}/");
    wrapped.contains(&format!("/{known}/"))
}

/// Folders that a git would take for bare repositories: with a head and objects or refs in them.
fn repositories(changes: &[Changed]) -> BTreeSet<String> {
    let has = |path: String| {
        changes.iter().any(|change| change.path == path || change.path.starts_with(&format!("{path}/")))
    };
    let heads = changes.iter().filter_map(|change| match change.path.rsplit_once('/') {
        Some((folder, "HEAD")) => Some(folder.to_owned()),
        _ => None,
    });
    heads
        .filter(|folder| ["objects", "refs", "config"].iter().any(|part| has(format!("{folder}/{part}"))))
        .collect()
}

fn in_repository(path: &str, repositories: &BTreeSet<String>) -> Option<&'static str> {
    let (folder, name) = path.rsplit_once('/')?;
    (repositories.contains(folder) && ["HEAD", "config"].contains(&name))
        .then_some("git, as a repository of its own")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(path: &str, mode: &str) -> Changed {
        Changed { path: path.to_owned(), new: true, mode: mode.to_owned() }
    }

    fn found(paths: &[&str]) -> Vec<String> {
        let changes: Vec<Changed> = paths.iter().map(|path| changed(path, "100644")).collect();
        runs_later(&changes).into_iter().map(|found| found.path).collect()
    }

    #[test]
    fn what_runs_by_being_opened_entered_committed_in_or_pushed_is_told() {
        for path in [
            ".vscode/tasks.json",
            "deep/er/.vscode/settings.json",
            ".VSCode/Tasks.json",
            ".envrc",
            "sub/.envrc",
            ".mcp.json",
            ".claude/settings.json",
            ".claude/hooks/x.sh",
            ".cursor/mcp.json",
            ".gemini/settings.json",
            ".codex/config.toml",
            ".husky/pre-commit",
            "tools/hooks/post-checkout",
            ".devcontainer/devcontainer.json",
            ".github/workflows/ci.yml",
            ".idea/workspace.xml",
            "app.code-workspace",
            ".gitmodules",
            ".pre-commit-config.yaml",
            ".cargo/config.toml",
            "Jenkinsfile",
            "lib/evil.pth",
            // A link in the place of a folder.
            ".vscode",
        ] {
            assert_eq!(found(&[path]), [path]);
        }
    }

    #[test]
    fn what_runs_when_it_is_asked_to_is_not() {
        let plain = [
            "Makefile",
            "build.rs",
            "package.json",
            "src/hooks/use-thing.ts",
            "hooks/readme.md",
            "docs/vscode/tasks.json",
            "github/workflows/ci.yml",
            "src/update",
            "CLAUDE.md",
            "HEAD",
        ];
        assert_eq!(found(&plain), [""; 0]);
        assert_eq!(found(&["a/config", "b/HEAD"]), [""; 0]);
    }

    #[test]
    fn repositories_inside_are_told_however_they_are_planted() {
        let link = runs_later(&[changed("vendor/sub", REPOSITORY)]);
        assert_eq!(link.len(), 1);
        let bare = ["data/HEAD", "data/config", "data/objects/pack/x", "data/readme"];
        assert_eq!(found(&bare), ["data/HEAD", "data/config"]);
    }
}
