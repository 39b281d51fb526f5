//! Finds in texts by what an action and a change record can belong together: numbers of change
//! records and ids of Countersign. Anyone can type them; what a link is worth is judged elsewhere.

use super::super::model::Reference;
use super::lenient::clip;

/// The most references that one text gives.
const REFERENCES_MAX: usize = 20;
/// How much of a text is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// What looks like the key of a project and is none.
const NO_PROJECTS: [&str; 16] = [
    "AES", "CVE", "CWE", "DLA", "DSA", "ECMA", "ELSA", "ISO", "MD", "RFC", "RHBA", "RHSA", "SHA",
    "USN", "UTF", "TLS",
];

/// Adds what `text` names to `references`, each once.
pub(super) fn find(text: &str, references: &mut Vec<Reference>) {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text.get(..end).unwrap_or_default();
    let words: Vec<&str> = text.split_whitespace().collect();
    let nexts = words.iter().skip(1).copied().chain(std::iter::once(""));
    let of_ours = words
        .iter()
        .zip(nexts)
        .filter_map(|(word, next)| labelled(word, next))
        .chain(tokens(text).filter(|token| token.starts_with("csa_")))
        .filter(|id| is_id(id))
        .map(|id| Reference::Countersign(clip(id)));
    let numbers = tokens(text).filter_map(number).map(Reference::Number);
    for reference in of_ours.chain(numbers).take(REFERENCES_MAX) {
        add(references, reference);
    }
}

/// Adds a reference that is not there yet.
pub(super) fn add(references: &mut Vec<Reference>, reference: Reference) {
    if !references.contains(&reference) {
        references.push(reference);
    }
}

/// A commit, if `text` is one.
pub(super) fn commit(text: &str) -> Option<String> {
    let text = text.trim();
    (matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| text.to_ascii_lowercase())
}

/// True where `text` can be an id of Countersign's.
pub(super) fn is_id(text: &str) -> bool {
    (6..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._@/:-".contains(&byte))
}

/// Runs of letters, digits, `-` and `_`.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
        .filter(|token| !token.is_empty())
}

/// The id behind `countersign…=`, `countersign…:`, in this word or the next.
fn labelled<'a>(word: &'a str, next: &'a str) -> Option<&'a str> {
    const LABEL: &str = "countersign";
    let at = word
        .as_bytes()
        .windows(LABEL.len())
        .position(|bytes| bytes.eq_ignore_ascii_case(LABEL.as_bytes()))?;
    let rest = word.get(at + LABEL.len()..)?;
    let id = match rest.split_once('=').or_else(|| rest.rsplit_once(':'))? {
        (_, "") => next,
        (_, id) => id,
    };
    Some(id.trim_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// The number of a change record that a token begins with, in upper case.
pub(super) fn number(token: &str) -> Option<String> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let apart = |text: &str, at: usize| {
        text.as_bytes()
            .get(at)
            .is_none_or(|byte| !byte.is_ascii_alphanumeric())
    };
    if let Some((prefix, rest)) = token.split_at_checked(3) {
        let count = digits(rest);
        if prefix.eq_ignore_ascii_case("CHG") && (7..=20).contains(&count) && apart(rest, count) {
            return Some(token.get(..3 + count)?.to_ascii_uppercase());
        }
    }
    let (project, rest) = token.split_once('-')?;
    let mut letters = project.bytes();
    let named = letters.next().is_some_and(|byte| byte.is_ascii_uppercase())
        && letters.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        && (2..=10).contains(&project.len())
        && !NO_PROJECTS.contains(&project);
    let count = digits(rest);
    (named && (1..=10).contains(&count) && apart(rest, count))
        .then(|| token.get(..project.len() + 1 + count).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::{Reference, commit, find};

    fn found(text: &str) -> Vec<String> {
        let mut references = Vec::new();
        find(text, &mut references);
        references
            .into_iter()
            .map(|reference| match reference {
                Reference::Countersign(id) => format!("ours {id}"),
                Reference::Number(number) => number,
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn numbers_are_found_in_sentences_and_branches_and_only_there() {
        for (text, expected) in [
            ("see CHG0044556, please", vec!["CHG0044556"]),
            ("fix/chg0044556-openssl", vec!["CHG0044556"]),
            ("ops/OPS-12-restart (OPS-12) A1B-7", vec!["OPS-12", "A1B-7"]),
            ("CHG123 CHG0044556x ops-12 O-1 OPS-12a", vec![]),
            ("CVE-2026-1234 UTF-8 SHA-256 DSA-3029-1", vec![]),
            ("ÄÖÜ-1 é", vec![]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn ids_of_ours_are_found_by_prefix_or_label() {
        for (text, expected) in [
            ("csa_01JD8Z", vec!["ours csa_01JD8Z"]),
            (
                "-o Countersign::Authorization=csa_01JD8Z",
                vec!["ours csa_01JD8Z"],
            ),
            ("Countersign-Change: 4f2a.77-b\nx", vec!["ours 4f2a.77-b"]),
            ("countersign:", vec![]),
            ("countersign it: soon!", vec![]),
        ] {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn much_text_gives_few_references() {
        let text: String = (0..100_000).map(|n| format!("OPS-{n} ")).collect();
        assert_eq!(found(&text).len(), 20);
        assert_eq!(found(&"é".repeat(40_000)), Vec::<String>::new());
    }

    #[test]
    fn a_commit_is_forty_or_sixty_four_digits() {
        assert_eq!(commit(&"AB".repeat(20)), Some("ab".repeat(20)));
        assert_eq!(commit(&"a".repeat(39)), None);
        assert_eq!(commit(&"g".repeat(40)), None);
    }
}
