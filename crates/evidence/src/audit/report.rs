//! The report: what was read and what is missing first, then the verdict on the whole, then every
//! action with its own. A value; `text` writes it for people, JSON is the value itself.

use super::collect::{Collected, FileRead, Unreadable};
use super::gaps::gaps;
use super::hosts::Host;
use super::input::Skipped;
use super::judge::{By, Judged, Link, Records, judge};
use super::model::{Action, Actor, Change, ChangeKind, Decision, Exclusion, Format, Place, Plan};
use super::moment::Moment;
use super::people::{Known, People};
use super::reason::{Reason, Verdict};
use super::schema;
use countersign_domain::{Digest, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The version of the report's JSON.
pub const FORM: u32 = 1;
/// Fewer of a hundred actions with any record than this are "essentially nothing".
const NOTHING_PERCENT: u64 = 5;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// From when on actions count.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The environment asked about. What the logs place in another one is left out; what they place
    /// nowhere is taken to be in it.
    pub environment: Option<String>,
    /// By how many seconds clocks may differ.
    pub skew_seconds: i64,
    /// The zone in which local times were read, by name.
    pub zone: String,
}

/// In which of three groups an estate is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// A named human approved each autonomous action before it ran.
    CleanRecords,
    /// Some can be traced to a human decision, others not.
    PartialRecords,
    /// There is essentially no record.
    NoRecords,
    /// There was no autonomous action, or nothing could be read.
    NothingToJudge,
}

/// The verdict on the whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Estate {
    /// The group.
    pub group: Group,
    /// What it means, in a sentence.
    pub words: String,
    /// What separates it from the next better group, the most frequent first.
    pub missing: Vec<Missing>,
}

/// A reason, and how many actions it keeps from being clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Missing {
    /// The reason.
    pub reason: Reason,
    /// In words.
    pub words: &'static str,
    /// How many autonomous actions it concerns.
    pub actions: u64,
}

/// How many actions there were, of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Counts {
    /// Done by automations: these are judged.
    pub autonomous: u64,
    /// Of these, clean.
    pub clean: u64,
    /// Of these, partial.
    pub partial: u64,
    /// Of these, ungoverned.
    pub ungoverned: u64,
    /// Done by named humans themselves.
    pub human: u64,
    /// Done by somebody whom the logs cannot tell.
    pub cannot_tell: u64,
    /// Before or after the time asked about.
    pub outside_the_period: u64,
    /// In another environment.
    pub elsewhere: u64,
}

/// What was excluded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Excluded {
    /// Of which format.
    pub format: Format,
    /// Why.
    pub why: Exclusion,
    /// How many records.
    pub records: u64,
}

/// How far the logs of a format reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Coverage {
    /// The format.
    pub format: Format,
    /// Records or lines.
    pub rows: u64,
    /// The first day.
    pub first: String,
    /// The last day.
    pub last: String,
    /// Rows by day.
    pub days: BTreeMap<String, u64>,
}

/// An action, and what was found of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ActionFound {
    /// A short name for it: the beginning of its key.
    pub id: String,
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// Whose doing it is.
    pub by: By,
    /// The verdict, where an automation did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// What keeps it from being clean.
    pub reasons: BTreeSet<Reason>,
    /// The change record that it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeFound>,
    /// How it was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link: Option<Link>,
    /// Who approved: by the registry's name where it knows them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approved_at: Option<Moment>,
    /// Where the approval stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub approval_places: Vec<Place>,
}

/// A change record, as far as an action rests on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ChangeFound {
    /// How people call it.
    pub number: String,
    /// Whose.
    pub format: Format,
    /// What kind it is.
    pub kind: ChangeKind,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub requesters: Vec<String>,
    /// How it is tested.
    pub test: Plan,
    /// How it is undone.
    pub rollback: Plan,
    /// The version of the policy, or of the template, that a standing authorization rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<String>,
    /// What the record calls its test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_ref: Option<String>,
    /// What the record calls its way back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_ref: Option<String>,
    /// Where it stands.
    pub places: Vec<Place>,
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Report {
    /// The schema that it keeps.
    #[serde(rename = "$schema")]
    pub schema: &'static str,
    /// The version of this form.
    pub form: u32,
    /// From when on actions count.
    #[schemars(schema_with = "schema::time")]
    pub since: Timestamp,
    /// Until when.
    #[schemars(schema_with = "schema::time")]
    pub until: Timestamp,
    /// The environment asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The zone in which local times without one were read.
    pub zone: String,
    /// By how many seconds clocks may differ.
    pub skew_seconds: i64,
    /// How many named humans the registry knows.
    pub named_humans: usize,
    /// What is missing in what was read.
    pub gaps: Vec<String>,
    /// The verdict on the whole.
    pub estate: Estate,
    /// Actions by kind.
    pub counts: Counts,
    /// What was not counted as an action.
    pub excluded: Vec<Excluded>,
    /// How far the logs reach.
    pub coverage: Vec<Coverage>,
    /// Change records that were read.
    pub change_records: usize,
    /// Decisions that were read.
    pub decisions: usize,
    /// The files, by their numbers.
    pub files: Vec<FileRead>,
    /// The hosts that logs which name none (apt's, dpkg's, dnf's) are taken to be of.
    pub hosts: Vec<Host>,
    /// What is there and was not read.
    pub skipped: Vec<Skipped>,
    /// The first records that could not be read.
    pub unreadable: Vec<Unreadable>,
    /// Every action, in the order of time.
    pub actions: Vec<ActionFound>,
}

impl Report {
    /// Judges what was collected.
    #[must_use]
    pub fn of(
        collected: Collected,
        skipped: Vec<Skipped>,
        people: &People,
        question: &Question,
    ) -> Self {
        let records = Records {
            changes: &collected.changes,
            decisions: &collected.decisions,
            people,
            skew_seconds: question.skew_seconds,
        };
        // Judged before any is left out: a run before the period uses an approval up as well.
        let judged = judge(&collected.actions, records);
        let mut counts = Counts::default();
        let mut reasons: BTreeMap<Reason, u64> = BTreeMap::new();
        let mut actions = Vec::with_capacity(judged.len());
        let gaps = gaps(&collected, people, question);
        for (action, judged) in collected.actions.into_iter().zip(judged) {
            if action.started.latest < question.since || action.started.earliest > question.until {
                counts.outside_the_period += 1;
                continue;
            }
            if elsewhere(&action, question) {
                counts.elsewhere += 1;
                continue;
            }
            counts.add(&judged);
            if judged.by == By::Automation {
                for reason in &judged.reasons {
                    *reasons.entry(*reason).or_default() += 1;
                }
            }
            actions.push(found(action, judged, records));
        }
        Self {
            schema: schema::ID,
            form: FORM,
            since: question.since,
            until: question.until,
            environment: question.environment.clone(),
            zone: question.zone.clone(),
            skew_seconds: question.skew_seconds,
            named_humans: people.persons(),
            estate: estate(&counts, reasons),
            gaps,
            counts,
            excluded: collected
                .excluded
                .into_iter()
                .map(|((format, why), records)| Excluded {
                    format,
                    why,
                    records,
                })
                .collect(),
            coverage: collected
                .days
                .into_iter()
                .filter_map(|(format, days)| {
                    Some(Coverage {
                        format,
                        rows: days.values().sum(),
                        first: days.keys().next()?.clone(),
                        last: days.keys().next_back()?.clone(),
                        days,
                    })
                })
                .collect(),
            change_records: collected.changes.len(),
            decisions: collected.decisions.len(),
            files: collected.files,
            hosts: collected.hosts,
            skipped,
            unreadable: collected.unreadable,
            actions,
        }
    }

    /// The actions that are judged.
    pub fn autonomous(&self) -> impl Iterator<Item = &ActionFound> {
        self.actions
            .iter()
            .filter(|found| found.by == By::Automation)
    }

    /// True where nothing of a known format was read.
    #[must_use]
    pub fn read_nothing(&self) -> bool {
        self.files.iter().all(FileRead::is_unrecognised)
    }

    /// True where an action may stand in what could not be read: a file broke off, or a record could not
    /// be read that is of a known format or stands among such. What else lies about in a folder, a
    /// picture say, hides none.
    #[must_use]
    pub fn may_hide_actions(&self) -> bool {
        self.files.iter().any(|file| {
            let among = file.unreadable > 0 && !file.is_unrecognised();
            file.broken.is_some() || file.refused > 0 || among
        })
    }

    /// A sample of the autonomous actions that anybody draws again with the same seed, in whatever
    /// order the files were read: those whose keys hash lowest with the seed, in the order of time.
    #[must_use]
    pub fn sample(&self, size: usize, seed: u64) -> Vec<&ActionFound> {
        let mut drawn: Vec<(Digest, &ActionFound)> = self
            .autonomous()
            .map(|found| {
                let ticket = format!("{seed}\n{}", found.action.key);
                (Digest::of(ticket.as_bytes()), found)
            })
            .collect();
        drawn.sort_by_key(|(ticket, _)| *ticket);
        drawn.truncate(size);
        drawn.sort_by_key(|(_, found)| (found.action.started, found.action.key));
        drawn.into_iter().map(|(_, found)| found).collect()
    }
}

impl Counts {
    fn add(&mut self, judged: &Judged) {
        match judged.by {
            By::NamedHuman => self.human += 1,
            By::CannotTell => self.cannot_tell += 1,
            By::Automation => {
                self.autonomous += 1;
                *match judged.verdict {
                    Verdict::Clean => &mut self.clean,
                    Verdict::Partial => &mut self.partial,
                    Verdict::Ungoverned => &mut self.ungoverned,
                } += 1;
            }
        }
    }
}

fn elsewhere(action: &Action, question: &Question) -> bool {
    match (&question.environment, &action.environment) {
        (Some(asked), Some(of)) => !asked.eq_ignore_ascii_case(of),
        _ => false,
    }
}

fn found(action: Action, judged: Judged, records: Records<'_>) -> ActionFound {
    let change: Option<&Change> = judged.change.and_then(|at| records.changes.get(at));
    let decision: Option<&Decision> = judged.decision.and_then(|at| records.decisions.get(at));
    ActionFound {
        id: action.key.short(),
        by: judged.by,
        verdict: (judged.by == By::Automation).then_some(judged.verdict),
        // Nobody is judged for what they did themselves.
        reasons: match judged.by {
            By::Automation => judged.reasons,
            By::NamedHuman | By::CannotTell => BTreeSet::new(),
        },
        change: change.map(|change| change_found(change, records.people)),
        link: judged.link,
        approver: decision.map(|decision| name(&decision.approver, records.people)),
        approved_at: decision.and_then(|decision| decision.decided),
        approval_places: decision.map_or_else(Vec::new, |decision| decision.places.clone()),
        action,
    }
}

fn change_found(change: &Change, people: &People) -> ChangeFound {
    ChangeFound {
        number: change.number.clone(),
        format: change.format,
        kind: change.kind,
        requesters: change
            .requesters
            .iter()
            .map(|requester| name(requester, people))
            .collect(),
        test: change.test,
        rollback: change.rollback,
        policy_version: change.named.policy_version.clone(),
        test_ref: change.named.test.clone(),
        rollback_ref: change.named.rollback.clone(),
        places: change.places.clone(),
    }
}

/// By the registry's name where it knows them, else as the log has it.
fn name(actor: &Actor, people: &People) -> String {
    match people.look_up(actor) {
        Known::Person(name) => name.to_owned(),
        _ => actor.name.clone(),
    }
}

fn estate(counts: &Counts, reasons: BTreeMap<Reason, u64>) -> Estate {
    let recorded = counts.clean + counts.partial;
    let group = if counts.autonomous == 0 {
        Group::NothingToJudge
    } else if counts.clean == counts.autonomous {
        Group::CleanRecords
    } else if recorded * 100 < counts.autonomous * NOTHING_PERCENT {
        Group::NoRecords
    } else {
        Group::PartialRecords
    };
    let words = match group {
        Group::CleanRecords => {
            "Clean records: a named human approved each autonomous action before it ran."
        }
        Group::PartialRecords => {
            "Partial records: some actions can be traced to a human decision, others cannot. Such a \
             record cannot explain itself, which is a finding of its own."
        }
        Group::NoRecords => {
            "Essentially no records: changes were made for nobody who would answer for them. This is \
             an automated process, not a governed one."
        }
        Group::NothingToJudge => {
            "No autonomous action was found in what was read: there is nothing to judge."
        }
    };
    let mut missing: Vec<Missing> = reasons
        .into_iter()
        .map(|(reason, actions)| Missing {
            reason,
            words: reason.words(),
            actions,
        })
        .collect();
    missing.sort_by_key(|missing| (std::cmp::Reverse(missing.actions), missing.reason));
    Estate {
        group,
        words: words.to_owned(),
        missing,
    }
}
