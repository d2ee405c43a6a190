//! Models: reference → profile. An alias first, then the profiles in their order, and a rule where none is named.

use std::collections::{BTreeMap, BTreeSet};

use super::Surroundings;
use crate::diagnostic::{Code, did_you_mean, excerpt};
use crate::document::{Cost, Document, Failover, ModelDef, ModelObject, ModelRef};
use crate::plan::{CostPlan, ModelPlan};
use crate::read::At;
use crate::read::finding::{FINDINGS_MAX, Findings, Span};

/// The profile that is any program in a terminal; its arguments are the program.
pub const COMMAND_PROFILE: &str = "command";
/// Tried in this order where nothing names a model.
const FIRST_INSTALLED: [&str; 5] = ["claude", "codex", "gemini", "opencode", "aider"];
/// What alias `primary` falls to where no `failover` is written.
const PRIMARY_FALLS_TO: [&str; 2] = ["fallback", "emergency"];
/// Common names of local models, and the tags they are really found under.
const LOCAL_TAGS: [(&str, &str); 2] = [("llama-70b", "llama3.3:70b"), ("llama-405b", "llama3.1:405b")];

/// A finding about a model, kept until all are known: many workers may name the same one.
struct Complaint {
    code: Code,
    message: String,
    help: Option<String>,
}

pub(super) struct Models<'d> {
    aliases: BTreeMap<&'d str, &'d At<ModelDef>>,
    around: &'d Surroundings,
    only_alias: Option<&'d str>,
    document: Span,
    complaints: BTreeMap<(Span, Code), Complaint>,
    absent: BTreeSet<String>,
}

impl<'d> Models<'d> {
    pub fn new(document: &'d Document, around: &'d Surroundings) -> Models<'d> {
        let entries = document.models.as_ref().map_or(&[][..], |models| &models.value.entries);
        let aliases: BTreeMap<_, _> = entries.iter().map(|(name, def)| (name.value.as_str(), def)).collect();
        let only_alias = if let [(name, _)] = entries { Some(name.value.as_str()) } else { None };
        let (complaints, absent) = (BTreeMap::new(), BTreeSet::new());
        Models { aliases, around, only_alias, document: document.span, complaints, absent }
    }

    /// The model asked for and what it fails over to, in order. Empty only where there is a finding. `here` says
    /// whether they would be started on this machine.
    pub fn chosen(
        &mut self,
        asked: Option<&At<ModelRef>>,
        failover: Option<&At<Failover>>,
        whose: Span,
        here: bool,
    ) -> Vec<ModelPlan> {
        let (first, name) = match asked {
            Some(reference) => (self.resolve(reference, reference.span), reference.value.0.clone()),
            None => self.by_rule(whose),
        };
        let mut chosen: Vec<ModelPlan> = first.into_iter().collect();
        if let Some(failover) = failover {
            for reference in &failover.0 {
                chosen.extend(self.resolve(reference, reference.span));
            }
        } else if name == "primary" && self.aliases.contains_key("primary") {
            for alias in PRIMARY_FALLS_TO {
                if let Some(span) = self.aliases.get(alias).map(|def| def.span) {
                    chosen.extend(self.resolve(alias, span));
                }
            }
        }
        let mut once: Vec<ModelPlan> = Vec::new();
        chosen.iter().filter(|_| here).for_each(|model| self.note_absent(model));
        for model in chosen {
            let same = |other: &ModelPlan| {
                (&other.profile, &other.model, &other.args, &other.env)
                    == (&model.profile, &model.model, &model.args, &model.env)
            };
            if !once.iter().any(same) {
                once.push(model);
            }
        }
        once
    }

    /// The model of a worker that names none, and the name it was found by.
    fn by_rule(&mut self, whose: Span) -> (Option<ModelPlan>, String) {
        let around = self.around;
        let installed =
            |name: &&&str| around.profile(name).is_some_and(|profile| profile.installed.is_some());
        let (name, rule) = if self.aliases.contains_key("primary") {
            ("primary".to_owned(), "no model given: models.primary")
        } else if let Some(only) = self.only_alias {
            (only.to_owned(), "no model given: the only alias")
        } else if let Some(default) = &around.default_model {
            (default.clone(), "no model given: the node's default_model")
        } else if let Some(first) = FIRST_INSTALLED.iter().find(installed) {
            ((*first).to_owned(), "no model given: the first installed")
        } else {
            let message = "no model is named and none can be chosen".to_owned();
            let help = format!("name one, or install one of {}", FIRST_INSTALLED.join(", "));
            self.complain(Code::NoModel, whose, message, Some(help));
            return (None, String::new());
        };
        let found = self.resolve(&name, whose);
        let found = found.map(|model| ModelPlan { because: format!("{rule}; {}", model.because), ..model });
        (found, name)
    }

    fn resolve(&mut self, reference: &str, span: Span) -> Option<ModelPlan> {
        let (mut name, mut at) = (reference.to_owned(), span);
        let mut way = Vec::new();
        let mut settings: Vec<&ModelObject> = Vec::new();
        let mut seen = BTreeSet::new();
        while let Some(def) = self.aliases.get(name.as_str()).copied().filter(|_| seen.insert(name.clone())) {
            way.push(format!("alias {name}"));
            at = def.span;
            name = match &def.value {
                ModelDef::Reference(reference) => reference.0.clone(),
                ModelDef::Object(object) => {
                    settings.push(object);
                    object.reference.as_ref()?.value.0.clone()
                }
            };
        }
        let Some((profile, model)) = self.profile(&name) else {
            self.unknown(&name, at);
            return None;
        };
        let mut plan = ModelPlan {
            reference: reference.to_owned(),
            because: because(&way, &name, &profile, model.as_deref()),
            profile,
            model,
            args: Vec::new(),
            env: BTreeMap::new(),
            cost: None,
        };
        settings.into_iter().rev().for_each(|object| overlay(&mut plan, object));
        self.must_have_arguments(&plan, at);
        Some(plan)
    }

    /// The profile and model a name stands for, once no alias is left in it.
    fn profile(&self, name: &str) -> Option<(String, Option<String>)> {
        if name == COMMAND_PROFILE || self.around.profile(name).is_some() {
            return Some((name.to_owned(), None));
        }
        if let Some((head, model)) = name.split_once('/') {
            let profile = self.around.profile(head)?;
            let tag = LOCAL_TAGS.iter().find(|(common, _)| profile.local && *common == model);
            let model = tag.map_or(model, |(_, tag)| tag);
            return (!model.is_empty()).then(|| (profile.name.clone(), Some(model.to_owned())));
        }
        let lists = |profile: &&super::KnownProfile| profile.lists.iter().any(|listed| listed == name);
        self.around.profiles.iter().find(lists).map(|profile| (profile.name.clone(), Some(name.to_owned())))
    }

    fn unknown(&mut self, name: &str, at: Span) {
        if self.complaints.len() > FINDINGS_MAX || self.complaints.contains_key(&(at, Code::UnknownModel)) {
            return; // Nobody would read it, and looking for the nearest of many names takes time.
        }
        let profiles = self.around.profiles.iter();
        let known = profiles.flat_map(|one| one.lists.iter().chain([&one.name])).map(String::as_str);
        let head = name.split('/').next().unwrap_or(name);
        let help = did_you_mean(name, self.aliases.keys().copied().chain(known.clone()))
            .or_else(|| did_you_mean(head, known))
            .unwrap_or_else(|| {
                let names: Vec<&str> =
                    self.around.profiles.iter().map(|profile| profile.name.as_str()).collect();
                format!(
                    "profiles are {}; a program of your own is {{\"use\": \"command\", \"args\": […]}}",
                    names.join(", ")
                )
            });
        let message = format!("no alias or profile is named `{}`", excerpt(name));
        self.complain(Code::UnknownModel, at, message, Some(help));
    }

    fn must_have_arguments(&mut self, plan: &ModelPlan, at: Span) {
        if plan.profile == COMMAND_PROFILE && plan.args.first().is_none_or(String::is_empty) {
            let message = "`command` needs `args`: the program and its arguments".to_owned();
            let help = "write {\"use\": \"command\", \"args\": [\"cargo\", \"clippy\"]}".to_owned();
            self.complain(Code::MissingField, at, message, Some(help));
        }
    }

    fn note_absent(&mut self, plan: &ModelPlan) {
        let profile = self.around.profile(&plan.profile);
        if let Some(program) =
            profile.filter(|one| one.installed.is_none()).and_then(|one| one.program.as_ref())
        {
            self.absent.insert(program.clone());
        }
    }

    /// A time that many workers inherit is reported once.
    pub fn complain_of_limit(&mut self, at: Span, message: String) {
        self.complain(Code::LimitExceeded, at, message, None);
    }

    fn complain(&mut self, code: Code, at: Span, message: String, help: Option<String>) {
        self.complaints.entry((at, code)).or_insert(Complaint { code, message, help });
    }

    /// Tells what was found, each thing once.
    pub fn report(&mut self, findings: &mut Findings) {
        for ((span, _), complaint) in std::mem::take(&mut self.complaints) {
            findings.error(complaint.code, span, complaint.message).help_if(complaint.help);
        }
        for program in std::mem::take(&mut self.absent) {
            let message = format!("`{program}` is not on PATH here");
            findings.warning(
                Code::ProgramAbsent,
                Span { end: self.document.start, ..self.document },
                message,
            );
        }
    }
}

fn because(way: &[String], name: &str, profile: &str, model: Option<&str>) -> String {
    let end = match model {
        Some(model) if !name.ends_with(model) => format!("{name} → {model}"),
        Some(model) if !name.contains('/') => format!("{profile}/{model}"),
        _ => name.to_owned(),
    };
    way.iter().cloned().chain([end]).collect::<Vec<_>>().join(" → ")
}

/// Lays an alias's own settings over those of what it stands for.
fn overlay(plan: &mut ModelPlan, object: &ModelObject) {
    for (name, value) in object.env.iter().flat_map(|env| &env.value.entries) {
        plan.env.insert(name.value.clone(), value.value.0.clone());
    }
    plan.args.extend(object.args.iter().flat_map(|args| &args.value).map(|arg| arg.value.clone()));
    if let Some(cost) = &object.cost {
        plan.cost = Some(match &cost.value {
            Cost::PerSession(usd) => CostPlan::PerSession(usd.0),
            Cost::Rates(rates) => CostPlan::PerMillionTokens {
                input: rates.input.as_ref().map(|usd| usd.0),
                output: rates.output.as_ref().map(|usd| usd.0),
                cached: rates.cached.as_ref().map(|usd| usd.0),
            },
        });
    }
}
