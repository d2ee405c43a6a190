use super::*;
use crate::session::screen::{Screen, Size};

/// Prints something into a session and compares what its terminal answers, each answer shown with its escapes.
fn check(printed: &str, expected: &str) {
    let size = Size::clamped(80, 24);
    let (mut scanner, mut screen, mut fed) = (Scanner::default(), Screen::new(size), 0);
    let mut answers = Vec::new();
    for found in scanner.feed(printed.as_bytes()) {
        let Found::Query(query) = found else { continue };
        let until = usize::try_from(query.at_offset).unwrap();
        screen.feed(&printed.as_bytes()[fed..until]);
        fed = until;
        answers.extend(answer(&query, &Known { size, screen: Some(&screen) }).unwrap_or_default());
    }
    assert_eq!(
        String::from_utf8(answers).unwrap().replace('\x1b', "^").replace('\x07', "!"),
        expected,
        "{printed:?}"
    );
}

#[test]
fn what_the_terminal_is_is_answered() {
    check("\x1b[c", "^[?62;22c");
    check("\x1b[0c\x1bZ", "^[?62;22c^[?62;22c");
    check("\x1b[>c", "^[>0;100;0c");
    check("\x1b[=c", "^P!|6E696961^\\");
    check("\x1b[>q", concat!("^P>|niia(", env!("CARGO_PKG_VERSION"), ")^\\"));
    check(
        "\x1bP+q544e;436f;52474200;5858\x1b\\",
        "^P1+r544e=787465726D2D323536636F6C6F72^\\^P1+r436f=323536^\\^P0+r52474200^\\^P0+r5858^\\",
    );
    check("\x1bP$qm\x1b\\", "^P0$r^\\");
}

#[test]
fn where_the_cursor_is_is_answered_for_the_place_of_the_question() {
    check("\x1b[5n", "^[0n");
    check("abc\x1b[6n\r\ndefg\x1b[6nmore", "^[1;4R^[2;5R");
    check("\x1b[?6n", "^[?1;1R");
}

#[test]
fn modes_and_the_keyboard_are_answered_as_they_are() {
    check("\x1b[?2004$p\x1b[?2004h\x1b[?2004$p", "^[?2004;2$y^[?2004;1$y");
    check("\x1b[?2026$p\x1b[?9999$p\x1b[4$p", "^[?2026;2$y^[?9999;0$y^[4;0$y");
    check("\x1b[?u\x1b[>5u\x1b[?u\x1b[<u\x1b[?u", "^[?0u^[?5u^[?0u");
}

#[test]
fn colours_and_sizes_are_answered() {
    check("\x1b]11;?\x07", "^]11;rgb:1010/1010/1010!");
    check(
        "\x1b]10;?\x1b\\\x1b]10;#ff0000\x07\x1b]10;?\x1b\\",
        "^]10;rgb:d0d0/d0d0/d0d0^\\^]10;rgb:ffff/0000/0000^\\",
    );
    check("\x1b]4;1;?;232;?\x07", "^]4;1;rgb:cdcd/0000/0000!^]4;232;rgb:0808/0808/0808!");
    check("\x1b[14t\x1b[16t\x1b[18t\x1b[19t\x1b[11t", "^[4;480;800t^[6;20;10t^[8;24;80t^[9;24;80t^[1t");
    check("\x1b[?996n", "^[?997;1n");
}

#[test]
fn a_program_that_asks_is_told_that_its_status_is_read() {
    check("\x1b]7501;?\x1b\\", "^]7501;?^\\");
    check("\x1b]7501;?\x07", "^]7501;?!");
}

#[test]
fn neither_the_clipboard_nor_a_title_is_ever_typed_back() {
    check("\x1b]52;c;?\x07\x1b]52;p;?\x1b\\", "");
    check("\x1b]2;rm -rf /\x07\x1b[21t\x1b[20t", "");
}

#[test]
fn answers_are_not_taken_for_questions() {
    check("\x1b[?62;22c\x1b[>0;100;0c\x1b[0n\x1b[1;4R\x1b[?0u\x1b[?2004;1$y", "");
    check("\x1b]11;rgb:1010/1010/1010\x07\x1bP1+r544e=41\x1b\\\x1b[8;24;80t\x1b[?997;1n", "");
}

#[test]
fn status_titles_and_paste_are_found_too() {
    let printed = b"\x1b]7501;state=working\x1b\\\x1b]0;a\x1btitle\x1b]2;b\x07\x1b[?25;2004h\x07";
    let found = Scanner::from(100).feed(printed);
    let body = "state=working".to_owned();
    assert_eq!(found[0], Found::Status { body, at_offset: 121 });
    assert!(matches!(&found[1], Found::Title { title, .. } if title == "a"));
    assert!(matches!(&found[2], Found::Title { title, .. } if title == "b"));
    assert!(matches!(found[3], Found::BracketedPaste { on: true, .. }));
    assert!(matches!(found[4], Found::Bell { at_offset } if at_offset == 100 + printed.len() as u64));
}

#[test]
fn the_places_where_output_is_cut_change_no_question() {
    let stream = b"text\x1b[c\x1b[6n\x1bP+q544e\x1b\\ \x1b]11;?\x07\x1b]4;1;?\x1b\\\x1b[?u\x1b]7501;?\x1b\\\x1b[?2004$p\x1b[>q\x1b[18t\x1b]0;t\x07".repeat(3);
    let whole = Scanner::default().feed(&stream);
    assert_eq!(whole.len(), 33);
    for bytes in 1..20 {
        let mut scanner = Scanner::default();
        let cut: Vec<Found> = stream.chunks(bytes).flat_map(|chunk| scanner.feed(chunk)).collect();
        assert_eq!(cut, whole);
    }
}

#[test]
fn ten_thousand_questions_are_answered_once_and_a_loop_is_slowed_down() {
    let mut scanner = Scanner::default();
    let found = scanner.feed("\x1b[c".repeat(10_000).as_bytes());
    let mut limit = Limit::new(0);
    let answered =
        found.iter().filter(|found| matches!(found, Found::Query(query) if limit.allows(query, 0))).count();
    assert_eq!((found.len(), answered), (10_000, 10_000));
    let query = Query { kind: Kind::Attributes(1), at_offset: 0, bell: false };
    let in_one_second = (0..1_000_000_u64).filter(|n| limit.allows(&query, n / 1000)).count();
    let most = limit::ANSWERS_MAX as usize - 10_000 + limit::ANSWERS_PER_SECOND as usize;
    assert!(in_one_second <= most, "{in_one_second}");
    assert_eq!(limit.refused(), 1_000_000 - in_one_second as u64);
}

#[test]
fn an_echoed_answer_about_status_ends() {
    let mut limit = Limit::new(0);
    let query = Query { kind: Kind::Status, at_offset: 0, bell: false };
    let answered = (0..100_000).filter(|n| limit.allows(&query, n * 10)).count();
    assert_eq!(answered, limit::STATUS_ANSWERS_MAX as usize);
}

#[test]
fn no_bytes_make_the_scanner_or_an_answer_panic() {
    let mut random = fastrand::Rng::with_seed(31);
    let size = Size::clamped(80, 24);
    let screen = Screen::new(size);
    for _ in 0..3_000 {
        let head =
            [&b"\x1b["[..], b"\x1b]", b"\x1bP", b"\x1b]4;", b"\x1bP+q", b"\x1b]7501;"][random.usize(0..6)];
        let mut bytes = head.to_vec();
        bytes.extend(
            (0..random.usize(0..12)).map(|_| b";?0123456789$cnqptu>=\x07\xff\xc3"[random.usize(0..24)]),
        );
        bytes.extend_from_slice(b"\x1b\\");
        for found in Scanner::default().feed(&bytes) {
            if let Found::Query(query) = found {
                let told = answer(&query, &Known { size, screen: Some(&screen) });
                assert!(told.is_none_or(|told| told.len() <= 32 * NAME_BYTES_MAX));
            }
        }
    }
}
