//! `session`: what the surroundings of one session are, at any level of a document.

use crate::plan::{Egress, OnDialog, Permission};
use crate::read::map::{EnvKey, Map};
use crate::read::table::{bounds, record, texts, union, words};
use crate::read::{At, False, OneOrMany, template};

/// The longest time a document may name: a year is for ever.
pub const DURATION_MS_MAX: u64 = 366 * 24 * 60 * 60 * 1000;
/// The widest and tallest terminal: a screen takes memory in its area.
pub const TERMINAL_CELLS_MAX: u64 = 1000;
/// The largest recording of one session, 1 TiB: no disk of a workstation holds more.
pub const RECORDING_BYTES_MAX: u64 = 1 << 40;
/// The most free ports one session is given: a machine has some 28,000 of them.
pub const PORTS_MAX: u64 = 100;
/// The most memory a sandbox may be given, 16 TiB.
pub const MEMORY_MB_MAX: u64 = 16 * 1024 * 1024;
/// The most processes a sandbox may be given: Linux has no more ids.
pub const PIDS_MAX: u64 = 4_194_304;

bounds! {
    /// A time in milliseconds.
    DurationMs = 1, DURATION_MS_MAX, "duration_ms_max";
    /// A terminal's width or height.
    Cells = 1, TERMINAL_CELLS_MAX, "terminal_cells_max";
    /// The size of a recording.
    RecordingBytes = 1, RECORDING_BYTES_MAX, "recording_bytes_max";
    /// A number of ports.
    PortCount = 0, PORTS_MAX, "ports_max";
    /// An amount of memory.
    MemoryMb = 1, MEMORY_MB_MAX, "memory_mb_max";
    /// A number of processes.
    PidCount = 1, PIDS_MAX, "pids_max";
}

texts! {
    /// A slug that may hold variables such as `{worker}`.
    SlugTemplate = template::slug_fault, { "type": "string", "minLength": 1 };
    /// A value of an environment variable.
    EnvValue = crate::read::text::env_value, { "type": "string" };
    /// A name of an environment variable.
    EnvName = crate::read::text::env_name, { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" };
    /// A path below the root of the tree.
    InnerPath = crate::read::text::inner_path, { "type": "string", "minLength": 1 };
    /// A text that is not empty.
    Filled = crate::read::text::not_empty, { "type": "string", "minLength": 1 };
    /// A host, or `*.` and a host.
    Domain = crate::read::text::domain, { "type": "string", "minLength": 1 };
}

record! {
    /// The surroundings of one session. An inner level overrides an outer one field by field; `env` name by name.
    pub struct Session {
        /// The git worktree it works in: a literal slug names one tree for all who name it; `false` is the checkout itself.
        worktree: WorktreeSpec,
        /// Whether the session is walled in by the operating system; or the wall's own rules.
        sandbox: SandboxSpec,
        /// What it may reach: `none`, `provider`, `open` or a list of hosts.
        network: NetworkSpec,
        /// Whether it has the run's shared folder; on unless false.
        scratchpad: bool,
        /// Environment variables; `${VAR}` and `${VAR:-default}` expand on the machine that runs it.
        env: Map<EnvKey, EnvValue>,
        /// Variables that travel from the home machine to another one.
        env_from_home: OneOrMany<EnvName>,
        /// What it may do without asking.
        permission: Permission,
        /// How long it may take.
        timeout_ms: DurationMs,
        /// A line of work to go on with: its slug, or `RUN/SLUG`.
        resume: Filled,
        /// What leaves the machine and what later phases see.
        egress: Egress,
        /// How long a question waits for a person.
        answer_within_ms: DurationMs,
        /// What becomes of a question of the program's own.
        on_dialog: OnDialog,
        /// Ignored files that are copied into the tree.
        include: OneOrMany<InnerPath>,
        /// Commands run in the tree before the program.
        setup: OneOrMany<Filled>,
        /// Commands run in the tree after the program.
        teardown: OneOrMany<Filled>,
        /// How many free ports are exported.
        ports: PortCount,
        /// Programs of the user's plugin folder that may narrow the launch.
        plugins: OneOrMany<Filled>,
        /// The terminal's width.
        cols: Cells,
        /// The terminal's height.
        rows: Cells,
        /// The shell commands are run by.
        shell: Filled,
        /// The folder it starts in, instead of the tree's root.
        cwd: Filled,
        /// Whether what it prints is recorded; on unless false.
        record: bool,
        /// The longest recording.
        recording_bytes_max: RecordingBytes,
    }
}

union! {
    /// The tree a session works in.
    pub enum WorktreeSpec {
        Checkout(False),
        Slug(SlugTemplate),
    }
}

union! {
    /// Whether and how a session is walled in.
    pub enum SandboxSpec {
        Simply(bool),
        Rules(SandboxRules),
    }
}

record! {
    /// A wall's own rules.
    pub struct SandboxRules {
        /// Further paths it may write.
        write: OneOrMany<Filled>,
        /// Further paths it may not read.
        read_deny: OneOrMany<Filled>,
        /// The most memory.
        memory_mb: MemoryMb,
        /// The most processes.
        pids: PidCount,
    }
}

union! {
    /// What a session may reach.
    pub enum NetworkSpec {
        Simply(bool),
        Word(NetworkWord),
        Hosts(Vec<At<Domain>>),
    }
}

/// A network rule with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkWord {
    None,
    Provider,
    Open,
}

words! { NetworkWord {
    "none" => NetworkWord::None,
    "provider" => NetworkWord::Provider,
    "open" => NetworkWord::Open,
} }

words! { Permission {
    "ask" => Permission::Ask,
    "read-only" => Permission::ReadOnly,
    "workspace-write" => Permission::WorkspaceWrite,
    "full" => Permission::Full,
} }

words! { Egress {
    "all" => Egress::All,
    "result" => Egress::Result,
    "none" => Egress::None,
} }

words! { OnDialog {
    "ask" => OnDialog::Ask,
    "allow" => OnDialog::Allow,
    "deny" => OnDialog::Deny,
    "fail" => OnDialog::Fail,
} }
