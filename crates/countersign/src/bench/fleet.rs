//! A deployment to measure: many agents, each with an owner of its own, and many staging hosts, all
//! properly enrolled, under the starter policy; or production hosts under the same policy with its
//! standing limits raised, so that thousands of changes may run in a day. It is no trial.

use super::prepared::signed;
use super::{BenchError, failed};
use crate::ambient;
use crate::deployment::{Deployment, Founding, NewPerson};
use crate::serve::block_on;
use crate::signing::{Signer, SshKey};
use countersign_domain::asset::{Asset, Criticality, Environment, Exposure, Tier};
use countersign_domain::observation::{CveCoverage, Observation, PendingUpgrade};
use countersign_domain::plan::{Reverse, RollbackSource, Step};
use countersign_domain::roster::{Operation, RosterChange, SignedRosterChange};
use countersign_domain::statement::Subject;
use countersign_domain::{
    AgentId, Architecture, CveId, DeploymentId, Digest, HostId, PackageName, PersonId, Transition,
    Version, canonical, jws,
};
use countersign_facts::Inventory;
use countersign_gate::found::hex_key;
use countersign_gate::{InventoryChange, PolicyChange};
use countersign_policy::PolicySource;
use ed25519_dalek::SigningKey;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Hosts that one owner's agents may have in flight at once under standing authority: rule SA-100 of
/// the starter policy.
pub(super) const IN_FLIGHT_MAX: usize = 25;
/// The package that is patched.
pub(super) const PACKAGE: &str = "openssl";
/// Hosts that observe at a time.
const AT_A_TIME: usize = 32;
/// Who signs.
const SIGNER: &str = "policy-owner";
/// Who wrote the policy: whoever signs may not have.
const AUTHOR: &str = "policy-author";

/// What the hosts are, and the policy for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Staging, under the starter policy as it is shipped.
    Staging,
    /// Production, where each change is reviewed; any number of them may run.
    Production,
}

/// Who takes part.
pub(super) struct Fleet {
    pub(super) deployment: DeploymentId,
    pub(super) agents: Vec<(AgentId, SigningKey)>,
    pub(super) hosts: Vec<(HostId, SigningKey)>,
    pub(super) upgrade: PendingUpgrade,
    pub(super) roster_version: u64,
}

/// Founds it, enrols all, and lets every host observe.
pub(super) fn found(
    dir: &Path,
    kind: Kind,
    agents: u16,
    hosts: u16,
) -> Result<(Deployment, Fleet), BenchError> {
    let key = SshKey::generate().map_err(failed("making a key"))?;
    let deployment = DeploymentId::new("localhost/bench").map_err(failed("a name"))?;
    let upgrade = upgrade().map_err(failed("a package"))?;
    let mut fleet = Fleet {
        deployment: deployment.clone(),
        agents: named("agent", agents, AgentId::new)?,
        hosts: named("host", hosts, HostId::new)?,
        upgrade,
        roster_version: 1,
    };
    let founded = founding(&deployment, &key)?;
    let deployment = Deployment::create(dir, founded, &[(person(SIGNER)?, &key)], None)
        .map_err(failed("founding a deployment"))?;
    for operations in operations(&fleet)?.chunks(countersign_domain::roster::OPERATIONS_MAX) {
        fleet.roster_version = enrol(&deployment, &key, operations)?;
    }
    set_inventory(&deployment, &key, &fleet, kind)?;
    set_policy(&deployment, &key, kind)?;
    observe_all(&deployment, &fleet)?;
    Ok((deployment, fleet))
}

/// The step of a plan that makes this upgrade.
pub(super) fn step(upgrade: &PendingUpgrade) -> Step {
    let transition = |old: &Version, new: &Version| Transition {
        name: upgrade.name.clone(),
        architecture: upgrade.architecture.clone(),
        old: Some(old.clone()),
        new: Some(new.clone()),
        sha256: Some(Digest::of(new.as_str().as_bytes())),
    };
    Step {
        transition: transition(&upgrade.from, &upgrade.to),
        reverse: Reverse {
            transition: transition(&upgrade.to, &upgrade.from),
            source: upgrade.rollback,
            stored: true,
            note: None,
        },
        requested: true,
        security: upgrade.security,
        fetched: true,
        section: upgrade.section.clone(),
        essential: upgrade.essential,
    }
}

fn upgrade() -> Result<PendingUpgrade, countersign_domain::package::PackageError> {
    Ok(PendingUpgrade {
        name: PackageName::new(PACKAGE)?,
        architecture: Architecture::new("amd64")?,
        from: Version::new("3.0.15-1~deb12u1")?,
        to: Version::new("3.0.17-1~deb12u2")?,
        origin: "Debian-Security:12/stable-security".into(),
        security: true,
        section: Some("utils".into()),
        essential: false,
        pulls_in: Vec::new(),
        cves: CveCoverage::Read {
            ids: BTreeSet::from([CveId::new("CVE-2026-0001")?, CveId::new("CVE-2026-0002")?]),
        },
        rollback: RollbackSource::Mirror,
    })
}

fn named<T, E: std::fmt::Display>(
    kind: &str,
    count: u16,
    id: impl Fn(String) -> Result<T, E>,
) -> Result<Vec<(T, SigningKey)>, BenchError> {
    (0..count)
        .map(|number| {
            let id = id(format!("{kind}-{number}")).map_err(failed("a name"))?;
            Ok((id, SigningKey::from_bytes(&ambient::random())))
        })
        .collect()
}

fn person(name: &str) -> Result<PersonId, BenchError> {
    PersonId::new(name).map_err(failed("a name"))
}

fn founding(deployment: &DeploymentId, key: &SshKey) -> Result<Founding, BenchError> {
    let new = |name: &str, key: &SshKey| {
        Ok::<_, BenchError>(NewPerson {
            person: person(name)?,
            name: name.into(),
            public_key: key.public_key().to_owned(),
        })
    };
    let mut founding =
        Founding::of_one(deployment.clone(), false, new(SIGNER, key)?, ambient::now())
            .map_err(failed("founding a deployment"))?;
    let author = SshKey::generate().map_err(failed("making a key"))?;
    founding.people.push(new(AUTHOR, &author)?);
    Ok(founding)
}

fn operations(fleet: &Fleet) -> Result<Vec<Operation>, BenchError> {
    let mut operations = Vec::new();
    for (agent, key) in &fleet.agents {
        let owner = person(&format!("owner-of-{agent}"))?;
        operations.push(Operation::AddPerson {
            name: Digest::of(owner.as_str().as_bytes()),
            person: owner.clone(),
        });
        operations.push(Operation::SetAgent {
            agent: agent.clone(),
            owner,
            public_key: hex_key(key),
        });
    }
    operations.extend(fleet.hosts.iter().map(|(host, key)| Operation::SetHost {
        host: host.clone(),
        public_key: hex_key(key),
    }));
    Ok(operations)
}

fn signer<'a>(deployment: &Deployment, key: &'a SshKey) -> Result<Signer<'a>, BenchError> {
    let world = deployment.gate().world().map_err(failed("the roster"))?;
    Ok(Signer {
        key,
        person: person(SIGNER)?,
        deployment: world.deployment().clone(),
        roster_version: world.roster.version,
    })
}

fn enrol(
    deployment: &Deployment,
    key: &SshKey,
    operations: &[Operation],
) -> Result<u64, BenchError> {
    const WHAT: &str = "enrolling agents and hosts";
    let world = deployment.gate().world().map_err(failed(WHAT))?;
    let change = RosterChange {
        v: 1,
        deployment: world.deployment().clone(),
        trial: false,
        version: world.roster.version + 1,
        previous: Some(world.roster.head),
        at: ambient::now(),
        operations: operations.to_vec(),
    };
    let subject = Subject::Roster {
        change: canonical::digest(&change).map_err(failed(WHAT))?,
        version: change.version,
    };
    let statement = signer(deployment, key)?
        .state(subject, ambient::now())
        .map_err(failed(WHAT))?;
    let signed = SignedRosterChange {
        change: canonical::to_text(&change).map_err(failed(WHAT))?,
        statements: vec![statement],
    };
    let changed = deployment
        .gate()
        .change_roster(signed, Vec::new(), ambient::now());
    block_on(changed)
        .map_err(failed(WHAT))?
        .map_err(failed(WHAT))
}

fn set_inventory(
    deployment: &Deployment,
    key: &SshKey,
    fleet: &Fleet,
    kind: Kind,
) -> Result<(), BenchError> {
    const WHAT: &str = "writing the inventory";
    let tier = Tier::new(3).map_err(failed(WHAT))?;
    let assets = (0_usize..)
        .zip(&fleet.hosts)
        .map(|(number, (host, _))| Asset {
            host: host.clone(),
            environment: match kind {
                Kind::Staging => Environment::Staging,
                Kind::Production => Environment::Production,
            },
            tier,
            criticality: Criticality::Medium,
            exposure: Exposure::Controlled,
            scopes: BTreeSet::new(),
            owner: None,
            service: Some(format!("service-{}", number % 16)),
            cluster: None,
            account: None,
            neighbours: BTreeSet::new(),
            known: true,
        });
    let bytes = Inventory::from_assets(assets)
        .to_toml()
        .map_err(failed(WHAT))?
        .into_bytes();
    let subject = Subject::Inventory {
        inventory: Digest::of(&bytes),
    };
    let statement = signer(deployment, key)?
        .state(subject, ambient::now())
        .map_err(failed(WHAT))?;
    let change = InventoryChange {
        bytes,
        statements: vec![statement],
    };
    let changed = deployment.gate().change_inventory(change, ambient::now());
    block_on(changed)
        .map_err(failed(WHAT))?
        .map_err(failed(WHAT))?;
    Ok(())
}

/// The starter policy with its limits on what is in flight or ran today raised out of reach. Its cases
/// are left out: some say where those limits are.
fn raised(starter: &PolicySource) -> Result<PolicySource, BenchError> {
    const WHAT: &str = "raising the limits";
    let mut files = BTreeMap::new();
    let mut raised = 0;
    for (path, bytes) in starter.files() {
        if path.starts_with("cases/") {
            continue;
        }
        let mut text = String::new();
        for line in std::str::from_utf8(bytes).map_err(failed(WHAT))?.lines() {
            let limits = ["context.reservations.", "context.blast.percent"];
            let mut parts = line.split("<= ");
            text.push_str(parts.next().unwrap_or_default());
            for part in parts {
                let rest = part.trim_start_matches(|char: char| char.is_ascii_digit());
                if limits.iter().any(|limit| line.contains(limit)) {
                    raised += 1;
                    text.push_str("<= 1000000000");
                    text.push_str(rest);
                } else {
                    text.push_str("<= ");
                    text.push_str(part);
                }
            }
            text.push('\n');
        }
        files.insert(path.clone(), text.into_bytes());
    }
    if raised < 10 {
        return Err(BenchError::Void(
            "the starter policy has other limits".into(),
        ));
    }
    PolicySource::new(files).map_err(failed(WHAT))
}

fn set_policy(deployment: &Deployment, key: &SshKey, kind: Kind) -> Result<(), BenchError> {
    const WHAT: &str = "signing the policy";
    let author = person(AUTHOR)?;
    let mut source = countersign_policy::starter_for(&author);
    if kind == Kind::Production {
        source = raised(&source)?;
    }
    let subject = Subject::Policy {
        policy: source.digest(),
        version: 1,
        authors: vec![author.clone()],
    };
    let statement = signer(deployment, key)?
        .state(subject, ambient::now())
        .map_err(failed(WHAT))?;
    let change = PolicyChange {
        source,
        authors: vec![author],
        statements: vec![statement],
    };
    let changed = deployment.gate().change_policy(change, ambient::now());
    block_on(changed)
        .map_err(failed(WHAT))?
        .map_err(failed(WHAT))?;
    Ok(())
}

/// Every host hands in its observation, many at a time.
fn observe_all(deployment: &Deployment, fleet: &Fleet) -> Result<(), BenchError> {
    let share = fleet.hosts.len().div_ceil(AT_A_TIME).max(1);
    std::thread::scope(|scope| {
        let threads: Vec<_> = fleet
            .hosts
            .chunks(share)
            .map(|hosts| {
                let all = move || {
                    hosts
                        .iter()
                        .try_for_each(|host| observe(deployment, fleet, host))
                };
                scope.spawn(all)
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            let gone = |_| BenchError::Void("a host's thread panicked".into());
            thread.join().map_err(gone)?
        })
    })
}

fn observe(
    deployment: &Deployment,
    fleet: &Fleet,
    (host, key): &(HostId, SigningKey),
) -> Result<(), BenchError> {
    const WHAT: &str = "observing a host";
    let now = ambient::now();
    let observation = Observation {
        v: 1,
        deployment: fleet.deployment.clone(),
        host: host.clone(),
        observed_at: now,
        lists_refreshed_at: Some(now),
        pending: vec![fleet.upgrade.clone()],
        health: Vec::new(),
        gaps: Vec::new(),
    };
    let jws = signed(jws::OBSERVATION_TYP, host.as_str(), key, &observation)?;
    let observed = deployment.gate().observed(host, jws, now);
    block_on(observed)
        .map_err(failed(WHAT))?
        .map_err(failed(WHAT))
}
