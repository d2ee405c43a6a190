//! All kept documents, and what is done with them.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Weak;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use niia_actors::ask::chain;
use niia_actors::clock;
use niia_actors::journal::{Durable, Journal, Put};
use niia_actors::run::keep_variables;
use niia_spec::name::{RunId, Slug};
use niia_spec::notice::{Came, KeptView};
use niia_spec::schedule::diary::{Diary, Occasion, Order};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::kept::Kept;
use super::shelf::{self, Firing, Pages, Record};
use super::watch::{Wanted, Watching};
use super::{AppointmentsArguments, AppointmentsHandle, Message, ToKeep};
use crate::control::words::{Refusal, RefusalCode};
use crate::node::{Node, accept};
use crate::notify::Notifier;

/// Documents a node keeps: each costs a look at the clock, and a person wants to know them all.
pub const KEPT_MAX: usize = 256;
/// The clock on the wall may be set, and a machine may sleep: it is looked at so often while something hangs on it.
const LOOK_PERIOD: Duration = Duration::from_secs(5);

pub(super) struct Appointments {
    pub me: AppointmentsHandle,
    pub journal: Journal,
    pub folder: PathBuf,
    pub notifier: Notifier,
    /// Nothing until the node can begin runs.
    pub node: Weak<Node>,
    pub kept: BTreeMap<Slug, Kept>,
    /// When it rings, and what rings it.
    clock: Option<(Instant, AbortHandle)>,
    looked: Timestamp,
    /// What is to be watched, and who does.
    wanted: watch::Sender<Wanted>,
    _watching: Watching,
}

impl Appointments {
    pub fn read(me: AppointmentsHandle, arguments: AppointmentsArguments) -> Appointments {
        let AppointmentsArguments { journal, folder, notifier } = arguments;
        let (found, trouble) = shelf::read(&journal);
        for reason in trouble {
            tracing::error!(reason, "a kept document is damaged");
        }
        let kept = found.into_iter().map(|found| (found.record.name.clone(), Kept::found(found))).collect();
        let (wanted, wishes) = watch::channel(Wanted::new());
        let _watching = super::watch::begin(journal.clone(), wishes, me.clone());
        Appointments {
            me,
            journal,
            folder,
            notifier,
            node: Weak::new(),
            kept,
            clock: None,
            looked: clock::now(),
            wanted,
            _watching,
        }
    }

    /// The node is there: what was decided and not begun is begun, then it is looked at the clock.
    pub async fn open(&mut self, node: Weak<Node>) {
        self.node = node;
        let Some(node) = self.node.upgrade() else { return };
        let alive = node.root.runs().await;
        let names: Vec<Slug> = self.kept.keys().cloned().collect();
        for name in &names {
            self.take_up(name, &alive);
        }
        self.look();
        for name in &names {
            self.go_on(name);
        }
    }

    /// What a node that ended had decided: a run that the journal has is its run, one that it has not is begun now.
    fn take_up(&mut self, name: &Slug, alive: &[RunId]) {
        let Some(kept) = self.kept.get_mut(name) else { return };
        let mut puts = Vec::new();
        let mut again = Vec::new();
        for firing in kept.firings.clone() {
            let Some(run) = firing.run().cloned() else { continue };
            let begins = matches!(firing.came, Came::Begins { .. });
            if begins && self.journal.load(&run).is_err() {
                again.push(firing);
                continue;
            }
            if alive.contains(&run) {
                kept.live.insert(run.clone());
            }
            if begins {
                if let Some(Occasion::Event { number }) = firing.occasion {
                    kept.events.remove(&number);
                    puts.push(shelf::forget_event(name, number));
                }
                kept.note(Firing { came: Came::Run { run, state: None }, ..firing }, &mut puts);
            }
        }
        if !puts.is_empty() {
            self.shelve_soon(puts);
        }
        for firing in again {
            if let Some(occasion) = firing.occasion {
                self.start_again(name, firing.number, occasion);
            }
        }
    }

    /// Keeps a document, in the place of the one of the same name and folder.
    pub async fn keep(&mut self, document: ToKeep) -> Result<KeptView, Refusal> {
        let ToKeep { plan, mut origin, digest, github } = document;
        let wrong = |message: &str, help: &str| {
            Err(Refusal {
                code: RefusalCode::Wrong,
                message: message.to_owned(),
                help: Some(help.to_owned()),
            })
        };
        if plan.schedule.is_none() && plan.triggers.is_empty() {
            return wrong(
                &format!(
                    "`{}` has neither a `schedule` nor a `trigger`, so there is nothing to keep it for",
                    plan.name
                ),
                "`niia run` runs it now; `\"schedule\": \"0 3 * * *\"` is every night at three",
            );
        }
        if let Some(node) = self.node.upgrade() {
            accept::can_do(&node, &plan)?;
        }
        let name = self.name_for(&plan.name, &origin.cwd);
        if !self.kept.contains_key(&name) && self.kept.len() >= KEPT_MAX {
            let help = "`niia schedule ls` shows them, `niia schedule rm` forgets one".to_owned();
            let message = format!("this node keeps {KEPT_MAX} documents already (kept_max)");
            return Err(Refusal { code: RefusalCode::Limit, message, help: Some(help) });
        }
        let variables = std::mem::take(&mut origin.env);
        let folder = self.folder.join(name.as_str());
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| trouble(format!("`{}` cannot be made: {error}", folder.display())))?;
        keep_variables(&folder, &variables).map_err(|error| trouble(chain(&error)))?;
        let now = clock::now();
        let record = Record {
            name: name.clone(),
            plan: *plan,
            origin: *origin,
            digest,
            github,
            added_at_ms: clock::wall_ms(),
        };
        // What came of it before is kept; its times are counted from now.
        let (firings, events) = self.kept.get(&name).map_or((0, 0), |k| (k.pages.firings, k.pages.events));
        let pages = Pages { diary: Diary::begun(now), firings, events };
        let mut kept = Kept::new(record, pages);
        let mut puts = vec![shelf::put_record(&kept.record), shelf::put_pages(&name, &kept.pages)];
        if let Some(before) = self.kept.remove(&name) {
            puts.extend(before.events.keys().map(|number| shelf::forget_event(&name, *number)));
            (kept.firings, kept.live) = (before.firings, before.live);
        }
        let durable = self.journal.shelve(puts);
        let view = kept.view(now, self.looked);
        self.kept.insert(name, kept);
        durable.await.map_err(|error| trouble(chain(&error)))?;
        Ok(view)
    }

    /// Its own name; with a number where another folder's document has it.
    fn name_for(&self, wanted: &Slug, folder: &Path) -> Slug {
        let mut name = wanted.clone();
        for number in 2.. {
            match self.kept.get(&name) {
                Some(kept) if kept.record.origin.cwd != *folder => {
                    name = Slug::nearest(&format!("{wanted}-{number}"));
                }
                _ => break,
            }
        }
        name
    }

    pub async fn remove(&mut self, name: &Slug) -> Result<(), Refusal> {
        let kept = self.kept.remove(name).ok_or_else(|| self.unknown(name))?;
        let mut puts: Vec<Put> = shelf::forget_document(name).into();
        puts.extend(kept.events.keys().map(|number| shelf::forget_event(name, *number)));
        puts.extend(kept.firings.iter().map(|firing| shelf::forget_firing(name, firing.number)));
        self.journal.shelve(puts).await.map_err(|error| trouble(chain(&error)))?;
        let folder = self.folder.join(name.as_str());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(trouble(format!("`{}` cannot be removed: {error}", folder.display())))
            }
            _ => Ok(()),
        }
    }

    pub fn unknown(&self, name: &Slug) -> Refusal {
        let known = self.kept.keys().map(Slug::as_str);
        let near = niia_spec::diagnostic::did_you_mean(name.as_str(), known);
        let help = near.or_else(|| Some("`niia schedule ls` lists them".to_owned()));
        Refusal { code: RefusalCode::NotFound, message: format!("no document `{name}` is kept here"), help }
    }

    pub fn list(&self) -> Vec<KeptView> {
        let now = clock::now();
        self.kept.values().map(|kept| kept.view(now, self.looked)).collect()
    }

    /// Looks at the clock, and does what is due.
    pub fn look(&mut self) {
        if self.node.strong_count() == 0 {
            return;
        }
        let now = clock::now();
        self.looked = now;
        let names: Vec<Slug> = self.kept.keys().cloned().collect();
        for name in names {
            let Some(kept) = self.kept.get_mut(&name) else { continue };
            if let Some(rules) = kept.rules() {
                let before = kept.pages.diary.clone();
                let orders = kept.pages.diary.look(&rules, now, kept.live.len());
                if kept.pages.diary != before || !orders.is_empty() {
                    self.carry_out(&name, orders, now);
                }
            }
            if self.kept.get(&name).is_some_and(|kept| kept.no_room.is_some()) {
                self.go_on(&name);
            }
        }
    }

    fn carry_out(&mut self, name: &Slug, orders: Vec<Order>, now: Timestamp) {
        let Some(kept) = self.kept.get_mut(name) else { return };
        let at_ms = u64::try_from(now.as_millisecond()).unwrap_or(0);
        let mut puts = Vec::new();
        let mut starts = Vec::new();
        for order in orders {
            match order {
                Order::Start(occasion) => {
                    kept.pages.firings += 1;
                    starts.push((kept.pages.firings, occasion));
                }
                Order::Missed { first, last, count, more } => {
                    let occasion = |at| Occasion::Time { at, late: false };
                    let mut words = kept.words(occasion(first), None);
                    if count > 1 {
                        let last = kept.words(occasion(last), None);
                        words.push_str(&format!(" to {}", last.trim_start_matches("schedule ")));
                    }
                    kept.note_without_run(at_ms, words, Came::Missed { count, at_least: more }, &mut puts);
                }
                Order::Skipped { at, why } => {
                    let occasion = Occasion::Time { at, late: false };
                    let words = kept.words(occasion, None);
                    let came = Came::Skipped { why: why.words().to_owned() };
                    kept.note_without_run(at_ms, words, came, &mut puts);
                }
                Order::Waits(_) | Order::Full { .. } => {}
            }
        }
        puts.push(shelf::put_pages(name, &kept.pages));
        // What was decided and what comes of it are written down in one: neither is there without the other.
        let decided: Vec<_> = starts
            .into_iter()
            .filter_map(|(number, occasion)| self.decide(name, number, occasion, None, &mut puts))
            .collect();
        self.shelve_soon(puts);
        for decided in decided {
            let durable = self.journal.settle();
            drop(self.set_out(name, decided, None, durable));
        }
    }

    /// Begins what waits, as far as there is room.
    pub fn go_on(&mut self, name: &Slug) {
        while let Some(kept) = self.kept.get_mut(name)
            && let Some(occasion) = kept.pages.diary.next_waiting(kept.live.len())
        {
            drop(self.start(name, occasion, None, Vec::new()));
        }
    }

    pub fn over(&mut self, run: &RunId) {
        let had = |kept: &&mut Kept| kept.live.contains(run);
        if let Some(kept) = self.kept.values_mut().find(had) {
            kept.live.remove(run);
        }
        // What there was no room for may have some now, whoever's run it was that ended.
        let names: Vec<Slug> = self.kept.keys().cloned().collect();
        names.iter().for_each(|name| self.go_on(name));
    }

    /// What nobody waits for; trouble with the disk is shown by the node itself.
    pub fn shelve_soon(&self, puts: Vec<Put>) {
        let durable: Durable = self.journal.shelve(puts);
        tokio::spawn(async move {
            if let Err(error) = durable.await {
                tracing::error!(error = chain(&error), "a kept document's state is not written down");
            }
        });
    }

    /// Says what is to be watched where, once runs can be begun.
    pub fn set_watch(&self) {
        let mut wanted = Wanted::new();
        if self.node.strong_count() > 0 {
            for kept in self.kept.values() {
                let events = kept.observed();
                if !events.is_empty() {
                    let wish = wanted.entry(kept.place().to_owned()).or_default();
                    wish.events.extend(events);
                    wish.busy |= !kept.live.is_empty();
                }
            }
        }
        self.wanted.send_if_modified(|now| {
            let news = *now != wanted;
            *now = wanted;
            news
        });
    }

    /// Has the clock looked at when the next thing is due, and now and then before, since it may be set.
    pub fn set_clock(&mut self) {
        let now = clock::now();
        let due = self.kept.values().filter_map(|kept| {
            let waits = kept.no_room.is_some().then(|| now.saturating_add(LOOK_PERIOD).unwrap_or(now));
            let due = kept.rules().and_then(|rules| kept.pages.diary.due(&rules));
            due.into_iter().chain(waits).min()
        });
        let due = due.min().filter(|_| self.node.strong_count() > 0);
        let left = |due: Timestamp| Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
        let rings = due.map(|due| Instant::now() + left(due).min(LOOK_PERIOD));
        // Whoever asks often does not put the next look off.
        let soon_enough = |at: Instant| at > Instant::now() && rings.is_some_and(|rings| at <= rings);
        if self.clock.as_ref().is_some_and(|(at, _)| soon_enough(*at)) {
            return;
        }
        if let Some((_, clock)) = self.clock.take() {
            clock.abort();
        }
        self.clock = rings.map(|rings| {
            let me = self.me.clone();
            let clock = tokio::spawn(async move {
                tokio::time::sleep_until(rings.into()).await;
                me.tell(Message::Look);
            });
            (rings, clock.abort_handle())
        });
    }
}

impl Drop for Appointments {
    fn drop(&mut self) {
        if let Some((_, clock)) = self.clock.take() {
            clock.abort();
        }
    }
}

pub(super) fn trouble(message: String) -> Refusal {
    Refusal { code: RefusalCode::Trouble, message, help: None }
}
