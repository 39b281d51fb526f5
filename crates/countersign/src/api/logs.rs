//! Both logs as C2SP tlog-tiles: checkpoints for anybody, tiles and entry bundles for those who may
//! read. Only what is published is served.

use super::body::Part;
use super::{App, Problem, heavy};
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use countersign_ledger::{TileKind, TilePath};
use countersign_store::{Log, Read, StoreError};
use serde::Deserialize;

/// A log, as it is named in addresses.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub(super) struct Named(Log);

pub(super) async fn checkpoint(State(app): State<App>, Part(log): Part<Named>) -> Response {
    let (_, note) = app.gate().store().checkpoint(log.0);
    let headers = [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
    ];
    (headers, note.to_string()).into_response()
}

pub(super) async fn tile(
    State(app): State<App>,
    Part((log, rest)): Part<(Named, String)>,
) -> Result<Response, Problem> {
    let text = format!("tile/{rest}");
    let path = TilePath::parse(&text)
        .map_err(|error| Problem::malformed(error.to_string()).field("path"))?;
    let store = app.gate().store();
    let bytes = heavy(|| match path.kind() {
        TileKind::Hashes { level } => store.tile(log.0, level, path.index(), path.width()),
        TileKind::Entries => store.bundle(log.0, path.index(), path.width()),
    })?;
    let bytes = bytes.ok_or_else(|| Problem::not_found("the published log has no such tile"))?;
    // A tile never changes once it is published.
    let headers = [
        (CONTENT_TYPE, "application/octet-stream"),
        (CACHE_CONTROL, "private, max-age=31536000, immutable"),
    ];
    Ok((headers, bytes).into_response())
}

/// An entry that has to be there, as text.
pub(super) fn entry_text(view: &dyn Read, log: Log, index: u64) -> Result<String, StoreError> {
    view.entry(log, index)?
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            StoreError::Damaged(format!(
                "entry {index} of the {} log cannot be read",
                log.as_str()
            ))
        })
}
