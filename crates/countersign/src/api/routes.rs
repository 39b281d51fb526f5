//! Every address of the server, in one table: method, path, who may call it, how much it takes. A
//! test walks the table, so an endpoint without a check cannot be added unnoticed.

use super::access::{Access, check};
use super::{
    App, Problem, agents, emergencies, hosts, humans, logs, operator, page, reading, unwarranted,
};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodRouter, get, post};
use std::time::Duration;

/// One endpoint.
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with its parts in braces.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
    /// The largest body that is taken, in bytes.
    pub body_bytes_max: usize,
    handler: MethodRouter<App>,
}

/// How long a request may take, its body included.
const REQUEST_TIME: Duration = Duration::from_secs(60);
/// A few words and a signature.
const SMALL: usize = 16 * 1024;
/// A signed document with its texts.
const MEDIUM: usize = 256 * 1024;
/// An observation: a JWS of up to 6 MiB, in JSON.
const OBSERVATION: usize = 6 * 1024 * 1024 + SMALL;
/// An emergency: what was signed (512 KiB, escaped in JSON) and a receipt.
const EMERGENCY: usize = 2 * 1024 * 1024;
/// A proposal with the plans of its hosts.
const PROPOSAL: usize = 4 * 1024 * 1024;
/// A policy's files, or an inventory, in JSON.
const LARGE: usize = 64 * 1024 * 1024;
/// A feed's document.
const FEED: usize = 64 * 1024 * 1024;

/// The table.
#[must_use]
pub fn routes() -> Vec<Route> {
    let read = |path, access, handler| Route {
        method: Method::GET,
        path,
        access,
        body_bytes_max: 0,
        handler,
    };
    let write = |path, access, body_bytes_max, handler| Route {
        method: Method::POST,
        path,
        access,
        body_bytes_max,
        handler,
    };
    use Access::{Agent, Host, Operator, Public, Reader, Signature};
    vec![
        read("/", Public, get(page::page)),
        read("/static/style.css", Public, get(page::style)),
        read("/api/v1/deployment", Public, get(reading::deployment)),
        read("/api/v1/roster", Public, get(reading::roster)),
        read(
            "/api/v1/log/{log}/checkpoint",
            Public,
            get(logs::checkpoint),
        ),
        read("/api/v1/log/{log}/tile/{*tile}", Reader, get(logs::tile)),
        read("/api/v1/people", Operator, get(reading::people)),
        read("/api/v1/policy", Reader, get(reading::policy)),
        read("/api/v1/inventory", Operator, get(reading::inventory)),
        read("/api/v1/halts", Reader, get(reading::halts)),
        read("/api/v1/alarms", Operator, get(reading::alarms)),
        read("/api/v1/contacts", Operator, get(reading::contacts)),
        read("/api/v1/feeds", Operator, get(reading::feeds)),
        read("/api/v1/unwarranted", Operator, get(unwarranted::list)),
        read(
            "/api/v1/unwarranted/{finding}",
            Operator,
            get(unwarranted::one),
        ),
        write(
            "/api/v1/unwarranted/{finding}/reviews",
            Signature,
            MEDIUM,
            post(unwarranted::review),
        ),
        read("/api/v1/changes", Reader, get(agents::changes)),
        read("/api/v1/changes/{change}", Reader, get(agents::change)),
        read(
            "/api/v1/changes/{change}/basis",
            Operator,
            get(reading::basis),
        ),
        read(
            "/api/v1/changes/{change}/preview",
            Reader,
            get(reading::preview),
        ),
        read("/api/v1/findings", Agent, get(agents::findings)),
        write("/api/v1/proposals", Agent, PROPOSAL, post(agents::propose)),
        write(
            "/api/v1/changes/{change}/withdrawals",
            Agent,
            SMALL,
            post(agents::withdraw),
        ),
        write(
            "/api/v1/hosts/{host}/observations",
            Host,
            OBSERVATION,
            post(hosts::observe),
        ),
        write(
            "/api/v1/hosts/{host}/packages",
            Host,
            OBSERVATION,
            post(hosts::packages),
        ),
        write(
            "/api/v1/hosts/{host}/emergencies",
            Host,
            EMERGENCY,
            post(emergencies::told),
        ),
        read("/api/v1/emergencies", Operator, get(emergencies::list)),
        read(
            "/api/v1/emergencies/{change}",
            Operator,
            get(emergencies::one),
        ),
        write(
            "/api/v1/emergencies/{change}/reviews",
            Signature,
            MEDIUM,
            post(emergencies::review),
        ),
        read("/api/v1/hosts/{host}/work", Host, get(hosts::work)),
        read("/api/v1/work", Host, get(hosts::my_work)),
        write(
            "/api/v1/changes/{change}/plans",
            Host,
            MEDIUM,
            post(hosts::prepared),
        ),
        write(
            "/api/v1/changes/{change}/unprepared",
            Host,
            SMALL,
            post(hosts::unprepared),
        ),
        write(
            "/api/v1/changes/{change}/redemptions",
            Host,
            SMALL,
            post(hosts::redeem),
        ),
        write(
            "/api/v1/changes/{change}/started",
            Host,
            SMALL,
            post(hosts::started),
        ),
        write(
            "/api/v1/changes/{change}/receipts",
            Host,
            MEDIUM,
            post(hosts::settle),
        ),
        write(
            "/api/v1/changes/{change}/votes",
            Signature,
            MEDIUM,
            post(humans::vote),
        ),
        write(
            "/api/v1/changes/{change}/reviews",
            Signature,
            MEDIUM,
            post(humans::review),
        ),
        write(
            "/api/v1/changes/{change}/endings",
            Signature,
            MEDIUM,
            post(humans::state_ending),
        ),
        write("/api/v1/halts", Signature, MEDIUM, post(humans::halt)),
        write(
            "/api/v1/resumptions",
            Signature,
            MEDIUM,
            post(humans::resume),
        ),
        write("/api/v1/policy", Signature, LARGE, post(humans::policy)),
        write(
            "/api/v1/roster",
            Signature,
            MEDIUM * 4,
            post(humans::roster),
        ),
        write(
            "/api/v1/inventory",
            Signature,
            LARGE,
            post(humans::inventory),
        ),
        write("/api/v1/feeds", Operator, FEED, post(operator::import_feed)),
    ]
}

/// The server's router.
pub fn router(app: &App) -> Router {
    let mut router = Router::new();
    for route in routes() {
        let handler = route
            .handler
            .layer(DefaultBodyLimit::max(route.body_bytes_max))
            .layer(from_fn_with_state((app.clone(), route.access), check));
        router = router.route(route.path, handler);
    }
    router
        .fallback(async || Problem::not_found("there is nothing at this address"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "this address takes another method",
            )
        })
        .layer(from_fn(frame))
        .with_state(app.clone())
}

/// Around every answer: a limit in time, and headers that keep browsers from making more of it.
async fn frame(request: Request, next: Next) -> Response {
    let mut response = match tokio::time::timeout(REQUEST_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "timeout",
            format!("the request took longer than {} s", REQUEST_TIME.as_secs()),
        )
        .hint("whatever was handed in may have been done: look before you repeat it")
        .into_response(),
    };
    let headers = response.headers_mut();
    let set = [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
