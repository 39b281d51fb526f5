//! Random and half-right bytes in every parser: refused or accepted, but never a panic.

use crate::case::Case;
use crate::support::{deployment, now, proposal, public, roster, state};
use countersign_domain::SignedStatement;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::{HaltScope, Subject};
use countersign_verify::log::{self, LogKey, WitnessKey};
use countersign_verify::{
    Ed25519Key, LogKeys, observation, plan, proposal as proposals, receipt, roster as rosters, ssh,
    started, token, warrant,
};
use proptest::prelude::*;

/// Texts that look like each format for a while, and then do not.
fn hostile_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        "[A-Za-z0-9+/=_.-]{0,80}",
        prop::sample::select(vec![
            "c2sp.org/tlog-proof@v1\n",
            "index 0\n",
            "extra AAAA\n",
            "\n\n",
            "— ",
            "example.org/test/authorizations\n",
            "18446744073709551615\n",
            "0\n",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n",
            "-----BEGIN SSH SIGNATURE-----\n",
            "U1NIU0lHAAAAAQ",
            "\n-----END SSH SIGNATURE-----\n",
            "ssh-ed25519 ",
            "AAAAC3NzaC1lZDI1NTE5AAAAIA",
            "eyJhbGciOiJFZERTQSIsImtpZCI6ImdhdGUiLCJ0eXAiOiJ3YXJyYW50K2p3dCJ9.",
            "{\"v\":1,",
            "+00000000+AQ",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn log_keys() -> LogKeys {
    LogKeys::authorizations(&roster(), 0).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_hostile_panics_or_passes(text in hostile_text()) {
        let roster = roster();
        let gate = public(&crate::support::key("gate"));
        prop_assert!(warrant::verify_past(&text, &gate, &deployment()).is_err());
        prop_assert!(token::agent(&text, &roster, now(), 30).is_err());
        prop_assert!(token::host(&text, &roster, now(), 30).is_err());
        prop_assert!(proposals::verify(&text, &roster).is_err());
        prop_assert!(receipt::verify(&text, &roster).is_err());
        prop_assert!(started::verify(&text, &roster).is_err());
        prop_assert!(observation::verify(&text, &roster).is_err());
        prop_assert!(log::verify_checkpoint(&text, &log_keys()).is_err());
        prop_assert!(log::verify_proof(b"entry", &text, &log_keys()).is_err());
        let statement = state("maria", 1, Subject::Halt { halt: HaltScope::Everything });
        for signed in [
            SignedStatement { statement: text.clone(), signature: statement.signature },
            SignedStatement { statement: statement.statement, signature: text.clone() },
        ] {
            prop_assert!(ssh::verify_statement(&signed, &roster, Some(now())).is_err());
            let change = SignedRosterChange { change: text.clone(), statements: vec![signed] };
            prop_assert!(rosters::extend(&roster, &change).is_err());
        }
        // These may be well formed by chance.
        let _ = (LogKey::parse(&text), WitnessKey::parse(&text), text.parse::<Ed25519Key>());
        let _ = (ssh::fingerprint(&text), log::hash_from_base64(&text));
    }

    #[test]
    fn a_handover_with_any_member_replaced_by_junk_is_refused(text in hostile_text(), member in 0..6) {
        let case = Case::new();
        let mut handover = case.handover();
        match member {
            0 => handover.warrant = text,
            1 => handover.proof = text,
            2 => handover.lease = text,
            3 => handover.proposal = text,
            4 => handover.consistency = vec![text],
            _ => handover.roster = vec![SignedRosterChange { change: text, statements: Vec::new() }],
        }
        prop_assert!(case.check_handover(&handover).is_err());
    }

    #[test]
    fn any_ssh_signature_blob_is_read_without_panic(blob in prop::collection::vec(any::<u8>(), 0..300), cut in 0_usize..400) {
        use base64::Engine as _;
        let genuine = state("maria", 1, Subject::Halt { halt: HaltScope::Everything });
        let body: String = genuine.signature.lines().filter(|line| !line.starts_with('-')).collect();
        let mut bytes = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        // A genuine beginning, and then anything.
        bytes.truncate(cut);
        bytes.extend(blob);
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes);
        let lines: Vec<_> = encoded.as_bytes().chunks(70).map(|l| String::from_utf8_lossy(l)).collect();
        let signature = format!(
            "-----BEGIN SSH SIGNATURE-----\n{}\n-----END SSH SIGNATURE-----\n",
            lines.join("\n")
        );
        let signed = SignedStatement { signature, ..genuine.clone() };
        let verdict = ssh::verify_statement(&signed, &roster(), Some(now()));
        prop_assert!(verdict.is_err() || signed.signature == genuine.signature);
    }
}

#[test]
fn a_plan_of_junk_is_refused() {
    let roster = roster();
    let jws = Case::new().handover().proposal;
    let proposal_of = proposals::verify(&jws, &roster).unwrap();
    assert_eq!(*proposal_of, proposal());
    for junk in ["", ".", "..", "a.b.c", "{}", &jws] {
        assert!(plan::verify(junk, &roster, &proposal_of).is_err(), "{junk}");
    }
}
