mod endings;
mod files;

use super::*;

fn profiles() -> Profiles {
    Profiles::built_in().unwrap()
}

/// Resolves a reference, calls what it leads to and compares the command line.
fn check(reference: &str, args: &[&str], prompt: Option<&str>, expected: &str) -> Invocation {
    let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let profiles = profiles();
    let found = profiles.resolve(reference).unwrap();
    let call = Call {
        model: found.model.as_deref(),
        args: &args,
        prompt,
        prompt_file: "/run/prompt.md",
        shell: None,
        mcp: &[],
        talk: Talk::default(),
    };
    let invocation = found.profile.call(&call).unwrap();
    assert_eq!(invocation.argv().join(" | "), expected);
    invocation
}

#[test]
fn each_tool_is_called_for_a_prompt_as_its_authors_mean_it() {
    check("claude", &[], Some("do it"), "claude | -p | do it");
    check("opus", &[], Some("do it"), "claude | -p | do it | --model | opus");
    check("claude/opus-4", &["--verbose"], Some("x"), "claude | -p | x | --model | opus-4 | --verbose");
    check("codex", &[], Some("do it"), "codex | exec | do it");
    check("gemini", &[], Some("do it"), "gemini | -p | do it");
    check("aider", &[], Some("do it"), "aider | --message | do it");
    check("ollama/llama3", &[], Some("do it"), "ollama | run | llama3 | do it");
    check("opencode", &[], Some("do it"), "opencode | run | do it");
    check("llm/gpt-5", &[], Some("do it"), "llm | do it | -m | gpt-5");
}

#[test]
fn without_a_prompt_a_tool_is_started_for_a_person() {
    check("claude", &[], None, "claude");
    check("codex", &[], None, "codex");
    check("ollama/llama3", &[], None, "ollama | run | llama3");
    let shell = check("shell", &[], None, "/bin/sh");
    assert_eq!((shell.prompt, shell.env.is_empty()), (PromptBy::Nothing, true));
}

#[test]
fn common_names_of_local_models_become_their_tags() {
    check("ollama/llama-70b", &[], Some("x"), "ollama | run | llama3.3:70b | x");
    check("ollama/llama-405b", &[], Some("x"), "ollama | run | llama3.1:405b | x");
    check("ollama/hf.co/some/model", &[], Some("x"), "ollama | run | hf.co/some/model | x");
}

#[test]
fn a_command_gets_its_prompt_as_its_arguments_ask() {
    let by = |args: &[&str], expected: &str| check("command", args, Some("the task"), expected).prompt;
    assert_eq!(by(&["cargo", "clippy"], "cargo | clippy"), PromptBy::WhenAsked);
    assert_eq!(by(&["say", "a {prompt} b"], "say | a the task b"), PromptBy::Argument);
    assert_eq!(by(&["cat", "{prompt_file}"], "cat | /run/prompt.md"), PromptBy::File);
    assert_eq!(by(&["top", "{typed}"], "top"), PromptBy::Typed);
    let shell = r#"/bin/sh | -c | exec "$@" <"$NIIA_PROMPT_FILE" | niia | wc | -c"#;
    assert_eq!(by(&["wc", "-c", "{stdin}"], shell), PromptBy::Input);
    assert_eq!(by(&["awk", "{print $1}", "{}"], "awk | {print $1} | {}"), PromptBy::WhenAsked);
}

#[test]
fn the_file_of_the_prompt_is_always_named() {
    for reference in ["claude", "ollama/llama3", "shell"] {
        let profiles = profiles();
        let found = profiles.resolve(reference).unwrap();
        let call =
            Call { prompt: Some("x"), prompt_file: "/p", model: found.model.as_deref(), ..Call::default() };
        assert_eq!(found.profile.call(&call).unwrap().env["NIIA_PROMPT_FILE"], "/p");
    }
    let lint = check("command", &["cargo", "clippy"], Some("x"), "cargo | clippy");
    assert_eq!(lint.env["NIIA_PROMPT_FILE"], "/run/prompt.md");
}

#[test]
fn a_prompt_that_is_no_possible_argument_goes_by_file_whatever_the_tool() {
    let megabyte = "x".repeat(1 << 20);
    for profile in profiles().ls().iter().filter(|profile| profile.prompt == PromptWay::Argument) {
        for prompt in [megabyte.as_str(), "--help"] {
            let call = Call { model: Some("m"), prompt: Some(prompt), prompt_file: "/p", ..Call::default() };
            let invocation = profile.call(&call).unwrap();
            assert!(matches!(invocation.prompt, PromptBy::File | PromptBy::Input), "{}", profile.id);
            assert!(
                invocation.argv().iter().all(|arg| arg.len() < 100 && !arg.contains("--help")),
                "{}",
                profile.id
            );
        }
    }
    check("aider", &[], Some(&megabyte), "aider | --message-file | /run/prompt.md");
    let sh = r#"/bin/sh | -c | exec "$@" <"$NIIA_PROMPT_FILE" | niia"#;
    check("codex", &[], Some(&megabyte), &format!("{sh} | codex | exec | -"));
}

#[test]
fn the_longest_possible_argument_is_still_one() {
    let longest = "x".repeat(call::ARGUMENT_BYTES_MAX);
    assert_eq!(
        check("claude", &[], Some(&longest), &format!("claude | -p | {longest}")).prompt,
        PromptBy::Argument
    );
}

#[test]
fn control_characters_of_a_prompt_never_reach_an_argument() {
    check("claude", &[], Some("a\u{1b}[201~b\0c\r\nd"), "claude | -p | a[201~bc\nd");
}

#[test]
fn what_cannot_be_called_says_why() {
    let profiles = profiles();
    let wrong = |id: &str, call: Call<'_>| profiles.get(id).unwrap().call(&call).unwrap_err().to_string();
    assert_eq!(wrong("ollama", Call::default()), "`ollama` must be told which model: write `ollama/MODEL`");
    let model = Call { model: Some("x"), ..Call::default() };
    assert_eq!(wrong("command", model), "`command` takes no model, but `x` was asked for");
    assert_eq!(wrong("command", Call::default()), "`command` needs `args`: the program and its arguments");
    let (text, args) = ("x".repeat(1 << 20), ["say".to_owned(), "{prompt}".to_owned()]);
    let long = Call { prompt: Some(&text), args: &args, ..Call::default() };
    assert!(wrong("command", long).contains("let `{prompt_file}` or `{stdin}` stand for it"));
    let nul = ["a\0b".to_owned()];
    assert!(wrong("claude", Call { args: &nul, ..Call::default() }).contains("NUL"));
}

#[test]
fn a_name_nobody_knows_is_answered_with_the_nearest() {
    let profiles = profiles();
    let unknown = |reference: &str| profiles.resolve(reference).unwrap_err().to_string();
    assert_eq!(unknown("cluade"), "no profile and no model is called `cluade`; did you mean `claude`?");
    assert!(unknown("Sonet").contains("`sonnet`"));
    assert!(unknown("olama/llama3").contains("`ollama`"));
    assert_eq!(unknown("zzz"), "no profile and no model is called `zzz`");
    assert!(
        profiles.resolve("claude/").is_err()
            && profiles.resolve("").is_err()
            && profiles.resolve("/").is_err()
    );
}
