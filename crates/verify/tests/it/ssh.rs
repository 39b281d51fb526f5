//! Human statements: keys of every kind, a signature by the real `ssh-keygen`, and the attacks.

use crate::roster::next;
use crate::support::{
    add_person, deployment, now, openssh, person, refused, roster, sign_change, sign_statement,
    sign_text, ssh_fingerprint, ssh_key, state, statement,
};
use countersign_domain::roster::Operation;
use countersign_domain::statement::{HaltScope, SSH_NAMESPACE, Subject};
use countersign_domain::{DeploymentId, SignedStatement, Statement, canonical};
use countersign_verify::roster::{VerifiedRoster, extend};
use countersign_verify::ssh::{SshKeyError, StatementError, fingerprint, verify_statement};
use countersign_verify::{Presence, VerifiedStatement};
use proptest::prelude::*;
use rand::SeedableRng as _;
use ssh_key::private::EcdsaKeypair;
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{EcdsaCurve, HashAlg, LineEnding, Mpint, PrivateKey};

const FIXTURE_KEY: &str = include_str!("../fixtures/ssh_keygen_ed25519.pub");
const FIXTURE_STATEMENT: &str = include_str!("../fixtures/ssh_keygen_ed25519_statement.json");
const FIXTURE_SIGNATURE: &str = include_str!("../fixtures/ssh_keygen_ed25519_statement.sig");
const FIXTURE_OTHER_NAMESPACE: &str =
    include_str!("../fixtures/ssh_keygen_ed25519_other_namespace.sig");
const FIXTURE_RSA_KEY: &str = include_str!("../fixtures/ssh_keygen_rsa.pub");
const FIXTURE_RSA_STATEMENT: &str = include_str!("../fixtures/ssh_keygen_rsa_statement.json");
const FIXTURE_RSA_SIGNATURE: &str = include_str!("../fixtures/ssh_keygen_rsa_statement.sig");

fn stop() -> Subject {
    Subject::Halt {
        halt: HaltScope::Everything,
    }
}

/// The roster with `dana` added at version 2, whose key this is.
pub fn with_key(public_key: &str) -> VerifiedRoster {
    let before = roster();
    let mut operations = add_person("dana").to_vec();
    operations[1] = Operation::AddKey {
        person: person("dana"),
        fingerprint: fingerprint(public_key).unwrap(),
        public_key: public_key.to_owned(),
    };
    extend(
        &before,
        &sign_change(&next(&before, operations), 1, &["maria", "chen"]),
    )
    .unwrap()
}

pub fn danas(public_key: &str) -> Statement {
    Statement {
        credential: fingerprint(public_key).unwrap(),
        ..statement("dana", 2, stop())
    }
}

fn check(signed: &SignedStatement) -> Result<VerifiedStatement, StatementError> {
    verify_statement(signed, &roster(), Some(now()))
}

/// A statement of maria's, changed before it is signed.
fn check_edited(edit: impl FnOnce(&mut Statement)) -> Result<VerifiedStatement, StatementError> {
    let mut statement = statement("maria", 1, stop());
    edit(&mut statement);
    check(&sign_statement(&ssh_key("maria"), &statement))
}

#[test]
fn a_signature_by_ssh_keygen_is_accepted() {
    let roster = with_key(FIXTURE_KEY);
    let signed = SignedStatement {
        statement: FIXTURE_STATEMENT.into(),
        signature: FIXTURE_SIGNATURE.into(),
    };
    let verified = verify_statement(&signed, &roster, Some(now())).unwrap();
    assert_eq!(verified.approver, person("dana"));
    assert_eq!(verified.presence(), Presence::Unproven);
    assert_eq!(*verified.digest(), signed.digest());
    let other = SignedStatement {
        signature: FIXTURE_OTHER_NAMESPACE.into(),
        ..signed
    };
    refused!(
        verify_statement(&other, &roster, Some(now())),
        StatementError::Namespace(name) if name == "file"
    );
}

#[test]
fn an_rsa_signature_by_ssh_keygen_is_accepted_and_binds_the_statement() {
    // By the real program, because the library signs wrongly with RSA.
    let roster = with_key(FIXTURE_RSA_KEY);
    let mut signed = SignedStatement {
        statement: FIXTURE_RSA_STATEMENT.into(),
        signature: FIXTURE_RSA_SIGNATURE.into(),
    };
    assert!(verify_statement(&signed, &roster, Some(now())).is_ok());
    signed.statement = signed.statement.replace("aabbcc", "aabbcd");
    refused!(
        verify_statement(&signed, &roster, Some(now())),
        StatementError::Invalid
    );
}

#[test]
fn ed25519_and_ecdsa_keys_sign() {
    let mut rng = rand::rngs::StdRng::seed_from_u64(7);
    let keys: [PrivateKey; 3] = [
        ssh_key("dana"),
        EcdsaKeypair::random(&mut rng, EcdsaCurve::NistP256)
            .unwrap()
            .into(),
        EcdsaKeypair::random(&mut rng, EcdsaCurve::NistP384)
            .unwrap()
            .into(),
    ];
    for key in keys {
        let public_key = openssh(&key);
        let roster = with_key(&public_key);
        let text = canonical::to_text(&danas(&public_key)).unwrap();
        for hash in [HashAlg::Sha256, HashAlg::Sha512] {
            let signature = key.sign(SSH_NAMESPACE, hash, text.as_bytes()).unwrap();
            let mut signed = SignedStatement {
                statement: text.clone(),
                signature: signature.to_pem(LineEnding::LF).unwrap(),
            };
            let verified = verify_statement(&signed, &roster, Some(now()));
            assert!(verified.is_ok(), "{} {hash}: {verified:?}", key.algorithm());
            signed.statement = text.replace("everything", "everythinG");
            assert!(verify_statement(&signed, &roster, Some(now())).is_err());
        }
    }
}

#[test]
fn weak_and_outdated_keys_get_no_fingerprint() {
    for (bytes, safe) in [
        (128, false),
        (255, false),
        (256, true),
        (512, true),
        (513, false),
    ] {
        let rsa = ssh_key::PublicKey::from(KeyData::Rsa(RsaPublicKey {
            e: Mpint::from_positive_bytes(&[1, 0, 1]).unwrap(),
            n: Mpint::from_positive_bytes(&vec![0xff; bytes]).unwrap(),
        }));
        let found = fingerprint(rsa.to_openssh().unwrap().trim_end());
        assert_eq!(found.is_ok(), safe, "{bytes}: {found:?}");
    }
    let zero =
        ssh_key::PublicKey::from(KeyData::Ed25519(ssh_key::public::Ed25519PublicKey([0; 32])));
    refused!(
        fingerprint(zero.to_openssh().unwrap().trim_end()),
        SshKeyError::Weak
    );
    let nist_p521 = "ecdsa-sha2-nistp521 AAAAE2VjZHNhLXNoYTItbmlzdHA1MjEAAAAIbmlzdHA1MjEAAACFBA==";
    assert!(fingerprint(nist_p521).is_err());
    assert_eq!(
        fingerprint(&openssh(&ssh_key("maria"))).unwrap(),
        ssh_fingerprint(&ssh_key("maria"))
    );
}

#[test]
fn a_statement_signed_with_anothers_key_does_not_count() {
    // Maria's statement, Mallory's signature.
    let signed = sign_statement(&ssh_key("mallory"), &statement("maria", 1, stop()));
    refused!(check(&signed), StatementError::OtherKey { .. });
    // In maria's name with chen's key, which is in the roster.
    let mut named = statement("chen", 1, stop());
    named.approver = person("maria");
    refused!(
        check(&sign_statement(&ssh_key("chen"), &named)),
        StatementError::OthersKey { .. }
    );
    // With a key that the roster does not have.
    let mut named = statement("mallory", 1, stop());
    named.approver = person("maria");
    refused!(
        check(&sign_statement(&ssh_key("mallory"), &named)),
        StatementError::UnknownKey(_)
    );
    refused!(
        check(&state("mallory", 1, stop())),
        StatementError::NotAMember(_)
    );
}

#[test]
fn another_deployment_version_or_form_is_refused() {
    refused!(
        check_edited(|s| s.deployment = DeploymentId::new("example.org/other").unwrap()),
        StatementError::Deployment { .. }
    );
    refused!(check_edited(|s| s.v = 2), StatementError::FormVersion(2));
    for version in [0, 2] {
        refused!(
            check_edited(|s| s.roster_version = version),
            StatementError::RosterVersion { .. }
        );
    }
    assert_eq!(roster().deployment, deployment());
}

#[test]
fn a_key_counts_only_from_the_version_that_brought_it_and_until_it_is_revoked() {
    let public_key = openssh(&ssh_key("dana"));
    let roster = with_key(&public_key);
    assert!(verify_statement(&state("dana", 2, stop()), &roster, Some(now())).is_ok());
    refused!(
        verify_statement(&state("dana", 1, stop()), &roster, Some(now())),
        StatementError::UnknownKey(_)
    );
    let revoke = Operation::RevokeKey {
        fingerprint: ssh_fingerprint(&ssh_key("dana")),
    };
    let change = next(&roster, vec![revoke]);
    let after = extend(&roster, &sign_change(&change, 2, &["maria", "chen"])).unwrap();
    for version in [2, 3] {
        refused!(
            verify_statement(&state("dana", version, stop()), &after, Some(now())),
            StatementError::UnknownKey(_)
        );
    }
    // As evidence of what held then, it is judged by the roster of then.
    assert!(verify_statement(&state("dana", 2, stop()), &roster, None).is_ok());
}

#[test]
fn times_are_held_to() {
    assert!(check_edited(|s| s.signed_at = now().plus_seconds(300)).is_ok());
    refused!(
        check_edited(|s| s.signed_at = now().plus_seconds(301)),
        StatementError::Future(301)
    );
    assert!(check_edited(|s| s.not_after = now()).is_ok());
    refused!(
        check_edited(|s| s.not_after = now().plus_seconds(-1)),
        StatementError::Expired(_)
    );
    refused!(
        check_edited(|s| s.not_after = s.signed_at),
        StatementError::Lifetime(0)
    );
    refused!(
        check_edited(|s| s.not_after = s.signed_at.plus_seconds(30 * 86_400 + 1)),
        StatementError::Lifetime(_)
    );
    let old = Statement {
        signed_at: now().plus_seconds(-90_000),
        not_after: now().plus_seconds(-80_000),
        ..statement("maria", 1, stop())
    };
    let old = sign_statement(&ssh_key("maria"), &old);
    refused!(check(&old), StatementError::Expired(_));
    assert!(verify_statement(&old, &roster(), None).is_ok());
}

#[test]
fn statements_that_are_signed_but_not_canonical_are_refused() {
    let text = canonical::to_text(&statement("maria", 1, stop())).unwrap();
    for wrong in [
        format!("{text}\n"),
        text.replace(':', ": "),
        text.replacen('{', r#"{"approver":"chen","#, 1),
        format!("{text}{}", " ".repeat(20_000)),
    ] {
        refused!(
            check(&sign_text(&ssh_key("maria"), wrong)),
            StatementError::Form(_)
        );
    }
}

#[test]
fn signatures_that_are_no_armored_sshsig_are_refused() {
    let good = state("maria", 1, stop());
    for wrong in [
        String::new(),
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----\n".into(),
        good.signature.replace("SSH SIGNATURE", "PGP SIGNATURE"),
        format!("{}x", good.signature),
        format!("x{}", good.signature),
        format!("{}{}", good.signature, good.signature),
        "A".repeat(9000),
    ] {
        let signed = SignedStatement {
            signature: wrong,
            ..good.clone()
        };
        refused!(check(&signed), StatementError::Signature(_));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_statement_with_one_byte_flipped_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..7) {
        let mut signed = state("maria", 1, stop());
        let mut bytes = signed.statement.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        signed.statement = String::from_utf8(bytes).unwrap();
        prop_assert!(check(&signed).is_err());
    }

    #[test]
    fn a_signature_with_one_digit_changed_is_refused(at in any::<prop::sample::Index>(), digit in "[A-Za-z0-9+/]") {
        let mut signed = state("maria", 1, stop());
        let start = signed.signature.find('\n').unwrap() + 1;
        let end = signed.signature.rfind("\n-----END").unwrap();
        let at = start + at.index(end - start);
        prop_assume!(!matches!(&signed.signature[at..=at], "\n" | "=") && signed.signature[at..=at] != digit);
        signed.signature.replace_range(at..=at, &digit);
        prop_assert!(check(&signed).is_err());
    }
}
