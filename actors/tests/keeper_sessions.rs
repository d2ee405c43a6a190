//! Sessions as the node sees them: started, followed, typed to, ended.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper_house;

use std::time::Duration;

use keeper_house::{House, exit_of, notice, printed, program, until, until_printed};
use niia_actors::keeper::{ExitStatus, Mark, MarkKind, Notice, Opened, StartError, Terminal, Why};
use niia_actors::recording::{Recording, Step};

#[tokio::test]
async fn what_a_program_prints_is_recorded_and_its_exit_told() {
    let house = House::new();
    let terminal = house.shell("hi", "echo hi; exit 3").await;
    let exit = exit_of(&terminal).await;
    assert_eq!((exit.status, exit.why, exit.log_end), (ExitStatus::Code(3), Why::Itself, 4));
    assert_eq!(printed(terminal.folder()), b"hi\r\n");
    terminal.acknowledge().await;
    assert!(!house.session("hi").join("socket").exists());
    assert!(
        matches!(Terminal::open(&house.session("hi")).await.unwrap(), Opened::Ended(again) if again == exit)
    );
}

#[tokio::test]
async fn a_dropped_terminal_ends_nothing_and_is_taken_up_again() {
    let house = House::new();
    let terminal = house.shell("s", "echo one; read line; echo got $line").await;
    let pid = terminal.pid();
    until_printed(&terminal, "one").await;
    drop(terminal);
    let Opened::Live(terminal) = Terminal::open(&house.session("s")).await.unwrap() else {
        panic!("not live")
    };
    assert_eq!(terminal.pid(), pid);
    assert_eq!(terminal.end_of_log(), 5);
    let mut written = 0;
    terminal.write_all(b"two\n", &mut written).await.unwrap();
    assert_eq!(written, 4);
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    // The terminal echoes what is typed.
    assert_eq!(house.printed("s"), b"one\r\ntwo\r\ngot two\r\n");
}

#[tokio::test]
async fn a_folder_without_a_session_says_never() {
    let house = House::new();
    let folder = house.session("none");
    assert!(matches!(Terminal::open(&folder).await.unwrap(), Opened::Never));
    std::fs::create_dir_all(&folder).unwrap();
    assert!(matches!(Terminal::open(&folder).await.unwrap(), Opened::Never));
}

#[tokio::test]
async fn a_resize_reaches_the_program_and_the_recording() {
    let house = House::new();
    let script = "trap 'stty size' WINCH; stty size; while :; do sleep 0.01; done";
    let terminal = house.shell("size", script).await;
    until_printed(&terminal, "40 120").await;
    terminal.resize(100, 30).await.unwrap();
    until_printed(&terminal, "30 100").await;
    terminal.resize(0, u16::MAX).await.unwrap();
    until_printed(&terminal, "1000 2").await;
    terminal.end(Duration::ZERO).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let steps = Recording::open(terminal.folder()).unwrap().replay().unwrap();
    let sizes: Vec<_> = steps
        .filter_map(|step| match step.unwrap() {
            Step::Resize { cols, rows, .. } => Some((cols, rows)),
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(100, 30), (2, 1000)]);
}

#[tokio::test]
async fn marks_outlive_the_node_that_made_them() {
    let house = House::new();
    let terminal = house.shell("marks", "read line").await;
    let typing = Mark { kind: MarkKind::Typing, id: u64::MAX, bytes: 5 };
    let submitting = Mark { kind: MarkKind::Submitting, id: 7, bytes: 1 };
    terminal.mark(typing).await.unwrap();
    terminal.mark(submitting).await.unwrap();
    drop(terminal);
    assert_eq!(Recording::open(&house.session("marks")).unwrap().marks().unwrap(), [typing, submitting]);
    let Opened::Live(terminal) = Terminal::open(&house.session("marks")).await.unwrap() else {
        panic!("not live")
    };
    terminal.end(Duration::ZERO).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
}

#[tokio::test]
async fn a_stopped_program_is_told_and_told_again_when_it_goes_on() {
    let house = House::new();
    let terminal = house.shell("stop", "kill -STOP $$; echo again; sleep 600").await;
    let stopped = notice(&terminal, |notice| matches!(notice, Notice::Stopped { .. })).await;
    assert_eq!(stopped, Notice::Stopped { signal: libc::SIGSTOP });
    keeper_house::kill(terminal.pid(), libc::SIGCONT);
    notice(&terminal, |notice| matches!(notice, Notice::Continued)).await;
    until_printed(&terminal, "again").await;
    // An end reaches a program that is stopped, too.
    keeper_house::kill(terminal.pid(), libc::SIGSTOP);
    notice(&terminal, |notice| matches!(notice, Notice::Stopped { .. })).await;
    terminal.end(Duration::from_secs(60)).await.unwrap();
    let exit = exit_of(&terminal).await;
    assert_eq!((exit.signal(), exit.why), (Some(libc::SIGTERM), Why::Ordered));
    terminal.acknowledge().await;
}

#[tokio::test]
async fn an_interrupt_reaches_the_foreground() {
    let house = House::new();
    let terminal =
        house.shell("int", "trap 'echo caught; exit 4' INT; echo on; while :; do sleep 0.01; done").await;
    until_printed(&terminal, "on").await;
    terminal.interrupt().await.unwrap();
    assert_eq!(exit_of(&terminal).await.code(), Some(4));
    terminal.acknowledge().await;
    assert!(String::from_utf8_lossy(&house.printed("int")).contains("caught"));
}

#[tokio::test]
async fn how_a_program_ended_is_told_as_it_was() {
    let house = House::new();
    for (name, script, status) in [
        ("zero", "exit 0", ExitStatus::Code(0)),
        ("large", "exit 255", ExitStatus::Code(255)),
        ("segv", "ulimit -c 0; kill -SEGV $$", ExitStatus::Signal { number: libc::SIGSEGV, core: false }),
        ("kill", "kill -KILL $$", ExitStatus::Signal { number: libc::SIGKILL, core: false }),
    ] {
        let terminal = house.shell(name, script).await;
        let exit = exit_of(&terminal).await;
        assert_eq!((exit.status, exit.why), (status, Why::Itself), "{name}");
        terminal.acknowledge().await;
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_refused_by_name_and_leaves_nothing() {
    let house = House::new();
    let folder = house.session("refused");
    let file = house.folder.path().join("file");
    std::fs::write(&file, "#!/no/such/interpreter\n").unwrap();
    let path = file.to_str().unwrap();
    let refused = async |argv: &[&str], cwd: &str| {
        let mut program = program(argv);
        program.cwd = cwd.into();
        let error = house.keeper.start(&folder, &program).await.unwrap_err();
        assert!(matches!(Terminal::open(&folder).await.unwrap(), Opened::Never));
        assert!(!folder.join("socket").exists());
        error
    };
    let errno = |error: &StartError| match error {
        StartError::Program { source, .. } | StartError::Cwd { source, .. } => source.raw_os_error(),
        _ => None,
    };
    let missing = refused(&["no-such-program"], "/").await;
    assert_eq!(
        (missing.to_string().as_str(), errno(&missing)),
        ("could not start `no-such-program`", Some(libc::ENOENT))
    );
    assert_eq!(errno(&refused(&[path], "/").await), Some(libc::EACCES));
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(matches!(refused(&[path], "/").await, StartError::Interpreter { .. }));
    assert!(matches!(refused(&["true"], "/no/such/folder").await, StartError::Cwd { .. }));
    assert_eq!(errno(&refused(&["true"], path).await), Some(libc::ENOTDIR));
    let huge = "x".repeat(3 << 20);
    assert_eq!(errno(&refused(&["true", &huge], "/").await), Some(libc::E2BIG));
    assert!(matches!(refused(&["true", &"x".repeat(9 << 20)], "/").await, StartError::TooLarge { .. }));
    assert!(matches!(refused(&[], "/").await, StartError::Empty));
    assert!(matches!(refused(&["a\0b"], "/").await, StartError::Nul { .. }));
    let mut program = program(&["true"]);
    program.env.push(("A=B".into(), "c".into()));
    let error = house.keeper.start(&folder, &program).await.unwrap_err();
    assert_eq!(error.to_string(), "`A=B` cannot be the name of an environment variable");
}

#[tokio::test]
async fn a_folder_with_a_session_takes_no_second_one() {
    let house = House::new();
    let terminal = house.shell("one", "echo first").await;
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let error = house.keeper.start(&house.session("one"), &program(&["true"])).await.unwrap_err();
    assert!(matches!(error, StartError::Taken { .. }), "{error}");
    assert_eq!(house.printed("one"), b"first\r\n");
}

#[tokio::test]
async fn a_program_gets_its_environment_and_nothing_of_the_nodes() {
    let house = House::new();
    let mut wanted = program(&["/usr/bin/env"]);
    wanted.env = vec![("B".into(), "1 2\"".into()), ("A".into(), "".into())];
    let terminal = house.keeper.start(&house.session("env"), &wanted).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let printed = String::from_utf8(house.printed("env")).unwrap();
    let mut names: Vec<_> = printed.lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["A", "B", "NIIA_SESSION", "NIIA_SESSION_MARK"]);
    assert!(printed.contains("B=1 2\"\r\n") && printed.contains("NIIA_SESSION=run/phase/worker/1\r\n"));
    for file in std::fs::read_dir(house.session("env")).unwrap() {
        let file = file.unwrap();
        let is_log = file.file_name().to_str().unwrap().starts_with("log-");
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(is_log || !bytes.windows(4).any(|window| window == b"1 2\""), "{file:?}");
    }
}

#[tokio::test]
async fn a_program_has_its_three_descriptors_the_users_mask_and_no_blocked_signal() {
    let house = House::new();
    let script = "ls /proc/self/fd | tr '\\n' ' '; umask; tty; exec grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let terminal = house.shell("clean", script).await;
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let printed = String::from_utf8(house.printed("clean")).unwrap();
    // `ls` itself has the folder open as number 3.
    assert!(printed.starts_with("0 1 2 3 0022\r\n"), "{printed}");
    assert!(printed.contains("SigBlk:\t0000000000000000\r\n"), "{printed}");
    let ignored = printed.split("SigIgn:\t").nth(1).unwrap().get(..16).unwrap();
    // The C library keeps signals 32 and 33 for itself and lets nobody change them.
    assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & !(3 << 31), 0, "{printed}");
    assert!(printed.contains("/dev/pts/"), "{printed}");
}

#[tokio::test]
async fn a_keeper_that_is_asked_to_leaves_and_the_next_start_begins_another() {
    let house = House::new();
    let terminal = house.shell("first", "read line").await;
    let keeper = house.keeper_pid();
    keeper_house::kill(keeper, libc::SIGTERM);
    until("the keeper leaves", || !keeper_house::is_alive(keeper));
    assert!(!house.run_folder().join("keeper-2.socket").exists());
    let next = house.shell("next", "echo next").await;
    exit_of(&next).await;
    next.acknowledge().await;
    assert_ne!(house.keeper_pid(), keeper);
    // The first session has not noticed.
    terminal.end(Duration::ZERO).await.unwrap();
    assert_eq!(exit_of(&terminal).await.signal(), Some(libc::SIGKILL));
    terminal.acknowledge().await;
}

#[tokio::test]
async fn a_keeper_that_nobody_needs_leaves_by_itself() {
    let mut house = House::new();
    let terminal = house.shell("only", "true").await;
    let keeper = house.keeper_pid();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    // The node goes: its connection is what kept the keeper.
    house.forget_keeper();
    drop(terminal);
    let gone = async {
        while keeper_house::is_alive(keeper) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(keeper_house::PATIENCE, gone).await.expect("the keeper leaves");
}
