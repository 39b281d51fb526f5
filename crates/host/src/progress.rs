//! What long work tells while it goes on. Surfaces draw it; this crate draws nothing.

use std::fmt;

/// Something worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A line of text.
    Line(String),
    /// So many of so many.
    Counted {
        /// What is counted, such as `simulated upgrades`.
        what: &'static str,
        /// How many are done.
        done: usize,
        /// How many there are.
        total: usize,
    },
}

/// Where events go.
#[derive(Clone, Copy)]
pub struct Progress<'a>(&'a (dyn Fn(Event) + Sync));

impl<'a> Progress<'a> {
    /// Events go to `sink`.
    #[must_use]
    pub fn new(sink: &'a (dyn Fn(Event) + Sync)) -> Self {
        Self(sink)
    }

    /// Events go nowhere.
    #[must_use]
    pub fn silent() -> Progress<'static> {
        Progress(&|_| {})
    }

    /// Tells a line.
    pub fn line(&self, text: impl Into<String>) {
        (self.0)(Event::Line(text.into()));
    }

    /// Tells how far it is.
    pub fn counted(&self, what: &'static str, done: usize, total: usize) {
        (self.0)(Event::Counted { what, done, total });
    }
}

impl fmt::Debug for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}
