//! What was printed is what is recorded, up to the recording's bound and through a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper_house;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use keeper_house::{House, exit_of, notice, printed, program, until_printed};
use niia_actors::keeper::{Notice, Terminal};
use niia_actors::recording::{Cast, Read, Recording, Step, write_asciicast};

fn lines(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|line| format!("{line}\r\n").into_bytes()).collect()
}

#[tokio::test]
async fn five_hundred_short_sessions_are_whole_and_there_once() {
    let house = House::new();
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..500 {
        let (keeper, folder) = (house.keeper.clone(), house.session(&number.to_string()));
        sessions.spawn(async move {
            let terminal = keeper.start(&folder, &program(&["echo", "hi"])).await.unwrap();
            let exit = exit_of(&terminal).await;
            terminal.acknowledge().await;
            assert!(exit.success());
            assert_eq!(printed(&folder), b"hi\r\n");
            let exits = Recording::open(&folder).unwrap().replay().unwrap();
            assert_eq!(exits.filter(|step| matches!(step, Ok(Step::Exit { .. }))).count(), 1);
        });
    }
    while let Some(session) = sessions.join_next().await {
        session.unwrap();
    }
}

#[tokio::test]
async fn fifty_sessions_at_full_speed_lose_nothing() {
    let house = House::new();
    let wanted = lines(100_000);
    let mut sessions = tokio::task::JoinSet::new();
    for number in 0..50 {
        let (keeper, folder) = (house.keeper.clone(), house.session(&number.to_string()));
        sessions.spawn(async move {
            let terminal = keeper.start(&folder, &program(&["seq", "100000"])).await.unwrap();
            assert!(exit_of(&terminal).await.success());
            terminal.acknowledge().await;
            folder
        });
    }
    while let Some(folder) = sessions.join_next().await {
        assert!(printed(&folder.unwrap()) == wanted);
    }
}

/// What a recording holds, gaps as they are told.
fn pieces(folder: &Path) -> (Vec<u8>, Vec<(u64, u64)>) {
    let mut recording = Recording::open(folder).unwrap();
    let (mut bytes, mut gaps, mut offset) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; 10_000];
    loop {
        match recording.read_at(offset, &mut buffer).unwrap() {
            Read::Bytes(0) => return (bytes, gaps),
            Read::Bytes(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                offset += count as u64;
            }
            Read::Gap { from, to } => {
                gaps.push((from, to));
                offset = to;
            }
        }
    }
}

#[tokio::test]
async fn past_its_bound_a_recording_keeps_the_beginning_and_the_newest_and_tells_the_gap() {
    let house = House::new();
    let mut long = program(&["seq", "300000"]);
    long.recording_bytes_max = 256 << 10;
    let terminal = house.keeper.start(&house.session("cut"), &long).await.unwrap();
    let exit = exit_of(&terminal).await;
    terminal.acknowledge().await;
    let all = lines(300_000);
    assert_eq!(exit.log_end, all.len() as u64);
    let (bytes, gaps) = pieces(terminal.folder());
    let [(from, to)] = gaps[..] else { panic!("{gaps:?}") };
    assert_eq!(from, 64 << 10);
    assert!(bytes == [&all[..from as usize], &all[to as usize..]].concat());
    assert!(bytes.len() <= 256 << 10 && bytes.len() > 128 << 10, "{}", bytes.len());
    let recording = Recording::open(terminal.folder()).unwrap();
    assert_eq!(recording.cut().unwrap(), Some(from..to));
    assert!(
        recording
            .replay()
            .unwrap()
            .any(|step| matches!(step, Ok(Step::Gap { from: f, to: t, .. }) if (f, t) == (from, to)))
    );
}

#[tokio::test]
async fn a_session_that_is_not_recorded_can_be_followed_and_leaves_no_output() {
    let house = House::new();
    let mut quiet = program(&["/bin/sh", "-c", "seq 2000000; echo waiting; read line"]);
    quiet.record = false;
    let folder = house.session("quiet");
    let terminal = house.keeper.start(&folder, &quiet).await.unwrap();
    let end = lines(2_000_000).len() as u64 + 9;
    notice(&terminal, |notice| matches!(notice, Notice::Grew { end: grown } if *grown == end)).await;
    let (bytes, gaps) = pieces(&folder);
    assert!(bytes.ends_with(b"2000000\r\nwaiting\r\n"));
    assert!(gaps.len() == 1 && gaps[0].0 == 0, "{gaps:?}");
    assert!(bytes.len() <= 4 << 20);
    terminal.end(Duration::ZERO).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["index"]);
}

/// A small file system of its own, where this user may mount one.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(folder: &Path) -> Option<SmallDisk> {
        std::fs::create_dir_all(folder).unwrap();
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "niia-test"]).arg(folder).status();
        mounted.is_ok_and(|status| status.success()).then(|| SmallDisk(folder.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Whoever has just left may still hold it for a moment, so it is taken away when that is over.
        assert!(Command::new("umount").arg("-l").arg(&self.0).status().unwrap().success());
    }
}

#[tokio::test]
async fn a_full_disk_makes_the_program_wait_and_loses_nothing() {
    let house = House::new();
    let disk = house.folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk) else {
        eprintln!("not run: this user may not mount a small disk");
        return;
    };
    std::fs::write(disk.join("filler"), vec![0; 7 << 20]).unwrap();
    let folder = disk.join("session");
    let terminal = house.keeper.start(&folder, &program(&["seq", "500000"])).await.unwrap();
    let stalled = notice(&terminal, |notice| matches!(notice, Notice::Stalled { .. })).await;
    assert_eq!(stalled, Notice::Stalled { errno: libc::ENOSPC });
    // Whoever comes now is told as well.
    let niia_actors::keeper::Opened::Live(second) = Terminal::open(&folder).await.unwrap() else {
        panic!("not live")
    };
    notice(&second, |notice| matches!(notice, Notice::Stalled { .. })).await;
    std::fs::remove_file(disk.join("filler")).unwrap();
    notice(&terminal, |notice| matches!(notice, Notice::Resumed)).await;
    assert!(exit_of(&terminal).await.success());
    assert!(printed(&folder) == lines(500_000));
    terminal.acknowledge().await;
}

#[tokio::test]
async fn a_session_that_cannot_be_recorded_is_not_started() {
    let house = House::new();
    let disk = house.folder.path().join("disk");
    let Some(_disk) = SmallDisk::mount(&disk) else {
        eprintln!("not run: this user may not mount a small disk");
        return;
    };
    let file = std::fs::File::create(disk.join("filler")).unwrap();
    let fill = |bytes: usize| while std::io::Write::write(&mut &file, &vec![0; bytes]).is_ok() {};
    std::fs::create_dir(disk.join("session")).unwrap();
    fill(1 << 16);
    fill(1);
    let ran = house.folder.path().join("ran");
    let error = house
        .keeper
        .start(&disk.join("session"), &program(&["touch", ran.to_str().unwrap()]))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("could not write the recording"), "{error}");
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_recording_can_be_looked_at_as_it_stood_at_a_time() {
    let house = House::new();
    let terminal = house.shell("times", "echo one; read line; echo two; read line").await;
    until_printed(&terminal, "one").await;
    terminal.resize(90, 20).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    terminal.write_all(b"\n", &mut 0).await.unwrap();
    until_printed(&terminal, "two").await;
    terminal.end(Duration::ZERO).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let recording = Recording::open(terminal.folder()).unwrap();
    let start = recording.moment(Duration::ZERO).unwrap();
    assert_eq!((start.offset, start.cols, start.rows), (0, 120, 40));
    let times: Vec<Duration> = recording
        .entries()
        .filter_map(|entry| match entry.unwrap() {
            niia_actors::recording::Entry::Output { at, .. } => Some(at),
            _ => None,
        })
        .collect();
    let between = recording.moment(times[1] - Duration::from_millis(1)).unwrap();
    assert_eq!((between.offset, between.cols, between.rows), (5, 90, 20));
    assert_eq!(recording.moment(Duration::MAX).unwrap().offset, recording.len().unwrap());
}

#[tokio::test]
async fn an_asciicast_tells_the_output_the_sizes_and_the_exit() {
    let house = House::new();
    let script = "printf '\\303'; sleep 0.05; printf '\\251 \"\\033[1m\\377\\n'; read line; exit 7";
    let terminal = house.shell("cast", script).await;
    until_printed(&terminal, "\n").await;
    terminal.resize(80, 24).await.unwrap();
    terminal.write_all(b"\n", &mut 0).await.unwrap();
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    let mut cast = Vec::new();
    let about = Cast { title: Some("a \"title\"".to_owned()), term: Some("xterm-256color".to_owned()) };
    write_asciicast(Recording::open(terminal.folder()).unwrap(), &about, &mut cast).unwrap();
    let text = String::from_utf8(cast).unwrap();
    let mut rows = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let header = rows.next().unwrap();
    assert_eq!(
        (&header["version"], &header["term"]["cols"], &header["title"]),
        (&3.into(), &120.into(), &"a \"title\"".into())
    );
    let events: Vec<(f64, String, String)> = rows.map(|row| serde_json::from_value(row).unwrap()).collect();
    let of = |code: &str| {
        events.iter().filter(|event| event.1 == code).map(|event| event.2.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(of("o").concat(), "é \"\u{1b}[1m\u{fffd}\r\n\r\n");
    assert_eq!((of("r"), of("x")), (vec!["80x24"], vec!["7"]));
    assert!(events.iter().all(|event| event.0 >= 0.0));
}
