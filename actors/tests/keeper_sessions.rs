//! Sessions as the node sees them: started, followed, typed to, ended.

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
    assert!(matches!(Terminal::open(&house.session("hi")).await.unwrap(), Opened::Ended(again) if again == exit));
}
