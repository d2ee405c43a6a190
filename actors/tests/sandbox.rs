//! Sessions in a sandbox, as the node starts them: by keeper, minder and helper. As root they run as somebody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper_house;

use std::path::PathBuf;

use keeper_house::{House, exit_of, is_alive, kill, printed, program, until, until_printed};
use niia_actors::keeper::{self, ExitStatus, Notice, Opened, Program, StartError, Terminal};
use niia_actors::sandbox::{Listen, Network, Policy, RunAs};

/// A user without a name on any machine.
const GUEST: RunAs = RunAs { uid: 61_234, gid: 61_234 };

struct Jail {
    house: House,
    policy: Policy,
}

impl Jail {
    fn new() -> Jail {
        let house = House::new();
        let work = house.folder.path().canonicalize().unwrap().join("work");
        std::fs::create_dir(&work).unwrap();
        let is_root = rustix::process::geteuid().is_root();
        let run_as = is_root.then_some(GUEST);
        Jail { house, policy: Policy { write: vec![work], run_as, ..Policy::default() } }
    }

    fn work(&self) -> PathBuf {
        self.policy.write[0].clone()
    }

    fn program(&self, script: &str) -> Program {
        let shell = program(&["/bin/bash", "--norc", "-c", script]);
        let env = vec![("PATH".into(), "/usr/bin:/bin".into()), ("TERM".into(), "xterm".into())];
        Program { sandbox: Some(self.policy.clone()), cwd: self.work(), env, ..shell }
    }

    async fn start(&self, name: &str, program: &Program) -> Result<Terminal, StartError> {
        self.house.keeper.start(&self.house.session(name), program).await
    }

    /// What a script prints in the sandbox, and how it ends.
    async fn says(&self, name: &str, script: &str) -> (String, ExitStatus) {
        let terminal = self.start(name, &self.program(script)).await.unwrap();
        let exit = exit_of(&terminal).await;
        terminal.acknowledge().await;
        let text = String::from_utf8_lossy(&printed(terminal.folder())).replace("\r\n", "\n");
        (text, exit.status)
    }
}

#[tokio::test]
async fn a_sandboxed_program_writes_where_it_may_and_nowhere_else() {
    let jail = Jail::new();
    let outside = jail.house.folder.path().join("outside");
    std::fs::write(&outside, "before").unwrap();
    let script =
        format!("echo in > file; echo out > {}; touch /usr/x && echo written; id -u", outside.display());
    let (text, status) = jail.says("write", &script).await;
    assert_eq!(status, ExitStatus::Code(0), "{text}");
    assert!(!text.contains("written"), "{text}");
    assert_eq!(std::fs::read_to_string(jail.work().join("file")).unwrap(), "in\n");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "before");
    let made = keeper::made(&jail.house.session("write")).unwrap().expect("what was made is written down");
    assert_eq!(made.tier, 1);
    for layer in ["files", "landlock", "calls", "namespaces", "network", "privileges", "limits", "terminal"] {
        assert!(made.layers.contains_key(layer), "{made:?}");
    }
}

#[tokio::test]
async fn a_guarded_file_in_a_writable_folder_cannot_be_changed_moved_or_led_around() {
    let mut jail = Jail::new();
    let config = jail.work().join("a/b/config");
    std::fs::create_dir_all(config.parent().unwrap()).unwrap();
    std::fs::write(&config, "ours").unwrap();
    jail.policy.read_only = vec![config.clone()];
    let script = "echo x > a/b/config; rm -f a/b/config; mv a/b/config c; mv a/b b2; mv a a2; ln a/b/config d; \
                  mount --bind /tmp a/b; umount a/b/config; rm -rf a; cat a/b/config; echo y > a/b/other && echo made";
    let (text, _) = jail.says("guard", script).await;
    assert!(text.contains("ours") && text.contains("made"), "{text}");
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "ours");
}

#[tokio::test]
async fn a_hidden_folder_is_empty_but_for_what_is_put_back() {
    let mut jail = Jail::new();
    let state = jail.house.folder.path().canonicalize().unwrap().join("state");
    let own = state.join("mine/tree");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(state.join("secret"), "key").unwrap();
    jail.policy.hidden = vec![state.clone()];
    jail.policy.write.push(own.clone());
    let script =
        format!("find {0}; cat {0}/secret; echo x > {0}/new; echo mine > {0}/mine/tree/f", state.display());
    let (text, _) = jail.says("hide", &script).await;
    assert!(!text.contains("key"), "{text}");
    assert!(text.contains("mine/tree"), "{text}");
    assert_eq!(std::fs::read_to_string(own.join("f")).unwrap(), "mine\n");
    assert!(!state.join("new").exists());
}

#[tokio::test]
async fn a_shell_in_the_sandbox_has_its_terminal_with_job_control_and_resize() {
    let jail = Jail::new();
    let script = "set -m; tty; sleep 60 & kill -STOP %1; sleep 0.1; jobs; bg; kill %1; wait; \
                  script -qec tty /dev/null; set +m; trap 'stty size; resized=1' WINCH; echo ready; \
                  until [ \"$resized\" ]; do sleep 0.02; done; \
                  read -t 30 line; echo err > /dev/stderr; echo to-tty > /dev/tty";
    let terminal = jail.start("tty", &jail.program(script)).await.unwrap();
    let text = until_printed(&terminal, "ready").await;
    assert!(text.contains("/dev/pts/0"), "{text}");
    terminal.resize(91, 17).await.unwrap();
    let text = until_printed(&terminal, "17 91").await;
    assert!(text.contains("/dev/console") && text.contains("Stopped"), "{text}");
    let mut written = 0;
    terminal.write_all(b"on\n", &mut written).await.unwrap();
    let exit = exit_of(&terminal).await;
    terminal.acknowledge().await;
    assert_eq!(exit.status, ExitStatus::Code(0));
    let text = String::from_utf8_lossy(&printed(terminal.folder())).into_owned();
    assert!(text.contains("err\r\n") && text.contains("to-tty\r\n"), "{text}");
}

#[tokio::test]
async fn an_interrupt_and_an_order_to_end_reach_the_program_inside() {
    let jail = Jail::new();
    let script = "trap 'echo interrupted' INT; trap 'echo asked; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    let terminal = jail.start("end", &jail.program(script)).await.unwrap();
    until_printed(&terminal, "ready").await;
    terminal.interrupt().await.unwrap();
    until_printed(&terminal, "interrupted").await;
    terminal.end(keeper_house::PATIENCE).await.unwrap();
    let exit = exit_of(&terminal).await;
    terminal.acknowledge().await;
    assert_eq!(exit.status, ExitStatus::Code(7));
}

#[tokio::test]
async fn a_program_ends_outside_as_it_ended_inside_and_nothing_of_it_is_left() {
    let jail = Jail::new();
    let (_, status) = jail.says("signal", "kill -KILL $$").await;
    assert!(matches!(status, ExitStatus::Signal { number: 9, .. }), "{status:?}");
    let (_, status) = jail.says("code", "setsid nohup sleep 600 & sleep 600 & exit 42").await;
    assert_eq!(status, ExitStatus::Code(42));
}

#[tokio::test]
async fn the_death_of_a_minder_ends_all_that_was_in_its_sandbox() {
    let jail = Jail::new();
    let terminal = jail.start("lost", &jail.program("setsid sleep 600 & echo ready; wait")).await.unwrap();
    until_printed(&terminal, "ready").await;
    let helper = terminal.pid();
    kill(jail.house.minder_pid("lost"), libc::SIGKILL);
    notice_lost(&terminal).await;
    until("the helper is gone", || !is_alive(helper));
}

async fn notice_lost(terminal: &Terminal) {
    loop {
        if matches!(terminal.next().await, Notice::Lost(_)) {
            return;
        }
    }
}

#[tokio::test]
async fn the_network_is_a_loopback_whose_listeners_are_handed_out() {
    let mut jail = Jail::new();
    jail.policy.listen = vec![Listen { port: 3128 }, Listen { port: 80 }];
    let script = "cat /proc/net/dev | grep -c :; echo > /dev/tcp/127.0.0.1/3128 && echo answered; \
                  echo > /dev/tcp/192.0.2.1/80 && echo leaked";
    let (text, _) = jail.says("net", script).await;
    assert!(text.starts_with("1\n") && text.contains("answered") && !text.contains("leaked"), "{text}");
}

#[tokio::test]
async fn what_cannot_be_enforced_is_refused_in_one_line_and_leaves_nothing() {
    let mut jail = Jail::new();
    let link = jail.house.folder.path().join("link");
    std::os::unix::fs::symlink(jail.work(), &link).unwrap();
    let cases = [
        (Policy { write: vec![link], ..jail.policy.clone() }, "REFUSED: write: "),
        (Policy { write: vec!["/absent".into()], ..jail.policy.clone() }, "REFUSED: write: `/absent`"),
        (Policy { write: vec!["/proc".into()], ..jail.policy.clone() }, "REFUSED: policy: "),
        (Policy { sockets: vec!["/absent".into()], ..jail.policy.clone() }, "REFUSED: socket: "),
        (Policy { version: 9, ..jail.policy.clone() }, "REFUSED: policy: "),
        (
            Policy { network: Network::Open, listen: vec![Listen { port: 1 }], ..jail.policy.clone() },
            "REFUSED: policy: ",
        ),
    ];
    for (number, (policy, wanted)) in cases.into_iter().enumerate() {
        jail.policy = policy;
        let name = format!("refused-{number}");
        let mut program = jail.program("echo ran");
        program.cwd = "/".into();
        let error = jail.start(&name, &program).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, StartError::Refused(_)) && text.starts_with(wanted), "{text}");
        assert!(matches!(Terminal::open(&jail.house.session(&name)).await.unwrap(), Opened::Never));
    }
}

#[tokio::test]
async fn a_home_in_a_private_folder_is_refused() {
    let jail = Jail::new();
    let mut program = jail.program("echo ran");
    program.env.push(("HOME".into(), "/tmp/somebody".into()));
    let error = jail.start("home", &program).await.unwrap_err();
    assert!(error.to_string().starts_with("REFUSED: home: "), "{error}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_told_as_without_a_sandbox() {
    let jail = Jail::new();
    let mut program = jail.program("");
    program.argv = vec!["no-such-program".into()];
    let error = jail.start("absent", &program).await.unwrap_err();
    assert!(matches!(error, StartError::Program { .. }), "{error:?}");
}

#[tokio::test]
async fn processes_memory_and_private_files_have_their_bounds() {
    let mut jail = Jail::new();
    jail.policy.pids_max = Some(24);
    jail.policy.memory_bytes_max = Some(200 << 20);
    jail.policy.tmp_bytes_max = 8 << 20;
    let script = "head -c 20000000 /dev/zero > /tmp/fill; stat -c %s /tmp/fill; \
                  perl -e '$x = q(a) x 400_000_000' && echo held; \
                  perl -e 'for (1..40) { die qq(no fork: $!) unless defined fork; }'";
    let (text, _) = jail.says("bounds", script).await;
    assert!(text.contains("No space left"), "{text}");
    assert!(!text.contains("held"), "{text}");
    assert!(text.contains("no fork"), "{text}");
}
