//! What is wrong with a policy, and where: file, line, column and span, with a hint.

use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::Serialize;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One thing that keeps a policy from being loaded.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The file, by its path inside the policy folder.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// Byte offset and length in the file, where one place is at fault.
    pub span: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    source: NamedSource<Arc<str>>,
}

impl Finding {
    /// A finding at `span` (bytes) of `text`, the content of `file`.
    pub(crate) fn at(
        file: &str,
        text: &Arc<str>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let before = text.get(..span.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before
                .get(line_start..)
                .map_or(1, |line| line.chars().count() + 1),
            span: Some((span.start, span.len())),
            message: message.into(),
            hint: None,
            source: NamedSource::new(file, Arc::clone(text)),
        }
    }

    /// A finding about a whole file, or about a file that is not there.
    pub(crate) fn whole(file: &str, message: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            line: 1,
            column: 1,
            span: None,
            message: message.into(),
            hint: None,
            source: NamedSource::new(file, Arc::from("")),
        }
    }

    /// A finding of somebody else about a file of the folder: calendars are read by `facts`.
    #[must_use]
    pub fn about(file: &str, line: Option<usize>, message: impl Into<String>) -> Self {
        Self {
            line: line.unwrap_or(1),
            ..Self::whole(file, message)
        }
    }

    /// Findings from an error of Cedar, at the place its first label names.
    pub(crate) fn from_cedar(
        file: &str,
        text: &Arc<str>,
        fallback: Range<usize>,
        error: &(impl Diagnostic + ?Sized),
    ) -> Self {
        let span = error
            .labels()
            .and_then(|mut labels| labels.next())
            .map(|label| label.offset()..label.offset() + label.len())
            .filter(|span| span.end <= text.len())
            .unwrap_or(fallback);
        let mut finding = Self::at(file, text, span, error.to_string());
        finding.hint = error.help().map(|help| help.to_string());
        finding
    }

    /// The same with a hint.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// For the terminal: with an excerpt of the source.
    #[must_use]
    pub fn report(&self) -> miette::Report {
        miette::Report::new(self.clone())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )
    }
}

impl std::error::Error for Finding {}

impl Diagnostic for Finding {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let (offset, length) = self.span?;
        Some(Box::new(std::iter::once(LabeledSpan::new(
            Some("here".into()),
            offset,
            length,
        ))))
    }
}
