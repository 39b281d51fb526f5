//! Attacks on the envelope that everything machine-signed travels in.

use crate::support::{key, now, public, refused, sign, sign_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD as B64};
use countersign_domain::canonical;
use countersign_domain::jws::{LEASE_TYP, RECEIPT_TYP, TOKEN_TYP, Token};
use countersign_verify::jws::{JwsError, Verified, verify};
use countersign_verify::token::{self, TokenError};
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha256};

const TYP: &str = TOKEN_TYP;

fn claims() -> Token {
    Token {
        iss: "patcher".into(),
        aud: crate::support::deployment(),
        iat: now().unix_seconds(),
        exp: now().unix_seconds() + 60,
    }
}

fn good() -> String {
    sign(&key("patcher"), TYP, "patcher", &claims())
}

fn check(jws: &str) -> Result<Verified<Token>, JwsError> {
    verify(jws, TYP, "patcher", &public(&key("patcher")))
}

/// A token with this header, signed correctly with the right key.
fn with_header(header: &str) -> String {
    let payload = canonical::to_bytes(&claims()).unwrap();
    let input = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let signature = key("patcher").sign(input.as_bytes()).to_bytes();
    format!("{input}.{}", B64.encode(signature))
}

#[test]
fn a_genuine_token_is_accepted_and_knows_its_digests() {
    let jws = good();
    let token = check(&jws).unwrap();
    assert_eq!(*token, claims());
    assert_eq!(*token.digest(), canonical::digest(&claims()).unwrap());
    assert_eq!(
        *token.jws_digest(),
        countersign_domain::Digest::of(jws.as_bytes())
    );
}

#[test]
fn the_order_of_header_members_is_free_as_libraries_differ() {
    assert!(
        check(&with_header(
            r#"{"typ":"token+jwt","alg":"EdDSA","kid":"patcher"}"#
        ))
        .is_ok()
    );
}

#[test]
fn algorithm_none_is_refused() {
    for alg in ["none", "None", "NONE", ""] {
        let jws = with_header(&format!(
            r#"{{"alg":"{alg}","kid":"patcher","typ":"token+jwt"}}"#
        ));
        refused!(check(&jws), JwsError::Algorithm(_));
        let (unsigned, _) = jws.rsplit_once('.').unwrap();
        assert!(check(&format!("{unsigned}.")).is_err());
    }
}

#[test]
fn hmac_with_the_public_key_as_secret_is_refused() {
    let public_key = public(&key("patcher"));
    let header = B64.encode(r#"{"alg":"HS256","kid":"patcher","typ":"token+jwt"}"#);
    let payload = B64.encode(canonical::to_bytes(&claims()).unwrap());
    let input = format!("{header}.{payload}");
    let block = |pad: u8| -> Vec<u8> {
        let mut block = [0_u8; 64];
        block[..32].copy_from_slice(public_key.as_bytes());
        block.iter().map(|b| b ^ pad).collect()
    };
    let inner = Sha256::digest([block(0x36), input.clone().into_bytes()].concat());
    let mac = Sha256::digest([block(0x5c), inner.to_vec()].concat());
    // Once as long as an HMAC is, and once padded to the length of a signature.
    refused!(
        check(&format!("{input}.{}", B64.encode(mac))),
        JwsError::Form(_)
    );
    let padded = [mac.to_vec(), mac.to_vec()].concat();
    refused!(
        check(&format!("{input}.{}", B64.encode(padded))),
        JwsError::Algorithm(_)
    );
}

#[test]
fn other_algorithms_types_and_keys_are_refused() {
    for alg in ["RS256", "ES256", "Ed25519", "eddsa", "EdDSA "] {
        let jws = with_header(&format!(
            r#"{{"alg":"{alg}","kid":"patcher","typ":"token+jwt"}}"#
        ));
        refused!(check(&jws), JwsError::Algorithm(_));
    }
    for typ in [RECEIPT_TYP, LEASE_TYP, "JWT", "TOKEN+JWT", ""] {
        let jws = sign(&key("patcher"), typ, "patcher", &claims());
        refused!(check(&jws), JwsError::Type { .. });
    }
    let jws = sign(&key("patcher"), TYP, "other", &claims());
    refused!(check(&jws), JwsError::KeyId { .. });
    let jws = sign(&key("other"), TYP, "patcher", &claims());
    refused!(check(&jws), JwsError::Signature(_));
}

#[test]
fn headers_with_missing_added_or_repeated_members_are_refused() {
    for header in [
        r#"{"alg":"EdDSA","kid":"patcher"}"#,
        r#"{"alg":"EdDSA","typ":"token+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"patcher","typ":"token+jwt","crit":["exp"]}"#,
        r#"{"alg":"EdDSA","kid":"patcher","typ":"token+jwt","jwk":{}}"#,
        r#"{"alg":"none","alg":"EdDSA","kid":"patcher","typ":"token+jwt"}"#,
        r#"{"alg":"EdDSA","alg":"EdDSA","kid":"patcher","typ":"token+jwt"}"#,
        r#"{"alg":"EdDSA","kid":"patcher","typ":"token+jwt"}{}"#,
        "[]",
        "",
    ] {
        refused!(check(&with_header(header)), JwsError::Form(_));
    }
}

#[test]
fn a_signature_of_all_zero_is_refused_and_so_are_small_order_ones() {
    let jws = good();
    let (input, _) = jws.rsplit_once('.').unwrap();
    refused!(
        check(&format!("{input}.{}", B64.encode([0; 64]))),
        JwsError::Signature(_)
    );
    // R = neutral element, s = 0: verifies under small-order keys in lax implementations.
    let mut neutral = [0; 64];
    neutral[0] = 1;
    refused!(
        check(&format!("{input}.{}", B64.encode(neutral))),
        JwsError::Signature(_)
    );
}

#[test]
fn a_second_encoding_of_a_signature_is_refused() {
    // s + L, where L is the order of the group: the same signature in lax implementations.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let jws = good();
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let mut bytes = B64.decode(signature).unwrap();
    let mut carry = 0_u16;
    for (byte, add) in bytes[32..].iter_mut().zip(L) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = (carry & 0xff) as u8;
        carry >>= 8;
    }
    refused!(
        check(&format!("{input}.{}", B64.encode(bytes))),
        JwsError::Signature(_)
    );
}

#[test]
fn trailing_bytes_padding_and_spare_bits_are_refused() {
    let jws = good();
    let (input, signature) = jws.rsplit_once('.').unwrap();
    let padded = URL_SAFE.encode(B64.decode(signature).unwrap());
    assert!(padded.ends_with('='));
    // 64 bytes end in a character of which four bits are spare.
    let (head, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let spare = alphabet.find(last).unwrap() | 1;
    let spare = alphabet.get(spare..=spare).unwrap();
    for wrong in [
        format!("{jws}."),
        format!("{jws}.AAAA"),
        format!("{jws}A"),
        format!("{jws}\n"),
        format!(" {jws}"),
        format!("{input}.{padded}"),
        format!("{input}.{head}{spare}"),
        format!("{input}."),
        input.to_owned(),
    ] {
        refused!(check(&wrong), JwsError::Form(_));
    }
}

#[test]
fn payloads_that_are_signed_but_not_canonical_are_refused() {
    let text = String::from_utf8(canonical::to_bytes(&claims()).unwrap()).unwrap();
    let repeated = text.replacen('{', r#"{"aud":"example.org/other","#, 1);
    for payload in [
        text.replace(':', ": "),
        repeated,
        text.replacen('{', r#"{"admin":true,"#, 1),
        format!("{text}{text}"),
        format!("{text}\n"),
        text.replace(r#""iss":"patcher""#, r#""iss":"p\u0061tcher""#),
        String::new(),
    ] {
        let jws = sign_bytes(&key("patcher"), TYP, "patcher", payload.as_bytes());
        refused!(check(&jws), JwsError::Payload(_));
    }
}

fn token_at(seconds: i64, claims: &Token) -> Result<Verified<Token>, TokenError> {
    let jws = sign(&key("patcher"), TYP, "patcher", claims);
    let deployment = crate::support::deployment();
    let now = now().plus_seconds(seconds);
    token::verify(
        &jws,
        "patcher",
        &public(&key("patcher")),
        &deployment,
        now,
        30,
    )
}

#[test]
fn tokens_are_held_to_issuer_audience_and_time() {
    for seconds in [-30, 0, 60, 89] {
        assert!(token_at(seconds, &claims()).is_ok(), "{seconds}");
    }
    refused!(token_at(-31, &claims()), TokenError::Future(31));
    refused!(token_at(90, &claims()), TokenError::Expired(30));
    let other = Token {
        iss: "maria".into(),
        ..claims()
    };
    refused!(token_at(0, &other), TokenError::Issuer { .. });
    let other = Token {
        aud: countersign_domain::DeploymentId::new("example.org/other").unwrap(),
        ..claims()
    };
    refused!(token_at(0, &other), TokenError::Audience(_));
    for exp in [claims().iat, claims().iat - 1, claims().iat + 301] {
        refused!(
            token_at(0, &Token { exp, ..claims() }),
            TokenError::Lifetime(_)
        );
    }
    let forever = Token {
        iat: -9_007_199_254_740_991,
        exp: 9_007_199_254_740_991,
        ..claims()
    };
    refused!(token_at(0, &forever), TokenError::Lifetime(_));
}

#[test]
fn a_host_does_not_pass_for_an_agent_nor_an_agent_for_a_host() {
    let roster = crate::support::roster();
    let of = |name: &str| {
        let claims = Token {
            iss: name.into(),
            ..claims()
        };
        sign(&key(name), TYP, name, &claims)
    };
    assert_eq!(
        token::agent(&of("patcher"), &roster, now(), 30)
            .unwrap()
            .as_str(),
        "patcher"
    );
    assert_eq!(
        token::host(&of("web-1"), &roster, now(), 30)
            .unwrap()
            .as_str(),
        "web-1"
    );
    refused!(
        token::agent(&of("web-1"), &roster, now(), 30),
        TokenError::Unknown(_)
    );
    refused!(
        token::host(&of("patcher"), &roster, now(), 30),
        TokenError::Unknown(_)
    );
    refused!(
        token::host(&"x".repeat(3000), &roster, now(), 30),
        TokenError::TooLong(_)
    );
}
