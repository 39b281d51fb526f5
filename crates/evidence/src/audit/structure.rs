//! Which bytes of JSON text are structure and which stand in texts, sixty-four at a time. Every function
//! here is compiled once for each set of vector instructions, and the processor's best is taken when it
//! runs; all come to the same. For that, all of it must be inlined: no closures, no adapters of iterators,
//! wherever it matters. Finds no ends and no members: see `frames` and `members`.

use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};

/// How many bytes are looked at together.
pub(crate) const BLOCK: usize = 64;

/// Which bytes of a block stand in texts, one bit a byte; the first byte is the lowest bit.
pub(crate) struct Block {
    /// How many of its bytes were told apart: all, or all but a backslash at its end.
    pub(crate) length: usize,
    /// Bytes in texts, opening quotes included.
    text: u64,
    /// There are backslashes.
    pub(crate) escapes: bool,
    /// Some of them stand outside texts, where they escape nothing, and where no JSON has any. What
    /// was told of the block behind the first of them is then wrong.
    pub(crate) stray: bool,
}

/// Which bytes of a block are this one.
#[inline(always)]
pub(crate) fn places<S: Simd>(simd: S, block: u8x64<S>, byte: u8) -> u64 {
    block.simd_eq(u8x64::splat(simd, byte)).to_bitmask()
}

/// Every other bit, from the second on.
const ODD: u64 = 0xAAAA_AAAA_AAAA_AAAA;

impl Block {
    /// Looks at a block that begins within a text, or outside.
    #[inline(always)]
    pub(crate) fn of<S: Simd>(simd: S, block: u8x64<S>, within: bool) -> Self {
        let mut length = BLOCK;
        let mut quotes = places(simd, block, b'"');
        let backslashes = places(simd, block, b'\\');
        if backslashes != 0 {
            // Of a row of backslashes every other escapes what is behind it. Taking the row from the bits
            // behind its bytes borrows up to its end, which differs by whether the row begins at an odd
            // place.
            let escaping = (backslashes << 1 | ODD).wrapping_sub(backslashes) ^ ODD;
            quotes &= !(escaping ^ backslashes);
            if (escaping & backslashes) >> (BLOCK - 1) != 0 {
                length = BLOCK - 1;
            }
        }
        // Each bit becomes whether an odd number of quotes stand up to it.
        let mut text = quotes;
        for by in [1, 2, 4, 8, 16, 32] {
            text ^= text << by;
        }
        text ^= u64::from(within).wrapping_neg();
        Self {
            length,
            text,
            escapes: backslashes != 0,
            stray: backslashes & !text != 0,
        }
    }

    /// Opening brackets and braces outside texts, and closing ones.
    #[inline(always)]
    pub(crate) fn brackets<S: Simd>(&self, simd: S, block: u8x64<S>) -> [u64; 2] {
        let braces = block | u8x64::splat(simd, BRACE);
        let [opens, closes] = [places(simd, braces, b'{'), places(simd, braces, b'}')];
        [opens & !self.text, closes & !self.text]
    }

    /// Brackets, braces and colons outside texts, all together.
    #[inline(always)]
    pub(crate) fn marks<S: Simd>(&self, simd: S, block: u8x64<S>) -> u64 {
        let braces = block | u8x64::splat(simd, BRACE);
        let marks = braces.simd_eq(u8x64::splat(simd, b'{'))
            | braces.simd_eq(u8x64::splat(simd, b'}'))
            | block.simd_eq(u8x64::splat(simd, b':'));
        marks.to_bitmask() & !self.text
    }

    /// Whether what follows the block is within a text.
    #[inline(always)]
    pub(crate) const fn ends_within(&self) -> bool {
        self.text >> (self.length - 1) & 1 == 1
    }
}

/// Braces are brackets with this bit more.
const BRACE: u8 = 0x20;

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
        let next =
            block.simd_le(u8x64::splat(simd, b' ')) | block.simd_eq(u8x64::splat(simd, b'{'));
        let mut behind = (closes << 1 | before) & next.to_bitmask();
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
pub(crate) fn load<S: Simd>(simd: S, rest: &[u8]) -> Option<u8x64<S>> {
    if let Some(bytes) = rest.get(..BLOCK) {
        return Some(u8x64::from_slice(simd, bytes));
    }
    let mut padded = [b' '; BLOCK];
    padded.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(u8x64::from_slice(simd, &padded))
}

#[cfg(test)]
mod tests {
    use super::{BLOCK, Block, Level, line, line_by, places, u8x64};
    use fearless_simd::dispatch;
    use fearless_simd::prelude::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

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
                let (block, [opens, closes], marks, colons) = dispatch!(level, simd => {
                    let bytes = u8x64::from_slice(simd, &bytes);
                    let block = Block::of(simd, bytes, within);
                    let brackets = block.brackets(simd, bytes);
                    let marks = block.marks(simd, bytes);
                    (block, brackets, marks, places(simd, bytes, b':'))
                });
                let masks = [block.text, opens, closes];
                let told = [block.ends_within(), block.stray];
                prop_assert_eq!((block.length, masks, told), singly(&bytes, within));
                let of = |at: usize| u64::from(bytes[at] == b':') << at;
                prop_assert_eq!(colons, (0..BLOCK).map(of).sum::<u64>());
                prop_assert_eq!(marks, opens | closes | colons & !block.text);
            }
        }
    }
}
