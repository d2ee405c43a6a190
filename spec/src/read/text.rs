//! Texts of a form: names, paths, hosts, variables; what is wrong with one, in a sentence.

use jsonc_parser::ast::Value as Node;
use serde_json::{Value, json};

use super::field::{Field, Kind, Reader};
use crate::diagnostic::{Code, excerpt};
use crate::name::Slug;
use crate::schema::Definitions;

/// The slug rule as far as a regular expression without look-around can say it.
pub const SLUG_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$";

/// The longest name of an environment variable; longer ones are mistakes.
const ENV_NAME_BYTES_MAX: usize = 128;

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub code: Code,
    pub message: String,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into(), help: None }
    }

    pub fn with_help(self, help: impl Into<String>) -> Fault {
        Fault { help: Some(help.into()), ..self }
    }
}

/// Keeps a text that has no fault, and reports the fault of one that has.
pub(crate) fn checked(
    node: &Node<'_>,
    reader: &mut Reader,
    text: &str,
    check: impl Fn(&str) -> Result<(), Fault>,
) -> Option<String> {
    match check(text) {
        Ok(()) => Some(text.to_owned()),
        Err(fault) => {
            let message = format!("`{}`: {}", reader.field, fault.message);
            reader.refuse(fault.code, node, message, fault.help)
        }
    }
}

/// What keeps a text from being a slug.
pub(crate) fn slug_fault(text: &str) -> Option<Fault> {
    let error = Slug::new(text).err()?;
    let fault = Fault::new(Code::BadName, format!("`{}` is no name: {error}", excerpt(text)));
    Some(fault.with_help(format!("`{}` would be one", Slug::nearest(text))))
}

pub(crate) fn not_empty(text: &str) -> Result<(), Fault> {
    if text.trim().is_empty() {
        return Err(Fault::new(Code::BadForm, "this text is empty"));
    }
    no_nul(text)
}

fn no_nul(text: &str) -> Result<(), Fault> {
    if text.contains('\0') {
        return Err(Fault::new(
            Code::BadForm,
            "this text holds a NUL character, which no program can be handed",
        ));
    }
    Ok(())
}

pub(crate) fn env_name(name: &str) -> Result<(), Fault> {
    let first = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if first
        && name.len() <= ENV_NAME_BYTES_MAX
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        return Ok(());
    }
    let message = format!("`{}` is no name of an environment variable", excerpt(name));
    Err(Fault::new(Code::BadName, message).with_help("letters, digits and `_`, the first one no digit"))
}

/// The value of an environment variable; `${NAME}` and `${NAME:-default}` stand for others.
pub(crate) fn env_value(text: &str) -> Result<(), Fault> {
    no_nul(text)?;
    for (at, _) in text.match_indices("${") {
        let rest = &text[at + 2..];
        let Some(end) = rest.find('}') else {
            return Err(Fault::new(Code::BadForm, "`${` is not closed by `}`"));
        };
        let name = rest[..end].split(":-").next().unwrap_or_default();
        env_name(name)?;
    }
    Ok(())
}

/// A path that stays in the tree it is taken in.
pub(crate) fn inner_path(text: &str) -> Result<(), Fault> {
    not_empty(text)?;
    let outside = text.starts_with('/') || text.starts_with('~') || text.split('/').any(|part| part == "..");
    if outside {
        let message = format!("`{}` leads out of the tree", excerpt(text));
        return Err(
            Fault::new(Code::PathOutside, message).with_help("name a path below the repository's root")
        );
    }
    Ok(())
}

/// A host name, or `*.` and a host name.
pub(crate) fn domain(text: &str) -> Result<(), Fault> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let legal = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let name = name
        .rsplit_once(':')
        .map_or(name, |(host, port)| if port.parse::<u16>().is_ok() { host } else { name });
    if name.len() <= 253 && name.split('.').all(legal) {
        return Ok(());
    }
    let message = format!("`{}` is no host", excerpt(text));
    Err(Fault::new(Code::BadForm, message).with_help("write `api.example.com` or `*.example.com`"))
}

/// A machine as a document names it: an alias, a host, a node's name, `user@host`.
pub(crate) fn machine(text: &str) -> Result<(), Fault> {
    let legal =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | ':' | '[' | ']' | '%');
    if !text.is_empty() && text.len() <= 253 && !text.starts_with('-') && text.chars().all(legal) {
        return Ok(());
    }
    Err(Fault::new(Code::BadForm, format!("`{}` names no machine", excerpt(text))))
}

/// A reference to a model: an alias, a profile, `profile/model`, a name a profile lists.
pub(crate) fn model(text: &str) -> Result<(), Fault> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':' | '@' | '+');
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.len() <= 200 && text.chars().all(legal) {
        return Ok(());
    }
    let message = format!("`{}` names no model", excerpt(text));
    Err(Fault::new(Code::BadForm, message)
        .with_help("write an alias, a profile such as `claude`, or `profile/model`"))
}

/// The name of an event that starts a run.
pub(crate) fn event(text: &str) -> Result<(), Fault> {
    const EVENTS: [&str; 7] = [
        "github.pr.opened",
        "github.pr.updated",
        "github.pr.closed",
        "github.push",
        "git.commit",
        "git.push",
        "file.changed",
    ];
    if EVENTS.contains(&text) || text.strip_prefix("webhook.").is_some_and(|name| Slug::new(name).is_ok()) {
        return Ok(());
    }
    let mut fault = Fault::new(Code::UnknownWord, format!("`{}` is no event", excerpt(text)));
    let near = crate::diagnostic::did_you_mean(text, EVENTS);
    fault.help = Some(near.unwrap_or_else(|| format!("events are {} and webhook.NAME", EVENTS.join(", "))));
    Err(fault)
}

impl Field for Slug {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Text
    }
    fn what() -> String {
        "a name".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Slug> {
        let text = node.as_string_lit()?.value.as_ref();
        if let Some(fault) = slug_fault(text) {
            reader.findings.error(fault.code, super::field::span(node), fault.message).help_if(fault.help);
        }
        // The nearest name stands in for a bad one, so that what refers to it is not reported as well.
        Some(Slug::new(text).unwrap_or_else(|_| Slug::nearest(text)))
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": SLUG_PATTERN })
    }
}

/// Words that mean something of their own in a condition, so that no phase may have them for a name.
pub(crate) const RESERVED: [&str; 26] = [
    "all",
    "workers",
    "event",
    "phases",
    "result",
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of a phase: a slug that is no word of conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PhaseLabel(pub Slug);

impl Field for PhaseLabel {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Text
    }
    fn what() -> String {
        "a name".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<PhaseLabel> {
        let slug = Slug::read(node, reader)?;
        if RESERVED.contains(&slug.as_str()) {
            let message = format!("`{slug}` may not name a phase: the word has a meaning of its own");
            let help = format!("`{slug}-phase` would be free");
            reader.findings.error(Code::ReservedName, super::field::span(node), message).help(help);
        }
        Some(PhaseLabel(slug))
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "string", "pattern": SLUG_PATTERN, "not": { "enum": RESERVED } })
    }
}
