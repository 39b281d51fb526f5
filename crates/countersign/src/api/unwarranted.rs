//! Transitions that no warrant covers: looking at them, and handing in that a human did.

use super::body::{Asked, Body, Part};
use super::logs::entry_text;
use super::wire::{ReviewBody, Unwarranted, UnwarrantedView};
use super::{App, Problem, heavy};
use axum::Json;
use axum::extract::State;
use countersign_domain::HostId;
use countersign_gate::GateError;
use countersign_gate::state::{self, UnwarrantedRecord};
use countersign_store::Log;
use serde::Deserialize;
use serde_json::{Value, json};

/// Which.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    host: Option<HostId>,
    #[serde(default)]
    reviewed: bool,
}

pub(super) async fn list(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<Json<Unwarranted>, Problem> {
    let unwarranted = heavy(|| app.gate().unwarranted(which.host.as_ref(), which.reviewed))?;
    Ok(Json(Unwarranted { unwarranted }))
}

pub(super) async fn one(
    State(app): State<App>,
    Part(finding): Part<u64>,
) -> Result<Json<UnwarrantedView>, Problem> {
    let view = heavy(|| {
        app.gate().store().read(|view| {
            let key = UnwarrantedRecord::key_of(finding);
            let record = state::load::<UnwarrantedRecord>(view, &key)?.ok_or_else(|| {
                GateError::not_found("unwarranted transition", &finding.to_string())
            })?;
            let entry = entry_text(view, Log::Authorizations, finding)?;
            Ok::<_, GateError>(UnwarrantedView { record, entry })
        })
    })?;
    Ok(Json(view))
}

pub(super) async fn review(
    State(app): State<App>,
    Part(finding): Part<u64>,
    Body(body): Body<ReviewBody>,
) -> Result<Json<Value>, Problem> {
    app.gate()
        .review_unwarranted(finding, body.statement, body.note, app.now())
        .await?;
    Ok(Json(json!({})))
}
