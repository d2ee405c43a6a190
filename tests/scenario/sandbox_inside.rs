//! Work goes on inside a sandbox as it does outside: git, builds, languages, shells with job control, editors.

use std::path::Path;
use std::sync::Arc;

use niia_tests::escape::{Outcome, Setup, Stage};

fn stage() -> Arc<Stage> {
    Stage::shared(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// Runs a script inside; it must end well and say each of these.
fn inside(script: &str, words: &[&str]) {
    let Outcome { refused, code, printed } = stage().run(&Setup::script(script));
    assert_eq!((refused, code), (None, Some(0)), "{printed}");
    for word in words {
        assert!(printed.contains(word), "it does not say {word}:\n{printed}");
    }
}

#[test]
fn what_git_is_told_to_be_configured_as_is_the_sessions_own() {
    inside(
        "set -e
        git branch -m work renamed && git branch --show-current
        git config --local user.nickname ada && git config --local --get user.nickname
        git config --worktree core.quotePath false && git config --get core.quotePath
        git remote add other https://example.com/x.git && git remote -v
        git branch -c renamed copied && git config --local --unset user.nickname
        git branch --set-upstream-to=copied renamed && git status -sb -uno | head -1
        git branch -m renamed work
        git gc -q
        git fsck --no-dangling
        test -L \"$(git rev-parse --git-common-dir)/config\"
        ! rm -f \"$(git rev-parse --git-common-dir)/config\" && echo all of it",
        &["renamed", "ada", "https://example.com/x.git", "...copied", "all of it"],
    );
}

fn is_installed(program: &str) -> bool {
    ["/usr/local/bin", "/usr/bin", "/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
}

#[test]
fn all_everyday_work_with_git_goes() {
    inside(
        "set -e
        echo one > one.txt && git add one.txt && git commit -qm one
        git checkout -qb side && echo two > two.txt && git add . ':!.scene.json' && git commit -qm two
        echo dirty >> one.txt && git stash -q && git stash pop -q && git checkout -q one.txt
        git checkout -q work && echo three > three.txt && git add three.txt && git commit -qm three
        git rebase -q work side && git checkout -q work && git merge -q --no-ff -m merged side
        git tag -a v1 -m v1 && git branch -d side && git cherry-pick --allow-empty --keep-redundant-commits v1~0 -m 1 -n
        git commit --amend -q --no-edit && git log --oneline | wc -l && git fsck --no-dangling
        git worktree list | head -1 && git reset -q --hard v1 && git status --porcelain -uno && echo all of it",
        &["all of it"],
    );
}

#[test]
fn python_runs_and_has_its_temporary_files() {
    if is_installed("python3") {
        inside(
            "PYTHONDONTWRITEBYTECODE=1 python3 -c 'import tempfile, subprocess, threading, multiprocessing as m
with tempfile.NamedTemporaryFile() as f: f.write(b\"x\")
print(subprocess.check_output([\"echo\", \"from python\"]).decode())
print(m.get_context(\"fork\").Pool(2).map(abs, [-1, -2]))'",
            &["from python", "[1, 2]"],
        );
    }
}

#[test]
fn node_runs_and_npm_runs_its_tests() {
    if is_installed("node") && is_installed("npm") {
        inside(
            "export npm_config_cache=/tmp/npm npm_config_update_notifier=false
            echo '{\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{\"test\":\"node --test\"}}' > package.json
            echo 'require(\"node:test\")(\"adds\", () => require(\"assert\").equal(1 + 1, 2))' > x.test.js
            npm test && node -e 'console.log(\"from node\")'",
            &["pass 1", "from node"],
        );
    }
}

#[test]
fn cargo_builds_and_tests() {
    if is_installed("cargo") && is_installed("cc") {
        inside(
            "export CARGO_HOME=/tmp/cargo && cargo init -q --vcs none --lib && cargo test -q --offline",
            &["test result: ok"],
        );
    }
}

#[test]
fn a_compiler_makes_a_program_that_runs() {
    if is_installed("cc") {
        inside("echo 'int main(void){return 0;}' > a.c && cc a.c -o a && ./a && echo it ran", &["it ran"]);
    }
}

#[test]
fn a_login_shell_has_job_control() {
    inside(
        "bash -lic 'sleep 300 & jobs; kill -STOP %1; sleep 0.2; jobs; bg %1; kill %1; wait; fg 2>&1; set -o | grep monitor'",
        &["Running", "Stopped", "monitor", "on"],
    );
}

#[test]
fn a_terminal_within_the_terminal_can_be_had() {
    if is_installed("script") {
        inside("script -qec 'tty; stty size' /dev/null && tty", &["/dev/pts/"]);
    }
}

#[test]
fn a_pager_and_an_editor_take_the_screen() {
    if is_installed("less") {
        inside("echo a line | less -FX && echo paged", &["a line", "paged"]);
    }
    if is_installed("vim") {
        inside("vim -Nu NONE -c 'normal ihello' -c 'wq' made.txt && cat made.txt", &["hello"]);
    }
}

#[test]
fn programs_have_their_pipes_locks_and_private_places() {
    inside(
        "set -e
        touch /tmp/a /var/tmp/b /dev/shm/c && flock /tmp/a true && mkfifo pipe && rm pipe
        echo x > /dev/null && head -c4 /dev/urandom | wc -c && ls /proc/self/fd >/dev/null
        cat <(echo substituted) && echo $$ && test -w . && test ! -w /usr && echo fine",
        &["substituted", "fine"],
    );
}
