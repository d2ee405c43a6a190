//! The places between two steps of git at which a crash must do no harm.
//!
//! Each has a name, so that a test can end the process exactly there and look at what the next one makes of it.

/// Says that a named place has been reached.
pub(crate) fn step(name: &'static str) {
    #[cfg(test)]
    die_where_told(name);
    #[cfg(not(test))]
    let _ = name;
}

/// The variable that tells a process of the tests at which step to die.
#[cfg(test)]
pub(crate) const DIE_AT: &str = "NIIA_TEST_DIES_AT";

#[cfg(test)]
fn die_where_told(name: &str) {
    if std::env::var(DIE_AT).is_ok_and(|told| told == name) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
}
