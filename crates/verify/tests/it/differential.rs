//! Our JWS check against another implementation, `jsonwebtoken`, told to accept exactly what we do:
//! it takes our tokens, and what it takes, we take.

use crate::support::{key, now, public, sign_bytes};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use countersign_domain::jws::{TOKEN_TYP, Token};
use countersign_domain::{Digest, canonical};
use countersign_verify::jws::verify;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use proptest::prelude::*;

fn claims() -> Token {
    Token {
        iss: "patcher".into(),
        aud: crate::support::deployment(),
        iat: now().unix_seconds(),
        exp: now().unix_seconds() + 60,
    }
}

/// The other implementation's verdict, with our settings pinned.
fn theirs(jws: &str) -> bool {
    let mut validation = Validation::new(Algorithm::EdDSA);
    // Time is compared elsewhere: it reads the machine's clock, we have none.
    validation.validate_exp = false;
    validation.set_audience(&["example.org/test"]);
    let x = B64.encode(public(&key("patcher")).as_bytes());
    let key = DecodingKey::from_ed_components(&x).unwrap();
    decode::<Token>(jws, &key, &validation).is_ok_and(|token| {
        token.header.typ.as_deref() == Some(TOKEN_TYP)
            && token.header.kid.as_deref() == Some("patcher")
    })
}

fn ours(jws: &str) -> bool {
    verify::<Token>(jws, TOKEN_TYP, "patcher", &public(&key("patcher"))).is_ok()
}

/// What it signs itself, with a key in PKCS #8 (RFC 8410).
fn signed_by_them(header: &Header, claims: &serde_json::Value) -> String {
    let prefix = [
        0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04,
        0x20,
    ];
    let seed = *Digest::of(b"patcher").as_bytes();
    let key = EncodingKey::from_ed_der(&[&prefix[..], &seed].concat());
    // Sorted here: whether a `Value` keeps its members sorted depends on who else is in the build.
    let sorted: std::collections::BTreeMap<_, _> = claims.as_object().unwrap().iter().collect();
    encode(header, &sorted, &key).unwrap()
}

fn header(typ: &str, kid: &str) -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(typ.into());
    header.kid = Some(kid.into());
    header
}

#[test]
fn they_accept_our_token() {
    let jws = sign_bytes(
        &key("patcher"),
        TOKEN_TYP,
        "patcher",
        &canonical::to_bytes(&claims()).unwrap(),
    );
    assert!(theirs(&jws) && ours(&jws));
}

#[test]
fn we_accept_a_token_that_they_signed() {
    let jws = signed_by_them(
        &header(TOKEN_TYP, "patcher"),
        &serde_json::to_value(claims()).unwrap(),
    );
    assert!(theirs(&jws) && ours(&jws));
}

#[test]
fn neither_accepts_another_type_key_or_algorithm() {
    let claims = serde_json::to_value(claims()).unwrap();
    for (typ, kid) in [("JWT", "patcher"), (TOKEN_TYP, "other")] {
        let jws = signed_by_them(&header(typ, kid), &claims);
        assert!(!theirs(&jws) && !ours(&jws));
    }
    let mut hmac = Header::new(Algorithm::HS256);
    hmac.typ = Some(TOKEN_TYP.into());
    hmac.kid = Some("patcher".into());
    let secret = EncodingKey::from_secret(public(&key("patcher")).as_bytes());
    let jws = encode(&hmac, &claims, &secret).unwrap();
    assert!(!theirs(&jws) && !ours(&jws));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn we_agree_on_tokens_with_one_byte_changed(at in any::<prop::sample::Index>(), byte in "[A-Za-z0-9_.=-]") {
        let mut jws = sign_bytes(&key("patcher"), TOKEN_TYP, "patcher", &canonical::to_bytes(&claims()).unwrap());
        let at = at.index(jws.len());
        jws.replace_range(at..=at, &byte);
        prop_assert_eq!(theirs(&jws), ours(&jws), "{}", jws);
    }
}
