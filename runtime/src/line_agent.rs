//! `niia agent ollama`: a small agent of niia's own on a local model, for machines on which no bigger one is installed.
//!
//! It lives in a terminal as the others do: a line to type at, a turn, an answer. The model has three tools (read a
//! file, write a file, run a command); what they may do is decided by the session's own policy, by the same decision
//! that the hooks of other tools ask. It says what it does by the status protocol and by the session's hooks.

mod chat;
mod keys;
mod tell;
mod tools;

use std::io::{self, Write as _};

use serde_json::{Value, json};

use crate::failure::{Exit, Failure};
use chat::{ChatError, Endpoint, Piece};
use keys::{Key, Keys};
use tell::Teller;
use tools::Tools;

/// A model that calls tools more often than this in one turn goes round in circles.
const STEPS_MAX: u32 = 60;
/// What the conversation may grow to; the oldest turns are left out beyond it.
const HISTORY_BYTES_MAX: usize = 1024 * 1024;

const ABOUT: &str = "You are an agent that works in a folder by three tools: read_file, write_file and run. Use them to do \
                     what you are asked, in small steps, and look at what they return. When the work is done, answer in \
                     plain words what you did and found. Do not ask back.";

/// Talks until its terminal is closed.
pub fn main(model: &str, first: Option<&str>, once: bool) -> Result<Exit, Failure> {
    let endpoint = Endpoint::of_this_environment().map_err(|error| Failure::usage(error.to_string()))?;
    let keys = Keys::open().map_err(|error| Failure::trouble("this terminal cannot be read", error))?;
    let mut agent = Agent {
        model: model.to_owned(),
        endpoint,
        tools: Tools::here(),
        teller: Teller::of_this_session(),
        keys,
        history: vec![json!({ "role": "system", "content": ABOUT })],
    };
    agent.say(&format!("niia agent on {model} at {}\r\n", agent.endpoint))?;
    agent.teller.session();
    let mut next = first.map(str::to_owned);
    loop {
        let prompt = match next.take() {
            Some(prompt) => prompt,
            None => {
                agent.teller.status("idle", None);
                agent.say("> ")?;
                match agent.keys.line()? {
                    Some(line) if line.trim().is_empty() => continue,
                    Some(line) => line,
                    None => return Ok(Exit::Done),
                }
            }
        };
        let good = agent.turn(&prompt)?;
        if once {
            return Ok(if good { Exit::Done } else { Exit::Failed });
        }
    }
}

struct Agent {
    model: String,
    endpoint: Endpoint,
    tools: Tools,
    teller: Teller,
    keys: Keys,
    history: Vec<Value>,
}

/// How a turn came to its end.
enum Ended {
    Answered(String),
    Interrupted,
    Failed(ChatError),
}

impl Agent {
    /// One turn; true where the model answered.
    fn turn(&mut self, prompt: &str) -> io::Result<bool> {
        self.teller.status("working", None);
        self.teller.word("UserPromptSubmit", json!({ "prompt": prompt }));
        self.say(&format!("\r\n{}\r\n", for_terminal(prompt)))?;
        self.history.push(json!({ "role": "user", "content": prompt }));
        self.forget();
        let mut used = chat::Used::default();
        let ended = self.steps(&mut used)?;
        let good = matches!(ended, Ended::Answered(_));
        match ended {
            Ended::Answered(answer) => {
                self.say("\r\n")?;
                self.teller.status("done", None);
                let usage = json!({ "input": used.input, "output": used.output });
                self.teller.word("Stop", json!({ "last_assistant_message": answer, "usage": usage }));
            }
            Ended::Interrupted => {
                self.say("\r\ninterrupted\r\n")?;
                self.teller.status("idle", None);
                self.teller.word("Interrupt", json!({}));
            }
            Ended::Failed(error) => {
                self.say(&format!("\r\nerror: {error}\r\n"))?;
                self.teller.status("error", Some(&error.to_string()));
                let body = json!({ "error": error.code(), "last_assistant_message": error.to_string() });
                self.teller.word("StopFailure", body);
            }
        }
        Ok(good)
    }

    /// Asks the model and does what it calls for, until it answers without calling for anything.
    fn steps(&mut self, used: &mut chat::Used) -> io::Result<Ended> {
        for _ in 0..STEPS_MAX {
            let reply = match self.ask()? {
                Ok(Some(reply)) => reply,
                Ok(None) => return Ok(Ended::Interrupted),
                Err(error) => return Ok(Ended::Failed(error)),
            };
            used.add(&reply.used);
            self.history.push(reply.message());
            if reply.calls.is_empty() {
                return Ok(Ended::Answered(reply.text));
            }
            for call in &reply.calls {
                if self.keys.interrupted() {
                    return Ok(Ended::Interrupted);
                }
                let result = self.tools.call(call, &mut self.teller, &mut self.keys)?;
                self.say(&format!("\r\n[{}] {}\r\n", call.name, first_line(&result)))?;
                self.history.push(json!({ "role": "tool", "tool_name": call.name, "content": result }));
            }
        }
        Ok(Ended::Failed(ChatError::Circles { steps: STEPS_MAX }))
    }

    /// One question to the model, its answer shown as it comes. Nothing where somebody interrupts.
    fn ask(&mut self) -> io::Result<Result<Option<chat::Reply>, ChatError>> {
        let body = json!({ "model": self.model, "messages": self.history, "tools": tools::described(), "stream": true });
        let keys = &mut self.keys;
        let mut out = io::stdout().lock();
        let asked = self.endpoint.chat(&body, &mut |piece| match piece {
            Piece::Text(text) => {
                // A terminal that is gone is noticed at the next word of ours.
                drop(out.write_all(for_terminal(text).as_bytes()).and_then(|()| out.flush()));
                !keys.interrupted()
            }
            Piece::Silence => !keys.interrupted(),
        });
        Ok(asked)
    }

    /// Leaves out the oldest turns of a conversation that has become too long.
    fn forget(&mut self) {
        let bytes =
            |history: &[Value]| history.iter().map(|message| message.to_string().len()).sum::<usize>();
        while self.history.len() > 2 && bytes(&self.history) > HISTORY_BYTES_MAX {
            drop(self.history.remove(1));
        }
    }

    fn say(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

fn first_line(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    for_terminal(text.lines().next().unwrap_or_default()).chars().take(CHARS_MAX).collect()
}

/// A text in which nothing steers the terminal.
fn for_terminal(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    plain.collect::<String>().replace('\n', "\r\n")
}

/// What a person answers to a question; nothing where the terminal is closed.
fn answered(keys: &mut Keys) -> io::Result<Option<bool>> {
    loop {
        match keys.key()? {
            Some(Key::Text('y' | 'Y' | '1')) => return Ok(Some(true)),
            Some(Key::Text('n' | 'N' | '2') | Key::Interrupt) => return Ok(Some(false)),
            Some(_) => {}
            None => return Ok(None),
        }
    }
}
