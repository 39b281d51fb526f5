//! Finds the end of an object by its brackets, over as many pieces of it as come. Does not check
//! that what is between them is JSON.

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

impl Scan {
    /// Within an object, behind its opening brace.
    pub(super) fn inside() -> Self {
        Self {
            depth: 1,
            last: b']',
            ..Self::default()
        }
    }

    /// Looks at `bytes` from `at` on.
    pub(super) fn run(&mut self, bytes: &[u8], mut at: usize) -> Step {
        loop {
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
