mod real;

use super::*;

const RAW: Terminal =
    Terminal { bracketed_paste: true, line_mode: LineMode { canonical: false, echo: false } };
const PLAIN: Terminal =
    Terminal { bracketed_paste: false, line_mode: LineMode { canonical: false, echo: false } };
const LINES: Terminal =
    Terminal { bracketed_paste: false, line_mode: LineMode { canonical: true, echo: true } };

/// Plays events to one delivery and compares the steps. Writes are shown escaped and are taken whole; `expired` stands
/// for the last time that was asked for.
fn check(text: &str, script: &str) {
    let (mut delivery, steps) = Delivery::new(text, None);
    assert_eq!(shown(&steps), "queued");
    let mut last = DeliveryWake(0);
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (event, expected) = line.split_once("=>").unwrap();
        let mut steps = delivery.on(event_of(event.trim(), last));
        if let Some(DeliveryStep::Wake { wake, .. }) =
            steps.iter().rfind(|step| matches!(step, DeliveryStep::Wake { .. }))
        {
            last = *wake;
        }
        steps.retain(|step| !matches!(step, DeliveryStep::Wake { .. }) || expected.contains("wake"));
        assert_eq!(shown(&steps), expected.trim(), "{line}");
    }
}

fn event_of(event: &str, last: DeliveryWake) -> DeliveryEvent {
    match event {
        "ready" => DeliveryEvent::Readiness(Readiness::Accepts),
        "busy" => DeliveryEvent::Readiness(Readiness::Busy),
        "dialog" => DeliveryEvent::Readiness(Readiness::Dialog),
        "raw" => DeliveryEvent::Terminal(RAW),
        "plain" => DeliveryEvent::Terminal(PLAIN),
        "lines" => DeliveryEvent::Terminal(LINES),
        "person" => DeliveryEvent::PersonTyped,
        "person left" => DeliveryEvent::PersonLeft,
        "output" => DeliveryEvent::Output,
        "working" => DeliveryEvent::Working,
        "idle" => DeliveryEvent::Idle,
        "expired" => DeliveryEvent::Expired(last),
        "stale" => DeliveryEvent::Expired(DeliveryWake(last.0.wrapping_sub(1))),
        "ended" => DeliveryEvent::Ended,
        "cancelled" => DeliveryEvent::Cancelled,
        other => DeliveryEvent::Written { bytes: other.strip_prefix("written ").unwrap().parse().unwrap() },
    }
}

fn shown(steps: &[DeliveryStep]) -> String {
    let one = |step: &DeliveryStep| match step {
        DeliveryStep::Write(bytes) => format!("write {}", bytes.escape_ascii()),
        DeliveryStep::Wake { after_ms, .. } => format!("wake {after_ms}"),
        DeliveryStep::Receipt(Receipt::TurnStarted { .. }) => "started".to_owned(),
        DeliveryStep::Receipt(Receipt::TurnEnded { .. }) => "turn ended".to_owned(),
        DeliveryStep::Receipt(Receipt::Undelivered { reason }) => format!("undelivered: {reason}"),
        DeliveryStep::Receipt(Receipt::TypedNotSubmitted { reason }) => format!("not submitted: {reason}"),
        DeliveryStep::Receipt(Receipt::Unknown { reason }) => format!("unknown: {reason}"),
        DeliveryStep::Receipt(receipt) => format!("{receipt:?}").to_lowercase(),
    };
    steps.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_prompt_is_pasted_submitted_and_confirmed() {
    check(
        "hello\r\nworld",
        r"
        raw        =>
        ready      => write \x1b[200~hello\nworld\x1b[201~
        written 23 => typed, wake 50
        expired    => write \r
        written 1  => submitted, wake 2000
        output     => started
        output     =>
        idle       => turn ended
        idle       =>
        ",
    );
}

#[test]
fn what_a_terminal_does_not_take_at_once_is_offered_again_and_nothing_twice() {
    check(
        "abcdef",
        r"
        plain     =>
        ready     => write abcdef
        written 2 => write cdef
        written 0 => write cdef
        written 4 => typed
        expired   => write \r
        written 0 => write \r
        written 1 => submitted
        ",
    );
}

#[test]
fn an_end_of_paste_in_a_prompt_ends_nothing() {
    check("a\x1b[201~\r!rm\x03", "raw =>\nready => write \\x1b[200~a[201~!rm\\x1b[201~");
}

#[test]
fn an_enter_that_was_swallowed_is_pressed_again_but_the_text_is_never_typed_again() {
    check(
        "x",
        r"
        plain     =>
        ready     => write x
        written 1 => typed
        expired   => write \r
        written 1 => submitted, wake 2000
        expired   => write \r
        written 1 => wake 4000
        expired   => write \r
        written 1 => wake 8000
        expired   => not submitted: nothing happened after Enter
        ready     =>
        ",
    );
}

#[test]
fn a_program_that_never_falls_quiet_must_say_that_it_works() {
    let noise = "output =>\nexpired => wake 50\n".repeat(39);
    check(
        "x",
        &format!(
            "plain =>\nready => write x\nwritten 1 => typed\n{noise}output =>\nexpired => write \\r\n\
             written 1 => submitted\noutput =>\nworking => started\nended => turn ended"
        ),
    );
}

#[test]
fn nothing_is_typed_while_the_program_works_or_asks() {
    check("x", "plain =>\nbusy =>\ndialog =>\nready => write x\n");
    check(
        "x",
        "plain =>\nready => write x\nwritten 1 => typed\ndialog => not submitted: the program asks something\nexpired =>",
    );
    check(
        "x",
        "plain =>\nready => write x\nwritten 1 => typed\nexpired => write \\r\nwritten 1 => submitted\ndialog => not submitted: the program asks something\nexpired =>",
    );
}

#[test]
fn a_person_who_writes_is_waited_for_but_not_for_ever() {
    check(
        "x",
        "plain =>\nperson => held, wake 120000\nready =>\nperson => wake 120000\nstale =>\nperson left => write x\nexpired =>",
    );
    check(
        "x",
        "plain =>\nperson => held\nready =>\nexpired => undelivered: a person was writing\nperson left =>",
    );
}

#[test]
fn a_person_who_comes_in_between_waits_until_the_text_is_submitted() {
    check(
        "xy",
        "plain =>\nready => write xy\nwritten 1 => write y\nperson =>\nwritten 1 => typed\nexpired => write \\r",
    );
}

#[test]
fn a_line_the_terminal_would_cut_is_not_typed_at_all() {
    let long = format!("short\n{}", "x".repeat(LINE_BYTES_MAX));
    check(
        &long,
        "lines =>\nready => undelivered: line 2 has 4095 bytes, and the program reads line by line, of which the terminal takes 4094 bytes each",
    );
    let fits = "x".repeat(LINE_BYTES_MAX - 1);
    check(&fits, &format!("lines =>\nready => write {fits}"));
}

#[test]
fn a_program_that_ends_meanwhile_leaves_a_true_receipt() {
    check("x", "ended => undelivered: the program ended");
    check(
        "x",
        "plain =>\nready => write x\nended => unknown: the program ended while the text was on its way",
    );
    check("x", "plain =>\nready => write x\ncancelled => undelivered: cancelled");
}

#[test]
fn a_first_line_keeps_a_text_from_being_a_command() {
    let (mut delivery, _) = Delivery::new("!rm\n/quit", Some("[niia 3f2a]"));
    let _ = delivery.on(DeliveryEvent::Terminal(PLAIN));
    let steps = delivery.on(DeliveryEvent::Readiness(Readiness::Accepts));
    assert_eq!(shown(&steps), r"write [niia 3f2a]\n!rm\n/quit\n");
}

#[test]
fn whatever_happens_a_text_is_typed_at_most_once_and_ends_once() {
    let mut random = fastrand::Rng::with_seed(41);
    let events = "ready busy dialog raw plain lines person left output working idle expired stale ended cancelled w w w w";
    let events: Vec<&str> = events.split(' ').collect();
    for _ in 0..5_000 {
        let (mut delivery, _) = Delivery::new("some text", None);
        let (mut typed, mut enters, mut ends, mut offered) = (Vec::new(), 0, 0, Vec::new());
        let mut last = DeliveryWake(0);
        for _ in 0..60 {
            let event = match events[random.usize(..events.len())] {
                "left" => DeliveryEvent::PersonLeft,
                "w" if offered == b"\r" => DeliveryEvent::Written { bytes: random.usize(0..2) },
                "w" => {
                    let bytes = random.usize(0..=offered.len());
                    typed.extend_from_slice(&offered[..bytes]);
                    DeliveryEvent::Written { bytes }
                }
                other => event_of(other, last),
            };
            let written = matches!(event, DeliveryEvent::Written { .. });
            if written {
                offered.clear();
            }
            for step in delivery.on(event) {
                match step {
                    DeliveryStep::Write(bytes) => {
                        enters += u32::from(bytes == b"\r" && offered.is_empty() && !written);
                        offered = bytes;
                    }
                    DeliveryStep::Wake { wake, .. } => last = wake,
                    DeliveryStep::Receipt(receipt) => ends += u32::from(receipt.is_last()),
                }
            }
        }
        let text = String::from_utf8(typed).unwrap();
        assert!(
            "some text".starts_with(&text) || "\x1b[200~some text\x1b[201~".starts_with(&text),
            "{text:?}"
        );
        assert!(enters <= ENTERS_MAX && ends <= 1 && (ends == 1) == delivery.is_over());
    }
}

#[test]
fn an_unknown_screen_takes_a_text_only_where_its_terminal_asks_for_one() {
    let of = |state: State, asks, quiet| readiness(&state, asks, quiet);
    assert_eq!(of(State::Unknown, true, READY_QUIET_MS), Readiness::Accepts);
    assert_eq!(of(State::Unknown, true, 0), Readiness::Busy);
    assert_eq!(of(State::Unknown, false, u64::MAX), Readiness::Busy);
    assert_eq!(of(State::Working, true, u64::MAX), Readiness::Busy);
    let asks = State::WaitingInput { kind: niia_spec::detect::Asked::Trust, choices: Vec::new() };
    assert_eq!(of(asks, true, u64::MAX), Readiness::Dialog);
    assert_eq!(of(State::Ready, false, 0), Readiness::Accepts);
}
