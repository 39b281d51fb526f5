//! The agent's own changes as it saw them last, so that it can tell what moved. Kept in memory
//! only, and bounded; the server's word is what counts.

use super::report::{Proposed, Report};
use crate::client::ChangeView;
use countersign_domain::{ChangeId, ChangeState};
use std::collections::BTreeMap;

/// Changes that are kept in mind; those that ended go first.
const CHANGES_MAX: usize = 5_000;

#[derive(Debug, Default)]
pub(super) struct Book {
    states: BTreeMap<ChangeId, ChangeState>,
    proposed: Vec<Proposed>,
}

impl Book {
    /// A proposal became a change.
    pub fn proposed(&mut self, proposed: Proposed) {
        self.states.insert(proposed.change.clone(), proposed.state);
        // The server may take a proposal for one that it had before.
        self.proposed.retain(|one| one.change != proposed.change);
        self.proposed.push(proposed);
    }

    /// Where the change stood before, when it moved or is new here; none when nothing is new. A
    /// change that ended before it was ever seen is no news.
    pub fn saw(&mut self, view: &ChangeView) -> Option<Option<ChangeState>> {
        if let Some(one) = self.entry(&view.id) {
            one.view = Some(view.clone());
        }
        let before = self.states.get(&view.id).copied();
        if before == Some(view.state) || (before.is_none() && view.state.is_final()) {
            return None;
        }
        self.moved(&view.id, view.state);
        Some(before)
    }

    /// The change stands in `state` now.
    pub fn moved(&mut self, id: &ChangeId, state: ChangeState) {
        self.states.insert(id.clone(), state);
        if let Some(one) = self.entry(id) {
            one.state = state;
        }
    }

    fn entry(&mut self, id: &ChangeId) -> Option<&mut Proposed> {
        self.proposed.iter_mut().find(|one| one.change == *id)
    }

    /// Changes that hosts have not answered yet.
    pub fn undecided(&self) -> Vec<ChangeId> {
        let waiting = self
            .states
            .iter()
            .filter(|(_, state)| matches!(state, ChangeState::Proposed | ChangeState::Preparing));
        waiting.map(|(id, _)| id.clone()).collect()
    }

    /// Forgets the oldest of what ended, when there is too much.
    pub fn prune(&mut self) {
        if self.states.len() > CHANGES_MAX {
            self.states.retain(|_, state| !state.is_final());
        }
        let over = self.proposed.len().saturating_sub(CHANGES_MAX);
        self.proposed.drain(..over);
    }

    /// The report with what was proposed.
    pub fn finish(self, report: Report) -> Report {
        Report {
            proposed: self.proposed,
            ..report
        }
    }
}
