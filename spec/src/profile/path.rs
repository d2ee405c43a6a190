//! Places in what a tool tells: names divided by dots. A number is a place in a list, counted from its end where it
//! is negative; `name[key=value]` are the elements of a list that say so, `name[]` all of them.

use serde_json::Value;

/// The value at a path; of several the first.
pub fn field<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    fields(value, path).into_iter().next()
}

/// A value as a text: a text as it is, anything else as JSON; nothing for what is not there. Several texts are one.
pub fn text_of(value: &Value, path: &str) -> Option<String> {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let texts: Vec<String> = fields(value, path).into_iter().filter_map(text).collect();
    (!texts.is_empty()).then(|| texts.concat())
}

fn fields<'a>(value: &'a Value, path: &str) -> Vec<&'a Value> {
    let mut values = vec![value];
    let mut rest = path;
    while !rest.is_empty() {
        let (step, after) = step(rest);
        let (name, filter) = match step.split_once('[') {
            Some((name, filter)) => (name, Some(filter.trim_end_matches(']'))),
            None => (step, None),
        };
        if !name.is_empty() {
            values = values.into_iter().filter_map(|value| one(value, name)).collect();
        }
        if let Some(filter) = filter {
            values = values.into_iter().flat_map(|value| all(value, filter)).collect();
        }
        rest = after;
    }
    values
}

/// The first step, and what comes after it; a dot between brackets divides nothing.
fn step(path: &str) -> (&str, &str) {
    let mut inside = false;
    for (at, c) in path.char_indices() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            '.' if !inside => return (&path[..at], &path[at + 1..]),
            _ => {}
        }
    }
    (path, "")
}

fn one<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    let Value::Array(list) = value else { return value.get(name) };
    match name.strip_prefix('-') {
        Some(back) => list.get(list.len().checked_sub(back.parse().ok()?)?),
        None => list.get(name.parse::<usize>().ok()?),
    }
}

fn all<'a>(value: &'a Value, filter: &str) -> Vec<&'a Value> {
    let Value::Array(list) = value else { return Vec::new() };
    let wanted = filter.split_once('=');
    let says = |value: &&Value| {
        wanted.is_none_or(|(key, wanted)| value.get(key).and_then(Value::as_str) == Some(wanted))
    };
    list.iter().filter(says).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_through_names_places_and_elements_that_say_so() {
        let told = json!({ "a": { "b": "text", "n": 7, "nothing": null },
            "list": [{ "type": "step" }, { "type": "text", "text": "one " }, { "type": "text", "text": "two" }] });
        for (path, wanted) in [
            ("a.b", Some("text")),
            ("a.n", Some("7")),
            ("a.nothing", None),
            ("a.c", None),
            ("list.1.text", Some("one ")),
            ("list.-1.text", Some("two")),
            ("list.-4.text", None),
            ("list[type=text].text", Some("one two")),
            ("list[].text", Some("one two")),
            ("list[type=tool].text", None),
            ("a.b.c", None),
        ] {
            assert_eq!(text_of(&told, path).as_deref(), wanted, "{path}");
        }
        assert_eq!(field(&told, "list[type=text]"), Some(&told["list"][1]));
    }
}
