//! The sentences of a page: one function for each thing that is told. Text that came from outside
//! goes through `shown`.

use super::aftermath::{ExecutedOn, HaltLine, Review};
use super::model::{Decided, Person, PlanStep, Planned, SignedBy};
use countersign_domain::package::TransitionKind;
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::Ending;
use countersign_domain::statement::{HaltScope, Verdict};
use countersign_domain::text::shown;
use countersign_domain::time::in_words;
use countersign_domain::{Digest, Timestamp, Transition};
use countersign_verify::SKEW_SECONDS_MAX;
use std::collections::BTreeMap;

/// Text of others at most, in characters.
pub(super) const SHOWN_MAX: usize = 200;

pub(super) fn person(person: &Person) -> String {
    match &person.name {
        Some(name) => format!("{name} ({})", person.handle),
        None => format!("{} (name not kept)", person.handle),
    }
}

pub(super) fn signers(signed: &[SignedBy]) -> String {
    if signed.is_empty() {
        return "NOBODY whose signature verifies".into();
    }
    let one = |signed: &SignedBy| format!("{} at {}", person(&signed.person), time(signed.at));
    signed.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// To the second; the milliseconds are in `--json`.
pub(super) fn time(at: Timestamp) -> Timestamp {
    Timestamp::from_unix_seconds(at.unix_seconds())
}

/// A digest as far as people compare it.
pub(super) fn short(digest: &Digest) -> String {
    format!("sha256:{}", digest.short())
}

pub(super) fn step(step: &PlanStep) -> String {
    let mut text = transition(&step.transition);
    if let Some(digest) = &step.transition.sha256 {
        text.push_str(&format!("  {}", short(digest)));
    }
    if step.security {
        text.push_str("  security archive");
    }
    if !step.requested {
        text.push_str("  (pulled in)");
    }
    text
}

fn transition(transition: &Transition) -> String {
    let version = |version: &Option<countersign_domain::Version>| {
        version
            .as_ref()
            .map_or_else(|| "none".to_owned(), ToString::to_string)
    };
    let what = match transition.kind() {
        Some(TransitionKind::Upgrade) => "upgrade",
        Some(TransitionKind::Install) => "install",
        Some(TransitionKind::Remove) => "REMOVE",
        None => "nothing for",
    };
    format!(
        "{what} {} {}: {} -> {}",
        transition.name,
        transition.architecture,
        version(&transition.old),
        version(&transition.new)
    )
}

pub(super) fn plan(plan: &Planned, wave: u32) -> String {
    format!(
        "{} (wave {}): plan {}, signed by the host, prepared {}, entry {}; checks: {}",
        plan.host,
        wave + 1,
        short(&plan.plan),
        time(plan.prepared_at),
        plan.entry,
        if plan.checks.is_empty() {
            "none".to_owned()
        } else {
            plan.checks.join(", ")
        }
    )
}

pub(super) fn decision(decided: &Decided) -> String {
    let list = |rules: &[countersign_domain::RuleId]| {
        rules
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut text = format!(
        "{} at {} (entry {}) by rule {}",
        decided.outcome.as_str().to_uppercase(),
        time(decided.at),
        decided.entry,
        if decided.rules.is_empty() {
            "none".to_owned()
        } else {
            list(&decided.rules)
        }
    );
    if !decided.withheld_by.is_empty() {
        text.push_str(&format!(
            "; standing authority withheld by {}",
            list(&decided.withheld_by)
        ));
    }
    if !decided.asked.is_empty() {
        let asked = decided.asked.iter();
        let asked: Vec<_> = asked
            .map(|(group, quorum)| format!("{quorum} of {group}"))
            .collect();
        text.push_str(&format!("; asks {}", asked.join(" and ")));
    }
    text
}

pub(super) fn policy(decided: &Decided) -> String {
    match &decided.policy {
        Some(policy) => format!(
            "policy version {} {} (entry {}), signed by {}",
            policy.version,
            short(&policy.policy),
            policy.entry,
            signers(&policy.signed_by)
        ),
        None => "! NO signed policy version stands behind this".into(),
    }
}

/// When it started, relative to the permission: the line that a self-issued receipt cannot give.
pub(super) fn start(execution: &ExecutedOn) -> String {
    let Some(started) = execution.started else {
        return "not started".into();
    };
    let (at, entry) = (started.at, started.entry);
    let relative = match started.after_authorization_ms {
        None => "! ALARM: it was never authorized".into(),
        Some(ms) if ms >= 0 => format!("authorized {} before it started", span(ms)),
        Some(ms) if -ms <= SKEW_SECONDS_MAX * 1000 => format!(
            "! ALARM: by the clocks it started {} BEFORE it was authorized; clocks may differ by {} s",
            span(-ms),
            SKEW_SECONDS_MAX
        ),
        Some(ms) => format!("! ALARM: it started {} BEFORE it was authorized", span(-ms)),
    };
    format!("started {} (entry {entry}): {relative}", time(at))
}

fn span(ms: i64) -> String {
    if ms < 60_000 {
        format!("{}.{} s", ms / 1000, ms % 1000 / 100)
    } else {
        in_words(ms / 1000)
    }
}

pub(super) fn outcome(execution: &ExecutedOn, plan: Option<&Planned>) -> Vec<String> {
    let mut rows = Vec::new();
    if let Some(ended) = &execution.ended {
        let took = execution.started.map_or_else(String::new, |started| {
            let ms = ended.at.unix_millis() - started.at.unix_millis();
            format!(", {} after the start", span(ms.max(0)))
        });
        let planned = plan.map_or(0, |plan| plan.steps.len());
        rows.push(format!(
            "{}{took}; {} of {planned} transitions found in place by inspection; entry {}",
            ending(ended.ending),
            in_place(plan, &ended.in_place),
            ended.entry
        ));
        let health: Vec<_> = ended
            .health
            .iter()
            .map(|(check, passed)| format!("{check} {}", if *passed { "passed" } else { "FAILED" }))
            .collect();
        if !health.is_empty() {
            rows.push(format!("health: {}", health.join(", ")));
        }
        let notes = ended.notes.iter().take(2);
        rows.extend(notes.map(|note| format!("host says: {}", shown(note, SHOWN_MAX))));
    }
    if let Some((closing, why)) = &execution.closed {
        let word = format!("{closing:?}").to_lowercase();
        rows.push(format!(
            "closed by the gate as {word}: {}",
            shown(why, SHOWN_MAX)
        ));
    }
    if let Some((how, why)) = &execution.reconciled {
        rows.push(format!(
            "reconciled as {}: {}",
            ending(*how),
            shown(why, SHOWN_MAX)
        ));
    }
    if let Some(stated) = &execution.stated {
        rows.push(format!(
            "{} by the word of {}, signed {}",
            ending(stated.ending),
            person(&stated.by.person),
            stated.by.at
        ));
        let note = stated.note.iter();
        rows.extend(note.map(|note| format!("they write: {}", shown(note, SHOWN_MAX))));
    }
    if let Some(why) = &execution.unprepared {
        rows.push(format!("could not prepare: {}", shown(why, SHOWN_MAX)));
    }
    if rows.is_empty() {
        rows.push(format!("none yet; the execution is {}", execution.state));
    }
    rows
}

const fn ending(ending: Ending) -> &'static str {
    match ending {
        Ending::Succeeded => "SUCCEEDED",
        Ending::Failed => "FAILED, not wholly undone",
        Ending::RolledBack => "ROLLED BACK: every transition was reversed",
        Ending::Unknown => "UNKNOWN: the host cannot say",
        Ending::NeverStarted => "NEVER STARTED, and never will",
    }
}

/// How many of the planned transitions were found in place.
fn in_place(plan: Option<&Planned>, found: &[Transition]) -> usize {
    let steps = plan.map_or(&[][..], |plan| &plan.steps);
    let there = |step: &&PlanStep| {
        found.iter().any(|found| {
            found.name == step.transition.name
                && found.architecture == step.transition.architecture
                && found.new == step.transition.new
        })
    };
    steps.iter().filter(there).count()
}

pub(super) fn rollback(plan: &Planned) -> String {
    let mut sources: BTreeMap<(RollbackSource, bool), Vec<String>> = BTreeMap::new();
    for step in &plan.steps {
        let digest = step
            .rollback_sha256
            .as_ref()
            .map_or_else(String::new, |digest| format!(" {}", short(digest)));
        let back = step.transition.old.as_ref();
        let back = back.map_or_else(|| "absence".to_owned(), ToString::to_string);
        sources
            .entry((step.rollback, step.rollback_stored))
            .or_default()
            .push(format!("{} to {back}{digest}", step.transition.name));
    }
    let rows = sources.into_iter().map(|((source, stored), steps)| {
        let from = match source {
            RollbackSource::NotNeeded => "by removal, no artifact needed",
            RollbackSource::Cached => "from the very file that was installed",
            RollbackSource::Mirror => "from the archive",
            RollbackSource::Repacked => "from a repacked artifact",
            RollbackSource::Unavailable => "! UNAVAILABLE",
        };
        let kept = match (source, stored) {
            (RollbackSource::NotNeeded | RollbackSource::Unavailable, _) => "",
            (_, true) => ", stored on the host beforehand",
            (_, false) => ", not yet stored",
        };
        format!("{} ({from}{kept})", some(&steps, 3))
    });
    rows.collect::<Vec<_>>().join("; ")
}

/// The first few, and how many more there are.
pub(super) fn some(items: &[String], most: usize) -> String {
    let mut text = items
        .iter()
        .take(most)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if items.len() > most {
        text.push_str(&format!(" and {} more", items.len() - most));
    }
    text
}

pub(super) fn review(review: &Review, now: Timestamp) -> String {
    let due = review.due_at;
    match &review.done {
        Some(done) => format!(
            "{} by {} at {} (entry {}); it was due by {}{}",
            match done.verdict {
                Verdict::Accept => "accepted",
                Verdict::Concern => "CONCERN recorded",
            },
            person(&done.by.person),
            time(done.by.at),
            done.entry,
            time(due),
            done.note
                .as_ref()
                .map_or_else(String::new, |note| format!(": {}", shown(note, SHOWN_MAX)))
        ),
        None if now > due => format!(
            "! OVERDUE by {}: due by {} (rung {})",
            in_words(now.seconds_since(due)),
            time(due),
            review.overdue_rung
        ),
        None => format!(
            "due by {} (in {})",
            time(due),
            in_words(due.seconds_since(now))
        ),
    }
}

pub(super) fn halt(line: &HaltLine) -> String {
    let what = match &line.halt {
        HaltScope::Everything => "everything".to_owned(),
        HaltScope::Agent(agent) => format!("agent {agent}"),
        HaltScope::Rule(rule) => format!("rule {rule}"),
        HaltScope::Environment(environment) => environment.as_str().to_owned(),
    };
    let by: Vec<_> = line.by.iter().map(person).collect();
    format!(
        "{} {what} at {} by {} (entry {})",
        if line.resumed { "resumed" } else { "HALTED" },
        time(line.at),
        if by.is_empty() {
            "NOBODY whose signature verifies".to_owned()
        } else {
            by.join(", ")
        },
        line.entry
    )
}
