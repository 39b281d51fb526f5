//! What hosts call: observations, plans, redemptions, start notices, receipts. A host speaks for
//! itself alone; its token says which it is.

use super::access::FromHost;
use super::body::{Body, Part};
use super::wire::{
    ObservationBody, PackagesBody, PlanBody, ReceiptBody, RedemptionBody, StartedBody, StateAnswer,
    UnpreparedBody, Work,
};
use super::{App, Problem, heavy};
use crate::ambient;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_domain::lease::Handover;
use countersign_domain::{ChangeId, HostId};
use countersign_gate::Redemption;
use serde_json::{Value, json};

/// The host of the path must be the one that calls.
pub(super) fn itself(caller: HostId, named: &HostId) -> Result<HostId, Problem> {
    if caller == *named {
        Ok(caller)
    } else {
        Err(Problem::forbidden(format!(
            "host `{caller}` cannot speak for another host"
        )))
    }
}

pub(super) async fn observe(
    State(app): State<App>,
    FromHost(caller): FromHost,
    Part(host): Part<HostId>,
    Body(body): Body<ObservationBody>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let host = itself(caller, &host)?;
    app.gate()
        .observed(&host, body.observation, app.now())
        .await?;
    Ok((StatusCode::CREATED, Json(json!({}))))
}

pub(super) async fn packages(
    State(app): State<App>,
    FromHost(caller): FromHost,
    Part(host): Part<HostId>,
    Body(body): Body<PackagesBody>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let host = itself(caller, &host)?;
    app.gate()
        .packages_reported(&host, body.report, app.now())
        .await?;
    Ok((StatusCode::CREATED, Json(json!({}))))
}

pub(super) async fn work(
    State(app): State<App>,
    FromHost(caller): FromHost,
    Part(host): Part<HostId>,
) -> Result<Json<Work>, Problem> {
    let host = itself(caller, &host)?;
    Ok(Json(heavy(|| app.gate().work(&host))?))
}

pub(super) async fn my_work(
    State(app): State<App>,
    FromHost(host): FromHost,
) -> Result<Json<Work>, Problem> {
    Ok(Json(heavy(|| app.gate().work(&host))?))
}

pub(super) async fn prepared(
    State(app): State<App>,
    FromHost(host): FromHost,
    Part(change): Part<ChangeId>,
    Body(body): Body<PlanBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .prepared(&host, &change, body.plan, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn unprepared(
    State(app): State<App>,
    FromHost(host): FromHost,
    Part(change): Part<ChangeId>,
    Body(body): Body<UnpreparedBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .unprepared(&host, &change, &body.why, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn redeem(
    State(app): State<App>,
    FromHost(host): FromHost,
    Part(change): Part<ChangeId>,
    Body(body): Body<RedemptionBody>,
) -> Result<Json<Handover>, Problem> {
    let redemption = Redemption {
        change,
        host,
        nonce: body.nonce,
        checkpoint_size: body.checkpoint_size,
        roster_version: body.roster_version,
        jti: ambient::nonce(),
    };
    Ok(Json(app.gate().redeem(redemption, app.now()).await?))
}

pub(super) async fn started(
    State(app): State<App>,
    FromHost(host): FromHost,
    Part(change): Part<ChangeId>,
    Body(body): Body<StartedBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .started(&host, &change, body.notice, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn settle(
    State(app): State<App>,
    FromHost(host): FromHost,
    Part(change): Part<ChangeId>,
    Body(body): Body<ReceiptBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .settle(&host, &change, body.receipt, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}
