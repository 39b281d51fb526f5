//! tlog-proofs: they round trip, verify offline, and fail when anything in them is changed.

use countersign_ledger::{
    EXTRA_BYTES_MAX, Hash, InclusionError, KeyName, QuorumPolicy, TlogProof, TlogProofError,
    VolatileHeads, Witness, WitnessSigner,
};
use proptest::prelude::*;

use crate::fixture::{entry, log, signed, tree};

fn policy() -> QuorumPolicy {
    QuorumPolicy::log_only(vec![log().verifier_key().clone()]).unwrap()
}

fn proof(size: u64, index: u64) -> TlogProof {
    let tree = tree(size);
    let hashes = tree.inclusion_proof(size, index).unwrap();
    TlogProof::new(index, hashes, signed(&tree)).unwrap()
}

#[test]
fn the_text_is_what_the_specification_says() {
    let tree = tree(3);
    let text = proof(3, 2).to_string();
    let sibling = countersign_ledger::leaf_hash(&entry(0));
    let sibling = {
        let mut pair = countersign_ledger::Tree::new();
        pair.append(sibling).unwrap();
        pair.append(countersign_ledger::leaf_hash(&entry(1)))
            .unwrap();
        pair.root()
    };
    let expected = format!(
        "c2sp.org/tlog-proof@v1\nindex 2\n{sibling}\n\n{}",
        signed(&tree)
    );
    assert_eq!(text, expected);
    let extra = proof(3, 2)
        .with_extra(b"salt".to_vec())
        .unwrap()
        .to_string();
    assert!(extra.starts_with("c2sp.org/tlog-proof@v1\nextra c2FsdA==\nindex 2\n"));
}

#[test]
fn a_single_entry_needs_no_hashes() {
    let proof = TlogProof::parse(&proof(1, 0).to_string()).unwrap();
    assert!(proof.hashes().is_empty());
    assert_eq!(proof.verify(&entry(0), &policy()).unwrap().leaf_index, 0);
}

#[test]
fn every_changed_byte_is_noticed() {
    let text = proof(20, 13).to_string();
    let policy = policy();
    let entry = entry(13);
    for position in 0..text.len() {
        for mask in [1, 2, 4, 8, 16, 32, 64, 128, 255_u8] {
            let mut altered = text.clone().into_bytes();
            altered[position] ^= mask;
            let believed = String::from_utf8(altered)
                .ok()
                .and_then(|text| TlogProof::parse(&text).ok())
                .is_some_and(|proof| proof.verify(&entry, &policy).is_ok());
            assert!(!believed, "byte {position} xor {mask:#04x} passed");
        }
    }
    for length in 0..text.len() {
        assert!(
            text.get(..length)
                .is_none_or(|text| TlogProof::parse(text).is_err())
        );
    }
}

#[test]
fn other_forms_are_refused() {
    let text = proof(20, 13).to_string();
    for altered in [
        text.replacen("index 13", "index 013", 1),
        text.replacen("index 13", "index +13", 1),
        text.replacen("index 13", "index -13", 1),
        text.replacen("index 13\n", "", 1),
        text.replacen("index 13\n", "extra \nindex 13\n", 1),
        text.replacen("index 13\n", "extra c2FsdA\nindex 13\n", 1),
        text.replacen("index 13\n", "extra c2FsdB==\nindex 13\n", 1),
        text.replacen("index 13\n", "index 13\nextra c2FsdA==\n", 1),
        text.replacen(
            "index 13\n",
            "extra c2FsdA==\nextra c2FsdA==\nindex 13\n",
            1,
        ),
        text.replacen("v1\n", "v2\n", 1),
        text.replacen("v1\n", "v1\r\n", 1),
        text.replacen("\n\n", "\n\n\n", 1),
        text.replacen(
            "\n\n",
            &format!("{}\n\n", format!("\n{}", Hash::EMPTY_ROOT).repeat(63)),
            1,
        ),
        format!("{text}\n"),
        format!("\n{text}"),
        String::new(),
    ] {
        assert!(TlogProof::parse(&altered).is_err(), "{altered:?}");
    }
    let long = format!("{text}{}", "x".repeat(400_000));
    assert_eq!(
        TlogProof::parse(&long),
        Err(TlogProofError::TooLong("text"))
    );
    let empty = proof(3, 2).with_extra(vec![]);
    assert_eq!(empty, Err(TlogProofError::Malformed("extra line")));
    let long = proof(3, 2).with_extra(vec![0; EXTRA_BYTES_MAX + 1]);
    assert_eq!(long, Err(TlogProofError::TooLong("extra line")));
    let largest = proof(3, 2).with_extra(vec![0; EXTRA_BYTES_MAX]).unwrap();
    assert_eq!(TlogProof::parse(&largest.to_string()).unwrap(), largest);
}

#[test]
fn the_verifiers_policy_decides() {
    let tree = tree(20);
    let name = KeyName::new("witness.example").unwrap();
    let signer = WitnessSigner::from_seed(name, &[77; 32]).unwrap();
    let witness = Witness::new(signer, vec![log().verifier_key().clone()]);
    let demanding = QuorumPolicy::new(
        vec![log().verifier_key().clone()],
        vec![witness.key().clone()],
        1,
    )
    .unwrap();
    let plain = proof(20, 4);
    assert!(plain.verify(&entry(4), &policy()).is_ok());
    assert!(matches!(
        plain.verify(&entry(4), &demanding),
        Err(InclusionError::Quorum(_))
    ));

    let request = countersign_ledger::AddCheckpoint {
        old_size: 0,
        proof: vec![],
        checkpoint: signed(&tree),
    };
    let line = witness
        .update(&mut VolatileHeads::default(), &request, 42)
        .unwrap();
    let mut checkpoint = signed(&tree);
    checkpoint
        .add_cosignatures(&line, &[witness.key().clone()])
        .unwrap();
    let cosigned = TlogProof::new(4, plain.hashes().to_vec(), checkpoint).unwrap();
    let cosigned = TlogProof::parse(&cosigned.to_string()).unwrap();
    let entry = entry(4);
    let inclusion = cosigned.verify(&entry, &demanding).unwrap();
    assert_eq!(
        inclusion.cosignatures[0].witness.as_str(),
        "witness.example"
    );
    assert_eq!(inclusion.cosignatures[0].time_unix_seconds, 42);
    assert_eq!(inclusion.checkpoint.size(), 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn proofs_round_trip_and_verify_for_their_entry_alone(
        size in 1_u64..700,
        pick in 0_u64..700,
        other in 0_u64..700,
        extra in prop::option::of(prop::collection::vec(any::<u8>(), 1..60)),
    ) {
        let index = pick % size;
        let mut proof = proof(size, index);
        if let Some(extra) = &extra {
            proof = proof.with_extra(extra.clone()).unwrap();
        }
        let read = TlogProof::parse(&proof.to_string()).unwrap();
        prop_assert_eq!(&read, &proof);
        prop_assert_eq!(read.extra(), extra.as_deref());
        prop_assert!(read.verify(&entry(index), &policy()).is_ok());
        prop_assert_eq!(read.verify(&entry(other), &policy()).is_ok(), other == index);
        prop_assert_eq!(read.verify(&[0; 65_536], &policy()), Err(InclusionError::EntryTooLong(65_536)));
        let moved = TlogProof::new(other, read.hashes().to_vec(), read.checkpoint().clone()).unwrap();
        prop_assert_eq!(moved.verify(&entry(index), &policy()).is_ok(), other == index);
    }
}
