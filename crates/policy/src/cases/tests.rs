//! Bases build on one another, and results name what is wrong.

use super::*;
use crate::source::PolicySource;
use countersign_domain::{Environment, PersonId, Tier};

const CASES: &str = r#"
[base.one]
security_origin = true
rollback = "mirror"
cves = 1
target = { environment = "production", tier = 3 }

[base.two]
base = "one"
target = { tier = 2 }

[[case]]
name = "right"
base = "two"
set = { target = { criticality = "high" } }
expect = "allow"

[[case]]
name = "wrong"
base = "two"
set = { cves = 0 }
expect = "allow"
rules = ["SA-200"]
approvers = ""
"#;

fn with_cases(cases: &str) -> PolicySource {
    let mut files = crate::starter().files().clone();
    files.insert("cases/more.toml".into(), cases.as_bytes().to_vec());
    PolicySource::new(files).unwrap()
}

#[test]
fn results_name_case_and_field() {
    let policy = Policy::load_without_running_cases(&with_cases(CASES)).unwrap();
    let results: Vec<_> = run_cases(&policy)
        .into_iter()
        .filter(|result| result.file == "cases/more.toml")
        .collect();
    assert_eq!(results.len(), 2);
    assert!(results[0].failures.is_empty(), "{:?}", results[0]);
    assert_eq!((results[1].name.as_str(), results[1].line), ("wrong", 19));
    let failures = &results[1].failures;
    assert!(failures[0].starts_with("`expect`: `allow`, but it is `ask` (A patch in production"));
    assert_eq!(failures[1], "`rules`: SA-200, but it is RQ-300");
    assert_eq!(
        failures[2],
        "`approvers`: ``, but they are `change-approvers=1`"
    );
    // The same policy is never in force.
    assert_eq!(Policy::load(&with_cases(CASES)).unwrap_err().len(), 3);
}

#[test]
fn bases_that_lead_in_a_circle_are_refused() {
    let cases = "[base.a]\nbase = \"b\"\n[base.b]\nbase = \"a\"\n\
                 [[case]]\nname = \"x\"\nbase = \"a\"\nexpect = \"deny\"\n";
    let findings = Policy::load(&with_cases(cases)).unwrap_err();
    assert!(
        findings[0].message.contains("builds on more than"),
        "{findings:?}"
    );
}

#[test]
fn a_seat_knows_its_engine_rule_even_where_the_policy_has_none() {
    // Invariant 5 stands when a policy forgets it.
    let mut files = crate::starter().files().clone();
    files.retain(|path, _| !path.starts_with("cases/"));
    let everyone = "@id(\"SD-1\") @owner(\"platform\") @title(\"All\") @why(\"All may.\")\n\
                    permit (principal is Person, action in Action::\"govern\", resource);";
    files.insert("rules/people.cedar".into(), everyone.as_bytes().to_vec());
    let policy = Policy::load(&PolicySource::new(files).unwrap()).unwrap();
    let seat = |is_agent_owner, is_rule_author, trial| Seat {
        person: PersonId::new("maria").unwrap(),
        groups: BTreeSet::new(),
        asked: BTreeSet::new(),
        is_requester: false,
        is_agent_owner,
        is_implementer: false,
        is_rule_author,
        trial,
        environment: Some(Environment::Production),
        tier: Some(Tier::HIGHEST),
    };
    for (seat, action, allowed) in [
        (seat(false, false, false), HumanAction::Approve, true),
        (seat(true, false, false), HumanAction::Approve, false),
        (seat(true, false, false), HumanAction::TakeUp, false),
        (seat(false, true, false), HumanAction::ApprovePolicy, false),
        (seat(true, true, true), HumanAction::Approve, true),
        (seat(true, true, true), HumanAction::ApprovePolicy, true),
    ] {
        let seating = policy.may(&seat, action);
        assert_eq!(seating.allowed, allowed, "{action:?} {seating:?}");
        assert!(!seating.reasons.is_empty());
    }
}

#[test]
fn deep_tables_are_refused_or_read_but_never_end_the_program() {
    let deep = 200_000;
    for cases in [
        format!("[base.x]\na{} = 1\n", ".a".repeat(deep)),
        format!("[base.x{}]\n", ".a".repeat(deep)),
        format!("[base.x]\na = {}1{}\n", "[".repeat(deep), "]".repeat(deep)),
        format!(
            "[base.x]\na = {}1{}\n",
            "{a=".repeat(deep),
            "}".repeat(deep)
        ),
    ] {
        drop(Policy::load(&with_cases(&cases)));
    }
}
