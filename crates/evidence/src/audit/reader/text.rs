//! Text of logs: cut to a bound, and searched for ids of change records.

use super::super::model::Reference;

/// References that one text gives at most.
const REFERENCES_MAX: usize = 16;
/// How much of a text is searched, in bytes.
const SEARCHED_MAX: usize = 16 * 1024;

/// At most so many characters of a text.
pub(crate) fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned(),
        None => text.to_owned(),
    }
}

/// The ids that a text names: Countersign's (`csa_…`, `chg-…` of ours in an apt option), change
/// numbers (`CHG` and seven digits or more), and issue keys (`OPS-12`). Anybody can type them.
pub(crate) fn references(text: &str) -> Vec<Reference> {
    let mut end = text.len().min(SEARCHED_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut found = Vec::new();
    let words = text
        .get(..end)
        .unwrap_or_default()
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
    for word in words {
        let reference = if is_ours(word) {
            Some(Reference::Countersign(word.to_owned()))
        } else if is_change_number(word) || is_issue_key(word) {
            Some(Reference::Number(word.to_ascii_uppercase()))
        } else {
            None
        };
        if let Some(reference) = reference
            && !found.contains(&reference)
        {
            found.push(reference);
            if found.len() == REFERENCES_MAX {
                break;
            }
        }
    }
    found
}

fn is_ours(word: &str) -> bool {
    word.strip_prefix("csa_")
        .is_some_and(|rest| (4..=64).contains(&rest.len()))
}

fn is_change_number(word: &str) -> bool {
    word.len() <= 20
        && word
            .strip_prefix("CHG")
            .or_else(|| word.strip_prefix("chg"))
            .is_some_and(|digits| digits.len() >= 7 && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Jira's default: an upper-case letter, at least one more letter or digit, a hyphen, a number.
fn is_issue_key(word: &str) -> bool {
    // Names of ciphers, standards and advisories look like issue keys.
    const NOT_KEYS: [&str; 10] = [
        "CVE", "UTF", "SHA", "AES", "ISO", "RFC", "DSA", "USN", "TLS", "SSHA",
    ];
    word.split_once('-').is_some_and(|(project, number)| {
        (2..=10).contains(&project.len())
            && !NOT_KEYS.contains(&project)
            && project
                .bytes()
                .next()
                .is_some_and(|b| b.is_ascii_uppercase())
            && project
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
            && (1..=7).contains(&number.len())
            && number.bytes().all(|b| b.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::{Reference, bounded, references};

    #[test]
    fn ids_are_found_in_command_lines_and_titles() {
        let number = |text: &str| Reference::Number(text.to_owned());
        assert_eq!(
            references(
                "apt-get -o Countersign::Authorization=csa_01JD8Z install x # CHG0031337, chg0031337"
            ),
            [
                Reference::Countersign("csa_01JD8Z".into()),
                number("CHG0031337")
            ]
        );
        assert_eq!(
            references("[OPS-12] fix CVE-2026-1234 (UTF-8)"),
            [number("OPS-12")]
        );
        for none in [
            "",
            "CHG1",
            "ops-12",
            "A-1",
            "X509-",
            "csa_",
            "CHG00313370000000000000",
        ] {
            assert_eq!(references(none), [], "{none}");
        }
        assert_eq!(references(&"OPS-1 OPS-2 ".repeat(9)).len(), 2);
        let endless: String = (0..100).map(|n| format!("OPS-{n} ")).collect();
        assert_eq!(references(&endless).len(), 16);
    }

    #[test]
    fn cutting_keeps_characters_whole() {
        assert_eq!(bounded("žluťoučký", 3), "žlu");
        assert_eq!(bounded("ab", 3), "ab");
        // Searched bytes end within a character.
        assert_eq!(references(&"é".repeat(20_000)), []);
    }
}
