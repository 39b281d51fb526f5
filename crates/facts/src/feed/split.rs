//! Cuts a stream of JSON into its elements, one bounded slice at a time: the members of one array,
//! or values one after another (JSON Lines, or a single object). It looks only at brackets, strings
//! and separators; each slice is then parsed, or refused, by a real JSON parser.

use super::FeedError;
use std::io::BufRead;

/// One element of a collection.
pub(super) enum Element<'a> {
    /// Its bytes; whether they are JSON is for the parser to say.
    Whole(&'a [u8]),
    /// Larger or deeper than allowed; its bytes were passed over.
    Beyond(&'static str),
}

/// Elements with where each begins.
pub(super) struct Elements<R> {
    reader: R,
    array: bool,
    /// Bytes taken so far.
    position: u64,
    taken: u64,
    ended: bool,
    bytes_max: usize,
    depth_max: u32,
    buffer: Vec<u8>,
}

/// How an element ended.
enum End {
    Bracket,
    /// A scalar, cut short by a separator that is still to be read.
    Separator,
    Input,
}

impl<R: BufRead> Elements<R> {
    /// Reads the members of the array that begins here if `array`, else values one after another.
    pub(super) const fn new(reader: R, array: bool, bytes_max: usize, depth_max: u32) -> Self {
        Self {
            reader,
            array,
            position: 0,
            taken: 0,
            ended: false,
            bytes_max,
            depth_max,
            buffer: Vec::new(),
        }
    }

    /// The next element and the number of elements before it, or none at the end.
    ///
    /// # Errors
    /// When the collection itself is broken: an array that does not close or is not separated by
    /// commas, or anything after its end. Then nothing that was read before counts either.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Element<'_>)>, FeedError> {
        if self.ended {
            return Ok(None);
        }
        if self.array && !self.separator()? {
            self.ended = true;
            return Ok(None);
        }
        match self.peek_solid()? {
            None if self.array => return Err(self.broken("the array does not close")),
            None => {
                self.ended = true;
                return Ok(None);
            }
            Some(b',' | b']' | b'}' | b':') => {
                return Err(self.broken("a value was expected"));
            }
            Some(_) => {}
        }
        let number = self.taken;
        self.taken += 1;
        let problem = self.element()?;
        Ok(Some((
            number,
            problem.map_or(Element::Whole(&self.buffer), Element::Beyond),
        )))
    }

    /// In an array: takes `[` before the first element, `,` between two. False at its end.
    fn separator(&mut self) -> Result<bool, FeedError> {
        let first = self.taken == 0;
        match self.peek_solid()? {
            Some(b'[') if first => {
                self.take();
                if self.peek_solid()? != Some(b']') {
                    return Ok(true);
                }
                self.take();
            }
            Some(b',') if !first => {
                self.take();
                return Ok(true);
            }
            Some(b']') if !first => self.take(),
            Some(_) => return Err(self.broken("`,` or `]` was expected")),
            None => return Err(self.broken("the array does not close")),
        }
        match self.peek_solid()? {
            None => Ok(false),
            Some(_) => Err(self.broken("there is more after the end of the array")),
        }
    }

    /// Fills the buffer with one element. Gives why it is beyond bounds, if it is.
    fn element(&mut self) -> Result<Option<&'static str>, FeedError> {
        self.buffer.clear();
        let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
        let mut problem = None;
        loop {
            let chunk = self.reader.fill_buf()?;
            let mut end = if chunk.is_empty() {
                Some(End::Input)
            } else {
                None
            };
            let mut used = 0;
            for &byte in chunk {
                if in_string {
                    (in_string, escaped) = match byte {
                        _ if escaped => (true, false),
                        b'\\' => (true, true),
                        b'"' => (false, false),
                        _ => (true, false),
                    };
                } else {
                    match byte {
                        b'"' => in_string = true,
                        b'{' | b'[' => {
                            depth = depth.saturating_add(1);
                            if depth > self.depth_max {
                                problem = Some("nested too deep");
                            }
                        }
                        b'}' | b']' if depth > 0 => {
                            depth -= 1;
                            if depth == 0 {
                                used += 1;
                                end = Some(End::Bracket);
                                break;
                            }
                        }
                        b'}' | b']' | b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => {
                            end = Some(End::Separator);
                            break;
                        }
                        _ => {}
                    }
                }
                used += 1;
            }
            if self.buffer.len().saturating_add(used) > self.bytes_max {
                problem = problem.or(Some("too large"));
            }
            if problem.is_none() {
                self.buffer.extend(chunk.iter().take(used));
            }
            self.reader.consume(used);
            self.position = self.position.saturating_add(used as u64);
            match end {
                None => {}
                Some(End::Bracket | End::Separator) => return Ok(problem),
                Some(End::Input) if depth == 0 && !in_string && !self.array => return Ok(problem),
                Some(End::Input) => return Err(self.broken("the document ends within a value")),
            }
        }
    }

    /// The next byte that is not white space, not yet taken.
    fn peek_solid(&mut self) -> Result<Option<u8>, FeedError> {
        loop {
            let chunk = self.reader.fill_buf()?;
            if chunk.is_empty() {
                return Ok(None);
            }
            let blank = chunk
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
                .count();
            let found = chunk.get(blank).copied();
            self.reader.consume(blank);
            self.position = self.position.saturating_add(blank as u64);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    fn take(&mut self) {
        self.reader.consume(1);
        self.position = self.position.saturating_add(1);
    }

    fn broken(&self, why: &str) -> FeedError {
        FeedError::Broken {
            position: format!("byte {}", self.position),
            why: why.to_owned(),
        }
    }
}
