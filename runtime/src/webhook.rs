//! Webhooks: events that others tell this node over HTTP. Off unless the configuration names where to listen.
//!
//! `POST /github` takes GitHub's own, `POST /hook/NAME` is the event `webhook.NAME`. A body is looked at only once its
//! signature holds; a delivery is taken once. What is taken is in the journal before it is answered; who cannot be served
//! is told to come back, with the time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Folders;
use crate::node::Node;

mod answer;
mod replay;
mod settings;
mod sign;

pub use settings::WebhookConfig;

use answer::{Answer, Text};
use replay::Replays;
use settings::Secrets;

/// Connections served at a time: each may hold a body in memory and a descriptor that sessions need, too.
const CONNECTIONS_MAX: usize = 256;
/// Beyond them so many are told to come back at a time; the rest wait in the system's own queue.
const REFUSALS_MAX: usize = 64;
/// How long the head of a request may take; whoever sends it byte by byte holds up nobody for longer.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long a whole connection may take, its requests together.
const CONNECTION_WITHIN: Duration = Duration::from_secs(60);
/// The head of a request: more than any sender's headers.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request.
const HEADERS_MAX: usize = 64;
/// After a failed `accept` it is looked again this much later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A port that is bound, and what is needed to believe what comes there.
#[derive(Debug)]
pub struct Hooks {
    listener: TcpListener,
    at: SocketAddr,
    secrets: Secrets,
}

/// Why no webhooks are taken.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    #[error("`webhook.listen` names {at}, which cannot be bound")]
    Bind { at: SocketAddr, source: io::Error },
    #[error(transparent)]
    Settings(#[from] settings::SettingsError),
}

impl Hooks {
    /// Binds the port, where one is wanted.
    pub async fn bind(config: &WebhookConfig, folders: &Folders) -> Result<Option<Hooks>, HooksError> {
        let Some(listen) = config.listen else { return Ok(None) };
        let secrets = Secrets::read(config, folders)?;
        let bound = TcpListener::bind(listen.0).await;
        let listener = bound.map_err(|source| HooksError::Bind { at: listen.0, source })?;
        let at = listener.local_addr().map_err(|source| HooksError::Bind { at: listen.0, source })?;
        Ok(Some(Hooks { listener, at, secrets }))
    }

    pub fn told(&self) -> String {
        format!("http://{}", self.at)
    }

    /// Serves until the task is dropped.
    pub async fn serve(self, node: Arc<Node>) {
        let replays = Replays::read(&node.journal);
        let desk = Arc::new(Desk { node, secrets: self.secrets, replays });
        let (served, refused) =
            (Arc::new(Semaphore::new(CONNECTIONS_MAX)), Arc::new(Semaphore::new(REFUSALS_MAX)));
        loop {
            let (place, busy) = match Arc::clone(&served).try_acquire_owned() {
                Ok(place) => (place, false),
                Err(_) => {
                    let Ok(place) = Arc::clone(&refused).acquire_owned().await else { return };
                    (place, true)
                }
            };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // A place that has become free meanwhile is better than being sent away.
                    let better = busy.then(|| Arc::clone(&served).try_acquire_owned().ok()).flatten();
                    let (place, busy) = better.map_or((place, busy), |better| (better, false));
                    tokio::spawn(connection(stream, Arc::clone(&desk), place, busy));
                }
                Err(error) => {
                    tracing::warn!(%error, "a webhook could not be let in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What every connection shares.
#[derive(Debug)]
struct Desk {
    node: Arc<Node>,
    secrets: Secrets,
    replays: Replays,
}

async fn connection(stream: TcpStream, desk: Arc<Desk>, place: OwnedSemaphorePermit, busy: bool) {
    let service = service_fn(|request: Request<Incoming>| {
        let desk = Arc::clone(&desk);
        async move { Ok::<Response<Text>, hyper::Error>(respond(&desk, request, busy).await) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(!busy);
    let served = http.serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(CONNECTION_WITHIN, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a webhook's connection ended early"),
        Err(_) => tracing::debug!("a webhook's connection took too long"),
    }
    drop(place);
}

async fn respond(desk: &Desk, request: Request<Incoming>, busy: bool) -> Response<Text> {
    let answer = if busy {
        Answer::later(StatusCode::SERVICE_UNAVAILABLE, "as many are served as can be")
    } else {
        answer::answer(desk, request).await
    };
    if answer.status.is_client_error() || answer.status.is_server_error() {
        tracing::info!(status = answer.status.as_u16(), reason = answer.reason, "a webhook was refused");
    }
    answer.into_response()
}
