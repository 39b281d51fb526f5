//! Compact JWS (RFC 7515) as text: what is signed, how it is put together and taken apart. No
//! cryptography here: whoever holds a key signs [`signing_input`]; `verify` checks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The only algorithm: Ed25519, by the name that JOSE libraries know (RFC 8037).
pub const ALG: &str = "EdDSA";
/// The longest compact JWS that is looked at, in bytes: a signed observation, in base64.
pub const JWS_BYTES_MAX: usize = 6 * 1024 * 1024;

/// `typ` of a signed proposal.
pub const PROPOSAL_TYP: &str = "proposal+jws";
/// `typ` of a signed plan.
pub const PLAN_TYP: &str = "plan+jws";
/// `typ` of a signed observation.
pub const OBSERVATION_TYP: &str = "observation+jws";
/// `typ` of a signed report of package transitions.
pub const PACKAGE_REPORT_TYP: &str = "package-report+jws";
/// `typ` of a start notice.
pub const STARTED_TYP: &str = "started+jws";
/// `typ` of a receipt.
pub const RECEIPT_TYP: &str = "receipt+jws";
/// `typ` of a lease.
pub const LEASE_TYP: &str = "lease+jws";
/// `typ` of the token with which an agent or a host authenticates to the API (RFC 7523 style).
pub const TOKEN_TYP: &str = "token+jwt";

/// The protected header, canonical and closed: nothing else may stand in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`ALG`].
    pub alg: String,
    /// Whose key: an agent's or host's id, or `gate`.
    pub kid: String,
    /// What the payload is.
    pub typ: String,
}

/// The claims with which an agent or a host authenticates to the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Who: an agent's or a host's id.
    pub iss: String,
    /// The deployment.
    pub aud: crate::DeploymentId,
    /// Issued at, Unix seconds.
    pub iat: i64,
    /// Expires, Unix seconds; at most [`TOKEN_SECONDS_MAX`] after `iat`.
    pub exp: i64,
}

/// The longest life of a token, in seconds.
pub const TOKEN_SECONDS_MAX: i64 = 300;

/// The bytes to sign for `payload` (canonical bytes) under this `typ` and `kid`.
#[must_use]
pub fn signing_input(typ: &str, kid: &str, payload: &[u8]) -> String {
    let header = serde_json::json!({"alg": ALG, "kid": kid, "typ": typ}).to_string();
    format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(payload)
    )
}

/// The compact JWS of a signing input and its signature.
#[must_use]
pub fn assemble(signing_input: &str, signature: &[u8; 64]) -> String {
    format!("{signing_input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A compact JWS, taken apart but not verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<'a> {
    /// The protected header.
    pub header: Header,
    /// The payload's bytes.
    pub payload: Vec<u8>,
    /// The bytes that were signed.
    pub signing_input: &'a str,
    /// The signature.
    pub signature: [u8; 64],
}

/// The text is not a compact JWS of our profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Too long to look at.
    #[error("JWS of {0} bytes is longer than {JWS_BYTES_MAX}")]
    TooLong(usize),
    /// Not three base64url parts, or a signature that is not 64 bytes.
    #[error(
        "not a compact JWS: expected three base64url parts without padding and a 64-byte signature"
    )]
    Form,
    /// The header is not exactly `alg`, `kid` and `typ`.
    #[error("JWS header must be exactly `alg`, `kid` and `typ`")]
    Header,
}

/// Takes a compact JWS apart. Says nothing about whether it is genuine.
///
/// # Errors
/// When it is not of our profile.
pub fn take_apart(jws: &str) -> Result<Unverified<'_>, JwsError> {
    if jws.len() > JWS_BYTES_MAX {
        return Err(JwsError::TooLong(jws.len()));
    }
    let (signing_input, signature) = jws.rsplit_once('.').ok_or(JwsError::Form)?;
    let (header, payload) = signing_input.split_once('.').ok_or(JwsError::Form)?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwsError::Form);
    let header = serde_json::from_slice(&decode(header)?).map_err(|_| JwsError::Header)?;
    Ok(Unverified {
        header,
        payload: decode(payload)?,
        signing_input,
        signature: decode(signature)?.try_into().map_err(|_| JwsError::Form)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jws_comes_apart_as_it_was_put_together() {
        let input = signing_input(PLAN_TYP, "web-1", b"{}");
        let jws = assemble(&input, &[7; 64]);
        let parts = take_apart(&jws).unwrap();
        assert_eq!(parts.header.typ, PLAN_TYP);
        assert_eq!(parts.payload, b"{}");
        assert_eq!(parts.signing_input, input);
        for wrong in ["", "a.b", "..", "a.b.c.d", &jws[..jws.len() - 2]] {
            assert!(take_apart(wrong).is_err(), "{wrong}");
        }
    }
}
