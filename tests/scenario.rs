//! One file for each thing the product promises.

mod agents;
mod appointments;
mod attach;
mod clis;
mod course;
mod documents;
mod escape;
mod heard;
mod inside;
mod kill;
mod mcp;
mod order;
mod orphans;
mod papers;
mod pipeline;
mod planted;
mod prompts;
mod refusals;
mod rehearse;
mod remote;
mod resume;
mod sandbox_documents;
mod sandbox_inside;
mod sandbox_refusals;
mod sandbox_streams;
mod sandbox_verbs;
mod sandbox_world;
mod seeds;
mod stand_in;
mod storm;
mod stranger;
mod talks;
mod tidy;
mod trees;
mod webhooks;
mod words;

use std::time::Duration;

/// Long enough for anything a test waits for, on a busy machine with two cores; nothing is expected to take it.
const SOON: Duration = Duration::from_secs(60);
