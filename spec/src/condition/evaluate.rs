//! Working a condition out over what has been published.

use std::collections::{BTreeMap, HashMap};

use cel::common::ast::Expr;
use cel::common::ast::operators::LOGICAL_AND;
use cel::parser::Expression;
use cel::{Context, Value as Cel};
use serde_json::Value;

use super::{Condition, EvaluateError, Outputs, Read, Verdict, reads};

pub(super) fn holds(
    condition: &Condition,
    variables: &BTreeMap<String, Value>,
) -> Result<bool, EvaluateError> {
    let mut context = Context::default();
    for (name, value) in variables {
        context.add_variable_from_value(name.as_str(), cel(value));
    }
    truth(condition.program.expression(), &context)
}

/// Each part of a conjunction is looked at by itself: one that is false, and whose outputs are all set, settles it.
pub(super) fn verdict(condition: &Condition, outputs: &Outputs) -> Result<Verdict, EvaluateError> {
    let context = context(condition, outputs);
    let mut conjuncts = Vec::new();
    flatten(condition.program.expression(), &mut conjuncts);
    let mut never_set = Vec::new();
    let mut failure = None;
    for conjunct in conjuncts {
        let unset = unset(conjunct, outputs);
        match truth(conjunct, &context) {
            Ok(true) => {}
            Ok(false) if unset.is_empty() => return Ok(Verdict::DoesNotHold),
            Err(error) if unset.is_empty() => failure = failure.or(Some(error)),
            Ok(false) | Err(_) => never_set.extend(unset),
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if never_set.is_empty() => Ok(Verdict::Holds),
        None => {
            never_set.sort();
            never_set.dedup();
            Ok(Verdict::NeverSet { keys: never_set })
        }
    }
}

fn flatten<'e>(expression: &'e Expression, conjuncts: &mut Vec<&'e Expression>) {
    match &expression.expr {
        Expr::Call(call) if call.func_name == LOGICAL_AND => {
            call.args.iter().for_each(|argument| flatten(argument, conjuncts));
        }
        _ => conjuncts.push(expression),
    }
}

fn truth(expression: &Expression, context: &Context<'_, '_>) -> Result<bool, EvaluateError> {
    match Cel::resolve(expression, context) {
        Ok(Cel::Bool(truth)) => Ok(truth),
        Ok(other) => Err(EvaluateError::NotATruth { found: kind(&other).to_owned() }),
        Err(error) => Err(EvaluateError::Failed { message: crate::diagnostic::excerpt(&error.to_string()) }),
    }
}

fn kind(value: &Cel) -> &'static str {
    match value {
        Cel::List(_) => "a list",
        Cel::Map(_) => "an object",
        Cel::Int(_) | Cel::UInt(_) | Cel::Float(_) => "a number",
        Cel::String(_) => "a text",
        Cel::Null => "null",
        _ => "something else",
    }
}

/// The outputs an expression reads that no worker has set.
fn unset(expression: &Expression, outputs: &Outputs) -> Vec<String> {
    let is_unset = |read: &Read| {
        let workers = outputs.phases.get(&read.phase);
        !workers.is_some_and(|workers| workers.iter().any(|worker| worker.contains_key(&read.key)))
    };
    let reads = reads::walk(expression).reads;
    reads.iter().filter(|read| is_unset(read)).map(|read| format!("{}.{}", read.phase, read.key)).collect()
}

/// The variables of a condition: its phases, with null for every output it reads and nobody has set.
fn context<'c>(condition: &Condition, outputs: &Outputs) -> Context<'c, 'c> {
    let mut read: BTreeMap<&str, Vec<&str>> = condition.phases().map(|phase| (phase, Vec::new())).collect();
    for one in condition.reads() {
        read.entry(&one.phase).or_default().push(&one.key);
    }
    for phase in outputs.phases.keys() {
        read.entry(phase).or_default();
    }
    let mut context = Context::default();
    let mut table: HashMap<String, Cel> = HashMap::new();
    for (phase, keys) in read {
        let workers = outputs.phases.get(phase).map_or(&[][..], Vec::as_slice);
        let value = self::phase(&keys, workers);
        context.add_variable_from_value(phase, value.clone());
        table.insert(phase.to_owned(), value);
    }
    context.add_variable_from_value("phases", table);
    context.add_variable_from_value("event", cel(&outputs.event));
    context
}

fn phase(keys: &[&str], workers: &[BTreeMap<String, Value>]) -> Cel {
    let mut first: HashMap<String, Cel> = HashMap::new();
    let mut all: HashMap<String, Vec<Cel>> = HashMap::new();
    for key in keys {
        first.insert((*key).to_owned(), Cel::Null);
        all.insert((*key).to_owned(), Vec::new());
    }
    let mut each: Vec<Cel> = Vec::with_capacity(workers.len());
    for worker in workers {
        let mut own: HashMap<String, Cel> = keys.iter().map(|key| ((*key).to_owned(), Cel::Null)).collect();
        for (key, value) in worker {
            let value = cel(value);
            let place = first.entry(key.clone()).or_insert(Cel::Null);
            if matches!(place, Cel::Null) {
                *place = value.clone();
            }
            all.entry(key.clone()).or_default().push(value.clone());
            own.insert(key.clone(), value);
        }
        each.push(Cel::from(own));
    }
    let all: HashMap<String, Cel> = all.into_iter().map(|(key, values)| (key, Cel::from(values))).collect();
    first.insert("all".to_owned(), Cel::from(all));
    first.insert("workers".to_owned(), Cel::from(each));
    Cel::from(first)
}

/// A JSON value as CEL has it: whole numbers are `int`, so that they compare with what a person writes.
fn cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(truth) => Cel::Bool(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Cel::Int(whole),
            (None, Some(whole)) => Cel::UInt(whole),
            (None, None) => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::from(text.as_str()),
        Value::Array(list) => Cel::from(list.iter().map(cel).collect::<Vec<Cel>>()),
        Value::Object(object) => Cel::from(
            object.iter().map(|(key, value)| (key.clone(), cel(value))).collect::<HashMap<String, Cel>>(),
        ),
    }
}
