//! A server in this process on a data directory of its own, with invented people and fresh keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::ambient;
use countersign::deployment::{Deployment, Founding, NewPerson};
use countersign::serve::{Reach, Running, Server};
use countersign::signing::{Signer, SshKey};
use countersign_domain::jws::{self, Token};
use countersign_domain::roster::Operation;
use countersign_domain::statement::Subject;
use countersign_domain::{AgentId, DeploymentId, HostId, PersonId, SignedStatement, canonical};
use countersign_gate::found::hex_key;
use ed25519_dalek::{Signer as _, SigningKey};
use std::path::PathBuf;
use tempfile::TempDir;

pub struct TestApp {
    pub folder: TempDir,
    pub running: Option<Running>,
    pub ada: SshKey,
    pub agent: SigningKey,
    pub host: SigningKey,
}

pub fn person(name: &str) -> PersonId {
    PersonId::new(name).unwrap()
}

pub fn founding(trial: bool, key: &SshKey) -> Founding {
    let new = NewPerson {
        person: person("ada"),
        name: "Ada Example".into(),
        public_key: key.public_key().into(),
    };
    let id = DeploymentId::new("example.org/test").unwrap();
    Founding::of_one(id, trial, new, ambient::now()).unwrap()
}

impl TestApp {
    /// Founded, not served.
    pub fn founded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ada = SshKey::generate().unwrap();
        let agent = SigningKey::from_bytes(&ambient::random());
        let host = SigningKey::from_bytes(&ambient::random());
        let mut founding = founding(true, &ada);
        founding.operations = vec![
            Operation::SetAgent {
                agent: AgentId::new("patcher").unwrap(),
                owner: person("ada"),
                public_key: hex_key(&agent),
            },
            Operation::SetHost {
                host: HostId::new("web-1").unwrap(),
                public_key: hex_key(&host),
            },
        ];
        let dir = folder.path().join("data");
        let deployment =
            Deployment::create(&dir, founding, &[(person("ada"), &ada)], Some(&ada)).unwrap();
        drop(deployment);
        Self {
            folder,
            running: None,
            ada,
            agent,
            host,
        }
    }

    /// Founded and served, with the starter policy in force.
    pub fn start() -> Self {
        let mut app = Self::founded();
        app.serve();
        app.sign_starter();
        app
    }

    pub fn serve(&mut self) {
        let deployment = Deployment::open(&self.dir()).unwrap();
        let mut reach = Reach::ephemeral();
        reach.announce = true;
        self.running = Some(Server::start(deployment, reach).unwrap());
    }

    pub fn stop(&mut self) {
        self.running.take().unwrap().stop();
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}/api/v1/{path}", self.running.as_ref().unwrap().url())
    }

    pub fn gate(&self) -> &countersign_gate::Gate {
        self.running.as_ref().unwrap().deployment().gate()
    }

    /// Sizes of both logs.
    pub fn sizes(&self) -> (u64, u64) {
        let store = self.gate().store();
        (
            store.checkpoint(countersign_store::Log::Recommendations).0,
            store.checkpoint(countersign_store::Log::Authorizations).0,
        )
    }

    pub fn state(&self, subject: Subject) -> SignedStatement {
        let world = self.gate().world().unwrap();
        let signer = Signer {
            key: &self.ada,
            person: person("ada"),
            deployment: world.roster.deployment.clone(),
            roster_version: world.roster.version,
        };
        signer.state(subject, ambient::now()).unwrap()
    }

    pub fn sign_starter(&self) {
        let source = countersign_policy::starter_for(&person("ada"));
        let statement = self.state(Subject::Policy {
            policy: source.digest(),
            version: 1,
            authors: Vec::new(),
        });
        let files: std::collections::BTreeMap<String, String> = source
            .files()
            .iter()
            .map(|(path, bytes)| (path.clone(), String::from_utf8(bytes.clone()).unwrap()))
            .collect();
        let body = serde_json::json!({"files": files, "statements": [statement]});
        let (status, answer) = self.post("policy", None, &body);
        assert_eq!(status, 200, "{answer}");
    }

    pub fn agent_token(&self) -> String {
        token("patcher", &self.agent)
    }

    pub fn host_token(&self) -> String {
        token("web-1", &self.host)
    }

    pub fn operator_token(&self) -> String {
        let path = self.dir().join(countersign::deployment::OPERATOR_TOKEN);
        std::fs::read_to_string(path).unwrap().trim().to_owned()
    }

    pub fn get(&self, path: &str, token: Option<&str>) -> (u16, serde_json::Value) {
        request("GET", &self.url(path), token, None)
    }

    pub fn post(
        &self,
        path: &str,
        token: Option<&str>,
        body: &serde_json::Value,
    ) -> (u16, serde_json::Value) {
        request(
            "POST",
            &self.url(path),
            token,
            Some(body.to_string().into_bytes()),
        )
    }
}

/// A token of an agent or a host.
pub fn token(name: &str, key: &SigningKey) -> String {
    let now = ambient::now().unix_seconds();
    let claims = Token {
        iss: name.into(),
        aud: DeploymentId::new("example.org/test").unwrap(),
        iat: now,
        exp: now + 300,
    };
    signed(jws::TOKEN_TYP, name, key, &claims)
}

/// A compact JWS.
pub fn signed<T: serde::Serialize>(typ: &str, name: &str, key: &SigningKey, value: &T) -> String {
    signed_bytes(typ, name, key, &canonical::to_bytes(value).unwrap())
}

/// As in JWS: base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A compact JWS over any bytes.
pub fn signed_bytes(typ: &str, name: &str, key: &SigningKey, bytes: &[u8]) -> String {
    let input = jws::signing_input(typ, name, bytes);
    jws::assemble(&input, &key.sign(input.as_bytes()).to_bytes())
}

pub fn request(
    method: &str,
    url: &str,
    token: Option<&str>,
    body: Option<Vec<u8>>,
) -> (u16, serde_json::Value) {
    let agent = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent();
    let mut request = ureq::http::Request::builder().method(method).uri(url);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut response = match body {
        Some(body) => {
            let request = request
                .header("content-type", "application/json")
                .body(body)
                .unwrap();
            agent.run(request).unwrap()
        }
        None => agent.run(request.body(()).unwrap()).unwrap(),
    };
    let status = response.status().as_u16();
    let text = response.body_mut().read_to_vec().unwrap();
    let text = String::from_utf8_lossy(&text).into_owned();
    let value = serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text));
    (status, value)
}
