//! The plan for people: what would be started, by whom, where, in which trees, under which limits.

mod cost;
mod table;
mod words;

use std::collections::BTreeMap;

use super::draw::Surroundings;
use super::{PhasePlan, PhaseWork, Plan, SchedulePlan, TreePlan, WorkerPlan};
use crate::name::Slug;
use table::Table;

/// The longest list of lines one phase takes; the rest is counted.
const ROWS_MAX: usize = 40;

/// A plan as plain text. `firings` are the next times it would run by itself, as they should be shown.
pub fn show(plan: &Plan, around: &Surroundings, firings: &[String]) -> String {
    let shared = shared(plan);
    let mut out = format!("plan {}\n", plan.name);
    for (name, text) in [("about", &plan.description), ("task", &plan.task)] {
        if let Some(text) = text {
            out.push_str(&format!("  {name}: {}\n", words::line(text)));
        }
    }
    if around.repository.is_none() {
        out.push_str(
            "  no repository here: work is done in the current folder, nothing is committed or merged\n",
        );
    }
    for (at, phase) in plan.phases.iter().enumerate() {
        out.push('\n');
        out.push_str(&phase_text(plan, at, phase, around, &shared));
    }
    out.push('\n');
    out.push_str(&rest(plan, firings));
    out
}

/// A schedule and its rules, for people.
pub fn schedule_words(schedule: &SchedulePlan) -> String {
    words::schedule(schedule)
}

/// How many workers of the plan have each tree.
fn shared(plan: &Plan) -> BTreeMap<&Slug, usize> {
    let mut shared = BTreeMap::new();
    for worker in plan.phases.iter().flat_map(|phase| phase.work.workers()) {
        if let TreePlan::Shared { slug, .. } | TreePlan::Own { slug } = &worker.tree {
            *shared.entry(slug).or_default() += 1;
        }
    }
    shared
}

fn phase_text(
    plan: &Plan,
    at: usize,
    phase: &PhasePlan,
    around: &Surroundings,
    shared: &BTreeMap<&Slug, usize>,
) -> String {
    let mark = if may_ask(phase) { " (may stop to ask)" } else { "" };
    let mut out = format!("phase {}: {}{mark}\n", phase.name, words::work(&phase.work));
    let before = at.checked_sub(1).map(|before| &plan.phases[before].name);
    if phase.after.iter().ne(before) {
        let names: Vec<&str> = phase.after.iter().map(Slug::as_str).collect();
        let named = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        out.push_str(&format!("  after {named}\n"));
    }
    if let Some(condition) = &phase.condition {
        out.push_str(&format!("  when {}\n", words::line(condition)));
    }
    for step in &phase.steps {
        out.push_str(&format!("  step {}: {}\n", step.name, words::line(&step.argv.join(" "))));
    }
    out.push_str(&workers_text(&phase.work, plan, around, shared));
    for published in &phase.publishes {
        let with = published.compared_with.join(", ");
        let with = if with.is_empty() { String::new() } else { format!(" (compared with: {with})") };
        out.push_str(&format!("  publishes {}{with}\n", published.key));
    }
    for line in words::rules(phase) {
        out.push_str(&format!("  {line}\n"));
    }
    out
}

/// Whether a person may be asked something before the phase is over.
fn may_ask(phase: &PhasePlan) -> bool {
    phase.approve || phase.work.workers().iter().any(|worker| words::may_ask(&worker.session))
}

fn workers_text(
    work: &PhaseWork,
    plan: &Plan,
    around: &Surroundings,
    shared: &BTreeMap<&Slug, usize>,
) -> String {
    let workers = work.workers();
    if workers.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["worker", "model", "program", "machine", "tree", "session"]);
    let mut group: Vec<&WorkerPlan> = Vec::new();
    for worker in &workers {
        let alike = group.first().is_some_and(|first| alike(first, worker));
        if !alike && !group.is_empty() {
            row(&mut table, &group, plan, around, shared);
            group.clear();
        }
        group.push(worker);
    }
    row(&mut table, &group, plan, around, shared);
    table.lines(ROWS_MAX)
}

/// Whether two workers differ in nothing a person must see but their names.
fn alike(one: &WorkerPlan, other: &WorkerPlan) -> bool {
    let tree = match (&one.tree, &other.tree) {
        (TreePlan::Own { .. }, TreePlan::Own { .. }) => true,
        (one, other) => one == other,
    };
    tree && one.models == other.models && one.machine == other.machine && one.session == other.session
}

fn row(
    table: &mut Table,
    group: &[&WorkerPlan],
    plan: &Plan,
    around: &Surroundings,
    shared: &BTreeMap<&Slug, usize>,
) {
    let (Some(first), Some(last)) = (group.first(), group.last()) else { return };
    let here = words::is_here(&first.machine, plan, around);
    let span =
        |one: &str, other: &str| if one == other { one.to_owned() } else { format!("{one} … {other}") };
    for (at, model) in first.models.iter().enumerate() {
        let program = words::program(model, around, here);
        if at > 0 {
            table.add([
                String::new(),
                format!("else {}", model.because),
                program,
                String::new(),
                String::new(),
                String::new(),
            ]);
            continue;
        }
        table.add([
            span(first.name.as_str(), last.name.as_str()),
            model.because.clone(),
            program,
            words::machine(&first.machine),
            span(&words::tree(&first.tree, shared), &words::tree(&last.tree, shared)),
            words::session(&first.session),
        ]);
    }
}

fn rest(plan: &Plan, firings: &[String]) -> String {
    let mut out = String::new();
    let mut say = |name: &str, text: String| {
        if !text.is_empty() {
            out.push_str(&format!("{name}: {text}\n"));
        }
    };
    if plan.phases.iter().any(may_ask) {
        let cure =
            "\"permission\": \"full\", or \"on_dialog\": \"deny\", lets workers go on without a person";
        say("may stop to ask", cure.to_owned());
    }
    say("machines", words::machines(plan));
    say("limits", words::limits(&plan.limits));
    say("cost", cost::range(plan));
    say("tools", words::tools(plan));
    say("trusted", plan.trusted_domains.join(", "));
    if let Some(schedule) = &plan.schedule {
        say("schedule", words::schedule(schedule));
        say("next", firings.join(", "));
    }
    let triggers = plan.triggers.iter().map(|trigger| match &trigger.filter {
        Some(filter) => format!("{} when {filter}", trigger.event),
        None => trigger.event.clone(),
    });
    say("triggers", triggers.collect::<Vec<_>>().join(", "));
    out
}
