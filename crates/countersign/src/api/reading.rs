//! What can be looked at: deployment, roster, policy, changes' basis, halts, alarms, feeds.

use super::body::{Asked, Part};
use super::logs::entry_text;
use super::wire::{
    Alarms, Basis, Contacts, DeploymentView, FeedView, Feeds, Halts, InventoryView, People,
    PolicyView, Preview, RosterChanges,
};
use super::{App, Problem, heavy};
use axum::Json;
use axum::extract::State;
use countersign_domain::ChangeId;
use countersign_gate::GateError;
use countersign_gate::state::{self, ChangeRecord, FeedRecord};
use countersign_policy::{Explanation, authority_in_words};
use countersign_store::{DocumentQuery, Log, StoreError};
use serde::Deserialize;
use std::collections::BTreeMap;

pub(super) async fn deployment(State(app): State<App>) -> Result<Json<DeploymentView>, Problem> {
    let world = app.gate().world()?;
    Ok(Json(DeploymentView {
        deployment: world.roster.deployment.clone(),
        trial: world.roster.trial,
        genesis: world.roster.genesis,
        roster_version: world.roster.version,
        halt_epoch: world.halts.epoch,
        authorizations_vkey: world.roster.gate.authorizations.clone(),
        recommendations_vkey: world.roster.gate.recommendations.clone(),
        now: app.now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

/// From where on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AfterQuery {
    #[serde(default)]
    after: u64,
}

pub(super) async fn roster(
    State(app): State<App>,
    Asked(query): Asked<AfterQuery>,
) -> Result<Json<RosterChanges>, Problem> {
    let version = app.gate().world()?.roster.version;
    let changes = heavy(|| app.gate().roster_after(query.after))?;
    Ok(Json(RosterChanges { version, changes }))
}

pub(super) async fn people(State(app): State<App>) -> Result<Json<People>, Problem> {
    let world = app.gate().world()?;
    let names = heavy(|| {
        app.gate().store().read(|view| {
            let mut names = BTreeMap::new();
            for (handle, person) in &world.roster.people {
                if let Some(blob) = view.blob(&person.name)? {
                    names.insert(
                        handle.clone(),
                        String::from_utf8_lossy(&blob.bytes).into_owned(),
                    );
                }
            }
            Ok::<_, StoreError>(names)
        })
    })?;
    Ok(Json(People { names }))
}

pub(super) async fn policy(State(app): State<App>) -> Result<Json<PolicyView>, Problem> {
    let world = app.gate().world()?;
    let in_force = world.policy()?;
    let record = &in_force.record;
    let files = heavy(|| {
        app.gate().store().read(|view| {
            let mut files = BTreeMap::new();
            for file in &record.files {
                let blob = view.blob(&file.sha256)?.ok_or_else(|| {
                    StoreError::Damaged(format!("policy file `{}` is missing", file.path))
                })?;
                files.insert(
                    file.path.clone(),
                    String::from_utf8_lossy(&blob.bytes).into_owned(),
                );
            }
            Ok::<_, StoreError>(files)
        })
    })?;
    Ok(Json(PolicyView {
        policy: record.policy,
        version: record.version,
        at: record.at,
        review_due_at: record.review_due_at,
        lapsed: world.policy_lapsed(app.now()),
        authors: record.authors.clone(),
        signers: record.signers.clone(),
        authority: authority_in_words(&in_force.policy),
        files,
    }))
}

pub(super) async fn inventory(State(app): State<App>) -> Result<Json<InventoryView>, Problem> {
    let inventory = heavy(|| app.gate().inventory())?;
    let inventory = inventory
        .to_toml()
        .map_err(|error| Problem::undecided(&error))?;
    Ok(Json(InventoryView { inventory }))
}

pub(super) async fn basis(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
) -> Result<Json<Basis>, Problem> {
    let basis = heavy(|| {
        app.gate().store().read(|view| {
            let record = state::load::<ChangeRecord>(view, change.as_str())?
                .ok_or_else(|| GateError::not_found("change", change.as_str()))?;
            let proposal = entry_text(view, Log::Recommendations, record.recommendation)?;
            let mut plans = Vec::new();
            for execution in state::executions(view, &change)? {
                if record
                    .plans
                    .iter()
                    .any(|bound| bound.host == execution.host)
                {
                    plans.extend(state::plan(view, &execution)?);
                }
            }
            let rationale = match &record.rationale {
                Some(digest) => view.blob(digest)?,
                None => None,
            };
            Ok::<_, GateError>(Basis {
                digest: record.digest,
                proposal,
                plans,
                bound: record.plans,
                decision: record.decision,
                rationale: rationale.map(|blob| String::from_utf8_lossy(&blob.bytes).into_owned()),
            })
        })
    })?;
    Ok(Json(basis))
}

pub(super) async fn preview(
    State(app): State<App>,
    Part(change): Part<ChangeId>,
) -> Result<Json<Preview>, Problem> {
    heavy(|| {
        let preview = app.gate().preview(&change, app.now())?;
        let world = app.gate().world()?;
        let explanation = world.policy()?.policy.explain(&preview.facts);
        Ok(Json(Preview {
            outcome: preview.decision.outcome,
            reasons: preview.decision.reasons,
            words: in_words(&explanation),
        }))
    })
}

/// Each scope, and each rule in it: why it held or not.
fn in_words(explanation: &Explanation) -> String {
    let mut lines: Vec<String> = explanation
        .alarm
        .iter()
        .map(|alarm| format!("ALARM: {alarm}"))
        .collect();
    for scope in &explanation.scopes {
        lines.push(format!(
            "{} (environment {}, tier {}): {}",
            scope.hosts.join(", "),
            scope.environment.as_str(),
            scope.tier.number(),
            scope.outcome.as_str(),
        ));
        lines.extend(
            scope
                .rules
                .iter()
                .map(countersign_policy::RuleExplanation::in_words),
        );
    }
    lines.join("\n")
}

pub(super) async fn halts(State(app): State<App>) -> Result<Json<Halts>, Problem> {
    Ok(Json(app.gate().halts()?))
}

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitQuery {
    #[serde(default = "hundred")]
    limit: usize,
}

const fn hundred() -> usize {
    100
}

pub(super) async fn alarms(
    State(app): State<App>,
    Asked(query): Asked<LimitQuery>,
) -> Result<Json<Alarms>, Problem> {
    let alarms = heavy(|| app.gate().alarms(query.limit))?;
    Ok(Json(Alarms { alarms }))
}

pub(super) async fn contacts(State(app): State<App>) -> Result<Json<Contacts>, Problem> {
    let contacts = heavy(|| app.gate().contacts())?;
    Ok(Json(Contacts { contacts }))
}

pub(super) async fn feeds(State(app): State<App>) -> Result<Json<Feeds>, Problem> {
    let feeds = heavy(|| {
        app.gate().store().read(|view| {
            state::documents::<FeedRecord>(view, &DocumentQuery::default())?
                .iter()
                .map(|document| {
                    let record: FeedRecord = state::parse(document)?;
                    Ok::<_, StoreError>(FeedView {
                        feed: record.feed,
                        source: record.import.source,
                        published_at: record.import.published_at,
                        imported_at: record.import.imported_at,
                        records: record.records,
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        })
    })?;
    Ok(Json(Feeds { feeds }))
}
