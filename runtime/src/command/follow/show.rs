//! How a followed run is shown: a live table, one line for each change, or JSON lines.

use niia_spec::notice::RunView;

use crate::command::{Caller, say, say_json};
use crate::failure::Failure;
use crate::report::changes::Changes;
use crate::report::live::Painter;
use crate::report::run::{headline, warning_lines, worker_lines};
use crate::report::{Look, fit, neutral};

#[derive(Debug)]
pub enum Show {
    Live { painter: Painter, words: Option<String> },
    Lines { changes: Changes },
    Json,
}

impl Show {
    pub fn new(caller: &Caller) -> Show {
        match (caller.json, caller.look().live) {
            (true, _) => Show::Json,
            (false, true) => Show::Live { painter: Painter::default(), words: None },
            (false, false) => Show::Lines { changes: Changes::default() },
        }
    }

    pub fn is_live(&self) -> bool {
        matches!(self, Show::Live { .. })
    }

    /// A new view; a live table waits for its next frame.
    pub fn view(&mut self, view: &RunView) -> Result<(), Failure> {
        match self {
            Show::Live { .. } => Ok(()),
            Show::Lines { changes } => {
                let lines: String = changes.of(view).into_iter().map(|line| line + "\n").collect();
                if lines.is_empty() { Ok(()) } else { say(&lines) }
            }
            Show::Json => say_json(view),
        }
    }

    /// The next frame of a live table.
    pub fn paint(&mut self, view: &RunView, question: Option<&str>) -> Result<(), Failure> {
        let Show::Live { painter, words } = self else { return Ok(()) };
        let look = Look::of_stdout();
        let mut lines = table(view, look);
        let below = question.or(words.as_deref());
        lines.extend(below.map(|text| fit(text, usize::from(look.cols))));
        say(&painter.frame(&lines, look))
    }

    /// A word that is not about the run but about the following of it.
    pub fn word(&mut self, text: &str) -> Result<(), Failure> {
        match self {
            Show::Live { words, .. } => *words = Some(neutral(text)),
            Show::Lines { .. } => say(&format!("{text}\n"))?,
            Show::Json => {}
        }
        Ok(())
    }

    /// A question, where the table has no place for it.
    pub fn question(&mut self, question: Option<&str>) -> Result<(), Failure> {
        match (self, question) {
            (Show::Lines { .. }, Some(text)) => say(&format!("{text}\n")),
            _ => Ok(()),
        }
    }

    /// The last view; what is printed after it stands below.
    pub fn end(&mut self, view: &RunView) -> Result<(), Failure> {
        match self {
            Show::Live { words, .. } => *words = None,
            Show::Lines { .. } | Show::Json => return Ok(()),
        }
        self.paint(view, None)?;
        if let Show::Live { painter, .. } = self {
            painter.leave();
        }
        Ok(())
    }
}

fn table(view: &RunView, look: Look) -> Vec<String> {
    let mut lines = vec![headline(view, look)];
    lines.extend(
        view.reason.iter().map(|reason| fit(&format!("  {}", neutral(reason)), usize::from(look.cols))),
    );
    lines.extend(worker_lines(view, look));
    lines.extend(warning_lines(&view.warnings, look));
    lines
}
