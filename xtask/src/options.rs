//! The command line of `cargo xtask test`, parsed. Runs nothing.

/// What to run, and what to hand to the test runner.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TestOptions {
    /// Only the tests: no format, tidy, lints, dependency policy or doc tests.
    pub quick: bool,
    /// Only tests whose name contains this.
    pub filter: Option<String>,
    /// Handed to the test runner as they are.
    pub runner_arguments: Vec<String>,
}

impl TestOptions {
    /// Parses the words after `test`. Whatever follows `--` belongs to the runner.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--" => options.runner_arguments.extend(words.by_ref().cloned()),
                "--quick" => options.quick = true,
                flag if flag.starts_with('-') => {
                    return Err(format!(
                        "`test` has no option `{flag}` (the runner's own options follow `--`)"
                    ));
                }
                filter if options.filter.is_none() => options.filter = Some(filter.to_owned()),
                second => return Err(format!("one filter at most, got a second: `{second}`")),
            }
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::TestOptions;

    fn parse(line: &str) -> Result<TestOptions, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        TestOptions::parse(&words)
    }

    #[test]
    fn words_have_their_places() {
        assert_eq!(parse(""), Ok(TestOptions::default()));
        assert_eq!(
            parse("ledger:: --quick -- --no-capture --quick"),
            Ok(TestOptions {
                quick: true,
                filter: Some("ledger::".into()),
                runner_arguments: vec!["--no-capture".into(), "--quick".into()],
            })
        );
    }

    #[test]
    fn unknown_options_and_second_filters_are_refused() {
        assert!(parse("--fast").unwrap_err().contains("`--fast`"));
        assert!(parse("one two").unwrap_err().contains("`two`"));
    }
}
