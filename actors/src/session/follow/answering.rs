//! A dialog's answer on its way into the program: what is pressed and when is decided by `detect::answer`.

use niia_spec::detect;
use niia_spec::detect::answer::{Answering, Step};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant};

use super::{Follow, profile_of};
use crate::session::clock;

/// What was drawn since is looked at so often.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is denied by itself is looked for so often.
const DENIED_EVERY: Duration = Duration::from_millis(300);

pub(super) struct Dialogue {
    id: String,
    answering: Answering,
    pressed_ms: Option<u64>,
    /// When it is looked at next.
    pub(super) next: Instant,
    /// Whoever asked for it; nobody, where the document did.
    reply: Option<oneshot::Sender<Result<String, String>>>,
}

impl Follow<'_> {
    /// Begins to answer the dialog that is to be seen at this moment, if the profile knows keys for it.
    pub(super) fn answer_dialog(
        &mut self,
        allow: bool,
        reply: Option<oneshot::Sender<Result<String, String>>>,
    ) {
        match self.keys_for_dialog(allow) {
            Ok((id, keys)) => {
                let answering = Answering::new(&keys, clock::now_ms());
                let next = Instant::now();
                self.dialogue = Some(Dialogue { id, answering, pressed_ms: None, next, reply });
            }
            Err(reason) => self.tell_answer(reply, Err(reason)),
        }
    }

    /// When a dialog that is denied by itself is looked for.
    pub(super) fn denial_due(&self) -> Option<Instant> {
        let may_ask =
            profile_of(&self.life.assignment).is_some_and(|p| p.dialogs.iter().any(|rule| rule.denied));
        let (looked_end, next) = self.denied_look;
        (may_ask && self.is_in_turn() && self.dialogue.is_none() && self.end != looked_end).then_some(next)
    }

    /// A tool that asks whether to go on trying what has failed is told to stop.
    pub(super) fn deny_by_itself(&mut self) {
        if self.denial_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        self.denied_look = (self.end, Instant::now() + DENIED_EVERY);
        let seen = self.seen();
        let detected = self.detect(&seen);
        let rule = profile_of(&self.life.assignment).zip(detected.dialog.as_ref());
        if rule.and_then(|(profile, id)| profile.dialog(id)).is_some_and(|rule| rule.denied) {
            self.answer_dialog(false, None);
        }
    }

    fn keys_for_dialog(&mut self, allow: bool) -> Result<(String, String), String> {
        if let Some(dialogue) = &self.dialogue {
            return Err(format!("the dialog {} is being answered already", dialogue.id));
        }
        let seen = self.seen();
        let detected = self.detect(&seen);
        let profile = profile_of(&self.life.assignment).ok_or("its profile is gone")?;
        let id = detected.dialog.ok_or_else(|| {
            format!(
                "it shows no dialog that profile {} knows ({}); `niia attach` answers by hand",
                profile.id, detected.evidence.rule
            )
        })?;
        let dialog = profile.dialog(&id).ok_or("the dialog is gone")?;
        let keys = if allow { &dialog.allow } else { &dialog.deny };
        let keys = keys
            .clone()
            .ok_or_else(|| format!("profile {} knows no keys for the dialog {id}", profile.id))?;
        Ok((id, keys))
    }

    /// Presses what is due, and tells once the dialog is seen to be answered.
    pub(super) async fn mind_dialogue(&mut self) {
        if self.dialogue.as_ref().is_none_or(|dialogue| dialogue.next > Instant::now()) {
            return;
        }
        let drawn = self.drawn_dialog();
        let now_ms = clock::now_ms();
        let quiet_ms = now_ms.saturating_sub(self.grew_ms);
        let Some(dialogue) = &mut self.dialogue else { return };
        match dialogue.answering.on(drawn.as_deref(), quiet_ms, now_ms) {
            Step::Press(key) => {
                dialogue.pressed_ms = Some(now_ms);
                dialogue.next = Instant::now() + LOOK_EVERY;
                if let Err(error) = self.write_soon(key.as_bytes()).await {
                    self.end_dialogue(Err(error.to_string()));
                }
            }
            Step::Wait { ms } => {
                dialogue.next = Instant::now() + Duration::from_millis(ms.max(1)).min(LOOK_EVERY);
            }
            Step::Answered => {
                let id = dialogue.id.clone();
                self.end_dialogue(Ok(id));
            }
            Step::Failed { reason } => {
                let reason = format!("the dialog {} could not be answered: {reason}", dialogue.id);
                self.end_dialogue(Err(reason));
            }
        }
    }

    /// What is drawn of the dialog in question. One of which the tool has gone on is another one, however alike.
    fn drawn_dialog(&mut self) -> Option<String> {
        let seen = self.seen();
        let detected = self.detect(&seen);
        let profile = profile_of(&self.life.assignment)?;
        let dialogue = self.dialogue.as_ref()?;
        let went_on = dialogue.answering.is_given()
            && dialogue
                .pressed_ms
                .zip(self.talk.as_ref())
                .is_some_and(|(pressed_ms, talk)| talk.went_on(profile, pressed_ms));
        if went_on || detected.dialog.as_ref() != Some(&dialogue.id) {
            return None;
        }
        detect::drawn(profile, &detected, &seen.screen).map(str::to_owned)
    }

    /// No further key is pressed. What was given counts: many a tool ends by being refused.
    pub(super) fn dialogue_is_left(&mut self, why: &str) {
        let Some(dialogue) = &self.dialogue else { return };
        let how = match dialogue.answering.is_given() {
            true => Ok(dialogue.id.clone()),
            false => Err(format!("the dialog {} was not answered: {why}", dialogue.id)),
        };
        self.end_dialogue(how);
    }

    fn end_dialogue(&mut self, how: Result<String, String>) {
        let reply = self.dialogue.take().and_then(|dialogue| dialogue.reply);
        self.look_soon();
        self.tell_answer(reply, how);
    }

    fn tell_answer(
        &mut self,
        reply: Option<oneshot::Sender<Result<String, String>>>,
        how: Result<String, String>,
    ) {
        let session = &self.life.assignment.session;
        match &how {
            Ok(dialog) => tracing::info!(%session, dialog, "a dialog is answered"),
            Err(reason) => tracing::warn!(%session, reason, "a dialog could not be answered"),
        }
        match reply {
            // Whoever asked may have given up waiting.
            Some(reply) => drop(reply.send(how)),
            None if how.is_err() => self.is_not_answered(),
            None => {}
        }
    }
}
