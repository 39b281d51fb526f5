//! What a rule says about itself in annotations: a typed, closed lint, because Cedar checks no
//! annotation and a typo in a duty would silently drop it.

use crate::settings::{QUORUM_MAX, Settings};
use countersign_domain::{GroupId, GroupQuorum, PersonId, RuleId};
use serde::Serialize;
use std::collections::BTreeMap;

/// What a rule does, from its effect and its actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RuleKind {
    /// A permit of `execute`: standing authority.
    Standing,
    /// A permit of `request`: what may be asked for.
    Request,
    /// A forbid that covers `request`: denies, or escalates when annotated so.
    Limit,
    /// A forbid of `execute` only: takes standing authority away.
    Withhold,
    /// A permit for people.
    SeatPermit,
    /// A forbid for people.
    SeatForbid,
}

/// A rule's own account of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its `@id`.
    pub id: RuleId,
    /// What it does.
    pub kind: RuleKind,
    /// A few words (`@title`).
    pub title: String,
    /// A sentence for people (`@why`).
    pub why: String,
    /// The name under which people answer for it (`@owner`).
    pub owner: String,
    /// These people.
    pub owners: Vec<PersonId>,
    /// True when it escalates instead of denying (`@outcome("escalate")`).
    pub escalates: bool,
    /// Whose quorum approves (`@approvers`); sorted, each group once.
    pub approvers: Vec<GroupQuorum>,
    /// Within which it has to be decided, in seconds (`@decide_within`).
    pub decide_within_seconds: Option<u32>,
    /// Within which a human looks at it afterwards, in seconds (`@review_within`).
    pub review_within_seconds: Option<u32>,
    /// The file it stands in.
    pub file: String,
    /// The line it starts at, from 1.
    pub line: usize,
}

/// A problem with one annotation.
#[derive(Debug)]
pub(crate) struct Problem {
    /// The annotation's key; none when one is missing.
    pub(crate) key: Option<String>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

const KEYS: [&str; 8] = [
    "id",
    "owner",
    "title",
    "why",
    "outcome",
    "approvers",
    "decide_within",
    "review_within",
];
/// The longest text in an annotation, in bytes.
const TEXT_BYTES_MAX: usize = 400;

/// Reads the annotations of a rule of this kind.
pub(crate) fn read(
    annotations: &BTreeMap<&str, &str>,
    kind: RuleKind,
    settings: &Settings,
    place: (&str, usize),
) -> Result<Rule, Vec<Problem>> {
    let mut problems = Vec::new();
    for key in annotations.keys().filter(|key| !KEYS.contains(key)) {
        problems.push(Problem {
            key: Some((*key).to_owned()),
            message: format!("annotation `@{key}` is not known"),
            hint: Some(nearest(key, &KEYS).map_or_else(
                || {
                    format!(
                        "known are {}",
                        KEYS.map(|key| format!("`@{key}`")).join(", ")
                    )
                },
                |near| format!("did you mean `@{near}`?"),
            )),
        });
    }
    let wrong = |problems: &mut Vec<Problem>, key: &str, message: String, hint: &str| {
        problems.push(Problem {
            key: annotations.contains_key(key).then(|| key.to_owned()),
            message,
            hint: Some(hint.to_owned()),
        });
    };
    let mut text = |key: &str, hint: &str| -> String {
        let text = annotations.get(key).copied().unwrap_or_default();
        // People sign what these texts say: nothing invisible or reordered may stand in them.
        let plain = countersign_domain::text::shown(text, TEXT_BYTES_MAX) == text;
        if text.trim().is_empty() || text.len() > TEXT_BYTES_MAX || !plain {
            wrong(
                &mut problems,
                key,
                format!(
                    "every rule needs `@{key}`, one line of 1 to {TEXT_BYTES_MAX} bytes without invisible characters"
                ),
                hint,
            );
        }
        text.to_owned()
    };
    let id_text = text("id", "such as `@id(\"SA-100\")`");
    let title = text("title", "a few words");
    let why = text("why", "the sentence that people read as the reason");
    let owner = text("owner", "a name from [owners] in policy.toml");

    let id = RuleId::new(id_text.as_str())
        .map_err(|error| {
            if !id_text.is_empty() {
                wrong(&mut problems, "id", error.to_string(), "such as `SA-100`");
            }
        })
        .ok();
    let owners = settings.owners.get(&owner).cloned().unwrap_or_default();
    if owners.is_empty() && !owner.is_empty() {
        let known: Vec<_> = settings.owners.keys().map(String::as_str).collect();
        wrong(
            &mut problems,
            "owner",
            format!("owner `{owner}` is not in [owners] of policy.toml"),
            &format!("known are {}", known.join(", ")),
        );
    }
    let escalates = match (annotations.get("outcome"), kind) {
        (None, _) => false,
        (Some(&"escalate"), RuleKind::Limit) => true,
        (Some(&"escalate"), _) => {
            wrong(
                &mut problems,
                "outcome",
                "`@outcome(\"escalate\")` stands only on a forbid that covers `request`".into(),
                "remove it, or forbid `action in Action::\"remediate\"`",
            );
            false
        }
        (Some(other), _) => {
            wrong(
                &mut problems,
                "outcome",
                format!("outcome `{other}` is not known"),
                "the only one is `escalate`; without it a forbid denies",
            );
            false
        }
    };
    let approvers = match (annotations.get("approvers"), kind) {
        (Some(text), RuleKind::Request) => match parse_approvers(text) {
            Ok(approvers) => {
                for one in &approvers {
                    if !settings.has_group(one.group.as_str()) {
                        wrong(
                            &mut problems,
                            "approvers",
                            format!("group `{}` is not in [groups] of policy.toml", one.group),
                            "declare it there, or correct the name",
                        );
                    }
                }
                approvers
            }
            Err(message) => {
                wrong(
                    &mut problems,
                    "approvers",
                    message,
                    "such as `change-approvers=1, database-owners=1`",
                );
                Vec::new()
            }
        },
        (None, RuleKind::Request) => {
            wrong(
                &mut problems,
                "approvers",
                "a permit of `request` needs `@approvers`: whom it asks".into(),
                "such as `@approvers(\"change-approvers=1\")`",
            );
            Vec::new()
        }
        (Some(_), _) => {
            wrong(
                &mut problems,
                "approvers",
                "`@approvers` stands only on a permit of `request`".into(),
                "remove it",
            );
            Vec::new()
        }
        (None, _) => Vec::new(),
    };
    let mut duration = |key: &str, on: &[RuleKind], where_: &str| {
        let text = annotations.get(key)?;
        if !on.contains(&kind) {
            let message = format!("`@{key}` stands only on {where_}");
            wrong(&mut problems, key, message, "remove it");
            return None;
        }
        parse_duration(text)
            .map_err(|message| wrong(&mut problems, key, message, "such as `24h`"))
            .ok()
    };
    let decide_within_seconds = duration(
        "decide_within",
        &[RuleKind::Request, RuleKind::Limit],
        "a permit of `request`, or a forbid that escalates",
    );
    let review_within_seconds = duration(
        "review_within",
        &[RuleKind::Standing],
        "a permit of `execute`",
    );
    match (id, problems.is_empty()) {
        (Some(id), true) => Ok(Rule {
            id,
            kind,
            title,
            why,
            owner,
            owners,
            escalates,
            approvers,
            decide_within_seconds,
            review_within_seconds,
            file: place.0.to_owned(),
            line: place.1,
        }),
        _ => Err(problems),
    }
}

/// Reads `90s`, `30m`, `24h` or `7d` as seconds; one minute to 92 days.
pub(crate) fn parse_duration(text: &str) -> Result<u32, String> {
    let wrong = || {
        format!(
            "`{}` is not a duration from 1m to 92d, such as `90s`, `30m`, `24h` or `7d`",
            countersign_domain::text::shown(text, 40)
        )
    };
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let digits = text.get(..text.len() - 1).unwrap_or_default();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    digits
        .parse::<u32>()
        .ok()
        .and_then(|count| count.checked_mul(unit))
        .filter(|seconds| (60..=92 * 86_400).contains(seconds))
        .ok_or_else(wrong)
}

/// Reads `group=n, group=m`; each group once, n from 1.
pub(crate) fn parse_approvers(text: &str) -> Result<Vec<GroupQuorum>, String> {
    let mut approvers: BTreeMap<GroupId, u32> = BTreeMap::new();
    for part in text.split(',') {
        let part = part.trim();
        let wrong = || {
            format!(
                "`{}` is not `group=n` with n from 1 to {QUORUM_MAX}",
                countersign_domain::text::shown(part, 40)
            )
        };
        let (group, quorum) = part.split_once('=').ok_or_else(wrong)?;
        let group = GroupId::new(group.trim()).map_err(|_| wrong())?;
        let quorum = quorum.trim().parse::<u32>().map_err(|_| wrong())?;
        if !(1..=QUORUM_MAX).contains(&quorum) {
            return Err(wrong());
        }
        if approvers.insert(group.clone(), quorum).is_some() {
            return Err(format!("group `{group}` is named twice; name each once"));
        }
    }
    Ok(approvers
        .into_iter()
        .map(|(group, quorum)| GroupQuorum { group, quorum })
        .collect())
}

/// The known word within two edits of `word`, if there is one.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (edits(word, candidate), *candidate))
        .min()
        .filter(|(edits, _)| *edits <= 2)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, left) in a.chars().take(100).enumerate() {
        let mut diagonal = i;
        let mut last = i + 1;
        for (cell, right) in row.iter_mut().skip(1).zip(b.chars()) {
            let cost = (diagonal + usize::from(left != right))
                .min(last + 1)
                .min(*cell + 1);
            diagonal = std::mem::replace(cell, cost);
            last = cost;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_bounded_and_strict() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("24h", 86_400),
            ("92d", 7_948_800),
        ] {
            assert_eq!(parse_duration(text), Ok(seconds));
        }
        for text in [
            "",
            "h",
            "24",
            "24 h",
            "-1h",
            "+1h",
            "1w",
            "93d",
            "59s",
            "99999999999d",
            "1é",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn approvers_are_groups_with_a_quorum() {
        let read = parse_approvers("b=2, a=1").unwrap();
        let text: Vec<_> = read
            .iter()
            .map(|q| format!("{}={}", q.group, q.quorum))
            .collect();
        assert_eq!(text, ["a=1", "b=2"]);
        for text in [
            "", "a", "a=", "a=0", "a=21", "a=1,", "a=1,a=2", "=1", "a=-1", "a=1=2",
        ] {
            assert!(parse_approvers(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_typo_finds_its_word() {
        assert_eq!(nearest("aprovers", &KEYS), Some("approvers"));
        assert_eq!(nearest("wy", &KEYS), Some("why"));
        assert_eq!(nearest("something", &KEYS), None);
    }
}
