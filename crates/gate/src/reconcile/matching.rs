//! Which transitions of a host its warrants explain. Every step of a plan explains one transition,
//! its way back another, each within the time between start and settlement, and each once
//! (invariant 4). Knows nothing of storage but the executions that it is built from.

use super::closing::Unknown;
use crate::error::GateError;
use crate::state::{self, ExecutionRecord, WarrantedRecord};
use countersign_domain::package_report::{
    EXPLAINED_MAX, Explained, InstalledPackage, SeenIn, SeenTransition,
};
use countersign_domain::{
    Architecture, ExecutionState, PackageName, PreparedPlan, Timestamp, Transition, Version,
};
use countersign_store::Read;
use std::collections::{BTreeMap, BTreeSet};

/// Package logs tell whole seconds: a line may seem that much earlier than what caused it.
const LOG_RESOLUTION_SECONDS: i64 = 1;

type Package = (PackageName, Architecture);

/// What is held to be installed, what may explain a change of it, and what nothing explained.
pub(super) struct Ledger {
    running: BTreeMap<Package, Version>,
    warrants: Vec<Warranted>,
    /// When the host told what is installed last.
    since: Timestamp,
    /// The last transition of a package in this report, unless a success of its own warrant says
    /// that it stayed.
    undoable: BTreeMap<Package, Option<Version>>,
    found: Vec<SeenTransition>,
    explained: Vec<Explained>,
}

/// An execution that may explain transitions.
struct Warranted {
    record: WarrantedRecord,
    plan: PreparedPlan,
    expires_at: Timestamp,
    /// From when, and until when where it has settled.
    window: (Timestamp, Option<Timestamp>),
    started: bool,
    unknown: bool,
    succeeded: bool,
}

impl Warranted {
    fn of(
        record: WarrantedRecord,
        execution: ExecutionRecord,
        plan: Option<PreparedPlan>,
    ) -> Option<Self> {
        let warrant = execution.warrant?;
        match execution.state {
            ExecutionState::Issued
            | ExecutionState::Started
            | ExecutionState::Unknown
            | ExecutionState::Succeeded
            | ExecutionState::Failed
            | ExecutionState::RolledBack => {}
            // Never started, by the host's own word: it explains nothing.
            ExecutionState::Waiting | ExecutionState::Revoked | ExecutionState::Expired => {
                return None;
            }
        }
        let until = execution
            .state
            .is_final()
            .then(|| execution.settlement.map(|settlement| settlement.ended_at))
            .flatten();
        Some(Self {
            record,
            plan: plan?,
            expires_at: warrant.expires_at,
            unknown: execution.state == ExecutionState::Unknown,
            window: (execution.started_at.unwrap_or(warrant.issued_at), until),
            started: execution.started_at.is_some(),
            succeeded: execution.state == ExecutionState::Succeeded,
        })
    }

    /// True when it could have acted between two times.
    fn acts_within(&self, from: Timestamp, to: Timestamp) -> bool {
        from <= self.window.1.unwrap_or(to)
            && to.plus_seconds(LOG_RESOLUTION_SECONDS) >= self.window.0
    }
}

impl Ledger {
    pub(super) fn new(
        installed: Vec<InstalledPackage>,
        records: Vec<WarrantedRecord>,
        since: Timestamp,
        store: &dyn Read,
    ) -> Result<Self, GateError> {
        let mut warrants = Vec::new();
        for record in records {
            let key = ExecutionRecord::key_of(&record.change, &record.host);
            if let Some(execution) = state::load::<ExecutionRecord>(store, &key)? {
                let plan = state::plan(store, &execution)?;
                warrants.extend(Warranted::of(record, execution, plan));
            }
        }
        Ok(Self {
            running: by_package(installed),
            warrants,
            since,
            undoable: BTreeMap::new(),
            found: Vec::new(),
            explained: Vec::new(),
        })
    }

    /// A transition that an earlier report told.
    pub(super) fn replay(&mut self, seen: &SeenTransition) {
        let package = (seen.name.clone(), seen.architecture.clone());
        match &seen.new {
            Some(version) => self.running.insert(package, version.clone()),
            None => self.running.remove(&package),
        };
    }

    /// A transition that this report tells.
    pub(super) fn see(&mut self, seen: &SeenTransition) {
        let package = (seen.name.clone(), seen.architecture.clone());
        // Only configuration files go: nothing that was installed changes.
        if seen.new.is_none() && !self.running.contains_key(&package) {
            return;
        }
        self.untold(&package, seen);
        let stays = match seen.at.and_then(|at| self.explain(seen, at, at)) {
            Some(succeeded) => succeeded,
            None => {
                self.found.push(seen.clone());
                false
            }
        };
        if stays {
            self.undoable.remove(&package);
        } else {
            self.undoable.insert(package, seen.old.clone());
        }
        self.replay(seen);
    }

    /// The line begins at another version than the one before it ended at: a step between the two was
    /// left out of the log, or taken out of it.
    fn untold(&mut self, package: &Package, seen: &SeenTransition) {
        let held = self.running.get(package);
        if held == seen.old.as_ref() || self.undoable.get(package) == Some(&seen.old) {
            return;
        }
        let untold = SeenTransition {
            old: held.cloned(),
            new: seen.old.clone(),
            at: None,
            seen_in: SeenIn::State,
            ..seen.clone()
        };
        let until = seen.at.unwrap_or(self.since);
        if self.explain(&untold, self.since, until).is_none() {
            self.found.push(untold);
        }
    }

    /// What is installed now: a difference that no line explains is a transition too.
    pub(super) fn compare(&mut self, installed: Vec<InstalledPackage>, until: Timestamp) {
        let now = by_package(installed);
        let packages: BTreeSet<Package> = self.running.keys().chain(now.keys()).cloned().collect();
        for package in packages {
            let (old, new) = (self.running.get(&package), now.get(&package));
            // The package tool logs an attempt before it makes it; one that it gave up left
            // everything as it was.
            if old == new || self.undoable.get(&package) == Some(&new.cloned()) {
                continue;
            }
            let seen = SeenTransition {
                name: package.0.clone(),
                architecture: package.1.clone(),
                old: old.cloned(),
                new: new.cloned(),
                at: None,
                seen_in: SeenIn::State,
            };
            if self.explain(&seen, self.since, until).is_none() {
                self.found.push(seen);
            }
        }
        self.running = now;
    }

    /// Spends a step that covers what was seen between two times; whether its execution succeeded.
    fn explain(&mut self, seen: &SeenTransition, from: Timestamp, to: Timestamp) -> Option<bool> {
        if self.explained.len() >= EXPLAINED_MAX {
            return None;
        }
        for warrant in &mut self.warrants {
            if !warrant.acts_within(from, to) {
                continue;
            }
            for (number, step) in (0_u32..).zip(&warrant.plan.steps) {
                let (forward, back) = (&step.transition, &step.reverse.transition);
                let record = &mut warrant.record;
                let reverse = if covers(forward, seen) && record.forward.insert(number) {
                    false
                } else if warrant.started
                    && covers(back, seen)
                    && record.forward.contains(&number)
                    && record.reverse.insert(number)
                {
                    true
                } else {
                    continue;
                };
                self.explained.push(Explained {
                    change: record.change.clone(),
                    step: number,
                    reverse,
                });
                return Some(warrant.succeeded);
            }
        }
        None
    }

    /// What nothing explained, and what was spent.
    pub(super) fn take_findings(&mut self) -> (Vec<SeenTransition>, Vec<Explained>) {
        (
            std::mem::take(&mut self.found),
            std::mem::take(&mut self.explained),
        )
    }

    /// Executions of which nobody knows how they ended, and what is installed of them now.
    pub(super) fn unknown(&self) -> impl Iterator<Item = Unknown<'_>> {
        let unknown = self.warrants.iter().filter(|warrant| warrant.unknown);
        unknown.map(|warrant| {
            let at = |version: fn(&Transition) -> &Option<Version>| {
                let steps = warrant.plan.steps.iter().map(|step| &step.transition);
                steps
                    .filter(|step| {
                        let package = (step.name.clone(), step.architecture.clone());
                        self.running.get(&package) == version(step).as_ref()
                    })
                    .count()
            };
            Unknown {
                change: &warrant.record.change,
                plan: &warrant.plan,
                expires_at: warrant.expires_at,
                started: warrant.started,
                seen: !warrant.record.forward.is_empty(),
                in_place: at(|step| &step.new),
                as_before: at(|step| &step.old),
            }
        })
    }
}

fn covers(planned: &Transition, seen: &SeenTransition) -> bool {
    planned.name == seen.name
        && planned.architecture == seen.architecture
        && planned.old == seen.old
        && planned.new == seen.new
}

fn by_package(installed: Vec<InstalledPackage>) -> BTreeMap<Package, Version> {
    installed
        .into_iter()
        .map(|package| ((package.name, package.architecture), package.version))
        .collect()
}
