//! What the command line asks, in the grammar of whichever tool is played.

/// A call as one of the known tools would understand it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) prompt: Option<String>,
    pub(super) model: Option<String>,
    pub(super) args: Vec<String>,
}

impl Asked {
    pub(super) fn by(args: &[String]) -> Asked {
        Asked { prompt: prompt(args), model: model(args), args: args.to_vec() }
    }
}

/// `-p PROMPT`, `--prompt PROMPT`, `--message PROMPT`, `exec … PROMPT`, `run MODEL PROMPT`.
fn prompt(args: &[String]) -> Option<String> {
    for (at, arg) in args.iter().enumerate() {
        match arg.as_str() {
            "-p" | "--print" | "--prompt" | "--message" => return after_flag(&args[at + 1..]),
            "exec" => return args[at + 1..].last().cloned(),
            "run" => return args.get(at + 2..)?.last().cloned(),
            "--" => return args.get(at + 1).cloned(),
            _ => {}
        }
        if let Some(prompt) = arg.strip_prefix("--message=").or_else(|| arg.strip_prefix("--prompt=")) {
            return Some(prompt.to_owned());
        }
    }
    None
}

/// The word after the flag, or the last word where further flags stand between.
fn after_flag(rest: &[String]) -> Option<String> {
    let next = rest.first()?;
    if next.starts_with("--") && rest.len() > 1 { rest.last().cloned() } else { Some(next.clone()) }
}

fn model(args: &[String]) -> Option<String> {
    let after = |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1)).cloned();
    let run = args.first().filter(|word| *word == "run").and_then(|_| args.get(1)).cloned();
    after("--model").or_else(|| after("-m")).or(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, prompt: Option<&str>, model: Option<&str>) {
        let args: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let asked = Asked::by(&args);
        assert_eq!((asked.prompt.as_deref(), asked.model.as_deref()), (prompt, model), "{line}");
    }

    #[test]
    fn a_prompt_is_found_where_each_tool_takes_it() {
        check("-p why", Some("why"), None);
        check("--model opus -p why", Some("why"), Some("opus"));
        check("-p --model opus why", Some("why"), Some("opus"));
        check("exec --full-auto why", Some("why"), None);
        check("--message why", Some("why"), None);
        check("run llama3 why", Some("why"), Some("llama3"));
        check("--yes", None, None);
    }
}
