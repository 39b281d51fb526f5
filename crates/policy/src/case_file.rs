//! Reads `cases/*.toml`: named base facts, overrides, and what has to come of them. Runs nothing; see
//! `cases`.

use crate::annotations::parse_approvers;
use crate::cases::{Case, Wanted};
use crate::finding::Finding;
use crate::seat::{HumanAction, Seat};
use crate::sheet::FactSheet;
use countersign_domain::{Environment, GroupId, Outcome, PersonId, RuleId, Tier};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use toml::{Spanned, Table, Value};

/// Cases in one policy at most.
const CASES_MAX: usize = 2000;
/// Bases that build on one another at most.
const BASES_DEEP: usize = 8;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct CaseFile {
    base: BTreeMap<String, Table>,
    case: Vec<DecisionCase>,
    seat: Vec<SeatCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DecisionCase {
    name: Spanned<String>,
    base: Option<String>,
    #[serde(default)]
    set: Table,
    expect: Outcome,
    rules: Option<BTreeSet<RuleId>>,
    withheld_by: Option<BTreeSet<RuleId>>,
    approvers: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeatCase {
    name: Spanned<String>,
    may: String,
    #[serde(default = "somebody")]
    person: PersonId,
    #[serde(default)]
    groups: BTreeSet<GroupId>,
    #[serde(default)]
    asked: BTreeSet<GroupId>,
    /// Of `requester`, `agent-owner`, `implementer`, `rule-author`.
    #[serde(default, rename = "is")]
    interests: BTreeSet<Interest>,
    #[serde(default)]
    trial: bool,
    environment: Option<Environment>,
    tier: Option<Tier>,
    expect: bool,
    rules: Option<BTreeSet<RuleId>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Interest {
    Requester,
    AgentOwner,
    Implementer,
    RuleAuthor,
}

fn somebody() -> PersonId {
    // INVARIANT: the literal is an identifier.
    PersonId::new("somebody").expect("an identifier")
}

/// Reads all case files.
pub(crate) fn read(
    files: &BTreeMap<String, Arc<str>>,
    known: &BTreeSet<RuleId>,
) -> Result<Vec<Case>, Vec<Finding>> {
    let mut cases = Vec::new();
    let mut findings = Vec::new();
    for (file, text) in files {
        let read: CaseFile = match toml::from_str(text) {
            Ok(read) => read,
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                findings.push(Finding::at(file, text, span, error.message()));
                continue;
            }
        };
        let make = |name: Spanned<String>, wanted| Case {
            file: file.clone(),
            text: Arc::clone(text),
            span: name.span(),
            name: name.into_inner(),
            wanted,
        };
        let mut take = |name: Spanned<String>, wanted: Result<Wanted, String>| match wanted {
            Ok(wanted) => {
                let case = make(name, wanted);
                for rule in case.rules_named().filter(|rule| !known.contains(*rule)) {
                    findings.push(case.finding(&format!("there is no rule `{rule}`")));
                }
                cases.push(case);
            }
            Err(message) => {
                let text_of = format!("case `{}`: {message}", name.get_ref());
                findings.push(Finding::at(file, text, name.span(), text_of));
            }
        };
        for case in read.case {
            let wanted = case.wanted(&read.base);
            take(case.name, wanted);
        }
        for seat in read.seat {
            let wanted = seat.wanted();
            take(seat.name, wanted);
        }
    }
    if cases.len() > CASES_MAX {
        findings.push(Finding::whole(
            "cases",
            format!("{} cases; at most {CASES_MAX} are allowed", cases.len()),
        ));
    }
    if findings.is_empty() {
        Ok(cases)
    } else {
        Err(findings)
    }
}

impl DecisionCase {
    fn wanted(&self, bases: &BTreeMap<String, Table>) -> Result<Wanted, String> {
        let mut facts = match &self.base {
            Some(base) => resolve(base, bases, 0)?,
            None => Table::new(),
        };
        merge(&mut facts, &self.set);
        let sheet = FactSheet::deserialize(Value::Table(facts))
            .map_err(|error| error.to_string().trim().replace('\n', " "))?;
        Ok(Wanted::Decision {
            facts: Box::new(sheet.facts()?),
            outcome: self.expect,
            rules: self.rules.clone(),
            withheld_by: self.withheld_by.clone(),
            approvers: self
                .approvers
                .as_deref()
                .map(|text| match text {
                    "" => Ok(Vec::new()),
                    text => parse_approvers(text),
                })
                .transpose()
                .map_err(|message| format!("`approvers`: {message}"))?,
        })
    }
}

/// The facts of a base, with those that it builds on beneath.
fn resolve(name: &str, bases: &BTreeMap<String, Table>, depth: usize) -> Result<Table, String> {
    if depth > BASES_DEEP {
        return Err(format!(
            "`base`: `{name}` builds on more than {BASES_DEEP} others"
        ));
    }
    let mut own = bases
        .get(name)
        .cloned()
        .ok_or_else(|| format!("`base`: there is no [base.{name}] in this file"))?;
    match own.remove("base") {
        None => Ok(own),
        Some(Value::String(below)) => {
            let mut facts = resolve(&below, bases, depth + 1)?;
            merge(&mut facts, &own);
            Ok(facts)
        }
        Some(_) => Err(format!(
            "`base`: in [base.{name}] it has to be the name of a base"
        )),
    }
}

/// Puts `over` on `under`, table by table.
fn merge(under: &mut Table, over: &Table) {
    for (key, value) in over {
        match (under.get_mut(key), value) {
            (Some(Value::Table(inner)), Value::Table(over)) => merge(inner, over),
            _ => {
                under.insert(key.clone(), value.clone());
            }
        }
    }
}

impl SeatCase {
    fn wanted(&self) -> Result<Wanted, String> {
        let may = HumanAction::ALL
            .into_iter()
            .find(|action| action.as_str() == self.may)
            .ok_or_else(|| {
                let known = HumanAction::ALL.map(HumanAction::as_str).join(", ");
                format!("`may`: `{}` is not an action; known are {known}", self.may)
            })?;
        let is = |interest| self.interests.contains(&interest);
        Ok(Wanted::Seating {
            seat: Box::new(Seat {
                person: self.person.clone(),
                groups: self.groups.clone(),
                asked: self.asked.clone(),
                is_requester: is(Interest::Requester),
                is_agent_owner: is(Interest::AgentOwner),
                is_implementer: is(Interest::Implementer),
                is_rule_author: is(Interest::RuleAuthor),
                trial: self.trial,
                environment: self.environment,
                tier: self.tier,
            }),
            may,
            allowed: self.expect,
            rules: self.rules.clone(),
        })
    }
}
