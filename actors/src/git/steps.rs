//! The places between two steps of git at which a crash must do no harm.
//!
//! Each has a name, so that a test can end the process exactly there and look at what the next one makes of it.

/// Says that a named place has been reached.
pub(crate) fn step(name: &'static str) {
    #[cfg(test)]
    tests::reached(name);
    crate::failpoint::hit(name);
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Tells a process of the tests at which of its steps, counted from 1, to die.
    pub(crate) const DIE_AT: &str = "NIIA_TEST_DIES_AT";
    /// Tells it where to write down the names of its steps.
    pub(crate) const STEPS_TO: &str = "NIIA_TEST_STEPS_TO";

    static REACHED: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn reached(name: &str) {
        let number = REACHED.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(file) = std::env::var_os(STEPS_TO) {
            let mut file = std::fs::File::options().create(true).append(true).open(file).unwrap();
            writeln!(file, "{name}").unwrap();
        }
        if std::env::var(DIE_AT).is_ok_and(|told| told == number.to_string()) {
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
        }
    }
}
