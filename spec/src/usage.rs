//! What a session used of its model: tokens, and what they cost. What nobody tells is unknown, never nothing.

use serde::{Deserialize, Serialize};

use crate::plan::{CostPlan, ModelPlan};

pub mod price;
pub mod read;

/// Tokens, and US dollars in millionths, so that sums are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Read anew.
    pub input_tokens: u64,
    /// Read from the provider's cache.
    #[serde(default)]
    pub cached_tokens: u64,
    pub output_tokens: u64,
    /// Turns that were counted.
    #[serde(default)]
    pub turns: u64,
    /// Nothing where nobody can say what it cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd_millionths: Option<u64>,
}

/// What many sessions used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    pub input_tokens: u64,
    pub cached_tokens: u64,
    pub output_tokens: u64,
    /// Of those whose cost is known.
    pub cost_usd_millionths: u64,
    /// Attempts of which the cost, or the whole usage, is unknown.
    pub unknown: u32,
}

impl Total {
    pub fn add(&mut self, usage: Option<&Usage>) {
        let Some(usage) = usage else {
            self.unknown = self.unknown.saturating_add(1);
            return;
        };
        self.input_tokens = self.input_tokens.saturating_add(usage.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(usage.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(usage.output_tokens);
        match usage.cost_usd_millionths {
            Some(cost) => self.cost_usd_millionths = self.cost_usd_millionths.saturating_add(cost),
            None => self.unknown = self.unknown.saturating_add(1),
        }
    }

    /// The same with those of a run below this one.
    pub fn with(&mut self, below: &Total) {
        self.input_tokens = self.input_tokens.saturating_add(below.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(below.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(below.output_tokens);
        self.cost_usd_millionths = self.cost_usd_millionths.saturating_add(below.cost_usd_millionths);
        self.unknown = self.unknown.saturating_add(below.unknown);
    }

    /// What is known of its cost, for people.
    pub fn cost(&self) -> String {
        match (self.cost_usd_millionths, self.unknown) {
            (0, 0) => "$0".to_owned(),
            (known, 0) => dollars(known),
            (0, _) => "unknown".to_owned(),
            (known, unknown) => format!("{} and {unknown} unknown", dollars(known)),
        }
    }
}

/// Dollars as people write them: whole cents, or as much as there is of less.
pub fn dollars(millionths: u64) -> String {
    let cents = millionths.div_ceil(10_000);
    if millionths >= 10_000 {
        return format!("${}.{:02}", cents / 100, cents % 100);
    }
    let text = format!("{:06}", millionths);
    format!("$0.{}", text.trim_end_matches('0').to_owned() + if millionths == 0 { "0" } else { "" })
}

impl Usage {
    /// The same with its cost: as the document says, as the tool said, or by the table of prices.
    pub fn priced(mut self, model: &ModelPlan, local: bool) -> Usage {
        if let Some(cost) = model.cost {
            self.cost_usd_millionths = self.by_plan(cost);
        } else if local {
            self.cost_usd_millionths = Some(0);
        } else if self.cost_usd_millionths.is_none() {
            self.cost_usd_millionths =
                price::of(&model.profile, model.model.as_deref()).map(|price| self.at(price));
        }
        self
    }

    fn by_plan(&self, cost: CostPlan) -> Option<u64> {
        match cost {
            CostPlan::PerSession(usd) => price::millionths(usd),
            CostPlan::PerMillionTokens { input, output, cached } => {
                let input = input?;
                let price = price::Price {
                    input: price::millionths(input)?,
                    output: price::millionths(output?)?,
                    cached: price::millionths(cached.unwrap_or(input))?,
                };
                Some(self.at(price))
            }
        }
    }

    fn at(&self, price: price::Price) -> u64 {
        let part = |tokens: u64, millionths: u64| u128::from(tokens) * u128::from(millionths);
        let sum = part(self.input_tokens, price.input)
            + part(self.output_tokens, price.output)
            + part(self.cached_tokens, price.cached);
        u64::try_from(sum.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_said_and_never_counts_as_nothing() {
        let mut total = Total::default();
        assert_eq!(total.cost(), "$0");
        total.add(None);
        assert_eq!(total.cost(), "unknown");
        let usage = Usage { input_tokens: 10, cost_usd_millionths: Some(1_234_567), ..Usage::default() };
        total.add(Some(&usage));
        assert_eq!(total.cost(), "$1.24 and 1 unknown");
        total.add(Some(&Usage { cost_usd_millionths: None, ..usage }));
        assert_eq!((total.input_tokens, total.unknown), (20, 2));
    }

    #[test]
    fn small_sums_are_not_rounded_away() {
        for (millionths, text) in [
            (1, "$0.000001"),
            (9_999, "$0.009999"),
            (10_000, "$0.01"),
            (10_001, "$0.02"),
            (12_345_678, "$12.35"),
        ] {
            assert_eq!(dollars(millionths), text);
        }
    }
}
