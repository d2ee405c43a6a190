//! JSON itself: strict, with the place of what is no JSON.

use jsonc_parser::ast::Value as Node;
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ParseStringErrorKind, parse_to_ast};

use super::finding::{Findings, Span};
use crate::diagnostic::Code;

/// JSON and nothing more: no comments, no trailing commas, no bare words.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse<'t>(text: &'t str, findings: &mut Findings) -> Option<Node<'t>> {
    match parse_to_ast(text, &CollectOptions::default(), &STRICT) {
        Ok(parsed) => match parsed.value {
            Some(root) if control_character(text).is_none() => Some(root),
            Some(_) => {
                let at = control_character(text).unwrap_or_default();
                let message = "this text holds a control character, which JSON writes as an escape";
                let byte = text.as_bytes().get(at).copied().unwrap_or_default();
                let help = if byte == b'\n' {
                    "write a line break as \\n".into()
                } else {
                    format!("write it as \\u{byte:04x}")
                };
                findings.error(Code::Syntax, Span { start: at, end: at + 1 }, message).help(help);
                None
            }
            None => {
                findings.error(Code::Empty, Span::default(), "there is nothing here");
                None
            }
        },
        Err(error) => {
            refuse(&error, text, findings);
            None
        }
    }
}

/// A control character within a string, which the parser lets pass and JSON does not.
fn control_character(text: &str) -> Option<usize> {
    let mut in_string = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            0..0x20 if in_string => return Some(at),
            _ => {}
        }
    }
    None
}

fn refuse(error: &ParseError, text: &str, findings: &mut Findings) {
    let range = error.range();
    let start = range.start.min(text.len());
    let span = Span { start, end: range.end.max(start) };
    let word = text.get(span.start..).unwrap_or_default();
    let kind = match error.kind() {
        // Without a sign the parser takes them for words.
        ParseErrorKind::UnexpectedWord if word.starts_with("NaN") || word.starts_with("Infinity") => {
            &ParseErrorKind::NonFiniteNumbersNotAllowed
        }
        kind => kind,
    };
    let (message, help) = sentence(kind);
    findings.error(Code::Syntax, span, message).help_if(help.map(str::to_owned));
}

fn sentence(kind: &ParseErrorKind) -> (String, Option<&'static str>) {
    use ParseErrorKind as K;
    let (message, help) = match kind {
        K::CommentsNotAllowed | K::UnterminatedCommentBlock => {
            ("JSON has no comments", Some("a field that begins with `x-` is ignored and can hold one"))
        }
        K::TrailingCommasNotAllowed => ("a comma follows the last entry", Some("take it away")),
        K::ExpectedComma => ("a comma is missing here", None),
        K::ExpectedColonAfterObjectKey => ("a colon must follow the name of a field", None),
        K::ExpectedObjectValue => ("a value must follow the colon", None),
        K::ExpectedStringObjectProperty | K::UnexpectedTokenInObject => {
            ("the name of a field must stand here, in double quotes", None)
        }
        K::SingleQuotedStringsNotAllowed => ("a text stands in double quotes", None),
        K::NonFiniteNumbersNotAllowed => ("NaN and Infinity are no numbers in JSON", None),
        K::HexadecimalNumbersNotAllowed => ("JSON has no hexadecimal numbers", None),
        K::UnaryPlusNumbersNotAllowed => ("JSON has no `+` before a number", None),
        K::BareDecimalPointNumbersNotAllowed | K::ExpectedDigit => {
            ("a digit is missing in this number", None)
        }
        K::ExpectedDigitFollowingNegativeSign => ("a digit must follow the minus", None),
        K::ExpectedPlusMinusOrDigitInNumberLiteral => {
            ("a sign or digit must follow the `e` of a number", None)
        }
        K::MultipleRootJsonValues => ("the document ends before this", Some("one file holds one document")),
        K::UnexpectedWord => ("this is no JSON value", Some("a text stands in double quotes")),
        K::UnterminatedArray => ("this list is not closed by `]`", None),
        K::UnterminatedObject => ("this object is not closed by `}`", None),
        K::NestingDepthExceeded => ("objects and lists lie too deep in each other", None),
        K::UnexpectedCloseBrace => ("nothing is open that `}` could close", None),
        K::UnexpectedCloseBracket => ("nothing is open that `]` could close", None),
        K::UnexpectedColon => ("a colon has no place here", None),
        K::UnexpectedComma => ("a comma has no place here", None),
        K::UnexpectedToken => ("this has no place in JSON", None),
        K::String(kind) => return (string_sentence(kind), None),
    };
    (message.to_owned(), help)
}

fn string_sentence(kind: &ParseStringErrorKind) -> String {
    use ParseStringErrorKind as K;
    match kind {
        K::InvalidUnicodeEscapeSequence(_) => {
            "this escape is half a character: its other half is missing".to_owned()
        }
        K::ExpectedFourHexDigits => "four hexadecimal digits must follow \\u".to_owned(),
        K::UnterminatedStringLiteral => "this text is not closed by `\"`".to_owned(),
        K::InvalidEscape
        | K::ExpectedTwoHexDigits
        | K::InvalidEscapeInSingleQuoteString
        | K::InvalidEscapeInDoubleQuoteString => "JSON has no such escape".to_owned(),
    }
}
