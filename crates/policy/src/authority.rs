//! What a policy would let the AI do, in words: shown to people before they sign it. Says what the
//! rules say; it does not prove that nothing else is possible.

use crate::annotations::{Rule, RuleKind};
use crate::conditions;
use crate::evaluation::RuleSet;
use crate::policy::Policy;
use cedar_policy::PolicyId;
use countersign_domain::time::in_words;
use countersign_domain::{GroupId, GroupQuorum};

/// The authority that a policy gives, line by line.
#[must_use]
pub fn authority_in_words(policy: &Policy) -> Vec<String> {
    let settings = policy.settings();
    let book = policy.book();
    let mut lines = vec![format!(
        "Policy `{}`, version {}",
        settings.name,
        policy.digest().short()
    )];
    let mut section = |title: &str, kind: RuleKind, each: &dyn Fn(&Rule) -> String| {
        let rules: Vec<_> = policy.rules_of(kind).map(each).collect();
        lines.push(String::new());
        lines.push(title.to_owned());
        if rules.is_empty() {
            lines.push("  nothing".into());
        }
        lines.extend(rules);
    };
    section("Without asking, the AI may:", RuleKind::Standing, &|rule| {
        let review = rule
            .review_within_seconds
            .unwrap_or(settings.defaults.review_within);
        format!(
            "  {} {}. {} Only where: {}. A human looks at it within {}.",
            rule.id,
            rule.title,
            rule.why,
            conditions_of(&book.standing, rule),
            in_words(review.into())
        )
    });
    section(
        "A human first, never the AI alone, where:",
        RuleKind::Withhold,
        &|rule| {
            format!(
                "  {} {}. {} Where: {}.",
                rule.id,
                rule.title,
                rule.why,
                conditions_of(&book.withholding, rule)
            )
        },
    );
    section("With approval, the AI may:", RuleKind::Request, &|rule| {
        let within = rule
            .decide_within_seconds
            .unwrap_or(settings.defaults.decide_within);
        format!(
            "  {} {}. {} Where: {}. Approved by {} within {}.",
            rule.id,
            rule.title,
            rule.why,
            conditions_of(&book.requests, rule),
            quorums(&rule.approvers),
            in_words(within.into())
        )
    });
    section("Limits on all of this:", RuleKind::Limit, &|rule| {
        let effect = if rule.escalates {
            format!(
                "Handed to {}.",
                people(settings.escalation.people, &settings.escalation.group)
            )
        } else {
            "Denied.".to_owned()
        };
        format!(
            "  {} {}. {} Where: {}. {effect}",
            rule.id,
            rule.title,
            rule.why,
            conditions_of(&book.limits, rule)
        )
    });
    section("Among people:", RuleKind::SeatPermit, &|rule| {
        format!("  {} {}. {}", rule.id, rule.title, rule.why)
    });
    section("And never:", RuleKind::SeatForbid, &|rule| {
        format!("  {} {}. {}", rule.id, rule.title, rule.why)
    });
    lines.push(String::new());
    lines.push(format!(
        "Whatever no rule covers is handed to {}. A claim at odds with a fact always is. \
         What cannot be evaluated is denied.",
        people(settings.escalation.people, &settings.escalation.group)
    ));
    lines.push(format!(
        "It is in force once {} signed it, and has to be signed again every {} days; \
         until then nothing runs unasked.",
        people(settings.quorum.people, &settings.quorum.group),
        settings.review.cadence_days
    ));
    lines
}

fn conditions_of(set: &RuleSet, rule: &Rule) -> String {
    let conjuncts = set
        .whole()
        .policy(&PolicyId::new(rule.id.as_str()))
        .map(conditions::conjuncts);
    match conjuncts {
        Some(Ok(conjuncts)) if conjuncts.is_empty() => "always".into(),
        Some(Ok(conjuncts)) => {
            let words: Vec<_> = conjuncts
                .iter()
                .filter(|one| !conjuncts.iter().any(|other| one.only_guards(other)))
                .map(|one| one.words.as_str())
                .collect();
            words.join("; ")
        }
        // Never less than the truth: where the words fail, the reader is sent to the text.
        Some(Err(_)) | None => format!("see {}:{}", rule.file, rule.line),
    }
}

fn quorums(approvers: &[GroupQuorum]) -> String {
    let words: Vec<_> = approvers
        .iter()
        .map(|one| people(one.quorum, &one.group))
        .collect();
    words.join(" and ")
}

fn people(count: u32, group: &GroupId) -> String {
    let noun = if count == 1 { "person" } else { "people" };
    format!("{count} {noun} of `{group}`")
}
