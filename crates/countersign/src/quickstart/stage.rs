//! Progress on stderr: a line that changes on a terminal, lines that follow one another elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

/// Shows how far it is.
pub(super) struct Stage {
    terminal: bool,
    quiet: bool,
}

/// One step under way.
pub(super) struct Step<'a> {
    stage: &'a Stage,
    bar: ProgressBar,
}

impl Stage {
    /// With `quiet`, only a terminal sees anything: scripts read the JSON.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            quiet,
        }
    }

    /// Begins a step.
    pub(super) fn step(&self, what: &str) -> Step<'_> {
        let bar = if self.terminal {
            let bar = ProgressBar::new_spinner();
            // A template that is a constant and valid; a default style would do as well.
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        } else {
            self.line(&format!("  {what}"));
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden())
        };
        bar.set_message(what.to_owned());
        Step { stage: self, bar }
    }

    /// A line for people.
    pub(super) fn line(&self, text: &str) {
        if !self.quiet || self.terminal {
            eprintln!("{text}");
        }
    }
}

impl Step<'_> {
    /// What it is at.
    pub(super) fn at(&self, text: &str) {
        let text = countersign_domain::text::shown(text, 150);
        if self.stage.terminal {
            self.bar.set_message(text);
        } else if !self.stage.quiet {
            eprintln!("    {text}");
        }
    }

    /// Done, and what came of it.
    pub(super) fn done(self, text: &str) {
        self.bar.finish_and_clear();
        self.stage.line(&format!("  ✓ {text}"));
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
