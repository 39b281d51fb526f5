//! What is told of a whole run apart from what was done in it: by the record of a job, or by the file
//! beside a run's events that holds its command line. That it was a dry run, who started it, what it
//! was for. Brought together with the actions once everything was read, in whatever order it was.

use super::collect::FileRead;
use super::model::{Action, Actor, FileNumber, Format, Nature, Reference};
use countersign_domain::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// By what actions belong to a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunKey {
    /// They name it, by the id that the acting system gave it.
    Native(String),
    /// They stand in the folder of this file, or below it.
    Folder(FileNumber),
}

/// What a record tells of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which run.
    pub by: RunKey,
    /// What it tells.
    pub told: Told,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Its command line, or the record of it, was read: what it is can be told.
    pub known: bool,
    /// Events of it were read.
    pub events: bool,
    /// It only shows what would be done.
    pub dry_run: bool,
    /// Who started it.
    pub actor: Option<Actor>,
    /// What it names as its reason.
    pub references: Vec<Reference>,
    /// What it did as far as its own record tells: counts where no event of it was read.
    pub actions: Vec<Action>,
}

/// All runs that something is told of.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    told: BTreeMap<RunKey, Told>,
    /// Actions that were none of a dry run, whatever their run was.
    certain: BTreeSet<Digest>,
}

/// What bringing them together came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Actions that were none, by format.
    pub(crate) dry_runs: BTreeMap<Format, u64>,
    /// Actions of which it cannot be told whether they were a dry run's.
    pub(crate) unknown: u64,
}

impl Told {
    /// Brings together what two records tell, in whatever order.
    fn and(&mut self, other: Self) {
        self.known |= other.known;
        self.events |= other.events;
        self.dry_run |= other.dry_run;
        self.actor = match (self.actor.take(), other.actor) {
            (Some(one), Some(other)) => Some(clearer(one, other)),
            (one, other) => one.or(other),
        };
        self.references.extend(other.references);
        self.references.sort();
        self.references.dedup();
        self.actions.extend(other.actions);
    }
}

/// Of two readings of who it was, the one that tells more.
pub(crate) fn clearer(one: Actor, other: Actor) -> Actor {
    let rank = |actor: &Actor| (actor.nature == Nature::Unclear, actor.clone());
    if rank(&other) < rank(&one) {
        other
    } else {
        one
    }
}

impl Runs {
    /// Keeps what a record tells.
    pub(crate) fn keep(&mut self, run: Run) {
        self.told.entry(run.by).or_default().and(run.told);
    }

    /// This action was done, even if its run was a dry one.
    pub(crate) fn certain(&mut self, action: Digest) {
        self.certain.insert(action);
    }

    /// Takes in what another part of the logs tells.
    pub(crate) fn and(&mut self, other: Self) {
        for (by, told) in other.told {
            self.keep(Run { by, told });
        }
        self.certain.extend(other.certain);
    }

    /// Actions that only the record of their run tells of.
    pub(crate) fn alone(&mut self) -> Vec<Action> {
        let alone = |told: &mut Told| !told.events && !told.dry_run;
        self.told
            .values_mut()
            .filter_map(|told| alone(told).then(|| std::mem::take(&mut told.actions)))
            .flatten()
            .collect()
    }

    /// Takes what was no more than shown out of `actions`, and tells the others who started their run
    /// and what it was for.
    pub(crate) fn apply(self, files: &[FileRead], actions: &mut Vec<Action>) -> Applied {
        let folders: BTreeMap<&Path, &Told> = self
            .told
            .iter()
            .filter_map(|(by, told)| match by {
                RunKey::Folder(file) => Some((files.get(file.0 as usize)?.path.parent()?, told)),
                RunKey::Native(_) => None,
            })
            .collect();
        let mut applied = Applied::default();
        actions.retain_mut(|action| {
            if !matches!(action.format, Format::AnsibleRunner | Format::Awx) {
                return true;
            }
            let told: Vec<&Told> = self
                .natives(action)
                .chain(action.places.iter().filter_map(|place| {
                    let path = &files.get(place.file.0 as usize)?.path;
                    // The nearest folder that something is told of.
                    path.ancestors()
                        .skip(1)
                        .find_map(|at| folders.get(at).copied())
                }))
                .collect();
            if told.iter().any(|told| told.dry_run) && !self.certain.contains(&action.key) {
                *applied.dry_runs.entry(action.format).or_default() += 1;
                return false;
            }
            if !told.iter().any(|told| told.known) {
                applied.unknown += 1;
            }
            let actors = told.iter().filter_map(|told| told.actor.clone());
            if let Some(actor) = actors.reduce(clearer) {
                action.actor = actor;
            }
            for told in told {
                action.references.extend(told.references.iter().cloned());
            }
            action.references.sort();
            action.references.dedup();
            true
        });
        applied
    }

    fn natives<'a>(&'a self, action: &Action) -> impl Iterator<Item = &'a Told> {
        let ids: Vec<RunKey> = action
            .references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Native(id) => Some(RunKey::Native(id.clone())),
                _ => None,
            })
            .collect();
        ids.into_iter().filter_map(|by| self.told.get(&by))
    }
}
