//! Who may depend on whom, asked of cargo itself.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::sources::root;

/// The language room: nothing that could reach a clock, a file, the network, a thread or an async runtime.
const PURE_MAY_NOT: [&str; 10] = [
    "tokio",
    "ractor",
    "rustix",
    "libc",
    "rusqlite",
    "portable-pty",
    "quinn",
    "crossterm",
    "tempfile",
    "nix",
];

/// Whom each room may know of the others.
const ROOMS: [(&str, &[&str]); 4] = [
    ("niia-spec", &[]),
    ("niia-actors", &["niia-spec"]),
    ("niia-net", &["niia-spec"]),
    ("niia", &["niia-spec", "niia-actors", "niia-net"]),
];

/// What only one room names, so that it can be replaced there.
const NAMED_BY_ONE: [(&str, &str); 3] =
    [("portable-pty", "niia-actors"), ("rusqlite", "niia-actors"), ("quinn", "niia-net")];

/// Licences that may be handed on together with ours.
const LICENCES: [&str; 14] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "0BSD",
];

struct Workspace(Value);

impl Workspace {
    fn read() -> Workspace {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let host = host();
        let args = ["metadata", "--format-version=1", "--locked", "--filter-platform", &host];
        let output = Command::new(cargo).args(args).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Workspace(serde_json::from_slice(&output.stdout).unwrap())
    }

    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0["packages"].as_array().unwrap().iter()
    }

    fn members(&self) -> impl Iterator<Item = &Value> {
        let ids = &self.0["workspace_members"];
        self.packages().filter(|package| ids.as_array().unwrap().contains(&package["id"]))
    }

    /// What a member names in its own Cargo.toml; for tests and builds too where `all` is set.
    fn names(&self, member: &str, all: bool) -> BTreeSet<&str> {
        let member = self.members().find(|package| package["name"] == member);
        let dependencies = member.unwrap()["dependencies"].as_array().unwrap().iter();
        let wanted = dependencies.filter(|dependency| all || dependency["kind"].is_null());
        wanted.map(|dependency| dependency["name"].as_str().unwrap()).collect()
    }
}

fn host() -> String {
    let output = Command::new("rustc").arg("-vV").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap().to_owned()
}

#[test]
fn no_room_knows_a_room_it_may_not() {
    let workspace = Workspace::read();
    for (room, may) in ROOMS {
        let knows = workspace.names(room, false);
        let others =
            ROOMS.iter().map(|(name, _)| *name).filter(|name| knows.contains(name) && !may.contains(name));
        assert_eq!(others.collect::<Vec<_>>(), [] as [&str; 0], "{room}");
    }
}

#[test]
fn the_language_room_is_pure() {
    let workspace = Workspace::read();
    let knows = workspace.names("niia-spec", false);
    assert!(knows.contains("serde"));
    assert!(PURE_MAY_NOT.iter().all(|name| !knows.contains(name)), "{knows:?}");
}

#[test]
fn what_belongs_to_one_room_is_named_by_no_other() {
    let workspace = Workspace::read();
    for (name, owner) in NAMED_BY_ONE {
        let members = workspace.members().map(|member| member["name"].as_str().unwrap());
        let others: Vec<&str> = members
            .filter(|member| *member != owner && workspace.names(member, true).contains(name))
            .collect();
        assert_eq!(others, [] as [&str; 0], "{name}");
    }
}

#[test]
fn every_crate_may_be_handed_on_and_comes_from_a_registry() {
    let workspace = Workspace::read();
    let mut wrong = Vec::new();
    for package in workspace.packages() {
        let (name, licence) =
            (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        if !may_be_handed_on(licence) {
            wrong.push(format!("{name}: {licence}"));
        }
        let ours = package["source"].is_null();
        if !ours && !package["source"].as_str().unwrap().starts_with("registry+") {
            wrong.push(format!("{name} comes from {}", package["source"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// Of an `OR` one side is enough, of an `AND` both are needed; `/` is an old way to write `OR`.
fn may_be_handed_on(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    let known =
        |licence: &str| LICENCES.contains(&licence.split_whitespace().collect::<Vec<_>>().join(" ").as_str());
    plain.split(" AND ").all(|part| part.split(" OR ").any(known))
}

#[test]
fn a_licence_is_judged_by_its_expression() {
    for good in ["MIT", "MIT/Apache-2.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "GPL-3.0 OR MIT"] {
        assert!(may_be_handed_on(good), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "none"] {
        assert!(!may_be_handed_on(bad), "{bad}");
    }
}
