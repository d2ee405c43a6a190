//! The MCP servers this user has somewhere: the project's own, niia's, then those of the tools.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use niia_spec::plan::draw::KnownMcp;
use serde_json::Value;

/// Tools keep much more than servers in these files, but not more than this.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// All servers, the ones that count most first. A file that cannot be read has none: it belongs to another tool, whose
/// business it is, and a server that is missed is named by the plan.
pub fn servers(project: &Path, config: &Path) -> Vec<KnownMcp> {
    let mut files = vec![project.join(".mcp.json"), project.join("mcp.json"), config.join("mcp.json")];
    if let Some(home) = env::var_os("HOME").map(PathBuf::from) {
        files.push(home.join(".claude.json"));
        files.push(home.join(".codex/config.toml"));
        files.push(home.join(".gemini/settings.json"));
    }
    files.iter().flat_map(|file| servers_of(file)).collect()
}

fn servers_of(file: &Path) -> Vec<KnownMcp> {
    let Some(text) = read(file) else { return Vec::new() };
    let content: Option<Value> = if file.extension().is_some_and(|extension| extension == "toml") {
        toml::from_str(&text).ok()
    } else {
        serde_json::from_str(&text).ok()
    };
    let Some(content) = content else { return Vec::new() };
    let named = ["mcpServers", "mcp_servers"].iter().find_map(|key| content.get(key)?.as_object());
    let source = file.display().to_string();
    named.into_iter().flatten().map(|(name, server)| known(name, server, &source)).collect()
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    File::open(file).ok()?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).ok()?;
    (text.len() as u64 <= FILE_BYTES_MAX).then_some(text)
}

fn known(name: &str, server: &Value, source: &str) -> KnownMcp {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let list = server.get("args").and_then(Value::as_array);
    let map = server.get("env").and_then(Value::as_object);
    KnownMcp {
        name: name.to_owned(),
        source: source.to_owned(),
        command: server.get("command").and_then(text),
        args: list.into_iter().flatten().filter_map(text).collect(),
        env: map
            .into_iter()
            .flatten()
            .filter_map(|(k, v)| Some((k.clone(), text(v)?)))
            .collect::<BTreeMap<_, _>>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_in_the_files_of_every_tool() {
        let folder = tempfile::tempdir().unwrap();
        let json =
            r#"{"mcpServers": {"files": {"command": "mcp-files", "args": ["--ro"], "env": {"A": "1"}}}}"#;
        std::fs::write(folder.path().join(".mcp.json"), json).unwrap();
        let toml = "[mcp_servers.search]\ncommand = \"mcp-search\"\n";
        std::fs::write(folder.path().join("config.toml"), toml).unwrap();
        std::fs::write(folder.path().join("broken.json"), "{").unwrap();
        let found = servers_of(&folder.path().join(".mcp.json"));
        assert_eq!((found[0].name.as_str(), found[0].command.as_deref()), ("files", Some("mcp-files")));
        assert_eq!(found[0].env["A"], "1");
        assert_eq!(servers_of(&folder.path().join("config.toml"))[0].name, "search");
        assert!(servers_of(&folder.path().join("broken.json")).is_empty());
    }
}
