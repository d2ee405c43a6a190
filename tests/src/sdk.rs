//! The official SDK of the Model Context Protocol, from the npm registry: a client of somebody else's for `niia mcp`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The version whose words the tests know.
const PACKAGE: &str = "@modelcontextprotocol/sdk@1.32.2";

/// The folder that holds its `node_modules`, or why it cannot be had.
pub fn sdk() -> Result<PathBuf, String> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    FOUND.get_or_init(find).clone()
}

fn find() -> Result<PathBuf, String> {
    let installed =
        std::env::var_os("NIIA_CLIS").map_or_else(|| PathBuf::from("/var/cache/niia-clis"), PathBuf::from);
    if is_there(&installed) {
        return Ok(installed);
    }
    let own = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/mcp-sdk");
    if is_there(&own) {
        return Ok(own);
    }
    install(&own)
}

fn is_there(folder: &Path) -> bool {
    folder.join("node_modules/@modelcontextprotocol/sdk/package.json").is_file()
}

/// Once for all tests of a build; a second process that does the same comes to the same.
fn install(folder: &Path) -> Result<PathBuf, String> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--fetch-retries=0", "--prefix"])
        .arg(folder)
        .arg(PACKAGE);
    let output = npm.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("there is no npm here: {error}"))?;
    match output.status.success() && is_there(folder) {
        true => Ok(folder.to_owned()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(format!("npm does not get {PACKAGE}: {}", said.lines().next().unwrap_or_default()))
        }
    }
}
