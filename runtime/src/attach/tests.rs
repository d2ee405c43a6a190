mod real;

use super::keys::{Keys, Prefix, Typed};
use super::strain::Strain;
use niia_actors::session::screen::{Screen, Size};

/// What is made of input, each piece given as one read.
fn check(reads: &[&str], writing: bool, expected: &str) {
    let mut keys = Keys::new(Prefix::default());
    let typed = reads.iter().flat_map(|read| keys.feed(read.as_bytes(), writing));
    let told: Vec<String> = typed
        .map(|typed| match typed {
            Typed::Keys(bytes) => format!("{:?}", String::from_utf8(bytes).unwrap()),
            Typed::Detach => "detach".to_owned(),
            Typed::Take => "take".to_owned(),
        })
        .collect();
    assert_eq!(told.join(" "), expected.replace('^', "\\u{1c}").replace("ESC", "\\u{1b}"), "{reads:?}");
}

#[test]
fn keys_go_to_the_session_and_the_prefix_to_the_client() {
    check(&["ls\r"], true, r#""ls\r""#);
    check(&["a\x1cd"], true, r#""a" detach"#);
    check(&["\x1c", "d"], true, "detach");
    check(&["\x1ct"], true, "take");
    check(&["\x1c\x1c"], true, r#""^""#);
    check(&["\x1cx"], true, r#""^x""#);
    check(&["d\x03\x1b[A"], true, r#""d\u{3}ESC[A""#);
    check(&["\x1b"], true, r#""ESC""#);
}

#[test]
fn the_prefix_is_known_on_rich_keyboards_too() {
    check(&["\x1b[92;5u", "d"], true, "detach");
    check(&["\x1b[92;5u\x1b[92;5:3u\x1b[100u"], true, "detach");
    check(&["\x1b[27;5;92~t"], true, "take");
    check(&["\x1b[97;5u"], true, r#""ESC[97;5u""#);
}

#[test]
fn nothing_in_a_paste_is_for_the_client() {
    check(&["\x1b[200~a\x1cd", "\x1cd\x1b[201~\x1cd"], true, r#""ESC[200~a^d" "^dESC[201~" detach"#);
}

#[test]
fn looking_is_no_typing() {
    check(&["\x1b[I\x1b[<35;3;4M\x1b[<0;3;4m\x1b[O"], false, "");
    check(&["\x1b[Ix"], false, r#""x""#);
    check(&["\x1b[I"], true, r#""ESC[I""#);
}

#[test]
fn the_prefix_can_be_another_key() {
    assert_eq!("ctrl-]".parse::<Prefix>().unwrap().to_string(), "Ctrl-]");
    assert_eq!(Prefix::default().to_string(), "Ctrl-\\");
    let mut keys = Keys::new("^B".parse().unwrap());
    assert_eq!(keys.feed(b"\x02d", true), [Typed::Detach]);
    for wrong in ["", "b", "ctrl-", "ctrl-bb", "ctrl-m", "ctrl-[", "ctrl-i", "ctrl-é"] {
        assert!(wrong.parse::<Prefix>().is_err(), "{wrong}");
    }
}

#[test]
fn questions_and_the_clipboard_do_not_reach_the_persons_terminal() {
    let shown = |output: &str| String::from_utf8(Strain::default().feed(output.as_bytes())).unwrap();
    let kept =
        "a\x1b[1;31mb\x1b]0;title\x07\x1b[?1049h\x1b(0\x1bM\x1b]8;;http://a.invalid\x1b\\c\x1b]10;#fff\x07é";
    assert_eq!(shown(kept), kept);
    let asked = "\x1b[c\x1b[>c\x1b[=c\x1b[6n\x1b[5n\x1b[?6n\x1b[>q\x1b[?2004$p\x1bP+q544e\x1b\\\x1b[?u\x1b]11;?\x07\x1b]4;1;?\x07\x1b[18t\x1bZ";
    assert_eq!(shown(asked).replace("\x1b\\", ""), "");
    assert_eq!(shown("\x1b]52;c;aGk=\x07\x1b]7501;state=idle\x07\x1b]7501;?\x07\x1b[22;0t"), "");
}

#[test]
fn whatever_a_session_switches_on_is_switched_off_again() {
    let mut random = fastrand::Rng::with_seed(81);
    let parts = [
        "\x1b[?1049h",
        "\x1b[?2004h",
        "\x1b[?1000;1006h",
        "\x1b[?1003h",
        "\x1b[?25l",
        "\x1b[?7l",
        "\x1b[?1h",
        "\x1b=",
        "\x1b[>5u",
        "\x1b[=3u",
        "\x1b[<u",
        "\x1b[2;4r",
        "\x1b[4h",
        "\x1b[?6h",
        "\x1b(0",
        "\x0e",
        "\x1b[44;1m",
        "text",
        "\x1b[?2004l",
        "\x1b[?1049l",
        "\x1b[?1004h",
        "\x1b]10;#ff0000\x07",
        "\x1b]11;#00ff00\x07",
        "\x1b]4;3;#0000ff\x07",
        "\x1b[",
        "\x1b]0;half",
        "\x1b[20h",
    ];
    let mut fresh = Screen::new(Size::clamped(20, 5));
    let clean = fresh.modes();
    for _ in 0..300 {
        let (mut strain, mut terminal) = (Strain::default(), Screen::new(Size::clamped(20, 5)));
        let output: String = (0..random.usize(0..25)).map(|_| parts[random.usize(..parts.len())]).collect();
        terminal.feed(&strain.feed(output.as_bytes()));
        terminal.feed(&strain.undo());
        assert_eq!(terminal.modes(), clean, "{output:?}");
        assert!((0..259).all(|colour| terminal.colour(colour).is_none()), "{output:?}");
        terminal.feed(b"\x1b[2J\x1b[5;1H\x1b[31mq\r\nq");
        fresh.feed(b"\x1b[2J\x1b[5;1H\x1b[31mq\r\nq");
        assert_eq!(terminal.text(), fresh.text(), "{output:?}");
    }
}

#[test]
fn keyboard_flags_of_the_persons_shell_survive_a_session() {
    let mut terminal = Screen::new(Size::clamped(20, 5));
    terminal.feed(b"\x1b[>1u\x1b[=9u");
    let mut strain = Strain::default();
    let output = b"\x1b[<5u\x1b[=31u\x1b[>3u\x1b[?1049h\x1b[>7u\x1b[<9u\x1b[=2u\x1b[>4u";
    terminal.feed(&strain.feed(output));
    assert_eq!(terminal.modes().keyboard, 4);
    terminal.feed(&strain.undo());
    assert_eq!(terminal.modes().keyboard, 9);
}
