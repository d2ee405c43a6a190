//! What the shell needs to know: completions and manual pages.

use std::fs;
use std::io::Write;

use clap::CommandFactory;
use clap_complete::env::Shells;

use super::say_bytes;
use crate::cli::Cli;
use crate::cli::node::{Completions, Man};
use crate::failure::{Exit, Failure};

/// A script that asks the program itself, so that it also completes runs and sessions.
pub fn completions(words: &Completions) -> Result<Exit, Failure> {
    let shells = Shells::builtins();
    let Some(shell) = shells.completer(&words.shell) else {
        return Err(Failure::usage(format!("no completions for `{}`", words.shell)));
    };
    let mut script = Vec::new();
    shell.write_registration("COMPLETE", "niia", "niia", "niia", &mut script)?;
    say_bytes(&script)?;
    Ok(Exit::Done)
}

pub fn man(words: &Man) -> Result<Exit, Failure> {
    let command = Cli::command();
    let Some(folder) = &words.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        say_bytes(&page)?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(command, folder))
        .map_err(|error| Failure::trouble(format!("could not write to `{}`", folder.display()), error))?;
    writeln!(std::io::stderr(), "the pages are in `{}`", folder.display())?;
    Ok(Exit::Done)
}
