//! Finds the end of an object by its brackets, over as many pieces of it as come. Does not check
//! that what is between them is JSON.

use super::super::structure::{self, BLOCK, places};
use fearless_simd::prelude::*;
use fearless_simd::{Level, dispatch, u8x64};
use memchr::memchr3;

/// How far an object was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Scan {
    /// How many brackets are open.
    depth: u64,
    /// Within a text.
    text: bool,
    /// The last byte that is no white space, outside texts.
    last: u8,
    /// The byte before was the end of a line.
    fresh: bool,
}

/// How far a scan came, as a place in the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Behind the closing brace.
    End(usize),
    /// At a line's brace that must be the next record's: the one before was never closed.
    Next(usize),
    /// Where no object goes on: at the end of a line within a text, at a bracket too many.
    Lost(usize),
    /// Behind all that can be looked at yet.
    More(usize),
}

/// Where a text ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// Behind its closing quote.
    Ends(usize),
    /// At the end of a line, which no text contains.
    Line(usize),
    /// Not yet; so much of it was looked at.
    Open(usize),
}

/// Where the text ends whose opening quote is before `bytes`.
pub(super) fn text(bytes: &[u8]) -> Text {
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| memchr3(b'"', b'\\', b'\n', rest))
    {
        at += found;
        match bytes.get(at) {
            Some(b'"') => return Text::Ends(at + 1),
            Some(b'\\') if bytes.get(at + 1) == Some(&b'\n') => return Text::Line(at + 1),
            Some(b'\\') if at + 1 < bytes.len() => at += 2,
            Some(b'\\') => return Text::Open(at),
            _ => return Text::Line(at),
        }
    }
    Text::Open(bytes.len())
}

/// What looking at a block comes to.
enum Block {
    /// The object goes on behind it.
    Passed,
    /// The object ends so many bytes in.
    End(usize),
    /// A bracket too many stands so many bytes in.
    Lost(usize),
    /// It holds the end of a line, ends with a backslash or has one outside texts: to be looked at byte
    /// by byte.
    Special,
}

impl Scan {
    /// Looks at a block at once.
    #[inline(always)]
    fn block<S: Simd>(&mut self, simd: S, block: &[u8; BLOCK]) -> Block {
        let bytes = u8x64::from_slice(simd, block);
        if places(simd, bytes, b'\n') != 0 {
            return Block::Special;
        }
        let seen = structure::Block::of(simd, bytes, self.text);
        if seen.length < BLOCK || seen.stray {
            return Block::Special;
        }
        let [opens, closes] = seen.brackets(simd, bytes);
        let (rise, fall) = (
            u64::from(opens.count_ones()),
            u64::from(closes.count_ones()),
        );
        if self.depth > fall {
            self.depth = self.depth + rise - fall;
        } else {
            let mut brackets = opens | closes;
            while brackets != 0 {
                let at = brackets.trailing_zeros() as usize;
                if opens >> at & 1 == 1 {
                    self.depth += 1;
                } else {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return if block.get(at) == Some(&b'}') {
                            Block::End(at + 1)
                        } else {
                            Block::Lost(at)
                        };
                    }
                }
                brackets &= brackets - 1;
            }
        }
        self.text = seen.ends_within();
        let blank = |byte: &&u8| !matches!(**byte, b' ' | b'\t' | b'\r');
        if self.text {
            self.last = b'"';
        } else if let Some(last) = block.iter().rev().find(blank) {
            self.last = *last;
        }
        Block::Passed
    }

    /// Within an object, behind its opening brace.
    pub(super) fn inside() -> Self {
        Self {
            depth: 1,
            last: b']',
            ..Self::default()
        }
    }

    /// Looks at `bytes` from `at` on.
    pub(super) fn run(&mut self, bytes: &[u8], at: usize) -> Step {
        dispatch!(Level::new(), simd => self.run_by(simd, bytes, at))
    }

    #[inline(always)]
    fn run_by<S: Simd>(&mut self, simd: S, bytes: &[u8], mut at: usize) -> Step {
        // Up to where byte by byte is looked.
        let mut singly = at;
        loop {
            if at >= singly && !self.fresh {
                match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
                    None => singly = usize::MAX,
                    Some(block) => match self.block(simd, block) {
                        Block::Passed => {
                            at += BLOCK;
                            continue;
                        }
                        Block::End(count) => return Step::End(at + count),
                        Block::Lost(count) => return Step::Lost(at + count),
                        Block::Special => singly = at + BLOCK,
                    },
                }
            }
            if self.text {
                match text(bytes.get(at..).unwrap_or_default()) {
                    Text::Ends(length) => at += length,
                    Text::Line(length) => return Step::Lost(at + length),
                    Text::Open(length) => return Step::More(at + length),
                }
                self.text = false;
                self.last = b'"';
            }
            let Some(&byte) = bytes.get(at) else {
                return Step::More(at);
            };
            let fresh = std::mem::take(&mut self.fresh);
            match byte {
                b' ' | b'\t' | b'\r' => {
                    at += 1;
                    continue;
                }
                b'\n' => {
                    self.fresh = true;
                    at += 1;
                    continue;
                }
                b'"' => self.text = true,
                b'{' if fresh && self.depth > 0 && !matches!(self.last, b',' | b'[' | b':') => {
                    return Step::Next(at);
                }
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    match (self.depth, byte) {
                        (0, b'}') => return Step::End(at + 1),
                        (0, _) => return Step::Lost(at),
                        _ => {}
                    }
                }
                _ => {}
            }
            self.last = byte;
            at += 1;
        }
    }
}
