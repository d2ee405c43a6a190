use super::*;

const QUIET: Sight = Sight {
    drawn: false,
    read_all: true,
    editor: true,
    asks: false,
    works: false,
    stands: Stands::No,
    looked: DRAWN_WITHIN,
};

#[test]
fn a_prompt_cut_short_is_typed_entered_or_left_to_a_person_as_the_screen_says() {
    use Came::{Submitting, Typed, Typing};
    use Verdict::{Enter, Look, Submitted, Type};
    let unknown = Verdict::Unknown("");
    let first = Sight { looked: Duration::ZERO, ..QUIET };
    let late = Sight { looked: LOOKED_MAX, ..QUIET };
    let table = [
        ("nothing was typed", Typing, QUIET, Type),
        ("it may still be drawn", Typing, first, Look),
        ("it waits to be read", Typing, Sight { read_all: false, ..QUIET }, Look),
        ("it draws nothing of what it reads", Typing, Sight { editor: false, ..QUIET }, Look),
        ("nobody can say", Typing, Sight { editor: false, ..late }, unknown),
        ("a piece was drawn", Typing, Sight { drawn: true, ..QUIET }, Look),
        ("a piece was drawn, and no more", Typing, Sight { drawn: true, ..late }, unknown),
        ("all was typed", Typing, Sight { drawn: true, stands: Stands::Text, ..QUIET }, Enter),
        ("more may follow the note", Typing, Sight { drawn: true, stands: Stands::Note, ..QUIET }, Look),
        ("a question came", Typing, Sight { asks: true, ..QUIET }, unknown),
        ("it stands there", Typed, Sight { stands: Stands::Text, ..first }, Enter),
        ("its note stands there", Typed, Sight { stands: Stands::Note, ..first }, Enter),
        ("a question covers it", Typed, Sight { asks: true, stands: Stands::Text, ..QUIET }, unknown),
        ("it is not drawn yet", Typed, QUIET, Look),
        ("it is never drawn", Typed, late, unknown),
        ("Enter may be on its way", Submitting, Sight { stands: Stands::Text, ..first }, Look),
        ("Enter is not read", Submitting, Sight { stands: Stands::Text, read_all: false, ..QUIET }, Look),
        ("Enter is never read", Submitting, Sight { stands: Stands::Text, read_all: false, ..late }, unknown),
        ("Enter was not pressed", Submitting, Sight { stands: Stands::Text, ..QUIET }, Enter),
        (
            "nor here, whatever blinks",
            Submitting,
            Sight { stands: Stands::Note, drawn: true, ..QUIET },
            Enter,
        ),
        ("it works", Submitting, Sight { works: true, stands: Stands::Text, ..QUIET }, Submitted),
        (
            "it asks about its work",
            Submitting,
            Sight { asks: true, stands: Stands::Text, ..QUIET },
            Submitted,
        ),
        ("the text is gone", Submitting, Sight { drawn: true, ..QUIET }, Submitted),
        ("it says nothing", Submitting, late, Look),
        ("it never said anything", Submitting, Sight { looked: SILENT_MAX, ..QUIET }, unknown),
    ];
    for (what, came, sight, wanted) in table {
        let found = match verdict(came, &sight) {
            Verdict::Unknown(_) => unknown,
            other => other,
        };
        assert_eq!(found, wanted, "{what}: {came:?} {sight:?}");
    }
}

#[test]
fn no_doubt_lasts_for_ever() {
    let flags = |bits: u32| {
        let bit = |n: u32| bits >> n & 1 == 1;
        let stands = [Stands::Text, Stands::Note, Stands::No, Stands::No][(bits >> 5) as usize & 3];
        Sight {
            drawn: bit(0),
            read_all: bit(1),
            editor: bit(2),
            asks: bit(3),
            works: bit(4),
            stands,
            looked: SILENT_MAX,
        }
    };
    for came in [Came::Typing, Came::Typed, Came::Submitting] {
        for sight in (0..128).map(flags) {
            assert_ne!(verdict(came, &sight), Verdict::Look, "{came:?} {sight:?}");
            let pressed = verdict(came, &sight) == Verdict::Enter;
            assert!(!pressed || sight.stands != Stands::No && !sight.asks, "{came:?} {sight:?}");
        }
    }
}

#[test]
fn a_text_stands_where_the_cursor_is_right_behind_it() {
    let long = "word ".repeat(80);
    let cases = [
        ("> Print all of it.", (0, 18), "Print all of it.", Stands::Text),
        ("╭────╮\n│ > Print all │\n│   of it.    │\n╰────╯", (2, 10), "Print all of it.", Stands::Text),
        ("> Print all of it.\n> ", (1, 2), "Print all of it.", Stands::No),
        ("> Print all of it.\n", (1, 0), "Print all of it.", Stands::No),
        ("> Print all of", (0, 14), "Print all of it.", Stands::No),
        ("> Print all of it. 1. Yes", (0, 25), "Print all of it.", Stands::No),
        ("[niia]\nPrint it.\n", (2, 0), "[niia]\nPrint it.\n", Stands::Text),
        ("[niia]\nPrint it.\n\n", (3, 0), "[niia]\nPrint it.\n", Stands::No),
        ("> [400 bytes]", (0, 13), &long, Stands::Note),
        ("> [Pasted text #1 +27 lines]", (0, 28), "one\ntwo", Stands::Note),
        ("> [400 bytes]", (0, 13), "short", Stands::No),
        ("> [y/N]", (0, 7), &long, Stands::No),
        ("", (0, 0), "Print it.", Stands::No),
        ("> ", (0, 2), "", Stands::No),
    ];
    for (screen, cursor, text, wanted) in cases {
        assert_eq!(stands(screen, cursor, text), wanted, "{screen:?} {cursor:?} {text:?}");
    }
}
