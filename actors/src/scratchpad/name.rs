//! Which names may stand in a scratchpad: no way out of it, none that git, a shell or another system would take for
//! something else.

/// The longest part of a path, in bytes: what file systems take.
const PART_BYTES_MAX: usize = 255;
/// The longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
/// How deep folders may lie in each other.
pub const DEPTH_MAX: usize = 16;

/// Says what is wrong with a path as a place to write to.
pub fn check(path: &str) -> Result<(), &'static str> {
    check_to_read(path)?;
    path.split('/').try_for_each(check_part)
}

/// Says what is wrong with a path as one to read: what an agent wrote by itself may be called what it likes, but it
/// lies in the scratchpad.
pub fn check_to_read(path: &str) -> Result<(), &'static str> {
    if path.is_empty() {
        return Err("it is empty");
    }
    if path.len() > PATH_BYTES_MAX {
        return Err("it has more than 1,024 bytes");
    }
    if path.starts_with('/') {
        return Err("it is absolute; paths in the scratchpad are relative");
    }
    if path.contains('\0') {
        return Err("it holds a zero byte");
    }
    if path.split('/').count() > DEPTH_MAX {
        return Err("its folders lie more than 16 deep");
    }
    path.split('/').try_for_each(|part| match part {
        "" => Err("it has an empty part"),
        "." | ".." => Err("it has a part `.` or `..`"),
        _ if part.len() > PART_BYTES_MAX => Err("a part of it has more than 255 bytes"),
        _ => Ok(()),
    })
}

fn check_part(part: &str) -> Result<(), &'static str> {
    if part.starts_with(['.', '-', ' ']) {
        return Err("a part of it begins with `.`, `-` or a space");
    }
    if part.ends_with(['.', ' ']) {
        return Err("a part of it ends with `.` or a space");
    }
    if part.chars().any(|c| matches!(c, '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|')) {
        return Err("it holds one of \\ : * ? \" < > |");
    }
    if part.chars().any(|c| c.is_control() || unseen(c)) {
        return Err("it holds a control character or one that cannot be seen");
    }
    if device(part) {
        return Err("a part of it is the name of a device on Windows");
    }
    Ok(())
}

/// Characters that change how a name looks without being seen: spaces of no width, changes of direction, separators.
fn unseen(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{1680}' | '\u{180e}' | '\u{3000}' | '\u{3164}'
        | '\u{feff}' | '\u{ffa0}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or(part).trim_end().to_ascii_lowercase();
    let numbered = |name| {
        let number = stem.strip_prefix(name).map(str::as_bytes);
        matches!(number, Some([b'1'..=b'9']))
    };
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_language_may_be_written() {
        for good in [
            "a",
            "review/claude.md",
            "Übersicht 2.md",
            "結果/répondre.json",
            "a.b-c_d+e@f",
            "com10",
            "cons.txt",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_or_mislead_may_not() {
        let long = "x".repeat(256);
        let deep = "a/".repeat(16) + "a";
        let wrong = [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a//b",
            "a/",
            "./a",
            "a\0b",
            ".git/hooks",
            "-rf",
            "a/-rf",
            "a\\b",
            "c:x",
            "nul",
            "NUL.txt",
            "com1",
            "a ",
            "a.",
            " a",
            "a\nb",
            "a\u{202e}b",
            "a\u{200b}b",
            "a\u{1b}b",
            &long,
            &deep,
        ];
        for wrong in wrong {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}
