//! A mesh whose agents write to one another at random while the node is killed again and again: no letter is lost, none
//! comes twice, and those of one writer to one reader come in their order.
//!
//! `NIIA_STORM=50,10000,10 cargo test -p niia-tests --test all storm -- --nocapture` is the whole of it: agents, letters,
//! kills. Without the variable it is a breeze.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use niia_tests::House;
use niia_tests::stand_in::storm::agent;
use serde_json::{Value, json};

/// A whole storm takes some minutes on two cores.
const OVER_WITHIN: Duration = Duration::from_secs(1_500);

struct Size {
    agents: usize,
    letters: usize,
    kills: usize,
}

impl Size {
    fn of_this_time() -> Size {
        let text = std::env::var("NIIA_STORM").unwrap_or_else(|_| "6,180,3".to_owned());
        let numbers: Vec<usize> = text.split(',').map(|number| number.parse().unwrap()).collect();
        let [agents, letters, kills] = numbers[..] else { panic!("NIIA_STORM=AGENTS,LETTERS,KILLS") };
        Size { agents, letters, kills }
    }
}

fn document(house: &House, size: &Size) -> std::path::PathBuf {
    let agents: Vec<Value> = (0..size.agents)
        .map(|number| json!({ "id": agent(number), "model": "claude", "prompt": "Write." }))
        .collect();
    let limits = json!({ "max_messages": size.letters * 2, "max_turns": size.agents * 20 });
    house.document(
        "storm",
        &json!({ "name": "storm", "limits": limits, "pipeline": { "phases": [
            { "name": "net", "type": "mesh", "agents": agents, "quiet_ms": 500,
              "communication": { "any_to_any": true } } ] } }),
    )
}

/// The lines of every agent's file of this kind.
fn lines(folder: &Path, kind: &str, size: &Size) -> BTreeMap<String, Vec<String>> {
    let read = |name: &String| {
        let text = std::fs::read_to_string(folder.join(format!("{kind}-{name}"))).unwrap_or_default();
        // The last line may not be written to its end yet.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(str::to_owned).collect()
    };
    (0..size.agents).map(agent).map(|name| (name.clone(), read(&name))).collect()
}

fn count(lines: &BTreeMap<String, Vec<String>>) -> usize {
    lines.values().map(Vec::len).sum()
}

#[test]
fn no_letter_is_lost_doubled_or_out_of_order_in_a_storm_with_kills() {
    let size = Size::of_this_time();
    let house = House::new().leaving_within(Duration::from_secs(60));
    let project = house.repository("project");
    let folder = house.at("storm");
    std::fs::create_dir(&folder).unwrap();
    let each = size.letters / size.agents;
    house.install("claude", &format!("storm {} {} {each}\nsay done\n", folder.display(), size.agents));
    let run = house.detach(project.path(), &document(&house, &size));
    let all = each * size.agents;
    let began = Instant::now();
    let mut killed = 0;
    loop {
        let came = count(&lines(&folder, "came", &size));
        let sent = lines(&folder, "sent", &size);
        // A kill after each part of the letters that come.
        if killed < size.kills && came * (size.kills + 1) >= all * (killed + 1) {
            house.kill(house.node());
            killed += 1;
        }
        let there = sent.values().all(|lines| lines.len() == each);
        let good = sent.values().flatten().filter(|line| line.ends_with(" sent")).count();
        if there && came >= good && killed == size.kills {
            break;
        }
        assert!(began.elapsed() < OVER_WITHIN, "{came} of {all} came; {:#}", house.status(&run));
        // Whoever asks starts the node again.
        let _ = house.niia(["daemon", "start"]).run();
        std::thread::sleep(Duration::from_millis(100));
    }
    let took = began.elapsed();
    house.file("storm/over", "");
    assert_eq!(house.wait_over(&run, Duration::from_secs(120))["state"], "done");
    let (sent, came) = (lines(&folder, "sent", &size), lines(&folder, "came", &size));
    let unknown = check(&sent, &came);
    receipts(&house, &run, all, unknown.len());
    println!(
        "storm: {} agents, {all} letters, {killed} kills in {took:.1?}: none lost, none doubled, in order; {} unknown",
        size.agents,
        unknown.len()
    );
}

/// What came is what was sent, once, in order; gives the letters whose sender was told that it is not known.
fn check(sent: &BTreeMap<String, Vec<String>>, came: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut good: BTreeSet<&str> = BTreeSet::new();
    let mut unknown: Vec<String> = Vec::new();
    for line in sent.values().flatten() {
        match line.split_once(' ') {
            Some((id, "sent")) => assert!(good.insert(id), "{id} was sent twice by its sender"),
            Some((id, word)) => {
                assert!(word.contains("node"), "{id} {word}");
                unknown.push(id.to_owned());
            }
            None => panic!("`{line}` is no note"),
        }
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (reader, ids) in came {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for id in ids {
            let parts: Vec<&str> = id.split('-').collect();
            let [from, to, number] = parts[..] else { panic!("`{id}` is no letter") };
            assert_eq!(to, reader, "{id} came to somebody else");
            assert!(seen.insert(id), "{id} came twice");
            let number: usize = number.parse().unwrap();
            let before = last.insert(from, number);
            assert!(before.is_none_or(|before| before < number), "{id} came after {before:?}");
        }
    }
    let lost: Vec<&&str> = good.difference(&seen).collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    let strange: Vec<&&str> =
        seen.difference(&good).filter(|id| !unknown.iter().any(|known| known == **id)).collect();
    assert!(strange.is_empty(), "nobody sent {strange:?}");
    unknown
}

/// The receipts say the same: every letter is read.
fn receipts(house: &House, run: &str, all: usize, unknown: usize) {
    let said = house.niia(["mailbox", "list", "--sent", "--json", "--run", run]).run().exits(0).json();
    let letters = said.as_array().unwrap();
    assert!(letters.len() <= all && letters.len() >= all - unknown, "{} of {all}", letters.len());
    let other: Vec<&Value> = letters.iter().filter(|letter| letter["fate"] != "read").collect();
    assert!(other.len() <= unknown, "{other:#?}");
}
