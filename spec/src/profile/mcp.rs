//! How a tool is handed MCP servers, as its profile says it: in arguments, variables or files of the session's own, and
//! in the form the tool has for one server.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::drive::json;

/// The name of the server that is niia itself.
pub const OWN_SERVER: &str = "niia";

/// One server to be handed over: a program that speaks the protocol over stdin and stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    pub name: String,
    pub command: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// How servers are handed over; a tool that takes none has nothing here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handing {
    /// The tool takes servers.
    pub takes: bool,
    /// Takes the place of `{mcp}` in an argument list.
    pub argv: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Files of the session's own, by name.
    pub files: BTreeMap<String, String>,
    pub form: Form,
    /// What one server looks like; `{command}`, `{args}` and `{env}` stand for its parts.
    pub server: Value,
    /// What niia's own server has besides: it may do only what its session may, so it need not be asked about.
    pub own: Map<String, Value>,
}

/// How `{servers}` is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    #[default]
    Json,
    Toml,
}

/// The table `[mcp]` of a profile's file; a key that is not there changes nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HandingKeys {
    argv: Option<Vec<String>>,
    env: Option<BTreeMap<String, String>>,
    files: Option<BTreeMap<String, String>>,
    form: Option<Form>,
    server: Option<toml::Table>,
    own: Option<toml::Table>,
}

impl HandingKeys {
    /// Lays these keys over what is there, or says what is wrong with them.
    pub(crate) fn put(&self, into: &mut Handing) -> Result<(), String> {
        let HandingKeys { argv, env, files, form, server, own } = self.clone();
        into.takes = true;
        into.argv = argv.unwrap_or_else(|| std::mem::take(&mut into.argv));
        into.env.extend(env.unwrap_or_default());
        into.files.extend(files.unwrap_or_default());
        into.form = form.unwrap_or(into.form);
        if let Some(server) = server {
            into.server = json(&toml::Value::Table(server));
        }
        if let Some(Value::Object(own)) = own.map(|own| json(&toml::Value::Table(own))) {
            into.own = own;
        }
        if let Some(name) = into.files.keys().find(|name| crate::name::Slug::new(name.as_str()).is_err()) {
            return Err(format!("`{name}` is no file name: it must have no folder"));
        }
        Ok(())
    }
}

impl Handing {
    /// All servers in the tool's own form, for `{servers}`.
    pub fn servers(&self, servers: &[Server]) -> String {
        let each = servers.iter().map(|server| (server.name.clone(), self.server(server)));
        let all = Value::Object(each.collect());
        match self.form {
            Form::Json => all.to_string(),
            Form::Toml => inline(&all),
        }
    }

    fn server(&self, server: &Server) -> Value {
        let mut shape = match &self.server {
            Value::Null => serde_json::json!({ "command": "{command}", "args": ["{args}"], "env": "{env}" }),
            shape => shape.clone(),
        };
        fill(&mut shape, server);
        if let (Value::Object(fields), true) = (&mut shape, server.name == OWN_SERVER) {
            fields.extend(self.own.clone());
        }
        shape
    }
}

fn fill(shape: &mut Value, server: &Server) {
    match shape {
        Value::String(text) if text == "{command}" => *shape = server.command.clone().into(),
        Value::String(text) if text == "{env}" => {
            *shape = server.env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        }
        Value::Array(list) => {
            let filled = list.drain(..).flat_map(|mut one| match one.as_str() {
                Some("{args}") => server.args.iter().cloned().map(Value::from).collect(),
                _ => {
                    fill(&mut one, server);
                    vec![one]
                }
            });
            *shape = Value::Array(filled.collect());
        }
        Value::Object(fields) => fields.values_mut().for_each(|value| fill(value, server)),
        _ => {}
    }
}

/// A value as TOML has it in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let each = fields.iter().map(|(name, value)| format!("{}={}", quoted(name), inline(value)));
            format!("{{{}}}", each.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(inline).collect::<Vec<_>>().join(",")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

/// A basic string of TOML; it takes the escapes of JSON, and a DEL besides.
fn quoted(text: &str) -> String {
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use crate::profile::{Call, Profiles};

    use super::*;

    fn servers() -> Vec<Server> {
        let own = Server { name: "niia".to_owned(), command: "/n".to_owned(), ..Server::default() };
        let env = BTreeMap::from([("TOKEN".to_owned(), "a\"b\n\u{7f}".to_owned())]);
        let args = ["--ro".to_owned(), "x y".to_owned()].to_vec();
        vec![own, Server { name: "my.files".to_owned(), command: "mcp-files".to_owned(), args, env }]
    }

    #[test]
    fn each_tool_gets_servers_in_its_own_form_and_in_toml_they_read_back_the_same() {
        let profiles = Profiles::built_in().unwrap();
        let codex = &profiles.get("codex").unwrap().mcp;
        let table: toml::Table = toml::from_str(&format!("s = {}", codex.servers(&servers()))).unwrap();
        let files = &table["s"]["my.files"];
        assert_eq!(files["args"].as_array().unwrap().len(), 2);
        assert_eq!(files["env"]["TOKEN"].as_str(), Some("a\"b\n\u{7f}"));
        let opencode = &profiles.get("opencode").unwrap().mcp;
        let all: Value = serde_json::from_str(&opencode.servers(&servers())).unwrap();
        assert_eq!(all["my.files"]["command"], serde_json::json!(["mcp-files", "--ro", "x y"]));
        assert_eq!(all["my.files"]["type"], "local");
    }

    #[test]
    fn servers_stand_in_the_place_of_their_word_and_without_any_nothing_does() {
        let profiles = Profiles::built_in().unwrap();
        let codex = profiles.get("codex").unwrap();
        let servers = servers();
        let call = Call { prompt: Some("x"), mcp: &servers, ..Call::default() };
        let args = codex.call(&call).unwrap().args;
        assert_eq!(args[0], "-c");
        assert!(args[1].starts_with("mcp_servers={\"niia\"={"), "{args:?}");
        let without = codex.call(&Call { mcp: &[], ..call }).unwrap().args;
        assert_eq!(without, ["exec", "x"]);
    }
}
