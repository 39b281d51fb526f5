//! Canonical bytes: the one JSON form of a value that is hashed, signed and stored.
//!
//! A subset of RFC 8785 (JCS): no floating point at all, integers within ±(2^53 − 1), object keys
//! in ASCII. Within it the bytes equal those of any JCS implementation (a property test compares
//! them with one). What lies outside is refused rather than rounded: two numbers that differ must
//! never share a digest.

use crate::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::borrow::Cow;
use std::ops::Range;

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
    let text = serde_json::to_vec(value)?;
    let mut out = Vec::with_capacity(text.len());
    Ordered { text: &text, at: 0 }.value(&mut out, 0)?;
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

/// Copies compact JSON that `serde_json` has written, with the members of each object in order.
/// Strings are canonical as they stand; a tree of values would cost several times as much.
struct Ordered<'a> {
    text: &'a [u8],
    at: usize,
}

/// A member of an object: its key, and where it stands in what was written.
struct Member<'a> {
    key: Cow<'a, [u8]>,
    written: Range<usize>,
}

impl<'a> Ordered<'a> {
    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
        if depth > DEPTH_MAX {
            return Err(CanonicalError::Depth);
        }
        match self.next() {
            Some(b'{') => self.object(out, depth),
            Some(b'[') => self.array(out, depth),
            Some(b'"') => {
                out.extend(self.string()?);
                Ok(())
            }
            Some(b'-' | b'0'..=b'9') => {
                out.extend(self.number()?);
                Ok(())
            }
            // `null`, `true`, `false`.
            Some(_) => {
                out.extend(self.while_it(|byte| byte.is_ascii_lowercase()));
                Ok(())
            }
            None => Err(CanonicalError::NotCanonical),
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
        self.take(b'[', out)?;
        while self.next() != Some(b']') {
            if self.next() == Some(b',') {
                self.take(b',', out)?;
            }
            self.value(out, depth + 1)?;
        }
        self.take(b']', out)
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Result<(), CanonicalError> {
        self.take(b'{', out)?;
        let start = out.len();
        let mut members: Vec<Member<'a>> = Vec::new();
        while self.next() != Some(b'}') {
            if self.next() == Some(b',') {
                self.take(b',', out)?;
            }
            let from = out.len();
            let quoted = self.string()?;
            out.extend(quoted);
            self.take(b':', out)?;
            self.value(out, depth + 1)?;
            members.push(Member {
                key: key(quoted)?,
                written: from..out.len(),
            });
        }
        if !members.is_sorted_by(|one, next| one.key < next.key) {
            members.sort_unstable_by(|one, other| one.key.cmp(&other.key));
            if members
                .windows(2)
                .any(|two| matches!(two, [one, next] if one.key == next.key))
            {
                return Err(CanonicalError::NotCanonical);
            }
            let unordered = out.split_off(start);
            for (at, member) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                let written = member.written.start - start..member.written.end - start;
                out.extend(unordered.get(written).unwrap_or_default());
            }
        }
        self.take(b'}', out)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Result<&'a [u8], CanonicalError> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, byte) in rest.iter().enumerate().skip(1) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at += at + 1;
                    return rest.get(..=at).ok_or(CanonicalError::NotCanonical);
                }
                _ => {}
            }
        }
        Err(CanonicalError::NotCanonical)
    }

    fn number(&mut self) -> Result<&'a [u8], CanonicalError> {
        let digits =
            self.while_it(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'));
        let text = String::from_utf8_lossy(digits);
        // A fraction or an exponent is no `i64` either.
        let exact = text.parse::<i64>();
        if exact.is_ok_and(|number| (-INTEGER_MAX..=INTEGER_MAX).contains(&number)) {
            Ok(digits)
        } else {
            Err(CanonicalError::Number(text.into_owned()))
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn take(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<(), CanonicalError> {
        if self.next() != Some(byte) {
            return Err(CanonicalError::NotCanonical);
        }
        out.push(byte);
        self.at += 1;
        Ok(())
    }

    fn while_it(&mut self, is: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let end = rest
            .iter()
            .position(|byte| !is(*byte))
            .unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }
}

/// The text of a key, without quotes and escapes: by it members are ordered.
fn key(quoted: &[u8]) -> Result<Cow<'_, [u8]>, CanonicalError> {
    let inner = quoted
        .get(1..quoted.len().saturating_sub(1))
        .unwrap_or_default();
    if !inner.is_ascii() {
        let text = String::from_utf8_lossy(inner);
        return Err(CanonicalError::Key(crate::text::shown(&text, 40)));
    }
    if inner.contains(&b'\\') {
        let text: String = serde_json::from_slice(quoted)?;
        return Ok(Cow::Owned(text.into_bytes()));
    }
    Ok(Cow::Borrowed(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

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
    fn members_are_ordered_by_what_their_keys_say() {
        let value = json!({"[": 1, "\n": {"z": [], "a": {}}, "\"": "}\",{", "\\": false});
        assert_eq!(
            to_text(&value).unwrap(),
            r#"{"\n":{"a":{},"z":[]},"\"":"}\",{","[":1,"\\":false}"#
        );
    }

    #[test]
    fn a_key_that_comes_twice_is_refused() {
        #[derive(Serialize)]
        struct Twice {
            a: u8,
            #[serde(rename = "a")]
            b: u8,
        }
        let twice = Twice { a: 1, b: 2 };
        assert!(matches!(
            to_bytes(&twice),
            Err(CanonicalError::NotCanonical)
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
                prop::collection::btree_map("[\\x01-~]{0,8}", inner, 0..4)
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
