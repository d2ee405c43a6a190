//! Asking and telling actors: the two ways in which a handle reaches the actor behind it.

use ractor::rpc::CallResult;
use ractor::{ActorRef, Message, MessagingErr, RpcReplyPort};

/// Why an actor did not take or answer a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    #[error("the actor has ended")]
    Gone,
    #[error("the actor let go of the question without an answer")]
    Unanswered,
}

/// Sends a message nobody waits for.
pub fn tell<M: Message>(actor: &ActorRef<M>, message: M) -> Result<(), AskError> {
    actor.cast(message).map_err(|_| AskError::Gone)
}

/// Sends a question and waits for its answer. For the edges (command line, tests): an actor that waits for another
/// one takes no messages meanwhile.
pub async fn ask<M, T>(
    actor: &ActorRef<M>,
    question: impl FnOnce(RpcReplyPort<T>) -> M,
) -> Result<T, AskError>
where
    M: Message,
    T: Send + 'static,
{
    match actor.call(question, None).await {
        Ok(CallResult::Success(answer)) => Ok(answer),
        Ok(CallResult::Timeout | CallResult::SenderError) => Err(AskError::Unanswered),
        Err(MessagingErr::SendErr(_) | MessagingErr::ChannelClosed | MessagingErr::InvalidActorType) => {
            Err(AskError::Gone)
        }
    }
}

/// An error with all of its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
