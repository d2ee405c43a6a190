//! `models` and `machines`: the aliases of a document.

use jsonc_parser::ast::Value as Node;
use serde_json::{Value, json};

use super::session::{EnvValue, Filled};
use crate::diagnostic::Code;
use crate::read::field::{Field, Kind, Reader};
use crate::read::map::{EnvKey, Map, SlugKey};
use crate::read::table::{bounds, record, texts, union};
use crate::read::{At, OneOrMany, Usd};
use crate::schema::Definitions;

/// The most sessions one machine may be given at a time.
pub const MACHINE_SESSIONS_MAX: u64 = 100_000;
/// The most models that take over from each other: each attempt is a session with a tree of its own to look after.
pub const FAILOVER_MAX: usize = 16;

bounds! {
    /// A UDP port.
    Port = 1, 65_535, "port_max";
    /// A number of sessions.
    SessionCount = 1, MACHINE_SESSIONS_MAX, "machine_sessions_max";
}

texts! {
    /// A reference to a model: an alias, a profile, `profile/model`, or a name a profile lists.
    ModelRef = crate::read::text::model, { "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,199}$" };
    /// An alias of `machines`, a host, or a node's name.
    MachineHost = crate::read::text::machine, { "type": "string", "minLength": 1 };
}

union! {
    /// What an alias stands for.
    pub enum ModelDef {
        Reference(ModelRef),
        Object(ModelObject),
    }
}

record! {
    /// A model with settings of its own.
    pub struct ModelObject {
        /// The model meant; `command` is any program in a terminal.
        reference = "use": ModelRef [required],
        /// What it costs.
        cost: Cost,
        /// Environment variables for its sessions.
        env: Map<EnvKey, EnvValue>,
        /// Further arguments of its program; of `command`, the program and its arguments.
        args: Vec<At<String>>,
    }
}

union! {
    /// What a model costs, in US dollars.
    pub enum Cost {
        PerSession(Usd),
        Rates(Rates),
    }
}

record! {
    /// What a model costs, in US dollars a million tokens.
    pub struct Rates {
        /// A million tokens read.
        input: Usd,
        /// A million tokens written.
        output: Usd,
        /// A million tokens read from the provider's cache.
        cached: Usd,
    }
}

union! {
    /// A machine.
    pub enum MachineDef {
        Host(MachineHost),
        Object(MachineObject),
    }
}

record! {
    /// A machine with settings of its own.
    pub struct MachineObject {
        /// Its host or node name.
        host: MachineHost [required],
        /// Its port, where it is not found by itself.
        port: Port,
        /// The fingerprint of its key.
        fingerprint: Filled,
        /// What it is good for.
        labels: Map<SlugKey, String>,
        /// The most sessions at a time.
        max_sessions: SessionCount,
        /// The folder it works in.
        dir: Filled,
        /// A clone of the repository there, as a source of objects.
        repo: Filled,
    }
}

/// Models that take over, in order; one alone needs no list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Failover(pub Vec<At<ModelRef>>);

impl Field for Failover {
    fn takes(kind: Kind) -> bool {
        OneOrMany::<ModelRef>::takes(kind)
    }
    fn what() -> String {
        OneOrMany::<ModelRef>::what()
    }
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Failover> {
        let models = OneOrMany::read(node, reader)?.0;
        if models.len() > FAILOVER_MAX {
            let entries = models.len();
            let message =
                format!("`failover` has {entries} models, it may have {FAILOVER_MAX} (failover_max)");
            return reader.refuse(Code::WrongLength, node, message, None);
        }
        Some(Failover(models))
    }
    fn schema(definitions: &mut Definitions) -> Value {
        let model = ModelRef::schema(definitions);
        json!({ "anyOf": [model, { "type": "array", "items": model, "maxItems": FAILOVER_MAX }] })
    }
}
