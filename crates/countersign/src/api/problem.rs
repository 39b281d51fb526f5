//! Errors as RFC 9457 problem documents. What failed inside is told to the server's own log only.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use countersign_domain::text::shown;
use countersign_gate::{GateError, fold::FoldError};
use countersign_store::StoreError;
use serde::{Deserialize, Serialize};

/// The start of every problem's type; the word behind it is for machines.
const TYPES: &str = "https://countersign.dev/problems/";

/// The longest detail, in characters.
const DETAIL_CHARS_MAX: usize = 2000;

/// A problem as it is sent (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemDocument {
    /// A URI that ends in a short word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The word, in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened, this time.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Further findings, one a line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
}

impl ProblemDocument {
    /// The short word at the end of the type.
    #[must_use]
    pub fn word(&self) -> &str {
        self.kind.rsplit('/').next().unwrap_or_default()
    }

    /// With nothing in it that a terminal would act on: problems quote what was sent.
    fn harmless(mut self) -> Self {
        self.detail = shown(&self.detail, DETAIL_CHARS_MAX);
        self.field = self.field.map(|field| shown(&field, DETAIL_CHARS_MAX));
        self
    }
}

/// Why a request was not done.
#[derive(Debug, Clone)]
pub struct Problem(Box<ProblemDocument>);

impl Problem {
    /// A problem; `word` says to machines which.
    pub fn new(status: StatusCode, word: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemDocument {
            kind: format!("{TYPES}{word}"),
            title: word.replace('-', " "),
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            field: None,
            findings: Vec::new(),
        }))
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// With the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// What was sent is malformed.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", detail)
    }

    /// Nobody has proven who asks.
    pub fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", detail)
    }

    /// Whoever asks may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// There is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }

    /// Nothing was decided, which denies. The cause goes to the server's log.
    pub fn undecided(cause: &dyn std::fmt::Display) -> Self {
        eprintln!(
            "countersign: could not decide: {}",
            shown(&cause.to_string(), 500)
        );
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "could-not-decide",
            "the gate could not decide, so nothing was done",
        )
        .hint("the server's log says why; try again once that is mended")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        // INVARIANT: every status above is a constant of `StatusCode`.
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0.harmless())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl From<GateError> for Problem {
    fn from(error: GateError) -> Self {
        let text = error.to_string();
        match error {
            GateError::Invalid { field, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text).field(field)
            }
            GateError::Unproven(_) | GateError::Document(_) => {
                Self::new(StatusCode::FORBIDDEN, "unproven", text)
            }
            GateError::Forbidden(_) => Self::forbidden(text),
            GateError::NotFound { .. } => Self::not_found(text),
            GateError::State { .. } => Self::new(StatusCode::CONFLICT, "state", text),
            GateError::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", text),
            GateError::Withheld(why) => Self::new(StatusCode::CONFLICT, why.word(), text),
            GateError::Policy(findings) => {
                let mut problem =
                    Self::new(StatusCode::UNPROCESSABLE_ENTITY, "policy-invalid", text)
                        .field("files")
                        .hint("`countersign policy check DIR` shows each place");
                problem.0.findings = findings
                    .iter()
                    .take(100)
                    .map(|line| shown(line, 1000))
                    .collect();
                problem
            }
            GateError::Canonical(_) => Self::malformed(text),
            GateError::Fold(FoldError::Change(inner)) => {
                Self::new(StatusCode::CONFLICT, "state", inner.to_string())
            }
            GateError::Fold(FoldError::Execution(inner)) => {
                Self::new(StatusCode::CONFLICT, "state", inner.to_string())
            }
            GateError::Fold(FoldError::Roster(inner)) => {
                Self::new(StatusCode::CONFLICT, "conflict", inner.to_string())
            }
            GateError::Changed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "changed", text),
            GateError::Store(StoreError::Overloaded(_)) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", text)
            }
            GateError::Store(StoreError::TooLarge { .. }) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "too-large", text)
            }
            GateError::Store(inner) => Self::undecided(&inner),
            GateError::Fold(inner) => Self::undecided(&inner),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        GateError::from(error).into()
    }
}
