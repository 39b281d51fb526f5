//! The quorum over cosignatures: the log itself, and distinct witnesses that are named.

use countersign_ledger::{
    KeyName, LogSigner, PolicyError, QuorumError, QuorumPolicy, SignatureError, SignedCheckpoint,
    Tree, VolatileHeads, WitnessSigner,
};

use ed25519_dalek::{Signer as _, SigningKey};

use crate::fixture::{log, origin, signed, tree};
use crate::witnesses::{NOW, request, witness};

fn cosigned(tree: &Tree, witnesses: &[u8]) -> SignedCheckpoint {
    let mut checkpoint = signed(tree);
    for number in witnesses {
        let witness = witness(*number);
        let line = witness
            .update(&mut VolatileHeads::default(), &request(tree, 0), NOW)
            .unwrap();
        let added = checkpoint
            .add_cosignatures(&line, &[witness.key().clone()])
            .unwrap();
        assert_eq!(added, 1);
    }
    checkpoint
}

fn policy(witnesses: &[u8], threshold: usize) -> QuorumPolicy {
    let keys = witnesses
        .iter()
        .map(|n| witness(*n).key().clone())
        .collect();
    QuorumPolicy::new(vec![log().verifier_key().clone()], keys, threshold).unwrap()
}

#[test]
fn a_quorum_counts_distinct_witnesses_of_the_policy() {
    let tree = tree(20);
    let two = cosigned(&tree, &[1, 2]);
    for (witnesses, threshold, met) in [
        (&[][..], 0, true),
        (&[1, 2, 3][..], 0, true),
        (&[1, 2, 3][..], 2, true),
        (&[1, 2, 3][..], 3, false),
        (&[1, 3][..], 1, true),
        (&[1, 3][..], 2, false),
        (&[3, 4][..], 1, false),
    ] {
        let checked = policy(witnesses, threshold).check(&two);
        assert_eq!(checked.is_ok(), met, "{witnesses:?} {threshold}");
        if let Ok(quorum) = checked {
            assert_eq!(quorum.checkpoint.size(), 20);
            assert!(
                quorum
                    .cosignatures
                    .iter()
                    .all(|c| c.time_unix_seconds == NOW)
            );
        }
    }
    // One witness's line three times over, and at two times, is one witness.
    let one = cosigned(&tree, &[1]).to_string();
    let line = one.lines().last().unwrap().to_owned();
    let later = witness(1)
        .update(&mut VolatileHeads::default(), &request(&tree, 0), NOW + 1)
        .unwrap();
    let repeated = SignedCheckpoint::parse(&format!("{one}{line}\n{later}{line}\n")).unwrap();
    assert_eq!(
        policy(&[1, 2], 2).check(&repeated),
        Err(QuorumError::TooFew {
            found: 1,
            needed: 2
        })
    );
}

#[test]
fn witnesses_do_not_replace_the_log() {
    let tree = tree(20);
    let text = cosigned(&tree, &[1, 2]).to_string();
    let without_log: String = text
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("— example.org/authorizations "))
        .collect();
    let unsigned = SignedCheckpoint::parse(&without_log).unwrap();
    assert_eq!(
        policy(&[1, 2], 2).check(&unsigned),
        Err(QuorumError::Signature(SignatureError::Unsigned(
            log().origin().clone()
        )))
    );
    let other = LogSigner::from_seed(origin("example.org/other"), &[5; 32]).unwrap();
    let other = QuorumPolicy::log_only(vec![other.verifier_key().clone()]).unwrap();
    assert!(matches!(
        other.check(&cosigned(&tree, &[1])),
        Err(QuorumError::OtherLog { .. })
    ));
}

#[test]
fn policies_that_do_not_mean_what_they_say_are_refused() {
    let log_key = log().verifier_key().clone();
    let other = LogSigner::from_seed(origin("example.org/other"), &[5; 32]).unwrap();
    let key = |name: &str, seed: u8| {
        let signer = WitnessSigner::from_seed(KeyName::new(name).unwrap(), &[seed; 32]).unwrap();
        signer.witness_key().clone()
    };
    let refused = |log_keys, witnesses, threshold| {
        QuorumPolicy::new(log_keys, witnesses, threshold).unwrap_err()
    };
    assert_eq!(refused(vec![], vec![], 0), PolicyError::NoLogKey);
    assert!(matches!(
        refused(
            vec![log_key.clone(), other.verifier_key().clone()],
            vec![],
            0
        ),
        PolicyError::MixedOrigins(..)
    ));
    assert!(matches!(
        refused(vec![log_key.clone()], vec![key("a", 1 + 9)], 2),
        PolicyError::Unreachable {
            threshold: 2,
            witnesses: 1
        }
    ));
    for twice in [
        vec![key("a", 10), key("a", 11)],
        vec![key("a", 10), key("b", 10)],
        // The log's own seed: it would witness itself.
        vec![key("a", 1)],
    ] {
        assert!(matches!(
            refused(vec![log_key.clone()], twice, 1),
            PolicyError::Duplicate(_)
        ));
    }
}

#[test]
fn responses_are_taken_over_only_where_known_and_valid() {
    let tree = tree(20);
    let line = |number: u8, time| {
        witness(number)
            .update(&mut VolatileHeads::default(), &request(&tree, 0), time)
            .unwrap()
    };
    let known = [witness(1).key().clone()];
    let mut checkpoint = signed(&tree);
    // Unknown keys are dropped, later lines of one key replace earlier ones.
    let response = format!("{}{}", line(2, NOW), line(1, NOW));
    assert_eq!(checkpoint.add_cosignatures(&response, &known), Ok(1));
    assert!(!checkpoint.as_str().contains("witness2"));
    assert_eq!(
        checkpoint.add_cosignatures(&line(1, NOW + 5), &known),
        Ok(1)
    );
    assert_eq!(checkpoint.as_str().matches("witness1").count(), 1);
    let policy = policy(&[1], 1);
    let quorum = policy.check(&checkpoint).unwrap();
    assert_eq!(quorum.cosignatures[0].time_unix_seconds, NOW + 5);

    // Another tree's cosignature, garbage, and attempts to smuggle a body in change nothing.
    let before = checkpoint.clone();
    let other = cosigned(&crate::fixture::tree(21), &[1]).to_string();
    let foreign = format!("{}\n", other.lines().last().unwrap());
    assert_eq!(
        checkpoint.add_cosignatures(&foreign, &known),
        Err(SignatureError::Invalid("witness1.example".to_owned()))
    );
    for garbage in [
        "",
        "\n",
        "x\n",
        "— a b\n",
        "extension\n\n— a AAAAAAAA\n",
        &other,
    ] {
        assert_eq!(
            checkpoint.add_cosignatures(garbage, &known),
            Err(SignatureError::MalformedLine)
        );
    }
    assert_eq!(checkpoint, before);
}

#[test]
fn every_changed_byte_of_a_needed_cosignature_is_noticed() {
    let checkpoint = cosigned(&tree(20), &[1]).to_string();
    let policy = policy(&[1], 1);
    assert!(
        policy
            .check(&SignedCheckpoint::parse(&checkpoint).unwrap())
            .is_ok()
    );
    for position in 0..checkpoint.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255_u8] {
            let mut altered = checkpoint.clone().into_bytes();
            altered[position] ^= mask;
            let met = String::from_utf8(altered)
                .ok()
                .and_then(|text| SignedCheckpoint::parse(&text).ok())
                .is_some_and(|signed| policy.check(&signed).is_ok());
            assert!(!met, "byte {position} xor {mask:#04x} passed");
        }
    }
}

/// Times above 2^63 - 1 are not valid, however well they are signed.
#[test]
fn a_cosignature_out_of_time_does_not_count() {
    let tree = tree(20);
    let secret = SigningKey::from_bytes(&[101; 32]);
    let key = witness(1).key().clone();
    assert_eq!(key.public_bytes(), *secret.verifying_key().as_bytes());
    for (time, valid) in [(1 << 63, false), (u64::MAX, false), ((1 << 63) - 1, true)] {
        let body = signed(&tree).claimed().body();
        let message = format!("cosignature/v1\ntime {time}\n{body}");
        let id = signed_note::key_id(
            "witness1.example",
            &[&[4][..], &key.public_bytes()].concat(),
        );
        let signature = [
            &time.to_be_bytes()[..],
            &secret.sign(message.as_bytes()).to_bytes(),
        ]
        .concat();
        let line = signed_note::Signature::new("witness1.example".to_owned(), id, signature);
        let line = String::from_utf8(line.unwrap().to_bytes()).unwrap();
        let checkpoint = SignedCheckpoint::parse(&format!("{}{line}", signed(&tree))).unwrap();
        assert_eq!(
            policy(&[1], 1).check(&checkpoint).is_ok(),
            valid,
            "time {time}"
        );
    }
}
