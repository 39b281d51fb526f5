//! Text that came from outside: bounded when it enters, made harmless when it is shown.

use serde::de::{Deserializer, Error, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

/// The longest rationale or note that is taken, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024;

/// Shows hostile text on one line: control, bidirectional and zero-width characters appear as
/// `\u{…}`, and at most `chars_max` characters are shown, `…` marking the cut.
#[must_use]
pub fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(chars_max));
    for (at, c) in text.chars().enumerate() {
        if at == chars_max {
            out.push('…');
            break;
        }
        if is_deceptive(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Reads what its text says, without a copy of the text.
pub(crate) fn parsed<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    struct Parsed<T>(PhantomData<T>);
    impl<T: FromStr<Err: fmt::Display>> Visitor<'_> for Parsed<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Parsed(PhantomData))
}

/// Characters that change how other characters are read, or that cannot be seen.
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Free text beside the log: the entry binds it by salted digest, so it can be erased later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaltedText {
    /// 16 random bytes as 32 hex digits.
    pub salt: String,
    /// The text, at most [`TEXT_BYTES_MAX`] bytes.
    pub text: String,
}

/// Why a [`SaltedText`] was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than [`TEXT_BYTES_MAX`].
    #[error("text of {0} bytes is longer than {TEXT_BYTES_MAX}; shorten it")]
    TooLong(usize),
    /// The salt is not 32 hex digits.
    #[error("`salt` must be 32 hex digits (16 random bytes)")]
    Salt,
}

impl SaltedText {
    /// Text with the salt given.
    #[must_use]
    pub fn new(salt: [u8; 16], text: impl Into<String>) -> Self {
        Self {
            salt: hex::encode(salt),
            text: text.into(),
        }
    }

    /// The digest that stands in the log for this text.
    ///
    /// # Errors
    /// When the text is too long or the salt malformed.
    pub fn digest(&self) -> Result<crate::Digest, TextError> {
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(TextError::TooLong(self.text.len()));
        }
        let mut salt = [0_u8; 16];
        hex::decode_to_slice(&self.salt, &mut salt).map_err(|_| TextError::Salt)?;
        Ok(crate::Digest::of_salted(&salt, self.text.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_become_visible() {
        assert_eq!(
            shown("a\u{202e}b\u{200b}\n\u{1b}[31mé", 40),
            "a\\u{202e}b\\u{200b}\\u{a}\\u{1b}[31mé"
        );
        assert_eq!(shown("abcdef", 3), "abc…");
    }

    #[test]
    fn salted_text_is_bounded() {
        assert!(SaltedText::new([7; 16], "why").digest().is_ok());
        assert!(matches!(
            SaltedText::new([7; 16], "x".repeat(TEXT_BYTES_MAX + 1)).digest(),
            Err(TextError::TooLong(_))
        ));
        let wrong = SaltedText {
            salt: "zz".into(),
            text: String::new(),
        };
        assert_eq!(wrong.digest(), Err(TextError::Salt));
    }
}
