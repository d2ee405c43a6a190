//! What a condition reads: found in the expression, before anything is worked out.

use std::collections::BTreeMap;

use cel::common::ast::operators::{
    EQUALS, GREATER, GREATER_EQUALS, IN, INDEX, LESS, LESS_EQUALS, NOT_EQUALS,
};
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};
use cel::parser::Expression;

use super::{CONDITION_LOOPS_MAX, Read};

/// What an expression stands for, as far as phases are concerned.
#[derive(Clone, Debug, PartialEq)]
enum Meaning {
    /// A phase, or all outputs of all its workers, or one worker of it: a key of any is an output of the phase.
    Phase(String),
    All(String),
    Workers(String),
    Worker(String),
    Output(usize),
    /// The table of all phases.
    Phases,
    Other,
}

#[derive(Debug, Default)]
pub(super) struct Walk {
    pub reads: Vec<Read>,
    pub roots: Vec<String>,
    pub refused: Option<String>,
    index: BTreeMap<(String, String), usize>,
    scope: Vec<(String, Meaning)>,
    loops: usize,
    loop_depth: usize,
}

pub(super) fn walk(expression: &Expression) -> Walk {
    let mut walk = Walk::default();
    walk.expression(expression);
    walk
}

impl Walk {
    fn expression(&mut self, expression: &Expression) -> Meaning {
        match &expression.expr {
            Expr::Ident(name) => self.identifier(name),
            Expr::Select(select) => {
                let of = self.expression(&select.operand);
                self.select(of, &select.field)
            }
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::List(list) => {
                list.elements.iter().for_each(|element| drop(self.expression(element)));
                Meaning::Other
            }
            Expr::Map(map) => {
                map.entries.iter().for_each(|entry| self.entry(&entry.expr));
                Meaning::Other
            }
            Expr::Struct(structure) => {
                structure.entries.iter().for_each(|entry| self.entry(&entry.expr));
                Meaning::Other
            }
            Expr::Literal(_) | Expr::Unspecified => Meaning::Other,
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => drop(self.expression(&field.value)),
            EntryExpr::MapEntry(entry) => {
                self.expression(&entry.key);
                self.expression(&entry.value);
            }
        }
    }

    fn identifier(&mut self, name: &str) -> Meaning {
        if let Some((_, meaning)) = self.scope.iter().rev().find(|(bound, _)| bound == name) {
            return meaning.clone();
        }
        match name {
            "event" => Meaning::Other,
            "phases" => Meaning::Phases,
            _ => self.root(name),
        }
    }

    fn root(&mut self, name: &str) -> Meaning {
        if !self.roots.iter().any(|root| root == name) {
            self.roots.push(name.to_owned());
        }
        Meaning::Phase(name.to_owned())
    }

    fn select(&mut self, of: Meaning, field: &str) -> Meaning {
        match of {
            Meaning::Phases => self.root(field),
            Meaning::Phase(phase) if field == "all" => Meaning::All(phase),
            Meaning::Phase(phase) if field == "workers" => Meaning::Workers(phase),
            Meaning::Phase(phase) | Meaning::All(phase) | Meaning::Worker(phase) => self.read(phase, field),
            Meaning::Output(_) | Meaning::Workers(_) | Meaning::Other => Meaning::Other,
        }
    }

    fn read(&mut self, phase: String, key: &str) -> Meaning {
        let next = self.reads.len();
        let at = *self.index.entry((phase.clone(), key.to_owned())).or_insert(next);
        if at == next {
            self.reads.push(Read { phase, key: key.to_owned(), compared_with: Vec::new() });
        }
        Meaning::Output(at)
    }

    fn call(&mut self, call: &CallExpr) -> Meaning {
        if let Some(target) = &call.target {
            self.expression(target);
        }
        let meanings: Vec<Meaning> = call.args.iter().map(|argument| self.expression(argument)).collect();
        if let ([left, right], [of, by]) = (&call.args[..], &meanings[..]) {
            match call.func_name.as_str() {
                EQUALS | NOT_EQUALS | LESS | LESS_EQUALS | GREATER | GREATER_EQUALS | IN => {
                    self.compare(of, right);
                    self.compare(by, left);
                }
                INDEX => return self.indexed(of.clone(), right),
                _ => {}
            }
        }
        Meaning::Other
    }

    fn indexed(&mut self, of: Meaning, by: &Expression) -> Meaning {
        match (of, &by.expr) {
            (Meaning::Workers(phase), _) => Meaning::Worker(phase),
            // An element of the list of an output is that output.
            (Meaning::Output(at), _) => Meaning::Output(at),
            (of, Expr::Literal(LiteralValue::String(field))) => self.select(of, field.inner()),
            _ => Meaning::Other,
        }
    }

    fn compare(&mut self, meaning: &Meaning, with: &Expression) {
        let Meaning::Output(at) = meaning else { return };
        let literals: Vec<String> = match &with.expr {
            Expr::Literal(value) => literal(value).into_iter().collect(),
            Expr::List(list) => list
                .elements
                .iter()
                .filter_map(
                    |element| if let Expr::Literal(value) = &element.expr { literal(value) } else { None },
                )
                .collect(),
            _ => Vec::new(),
        };
        let Some(read) = self.reads.get_mut(*at) else { return };
        for literal in literals {
            if !read.compared_with.contains(&literal) {
                read.compared_with.push(literal);
            }
        }
    }

    fn comprehension(&mut self, comprehension: &ComprehensionExpr) -> Meaning {
        self.loops += 1;
        self.loop_depth += 1;
        if self.loops > CONDITION_LOOPS_MAX {
            self.refused =
                Some(format!("more than {CONDITION_LOOPS_MAX} loops in one condition (condition_loops_max)"));
        }
        if self.loop_depth > 1 {
            self.refused = Some("a loop within a loop".to_owned());
        }
        let element = match self.expression(&comprehension.iter_range) {
            Meaning::Workers(phase) => Meaning::Worker(phase),
            Meaning::Output(at) => Meaning::Output(at),
            _ => Meaning::Other,
        };
        self.expression(&comprehension.accu_init);
        let outer = self.scope.len();
        self.scope.push((comprehension.iter_var.clone(), element));
        self.scope.extend(comprehension.iter_var2.iter().map(|name| (name.clone(), Meaning::Other)));
        self.scope.push((comprehension.accu_var.clone(), Meaning::Other));
        self.expression(&comprehension.loop_cond);
        self.expression(&comprehension.loop_step);
        self.expression(&comprehension.result);
        self.scope.truncate(outer);
        self.loop_depth -= 1;
        Meaning::Other
    }
}

fn literal(value: &LiteralValue) -> Option<String> {
    Some(match value {
        LiteralValue::Boolean(truth) => truth.inner().to_string(),
        LiteralValue::Double(number) => number.inner().to_string(),
        LiteralValue::Int(number) => number.inner().to_string(),
        LiteralValue::UInt(number) => number.inner().to_string(),
        LiteralValue::String(text) => text.inner().to_owned(),
        LiteralValue::Bytes(_) | LiteralValue::Null => return None,
    })
}
