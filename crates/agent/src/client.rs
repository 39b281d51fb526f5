//! The HTTP API as an agent uses it (blocking). Every answer is bounded in size, count and time,
//! and redirects are not followed: a token goes to the server it was made for and nowhere else.
//! Repeats nothing by itself; see [`run`](mod@crate::run).

mod error;
mod identity;
mod view;

pub use error::{ClientError, Problem};
pub use identity::AgentIdentity;
pub use view::{
    Accepted, ChangeExecution, ChangeHost, ChangePackage, ChangeView, ChangesPage, Findings,
    Listing, Withdrawn,
};

use crate::propose::SignedProposal;
use countersign_domain::text::shown;
use countersign_domain::{ChangeId, ChangeState, Timestamp};
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::io::Read as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use ureq::http::Uri;

/// A token is made anew when it is this old, in seconds: before it expires.
pub const TOKEN_RENEW_SECONDS: i64 = 240;
/// Changes asked for in one page.
const PAGE_CHANGES: usize = 100;
/// The longest cursor (`next`) that is taken, in bytes.
const CURSOR_BYTES_MAX: usize = 300;
/// A problem document at most, in bytes.
const PROBLEM_BYTES_MAX: u64 = 64 * 1024;

/// Bounds on what a server may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A request with its whole answer at most.
    pub request_time: Duration,
    /// An answer at most, in bytes.
    pub body_bytes_max: u64,
    /// Findings in one answer at most.
    pub findings_max: usize,
    /// Pages of changes that are read at most.
    pub pages_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_time: Duration::from_secs(30),
            body_bytes_max: 64 * 1024 * 1024,
            findings_max: 20_000,
            pages_max: 100,
        }
    }
}

/// A client of one server, in the name of one agent.
#[derive(Debug)]
pub struct Client {
    base: String,
    identity: AgentIdentity,
    limits: Limits,
    http: ureq::Agent,
    token: Mutex<Option<(Timestamp, String)>>,
}

enum Method<'a> {
    Get,
    Post {
        body: String,
        idempotency_key: Option<&'a str>,
    },
}

impl Client {
    /// A client of the server at `base_url`, such as `https://countersign.example.org`, with the
    /// default [`Limits`].
    ///
    /// # Errors
    /// When the address cannot be used: see [`Client::with_limits`].
    pub fn new(base_url: &str, identity: AgentIdentity) -> Result<Self, ClientError> {
        Self::with_limits(base_url, identity, Limits::default())
    }

    /// A client with other limits.
    ///
    /// # Errors
    /// When `base_url` is not `https://…` (or `http://…` to this machine itself), or carries a user
    /// name, a query or a fragment.
    pub fn with_limits(
        base_url: &str,
        identity: AgentIdentity,
        limits: Limits,
    ) -> Result<Self, ClientError> {
        let (base, encrypted) = server(base_url)?;
        let mut config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept_encoding("identity")
            .accept("application/json")
            .user_agent("countersign-agent")
            .timeout_global(Some(limits.request_time));
        if !encrypted {
            // A token in the clear stays on this machine.
            config = config.proxy(None);
        }
        Ok(Self {
            base,
            identity,
            limits,
            http: ureq::Agent::new_with_config(config.build()),
            token: Mutex::new(None),
        })
    }

    /// In whose name it asks.
    #[must_use]
    pub const fn identity(&self) -> &AgentIdentity {
        &self.identity
    }

    /// The pending upgrades with their facts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn findings(&self, now: Timestamp) -> Result<Findings, ClientError> {
        let found: Findings = self.ask("/findings", Method::Get, now)?;
        if found.findings.len() > self.limits.findings_max {
            let problem = format!(
                "it has {} findings, more than {}",
                found.findings.len(),
                self.limits.findings_max
            );
            return Err(malformed("GET /findings", &problem));
        }
        Ok(found)
    }

    /// Hands in a proposal. Handing the same one in again gives the same change.
    ///
    /// # Errors
    /// [`ClientError`]; status 409 when its idempotency key was used for another proposal.
    pub fn propose(
        &self,
        proposal: &SignedProposal,
        now: Timestamp,
    ) -> Result<Accepted, ClientError> {
        let body = serde_json::json!({
            "proposal": proposal.jws,
            "rationale": proposal.rationale,
        });
        let method = Method::Post {
            body: body.to_string(),
            idempotency_key: Some(proposal.request.as_str()),
        };
        self.ask("/proposals", method, now)
    }

    /// One change.
    ///
    /// # Errors
    /// [`ClientError`], also when the server answers with another change.
    pub fn change(&self, id: &ChangeId, now: Timestamp) -> Result<ChangeView, ClientError> {
        let path = format!("/changes/{}", escaped(id.as_str()));
        let view: ChangeView = self.ask(&path, Method::Get, now)?;
        if view.id == *id {
            Ok(view)
        } else {
            let problem = format!("it is about change `{}`", view.id);
            Err(malformed(&format!("GET {path}"), &problem))
        }
    }

    /// One page of changes, from the start or `after` the cursor of another page.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn changes_page(
        &self,
        after: Option<&str>,
        now: Timestamp,
    ) -> Result<ChangesPage, ClientError> {
        let mut path = format!("/changes?limit={PAGE_CHANGES}");
        if let Some(after) = after {
            path.push_str(&format!("&after={}", escaped(after)));
        }
        let page: ChangesPage = self.ask(&path, Method::Get, now)?;
        let cursor = page.next.as_ref().map_or(0, String::len);
        if cursor > CURSOR_BYTES_MAX || page.changes.len() > PAGE_CHANGES {
            return Err(malformed(
                "GET /changes",
                "a page is larger than was asked for",
            ));
        }
        Ok(page)
    }

    /// All changes, as far as [`Limits::pages_max`] allows.
    ///
    /// # Errors
    /// [`ClientError`], also when the pages lead in a circle.
    pub fn changes(&self, now: Timestamp) -> Result<Listing, ClientError> {
        let mut changes = Vec::new();
        let mut after: Option<String> = None;
        let mut seen = BTreeSet::new();
        for _ in 0..self.limits.pages_max {
            let page = self.changes_page(after.as_deref(), now)?;
            changes.extend(page.changes);
            let Some(next) = page.next else {
                return Ok(Listing {
                    changes,
                    complete: true,
                });
            };
            if !seen.insert(next.clone()) {
                return Err(malformed("GET /changes", "its pages lead in a circle"));
            }
            after = Some(next);
        }
        Ok(Listing {
            changes,
            complete: false,
        })
    }

    /// Takes a change of this agent back, before it runs.
    ///
    /// # Errors
    /// [`ClientError`]; status 409 when it has gone too far.
    pub fn withdraw(&self, id: &ChangeId, now: Timestamp) -> Result<ChangeState, ClientError> {
        let method = Method::Post {
            body: "{}".into(),
            idempotency_key: None,
        };
        let path = format!("/changes/{}/withdrawals", escaped(id.as_str()));
        Ok(self.ask::<Withdrawn>(&path, method, now)?.state)
    }

    fn ask<T: DeserializeOwned>(
        &self,
        path: &str,
        method: Method<'_>,
        now: Timestamp,
    ) -> Result<T, ClientError> {
        let url = format!("{}{path}", self.base);
        let bearer = format!("Bearer {}", self.token(now)?);
        let (verb, sent) = match method {
            Method::Get => {
                let request = self.http.get(&url).header("authorization", bearer);
                ("GET", request.call())
            }
            Method::Post {
                body,
                idempotency_key,
            } => {
                let mut request = self
                    .http
                    .post(&url)
                    .header("authorization", bearer)
                    .header("content-type", "application/json");
                if let Some(key) = idempotency_key {
                    request = request.header("idempotency-key", key);
                }
                ("POST", request.send(body))
            }
        };
        let bare = path.split_once('?').map_or(path, |(bare, _)| bare);
        let request = format!("{verb} {}", shown(bare, 120));
        let unreachable = |problem: String| ClientError::Unreachable {
            request: request.clone(),
            problem: shown(&problem, 200),
        };
        let mut answer = sent.map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status();
        let bytes_max = if status.is_success() {
            self.limits.body_bytes_max
        } else {
            PROBLEM_BYTES_MAX
        };
        let mut body = Vec::new();
        // ureq's own limit is lifted, so that ours alone counts, on what was unpacked.
        let reader = answer.body_mut().with_config().limit(u64::MAX).reader();
        let read = reader
            .take(bytes_max.saturating_add(1))
            .read_to_end(&mut body);
        if !status.is_success() {
            if status == ureq::http::StatusCode::UNAUTHORIZED {
                self.forget_token();
            }
            let problem = match read {
                Ok(_) if body.len() as u64 <= bytes_max => Problem::read(&body),
                Ok(_) | Err(_) => None,
            };
            let status = status.as_u16();
            return Err(match problem {
                Some(problem) => ClientError::Refused {
                    request,
                    status,
                    problem: Box::new(problem),
                },
                None => ClientError::Status { request, status },
            });
        }
        read.map_err(|error| unreachable(error.to_string()))?;
        if body.len() as u64 > bytes_max {
            return Err(ClientError::TooLong { request, bytes_max });
        }
        serde_json::from_slice(&body).map_err(|error| malformed(&request, &error.to_string()))
    }

    /// The token at hand, or a new one when that is [`TOKEN_RENEW_SECONDS`] old or from the future.
    fn token(&self, now: Timestamp) -> Result<String, ClientError> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, token)) = held.as_ref()
            && (0..TOKEN_RENEW_SECONDS).contains(&now.seconds_since(*made_at))
        {
            return Ok(token.clone());
        }
        let token = self.identity.token(now)?;
        *held = Some((now, token.clone()));
        Ok(token)
    }

    fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn malformed(request: &str, problem: &str) -> ClientError {
    ClientError::Malformed {
        request: shown(request, 140),
        problem: shown(problem, 300),
    }
}

/// The API's base behind `base_url`, and whether the way there is encrypted.
fn server(base_url: &str) -> Result<(String, bool), ClientError> {
    let refuse = |problem| {
        // What may be a password is not shown.
        let url = match base_url.rsplit_once('@') {
            Some((_, rest)) => format!("…@{}", shown(rest, 200)),
            None => shown(base_url, 200),
        };
        Err(ClientError::Address { url, problem })
    };
    let Ok(url) = base_url.parse::<Uri>() else {
        return refuse("cannot be read; expected `https://host`");
    };
    let Some(authority) = url.authority() else {
        return refuse("names no host; expected `https://host`");
    };
    if authority.as_str().contains('@') {
        return refuse("may not carry a user name or password; the agent signs with its key");
    }
    if url.query().is_some() || base_url.contains('#') {
        return refuse("may not have a query or fragment; expected `https://host`");
    }
    let base = format!("{}/api/v1", base_url.trim_end_matches('/'));
    match url.scheme_str() {
        Some("https") => Ok((base, true)),
        Some("http") if is_loopback(authority.host()) => Ok((base, false)),
        Some("http") => refuse("is not encrypted; use `https://` except on this machine itself"),
        Some(_) | None => refuse("is not `https://`"),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    bare == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Percent-encodes all but the characters that RFC 3986 leaves alone.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests;
