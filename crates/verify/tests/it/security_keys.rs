//! Security keys (`sk-`): a touch must have happened, and the signature must say so.

use crate::ssh::{danas, with_key};
use crate::support::{now, refused};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_domain::statement::SSH_NAMESPACE;
use countersign_domain::{SignedStatement, Statement, canonical};
use countersign_verify::Presence;
use countersign_verify::ssh::{StatementError, verify_statement};
use ed25519_dalek::Signer as _;
use rand::SeedableRng as _;
use sha2::{Digest as _, Sha256};
use ssh_key::private::EcdsaKeypair;
use ssh_key::public::{KeyData, SkEcdsaSha2NistP256, SkEd25519};
use ssh_key::{Algorithm, EcdsaCurve, HashAlg, LineEnding, Signature, SshSig};

/// A security key's public key, and its signature with these flags over a statement.
fn security_key(flags: u8, statement_of: impl Fn(&str) -> Statement) -> (String, SignedStatement) {
    let key = crate::support::key("security key");
    let point = ssh_key::public::Ed25519PublicKey(*key.verifying_key().as_bytes());
    let public = KeyData::SkEd25519(SkEd25519::new(point, "ssh:"));
    let openssh = ssh_key::PublicKey::from(public.clone())
        .to_openssh()
        .unwrap();
    let openssh = openssh.trim_end().to_owned();
    let text = canonical::to_text(&statement_of(&openssh)).unwrap();
    let message = SshSig::signed_data(SSH_NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
    let trailer = [&[flags][..], &9_u32.to_be_bytes()].concat();
    let hashed = [
        &Sha256::digest("ssh:")[..],
        &trailer,
        &Sha256::digest(message),
    ]
    .concat();
    let signature = [&key.sign(&hashed).to_bytes()[..], &trailer].concat();
    let signature = Signature::new(Algorithm::SkEd25519, signature).unwrap();
    let signature = SshSig::new(public, SSH_NAMESPACE, HashAlg::Sha512, signature).unwrap();
    let signed = SignedStatement {
        statement: text,
        signature: signature.to_pem(LineEnding::LF).unwrap(),
    };
    (openssh, signed)
}

#[test]
fn a_security_key_that_nobody_touched_is_refused() {
    for (flags, expected) in [
        (0x01, Some(Presence::Touched)),
        (0x05, Some(Presence::Verified)),
        (0x00, None),
        (0x04, None),
    ] {
        let (public_key, signed) = security_key(flags, danas);
        let result = verify_statement(&signed, &with_key(&public_key), Some(now()));
        match expected {
            Some(presence) => assert_eq!(result.unwrap().presence(), presence, "{flags}"),
            None => refused!(result, StatementError::NoTouch(_)),
        }
    }
}

fn field(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [&length[..], bytes].concat()
}

#[test]
fn the_touch_of_an_ecdsa_security_key_is_read_as_well() {
    // Written byte by byte, as the library cannot write this kind.
    let mut rng = rand::rngs::StdRng::seed_from_u64(9);
    let pair = EcdsaKeypair::random(&mut rng, EcdsaCurve::NistP256).unwrap();
    let EcdsaKeypair::NistP256 { public, .. } = &pair else {
        panic!("asked for P-256");
    };
    let key = KeyData::SkEcdsaSha2NistP256(SkEcdsaSha2NistP256::new(*public, "ssh:"));
    let key = ssh_key::PublicKey::from(key);
    let openssh = key.to_openssh().unwrap().trim_end().to_owned();
    let text = canonical::to_text(&danas(&openssh)).unwrap();
    let message = SshSig::signed_data(SSH_NAMESPACE, HashAlg::Sha512, text.as_bytes()).unwrap();
    for (flags, expected) in [
        (1, Some(Presence::Touched)),
        (5, Some(Presence::Verified)),
        (0, None),
    ] {
        let trailer = [&[flags][..], &9_u32.to_be_bytes()].concat();
        let hashed = [
            &Sha256::digest("ssh:")[..],
            &trailer,
            &Sha256::digest(&message),
        ]
        .concat();
        let inner: Signature = pair.sign(&hashed);
        let signature = [
            field(b"sk-ecdsa-sha2-nistp256@openssh.com"),
            field(inner.as_bytes()),
            trailer,
        ]
        .concat();
        let blob = [
            b"SSHSIG\0\0\0\x01".to_vec(),
            field(&key.to_bytes().unwrap()),
            field(SSH_NAMESPACE.as_bytes()),
            field(b""),
            field(b"sha512"),
            field(&signature),
        ]
        .concat();
        let lines: Vec<String> = STANDARD
            .encode(blob)
            .as_bytes()
            .chunks(70)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        let signed = SignedStatement {
            statement: text.clone(),
            signature: format!(
                "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
                lines.join("\n")
            ),
        };
        let result = verify_statement(&signed, &with_key(&openssh), Some(now()));
        match expected {
            Some(presence) => assert_eq!(result.unwrap().presence(), presence, "{flags}"),
            None => refused!(result, StatementError::NoTouch(_)),
        }
    }
}

#[test]
fn flags_cannot_be_changed_after_the_touch() {
    let (public_key, mut signed) = security_key(0x00, danas);
    let (_, touched) = security_key(0x01, |_| danas(&public_key));
    let pem = |signed: &SignedStatement| SshSig::from_pem(&signed.signature).unwrap();
    let mut bytes = pem(&signed).signature_bytes().to_vec();
    assert_eq!(pem(&touched).signature_bytes()[64], 1);
    bytes[64] = 1;
    let forged = Signature::new(Algorithm::SkEd25519, bytes).unwrap();
    let forged = SshSig::new(
        pem(&signed).public_key().clone(),
        SSH_NAMESPACE,
        HashAlg::Sha512,
        forged,
    );
    signed.signature = forged.unwrap().to_pem(LineEnding::LF).unwrap();
    refused!(
        verify_statement(&signed, &with_key(&public_key), Some(now())),
        StatementError::Invalid
    );
}
