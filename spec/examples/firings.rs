//! Prints every firing of the lines and zones of `tests/firings`, for `tests/firings/make` to compare with croniter's.

use jiff::civil::date;
use niia_spec::schedule::{Schedule, zone};

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn main() {
    let zones = include_str!("../tests/firings/zones.txt");
    let lines = include_str!("../tests/firings/lines.txt");
    for name in words(zones) {
        for line in words(lines) {
            let (Some(zone), Ok(schedule)) = (zone(name), Schedule::parse(line)) else {
                eprintln!("{name} {line}: no zone or no schedule");
                continue;
            };
            let start = |year| date(year, 1, 1).to_zoned(zone.clone()).map(|start| start.timestamp());
            let (Ok(start), Ok(end)) = (start(2010), start(2030)) else { continue };
            let mut times = Vec::new();
            let mut at = start.saturating_sub(jiff::SignedDuration::from_secs(1)).unwrap_or(start);
            while let Some(next) = schedule.next_after(at, &zone).filter(|next| *next < end) {
                times.push(next.as_second().to_string());
                at = next;
            }
            println!("{name}\t{line}\t{}", times.join(" "));
        }
    }
}
