//! `{worker}`, `{phase}`, … written out, in prompts and in slugs.

use crate::name::{SLUG_BYTES_MAX, Slug};
use crate::plan::run::{LITERAL_RUN_IN_TEXT, RUN_IN_SLUG, RUN_IN_TEXT};
use crate::read::template::{Piece, pieces};

/// What the variables stand for in one worker's texts.
#[derive(Clone, Debug)]
pub(super) struct Variables<'v> {
    pub worker: &'v str,
    pub workers: usize,
    pub phase: &'v str,
    pub name: &'v str,
    pub model: &'v str,
    pub machine: &'v str,
}

impl Variables<'_> {
    fn value(&self, variable: &str) -> Option<String> {
        Some(match variable {
            "worker" => self.worker.to_owned(),
            "workers" => self.workers.to_string(),
            "phase" => self.phase.to_owned(),
            "name" => self.name.to_owned(),
            "model" => self.model.to_owned(),
            "machine" => self.machine.to_owned(),
            _ => return None,
        })
    }

    /// A prompt with its variables written out. `{run}` stays until the run has a name.
    pub fn text(&self, template: &str) -> String {
        let mut parts = vec![String::with_capacity(template.len())];
        for piece in pieces(template) {
            let Some(last) = parts.last_mut() else { break };
            match piece {
                Piece::Text(part) | Piece::Stranger(part) => last.push_str(part),
                Piece::Brace(brace) => last.push(brace),
                Piece::Variable(variable) => match self.value(variable) {
                    Some(value) => last.push_str(&value),
                    None => parts.push(String::new()),
                },
            }
        }
        let literal = parts.iter().map(|part| part.replace(RUN_IN_TEXT, LITERAL_RUN_IN_TEXT));
        literal.collect::<Vec<_>>().join(RUN_IN_TEXT)
    }

    /// A slug with its variables written out; what they stand for becomes fit for one.
    pub fn slug(&self, template: &str) -> Slug {
        let mut slug = String::new();
        for piece in pieces(template) {
            match piece {
                Piece::Text(part) | Piece::Stranger(part) => slug.push_str(part),
                Piece::Brace(brace) => slug.push(brace),
                Piece::Variable(variable) => match self.value(variable) {
                    Some(value) => slug.push_str(Slug::nearest(&value).as_str()),
                    None => slug.push_str(RUN_IN_SLUG),
                },
            }
        }
        short(&slug)
    }
}

/// A slug of a text that may be too long for one: the end that is cut away is told apart by its digest.
pub(super) fn short(text: &str) -> Slug {
    const DIGEST_CHARS: usize = 8;
    if text.len() <= SLUG_BYTES_MAX {
        return Slug::nearest(text);
    }
    // FNV-1a: names of one document are told apart, nothing is kept secret by it.
    let digest = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let digest = format!("{digest:016x}");
    let kept: String = text.chars().take(SLUG_BYTES_MAX - DIGEST_CHARS - 1).filter(char::is_ascii).collect();
    Slug::nearest(&format!("{}-{}", kept.trim_end_matches(['-', '.', '_']), &digest[..DIGEST_CHARS]))
}
