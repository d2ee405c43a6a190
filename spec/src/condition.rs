//! Conditions: CEL over what phases have published.
//!
//! A phase stands under its name where that is an identifier, and always under `phases['name']`. `phase.key` is the
//! first value set in worker order, `phase.all.key` the list of all, `phase.workers[i].key` that of one worker; what
//! was never set is null. A condition is bounded in length, depth and loops, so that none can take time or stack.

mod evaluate;
mod reads;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use cel::Program;
use serde_json::Value;

/// The longest condition.
pub const CONDITION_BYTES_MAX: usize = 2048;
/// The deepest nesting of brackets in a condition: the parser takes some 150 KiB of stack a level when it is built
/// for debugging, and a thread has 2 MiB.
pub const CONDITION_DEPTH_MAX: usize = 6;
/// The longest chain of operators on one value (`a.b.c`, `!!a`, `a + b + c`): each is a level of the expression and
/// takes some 10 KiB of stack. `&&`, `||` and `,` begin a new one.
pub const CONDITION_CHAIN_MAX: usize = 48;
/// The most loops (`exists`, `all`, `map`, `filter`): each goes over every worker, and none may stand in another.
pub const CONDITION_LOOPS_MAX: usize = 8;

/// A condition that has been understood.
#[derive(Debug)]
pub struct Condition {
    text: String,
    program: Program,
    reads: Vec<Read>,
    /// Every name it takes a phase for, in the order they are met.
    roots: Vec<String>,
}

/// One output a condition reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    pub phase: String,
    pub key: String,
    /// The literals it is compared with, as a person writes them.
    pub compared_with: Vec<String>,
}

/// Why a text is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    pub message: String,
    /// The byte of the condition it was noticed at.
    pub offset: usize,
}

/// What phases have published.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outputs {
    /// For each phase, what each worker has set, in worker order.
    pub phases: BTreeMap<String, Vec<BTreeMap<String, Value>>>,
    /// The payload of the event that started the run; null where none did.
    pub event: Value,
}

/// What a condition comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    DoesNotHold,
    /// It does not hold, and these outputs it reads (`phase.key`) were never set.
    NeverSet {
        keys: Vec<String>,
    },
}

/// Why a condition has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    #[error("the condition gives {found}, not true or false")]
    NotATruth { found: String },
    #[error("the condition cannot be worked out: {message}")]
    Failed { message: String },
}

impl Condition {
    /// Understands a condition, or says what is wrong with it and where.
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        measure(text)?;
        let program = Program::compile(text).map_err(|errors| first_error(text, &errors))?;
        let walk = reads::walk(program.expression());
        if let Some(message) = walk.refused {
            return Err(ConditionError { message, offset: 0 });
        }
        Ok(Condition { text: text.to_owned(), program, reads: walk.reads, roots: walk.roots })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// The outputs it reads, each once.
    pub fn reads(&self) -> &[Read] {
        &self.reads
    }

    pub(crate) fn into_reads(self) -> Vec<Read> {
        self.reads
    }

    /// Every phase it names; names that no output is read of too.
    pub fn phases(&self) -> impl Iterator<Item = &str> {
        self.roots.iter().map(String::as_str)
    }

    /// Works the condition out.
    pub fn evaluate(&self, outputs: &Outputs) -> Result<Verdict, EvaluateError> {
        evaluate::verdict(self, outputs)
    }

    /// Works it out over variables of another kind, as `until` and a trigger's `filter` have them.
    pub fn holds(&self, variables: &BTreeMap<String, Value>) -> Result<bool, EvaluateError> {
        evaluate::holds(self, variables)
    }
}

/// Refuses what would take the parser's time or stack, before it is handed over.
fn measure(text: &str) -> Result<(), ConditionError> {
    let refuse = |offset: usize, message: String| Err(ConditionError { message, offset });
    if text.len() > CONDITION_BYTES_MAX {
        let bytes = text.len();
        return refuse(
            0,
            format!(
                "the condition has {bytes} bytes, it may have {CONDITION_BYTES_MAX} (condition_bytes_max)"
            ),
        );
    }
    if text.trim().is_empty() {
        return refuse(0, "the condition is empty".to_owned());
    }
    // Where strings hold no backslash, line break or tripled quote, this reads them exactly as the lexer does. Where
    // they may, it counts every bracket as open and outside of strings: too many rather than too few.
    let careful = text.contains(['\\', '\n', '\r']) || text.contains("'''") || text.contains("\"\"\"");
    // The chains of the brackets that are open, the innermost last.
    let (mut chains, mut quote) = (vec![0_usize], None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some((open, _)), c) if open == c => quote = None,
            (Some(_), _) if !careful => {}
            (None, '\'' | '"') => quote = Some((c, at)),
            (_, '(' | '[' | '{') => {
                bump(&mut chains);
                chains.push(0);
            }
            (None, ')' | ']' | '}') if !careful && chains.len() > 1 => drop(chains.pop()),
            (None, '&' | '|' | ',') if !careful => chains.last_mut().into_iter().for_each(|chain| *chain = 0),
            (_, '.' | '!' | '-' | '+' | '*' | '/' | '%' | '?' | '=' | '<' | '>') => bump(&mut chains),
            _ => {}
        }
        if chains.len() > CONDITION_DEPTH_MAX + 1 {
            return refuse(
                at,
                format!("brackets lie more than {CONDITION_DEPTH_MAX} deep (condition_depth_max)"),
            );
        }
        if chains.iter().sum::<usize>() > CONDITION_CHAIN_MAX {
            let message =
                format!("more than {CONDITION_CHAIN_MAX} operators in one chain (condition_chain_max)");
            return refuse(at, message);
        }
    }
    match quote {
        // What the lexer cannot close it skips, and reads on as if it stood outside.
        Some((_, at)) if !careful => refuse(at, "this text is not closed".to_owned()),
        _ => Ok(()),
    }
}

fn bump(chains: &mut [usize]) {
    if let Some(chain) = chains.last_mut() {
        *chain += 1;
    }
}

fn first_error(text: &str, errors: &cel::ParseErrors) -> ConditionError {
    let Some(error) = errors.errors.first() else {
        return ConditionError { message: "the condition is no CEL".to_owned(), offset: 0 };
    };
    let line = usize::try_from(error.pos.0).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(error.pos.1).unwrap_or(0).saturating_sub(1);
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(before..).unwrap_or_default();
    let offset = before + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let first_line = error.msg.lines().next().unwrap_or_default();
    ConditionError { message: crate::diagnostic::excerpt(first_line), offset }
}
