//! A key through an attached connection to a program that sends it back.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use niia::config::Folders;
use niia::control::client::Client;
use niia::control::words::{Reply, Request};

use super::scene::{self, Scene};
use super::table::{Bar, Row};
use super::tmux::Tmux;
use super::{bare, chores};

pub const KEYS: usize = 1_000;
/// A person's keys never come back to back.
pub const PAUSE: Duration = Duration::from_millis(1);

pub fn measure(rounds: usize) -> Vec<Row> {
    let mut middle = Row::new("key → echo through `attach`, p50", "µs", Bar::Tmux);
    let mut late = Row::new("key → echo through `attach`, p99", "µs", Bar::Tmux);
    let scene = Scene::warm();
    let chore = scene::chore(&["--echo"]);
    let document = scene.document("echo", &scene::fan(1, &scene::words(&chore)));
    for _ in 0..rounds {
        let run = scene.begin(&document, 1);
        let folders = Folders { state: scene.house.at("state"), config: scene.house.at("config") };
        let own = through_attach(&folders, &format!("{run}/fan/1"));
        scene.cancel(&run);
        let limit = bare::echo(KEYS, PAUSE);
        let tmux = Tmux::start(&scene.folder()).and_then(|tmux| tmux.echo(KEYS, PAUSE));
        for (row, part) in [(&mut middle, 0.5), (&mut late, 0.99)] {
            row.niia.push(quantile(&own, part));
            row.limit.push(quantile(&limit, part));
            row.tmux.extend(tmux.as_ref().map(|times| quantile(times, part)));
        }
    }
    vec![middle, late]
}

pub fn quantile(times: &[f64], part: f64) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (sorted.len() as f64 * part) as usize;
    sorted.get(at.min(sorted.len().saturating_sub(1))).copied().unwrap_or(f64::NAN)
}

/// As `niia attach` does it: keys to the node, news of the recording's growth back, the bytes from the recording.
pub fn through_attach(folders: &Folders, session: &str) -> Vec<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime: {error}"));
    runtime.block_on(async {
        let mut client = Client::connect(folders).await.unwrap_or_else(|error| panic!("no node: {error}"));
        let mut viewer = Viewer::attach(&mut client, session).await;
        viewer.wait_for(chores::READY.len() as u64).await;
        let mut times = Vec::new();
        for _ in 0..KEYS {
            std::thread::sleep(PAUSE);
            let (began, before) = (Instant::now(), viewer.end);
            viewer.key().await;
            viewer.wait_for(before + 1).await;
            times.push(began.elapsed().as_secs_f64() * 1e6);
        }
        times
    })
}

struct Viewer<'a> {
    client: &'a mut Client,
    folder: PathBuf,
    log: Option<File>,
    end: u64,
}

impl<'a> Viewer<'a> {
    async fn attach(client: &'a mut Client, session: &str) -> Viewer<'a> {
        let attach = Request::Attach { session: session.to_owned(), cols: 120, rows: 40, take: true };
        match client.ask(attach).await {
            Ok(Reply::Painted { offset, folder, .. }) => Viewer { client, folder, log: None, end: offset },
            other => panic!("could not attach: {other:?}"),
        }
    }

    async fn key(&mut self) {
        let told = self.client.tell(Request::Keys { bytes: b"x".to_vec() }).await;
        told.unwrap_or_else(|error| panic!("no key: {error}"));
    }

    /// Waits for news of so many bytes, and reads them.
    async fn wait_for(&mut self, wanted: u64) {
        while self.end < wanted {
            match self.client.next().await {
                Ok(Some(Reply::Grew { end })) => {
                    let mut bytes = vec![0; (end - self.end) as usize];
                    let path = self.folder.join(niia_actors::recording::log_file(0));
                    let log = self.log.get_or_insert_with(|| {
                        File::open(&path).unwrap_or_else(|error| panic!("no recording: {error}"))
                    });
                    log.read_exact_at(&mut bytes, self.end).unwrap_or_else(|error| panic!("a gap: {error}"));
                    self.end = end;
                }
                Ok(Some(_)) => {}
                other => panic!("no news: {other:?}"),
            }
        }
    }
}
