//! The person at the terminal, who may be asked once.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;

/// The longest answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Whether there is somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    present: bool,
}

impl Person {
    /// There is somebody where questions can be seen and answers typed, unless they are not to be asked.
    pub fn present(no_input: bool) -> Person {
        Person { present: !no_input && io::stdin().is_terminal() && io::stderr().is_terminal() }
    }

    /// Asks for a line; nothing where nobody is there or nothing is said.
    pub fn ask(self, question: &str) -> Result<Option<String>, Failure> {
        if !self.present {
            return Ok(None);
        }
        let mut err = io::stderr().lock();
        write!(err, "{question} ")?;
        err.flush()?;
        let mut answer = String::new();
        io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX).read_line(&mut answer)?;
        let answer = answer.trim();
        Ok((!answer.is_empty()).then(|| answer.to_owned()))
    }

    /// Asks for one of these letters until one is given; nothing where nobody is there or the terminal has ended.
    pub fn ask_key(self, question: &str, keys: &[char]) -> Result<Option<char>, Failure> {
        if !self.present {
            return Ok(None);
        }
        loop {
            let Some(answer) = self.ask(question)? else { return Ok(None) };
            let first = answer.chars().next().map(|key| key.to_ascii_lowercase());
            if let Some(key) = first.filter(|key| keys.contains(key)) {
                return Ok(Some(key));
            }
        }
    }
}
