//! Variables in texts: `{worker}`, `{phase}`, …; `{{` and `}}` are braces.

use super::text::Fault;
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::name::Slug;

/// Every variable there is.
pub const VARIABLES: [&str; 7] = ["worker", "workers", "phase", "run", "name", "model", "machine"];

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'t> {
    Text(&'t str),
    Variable(&'t str),
    /// `{{` or `}}`.
    Brace(char),
    /// `{…}` that is no variable, with its braces.
    Stranger(&'t str),
}

/// The pieces of a template, in order. Every character of the text is in one of them.
pub(crate) fn pieces(text: &str) -> Pieces<'_> {
    Pieces { rest: text }
}

#[derive(Clone, Debug)]
pub(crate) struct Pieces<'t> {
    rest: &'t str,
}

impl<'t> Pieces<'t> {
    fn take(&mut self, bytes: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = Piece<'t>;

    fn next(&mut self) -> Option<Piece<'t>> {
        match self.rest.find(['{', '}']) {
            None if self.rest.is_empty() => return None,
            None => return Some(Piece::Text(self.take(self.rest.len()))),
            Some(0) => {}
            Some(at) => return Some(Piece::Text(self.take(at))),
        }
        for (doubled, brace) in [("{{", '{'), ("}}", '}')] {
            if self.rest.starts_with(doubled) {
                self.take(2);
                return Some(Piece::Brace(brace));
            }
        }
        let end =
            if self.rest.starts_with('{') { self.rest[1..].find(['{', '}']).map(|at| at + 1) } else { None };
        match end.filter(|at| self.rest[*at..].starts_with('}')) {
            None => Some(Piece::Text(self.take(1))),
            Some(end) => {
                let whole = self.take(end + 1);
                let name = &whole[1..end];
                Some(if VARIABLES.contains(&name) { Piece::Variable(name) } else { Piece::Stranger(whole) })
            }
        }
    }
}

/// The first `{…}` of a text that is no variable.
pub(crate) fn stranger(text: &str) -> Option<&str> {
    pieces(text).find_map(|piece| match piece {
        Piece::Stranger(whole) => Some(whole),
        _ => None,
    })
}

/// Whether a text holds a variable.
pub(crate) fn is_literal(text: &str) -> bool {
    !pieces(text).any(|piece| matches!(piece, Piece::Variable(_)))
}

/// What keeps a text from being the template of a slug.
pub(crate) fn slug_fault(text: &str) -> Result<(), Fault> {
    if let Some(whole) = stranger(text) {
        let name = &whole[1..whole.len() - 1];
        let mut fault = Fault::new(Code::UnknownVariable, format!("`{}` is no variable", excerpt(whole)));
        let listed = || format!("variables are {}", VARIABLES.map(|name| format!("{{{name}}}")).join(" "));
        fault.help = did_you_mean(name, VARIABLES).or_else(|| Some(listed()));
        return Err(fault);
    }
    let mut filled = String::new();
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Brace(brace) => filled.push(brace),
            Piece::Variable(_) | Piece::Stranger(_) => filled.push('1'),
        }
    }
    if let Some(fault) = super::text::slug_fault(&filled) {
        return Err(Fault {
            message: fault.message.replacen(&filled, &excerpt(text), 1),
            help: None,
            ..fault
        });
    }
    if Slug::new(text).is_ok() && text == "result" {
        let fault =
            Fault::new(Code::ReservedName, "`result` is the name of the line everything is merged into");
        return Err(fault.with_help("leave `worktree` out to work there, or give the tree another name"));
    }
    Ok(())
}
