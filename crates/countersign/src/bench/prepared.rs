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

/// Signs `count` of them, the `first` of them not used before. Agents and hosts take turns.
pub(super) fn sign(
    fleet: &Fleet,
    first: usize,
    count: usize,
    seen: &Checkpoint,
    now: Timestamp,
) -> Result<Vec<Authorization>, BenchError> {
    let token = |name: &str, key: &SigningKey| {
        let claims = Token {
            iss: name.to_owned(),
            aud: fleet.deployment.clone(),
            iat: now.unix_seconds(),
            exp: now.unix_seconds() + jws::TOKEN_SECONDS_MAX,
        };
        signed(jws::TOKEN_TYP, name, key, &claims)
    };
    let agent_tokens = fleet
        .agents
        .iter()
        .map(|(agent, key)| token(agent.as_str(), key))
        .collect::<Result<Vec<_>, _>>()?;
    let host_tokens = fleet
        .hosts
        .iter()
        .map(|(host, key)| token(host.as_str(), key))
        .collect::<Result<Vec<_>, _>>()?;
    let agents = fleet.agents.iter().zip(&agent_tokens).cycle();
    let hosts = fleet.hosts.iter().zip(&host_tokens).cycle();
    let agents = agents.skip(first % fleet.agents.len());
    let hosts = hosts.skip(first % fleet.hosts.len());
    agents
        .zip(hosts)
        .take(count)
        .map(
            |(((agent, agent_key), agent_token), ((host, host_key), host_token))| {
                let proposal = Proposal {
                    v: 1,
                    deployment: fleet.deployment.clone(),
                    agent: agent.clone(),
                    nonce: ambient::nonce(),
                    proposed_at: now,
                    path: RemediationPath::Patch,
                    category: Category::OsSecurity,
                    waves: vec![vec![host.clone()]],
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
                    host: host.clone(),
                    proposal: digest,
                    prepared_at: now,
                    expires_at: now.plus_seconds(3600),
                    steps: vec![step(&fleet.upgrade)],
                    checks: Vec::new(),
                    definitions: Digest::of(PACKAGE.as_bytes()),
                    limits: Vec::new(),
                };
                let nonce = ambient::nonce();
                let change = ChangeId::from_proposal(&digest);
                Ok(Authorization {
                    proposal: post(
                        "proposals",
                        agent_token,
                        &ProposalBody {
                            proposal: signed(
                                jws::PROPOSAL_TYP,
                                agent.as_str(),
                                agent_key,
                                &proposal,
                            )?,
                            rationale: None,
                            plans: vec![signed(jws::PLAN_TYP, host.as_str(), host_key, &plan)?],
                        },
                    )?,
                    redemption: post(
                        &format!("changes/{change}/redemptions"),
                        host_token,
                        &RedemptionBody {
                            nonce: nonce.clone(),
                            checkpoint_size: seen.size,
                            roster_version: fleet.roster_version,
                        },
                    )?,
                    host: host.clone(),
                    plan_digest: canonical::digest(&plan).map_err(failed("a plan"))?,
                    nonce,
                })
            },
        )
        .collect()
}

/// A whole request.
fn post<T: Serialize>(path: &str, token: &str, body: &T) -> Result<Vec<u8>, BenchError> {
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
