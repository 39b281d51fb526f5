//! `policy.toml`: everything about a policy that is not a rule. Values only; who applies them is
//! said at each field.

use crate::annotations::{parse_approvers, parse_duration};
use crate::finding::Finding;
use countersign_domain::{GroupId, GroupQuorum, PersonId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Where it lies in the policy folder.
pub(crate) const SETTINGS_PATH: &str = "policy.toml";
/// The longest life of a warrant, in seconds (DESIGN: at most 15 minutes).
pub const WARRANT_SECONDS_MAX: u32 = 900;
/// The most people a quorum may demand.
pub const QUORUM_MAX: u32 = 20;
/// Patterns or names in one list at most.
const LIST_MAX: usize = 500;

/// The content of `policy.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The form of this file: 1.
    pub form: u8,
    /// What the policy is called.
    pub name: String,
    /// The names that `@owner` may use, and the people who answer under each.
    pub owners: BTreeMap<String, Vec<PersonId>>,
    /// The groups that rules may name, and what each is for, in words.
    pub groups: BTreeMap<GroupId, String>,
    /// Who signs a new policy version.
    pub quorum: PolicyQuorum,
    /// Who takes up what was escalated.
    pub escalation: Escalation,
    /// How often people look at the policy again.
    pub review: ReviewCadence,
    /// Where a rule says nothing else.
    pub defaults: Defaults,
    /// Lifetimes, applied by the gate.
    pub limits: Limits,
    /// Age limits of feeds, applied where facts are looked up.
    pub freshness: Freshness,
    /// Which packages are sensitive, applied where the gate derives the category.
    #[serde(default)]
    pub sensitive: Sensitive,
}

/// Who signs a new policy version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyQuorum {
    /// The group.
    pub group: GroupId,
    /// Distinct people in it.
    pub people: u32,
}

/// Who may take up what was escalated.
pub type Escalation = PolicyQuorum;

/// The periodic review of the policy itself (invariant 7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewCadence {
    /// Days from a signature to the next review.
    #[serde(default = "quarterly")]
    pub cadence_days: u32,
}

const fn quarterly() -> u32 {
    92
}

/// Duties where a rule says nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// Who decides while the policy's review has lapsed, as in `@approvers`.
    #[serde(with = "approvers_text")]
    pub approvers: Vec<GroupQuorum>,
    /// Within which a question has to be decided; in seconds, written as `72h`.
    #[serde(with = "duration_text")]
    pub decide_within: u32,
    /// Within which a human looks at what ran by itself; in seconds, written as `24h`.
    #[serde(with = "duration_text")]
    pub review_within: u32,
}

/// Lifetimes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Life of a warrant, in seconds, at most [`WARRANT_SECONDS_MAX`].
    pub warrant_lifetime_seconds: u32,
    /// How long an authorization may wait to be redeemed, in seconds.
    pub authorization_lifetime_seconds: u32,
    /// How old an observation may be before a proposal on it is refused, in seconds.
    pub observation_max_age_seconds: u32,
    /// How long an enrolled host may be silent before that is an alarm, in seconds; two hours at
    /// least. It has to be longer than the `observe_seconds` of the hosts (an hour, if their
    /// configuration says nothing): a host that has nothing to report yet is not silent.
    #[serde(default = "host_silence")]
    pub host_silence_seconds: u32,
}

/// How long an enrolled host may be silent where no policy says otherwise, in seconds: a day.
pub const HOST_SILENCE_SECONDS: u32 = 86_400;

/// Less would call a host silent that reports each hour, in seconds: two hours.
const HOST_SILENCE_SECONDS_MIN: u32 = 7_200;

const fn host_silence() -> u32 {
    HOST_SILENCE_SECONDS
}

/// Age limits of feeds, in hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// CISA's catalogue of known exploited vulnerabilities.
    pub kev_hours: u32,
    /// EPSS scores.
    pub epss_hours: u32,
    /// CVE records with CISA's SSVC container.
    pub cve_hours: u32,
}

/// Package names by category; `*` may stand at the end of a name. Matched by `facts`, where the
/// most sensitive of those that fit stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sensitive {
    /// The kernel, firmware, boot loader.
    pub kernel: Vec<String>,
    /// Database engines.
    pub database_engine: Vec<String>,
    /// The base system.
    pub core_system: Vec<String>,
}

impl Settings {
    /// Reads and checks the file.
    pub(crate) fn read(text: &Arc<str>) -> Result<Self, Vec<Finding>> {
        let settings: Self = toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            vec![Finding::at(SETTINGS_PATH, text, span, error.message())]
        })?;
        let findings: Vec<_> = settings
            .problems()
            .into_iter()
            .map(|(key, problem)| {
                let start = text.find(key).unwrap_or(0);
                Finding::at(
                    SETTINGS_PATH,
                    text,
                    start..start + key.len().min(text.len() - start),
                    format!("`{key}`: {problem}"),
                )
            })
            .collect();
        if findings.is_empty() {
            Ok(settings)
        } else {
            Err(findings)
        }
    }

    /// True when rules may name this group.
    pub(crate) fn has_group(&self, group: &str) -> bool {
        self.groups.keys().any(|known| known.as_str() == group)
    }

    fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if self.form != 1 {
            problems.push(("form", format!("form {} is not known; use 1", self.form)));
        }
        if self.name.is_empty() || self.name.len() > 80 {
            problems.push(("name", "expected 1 to 80 bytes".into()));
        }
        if self.owners.is_empty() || self.owners.values().any(Vec::is_empty) {
            problems.push((
                "owners",
                "every owner needs at least one person who answers for its rules".into(),
            ));
        }
        for (key, quorum) in [("quorum", &self.quorum), ("escalation", &self.escalation)] {
            if !self.groups.contains_key(&quorum.group) {
                problems.push((
                    key,
                    format!("group `{}` is not declared in [groups]", quorum.group),
                ));
            }
            if !(1..=QUORUM_MAX).contains(&quorum.people) {
                problems.push((key, format!("`people` has to be 1 to {QUORUM_MAX}")));
            }
        }
        for needed in &self.defaults.approvers {
            if !self.groups.contains_key(&needed.group) {
                problems.push((
                    "approvers",
                    format!("group `{}` is not declared in [groups]", needed.group),
                ));
            }
        }
        let ranges = [
            ("cadence_days", self.review.cadence_days, 1, 366),
            (
                "warrant_lifetime_seconds",
                self.limits.warrant_lifetime_seconds,
                10,
                WARRANT_SECONDS_MAX,
            ),
            (
                "authorization_lifetime_seconds",
                self.limits.authorization_lifetime_seconds,
                60,
                92 * 86_400,
            ),
            (
                "observation_max_age_seconds",
                self.limits.observation_max_age_seconds,
                60,
                31 * 86_400,
            ),
            (
                "host_silence_seconds",
                self.limits.host_silence_seconds,
                HOST_SILENCE_SECONDS_MIN,
                92 * 86_400,
            ),
            ("kev_hours", self.freshness.kev_hours, 1, 8784),
            ("epss_hours", self.freshness.epss_hours, 1, 8784),
            ("cve_hours", self.freshness.cve_hours, 1, 8784),
        ];
        for (key, value, least, most) in ranges {
            if !(least..=most).contains(&value) {
                problems.push((
                    key,
                    format!("{value} is out of range; use {least} to {most}"),
                ));
            }
        }
        for (key, patterns) in [
            ("kernel", &self.sensitive.kernel),
            ("database-engine", &self.sensitive.database_engine),
            ("core-system", &self.sensitive.core_system),
        ] {
            if patterns.len() > LIST_MAX {
                problems.push((key, format!("more than {LIST_MAX} patterns")));
            }
            for pattern in patterns {
                let name = pattern.strip_suffix('*').unwrap_or(pattern);
                if name.is_empty() || name.contains('*') || pattern.len() > 100 {
                    problems.push((
                        key,
                        format!("`{pattern}`: a name of 1 to 100 bytes, with `*` at its end only"),
                    ));
                }
            }
        }
        problems
    }
}

mod duration_text {
    //! A duration such as `24h` as text.
    use super::parse_duration;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(seconds: &u32, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{seconds}s"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
        parse_duration(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}

mod approvers_text {
    //! Groups and quorums such as `change-approvers=1` as text.
    use super::{GroupQuorum, parse_approvers};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        approvers: &[GroupQuorum],
        to: S,
    ) -> Result<S::Ok, S::Error> {
        let text: Vec<_> = approvers
            .iter()
            .map(|one| format!("{}={}", one.group, one.quorum))
            .collect();
        to.serialize_str(&text.join(", "))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<GroupQuorum>, D::Error> {
        parse_approvers(&String::deserialize(from)?).map_err(D::Error::custom)
    }
}
