//! Laws of runs within runs, and of steps, over random ones: bounds hold over the whole tree, everything ends exactly
//! once, a cancel reaches all of it, and a replay comes to the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastrand::Rng;
use niia_spec::course::{
    Bound, COST_UNIT_USD_MILLIONTHS, Command, Ending, Event, Gathering, Outcome, RunCourse, RunOutcome,
    STEP_RUNS_MAX, Stepped, Withheld,
};
use niia_spec::name::{AttemptId, RunId};
use niia_spec::plan::{CostPlan, OnBreach, Permission, PhaseWork, Plan, StepPlan, StepRule};
use niia_spec::usage::Usage;

use crate::document::{judge, plan, slug, worker};
use crate::transcript::ending;

const SEEDS: u64 = 1_000;
/// A tree of random runs has a few hundred steps; one that has not ended after so many never will.
const STEPS_MAX: usize = 20_000;
/// What an attempt costs at most, in dollars and in millionths of one.
const PRICE_USD: f64 = 0.01;
const PRICE: u64 = 10_000;

fn seeds() -> u64 {
    std::env::var("NIIA_LAWS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS)
}

/// One run of a tree.
struct Member {
    plan: Arc<Plan>,
    course: RunCourse,
    rows: Vec<(Event, Vec<Command>)>,
    /// The runs above it, the outermost first, and the attempt it was begun by.
    above: Vec<usize>,
    by: Option<AttemptId>,
    todo: Vec<Command>,
    news: Vec<Event>,
    live: BTreeMap<AttemptId, bool>,
    started: u32,
    finished: u32,
    steps: BTreeMap<AttemptId, u32>,
    /// What its attempts that have ended cost, and what those that live may cost, in millionths of a dollar.
    spent: u64,
    set_aside: u64,
}

impl Member {
    /// Whether what its attempts may cost is known before, and bounded.
    fn is_priced(&self) -> bool {
        self.plan.limits.max_cost_usd.is_some() && self.plan.phases.iter().all(|phase| phase.steps.is_empty())
    }
}

struct Forest {
    rng: Rng,
    runs: Vec<Member>,
    cancelled: bool,
}

fn limited(mut plan: Plan, rng: &mut Rng, inside: bool) -> Plan {
    plan.limits.max_total_agents = rng.u32(1..7);
    plan.limits.on_breach = if rng.bool() { OnBreach::Stop } else { OnBreach::Pause };
    for phase in &mut plan.phases {
        phase.limits.on_breach = plan.limits.on_breach;
    }
    plan.is_inside = inside;
    plan
}

/// A bound of costs for some trees; inside one of them it is as narrow as that above or narrower.
fn priced(mut plan: Plan, rng: &mut Rng, above: Option<&Plan>) -> Plan {
    let steps = plan.phases.iter().any(|phase| !phase.steps.is_empty());
    let own = (rng.bool() && !steps).then(|| f64::from(rng.u32(1..9)) * PRICE_USD);
    plan.limits.max_cost_usd = match above.map(|above| above.limits.max_cost_usd) {
        None => own,
        Some(None) => None,
        Some(Some(above)) => Some(own.map_or(above, |own| own.min(above))),
    };
    for phase in &mut plan.phases {
        if let PhaseWork::Workers { workers, .. } = &mut phase.work {
            let models = workers.iter_mut().flat_map(|worker| &mut worker.models);
            models.for_each(|model| model.cost = Some(CostPlan::PerSession(PRICE_USD)));
        }
    }
    plan
}

fn random_plan(rng: &mut Rng) -> Plan {
    let text = ["a/1: x", "a/1: x\na/2: x\na/3: x", "a/1: x\nb/1: x\nb: after a", "a/1: x, y\na: retry 2 0"];
    let mut plan = Arc::unwrap_or_clone(plan(text[rng.usize(..text.len())]));
    if rng.u32(0..3) == 0 {
        let steps: Vec<StepPlan> = (0..rng.usize(1..4)).map(|at| step(rng, at)).collect();
        plan.phases[0].steps = steps;
        if rng.bool() {
            plan.phases[0].work = PhaseWork::Steps;
        }
    }
    plan
}

fn step(rng: &mut Rng, at: usize) -> StepPlan {
    let mut of = worker(&format!("s{at}"), ["sh"].into_iter());
    if rng.u32(0..4) == 0 {
        of.session.permission = Permission::Full;
    }
    let next = [None, Some("s0"), Some("s2"), Some("end")];
    let rules = (0..rng.usize(0..3)).map(|_| StepRule {
        when: "exit:0".to_owned(),
        next: next[rng.usize(..next.len())].map(str::to_owned),
        set: BTreeMap::from([("kind".to_owned(), "yes".into())]),
    });
    let rules = rules.collect();
    let (name, argv, output) = (format!("s{at}"), vec!["true".to_owned()], None);
    StepPlan { name, argv, writes: rng.u32(0..4) == 0, output, rules, worker: of }
}

impl Forest {
    fn new(seed: u64) -> Forest {
        let mut rng = Rng::with_seed(seed);
        let plan = random_plan(&mut rng);
        let plan = priced(limited(plan, &mut rng, false), &mut rng, None);
        let mut forest = Forest { rng, runs: Vec::new(), cancelled: false };
        forest.begin(plan, Vec::new(), None);
        forest
    }

    fn begin(&mut self, plan: Plan, above: Vec<usize>, by: Option<AttemptId>) {
        let plan = Arc::new(plan);
        let course = RunCourse::new(Arc::clone(&plan), judge).unwrap_or_else(|error| panic!("{error}"));
        self.runs.push(Member {
            plan,
            course,
            rows: Vec::new(),
            above,
            by,
            todo: Vec::new(),
            news: vec![Event::Begun],
            live: BTreeMap::new(),
            started: 0,
            finished: 0,
            steps: BTreeMap::new(),
            spent: 0,
            set_aside: 0,
        });
    }

    fn name(at: usize) -> RunId {
        slug(&format!("run-{at}"))
    }

    /// Tells one run something, and looks at the laws.
    fn tell(&mut self, at: usize, event: Event) {
        let one = &mut self.runs[at];
        if let Event::Ended { ending, .. } = &event {
            one.set_aside -= PRICE;
            one.spent +=
                ending.usage.as_ref().and_then(|usage| usage.cost_usd_millionths).unwrap_or_default();
        }
        let over = one.course.over().is_some();
        let commands = one.course.on(&event);
        assert!(!over || commands.is_empty(), "a run that is over does something about {event:?}");
        for command in &commands {
            match command {
                Command::Start { attempt, .. } => {
                    assert!(one.live.insert(attempt.clone(), true).is_none(), "{attempt} starts twice");
                    let is_step = one.plan.step(&attempt.worker).is_some();
                    let of_step = |other: &AttemptId| one.plan.step(&other.worker).is_some();
                    let beside = one.live.iter().filter(|(other, lives)| **lives && *other != attempt);
                    let beside: Vec<&AttemptId> = beside
                        .map(|(other, _)| other)
                        .filter(|other| other.worker.phase == attempt.worker.phase)
                        .collect();
                    match is_step {
                        true => assert!(beside.is_empty(), "{attempt} is a step and {beside:?} live"),
                        false => {
                            assert!(!beside.into_iter().any(of_step), "{attempt} works while a step runs")
                        }
                    }
                    one.started += u32::from(!is_step);
                    one.set_aside += PRICE;
                }
                Command::Finish { .. } => one.finished += 1,
                _ => {}
            }
        }
        assert!(one.finished <= 1, "a run ends twice");
        one.todo.extend(commands.clone());
        one.rows.push((event, commands));
        self.hold_bounds();
        if !over {
            self.hold_books(at);
        }
    }

    /// What a run and everything inside it has had is never more than its bound.
    fn hold_bounds(&self) {
        for (at, one) in self.runs.iter().enumerate() {
            let inside = self.runs.iter().filter(|other| other.above.contains(&at));
            let had: u32 = one.started + inside.map(|other| other.started).sum::<u32>();
            let bound = one.course.bound(Bound::Agents);
            assert!(had <= bound, "{had} agents in run {at}, whose bound is {bound}");
            if !one.is_priced() {
                continue;
            }
            let inside = self.runs.iter().filter(|other| other.above.contains(&at));
            let cost: u64 = inside.chain([one]).map(|one| one.spent + one.set_aside).sum();
            let bound = u64::from(one.course.bound(Bound::Cost)) * COST_UNIT_USD_MILLIONTHS;
            assert!(cost <= bound, "{cost} millionths of a dollar in run {at}, whose bound is {bound}");
        }
    }

    /// What a run has spent that ends by itself is what each run above has in its books, if that is not over.
    fn hold_books(&self, at: usize) {
        let one = &self.runs[at];
        let done = matches!(one.course.over(), Some(RunOutcome::Done));
        if !done || one.plan.limits.max_cost_usd.is_none() {
            return;
        }
        for &above in one.above.iter().filter(|above| self.runs[**above].course.over().is_none()) {
            let told = self.runs[above].course.lent(&Forest::name(at)).of(Bound::Spent);
            let told = u64::from(told) * COST_UNIT_USD_MILLIONTHS;
            assert_eq!(told, one.spent, "run {above} has another sum for run {at} in its books");
        }
    }

    fn carry_out(&mut self, at: usize) {
        if self.runs[at].todo.is_empty() {
            return;
        }
        match self.runs[at].todo.remove(0) {
            Command::Start { attempt, .. } => {
                self.runs[at].news.push(Event::Started { attempt: attempt.clone() });
                let deep = self.runs[at].above.len();
                if self.runs[at].plan.step(&attempt.worker).is_none() && deep < 4 && self.rng.u32(0..2) == 0 {
                    let plan = random_plan(&mut self.rng);
                    let plan = limited(plan, &mut self.rng, true);
                    let plan = priced(plan, &mut self.rng, Some(&self.runs[at].plan));
                    let above = self.runs[at].above.iter().copied().chain([at]).collect();
                    let child = Forest::name(self.runs.len());
                    self.begin(plan, above, Some(attempt.clone()));
                    self.tell(at, Event::Spawned { run: child, by: attempt });
                }
            }
            Command::End { attempt, .. } => {
                self.cancel_children(at, &attempt);
                self.end(at, &attempt, Outcome::Cancelled);
            }
            Command::Gather { phase, round } => {
                self.runs[at].news.push(Event::Gathered { phase, round, gathering: Gathering::nothing() });
            }
            Command::Ask { phase } => {
                let event = match self.rng.u32(0..5) {
                    0 => Event::Denied { phase, reason: "no".to_owned() },
                    _ => Event::Approved { phase },
                };
                self.runs[at].news.push(event);
            }
            Command::Reserve { of, total } => self.reserve(at, of, total),
            Command::Hold { .. } => {
                let event = match self.rng.u32(0..3) {
                    0 => Event::Resumed { hold: self.runs[at].course.holds(), reason: String::new() },
                    _ => Event::Cancelled { reason: "enough".to_owned() },
                };
                self.runs[at].news.push(event);
            }
            _ => {}
        }
    }

    fn reserve(&mut self, at: usize, of: Bound, total: u32) {
        for above in self.runs[at].above.clone() {
            let to = Forest::name(at);
            self.tell(above, Event::Lends { to: to.clone(), of, total });
            let course = &self.runs[above].course;
            if course.lent(&to).of(of) < total {
                let (limit, by) = (course.bound(of), Forest::name(above));
                return self.runs[at].news.push(Event::Withheld(Withheld { of, limit, by }));
            }
        }
        self.runs[at].news.push(Event::Reserved { of, total });
    }

    fn cancel_children(&mut self, at: usize, attempt: &AttemptId) {
        for child in self.children(at, attempt) {
            let news = &mut self.runs[child].news;
            // Said again and again it would keep a run from anything else.
            if !news.iter().any(|event| matches!(event, Event::Cancelled { .. })) {
                news.push(Event::Cancelled { reason: "its session is over".to_owned() });
            }
        }
    }

    /// The runs of an attempt that are not over.
    fn children(&self, at: usize, attempt: &AttemptId) -> Vec<usize> {
        let is = |other: &&usize| {
            let one = &self.runs[**other];
            one.above.last() == Some(&at) && one.by.as_ref() == Some(attempt) && one.course.over().is_none()
        };
        (0..self.runs.len()).collect::<Vec<_>>().iter().filter(is).copied().collect()
    }

    /// The end of an attempt is told once nothing lives that was begun in it.
    fn end(&mut self, at: usize, attempt: &AttemptId, outcome: Outcome) {
        if !self.children(at, attempt).is_empty() {
            return self.cancel_children(at, attempt);
        }
        let one = &mut self.runs[at];
        let Some(lives @ true) = one.live.get_mut(attempt) else { return };
        *lives = false;
        let mut ending: Ending = ending(outcome, None);
        let cost = self.rng.u64(..=PRICE / COST_UNIT_USD_MILLIONTHS) * COST_UNIT_USD_MILLIONTHS;
        ending.usage = Some(Usage { cost_usd_millionths: Some(cost), ..Usage::default() });
        if let Some(step) = one.plan.step(&attempt.worker) {
            *one.steps.entry(attempt.clone()).or_default() += 1;
            let exit = i32::from(self.rng.u32(0..4) == 0);
            let holds = (0..step.rules.len() as u32).filter(|_| self.rng.bool()).collect();
            ending.step = (ending.outcome == Outcome::Done).then_some(Stepped { exit, holds });
        }
        one.news.push(Event::Ended { attempt: attempt.clone(), ending });
    }

    fn end_some(&mut self) -> bool {
        let live = self.runs.iter().enumerate().flat_map(|(at, one)| {
            one.live.iter().filter(|(_, lives)| **lives).map(move |(attempt, _)| (at, attempt.clone()))
        });
        let live: Vec<(usize, AttemptId)> = live.collect();
        if live.is_empty() {
            return false;
        }
        let (at, attempt) = live[self.rng.usize(..live.len())].clone();
        let reason = "so it is".to_owned();
        let outcome = match self.rng.u32(0..10) {
            0 => Outcome::Failed { reason },
            1 => Outcome::Misshapen { reason },
            2 => Outcome::NeedsAttention { reason },
            _ => Outcome::Done,
        };
        self.end(at, &attempt, outcome);
        true
    }

    /// The node dies: a run is what its rows say, and what is not answered is asked again.
    fn crash(&mut self, at: usize) {
        let one = &mut self.runs[at];
        let mut course =
            RunCourse::new(Arc::clone(&one.plan), judge).unwrap_or_else(|error| panic!("{error}"));
        for (event, commands) in &one.rows {
            course.apply(event, commands);
        }
        assert_eq!(course.state(), one.course.state(), "the replay comes to something else");
        one.course = course;
        let asked_again = one.course.open_effects();
        // Who was about to ask is gone with the node, and so is an answer that was not taken in.
        one.todo.retain(|command| !matches!(command, Command::Reserve { .. }));
        one.news.retain(|event| !matches!(event, Event::Reserved { .. } | Event::Withheld(_)));
        // What lives lives on; only questions and orders are put once more.
        one.todo.extend(asked_again.into_iter().filter(|command| !matches!(command, Command::Start { .. })));
    }

    fn play(&mut self) {
        for _ in 0..STEPS_MAX {
            let at = self.rng.usize(..self.runs.len());
            match self.rng.u32(0..100) {
                0 => self.crash(at),
                1 if self.rng.u32(0..40) == 0 => self.cancel(),
                2..=40 => self.carry_out(at),
                41..=80 if !self.runs[at].news.is_empty() => {
                    let news = &mut self.runs[at].news;
                    let event = news.swap_remove(self.rng.usize(..news.len()));
                    self.tell(at, event);
                }
                _ => drop(self.end_some()),
            }
            if self.runs.iter().all(|one| one.course.over().is_some()) {
                return self.hold_end();
            }
        }
        let left: Vec<_> =
            self.runs.iter().map(|one| (one.course.over().is_some(), one.course.waits())).collect();
        panic!("the tree never ends: {left:?}");
    }

    fn cancel(&mut self) {
        self.cancelled = true;
        self.tell(0, Event::Cancelled { reason: "a person".to_owned() });
    }

    fn hold_end(&mut self) {
        for one in &self.runs {
            assert_eq!(one.finished, 1, "each run ends exactly once");
            assert!(one.live.values().all(|lives| !lives), "somebody lives after the end");
            let steps: u32 = one.steps.values().sum();
            assert!(steps <= STEP_RUNS_MAX, "{steps} steps were run");
        }
        for at in 0..self.runs.len() {
            self.crash(at);
        }
    }
}

#[test]
fn a_tree_of_runs_keeps_its_bounds_ends_once_and_is_cancelled_whole() {
    for seed in 0..seeds() {
        let played = std::panic::catch_unwind(|| Forest::new(seed).play());
        assert!(played.is_ok(), "seed {seed}");
    }
}
