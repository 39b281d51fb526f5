//! The gate's HTTP API as a host uses it: bounded bodies, deadlines, no redirects, https only except
//! on loopback. The bytes go directly or through the network process; every rule is here, for both.
//! What comes back is not believed here; `work` verifies it.

mod transport;
mod wire;

pub use transport::{Direct, Endpoint, Reply, Request};
pub use wire::{Deployment, Redemption, RosterPage, ToPrepare, ToRedeem, Unsettled, Work};

use crate::config::Config;
use crate::key::{HostKey, KeyError};
use crate::network::{Relay, RelayError};
use countersign_domain::emergency::EmergencyBundle;
use countersign_domain::lease::Handover;
use countersign_domain::text::shown;
use countersign_domain::{ChangeId, DeploymentId, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The largest answer that is read, in bytes.
pub(crate) const ANSWER_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How long one request may take.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// A `problem+json` (RFC 9457) as the gate words it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// What kind; its last path segment is what programs look at.
    #[serde(rename = "type")]
    pub kind: String,
    /// In a few words.
    pub title: String,
    /// More of it.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Problem {
    /// The last segment of its type, such as `not-authorized`.
    #[must_use]
    pub fn word(&self) -> &str {
        let end = self.kind.rsplit(['/', ':', '#']).next();
        end.unwrap_or(&self.kind)
    }
}

/// Why the gate did not give what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's address is not one that is taken.
    #[error("server `{0}` is not taken: use `https://`; `http://` on loopback only")]
    Server(String),
    /// No answer.
    #[error(
        "gate `{server}` does not answer: {problem}; hint: is `countersign serve` running there?"
    )]
    Unreachable {
        /// Which.
        server: String,
        /// Why.
        problem: String,
    },
    /// No answer from the network process.
    #[error(
        "network process at `{socket}`: {problem}; hint: `systemctl status countersign-host-network`"
    )]
    Network {
        /// Where it should listen.
        socket: String,
        /// Why.
        problem: RelayError,
    },
    /// It said no.
    #[error("gate: {title}{rest}", title = shown(&.problem.title, 200), rest = in_words(.problem))]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
    /// An answer that is not understood.
    #[error(
        "gate answered `{path}` in a form that is not understood: {problem}; hint: is it a newer version?"
    )]
    Form {
        /// What was asked.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The token could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl ClientError {
    /// The word of a refusal, such as `not-authorized`.
    #[must_use]
    pub fn word(&self) -> Option<&str> {
        match self {
            Self::Refused { problem, .. } => Some(problem.word()),
            Self::Server(_)
            | Self::Unreachable { .. }
            | Self::Network { .. }
            | Self::Form { .. }
            | Self::Key(_) => None,
        }
    }
}

fn in_words(problem: &Problem) -> String {
    let mut text = String::new();
    if let Some(detail) = &problem.detail {
        text.push_str(&format!(": {}", shown(detail, 400)));
    }
    if let Some(hint) = &problem.hint {
        text.push_str(&format!("; hint: {}", shown(hint, 300)));
    }
    text
}

/// Checks that a server's address is one that a host talks to.
///
/// # Errors
/// When it is neither https nor loopback.
pub fn check_server(server: &str) -> Result<(), ClientError> {
    let wrong = || ClientError::Server(shown(server, 100));
    let plain = |rest: &str| {
        let authority = rest.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(v6) => v6.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        };
        !authority.contains('@') && (host == "localhost" || host == "127.0.0.1" || host == "::1")
    };
    match (
        server.strip_prefix("https://"),
        server.strip_prefix("http://"),
    ) {
        (Some(rest), _) if !rest.is_empty() && !rest.contains('@') => Ok(()),
        (None, Some(rest)) if plain(rest) => Ok(()),
        (Some(_) | None, _) => Err(wrong()),
    }
}

/// A client of one gate.
#[derive(Debug)]
pub struct Client {
    way: Way,
}

/// How bytes get to the gate.
#[derive(Debug)]
enum Way {
    Direct(Direct),
    Relayed(Relay),
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The host's key.
    pub key: &'a HostKey,
    /// The deployment.
    pub deployment: &'a DeploymentId,
    /// The time, for the token.
    pub now: Timestamp,
}

impl Client {
    /// A client as the host's configuration has it: through the network process where it names one,
    /// directly otherwise.
    ///
    /// # Errors
    /// When the address is not one that a host talks to.
    pub fn of(config: &Config) -> Result<Self, ClientError> {
        let way = match &config.network {
            Some(relay) => {
                check_server(&config.server)?;
                Way::Relayed(relay.clone())
            }
            None => Way::Direct(Direct::new(&config.server, true)?),
        };
        Ok(Self { way })
    }

    /// What anybody may know of the deployment.
    ///
    /// # Errors
    /// When the gate does not answer as it should.
    pub fn deployment(&self) -> Result<Deployment, ClientError> {
        self.get(Endpoint::Deployment {}, None)
    }

    /// Roster changes after version `after`, at most a hundred.
    ///
    /// # Errors
    /// When the gate does not answer as it should.
    pub fn roster(&self, after: u64) -> Result<RosterPage, ClientError> {
        self.get(Endpoint::Roster { after }, None)
    }

    /// Hands in an observation.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn observed(&self, caller: Caller<'_>, observation: &str) -> Result<(), ClientError> {
        let host = caller.key.host().clone();
        let body = serde_json::json!({ "observation": observation });
        self.notify(Endpoint::Observations { host }, caller, &body)
    }

    /// Hands in a signed report of this host's packages.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn packages_reported(&self, caller: Caller<'_>, report: &str) -> Result<(), ClientError> {
        let host = caller.key.host().clone();
        let body = serde_json::json!({ "report": report });
        self.notify(Endpoint::Packages { host }, caller, &body)
    }

    /// What there is to do.
    ///
    /// # Errors
    /// When the gate does not answer as it should.
    pub fn work(&self, caller: Caller<'_>) -> Result<Work, ClientError> {
        let host = caller.key.host().clone();
        self.get(Endpoint::Work { host }, Some(caller))
    }

    /// Hands in a signed plan.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn prepared(
        &self,
        caller: Caller<'_>,
        change: &ChangeId,
        plan: &str,
    ) -> Result<(), ClientError> {
        let change = change.clone();
        let body = serde_json::json!({ "plan": plan });
        self.notify(Endpoint::Plans { change }, caller, &body)
    }

    /// Says that this host cannot prepare.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn unprepared(
        &self,
        caller: Caller<'_>,
        change: &ChangeId,
        why: &str,
    ) -> Result<(), ClientError> {
        let change = change.clone();
        let body = serde_json::json!({ "why": why });
        self.notify(Endpoint::Unprepared { change }, caller, &body)
    }

    /// Redeems: asks for the warrant, with its proof and a fresh lease.
    ///
    /// # Errors
    /// When the gate refuses; its word says why.
    pub fn redeem(
        &self,
        caller: Caller<'_>,
        change: &ChangeId,
        redemption: &Redemption,
    ) -> Result<Handover, ClientError> {
        let change = change.clone();
        self.post(Endpoint::Redemptions { change }, caller, redemption)
    }

    /// Hands in a start notice.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn started(
        &self,
        caller: Caller<'_>,
        change: &ChangeId,
        notice: &str,
    ) -> Result<(), ClientError> {
        let change = change.clone();
        let body = serde_json::json!({ "notice": notice });
        self.notify(Endpoint::Started { change }, caller, &body)
    }

    /// Hands in a receipt.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn settled(
        &self,
        caller: Caller<'_>,
        change: &ChangeId,
        receipt: &str,
    ) -> Result<(), ClientError> {
        let change = change.clone();
        let body = serde_json::json!({ "receipt": receipt });
        self.notify(Endpoint::Receipts { change }, caller, &body)
    }

    /// Hands in what was done because the glass was broken, with the receipt for it.
    ///
    /// # Errors
    /// When the gate does not take it.
    pub fn emergency(
        &self,
        caller: Caller<'_>,
        bundle: &EmergencyBundle,
        receipt: &str,
    ) -> Result<(), ClientError> {
        let host = caller.key.host().clone();
        let body = serde_json::json!({ "bundle": bundle, "receipt": receipt });
        self.notify(Endpoint::Emergencies { host }, caller, &body)
    }

    fn notify(
        &self,
        endpoint: Endpoint,
        caller: Caller<'_>,
        body: &serde_json::Value,
    ) -> Result<(), ClientError> {
        self.post(endpoint, caller, body)
            .map(|_: serde_json::Value| ())
    }

    fn get<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        caller: Option<Caller<'_>>,
    ) -> Result<T, ClientError> {
        let bearer = caller.map(token).transpose()?;
        self.ask(&Request {
            endpoint,
            bearer,
            body: Vec::new(),
        })
    }

    fn post<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        caller: Caller<'_>,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::Form {
            path: endpoint.path(),
            problem: error.to_string(),
        })?;
        self.ask(&Request {
            endpoint,
            bearer: Some(token(caller)?),
            body,
        })
    }

    fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        let path = request.endpoint.path();
        let reply = match &self.way {
            Way::Direct(direct) => direct.send(request)?,
            Way::Relayed(relay) => relay
                .send(request)
                .map_err(|problem| ClientError::Network {
                    socket: relay.socket.display().to_string(),
                    problem,
                })?,
        };
        let (status, bytes) = (reply.status, reply.body);
        if !(200..=299).contains(&status) {
            let problem = serde_json::from_slice(&bytes).unwrap_or_else(|_| Problem {
                title: format!("status {status}"),
                ..Problem::default()
            });
            return Err(ClientError::Refused { status, problem });
        }
        // An empty answer to a notice is fine: there is nothing to say.
        let bytes = if bytes.is_empty() {
            b"null".to_vec()
        } else {
            bytes
        };
        serde_json::from_slice(&bytes).map_err(|error| ClientError::Form {
            path,
            problem: error.to_string(),
        })
    }
}

fn token(caller: Caller<'_>) -> Result<String, ClientError> {
    Ok(caller.key.token(caller.deployment, caller.now)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_loopback_alone() {
        for good in [
            "https://gate.example",
            "http://localhost:8440",
            "http://127.0.0.1:1",
            "http://[::1]:80/x",
        ] {
            assert!(check_server(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "gate",
            "https://",
            "http://gate.example",
            "http://localhost@evil",
            "http://127.0.0.1.evil",
            "https://a@b",
            "ftp://localhost",
        ] {
            assert!(check_server(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_problem_keeps_its_word_and_hint() {
        let problem: Problem = serde_json::from_str(
            r#"{"type":"https://x/problems/not-your-turn","title":"Not yet","status":409,"detail":"wave 0 runs","hint":"wait"}"#,
        )
        .unwrap();
        let error = ClientError::Refused {
            status: 409,
            problem,
        };
        assert_eq!(error.word(), Some("not-your-turn"));
        assert_eq!(error.to_string(), "gate: Not yet: wave 0 runs; hint: wait");
        let hostile = ClientError::Refused {
            status: 400,
            problem: Problem {
                title: format!("\u{1b}[2J{}", "x".repeat(1000)),
                ..Problem::default()
            },
        };
        let told = hostile.to_string();
        assert!(told.len() < 300 && !told.contains('\u{1b}'), "{told}");
    }
}
