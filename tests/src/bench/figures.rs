//! Figures of several rounds, and the table they are printed in.

use std::fmt::Write as _;
use std::fs;

/// The table's first lines.
pub(super) const HEAD: &str =
    "| what | niia | spread | limit | ratio | tmux | goal | met |\n|---|---|---|---|---|---|---|---|";

/// One figure a round.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds(Vec<f64>);

impl Rounds {
    pub(super) fn of(count: usize, mut measure: impl FnMut() -> f64) -> Rounds {
        Rounds((0..count).map(|_| measure()).collect())
    }

    pub(super) fn push(&mut self, figure: f64) {
        self.0.push(figure);
    }

    pub(super) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// From the lowest to the highest, in hundredths of the median.
    fn spread(&self) -> f64 {
        let low = self.0.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        100.0 * (high - low) / self.median()
    }
}

/// What is hoped for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Goal {
    /// At most so many times the limit.
    TimesLimit(f64),
    AtMost(f64),
    AtLeast(f64),
    /// No more than tmux, where there is one.
    Tmux,
}

/// One line of the table.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) what: String,
    pub(super) unit: &'static str,
    pub(super) niia: Rounds,
    pub(super) limit: Option<Rounds>,
    pub(super) tmux: Option<Rounds>,
    pub(super) goal: Goal,
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        self.limit.as_ref().map(|limit| self.niia.median() / limit.median())
    }

    pub(super) fn is_met(&self) -> bool {
        self.missed_by().is_none_or(|missed| missed <= 0.0)
    }

    /// How far behind the goal, in hundredths of it; nothing where it cannot be said.
    fn missed_by(&self) -> Option<f64> {
        let niia = self.niia.median();
        let above = |goal: f64| 100.0 * (niia / goal - 1.0);
        match self.goal {
            Goal::TimesLimit(times) => self.limit.as_ref().map(|limit| above(times * limit.median())),
            Goal::AtMost(most) => Some(above(most)),
            Goal::AtLeast(least) => Some(100.0 * (1.0 - niia / least)),
            Goal::Tmux => self.tmux.as_ref().map(|tmux| above(tmux.median())),
        }
    }

    pub(super) fn line(&self) -> String {
        let figure =
            |rounds: Option<&Rounds>| rounds.map_or("–".to_owned(), |r| short(r.median(), self.unit));
        let ratio = self.ratio().map_or("–".to_owned(), |ratio| format!("{ratio:.2}"));
        let goal = match self.goal {
            Goal::TimesLimit(times) => format!("≤ {times} × limit"),
            Goal::AtMost(most) => format!("≤ {}", short(most, self.unit)),
            Goal::AtLeast(least) => format!("≥ {}", short(least, self.unit)),
            Goal::Tmux => "≤ tmux".to_owned(),
        };
        let met = match self.missed_by() {
            None => "–".to_owned(),
            Some(missed) if missed <= 0.0 => "yes".to_owned(),
            Some(missed) => format!("no, by {missed:.0} %"),
        };
        let (niia, limit, tmux) =
            (figure(Some(&self.niia)), figure(self.limit.as_ref()), figure(self.tmux.as_ref()));
        let spread = self.niia.spread();
        format!("| {} | {niia} | {spread:.0} % | {limit} | {ratio} | {tmux} | {goal} | {met} |", self.what)
    }
}

fn short(figure: f64, unit: &str) -> String {
    if figure >= 100.0 { format!("{figure:.0} {unit}") } else { format!("{figure:.3} {unit}") }
}

/// Where this was measured.
pub(super) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let mut text = format!("{} cores,{}", cores, model.trim_start_matches(['\t', ' ', ':']).trim());
    let _ = write!(text, ", Linux {}", read("/proc/sys/kernel/osrelease").trim());
    let _ = write!(text, ", load {}", read("/proc/loadavg").split(' ').next().unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(goal: Goal) -> Row {
        let rounds = |figures: &[f64]| Rounds(figures.to_vec());
        let (limit, tmux) = (Some(rounds(&[2.0, 1.0, 1.5])), None);
        Row { what: "starts".to_owned(), unit: "s", niia: rounds(&[3.0, 2.0, 4.0]), limit, tmux, goal }
    }

    #[test]
    fn a_line_has_the_median_the_spread_the_ratio_and_by_how_much_a_goal_is_missed() {
        let line = "| starts | 3.000 s | 67 % | 1.500 s | 2.00 | – | ≤ 2 × limit | yes |";
        assert_eq!(row(Goal::TimesLimit(2.0)).line(), line);
        assert!(row(Goal::AtMost(2.0)).line().ends_with("| ≤ 2.000 s | no, by 50 % |"));
        assert!(row(Goal::AtLeast(6.0)).line().ends_with("| ≥ 6.000 s | no, by 50 % |"));
        assert!(row(Goal::Tmux).line().ends_with("| ≤ tmux | – |"));
    }
}
