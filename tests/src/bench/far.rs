//! Two nodes on loopback: a session on the other one, a worker started there, and finding each other again.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use niia::config::Folders;
use niia::control::client::Client;
use niia::control::words::{Reply, Request};
use serde_json::json;

use super::echo::{KEYS, PAUSE, quantile};
use super::scene::{self, LIMIT};
use super::table::{Bar, Row};
use super::{bare, chores};
use crate::{Direction, House, Proxy, wait_until};

/// Copied over the connection while keys are typed.
const COPIED_BYTES: u64 = 1_000_000_000;
/// Longer than a lease: both ends have given the connection up.
const HOLE: Duration = Duration::from_secs(10);

/// A laptop, and a machine that may be used from it.
struct Pair {
    home: House,
    far: House,
    proxy: Proxy,
}

fn house(name: &str) -> House {
    let house = House::new().leaving_within(Duration::from_secs(60));
    let free = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    let free = free.unwrap_or_else(|error| panic!("no port: {error}"));
    let text = format!("[network]\nlisten = \"{free}\"\ndiscover = false\nname = \"{name}\"\n");
    drop(house.file("state/config/niia.toml", &text));
    house
}

fn address(house: &House) -> String {
    let text = std::fs::read_to_string(house.at("state/config/niia.toml")).unwrap_or_default();
    text.split('"').nth(1).unwrap_or_default().to_owned()
}

impl Pair {
    /// Directly, or through a proxy that is good until it is told otherwise.
    fn new(through: bool) -> Pair {
        let (home, far) = (house("home"), house("far"));
        let target = address(&far).parse().unwrap_or_else(|error| panic!("no address: {error}"));
        let proxy = Proxy::before(target, crate::Link::default(), 1)
            .unwrap_or_else(|error| panic!("no proxy: {error}"));
        let at = if through { proxy.address().to_string() } else { address(&far) };
        let fingerprint = |house: &House| {
            let said = house.niia(["peer", "ls", "--json"]).run().exits(0).json();
            said["fingerprint"].as_str().unwrap_or_default().to_owned()
        };
        let (of_far, of_home) = (fingerprint(&far), fingerprint(&home));
        drop(home.niia(["peer", "add", &at, "--name", "far", "--fingerprint", &of_far]).run().exits(0));
        let back = address(&home);
        drop(far.niia(["peer", "add", &back, "--name", "home", "--fingerprint", &of_home]).run().exits(0));
        Pair { home, far, proxy }
    }

    /// How often the two have found each other, as home's log says.
    fn linked(&self) -> usize {
        let log = std::fs::read_to_string(self.home.at("state/run/node.log")).unwrap_or_default();
        log.matches(" linked ").count()
    }

    /// A large file here, and its place in a folder that is open to this machine there.
    fn bulk(&self) -> (PathBuf, PathBuf) {
        let (file, folder) = (self.home.at("tmp/bulk"), self.far.at("tmp/copies"));
        let made = std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::File::create(&file)?.set_len(COPIED_BYTES));
        made.unwrap_or_else(|error| panic!("no file: {error}"));
        let open = folder.display().to_string();
        drop(self.far.niia(["peer", "allow", "home", "all", "--folder", &open]).run().exits(0));
        (file, folder.join("bulk"))
    }

    /// Copies it over the connection; megabytes a second.
    fn copied(&self, file: &Path, copy: &Path) -> f64 {
        // What lies there already is not written over.
        let _ = std::fs::remove_file(copy);
        let (from, to) = (file.display().to_string(), format!("far:{}", copy.display()));
        let began = Instant::now();
        drop(self.home.niia(["remote", "cp", &from, &to]).limit(LIMIT).run().exits(0));
        COPIED_BYTES as f64 / 1e6 / began.elapsed().as_secs_f64()
    }

    fn folders(house: &House) -> Folders {
        Folders { state: house.at("state"), config: house.at("config") }
    }
}

/// Sees a session as `niia remote attach` does: keys through the own node to the other one, what was printed back.
struct Viewer {
    client: Client,
    end: u64,
}

impl Viewer {
    async fn attach(folders: &Folders, machine: Option<&str>, session: &str) -> Viewer {
        let mut client = connected(folders, machine).await;
        let attach = Request::Attach { session: session.to_owned(), cols: 120, rows: 40, take: true };
        match client.ask(attach).await {
            Ok(Reply::Painted { offset, .. }) => Viewer { client, end: offset },
            other => panic!("could not attach: {other:?}"),
        }
    }

    async fn wait_for(&mut self, wanted: u64) {
        while self.end < wanted {
            match self.client.next().await {
                // Of another machine the bytes come along, ahead of the news.
                Ok(Some(Reply::Grew { end })) => self.end = self.end.max(end),
                Ok(Some(_)) => {}
                other => panic!("no news: {other:?}"),
            }
        }
    }

    async fn key(&mut self) -> f64 {
        std::thread::sleep(PAUSE);
        let (began, before) = (Instant::now(), self.end);
        let told = self.client.tell(Request::Keys { bytes: b"x".to_vec() }).await;
        told.unwrap_or_else(|error| panic!("no key: {error}"));
        self.wait_for(before + 1).await;
        began.elapsed().as_secs_f64() * 1e6
    }

    async fn keys(&mut self) -> Vec<f64> {
        let mut times = Vec::with_capacity(KEYS);
        for _ in 0..KEYS {
            times.push(self.key().await);
        }
        times
    }
}

async fn connected(folders: &Folders, machine: Option<&str>) -> Client {
    let mut client = Client::connect(folders).await.unwrap_or_else(|error| panic!("no node: {error}"));
    if let Some(machine) = machine {
        match client.ask(Request::Through { machine: machine.to_owned() }).await {
            Ok(Reply::Done) => {}
            other => panic!("not through: {other:?}"),
        }
    }
    client
}

fn on_a_thread<T: Send>(work: impl AsyncFnOnce() -> T + Send) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("no runtime: {error}")).block_on(work())
}

pub fn attach(rounds: usize) -> Vec<Row> {
    let mut quiet = Row::new(
        "key → echo through `remote attach`, p50 (limit: `attach` here)",
        "µs",
        Bar::TimesLimit(3.0),
    );
    let mut late =
        Row::new("key → echo through `remote attach`, p99 (limit: `attach` here)", "µs", Bar::Shown);
    let mut busy = Row::new(
        "the same while 1 GB is copied over the connection, p50 (limit: without)",
        "µs",
        Bar::TimesLimit(2.0),
    );
    let mut busy_late =
        Row::new("the same while 1 GB is copied over the connection, p99 (limit: without)", "µs", Bar::Shown);
    let mut rate =
        Row::new("`niia remote cp` of 1 GB meanwhile, file to file (limit: `cp` here)", "MB/s", Bar::Shown);
    let pair = Pair::new(false);
    let echo = |house: &House| session(house, &scene::chore(&["--echo"]));
    let (here, there) = (echo(&pair.home), echo(&pair.far));
    let home = Pair::folders(&pair.home);
    let (file, copy) = pair.bulk();
    for _ in 0..rounds {
        let local = on_a_thread(async || typed(&home, None, &here).await);
        let alone = on_a_thread(async || typed(&home, Some("far"), &there).await);
        rate.limit.push(megabytes_a_second(Command::new("cp").args([&file, &copy])));
        let (copied, copying) = std::thread::scope(|scope| {
            let typing = scope.spawn(|| on_a_thread(async || typed(&home, Some("far"), &there).await));
            (pair.copied(&file, &copy), typing.join().unwrap_or_default())
        });
        rate.niia.push(copied);
        for (row, part) in [(&mut quiet, 0.5), (&mut late, 0.99)] {
            row.limit.push(quantile(&local, part));
            row.niia.push(quantile(&alone, part));
        }
        for (row, part) in [(&mut busy, 0.5), (&mut busy_late, 0.99)] {
            row.limit.push(quantile(&alone, part));
            row.niia.push(quantile(&copying, part));
        }
    }
    drop(pair.home.niia(["kill", &here]).run());
    drop(pair.far.niia(["kill", &there]).run());
    vec![quiet, late, busy, busy_late, rate]
}

fn megabytes_a_second(command: &mut Command) -> f64 {
    let began = Instant::now();
    let done = command.status().is_ok_and(|status| status.success());
    assert!(done, "{command:?} failed");
    COPIED_BYTES as f64 / 1e6 / began.elapsed().as_secs_f64()
}

fn session(house: &House, command: &[String]) -> String {
    let words = ["serve", "--"].into_iter().map(str::to_owned).chain(command.iter().cloned());
    house.niia(words).run().exits(0).run_id()
}

async fn typed(folders: &Folders, machine: Option<&str>, session: &str) -> Vec<f64> {
    let mut viewer = Viewer::attach(folders, machine, session).await;
    viewer.wait_for(chores::READY.len() as u64).await;
    viewer.keys().await
}

pub fn start(rounds: usize) -> Vec<Row> {
    let mut row =
        Row::new("`niia run` → first worker runs on another machine (limit: here)", "ms", Bar::Shown);
    let pair = Pair::new(false);
    let stamp = pair.far.at("tmp").join("stamp");
    let chore = scene::chore(&["--stamp", &stamp.display().to_string()]);
    let document = |machine: Option<&str>| {
        let mut fan = scene::fan(1, &scene::words(&chore));
        if let Some(machine) = machine {
            fan["pipeline"]["phases"][0]["machine"] = json!(machine);
        }
        pair.home.document(machine.unwrap_or("here"), &fan)
    };
    let (here, there) = (document(None), document(Some("far")));
    let took = |document: &Path| {
        let began = chores::now();
        drop(pair.home.niia([Path::new("run"), document]).limit(LIMIT).run().exits(0));
        bare::stamped(&stamp).saturating_sub(began).as_secs_f64() * 1e3
    };
    // The first of each kind pays for what is there afterwards.
    let _first = (took(&here), took(&there));
    for _ in 0..rounds {
        row.limit.push(took(&here));
        row.niia.push(took(&there));
    }
    vec![row]
}

pub fn reconnect(rounds: usize) -> Vec<Row> {
    let mut killed =
        Row::new("a node is killed → its worker is followed again, its start included", "ms", Bar::Shown);
    let mut hole = Row::new("a black hole of 10 s ends → the worker is followed again", "ms", Bar::Shown);
    let pair = Pair::new(true);
    let mut document = scene::fan(1, &["sleep", "100000"]);
    document["pipeline"]["phases"][0]["machine"] = json!("far");
    let document = pair.home.document("sleeps", &document);
    let run = pair.home.detach(&pair.home.at("home"), &document);
    wait_until("the two are linked", LIMIT, || (pair.linked() > 0).then_some(()));
    let again = |before: usize, began: Instant| {
        wait_until("the two are linked again", LIMIT, || (pair.linked() > before).then_some(()));
        began.elapsed().as_secs_f64() * 1e3
    };
    for _ in 0..rounds {
        let (before, began) = (pair.linked(), Instant::now());
        pair.far.kill(pair.far.node());
        drop(pair.far.niia(["daemon", "start"]).run().exits(0));
        killed.niia.push(again(before, began));
        let before = pair.linked();
        for (direction, open) in [(Direction::There, true), (Direction::Back, true)] {
            pair.proxy.hole(direction, open);
        }
        std::thread::sleep(HOLE);
        [Direction::There, Direction::Back].into_iter().for_each(|way| pair.proxy.hole(way, false));
        hole.niia.push(again(before, Instant::now()));
    }
    drop(pair.home.niia(["cancel", &run]).run());
    vec![killed, hole]
}
