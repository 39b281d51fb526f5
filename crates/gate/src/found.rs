//! Founds a deployment: the genesis of its roster is the first entry of the authorizations log.

use crate::error::GateError;
use crate::govern::keep_texts;
use crate::state::{self, RosterRecord};
use crate::{Frame, Gate};
use countersign_domain::entry::{Entry, Event};
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::text::SaltedText;
use countersign_domain::{Digest, RosterChange, Timestamp, canonical};

impl Gate {
    /// Founds the deployment. The genesis digest, which every enrolment pins.
    ///
    /// # Errors
    /// When it is founded already, the genesis is not signed under its own threshold, or names
    /// another warrant key than this gate's.
    pub async fn found(
        &self,
        signed: SignedRosterChange,
        texts: Vec<SaltedText>,
        now: Timestamp,
    ) -> Result<Digest, GateError> {
        let change: RosterChange = canonical::from_bytes(signed.change.as_bytes())?;
        let genesis = canonical::digest(&change)?;
        let roster = countersign_verify::roster::found(&genesis, &signed)
            .map_err(|error| GateError::Unproven(error.to_string()))?;
        if roster.gate.warrant != hex_key(&self.warrant_key) {
            return Err(GateError::Conflict(
                "the genesis names another warrant key than this gate's".into(),
            ));
        }
        let frame = Frame {
            deployment: roster.deployment.clone(),
            trial: roster.trial,
            at: now,
        };
        self.store
            .submit(move |tx| {
                if state::load::<RosterRecord>(tx, "current")?.is_some() {
                    return Err(GateError::Conflict(
                        "this deployment has been founded already".into(),
                    ));
                }
                keep_texts(tx, &texts)?;
                let entry = Entry {
                    v: 1,
                    deployment: frame.deployment.clone(),
                    trial: frame.trial,
                    at: frame.at,
                    event: Event::Roster { signed },
                };
                crate::fold::append(tx, &entry)?;
                Ok(genesis)
            })
            .await
    }
}

/// A public key as the roster has it: 64 hex digits.
#[must_use]
pub fn hex_key(key: &ed25519_dalek::SigningKey) -> String {
    use std::fmt::Write as _;
    key.verifying_key()
        .as_bytes()
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}
