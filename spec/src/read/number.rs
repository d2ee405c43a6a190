//! Numbers: whole ones between bounds, and sums of money.

use std::ops::RangeInclusive;

use jsonc_parser::ast::Value as Node;
use serde_json::{Value, json};

use super::field::{Field, Kind, Reader};
use crate::diagnostic::{Code, excerpt};
use crate::schema::Definitions;

/// The largest sum a document may name, in US dollars: a slip of the keyboard is not a budget.
pub const COST_USD_MAX: f64 = 1_000_000.0;

/// Above this a number with a fraction part or exponent is no longer exact.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Reads a whole number; `1e3` and `2.0` are whole numbers too, as in every JSON Schema.
pub(crate) fn whole(
    node: &Node<'_>,
    reader: &mut Reader,
    range: RangeInclusive<u64>,
    bound: &str,
) -> Option<u64> {
    let text = node.as_number_lit()?.value;
    let (min, max) = (*range.start(), *range.end());
    let exact = text.parse::<u64>().ok().or_else(|| exact_float(text));
    if let Some(number) = exact.filter(|number| range.contains(number)) {
        return Some(number);
    }
    let value = text.parse::<f64>().unwrap_or(f64::NAN);
    let field = reader.field;
    if value.fract() != 0.0 {
        let message = format!("`{field}` takes a whole number from {min} to {max}, not {}", excerpt(text));
        return reader.refuse(Code::WrongType, node, message, None);
    }
    let message = if value < min as f64 {
        format!("`{field}` is {}, it must be at least {min}", excerpt(text))
    } else {
        format!("`{field}` is {}, it may be at most {max} ({bound})", excerpt(text))
    };
    reader.refuse(Code::OutOfBounds, node, message, None)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both are asked for just before")]
fn exact_float(text: &str) -> Option<u64> {
    let value = text.parse::<f64>().ok()?;
    (value.fract() == 0.0 && (0.0..=EXACT_MAX).contains(&value)).then_some(value as u64)
}

/// A sum of money in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usd(pub f64);

impl Field for Usd {
    fn takes(kind: Kind) -> bool {
        kind == Kind::Number
    }
    fn what() -> String {
        "a number".to_owned()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Usd> {
        let text = node.as_number_lit()?.value;
        let value = text.parse::<f64>().unwrap_or(f64::NAN);
        if (0.0..=COST_USD_MAX).contains(&value) {
            return Some(Usd(value));
        }
        let field = reader.field;
        let message =
            format!("`{field}` is {}, it must be from 0 to {COST_USD_MAX} (cost_usd_max)", excerpt(text));
        reader.refuse(Code::OutOfBounds, node, message, None)
    }
    fn schema(_: &mut Definitions) -> Value {
        json!({ "type": "number", "minimum": 0, "maximum": COST_USD_MAX })
    }
}
