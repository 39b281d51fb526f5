//! Who may call an endpoint. One layer in front of each route checks it, by the route table, so a
//! handler cannot forget to. People need no session here: what they hand in is signed.

use super::{App, Problem};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use countersign_domain::jws::{Token, take_apart};
use countersign_domain::{AgentId, Digest, HostId, Timestamp};
use countersign_verify::token::{self, TOKEN_BYTES_MAX, TokenError};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Who may call an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Anybody.
    Public,
    /// Agents of the roster.
    Agent,
    /// Hosts of the roster.
    Host,
    /// The operator, who holds the data directory's token.
    Operator,
    /// Agents, hosts and the operator.
    Reader,
    /// Named humans: the signature in the body is the credential. Agents and hosts are turned away.
    Signature,
}

/// Who called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// An agent.
    Agent(AgentId),
    /// A host.
    Host(HostId),
    /// The operator.
    Operator,
}

impl Caller {
    const fn may(&self, access: Access) -> bool {
        match (access, self) {
            (Access::Public | Access::Reader, _)
            | (Access::Agent, Self::Agent(_))
            | (Access::Host, Self::Host(_))
            | (Access::Operator | Access::Signature, Self::Operator) => true,
            (Access::Agent | Access::Host | Access::Operator | Access::Signature, _) => false,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Agent(_) => "an agent",
            Self::Host(_) => "a host",
            Self::Operator => "the operator",
        }
    }
}

/// How far callers' clocks may be off, in seconds.
const SKEW_SECONDS: i64 = 60;
/// Tokens that are remembered as verified.
const TOKENS_MAX: usize = 4096;

/// Tokens that were verified, by digest, until they or the roster change.
#[derive(Default)]
pub(super) struct TokenCache(Mutex<HashMap<Digest, Known>>);

struct Known {
    caller: Caller,
    roster: Digest,
    until: Timestamp,
}

impl TokenCache {
    fn get(&self, token: &Digest, roster: &Digest, now: Timestamp) -> Option<Caller> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .get(token)
            .filter(|known| known.roster == *roster && now < known.until)
            .map(|known| known.caller.clone())
    }

    fn put(&self, token: Digest, known: Known, now: Timestamp) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= TOKENS_MAX {
            all.retain(|_, known| now < known.until);
        }
        // Still full: it is verified again next time, which costs time and no memory.
        if all.len() < TOKENS_MAX {
            all.insert(token, known);
        }
    }
}

/// The layer in front of a route.
pub(super) async fn check(
    State((app, access)): State<(App, Access)>,
    mut request: Request,
    next: Next,
) -> Response {
    let header = request.headers().get(AUTHORIZATION);
    let caller = match (header, access) {
        (None, Access::Public | Access::Signature) => None,
        // Whoever reads what is public has no need to prove anything, and may be of an old roster.
        (Some(_), Access::Public) => None,
        (None, Access::Agent | Access::Host | Access::Operator | Access::Reader) => {
            return Problem::unauthenticated("this endpoint needs a bearer token").into_response();
        }
        (Some(header), _) => {
            let token = header
                .to_str()
                .ok()
                .and_then(|text| text.strip_prefix("Bearer "));
            match token.map(|token| identify(&app, token, access)) {
                Some(Ok(caller)) => Some(caller),
                Some(Err(problem)) => return problem.into_response(),
                None => {
                    return Problem::unauthenticated("expected `Authorization: Bearer TOKEN`")
                        .into_response();
                }
            }
        }
    };
    if let Some(caller) = caller {
        if !caller.may(access) {
            return Problem::forbidden(format!("{} may not call this endpoint", caller.kind()))
                .into_response();
        }
        request.extensions_mut().insert(caller);
    }
    next.run(request).await
}

fn identify(app: &App, token: &str, access: Access) -> Result<Caller, Problem> {
    let presented = Digest::of(token.as_bytes());
    // Equal digests mean equal tokens, and how long it takes to compare digests tells nothing of
    // the token.
    if presented == Digest::of(app.operator.expose().as_bytes()) {
        return Ok(Caller::Operator);
    }
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Problem::unauthenticated("the token is too long"));
    }
    let world = app.gate().world()?;
    let now = app.now();
    if let Some(caller) = app.tokens.get(&presented, &world.roster.head, now) {
        return Ok(caller);
    }
    let agent = || token::agent(token, &world.roster, now, SKEW_SECONDS).map(Caller::Agent);
    let host = || token::host(token, &world.roster, now, SKEW_SECONDS).map(Caller::Host);
    // An agent and a host may bear the same id; each key counts for its own kind only.
    let (caller, error) = match access {
        Access::Host => either(host(), agent),
        _ => either(agent(), host),
    };
    let Some(caller) = caller else {
        let why = error.map_or_else(String::new, |error| error.to_string());
        return Err(Problem::unauthenticated(why)
            .hint("the roster shows who is enrolled: `countersign roster show`"));
    };
    if let Some(until) = expiry(token) {
        let known = Known {
            caller: caller.clone(),
            roster: world.roster.head,
            until,
        };
        app.tokens.put(presented, known, now);
    }
    Ok(caller)
}

/// The first that verifies; else the error that says most.
fn either(
    first: Result<Caller, TokenError>,
    second: impl FnOnce() -> Result<Caller, TokenError>,
) -> (Option<Caller>, Option<TokenError>) {
    match first {
        Ok(caller) => (Some(caller), None),
        Err(error) => match second() {
            Ok(caller) => (Some(caller), None),
            Err(TokenError::Unknown(_)) => (None, Some(error)),
            Err(other) if matches!(error, TokenError::Unknown(_)) => (None, Some(other)),
            Err(_) => (None, Some(error)),
        },
    }
}

/// When a token that was just verified ends.
fn expiry(token: &str) -> Option<Timestamp> {
    let parts = take_apart(token).ok()?;
    let claims: Token = serde_json::from_slice(&parts.payload).ok()?;
    Some(Timestamp::from_unix_seconds(claims.exp))
}

/// The agent that called.
pub(super) struct FromAgent(pub(super) AgentId);

/// The host that called.
pub(super) struct FromHost(pub(super) HostId);

impl<S: Send + Sync> FromRequestParts<S> for FromAgent {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Agent(agent)) => Ok(Self(agent.clone())),
            _ => Err(Problem::unauthenticated("only an agent can call this")),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for FromHost {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(Caller::Host(host)) => Ok(Self(host.clone())),
            _ => Err(Problem::unauthenticated("only a host can call this")),
        }
    }
}
