//! Who is asking: known by process ancestry, not by what it claims.

use std::collections::HashMap;

use niia_spec::name::SessionId;

/// A chain of parents longer than this belongs to no session of ours.
const ANCESTORS_MAX: usize = 256;

/// The side of the socket that asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A person, or a program of theirs.
    Person,
    /// A program inside a session.
    Agent(SessionId),
}

impl Caller {
    /// Climbs from the caller's process to the minder it descends from, if it descends from one.
    ///
    /// A program that forks twice and detaches is adopted by its minder, so the climb finds it too.
    pub fn of(pid: u32, minders: &HashMap<u32, SessionId>) -> Caller {
        let mut pid = pid;
        for _ in 0..ANCESTORS_MAX {
            if let Some(session) = minders.get(&pid) {
                return Caller::Agent(session.clone());
            }
            match parent_of(pid) {
                Some(parent) if parent > 1 => pid = parent,
                _ => break,
            }
        }
        Caller::Person
    }
}

/// The fourth field of `/proc/PID/stat` (proc(5)); the second one, the name, may itself hold blanks and brackets.
pub(crate) fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_descendant_of_a_minder_is_an_agent_and_anybody_else_a_person() {
        let session: SessionId = "demo/build/1/1".parse().expect("a session");
        let me = std::process::id();
        assert_eq!(Caller::of(me, &HashMap::new()), Caller::Person);
        let parent = parent_of(me).expect("a parent");
        let minders = HashMap::from([(parent, session.clone())]);
        assert_eq!(Caller::of(me, &minders), Caller::Agent(session));
    }
}
