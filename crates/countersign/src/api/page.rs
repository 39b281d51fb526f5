//! The plain page at `/` that lists changes, for the person at this machine: served to loopback
//! peers only, under a loopback name only, so that no web site can read it by rebinding its name.
//! What a proxy marks as forwarded is turned away; a proxy in front should pass on `/api/` alone.

use super::{App, Problem, heavy};
use crate::serve::Peer;
use askama::Template;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use countersign_domain::change::ChangeState;
use countersign_domain::text::shown;
use countersign_gate::view::ChangeView;

/// Changes that the page lists.
const CHANGES: usize = 200;

#[derive(Template)]
#[template(path = "changes.html")]
struct Page {
    deployment: String,
    trial: bool,
    halted: bool,
    waiting: usize,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    what: String,
    hosts: String,
    agent: String,
    state: &'static str,
    outcome: &'static str,
    rules: String,
    why: String,
}

pub(super) async fn page(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    local(peer, &headers)?;
    let world = app.gate().world()?;
    let changes = heavy(|| app.gate().changes(&[], None, CHANGES))?;
    let waits = |change: &&ChangeView| {
        matches!(
            change.state,
            ChangeState::AwaitingApproval | ChangeState::Escalated
        )
    };
    let page = Page {
        deployment: world.roster.deployment.to_string(),
        trial: world.roster.trial,
        halted: !world.halts.active.is_empty(),
        waiting: changes.iter().filter(waits).count(),
        rows: changes.iter().map(row).collect(),
    };
    let html = page.render().map_err(|error| Problem::undecided(&error))?;
    Ok(Html(html).into_response())
}

pub(super) async fn style() -> Response {
    (
        [(CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("../../static/style.css"),
    )
        .into_response()
}

/// What proxies add.
const FORWARDED: [&str; 5] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-real-ip",
];

/// Only this machine, and only under a name of this machine.
fn local(peer: Peer, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = || {
        Problem::new(
            StatusCode::FORBIDDEN,
            "local-only",
            "this page is for this machine only",
        )
        .hint("open http://localhost with the server's port, on the machine where it runs")
    };
    if headers
        .keys()
        .any(|name| FORWARDED.contains(&name.as_str()))
    {
        return Err(refused());
    }
    let host = headers
        .get(HOST)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(refused)?;
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    if peer.0.ip().to_canonical().is_loopback() && matches!(name, "localhost" | "127.0.0.1" | "::1")
    {
        Ok(())
    } else {
        Err(refused())
    }
}

fn row(change: &ChangeView) -> Row {
    let packages: Vec<_> = change
        .packages
        .iter()
        .map(|package| {
            let from = package
                .from
                .as_ref()
                .map_or("—", |version| version.as_str());
            format!("{} {from} → {}", package.name, package.to)
        })
        .collect();
    let hosts: Vec<_> = change
        .executions
        .iter()
        .map(|execution| execution.host.as_str())
        .collect();
    let rules: Vec<_> = change.rules.iter().map(|rule| rule.as_str()).collect();
    let reasons: Vec<_> = change
        .reasons
        .iter()
        .map(|reason| reason.text.as_str())
        .collect();
    Row {
        id: change.id.to_string(),
        what: shown(&packages.join(", "), 200),
        hosts: shown(&hosts.join(", "), 120),
        agent: change.agent.to_string(),
        state: change.state.as_str(),
        outcome: change
            .outcome
            .map_or("not decided yet", countersign_domain::Outcome::as_str),
        rules: shown(&rules.join(", "), 120),
        why: shown(&reasons.join("; "), 300),
    }
}
