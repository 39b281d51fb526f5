//! What is sent to a gate and what comes back, as bytes, and the direct way there. Says nothing of
//! what an answer means (`client`) and nothing of the way through another process (`network`).

use super::{ANSWER_BYTES_MAX, ClientError, TIMEOUT, check_server};
use countersign_domain::text::shown;
use countersign_domain::{ChangeId, HostId};
use serde::{Deserialize, Serialize};

/// An address of the gate that a host uses. There are no others: neither this program nor its
/// network process can be made to ask for a path that is not one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Endpoint {
    /// What anybody may know of the deployment. (A struct, because serde lets unit variants have any fields.)
    Deployment {},
    /// Roster changes.
    Roster {
        /// After this version.
        after: u64,
    },
    /// Takes an observation.
    Observations {
        /// Of this host.
        host: HostId,
    },
    /// Takes a report of packages.
    Packages {
        /// Of this host.
        host: HostId,
    },
    /// What there is to do.
    Work {
        /// For this host.
        host: HostId,
    },
    /// Takes a signed plan.
    Plans {
        /// For this change.
        change: ChangeId,
    },
    /// Takes word that a host cannot prepare.
    Unprepared {
        /// This change.
        change: ChangeId,
    },
    /// Hands out the warrant.
    Redemptions {
        /// For this change.
        change: ChangeId,
    },
    /// Takes a start notice.
    Started {
        /// Of this change.
        change: ChangeId,
    },
    /// Takes a receipt.
    Receipts {
        /// Of this change.
        change: ChangeId,
    },
    /// Takes what was done because the glass was broken.
    Emergencies {
        /// On this host.
        host: HostId,
    },
}

impl Endpoint {
    /// Its path below the API's root.
    #[must_use]
    pub fn path(&self) -> String {
        let host = |host: &HostId, what| format!("/hosts/{}/{what}", segment(host.as_str()));
        let of = |change: &ChangeId, what| format!("/changes/{}/{what}", segment(change.as_str()));
        match self {
            Self::Deployment {} => "/deployment".into(),
            Self::Roster { after } => format!("/roster?after={after}"),
            Self::Observations { host: id } => host(id, "observations"),
            Self::Packages { host: id } => host(id, "packages"),
            Self::Work { host: id } => host(id, "work"),
            Self::Plans { change } => of(change, "plans"),
            Self::Unprepared { change } => of(change, "unprepared"),
            Self::Redemptions { change } => of(change, "redemptions"),
            Self::Started { change } => of(change, "started"),
            Self::Receipts { change } => of(change, "receipts"),
            Self::Emergencies { host: id } => host(id, "emergencies"),
        }
    }

    /// True when something is handed in (POST), false when it is only read (GET).
    #[must_use]
    pub const fn takes_a_body(&self) -> bool {
        match self {
            Self::Deployment {} | Self::Roster { .. } | Self::Work { .. } => false,
            Self::Observations { .. }
            | Self::Packages { .. }
            | Self::Plans { .. }
            | Self::Unprepared { .. }
            | Self::Redemptions { .. }
            | Self::Started { .. }
            | Self::Receipts { .. }
            | Self::Emergencies { .. } => true,
        }
    }
}

/// An id as one segment of a path: the few characters that ids may have and segments may not.
fn segment(id: &str) -> String {
    id.replace('/', "%2F")
}

/// One request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Where to.
    pub endpoint: Endpoint,
    /// The token, which the host signed for some minutes.
    pub bearer: Option<String>,
    /// JSON; empty where nothing is handed in.
    pub body: Vec<u8>,
}

// The token stays out of logs.
impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("endpoint", &self.endpoint)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// One answer, not believed and not understood yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// At most `ANSWER_BYTES_MAX`.
    pub body: Vec<u8>,
}

/// HTTP from this very process.
#[derive(Debug)]
pub struct Direct {
    server: String,
    agent: ureq::Agent,
}

impl Direct {
    /// A way to the gate at `server`; with `proxies`, https goes through the proxy that the
    /// environment names.
    ///
    /// # Errors
    /// When the address is not one that a host talks to.
    pub fn new(server: &str, proxies: bool) -> Result<Self, ClientError> {
        check_server(server)?;
        let mut agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .max_redirects(0)
            .http_status_as_error(false);
        if !proxies || !server.starts_with("https://") {
            // A proxy from the environment would read the token.
            agent = agent.proxy(None);
        }
        Ok(Self {
            server: server.trim_end_matches('/').to_owned(),
            agent: agent.build().into(),
        })
    }

    /// Sends a request and waits for its answer, for a minute at most.
    ///
    /// # Errors
    /// When there is no answer, or one that is too large.
    pub fn send(&self, request: &Request) -> Result<Reply, ClientError> {
        let unreachable = |error: ureq::Error| ClientError::Unreachable {
            server: self.server.clone(),
            problem: shown(&error.to_string(), 200),
        };
        let url = format!("{}/api/v1{}", self.server, request.endpoint.path());
        let bearer = request
            .bearer
            .as_ref()
            .map(|token| format!("Bearer {token}"));
        let answer = if request.endpoint.takes_a_body() {
            let mut post = self.agent.post(url).content_type("application/json");
            if let Some(bearer) = bearer {
                post = post.header("authorization", bearer);
            }
            post.send(request.body.as_slice())
        } else {
            let mut get = self.agent.get(url);
            if let Some(bearer) = bearer {
                get = get.header("authorization", bearer);
            }
            get.call()
        };
        let mut answer = answer.map_err(unreachable)?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(unreachable)?;
        Ok(Reply {
            status: answer.status().as_u16(),
            body,
        })
    }
}
