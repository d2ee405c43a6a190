//! Where a follower's news come from: a task that asks the node, and finds it again when it went away.

use std::time::Duration;

use niia_spec::course::RunOutcome;
use niia_spec::notice::RunView;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Folders;
use crate::control::client::{Client, ClientError};
use crate::control::words::{Reply, Request};

/// How long a node that went away is looked for: longer than an upgrade takes.
const RECONNECT_WITHIN: Duration = Duration::from_secs(60);

/// Between two tries to reach it.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// How many views may wait for the screen; the node waits when it is full.
const NEWS_MAX: usize = 16;

/// What a follower hears.
#[derive(Debug)]
pub enum News {
    View(Box<RunView>),
    /// The run is over.
    End(Option<RunOutcome>),
    Lost,
    Back,
    Failed(ClientError),
}

/// The news of one run.
#[derive(Debug)]
pub struct Feed {
    news: mpsc::Receiver<News>,
    task: JoinHandle<()>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Feed {
    /// Begins to follow over this connection.
    pub fn open(folders: Folders, run: String, client: Client) -> Feed {
        let (sender, news) = mpsc::channel(NEWS_MAX);
        let task = tokio::spawn(feed(folders, run, client, sender));
        Feed { news, task }
    }

    /// The next news. May be dropped while it waits.
    pub async fn next(&mut self) -> News {
        // The task says how it ended before it lets go of its sender.
        self.news.recv().await.unwrap_or(News::Failed(ClientError::WentAway))
    }
}

async fn feed(folders: Folders, run: String, mut client: Client, news: mpsc::Sender<News>) {
    loop {
        let lost = match listen(&mut client, &run, &news).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if !lost.may_pass() {
            drop(news.send(News::Failed(lost)).await);
            return;
        }
        drop(news.send(News::Lost).await);
        client = match again(&folders).await {
            Ok(client) => client,
            Err(error) => {
                drop(news.send(News::Failed(error)).await);
                return;
            }
        };
        drop(news.send(News::Back).await);
    }
}

/// Passes on what comes until the run is over or nobody listens any more.
async fn listen(client: &mut Client, run: &str, news: &mpsc::Sender<News>) -> Result<(), ClientError> {
    client.tell(Request::Follow { run: Some(run.to_owned()) }).await?;
    loop {
        let item = match client.next().await? {
            Some(Reply::Run(view)) => News::View(view),
            Some(Reply::End { outcome }) => News::End(outcome),
            Some(_) => continue,
            None => return Err(ClientError::WentAway),
        };
        let last = matches!(item, News::End(_));
        if news.send(item).await.is_err() || last {
            return Ok(());
        }
    }
}

async fn again(folders: &Folders) -> Result<Client, ClientError> {
    let until = Instant::now() + RECONNECT_WITHIN;
    loop {
        match Client::reach(folders).await {
            Ok(client) => return Ok(client),
            // A node that is just ending holds its lock, so that the next one cannot start yet.
            Err(error) if Instant::now() >= until => return Err(error),
            Err(_) => tokio::time::sleep(RECONNECT_PAUSE).await,
        }
    }
}
