//! Human statements signed with SSH keys (SSHSIG, as `ssh-keygen -Y sign` makes them), checked
//! against the roster. Says who stated what; whether it suffices is counted by the caller.

mod framing;

use crate::SKEW_SECONDS_MAX;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::roster::PUBLIC_KEY_BYTES_MAX;
use countersign_domain::statement::{SSH_NAMESPACE, STATEMENT_BYTES_MAX, STATEMENT_SECONDS_MAX};
use countersign_domain::text::shown;
use countersign_domain::{
    DeploymentId, Digest, PersonId, Roster, SignedStatement, Statement, Timestamp,
};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, PublicKey, SshSig};
use std::ops::Deref;

/// An armored signature at most, in bytes: RSA with 4096 bits takes about 1.7 KiB.
pub const SIGNATURE_BYTES_MAX: usize = 8 * 1024;
/// RSA keys are taken from this size, in bits …
const RSA_BITS_MIN: usize = 2048;
/// … to this.
const RSA_BITS_MAX: usize = 4096;
/// Flags, and counter, behind the signature of a security key.
const SECURITY_KEY_TRAILER_BYTES: usize = 5;

/// What a signature shows about a human at the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Presence {
    /// Nothing: the key is a file, and whoever reads the file can sign.
    Unproven,
    /// Somebody touched the security key.
    Touched,
    /// The security key verified its owner (PIN or fingerprint).
    Verified,
}

/// Why a public key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyError {
    /// Not one OpenSSH public key without a comment.
    #[error("`{0}` is not an OpenSSH public key without comment, such as `ssh-ed25519 AAAA…`")]
    Form(String),
    /// An algorithm that is not accepted.
    #[error(
        "SSH key of type `{0}` is not accepted; use ed25519, ecdsa (P-256, P-384), rsa, or their sk- forms"
    )]
    Algorithm(String),
    /// Too small, too large, or of small order.
    #[error("SSH key is not safe; use ed25519, or RSA with {RSA_BITS_MIN} to {RSA_BITS_MAX} bits")]
    Weak,
}

/// Why a statement does not count.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Too long, or not the canonical bytes of a statement of version 1.
    #[error("statement is malformed: {0}")]
    Form(#[from] CanonicalError),
    /// A form of statement from the future.
    #[error("statement has form `{0}`, expected 1; update this program")]
    FormVersion(u8),
    /// About another deployment.
    #[error("statement is about `{found}`, expected `{expected}`; sign it for this deployment")]
    Deployment {
        /// The roster's.
        expected: DeploymentId,
        /// The statement's.
        found: DeploymentId,
    },
    /// From a roster version that is not known here.
    #[error(
        "statement looked at roster version {found}, only 1 to {known} are known; fetch roster changes first"
    )]
    RosterVersion {
        /// The statement's.
        found: u64,
        /// The roster's.
        known: u64,
    },
    /// The person is not, or no longer, in the roster.
    #[error("`{0}` is not in the roster; statements of others do not count")]
    NotAMember(PersonId),
    /// The key is not one that counts.
    #[error(
        "key `{0}` is not in the roster at the statement's version, or was revoked; sign with a current key"
    )]
    UnknownKey(String),
    /// The key belongs to somebody else.
    #[error("key `{credential}` is not `{approver}`'s; sign with the approver's own key")]
    OthersKey {
        /// The fingerprint.
        credential: String,
        /// Who is said to state it.
        approver: PersonId,
    },
    /// The key that the roster holds.
    #[error("roster key: {0}")]
    Key(#[from] SshKeyError),
    /// No SSHSIG, or one with members that are not ours.
    #[error("SSH signature is malformed ({0}); sign with `ssh-keygen -Y sign`")]
    Signature(&'static str),
    /// Made for another purpose.
    #[error("SSH signature has namespace `{0}`, expected `{SSH_NAMESPACE}`")]
    Namespace(String),
    /// Made with another key than the statement names.
    #[error("SSH signature was made with key `{found}`, the statement names `{expected}`")]
    OtherKey {
        /// The statement's.
        expected: String,
        /// The signature's.
        found: String,
    },
    /// Altered.
    #[error("SSH signature does not verify; the statement was altered after it was signed")]
    Invalid,
    /// A security key that nobody touched.
    #[error("security key `{0}` signed without a touch; sign again without `no-touch-required`")]
    NoTouch(String),
    /// Ends before it begins, or is usable for too long.
    #[error("statement is usable for `{0}` s; 1 to {STATEMENT_SECONDS_MAX} are accepted")]
    Lifetime(i64),
    /// Signed in the future.
    #[error("statement was signed {0} s in the future; set the clock and sign again")]
    Future(i64),
    /// Too late.
    #[error("statement could be used until `{0}`; sign a new one")]
    Expired(Timestamp),
}

/// A statement that a named human of the roster signed. Only [`verify_statement`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedStatement {
    statement: Statement,
    digest: Digest,
    presence: Presence,
}

impl VerifiedStatement {
    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The digest of its canonical bytes: what a vote is counted by.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What the signature shows about a human at the key.
    #[must_use]
    pub const fn presence(&self) -> Presence {
        self.presence
    }
}

impl Deref for VerifiedStatement {
    type Target = Statement;

    fn deref(&self) -> &Statement {
        &self.statement
    }
}

/// The SHA-256 fingerprint (`SHA256:…`, as `ssh-keygen -l` shows it) of an OpenSSH public key that
/// may be in a roster: without a comment, in its one written form, of an accepted type and size.
///
/// # Errors
/// [`SshKeyError`].
pub fn fingerprint(public_key_openssh: &str) -> Result<String, SshKeyError> {
    Ok(fingerprint_of(read_key(public_key_openssh)?.key_data()))
}

/// Verifies a statement against a roster.
///
/// With `now`, the statement has to be usable at that time (an approval that is being handed in or
/// acted on). Without, it is evidence about the past: `roster` is the roster at that time, and
/// times are only held against each other.
///
/// # Errors
/// [`StatementError`] names the first thing that does not hold.
pub fn verify_statement(
    signed: &SignedStatement,
    roster: &Roster,
    now: Option<Timestamp>,
) -> Result<VerifiedStatement, StatementError> {
    let statement = read_statement(signed, roster)?;
    let key = roster_key(&statement, roster)?;
    let presence = check_signature(signed, &statement.credential, &key)?;
    check_times(&statement, now)?;
    Ok(VerifiedStatement {
        digest: signed.digest(),
        statement,
        presence,
    })
}

fn read_statement(signed: &SignedStatement, roster: &Roster) -> Result<Statement, StatementError> {
    if signed.statement.len() > STATEMENT_BYTES_MAX {
        return Err(CanonicalError::NotCanonical.into());
    }
    let statement = signed.unverified()?;
    if statement.v != 1 {
        return Err(StatementError::FormVersion(statement.v));
    }
    if statement.deployment != roster.deployment {
        return Err(StatementError::Deployment {
            expected: roster.deployment.clone(),
            found: statement.deployment,
        });
    }
    if !(1..=roster.version).contains(&statement.roster_version) {
        return Err(StatementError::RosterVersion {
            found: statement.roster_version,
            known: roster.version,
        });
    }
    Ok(statement)
}

/// The key that the statement names: one that counted at its version, is unrevoked, and belongs to
/// the person who is said to state it.
fn roster_key(statement: &Statement, roster: &Roster) -> Result<PublicKey, StatementError> {
    if !roster.is_member(&statement.approver) {
        return Err(StatementError::NotAMember(statement.approver.clone()));
    }
    let unknown = || StatementError::UnknownKey(shown(&statement.credential, 100));
    let entry = roster
        .key_at(&statement.credential, statement.roster_version)
        .ok_or_else(unknown)?;
    if entry.person != statement.approver {
        return Err(StatementError::OthersKey {
            credential: shown(&statement.credential, 100),
            approver: statement.approver.clone(),
        });
    }
    let key = read_key(&entry.public_key)?;
    if fingerprint_of(key.key_data()) == statement.credential {
        Ok(key)
    } else {
        Err(unknown())
    }
}

/// Verifies the SSHSIG with the roster's key, never with the one that the signature brings along.
fn check_signature(
    signed: &SignedStatement,
    credential: &str,
    key: &PublicKey,
) -> Result<Presence, StatementError> {
    if signed.signature.len() > SIGNATURE_BYTES_MAX {
        return Err(StatementError::Signature("too long"));
    }
    let signature = SshSig::from_pem(signed.signature.trim_ascii_end())
        .map_err(|_| StatementError::Signature("not the armored form"))?;
    if signature.version() != SshSig::VERSION || !signature.reserved().is_empty() {
        return Err(StatementError::Signature("version or reserved member"));
    }
    if signature.namespace() != SSH_NAMESPACE {
        return Err(StatementError::Namespace(shown(signature.namespace(), 80)));
    }
    if signature.public_key() != key.key_data() {
        return Err(StatementError::OtherKey {
            expected: shown(credential, 100),
            found: fingerprint_of(signature.public_key()),
        });
    }
    // The library takes wrong lengths around the parts; what was read must be all there was.
    if framing::is_exact(&signed.signature, key) != Some(true) {
        return Err(StatementError::Signature("lengths of its parts"));
    }
    match signature.hash_alg() {
        HashAlg::Sha256 | HashAlg::Sha512 => {}
        _ => return Err(StatementError::Signature("hash algorithm")),
    }
    let same_kind = match (signature.algorithm(), key.algorithm()) {
        // The hash is part of an RSA signature's algorithm, and SHA-1 has no name here.
        (Algorithm::Rsa { hash: Some(_) }, Algorithm::Rsa { .. }) => true,
        (of_signature, of_key) => of_signature == of_key,
    };
    if !same_kind {
        return Err(StatementError::Signature("algorithm"));
    }
    key.verify(SSH_NAMESPACE, signed.statement.as_bytes(), &signature)
        .map_err(|_| StatementError::Invalid)?;
    presence(&signature, key).ok_or_else(|| StatementError::NoTouch(shown(credential, 100)))
}

/// What the flags of a security key say; `None` when nobody touched it. Neither the library nor
/// `ssh-keygen -Y verify` looks at them.
fn presence(signature: &SshSig, key: &PublicKey) -> Option<Presence> {
    const TOUCHED: u8 = 0x01;
    const VERIFIED: u8 = 0x04;
    match key.key_data() {
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            let bytes = signature.signature_bytes();
            let at = bytes.len().checked_sub(SECURITY_KEY_TRAILER_BYTES)?;
            let flags = *bytes.get(at)?;
            match (flags & TOUCHED != 0, flags & VERIFIED != 0) {
                (true, true) => Some(Presence::Verified),
                (true, false) => Some(Presence::Touched),
                (false, _) => None,
            }
        }
        _ => Some(Presence::Unproven),
    }
}

fn check_times(statement: &Statement, now: Option<Timestamp>) -> Result<(), StatementError> {
    let usable = statement.not_after.seconds_since(statement.signed_at);
    if !(1..=STATEMENT_SECONDS_MAX).contains(&usable) {
        return Err(StatementError::Lifetime(usable));
    }
    let Some(now) = now else {
        return Ok(());
    };
    let early = statement.signed_at.seconds_since(now);
    if early > SKEW_SECONDS_MAX {
        return Err(StatementError::Future(early));
    }
    if now > statement.not_after {
        return Err(StatementError::Expired(statement.not_after));
    }
    Ok(())
}

fn read_key(openssh: &str) -> Result<PublicKey, SshKeyError> {
    let form = || SshKeyError::Form(shown(openssh, 60));
    if openssh.len() > PUBLIC_KEY_BYTES_MAX {
        return Err(form());
    }
    let key = PublicKey::from_openssh(openssh).map_err(|_| form())?;
    // INVARIANT: one text for one key, so that a roster cannot hold a key twice.
    if !key.comment().is_empty() || key.to_openssh().ok().as_deref() != Some(openssh) {
        return Err(form());
    }
    check_strength(&key)?;
    Ok(key)
}

fn check_strength(key: &PublicKey) -> Result<(), SshKeyError> {
    let ed25519 = |bytes: &[u8; 32]| {
        crate::Ed25519Key::from_bytes(bytes)
            .map(|_| ())
            .map_err(|_| SshKeyError::Weak)
    };
    match key.key_data() {
        KeyData::Ed25519(key) => ed25519(&key.0),
        KeyData::SkEd25519(key) => ed25519(&key.public_key().0),
        KeyData::Rsa(key) => {
            let bits = key.n.as_positive_bytes().map_or(0, |n| {
                let leading = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
                n.len() * 8 - leading
            });
            if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
                Ok(())
            } else {
                Err(SshKeyError::Weak)
            }
        }
        KeyData::SkEcdsaSha2NistP256(_) => Ok(()),
        KeyData::Ecdsa(key)
            if matches!(key.curve(), EcdsaCurve::NistP256 | EcdsaCurve::NistP384) =>
        {
            Ok(())
        }
        other => Err(SshKeyError::Algorithm(shown(
            other.algorithm().as_str(),
            60,
        ))),
    }
}

fn fingerprint_of(key: &KeyData) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
