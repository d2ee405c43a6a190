//! Sessions: document, phase and worker laid over each other field by field, defaults beneath.

use std::collections::BTreeMap;

use crate::document::{NetworkSpec, NetworkWord, SandboxSpec, Session, WorktreeSpec};
use crate::plan::{Egress, NetworkPlan, OnDialog, Permission, SandboxPlan, SessionPlan};
use crate::read::{At, OneOrMany};

const TIMEOUT_MS_DEFAULT: u64 = 2 * 60 * 60 * 1000;
const ANSWER_WITHIN_MS_DEFAULT: u64 = 600_000;
const COLS_DEFAULT: u16 = 120;
const ROWS_DEFAULT: u16 = 40;
const RECORDING_BYTES_DEFAULT: u64 = 1 << 30;

/// The levels a session's fields are looked up in, the innermost first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Levels<'d> {
    pub own: Option<&'d Session>,
    pub phase: Option<&'d Session>,
    pub document: Option<&'d Session>,
}

/// What a session's defaults hang on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub scratchpad: bool,
    pub local_model: bool,
    pub elsewhere: bool,
    pub reads_only: bool,
    /// The limit a default time must keep to.
    pub timeout_ms_max: Option<u64>,
}

/// Where a worktree is asked for.
pub(super) enum Asked<'d> {
    Nothing,
    Checkout,
    /// By a slug; `own` where the worker's own session says so.
    Slug {
        template: &'d str,
        own: bool,
        at: &'d At<WorktreeSpec>,
    },
}

impl<'d> Levels<'d> {
    fn inward(&self) -> impl Iterator<Item = &'d Session> + use<'d> {
        [self.own, self.phase, self.document].into_iter().flatten()
    }

    fn find<T: 'd>(&self, field: impl Fn(&'d Session) -> Option<&'d At<T>>) -> Option<&'d At<T>> {
        self.inward().find_map(field)
    }

    fn texts<T: AsText + 'd>(
        &self,
        field: impl Fn(&'d Session) -> Option<&'d At<OneOrMany<T>>>,
    ) -> Vec<String> {
        let found = self.find(field);
        found.iter().flat_map(|list| &list.value.0).map(|text| text.value.as_text().to_owned()).collect()
    }

    pub fn permission(&self) -> Option<Permission> {
        self.find(|session| session.permission.as_ref()).map(|permission| permission.value)
    }

    pub fn worktree(&self) -> Asked<'d> {
        let own = self.own.and_then(|session| session.worktree.as_ref());
        match self.find(|session| session.worktree.as_ref()) {
            None => Asked::Nothing,
            Some(at) => match &at.value {
                WorktreeSpec::Checkout(_) => Asked::Checkout,
                WorktreeSpec::Slug(template) => Asked::Slug { template: &template.0, own: own.is_some(), at },
            },
        }
    }

    pub fn timeout(&self) -> Option<&'d At<crate::document::DurationMs>> {
        self.find(|session| session.timeout_ms.as_ref())
    }

    pub fn plan(&self, standing: Standing) -> SessionPlan {
        let sandbox = self.sandbox();
        let network = self.network(sandbox.is_some());
        let stays = standing.local_model && standing.elsewhere || network == NetworkPlan::None;
        let timeout_ms = self
            .timeout()
            .map_or(TIMEOUT_MS_DEFAULT.min(standing.timeout_ms_max.unwrap_or(u64::MAX)), |ms| ms.0);
        let permission = if standing.reads_only { Permission::ReadOnly } else { Permission::WorkspaceWrite };
        let number = |value: Option<&At<crate::document::Cells>>, default: u16| {
            value.and_then(|cells| u16::try_from(cells.0).ok()).unwrap_or(default)
        };
        SessionPlan {
            scratchpad: self.find(|s| s.scratchpad.as_ref()).map_or(standing.scratchpad, |on| on.value),
            env: self.env(),
            env_from_home: self.texts(|s| s.env_from_home.as_ref()),
            permission: self.permission().unwrap_or(permission),
            timeout_ms,
            resume: self.find(|s| s.resume.as_ref()).map(|text| text.0.clone()),
            egress: self
                .find(|s| s.egress.as_ref())
                .map_or(if stays { Egress::Result } else { Egress::All }, |e| e.value),
            answer_within_ms: self
                .find(|s| s.answer_within_ms.as_ref())
                .map_or(ANSWER_WITHIN_MS_DEFAULT, |ms| ms.0),
            on_dialog: self.find(|s| s.on_dialog.as_ref()).map_or(OnDialog::Ask, |rule| rule.value),
            include: self.texts(|s| s.include.as_ref()),
            setup: self.texts(|s| s.setup.as_ref()),
            teardown: self.texts(|s| s.teardown.as_ref()),
            ports: self.find(|s| s.ports.as_ref()).and_then(|count| u16::try_from(count.0).ok()).unwrap_or(0),
            plugins: self.texts(|s| s.plugins.as_ref()),
            cols: number(self.find(|s| s.cols.as_ref()), COLS_DEFAULT),
            rows: number(self.find(|s| s.rows.as_ref()), ROWS_DEFAULT),
            shell: self.find(|s| s.shell.as_ref()).map(|text| text.0.clone()),
            cwd: self.find(|s| s.cwd.as_ref()).map(|text| text.0.clone()),
            record: self.find(|s| s.record.as_ref()).is_none_or(|on| on.value),
            recording_bytes_max: self
                .find(|s| s.recording_bytes_max.as_ref())
                .map_or(RECORDING_BYTES_DEFAULT, |b| b.0),
            sandbox,
            network,
        }
    }

    fn sandbox(&self) -> Option<SandboxPlan> {
        match &self.find(|session| session.sandbox.as_ref())?.value {
            SandboxSpec::Simply(on) => on.then(SandboxPlan::default),
            SandboxSpec::Rules(rules) => Some(SandboxPlan {
                write: paths(rules.write.as_ref()),
                read_deny: paths(rules.read_deny.as_ref()),
                memory_mb: rules.memory_mb.as_ref().map(|memory| memory.0),
                pids: rules.pids.as_ref().map(|pids| pids.0),
            }),
        }
    }

    fn network(&self, sandboxed: bool) -> NetworkPlan {
        match self.find(|session| session.network.as_ref()).map(|network| &network.value) {
            None if sandboxed => NetworkPlan::Provider,
            None | Some(NetworkSpec::Simply(true) | NetworkSpec::Word(NetworkWord::Open)) => {
                NetworkPlan::Open
            }
            Some(NetworkSpec::Simply(false) | NetworkSpec::Word(NetworkWord::None)) => NetworkPlan::None,
            Some(NetworkSpec::Word(NetworkWord::Provider)) => NetworkPlan::Provider,
            Some(NetworkSpec::Hosts(hosts)) => {
                NetworkPlan::Hosts(hosts.iter().map(|host| host.value.0.clone()).collect())
            }
        }
    }

    /// Variables of all levels, the inner one's value where a name stands in several.
    fn env(&self) -> BTreeMap<String, String> {
        let outward: Vec<&Session> = self.inward().collect();
        let entries = outward
            .into_iter()
            .rev()
            .filter_map(|session| session.env.as_ref())
            .flat_map(|env| &env.value.entries);
        entries.map(|(name, value)| (name.value.clone(), value.value.0.clone())).collect()
    }
}

fn paths(list: Option<&At<OneOrMany<crate::document::Filled>>>) -> Vec<String> {
    list.iter().flat_map(|list| &list.value.0).map(|path| path.value.0.clone()).collect()
}

/// The types of text a session has lists of.
trait AsText {
    fn as_text(&self) -> &str;
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl AsText for crate::document::$name {
            fn as_text(&self) -> &str {
                &self.0
            }
        }
    )*};
}

as_text!(EnvName, InnerPath, Filled);
