//! What the agent says of itself: by the status protocol on its terminal, by the session's hooks.

use std::io::{self, Write as _};
use std::path::PathBuf;

use base64::Engine as _;
use niia_actors::session::hooks::{self, FOLDER_VARIABLE};
use niia_spec::permission::{self, Decision, Policy};
use serde_json::Value;

pub(super) struct Teller {
    hooks: Option<PathBuf>,
    policy: Option<Policy>,
}

impl Teller {
    pub(super) fn of_this_session() -> Teller {
        let hooks = std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from);
        let policy = hooks.as_deref().and_then(hooks::policy);
        Teller { hooks, policy }
    }

    pub(super) fn session(&self) {
        self.word("SessionStart", serde_json::json!({ "session_id": format!("{}", std::process::id()) }));
    }

    /// A report of the status protocol.
    pub(super) fn status(&self, state: &str, message: Option<&str>) {
        self.report(&format!("state={state}:app=niia"), message);
    }

    pub(super) fn blocked(&self, message: &str) {
        self.report("state=blocked:kind=permission:app=niia", Some(message));
    }

    fn report(&self, body: &str, message: Option<&str>) {
        const MESSAGE_CHARS_MAX: usize = 400;
        let told = message.map(|message| {
            let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
            format!(":msg={}", base64::engine::general_purpose::STANDARD.encode(message))
        });
        let mut out = io::stdout().lock();
        // A terminal that is gone needs to know nothing.
        drop(write!(out, "\x1b]7501;{body}{}\x1b\\", told.unwrap_or_default()).and_then(|()| out.flush()));
    }

    pub(super) fn word(&self, event: &str, body: Value) {
        if let Some(hooks) = &self.hooks {
            // What cannot be written down is on the terminal all the same.
            drop(hooks::tell(hooks, event, body.to_string().as_bytes()));
        }
    }

    /// What the session's policy says to a wish of the model; outside of a session a person is asked.
    pub(super) fn decide(&self, wish: &Value) -> Decision {
        const EVENT: &str = "PermissionRequest";
        self.word(EVENT, wish.clone());
        let decided =
            self.policy.as_ref().and_then(|policy| policy.decide(EVENT, wish, &crate::command::real));
        let decision =
            decided.unwrap_or_else(|| Decision::Ask { because: "nobody has said what it may".to_owned() });
        if !matches!(decision, Decision::Ask { .. }) {
            self.decided(wish, &decision);
        }
        decision
    }

    /// A person, or the policy, has decided.
    pub(super) fn decided(&self, wish: &Value, decision: &Decision) {
        let mut body = wish.clone();
        if let Some(fields) = body.as_object_mut() {
            fields
                .extend(permission::told(decision).into_iter().map(|(name, value)| (name.to_owned(), value)));
        }
        self.word("PermissionRequest:decided", body);
    }
}
