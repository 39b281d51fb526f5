//! SPDX licence expressions, as far as crates use them: names, `WITH`, `AND`, `OR` (also the old `/`) and
//! parentheses. Judges against a list; knows no licence by itself.

/// True when the expression can be met with licences that `allowed` accepts; an expression that cannot be
/// read is an error (and so not accepted).
pub fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader {
        words: &words,
        depth: 0,
        allowed,
    };
    let verdict = reader.any_of();
    match (verdict, reader.words) {
        (Some(verdict), []) => Ok(verdict),
        _ => Err(format!("`{expression}` is not an SPDX expression")),
    }
}

/// Parentheses deeper than this are nobody's licence.
const DEPTH_MAX: usize = 8;

struct Reader<'a> {
    words: &'a [&'a str],
    depth: usize,
    allowed: &'a dyn Fn(&str) -> bool,
}

impl<'a> Reader<'a> {
    fn any_of(&mut self) -> Option<bool> {
        let mut verdict = self.all_of()?;
        while self.take("OR") {
            verdict |= self.all_of()?;
        }
        Some(verdict)
    }

    fn all_of(&mut self) -> Option<bool> {
        let mut verdict = self.one()?;
        while self.take("AND") {
            verdict &= self.one()?;
        }
        Some(verdict)
    }

    fn one(&mut self) -> Option<bool> {
        match self.next()? {
            "(" => {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return None;
                }
                let verdict = self.any_of()?;
                self.depth -= 1;
                self.take(")").then_some(verdict)
            }
            ")" | "AND" | "OR" | "WITH" => None,
            name if self.take("WITH") => {
                let exception = self.next()?;
                // An exception is allowed by name: it is another licence than the one without.
                Some((self.allowed)(&format!("{name} WITH {exception}")))
            }
            name => Some((self.allowed)(name)),
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn take(&mut self, word: &str) -> bool {
        let found = self.words.first() == Some(&word);
        if found {
            self.words = self.words.get(1..).unwrap_or_default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::satisfied;

    fn judge(expression: &str) -> Result<bool, String> {
        let allowed = |name: &str| matches!(name, "MIT" | "ISC" | "Apache-2.0 WITH LLVM-exception");
        satisfied(expression, &allowed)
    }

    #[test]
    fn expressions_are_judged() {
        for (expression, expected) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("GPL-3.0-only OR MIT", true),
            ("Unlicense/MIT", true),
            ("MIT AND GPL-3.0-only", false),
            ("MIT AND ISC", true),
            ("GPL-3.0-only OR MIT AND ISC", true),
            ("(GPL-3.0-only OR MIT) AND GPL-2.0-only", false),
            ("(MIT OR X) AND (Y OR ISC)", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("MIT WITH LLVM-exception", false),
        ] {
            assert_eq!(judge(expression), Ok(expected), "{expression}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_licence() {
        let deep = format!("{}MIT{}", "(".repeat(9), ")".repeat(9));
        for expression in [
            "", "MIT OR", "(MIT", "MIT)", "MIT ISC", "AND MIT", "MIT WITH", &deep,
        ] {
            assert!(judge(expression).is_err(), "{expression}");
        }
    }
}
