//! Proposals as an agent signed them. Everything in one but the signature is a claim.

use crate::document::{DocumentError, Signed, by_agent, content};
use crate::jws::Verified;
use countersign_domain::jws::PROPOSAL_TYP;
use countersign_domain::proposal::PROPOSAL_BYTES_MAX;
use countersign_domain::{DeploymentId, Proposal, Roster};

impl Signed for Proposal {
    const KIND: &'static str = "proposal";
    const TYP: &'static str = PROPOSAL_TYP;
    const BYTES_MAX: usize = PROPOSAL_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.agent.as_str()
    }
}

/// Verifies a proposal that an agent of the roster signed in its own name, and its bounds. Its
/// [`Verified::digest`] is what changes and plans are bound to.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(jws: &str, roster: &Roster) -> Result<Verified<Proposal>, DocumentError> {
    let proposal: Verified<Proposal> = by_agent(jws, roster)?;
    proposal
        .check()
        .map_err(|problem| content::<Proposal>(problem.to_string()))?;
    Ok(proposal)
}
