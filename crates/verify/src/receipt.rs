//! Receipts as a host signed them: how an execution ended.

use crate::document::{DocumentError, EMBEDDED_BYTES_MAX, Signed, by_host, content};
use crate::jws::Verified;
use crate::plan::CHECKS_MAX;
use crate::warrant::VerifiedWarrant;
use countersign_domain::jws::RECEIPT_TYP;
use countersign_domain::plan::TRANSITIONS_MAX;
use countersign_domain::receipt::{Ending, Receipt};
use countersign_domain::{DeploymentId, Roster};

/// Notes in one receipt at most.
pub const NOTES_MAX: usize = 20;
/// One note at most, in bytes.
pub const NOTE_BYTES_MAX: usize = 300;

impl Signed for Receipt {
    const KIND: &'static str = "receipt";
    const TYP: &'static str = RECEIPT_TYP;
    const BYTES_MAX: usize = EMBEDDED_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.host.as_str()
    }
}

/// Verifies a receipt that a host of the roster signed in its own name, its bounds, and that its
/// ending and its times agree.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(jws: &str, roster: &Roster) -> Result<Verified<Receipt>, DocumentError> {
    let receipt: Verified<Receipt> = by_host(jws, roster)?;
    check(&receipt).map_err(content::<Receipt>)?;
    Ok(receipt)
}

/// True when the receipt settles this very warrant, on its host and for its change.
#[must_use]
pub fn settles(receipt: &Receipt, warrant: &VerifiedWarrant) -> bool {
    receipt.warrant == *warrant.digest()
        && receipt.host == warrant.aud
        && receipt.change == warrant.txn
}

fn check(receipt: &Receipt) -> Result<(), String> {
    if receipt.v != 1 {
        return Err(format!(
            "`v`: version {} is not known; expected 1",
            receipt.v
        ));
    }
    if receipt.in_place.len() > TRANSITIONS_MAX {
        return Err(format!("`in_place`: more than {TRANSITIONS_MAX}"));
    }
    if receipt.health.len() > CHECKS_MAX {
        return Err(format!("`health`: more than {CHECKS_MAX}"));
    }
    let long = receipt.notes.iter().any(|note| note.len() > NOTE_BYTES_MAX);
    if long || receipt.notes.len() > NOTES_MAX {
        return Err(format!(
            "`notes`: at most {NOTES_MAX} of at most {NOTE_BYTES_MAX} bytes"
        ));
    }
    match (receipt.ending, receipt.started_at) {
        (Ending::NeverStarted, None) | (Ending::Unknown, _) => {}
        (Ending::NeverStarted, Some(_)) => {
            return Err("`started_at`: set, although it was never started".into());
        }
        (Ending::Succeeded | Ending::Failed | Ending::RolledBack, Some(_)) => {}
        (Ending::Succeeded | Ending::Failed | Ending::RolledBack, None) => {
            return Err("`started_at`: missing, although it was started".into());
        }
    }
    if receipt.started_at.is_some_and(|at| at > receipt.ended_at) {
        return Err("`ended_at`: before `started_at`".into());
    }
    Ok(())
}
