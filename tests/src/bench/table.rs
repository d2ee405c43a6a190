//! A row of the table: medians with their noise, the ratio to the limit, and the bar.

/// What the first version is to reach.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// So many times the bare limit.
    TimesLimit(f64),
    /// At least so much of the bare limit.
    PartOfLimit(f64),
    /// As little as tmux.
    Tmux,
    /// Nothing is asked of it yet.
    Shown,
}

/// One figure, measured some times.
#[derive(Debug)]
pub struct Row {
    pub name: &'static str,
    pub unit: &'static str,
    pub niia: Vec<f64>,
    pub limit: Vec<f64>,
    pub tmux: Vec<f64>,
    pub bar: Bar,
}

/// The middle of what was measured, and half of the way from the least to the most.
fn median(values: &[f64]) -> Option<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (least, most) = (sorted.first()?, sorted.last()?);
    Some((sorted[sorted.len() / 2], (most - least) / 2.0))
}

fn figure(values: &[f64]) -> String {
    median(values).map_or("–".to_owned(), |(middle, noise)| format!("{} ± {}", short(middle), short(noise)))
}

/// Three figures are more than the noise leaves.
fn short(value: f64) -> String {
    match value.abs() {
        0.0..0.1 => format!("{value:.3}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn head() {
    println!("| what | niia | limit | tmux | × limit | first | met |\n|---|---|---|---|---|---|---|");
}

impl Row {
    pub fn new(name: &'static str, unit: &'static str, bar: Bar) -> Row {
        Row { name, unit, niia: Vec::new(), limit: Vec::new(), tmux: Vec::new(), bar }
    }

    pub fn print(&self) {
        let ratio = match (median(&self.niia), median(&self.limit)) {
            (Some((own, _)), Some((limit, _))) if limit > 0.0 => format!("{:.2}", own / limit),
            _ => "–".to_owned(),
        };
        let (wanted, met) = self.judged();
        println!(
            "| {}, {} | {} | {} | {} | {ratio} | {wanted} | {met} |",
            self.name,
            self.unit,
            figure(&self.niia),
            figure(&self.limit),
            figure(&self.tmux)
        );
    }

    fn judged(&self) -> (String, String) {
        let own = median(&self.niia).map_or(f64::NAN, |(middle, _)| middle);
        let (bar, least, words) = match self.bar {
            Bar::AtMost(bar) => (Some(bar), false, format!("≤ {}", short(bar))),
            Bar::AtLeast(bar) => (Some(bar), true, format!("≥ {}", short(bar))),
            Bar::TimesLimit(times) => {
                (median(&self.limit).map(|(limit, _)| limit * times), false, format!("≤ {times} × limit"))
            }
            Bar::PartOfLimit(part) => {
                (median(&self.limit).map(|(limit, _)| limit * part), true, format!("≥ {part} × limit"))
            }
            Bar::Shown => return ("–".to_owned(), "–".to_owned()),
            Bar::Tmux => (median(&self.tmux).map(|(tmux, _)| tmux), false, "≤ tmux".to_owned()),
        };
        let met = match bar {
            None => "not measured".to_owned(),
            Some(bar) if (own >= bar) == least || own == bar => "yes".to_owned(),
            Some(bar) => format!("no: {:.2} ×", own / bar),
        };
        (words, met)
    }
}
