//! What each fact is worth. The weights live here and nowhere else. Evidence of exploitation weighs
//! most, then what the SSVC tables conclude, then the scores, then what the asset is. Facts that
//! are missing or stale are worth nothing and say so (invariant 2). No wording for people here.

use countersign_domain::asset::{Asset, Criticality, Exposure};
use countersign_domain::facts::{Fact, Known, PatchPriority, RemediationTimeline};
use countersign_domain::finding::{Finding, Reach};
use countersign_domain::observation::CveCoverage;
use countersign_domain::text::shown;
use serde::{Deserialize, Serialize};

/// Characters of a reason or source that are kept: both come from outside.
const WORDS_CHARS_MAX: usize = 120;

/// What a finding is ranked by, in the order of an explanation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Factor {
    /// In CISA's catalogue of known exploited vulnerabilities: 4000.
    KnownExploited,
    /// The BOD 26-04 timeline: 3000 (3 days with forensics), 2500, 1200 (14 days), 300, 0.
    Timeline,
    /// The SSVC deployer priority: 2500 (immediate), 1500, 300, 0.
    Priority,
    /// The highest CVSS base score: 10 for each tenth, at most 1000.
    Cvss,
    /// The highest EPSS probability: 1 for each 0.1 %, at most 1000.
    Epss,
    /// Who can reach the asset: 400 (open), 150, 0.
    Exposure,
    /// What its loss would mean: 400 (vital), 250, 100, 0.
    Criticality,
    /// Its tier: 400 (tier 0) down to 0 (tier 4).
    Tier,
    /// What could be reached from it: 4 for each host, at most 200; and 200 down to 0 for the
    /// highest criticality among them.
    Reach,
    /// It comes from the distribution's security archive: 300.
    SecurityOrigin,
    /// How many CVE ids it fixes: 10 for each, at most 200.
    CveCount,
    /// How old the oldest of them is, by the year in its id: 20 a year, at most 100.
    Age,
}

/// What one factor adds to a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution {
    /// The factor.
    pub factor: Factor,
    /// What is so, or why that is not known, in words.
    pub value: String,
    /// False when it is missing or stale; then it adds nothing.
    pub known: bool,
    /// What it adds.
    pub points: u32,
    /// Who says so.
    pub source: String,
}

/// Every factor of `finding`, in order.
pub(super) fn contributions(finding: &Finding) -> Vec<Contribution> {
    let facts = &finding.vulnerability;
    let mut all = vec![
        from_fact(Factor::KnownExploited, &facts.kev, |listed| {
            let value = if *listed { "listed" } else { "not listed" };
            (value.into(), if *listed { 4000 } else { 0 })
        }),
        from_fact(Factor::Timeline, &facts.timeline, |timeline| {
            (timeline.as_str().into(), timeline_points(*timeline))
        }),
        from_fact(Factor::Priority, &facts.priority, |priority| {
            (priority.as_str().into(), priority_points(*priority))
        }),
        from_fact(Factor::Cvss, &facts.cvss_tenths, |tenths| {
            let value = format!("{}.{}", tenths / 10, tenths % 10);
            (value, u32::from(*tenths).min(100) * 10)
        }),
        from_fact(Factor::Epss, &facts.epss_ten_thousandths, |parts| {
            let value = format!("{}.{:02} %", parts / 100, parts % 100);
            (value, u32::from(*parts).min(10_000) / 10)
        }),
    ];
    all.extend(asset(&finding.asset));
    all.push(reach(&finding.asset, &finding.reach));
    all.push(Contribution {
        factor: Factor::SecurityOrigin,
        value: if finding.security { "yes" } else { "no" }.into(),
        known: true,
        points: if finding.security { 300 } else { 0 },
        source: shown(&format!("host {}", finding.host), WORDS_CHARS_MAX),
    });
    all.push(from_fact(Factor::CveCount, &facts.cves, |count| {
        (count.to_string(), (*count).min(20) * 10)
    }));
    all.push(age(finding));
    all
}

fn from_fact<T>(
    factor: Factor,
    fact: &Fact<T>,
    read: impl Fn(&T) -> (String, u32),
) -> Contribution {
    let (value, known, points) = match &fact.value {
        Known::Fresh(value) => {
            let (value, points) = read(value);
            (value, true, points)
        }
        Known::Stale(value) => (format!("stale (was {})", read(value).0), false, 0),
        Known::Missing(why) => (shown(why, WORDS_CHARS_MAX), false, 0),
    };
    Contribution {
        factor,
        value,
        known,
        points,
        source: shown(&fact.source, WORDS_CHARS_MAX),
    }
}

const fn timeline_points(timeline: RemediationTimeline) -> u32 {
    match timeline {
        RemediationTimeline::OnSystemUpgrade => 0,
        RemediationTimeline::Days60 => 300,
        RemediationTimeline::Days14 => 1200,
        RemediationTimeline::Days3 => 2500,
        RemediationTimeline::Days3Forensics => 3000,
    }
}

const fn priority_points(priority: PatchPriority) -> u32 {
    match priority {
        PatchPriority::Defer => 0,
        PatchPriority::Scheduled => 300,
        PatchPriority::OutOfCycle => 1500,
        PatchPriority::Immediate => 2500,
    }
}

/// What the inventory says of the asset. Of one that it does not know, the strictest reading would
/// be an assumption: it is said to be missing.
fn asset(asset: &Asset) -> [Contribution; 3] {
    let from_inventory = |factor, value: String, points| {
        if asset.known {
            inventory(factor, value, true, points)
        } else {
            inventory(factor, UNKNOWN_ASSET.into(), false, 0)
        }
    };
    let (exposure, exposure_points) = match asset.exposure {
        Exposure::Small => ("small", 0),
        Exposure::Controlled => ("controlled", 150),
        Exposure::Open => ("open", 400),
    };
    let (criticality, criticality_points) = criticality_points(asset.criticality);
    let tier = asset.tier.number();
    [
        from_inventory(Factor::Exposure, exposure.into(), exposure_points),
        from_inventory(Factor::Criticality, criticality.into(), criticality_points),
        from_inventory(
            Factor::Tier,
            tier.to_string(),
            u32::from(4_u8.saturating_sub(tier)) * 100,
        ),
    ]
}

const UNKNOWN_ASSET: &str = "the inventory does not know the host";

fn inventory(factor: Factor, value: String, known: bool, points: u32) -> Contribution {
    Contribution {
        factor,
        value,
        known,
        points,
        source: "inventory".into(),
    }
}

const fn criticality_points(criticality: Criticality) -> (&'static str, u32) {
    match criticality {
        Criticality::Low => ("low", 0),
        Criticality::Medium => ("medium", 100),
        Criticality::High => ("high", 250),
        Criticality::Vital => ("vital", 400),
    }
}

fn reach(asset: &Asset, reach: &Reach) -> Contribution {
    if !asset.known {
        return inventory(Factor::Reach, UNKNOWN_ASSET.into(), false, 0);
    }
    let at_least = if reach.complete { "" } else { "at least " };
    let mut value = match reach.hosts {
        0 => "no other host".into(),
        1 => format!("{at_least}1 host"),
        hosts => format!("{at_least}{hosts} hosts"),
    };
    let mut points = reach.hosts.min(50) * 4;
    if let Some(highest) = reach.highest_criticality.filter(|_| reach.hosts > 0) {
        let (word, worth) = criticality_points(highest);
        value.push_str(&format!(", criticality up to {word}"));
        points += worth / 2;
    }
    inventory(Factor::Reach, value, true, points)
}

/// Years between the oldest CVE id and the observation: how long the hole may have been open.
fn age(finding: &Finding) -> Contribution {
    let source = shown(&format!("host {}", finding.host), WORDS_CHARS_MAX);
    let missing = |why: &str| Contribution {
        factor: Factor::Age,
        value: shown(why, WORDS_CHARS_MAX),
        known: false,
        points: 0,
        source: source.clone(),
    };
    let ids = match &finding.cves {
        CveCoverage::Unknown { why } => return missing(why),
        CveCoverage::Read { ids } => ids,
    };
    let years = ids
        .iter()
        .filter_map(|id| id.as_str().get(4..8)?.parse::<u32>().ok());
    let Some(oldest) = years.min() else {
        return missing("no CVE id is named");
    };
    let observed = finding.observed_at.to_string();
    let Some(observed) = observed.get(..4).and_then(|year| year.parse::<u32>().ok()) else {
        return missing("the time of observation cannot be read");
    };
    Contribution {
        value: format!("oldest CVE id is from {oldest}"),
        known: true,
        points: observed.saturating_sub(oldest).min(5) * 20,
        ..missing("")
    }
}
