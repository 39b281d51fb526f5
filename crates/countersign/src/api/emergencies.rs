//! Emergencies: a host tells what it did without the gate, the operator looks at it, a human reviews it.

use super::access::FromHost;
use super::body::{Asked, Body, Part};
use super::hosts::itself;
use super::logs::entry_text;
use super::wire::{Emergencies, EmergenciesQuery, EmergencyBody, EmergencyView, ReviewBody};
use super::{App, Problem, heavy};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_domain::{ChangeId, HostId};
use countersign_gate::GateError;
use countersign_gate::state::{self, EmergencyRecord};
use countersign_store::Log;
use serde_json::{Value, json};

pub(super) async fn told(
    State(app): State<App>,
    FromHost(caller): FromHost,
    Part(host): Part<HostId>,
    Body(body): Body<EmergencyBody>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let host = itself(caller, &host)?;
    app.gate()
        .emergency(&host, body.bundle, body.receipt, app.now())
        .await?;
    Ok((StatusCode::CREATED, Json(json!({}))))
}

pub(super) async fn list(
    State(app): State<App>,
    Asked(query): Asked<EmergenciesQuery>,
) -> Result<Json<Emergencies>, Problem> {
    let emergencies = heavy(|| app.gate().emergencies(query.reviewed))?;
    Ok(Json(Emergencies { emergencies }))
}

pub(super) async fn one(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
) -> Result<Json<EmergencyView>, Problem> {
    let view = heavy(|| {
        app.gate().store().read(|view| {
            let record = state::load::<EmergencyRecord>(view, change.as_str())?
                .ok_or_else(|| GateError::not_found("emergency", change.as_str()))?;
            let entry = entry_text(view, Log::Authorizations, record.index)?;
            Ok::<_, GateError>(EmergencyView { record, entry })
        })
    })?;
    Ok(Json(view))
}

pub(super) async fn review(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
    Body(body): Body<ReviewBody>,
) -> Result<Json<Value>, Problem> {
    app.gate()
        .review_emergency(&change, body.statement, body.note, app.now())
        .await?;
    Ok(Json(json!({})))
}
