//! Which bytes of JSON text are structure and which stand in texts, sixty-four at a time; and by that
//! the values of an object's own members, without reading the others. Of the others it checks that they
//! are UTF-8 and that brackets and quotes pair, not that each is JSON; whatever is out of the ordinary
//! is left to a parser. Every function here is compiled once for each set of vector instructions, and
//! the processor's best is taken when it runs; all come to the same.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};
use memchr::memchr2;

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// How deeply brackets may be nested for `members`.
const DEPTH_MAX: u32 = 100;

/// What stands where in a block, one bit a byte; the first byte is the lowest bit.
pub(crate) struct Block {
    /// How many of its bytes were told apart: all, or all but a backslash at its end.
    pub(crate) length: usize,
    /// Quotes that begin or end a text.
    quotes: u64,
    /// Opening brackets and braces outside texts.
    pub(crate) opens: u64,
    /// Closing ones.
    pub(crate) closes: u64,
    /// Bytes in texts, opening quotes included.
    text: u64,
    /// There are backslashes.
    escapes: bool,
}

/// Which bytes of a block are this one.
#[inline(always)]
pub(crate) fn places<S: Simd>(simd: S, block: u8x64<S>, byte: u8) -> u64 {
    block.simd_eq(u8x64::splat(simd, byte)).to_bitmask()
}

impl Block {
    /// Looks at a block that begins within a text, or outside.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, block: u8x64<S>, within: bool) -> Self {
        let mut length = BLOCK;
        let mut quotes = places(simd, block, b'"');
        let mut backslashes = places(simd, block, b'\\');
        let escapes = backslashes != 0;
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
        let braces = block | u8x64::splat(simd, 0x20);
        Self {
            length,
            quotes,
            opens: places(simd, braces, b'{') & !text,
            closes: places(simd, braces, b'}') & !text,
            text,
            escapes,
        }
    }

    /// Whether what follows the block is within a text.
    #[inline(always)]
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
    members_by(Level::new(), object, names)
}

/// The same, with the instructions of one level.
fn members_by<'a, const N: usize>(
    level: Level,
    object: &'a [u8],
    names: &[&str; N],
) -> Option<[&'a [u8]; N]> {
    dispatch!(level, simd => Members::new(object, names).read(simd))
}

/// Looks for members of an object.
struct Members<'a, 'n, const N: usize> {
    object: &'a [u8],
    names: &'n [&'n str; N],
    found: [&'a [u8]; N],
    /// For each open bracket whether it is a brace, the innermost lowest.
    braces: u128,
    depth: u32,
    /// The last two quotes before the block, the later one second.
    before: [usize; 2],
    /// A value that goes on: whose, and from where.
    open: Option<(usize, usize)>,
    /// Backslashes were seen.
    escapes: bool,
}

impl<'a, 'n, const N: usize> Members<'a, 'n, N> {
    const fn new(object: &'a [u8], names: &'n [&'n str; N]) -> Self {
        Self {
            object,
            names,
            found: [&[]; N],
            braces: 0,
            depth: 0,
            before: [0, 0],
            open: None,
            escapes: false,
        }
    }

    #[inline(always)]
    fn read<S: Simd>(mut self, simd: S) -> Option<[&'a [u8]; N]> {
        let (mut within, mut at) = (false, 0);
        // All bytes so far, together: none has the highest bit where all are ASCII.
        let mut all = u8x64::splat(simd, 0);
        while at < self.object.len() {
            let rest = self.object.get(at..)?;
            let bytes = match rest.get(..BLOCK) {
                Some(bytes) => u8x64::from_slice(simd, bytes),
                None => {
                    let mut padded = [b' '; BLOCK];
                    padded.get_mut(..rest.len())?.copy_from_slice(rest);
                    u8x64::from_slice(simd, &padded)
                }
            };
            all |= bytes;
            let block = Block::of(simd, bytes, within);
            let colons = places(simd, bytes, b':') & !block.text;
            self.escapes |= block.escapes;
            self.block(&block, colons, at)?;
            self.before = last_two(block.quotes, at, self.before);
            within = block.ends_within();
            at += block.length;
        }
        if self.depth != 0 || within {
            return None;
        }
        if all.simd_ge(u8x64::splat(simd, 0x80)).to_bitmask() != 0 {
            std::str::from_utf8(self.object).ok()?;
        }
        Some(self.found)
    }

    /// Looks at what stands in the block at `at`, between its brackets and at them.
    #[inline(always)]
    fn block(&mut self, block: &Block, colons: u64, at: usize) -> Option<()> {
        let mut brackets = block.opens | block.closes;
        let mut colons = colons;
        loop {
            let bit = brackets.trailing_zeros();
            if self.depth == 1 {
                let up_to = 1_u64.checked_shl(bit).unwrap_or(0).wrapping_sub(1);
                let mut own = colons & up_to;
                while own != 0 {
                    let bit = own.trailing_zeros() as usize;
                    let quotes = block.quotes & ((1 << bit) - 1);
                    self.colon(at + bit, last_two(quotes, at, self.before))?;
                    own &= own - 1;
                }
            }
            if brackets == 0 {
                return Some(());
            }
            let place = at + bit as usize;
            let brace = self.object.get(place)? & 0x20 != 0;
            if block.opens >> bit & 1 == 1 {
                self.depth += 1;
                self.braces = self.braces << 1 | u128::from(brace);
                if self.depth > DEPTH_MAX {
                    return None;
                }
            } else {
                if (self.braces & 1 == 1) != brace {
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
            // Nothing up to here is looked at again.
            colons &= u64::MAX << bit;
            brackets &= brackets - 1;
        }
    }

    /// At the colon of a member, whose name stands between these two quotes.
    #[inline(always)]
    fn colon(&mut self, place: usize, [begins, ends]: [usize; 2]) -> Option<()> {
        let name = self.object.get(begins + 1..ends)?;
        if self.escapes && name.contains(&b'\\') {
            return None;
        }
        let is = |one: &&str| {
            let one = one.as_bytes();
            one.len() == name.len() && one.last() == name.last() && one == name
        };
        let Some(which) = self.names.iter().position(is) else {
            return Some(());
        };
        let value = self.found.get_mut(which)?;
        if !value.is_empty() || self.open.is_some() {
            return None;
        }
        let from = place + 1 + white(self.object.get(place + 1..)?);
        match self.object.get(from)? {
            b'{' | b'[' => self.open = Some((which, from)),
            _ => *value = scalar(self.object.get(from..)?)?,
        }
        Some(())
    }
}

/// The last two quotes up to a place, where `quotes` are those from `at` on.
#[inline(always)]
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
    use super::{BLOCK, Block, Level, members, members_by, places, u8x64};
    use fearless_simd::dispatch;
    use fearless_simd::prelude::*;
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
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
            let found = members(text.as_bytes(), &NAMES);
            prop_assert_eq!(found, members_by(Level::baseline(), text.as_bytes(), &NAMES));
            if let (Some(found), Ok(Value::Object(parsed))) = (found, parsed) {
                for (name, found) in NAMES.iter().zip(found) {
                    let found: Option<Value> = (!found.is_empty())
                        .then(|| serde_json::from_slice(found).unwrap());
                    prop_assert_eq!(found.as_ref(), parsed.get(*name));
                }
            }
        }
    }

    /// What stands where, byte by byte.
    fn singly(block: &[u8; BLOCK], within: bool) -> (usize, [u64; 4], bool) {
        let (mut inside, mut escaped) = (within, false);
        let (mut length, mut masks) = (BLOCK, [0; 4]);
        for (at, byte) in block.iter().enumerate() {
            let bit = 1_u64 << at;
            let (was, skip) = (inside, std::mem::take(&mut escaped));
            match byte {
                _ if skip => {}
                b'\\' if at + 1 == BLOCK => length = at,
                b'\\' => escaped = true,
                b'"' => {
                    inside = !inside;
                    masks[0] |= bit;
                }
                _ => {}
            }
            if inside {
                masks[1] |= bit;
            }
            if !was && !inside {
                match byte {
                    b'{' | b'[' => masks[2] |= bit,
                    b'}' | b']' => masks[3] |= bit,
                    _ => {}
                }
            }
        }
        (length, masks, masks[1] >> (length - 1) & 1 == 1)
    }

    proptest! {
        /// On every set of instructions that this machine has, a block is what it is byte by byte.
        #[test]
        fn a_block_is_the_same_however_it_is_looked_at(
            bytes in prop::collection::vec(prop::sample::select(b"\"\\{}[]:,a\n \xc3".to_vec()), BLOCK),
            within in any::<bool>(),
        ) {
            let bytes: [u8; BLOCK] = bytes.try_into().unwrap();
            for level in [Level::new(), Level::baseline()] {
                let (block, colons) = dispatch!(level, simd => {
                    let bytes = u8x64::from_slice(simd, &bytes);
                    (Block::of(simd, bytes, within), places(simd, bytes, b':'))
                });
                let masks = [block.quotes, block.text, block.opens, block.closes];
                prop_assert_eq!((block.length, masks, block.ends_within()), singly(&bytes, within));
                let of = |at: usize| u64::from(bytes[at] == b':') << at;
                prop_assert_eq!(colons, (0..BLOCK).map(of).sum::<u64>());
            }
        }
    }
}
