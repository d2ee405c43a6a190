use super::*;

/// Shows what a program printed on a small screen and compares what is to be seen.
fn check(printed: &str, expected: &str) {
    let mut screen = Screen::new(Size::clamped(20, 5));
    screen.feed(printed.as_bytes());
    assert_eq!(screen.text(), expected, "{printed:?}");
}

/// Everything about a screen that can be compared.
fn state(screen: &Screen) -> String {
    let history = screen.text_with_history(SCROLLBACK_LINES_MAX);
    format!("{:?} {:?} {:?}\n{history}", screen.cursor(), screen.modes(), screen.title())
}

/// A stream such as no program prints: text, sequences and rubbish, mixed.
fn random_stream(random: &mut fastrand::Rng, parts: usize) -> Vec<u8> {
    let known: [&[u8]; 24] = [
        b"hello ",
        b"\r\n",
        "日本語 é".as_bytes(),
        b"\x1b[2J",
        b"\x1b[5;3H",
        b"\x1b[31;1m",
        b"\x1b[0m",
        b"\x1b[?1049h",
        b"\x1b[?1049l",
        b"\x1b[2;4r",
        b"\x1b[r",
        b"\x1bM",
        b"\x1b7",
        b"\x1b8",
        b"\x1b[3L",
        b"\x1b[K",
        b"\x1b[44m  ",
        b"\x1b[?2004h",
        b"\x1b]0;a title\x07",
        b"\x1b(0qqq\x1b(B",
        b"\x1b[4h",
        b"\x1b[4l",
        b"\x1b[>5u",
        b"0123456789abcdefghijklmn",
    ];
    let mut stream = Vec::new();
    for _ in 0..parts {
        match random.u8(0..8) {
            0 => stream.extend((0..random.usize(1..6)).map(|_| random.u8(..))),
            1 => {
                let last = b"ABCDEFGHIJKLMPSTXZ@abdefghlmrstu`"[random.usize(0..33)];
                stream.extend(format!("\x1b[{};{}{}", random.u16(..), random.u8(0..9), last as char).bytes());
            }
            _ => stream.extend_from_slice(known[random.usize(..known.len())]),
        }
    }
    stream
}

#[test]
fn a_screen_shows_what_a_terminal_would() {
    check("plain", "plain");
    check("one\r\ntwo\x1b[1;1HONE", "ONE\ntwo");
    check("10%\r50%\r100%", "100%");
    check("\x1b[31mred\x1b[0m \x1b[1mbold", "red bold");
    check("\x1b]0;title\x07text", "text");
    check("東京", "東京");
    check("before\x1b[?1049hinside", "      inside");
    check("before\x1b[?1049hinside\x1b[?1049l after", "before after");
    check("a\u{0301}b", "a\u{0301}b");
}

#[test]
fn the_places_where_output_is_cut_change_nothing_on_the_screen() {
    let mut random = fastrand::Rng::with_seed(11);
    for round in 0..150 {
        let stream = random_stream(&mut random, 40);
        let mut whole = Screen::new(Size::clamped(20, 5));
        whole.feed(&stream);
        let mut cut = Screen::new(Size::clamped(20, 5));
        let mut rest = &stream[..];
        while !rest.is_empty() {
            let (head, tail) = rest.split_at(random.usize(1..=rest.len().min(9)));
            cut.feed(head);
            rest = tail;
        }
        assert_eq!(state(&cut), state(&whole), "round {round}: {}", stream.escape_ascii());
        assert_eq!(cut.refused(), whole.refused());
    }
}

#[test]
fn no_output_and_no_resize_makes_a_screen_panic() {
    let mut random = fastrand::Rng::with_seed(12);
    for _ in 0..60 {
        let mut screen = Screen::new(Size::clamped(random.u16(..), random.u16(0..60)));
        for _ in 0..30 {
            screen.feed(&random_stream(&mut random, 10));
            screen.resize(Size::clamped(random.u16(0..90), random.u16(0..40)));
            let _ = (screen.repaint(), screen.text(), screen.snapshot());
        }
    }
}

#[test]
fn a_screen_goes_on_from_its_snapshot_as_if_nothing_had_been_dropped() {
    let mut random = fastrand::Rng::with_seed(13);
    let mut tried = 0;
    while tried < 400 {
        let mut screen = Screen::new(Size::clamped(random.u16(3..30), random.u16(2..8)));
        screen.feed(&random_stream(&mut random, 30));
        let before = state(&screen);
        let Some(snapshot) = screen.snapshot() else { continue };
        assert_eq!(state(&screen), before, "taking a snapshot changed the screen");
        let mut restored = Screen::restore(&snapshot);
        assert_eq!(state(&restored), before, "{}", snapshot.bytes.escape_ascii());
        tried += 1;
        let rest = b"\r\nmore \x1b[1mtext\x1b[?1049l\r\nand\x1b8more\x1bD\x1bD\x1bD";
        screen.feed(rest);
        restored.feed(rest);
        assert_eq!(state(&restored), state(&screen), "{}", snapshot.bytes.escape_ascii());
    }
}

#[test]
fn a_repaint_draws_the_screen_over_whatever_was_there() {
    let mut random = fastrand::Rng::with_seed(14);
    for _ in 0..100 {
        let size = Size::clamped(20, 5);
        let (mut screen, mut viewer) = (Screen::new(size), Screen::new(size));
        screen.feed(&random_stream(&mut random, 30));
        viewer.feed(b"rubbish\x1b[?1049h\x1b[3;4r\x1b[?6h\x1b[4h\x1b(0more\x1b[45m");
        viewer.feed(&screen.repaint());
        viewer.feed(&screen.repaint());
        assert_eq!(viewer.text(), screen.text());
        assert_eq!(
            (viewer.cursor(), viewer.modes().alt_screen),
            (screen.cursor(), screen.modes().alt_screen)
        );
        assert_eq!(viewer.modes(), screen.modes());
    }
}

#[test]
fn sizes_are_clamped() {
    for (cols, rows) in [(0, 0), (1, 1), (u16::MAX, u16::MAX), (0, u16::MAX)] {
        let size = Size::clamped(cols, rows);
        assert!((COLS_MIN..=COLS_MAX).contains(&size.cols()) && (ROWS_MIN..=ROWS_MAX).contains(&size.rows()));
        Screen::new(size).feed("東x\r\n".as_bytes());
    }
}

#[test]
fn the_scrollback_has_an_end() {
    let mut screen = Screen::new(Size::clamped(20, 5));
    for line in 0..3_000 {
        screen.feed(format!("{line}\r\n").as_bytes());
    }
    let text = screen.text_with_history(usize::MAX);
    assert!(text.starts_with("1996\n") && text.ends_with("\n2999"), "{}", &text[..20]);
}

#[test]
fn memory_that_hides_in_cells_titles_and_stacks_is_bounded() {
    let mut screen = Screen::new(Size::clamped(20, 5));
    screen.feed("a".as_bytes());
    for _ in 0..100_000 {
        screen.feed("\u{0301}".as_bytes());
    }
    assert_eq!(screen.text().chars().count(), 1 + MARKS_MAX);
    assert_eq!(screen.refused().marks, 100_000 - MARKS_MAX as u64);
    for _ in 0..10_000 {
        screen.feed(b"\x1b[>1u\x1b[22;0t\x1b]8;;http://example.invalid/x\x07x");
    }
    screen.feed(format!("\x1b]2;{}\x07", "t".repeat(60_000)).as_bytes());
    assert_eq!((screen.title().len(), screen.modes().keyboard), (TITLE_CHARS_MAX, 1));
}

#[test]
fn a_bomb_of_sequences_costs_no_more_a_byte_than_its_bound() {
    for bomb in [
        "\x1b[2J",
        "\x1b[65535b",
        "\x1b[9999Z",
        "\x1bc",
        "\x1b#8",
        "\x1b[99S",
        "\x1b[?1049h\x1b[?1049l",
        "\x1b[L",
    ] {
        let size = Size::clamped(200, 50);
        let mut screen = Screen::new(size);
        screen.feed(b"x\x1b[3g");
        let bytes = bomb.repeat(50_000);
        screen.feed(bytes.as_bytes());
        let sequences = 50_000 * (1 + u64::from(bomb.contains("1049l")));
        let carried_out = sequences - screen.refused().costly;
        let cheapest = if bomb.ends_with('b') { 200 } else { 4_000 };
        let work = feed::work_max(size) + bytes.len() as u64 * 64;
        assert!(carried_out * cheapest <= work, "{bomb:?}: {carried_out} were carried out");
        assert!(carried_out > 0, "{bomb:?}");
    }
}

#[test]
fn programs_that_clear_and_draw_are_never_refused_anything() {
    let mut screen = Screen::new(Size::clamped(120, 40));
    for frame in 0..500 {
        screen.feed(format!("\x1b[2J\x1b[H{}", format!("frame {frame} ").repeat(20)).as_bytes());
    }
    assert_eq!(screen.refused(), Refused::default());
}

#[test]
fn a_screen_that_is_dropped_and_built_again_is_the_same() {
    use lazy::LazyScreen;
    let mut random = fastrand::Rng::with_seed(15);
    for _ in 0..60 {
        let sizes: Vec<Size> = (0..4).map(|_| Size::clamped(random.u16(5..30), random.u16(3..9))).collect();
        let (mut whole, mut lazy) = (Screen::new(sizes[0]), LazyScreen::new(sizes[0]));
        let (mut recording, mut resizes): (Vec<u8>, Vec<(u64, Size)>) = (Vec::new(), Vec::new());
        for size in &sizes {
            whole.resize(*size);
            resizes.push((recording.len() as u64, *size));
            for _ in 0..4 {
                let more: Vec<u8> =
                    (0..random.usize(1..80)).flat_map(|_| *b"word \x1b[1mbold\x1b[0m\r\n").collect();
                whole.feed(&more);
                recording.extend(more);
                if random.bool() {
                    lazy.resizes(resizes.clone());
                    let missing = lazy.missing(recording.len() as u64);
                    let (from, to) = (missing.start as usize, missing.end as usize);
                    let cut = random.usize(from..=to);
                    lazy.feed(from as u64, &recording[from..cut]);
                    lazy.feed(from as u64, &recording[from..to]);
                    assert_eq!(state(lazy.live(*size)), state(&whole));
                    lazy.let_go();
                }
            }
        }
    }
}

#[test]
fn a_screen_behind_a_long_recording_is_built_from_its_end() {
    use lazy::{LazyScreen, REBUILD_BYTES_MAX};
    let mut lazy = LazyScreen::new(Size::clamped(20, 5));
    let end = 10 * REBUILD_BYTES_MAX;
    assert_eq!(lazy.missing(end), end - REBUILD_BYTES_MAX..end);
    lazy.feed(end - REBUILD_BYTES_MAX, b"[31mhalf a line\r\nwhole\r\n");
    assert_eq!(lazy.live(Size::clamped(20, 5)).text(), "whole");
}
