//! After a crash: an intent without an end is settled by what inspection finds. It is never acted on
//! again, in neither direction (invariant 10: never blindly retried).

use super::{ActError, Executor, Outcome, Settling, inspection};
use crate::check;
use crate::journal::Execution;
use countersign_domain::Receipt;
use countersign_domain::id::CheckName;
use countersign_domain::receipt::Ending;

impl Executor<'_> {
    /// Settles every intent that has no end. One whose apt still runs is left open for the next time.
    ///
    /// # Errors
    /// When the journal fails or a receipt cannot be signed.
    pub fn recover(&mut self) -> Result<Vec<Receipt>, ActError> {
        let open: Vec<Execution> = self.journal.state().open().cloned().collect();
        let mut receipts = Vec::new();
        for execution in open {
            let Some(intended) = &execution.intended else {
                continue;
            };
            // A run that the hook saw is concluded when its session ends, crash or not: see `seen`.
            if intended.is_seen_forward()
                && (intended.spent.is_some() || intended.session.is_alive())
            {
                continue;
            }
            if !self.apt.package_lock_is_free() {
                self.progress.line(format!(
                    "change `{}` was interrupted, and a package tool still runs: looked at again later",
                    execution.change
                ));
                continue;
            }
            let transitions = &intended.forward;
            let found = inspection::inspect(self.apt, transitions, &self.artifacts());
            let mut notes =
                vec!["this host was interrupted; this is what inspection found".to_owned()];
            let mut health = Vec::new();
            let ending = if !found.known {
                Ending::Unknown
            } else if found.as_before.len() == transitions.len() {
                notes.push("every package is as before".into());
                Ending::RolledBack
            } else if found.all_in_place() {
                let packages: Vec<&str> = transitions.iter().map(|t| t.name.as_str()).collect();
                let names: Vec<CheckName> =
                    check::demanded(self.config, &packages).cloned().collect();
                health = check::settle_all(self.config, &names);
                if health.iter().all(|one| one.passed) {
                    Ending::Succeeded
                } else {
                    notes.push("everything is in place, and a check fails".into());
                    Ending::Failed
                }
            } else {
                notes.push("some packages changed and some did not".into());
                Ending::Failed
            };
            notes.extend(found.problems.clone());
            let settling = Settling {
                change: &execution.change,
                warrant: execution.warrant,
                started_at: Some(intended.at),
            };
            let outcome = Outcome {
                ending,
                in_place: found.in_place,
                health,
                notes,
            };
            self.progress.line(format!(
                "change `{}` was interrupted: {}",
                execution.change,
                outcome.ending.as_str()
            ));
            receipts.push(self.settle(&settling, outcome)?);
        }
        Ok(receipts)
    }
}
