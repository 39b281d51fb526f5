//! What became of the same upgrade before: why a finding need not, or should not, be proposed now,
//! and which own changes a newer version has overtaken. Pure.

use super::report::Skip;
use crate::client::ChangeView;
use countersign_domain::finding::Finding;
use countersign_domain::{
    AgentId, Architecture, ChangeId, ChangeState, ExecutionState, HostId, PackageName, Version,
};
use std::collections::{BTreeMap, BTreeSet};

type Upgrade<'a> = (&'a HostId, &'a PackageName, &'a Architecture, &'a Version);

/// The weightiest word on each upgrade of each host.
#[derive(Debug)]
pub(super) struct Standings<'a>(BTreeMap<Upgrade<'a>, Skip>);

impl<'a> Standings<'a> {
    /// Reads it out of the changes, whoever proposed them.
    pub fn of(changes: &'a [ChangeView]) -> Self {
        let mut all: BTreeMap<Upgrade<'a>, Skip> = BTreeMap::new();
        for change in changes {
            for host in change.hosts.iter().map(|one| &one.host) {
                let Some(word) = word(change, host) else {
                    continue;
                };
                for package in &change.packages {
                    let Some(to) = &package.to else { continue };
                    let upgrade = (host, &package.name, &package.architecture, to);
                    // `Skip` is ordered: what is open weighs most.
                    let held = all.entry(upgrade).or_insert_with(|| word.clone());
                    if *held < word {
                        *held = word.clone();
                    }
                }
            }
        }
        Self(all)
    }

    /// Why `finding` is not to be proposed; with `again`, neither refusal nor failure keeps it.
    pub fn skip(&self, finding: &Finding, again: bool) -> Option<Skip> {
        let upgrade = (
            &finding.host,
            &finding.package,
            &finding.architecture,
            &finding.to,
        );
        let word = self.0.get(&upgrade)?;
        match word {
            Skip::Refused(_) | Skip::FailedBefore(_) if again => None,
            Skip::Refused(_)
            | Skip::FailedBefore(_)
            | Skip::Done(_)
            | Skip::Open(_)
            | Skip::ProposedToday(_) => Some(word.clone()),
        }
    }
}

/// What a change says about proposing the same again on `host`; nothing when it never ran there.
fn word(change: &ChangeView, host: &HostId) -> Option<Skip> {
    let id = || change.id.clone();
    match change.state {
        ChangeState::Proposed
        | ChangeState::Preparing
        | ChangeState::Escalated
        | ChangeState::AwaitingApproval
        | ChangeState::Authorized
        | ChangeState::Running => Some(Skip::Open(id())),
        ChangeState::Refused => Some(Skip::Refused(id())),
        ChangeState::Denied
        | ChangeState::Expired
        | ChangeState::Withdrawn
        | ChangeState::Revoked => None,
        ChangeState::Settled
        | ChangeState::ReviewDue
        | ChangeState::Overdue(_)
        | ChangeState::Reviewed => match change.execution_on(host)? {
            ExecutionState::Succeeded => Some(Skip::Done(id())),
            ExecutionState::Failed | ExecutionState::RolledBack | ExecutionState::Unknown => {
                Some(Skip::FailedBefore(id()))
            }
            ExecutionState::Waiting | ExecutionState::Issued | ExecutionState::Started => {
                Some(Skip::Open(id()))
            }
            ExecutionState::Revoked | ExecutionState::Expired => None,
        },
    }
}

/// Changes of `agent` that still wait for people or plans, while each of their hosts is offered
/// another version of each of their packages. What is authorized is left alone: people signed it.
pub(super) fn superseded(
    changes: &[ChangeView],
    findings: &[Finding],
    agent: &AgentId,
) -> Vec<ChangeId> {
    let mut offered: BTreeMap<_, BTreeSet<&Version>> = BTreeMap::new();
    for one in findings {
        offered
            .entry((&one.host, &one.package, &one.architecture))
            .or_default()
            .insert(&one.to);
    }
    let waits = |state| {
        matches!(
            state,
            ChangeState::Proposed
                | ChangeState::Preparing
                | ChangeState::Escalated
                | ChangeState::AwaitingApproval
        )
    };
    let overtaken = |change: &&ChangeView| {
        let mut pairs = change.hosts.iter().flat_map(|host| {
            change
                .packages
                .iter()
                .map(move |package| (&host.host, package))
        });
        let named = !change.hosts.is_empty() && !change.packages.is_empty();
        named
            && pairs.all(|(host, package)| {
                let versions = offered.get(&(host, &package.name, &package.architecture));
                match (versions, &package.to) {
                    (Some(versions), Some(to)) => !versions.contains(to),
                    (None, _) | (_, None) => false,
                }
            })
    };
    changes
        .iter()
        .filter(|change| change.agent == *agent && waits(change.state))
        .filter(overtaken)
        .map(|change| change.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::finding;

    fn change(state: &str, execution: &str) -> ChangeView {
        serde_json::from_value(serde_json::json!({
            "id": "chg-1", "state": state, "agent": "patcher",
            "packages": [{"name": "openssl", "from": "1.0-1", "to": "1.0-2", "architecture": "amd64"}],
            "hosts": [{"host": "web-1", "wave": 0}],
            "executions": [{"host": "web-1", "state": execution, "notes": "any", "ending": null}],
        }))
        .unwrap()
    }

    #[test]
    fn what_is_open_done_refused_or_failed_is_not_proposed_again() {
        let one = finding("web-1", "openssl");
        for (state, execution, expected, with_again) in [
            ("preparing", "waiting", "open", "open"),
            ("awaiting-approval", "waiting", "open", "open"),
            ("running", "started", "open", "open"),
            ("settled", "succeeded", "done", "done"),
            ("review-due", "rolled-back", "failed", "-"),
            ("reviewed", "unknown", "failed", "-"),
            ("settled", "expired", "-", "-"),
            ("refused", "revoked", "refused", "-"),
            ("denied", "revoked", "-", "-"),
            ("expired", "expired", "-", "-"),
            ("withdrawn", "revoked", "-", "-"),
        ] {
            let changes = [change(state, execution)];
            let standings = Standings::of(&changes);
            let word = |again| match standings.skip(&one, again) {
                None => "-",
                Some(Skip::Open(_)) => "open",
                Some(Skip::Done(_)) => "done",
                Some(Skip::FailedBefore(_)) => "failed",
                Some(Skip::Refused(_)) => "refused",
                Some(Skip::ProposedToday(_)) => "today",
            };
            assert_eq!((word(false), word(true)), (expected, with_again), "{state}");
        }
    }

    #[test]
    fn another_host_or_version_is_another_finding() {
        let changes = [change("preparing", "waiting")];
        let standings = Standings::of(&changes);
        assert!(
            standings
                .skip(&finding("web-2", "openssl"), false)
                .is_none()
        );
        let mut newer = finding("web-1", "openssl");
        newer.to = Version::new("1.0-3").unwrap();
        assert!(standings.skip(&newer, false).is_none());
    }

    #[test]
    fn an_open_change_weighs_more_than_one_that_failed() {
        let mut failed = change("settled", "failed");
        failed.id = ChangeId::new("chg-9").unwrap();
        for changes in [
            [change("preparing", "waiting"), failed.clone()],
            [failed, change("preparing", "waiting")],
        ] {
            let skip = Standings::of(&changes).skip(&finding("web-1", "openssl"), true);
            assert!(matches!(skip, Some(Skip::Open(_))), "{skip:?}");
        }
    }

    #[test]
    fn only_waiting_changes_of_one_s_own_are_overtaken() {
        let agent = AgentId::new("patcher").unwrap();
        let mut newer = finding("web-1", "openssl");
        newer.to = Version::new("1.0-3").unwrap();
        let count = |state, findings: &[Finding], agent: &AgentId| {
            superseded(&[change(state, "waiting")], findings, agent).len()
        };
        let both = [newer.clone(), finding("web-1", "openssl")];
        assert_eq!(
            count("awaiting-approval", std::slice::from_ref(&newer), &agent),
            1
        );
        assert_eq!(count("awaiting-approval", &both, &agent), 0);
        assert_eq!(count("awaiting-approval", &[], &agent), 0);
        assert_eq!(count("authorized", std::slice::from_ref(&newer), &agent), 0);
        let other = AgentId::new("other").unwrap();
        assert_eq!(count("preparing", &[newer], &other), 0);
    }
}
