//! Checkpoints, cosignatures and proofs as text: who must have signed, and what is refused.

use crate::support::{Log, NoteSigner, refused};
use countersign_domain::Digest;
use countersign_verify::LogKeys;
use countersign_verify::log::{
    LogError, LogKey, LogKeysError, VkeyError, WitnessKey, verify_checkpoint, verify_proof,
};
use proptest::prelude::*;

const ORIGIN: &str = "example.org/test/authorizations";

struct Signers {
    log: NoteSigner,
    one: NoteSigner,
    two: NoteSigner,
}

fn signers() -> Signers {
    Signers {
        log: NoteSigner::log(ORIGIN),
        one: NoteSigner::witness("witness.example/one"),
        two: NoteSigner::witness("witness.example/two"),
    }
}

fn keys(quorum: u32) -> LogKeys {
    let Signers { log, one, two } = signers();
    let witness = |signer: NoteSigner| WitnessKey::parse(&signer.vkey()).unwrap();
    let log = LogKey::parse(&log.vkey()).unwrap();
    LogKeys::new(log, vec![witness(one), witness(two)], quorum).unwrap()
}

fn log() -> Log {
    Log((0..9).map(|n| format!("entry {n}").into_bytes()).collect())
}

#[test]
fn a_checkpoint_needs_the_logs_own_signature_and_the_quorum() {
    let Signers { log: own, one, two } = signers();
    let log = log();
    let check = |signers: &[&NoteSigner], quorum| {
        verify_checkpoint(&log.note(ORIGIN, 9, signers), &keys(quorum))
    };
    assert_eq!(check(&[&own], 0).unwrap(), log.checkpoint(ORIGIN, 9));
    assert!(check(&[&own, &one], 1).is_ok());
    assert!(check(&[&two, &own, &one], 2).is_ok());
    refused!(
        check(&[&own], 1),
        LogError::Quorum {
            needed: 1,
            found: 0
        }
    );
    refused!(check(&[&one, &two], 2), LogError::Unsigned(_));
    refused!(check(&[&one, &two], 0), LogError::Unsigned(_));
}

#[test]
fn a_witness_that_signs_twice_counts_once() {
    let Signers { log: own, one, .. } = signers();
    let note = log().note(ORIGIN, 9, &[&own, &one, &one]);
    refused!(
        verify_checkpoint(&note, &keys(2)),
        LogError::Quorum {
            needed: 2,
            found: 1
        }
    );
}

#[test]
fn unknown_signers_count_for_nothing_and_do_no_harm() {
    let Signers { log: own, one, .. } = signers();
    let strangers = [
        NoteSigner::witness("witness.example/three"),
        // The name of a witness, but the key of the log's kind: another key id, hence unknown.
        NoteSigner::log("witness.example/two"),
    ];
    let [three, two_as_log] = &strangers;
    let note = log().note(ORIGIN, 9, &[&own, &one, three, two_as_log]);
    assert!(verify_checkpoint(&note, &keys(1)).is_ok());
    refused!(
        verify_checkpoint(&note, &keys(2)),
        LogError::Quorum { found: 1, .. }
    );
}

#[test]
fn a_line_in_the_name_of_a_known_key_that_does_not_verify_spoils_the_note() {
    let Signers { log: own, one, .. } = signers();
    let log = log();
    let body = log.body(ORIGIN, 9);
    let other = log.body(ORIGIN, 8);
    for note in [
        format!("{body}\n{}{}", own.line(&body), one.line(&other)),
        format!("{body}\n{}", own.line(&other)),
        format!("{body}\n{}{}", own.line(&body), own.line(&other)),
    ] {
        refused!(verify_checkpoint(&note, &keys(0)), LogError::Signature(_));
    }
}

#[test]
fn the_recommendations_log_does_not_pass_for_the_authorizations_log() {
    let own = NoteSigner::log("example.org/test/recommendations");
    let note = log().note("example.org/test/recommendations", 9, &[&own]);
    refused!(verify_checkpoint(&note, &keys(0)), LogError::Origin { .. });
    // Nor when the right key signs a checkpoint of the other origin.
    let note = log().note("example.org/test/recommendations", 9, &[&signers().log]);
    refused!(verify_checkpoint(&note, &keys(0)), LogError::Origin { .. });
}

#[test]
fn checkpoints_that_are_not_canonical_are_refused() {
    let own = signers().log;
    let body = log().body(ORIGIN, 9);
    let root = body.lines().nth(2).unwrap();
    for wrong in [
        format!("{ORIGIN}\n09\n{root}\n"),
        format!("{ORIGIN}\n+9\n{root}\n"),
        format!("{ORIGIN}\n-9\n{root}\n"),
        format!("{ORIGIN}\n\n{root}\n"),
        format!("{ORIGIN}\n9\n{}\n", &root[..40]),
        format!("{ORIGIN}\n9\n{root} \n"),
        format!("{ORIGIN}\r\n9\r\n{root}\r\n"),
        format!("{ORIGIN}\n0\n{root}\n"),
        format!("{ORIGIN}\n99999999999999999999999\n{root}\n"),
        format!("{ORIGIN}\n9\n"),
        format!("{ORIGIN} \n9\n{root}\n"),
    ] {
        let note = format!("{wrong}\n{}", own.line(&wrong));
        assert!(verify_checkpoint(&note, &keys(0)).is_err(), "{wrong:?}");
    }
    // Extension lines are signed, and ignored.
    let extended = format!("{body}extension\n");
    let note = format!("{extended}\n{}", own.line(&extended));
    assert_eq!(verify_checkpoint(&note, &keys(0)).unwrap().size, 9);
    let endless = format!("{body}{}", "x\n".repeat(17));
    let note = format!("{endless}\n{}", own.line(&endless));
    refused!(verify_checkpoint(&note, &keys(0)), LogError::TooLong(_));
}

#[test]
fn oversized_notes_and_endless_signatures_are_refused() {
    let own = signers().log;
    let body = log().body(ORIGIN, 9);
    let note = format!("{body}\n{}", own.line(&body).repeat(65));
    refused!(verify_checkpoint(&note, &keys(0)), LogError::TooLong(_));
    refused!(
        verify_checkpoint(&"x".repeat(200_000), &keys(0)),
        LogError::TooLong(_)
    );
}

#[test]
fn an_entry_is_proven_only_as_itself() {
    let Signers { log: own, one, .. } = signers();
    let log = log();
    for index in 0..9 {
        let proof = log.proof(ORIGIN, index, 9, &[&own, &one]);
        let proven = verify_proof(&log.0[index], &proof, &keys(1)).unwrap();
        assert_eq!(proven.index, index as u64);
        assert_eq!(proven.checkpoint, log.checkpoint(ORIGIN, 9));
        assert_eq!(proven.witnesses, ["witness.example/one"]);
        refused!(
            verify_proof(b"forged", &proof, &keys(1)),
            LogError::Merkle(_)
        );
        refused!(
            verify_proof(&log.0[(index + 1) % 9], &proof, &keys(1)),
            LogError::Merkle(_)
        );
    }
    // An inner node's preimage is no entry, thanks to the prefixes.
    let node = [
        log.root_at(8).as_bytes().as_slice(),
        log.root_at(1).as_bytes(),
    ]
    .concat();
    assert!(verify_proof(&node, &log.proof(ORIGIN, 0, 9, &[&own, &one]), &keys(1)).is_err());
}

#[test]
fn extra_data_in_a_proof_is_held_to_its_form_and_dropped() {
    let own = signers().log;
    let log = log();
    let proof = log.proof(ORIGIN, 3, 9, &[&own]);
    let with = |extra: &str| proof.replacen("index", &format!("extra {extra}\nindex"), 1);
    assert!(verify_proof(&log.0[3], &with("AAAA"), &keys(0)).is_ok());
    for wrong in ["", "A", "AAA=AAA=", "!!!!", "AAAA\nextra AAAA"] {
        refused!(
            verify_proof(&log.0[3], &with(wrong), &keys(0)),
            LogError::Malformed(_)
        );
    }
    refused!(
        verify_proof(&log.0[3], &with(&"AAAA".repeat(9000)), &keys(0)),
        LogError::TooLong(_)
    );
}

#[test]
fn verifier_keys_are_read_only_whole_and_only_for_their_use() {
    let Signers { log, one, .. } = signers();
    assert_eq!(LogKey::parse(&log.vkey()).unwrap().name(), ORIGIN);
    refused!(WitnessKey::parse(&log.vkey()), VkeyError::Type { .. });
    refused!(LogKey::parse(&one.vkey()), VkeyError::Type { .. });
    let renamed = log.vkey().replacen("test", "tost", 1);
    refused!(LogKey::parse(&renamed), VkeyError::Id(_));
    refused!(LogKey::parse(&log.vkey().to_uppercase()), _);
    for wrong in [
        "",
        "a",
        "a+b",
        "a+00000000+",
        "+00000000+AQ==",
        &"x".repeat(600),
    ] {
        assert!(LogKey::parse(wrong).is_err(), "{wrong}");
    }
    // The example of C2SP signed-note, and of Go's note package.
    let peter = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    assert_eq!(LogKey::parse(peter).unwrap().name(), "PeterNeumann");
}

#[test]
fn two_names_for_one_key_do_not_make_two_witnesses() {
    let Signers { log, one, two } = signers();
    let log_key = || LogKey::parse(&log.vkey()).unwrap();
    let witness = |signer: &NoteSigner| WitnessKey::parse(&signer.vkey()).unwrap();
    let disguised = |of: &NoteSigner| NoteSigner {
        name: "witness.example/three".into(),
        kind: 4,
        key: of.key.clone(),
    };
    refused!(
        LogKeys::new(log_key(), vec![witness(&one), witness(&disguised(&one))], 2),
        LogKeysError::Shared(_)
    );
    refused!(
        LogKeys::new(log_key(), vec![witness(&disguised(&log))], 1),
        LogKeysError::Shared(_)
    );
    refused!(
        LogKeys::new(log_key(), vec![witness(&one), witness(&two)], 3),
        LogKeysError::Quorum {
            quorum: 3,
            witnesses: 2
        }
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_proof_with_one_byte_flipped_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let Signers { log: own, one, two } = signers();
        let log = log();
        let good = log.proof(ORIGIN, 4, 9, &[&own, &one, &two]).into_bytes();
        let mut bytes = good.clone();
        bytes[at.index(good.len())] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            // Every line counts with this quorum; a changed name or key id makes a witness unknown.
            prop_assert!(verify_proof(&log.0[4], &text, &keys(2)).is_err());
        }
    }

    #[test]
    fn a_checkpoint_with_one_byte_flipped_is_refused(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let Signers { log: own, .. } = signers();
        let good = log().note(ORIGIN, 9, &[&own]).into_bytes();
        let mut bytes = good.clone();
        bytes[at.index(good.len())] ^= 1 << bit;
        if let Ok(text) = String::from_utf8(bytes) {
            prop_assert!(verify_checkpoint(&text, &keys(0)).is_err());
        }
    }
}

#[test]
fn the_empty_log_has_one_root() {
    let own = signers().log;
    let note = Log::default().note(ORIGIN, 0, &[&own]);
    let checkpoint = verify_checkpoint(&note, &keys(0)).unwrap();
    assert_eq!((checkpoint.size, checkpoint.root), (0, Digest::of(b"")));
}
