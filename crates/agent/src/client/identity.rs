//! Who the agent is: its id, its deployment and its key, and what it signs with it. Keys are not
//! made or stored here.

use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::jws::{TOKEN_SECONDS_MAX, TOKEN_TYP, Token, assemble, signing_input};
use countersign_domain::{AgentId, DeploymentId, Timestamp};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;

/// An agent with its key.
pub struct AgentIdentity {
    /// Its id in the roster.
    pub id: AgentId,
    /// The deployment that it works for.
    pub deployment: DeploymentId,
    /// Its own key.
    pub key: SigningKey,
}

impl std::fmt::Debug for AgentIdentity {
    /// Leaves the key out: it is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentIdentity")
            .field("id", &self.id)
            .field("deployment", &self.deployment)
            .finish_non_exhaustive()
    }
}

impl AgentIdentity {
    /// The compact JWS over the canonical bytes of `document`, in this agent's name.
    ///
    /// # Errors
    /// When the document has no canonical form.
    pub fn sign<T: Serialize>(&self, typ: &str, document: &T) -> Result<String, CanonicalError> {
        let payload = canonical::to_bytes(document)?;
        let input = signing_input(typ, self.id.as_str(), &payload);
        let signature = self.key.sign(input.as_bytes());
        Ok(assemble(&input, &signature.to_bytes()))
    }

    /// A token for the API, valid from `now` for [`TOKEN_SECONDS_MAX`].
    ///
    /// # Errors
    /// When it has no canonical form.
    pub fn token(&self, now: Timestamp) -> Result<String, CanonicalError> {
        let issued = now.unix_seconds();
        self.sign(
            TOKEN_TYP,
            &Token {
                iss: self.id.to_string(),
                aud: self.deployment.clone(),
                iat: issued,
                exp: issued.saturating_add(TOKEN_SECONDS_MAX),
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::jws::take_apart;
    use ed25519_dalek::{Signature, Verifier as _};

    fn identity() -> AgentIdentity {
        AgentIdentity {
            id: AgentId::new("patcher").unwrap(),
            deployment: DeploymentId::new("localhost/trial-1").unwrap(),
            key: SigningKey::from_bytes(&[7; 32]),
        }
    }

    #[test]
    fn a_token_is_signed_and_short_lived() {
        let jws = identity()
            .token(Timestamp::from_unix_seconds(1_000))
            .unwrap();
        let parts = take_apart(&jws).unwrap();
        assert_eq!(
            (parts.header.typ.as_str(), parts.header.kid.as_str()),
            (TOKEN_TYP, "patcher")
        );
        let token: Token = canonical::from_bytes(&parts.payload).unwrap();
        assert_eq!(
            (token.iss.as_str(), token.iat, token.exp),
            ("patcher", 1_000, 1_300)
        );
        let signature = Signature::from_bytes(&parts.signature);
        let key = identity().key.verifying_key();
        assert!(
            key.verify(parts.signing_input.as_bytes(), &signature)
                .is_ok()
        );
    }

    #[test]
    fn the_key_is_never_printed() {
        let printed = format!("{:?}", identity());
        assert!(
            printed.contains("patcher") && !printed.contains("key"),
            "{printed}"
        );
    }
}
