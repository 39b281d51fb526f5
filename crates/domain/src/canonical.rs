//! Canonical bytes: the one JSON form of a value that is hashed, signed and stored.
//!
//! A subset of RFC 8785 (JCS): no floating point at all, integers within ±(2^53 − 1), object keys
//! in ASCII. Within it the bytes equal those of any JCS implementation (a property test compares
//! them with one). What lies outside is refused rather than rounded: two numbers that differ must
//! never share a digest.

use crate::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The largest integer that every JSON reader carries exactly.
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// How deep a value may be nested.
pub const DEPTH_MAX: usize = 32;

/// A value that has no canonical form, or bytes that are not canonical.
#[derive(Debug, thiserror::Error)]
pub enum CanonicalError {
    /// An integer beyond ±(2^53 − 1), or a number with a fraction or exponent.
    #[error("`{0}` cannot be carried exactly by JSON; use an integer within ±(2^53 − 1), or text")]
    Number(String),
    /// An object key outside ASCII, whose order readers do not agree on.
    #[error("key `{0}` is not ASCII")]
    Key(String),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX} levels")]
    Depth,
    /// Not the JSON of the expected type.
    #[error("not the expected JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The JSON is right, but these are not its canonical bytes.
    #[error(
        "the bytes are not in canonical form (sorted keys, no white space, no unknown or repeated fields)"
    )]
    NotCanonical,
}

/// The canonical bytes of `value`.
///
/// # Errors
/// When the value holds a number, key or depth that has no canonical form.
pub fn to_bytes<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let value = serde_json::to_value(value)?;
    let mut out = Vec::with_capacity(512);
    write_value(&value, &mut out, 0)?;
    Ok(out)
}

/// The canonical bytes as text; they are UTF-8 by construction.
///
/// # Errors
/// As [`to_bytes`].
pub fn to_text<T: Serialize>(value: &T) -> Result<String, CanonicalError> {
    Ok(String::from_utf8_lossy(&to_bytes(value)?).into_owned())
}

/// The digest of the canonical bytes of `value`.
///
/// # Errors
/// As [`to_bytes`].
pub fn digest<T: Serialize>(value: &T) -> Result<Digest, CanonicalError> {
    Ok(Digest::of(&to_bytes(value)?))
}

/// Reads a value from bytes that must be exactly its canonical form, so that what was signed and
/// what is understood are the same thing (no repeated keys, no fields that are silently dropped).
///
/// # Errors
/// When the bytes are not the JSON of `T`, or not canonical.
pub fn from_bytes<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let value: T = serde_json::from_slice(bytes)?;
    if to_bytes(&value)? == bytes {
        Ok(value)
    } else {
        Err(CanonicalError::NotCanonical)
    }
}

fn write_value(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
    if depth > DEPTH_MAX {
        return Err(CanonicalError::Depth);
    }
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => serde_json::to_writer(out, value)?,
        Value::Number(number) => {
            let exact = number
                .as_i64()
                .filter(|n| (-INTEGER_MAX..=INTEGER_MAX).contains(n));
            let Some(integer) = exact else {
                return Err(CanonicalError::Number(number.to_string()));
            };
            serde_json::to_writer(out, &integer)?;
        }
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(map) => {
            // Sorted here: serde_json's map keeps insertion order when any crate of the build
            // switches `preserve_order` on.
            let mut members: Vec<_> = map.iter().collect();
            members.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (at, (key, member)) in members.into_iter().enumerate() {
                if !key.is_ascii() {
                    return Err(CanonicalError::Key(crate::text::shown(key, 40)));
                }
                if at > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key)?;
                out.push(b':');
                write_value(member, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn keys_are_sorted_and_numbers_exact() {
        let bytes = to_bytes(&json!({"b": 1, "a": [true, null, "é\u{1}"]})).unwrap();
        assert_eq!(
            String::from_utf8(bytes).unwrap(),
            "{\"a\":[true,null,\"é\\u0001\"],\"b\":1}"
        );
    }

    #[test]
    fn integers_that_json_cannot_carry_are_refused() {
        assert!(to_bytes(&json!(INTEGER_MAX)).is_ok());
        assert!(to_bytes(&json!(-INTEGER_MAX)).is_ok());
        for wrong in [
            json!(INTEGER_MAX + 1),
            json!(-INTEGER_MAX - 1),
            json!(u64::MAX),
            json!(0.5),
            json!(1e300),
        ] {
            assert!(
                matches!(to_bytes(&wrong), Err(CanonicalError::Number(_))),
                "{wrong}"
            );
        }
    }

    #[test]
    fn deep_values_and_foreign_keys_are_refused() {
        let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
        assert!(matches!(to_bytes(&deep), Err(CanonicalError::Depth)));
        assert!(matches!(
            to_bytes(&json!({"ключ": 1})),
            Err(CanonicalError::Key(_))
        ));
    }

    #[test]
    fn reading_back_wants_the_canonical_bytes() {
        #[derive(Debug, Serialize, serde::Deserialize)]
        struct Pair {
            a: u8,
            b: u8,
        }
        assert!(from_bytes::<Pair>(br#"{"a":1,"b":2}"#).is_ok());
        for wrong in [
            r#"{"b":2,"a":1}"#,
            r#"{"a":1, "b":2}"#,
            r#"{"a":1,"b":2,"c":3}"#,
        ] {
            assert!(from_bytes::<Pair>(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-INTEGER_MAX..=INTEGER_MAX).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ -~]{0,8}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn equals_rfc_8785_as_another_library_reads_it(value in value()) {
            let theirs = serde_json_canonicalizer::to_vec(&value).unwrap();
            prop_assert_eq!(to_bytes(&value).unwrap(), theirs);
        }
    }
}
