//! What the operator does with the data directory's token: importing feeds. Nothing that needs a
//! named human is here.

use super::body::Asked;
use super::wire::{FeedAnswer, FeedQuery};
use super::{App, Problem};
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_gate::FeedImport;

pub(super) async fn import_feed(
    State(app): State<App>,
    Asked(query): Asked<FeedQuery>,
    body: Bytes,
) -> Result<(StatusCode, Json<FeedAnswer>), Problem> {
    let import = FeedImport {
        bytes: body.to_vec(),
        source: query.source,
        live: query.live,
    };
    // Reading a feed takes a while, and happens before the gate queues anything.
    let gate = std::sync::Arc::clone(&app.gate);
    let now = app.now();
    let (feed, records) =
        super::heavy(|| tokio::runtime::Handle::current().block_on(gate.import_feed(import, now)))?;
    Ok((StatusCode::CREATED, Json(FeedAnswer { feed, records })))
}
