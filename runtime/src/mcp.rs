//! `niia mcp`: the verbs of a program inside a session, as tools of the Model Context Protocol over stdin and stdout.
//!
//! The server is a child of the session that uses it, and knows nothing by itself: each call is a question to the node,
//! which knows by the processes above whose session this is, or by the door of a sandbox. So a call may do what `niia`
//! may do there, and nothing else. A node that is restarted meanwhile is waited for.

mod call;
pub mod tools;

use rmcp::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ServerCapabilities, ServerConfig,
    Tool, ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer, serve_server};
use rmcp::transport::async_rw::AsyncRwTransport;
use std::time::Duration;

use crate::config::Folders;
use call::Called;
use tools::{CallError, TOOLS, Words};

/// One message of a client. A file that is written by `scratchpad_write` comes in one.
const MESSAGE_BYTES_MAX: usize = 24 * 1024 * 1024;
/// A client that asked for progress hears so often that a call is still being waited for. Clients give up after 60 s
/// without a word.
const PROGRESS_PERIOD: Duration = Duration::from_secs(10);

const INSTRUCTIONS: &str = "\
You work in a run of niia beside other workers. With these tools you share files with them (scratchpad), write letters \
(mailbox), publish values that later phases read (output_set), take items so that nobody does them twice (claim), and \
ask a person (ask_person). They are the same as the command line `niia` in your terminal.";

/// Serves one client until it goes away.
///
/// Outside of a session the node is started where none runs; inside, the next one is waited for.
pub async fn serve(folders: Folders, run: Option<String>, starts: bool) -> Result<(), std::io::Error> {
    let transport = AsyncRwTransport::new_server(tokio::io::stdin(), tokio::io::stdout())
        .with_max_line_length(MESSAGE_BYTES_MAX);
    let server = Server { folders, run, starts };
    let running = match serve_server(server, transport).await {
        Ok(running) => running,
        // A client that leaves before it has said anything wants nothing.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(error) => return Err(std::io::Error::other(error)),
    };
    running.waiting().await.map(drop).map_err(std::io::Error::other)
}

#[derive(Debug)]
struct Server {
    folders: Folders,
    /// The run that is meant where this is inside of none.
    run: Option<String>,
    starts: bool,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("niia", env!("CARGO_PKG_VERSION")))
            .with_instructions(INSTRUCTIONS)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult { tools: TOOLS.iter().map(described).collect(), ..ListToolsResult::default() })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let words = match Words::of(&request.name, request.arguments.unwrap_or_default()) {
            Ok(words) => words,
            Err(error @ CallError::Unknown(_)) => {
                return Err(ErrorData::invalid_params(error.to_string(), None));
            }
            // The caller can mend this, so it is told it as any other failure of a tool.
            Err(error) => return Ok(refused(error.to_string()).into()),
        };
        let called = call::call(&self.folders, self.starts, self.run.clone(), words);
        tokio::select! {
            called = called => Ok(result(called).into()),
            // What is waited for is let go of; the node notices.
            () = context.ct.cancelled() => Ok(refused("the call was taken back".to_owned()).into()),
            () = keep_telling(&context) => Ok(refused("the client went away".to_owned()).into()),
        }
    }
}

fn described(tool: &tools::Described) -> Tool {
    let hints = ToolAnnotations::new().read_only(tool.reads_only).destructive(false).open_world(false);
    Tool::new(tool.name, tool.about, tool.schema()).with_annotations(hints)
}

fn result(called: Result<Called, String>) -> CallToolResult {
    match called {
        Ok(called) => {
            let mut result = CallToolResult::success(vec![ContentBlock::text(called.text)]);
            result.structured_content = called.data;
            result
        }
        Err(reason) => refused(reason),
    }
}

fn refused(reason: String) -> CallToolResult {
    CallToolResult::error(vec![ContentBlock::text(reason)])
}

/// Tells a client that wants to know that its call is still being waited for; for ever.
async fn keep_telling(context: &RequestContext<RoleServer>) {
    let Some(token) = context.meta.get_progress_token() else {
        return std::future::pending().await;
    };
    let mut told = 0.0;
    loop {
        tokio::time::sleep(PROGRESS_PERIOD).await;
        told += 1.0;
        let word = ProgressNotificationParam::new(token.clone(), told).with_message("still waiting");
        if context.peer.notify_progress(word).await.is_err() {
            return;
        }
    }
}
