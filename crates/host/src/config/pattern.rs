//! Patterns over names and origins: `*` matches any run of characters, everything else itself.
//! Not a regular expression: nothing here can take more than quadratic time.

use serde::{Deserialize, Serialize};

/// A pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(pub String);

impl Pattern {
    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let mut parts = self.0.split('*');
        // INVARIANT: `split` always yields a first part.
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else {
            return false;
        };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            let Some((_, after)) = rest.split_once(part) else {
                return false;
            };
            rest = after;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, expected) in [
            ("cs-web", "cs-web", true),
            ("cs-web", "cs-web2", false),
            ("cs-*", "cs-web", true),
            ("*", "", true),
            (
                "Debian-Security:*",
                "Debian-Security:12/oldstable-security",
                true,
            ),
            ("Debian-Security:*", "Debian:12.15/oldstable", false),
            (
                "Ubuntu*:*-security",
                "UbuntuESM:22.04/jammy-infra-security",
                true,
            ),
            ("Ubuntu*:*-security", "Ubuntu:22.04/jammy-updates", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(
                Pattern(pattern.into()).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
