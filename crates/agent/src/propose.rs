//! Makes signed proposals of ranked findings. What a proposal says of the world is taken from fresh
//! facts or left out: an honest agent claims nothing that it does not know. Sends nothing.

mod claims;

use crate::Randomness;
use crate::client::AgentIdentity;
use crate::rank::{Ranked, sentences};
use countersign_domain::asset::Environment;
use countersign_domain::canonical::{self, CanonicalError};
use countersign_domain::finding::Finding;
use countersign_domain::id::{IdError, Nonce, RequestId};
use countersign_domain::jws::PROPOSAL_TYP;
use countersign_domain::proposal::{
    Category, HOSTS_MAX, PROPOSAL_BYTES_MAX, PackageRequest, Proposal, ProposalError,
    RemediationPath, RollbackPlan,
};
use countersign_domain::text::{SaltedText, TEXT_BYTES_MAX, TextError};
use countersign_domain::{AgentId, Architecture, HostId, PackageName, Timestamp, Version};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Host ids in one proposal at most, in bytes, so that it stays within [`PROPOSAL_BYTES_MAX`].
const HOST_BYTES_MAX: usize = 20 * 1024;
/// Hosts, CVE ids and other packages that a rationale names; more are counted.
const NAMED_MAX: usize = 10;
const SECONDS_A_DAY: i64 = 86_400;

/// Whether the same upgrade on several hosts is one proposal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grouping {
    /// One host in each proposal.
    #[default]
    HostByHost,
    /// One proposal for the same upgrade everywhere: a wave for each environment, lowest first.
    Waves,
}

/// What a proposal is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The package.
    pub package: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version installed.
    pub from: Version,
    /// The version that it shall get.
    pub to: Version,
    /// Where, in the order of the waves.
    pub hosts: Vec<HostId>,
}

impl Subject {
    /// The subject of one finding.
    #[must_use]
    pub fn of(finding: &Finding) -> Self {
        Self {
            package: finding.package.clone(),
            architecture: finding.architecture.clone(),
            from: finding.from.clone(),
            to: finding.to.clone(),
            hosts: vec![finding.host.clone()],
        }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            package,
            architecture,
            from,
            to,
            hosts,
        } = self;
        let hosts = named(hosts.iter().map(HostId::as_str));
        write!(f, "`{package}` ({architecture}) {from} to {to} on {hosts}")
    }
}

/// A proposal that is not signed yet: findings about the same upgrade, in the order of the waves.
#[derive(Debug, Clone)]
pub struct Draft<'a> {
    findings: Vec<&'a Ranked<'a>>,
}

/// A proposal ready to be handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedProposal {
    /// The compact JWS.
    pub jws: String,
    /// The text behind its rationale digest.
    pub rationale: SaltedText,
    /// The idempotency key: the same for the same upgrade by the same agent on the same day.
    pub request: RequestId,
    /// What was signed.
    pub proposal: Proposal,
}

/// Why a draft cannot be proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// It breaks the bounds of a proposal.
    #[error("the proposal would not be taken: {0}")]
    Proposal(#[from] ProposalError),
    /// It has no canonical form.
    #[error("the proposal cannot be signed: {0}")]
    Canonical(#[from] CanonicalError),
    /// The rationale is too long.
    #[error("the rationale would not be taken: {0}")]
    Text(#[from] TextError),
    /// The idempotency key is malformed.
    #[error("the idempotency key would not be taken: {0}")]
    Request(#[from] IdError),
    /// The signed proposal is too long.
    #[error(
        "the signed proposal has `{0}` bytes, more than {PROPOSAL_BYTES_MAX}; name fewer hosts"
    )]
    TooLong(usize),
}

/// Drafts for `ranked`, in the order of their most urgent finding. A finding that is there twice
/// is drafted once.
#[must_use]
pub fn drafts<'a>(
    ranked: impl IntoIterator<Item = &'a Ranked<'a>>,
    grouping: Grouping,
) -> Vec<Draft<'a>> {
    let mut seen = BTreeSet::new();
    let mut groups: Vec<Vec<&Ranked<'_>>> = Vec::new();
    let mut places: BTreeMap<(&PackageName, &Architecture, &Version, &Version, Category), usize> =
        BTreeMap::new();
    for one in ranked {
        let finding = one.finding;
        let transition = (
            &finding.package,
            &finding.architecture,
            &finding.from,
            &finding.to,
        );
        // By host and target: a host is named once in a proposal.
        if !seen.insert((&finding.host, transition)) {
            continue;
        }
        let (package, architecture, from, to) = transition;
        let place = match grouping {
            Grouping::HostByHost => groups.len(),
            Grouping::Waves => *places
                .entry((package, architecture, from, to, finding.category))
                .or_insert(groups.len()),
        };
        match groups.get_mut(place) {
            Some(group) => group.push(one),
            None => groups.push(vec![one]),
        }
    }
    groups.into_iter().flat_map(within_bounds).collect()
}

/// Orders a group by wave and cuts it where a proposal would grow too large: the later part is a
/// proposal of its own.
fn within_bounds<'a>(mut group: Vec<&'a Ranked<'a>>) -> Vec<Draft<'a>> {
    group.sort_by_key(|one| (one.finding.asset.environment, one.finding.host.clone()));
    let mut drafts: Vec<Draft<'_>> = Vec::new();
    let mut bytes = 0;
    for one in group {
        let more = one.finding.host.as_str().len() + 3;
        match drafts.last_mut() {
            Some(draft) if draft.findings.len() < HOSTS_MAX && bytes + more <= HOST_BYTES_MAX => {
                draft.findings.push(one);
                bytes += more;
            }
            Some(_) | None => {
                drafts.push(Draft {
                    findings: vec![one],
                });
                bytes = more;
            }
        }
    }
    drafts
}

impl<'a> Draft<'a> {
    /// The findings, in the order of the waves (never empty).
    #[must_use]
    pub fn findings(&self) -> &[&'a Ranked<'a>] {
        &self.findings
    }

    /// The most urgent of its findings.
    #[must_use]
    pub fn most_urgent(&self) -> Option<&'a Ranked<'a>> {
        // The first of equals, so that the order is that of the waves.
        self.findings
            .iter()
            .copied()
            .reduce(|best, one| if one.score > best.score { one } else { best })
    }

    /// What it is about; none for a draft without findings, which [`drafts`] never makes.
    #[must_use]
    pub fn subject(&self) -> Option<Subject> {
        let first = self.findings.first()?;
        Some(Subject {
            hosts: self.hosts().cloned().collect(),
            ..Subject::of(first.finding)
        })
    }

    fn hosts(&self) -> impl Iterator<Item = &'a HostId> {
        self.findings.iter().map(|one| &one.finding.host)
    }

    fn waves(&self) -> Vec<Vec<HostId>> {
        let mut waves: BTreeMap<Environment, Vec<HostId>> = BTreeMap::new();
        for one in &self.findings {
            let finding = one.finding;
            waves
                .entry(finding.asset.environment)
                .or_default()
                .push(finding.host.clone());
        }
        waves.into_values().collect()
    }

    /// The idempotency key: a digest over agent, upgrade, hosts and the day of `now` (UTC).
    ///
    /// # Errors
    /// When it has no canonical form.
    pub fn request(&self, agent: &AgentId, now: Timestamp) -> Result<RequestId, ProposeError> {
        let hosts: BTreeSet<&HostId> = self.hosts().collect();
        let upgrade = self.findings.first().map(|one| {
            let finding = one.finding;
            (
                &finding.package,
                &finding.architecture,
                &finding.from,
                &finding.to,
            )
        });
        let day = now.unix_seconds().div_euclid(SECONDS_A_DAY);
        let digest = canonical::digest(&(agent, upgrade, hosts, day))?.to_string();
        Ok(RequestId::new(digest.replace("sha256:", "finding-"))?)
    }

    /// Why this is proposed, in sentences; bounded, and without characters that deceive.
    #[must_use]
    pub fn rationale(&self) -> String {
        let (Some(subject), Some(urgent)) = (self.subject(), self.most_urgent()) else {
            return String::new();
        };
        let finding = urgent.finding;
        let mut lines = vec![format!("Upgrade {subject}.")];
        if !finding.pulls_in.is_empty() {
            let others = named(finding.pulls_in.iter().map(|one| one.name.as_str()));
            lines.push(format!("Also changes {others}."));
        }
        lines.push(format!(
            "Rollback artifact, as observed: {}.",
            finding.rollback.as_str()
        ));
        let fixed = claims::cves(&self.findings);
        if !fixed.is_empty() {
            let fixed = named(fixed.iter().map(|id| id.as_str()));
            lines.push(format!("Fixes {fixed}."));
        }
        if self.findings.len() > 1 {
            lines.push(format!("Most urgent on {}:", finding.host));
        }
        lines.extend(sentences(urgent));
        cut(lines.join("\n"), TEXT_BYTES_MAX)
    }

    /// Signs it in the name of `identity`.
    ///
    /// # Errors
    /// When it would not be taken: too large, or malformed.
    pub fn sign(
        &self,
        identity: &AgentIdentity,
        now: Timestamp,
        rng: &mut dyn Randomness,
    ) -> Result<SignedProposal, ProposeError> {
        let (mut nonce, mut salt) = ([0; 16], [0; 16]);
        rng.fill_bytes(&mut nonce);
        rng.fill_bytes(&mut salt);
        let rationale = SaltedText::new(salt, self.rationale());
        let first = self.findings.first().map(|one| one.finding);
        let proposal = Proposal {
            v: 1,
            deployment: identity.deployment.clone(),
            agent: identity.id.clone(),
            nonce: Nonce::from_random(nonce),
            proposed_at: now,
            path: RemediationPath::Patch,
            // INVARIANT: a group has one category; without findings, `check` refuses below.
            category: first.map_or(Category::Kernel, |finding| finding.category),
            waves: self.waves(),
            packages: first
                .map(|finding| PackageRequest {
                    name: finding.package.clone(),
                    architecture: finding.architecture.clone(),
                    from: Some(finding.from.clone()),
                    to: finding.to.clone(),
                })
                .into_iter()
                .collect(),
            // The host adds the checks that it demands; it alone knows what it runs.
            checks: Vec::new(),
            recipe: None,
            // Always asked for: whether it can be had is for the host's plan to say.
            rollback: RollbackPlan::ReverseTransitions,
            claims: claims::claims(&self.findings),
            rationale: Some(rationale.digest()?),
        };
        proposal.check()?;
        let jws = identity.sign(PROPOSAL_TYP, &proposal)?;
        if jws.len() > PROPOSAL_BYTES_MAX {
            return Err(ProposeError::TooLong(jws.len()));
        }
        Ok(SignedProposal {
            jws,
            rationale,
            request: self.request(&identity.id, now)?,
            proposal,
        })
    }
}

/// The first few words, and how many more there are.
fn named<'a>(words: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = words.len().saturating_sub(NAMED_MAX);
    let first: Vec<&str> = words.take(NAMED_MAX).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// `text`, cut to `bytes_max` bytes, `…` marking the cut.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
