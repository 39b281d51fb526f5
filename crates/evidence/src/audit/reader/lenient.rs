//! Values of hostile or careless JSON: of whatever type a field is, reading the record goes on, and
//! what is of another type than expected counts as absent. What is kept is bounded when it is put
//! into rows (`clip`).

use super::super::model::Format;
use countersign_domain::Digest;
use countersign_domain::text::shown;
use memchr::memmem::Finder;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

/// The longest text that a row holds, in characters.
const SHOWN_CHARS_MAX: usize = 240;
/// The most elements of a list that are kept.
const ELEMENTS_MAX: usize = 1000;

/// A text for a row: bounded, on one line, without characters that deceive.
pub(crate) fn clip(text: &str) -> String {
    let text = text.trim();
    let plain = |byte: &u8| matches!(byte, b' '..=b'~');
    if text.len() <= SHOWN_CHARS_MAX && text.as_bytes().iter().all(plain) {
        return text.to_owned();
    }
    shown(text, SHOWN_CHARS_MAX)
}

/// At most so many characters of a text, as they are.
pub(super) fn bounded(text: &str, chars_max: usize) -> String {
    first(text, chars_max).to_owned()
}

/// The first so many characters of a text.
pub(super) fn first(text: &str, chars_max: usize) -> &str {
    if text.len() <= chars_max {
        return text;
    }
    let end = text.char_indices().nth(chars_max);
    end.map_or(text, |(end, _)| text.get(..end).unwrap_or_default())
}

/// The record as what is read of it. None where it is no JSON or no UTF-8, is nested too deeply, or
/// names a field twice. Looked at as text once, so that each of its texts need not be.
pub(super) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(bytes).ok()?).ok()
}

/// Words that only records of one format have: what has none of them need not be parsed.
pub(super) struct Marks<const N: usize>(LazyLock<[Finder<'static>; N]>);

impl<const N: usize> Marks<N> {
    pub(super) const fn new(finders: fn() -> [Finder<'static>; N]) -> Self {
        Self(LazyLock::new(finders))
    }

    /// Which of them are in the record.
    pub(super) fn of(&self, bytes: &[u8]) -> [bool; N] {
        self.0.each_ref().map(|finder| finder.find(bytes).is_some())
    }
}

/// What makes an action the same, wherever it is read: all of these, in this order.
pub(crate) fn key(format: Format, parts: &[&str]) -> Digest {
    let mut bytes = format.as_str().as_bytes().to_vec();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    Digest::of(&bytes)
}

/// A text; numbers and truth values as they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Text(pub(super) String);

/// A text that is looked at where it stands, for what is read of every record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Word<'a>(pub(super) Cow<'a, str>);

/// True or false, also as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flag(pub(super) Option<bool>);

/// An object, or what stands for its absence.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Object<T>(pub(super) T);

/// A list; elements that are not as expected are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a> Word<'a> {
    /// A member's value as `members` gives it. None where a parser must say what it comes to.
    pub(super) fn of(value: &'a [u8]) -> Option<Self> {
        match value {
            b"" | b"null" => Some(Self::default()),
            b"true" => Some(Self(Cow::Borrowed("true"))),
            b"false" => Some(Self(Cow::Borrowed("false"))),
            _ => Some(Self(Cow::Borrowed(
                std::str::from_utf8(bytes(value)?).ok()?,
            ))),
        }
    }

    /// The text, if there is one.
    pub(super) fn some(&self) -> Option<&str> {
        let text = self.0.trim();
        (!text.is_empty()).then_some(text)
    }
}

impl Text {
    /// The text, if there is one.
    pub(super) fn some(&self) -> Option<&str> {
        let text = self.0.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The text, bounded; empty where there is none.
    pub(super) fn clip(&self) -> String {
        clip(&self.0)
    }
}

/// The bytes of a text that `members` gives; empty where there is none. None where a parser must say what
/// it comes to.
pub(super) fn bytes(value: &[u8]) -> Option<&[u8]> {
    match value {
        b"" | b"null" => Some(b""),
        [b'"', text @ .., b'"'] => (!has_control(text)).then_some(text),
        _ => None,
    }
}

/// Whether there are control characters, which no text has as they are; eight bytes at a time.
fn has_control(text: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let has = |bytes: &[u8; 8]| {
        let bytes = u64::from_ne_bytes(*bytes);
        // Only where one of them is below a space, its highest bit comes to be set.
        bytes.wrapping_sub(ONES * 0x20) & !bytes & (ONES * 0x80) != 0
    };
    match (text.as_chunks().0, text.last_chunk()) {
        (eights, Some(last)) => eights.iter().any(has) || has(last),
        (_, None) => text.iter().any(|byte| *byte < b' '),
    }
}

fn pass_seq<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn pass_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// What a visitor makes of types that it does not expect.
macro_rules! else_default {
    ($($method:ident($kind:ty)),*) => {
        $(fn $method<E: Error>(self, _: $kind) -> Result<Self::Value, E> {
            Ok(Default::default())
        })*
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Default::default())
        }
    };
}

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Word<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Word<'de>, E> {
                self.visit_string(text.to_owned())
            }
            fn visit_string<E: Error>(self, text: String) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Owned(text)))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<Word<'de>, E> {
                self.visit_string(number.to_string())
            }
            fn visit_i64<E: Error>(self, number: i64) -> Result<Word<'de>, E> {
                self.visit_string(number.to_string())
            }
            fn visit_bool<E: Error>(self, value: bool) -> Result<Word<'de>, E> {
                Ok(Word(Cow::Borrowed(if value { "true" } else { "false" })))
            }
            else_default!(visit_f64(f64));
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Word<'de>, A::Error> {
                pass_seq(seq).map(|()| Word::default())
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Word<'de>, A::Error> {
                pass_map(map).map(|()| Word::default())
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::deserialize(deserializer).map(|word| Self(word.0.into_owned()))
    }
}

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Word::deserialize(deserializer).map(|word| Self(word.0.parse().ok()))
    }
}

impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Default> Visitor<'de> for Reads<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
                pass_seq(seq).map(|()| Object::default())
            }
            else_default!(
                visit_str(&str),
                visit_u64(u64),
                visit_i64(i64),
                visit_f64(f64),
                visit_bool(bool)
            );
        }
        deserializer.deserialize_any(Reads(PhantomData))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reads<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List<T>, A::Error> {
                let mut list = Vec::new();
                while list.len() < ELEMENTS_MAX {
                    match seq.next_element()? {
                        Some(element) => list.push(element),
                        None => return Ok(List(list)),
                    }
                }
                pass_seq(seq).map(|()| List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<List<T>, A::Error> {
                pass_map(map).map(|()| List::default())
            }
            else_default!(
                visit_str(&str),
                visit_u64(u64),
                visit_i64(i64),
                visit_f64(f64),
                visit_bool(bool)
            );
        }
        deserializer.deserialize_any(Reads(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::{SHOWN_CHARS_MAX, clip, has_control, shown};
    use proptest::prelude::{any, prop, prop_assert_eq, prop_oneof, proptest};

    proptest! {
        #[test]
        fn control_characters_are_found_wherever_they_stand(
            bytes in prop::collection::vec(prop_oneof![0x1e..=0x22_u8, 0x7e..=0x82_u8, any::<u8>()], 0..40),
        ) {
            prop_assert_eq!(has_control(&bytes), bytes.iter().any(|byte| *byte < 0x20));
        }

        #[test]
        fn a_plain_text_is_clipped_as_any_other(text in "[ -~]{0,30}|.{0,30}|[a-z]{230,250}") {
            prop_assert_eq!(clip(&text), shown(text.trim(), SHOWN_CHARS_MAX));
        }
    }
}
