//! How the CLI talks to the gate: always over HTTP, to the server that was named, else to the one
//! that runs on the data directory, else to one that it starts for the duration of the command.

use crate::api::ProblemDocument;
use crate::api::wire::{DeploymentView, RosterChanges};
use crate::deployment::{Deployment, DeploymentError, OPERATOR_TOKEN, OperatorToken, ServerFile};
use crate::serve::{Reach, Running, ServeError, Server};
use countersign_domain::text::shown;
use countersign_domain::{Digest, Roster};
use countersign_store::OpenError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::Response;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How long a request may take.
const REQUEST_TIME: Duration = Duration::from_secs(90);
/// How long to wait for another command that has the data directory.
const BUSY_TIME: Duration = Duration::from_secs(10);
/// Roster changes that are followed at most; each answer brings 100.
const ROSTER_PAGES_MAX: usize = 100;

/// Where the gate is.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The data directory.
    pub dir: PathBuf,
    /// A server that was named: then the data directory is only looked into for the token.
    pub server: Option<String>,
    /// The file with the operator's token, where it is not in the data directory.
    pub token_file: Option<PathBuf>,
    /// The digest of the genesis that the roster has to start from.
    pub genesis: Option<Digest>,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server refused, and says why.
    #[error("{}", .0.detail)]
    Refused(Box<ProblemDocument>),
    /// The server cannot be reached, or broke off.
    #[error("cannot reach `{url}`: {why}; is `countersign serve` running there?")]
    Unreachable {
        /// The server.
        url: String,
        /// What happened.
        why: String,
    },
    /// The answer is not what was expected.
    #[error("`{url}` answered something else than Countersign would ({why})")]
    Unexpected {
        /// The server.
        url: String,
        /// What was odd.
        why: String,
    },
    /// The roster's chain does not verify.
    #[error("the server's roster does not hold: {0}; do not sign anything for it")]
    Roster(String),
    /// The data directory.
    #[error(transparent)]
    Deployment(#[from] DeploymentError),
    /// The server for this command.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// A connection to a gate.
pub struct Client {
    url: String,
    agent: Agent,
    token: Option<OperatorToken>,
    genesis: Option<Digest>,
    /// The server of this command, where it needed its own. Stops with it.
    _own: Option<Running>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When there is neither a server nor a data directory that opens.
    pub fn connect(target: &Target) -> Result<Self, ClientError> {
        let token = match &target.token_file {
            Some(path) => Some(OperatorToken::read(path)?),
            None => None,
        };
        if let Some(server) = &target.server {
            // Only a token that was named for it: the data directory's own is no other server's.
            return Ok(Self::new(
                server.trim_end_matches('/').to_owned(),
                token,
                target.genesis,
                None,
            ));
        }
        let waited = Instant::now();
        loop {
            // INVARIANT: the token goes to an address in `server.json` only while the process that
            // wrote it holds the store; whoever else listens there now would get it otherwise.
            match Deployment::open(&target.dir) {
                Ok(deployment) => {
                    let token = deployment.operator().clone();
                    let genesis = deployment.config().genesis;
                    let running = Server::start(deployment, Reach::ephemeral())?;
                    return Ok(Self::new(
                        running.url(),
                        Some(token),
                        Some(genesis),
                        Some(running),
                    ));
                }
                Err(DeploymentError::Open(OpenError::InUse { process })) => {
                    if let Some(client) = Self::beside(&target.dir, &process, token.clone())? {
                        return Ok(client);
                    }
                    if waited.elapsed() > BUSY_TIME {
                        return Err(DeploymentError::Open(OpenError::InUse { process }).into());
                    }
                    std::thread::sleep(Duration::from_millis(100));
                }
                Err(other) => return Err(other.into()),
            }
        }
    }

    /// A client of the server in `process`, if that is what holds the data directory.
    fn beside(
        dir: &Path,
        process: &str,
        token: Option<OperatorToken>,
    ) -> Result<Option<Self>, ClientError> {
        let Some(file) = ServerFile::read(dir).filter(|file| file.process.to_string() == process)
        else {
            return Ok(None);
        };
        let config = crate::deployment::Config::read(dir)?;
        let token = match token {
            Some(token) => token,
            None => OperatorToken::read(&dir.join(OPERATOR_TOKEN))?,
        };
        let url = format!("http://{}", file.address);
        Ok(Some(Self::new(
            url,
            Some(token),
            Some(config.genesis),
            None,
        )))
    }

    fn new(
        url: String,
        token: Option<OperatorToken>,
        genesis: Option<Digest>,
        own: Option<Running>,
    ) -> Self {
        let mut agent = Agent::config_builder()
            .timeout_global(Some(REQUEST_TIME))
            .timeout_connect(Some(Duration::from_secs(10)))
            .http_status_as_error(false)
            .max_redirects(0);
        if !url.starts_with("https://") {
            // A proxy from the environment would read the token.
            agent = agent.proxy(None);
        }
        let agent = agent.build().new_agent();
        Self {
            url,
            agent,
            token,
            genesis,
            _own: own,
        }
    }

    /// The server's base URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /api/v1/…`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let mut request = self.agent.get(self.address(path));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        self.answer(request.call())
    }

    /// `POST /api/v1/…` with a JSON body. Signed requests carry no token: the signature counts.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.answer(self.agent.post(self.address(path)).send_json(body))
    }

    /// `POST /api/v1/…` with bytes, as the operator.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn post_bytes<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        bytes: &[u8],
    ) -> Result<T, ClientError> {
        let mut request = self
            .agent
            .post(self.address(path))
            .query_pairs(query.iter().copied());
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        self.answer(request.send(bytes))
    }

    /// The deployment.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn deployment(&self) -> Result<DeploymentView, ClientError> {
        self.get("deployment")
    }

    /// The roster, its whole chain verified from the genesis that is pinned. Where none is pinned
    /// (a server elsewhere, without `--genesis`), the server's word for it is taken.
    ///
    /// # Errors
    /// [`ClientError::Roster`] when the chain does not hold.
    pub fn roster(&self) -> Result<Roster, ClientError> {
        let genesis = match self.genesis {
            Some(genesis) => genesis,
            None => self.deployment()?.genesis,
        };
        let mut chain = Vec::new();
        for _ in 0..ROSTER_PAGES_MAX {
            let page: RosterChanges = self.get(&format!("roster?after={}", chain.len()))?;
            let last = page.changes.is_empty();
            chain.extend(page.changes);
            if last || chain.len() as u64 >= page.version {
                break;
            }
        }
        countersign_verify::roster::chain(&genesis, &chain)
            .map(countersign_verify::VerifiedRoster::into_inner)
            .map_err(|error| ClientError::Roster(error.to_string()))
    }

    fn address(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.url)
    }

    fn answer<T: DeserializeOwned>(
        &self,
        sent: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, ClientError> {
        let unreachable = |why: String| ClientError::Unreachable {
            url: self.url.clone(),
            why,
        };
        let mut response = sent.map_err(|error| unreachable(error.to_string()))?;
        let status = response.status();
        let bytes = response
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_vec()
            .map_err(|error| unreachable(error.to_string()))?;
        let unexpected = |why: String| ClientError::Unexpected {
            url: self.url.clone(),
            why: shown(&why, 200),
        };
        if status.is_success() {
            return serde_json::from_slice(&bytes).map_err(|error| unexpected(error.to_string()));
        }
        match serde_json::from_slice::<ProblemDocument>(&bytes) {
            Ok(problem) => Err(ClientError::Refused(Box::new(problem))),
            Err(_) => Err(unexpected(format!("status {status}"))),
        }
    }
}
