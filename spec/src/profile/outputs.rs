//! Outputs an answer ends with.

use std::collections::BTreeMap;

use serde_json::Value;

/// The longest JSON at the end of an answer that is read as outputs: outputs steer a plan, they are no data store.
pub const OUTPUTS_BYTES_MAX: usize = 256 * 1024;
const FENCE: &str = "```";

/// The outputs an answer ends with: the object in a fenced block marked `json`, if that block is the answer's end.
///
/// Anything else there (an array, wrong JSON, a block in the middle) is part of the answer and no output.
pub fn outputs_of(answer: &str) -> BTreeMap<String, Value> {
    let Some(block) = ending_block(answer).filter(|block| block.len() <= OUTPUTS_BYTES_MAX) else {
        return BTreeMap::new();
    };
    match serde_json::from_str(block) {
        Ok(Value::Object(object)) => object.into_iter().collect(),
        _ => BTreeMap::new(),
    }
}

/// What an attempt leaves behind: what it published by command counts before what its answer ends with.
pub fn merged(published: BTreeMap<String, Value>, answer: &str) -> BTreeMap<String, Value> {
    let mut outputs = outputs_of(answer);
    outputs.extend(published);
    outputs
}

fn ending_block(answer: &str) -> Option<&str> {
    let body = answer.trim_end().strip_suffix(FENCE)?;
    let before_fence = body.rsplit('\n').next()?;
    if !before_fence.trim().is_empty() {
        return None;
    }
    let mut end = body.len();
    loop {
        let start = body[..end].rfind(FENCE)?;
        let line_start = body[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = body[start..].find('\n').map(|at| start + at)?;
        let at_line_start = body[line_start..start].trim().is_empty();
        if at_line_start {
            let mark = body[start + FENCE.len()..line_end].trim();
            return mark.eq_ignore_ascii_case("json").then(|| &body[line_end..]);
        }
        end = start;
    }
}
