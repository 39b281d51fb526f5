//! Rust source cut into words, string contents and marks, with their lines; comments dropped. Enough to
//! find modules and macros without being fooled by strings. Not a parser, and never fails.

/// One piece of source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// An identifier, keyword or number.
    Word(String),
    /// The content of a string literal, escapes left as they are written.
    Text(String),
    /// Any other character.
    Mark(char),
}

/// A piece and the line it starts on, counted from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub piece: Piece,
    pub line: usize,
}

impl Token {
    /// True for this identifier.
    pub fn is_word(&self, word: &str) -> bool {
        matches!(&self.piece, Piece::Word(found) if found == word)
    }

    /// True for this mark.
    pub fn is_mark(&self, mark: char) -> bool {
        self.piece == Piece::Mark(mark)
    }
}

/// Cuts `source`.
pub fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer {
        rest: source,
        line: 1,
        tokens: Vec::new(),
    };
    while lexer.step() {}
    lexer.tokens
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    /// Takes one piece, comment or space; false at the end.
    fn step(&mut self) -> bool {
        let Some(first) = self.rest.chars().next() else {
            return false;
        };
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.skip(length);
        } else if self.rest.starts_with("/*") {
            self.skip(block_comment(self.rest));
        } else if let Some((open, hashes)) = raw_string(self.rest) {
            let close = format!("\"{}", "#".repeat(hashes));
            self.skip(open);
            let length = self.rest.find(&close).unwrap_or(self.rest.len());
            self.take(length, Piece::Text);
            self.skip(close.len());
        } else if let Some(open) = string_prefix(self.rest) {
            self.skip(open);
            self.take(string_length(self.rest), Piece::Text);
            self.skip(1);
        } else if first == '\'' {
            self.skip(quote(self.rest));
        } else if first.is_alphanumeric() || first == '_' {
            if self.rest.starts_with("r#") {
                self.skip(2);
            }
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
            self.take(length, Piece::Word);
        } else {
            if !first.is_whitespace() {
                self.push(Piece::Mark(first));
            }
            self.skip(first.len_utf8());
        }
        true
    }

    fn push(&mut self, piece: Piece) {
        let line = self.line;
        self.tokens.push(Token { piece, line });
    }

    fn take(&mut self, length: usize, piece: fn(String) -> Piece) {
        let content = self.rest.get(..length).unwrap_or_default().to_owned();
        self.push(piece(content));
        self.skip(length);
    }

    /// Moves on by `length` bytes, or to the end.
    fn skip(&mut self, length: usize) {
        let (skipped, rest) = match self.rest.split_at_checked(length) {
            Some(parts) => parts,
            None => (self.rest, ""),
        };
        self.line += skipped.matches('\n').count();
        self.rest = rest;
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(here) = rest.get(at..) {
        let mut characters = here.chars();
        match (characters.next(), characters.next()) {
            (None, _) => break,
            (Some('/'), Some('*')) => {
                depth += 1;
                at += 2;
            }
            (Some('*'), Some('/')) => {
                depth = depth.saturating_sub(1);
                at += 2;
                if depth == 0 {
                    break;
                }
            }
            (Some(other), _) => at += other.len_utf8(),
        }
    }
    at
}

/// For a raw string: the length up to and with its opening quote, and its number of hashes.
fn raw_string(rest: &str) -> Option<(usize, usize)> {
    let prefixes = ["r", "br", "cr"];
    let prefix = prefixes.iter().find(|prefix| {
        let after = rest.strip_prefix(**prefix);
        after.is_some_and(|after| after.trim_start_matches('#').starts_with('"'))
    })?;
    let after = rest.strip_prefix(*prefix)?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    Some((prefix.len() + hashes + 1, hashes))
}

/// For a plain string: the length up to and with its opening quote.
fn string_prefix(rest: &str) -> Option<usize> {
    let prefixes = ["\"", "b\"", "c\""];
    let prefix = prefixes.iter().find(|prefix| rest.starts_with(**prefix))?;
    Some(prefix.len())
}

/// The length of a plain string's content, up to the closing quote.
fn string_length(content: &str) -> usize {
    let mut escaped = false;
    for (at, character) in content.char_indices() {
        match character {
            '"' if !escaped => return at,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    content.len()
}

/// The length of a character literal, or of the quote alone where a lifetime or label begins.
fn quote(rest: &str) -> usize {
    let mut characters = rest.char_indices().skip(1);
    match (characters.next(), characters.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            let tail = rest.get(from..).unwrap_or_default();
            from + tail.find('\'').map_or(tail.len(), |end| end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Piece, tokens};

    fn cut(source: &str) -> String {
        let pieces = tokens(source).into_iter().map(|token| match token.piece {
            Piece::Word(word) => format!("{}:{word}", token.line),
            Piece::Text(text) => format!("{}:\"{text}\"", token.line),
            Piece::Mark(mark) => mark.to_string(),
        });
        pieces.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn comments_vanish_and_lines_stay() {
        assert_eq!(
            cut("a // b\n/* c /* d\n */ e */ f\n/// g\nh"),
            "1:a 3:f 5:h"
        );
        assert_eq!(cut("a /* never closed"), "1:a");
    }

    #[test]
    fn strings_are_one_piece_whatever_they_hold() {
        assert_eq!(
            cut(r#"x("a \" // b"); y"#),
            r#"1:x ( 1:"a \" // b" ) ; 1:y"#
        );
        assert_eq!(cut("r#\"a\" b\n\"# c"), "1:\"a\" b\n\" 2:c");
        assert_eq!(cut(r##"b"x" br#"y"# c"z""##), r#"1:"x" 1:"y" 1:"z""#);
        assert_eq!(cut("\"never closed"), "1:\"never closed\"");
        assert_eq!(cut(r#""ends in \\" a"#), r#"1:"ends in \\" 1:a"#);
    }

    #[test]
    fn character_literals_and_lifetimes_are_told_apart() {
        assert_eq!(cut(r#"'a' '\'' '\u{41}' '{' '"'  b"#), "1:b");
        assert_eq!(
            cut("&'a str, 'outer: loop"),
            "& 1:a 1:str , 1:outer : 1:loop"
        );
        assert_eq!(cut("'\"' x '\u{e9}' y"), "1:x 1:y");
    }

    #[test]
    fn raw_identifiers_and_numbers_are_words() {
        assert_eq!(cut("r#mod br 1_000u8"), "1:mod 1:br 1:1_000u8");
    }
}
