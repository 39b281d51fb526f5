//! Which bytes of JSON text are structure and which stand in texts, sixty-four at a time; and by that
//! the values of an object's own members, without reading the others. Of the others it checks that they
//! are UTF-8 and that brackets and quotes pair, not that each is JSON; whatever is out of the ordinary
//! is left to a parser. Every function here is compiled once for each set of vector instructions, and
//! the processor's best is taken when it runs; all come to the same. For that, all of it must be inlined:
//! no closures, no adapters of iterators, wherever it matters.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};
use memchr::{memchr2, memrchr2};

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// How deeply brackets may be nested for `members`.
const DEPTH_MAX: u32 = 60;

/// What stands where in a block, one bit a byte; the first byte is the lowest bit.
pub(crate) struct Block {
    /// How many of its bytes were told apart: all, or all but a backslash at its end.
    pub(crate) length: usize,
    /// Opening brackets and braces outside texts.
    pub(crate) opens: u64,
    /// Closing ones.
    pub(crate) closes: u64,
    /// Bytes in texts, opening quotes included.
    text: u64,
    /// There are backslashes.
    escapes: bool,
    /// Some of them stand outside texts, where they escape nothing, and where no JSON has any. What
    /// was told of the block behind the first of them is then wrong.
    pub(crate) stray: bool,
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
        let all_backslashes = places(simd, block, b'\\');
        let mut backslashes = all_backslashes;
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
            opens: places(simd, braces, b'{') & !text,
            closes: places(simd, braces, b'}') & !text,
            text,
            escapes: all_backslashes != 0,
            stray: all_backslashes & !text != 0,
        }
    }

    /// Whether what follows the block is within a text.
    #[inline(always)]
    pub(crate) const fn ends_within(&self) -> bool {
        self.text >> (self.length - 1) & 1 == 1
    }
}

/// A line with which something begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Where it ends.
    pub(crate) end: usize,
    /// Nowhere in it a closing brace stands before white space or an opening brace, but for the white
    /// space that ends it: where it is one object, it is one as it stands.
    pub(crate) dense: bool,
}

/// The line with which `bytes` begin; None where it does not end.
pub(crate) fn line(bytes: &[u8]) -> Option<Line> {
    line_by(Level::new(), bytes)
}

/// The same, with the instructions of one level.
fn line_by(level: Level, bytes: &[u8]) -> Option<Line> {
    dispatch!(level, simd => read_line(simd, bytes))
}

#[inline(always)]
fn read_line<S: Simd>(simd: S, bytes: &[u8]) -> Option<Line> {
    let (mut at, mut dense) = (0, true);
    // Whether the byte before the block is a closing brace, as its lowest bit.
    let mut before = 0;
    while at < bytes.len() {
        let block = load(simd, bytes.get(at..)?)?;
        let closes = places(simd, block, b'}');
        let white = block.simd_le(u8x64::splat(simd, b' ')).to_bitmask();
        let mut behind = (closes << 1 | before) & (places(simd, block, b'{') | white);
        let ends = places(simd, block, b'\n');
        if ends != 0 {
            let end = at + ends.trailing_zeros() as usize;
            behind &= ends.wrapping_sub(1) & !ends;
            if end > 0 && bytes.get(end - 1) == Some(&b'\r') {
                behind &= !((ends & ends.wrapping_neg()) >> 1);
            }
            dense &= behind == 0;
            return Some(Line { end, dense });
        }
        dense &= behind == 0;
        before = closes >> (BLOCK - 1);
        at += BLOCK;
    }
    None
}

/// The next block; behind the end stand spaces.
#[inline(always)]
fn load<S: Simd>(simd: S, rest: &[u8]) -> Option<u8x64<S>> {
    if let Some(bytes) = rest.get(..BLOCK) {
        return Some(u8x64::from_slice(simd, bytes));
    }
    let mut padded = [b' '; BLOCK];
    padded.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(u8x64::from_slice(simd, &padded))
}

/// Names of members, to look for.
pub(crate) struct Names<const N: usize> {
    names: [&'static str; N],
    /// The last eight bytes of each with the quote before it, and which of their bits are of it: by
    /// them nearly every other name is told from it at once.
    ends: [(u64, u64); N],
}

impl<const N: usize> Names<N> {
    /// These names, which have neither quotes nor backslashes.
    pub(crate) const fn of(names: [&'static str; N]) -> Self {
        let mut ends = [(0, 0); N];
        let (mut left, mut ends_left) = (names.as_slice(), ends.as_mut_slice());
        while let ([name, names @ ..], [end, ends @ ..]) = (left, ends_left) {
            let (mut bytes, mut shift) = (name.as_bytes(), u64::BITS);
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
        }
        Self { names, ends }
    }

    /// Which of them stands behind a quote at the end of `head`.
    #[inline(always)]
    fn ending(&self, head: &[u8]) -> Option<usize> {
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
        for (which, ((end, of_it), name)) in self.ends.iter().zip(&self.names).enumerate() {
            if (last ^ end) & of_it == 0
                && let Some(before) = head.strip_suffix(name.as_bytes())
                && before.last() == Some(&b'"')
            {
                return Some(which);
            }
        }
        None
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
const MARKS_MAX: usize = 256;
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
            let colons = places(simd, bytes, b':') & !block.text;
            marks.put(block.opens | block.closes | colons, u32::try_from(at).ok()?);
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
    use super::{BLOCK, Block, Level, Names, line, line_by, members, members_by, places, u8x64};
    use fearless_simd::dispatch;
    use fearless_simd::prelude::*;
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

    #[test]
    fn a_line_is_dense_where_no_brace_closes_before_white_space_or_another() {
        let long = format!("{{\"a\":{{}},\"b\":\"{}\"}}", "x".repeat(200));
        for text in ["{}", "{\"a\":{}}", "{}x}", "", &long] {
            for end in ["\n", "\r\n"] {
                let line = line(format!("{text}{end}{{}} {{}}").as_bytes()).unwrap();
                assert_eq!(
                    (line.end, line.dense),
                    (text.len() + end.len() - 1, true),
                    "{text}"
                );
            }
        }
        for text in ["{}{", "{} ", "{}\t}", "{}\r}"] {
            assert!(
                !line(format!("{text}\n{{").as_bytes()).unwrap().dense,
                "{text}"
            );
        }
        assert_eq!(line(long.as_bytes()), None);
    }

    /// What stands where, byte by byte.
    fn singly(block: &[u8; BLOCK], within: bool) -> (usize, [u64; 3], [bool; 2]) {
        let (mut inside, mut escaped, mut stray) = (within, false, false);
        let (mut length, mut masks) = (BLOCK, [0; 3]);
        for (at, byte) in block.iter().enumerate() {
            let bit = 1_u64 << at;
            let (was, skip) = (inside, std::mem::take(&mut escaped));
            stray |= *byte == b'\\' && !inside;
            match byte {
                _ if skip => {}
                b'\\' if at + 1 == BLOCK => length = at,
                b'\\' => escaped = true,
                b'"' => inside = !inside,
                _ => {}
            }
            if inside {
                masks[0] |= bit;
            }
            if !was && !inside {
                match byte {
                    b'{' | b'[' => masks[1] |= bit,
                    b'}' | b']' => masks[2] |= bit,
                    _ => {}
                }
            }
        }
        let within = masks[0] >> (length - 1) & 1 == 1;
        (length, masks, [within, stray])
    }

    proptest! {
        /// On every set of instructions that this machine has, a block is what it is byte by byte.
        #[test]
        fn a_block_is_the_same_however_it_is_looked_at(
            bytes in prop::collection::vec(prop::sample::select(b"\"\\{}[]:,a\n \xc3".to_vec()), BLOCK),
            within in any::<bool>(),
        ) {
            let bytes: [u8; BLOCK] = bytes.try_into().unwrap();
            let lines = [line_by(Level::new(), &bytes[1..]), line_by(Level::baseline(), &bytes[1..])];
            let end = bytes[1..].iter().position(|byte| *byte == b'\n');
            prop_assert_eq!(lines.map(|line| line.map(|line| line.end)), [end; 2]);
            prop_assert_eq!(lines[0], lines[1]);
            for level in [Level::new(), Level::baseline()] {
                let (block, colons) = dispatch!(level, simd => {
                    let bytes = u8x64::from_slice(simd, &bytes);
                    (Block::of(simd, bytes, within), places(simd, bytes, b':'))
                });
                let masks = [block.text, block.opens, block.closes];
                let told = [block.ends_within(), block.stray];
                prop_assert_eq!((block.length, masks, told), singly(&bytes, within));
                let of = |at: usize| u64::from(bytes[at] == b':') << at;
                prop_assert_eq!(colons, (0..BLOCK).map(of).sum::<u64>());
            }
        }
    }
}
