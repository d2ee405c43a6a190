//! A real tool in a house of its own, as it is where somebody has set it up: a key, a provider, its first questions
//! answered.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use niia_tests::house::{Call, House};
use niia_tests::stub::Stub;
use serde_json::{Value, json};

use super::super::SOON;

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A tool in a house, talked to by `niia serve` and `niia get-answer`.
pub struct Tool {
    pub house: House,
    pub stub: Stub,
    pub name: &'static str,
    program: PathBuf,
    /// What `niia serve --model` is told.
    pub model: &'static str,
}

/// How often each conversation is held, by the variable that `tests/clis/run` sets.
const ROUNDS: &str = "NIIA_CLI_ROUNDS";
/// Looked at with every change. The others take longer to start than all else together, and are held by
/// `tests/clis/run` alone.
const ALWAYS: [&str; 2] = ["claude", "codex"];

/// So often each conversation is held: once, or as often as is asked for.
pub fn rounds() -> u32 {
    std::env::var(ROUNDS).ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Past what the test harness keeps to itself: a test that did nothing must not look as if it had.
fn skipped(name: &str, why: &str) {
    std::io::stderr().write_all(format!("SKIPPED {name}: {why}\n").as_bytes()).unwrap();
}

/// The installed tool; nothing, and a word why, where it is not there.
pub fn tool(name: &'static str) -> Option<Tool> {
    let tool = bare(name)?;
    tool.settle();
    Some(tool)
}

/// The same before anybody has started it once.
pub fn bare(name: &'static str) -> Option<Tool> {
    if !ALWAYS.contains(&name) && std::env::var_os(ROUNDS).is_none() {
        skipped(name, "`tests/clis/run` holds it");
        return None;
    }
    let folder =
        std::env::var_os("NIIA_CLIS").map_or_else(|| PathBuf::from("/var/cache/niia-clis"), PathBuf::from);
    let program = folder.join("bin").join(name);
    if !program.exists() {
        skipped(name, &format!("{} is not there; `tests/clis/install` installs it", program.display()));
        return None;
    }
    let house = House::new();
    let model = match name {
        "aider" => "aider/openai/stub",
        "gemini" => "gemini/gemini-2.5-flash",
        name => name,
    };
    let tool = Tool { house, stub: Stub::open(0).unwrap(), name, program, model };
    tool.calls_with("", "", "");
    Some(tool)
}

impl Tool {
    /// Sets it up as somebody would who uses it.
    fn settle(&self) {
        let folder = self.house.at("home").canonicalize().unwrap().display().to_string();
        let port = self.stub.port();
        match self.name {
            "claude" => {
                let trusted = json!({ &folder: { "hasTrustDialogAccepted": true } });
                let settings = json!({ "hasCompletedOnboarding": true, "projects": trusted });
                let _ = self.house.file("home/.claude.json", &settings.to_string());
            }
            "codex" => {
                let trust = format!("[projects.\"{folder}\"]\ntrust_level = \"trusted\"\n");
                let _ = self.house.file("home/.codex/config.toml", &(self.codex_settings() + &trust));
            }
            "gemini" => {
                let settings = r#"{"security":{"auth":{"selectedType":"gemini-api-key"}}}"#;
                let _ = self.house.file("home/.gemini/settings.json", settings);
            }
            "opencode" => {
                let options = json!({ "baseURL": format!("http://127.0.0.1:{port}/v1"), "apiKey": "none" });
                let provider = json!({ "npm": "@ai-sdk/openai-compatible", "name": "stub", "options": options,
                    "models": { "m": { "name": "m" } } });
                let settings =
                    json!({ "model": "stub/m", "small_model": "stub/m", "provider": { "stub": provider } });
                let _ = self.house.file("config/opencode/opencode.json", &settings.to_string());
            }
            _ => {}
        }
    }

    /// From now on it is started after this line of a shell, without the words of these patterns, and with more words.
    pub fn calls_with(&self, before: &str, without: &str, more: &str) {
        // What stands before a setting left out needs one; any other word is left out and nothing else.
        let (settings, words): (Vec<_>, Vec<_>) = without.split('|').partition(|word| word.contains('='));
        let pattern = |words: &[&str]| match words.join("|") {
            none if none.is_empty() => "no-such-word".to_owned(),
            words => words,
        };
        let script = format!(
            "#!/bin/sh\n{before}\nfor word; do\n  shift\n  case $word in\n    \
             {}) set -- \"$@\" check_for_update_on_startup=false ;;\n    {}) ;;\n    \
             *) set -- \"$@\" \"$word\" ;;\n  esac\ndone\nexec '{}' \"$@\" {more}\n",
            pattern(&settings),
            pattern(&words),
            self.program.display()
        );
        let _ = self.house.executable(self.name, &script);
    }

    /// Its provider alone, as where nobody trusted a folder yet.
    pub fn codex_settings(&self) -> String {
        format!(
            "model = \"stub\"\nmodel_provider = \"stub\"\n[model_providers.stub]\nname = \"stub\"\n\
             base_url = \"http://127.0.0.1:{}/v1\"\nwire_api = \"responses\"\nenv_key = \"OPENAI_API_KEY\"\n\
             request_max_retries = 1\nstream_max_retries = 1\n",
            self.stub.port()
        )
    }

    pub fn niia(&self, words: &[&str]) -> Call<'_> {
        let stub = format!("http://127.0.0.1:{}", self.stub.port());
        self.house
            .niia(words)
            .env("ANTHROPIC_BASE_URL", &*stub)
            .env("ANTHROPIC_AUTH_TOKEN", "none")
            .env("OPENAI_API_KEY", "none")
            .env("OPENAI_API_BASE", format!("{stub}/v1"))
            .env("GEMINI_API_KEY", "none")
            .env("GOOGLE_GEMINI_BASE_URL", &*stub)
            .env("HTTPS_PROXY", NOWHERE)
            .env("NO_PROXY", "127.0.0.1,localhost")
    }

    pub fn serve(&self) -> String {
        self.niia(&["serve", "--model", self.model]).run().exits(0).run_id()
    }

    pub fn asked(&self, run: &str, question: &str) -> Call<'_> {
        self.niia(&["get-answer", "--json", "--session", run, "--timeout", "100", question])
    }

    /// Asks, and gives the answer and what it was read from.
    pub fn answer(&self, run: &str, question: &str) -> (String, String) {
        let said = self.asked(run, question).run().exits(0);
        let answer: Value = serde_json::from_str(&said.out).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("answer"), text("evidence"))
    }

    pub fn view(&self, run: &str) -> Option<Value> {
        let said = self.niia(&["explain", "--json", &format!("{run}/session/1")]).run();
        serde_json::from_str(&said.out).ok()
    }

    /// Waits until the session is in this state.
    pub fn is(&self, run: &str, state: &str) -> Value {
        niia_tests::wait_until(&format!("{} is {state}", self.name), SOON, || {
            self.view(run).filter(|view| view["state"] == state)
        })
    }

    /// Cuts a frame of the recording for the corpus of screens, where a folder for them is named by `NIIA_CUT`: what is to
    /// be seen, and as its label what the tool's own word says.
    pub fn cut(&self, run: &str, moment: &str) {
        let Some(folder) = std::env::var_os("NIIA_CUT") else { return };
        let view = self.view(run).unwrap_or_default();
        let rule = view["rule"].as_str().unwrap_or_default();
        if !["hook ", "record "].iter().any(|word| rule.starts_with(word)) {
            return;
        }
        let said = self.niia(&["read", "--json", run]).run().exits(0);
        let seen: Value = serde_json::from_str(&said.out).unwrap();
        let text = |name: &str| seen[name].as_str().unwrap_or_default().replace(self.house.mark(), "ann");
        let state = view["state"].as_str().unwrap_or_default();
        let case = format!(
            "== real: {moment}\nprofile: {}\ntitle: {}\nexpect: {state}\nlabel: {rule}\n--\n{}\n\n",
            self.name,
            text("title"),
            text("text").trim_end()
        );
        let path = PathBuf::from(folder).join(self.name).with_extension("txt");
        let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
        file.write_all(case.as_bytes()).unwrap();
    }

    /// What the stub was asked that had this in it.
    pub fn prompts(&self, with: &str) -> Vec<String> {
        let seen = self.stub.seen().into_iter().map(|seen| seen.prompt);
        seen.filter(|prompt| prompt.contains(with)).collect()
    }

    pub fn has(&self, file: &str) -> bool {
        self.house.at("home").join(file).exists()
    }

    pub fn forget(&self, file: &str) {
        let _ = fs::remove_file(self.house.at("home").join(file));
    }

    pub fn end(&self, run: &str) {
        let _ = self.niia(&["kill", run]).run();
        niia_tests::wait_until("the session is over", SOON, || {
            self.niia(&["sessions"]).run().out.contains("no sessions").then_some(())
        });
    }
}
