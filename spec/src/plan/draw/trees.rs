//! Trees: which worker works where, and which of them share.

use std::collections::{BTreeMap, BTreeSet};

use super::Drawer;
use super::sessions::{Asked, Levels};
use super::variables::{Variables, short};
use crate::diagnostic::Code;
use crate::name::Slug;
use crate::plan::{NetworkPlan, Permission, PhasePlan, PhaseWork, Plan, TreePlan};
use crate::read::template::is_literal;

/// What kind of place a worker has in its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The only worker of a pipeline's phase, or of a session.
    Alone,
    /// One of several workers.
    OneOfSeveral,
    /// Takes part in a conversation.
    Participant,
    /// An agent of a mesh: all of one machine share a tree.
    Agent,
}

/// The names given to trees nobody named.
#[derive(Debug, Default)]
pub(super) struct Trees {
    given: BTreeSet<Slug>,
}

impl Trees {
    /// A name for a tree nobody named, told apart from all others given so far.
    fn fresh(&mut self, wanted: &str) -> Slug {
        let mut slug = short(wanted);
        let mut number = 2;
        while !self.given.insert(slug.clone()) {
            slug = short(&format!("{wanted}-{number}"));
            number += 1;
        }
        slug
    }
}

impl Drawer<'_> {
    pub(super) fn tree(
        &mut self,
        levels: Levels<'_>,
        place: Place,
        elsewhere: bool,
        variables: &Variables<'_>,
    ) -> TreePlan {
        let repository = self.around.repository.is_some();
        match levels.worktree() {
            Asked::Checkout => return if repository { TreePlan::Checkout } else { TreePlan::Folder },
            Asked::Slug { template, own, at } if own || place != Place::Participant => {
                if !repository {
                    let message =
                        "`worktree` asks for a git worktree and there is no repository with a commit here";
                    let help = "run `git init` and commit, or leave `worktree` out";
                    self.findings.error(Code::NoRepository, at.span, message).help(help);
                    return TreePlan::Folder;
                }
                let slug = variables.slug(template);
                return if is_literal(template) {
                    TreePlan::Shared { slug, line: own }
                } else {
                    TreePlan::Own { slug }
                };
            }
            _ => {}
        }
        if !repository {
            return TreePlan::Folder;
        }
        let writes = matches!(levels.permission(), Some(Permission::WorkspaceWrite | Permission::Full));
        match place {
            Place::Alone => TreePlan::Result,
            Place::Participant if !writes => TreePlan::ReadOnly,
            Place::OneOfSeveral => {
                TreePlan::Own { slug: self.trees.fresh(&format!("{}-{}", variables.phase, variables.worker)) }
            }
            Place::Participant => TreePlan::Shared { slug: short(variables.phase), line: false },
            Place::Agent if !elsewhere => TreePlan::Shared { slug: short(variables.phase), line: false },
            Place::Agent => {
                let slug =
                    Slug::nearest(&format!("{}-{}", variables.phase, Slug::nearest(variables.machine)));
                TreePlan::Shared { slug, line: false }
            }
        }
    }
}

/// What stays where it was worked on: a worker of a phase that gives no more than its result to later ones, of which one
/// may reach further than this machine, works in a tree that nothing is taken from. Where nobody can tell it on, what it
/// made is as good as anybody's.
pub(super) fn withhold(plan: &mut Plan) {
    for at in 0..plan.phases.len() {
        let (earlier, later) = plan.phases.split_at_mut(at + 1);
        let reaches = |phase: &PhasePlan| {
            phase.work.workers().into_iter().any(|worker| worker.session.network != NetworkPlan::None)
        };
        let PhaseWork::Workers { workers, .. } = &mut earlier[at].work else { continue };
        for worker in workers.iter_mut().filter(|worker| worker.withholds()) {
            let own =
                matches!(worker.tree, TreePlan::Own { .. } | TreePlan::Shared { .. } | TreePlan::Result);
            if own && later.iter().any(reaches) {
                worker.tree = TreePlan::ReadOnly;
            }
        }
    }
}

/// One slug is one tree: a tree of one's own that somebody else names too is a shared one.
pub(super) fn share(plan: &mut Plan) {
    let mut named: BTreeMap<Slug, usize> = BTreeMap::new();
    for phase in &plan.phases {
        for worker in phase.work.workers() {
            if let TreePlan::Own { slug } | TreePlan::Shared { slug, .. } = &worker.tree {
                *named.entry(slug.clone()).or_default() += 1;
            }
        }
    }
    for phase in &mut plan.phases {
        for worker in phase.work.workers_mut() {
            if let TreePlan::Own { slug } = &worker.tree
                && named.get(slug).is_some_and(|count| *count > 1)
            {
                worker.tree = TreePlan::Shared { slug: slug.clone(), line: false };
            }
        }
    }
}
