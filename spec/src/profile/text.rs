//! What of a text may reach a program.

/// The text without control characters: all of C0 but `\n` and `\t`, DEL and C1 are taken out.
///
/// With the carriage returns gone, CRLF has become LF. Nothing else is changed, so whoever knows the rule can compare
/// what a program read with what was sent.
pub fn neutralise(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_control_characters_are_taken_out() {
        for code in 0..=0x2_0000_u32 {
            let Some(c) = char::from_u32(code) else { continue };
            let control = code < 0x20 || (0x7f..=0x9f).contains(&code);
            let stays = !control || c == '\n' || c == '\t';
            assert_eq!(
                neutralise(&format!("a{c}b")).contains(c),
                stays || c == 'a' || c == 'b',
                "U+{code:04X}"
            );
        }
    }

    #[test]
    fn line_ends_become_line_feeds_and_an_end_of_paste_loses_its_escape() {
        assert_eq!(neutralise("a\r\nb\rc\n"), "a\nbc\n");
        assert_eq!(neutralise("x\u{1b}[201~\u{3}\u{4}\u{1a}\0y\u{9b}z\u{7f}"), "x[201~yz");
        assert_eq!(neutralise("Zürich, 東京 🦀\u{200d}"), "Zürich, 東京 🦀\u{200d}");
    }
}
