//! The user's HOME after a session of niia's: nothing in it is another one than after the same run by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::SOON;
use super::tool::{Tool, tool};

/// Every file's content below a folder, by names in which what differs from run to run is left out.
fn files(tool: &Tool) -> BTreeMap<String, Vec<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let home = tool.house.at("home");
    collect(&home, &home, tool.house.mark(), &mut found);
    found
}

fn collect(home: &Path, folder: &Path, mark: &str, found: &mut BTreeMap<String, Vec<Vec<u8>>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(home, &path, mark, found),
            Ok(kind) if kind.is_file() => {
                let name = path.strip_prefix(home).unwrap().display().to_string().replace(mark, "MARK");
                found.entry(without_numbers(&name)).or_default().push(fs::read(&path).unwrap_or_default());
            }
            _ => {}
        }
    }
}

/// Parts of a name that are numbers, times or made up by chance are one `#` each.
fn without_numbers(name: &str) -> String {
    let mut text = String::new();
    for part in name.split_inclusive(['/', '.', '-', '_']) {
        let (word, end) = part.split_at(part.trim_end_matches(['/', '.', '-', '_']).len());
        let by_chance = word.chars().any(|c| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_hexdigit() || c == 'T' || c == 'Z');
        text.push_str(if by_chance || is_chance(word) { "#" } else { word });
        text.push_str(end);
    }
    text
}

/// A word of eight hexadecimal digits or more.
fn is_chance(word: &str) -> bool {
    let is_id = word.len() >= 4 && word.chars().all(|c| c.is_ascii_hexdigit());
    (is_id && word.chars().any(char::is_numeric)) || word.starts_with("arg0")
}

/// What is new or another one.
fn changed(
    before: &BTreeMap<String, Vec<Vec<u8>>>,
    after: &BTreeMap<String, Vec<Vec<u8>>>,
) -> BTreeSet<String> {
    let names = after.keys().chain(before.keys());
    names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

/// What a user keeps there.
fn furnish(tool: &Tool) {
    for (name, text) in [
        (".bashrc", "alias ll='ls -l'\n"),
        (".gitconfig", "[user]\n\tname = ann\n"),
        (".claude/CLAUDE.md", "Be short.\n"),
        (".claude/settings.json", "{\"cleanupPeriodDays\": 400}\n"),
        (".codex/AGENTS.md", "Be short.\n"),
        ("notes/today.md", "nothing\n"),
    ] {
        let _ = tool.house.file(&format!("home/{name}"), text);
    }
}

/// Starts the tool in a terminal as a person does, waits until its answer is in its transcript, and closes the terminal;
/// what lay there meanwhile, since the tool takes some of it away only when it ends by itself.
fn by_hand(tool: &Tool, words: &str) -> BTreeMap<String, Vec<Vec<u8>>> {
    let home = tool.house.at("home").canonicalize().unwrap();
    let stub = format!("http://127.0.0.1:{}", tool.stub.port());
    let program = tool.house.at("bin").join(tool.name);
    let line =
        format!("stty cols 120 rows 40; exec '{}' {words} 'say it <<say done by hand>>'", program.display());
    // Codex keeps nothing of its own below a folder of temporary files, and this home lies below /tmp.
    let temporary = tool.house.at("by-hand");
    fs::create_dir_all(&temporary).unwrap();
    let mut terminal = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .env_clear()
        .env("HOME", &home)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("SHELL", "/bin/sh")
        .env("TMPDIR", &temporary)
        .env("TERM", "xterm-256color")
        .env("ANTHROPIC_BASE_URL", &stub)
        .env("ANTHROPIC_AUTH_TOKEN", "none")
        .env("OPENAI_API_KEY", "none")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .env("NO_PROXY", "127.0.0.1,localhost")
        .env("DISABLE_AUTOUPDATER", "1")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
        .current_dir(&home)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    niia_tests::wait_until("it has answered by hand", SOON, || {
        let said = files(tool).into_iter().filter(|(name, _)| name.ends_with(".jsonl"));
        let mut texts = said.flat_map(|(_, texts)| texts);
        let answered = |text: &Vec<u8>| {
            let text = String::from_utf8_lossy(text);
            text.contains("\"done by hand\"")
        };
        texts.any(|text| answered(&text)).then_some(())
    });
    let meanwhile = files(tool);
    let pid = rustix::process::Pid::from_child(&terminal);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let _ = terminal.wait().unwrap();
    meanwhile
}

fn leaves_home_as_a_run_by_hand(name: &'static str, words: &str) {
    let Some(hand) = tool(name) else { return };
    furnish(&hand);
    let before = files(&hand);
    let meanwhile = by_hand(&hand, words);
    let mut written = changed(&before, &files(&hand));
    written.extend(changed(&before, &meanwhile));
    assert!(!written.is_empty(), "it keeps its own files there");

    let Some(tool) = tool(name) else { return };
    furnish(&tool);
    let before = files(&tool);
    let run = tool.serve();
    assert_eq!(tool.answer(&run, "say it <<say done by niia>>").0, "done by niia");
    tool.end(&run);
    let more: Vec<String> = changed(&before, &files(&tool)).difference(&written).cloned().collect();
    assert!(more.is_empty(), "by hand it wrote {written:#?}\nby niia also {more:#?}");
}

#[test]
fn claude_leaves_a_home_as_after_a_run_by_hand() {
    // It keeps a log of each server it is given, and niia gives it one.
    let words = r#"--mcp-config '{"mcpServers":{"niia":{"command":"true"}}}' --strict-mcp-config"#;
    leaves_home_as_a_run_by_hand("claude", words);
}

#[test]
fn codex_leaves_a_home_as_after_a_run_by_hand() {
    leaves_home_as_a_run_by_hand("codex", "--no-daemon -c check_for_update_on_startup=false");
}
