//! What a session may reach: rules for its carrier, and the words by which its programs find the way.

use std::net::{IpAddr, Ipv4Addr};

use niia_spec::plan::NetworkPlan;
use niia_spec::profile::{Sandboxed, sandboxed};

use super::{Facts, Launch, LaunchError, Preparation};
use crate::network::{Forward, Kind, PROXY_PORT, Pattern, Rules};

/// Programs ask for a proxy by these, in either case.
const PROXY_VARIABLES: [&str; 3] = ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
/// What is said to this machine's loopback goes by the session's own ports.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";
/// Newer versions of node listen to the variables above when this one is set.
const NODE_VARIABLE: &str = "NODE_USE_ENV_PROXY";

/// Who the session's tool needs to reach, as the profile and the document say.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    pub sandboxed: Sandboxed,
    /// As the tool itself calls it.
    pub model: Option<String>,
    /// Hosts that the document trusts.
    pub trusted: Vec<String>,
}

pub(super) fn apply(launch: Launch, _facts: &Facts) -> Result<Launch, LaunchError> {
    check(&launch)?;
    Ok(launch)
}

/// Settles what a launch that nobody changes any more may reach, and how its programs find the way.
pub(super) fn confine(launch: &mut Launch, facts: &Facts) -> Result<(), LaunchError> {
    own_state(launch, facts);
    swap(&mut launch.argv, &facts.program.reach.sandboxed.swap);
    add(launch, facts);
    if launch.network == NetworkPlan::Open {
        return Ok(());
    }
    let rules = rules(launch, &facts.program.reach)?;
    proxy_variables(launch, !rules.hosts.is_empty());
    launch.reach = Some(rules);
    Ok(())
}

/// Without a sandbox there is nothing that could keep a program from the network.
pub(super) fn check(launch: &Launch) -> Result<(), LaunchError> {
    if launch.sandbox.is_none() && launch.network != NetworkPlan::Open {
        return Err(refused(
            "a session is kept from the network only together with a sandbox",
            "add `\"sandbox\": true`, or set `network` to \"open\"",
        ));
    }
    Ok(())
}

fn refused(why: impl Into<String>, cure: &str) -> LaunchError {
    LaunchError::Refused { property: "network", why: why.into(), cure: cure.to_owned() }
}

/// The tool gets a folder of its own for its state, and never the user's: what it writes there would be run by the
/// user's next session.
fn own_state(launch: &mut Launch, facts: &Facts) {
    let sandboxed = &facts.program.reach.sandboxed;
    let folder = facts.state.clone();
    for (name, below) in &sandboxed.state {
        // A folder that the document itself names is meant.
        if !facts.plan.env.contains_key(name) {
            launch.env.insert(name.clone(), folder.join(below).display().to_string());
        }
    }
    launch.env.extend(sandboxed.env.clone());
    if !sandboxed.state.is_empty() {
        let folders = sandboxed.state.values().cloned().collect();
        let cwd = launch.cwd.display().to_string();
        let text = |text: &String| sandboxed::filled(text, &cwd, &launch.env);
        let files = sandboxed.files.iter().map(|(path, it)| (path.clone(), text(it))).collect();
        launch.preparations.push(Preparation::State { folder: folder.clone(), folders, files });
        launch.state = Some(folder);
    }
}

fn swap(argv: &mut [String], rules: &[[String; 3]]) {
    for [option, word, new] in rules {
        for at in 1..argv.len() {
            if argv[at - 1] == *option && argv[at] == *word {
                argv[at].clone_from(new);
            }
        }
    }
}

/// Arguments of the tool that hold inside alone; a plugin may have put other words before it.
fn add(launch: &mut Launch, facts: &Facts) {
    let tool = facts.program.argv.get(facts.program.at);
    let Some(at) = launch.argv.iter().position(|word| Some(word) == tool) else { return };
    let cwd = launch.cwd.display().to_string();
    let additions = facts.program.reach.sandboxed.args.iter();
    let fitting = additions.filter(|addition| addition.fits(&launch.env, launch.permission));
    let words = fitting.flat_map(|addition| &addition.add);
    let words: Vec<String> = words.map(|word| sandboxed::filled(word, &cwd, &launch.env)).collect();
    launch.argv.splice(at + 1..at + 1, words);
}

fn rules(launch: &Launch, reach: &Reach) -> Result<Rules, LaunchError> {
    let sandboxed = &reach.sandboxed;
    let own = match launch.network {
        NetworkPlan::None => Vec::new(),
        _ => reach.trusted.iter().map(String::as_str).collect(),
    };
    let asked: &[String] = match &launch.network {
        NetworkPlan::Hosts(hosts) => hosts,
        _ => &[],
    };
    let mut hosts: Vec<String> = own.into_iter().map(str::to_owned).chain(asked.iter().cloned()).collect();
    let mut forwards = Vec::new();
    let model = || Kind::Model { model: reach.model.clone() };
    let endpoints = named_endpoints(launch, sandboxed)?;
    for endpoint in &endpoints {
        match endpoint {
            // A model of this machine's is asked, and its server told nothing else.
            Endpoint::Local(port)
                if sandboxed.local_port.is_some() || launch.network == NetworkPlan::None =>
            {
                forwards.push(Forward { port: *port, kind: model() });
            }
            Endpoint::Local(port) => forwards.push(Forward { port: *port, kind: Kind::Plain }),
            Endpoint::Host(host) if launch.network != NetworkPlan::None => hosts.push(host.clone()),
            Endpoint::Host(_) => {}
        }
    }
    if endpoints.is_empty() {
        forwards.extend(sandboxed.local_port.map(|port| Forward { port, kind: model() }));
        if launch.network != NetworkPlan::None {
            hosts.extend(sandboxed.hosts.iter().cloned());
        }
    }
    forwards.dedup_by_key(|forward| forward.port);
    Rules::new(hosts.iter().map(String::as_str), forwards).map_err(|error| {
        refused(crate::ask::chain(&error), "name hosts as `api.example.com` or `*.example.com`")
    })
}

/// Where a variable leads.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Endpoint {
    /// A port of this machine's loopback.
    Local(u16),
    Host(String),
}

fn named_endpoints(launch: &Launch, sandboxed: &Sandboxed) -> Result<Vec<Endpoint>, LaunchError> {
    let set = sandboxed.base_url_env.iter().filter_map(|name| Some((name, launch.env.get(name)?)));
    let set = set.filter(|(_, value)| !value.trim().is_empty());
    let mut endpoints = Vec::new();
    for (name, value) in set {
        let endpoint = endpoint(value.trim(), sandboxed.local_port).map_err(|(why, cure)| {
            // The address may hold a password, and is not repeated.
            refused(format!("`{name}` {why}"), cure)
        })?;
        if !endpoints.contains(&endpoint) {
            endpoints.push(endpoint);
        }
    }
    Ok(endpoints)
}

type Fault = (&'static str, &'static str);

fn endpoint(url: &str, local_port: Option<u16>) -> Result<Endpoint, Fault> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let usual = match scheme.to_ascii_lowercase().as_str() {
        "https" => Some(443),
        "http" => Some(80),
        "" => local_port,
        _ => {
            return Err((
                "is no address of the web",
                "write it as `https://host` or `http://127.0.0.1:PORT`",
            ));
        }
    };
    let (host, port) = split(authority).ok_or(("is no address", "write it as `https://host`"))?;
    let port = port.or(usual).filter(|port| *port != 0);
    let port = port.ok_or(("names no port", "write it as `http://127.0.0.1:PORT`"))?;
    match loopback(host) {
        Some(true) if port == PROXY_PORT => Err((
            "leads to port 3128, which is the proxy's own in a sandbox",
            "let it listen at another port",
        )),
        Some(true) => Ok(Endpoint::Local(port)),
        Some(false) => Err((
            "leads to this machine by an address that a sandbox does not have",
            "write it as `http://127.0.0.1:PORT`",
        )),
        None if scheme.eq_ignore_ascii_case("https") && port == 443 && Pattern::new(host).is_ok() => {
            Ok(Endpoint::Host(host.to_owned()))
        }
        None => Err((
            "leads to another host than by https at port 443, which is all that a sandbox lets through",
            "serve it by https at port 443, or at a port of this machine's loopback",
        )),
    }
}

fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let port = port.map(str::parse).transpose().ok()?;
    (!host.is_empty()).then_some((host, port))
}

/// Whether a host is this machine's loopback, by an address that the session has too.
fn loopback(host: &str) -> Option<bool> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(true);
    }
    match host.parse::<IpAddr>().ok()? {
        // Servers are told to listen at all addresses by this one, and their clients take it for the loopback.
        IpAddr::V4(address) if address == Ipv4Addr::LOCALHOST || address.is_unspecified() => Some(true),
        IpAddr::V4(address) if address.is_loopback() => Some(false),
        IpAddr::V6(address) if address.is_loopback() || address.is_unspecified() => Some(false),
        _ => None,
    }
}

fn proxy_variables(launch: &mut Launch, has_proxy: bool) {
    let cases = |name: &str| [name.to_owned(), name.to_ascii_lowercase()];
    for name in PROXY_VARIABLES.iter().flat_map(|name| cases(name)) {
        // The caller's own proxy cannot be reached from inside.
        launch.env.remove(&name);
        if has_proxy {
            launch.env.insert(name, format!("http://127.0.0.1:{PROXY_PORT}"));
        }
    }
    for name in cases("NO_PROXY") {
        launch.env.insert(name, NO_PROXY.to_owned());
    }
    if has_proxy {
        launch.env.insert(NODE_VARIABLE.to_owned(), "1".to_owned());
    }
}

#[cfg(test)]
mod tests;
