//! Deliveries into real terminals.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use niia_spec::profile::call::ARGUMENT_BYTES_MAX;
use niia_spec::profile::{Call, Profiles};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use super::super::*;

/// A pause before Enter takes this part of its time here: what is tried is the order of things, not their length. A
/// wait for a sign is as long as it is, since a busy machine may need it.
const FASTER: u32 = 25;

struct Pty {
    master: File,
    slave: File,
}

fn pty(raw: bool) -> Pty {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave: OwnedFd = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut settings = tcgetattr(&slave).unwrap();
    if raw {
        settings.make_raw();
    }
    tcsetattr(&slave, OptionalActions::Now, &settings).unwrap();
    rustix::io::ioctl_fionbio(&master, true).unwrap();
    Pty { master: master.into(), slave: slave.into() }
}

/// A program with an editor: takes what is pasted, is done with it at Enter, and says that it works.
fn editor(mut slave: File, prompts: usize) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let (mut got, mut text, mut buffer) = (Vec::new(), Vec::new(), vec![0; 64 * 1024]);
        while got.len() < prompts {
            let bytes = slave.read(&mut buffer).unwrap();
            for byte in &buffer[..bytes] {
                if *byte == b'\r' {
                    got.push(String::from_utf8(std::mem::take(&mut text)).unwrap());
                    slave.write_all(b"working\r\n").unwrap();
                } else {
                    text.push(*byte);
                }
            }
        }
        got
    })
}

/// Carries a delivery out on a master until the turn has begun or it is over.
fn deliver(master: &mut File, text: &str, bracketed_paste: bool) -> Receipt {
    let (mut delivery, _) = Delivery::new(text, None);
    let terminal = Terminal { bracketed_paste, line_mode: line_mode(master.as_fd()).unwrap() };
    let mut steps = delivery.on(DeliveryEvent::Terminal(terminal));
    steps.extend(delivery.on(DeliveryEvent::Readiness(Readiness::Accepts)));
    let (mut offered, mut wake, mut buffer) = (None, None, vec![0; 64 * 1024]);
    loop {
        for step in steps.drain(..) {
            match step {
                DeliveryStep::Write(bytes) => offered = Some(bytes),
                DeliveryStep::Wake { wake: what, after_ms } => {
                    let part = if after_ms == SETTLE_MS { FASTER } else { 1 };
                    wake = Some((what, Instant::now() + Duration::from_millis(after_ms) / part));
                }
                DeliveryStep::Receipt(receipt) if receipt.is_last() => return receipt,
                DeliveryStep::Receipt(receipt @ Receipt::TurnStarted { .. }) => return receipt,
                DeliveryStep::Receipt(_) => {}
            }
        }
        let interest = if offered.is_some() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let left =
            wake.map_or(Duration::from_secs(20), |(_, at)| at.saturating_duration_since(Instant::now()));
        let mut fds = [PollFd::new(&*master, interest)];
        poll(&mut fds, Some(&left.try_into().unwrap())).unwrap();
        let happened = fds[0].revents();
        if happened.contains(PollFlags::IN) && master.read(&mut buffer).unwrap() > 0 {
            steps.extend(delivery.on(DeliveryEvent::Output));
        }
        if happened.contains(PollFlags::OUT)
            && let Some(bytes) = offered.take()
        {
            let bytes = master.write(&bytes).unwrap_or(0);
            steps.extend(delivery.on(DeliveryEvent::Written { bytes }));
        }
        if let Some((what, _)) = wake.filter(|(_, at)| *at <= Instant::now()) {
            wake = None;
            steps.extend(delivery.on(DeliveryEvent::Expired(what)));
        }
    }
}

fn random_text(random: &mut fastrand::Rng, bytes: usize) -> String {
    let mut text = String::new();
    while text.len() < bytes {
        text.push(match random.u8(0..20) {
            0 => '\n',
            1 => random.char(..),
            2 => '\u{1b}',
            _ => random.alphanumeric(),
        });
    }
    text
}

#[test]
fn a_megabyte_arrives_whole_in_a_real_terminal_and_is_submitted_once() {
    let Pty { mut master, slave } = pty(true);
    let text = random_text(&mut fastrand::Rng::with_seed(51), 1 << 20);
    let program = editor(slave, 1);
    let receipt = deliver(&mut master, &text, true);
    assert!(matches!(receipt, Receipt::TurnStarted { .. }), "{receipt:?}");
    let got = program.join().unwrap();
    assert_eq!(got.len(), 1);
    let expected = format!("\x1b[200~{}\x1b[201~", neutralise(&text));
    assert!(got[0] == expected, "{} bytes came, {} were sent", got[0].len(), expected.len());
}

#[test]
fn of_a_thousand_prompts_none_is_lost_and_none_doubled() {
    let Pty { mut master, slave } = pty(true);
    let program = editor(slave, 1_000);
    for n in 0..1_000 {
        let receipt = deliver(&mut master, &format!("prompt {n}\nof many"), true);
        assert!(matches!(receipt, Receipt::TurnStarted { .. }), "{n}: {receipt:?}");
    }
    let got = program.join().unwrap();
    for (n, text) in got.iter().enumerate() {
        assert_eq!(*text, format!("\x1b[200~prompt {n}\nof many\x1b[201~"));
    }
}

#[test]
fn a_program_that_reads_lines_gets_every_line_of_a_megabyte() {
    let Pty { mut master, slave } = pty(false);
    assert_eq!(line_mode(&master).unwrap(), LineMode { canonical: true, echo: true });
    let mut random = fastrand::Rng::with_seed(52);
    let mut text = format!("{}\n", "x".repeat(LINE_BYTES_MAX - 1));
    while text.len() < 1 << 20 {
        text.extend((0..random.usize(0..LINE_BYTES_MAX)).map(|_| random.alphanumeric()));
        text.push('\n');
    }
    text.push_str("end");
    let program = std::thread::spawn(move || {
        let (mut slave, mut got, mut buffer) = (slave, Vec::new(), vec![0; 8192]);
        while !got.ends_with(b"\nend\n") {
            let bytes = slave.read(&mut buffer).unwrap();
            got.extend_from_slice(&buffer[..bytes]);
        }
        String::from_utf8(got).unwrap()
    });
    let receipt = deliver(&mut master, &text, false);
    assert!(!matches!(receipt, Receipt::Undelivered { .. }), "{receipt:?}");
    assert!(program.join().unwrap() == format!("{text}\n"));
}

#[test]
fn how_a_terminal_treats_input_is_seen_from_its_master() {
    let Pty { master, slave: _slave } = pty(true);
    assert_eq!(line_mode(&master).unwrap(), LineMode { canonical: false, echo: false });
}

/// Calls a profile with a prompt and gives back what the program printed.
fn called(args: &[&str], prompt: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prompt.md");
    std::fs::write(&file, neutralise(prompt)).unwrap();
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let profiles = Profiles::built_in().unwrap();
    let call =
        Call { args: &args, prompt: Some(prompt), prompt_file: file.to_str().unwrap(), ..Call::default() };
    let invocation = profiles.get("command").unwrap().call(&call).unwrap();
    let argv = invocation.argv();
    let output = Command::new(&argv[0]).args(&argv[1..]).envs(&invocation.env).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_prompt_reaches_a_program_whole_as_input_file_or_argument() {
    let megabyte = random_text(&mut fastrand::Rng::with_seed(53), 1 << 20);
    let expected = neutralise(&megabyte).into_bytes();
    assert!(called(&["cat", "{stdin}"], &megabyte) == expected);
    assert!(called(&["cat", "{prompt_file}"], &megabyte) == expected);
    assert!(called(&["sh", "-c", "cat \"$NIIA_PROMPT_FILE\""], &megabyte) == expected);
    let longest = "x".repeat(ARGUMENT_BYTES_MAX);
    assert!(called(&["printf", "%s", "{prompt}"], &longest) == longest.into_bytes());
}
