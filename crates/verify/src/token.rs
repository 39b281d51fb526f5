//! The credential with which an agent or a host authenticates to the API: a short-lived JWS in its
//! own name. Says who is asking; not what they may do, and nothing about replay within its minutes.

use crate::SKEW_SECONDS_MAX;
use crate::jws::{self, JwsError, Verified};
use crate::key::{Ed25519Key, KeyError};
use countersign_domain::jws::{TOKEN_SECONDS_MAX, TOKEN_TYP, Token, take_apart};
use countersign_domain::text::shown;
use countersign_domain::{AgentId, DeploymentId, HostId, Roster, Timestamp};

/// A token at most, in bytes.
pub const TOKEN_BYTES_MAX: usize = 2 * 1024;

/// Why a token does not authenticate.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`TOKEN_BYTES_MAX`].
    #[error("token of {0} bytes is longer than {TOKEN_BYTES_MAX}; send only the compact JWS")]
    TooLong(usize),
    /// The signature, type or form.
    #[error("token: {0}")]
    Jws(#[from] JwsError),
    /// The key in the roster.
    #[error("token: {0}")]
    Key(#[from] KeyError),
    /// Nobody of that name and kind in the roster.
    #[error("token names `{0}`, which is not in the roster; enrol it, or correct the id")]
    Unknown(String),
    /// Its claims name somebody else than its header.
    #[error("token claims to be from `{iss}`, but is signed by `{kid}`; set `iss` to the signer")]
    Issuer {
        /// In the claims.
        iss: String,
        /// In the header.
        kid: String,
    },
    /// Meant for another deployment.
    #[error("token is for `{0}`, not for this deployment; set `aud` to this deployment's id")]
    Audience(DeploymentId),
    /// Longer-lived than allowed, or ends before it begins.
    #[error("token lives `{0}` s; make `exp` 1 to {TOKEN_SECONDS_MAX} s later than `iat`")]
    Lifetime(i64),
    /// From the future.
    #[error("token was issued {0} s in the future; set the clock")]
    Future(i64),
    /// Too late.
    #[error("token expired {0} s ago; make a new one")]
    Expired(i64),
}

/// Verifies a token of `issuer`, whose key is `key`.
///
/// `skew_seconds` is how far the issuer's clock may be off, at most [`SKEW_SECONDS_MAX`].
///
/// # Errors
/// [`TokenError`] names the first thing that does not hold.
pub fn verify(
    jws: &str,
    issuer: &str,
    key: &Ed25519Key,
    deployment: &DeploymentId,
    now: Timestamp,
    skew_seconds: i64,
) -> Result<Verified<Token>, TokenError> {
    check_length(jws)?;
    let token: Verified<Token> = jws::verify(jws, TOKEN_TYP, issuer, key)?;
    if token.iss != issuer {
        return Err(TokenError::Issuer {
            iss: shown(&token.iss, 100),
            kid: shown(issuer, 100),
        });
    }
    if token.aud != *deployment {
        return Err(TokenError::Audience(token.aud.clone()));
    }
    let lifetime = token.exp.saturating_sub(token.iat);
    if !(1..=TOKEN_SECONDS_MAX).contains(&lifetime) {
        return Err(TokenError::Lifetime(lifetime));
    }
    let skew = skew_seconds.clamp(0, SKEW_SECONDS_MAX);
    let now = now.unix_seconds();
    let early = token.iat.saturating_sub(now);
    if early > skew {
        return Err(TokenError::Future(early));
    }
    let late = now.saturating_sub(token.exp);
    if late >= skew {
        return Err(TokenError::Expired(late));
    }
    Ok(token)
}

/// The agent of the roster that this token authenticates.
///
/// # Errors
/// [`TokenError`].
pub fn agent(
    jws: &str,
    roster: &Roster,
    now: Timestamp,
    skew_seconds: i64,
) -> Result<AgentId, TokenError> {
    let kid = named_key(jws)?;
    let unknown = || TokenError::Unknown(shown(&kid, 100));
    let id = AgentId::new(kid.as_str()).map_err(|_| unknown())?;
    let key = roster.agents.get(&id).ok_or_else(unknown)?;
    let key = key.public_key.parse()?;
    verify(jws, &kid, &key, &roster.deployment, now, skew_seconds)?;
    Ok(id)
}

/// The host of the roster that this token authenticates.
///
/// # Errors
/// [`TokenError`].
pub fn host(
    jws: &str,
    roster: &Roster,
    now: Timestamp,
    skew_seconds: i64,
) -> Result<HostId, TokenError> {
    let kid = named_key(jws)?;
    let unknown = || TokenError::Unknown(shown(&kid, 100));
    let id = HostId::new(kid.as_str()).map_err(|_| unknown())?;
    let key = roster.hosts.get(&id).ok_or_else(unknown)?.parse()?;
    verify(jws, &kid, &key, &roster.deployment, now, skew_seconds)?;
    Ok(id)
}

fn check_length(jws: &str) -> Result<(), TokenError> {
    if jws.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong(jws.len()));
    }
    Ok(())
}

/// Whose key the header names: not verified, only to look the key up.
fn named_key(jws: &str) -> Result<String, TokenError> {
    check_length(jws)?;
    Ok(take_apart(jws).map_err(JwsError::Form)?.header.kid)
}
