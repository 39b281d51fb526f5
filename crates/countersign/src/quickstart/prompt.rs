//! Questions on the terminal. Without one, or with `--yes`, the default is taken.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

/// Asks, or does not.
pub(super) struct Prompt {
    asks: bool,
}

impl Prompt {
    pub(super) fn new(yes: bool) -> Self {
        Self {
            asks: !yes && std::io::stdin().is_terminal() && std::io::stderr().is_terminal(),
        }
    }

    /// True when somebody can answer.
    pub(super) const fn asks(&self) -> bool {
        self.asks
    }

    /// The answer, or the default when nothing is typed or nobody is asked.
    pub(super) fn text(&self, question: &str, default: Option<&str>) -> Option<String> {
        if !self.asks {
            return default.map(str::to_owned);
        }
        let shown = default.map_or_else(String::new, |default| format!(" [{default}]"));
        // Questions go to stderr: stdout is data.
        eprint!("{question}{shown}: ");
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        if std::io::stdin().lock().read_line(&mut line).is_err() {
            return default.map(str::to_owned);
        }
        match line.trim() {
            "" => default.map(str::to_owned),
            answer => Some(answer.chars().take(200).collect()),
        }
    }

    /// Yes or no. Without anybody to ask, the default that was named for that case.
    pub(super) fn confirm(&self, question: &str, default: bool, unasked: bool) -> bool {
        if !self.asks {
            return unasked;
        }
        let hint = if default { "Y/n" } else { "y/N" };
        match self.text(&format!("{question} ({hint})"), None) {
            None => default,
            Some(answer) => answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"),
        }
    }
}
