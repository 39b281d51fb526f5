//! Words that go into signed documents: made harmless, and cut to the bytes that a document may hold.
//! Not for what is shown to people only; see `countersign_domain::text`.

use countersign_domain::text::shown;

/// `text` on one harmless line of at most `bytes_max` bytes, cut between characters.
pub(crate) fn within(text: &str, bytes_max: usize) -> String {
    let mut line = shown(text, bytes_max);
    while line.len() > bytes_max {
        line.pop();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_not_characters() {
        let long = "é".repeat(300);
        assert_eq!(within(&long, 300), "é".repeat(150));
        assert_eq!(within(&long, 301).len(), 300);
        assert_eq!(within("a\nb", 300), "a\\u{a}b");
        // Escapes make a text longer.
        assert!(within(&"\u{202e}".repeat(100), 300).len() <= 300);
    }
}
