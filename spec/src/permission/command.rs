//! What a shell's command line is made of, as far as it must be known to say that it is harmless.

/// The simple commands of a line, each as its words; nothing where a part of it could do more than is to be seen: a
/// substitution, a redirection into a file, a job in the background, a variable that is set or read, a quote that is
/// not closed.
pub(super) fn simple_commands(line: &str) -> Option<Vec<Vec<String>>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = line.trim().chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let text = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        c => text.push(c),
                    }
                }
            }
            '"' => {
                let text = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '$' | '`' | '\\' | '!' => return None,
                        c => text.push(c),
                    }
                }
            }
            ' ' | '\t' => commands.last_mut()?.extend(word.take()),
            '&' if chars.next_if_eq(&'&').is_some() => next_command(&mut commands, &mut word)?,
            '|' if chars.next_if_eq(&'&').is_none() => {
                let _ = chars.next_if_eq(&'|');
                next_command(&mut commands, &mut word)?;
            }
            ';' | '\n' => next_command(&mut commands, &mut word)?,
            '>' => harmless_redirection(&mut chars, &mut word)?,
            '&' | '|' | '<' | '$' | '`' | '\\' | '(' | ')' | '{' | '}' | '#' | '!' | '\r' | '\0' => {
                return None;
            }
            '~' if word.is_none() => return None,
            c => word.get_or_insert_default().push(c),
        }
    }
    commands.last_mut()?.extend(word);
    // A line may end with the sign that divides commands.
    if commands.len() > 1 && commands.last().is_some_and(Vec::is_empty) {
        commands.pop();
    }
    let sets = |words: &Vec<String>| words.first().is_none_or(|first| first.contains('='));
    (!commands.iter().any(sets)).then_some(commands)
}

fn next_command(commands: &mut Vec<Vec<String>>, word: &mut Option<String>) -> Option<()> {
    let last = commands.last_mut()?;
    last.extend(word.take());
    if last.is_empty() {
        return None;
    }
    commands.push(Vec::new());
    Some(())
}

/// `2>&1` and what goes to `/dev/null` change no file.
fn harmless_redirection(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    word: &mut Option<String>,
) -> Option<()> {
    match word.take().as_deref() {
        None | Some("1" | "2") => {}
        Some(_) => return None,
    }
    let into: String =
        std::iter::from_fn(|| chars.next_if(|c| !c.is_whitespace() && !";|".contains(*c))).collect();
    if into.is_empty() {
        while chars.next_if_eq(&' ').is_some() {}
        let into: String =
            std::iter::from_fn(|| chars.next_if(|c| !c.is_whitespace() && !";|&".contains(*c))).collect();
        return (into == "/dev/null").then_some(());
    }
    matches!(into.as_str(), "&1" | "&2" | "/dev/null").then_some(())
}

#[cfg(test)]
mod tests {
    use super::simple_commands;

    #[test]
    fn a_line_falls_into_commands_or_nobody_knows_what_it_does() {
        let told = |line: &str| {
            let commands = simple_commands(line)?;
            Some(commands.iter().map(|words| words.join(" ")).collect::<Vec<_>>().join(" + "))
        };
        for (line, wanted) in [
            ("cargo test", Some("cargo test")),
            (
                "git diff --stat && cargo test 2>&1 | tail -n 5",
                Some("git diff --stat + cargo test + tail -n 5"),
            ),
            ("grep -rn 'a && b' src; ls", Some("grep -rn a && b src + ls")),
            ("ls > /dev/null", Some("ls")),
            ("ls >/dev/null 2>&1 ;", Some("ls")),
            ("echo \"two words\"", Some("echo two words")),
            ("git status\ngit diff", Some("git status + git diff")),
            ("git status > out", None),
            ("git status >> out", None),
            ("git status >&out", None),
            ("echo $(rm -rf x)", None),
            ("echo `id`", None),
            ("echo \"$(id)\"", None),
            ("ls & rm x", None),
            ("ls |& tee x", None),
            ("cat <(id)", None),
            ("FOO=1 make", None),
            ("echo $HOME", None),
            ("ls \\; rm x", None),
            ("(rm x)", None),
            ("{ rm x; }", None),
            ("cat ~/.ssh/id", None),
            ("echo 'open", None),
            ("; ls", None),
            ("", None),
            ("ls # x", None),
        ] {
            assert_eq!(told(line).as_deref(), wanted, "{line:?}");
        }
    }
}
