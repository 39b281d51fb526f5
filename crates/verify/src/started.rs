//! Start notices as a host signed them: intent is journalled, the effect begins.

use crate::document::{DocumentError, EMBEDDED_BYTES_MAX, Signed, by_host, content};
use crate::jws::Verified;
use crate::warrant::VerifiedWarrant;
use countersign_domain::jws::STARTED_TYP;
use countersign_domain::receipt::StartNotice;
use countersign_domain::{DeploymentId, Roster};

impl Signed for StartNotice {
    const KIND: &'static str = "start notice";
    const TYP: &'static str = STARTED_TYP;
    const BYTES_MAX: usize = EMBEDDED_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.host.as_str()
    }
}

/// Verifies a start notice that a host of the roster signed in its own name.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(jws: &str, roster: &Roster) -> Result<Verified<StartNotice>, DocumentError> {
    let notice: Verified<StartNotice> = by_host(jws, roster)?;
    if notice.v != 1 {
        let problem = format!("`v`: version {} is not known; expected 1", notice.v);
        return Err(content::<StartNotice>(problem));
    }
    Ok(notice)
}

/// True when the notice says that this very warrant's host starts to act on it.
#[must_use]
pub fn is_of(notice: &StartNotice, warrant: &VerifiedWarrant) -> bool {
    notice.warrant == *warrant.digest()
        && notice.host == warrant.aud
        && notice.change == warrant.txn
}
