//! The values of an object's own members, without reading the others. Of the others it is checked that
//! they are UTF-8 and that brackets and quotes pair, not that each is JSON; whatever is out of the ordinary
//! is left to a parser. Compiled once for each set of vector instructions, as `structure` is.

use super::structure::{BLOCK, Block, load, places};
use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};
use memchr::{memchr2, memrchr2};

/// How deeply brackets may be nested.
const DEPTH_MAX: u32 = 60;

/// Names of members, to look for: eight at most.
pub(crate) struct Names<const N: usize> {
    names: [&'static str; N],
    /// The last eight bytes of each with the quote before it, and which of their bits are of it.
    ends: [(u64, u64); N],
    /// Which of them end with a byte, one bit each: by that nearly every other name is told from them at
    /// once.
    by_last: [u8; 256],
}

impl<const N: usize> Names<N> {
    /// These names, which are not empty and have neither quotes nor backslashes.
    pub(crate) const fn of(names: [&'static str; N]) -> Self {
        const { assert!(N <= 8) };
        let (mut ends, mut by_last) = ([(0, 0); N], [0; 256]);
        let (mut left, mut ends_left) = (names.as_slice(), ends.as_mut_slice());
        let mut bit = 1;
        while let ([name, names @ ..], [end, ends @ ..]) = (left, ends_left) {
            let (mut bytes, mut shift) = (name.as_bytes(), u64::BITS);
            if let Some(last) = bytes.last()
                && let Some((_, [which, ..])) = by_last.split_at_mut_checked(*last as usize)
            {
                *which |= bit;
            }
            while let ([before @ .., last], 1..) = (bytes, shift) {
                shift -= 8;
                end.0 |= (*last as u64) << shift;
                bytes = before;
            }
            if shift > 0 {
                shift -= 8;
                end.0 |= (b'"' as u64) << shift;
            }
            end.1 = u64::MAX << shift;
            (left, ends_left) = (names, ends);
            bit <<= 1;
        }
        Self {
            names,
            ends,
            by_last,
        }
    }

    /// Which of them stands behind a quote at the end of `head`.
    #[inline(always)]
    fn ending(&self, head: &[u8]) -> Option<usize> {
        let last = usize::from(*head.last()?);
        let mut which = *self.by_last.get(last)?;
        while which != 0 {
            let at = which.trailing_zeros() as usize;
            if self.ends_with(at, head) {
                return Some(at);
            }
            which &= which - 1;
        }
        None
    }

    /// Whether this one stands behind a quote at the end of `head`.
    #[inline(always)]
    fn ends_with(&self, at: usize, head: &[u8]) -> bool {
        let (Some((end, of_it)), Some(name)) = (self.ends.get(at), self.names.get(at)) else {
            return false;
        };
        let last = match head.last_chunk() {
            Some(last) => u64::from_le_bytes(*last),
            None => {
                let mut last = 0;
                for byte in head {
                    last = last >> 8 | u64::from(*byte) << 56;
                }
                last
            }
        };
        if (last ^ end) & of_it != 0 {
            return false;
        }
        // Of shorter names that was all, with the quote.
        if name.len() < 8 {
            return true;
        }
        let Some((before, found)) = head.split_at_checked(head.len().wrapping_sub(name.len()))
        else {
            return false;
        };
        let (eights, of_name) = (found.as_chunks::<8>().0, name.as_bytes().as_chunks::<8>().0);
        let mut differ = 0;
        for (found, name) in eights.iter().zip(of_name) {
            differ |= u64::from_ne_bytes(*found) ^ u64::from_ne_bytes(*name);
        }
        differ == 0 && before.last() == Some(&b'"')
    }
}

/// The values of an object's own members of these names, as they are written, in the order of the names;
/// empty where there is no such member. None where that cannot be told for sure: where a name is
/// escaped or stands there twice, where a value has escapes, where a backslash stands outside texts,
/// where brackets do not pair or are nested more than [`DEPTH_MAX`] deep, or where the bytes are no UTF-8.
pub(crate) fn members<'a, const N: usize>(
    object: &'a [u8],
    names: &Names<N>,
) -> Option<[&'a [u8]; N]> {
    members_by(Level::new(), object, names)
}

/// The same, with the instructions of one level.
fn members_by<'a, const N: usize>(
    level: Level,
    object: &'a [u8],
    names: &Names<N>,
) -> Option<[&'a [u8]; N]> {
    dispatch!(level, simd => Members::new(object, names).read(simd))
}

/// Looks for members of an object.
struct Members<'a, 'n, const N: usize> {
    object: &'a [u8],
    names: &'n Names<N>,
    found: [&'a [u8]; N],
    /// For each open bracket whether it is a brace, the innermost lowest.
    braces: u64,
    depth: u32,
    /// A value that goes on: whose, and from where.
    open: Option<(usize, usize)>,
    /// Where the first block begins that has a backslash.
    escapes: usize,
}

/// Brackets and colons outside texts, by their places. They are put down first and looked at then:
/// what comes after what is alike from record to record, and which block it is in is not.
struct Marks {
    places: [u32; MARKS_MAX],
    count: usize,
}

/// As many marks are put down before they are looked at.
const MARKS_MAX: usize = 128;
/// So many are put down at once.
const ROW: usize = 4;

impl Marks {
    /// Whether those of another block may be put down.
    #[inline(always)]
    const fn has_room(&self) -> bool {
        self.count + BLOCK + ROW <= MARKS_MAX
    }

    /// Puts down those of the block at `at`.
    #[inline(always)]
    fn put(&mut self, mut marks: u64, at: u32) {
        let mut rest = self.places.get_mut(self.count..).unwrap_or_default();
        self.count += marks.count_ones() as usize;
        // A whole row, whether there are as many or not: what is too much is written over.
        while marks != 0
            && let Some((row, behind)) = rest.split_first_chunk_mut::<ROW>()
        {
            for place in row {
                *place = at.wrapping_add(marks.trailing_zeros());
                marks &= marks.wrapping_sub(1);
            }
            rest = behind;
        }
    }
}

impl<'a, 'n, const N: usize> Members<'a, 'n, N> {
    const fn new(object: &'a [u8], names: &'n Names<N>) -> Self {
        Self {
            object,
            names,
            found: [&[]; N],
            braces: 0,
            depth: 0,
            open: None,
            escapes: usize::MAX,
        }
    }

    #[inline(always)]
    fn read<S: Simd>(mut self, simd: S) -> Option<[&'a [u8]; N]> {
        if self.object.first() != Some(&b'{') {
            return None;
        }
        let (mut within, mut at) = (false, 0);
        // All bytes so far, together: none has the highest bit where all are ASCII.
        let mut all = u8x64::splat(simd, 0);
        let mut marks = Marks {
            places: [0; MARKS_MAX],
            count: 0,
        };
        while at < self.object.len() {
            let bytes = load(simd, self.object.get(at..)?)?;
            all |= bytes;
            let block = Block::of(simd, bytes, within);
            if block.stray {
                return None;
            }
            if block.escapes {
                self.escapes = self.escapes.min(at);
            }
            marks.put(block.marks(simd, bytes), u32::try_from(at).ok()?);
            if !marks.has_room() {
                self.look(simd, &marks)?;
                marks.count = 0;
            }
            within = block.ends_within();
            at += block.length;
        }
        self.look(simd, &marks)?;
        if self.depth != 0 || within {
            return None;
        }
        if all.simd_ge(u8x64::splat(simd, 0x80)).to_bitmask() != 0 {
            std::str::from_utf8(self.object).ok()?;
        }
        Some(self.found)
    }

    /// Looks at what was put down.
    #[inline(always)]
    fn look<S: Simd>(&mut self, simd: S, marks: &Marks) -> Option<()> {
        for place in marks.places.get(..marks.count)? {
            let place = *place as usize;
            let byte = *self.object.get(place)?;
            if byte == b':' {
                if self.depth == 1 {
                    self.colon(simd, place)?;
                }
                continue;
            }
            // Braces are brackets with one more bit.
            let brace = u64::from(byte >> 5 & 1);
            if matches!(byte, b'{' | b'[') {
                self.depth += 1;
                self.braces = self.braces << 1 | brace;
                if self.depth > DEPTH_MAX {
                    return None;
                }
                continue;
            }
            if self.braces & 1 != brace {
                return None;
            }
            self.braces >>= 1;
            self.depth = self.depth.checked_sub(1)?;
            if self.depth == 1
                && let Some((which, from)) = self.open.take()
            {
                *self.found.get_mut(which)? = self.object.get(from..=place)?;
            }
            if self.depth == 0 && place + 1 != self.object.len() {
                return None;
            }
        }
        Some(())
    }

    /// At the colon of a member.
    #[inline(always)]
    fn colon<S: Simd>(&mut self, simd: S, place: usize) -> Option<()> {
        // Outside texts, what stands before the colon is the quote that ends the name.
        let head = self.object.get(..place)?;
        let ends = head.len().checked_sub(1)?;
        let head = match head.get(ends)? {
            b'"' => head.get(..ends)?,
            _ => head.trim_ascii_end().strip_suffix(b"\"")?,
        };
        if place > self.escapes && is_escaped(head) {
            return None;
        }
        let Some(which) = self.names.ending(head) else {
            return Some(());
        };
        let value = self.found.get_mut(which)?;
        if !value.is_empty() || self.open.is_some() {
            return None;
        }
        let from = place + 1 + white(self.object.get(place + 1..)?);
        match self.object.get(from)? {
            b'{' | b'[' => self.open = Some((which, from)),
            _ => *value = scalar(simd, self.object.get(from..)?)?,
        }
        Some(())
    }
}

/// Whether the name has escapes that stands at the end of `head`, behind its quote.
fn is_escaped(head: &[u8]) -> bool {
    let Some(at) = memrchr2(b'"', b'\\', head) else {
        return true;
    };
    let backslash = |at: usize| head.get(at) == Some(&b'\\');
    backslash(at) || backslash(at.wrapping_sub(1))
}

fn white(bytes: &[u8]) -> usize {
    let space = |byte: &&u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
    bytes.iter().take_while(space).count()
}

/// The text or word with which `bytes` begin. None where it has escapes, or does not end.
#[inline(always)]
fn scalar<S: Simd>(simd: S, bytes: &[u8]) -> Option<&[u8]> {
    if bytes.first() == Some(&b'"') {
        let text = bytes.get(1..)?;
        let mut ends = 0;
        if let Some(block) = text.get(..BLOCK) {
            let block = u8x64::from_slice(simd, block);
            ends = places(simd, block, b'"') | places(simd, block, b'\\');
        }
        let end = match ends {
            0 => memchr2(b'"', b'\\', text)?,
            ends => ends.trailing_zeros() as usize,
        };
        if text.get(end) != Some(&b'"') {
            return None;
        }
        return bytes.get(..end + 2);
    }
    let ends = |byte: &u8| matches!(byte, b',' | b'}' | b' ' | b'\t' | b'\r' | b'\n');
    bytes.get(..bytes.iter().position(ends)?)
}

#[cfg(test)]
mod tests {
    use super::{Level, Names, members, members_by};
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
    use serde_json::Value;

    static NAMES: Names<3> = Names::of(["a", "event", "list_of_things"]);

    #[test]
    fn only_an_objects_own_members_are_found() {
        let text = r#"{"x":{"event":"no"},"list_of_things":[1,{"a":2}],"y":"\"event\":","event" : "yes","a":{"event":1}}"#;
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
            r#"{"x":\"y","a":1}"#,
            r#"{"a":1}}"#,
            r#"{"a":1"#,
            r#"{"a":1,"x":[1}}"#,
            r#"{"a":"#,
            r#"{"x":"}"#,
            r#"{"x":1}{"a":1}"#,
            r#"["a":1]"#,
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
                prop::collection::hash_map(
                    "(a|event|list_of_things|t_of_things|[a-z\"\\\\:,]{0,70})",
                    inner,
                    0..4
                )
                .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// A parser finds the same wherever anything is found at all; and what is found in text of any
        /// kind is never another thing than a parser finds there.
        #[test]
        fn a_parser_finds_the_same(
            map in prop::collection::hash_map("(a|event|list_of_things|t_of_things|[a-z\"\\\\:,{}]{0,70})", value(), 0..8),
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
            let found = members(text.as_bytes(), &NAMES);
            prop_assert_eq!(found, members_by(Level::baseline(), text.as_bytes(), &NAMES));
            if let (Some(found), Ok(Value::Object(parsed))) = (found, parsed) {
                for (name, found) in NAMES.names.iter().zip(found) {
                    let found: Option<Value> = (!found.is_empty())
                        .then(|| serde_json::from_slice(found).unwrap());
                    prop_assert_eq!(found.as_ref(), parsed.get(*name));
                }
            }
        }
    }
}
