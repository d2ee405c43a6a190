//! What holds of every attempt that is handed over, whatever breaks: thousands of worlds from a seed.
//!
//! `NIIA_HANDOVER_SEEDS=100000 cargo test -p niia-net handover` looks at more of them; `NIIA_HANDOVER_SEED` at one.

use super::world::{OnLost, Outcome, Weather, World};

/// Worlds of one ordinary run of the tests.
const SEEDS: u64 = 1_000;
/// How long it may take after the last misfortune until nothing is left: the longest pauses, and a few leases.
const PATIENCE: u64 = 10 * 60 * 1_000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn weather(random: &mut fastrand::Rng) -> Weather {
    Weather {
        on_lost: [OnLost::Wait, OnLost::Restart, OnLost::Fail][random.usize(..3)],
        grace: random.u64(0..60_000),
        orphan: random.u64(30_000..600_000),
        breaks: random.u32(0..120),
        deaths: random.u32(0..60),
        worst: [2_000, 12_000, 60_000][random.usize(..3)],
        work: random.u64(0..120_000),
        letters: random.u32(0..4),
        cancelled_at: random.bool().then(|| random.u64(0..120_000)).filter(|_| random.u8(..3) == 0),
        calm_at: random.u64(0..300_000),
    }
}

fn played(seed: u64) -> (Weather, World) {
    let weather = weather(&mut fastrand::Rng::with_seed(seed));
    let mut world = World::new(weather, seed);
    while !world.is_quiet() && world.now() < weather.calm_at + weather.orphan + PATIENCE {
        world.step();
    }
    (weather, world)
}

fn check(seed: u64) {
    let (weather, world) = played(seed);
    let (home, far) = (&world.home, &world.far);
    let said = || format!("NIIA_HANDOVER_SEED={seed}: {weather:?}\n{}", world.log());
    assert!(world.is_quiet(), "it comes to an end, and nothing is left: {}", said());
    assert!(far.begun.values().all(|times| *times == 1), "no attempt is begun twice: {}", said());
    let mut recorded: Vec<u32> = home.recorded.iter().map(|(attempt, _)| *attempt).collect();
    recorded.dedup();
    assert_eq!(recorded.len(), home.recorded.len(), "each attempt ends once: {}", said());
    let results = home.recorded.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Result(_)));
    assert!(results.count() <= 1, "one attempt is effective: {}", said());
    for (attempt, outcome) in &home.recorded {
        if let Outcome::Result(of) = outcome {
            assert!(of == attempt && far.begun.contains_key(of), "what is applied was made: {}", said());
        }
    }
    if weather.on_lost == OnLost::Wait && weather.cancelled_at.is_none() {
        assert_eq!(home.outcome, Some(Outcome::Result(1)), "what is waited for comes: {}", said());
    }
    for letter in &far.taken {
        assert!(home.mailbox.contains_key(letter), "a letter that was taken is there: {}", said());
    }
    if let Some(Outcome::Result(attempt)) = home.outcome
        && weather.cancelled_at.is_none()
        && !far.orphaned.contains(&attempt)
    {
        let letters = home.mailbox.keys().filter(|(of, _)| *of == attempt).count();
        let sent = usize::try_from(weather.letters).unwrap();
        assert_eq!(letters, sent, "no letter is lost or doubled: {}", said());
    }
    assert!(far.most <= 4, "no more is kept than was given: {}", said());
}

#[test]
fn whatever_breaks_one_attempt_counts_and_nothing_is_lost_doubled_or_left() {
    if let Some(seed) = number("NIIA_HANDOVER_SEED") {
        return check(seed);
    }
    let seeds = number("NIIA_HANDOVER_SEEDS").unwrap_or(SEEDS);
    (0..seeds).for_each(check);
}

#[test]
fn the_worlds_are_bad_enough_to_see_every_ending() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..600 {
        let (_, world) = played(seed);
        seen.extend(world.home.recorded.iter().map(|(attempt, outcome)| {
            let kind = format!("{outcome:?}");
            (kind.split('(').next().unwrap_or_default().to_owned(), (*attempt).min(3))
        }));
    }
    for ending in ["Result", "Lost"] {
        for attempt in 1..=3 {
            assert!(seen.contains(&(ending.to_owned(), attempt)), "{ending} of {attempt}: {seen:?}");
        }
    }
    assert!(seen.contains(&("Cancelled".to_owned(), 1)), "{seen:?}");
}
