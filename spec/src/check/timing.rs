//! Schedules and triggers.

use super::conditions;
use crate::diagnostic::{Code, excerpt};
use crate::document::{Document, Filled, ScheduleSpec, TriggerOne};
use crate::read::At;
use crate::read::Span;
use crate::read::field::Reader;
use crate::schedule::{SCHEDULE_WORDS, Schedule, ScheduleError, zone};

pub(super) fn check(document: &Document, reader: &mut Reader) {
    match document.schedule.as_ref().map(|schedule| (&schedule.value, schedule.span)) {
        Some((ScheduleSpec::Cron(text), span)) => cron(text, span, reader),
        Some((ScheduleSpec::Block(block), _)) => {
            if let Some(text) = &block.cron {
                cron(&text.value, text.span, reader);
            }
            if let Some(name) = &block.timezone {
                timezone(name, reader);
            }
        }
        None => {}
    }
    for trigger in document.trigger.iter().flat_map(|trigger| &trigger.value.0) {
        if let TriggerOne::Block(block) = &trigger.value
            && let Some(filter) = &block.filter
        {
            conditions::filter(filter, reader);
        }
    }
}

fn cron(text: &Filled, span: Span, reader: &mut Reader) {
    let Err(error) = Schedule::parse(&text.0) else { return };
    let help = match &error {
        ScheduleError::UnknownWord { word } => crate::diagnostic::did_you_mean(word, SCHEDULE_WORDS)
            .unwrap_or_else(|| format!("words are {}", SCHEDULE_WORDS.join(" "))),
        _ => "`0 3 * * *` is every night at three".to_owned(),
    };
    reader.findings.error(Code::BadSchedule, span, format!("this is no schedule: {error}")).help(help);
}

fn timezone(name: &At<Filled>, reader: &mut Reader) {
    if zone(&name.value.0).is_none() {
        let message = format!("no time zone is named `{}`", excerpt(&name.value.0));
        reader
            .findings
            .error(Code::UnknownTimezone, name.span, message)
            .help("write a name such as `Europe/Berlin`");
    }
}
