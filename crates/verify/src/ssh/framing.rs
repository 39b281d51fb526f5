//! The frame of an SSHSIG (OpenSSH's PROTOCOL.sshsig): every length is exact, and the key in it is
//! byte for byte the roster's. The library is lax there, which would make one signature many texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssh_key::PublicKey;

/// Magic, and version 1.
const PREAMBLE: &[u8] = b"SSHSIG\0\0\0\x01";
/// Flags and counter of a security key.
const TRAILER_BYTES: usize = 5;

/// True when the parts fill the armored signature exactly; `None` when it ends too early or is no
/// base64.
pub(super) fn is_exact(armored: &str, key: &PublicKey) -> Option<bool> {
    let body: String = armored
        .trim_ascii_end()
        .lines()
        .filter(|line| !line.starts_with("-----"))
        .collect();
    let blob = STANDARD.decode(body).ok()?;
    let mut rest = blob.strip_prefix(PREAMBLE)?;
    let public_key = part(&mut rest)?;
    let _namespace = part(&mut rest)?;
    let _reserved = part(&mut rest)?;
    let _hash = part(&mut rest)?;
    let mut signature = part(&mut rest)?;
    let _algorithm = part(&mut signature)?;
    let _bytes = part(&mut signature)?;
    let security_key = key.key_data().is_sk_ed25519() || key.key_data().is_sk_ecdsa_p256();
    let trailer = if security_key { TRAILER_BYTES } else { 0 };
    Some(rest.is_empty() && signature.len() == trailer && key.to_bytes().ok()? == public_key)
}

/// Takes one part off the front: a 32-bit length, and so many bytes.
fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (part, behind) = behind.split_at_checked(length)?;
    *rest = behind;
    Some(part)
}
