//! What named humans hand in. The signature is the credential: no session, no role, no door beside
//! it (invariant 6). Agents and hosts are turned away before anything is read.

use super::body::{Body, Part};
use super::wire::{
    HaltAnswer, HaltBody, InventoryAnswer, InventoryBody, PolicyAnswer, PolicyBody, ResumptionBody,
    ReviewBody, RosterAnswer, RosterBody, StateAnswer, VoteBody,
};
use super::{App, Problem};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use countersign_domain::ChangeId;
use countersign_gate::{InventoryChange, PolicyChange};
use countersign_policy::PolicySource;

/// Signatures on one request at most.
const STATEMENTS_MAX: usize = 64;

fn bounded(statements: usize) -> Result<(), Problem> {
    if statements <= STATEMENTS_MAX {
        Ok(())
    } else {
        Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            format!("`statements` has {statements} entries; at most {STATEMENTS_MAX} are taken"),
        )
        .field("statements"))
    }
}

pub(super) async fn vote(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
    Body(body): Body<VoteBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .vote(&change, body.statement, body.rationale, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn review(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
    Body(body): Body<ReviewBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .review(&change, body.statement, body.note, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn state_ending(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
    Body(body): Body<ReviewBody>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app
        .gate()
        .state_ending(&change, body.statement, body.note, app.now())
        .await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn halt(
    State(app): State<App>,
    Body(body): Body<HaltBody>,
) -> Result<Json<HaltAnswer>, Problem> {
    let halt_epoch = app.gate().halt(body.statement, app.now()).await?;
    Ok(Json(HaltAnswer { halt_epoch }))
}

pub(super) async fn resume(
    State(app): State<App>,
    Body(body): Body<ResumptionBody>,
) -> Result<Json<HaltAnswer>, Problem> {
    bounded(body.statements.len())?;
    let halt_epoch = app.gate().resume(body.statements, app.now()).await?;
    Ok(Json(HaltAnswer { halt_epoch }))
}

pub(super) async fn policy(
    State(app): State<App>,
    Body(body): Body<PolicyBody>,
) -> Result<Json<PolicyAnswer>, Problem> {
    bounded(body.statements.len())?;
    let files = body
        .files
        .into_iter()
        .map(|(path, text)| (path, text.into_bytes()))
        .collect();
    let source = PolicySource::new(files).map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            error.to_string(),
        )
        .field("files")
    })?;
    let change = PolicyChange {
        source,
        authors: body.authors,
        statements: body.statements,
    };
    let policy = app.gate().change_policy(change, app.now()).await?;
    Ok(Json(PolicyAnswer { policy }))
}

pub(super) async fn roster(
    State(app): State<App>,
    Body(body): Body<RosterBody>,
) -> Result<Json<RosterAnswer>, Problem> {
    bounded(body.signed.statements.len())?;
    let roster_version = app
        .gate()
        .change_roster(body.signed, body.texts, app.now())
        .await?;
    Ok(Json(RosterAnswer { roster_version }))
}

pub(super) async fn inventory(
    State(app): State<App>,
    Body(body): Body<InventoryBody>,
) -> Result<Json<InventoryAnswer>, Problem> {
    bounded(body.statements.len())?;
    let change = InventoryChange {
        bytes: body.inventory.into_bytes(),
        statements: body.statements,
    };
    let raises = app.gate().change_inventory(change, app.now()).await?;
    Ok(Json(InventoryAnswer { raises }))
}
