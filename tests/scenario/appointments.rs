//! Documents that run by themselves: at their times, under a clock that is handed in and set; and when something happens.

use std::time::{SystemTime, UNIX_EPOCH};

use niia_tests::{House, Repository, wait_until};
use serde_json::{Value, json};

use super::SOON;

const DAY: i64 = 86_400;
const HOUR: i64 = 3_600;

/// A node with a clock of its own, which is this machine's until it is set.
pub(super) struct Clock<'a> {
    house: &'a House,
    file: String,
    /// Midnight of today, in UTC.
    pub today: i64,
}

pub(super) fn seconds_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

impl<'a> Clock<'a> {
    pub fn new(house: &'a House) -> Clock<'a> {
        let file = house.file("clock", "0").display().to_string();
        Clock { house, file, today: seconds_now() / DAY * DAY }
    }

    pub fn start_node(&self) {
        let call = self.house.niia(["daemon", "start"]).env("NIIA_CLOCK", &self.file).env("TZ", "UTC");
        let _ = call.run().exits(0);
    }

    /// From here on it is this time on the day with this number, counted from today.
    pub fn set(&self, day: i64, hour: i64, minute: i64) {
        let at = self.today + day * DAY + hour * HOUR + minute * 60;
        let ahead = at - seconds_now();
        std::fs::write(&self.file, ahead.to_string()).unwrap();
    }
}

impl Clock<'_> {
    /// Waits until the node has seen this time.
    fn is_looked_at(&self, name: &str, day: i64, hour: i64, minute: i64) {
        let at = self.today + day * DAY + hour * HOUR + minute * 60;
        wait_until("the node looks at the clock", SOON, || {
            let looked = kept(self.house, name)["looked_at_ms"].as_i64()? / 1000;
            (looked >= at && looked < at + 30).then_some(())
        });
    }
}

pub(super) fn kept(house: &House, name: &str) -> Value {
    let said = house.niia(["schedule", "ls", name, "--json"]).run().exits(0);
    said.json()
}

/// The firings of a kept document, each in one word.
fn firings(house: &House, name: &str) -> Vec<String> {
    let kept = kept(house, name);
    let each = kept["firings"].as_array().unwrap().iter();
    each.map(|firing| firing["came"].as_object().unwrap().keys().next().unwrap().clone()).collect()
}

pub(super) fn last_run(house: &House, name: &str) -> Option<String> {
    let kept = kept(house, name);
    let mut runs =
        kept["firings"].as_array()?.iter().filter_map(|firing| firing["came"]["run"]["run"].as_str());
    runs.next_back().map(str::to_owned)
}

/// How many runs there have been, of whatever document.
fn runs(house: &House) -> usize {
    house.niia(["runs", "--json", "-n", "1000"]).run().exits(0).json().as_array().unwrap().len()
}

fn nightly(house: &House, schedule: &Value) -> String {
    let document = json!({
        "name": "nightly",
        "schedule": schedule,
        "models": { "note": { "use": "command", "args": ["sh", "-c", "echo one >> \"$HOME/fired\"; pwd"] } },
        "pipeline": { "phases": [{ "name": "work", "model": "note" }] }
    });
    house.document("nightly", &document).display().to_string()
}

fn fired(house: &House) -> usize {
    std::fs::read_to_string(house.at("home/fired")).unwrap_or_default().lines().count()
}

fn wait_fired(house: &House, times: usize) {
    wait_until("it has fired", SOON, || (fired(house) >= times).then_some(()));
}

fn add(house: &House, project: &Repository, document: &str) {
    let said =
        house.niia(["schedule", "add", document]).inside(project.path()).env("TZ", "UTC").run().exits(0);
    assert!(said.out.starts_with("kept `"), "{}", said.out);
}

#[test]
fn a_kept_document_runs_at_its_time_in_its_folder_and_can_be_run_now_and_forgotten() {
    let house = House::new();
    let project = house.repository("project");
    let clock = Clock::new(&house);
    clock.set(1, 12, 0);
    clock.start_node();
    add(&house, &project, &nightly(&house, &json!("0 3 * * *")));
    let view = kept(&house, "nightly");
    let next: Vec<i64> =
        view["next"].as_array().unwrap().iter().map(|at| at[0].as_i64().unwrap() / 1000).collect();
    let at = |day| clock.today + day * DAY + 3 * HOUR;
    assert_eq!(next, [at(2), at(3), at(4)], "the next three times");
    clock.set(2, 3, 0);
    wait_fired(&house, 1);
    let run = wait_until("its run is known", SOON, || last_run(&house, "nightly"));
    let status = house.wait_over(&run, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
    assert_eq!(status["origin"].as_str().unwrap(), project.path().display().to_string());
    let shown = house.niia(["schedule", "ls"]).run().exits(0).out;
    assert!(shown.contains("nightly") && shown.contains(" done") && shown.contains("03:00 UTC"), "{shown}");
    let said = house.niia(["schedule", "run-now", "nightly"]).run().exits(0);
    assert_eq!(house.wait_over(&said.run_id(), SOON)["state"], "done");
    assert_eq!(fired(&house), 2);
    let _ = house.niia(["schedule", "rm", "nightly"]).run().exits(0);
    let shown = house.niia(["schedule", "ls"]).run().exits(0).out;
    assert!(shown.contains("nothing is kept"), "{shown}");
    let said = house.niia(["schedule", "run-now", "nightl"]).run().exits(2);
    assert!(said.err.contains("no document `nightl`"), "{}", said.err);
    assert!(!house.at("state/kept/nightly").exists(), "its variables are forgotten");
}

#[test]
fn what_was_missed_while_no_node_ran_is_recorded_and_made_up_for_once_where_the_document_says_so() {
    for (catch_up, times) in [("skip", 0), ("once", 1)] {
        let house = House::new();
        let project = house.repository("project");
        let clock = Clock::new(&house);
        clock.set(1, 12, 0);
        clock.start_node();
        add(&house, &project, &nightly(&house, &json!({ "cron": "0 3 * * *", "catch_up": catch_up })));
        let _ = house.niia(["daemon", "stop"]).run().exits(0);
        clock.set(4, 12, 0);
        clock.start_node();
        let came = wait_until("it is recorded", SOON, || {
            let came = firings(&house, "nightly");
            (came.len() > times).then_some(came)
        });
        assert_eq!(came[0], "missed", "{came:?}");
        wait_fired(&house, times);
        assert_eq!(kept(&house, "nightly")["firings"][0]["came"]["missed"]["count"], 3);
        clock.set(5, 3, 0);
        wait_fired(&house, times + 1);
        assert_eq!(fired(&house), times + 1, "{catch_up}");
    }
}

#[test]
fn clocks_that_are_set_by_a_day_fire_nothing_twice() {
    let house = House::new();
    let project = house.repository("project");
    let clock = Clock::new(&house);
    clock.set(1, 2, 59);
    clock.start_node();
    add(&house, &project, &nightly(&house, &json!("0 3 * * *")));
    clock.set(1, 3, 0);
    wait_fired(&house, 1);
    // A day back: the same three o'clock comes again.
    for (day, hour, minute) in [(0, 2, 59), (0, 3, 0), (1, 2, 0), (1, 3, 0)] {
        clock.set(day, hour, minute);
        clock.is_looked_at("nightly", day, hour, minute);
    }
    assert_eq!(fired(&house), 1, "once, whatever the clock does");
    // A day ahead: what the clock jumped over is missed, and the next night is the next.
    clock.set(2, 12, 0);
    wait_until("it is missed", SOON, || {
        firings(&house, "nightly").contains(&"missed".to_owned()).then_some(())
    });
    clock.set(3, 3, 0);
    wait_fired(&house, 2);
    assert_eq!(fired(&house), 2);
}

#[test]
fn a_node_that_is_killed_between_the_decision_and_the_run_begins_it_once() {
    for point in ["schedule.decided", "accept.before_begin", "accept.after_begin", "schedule.begun"] {
        let house = House::new();
        let project = house.repository("project");
        let clock = Clock::new(&house);
        clock.set(1, 2, 0);
        clock.start_node();
        add(&house, &project, &nightly(&house, &json!("0 3 * * *")));
        let _ = house.niia(["daemon", "stop"]).run().exits(0);
        let call = house.niia(["daemon", "start"]).env("NIIA_CLOCK", &clock.file).env("TZ", "UTC");
        let _ = call.env("NIIA_FAIL_POINT", point).run().exits(0);
        let node = house.node();
        clock.set(1, 3, 0);
        wait_until("the node is gone", SOON, || {
            house.residents().iter().all(|resident| resident.id != node).then_some(())
        });
        clock.start_node();
        wait_fired(&house, 1);
        let run = wait_until("its run is known", SOON, || last_run(&house, "nightly"));
        assert_eq!(house.wait_over(&run, SOON)["state"], "done", "{point}");
        assert_eq!((fired(&house), runs(&house)), (1, 1), "{point}");
    }
}

#[test]
fn a_firing_while_the_last_run_goes_on_is_skipped_or_waits_as_the_document_says() {
    for (overlap, word, times) in [("skip", "skipped", 1), ("queue", "run", 2)] {
        let house = House::new();
        let project = house.repository("project");
        let clock = Clock::new(&house);
        let go = house.at("go").display().to_string();
        let script = format!("echo one >> \"$HOME/fired\"; until [ -e {go} ]; do sleep 0.1; done");
        let document = json!({
            "name": "slow",
            "schedule": { "cron": "0 * * * *", "overlap": overlap },
            "models": { "slow": { "use": "command", "args": ["sh", "-c", script] } },
            "pipeline": { "phases": [{ "name": "work", "model": "slow" }] }
        });
        clock.set(1, 2, 59);
        clock.start_node();
        add(&house, &project, &house.document("slow", &document).display().to_string());
        clock.set(1, 3, 0);
        wait_fired(&house, 1);
        clock.set(1, 4, 0);
        wait_until("the second time is dealt with", SOON, || {
            let view = kept(&house, "slow");
            (view["waiting"] == 1 || view["firings"].as_array().unwrap().len() == 2).then_some(())
        });
        assert_eq!(fired(&house), 1);
        let _ = house.file("go", "");
        wait_fired(&house, times);
        wait_until("all is over", SOON, || (kept(&house, "slow")["runs"] == json!([])).then_some(()));
        assert_eq!(firings(&house, "slow").last().unwrap(), word);
        assert_eq!(fired(&house), times, "{overlap}");
    }
}

#[test]
fn a_document_with_nothing_to_wait_for_is_not_kept_and_agents_keep_none() {
    let house = House::new();
    let project = house.repository("project");
    let phases = json!({ "phases": [{ "name": "work", "model": "sh" }] });
    let models = json!({ "sh": { "use": "command", "args": ["sh", "-c", "niia schedule ls; niia trigger git.push; niia schedule rm x"] } });
    let plain = house.document("plain", &json!({ "models": models, "pipeline": phases }));
    let call = house.niia(["schedule".as_ref(), "add".as_ref(), plain.as_os_str()]).inside(project.path());
    let said = call.run().exits(2);
    assert!(said.err.contains("neither a `schedule` nor a `trigger`"), "{}", said.err);
    let run = house.detach(project.path(), &plain);
    let _ = house.wait_over(&run, SOON);
    let sessions = house.sessions(&run);
    let printed = String::from_utf8_lossy(&house.recording(&sessions[0])).into_owned();
    assert!(printed.matches("not for programs inside a session").count() == 3, "{printed}");
}

fn listener(house: &House, trigger: &Value) -> String {
    let script = "cat \"$NIIA_EVENT\"; echo \"$NIIA_EVENT\" >> \"$HOME/fired\"";
    let document = json!({
        "name": "listener",
        "trigger": trigger,
        "models": { "note": { "use": "command", "args": ["sh", "-c", script] } },
        "pipeline": { "phases": [
            { "name": "always", "model": "note" },
            { "name": "loud", "model": "note", "condition": "event.volume > 10" }
        ] }
    });
    house.document("listener", &document).display().to_string()
}

#[test]
fn an_event_begins_what_waits_for_it_as_far_as_its_filter_lets_it_and_is_data() {
    let house = House::new();
    let project = house.repository("project");
    let trigger = json!([{ "event": "webhook.song", "filter": "event.title != 'silence'" }, "git.push"]);
    add(&house, &project, &listener(&house, &trigger));
    let tell = |payload: &str| {
        let call = house.niia(["trigger", "webhook.song", "--payload", "-"]).input(payload.as_bytes());
        call.run().exits(0).out
    };
    let said = tell("{\"title\": \"loud\", \"volume\": 11}");
    let run = said.trim().strip_prefix("listener: run ").unwrap_or_else(|| panic!("{said}")).to_owned();
    let status = house.wait_over(&run, SOON);
    assert_eq!(status["state"], "done", "{status:#}");
    assert_eq!(status["phases"][1]["outcome"], "done", "a condition sees the event");
    assert!(house.report(&run).contains("\"volume\": 11"), "a program reads it as a file");
    let said = tell("{\"title\": \"soft\", \"volume\": 1}");
    let run = said.trim().strip_prefix("listener: run ").unwrap().to_owned();
    assert!(house.wait_over(&run, SOON)["phases"][1]["outcome"].to_string().contains("skipped"));
    assert!(tell("{\"title\": \"silence\"}").contains("its filter does not hold"));
    let broken = house.niia(["trigger", "webhook.song", "--payload", "-"]).input(b"{}").run().exits(1);
    assert!(broken.out.contains("its filter cannot be worked out"), "{}", broken.out);
    let said = house.niia(["trigger", "webhook.other"]).run().exits(0).out;
    assert!(said.contains("no kept document waits for this"), "{said}");
    let said = house.niia(["trigger", "webhook..song"]).run().exits(2).err;
    assert!(said.contains("is no event"), "{said}");
}

#[test]
fn in_ci_a_document_runs_for_the_event_it_waits_for_and_not_for_another() {
    let house = House::new();
    let project = house.repository("project");
    let document = listener(&house, &json!({ "event": "github.pr.opened", "filter": "event.number == 7" }));
    let payload = |action: &str, number: u32| {
        let text =
            json!({ "action": action, "number": number, "pull_request": {}, "repository": {}, "volume": 1 });
        house.file("event.json", &text.to_string()).display().to_string()
    };
    let run = |file: &str| {
        let call = house.niia(["run", &document, "--event", file]).inside(project.path());
        call.env("GITHUB_EVENT_NAME", "pull_request").run().exits(0)
    };
    let said = run(&payload("opened", 7));
    let _ = said.run_id();
    for (action, number) in [("opened", 8), ("closed", 7), ("labeled", 7)] {
        let said = run(&payload(action, number));
        assert!(
            said.err.contains("was not run") && said.out.is_empty(),
            "{action}: {}{}",
            said.out,
            said.err
        );
    }
    assert_eq!(runs(&house), 1);
}

#[test]
fn the_node_sees_commits_pushes_and_changed_files_of_the_places_of_kept_documents() {
    let house = House::new();
    let project = house.repository("project");
    let far = house.at("far.git");
    let _ = project.git(["init", "-q", "--bare", far.to_str().unwrap()]);
    let _ = project.git(["remote", "add", "origin", far.to_str().unwrap()]);
    add(&house, &project, &listener(&house, &json!(["git.commit", "git.push", "file.changed"])));
    // The run of the n-th event of a kind, once it is over.
    let told = |word: &str, nth: usize| {
        let run = wait_until("it has begun", SOON, || {
            let view = kept(&house, "listener");
            let of_word = view["firings"]
                .as_array()?
                .iter()
                .filter(|firing| firing["occasion"].as_str().unwrap().contains(word));
            let runs: Vec<String> = of_word
                .filter_map(|firing| Some(firing["came"]["run"]["run"].as_str()?.to_owned()))
                .collect();
            runs.get(nth - 1).cloned()
        });
        let _ = house.wait_over(&run, SOON);
        house.report(&run)
    };
    // The first look is at what there is; so it is changed until a change is seen.
    let mut times = 0;
    wait_until("a change is seen", SOON, || {
        times += 1;
        std::fs::write(project.path().join("new.txt"), "new".repeat(times)).unwrap();
        let seen = !kept(&house, "listener")["firings"].as_array().unwrap().is_empty();
        std::thread::park_timeout(std::time::Duration::from_secs(5));
        seen.then_some(())
    });
    assert!(told("file.changed", 1).contains("new.txt"));
    let _ = project.git(["add", "-A"]);
    let _ = project.git(["commit", "-q", "-m", "a new file"]);
    assert!(told("git.commit", 1).contains("a new file"));
    let _ = project.git(["push", "-q", "origin", "HEAD:main"]);
    assert!(told("git.push", 1).contains("origin/main"));
    // What happens while no node runs is seen by the next one.
    let _ = house.niia(["daemon", "stop"]).run().exits(0);
    std::fs::write(project.path().join("new.txt"), "newer").unwrap();
    let _ = project.git(["commit", "-q", "-a", "-m", "while nobody looked"]);
    let _ = house.niia(["daemon", "start"]).run().exits(0);
    assert!(told("git.commit", 2).contains("while nobody looked"));
}
