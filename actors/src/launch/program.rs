//! The program, its arguments and the size of its terminal.

use super::{Facts, Launch, LaunchError};

/// More columns or rows than any screen has; a terminal's memory goes by their product.
const SIDE_MAX: u16 = 1_000;

pub(super) fn apply(mut launch: Launch, facts: &Facts) -> Result<Launch, LaunchError> {
    launch.argv = facts.program.argv.clone();
    check(&launch)?;
    Ok(launch)
}

pub(super) fn check(launch: &Launch) -> Result<(), LaunchError> {
    if launch.argv.first().is_none_or(String::is_empty) {
        return Err(LaunchError::NoProgram);
    }
    if let Some(index) = launch.argv.iter().position(|argument| argument.contains('\0')) {
        return Err(LaunchError::NulInArgument { index });
    }
    for (field, value) in [("cols", launch.cols), ("rows", launch.rows)] {
        if !(1..=SIDE_MAX).contains(&value) {
            return Err(LaunchError::OutOfBounds { field, value: value.into(), max: SIDE_MAX.into() });
        }
    }
    Ok(())
}
