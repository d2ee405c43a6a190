//! One request and its answer.

use std::time::Duration;

use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use niia_actors::ask::chain;
use niia_actors::clock;
use niia_spec::event::{self, Happened, PAYLOAD_BYTES_MAX};
use niia_spec::name::Slug;
use niia_spec::notice::{Triggered, TriggeredView};
use serde_json::{Value, json};

use super::Desk;
use super::replay::{Replays, Verdict};
use super::sign::{self, Proof, header};
use crate::appointments::Patience;

/// How long a body may take.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// When whoever could not be served may come again, in seconds: a run or a burst is often over by then.
const AGAIN_AFTER_S: u16 = 5;

pub(super) type Text = Full<Bytes>;

/// What is said to a sender.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub reason: String,
    retry_after: bool,
    allow: bool,
    taken: Option<usize>,
}

impl Answer {
    fn refused(status: StatusCode, reason: impl Into<String>) -> Answer {
        Answer { status, reason: reason.into(), retry_after: false, allow: false, taken: None }
    }

    pub fn later(status: StatusCode, reason: impl Into<String>) -> Answer {
        Answer { retry_after: true, ..Answer::refused(status, reason) }
    }

    pub fn into_response(self) -> Response<Text> {
        let body = match self.taken {
            Some(documents) => json!({ "taken": true, "documents": documents }),
            None => json!({ "taken": false, "reason": self.reason }),
        };
        let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(AGAIN_AFTER_S));
        }
        if self.allow {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        response
    }
}

/// Where a request goes.
enum Hook {
    Github,
    Named(String),
}

pub(super) async fn answer(desk: &Desk, request: Request<Incoming>) -> Answer {
    match take(desk, request).await {
        Ok(answer) | Err(answer) => answer,
    }
}

async fn take(desk: &Desk, request: Request<Incoming>) -> Result<Answer, Answer> {
    let hook = hook_of(request.uri().path())?;
    if request.method() != Method::POST {
        let refused = Answer::refused(StatusCode::METHOD_NOT_ALLOWED, "events are told by POST");
        return Err(Answer { allow: true, ..refused });
    }
    let keys = match &hook {
        Hook::Github => desk.secrets.of_github(),
        Hook::Named(name) => desk.secrets.of_hook(name),
    };
    if keys.is_empty() {
        return Err(Answer::refused(StatusCode::NOT_FOUND, "there is no such hook"));
    }
    let (parts, body) = request.into_parts();
    let body = read(&parts.headers, body).await?;
    let now_s = clock::now().as_second();
    let proof = sign::check(keys, &parts.headers, &body, now_s).map_err(|doubt| {
        let status = match doubt {
            sign::Doubt::Malformed => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNAUTHORIZED,
        };
        Answer::refused(status, doubt.words())
    })?;
    let Some(event) = happened(&hook, &parts.headers, &body)? else {
        return Ok(Answer { taken: Some(0), ..Answer::refused(StatusCode::OK, "no event of ours") });
    };
    tell(desk, event, &proof, now_s).await
}

fn hook_of(path: &str) -> Result<Hook, Answer> {
    match path.strip_prefix("/hook/") {
        Some(name) if Slug::new(name).is_ok() => Ok(Hook::Named(name.to_owned())),
        None if path == "/github" => Ok(Hook::Github),
        _ => Err(Answer::refused(StatusCode::NOT_FOUND, "there is no such hook")),
    }
}

/// The body, within its bounds of size and time.
async fn read(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Answer> {
    let too_large = || {
        let reason = format!("a body has at most {PAYLOAD_BYTES_MAX} bytes (payload_bytes_max)");
        Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, reason)
    };
    let told = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if told.is_some_and(|bytes| bytes > PAYLOAD_BYTES_MAX as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_WITHIN, Limited::new(body, PAYLOAD_BYTES_MAX).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Answer::refused(StatusCode::BAD_REQUEST, "the body ended early")),
        Err(_) => Err(Answer::refused(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

/// The event a body tells of; nothing for what GitHub tells and nobody here can wait for.
fn happened(hook: &Hook, headers: &HeaderMap, body: &[u8]) -> Result<Option<Happened>, Answer> {
    let malformed = |reason: String| Answer::refused(StatusCode::BAD_REQUEST, reason);
    let payload: Value =
        serde_json::from_slice(body).map_err(|error| malformed(format!("the body is no JSON: {error}")))?;
    let name = match hook {
        Hook::Named(name) => Some(format!("webhook.{name}")),
        Hook::Github => {
            let named = header(headers, "x-github-event").ok().flatten();
            let named = named
                .ok_or_else(|| malformed("`X-GitHub-Event` does not say which event it is".to_owned()))?;
            event::of_github(named, &payload).map(str::to_owned)
        }
    };
    Ok(name.map(|name| Happened { name, payload }))
}

/// Takes the event in, once. It is in the journal before the delivery counts as taken: a node that is killed in between
/// is told again, and rather begins twice than never.
async fn tell(desk: &Desk, event: Happened, proof: &Proof, now_s: i64) -> Result<Answer, Answer> {
    let busy = |reason: String| Answer::later(StatusCode::SERVICE_UNAVAILABLE, reason);
    if let Some(trouble) = desk.node.trouble() {
        return Err(busy(trouble));
    }
    let gone = match desk.replays.take(proof, now_s) {
        Verdict::New(gone) => gone,
        Verdict::Replay => return Err(Answer::refused(StatusCode::CONFLICT, "this was taken before")),
        Verdict::Full => {
            return Err(Answer::later(StatusCode::TOO_MANY_REQUESTS, "too many came in a short time"));
        }
    };
    let views = desk.node.appointments.happened(event, None, Patience::Taken).await;
    let refused = match &views {
        Ok(views) => refusal_of(views),
        Err(error) => Some(busy(error.to_string())),
    };
    if let Some(answer) = refused {
        desk.replays.forget(proof);
        return Err(answer);
    }
    let kept = Replays::keep(&desk.node.journal, proof, now_s, &gone).await;
    kept.map_err(|error| busy(chain(&error)))?;
    let documents = views.unwrap_or_default().len();
    Ok(Answer { taken: Some(documents), ..Answer::refused(StatusCode::ACCEPTED, "taken") })
}

/// Whoever hears that nothing was taken comes again, and what was taken then is taken once more: so it is refused only
/// where no document took it.
fn refusal_of(views: &[TriggeredView]) -> Option<Answer> {
    let taken = |view: &TriggeredView| matches!(view.came, Triggered::Run { .. } | Triggered::Waits);
    if views.iter().any(taken) {
        return None;
    }
    views.iter().find_map(|view| match &view.came {
        Triggered::Full => Some(Answer::later(StatusCode::TOO_MANY_REQUESTS, "as many events wait as may")),
        Triggered::Refused { why } => Some(Answer::later(StatusCode::SERVICE_UNAVAILABLE, why.clone())),
        _ => None,
    })
}
