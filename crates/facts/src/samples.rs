//! Small plans, proposals and observations for this crate's own tests. Not compiled otherwise.

use countersign_domain::asset::{Asset, Environment, Tier};
use countersign_domain::digest::Digest;
use countersign_domain::id::{AgentId, DeploymentId, HostId, Nonce};
use countersign_domain::observation::{CveCoverage, Observation, PendingUpgrade};
use countersign_domain::package::{Architecture, CveId, PackageName, Transition, Version};
use countersign_domain::plan::{PreparedPlan, Reverse, RollbackSource, Step};
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, Proposal, RemediationPath, RollbackPlan,
};
use countersign_domain::time::Timestamp;

pub(crate) const NOW: &str = "2026-05-20T12:00:00Z";

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn host(name: &str) -> HostId {
    HostId::new(name).unwrap()
}

pub(crate) fn package(name: &str) -> PackageName {
    PackageName::new(name).unwrap()
}

pub(crate) fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

pub(crate) fn amd64() -> Architecture {
    Architecture::new("amd64").unwrap()
}

pub(crate) fn ids(words: &[&str]) -> std::collections::BTreeSet<CveId> {
    words
        .iter()
        .map(|word| CveId::new(*word).unwrap())
        .collect()
}

/// A production asset of tier 2.
pub(crate) fn asset(name: &str) -> Asset {
    Asset {
        environment: Environment::Production,
        tier: Tier::new(2).unwrap(),
        known: true,
        ..Asset::unknown(host(name))
    }
}

/// Asks to bring `libssl3` from 1 to 2 on these hosts.
pub(crate) fn proposal(hosts: &[&str]) -> Proposal {
    Proposal {
        v: 1,
        deployment: DeploymentId::new("localhost/test").unwrap(),
        agent: AgentId::new("agent").unwrap(),
        nonce: Nonce::from_random([7; 16]),
        proposed_at: time(NOW),
        path: RemediationPath::Patch,
        category: Category::OsSecurity,
        waves: vec![hosts.iter().map(|name| host(name)).collect()],
        packages: vec![PackageRequest {
            name: package("libssl3"),
            architecture: amd64(),
            from: Some(version("1")),
            to: version("2"),
        }],
        checks: Vec::new(),
        recipe: None,
        rollback: RollbackPlan::ReverseTransitions,
        claims: Claims::default(),
        rationale: None,
    }
}

/// A step from `old` to `new` in section `libs`, neither requested nor from the security archive.
pub(crate) fn step(name: &str, old: Option<&str>, new: Option<&str>) -> Step {
    let transition = |old: Option<&str>, new: Option<&str>| Transition {
        name: package(name),
        architecture: amd64(),
        old: old.map(version),
        new: new.map(version),
        sha256: new.map(|new| Digest::of(new.as_bytes())),
    };
    Step {
        transition: transition(old, new),
        reverse: Reverse {
            transition: transition(new, old),
            source: match old {
                Some(_) => RollbackSource::Cached,
                None => RollbackSource::NotNeeded,
            },
            stored: old.is_some(),
            note: None,
        },
        requested: false,
        security: false,
        fetched: true,
        section: Some("libs".into()),
        essential: false,
    }
}

/// The step that [`proposal`] asks for.
pub(crate) fn asked() -> Step {
    Step {
        requested: true,
        security: true,
        ..step("libssl3", Some("1"), Some("2"))
    }
}

pub(crate) fn plan(name: &str, steps: Vec<Step>) -> PreparedPlan {
    PreparedPlan {
        v: 1,
        deployment: DeploymentId::new("localhost/test").unwrap(),
        host: host(name),
        proposal: Digest::of(b"proposal"),
        prepared_at: time(NOW),
        expires_at: time(NOW).plus_seconds(3600),
        steps,
        checks: Vec::new(),
        definitions: Digest::of(b"definitions"),
        limits: Vec::new(),
    }
}

/// An observation with `libssl3` pending from 1 to 2.
pub(crate) fn observation(name: &str, at: &str, cves: CveCoverage) -> Observation {
    Observation {
        v: 1,
        deployment: DeploymentId::new("localhost/test").unwrap(),
        host: host(name),
        observed_at: time(at),
        lists_refreshed_at: None,
        pending: vec![PendingUpgrade {
            name: package("libssl3"),
            architecture: amd64(),
            from: version("1"),
            to: version("2"),
            origin: "Debian-Security:12/oldstable-security".into(),
            security: true,
            section: Some("libs".into()),
            essential: false,
            pulls_in: Vec::new(),
            cves,
            rollback: RollbackSource::Mirror,
        }],
        health: Vec::new(),
        gaps: Vec::new(),
    }
}
