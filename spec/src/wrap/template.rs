//! The template of a prompt: markdown with `{placeholders}`.

use std::sync::LazyLock;

use super::Wrapping;

const BUILT_IN: &str = include_str!("wrap.md");

/// A template whose placeholders are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    paragraphs: Vec<Vec<Part>>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("line {line}: `{{{name}}}` is no placeholder: there are {}", known())]
    Unknown { line: usize, name: String },
    #[error("line {line}: a brace that opens or closes no placeholder is written twice")]
    Brace { line: usize },
    #[error("`{{prompt}}` does not stand in it, so no worker would be told its task")]
    NoPrompt,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placeholder {
    Run,
    Phase,
    Worker,
    Place,
    Task,
    Description,
    Flow,
    Scratchpad,
    Results,
    Lines,
    Publish,
    Claim,
    Absent,
    Event,
    Remembered,
    Handover,
    Prompt,
}

const PLACEHOLDERS: [(&str, Placeholder); 17] = [
    ("run", Placeholder::Run),
    ("phase", Placeholder::Phase),
    ("worker", Placeholder::Worker),
    ("place", Placeholder::Place),
    ("task", Placeholder::Task),
    ("description", Placeholder::Description),
    ("flow", Placeholder::Flow),
    ("scratchpad", Placeholder::Scratchpad),
    ("results", Placeholder::Results),
    ("lines", Placeholder::Lines),
    ("publish", Placeholder::Publish),
    ("claim", Placeholder::Claim),
    ("absent", Placeholder::Absent),
    ("event", Placeholder::Event),
    ("remembered", Placeholder::Remembered),
    ("handover", Placeholder::Handover),
    ("prompt", Placeholder::Prompt),
];

fn known() -> String {
    PLACEHOLDERS.iter().map(|(name, _)| format!("`{{{name}}}`")).collect::<Vec<_>>().join(", ")
}

impl Template {
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let (template, error) = Template::read(text);
        let prompt = Part::Placeholder(Placeholder::Prompt);
        match error {
            Some(error) => Err(error),
            None if !template.paragraphs.concat().contains(&prompt) => Err(TemplateError::NoPrompt),
            None => Ok(template),
        }
    }

    /// The template that is used where the user has none.
    pub fn built_in() -> &'static Template {
        static TEMPLATE: LazyLock<Template> = LazyLock::new(|| Template::read(BUILT_IN).0);
        &TEMPLATE
    }

    /// The text of the built-in template, for a user to start from.
    pub fn built_in_text() -> &'static str {
        BUILT_IN
    }

    /// The template and the first thing wrong with it, which is left in it as text.
    fn read(text: &str) -> (Template, Option<TemplateError>) {
        let mut paragraphs = vec![Vec::new()];
        let mut first_error = None;
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                paragraphs.push(Vec::new());
                continue;
            }
            let (parts, error) = read_line(line, at + 1);
            first_error = first_error.or(error);
            if let Some(paragraph) = paragraphs.last_mut() {
                if !paragraph.is_empty() {
                    paragraph.push(Part::Text("\n".to_owned()));
                }
                paragraph.extend(parts);
            }
        }
        paragraphs.retain(|paragraph| !paragraph.is_empty());
        (Template { paragraphs }, first_error)
    }

    /// The prompt. A wrapping that holds nothing but the worker's own words comes out as these, to the byte.
    pub fn wrap(&self, wrapping: &Wrapping) -> String {
        if *wrapping == (Wrapping { prompt: wrapping.prompt.clone(), ..Wrapping::default() }) {
            return wrapping.own_words().to_owned();
        }
        let told: Vec<String> =
            self.paragraphs.iter().filter_map(|parts| paragraph(parts, wrapping)).collect();
        let mut told = told.join("\n\n");
        if !told.ends_with('\n') {
            told.push('\n');
        }
        told
    }
}

/// The paragraph, or nothing when it has placeholders and all of them are empty.
fn paragraph(parts: &[Part], wrapping: &Wrapping) -> Option<String> {
    let mut told = String::new();
    let (mut placeholders, mut filled) = (0, 0);
    for part in parts {
        match part {
            Part::Text(text) => told.push_str(text),
            Part::Placeholder(placeholder) => {
                let value = placeholder.value(wrapping);
                placeholders += 1;
                filled += usize::from(!value.trim().is_empty());
                told.push_str(&value);
            }
        }
    }
    (placeholders == 0 || filled > 0).then_some(told)
}

fn read_line(line: &str, number: usize) -> (Vec<Part>, Option<TemplateError>) {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut error = None;
    let mut rest = line;
    while let Some(at) = rest.find(['{', '}']) {
        text.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            text.push_str(brace);
            rest = after;
            continue;
        }
        let Some((name, after)) = rest.split_once('}').filter(|_| brace == "{") else {
            error = error.or(Some(TemplateError::Brace { line: number }));
            text.push_str(brace);
            continue;
        };
        match PLACEHOLDERS.iter().find(|(known, _)| *known == name) {
            Some((_, placeholder)) => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Placeholder(*placeholder));
            }
            None => {
                error = error.or(Some(TemplateError::Unknown { line: number, name: name.to_owned() }));
                text.push_str(&format!("{{{name}}}"));
            }
        }
        rest = after;
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts.retain(|part| *part != Part::Text(String::new()));
    (parts, error)
}

impl Placeholder {
    fn value(self, wrapping: &Wrapping) -> String {
        let given = |text: &Option<String>| text.clone().unwrap_or_default();
        let place = wrapping.place.as_ref();
        match self {
            Placeholder::Run => place.map(|place| place.run.to_string()).unwrap_or_default(),
            Placeholder::Phase => place.map(|place| place.phase.to_string()).unwrap_or_default(),
            Placeholder::Worker => place.map(|place| place.worker.to_string()).unwrap_or_default(),
            Placeholder::Place => place.map(super::Place::told).unwrap_or_default(),
            Placeholder::Task => wrapping.goal().to_owned(),
            Placeholder::Description => given(&wrapping.description),
            Placeholder::Flow => given(&wrapping.flow),
            Placeholder::Scratchpad => given(&wrapping.scratchpad),
            Placeholder::Results => wrapping.results(),
            Placeholder::Lines => wrapping.lines(),
            Placeholder::Publish => wrapping.publish(),
            Placeholder::Claim => wrapping.claim(),
            Placeholder::Absent => wrapping.absent(),
            Placeholder::Event => wrapping.event(),
            Placeholder::Remembered => wrapping.remembered(),
            Placeholder::Handover => given(&wrapping.handover),
            Placeholder::Prompt => wrapping.own_words().to_owned(),
        }
    }
}
