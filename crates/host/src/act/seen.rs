//! Runs that somebody else's package tool makes and the hook sees: begun here under a permit, spent a
//! step at a time as the hook asks, concluded here when their session has ended, by the same
//! inspection, health checks and way back as this host's own. Asking and answering is in `asked`.

use super::leave::Leave;
use super::{ActError, Begun, Executor, Settling};
use crate::check;
use crate::journal::{Execution, Phase, Runner};
use crate::session::Session;
use countersign_domain::id::CheckName;
use countersign_domain::receipt::Ending;
use countersign_domain::{Digest, PreparedPlan, Receipt, Transition};
use countersign_verify::handover::Permit;
use std::time::Instant;

impl Executor<'_> {
    /// Journals intent for `session`, another process's; `asked` is when the gate was asked. None when that may start now; the receipt
    /// when it was settled as never started.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn begin_seen(
        &mut self,
        permit: &Permit,
        warrant_jws: &str,
        plan: &PreparedPlan,
        session: Session,
        asked: Instant,
    ) -> Result<Option<Receipt>, ActError> {
        let leave = Leave::by_warrant(permit, warrant_jws, asked);
        match self.begin(&leave, plan, session, Runner::Seen)? {
            Begun::Since(_) => Ok(None),
            Begun::Not(reasons) => Ok(Some(self.never_started(&leave, reasons)?)),
        }
    }

    /// Spends these transitions for the session that the intent of `warrant` names.
    ///
    /// # Errors
    /// When one is foreign to the warrant or spent already, or the journal fails.
    pub fn spend_seen(
        &mut self,
        warrant: Digest,
        transitions: &[Transition],
    ) -> Result<(), ActError> {
        self.spend(warrant, Phase::Forward, transitions)
    }

    /// Concludes every run whose session has ended and whose package tools are gone. `checks` gives
    /// what the plan of an execution demands.
    ///
    /// # Errors
    /// When the journal fails or a receipt cannot be signed.
    pub fn conclude_seen(
        &mut self,
        checks: &dyn Fn(&Execution) -> Vec<CheckName>,
    ) -> Result<Vec<Receipt>, ActError> {
        let open: Vec<Execution> = self.journal.state().open().cloned().collect();
        let mut receipts = Vec::new();
        for execution in open {
            let Some(intended) = &execution.intended else {
                continue;
            };
            let spent = intended.spent_forward();
            let ended = intended.is_seen_forward()
                && !spent.is_empty()
                && !intended.session.is_alive()
                && self.apt.package_lock_is_free();
            if !ended {
                continue;
            }
            let mut demanded = checks(&execution);
            let packages: Vec<&str> = spent.iter().map(|one| one.name.as_str()).collect();
            for name in check::demanded(self.config, &packages) {
                if !demanded.contains(name) {
                    demanded.push(name.clone());
                }
            }
            let settling = Settling {
                change: &execution.change,
                warrant: execution.warrant,
                started_at: Some(intended.at),
            };
            let mut outcome =
                self.conclude(&settling, &demanded, spent, &intended.reverse, Vec::new())?;
            outcome.notes.push(format!(
                "run by process {}, which the hook saw: {} of {} permitted transitions were asked for",
                intended.session.pid,
                spent.len(),
                intended.forward.len(),
            ));
            if outcome.ending == Ending::Succeeded && spent.len() < intended.forward.len() {
                outcome
                    .notes
                    .push("the rest of the plan was not run, and needs another warrant".into());
            }
            self.progress.line(format!(
                "`{}`: the run that was seen has ended: {}",
                execution.change,
                outcome.ending.as_str()
            ));
            receipts.push(self.settle(&settling, outcome)?);
        }
        Ok(receipts)
    }
}
