//! What is signed: honest claims, waves, idempotency keys, bounds.

use super::*;
use crate::rank::rank;
use crate::samples::{finding, fresh, noon};
use countersign_domain::asset::{Asset, Tier};
use countersign_domain::facts::{Exploitation, Known};
use countersign_domain::jws::take_apart;
use countersign_domain::observation::CveCoverage;
use countersign_domain::{CveId, DeploymentId};
use ed25519_dalek::{Signature, SigningKey, Verifier as _};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

fn identity() -> AgentIdentity {
    AgentIdentity {
        id: AgentId::new("patcher").unwrap(),
        deployment: DeploymentId::new("localhost/trial-1").unwrap(),
        key: SigningKey::from_bytes(&[7; 32]),
    }
}

fn signed(draft: &Draft<'_>, seed: u64) -> SignedProposal {
    let mut rng = StdRng::seed_from_u64(seed);
    draft.sign(&identity(), noon(), &mut rng).unwrap()
}

fn in_environment(host: &str, environment: Environment) -> Finding {
    let mut one = finding(host, "openssl");
    one.asset.environment = environment;
    one
}

#[test]
fn a_proposal_is_signed_canonical_and_binds_its_rationale() {
    let findings = [finding("web-1", "openssl")];
    let ranked = rank(&findings);
    let one = signed(&drafts(&ranked, Grouping::HostByHost)[0], 1);
    let parts = take_apart(&one.jws).unwrap();
    let key = identity().key.verifying_key();
    let signature = Signature::from_bytes(&parts.signature);
    assert!(
        key.verify(parts.signing_input.as_bytes(), &signature)
            .is_ok()
    );
    assert_eq!(
        (parts.header.typ.as_str(), parts.header.kid.as_str()),
        (PROPOSAL_TYP, "patcher")
    );
    let proposal: Proposal = canonical::from_bytes(&parts.payload).unwrap();
    assert_eq!(proposal, one.proposal);
    assert_eq!(proposal.rationale, Some(one.rationale.digest().unwrap()));
    assert!(one.rationale.text.starts_with(
        "Upgrade `openssl` (amd64) 1.0-1 to 1.0-2 on web-1.\nRollback artifact, as observed: mirror.\n\
         Ranked at 450 points."
    ), "{}", one.rationale.text);
    // Other randomness, another proposal and another salt.
    let other = signed(&drafts(&ranked, Grouping::HostByHost)[0], 2);
    assert_ne!(one.proposal.nonce, other.proposal.nonce);
    assert_ne!(one.rationale.salt, other.rationale.salt);
}

#[test]
fn only_fresh_facts_are_claimed() {
    let mut one = finding("web-1", "openssl");
    one.cves = CveCoverage::Read {
        ids: [CveId::new("CVE-2025-0001").unwrap()].into(),
    };
    let claims = |one: &Finding| {
        let findings = [one.clone()];
        let ranked = rank(&findings);
        signed(&drafts(&ranked, Grouping::HostByHost)[0], 1)
            .proposal
            .claims
    };
    let bare = claims(&one);
    assert_eq!(
        (bare.cvss_tenths, bare.exploited, bare.cves.len()),
        (None, None, 0)
    );
    assert_eq!(
        (bare.tier, bare.hosts),
        (Some(Tier::new(2).unwrap()), Some(1))
    );

    one.vulnerability.cves = fresh(1, "host web-1");
    one.vulnerability.cvss_tenths = fresh(75, "cve");
    one.vulnerability.kev = fresh(false, "cisa-kev");
    let known = claims(&one);
    assert_eq!((known.cvss_tenths, known.cves.len()), (Some(75), 1));
    // Not being listed alone does not say that nobody exploits it.
    assert_eq!(known.exploited, None);
    one.vulnerability.exploitation = fresh(Exploitation::PublicPoc, "cisa-ssvc");
    assert_eq!(claims(&one).exploited, Some(false));
    one.vulnerability.exploitation = fresh(Exploitation::Active, "cisa-ssvc");
    assert_eq!(claims(&one).exploited, Some(true));

    one.vulnerability.cvss_tenths.value = Known::Stale(75);
    one.asset = Asset::unknown(one.host.clone());
    let unsure = claims(&one);
    assert_eq!(
        (unsure.cvss_tenths, unsure.tier, unsure.environment),
        (None, None, None)
    );
}

#[test]
fn waves_go_from_lower_environments_to_production() {
    let mut other_version = in_environment("web-9", Environment::Staging);
    other_version.to = Version::new("1.0-3").unwrap();
    let findings = [
        in_environment("web-2", Environment::Production),
        in_environment("web-1", Environment::Production),
        in_environment("dev-1", Environment::Development),
        other_version,
    ];
    let ranked = rank(&findings);
    assert_eq!(drafts(&ranked, Grouping::HostByHost).len(), 4);
    let grouped = drafts(&ranked, Grouping::Waves);
    assert_eq!(grouped.len(), 2);
    let all: Vec<Proposal> = grouped.iter().map(|one| signed(one, 1).proposal).collect();
    let waves = |proposal: &Proposal| -> Vec<Vec<String>> {
        let ids = |wave: &Vec<HostId>| wave.iter().map(ToString::to_string).collect();
        proposal.waves.iter().map(ids).collect()
    };
    let large = all.iter().find(|one| one.waves.len() == 2).unwrap();
    assert_eq!(waves(large), [vec!["dev-1"], vec!["web-1", "web-2"]]);
    assert_eq!(large.claims.hosts, Some(3));
    assert_eq!(large.claims.environment, None);
}

#[test]
fn what_is_there_twice_is_proposed_once() {
    let mut twin = finding("web-1", "openssl");
    twin.security = true;
    let findings = [finding("web-1", "openssl"), twin];
    let ranked = rank(&findings);
    for grouping in [Grouping::HostByHost, Grouping::Waves] {
        let drafts = drafts(&ranked, grouping);
        assert_eq!(drafts.len(), 1);
        assert_eq!(signed(&drafts[0], 1).proposal.hosts().count(), 1);
    }
}

#[test]
fn the_idempotency_key_is_of_finding_agent_and_day() {
    let findings = [finding("web-1", "openssl"), finding("web-2", "openssl")];
    let ranked = rank(&findings);
    let drafts = drafts(&ranked, Grouping::HostByHost);
    let (agent, other) = (AgentId::new("a").unwrap(), AgentId::new("b").unwrap());
    let key = |draft: &Draft<'_>, agent, now| draft.request(agent, now).unwrap();
    let first = key(&drafts[0], &agent, noon());
    assert_eq!(
        key(&drafts[0], &agent, noon().plus_seconds(SECONDS_A_DAY - 1)),
        first
    );
    assert_ne!(
        key(&drafts[0], &agent, noon().plus_seconds(SECONDS_A_DAY)),
        first
    );
    assert_ne!(key(&drafts[0], &other, noon()), first);
    assert_ne!(key(&drafts[1], &agent, noon()), first);
}

#[test]
fn large_groups_are_cut_within_the_bounds() {
    let long = "h".repeat(90);
    let findings: Vec<Finding> = (0..700)
        .map(|at| {
            let mut one = finding(&format!("{long}-{at:04}"), "openssl");
            if at < 650 {
                one.asset.environment = Environment::Production;
            }
            one
        })
        .collect();
    let ranked = rank(&findings);
    let drafts = drafts(&ranked, Grouping::Waves);
    assert!(drafts.len() > 2);
    // Lower environments come first, also over the cut.
    let waves = signed(&drafts[0], 1).proposal.waves;
    assert_eq!((waves.len(), waves[0].len()), (2, 50));
    let hosts: BTreeSet<HostId> = drafts
        .iter()
        .flat_map(|one| signed(one, 1).proposal.waves.concat())
        .collect();
    assert_eq!(hosts.len(), 700);
}

#[test]
fn a_rationale_is_bounded_whatever_the_facts_say() {
    let mut one = finding("web-1", "openssl");
    let hostile = "\u{e0001}".repeat(5_000);
    one.vulnerability.kev = fresh(true, &hostile);
    one.vulnerability.cvss_tenths.value = Known::Missing(hostile.clone());
    one.vulnerability.timeline.value = Known::Missing(hostile.clone());
    one.vulnerability.priority.value = Known::Missing(hostile.clone());
    one.vulnerability.cves.value = Known::Missing(hostile.clone());
    one.vulnerability.epss_ten_thousandths.value = Known::Missing(hostile.clone());
    one.cves = CveCoverage::Unknown { why: hostile };
    let findings = [one];
    let ranked = rank(&findings);
    let text = signed(&drafts(&ranked, Grouping::HostByHost)[0], 1)
        .rationale
        .text;
    assert!(text.len() <= TEXT_BYTES_MAX && !text.contains('\u{e0001}'));
    assert_eq!(cut("aé…".into(), 5), "a…");
    assert_eq!(cut("abc".into(), 3), "abc");
}
