//! What one session may reach. Plain data, made before the session starts and handed to its carrier.

use serde::{Deserialize, Serialize};

use super::PROXY_PORT;
use super::name::{NameError, Pattern, canonical};

/// The form of these rules.
const VERSION: u32 = 1;
/// A document names a few hosts; a list of thousands is no rule a person has read.
pub const HOSTS_MAX: usize = 1_000;
/// Endpoints on this machine that one session has a use for.
pub const FORWARDS_MAX: usize = 8;

/// What a session may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    version: u32,
    /// Reached through the proxy. Without any there is no proxy.
    pub hosts: Vec<Pattern>,
    pub forwards: Vec<Forward>,
}

/// A port inside that leads to the same port of this machine's loopback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    pub port: u16,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whatever is said there: an endpoint that the user named to the tool.
    Plain,
    /// Nothing but questions to a model; to this one, where it is known.
    Model { model: Option<String> },
}

/// Why rules cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    #[error("rules of version {0} are not known here")]
    Version(u32),
    #[error("{count} {what} are named, at most {max} may be")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("`{host}`")]
    Host { host: String, source: NameError },
    #[error("port {port} is the proxy's own in a session")]
    Port { port: u16 },
    #[error("these are no rules")]
    Form(#[source] serde_json::Error),
}

impl Rules {
    pub fn new<'h>(
        hosts: impl IntoIterator<Item = &'h str>,
        forwards: Vec<Forward>,
    ) -> Result<Rules, RulesError> {
        let pattern = |host: &'h str| {
            Pattern::new(host).map_err(|source| RulesError::Host { host: host.to_owned(), source })
        };
        let mut hosts = hosts.into_iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        hosts.sort_unstable();
        hosts.dedup();
        let rules = Rules { version: VERSION, hosts, forwards };
        rules.check()?;
        Ok(rules)
    }

    fn check(&self) -> Result<(), RulesError> {
        if self.version != VERSION {
            return Err(RulesError::Version(self.version));
        }
        for (what, count, max) in
            [("hosts", self.hosts.len(), HOSTS_MAX), ("endpoints", self.forwards.len(), FORWARDS_MAX)]
        {
            if count > max {
                return Err(RulesError::TooMany { what, count, max });
            }
        }
        match self.forwards.iter().find(|forward| matches!(forward.port, 0 | PROXY_PORT)) {
            Some(forward) => Err(RulesError::Port { port: forward.port }),
            None => Ok(()),
        }
    }

    /// Whether there is nothing at all to reach.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.forwards.is_empty()
    }

    /// The ports that are listened at inside, in this order.
    pub fn ports(&self) -> Vec<u16> {
        let proxy = (!self.hosts.is_empty()).then_some(PROXY_PORT);
        let mut ports: Vec<u16> =
            proxy.into_iter().chain(self.forwards.iter().map(|forward| forward.port)).collect();
        let mut seen = std::collections::BTreeSet::new();
        ports.retain(|port| seen.insert(*port));
        ports
    }

    /// What stands behind a port inside.
    pub fn forward(&self, port: u16) -> Option<&Forward> {
        self.forwards.iter().find(|forward| forward.port == port)
    }

    /// The name to reach, in its canonical form, or why it is not reached.
    pub fn judge(&self, host: &str) -> Result<String, Refused> {
        let name = canonical(host).map_err(Refused::Name)?;
        if self.hosts.iter().any(|pattern| pattern.fits(&name)) { Ok(name) } else { Err(Refused::NotListed) }
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, RulesError> {
        serde_json::to_vec(self).map_err(RulesError::Form)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Rules, RulesError> {
        let rules: Rules = serde_json::from_slice(bytes).map_err(RulesError::Form)?;
        rules.check()?;
        Ok(rules)
    }
}

/// Why a host is not reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("{0}")]
    Name(NameError),
    #[error("the session's `network` and `trust.domains` do not name it")]
    NotListed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(hosts: &[&str]) -> Rules {
        Rules::new(hosts.iter().copied(), Vec::new()).unwrap()
    }

    #[test]
    fn hosts_are_reached_by_rule_alone() {
        let rules = rules(&["api.example.com", "*.cdn.example", "api.example.com"]);
        assert_eq!(rules.judge("API.example.com."), Ok("api.example.com".to_owned()));
        assert_eq!(rules.judge("a.cdn.example"), Ok("a.cdn.example".to_owned()));
        assert_eq!(rules.judge("cdn.example"), Err(Refused::NotListed));
        assert_eq!(rules.judge("example.com"), Err(Refused::NotListed));
        assert_eq!(rules.judge("1.1.1.1"), Err(Refused::Name(NameError::Address)));
        assert_eq!(rules.hosts.len(), 2);
    }

    #[test]
    fn rules_travel_whole_or_not_at_all() {
        let forwards = vec![
            Forward { port: 11434, kind: Kind::Model { model: Some("llama3:latest".to_owned()) } },
            Forward { port: 4000, kind: Kind::Plain },
        ];
        let rules = Rules::new(["*.example.com"], forwards).unwrap();
        assert_eq!(Rules::from_bytes(&rules.to_bytes().unwrap()).unwrap(), rules);
        assert_eq!(rules.ports(), [PROXY_PORT, 11434, 4000]);
        for text in [
            r#"{"version":2,"hosts":[],"forwards":[]}"#,
            r#"{"version":1,"hosts":["*"],"forwards":[]}"#,
            r#"{"version":1,"hosts":[],"forwards":[],"open":true}"#,
            r#"{"version":1,"hosts":[],"forwards":[{"port":3128,"kind":"plain"}]}"#,
            r#"{"version":1,"hosts":[]}"#,
        ] {
            assert!(Rules::from_bytes(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn there_is_no_proxy_where_no_host_may_be_reached() {
        assert!(rules(&[]).is_empty());
        assert_eq!(rules(&[]).ports(), [0_u16; 0]);
        let too_many: Vec<String> = (0..=HOSTS_MAX).map(|n| format!("h{n}.example")).collect();
        assert!(Rules::new(too_many.iter().map(String::as_str), Vec::new()).is_err());
    }
}
