//! What agents call: findings, proposals, withdrawals. Nothing here lets an agent decide.

use super::access::FromAgent;
use super::body::{Asked, Body, Part, parse};
use super::wire::{Changes, Findings, ProposalBody, Proposed, StateAnswer};
use super::{App, Problem, heavy};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use countersign_domain::jws::{PROPOSAL_TYP, take_apart};
use countersign_domain::proposal::PROPOSAL_BYTES_MAX;
use countersign_domain::{ChangeId, ChangeState, Digest, Proposal, RequestId};
use countersign_gate::Submission;
use countersign_gate::view::ChangeView;
use serde::Deserialize;

pub(super) async fn findings(State(app): State<App>) -> Result<Json<Findings>, Problem> {
    let as_of = app.now();
    let findings = heavy(|| app.gate().findings(as_of))?;
    Ok(Json(Findings { as_of, findings }))
}

pub(super) async fn propose(
    State(app): State<App>,
    FromAgent(agent): FromAgent,
    headers: HeaderMap,
    Body(body): Body<ProposalBody>,
) -> Result<(StatusCode, Json<Proposed>), Problem> {
    legible(&body.proposal)?;
    let submission = Submission {
        request: request_id(&headers, &body.proposal)?,
        proposal: body.proposal,
        rationale: body.rationale,
        plans: body.plans,
    };
    let proposed = app.gate().propose(&agent, submission, app.now()).await?;
    let answer = Proposed {
        change: proposed.change,
        state: proposed.state,
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// The client's own key for this request; the proposal's digest where it sends none, so that the
/// same bytes are the same request.
fn request_id(headers: &HeaderMap, proposal: &str) -> Result<RequestId, Problem> {
    let wrong = |detail: String| Problem::malformed(detail).field("idempotency-key");
    let text = match headers.get("idempotency-key") {
        None => format!("by-digest-{}", Digest::of(proposal.as_bytes()).short()),
        // RFC drafts write it as a quoted string; many clients send it bare.
        Some(value) => value
            .to_str()
            .map_err(|_| wrong("`idempotency-key` is not text".into()))?
            .trim_matches('"')
            .to_owned(),
    };
    RequestId::new(text).map_err(|error| wrong(error.to_string()))
}

/// Says which field of a proposal cannot be read or is out of bounds, before anybody looks at its
/// signature. The gate checks all of it again.
fn legible(jws: &str) -> Result<(), Problem> {
    let wrong = |detail: String| Problem::malformed(detail).field("proposal");
    // Base64 makes four characters of three bytes.
    if jws.len() > PROPOSAL_BYTES_MAX * 4 / 3 + 1024 {
        return Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            format!("the proposal is larger than {PROPOSAL_BYTES_MAX} bytes; split it"),
        )
        .field("proposal"));
    }
    let parts = take_apart(jws).map_err(|error| wrong(error.to_string()))?;
    if parts.header.typ != PROPOSAL_TYP {
        return Err(wrong(format!("expected a JWS with `typ` `{PROPOSAL_TYP}`")));
    }
    parse::<Proposal>(&parts.payload)?.check().map_err(|error| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid",
            error.to_string(),
        )
        .field(error.field)
    })
}

pub(super) async fn withdraw(
    State(app): State<App>,
    FromAgent(agent): FromAgent,
    Part(change): Part<ChangeId>,
) -> Result<Json<StateAnswer>, Problem> {
    let state = app.gate().withdraw(&agent, &change, app.now()).await?;
    Ok(Json(StateAnswer { state }))
}

pub(super) async fn change(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
) -> Result<Json<ChangeView>, Problem> {
    Ok(Json(app.gate().change(&change)?))
}

/// Which changes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangesQuery {
    /// States, separated by commas; all when left out.
    state: Option<String>,
    limit: Option<usize>,
    after: Option<u64>,
    /// The beginning of an id, for people.
    prefix: Option<String>,
}

/// Changes on one page unless asked otherwise.
const PAGE: usize = 50;
/// Changes on one page at most.
const PAGE_MAX: usize = 200;

pub(super) async fn changes(
    State(app): State<App>,
    Asked(query): Asked<ChangesQuery>,
) -> Result<Json<Changes>, Problem> {
    if let Some(prefix) = &query.prefix {
        let ids = heavy(|| app.gate().changes_like(prefix))?;
        let changes = ids
            .iter()
            .map(|id| app.gate().change(id))
            .collect::<Result<_, _>>()?;
        return Ok(Json(Changes {
            changes,
            next: None,
        }));
    }
    let states = query
        .state
        .iter()
        .flat_map(|states| states.split(','))
        .map(stored_word)
        .collect::<Result<Vec<_>, _>>()?;
    let limit = query.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX);
    let changes = heavy(|| app.gate().changes(&states, query.after, limit))?;
    let next = if changes.len() == limit {
        changes.last().map(|change| change.order)
    } else {
        None
    };
    Ok(Json(Changes { changes, next }))
}

/// The words by which changes are stored, from those that JSON has: `review-due`, `overdue`.
fn stored_word(word: &str) -> Result<&'static str, Problem> {
    use ChangeState::*;
    let word = word.trim().replace([' ', '_'], "-");
    let all = [
        Proposed,
        Preparing,
        Denied,
        Escalated,
        AwaitingApproval,
        Authorized,
        Refused,
        Expired,
        Withdrawn,
        Revoked,
        Running,
        Settled,
        ReviewDue,
        Overdue(1),
        Reviewed,
    ];
    all.iter()
        .map(|state| state.as_str())
        .find(|stored| {
            stored.replace(' ', "-") == word
                || (word == "overdue" && *stored == Overdue(1).as_str())
        })
        .ok_or_else(|| {
            let known: Vec<_> = all
                .iter()
                .map(|state| state.as_str().replace(' ', "-"))
                .collect();
            Problem::malformed(format!(
                "there is no such state; expected {}",
                known.join(", ")
            ))
            .field("state")
        })
}
