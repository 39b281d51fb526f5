//! Requests that are signed before the clock starts: a proposal with its host's plan, and the
//! redemption of what becomes of it, each as the whole HTTP request.

use super::fleet::{Fleet, PACKAGE, step};
use super::{BenchError, failed};
use crate::ambient;
use crate::api::wire::{ProposalBody, RedemptionBody};
use countersign_domain::jws::{self, Token};
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, RemediationPath, RollbackPlan,
};
use countersign_domain::{
    ChangeId, Digest, HostId, Nonce, PreparedPlan, Proposal, Timestamp, canonical,
};
use countersign_verify::Checkpoint;
use ed25519_dalek::{Signer as _, SigningKey};
use serde::Serialize;

/// One authorization, ready to be asked for.
pub(super) struct Authorization {
    /// `POST /api/v1/proposals`.
    pub(super) proposal: Vec<u8>,
    /// `POST /api/v1/changes/…/redemptions`.
    pub(super) redemption: Vec<u8>,
    pub(super) host: HostId,
    pub(super) plan_digest: Digest,
    pub(super) nonce: Nonce,
}

/// Bearer tokens of everybody, good for five minutes.
pub(super) struct Tokens {
    pub(super) agents: Vec<String>,
    pub(super) hosts: Vec<String>,
}

impl Tokens {
    pub(super) fn of(fleet: &Fleet, now: Timestamp) -> Result<Self, BenchError> {
        let token = |name: &str, key: &SigningKey| {
            let claims = Token {
                iss: name.to_owned(),
                aud: fleet.deployment.clone(),
                iat: now.unix_seconds(),
                exp: now.unix_seconds() + jws::TOKEN_SECONDS_MAX,
            };
            signed(jws::TOKEN_TYP, name, key, &claims)
        };
        let agents = fleet.agents.iter();
        let hosts = fleet.hosts.iter();
        Ok(Self {
            agents: agents
                .map(|(agent, key)| token(agent.as_str(), key))
                .collect::<Result<_, _>>()?,
            hosts: hosts
                .map(|(host, key)| token(host.as_str(), key))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// One agent's proposal for one host, with the host's plan for it, as signed.
pub(super) struct Asked<'a> {
    pub(super) change: ChangeId,
    pub(super) proposal: String,
    pub(super) plan: String,
    pub(super) plan_digest: Digest,
    pub(super) agent_token: &'a str,
    pub(super) host: &'a (HostId, SigningKey),
    pub(super) host_token: &'a str,
}

impl<'a> Asked<'a> {
    /// The `number`th. Agents and hosts take turns.
    pub(super) fn sign(
        fleet: &'a Fleet,
        tokens: &'a Tokens,
        number: usize,
        now: Timestamp,
    ) -> Result<Self, BenchError> {
        let turn = |of: usize| number.checked_rem(of).unwrap_or_default();
        let nobody = || BenchError::Void("nobody takes part".into());
        let place = turn(fleet.agents.len());
        let (agent, agent_key) = fleet.agents.get(place).ok_or_else(nobody)?;
        let agent_token = tokens.agents.get(place).ok_or_else(nobody)?;
        let place = turn(fleet.hosts.len());
        let host = fleet.hosts.get(place).ok_or_else(nobody)?;
        let host_token = tokens.hosts.get(place).ok_or_else(nobody)?;
        let proposal = Proposal {
            v: 1,
            deployment: fleet.deployment.clone(),
            agent: agent.clone(),
            nonce: ambient::nonce(),
            proposed_at: now,
            path: RemediationPath::Patch,
            category: Category::OsSecurity,
            waves: vec![vec![host.0.clone()]],
            packages: vec![PackageRequest {
                name: fleet.upgrade.name.clone(),
                architecture: fleet.upgrade.architecture.clone(),
                from: Some(fleet.upgrade.from.clone()),
                to: fleet.upgrade.to.clone(),
            }],
            checks: Vec::new(),
            recipe: None,
            rollback: RollbackPlan::ReverseTransitions,
            claims: Claims::default(),
            rationale: None,
        };
        let digest = canonical::digest(&proposal).map_err(failed("a proposal"))?;
        let plan = PreparedPlan {
            v: 1,
            deployment: fleet.deployment.clone(),
            host: host.0.clone(),
            proposal: digest,
            prepared_at: now,
            expires_at: now.plus_seconds(3600),
            steps: vec![step(&fleet.upgrade)],
            checks: Vec::new(),
            definitions: Digest::of(PACKAGE.as_bytes()),
            limits: Vec::new(),
        };
        Ok(Self {
            change: ChangeId::from_proposal(&digest),
            proposal: signed(jws::PROPOSAL_TYP, agent.as_str(), agent_key, &proposal)?,
            plan: signed(jws::PLAN_TYP, host.0.as_str(), &host.1, &plan)?,
            plan_digest: canonical::digest(&plan).map_err(failed("a plan"))?,
            agent_token,
            host,
            host_token,
        })
    }
}

/// Signs `count` of them, the `first` of them not used before.
pub(super) fn sign(
    fleet: &Fleet,
    first: usize,
    count: usize,
    seen: &Checkpoint,
    now: Timestamp,
) -> Result<Vec<Authorization>, BenchError> {
    let tokens = Tokens::of(fleet, now)?;
    (first..first + count)
        .map(|number| {
            let asked = Asked::sign(fleet, &tokens, number, now)?;
            let nonce = ambient::nonce();
            let body = RedemptionBody {
                nonce: nonce.clone(),
                checkpoint_size: seen.size,
                roster_version: fleet.roster_version,
            };
            let path = format!("changes/{}/redemptions", asked.change);
            let redemption = post(&path, asked.host_token, &body)?;
            let body = ProposalBody {
                proposal: asked.proposal,
                rationale: None,
                plans: vec![asked.plan],
            };
            Ok(Authorization {
                proposal: post("proposals", asked.agent_token, &body)?,
                redemption,
                host: asked.host.0.clone(),
                plan_digest: asked.plan_digest,
                nonce,
            })
        })
        .collect()
}

/// A whole request.
pub(super) fn post<T: Serialize>(path: &str, token: &str, body: &T) -> Result<Vec<u8>, BenchError> {
    let body = serde_json::to_vec(body).map_err(failed("a request"))?;
    let mut request = format!(
        "POST /api/v1/{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend(body);
    Ok(request)
}

/// A compact JWS.
pub(super) fn signed<T: Serialize>(
    typ: &str,
    name: &str,
    key: &SigningKey,
    value: &T,
) -> Result<String, BenchError> {
    let bytes = canonical::to_bytes(value).map_err(failed("a document"))?;
    let input = jws::signing_input(typ, name, &bytes);
    Ok(jws::assemble(
        &input,
        &key.sign(input.as_bytes()).to_bytes(),
    ))
}
