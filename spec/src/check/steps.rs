//! Steps: a command each, and rules that can be understood.

use std::collections::BTreeSet;

use super::within;
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::document::{Phase, Run, Step, StepRuleSpec};
use crate::read::At;
use crate::read::field::Reader;

/// The largest compiled pattern of a rule, in bytes.
const PATTERN_BYTES_MAX: usize = 1024 * 1024;
/// The word that ends the steps, instead of the name of one.
const END: &str = "end";
const RULES: &str = "rules are `lines_over:N`, `contains:TEXT`, `regex:PATTERN` and `exit:N`";

pub(super) fn check(phase: &Phase, reader: &mut Reader) {
    let Some(steps) = &phase.steps else { return };
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for step in &steps.value {
        if let Some(name) = &step.name
            && !names.insert(name.value.as_str())
        {
            let message = format!("two steps of this phase are named `{}`", name.value);
            reader.findings.error(Code::DuplicateName, name.span, message);
        }
        command(step, reader);
    }
    for rule in steps.value.iter().flat_map(|step| &step.rules).flat_map(|rules| &rules.value) {
        check_rule(rule, &names, reader);
    }
}

fn command(step: &At<Step>, reader: &mut Reader) {
    match (&step.run, &step.binary) {
        (Some(_), Some(binary)) => {
            let message = "a step has either `run` or `binary`, this one has both";
            reader.findings.error(Code::UnusedField, binary.span, message);
        }
        (None, None) if !reader.broken("run") && !reader.broken("binary") => {
            let message = "a step needs `run` or `binary`";
            let help = "write { \"name\": \"test\", \"run\": \"cargo test\" }";
            reader.findings.error(Code::MissingField, step.span, message).help(help);
        }
        (Some(run), None) => {
            if let Run::Arguments(list) = &run.value
                && list.first().is_none_or(|program| program.value.is_empty())
                && !reader.broken("run")
            {
                reader.findings.error(Code::WrongLength, run.span, "`run` names no program");
            }
            if let Some(args) = &step.args {
                let message = "`args` says nothing beside `run`";
                reader.findings.warning(Code::UnusedField, args.span, message);
            }
        }
        _ => {}
    }
}

fn check_rule(rule: &StepRuleSpec, names: &BTreeSet<&str>, reader: &mut Reader) {
    if let Some(when) = &rule.when {
        check_when(when, reader);
    }
    if let Some(next) = &rule.next
        && next.value.as_str() != END
        && !names.contains(next.value.as_str())
        && !reader.broken("name")
    {
        let message = format!("no step of this phase is named `{}`", next.value);
        let help = did_you_mean(next.value.as_str(), names.iter().copied());
        reader.findings.error(Code::UnknownStep, next.span, message).help_if(help);
    }
}

fn check_when(when: &At<String>, reader: &mut Reader) {
    let wrong = match when.value.split_once(':') {
        Some(("lines_over", count)) => {
            count.parse::<u32>().err().map(|_| "a number of lines must follow".to_owned())
        }
        Some(("exit", code)) => {
            code.parse::<u8>().err().map(|_| "an exit code from 0 to 255 must follow".to_owned())
        }
        Some(("contains", text)) => text.is_empty().then(|| "a text must follow".to_owned()),
        Some(("regex", pattern)) => regex::RegexBuilder::new(pattern)
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .err()
            .map(|error| excerpt(error.to_string().lines().last().unwrap_or_default())),
        _ => Some(format!("`{}` is no rule", excerpt(&when.value))),
    };
    if let Some(wrong) = wrong {
        reader.findings.error(Code::BadForm, within(when, 0), format!("`when`: {wrong}")).help(RULES);
    }
}
