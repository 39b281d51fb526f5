//! Bounds a rule file before it is parsed: syntax trees are walked recursively, so their depth must
//! not be the author's choice. Looks at brackets, strings and comments only; parses nothing.

use std::ops::Range;

/// One rule at most, in bytes (annotations included).
pub(crate) const RULE_BYTES_MAX: usize = 8 * 1024;
/// Brackets within brackets, and `if`s in one rule, at most.
pub(crate) const NESTING_MAX: usize = 24;
/// Operators that can be chained (`.`, `&&`, `||`, `+`, `-`, `*`, `!`) in one rule at most, counted by
/// character: each makes the tree one level deeper.
pub(crate) const LINKS_MAX: usize = 500;

/// The first place where `text` is out of bounds, and why.
pub(crate) fn check(text: &str) -> Result<(), (Range<usize>, String)> {
    let mut state = State::Code;
    let mut depth = 0_usize;
    let mut links = 0_usize;
    let mut ifs = 0_usize;
    let mut rule_start = 0_usize;
    let mut previous = 0_u8;
    for (at, byte) in text.bytes().enumerate() {
        match (state, byte) {
            (State::Code, b'"') => state = State::Text,
            (State::Code, b'/') if previous == b'/' => state = State::Comment,
            (State::Code, b'(' | b'[' | b'{') => depth += 1,
            (State::Code, b')' | b']' | b'}') => depth = depth.saturating_sub(1),
            // Comments between rules are no part of them.
            (State::Code, b';') => (rule_start, links, ifs) = (at + 1, 0, 0),
            (State::Code, b'.' | b'&' | b'|' | b'+' | b'-' | b'*' | b'!') => links += 1,
            (State::Code, b'f') if is_if(text.as_bytes(), at) => ifs += 1,
            (State::Text, b'\\') => state = State::Escape,
            (State::Text, b'"') | (State::Comment, b'\n') => state = State::Code,
            (State::Escape, _) => state = State::Text,
            (State::Code | State::Text | State::Comment, _) => {}
        }
        if depth > NESTING_MAX {
            let why = format!("brackets are nested more than {NESTING_MAX} deep");
            return Err((at..at + 1, why));
        }
        if links > LINKS_MAX || ifs > NESTING_MAX {
            let why = format!(
                "a rule chains more than {LINKS_MAX} operators, or has more than {NESTING_MAX} `if`s"
            );
            return Err((at..at + 1, why));
        }
        if at.saturating_sub(rule_start) > RULE_BYTES_MAX {
            // The text may be cut within a character here: the finding names a place, not a slice.
            let why = format!("a rule is longer than {RULE_BYTES_MAX} bytes");
            return Err((rule_start..rule_start, why));
        }
        previous = byte;
    }
    Ok(())
}

/// True when the word `if` ends at this byte.
fn is_if(text: &[u8], at: usize) -> bool {
    let word = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    at >= 1
        && text.get(at - 1) == Some(&b'i')
        && !(at >= 2 && word(text.get(at - 2)))
        && !word(text.get(at + 1))
}

#[derive(Clone, Copy)]
enum State {
    Code,
    Text,
    Escape,
    Comment,
}

#[cfg(test)]
mod tests {
    use crate::strategies::with_rules;

    fn rule(condition: &str) -> String {
        format!(
            "@id(\"T-1\") @owner(\"platform\") @title(\"Test\") @why(\"A test.\")
             forbid (principal is Agent, action in Action::\"remediate\", resource is Target)
             when {{ {condition} }};"
        )
    }

    #[test]
    fn a_rule_of_any_shape_is_refused_or_loaded_but_never_ends_the_program() {
        let long = 20_000;
        let chain = |link: &str, count: usize| format!("context.trial{}", link.repeat(count));
        let nested = |open: &str, close: &str, count: usize| {
            format!("{}context.trial{}", open.repeat(count), close.repeat(count))
        };
        for (condition, wanted) in [
            (chain(" && context.trial", long), "chains more than"),
            (chain(".a", long), "chains more than"),
            (nested("(", ")", long), "nested more than"),
            (nested("[", "]", long), "nested more than"),
            (
                nested("if true then ", " else false", long),
                "more than 24 `if`s",
            ),
            (nested("!", "", long), "chains more than"),
            (format!("\"{}", "x".repeat(long)), "longer than"),
        ] {
            let findings = with_rules(&rule(&condition)).unwrap_err();
            assert!(findings[0].message.contains(wanted), "{findings:?}");
        }
        // As long as a rule may be: whatever comes of it, it comes back.
        for condition in [
            chain("||context.trial", 160),
            chain(".a", 480),
            nested("if true then ", " else false", 24),
            nested("(", ")", 20),
            nested("!", "", 480),
            format!("context.blast.hosts > {}1", "-".repeat(480)),
            format!("context.blast.hosts > 1{}", "+1".repeat(480)),
        ] {
            drop(with_rules(&rule(&condition)));
        }
    }

    #[test]
    fn brackets_in_texts_and_comments_do_not_count() {
        let many = "(".repeat(100);
        let text = format!(
            "// {many}\n{}",
            rule(&format!("context.trial // {many}\n && true"))
        );
        let text = text.replace("A test.", &format!("A test \\\" {many}"));
        assert!(super::check(&text).is_ok());
    }
}
