//! Ed25519 public keys of agents, hosts and the gate. Verification only; nothing here can sign.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// An Ed25519 public key that is a safe point: not one of small order, under which anybody can
/// make signatures that verify.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519Key(VerifyingKey);

/// Why a text or bytes are no usable key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not 64 lower-case hex digits.
    #[error("`{0}` is not an Ed25519 public key; expected 64 lower-case hex digits")]
    Form(String),
    /// Not a point of the curve, or one of small order.
    #[error("the Ed25519 public key is not a safe point of the curve; generate another")]
    Weak,
}

impl Ed25519Key {
    /// A key from its 32 bytes (RFC 8032).
    ///
    /// # Errors
    /// [`KeyError::Weak`] when they are not a point, or one of small order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Weak)?;
        if key.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(key))
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// True when `signature` over `message` was made with this key. Strict: exactly one encoding
    /// of a signature passes, and none under keys or commitments of small order.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0
            .verify_strict(message, &Signature::from_bytes(signature))
            .is_ok()
    }

    /// The JWK thumbprint (RFC 7638, RFC 8037): base64url of a SHA-256. For people to compare.
    #[must_use]
    pub fn thumbprint(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.as_bytes());
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
        URL_SAFE_NO_PAD.encode(Sha256::digest(jwk))
    }
}

impl FromStr for Ed25519Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let wrong = || KeyError::Form(countersign_domain::text::shown(text, 80));
        if text.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0_u8; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| wrong())?;
        Self::from_bytes(&bytes)
    }
}

impl fmt::Display for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key and thumbprint of RFC 8037, appendix A.
    const RFC_8037: &str = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";

    #[test]
    fn a_key_reads_back_and_has_the_thumbprint_of_the_rfc() {
        let key: Ed25519Key = RFC_8037.parse().unwrap();
        assert_eq!(key.to_string(), RFC_8037);
        assert_eq!(
            key.thumbprint(),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn malformed_and_small_order_keys_are_refused() {
        for wrong in ["", "d75a", &RFC_8037.to_uppercase(), &"zz".repeat(32)] {
            assert!(
                matches!(wrong.parse::<Ed25519Key>(), Err(KeyError::Form(_))),
                "{wrong}"
            );
        }
        // The neutral element, the point of order two, and two of order eight.
        for weak in [
            format!("01{}", "00".repeat(31)),
            format!("ec{}7f", "ff".repeat(30)),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".into(),
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".into(),
        ] {
            assert_eq!(weak.parse::<Ed25519Key>(), Err(KeyError::Weak), "{weak}");
        }
    }
}
