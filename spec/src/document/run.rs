//! What concerns the whole run: the pipeline, tools, schedules, triggers, limits.

use super::phase::Phase;
use super::session::{Domain, DurationMs, EnvValue, Filled};
use crate::plan::{MergeRule, OnBreach, Overlap};
use crate::read::map::{EnvKey, Map};
use crate::read::table::{bounds, record, texts, union, words};
use crate::read::{At, OneOrMany, Usd};

/// The deepest tree of runs within runs.
pub const DEPTH_MAX: u64 = 64;
/// The most agents of one run and all runs below it.
pub const AGENTS_MAX: u64 = 1_000_000;
/// The most letters or turns of one run.
pub const MESSAGES_MAX: u64 = 1_000_000;

bounds! {
    /// A depth of runs within runs.
    Depth = 1, DEPTH_MAX, "depth_max";
    /// A number of agents.
    AgentCount = 1, AGENTS_MAX, "agents_max";
    /// A number of letters or turns.
    MessageCount = 1, MESSAGES_MAX, "messages_max";
}

texts! {
    /// The name of an event.
    EventName = crate::read::text::event, { "type": "string", "pattern": "^(github|git|file|webhook)\\." };
}

record! {
    /// Phases, one after the other.
    pub struct Pipeline {
        /// The phases, in order.
        phases: Vec<At<Phase>> [required],
        /// Whether the phases share a folder; they do unless false.
        scratchpad: bool,
        /// Whether workers may write to each other; they may unless false.
        mailbox: bool,
        /// What becomes of a conflict when work is merged.
        merge: MergeRule,
    }
}

record! {
    /// Tools the agents may use.
    pub struct Tools {
        /// MCP servers, by name or in full.
        mcp: Vec<At<McpEntry>>,
    }
}

union! {
    /// An MCP server.
    pub enum McpEntry {
        Name(Filled),
        Server(McpServer),
    }
}

record! {
    /// An MCP server in full.
    pub struct McpServer {
        /// Its name.
        name: Filled [required],
        /// Its program.
        command: Filled,
        /// Its program's arguments.
        args: Vec<At<String>>,
        /// Its environment variables.
        env: Map<EnvKey, EnvValue>,
        /// The hosts it must reach.
        hosts: Vec<At<Domain>>,
        /// Whether it runs outside of the sandbox.
        outside: bool,
        /// Whether a run without it is an error.
        required: bool,
    }
}

record! {
    /// What every agent is handed first.
    pub struct AgentBlock {
        /// Markdown, or the path of a file of it.
        flow: String,
    }
}

record! {
    /// What a sandboxed session may reach.
    pub struct Trust {
        /// Hosts besides its provider; `*.example.com` is all below.
        domains: Vec<At<Domain>>,
    }
}

union! {
    /// When a document runs by itself: a cron line, or one with settings.
    pub enum ScheduleSpec {
        Cron(Filled),
        Block(ScheduleBlock),
    }
}

record! {
    /// A cron line with settings.
    pub struct ScheduleBlock {
        /// Five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`.
        cron: Filled [required],
        /// The IANA name of its time zone; the node's own where it is missing.
        timezone: Filled,
        /// Whether a missed firing is made up for.
        catch_up: CatchUp,
        /// What becomes of a firing while the last run goes on.
        overlap: Overlap,
        /// How late a firing may be, at random.
        jitter_ms: DurationMs,
    }
}

/// Whether a missed firing is made up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CatchUp {
    Skip,
    Once,
}

words! { CatchUp {
    "skip" => CatchUp::Skip,
    "once" => CatchUp::Once,
} }

words! { Overlap {
    "skip" => Overlap::Skip,
    "queue" => Overlap::Queue,
    "parallel" => Overlap::Parallel,
} }

union! {
    /// An event, or one with a filter.
    pub enum TriggerOne {
        Event(EventName),
        Block(TriggerBlock),
    }
}

record! {
    /// An event with a filter.
    pub struct TriggerBlock {
        /// The event.
        event: EventName [required],
        /// A CEL expression over `event`; the document runs where it holds.
        filter: String,
    }
}

record! {
    /// What wakes an idle agent.
    pub struct WatchSpec {
        /// `worktree`, a branch, or `remote/branch`.
        git: Filled [required],
        /// How long it must be still before it is told.
        settle_ms: DurationMs,
    }
}

record! {
    /// What agents may do besides their work.
    pub struct Capabilities {
        /// Whether they may start runs of their own.
        spawn: bool,
        /// Whether they may end the run.
        end: bool,
    }
}

/// Whether a model whose cost nobody can know may be used under a cost limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownCost {
    Allow,
    Deny,
}

words! { UnknownCost {
    "allow" => UnknownCost::Allow,
    "deny" => UnknownCost::Deny,
} }

words! { OnBreach {
    "pause" => OnBreach::Pause,
    "stop" => OnBreach::Stop,
} }

record! {
    /// Bounds over the whole tree of a run.
    pub struct LimitsSpec {
        /// The deepest tree of runs within runs.
        max_depth: Depth,
        /// The most agents in all.
        max_total_agents: AgentCount,
        /// The most sessions at a time.
        max_parallel: AgentCount,
        /// The most it may cost, in US dollars.
        max_cost_usd: Usd,
        /// The longest time of one session.
        timeout_per_agent_ms: DurationMs,
        /// The most letters between agents.
        max_messages: MessageCount,
        /// The most turns of one conversation.
        max_turns: MessageCount,
        /// What becomes of the run at a limit.
        on_breach: OnBreach,
        /// Whether a cost nobody can know is allowed under a cost limit.
        on_unknown_cost: UnknownCost,
    }
}

/// Which events run a document: one or several.
pub type TriggerSpec = OneOrMany<TriggerOne>;
