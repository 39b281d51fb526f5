//! What a rank promises: explained, the same for every order of the input, and never lower for
//! worse news.

use super::*;
use crate::samples::{finding, fresh};
use countersign_domain::asset::{Asset, Criticality, Exposure, Tier};
use countersign_domain::facts::{Fact, Known, PatchPriority, RemediationTimeline};
use countersign_domain::observation::CveCoverage;
use countersign_domain::package::CveId;
use proptest::prelude::*;

#[test]
fn every_point_is_explained() {
    let mut one = finding("web-1", "openssl");
    one.vulnerability.kev = fresh(true, "cisa-kev");
    one.vulnerability.cvss_tenths = fresh(98, "cve");
    one.vulnerability.timeline = fresh(RemediationTimeline::OnSystemUpgrade, "bod-26-04");
    one.vulnerability.epss_ten_thousandths = Fact {
        value: Known::Stale(9_007),
        source: "epss".into(),
        at: None,
        digest: None,
    };
    one.security = true;
    one.cves = CveCoverage::Read {
        ids: ["CVE-2025-0001", "CVE-2023-1234"]
            .map(|id| CveId::new(id).unwrap())
            .into(),
    };
    one.reach.hosts = 3;
    one.reach.complete = false;
    one.reach.highest_criticality = Some(Criticality::High);
    let findings = [one];
    let ranked = rank(&findings);
    let expected = "\
Ranked at 5927 points.
+4000 for known exploited vulnerabilities catalogue: listed (source: cisa-kev).
+980 for highest CVSS base score: 9.8 (source: cve).
+300 for from the distribution's security archive: yes (source: host web-1).
+200 for tier of the host: 2 (source: inventory).
+150 for exposure of the host: controlled (source: inventory).
+137 for reachable from the host: at least 3 hosts, criticality up to high (source: inventory).
+100 for criticality of the host: medium (source: inventory).
+60 for age: oldest CVE id is from 2023 (source: host web-1).
Known, and adding nothing: BOD 26-04 timeline (on-system-upgrade).
Not known, so not counted: SSVC priority (never imported); highest EPSS probability \
(stale (was 90.07 %)); CVE ids fixed (never imported).";
    assert_eq!(sentences(&ranked[0]).join("\n"), expected);
}

#[test]
fn an_unknown_asset_adds_nothing_and_is_said_to_be_unknown() {
    let mut one = finding("web-1", "openssl");
    one.asset = Asset::unknown(one.host.clone());
    one.reach.hosts = 40;
    let findings = [one];
    let ranked = rank(&findings);
    assert_eq!(ranked[0].score, 0);
    let said = sentences(&ranked[0]).join("\n");
    assert!(
        said.contains("tier of the host (the inventory does not know the host)"),
        "{said}"
    );
}

#[test]
fn exploitation_outweighs_every_score_and_asset() {
    let mut exploited = finding("small", "app");
    exploited.vulnerability.kev = fresh(true, "cisa-kev");
    let mut scored = finding("big", "app");
    scored.vulnerability.cvss_tenths = fresh(100, "cve");
    scored.vulnerability.epss_ten_thousandths = fresh(10_000, "epss");
    scored.asset.criticality = Criticality::Vital;
    scored.asset.tier = Tier::HIGHEST;
    scored.asset.exposure = Exposure::Open;
    let findings = [scored, exploited];
    assert_eq!(rank(&findings)[0].finding.host.as_str(), "small");
}

#[test]
fn hostile_values_stay_within_the_weights() {
    let mut one = finding("web-1", "openssl");
    one.vulnerability.cvss_tenths = fresh(255, "cve");
    one.vulnerability.epss_ten_thousandths = fresh(u16::MAX, "epss\u{202e}\n");
    one.vulnerability.cves = fresh(u32::MAX, "host");
    one.reach.hosts = u32::MAX;
    one.observed_at = countersign_domain::Timestamp::EPOCH;
    let findings = [one];
    let ranked = rank(&findings);
    assert_eq!(ranked[0].score, 1000 + 1000 + 200 + 200 + 200 + 150 + 100);
    let said = sentences(&ranked[0]).join("");
    assert!(!said.contains('\n') && !said.contains('\u{202e}'), "{said}");
}

#[test]
fn ties_are_broken_by_name_and_never_by_the_order_of_the_input() {
    let mut first = finding("a-1", "zsh");
    first.architecture = countersign_domain::Architecture::new("riscv64").unwrap();
    let second = finding("b-1", "bash");
    let third = finding("b-1", "curl");
    // The same upgrade twice, equal in score, with another reason for what is missing.
    let mut twin = third.clone();
    twin.vulnerability.kev.value = Known::Missing("zzz".into());
    let sorted = [first, second, third, twin];
    let mut reversed = sorted.clone();
    reversed.reverse();
    for input in [&sorted, &reversed] {
        let ranked: Vec<&Finding> = rank(input).iter().map(|one| one.finding).collect();
        assert_eq!(ranked, sorted.iter().collect::<Vec<_>>());
    }
}

fn fact<T: Clone + std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Fact<T>> {
    (value, 0..3).prop_map(|(value, kind)| Fact {
        value: match kind {
            0 => Known::Fresh(value),
            1 => Known::Stale(value),
            _ => Known::Missing("not imported".into()),
        },
        source: "feed".into(),
        at: None,
        digest: None,
    })
}

fn any_finding() -> impl Strategy<Value = Finding> {
    let priority = prop::sample::select(vec![
        PatchPriority::Defer,
        PatchPriority::Scheduled,
        PatchPriority::OutOfCycle,
        PatchPriority::Immediate,
    ]);
    (
        ("[ab]-[12]", "p[ab]"),
        (fact(any::<bool>()), fact(0..=100_u8), fact(0..=10_000_u16)),
        (fact(priority), fact(0..30_u32)),
        (any::<bool>(), 0..5_u8, any::<bool>(), 0..60_u32),
    )
        .prop_map(
            |((host, package), (kev, cvss, epss), (priority, cves), rest)| {
                let mut one = finding(&host, &package);
                one.vulnerability.kev = kev;
                one.vulnerability.cvss_tenths = cvss;
                one.vulnerability.epss_ten_thousandths = epss;
                one.vulnerability.priority = priority;
                one.vulnerability.cves = cves;
                one.security = rest.0;
                one.asset.tier = Tier::new(rest.1).unwrap();
                one.asset.known = rest.2;
                one.reach.hosts = rest.3;
                one
            },
        )
}

/// Where the finding with this host ended up, from 0, and its score.
fn place(findings: &[Finding], host: &str) -> (usize, u32) {
    let ranked = rank(findings);
    let at = ranked
        .iter()
        .position(|one| one.finding.host.as_str() == host);
    let at = at.unwrap();
    (at, ranked[at].score)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_order_of_the_input_does_not_matter(
        (findings, shuffled) in prop::collection::vec(any_finding(), 0..8)
            .prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle()))
    ) {
        prop_assert_eq!(rank(&findings), rank(&shuffled));
    }

    #[test]
    fn the_score_is_the_sum_of_what_is_explained(findings in prop::collection::vec(any_finding(), 1..8)) {
        for one in rank(&findings) {
            prop_assert_eq!(one.score, one.explanation.iter().map(|part| part.points).sum::<u32>());
            prop_assert!(one.explanation.iter().all(|part| part.known || part.points == 0));
            prop_assert_eq!(one.explanation.len(), 12);
        }
    }

    #[test]
    fn worse_news_never_lowers_a_rank(
        others in prop::collection::vec(any_finding(), 0..8),
        mut one in any_finding(),
        raised in 0..=100_u8,
    ) {
        one.host = countersign_domain::HostId::new("subject").unwrap();
        let with = |one: &Finding| {
            let mut all = others.clone();
            all.push(one.clone());
            place(&all, "subject")
        };
        let before = with(&one);

        let mut listed = one.clone();
        listed.vulnerability.kev = fresh(true, "cisa-kev");
        let after = with(&listed);
        prop_assert!(after.0 <= before.0 && after.1 >= before.1, "{before:?} {after:?}");

        let mut scored = one.clone();
        let old = one.vulnerability.cvss_tenths.fresh().copied().unwrap_or(0);
        scored.vulnerability.cvss_tenths = fresh(old.max(raised), "cve");
        let after = with(&scored);
        prop_assert!(after.0 <= before.0 && after.1 >= before.1, "{before:?} {after:?}");
    }
}
