//! Findings while a document is read, and how a byte in the text becomes a line, a column and a pointer.

use jsonc_parser::ast::Value as Node;
use jsonc_parser::common::Ranged;

use crate::diagnostic::{Code, Diagnostic, Place, Severity};

/// What a list of findings holds at most; a text with more wrong than this is mended from the top.
pub const FINDINGS_MAX: usize = 200;

/// A piece of the text, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub start: usize,
    pub end: usize,
}

/// A value and where in the text it stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct At<T> {
    pub value: T,
    pub span: Span,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Finding {
    pub severity: Severity,
    pub code: Code,
    pub span: Span,
    pub message: String,
    pub help: Option<String>,
}

/// What has been found so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    list: Vec<Finding>,
    untold: usize,
    untold_errors: bool,
}

impl Findings {
    pub fn error(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, code, span, message.into())
    }

    pub fn warning(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, code, span, message.into())
    }

    pub fn note(&mut self, code: Code, span: Span, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Note, code, span, message.into())
    }

    fn add(&mut self, severity: Severity, code: Code, span: Span, message: String) -> &mut Finding {
        // What several workers take from one place of the document is wrong once.
        let same = |known: &Finding| known.code == code && known.span == span && known.message == message;
        if let Some(index) = self.list.iter().position(same) {
            return &mut self.list[index];
        }
        if self.list.len() >= FINDINGS_MAX {
            self.untold += 1;
            self.untold_errors |= severity == Severity::Error;
            // The last place is a spare one: what no list has room for is written there and not told.
            self.list.truncate(FINDINGS_MAX);
        }
        let index = self.list.len();
        self.list.push(Finding { severity, code, span, message, help: None });
        &mut self.list[index]
    }

    /// Whether there is no room for more: what would only make a finding kinder need not be worked out.
    pub fn is_full(&self) -> bool {
        self.list.len() >= FINDINGS_MAX
    }

    pub fn has_errors(&self) -> bool {
        self.untold_errors || self.list.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// The findings in the order of the text, each at its place.
    pub fn locate(mut self, file: &str, text: &str, root: Option<&Node<'_>>) -> Vec<Diagnostic> {
        self.list.truncate(FINDINGS_MAX);
        self.list.sort_by_key(|finding| (finding.span.start, finding.severity));
        let lines = Lines::new(text);
        let mut told: Vec<Diagnostic> =
            self.list.into_iter().map(|finding| place(finding, file, &lines, root)).collect();
        if self.untold > 0 {
            let severity = if self.untold_errors { Severity::Error } else { Severity::Warning };
            let message = format!("{} more findings are not told", self.untold);
            let span = Span::default();
            let more = Finding { severity, code: Code::MoreFindings, span, message, help: None };
            told.push(place(more, file, &lines, None));
        }
        told
    }
}

impl Finding {
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }

    pub fn help_if(&mut self, help: Option<String>) {
        self.help = help;
    }
}

fn place(finding: Finding, file: &str, lines: &Lines<'_>, root: Option<&Node<'_>>) -> Diagnostic {
    let (line, column) = lines.at(finding.span.start);
    let pointer = root.map(|root| pointer(root, finding.span.start)).unwrap_or_default();
    let at = Place { file: file.to_owned(), line, column, pointer };
    Diagnostic {
        severity: finding.severity,
        code: finding.code,
        at,
        message: finding.message,
        help: finding.help,
    }
}

/// Where each line of a text begins.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Lines<'t> {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    pub(crate) fn at(&self, offset: usize) -> (u32, u32) {
        let offset =
            (0..=offset.min(self.text.len())).rev().find(|at| self.text.is_char_boundary(*at)).unwrap_or(0);
        let line = self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let column = self.text[self.starts[line]..offset].chars().count();
        (count(line) + 1, count(column) + 1)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX - 1)
}

/// The pointer of the innermost value whose text holds this byte; a field's name belongs to its value.
fn pointer(root: &Node<'_>, offset: usize) -> String {
    let mut pointer = String::new();
    let mut node = root;
    loop {
        node = match node {
            Node::Object(object) => {
                let next = object.properties.partition_point(|property| property.range.end <= offset);
                let Some(property) = object.properties.get(next).filter(|found| found.range.start <= offset)
                else {
                    return pointer;
                };
                pointer.push('/');
                pointer.push_str(&property.name.as_str().replace('~', "~0").replace('/', "~1"));
                if offset < property.value.start() {
                    return pointer;
                }
                &property.value
            }
            Node::Array(array) => {
                let next = array.elements.partition_point(|element| element.end() <= offset);
                let Some(element) = array.elements.get(next).filter(|found| found.start() <= offset) else {
                    return pointer;
                };
                pointer.push_str(&format!("/{next}"));
                element
            }
            _ => return pointer,
        };
    }
}
