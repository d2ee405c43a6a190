use super::*;

fn check(printed: &str, expected: &str) {
    assert_eq!(answer_of(printed.as_bytes(), Size::clamped(20, 5)).text, expected, "{printed:?}");
}

#[test]
fn the_answer_is_what_a_person_would_have_read() {
    check("", "");
    check("\r\n\r\nhello  \r\nworld\r\n\r\n", "hello\nworld");
    check("  indented\r\n    more\r\n", "  indented\n    more");
    check("\x1b[1;31mred\x1b[0m and \x1b]8;;http://a.invalid\x07link\x1b]8;;\x07", "red and link");
    check("\x1b]0;title\x07text\x07", "text");
    check("a\tb\r\n", "a       b");
    check("日本語 e\u{0301} 🦀\r\n", "日本語 e\u{0301} 🦀");
}

#[test]
fn a_progress_bar_stands_as_it_did_at_the_end() {
    check("10%\r50%\r100%\r\ndone\r\n", "100%\ndone");
    check("downloading 10%\r\x1b[Kdone\r\n", "done");
    check("a: 1\r\nb: 1\r\n\x1b[2A\x1b[Ka: 2\r\n\x1b[Kb: 2\r\n", "a: 2\nb: 2");
    check("|\x08/\x08-\x08\\\x08ok\r\n", "ok");
}

#[test]
fn lines_the_terminal_broke_are_whole_again() {
    let long = "word ".repeat(40);
    check(&format!("{long}end\r\nnext\r\n"), &format!("{long}end\nnext"));
    check(
        &format!("{}\r\n{}\r\n", "x".repeat(20), "y".repeat(20)),
        &format!("{}\n{}", "x".repeat(20), "y".repeat(20)),
    );
    check(&format!("{}東京\r\n", "x".repeat(19)), &format!("{}東京", "x".repeat(19)));
}

#[test]
fn full_screen_pictures_are_no_part_of_it() {
    check("before\r\n\x1b[?1049h\x1b[2Jpicture\x1b[5;5Hmore\x1b[?1049lafter\r\n", "before\nafter");
    check("first\r\n\x1b[H\x1b[2Jsecond\r\n", "second");
}

#[test]
fn everything_that_scrolled_away_is_there() {
    let lines: Vec<String> = (0..10_000).map(|n| format!("line {n}")).collect();
    check(&lines.join("\r\n"), &lines.join("\n"));
}

#[test]
fn bytes_that_are_no_text_are_shown_as_such() {
    let answer = answer_of(b"a\xff\xfeb \xe6\x97\r\n\x00\x01ok", Size::clamped(20, 5));
    assert_eq!(answer.text, "a\u{fffd}\u{fffd}b \u{fffd}\nok");
}

#[test]
fn a_long_answer_loses_its_middle_and_says_so() {
    let lines: String = (0..400_000).map(|n| format!("line {n}\r\n")).collect();
    let answer = answer_of(lines.as_bytes(), Size::clamped(120, 40));
    assert!(answer.text.len() <= ANSWER_BYTES_MAX + 64, "{}", answer.text.len());
    assert!(answer.text.starts_with("line 0\n") && answer.text.ends_with("\nline 399999"));
    assert!(answer.text.contains(&format!("\n[{} bytes left out]\n", answer.left_out)));
}

#[test]
fn of_a_recording_without_end_only_the_last_part_is_read() {
    let mut recorded = vec![b'x'; ANSWER_RAW_BYTES_MAX];
    recorded.extend_from_slice(b"\r\nthe end\r\n");
    let answer = answer_of(&recorded, Size::clamped(120, 40));
    assert_eq!(answer.text, format!("[{} bytes left out]\nthe end", ANSWER_RAW_BYTES_MAX + 2));
}

#[test]
fn the_places_where_a_recording_is_cut_change_nothing() {
    let mut random = fastrand::Rng::with_seed(21);
    let parts = [
        "text ",
        "\r\n",
        "\r",
        "東é\u{0301}",
        "\x1b[2A",
        "\x1b[K",
        "\x1b[31m",
        "\x1b[2J",
        "\x1b[3;7H",
        "\x1b[2P",
        "\x1b[4@",
        "\x1b[?1049h",
        "\x1b[?1049l",
        "\x1b[2L",
        "\x1b[M",
        "\x1b7",
        "\x1b8",
        "\t",
        "\x08",
        "\x1b[99b",
        "\x1b[3S",
        "\x1b[65535X",
    ];
    for _ in 0..300 {
        let mut stream: Vec<u8> = Vec::new();
        for _ in 0..50 {
            match random.u8(0..9) {
                0 => stream.extend((0..4).map(|_| random.u8(..))),
                _ => stream.extend_from_slice(parts[random.usize(..parts.len())].as_bytes()),
            }
        }
        let whole = answer_of(&stream, Size::clamped(20, 5));
        let mut cut = Answer::new(Size::clamped(20, 5));
        stream.chunks(random.usize(1..7)).for_each(|chunk| cut.feed(chunk));
        assert_eq!(cut.finish(), whole, "{}", stream.escape_ascii());
    }
}
