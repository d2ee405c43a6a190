//! The table of prices: data with its date. A model that is not in it has no known price.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::profile::Pattern;

const TABLE: &str = include_str!("prices.toml");

/// Millionths of a US dollar for a million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Price {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    as_of: String,
    price: Vec<Row>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    profile: String,
    model: Pattern,
    input: f64,
    output: f64,
    cached: f64,
}

fn table() -> Option<&'static Table> {
    static READ: OnceLock<Option<Table>> = OnceLock::new();
    READ.get_or_init(|| toml::from_str(TABLE).ok()).as_ref()
}

/// The day whose prices these are.
pub fn as_of() -> &'static str {
    table().map_or("unknown", |table| table.as_of.as_str())
}

/// The price of a model; nothing where the table does not have it, or nobody says which model it is.
pub fn of(profile: &str, model: Option<&str>) -> Option<Price> {
    let model = model?;
    let row = table()?.price.iter().find(|row| row.profile == profile && row.model.is_match(model))?;
    let (input, output, cached) = (millionths(row.input)?, millionths(row.output)?, millionths(row.cached)?);
    Some(Price { input, output, cached })
}

/// Dollars in millionths; nothing for what is no sum of money.
pub fn millionths(usd: f64) -> Option<u64> {
    const MOST: f64 = 1e12;
    let sum = (usd * 1e6).round();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 1e12")]
    (0.0..=MOST).contains(&sum).then_some(sum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read_and_knows_what_it_knows() {
        assert_eq!(as_of().len(), "2026-11-30".len());
        assert_eq!(
            of("claude", Some("haiku")),
            Some(Price { input: 1_000_000, output: 5_000_000, cached: 100_000 })
        );
        assert_eq!(of("claude", Some("no-such-model")), None);
        assert_eq!(of("claude", None), None, "whose model nobody named");
        assert_eq!(of("codex", Some("haiku")), None);
        assert_eq!((millionths(-1.0), millionths(f64::NAN), millionths(0.5)), (None, None, Some(500_000)));
    }
}
