//! What is killed, what is lost by it, and what is not left behind.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper_house;

use std::process::{Command, Stdio};
use std::time::Duration;

use keeper_house::{House, comm, exit_of, is_alive, kill, processes, program, until, until_printed};
use niia_actors::keeper::{ExitStatus, Notice, Opened, StartError, Terminal, Why, sweep};

/// Prints a million numbered lines as fast as it can.
const MILLION_LINES: &str = "seq 1000000";

fn million_lines() -> Vec<u8> {
    (1..=1_000_000).flat_map(|line: u32| format!("{line}\r\n").into_bytes()).collect()
}

/// Twenty processes that do what they can to outlive their parent. Each has a number of its own as its time to sleep.
const CLINGING: &str = r#"
for i in 1 2 3 4 5; do
    setsid sleep $TAG$i &
    (setsid sh -c "(sleep $TAG$i & sleep $TAG$i) & exit" &)
    env -i setsid sh -c "trap '' TERM HUP INT; sleep $TAG$i" &
    nohup sleep $TAG$i >/dev/null 2>&1 &
done
wait_for() { while [ "$(pgrep -fc "sleep $TAG[1-5]\$")" -lt 25 ]; do sleep 0.05; done; }
wait_for
echo clinging
"#;

/// A number that no other test uses as a time to sleep.
fn tag() -> String {
    format!("9{:09}", std::process::id() as u64 * 1000 + fastrand::u64(..1000))
}

fn sleepers(tag: &str) -> Vec<u32> {
    let is_one = |pid: &u32| {
        let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        comm(*pid) == "sleep" && String::from_utf8_lossy(&arguments).contains(tag) && is_alive(*pid)
    };
    processes().into_iter().filter(is_one).collect()
}

async fn clinging(house: &House, name: &str, tag: &str, before: &str, then: &str) -> Terminal {
    let script = format!("TAG={tag}; {before}{CLINGING}{then}");
    let terminal = house.shell(name, &script).await;
    until_printed(&terminal, "clinging\r\n").await;
    terminal
}

/// A process with the same name as what is to be ended, which nobody of niia started.
struct Bystander(std::process::Child);

impl Bystander {
    fn new(tag: &str) -> Bystander {
        Bystander(Command::new("sleep").arg(format!("1{tag}")).stdout(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        assert!(self.0.try_wait().unwrap().is_none() || std::thread::panicking(), "the bystander was ended");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn whatever_descends_from_a_program_is_gone_when_it_has_ended() {
    let house = House::new();
    let (tag, _bystander) = (tag(), Bystander::new("77"));
    let terminal = clinging(&house, "natural", &tag, "", "exit 5").await;
    let exit = exit_of(&terminal).await;
    assert_eq!((exit.status, exit.why, exit.left_behind), (ExitStatus::Code(5), Why::Itself, 0));
    assert_eq!(sleepers(&tag), Vec::<u32>::new());
    terminal.acknowledge().await;
}

#[tokio::test]
async fn whatever_descends_from_a_program_is_gone_when_its_end_was_ordered() {
    let house = House::new();
    let (tag, _bystander) = (tag(), Bystander::new("78"));
    let terminal = clinging(&house, "ordered", &tag, "trap '' TERM; ", "while :; do sleep 1; done").await;
    terminal.end(Duration::from_millis(100)).await.unwrap();
    let exit = exit_of(&terminal).await;
    assert_eq!((exit.signal(), exit.why, exit.left_behind), (Some(libc::SIGKILL), Why::Ordered, 0));
    assert_eq!(sleepers(&tag), Vec::<u32>::new());
    terminal.acknowledge().await;
}

/// What it printed before may still be told.
fn is_over(notice: &Notice) -> bool {
    matches!(notice, Notice::Exited(_) | Notice::Lost(_))
}

#[tokio::test]
async fn a_killed_minder_loses_its_own_session_and_the_keeper_ends_what_it_left() {
    let house = House::new();
    let (tag, _bystander) = (tag(), Bystander::new("79"));
    let other = house.shell("other", "read line; echo $line").await;
    let terminal = clinging(&house, "killed", &tag, "", "sleep 600").await;
    let program = terminal.pid();
    kill(house.minder_pid("killed"), libc::SIGKILL);
    let lost = keeper_house::notice(&terminal, is_over).await;
    assert!(matches!(lost, Notice::Lost(lost) if lost.pid == program), "{lost:?}");
    until("the descendants are gone", || sleepers(&tag).is_empty() && !is_alive(program));
    assert!(matches!(Terminal::open(&house.session("killed")).await.unwrap(), Opened::Lost(_)));
    other.write_all(b"lives\n", &mut 0).await.unwrap();
    assert!(exit_of(&other).await.success());
    other.acknowledge().await;
}

#[tokio::test]
async fn what_a_killed_minder_left_is_swept_where_no_keeper_is() {
    let house = House::new();
    let (tag, _bystander) = (tag(), Bystander::new("80"));
    let script = format!("sleep {tag}1 & setsid sleep {tag}2 & env -i sleep {tag}3 & echo on; read line");
    let terminal = house.shell("swept", &script).await;
    until_printed(&terminal, "on").await;
    let folder = house.session("swept");
    assert!(sweep(&folder).unwrap().minded);
    kill(house.keeper_pid(), libc::SIGKILL);
    kill(house.minder_pid("swept"), libc::SIGKILL);
    assert!(matches!(keeper_house::notice(&terminal, is_over).await, Notice::Lost(_)));
    let swept = sweep(&folder).unwrap();
    assert_eq!((swept.ended.len(), swept.left_behind, swept.minded), (4, Vec::new(), false));
    assert_eq!(sleepers(&tag), Vec::<u32>::new());
    assert_eq!(sweep(&folder).unwrap().ended, Vec::<u32>::new());
}

#[tokio::test]
async fn a_killed_keeper_loses_no_session_and_no_byte() {
    let house = House::new();
    let terminal = house.shell("lines", MILLION_LINES).await;
    let first = house.keeper_pid();
    until_printed(&terminal, "10000\r\n").await;
    kill(first, libc::SIGKILL);
    let next = house.shell("next", "echo next").await;
    assert!(exit_of(&next).await.success());
    next.acknowledge().await;
    assert!(exit_of(&terminal).await.success());
    terminal.acknowledge().await;
    assert!(house.printed("lines") == million_lines());
    assert_ne!(house.keeper_pid(), first);
}

#[tokio::test]
async fn a_killed_node_loses_no_session_and_no_byte() {
    let house = House::new();
    let folder = house.session("lines");
    let mut node = Command::new(keeper_house::executable())
        .arg("hold")
        .args([&house.run_folder(), &folder])
        .args(["/bin/sh", "-c", MILLION_LINES])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until("the session has printed", || {
        std::fs::metadata(folder.join("log-00000000")).is_ok_and(|log| log.len() > 50_000)
    });
    node.kill().unwrap();
    node.wait().unwrap();
    let exit = match Terminal::open(&folder).await.unwrap() {
        Opened::Live(terminal) => {
            let exit = exit_of(&terminal).await;
            terminal.acknowledge().await;
            exit
        }
        Opened::Ended(exit) => exit,
        other => panic!("{other:?}"),
    };
    assert!(exit.success());
    assert!(house.printed("lines") == million_lines());
    until("the minder has left", || !folder.join("socket").exists());
}

#[tokio::test]
async fn sessions_are_started_once_each_whenever_the_keeper_is_killed() {
    let house = House::new();
    let count = house.folder.path().join("count");
    let script = format!("echo x >> {}; echo hi", count.display());
    house.shell("first", "true").await.end(Duration::ZERO).await.unwrap_or_default();
    let wanted = program(&["/bin/sh", "-c", &script]);
    let mut starts = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (keeper, wanted) = (house.keeper.clone(), wanted.clone());
        let folder = house.session(&format!("s{number}"));
        starts.spawn(async move { (folder.clone(), keeper.start(&folder, &wanted).await) });
        if number % 25 == 10 {
            tokio::task::yield_now().await;
            for pid in processes().into_iter().filter(|pid| comm(*pid) == "niia-keeper") {
                let run = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
                if run == std::fs::canonicalize(house.run_folder()).unwrap() {
                    kill(pid, libc::SIGKILL);
                }
            }
        }
    }
    while let Some(started) = starts.join_next().await {
        match started.unwrap() {
            (_, Ok(terminal)) => {
                assert!(exit_of(&terminal).await.success());
                terminal.acknowledge().await;
            }
            // The answer was lost with the keeper, so the folder is asked.
            (folder, Err(StartError::Lost)) => {
                assert!(
                    matches!(Terminal::open(&folder).await.unwrap(), Opened::Ended(exit) if exit.success())
                );
                niia_actors::keeper::release(&folder).await;
            }
            (_, Err(error)) => panic!("{error}"),
        }
    }
    assert_eq!(std::fs::read(&count).unwrap().len(), 2 * 100);
    let first = Terminal::open(&house.session("first")).await.unwrap();
    assert!(matches!(first, Opened::Ended(_)));
    niia_actors::keeper::release(&house.session("first")).await;
}

#[tokio::test]
async fn a_session_ends_with_its_program_though_something_holds_its_terminal_open() {
    let house = House::new();
    let terminal = house.shell("held", "stty -echo; tty; read line; sleep 600 & echo done").await;
    let printed = until_printed(&terminal, "/dev/pts/").await;
    // Somebody who does not descend from the program has the terminal open, and nobody may end that one.
    let holder = std::fs::File::open(printed.trim()).unwrap();
    terminal.write_all(b"go\n", &mut 0).await.unwrap();
    let exit = exit_of(&terminal).await;
    assert!(exit.success());
    terminal.acknowledge().await;
    assert!(house.printed("held").ends_with(b"done\r\n"));
    drop(holder);
}

#[tokio::test]
async fn a_minder_that_is_asked_to_end_ends_its_program_and_says_why() {
    let house = House::new();
    let terminal = house.shell("shutdown", "echo on; read line").await;
    until_printed(&terminal, "on").await;
    kill(house.minder_pid("shutdown"), libc::SIGTERM);
    let exit = exit_of(&terminal).await;
    assert_eq!((exit.signal(), exit.why), (Some(libc::SIGTERM), Why::Shutdown));
    terminal.acknowledge().await;
}
