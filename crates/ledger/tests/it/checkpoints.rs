//! Names, keys, checkpoints and their signatures, the log's and the witnesses'.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_ledger::{
    Checkpoint, CheckpointError, Hash, HashParseError, KeyError, KeyName, KeyNameError, LogSigner,
    Origin, SignError, SignatureError, SignedCheckpoint, SignedCheckpointError, TREE_SIZE_MAX,
    VerifierKey, WitnessKey,
};
use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;
use signed_note::{Note, StandardVerifier, VerifierList};

use crate::fixture::{log, origin, signed, tree};

#[test]
fn names_are_bounded_and_plain() {
    assert!(Origin::new("example.org/log42").is_ok());
    assert!(Origin::new(&"a".repeat(255)).is_ok());
    assert_eq!(Origin::new(""), Err(KeyNameError::Empty));
    assert_eq!(
        Origin::new(&"a".repeat(256)),
        Err(KeyNameError::TooLong(256))
    );
    for bad in [' ', '+', '\n', '\t', '\u{a0}', '\u{2003}', '\0', '\u{7f}'] {
        let name = format!("a{bad}b");
        assert_eq!(Origin::new(&name), Err(KeyNameError::Forbidden(bad)));
    }
}

#[test]
fn hashes_have_one_text_each() {
    let hash = Hash::EMPTY_ROOT;
    assert_eq!(
        hash.to_base64(),
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    );
    assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
    assert_eq!(Hash::from_hex(&hash.to_hex()), Ok(hash));
    // The last digit carries two bits that mean nothing and must be zero.
    let sloppy = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=";
    assert_eq!(Hash::from_base64(sloppy), Err(HashParseError::Base64));
    assert_eq!(Hash::from_base64("47DE"), Err(HashParseError::Length));
    assert_eq!(Hash::from_hex("00"), Err(HashParseError::Length));
    assert_eq!(Hash::from_hex(&"g".repeat(64)), Err(HashParseError::Hex));
}

#[test]
fn verifier_keys_of_others_are_read() {
    // The key of the signed-note examples.
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    let key = VerifierKey::parse(vkey).unwrap();
    assert_eq!(key.origin().as_str(), "PeterNeumann");
    assert_eq!(key.to_string(), vkey);
    assert_eq!(
        WitnessKey::parse(vkey),
        Err(KeyError::Type {
            expected: 4,
            found: 1
        })
    );
}

#[test]
fn every_altered_verifier_key_is_refused_or_another() {
    let vkey = log().vkey();
    for (position, byte) in vkey.bytes().enumerate() {
        for changed in [byte ^ 1, byte ^ 0x20, b'+', b'='] {
            let mut altered = vkey.clone().into_bytes();
            altered[position] = changed;
            let altered = String::from_utf8(altered).unwrap();
            assert!(
                altered == vkey || VerifierKey::parse(&altered).is_err(),
                "`{altered}` passed"
            );
        }
    }
    assert_eq!(
        VerifierKey::parse(&"a".repeat(600)),
        Err(KeyError::Malformed)
    );
    // A key of small order, for which anybody can make signatures.
    let weak = [&[1_u8, 1][..], &[0; 31]].concat();
    let id = signed_note::key_id("weak", &weak);
    let weak = format!("weak+{id:08x}+{}", STANDARD.encode(weak));
    assert_eq!(
        VerifierKey::parse(&weak),
        Err(KeyError::Weak(origin("weak")))
    );
}

#[test]
fn secrets_are_not_printed() {
    let seed = [0xab; 32];
    let signer = LogSigner::from_seed(origin("example.org/log"), &seed).unwrap();
    let printed = format!("{signer:?}");
    assert!(printed.contains("example.org/log"));
    assert!(!printed.contains("171") && !printed.to_lowercase().contains("abab"));
}

#[test]
fn other_implementations_verify_our_checkpoints() {
    let signed = signed(&tree(5));
    let verifier = StandardVerifier::new(&log().vkey()).unwrap();
    let note = Note::from_bytes(signed.as_str().as_bytes()).unwrap();
    let (verified, unverified) = note
        .verify(&VerifierList::new(vec![Box::new(verifier)]))
        .unwrap();
    assert_eq!((verified.len(), unverified.len()), (1, 0));
    let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
    assert_eq!(checkpoint.size(), 5);
}

#[test]
fn bodies_have_one_text_each() {
    let root = tree(5).root();
    let checkpoint = Checkpoint::new(origin("example.org/log"), 5, root).unwrap();
    assert_eq!(checkpoint.body(), format!("example.org/log\n5\n{root}\n"));
    let extended = checkpoint
        .clone()
        .with_extension_lines(vec!["one".into(), "two — three".into()])
        .unwrap();
    assert_eq!(
        extended.body(),
        format!("example.org/log\n5\n{root}\none\ntwo — three\n")
    );
    for checkpoint in [&checkpoint, &extended] {
        assert_eq!(&Checkpoint::parse(&checkpoint.body()).unwrap(), checkpoint);
    }
    for lines in [
        vec![String::new()],
        vec!["a\nb".into()],
        vec!["x".into(); 17],
        vec!["x".repeat(4096)],
    ] {
        assert_eq!(
            checkpoint.clone().with_extension_lines(lines),
            Err(CheckpointError::Extension)
        );
    }
    for malformed in [
        String::new(),
        "example.org/log\n".into(),
        format!("example.org/log\n05\n{root}\n"),
        format!("example.org/log\n+5\n{root}\n"),
        format!("example.org/log\n-5\n{root}\n"),
        format!("example.org/log\n18446744073709551616\n{root}\n"),
        format!("example.org/log\n5\n{root}"),
        format!("example.org/log\n5\n{root}\n\n"),
        format!("example.org/log\n5\n{root}\n\nx\n"),
        format!("example.org/log\n5\n{root} \n"),
        "example.org/log\n5\nAAAA\n".into(),
    ] {
        assert_eq!(
            Checkpoint::parse(&malformed),
            Err(CheckpointError::Malformed),
            "{malformed:?}"
        );
    }
    assert!(matches!(
        Checkpoint::parse(&format!("a b\n5\n{root}\n")),
        Err(CheckpointError::Origin(_))
    ));
    assert_eq!(
        Checkpoint::parse(&format!("log\n{}\n{root}\n", TREE_SIZE_MAX + 1)),
        Err(CheckpointError::Size(TREE_SIZE_MAX + 1))
    );
    assert_eq!(
        Checkpoint::parse(&format!("log\n0\n{root}\n")),
        Err(CheckpointError::EmptyRoot)
    );
}

#[test]
fn only_the_logs_own_key_counts() {
    let signed = signed(&tree(5));
    let other = LogSigner::from_seed(origin("example.org/other"), &[2; 32]).unwrap();
    let impostor = LogSigner::from_seed(log().origin().clone(), &[3; 32]).unwrap();
    let unknown = Err(SignatureError::UnknownLog(log().origin().clone()));
    let unsigned = Err(SignatureError::Unsigned(log().origin().clone()));
    assert!(signed.verify(&[log().verifier_key().clone()]).is_ok());
    assert_eq!(signed.verify(&[]), unknown);
    assert_eq!(signed.verify(&[other.verifier_key().clone()]), unknown);
    assert_eq!(signed.verify(&[impostor.verifier_key().clone()]), unsigned);

    // A note that some OTHER known log signed: the library alone would call it verified.
    let body = signed.claimed().body();
    let secret = SigningKey::from_bytes(&[2; 32]);
    let encoded = [&[1_u8][..], secret.verifying_key().as_bytes()].concat();
    let line = signed_note::Signature::new(
        "example.org/other".to_owned(),
        signed_note::key_id("example.org/other", &encoded),
        secret.sign(body.as_bytes()).to_vec(),
    );
    let note = Note::new(body.as_bytes(), &[line.unwrap()]).unwrap();
    let others = StandardVerifier::new(&other.vkey()).unwrap();
    assert!(
        note.verify(&VerifierList::new(vec![Box::new(others)]))
            .is_ok()
    );
    let foreign = SignedCheckpoint::parse(std::str::from_utf8(&note.to_bytes()).unwrap()).unwrap();
    let keys = [other.verifier_key().clone(), log().verifier_key().clone()];
    assert_eq!(foreign.verify(&keys), unsigned);

    // And a log's signer signs nothing of another log.
    let checkpoint = Checkpoint::new(origin("example.org/other"), 0, Hash::EMPTY_ROOT).unwrap();
    assert!(matches!(
        log().sign(&checkpoint),
        Err(SignError::Origin { .. })
    ));
}

#[test]
fn every_changed_byte_of_a_signed_checkpoint_is_noticed() {
    let text = signed(&tree(20)).to_string();
    let keys = [log().verifier_key().clone()];
    for position in 0..text.len() {
        for mask in 1..=255_u8 {
            let mut altered = text.clone().into_bytes();
            altered[position] ^= mask;
            let believed = String::from_utf8(altered)
                .ok()
                .and_then(|text| SignedCheckpoint::parse(&text).ok())
                .is_some_and(|signed| signed.verify(&keys).is_ok());
            assert!(!believed, "byte {position} xor {mask:#04x} passed");
        }
    }
    for length in 0..text.len() {
        let cut = text
            .get(..length)
            .and_then(|text| SignedCheckpoint::parse(text).ok());
        assert!(cut.is_none(), "cut to {length} bytes passed");
    }
    let long = format!("{text}{}", "x".repeat(200_000));
    assert!(matches!(
        SignedCheckpoint::parse(&long),
        Err(SignedCheckpointError::TooLong(_))
    ));
}

#[test]
fn unknown_signature_lines_are_ignored() {
    let text = format!("{}— somebody.example/else AAAAAAAAAAAA\n", signed(&tree(5)));
    let signed = SignedCheckpoint::parse(&text).unwrap();
    assert!(signed.verify(&[log().verifier_key().clone()]).is_ok());
    assert_eq!(signed.to_string(), text);
}

proptest! {
    #[test]
    fn any_text_is_a_signed_checkpoint_or_an_error(
        text in "(example\\.org|a b|)\n[0-9]{0,3}\n[A-Za-z0-9+/]{42,44}=?\n(x\n){0,2}\n?(— [a-z+ ]{1,3} [A-Za-z0-9]{8}\n){0,3}"
    ) {
        if let Ok(signed) = SignedCheckpoint::parse(&text) {
            prop_assert_eq!(signed.to_string(), text);
        }
    }

    #[test]
    fn names_either_hold_or_are_refused(name in "\\PC{0,20}") {
        if let Ok(read) = KeyName::new(&name) {
            let signer = LogSigner::from_seed(read, &[4; 32]).unwrap();
            prop_assert_eq!(&VerifierKey::parse(&signer.vkey()).unwrap(), signer.verifier_key());
        }
    }
}
