//! Arbitrary facts for property tests. Near the limits of the starter policy as often as anywhere.

use crate::finding::Finding;
use crate::policy::Policy;
use crate::sheet::{FactName, FactSheet, TargetSheet};
use crate::source::PolicySource;
use crate::starter::starter;
use countersign_domain::Tier;
use countersign_domain::asset::{Criticality, Environment, Exposure, Scope};
use countersign_domain::facts::{
    Exploitation, PatchPriority, RemediationTimeline, TechnicalImpact,
};
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::{Category, RemediationPath};
use proptest::collection::{btree_set, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

pub(crate) const ENVIRONMENTS: [Environment; 3] = [
    Environment::Development,
    Environment::Staging,
    Environment::Production,
];
pub(crate) const PATHS: [RemediationPath; 4] = [
    RemediationPath::Patch,
    RemediationPath::VirtualPatch,
    RemediationPath::Hardening,
    RemediationPath::Isolation,
];
pub(crate) const CATEGORIES: [Category; 6] = [
    Category::Dependency,
    Category::Application,
    Category::OsSecurity,
    Category::CoreSystem,
    Category::DatabaseEngine,
    Category::Kernel,
];
pub(crate) const BACKS: [RollbackSource; 5] = [
    RollbackSource::NotNeeded,
    RollbackSource::Cached,
    RollbackSource::Mirror,
    RollbackSource::Repacked,
    RollbackSource::Unavailable,
];
pub(crate) const EXPLOITATIONS: [Exploitation; 3] = [
    Exploitation::None,
    Exploitation::PublicPoc,
    Exploitation::Active,
];
pub(crate) const TIMELINES: [RemediationTimeline; 5] = [
    RemediationTimeline::OnSystemUpgrade,
    RemediationTimeline::Days60,
    RemediationTimeline::Days14,
    RemediationTimeline::Days3,
    RemediationTimeline::Days3Forensics,
];
pub(crate) const PRIORITIES: [PatchPriority; 4] = [
    PatchPriority::Defer,
    PatchPriority::Scheduled,
    PatchPriority::OutOfCycle,
    PatchPriority::Immediate,
];
pub(crate) const IMPACTS: [TechnicalImpact; 2] = [TechnicalImpact::Partial, TechnicalImpact::Total];
pub(crate) const SCOPES: [Scope; 5] = [
    Scope::Pci,
    Scope::Hipaa,
    Scope::Sox,
    Scope::Soc2,
    Scope::Gdpr,
];
pub(crate) const FACT_NAMES: [FactName; 9] = [
    FactName::Cves,
    FactName::Kev,
    FactName::Cvss,
    FactName::Epss,
    FactName::Exploitation,
    FactName::Automatable,
    FactName::Impact,
    FactName::Timeline,
    FactName::Priority,
];

/// The starter policy, loaded once.
pub(crate) static STARTER: LazyLock<Policy> = LazyLock::new(|| Policy::load(&starter()).unwrap());

/// The starter policy with more rules and without its cases.
pub(crate) fn with_rules(more: &str) -> Result<Policy, Vec<Finding>> {
    let mut files = starter().files().clone();
    files.retain(|path, _| !path.starts_with("cases/"));
    files.insert("rules/more.cedar".into(), more.as_bytes().to_vec());
    Policy::load(&PolicySource::new(files).unwrap())
}

/// A number that is small, or anything.
fn count() -> impl Strategy<Value = u32> {
    prop_oneof![4 => Just(0), 4 => 0..60_u32, 1 => any::<u32>()]
}

pub(crate) fn targets() -> impl Strategy<Value = TargetSheet> {
    (
        select(&ENVIRONMENTS[..]),
        0..=4_u8,
        select(vec![
            Criticality::Low,
            Criticality::Medium,
            Criticality::High,
            Criticality::Vital,
        ]),
        select(vec![Exposure::Small, Exposure::Controlled, Exposure::Open]),
        btree_set(select(&SCOPES[..]), 0..3),
        prop::bool::weighted(0.9),
    )
        .prop_map(
            |(environment, tier, criticality, exposure, compliance, known)| TargetSheet {
                environment,
                tier: Tier::new(tier).unwrap(),
                criticality,
                exposure,
                compliance,
                known,
            },
        )
}

pub(crate) fn sheets() -> impl Strategy<Value = FactSheet> {
    let what = (
        select(&PATHS[..]),
        select(&CATEGORIES[..]),
        any::<bool>(),
        targets(),
        vec(targets(), 0..3),
        select(&BACKS[..]),
    );
    let intelligence = (
        of(count()),
        of(any::<bool>()),
        of(0..=100_u8),
        of(0..=10_000_u16),
        of(select(&EXPLOITATIONS[..])),
        of(any::<bool>()),
        of(select(&IMPACTS[..])),
        of(select(&TIMELINES[..])),
        of(select(&PRIORITIES[..])),
        btree_set(select(&FACT_NAMES[..]), 0..3),
    );
    let numbers = vec(count(), 19);
    let states = (
        prop::bool::weighted(0.8),
        prop::bool::weighted(0.1),
        prop_oneof![4 => 0..30_000_u32, 1 => any::<u32>()],
        prop_oneof![9 => Just(0), 1 => 1..3_u32],
        prop::bool::weighted(0.1),
        any::<bool>(),
    );
    (what, intelligence, numbers, states).prop_map(|(what, intelligence, numbers, states)| {
        let (path, category, security_origin, target, also, rollback) = what;
        let (
            cves,
            kev,
            cvss_tenths,
            epss,
            exploitation,
            automatable,
            impact,
            timeline,
            priority,
            stale,
        ) = intelligence;
        let (in_window, freeze, evidence_age_seconds, contradictions, policy_lapsed, trial) =
            states;
        let mut numbers = numbers.into_iter();
        let mut next = || numbers.next().unwrap();
        FactSheet {
            path,
            category,
            security_origin,
            target,
            also,
            rollback,
            cves,
            kev,
            cvss_tenths,
            epss_ten_thousandths: epss,
            exploitation,
            automatable,
            impact,
            timeline,
            priority,
            stale,
            hosts: next(),
            percent: next(),
            clusters: next(),
            accounts: next(),
            in_flight_agent: next(),
            in_flight_owner: next(),
            in_flight_service: next(),
            in_flight_environment: next(),
            in_flight_fleet: next(),
            hour_owner: next(),
            hour_fleet: next(),
            day_owner: next(),
            day_fleet: next(),
            prior_in_similar: next(),
            upgraded: next(),
            added: next(),
            removed: next(),
            healthy_hosts: next(),
            healthy_hours: next(),
            in_window,
            freeze,
            evidence_age_seconds,
            contradictions,
            policy_lapsed,
            trial,
            ..FactSheet::default()
        }
    })
}
