//! The witness's rules, its requests and its cosignatures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_ledger::{
    AddCheckpoint, AddCheckpointError, Checkpoint, Hash, HeadMoved, HeadStore, KeyName, LogSigner,
    Origin, ProofError, SignatureError, Tree, UpdateError, VolatileHeads, Witness, WitnessKey,
    WitnessSigner, WitnessedHead,
};
use ed25519_dalek::{Signature, VerifyingKey};
use proptest::prelude::*;

use crate::fixture::{log, origin, signed, tree};

pub const NOW: u64 = 1_790_000_000;

pub fn witness(number: u8) -> Witness {
    let name = KeyName::new(&format!("witness{number}.example")).unwrap();
    let signer = WitnessSigner::from_seed(name, &[100 + number; 32]).unwrap();
    Witness::new(signer, vec![log().verifier_key().clone()])
}

pub fn request(tree: &Tree, old_size: u64) -> AddCheckpoint {
    AddCheckpoint {
        old_size,
        proof: tree.consistency_proof(old_size, tree.size()).unwrap(),
        checkpoint: signed(tree),
    }
}

#[test]
fn a_cosignature_is_what_the_specification_says() {
    let tree = tree(9);
    let witness = witness(1);
    let line = witness
        .update(&mut VolatileHeads::default(), &request(&tree, 0), NOW)
        .unwrap();
    let encoded = line
        .strip_prefix("— witness1.example ")
        .and_then(|rest| rest.strip_suffix('\n'))
        .unwrap();
    let bytes = STANDARD.decode(encoded).unwrap();
    assert_eq!(bytes.len(), 4 + 8 + 64);
    let public = witness.key().public_bytes();
    let id = signed_note::key_id("witness1.example", &[&[4][..], &public].concat());
    assert_eq!(bytes[..4], id.to_be_bytes());
    assert_eq!(bytes[4..12], NOW.to_be_bytes());
    let message = format!(
        "cosignature/v1\ntime {NOW}\nexample.org/authorizations\n9\n{}\n",
        tree.root()
    );
    VerifyingKey::from_bytes(&public)
        .unwrap()
        .verify_strict(
            message.as_bytes(),
            &Signature::from_slice(&bytes[12..]).unwrap(),
        )
        .unwrap();
    let vkey = witness.key().to_string();
    assert_eq!(&WitnessKey::parse(&vkey).unwrap(), witness.key());
}

#[test]
fn a_witness_follows_a_log_as_it_grows() {
    let witness = witness(1);
    let mut heads = VolatileHeads::default();
    let mut last = 0;
    for size in [0, 1, 1, 2, 3, 8, 255, 256, 257, 700] {
        let tree = tree(size);
        let line = witness
            .update(&mut heads, &request(&tree, last), NOW)
            .unwrap();
        let mut checkpoint = signed(&tree);
        checkpoint
            .add_cosignatures(&line, &[witness.key().clone()])
            .unwrap();
        checkpoint.verify(&[log().verifier_key().clone()]).unwrap();
        assert_eq!(checkpoint.as_str().lines().last(), line.strip_suffix('\n'));
        let head = heads.head(log().origin()).unwrap();
        assert_eq!(
            head,
            Some(WitnessedHead {
                size,
                root: tree.root()
            })
        );
        last = size;
    }
}

/// Each rule, its error and its HTTP status; after a refusal the head is as it was.
#[test]
fn a_witness_refuses() {
    let witness = witness(1);
    let (ten, twenty) = (tree(10), tree(20));
    let mut forked = Tree::new();
    for index in 0..20_u64 {
        let other = countersign_ledger::leaf_hash(&index.to_be_bytes());
        forked.append(other).unwrap();
    }
    let stranger = LogSigner::from_seed(origin("example.org/stranger"), &[8; 32]).unwrap();
    let impostor = LogSigner::from_seed(log().origin().clone(), &[9; 32]).unwrap();
    let signed_by = |signer: &LogSigner, tree: &Tree| {
        let checkpoint =
            Checkpoint::new(signer.origin().clone(), tree.size(), tree.root()).unwrap();
        signer.sign(&checkpoint).unwrap()
    };
    let with = |checkpoint, old_size, proof| AddCheckpoint {
        old_size,
        proof,
        checkpoint,
    };
    let proof = twenty.consistency_proof(10, 20).unwrap();
    let mut wrong = proof.clone();
    wrong[0] = Hash::EMPTY_ROOT;
    let bad_proof = || UpdateError::BadProof(ProofError::Invalid);
    let cases = [
        (
            with(signed_by(&stranger, &twenty), 10, proof.clone()),
            UpdateError::UnknownLog(stranger.origin().clone()),
            404,
        ),
        (
            with(signed_by(&impostor, &twenty), 10, proof.clone()),
            UpdateError::Signature(SignatureError::Unsigned(log().origin().clone())),
            403,
        ),
        (
            with(signed(&ten), 11, vec![]),
            UpdateError::Backwards {
                old_size: 11,
                size: 10,
            },
            400,
        ),
        (
            with(signed(&twenty), 0, vec![]),
            UpdateError::Conflict { size: 10 },
            409,
        ),
        (
            with(signed(&twenty), 9, twenty.consistency_proof(9, 20).unwrap()),
            UpdateError::Conflict { size: 10 },
            409,
        ),
        (
            with(signed(&tree(5)), 5, vec![]),
            UpdateError::Conflict { size: 10 },
            409,
        ),
        (with(signed(&twenty), 10, wrong), bad_proof(), 422),
        (with(signed(&twenty), 10, vec![]), bad_proof(), 422),
        (
            with(
                signed(&forked),
                10,
                forked.consistency_proof(10, 20).unwrap(),
            ),
            bad_proof(),
            422,
        ),
        (with(signed(&ten), 10, proof.clone()), bad_proof(), 422),
        (
            with(
                signed_by(&log(), &{
                    let mut other = tree(9);
                    other.append(Hash::EMPTY_ROOT).unwrap();
                    other
                }),
                10,
                vec![],
            ),
            UpdateError::SplitView {
                origin: log().origin().clone(),
                size: 10,
                seen: ten.root(),
                shown: {
                    let mut other = tree(9);
                    other.append(Hash::EMPTY_ROOT).unwrap();
                    other.root()
                },
            },
            409,
        ),
    ];
    let mut heads = VolatileHeads::default();
    witness.update(&mut heads, &request(&ten, 0), NOW).unwrap();
    let before = heads.head(log().origin()).unwrap();
    for (request, error, status) in cases {
        assert_eq!(error.http_status(), status);
        assert_eq!(witness.update(&mut heads, &request, NOW), Err(error));
        assert_eq!(heads.head(log().origin()).unwrap(), before);
    }
    let far = witness.update(&mut heads, &request(&twenty, 10), u64::MAX);
    assert_eq!(far, Err(UpdateError::Time(u64::MAX)));
    assert_eq!(heads.head(log().origin()).unwrap(), before);
    witness
        .update(&mut heads, &request(&twenty, 10), NOW)
        .unwrap();
}

#[test]
fn a_first_request_must_start_at_zero() {
    let mut heads = VolatileHeads::default();
    let refused = witness(1).update(&mut heads, &request(&tree(10), 4), NOW);
    assert_eq!(refused, Err(UpdateError::Conflict { size: 0 }));
    let mut padded = request(&tree(10), 0);
    padded.proof.push(Hash::EMPTY_ROOT);
    let refused = witness(1).update(&mut heads, &padded, NOW);
    assert_eq!(refused, Err(UpdateError::BadProof(ProofError::Invalid)));
    assert_eq!(heads.head(log().origin()).unwrap(), None);
}

/// A store that cannot record, and one where another request came first.
#[test]
fn nothing_is_cosigned_that_is_not_recorded() {
    struct Full;
    impl HeadStore for Full {
        type Error = &'static str;
        fn head(&self, _: &Origin) -> Result<Option<WitnessedHead>, Self::Error> {
            Ok(None)
        }
        fn replace(
            &mut self,
            _: &Origin,
            _: Option<WitnessedHead>,
            _: WitnessedHead,
        ) -> Result<(), Self::Error> {
            Err("disk full")
        }
    }
    let refused = witness(1).update(&mut Full, &request(&tree(3), 0), NOW);
    assert_eq!(refused, Err(UpdateError::Store("disk full")));
    assert_eq!(UpdateError::Store("disk full").http_status(), 500);

    let mut heads = VolatileHeads::default();
    let head = |size| WitnessedHead {
        size,
        root: tree(size).root(),
    };
    heads.replace(log().origin(), None, head(3)).unwrap();
    assert_eq!(heads.replace(log().origin(), None, head(4)), Err(HeadMoved));
    assert_eq!(heads.head(log().origin()).unwrap(), Some(head(3)));
}

#[test]
fn requests_round_trip_and_others_are_refused() {
    for (size, old) in [(20, 0), (20, 10), (20, 20), (0, 0)] {
        let request = request(&tree(size), old);
        assert_eq!(AddCheckpoint::parse(&request.to_string()).unwrap(), request);
    }
    let body = request(&tree(20), 10).to_string();
    assert!(body.starts_with("old 10\n"));
    for altered in [
        body.replacen("old 10", "old 010", 1),
        body.replacen("old 10", "old +10", 1),
        body.replacen("old 10", "old -1", 1),
        body.replacen("old 10", "older 10", 1),
        body.replacen("old 10\n", "old 10\n\n", 1),
        body.replacen("\n\n", "\nAAAA\n\n", 1),
        body.replacen(
            "\n\n",
            &format!("{}\n\n", format!("\n{}", Hash::EMPTY_ROOT).repeat(64)),
            1,
        ),
        body.trim_end().to_owned(),
        format!("\n{body}"),
        String::new(),
    ] {
        assert!(AddCheckpoint::parse(&altered).is_err(), "{altered:?}");
    }
    let long = "x".repeat(AddCheckpoint::BODY_BYTES_MAX + 1);
    assert!(matches!(
        AddCheckpoint::parse(&long),
        Err(AddCheckpointError::TooLong(_))
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever sizes a log asks for in whatever order, the head never goes back and never forks.
    #[test]
    fn heads_only_grow(sizes in prop::collection::vec((0_u64..40, 0_u64..40), 1..12)) {
        let witness = witness(1);
        let mut heads = VolatileHeads::default();
        let mut last: Option<u64> = None;
        for (old, size) in sizes {
            let tree = tree(size.max(old));
            let accepted = witness.update(&mut heads, &request(&tree, old), NOW).is_ok();
            prop_assert_eq!(accepted, old == last.unwrap_or(0));
            if accepted {
                prop_assert!(tree.size() >= last.unwrap_or(0));
                last = Some(tree.size());
            }
            let head = heads.head(log().origin()).unwrap().map(|head| head.size);
            prop_assert_eq!(head, last);
        }
    }
}
