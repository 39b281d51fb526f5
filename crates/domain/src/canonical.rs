//! Canonical bytes: the one JSON form of a value that is hashed, signed and stored.
//!
//! A subset of RFC 8785 (JCS): no floating point at all, integers within ±(2^53 − 1), object keys
//! in ASCII. Within it the bytes equal those of any JCS implementation (a property test compares
//! them with one). What lies outside is refused rather than rounded: two numbers that differ must
//! never share a digest.

use crate::digest::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};
use std::fmt::Display;
use std::io;
use std::ops::Range;

/// The largest integer that every JSON reader carries exactly.
pub const INTEGER_MAX: i64 = 9_007_199_254_740_991;
/// How deep a value may be nested.
pub const DEPTH_MAX: usize = 32;

/// Room that a document gets at once; most need no more.
const CAPACITY: usize = 1024;

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
    let mut ordered = Ordered {
        out: Vec::with_capacity(CAPACITY),
        ..Ordered::default()
    };
    let mut serializer = serde_json::Serializer::with_formatter(io::sink(), &mut ordered);
    let written = value.serialize(&mut serializer);
    match ordered.refused {
        Some(error) => Err(error),
        None => Ok(written.map(|()| ordered.out)?),
    }
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

/// Takes from `serde_json` what it would write, and puts the members of each object in order when the
/// object ends. A tree of values would cost several times as much.
#[derive(Default)]
struct Ordered {
    out: Vec<u8>,
    /// The members of the objects that are open, those of the innermost last.
    members: Vec<Member>,
    /// Where the members of each open object begin.
    objects: Vec<usize>,
    /// Where the last key begins.
    key: usize,
    /// Whether anything since then was written with an escape.
    escaped: bool,
    /// How many arrays and objects are open.
    open: usize,
    /// Where members are put in order.
    sorted: Vec<u8>,
    /// Why there is no canonical form.
    refused: Option<CanonicalError>,
}

/// A member of an object, as it was written.
struct Member {
    /// Where its key stands, between the quotes.
    key: Range<usize>,
    /// What its key says, where that is written with escapes.
    says: Option<String>,
    /// Where it ends.
    end: usize,
}

impl Member {
    /// The whole of it.
    const fn written(&self) -> Range<usize> {
        self.key.start - 1..self.end
    }

    /// What its key says: by it members are ordered.
    fn key<'a>(&'a self, out: &'a [u8]) -> &'a [u8] {
        match &self.says {
            Some(says) => says.as_bytes(),
            None => out.get(self.key.clone()).unwrap_or_default(),
        }
    }
}

impl Ordered {
    fn refuse(&mut self, error: CanonicalError) -> io::Result<()> {
        self.refused.get_or_insert(error);
        Err(io::Error::other("no canonical form"))
    }

    fn put(&mut self, byte: u8) -> io::Result<()> {
        self.out.push(byte);
        Ok(())
    }

    /// A value comes, within what is open.
    fn next(&mut self) -> io::Result<()> {
        if self.open > DEPTH_MAX {
            return self.refuse(CanonicalError::Depth);
        }
        Ok(())
    }

    /// A number, if every reader carries it exactly.
    fn number<N: TryInto<i64> + Display + Copy>(&mut self, number: N) -> io::Result<()> {
        match number.try_into() {
            Ok(exact) if (-INTEGER_MAX..=INTEGER_MAX).contains(&exact) => {
                CompactFormatter.write_i64(&mut self.out, exact)
            }
            _ => self.refuse(CanonicalError::Number(number.to_string())),
        }
    }

    /// A key has been written from `start`, with its quotes.
    fn keyed(&mut self, start: usize) -> Result<Member, CanonicalError> {
        let key = start + 1..self.out.len().saturating_sub(1);
        let text = self.out.get(key.clone()).unwrap_or_default();
        if !text.is_ascii() {
            let text = String::from_utf8_lossy(text);
            return Err(CanonicalError::Key(crate::text::shown(&text, 40)));
        }
        let says = if self.escaped {
            let quoted = self.out.get(start..).unwrap_or_default();
            Some(serde_json::from_slice(quoted)?)
        } else {
            None
        };
        let end = key.end;
        Ok(Member { key, says, end })
    }

    /// Puts members that have been written from `first` on in order.
    fn order(&mut self, first: usize) -> Result<(), CanonicalError> {
        let out = &mut self.out;
        let members = self.members.get_mut(first..).unwrap_or_default();
        if members.is_sorted_by(|one, next| one.key(out) < next.key(out)) {
            return Ok(());
        }
        let start = members.first().map_or(0, |member| member.written().start);
        members.sort_unstable_by(|one, other| one.key(out).cmp(other.key(out)));
        let twice = |two: &[Member]| matches!(two, [one, next] if one.key(out) == next.key(out));
        if members.windows(2).any(twice) {
            return Err(CanonicalError::NotCanonical);
        }
        self.sorted.clear();
        for member in members {
            if !self.sorted.is_empty() {
                self.sorted.push(b',');
            }
            self.sorted
                .extend(out.get(member.written()).unwrap_or_default());
        }
        out.truncate(start);
        out.append(&mut self.sorted);
        Ok(())
    }
}

/// Methods that write a whole number.
macro_rules! numbers {
    ($($method:ident: $number:ty),*) => {
        $(fn $method<W: ?Sized + io::Write>(&mut self, _: &mut W, number: $number) -> io::Result<()> {
            self.number(number)
        })*
    };
}

/// Methods that write as `serde_json` does, but here.
macro_rules! as_ever {
    ($($method:ident($($value:ident: $of:ty)?)),*) => {
        $(fn $method<W: ?Sized + io::Write>(&mut self, _: &mut W $(, $value: $of)?) -> io::Result<()> {
            CompactFormatter.$method(&mut self.out $(, $value)?)
        })*
    };
}

impl Formatter for &mut Ordered {
    numbers! {
        write_i8: i8, write_i16: i16, write_i32: i32, write_i64: i64, write_i128: i128,
        write_u8: u8, write_u16: u16, write_u32: u32, write_u64: u64, write_u128: u128
    }
    as_ever! {
        write_null(), write_bool(value: bool), begin_string(), end_string(),
        write_string_fragment(fragment: &str),
        begin_object_value()
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        self.escaped = true;
        CompactFormatter.write_char_escape(&mut self.out, escape)
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, _: &mut W, number: f32) -> io::Result<()> {
        self.refuse(CanonicalError::Number(number.to_string()))
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, _: &mut W, number: f64) -> io::Result<()> {
        self.refuse(CanonicalError::Number(number.to_string()))
    }

    fn write_number_str<W: ?Sized + io::Write>(&mut self, _: &mut W, text: &str) -> io::Result<()> {
        match text.parse::<i64>() {
            Ok(number) => self.number(number),
            Err(_) => self.refuse(CanonicalError::Number(text.to_owned())),
        }
    }

    fn write_raw_fragment<W: ?Sized + io::Write>(&mut self, _: &mut W, _: &str) -> io::Result<()> {
        // Somebody else's text, whose form nobody knows.
        self.refuse(CanonicalError::NotCanonical)
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open += 1;
        self.put(b'[')
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next()?;
        if first { Ok(()) } else { self.put(b',') }
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open -= 1;
        self.put(b']')
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open += 1;
        self.objects.push(self.members.len());
        self.put(b'{')
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        _: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next()?;
        if !first {
            self.put(b',')?;
        }
        self.key = self.out.len();
        self.escaped = false;
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        match self.keyed(self.key) {
            Ok(member) => self.members.push(member),
            Err(error) => return self.refuse(error),
        }
        Ok(())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        let end = self.out.len();
        if let Some(member) = self.members.last_mut() {
            member.end = end;
        }
        Ok(())
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.open -= 1;
        let first = self.objects.pop().unwrap_or_default();
        if let Err(error) = self.order(first) {
            return self.refuse(error);
        }
        self.members.truncate(first);
        self.put(b'}')
    }
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
        for wrap in [
            |inner: Value| json!([inner]),
            |inner| json!({ "in": inner }),
        ] {
            let deepest = (0..DEPTH_MAX).fold(json!(1), |inner, _| wrap(inner));
            assert!(to_bytes(&deepest).is_ok());
            let deeper = to_bytes(&wrap(deepest));
            assert!(matches!(deeper, Err(CanonicalError::Depth)));
        }
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

    /// A value whose members come in any order.
    #[derive(Debug, Clone)]
    enum Tree {
        Leaf(Value),
        List(Vec<Self>),
        Members(Vec<(String, Self)>),
    }

    impl Serialize for Tree {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self {
                Self::Leaf(leaf) => leaf.serialize(serializer),
                Self::List(items) => serializer.collect_seq(items),
                Self::Members(pairs) => serializer.collect_map(pairs.iter().map(|(k, v)| (k, v))),
            }
        }
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-INTEGER_MAX..=INTEGER_MAX).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_map(Tree::Leaf).prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Tree::List),
                prop::collection::btree_map("[\\x01-~]{0,3}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect::<Vec<_>>())
                    .prop_shuffle()
                    .prop_map(Tree::Members),
            ]
        })
    }

    /// Whether another library, given what these bytes say, writes these bytes; and we take numbers.
    fn is_canonical(bytes: &[u8]) -> bool {
        fn exact(value: &Value) -> bool {
            match value {
                Value::Number(number) => number
                    .as_i64()
                    .is_some_and(|number| (-INTEGER_MAX..=INTEGER_MAX).contains(&number)),
                Value::Array(items) => items.iter().all(exact),
                Value::Object(members) => members.values().all(exact),
                _ => true,
            }
        }
        serde_json::from_slice(bytes).is_ok_and(|value: Value| {
            exact(&value) && serde_json_canonicalizer::to_vec(&value).unwrap() == bytes
        })
    }

    proptest! {
        #[test]
        fn equals_rfc_8785_as_another_library_reads_it(tree in trees()) {
            let theirs = serde_json_canonicalizer::to_vec(&tree).unwrap();
            prop_assert_eq!(to_bytes(&tree).unwrap(), theirs);
        }

        #[test]
        fn bytes_are_taken_exactly_when_they_are_canonical(
            tree in trees(),
            canonical in any::<bool>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, "[ -~\n]"), 0..3),
        ) {
            let mut bytes = if canonical {
                to_bytes(&tree).unwrap()
            } else {
                serde_json::to_vec(&tree).unwrap()
            };
            for (at, change, with) in changes {
                if bytes.is_empty() {
                    break;
                }
                let at = at.index(bytes.len());
                match change {
                    0 => drop(bytes.remove(at)),
                    1 => bytes.insert(at, with.as_bytes()[0]),
                    _ => bytes[at] = with.as_bytes()[0],
                }
            }
            prop_assert_eq!(from_bytes::<Value>(&bytes).is_ok(), is_canonical(&bytes));
        }
    }
}
