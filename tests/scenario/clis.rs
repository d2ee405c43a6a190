//! The real command-line tools against the stub of their providers: what niia says they answer is what they answered.
//!
//! They are installed by `tests/clis/install`. Where one is not there its test says so and does nothing else. Nothing
//! leaves the machine: their providers are the stub, and everything else goes to a proxy that is none. `tests/clis/run`
//! runs all of them where there is no network but the loopback, each as often as `NIIA_CLI_ROUNDS` says. Gemini,
//! opencode and aider are run by it alone.

mod dialogs;
mod home;
mod hostile;
mod own;
mod servers;
mod talk;
mod tool;
mod tries;
