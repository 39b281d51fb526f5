//! Verdicts: what makes an action clean, and each thing that keeps it from being so.

use super::super::model::*;
use super::super::moment::Moment;
use super::super::people::People;
use super::super::reason::{Reason, Verdict};
use super::{By, Judged, Link, RUN_SECONDS, Records, judge};
use countersign_domain::{Digest, Timestamp};
use proptest::prelude::*;

const REGISTRY: &str = "name,login,kind\nAda Stone,ada,\nBen Wood,ben,\nMerge Bot,mergebot,automation\nCAB,cab,group\n";

fn at(seconds: i64) -> Moment {
    Moment::exact(Timestamp::from_unix_seconds(1_800_000_000 + seconds))
}

fn place() -> Place {
    Place {
        file: FileNumber(0),
        offset: 0,
        line: None,
    }
}

fn number() -> Reference {
    Reference::Number("CHG0031337".into())
}

/// An automation's, at 0, of `web-1`, with the number of `change`.
fn action() -> Action {
    Action {
        key: Digest::of(b"action"),
        format: Format::AptHistory,
        places: vec![place()],
        started: at(0),
        ended: Some(at(60)),
        system: "web-1".into(),
        environment: None,
        summary: "upgrade".into(),
        items: vec!["openssl:amd64 (1, 2)".into()],
        actor: Actor::new("unattended-upgrade", Nature::Automation),
        references: vec![number()],
    }
}

fn change() -> Change {
    Change {
        key: "servicenow:a1".into(),
        also: vec![],
        format: Format::ServiceNow,
        places: vec![place()],
        number: "CHG0031337".into(),
        references: vec![number()],
        kind: ChangeKind::Normal,
        targets: vec!["web-1.example.org".into()],
        window: Some((at(-3600), at(3600))),
        requesters: vec![Actor::new("patch-bot", Nature::Automation)],
        withdrawn: false,
        pending: false,
        unclear: Vec::new(),
        head: None,
        test: Plan::Given,
        rollback: Plan::Given,
        named: Naming::default(),
    }
}

fn decision() -> Decision {
    Decision {
        change: "servicenow:a1".into(),
        format: Format::ServiceNow,
        places: vec![place()],
        approver: Actor::new("ada", Nature::Person),
        entered_by: None,
        outcome: Outcome::Approved,
        decided: Some(at(-7200)),
        commit: None,
    }
}

fn judged(actions: &[Action], changes: &[Change], decisions: &[Decision]) -> Vec<Judged> {
    let people = People::read(REGISTRY.as_bytes()).unwrap();
    judge(
        actions,
        Records {
            changes,
            decisions,
            people: &people,
            skew_seconds: 0,
        },
    )
}

fn check(edit: impl FnOnce(&mut Action, &mut Change, &mut Decision)) -> (Verdict, Vec<Reason>) {
    let (mut action, mut change, mut decision) = (action(), change(), decision());
    edit(&mut action, &mut change, &mut decision);
    let judged = judged(&[action], &[change], &[decision]).remove(0);
    (judged.verdict, judged.reasons.into_iter().collect())
}

#[test]
fn a_named_human_before_it_ran_for_this_system_is_clean() {
    assert_eq!(check(|_, _, _| {}), (Verdict::Clean, vec![]));
    let one = judged(&[action()], &[change()], &[decision()]).remove(0);
    assert_eq!(one.by, By::Automation);
    assert_eq!(one.link, Some(Link::Reference(number())));
    // Without a window, the approval covers one run.
    assert_eq!(
        check(|_, change, _| change.window = None),
        (Verdict::Clean, vec![])
    );
}

#[test]
fn each_gap_has_its_reason() {
    use Reason as R;
    use Verdict::{Partial, Ungoverned};
    type Edit = fn(&mut Action, &mut Change, &mut Decision);
    let table: &[(Verdict, R, Edit)] = &[
        (Ungoverned, R::NoRecord, |a, c, _| {
            a.references.clear();
            c.window = None;
        }),
        (Partial, R::WeakLink, |a, _, _| a.references.clear()),
        (Ungoverned, R::NotApproved, |_, _, d| {
            d.change = "servicenow:other".into();
        }),
        (Ungoverned, R::NotApproved, |_, _, d| {
            d.outcome = Outcome::Rejected;
        }),
        (Ungoverned, R::Withdrawn, |_, c, _| c.withdrawn = true),
        (Ungoverned, R::ApprovedLate, |_, _, d| {
            d.decided = Some(at(1));
        }),
        (Partial, R::EmergencyApprovedAfter, |_, c, d| {
            c.kind = ChangeKind::Emergency;
            d.decided = Some(at(1));
        }),
        (Partial, R::ClockUnclear, |_, _, d| {
            d.decided = Some(Moment {
                earliest: at(-1).earliest,
                latest: at(3599).latest,
            });
        }),
        (Partial, R::NoDecisionTime, |_, _, d| d.decided = None),
        (Partial, R::ApproverUnknown, |_, _, d| {
            d.approver = Actor::new("mallory", Nature::Person);
        }),
        (Partial, R::ApproverAutomation, |_, _, d| {
            d.approver = Actor::new("mergebot", Nature::Person);
        }),
        (Partial, R::ApproverAutomation, |_, _, d| {
            d.approver = Actor::new("ada", Nature::Automation);
        }),
        (Partial, R::ApproverGroup, |_, _, d| {
            d.approver = Actor::new("cab", Nature::Person);
        }),
        (Partial, R::SelfApproval, |_, c, _| {
            c.requesters = vec![Actor::new("Ada Stone", Nature::Person)];
        }),
        (Partial, R::SelfApproval, |a, _, _| {
            a.actor = Actor::new("ada", Nature::Automation);
        }),
        (Partial, R::EnteredByAnother, |_, _, d| {
            d.entered_by = Some(Actor::new("ben", Nature::Person));
        }),
        (Partial, R::StaleCommit, |_, c, d| {
            c.head = Some("b".repeat(40));
            d.commit = Some("a".repeat(40));
        }),
        (Partial, R::NoTemplateApprover, |_, c, d| {
            c.kind = ChangeKind::Standard;
            d.change = "servicenow:other".into();
        }),
        (Partial, R::TargetNotNamed, |_, c, _| {
            c.targets = vec!["web-2".into()];
        }),
        (Partial, R::OutsideWindow, |_, c, _| {
            c.window = Some((at(1), at(3600)));
        }),
        (Partial, R::OutsideWindow, |_, c, _| {
            c.window = Some((at(-3600), at(59)));
        }),
        (Partial, R::NoTest, |_, c, _| c.test = Plan::Missing),
        (Partial, R::Pending, |_, c, _| c.pending = true),
        (Partial, R::NoRollback, |_, c, _| c.rollback = Plan::Missing),
    ];
    for (verdict, reason, edit) in table {
        assert_eq!(check(edit), (*verdict, vec![*reason]), "{reason:?}");
    }
}

#[test]
fn names_with_and_without_a_domain_are_one_system_and_two_domains_are_two() {
    let of = |target: &str, system: &str| {
        let (verdict, _) = check(|action, change, _| {
            change.targets = vec![target.into()];
            action.system = system.into();
        });
        verdict == Verdict::Clean
    };
    assert!(of("WEB-1", "web-1.example.org"));
    assert!(of("web-1.example.org", "web-1"));
    assert!(!of("web-1.example.org", "web-1.example.net"));
    assert!(!of("10.0.0.1", "10.0.0.2"));
    assert!(!of("10", "10.0.0.2"));
}

#[test]
fn an_approval_without_a_window_is_used_up_by_its_first_run() {
    let run = |seconds: i64, name: &str| Action {
        key: Digest::of(name.as_bytes()),
        started: at(seconds),
        ended: None,
        ..action()
    };
    let open = Change {
        window: None,
        ..change()
    };
    let actions = [
        run(0, "a"),
        run(RUN_SECONDS, "b"),
        run(RUN_SECONDS + 1, "c"),
    ];
    let verdicts = |actions: &[Action]| -> Vec<_> {
        judged(actions, std::slice::from_ref(&open), &[decision()])
            .iter()
            .map(|judged| judged.reasons.contains(&Reason::UsedUp))
            .collect()
    };
    assert_eq!(verdicts(&actions), [false, false, true]);
    // An action on a system that the record does not name uses nothing up.
    let mut elsewhere = run(-100_000, "d");
    elsewhere.system = "db-1".into();
    assert_eq!(verdicts(&[elsewhere, run(0, "a")]), [false, false]);
}

#[test]
fn a_rejection_stands_until_whoever_gave_it_takes_it_back() {
    let no = Decision {
        approver: Actor::new("ben", Nature::Person),
        outcome: Outcome::Rejected,
        decided: Some(at(-7000)),
        ..decision()
    };
    let yes = Decision {
        approver: Actor::new("Ben Wood", Nature::Person),
        decided: Some(at(-6000)),
        ..decision()
    };
    let reasons = |decisions: &[Decision]| {
        judged(&[action()], &[change()], decisions)[0]
            .reasons
            .clone()
    };
    assert!(reasons(&[decision(), no.clone()]).contains(&Reason::Contested));
    assert!(reasons(&[decision(), no, yes]).is_empty());
}

#[test]
fn only_the_registry_makes_an_actor_a_named_human() {
    let of = |name: &str, nature| {
        let mut action = action();
        action.actor = Actor::new(name, nature);
        judged(&[action], &[], &[])[0].by
    };
    assert_eq!(of("ben", Nature::Person), By::NamedHuman);
    assert_eq!(of("mallory", Nature::Person), By::CannotTell);
    assert_eq!(of("root", Nature::Unclear), By::CannotTell);
    assert_eq!(of("mergebot", Nature::Person), By::Automation);
    assert_eq!(of("ben", Nature::Automation), By::Automation);
}

fn some_change() -> impl Strategy<Value = Change> {
    (
        0..3_u8,
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        0..3_u8,
    )
        .prop_map(|(key, window, named, withdrawn, kind)| Change {
            key: format!("servicenow:{key}"),
            references: if named { vec![number()] } else { vec![] },
            window: window.then(|| (at(-3600), at(3600))),
            withdrawn,
            kind: [
                ChangeKind::Normal,
                ChangeKind::Standard,
                ChangeKind::Emergency,
            ][kind as usize],
            ..change()
        })
}

fn some_decision() -> impl Strategy<Value = Decision> {
    let who = prop::sample::select(vec!["ada", "ben", "mallory", "mergebot"]);
    (0..3_u8, who, -7200..200_i64).prop_map(|(key, who, seconds)| Decision {
        change: format!("servicenow:{key}"),
        approver: Actor::new(who, Nature::Person),
        decided: Some(at(seconds)),
        ..decision()
    })
}

fn some_action() -> impl Strategy<Value = Action> {
    (0..30_000_i64, any::<bool>(), any::<u32>()).prop_map(|(seconds, named, key)| Action {
        key: Digest::of(&key.to_be_bytes()),
        started: at(seconds),
        ended: None,
        references: if named { vec![number()] } else { vec![] },
        ..action()
    })
}

proptest! {
    #[test]
    fn one_more_approval_never_makes_a_verdict_worse(
        actions in prop::collection::vec(some_action(), 1..5),
        changes in prop::collection::vec(some_change(), 0..4),
        decisions in prop::collection::vec(some_decision(), 0..5),
        more in some_decision(),
    ) {
        let before = judged(&actions, &changes, &decisions);
        let mut with = decisions;
        with.push(more);
        let after = judged(&actions, &changes, &with);
        for (before, after) in before.iter().zip(&after) {
            prop_assert!(after.verdict <= before.verdict, "{before:?} {after:?}");
        }
    }

    #[test]
    fn the_order_of_records_does_not_matter(
        actions in prop::collection::vec(some_action(), 1..5),
        changes in prop::collection::vec(some_change(), 0..4),
        decisions in prop::collection::vec(some_decision(), 0..5),
    ) {
        // Exports of one record are brought together before.
        let mut changes = changes;
        changes.sort_by(|one, other| one.key.cmp(&other.key));
        changes.dedup_by(|one, other| one.key == other.key);
        let one = judged(&actions, &changes, &decisions);
        let turned = |mut of: Vec<Decision>| { of.reverse(); of };
        let mut backwards = changes.clone();
        backwards.reverse();
        let other = judged(&actions, &backwards, &turned(decisions));
        for (one, other) in one.iter().zip(&other) {
            prop_assert_eq!((one.verdict, &one.reasons), (other.verdict, &other.reasons));
        }
    }
}
