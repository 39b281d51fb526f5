//! The page that `why CHANGE` prints: plain text, findings first, the agent's own words last. What
//! does not fit on a screen is counted, and stands in `--json`.

use super::aftermath::ExecutedOn;
use super::model::{Decided, Planned, Rationale, Why};
use super::page::Page;
use super::{grounds, lines};
use countersign_domain::receipt::Ending;
use countersign_domain::statement::Vote;
use countersign_domain::text::shown;
use countersign_domain::warrant::Ground;

/// Of each list, what is shown at most.
const FINDINGS_SHOWN: usize = 10;
const HOSTS_SHOWN: usize = 3;
const STEPS_SHOWN: usize = 4;
const REASONS_SHOWN: usize = 3;
const LINES_SHOWN: usize = 4;
/// The agent's rationale at most, in characters.
const RATIONALE_SHOWN: usize = 400;

/// Writes the page for a terminal of `width` columns.
#[must_use]
pub fn render(why: &Why, width: usize) -> String {
    let mut page = Page::new(width);
    head(&mut page, why);
    asked(&mut page, why);
    what(&mut page, why);
    decisions(&mut page, why);
    people(&mut page, why);
    authority(&mut page, why);
    for execution in why.executions.iter().take(HOSTS_SHOWN) {
        ran(&mut page, why, execution);
    }
    more(&mut page, why.executions.len(), HOSTS_SHOWN, "hosts");
    afterwards(&mut page, why);
    proofs(&mut page, why);
    claim(&mut page, why);
    page.finish()
}

fn head(page: &mut Page, why: &Why) {
    let trial = if why.trial {
        " | TRIAL: one person may have done it all, this evidence is partial"
    } else {
        ""
    };
    page.line(&format!("CHANGE {} is {}{trial}", why.change, why.state));
    if why.findings.is_empty() {
        page.line(
            "Nothing was found wrong: each signature shown was verified, each entry is proven to be in the log.",
        );
        return;
    }
    page.line(&format!(
        "!!! {} FINDINGS: something about this change does NOT hold. Do not rely on it.",
        why.findings.count()
    ));
    for finding in why.findings.list.iter().take(FINDINGS_SHOWN) {
        page.row("!!! FINDING", &finding.to_string());
    }
    let listed = why.findings.list.len();
    let all = listed + usize::try_from(why.findings.more).unwrap_or(usize::MAX - listed);
    more(page, all, FINDINGS_SHOWN, "findings");
}

fn asked(page: &mut Page, why: &Why) {
    let Some(asked) = &why.asked else {
        page.row(
            "WHO",
            "! no proposal that verifies stands behind this change",
        );
        return;
    };
    page.row(
        "WHO",
        &format!(
            "agent {} asked; {} answers for it. Signed {}, logged {} (entry {}, recommendation {})",
            asked.agent,
            lines::person(&asked.owner),
            lines::time(asked.proposed_at),
            lines::time(asked.logged_at),
            asked.entry,
            asked.recommendation
        ),
    );
}

fn what(page: &mut Page, why: &Why) {
    let mut label = "WHAT";
    for plan in why.plans.iter().take(HOSTS_SHOWN) {
        let wave = why
            .executions
            .iter()
            .find(|execution| execution.host == plan.host)
            .map_or(0, |execution| execution.wave);
        page.row(label, &lines::plan(plan, wave));
        label = "";
        for step in plan.steps.iter().take(STEPS_SHOWN) {
            page.row("", &format!("- {}", lines::step(step)));
        }
        more(page, plan.steps.len(), STEPS_SHOWN, "transitions");
    }
    more(page, why.plans.len(), HOSTS_SHOWN, "hosts");
}

fn decisions(page: &mut Page, why: &Why) {
    // The facts of the last decision; earlier ones by their outcome.
    let Some((last, earlier)) = why.decisions.split_last() else {
        page.row("DECIDED", "nothing yet");
        return;
    };
    basis(page, last);
    let mut rows: Vec<String> = earlier
        .iter()
        .rev()
        .take(LINES_SHOWN)
        .rev()
        .map(|decided| format!("first {}", lines::decision(decided)))
        .collect();
    let again = if earlier.is_empty() { "" } else { "then " };
    rows.push(format!("{again}{}", lines::decision(last)));
    rows.push(lines::policy(last));
    let reasons = last.reasons.iter().take(REASONS_SHOWN);
    rows.extend(reasons.map(|reason| format!("because {}", shown(&reason.text, 160))));
    page.rows("DECIDED", &rows);
    more(page, last.reasons.len(), REASONS_SHOWN, "reasons");
}

fn basis(page: &mut Page, decided: &Decided) {
    let digest = decided.facts.short();
    let Some(basis) = &decided.basis else {
        let words = format!("facts sha256:{digest}, whose text is no longer kept");
        page.row("BASIS", &words);
        return;
    };
    let mut rows = grounds::contradictions(basis);
    rows.push(grounds::circumstances(basis));
    rows.extend(grounds::facts(basis));
    let gathered = lines::time(basis.at);
    rows.push(format!("facts sha256:{digest}, gathered {gathered}"));
    page.rows("BASIS", &rows);
}

fn people(page: &mut Page, why: &Why) {
    let rows: Vec<String> = why
        .votes
        .iter()
        .map(|cast| {
            let groups: Vec<_> = cast.counts_for.iter().map(ToString::to_string).collect();
            let reasons = cast
                .rationale
                .as_ref()
                .map_or_else(String::new, |text| format!(": {}", shown(text, 160)));
            format!(
                "{} {} at {} for {} (entry {}){}{reasons}",
                lines::person(&cast.by.person),
                match cast.vote {
                    Vote::Approve => "approved",
                    Vote::Refuse => "REFUSED",
                },
                lines::time(cast.by.at),
                if groups.is_empty() {
                    "no group".to_owned()
                } else {
                    groups.join(", ")
                },
                cast.entry,
                if cast.void {
                    ", void since it was decided again"
                } else {
                    ""
                }
            )
        })
        .collect();
    let shown: Vec<_> = rows.iter().take(LINES_SHOWN).cloned().collect();
    page.rows("VOTES", &shown);
    more(page, rows.len(), LINES_SHOWN, "votes");
}

fn authority(page: &mut Page, why: &Why) {
    let Some(authorized) = why.authorized.last() else {
        let words = match &why.closed {
            Some(_) => "never",
            None => "not yet",
        };
        page.row("AUTHORIZED", words);
        return;
    };
    let ground = match authorized.ground {
        Ground::Standing => "under standing authority of the policy signed by",
        Ground::Approved => "by the approval of",
    };
    page.row(
        "AUTHORIZED",
        &format!(
            "at {} (entry {}), {ground} {}",
            lines::time(authorized.at),
            authorized.entry,
            lines::signers(&authorized.signed_by)
        ),
    );
}

fn ran(page: &mut Page, why: &Why, execution: &ExecutedOn) {
    if let Some(warrant) = &execution.warrant {
        page.row(
            "WARRANT",
            &format!(
                "{}: entry {}, issued {}, expires {}, sha256:{}",
                execution.host,
                warrant.entry,
                warrant.issued_at,
                warrant.expires_at,
                warrant.warrant.short()
            ),
        );
    }
    page.row(
        "EXECUTED",
        &format!("{}: {}", execution.host, lines::start(execution)),
    );
    let plan = plan_of(why, execution);
    page.rows("OUTCOME", &lines::outcome(execution, plan));
    if let Some(plan) = plan {
        let done = match execution.ended.as_ref().map(|ended| ended.ending) {
            Some(Ending::RolledBack) => "carried out: ",
            Some(Ending::Succeeded) => "not needed; the plan was: ",
            _ => "the plan: ",
        };
        page.row("ROLLBACK", &format!("{done}{}", lines::rollback(plan)));
    }
}

fn plan_of<'w>(why: &'w Why, execution: &ExecutedOn) -> Option<&'w Planned> {
    why.plans.iter().find(|plan| plan.host == execution.host)
}

fn afterwards(page: &mut Page, why: &Why) {
    if let Some(closed) = &why.closed {
        page.row(
            "CLOSED",
            &format!(
                "{:?} at {} (entry {}): {}",
                closed.closing,
                lines::time(closed.at),
                closed.entry,
                shown(&closed.why, 160)
            ),
        );
    }
    match &why.review {
        Some(review) => page.row("REVIEW", &lines::review(review, why.as_of)),
        None => page.row("REVIEW", "none required so far"),
    }
    let halts: Vec<_> = why
        .halts
        .iter()
        .rev()
        .take(LINES_SHOWN)
        .map(lines::halt)
        .collect();
    page.rows("HALTS", &halts);
    let alarms: Vec<_> = why
        .alarms
        .iter()
        .rev()
        .take(LINES_SHOWN)
        .map(|alarm| {
            let text = shown(&alarm.text, 160);
            format!(
                "! {} at {}: {text}",
                shown(&alarm.kind, 40),
                lines::time(alarm.at)
            )
        })
        .collect();
    page.rows("ALARMS", &alarms);
}

fn proofs(page: &mut Page, why: &Why) {
    let proofs = &why.proofs;
    let root = proofs
        .root
        .map_or_else(|| "none".to_owned(), |root| root.short());
    let entries: Vec<_> = proofs.entries.iter().map(ToString::to_string).collect();
    let witnesses = match proofs.witnesses.len() {
        0 => "no witness".to_owned(),
        _ => format!("witnessed by {}", lines::some(&proofs.witnesses, 3)),
    };
    page.row(
        "PROOFS",
        &format!(
            "log {}, tree of {} entries, root {root}, {witnesses}; entries {} proven in it",
            proofs.origin,
            proofs.size,
            lines::some(&entries, 24)
        ),
    );
    page.row("VERIFY", &proofs.command);
    page.row(
        "",
        "(that genesis is this log's own word: compare it with the one pinned at enrolment)",
    );
}

fn claim(page: &mut Page, why: &Why) {
    let text = match &why.rationale {
        Rationale::None => "the agent gave no reasons".to_owned(),
        Rationale::Erased => "the agent gave reasons, which are no longer kept".to_owned(),
        Rationale::Claimed(text) => {
            // Its line ends are the agent's too; other control characters stay visible.
            format!(
                "the agent's own words, unverified: \"{}\"",
                shown(&text.trim().replace('\n', " / "), RATIONALE_SHOWN)
            )
        }
    };
    page.row("CLAIM", &text);
}

fn more(page: &mut Page, all: usize, shown: usize, what: &str) {
    if all > shown {
        page.row(
            "",
            &format!("… and {} more {what}; see --json", all - shown),
        );
    }
}
