//! A caller who speaks with another node through this one: the words are handed on as they are.

use niia_net::link::Link;
use niia_net::wire::Hello;

use super::find::not_found;
use super::{Connection, ServeError, machines};
use crate::control::SPOKEN;
use crate::control::words::{Refusal, RefusalCode, Reply, Request};
use crate::remote::Purpose;
use niia_actors::ask::chain;

impl Connection {
    /// Until one of both goes away.
    pub(super) async fn through(&mut self, machine: &str) -> Result<(), ServeError> {
        let stream = match self.stream_to(machine).await {
            Ok(stream) => stream,
            Err(refusal) => return self.reply(Reply::Refused(refusal)).await,
        };
        let (reader, writer) = stream.into_inner();
        let mut far = Link::new(reader, writer);
        if let Err(error) = far.greet(&Hello::new(SPOKEN, env!("CARGO_PKG_VERSION"))).await {
            let refusal = machines::unreachable(format!("`{machine}` does not answer: {}", chain(&error)));
            return self.reply(Reply::Refused(refusal)).await;
        }
        self.reply(Reply::Done).await?;
        let (to_far, mut from_far) = far.split();
        loop {
            tokio::select! {
                request = self.receiver.receive::<Request>() => match request? {
                    Some(request) => to_far.send(&request).await?,
                    None => return Ok(()),
                },
                reply = from_far.receive::<Reply>() => match reply {
                    Ok(Some(reply)) => self.sender.send(&reply).await?,
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        let message = format!("the link to `{machine}` broke: {}", chain(&error));
                        return self.reply(Reply::Refused(machines::unreachable(message))).await;
                    }
                },
            }
        }
    }

    async fn stream_to(&self, machine: &str) -> Result<niia_net::peer::Stream, Refusal> {
        let network = machines::network(&self.node)?;
        let id = network.named(machine).map_err(|message| Refusal {
            help: Some("`niia peer ls` lists them, `niia pair` adds one".to_owned()),
            ..not_found(message)
        })?;
        let unreachable = |error: &dyn std::error::Error| machines::unreachable(chain(error));
        let link = network.reach(&id).await.map_err(|error| unreachable(&error))?;
        link.open(&Purpose::Control)
            .await
            .map_err(|error| Refusal { code: RefusalCode::State, ..unreachable(&error) })
    }
}
