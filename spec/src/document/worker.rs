//! Who works: workers of a phase, participants of a conversation, agents of a mesh.

use super::model::{Failover, ModelRef};
use super::phase::{MachineSpec, Rounds};
use super::run::WatchSpec;
use super::session::Session;
use crate::name::Slug;
use crate::read::table::{record, words};
use crate::read::{At, OneOrMany};

record! {
    /// One worker of a phase.
    pub struct Worker {
        /// Its name; its number where it is missing.
        id: Slug,
        /// The model it is; the phase's where it is missing.
        model: ModelRef,
        /// What it is told; the phase's prompt where it is missing.
        prompt: String,
        /// Where it runs.
        machine: MachineSpec,
        /// Its surroundings.
        session: Session,
        /// Models that take over when its own cannot be had, in order.
        failover: Failover,
    }
}

record! {
    /// One participant of a dialogue or meeting.
    pub struct Participant {
        /// Its name; its model where it is missing.
        id: Slug,
        /// The model it is.
        model: ModelRef,
        /// What it stands for in the conversation.
        role: String,
        /// Where it runs.
        machine: MachineSpec,
        /// Its surroundings.
        session: Session,
        /// Models that take over when its own cannot be had, in order.
        failover: Failover,
    }
}

record! {
    /// One agent of a mesh.
    pub struct Agent {
        /// Its name; its model where it is missing.
        id: Slug,
        /// The model it is.
        model: ModelRef,
        /// What it is told.
        prompt: String,
        /// Where it runs.
        machine: MachineSpec,
        /// Its surroundings.
        session: Session,
        /// Models that take over when its own cannot be had, in order.
        failover: Failover,
        /// Agents that speak before it begins.
        after: OneOrMany<Slug>,
        /// What wakes it when it is idle.
        watch: Vec<At<WatchSpec>>,
    }
}

record! {
    /// One topic of a meeting.
    pub struct Agenda {
        /// What is talked about.
        topic: String [required],
        /// How often each participant speaks to it.
        rounds: Rounds,
    }
}

/// The shape of a mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Mesh,
    Star,
}

words! { Shape {
    "mesh" => Shape::Mesh,
    "star" => Shape::Star,
} }

record! {
    /// Who hears whom in a mesh.
    pub struct Communication {
        /// `mesh`: anybody to anybody; `star`: all by way of the first agent.
        topology: Shape,
        /// Whether any agent may write to any other.
        any_to_any: bool,
        /// Whether an agent may write to all at once.
        broadcast_channel: bool,
    }
}
