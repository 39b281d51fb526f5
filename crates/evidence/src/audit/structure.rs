//! Which bytes of JSON text are structure and which stand in texts, sixty-four at a time; and by that
//! the values of an object's own members, without reading the others. Of the others it checks that they
//! are UTF-8 and that brackets and quotes pair, not that each is JSON; whatever is out of the ordinary
//! is left to a parser.

use memchr::memchr2;
use wide::u8x16;

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// How deeply brackets may be nested for `members`.
const DEPTH_MAX: u32 = 100;

/// What stands where in a block, one bit a byte; the first byte is the lowest bit.
pub(crate) struct Block {
    /// How many of its bytes were told apart: all, or all but a backslash at its end.
    pub(crate) length: usize,
    /// Quotes that begin or end a text.
    pub(crate) quotes: u64,
    /// Opening brackets and braces outside texts.
    pub(crate) opens: u64,
    /// Closing ones.
    pub(crate) closes: u64,
    /// Bytes in texts, opening quotes included.
    text: u64,
}

/// Which bytes of a block are of some kind.
fn mask(block: &[u8; BLOCK], like: impl Fn(u8x16) -> u8x16) -> u64 {
    let (parts, _) = block.as_chunks::<16>();
    parts.iter().rev().fold(0, |mask, part| {
        mask << 16 | u64::from(like(u8x16::new(*part)).to_bitmask())
    })
}

/// Which bytes of a block are this one.
pub(crate) fn places(block: &[u8; BLOCK], byte: u8) -> u64 {
    mask(block, |part| part.simd_eq(u8x16::splat(byte)))
}

impl Block {
    /// Looks at a block that begins within a text, or outside.
    pub(crate) fn of(block: &[u8; BLOCK], within: bool) -> Self {
        let mut length = BLOCK;
        let mut quotes = places(block, b'"');
        let mut backslashes = places(block, b'\\');
        while backslashes != 0 {
            let at = backslashes.trailing_zeros();
            // What it escapes, another backslash included.
            match 2_u64.checked_shl(at) {
                Some(escaped) if escaped != 0 => {
                    quotes &= !escaped;
                    backslashes &= !escaped;
                }
                _ => length = BLOCK - 1,
            }
            backslashes &= backslashes.wrapping_sub(1);
        }
        // Each bit becomes whether an odd number of quotes stand up to it.
        let mut text = quotes;
        for by in [1, 2, 4, 8, 16, 32] {
            text ^= text << by;
        }
        if within {
            text = !text;
        }
        // Braces are brackets with one more bit.
        let brackets = |byte: u8| {
            mask(block, |part| {
                (part | u8x16::splat(0x20)).simd_eq(u8x16::splat(byte))
            }) & !text
        };
        Self {
            length,
            quotes,
            opens: brackets(b'{'),
            closes: brackets(b'}'),
            text,
        }
    }

    /// Of these bytes, those outside texts.
    pub(crate) const fn outside(&self, places: u64) -> u64 {
        places & !self.text
    }

    /// Whether what follows the block is within a text.
    pub(crate) const fn ends_within(&self) -> bool {
        self.text >> (self.length - 1) & 1 == 1
    }
}

/// The values of an object's own members of these names, as they are written, in the order of the names;
/// empty where there is no such member. None where that cannot be told for sure: where a name is
/// escaped or stands there twice, where a value has escapes, where brackets do not pair or are nested
/// more than [`DEPTH_MAX`] deep, or where the bytes are no UTF-8.
pub(crate) fn members<'a, const N: usize>(
    object: &'a [u8],
    names: &[&str; N],
) -> Option<[&'a [u8]; N]> {
    std::str::from_utf8(object).ok()?;
    let mut found: [&[u8]; N] = [&[]; N];
    // For each open bracket whether it is a brace, the innermost lowest.
    let mut braces = 0_u128;
    let (mut depth, mut within, mut at) = (0_u32, false, 0);
    // The last two quotes before `at`, the later one second.
    let mut before = [0, 0];
    // A value that goes on: whose, and from where.
    let mut open: Option<(usize, usize)> = None;
    while at < object.len() {
        let rest = object.get(at..)?;
        let mut padded = [b' '; BLOCK];
        let bytes = match rest.first_chunk() {
            Some(bytes) => bytes,
            None => {
                padded.get_mut(..rest.len())?.copy_from_slice(rest);
                &padded
            }
        };
        let block = Block::of(bytes, within);
        let colons = block.outside(places(bytes, b':'));
        let mut bits = block.opens | block.closes | colons;
        while bits != 0 {
            let bit = bits.trailing_zeros() as usize;
            bits &= bits - 1;
            let place = at + bit;
            if block.opens >> bit & 1 == 1 {
                depth += 1;
                braces = braces << 1 | u128::from(object.get(place) == Some(&b'{'));
                if depth > DEPTH_MAX {
                    return None;
                }
            } else if block.closes >> bit & 1 == 1 {
                depth = depth.checked_sub(1)?;
                if (braces & 1 == 1) != (object.get(place) == Some(&b'}')) {
                    return None;
                }
                braces >>= 1;
                if depth == 1
                    && let Some((which, from)) = open.take()
                {
                    *found.get_mut(which)? = object.get(from..=place)?;
                }
            } else if depth == 1 {
                let [begins, ends] = last_two(block.quotes & ((1 << bit) - 1), at, before);
                let name = object.get(begins + 1..ends)?;
                if name.contains(&b'\\') {
                    return None;
                }
                let Some(which) = names.iter().position(|one| one.as_bytes() == name) else {
                    continue;
                };
                let value = found.get_mut(which)?;
                if !value.is_empty() || open.is_some() {
                    return None;
                }
                let from = place + 1 + white(object.get(place + 1..)?);
                match object.get(from)? {
                    b'{' | b'[' => open = Some((which, from)),
                    _ => *value = scalar(object.get(from..)?)?,
                }
            }
        }
        before = last_two(block.quotes, at, before);
        within = block.ends_within();
        at += block.length;
    }
    (depth == 0 && !within).then_some(found)
}

/// The last two quotes up to a place, where `quotes` are those from `at` on.
fn last_two(quotes: u64, at: usize, before: [usize; 2]) -> [usize; 2] {
    let Some(last) = quotes.checked_ilog2() else {
        return before;
    };
    match (quotes & !(1 << last)).checked_ilog2() {
        Some(other) => [at + other as usize, at + last as usize],
        None => [before[1], at + last as usize],
    }
}

fn white(bytes: &[u8]) -> usize {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    bytes.iter().take_while(space).count()
}

/// The text or word with which `bytes` begin. None where it has escapes, or does not end.
fn scalar(bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first() == Some(&b'"') {
        let end = memchr2(b'"', b'\\', bytes.get(1..)?)? + 1;
        return (bytes.get(end) == Some(&b'"'))
            .then(|| bytes.get(..=end))
            .flatten();
    }
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    bytes.get(..bytes.iter().position(ends)?)
}

#[cfg(test)]
mod tests {
    use super::members;
    use proptest::prelude::*;
    use serde_json::Value;

    const NAMES: [&str; 3] = ["a", "event", "list"];

    #[test]
    fn only_an_objects_own_members_are_found() {
        let text = r#"{"x":{"event":"no"},"list":[1,{"a":2}],"y":"\"event\":","event" : "yes","a":{"event":1}}"#;
        let found = members(text.as_bytes(), &NAMES).unwrap();
        let found = found.map(|value| std::str::from_utf8(value).unwrap());
        assert_eq!(found, [r#"{"event":1}"#, "\"yes\"", r#"[1,{"a":2}]"#]);
    }

    #[test]
    fn what_is_out_of_the_ordinary_is_left_to_a_parser() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"\u0061":1}"#,
            r#"{"a":"\n"}"#,
            r#"{"a":1}}"#,
            r#"{"a":1"#,
            r#"{"a":1,"x":[1}}"#,
            r#"{"a":"#,
            r#"{"x":"}"#,
        ] {
            assert_eq!(members(text.as_bytes(), &NAMES), None, "{text}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-z{}\\[\\]\",:\\\\ \n]{0,90}".prop_map(Into::into),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::hash_map("(a|event|list|[a-z\"\\\\:,]{0,70})", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// A parser finds the same wherever anything is found at all; and what is found in text of any
        /// kind is never another thing than a parser finds there.
        #[test]
        fn a_parser_finds_the_same(
            map in prop::collection::hash_map("(a|event|list|[a-z\"\\\\:,{}]{0,70})", value(), 0..8),
            pretty in any::<bool>(),
            cut in prop::option::of((any::<prop::sample::Index>(), "[{}\\[\\]\",:\\\\a]{0,2}")),
        ) {
            let object = Value::Object(map.into_iter().collect());
            let mut text = if pretty {
                serde_json::to_string_pretty(&object).unwrap()
            } else {
                object.to_string()
            };
            if let Some((at, with)) = &cut {
                let at = at.index(text.len());
                if text.is_char_boundary(at) {
                    text.insert_str(at, with);
                }
            }
            let parsed: Result<Value, _> = serde_json::from_str(&text);
            if let (Some(found), Ok(Value::Object(parsed))) = (members(text.as_bytes(), &NAMES), parsed) {
                for (name, found) in NAMES.iter().zip(found) {
                    let found: Option<Value> = (!found.is_empty())
                        .then(|| serde_json::from_slice(found).unwrap());
                    prop_assert_eq!(found.as_ref(), parsed.get(*name));
                }
            }
        }
    }
}
