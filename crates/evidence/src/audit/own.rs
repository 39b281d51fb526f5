//! Reads Countersign's own log as a source like any other: what hosts did under warrants are actions,
//! each warrant is the record of its change on that host, and the named humans whose signatures it
//! rests on are its approvers, for standing authority those of the policy version. The log is verified
//! whole while it is read, with it that a policy version's review was not overdue when it gave standing
//! authority: where the log does not hold, none of its approvals counts.

use super::collect::{FileRead, Part};
use super::judge::label;
use super::model::{
    Action, Actor, Change, ChangeKind, Decision, Exclusion, FileNumber, Format, Naming, Nature,
    Outcome, Place, Plan, Reference, Row,
};
use super::moment::Moment;
use super::reader::lenient::key;
use super::reader::{About, Context};
use crate::log::{follow_folder, follow_log};
use crate::replay::{Proven, Replay};
use crate::{LogReport, Source, TrustedRoots};
use countersign_domain::entry::{Event, LogEntry};
use countersign_domain::plan::RollbackSource;
use countersign_domain::receipt::Ending;
use countersign_domain::warrant::{Ground, Signer};
use countersign_domain::{AgentId, ChangeId, Digest, HostId, PersonId, PreparedPlan, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// By how many seconds a host's clock may differ from itself, between apt's log and its receipts.
const RETOLD_SECONDS: i64 = 5;

/// What `audit formats` says.
pub(crate) const ABOUT: About = About {
    format: Format::Countersign,
    reads: "Countersign's own log: a deployment's folder, or what `countersign log export` wrote; \
            verified whole, and against the genesis that --genesis pins",
    actions: "what a host started under a warrant, by its signed notice and receipt",
    approvals: "the signatures that the warrant rests on: of people who approved this very change, \
                or for standing authority of those who signed the policy version, whose review was \
                not overdue; none where the log does not hold",
    people: "agents are automations; approvers are named humans only where --genesis pins the log, by \
             the names that --people has for their handles",
    proven: true,
};

/// Where such a log is.
pub enum OwnLog<'s> {
    /// An exported folder.
    Exported(PathBuf),
    /// A deployment's own folder, which somebody has opened.
    Opened(PathBuf, &'s dyn Source),
}

impl OwnLog<'_> {
    const fn path(&self) -> &PathBuf {
        match self {
            Self::Exported(path) | Self::Opened(path, _) => path,
        }
    }
}

/// What is told of a log above the verdict, and whom its pinned roster names.
#[derive(Debug, Default)]
pub(crate) struct OwnRead {
    pub(crate) gaps: Vec<String>,
    pub(crate) people: BTreeSet<PersonId>,
}

/// One host's part in a change, from its warrant on.
struct Run {
    change: ChangeId,
    host: HostId,
    agent: AgentId,
    owner: Option<PersonId>,
    ground: Ground,
    signers: Vec<Signer>,
    /// The policy version under which it ran.
    policy: Digest,
    issued: Timestamp,
    expires: Timestamp,
    place: Place,
    started: Option<(Timestamp, Place)>,
    ended: Option<(Timestamp, Ending, Place)>,
}

/// How a handle of the roster is called here: whose it is, only a pinned genesis says.
pub(crate) fn handle(person: &PersonId) -> String {
    format!("countersign:{person}")
}

fn person(person: &PersonId) -> Actor {
    Actor::new(handle(person), Nature::Person)
}

/// Takes out of `actions` what apt tells of runs that are proven to be Countersign's: each names the
/// change, ran on the same host within the time of the run, and touched nothing but what the run was to
/// touch. How many those were.
pub(crate) fn retold(actions: &mut Vec<Action>, proven: &BTreeSet<Digest>) -> u64 {
    let mut runs: BTreeMap<(Reference, String), Span> = BTreeMap::new();
    for action in actions.iter().filter(|action| proven.contains(&action.key)) {
        let ended = action.ended.unwrap_or(action.started);
        let from = action.started.earliest.plus_seconds(-RETOLD_SECONDS);
        let until = ended.latest.plus_seconds(RETOLD_SECONDS);
        for reference in &action.references {
            let run = Span {
                from,
                until,
                items: action.items.iter().map(|item| touched(item)).collect(),
            };
            runs.insert((reference.clone(), label(&action.system)), run);
        }
    }
    let before = actions.len();
    actions.retain(|action| {
        action.format != Format::AptHistory
            || !action.references.iter().any(|reference| {
                let of = (reference.clone(), label(&action.system));
                runs.get(&of).is_some_and(|run| run.tells(action))
            })
    });
    (before - actions.len()) as u64
}

/// A run that is proven.
struct Span {
    from: Timestamp,
    until: Timestamp,
    items: BTreeSet<(String, BTreeSet<String>)>,
}

impl Span {
    fn tells(&self, action: &Action) -> bool {
        let ended = action.ended.unwrap_or(action.started);
        self.from <= action.started.earliest
            && ended.latest <= self.until
            && !action.items.is_empty()
            && action
                .items
                .iter()
                .all(|item| self.items.contains(&touched(item)))
    }
}

/// The package of an item, and the versions between which it goes in whatever direction.
fn touched(item: &str) -> (String, BTreeSet<String>) {
    let (name, versions) = item.split_once(" (").unwrap_or((item, ""));
    let versions = versions.trim_end_matches(')').split(", ");
    let versions = versions.filter(|one| !matches!(*one, "" | "<none>" | "automatic"));
    let name = name.split(':').next().unwrap_or(name);
    (name.to_owned(), versions.map(str::to_owned).collect())
}

/// What a plan says that matters here.
struct Planned {
    items: Vec<String>,
    test: Plan,
    rollback: Plan,
    /// The checks that will run, by name.
    checks: String,
    /// Where what undoes it is from.
    way_back: String,
}

/// Reads a log, and puts what it comes to into `part`.
pub(crate) fn read(
    log: &OwnLog<'_>,
    number: FileNumber,
    context: &Context,
    part: &mut Part,
    own: &mut OwnRead,
) -> FileRead {
    let mut file = FileRead::new(log.path().clone());
    let trusted = TrustedRoots {
        genesis: context.genesis,
        ..TrustedRoots::default()
    };
    let mut runs = Runs {
        number,
        runs: BTreeMap::new(),
        plans: BTreeMap::new(),
        people: BTreeSet::new(),
    };
    let count = |part: &mut Part, entry: &LogEntry| {
        let at = match entry {
            LogEntry::Entry(entry) => Some(Moment::exact(entry.at)),
            LogEntry::Warrant(_) => None,
        };
        part.count(number, Format::Countersign, at.as_ref());
    };
    let mut observer = |index: u64, entry: &LogEntry, proven: &Proven, replay: &Replay| {
        count(part, entry);
        runs.take(index, entry, proven, replay);
    };
    let report = match log {
        OwnLog::Exported(path) => {
            follow_folder(path, &trusted, &mut |_| {}, &mut observer).map_err(|e| e.to_string())
        }
        OwnLog::Opened(_, source) => {
            follow_log(*source, &trusted, &mut |_| {}, &mut observer).map_err(|e| e.to_string())
        }
    };
    let shown = countersign_domain::text::shown(&log.path().display().to_string(), 200);
    let holds = match report {
        Ok(report) => {
            file.sha256 = hex::encode(report.authorizations.root.as_bytes());
            tell(&shown, &report, own);
            report.is_ok()
        }
        Err(error) => {
            file.broken = Some(error);
            false
        }
    };
    let proven = holds && context.genesis.is_some();
    if proven {
        own.people.append(&mut runs.people);
    }
    let mut rows = Vec::new();
    for run in runs.runs.values() {
        run.rows(&runs.plans, holds, &mut rows);
    }
    if proven {
        let actions = rows.iter().filter_map(|row| match row {
            Row::Action(action) => Some(action.key),
            _ => None,
        });
        part.proven.extend(actions);
    }
    part.keep(Format::Countersign, &mut rows);
    file
}

/// Says what an auditor must know of this log.
fn tell(shown: &str, report: &LogReport, own: &mut OwnRead) {
    if let Some(first) = report.findings.list.first() {
        own.gaps.push(format!(
            "countersign: the log of {shown} does not hold, so none of its approvals counts; first \
             of {} findings: {}; `countersign log verify` shows all",
            report.findings.count(),
            countersign_domain::text::shown(&first.to_string(), 300)
        ));
    }
    match report.genesis {
        Some(genesis) if !report.genesis_pinned => own.gaps.push(format!(
            "countersign: the log of {shown} is held against its own genesis, {genesis}; compare that \
             with what was pinned at enrolment, and give it with --genesis"
        )),
        _ => {}
    }
    if !report.documents.carried {
        own.gaps.push(format!(
            "countersign: the log of {shown} carries no documents, so whether one of those that entries \
             name was removed cannot be told; `countersign log export --blobs` exports them too"
        ));
    }
    if report.trial {
        own.gaps.push(format!(
            "countersign: {shown} is a trial deployment, where one person may have done it all"
        ));
    }
}

struct Runs {
    number: FileNumber,
    /// By the digest of the warrant.
    runs: BTreeMap<Digest, Run>,
    plans: BTreeMap<(ChangeId, HostId), Planned>,
    people: BTreeSet<PersonId>,
}

impl Runs {
    fn take(&mut self, index: u64, entry: &LogEntry, proven: &Proven, replay: &Replay) {
        let place = Place {
            file: self.number,
            offset: 0,
            line: Some(index),
        };
        match (proven, entry) {
            (Proven::Prepared(plan), LogEntry::Entry(entry)) => {
                if let Event::Prepared { change, host, .. } = &entry.event {
                    let key = (change.clone(), host.clone());
                    self.plans.insert(key, Planned::of(plan));
                }
            }
            (Proven::Warrant(warrant), _) => {
                let basis = &warrant.basis;
                let change = replay.change(&warrant.txn);
                self.people
                    .extend(basis.approvers.iter().map(|signer| signer.person.clone()));
                let run = Run {
                    change: warrant.txn.clone(),
                    host: warrant.aud.clone(),
                    agent: warrant.sub.clone(),
                    owner: change.map(|change| change.owner.clone()),
                    ground: basis.decision,
                    signers: basis.approvers.clone(),
                    policy: basis.policy,
                    issued: Timestamp::from_unix_seconds(warrant.iat),
                    expires: Timestamp::from_unix_seconds(warrant.exp),
                    place,
                    started: None,
                    ended: None,
                };
                self.runs.insert(*warrant.digest(), run);
            }
            (Proven::Started(notice), _) => {
                if let Some(run) = self.runs.get_mut(&notice.warrant) {
                    run.started = Some((notice.started_at, place));
                }
            }
            (Proven::Settled(receipt), _) => {
                if let Some(run) = self.runs.get_mut(&receipt.warrant) {
                    run.ended = Some((receipt.ended_at, receipt.ending, place));
                    if let (None, Some(at)) = (&run.started, receipt.started_at) {
                        run.started = Some((at, place));
                    }
                }
            }
            _ => {}
        }
    }
}

impl Planned {
    fn of(plan: &PreparedPlan) -> Self {
        let version = |version: Option<&countersign_domain::Version>| {
            version
                .map_or("<none>", |version| version.as_str())
                .to_owned()
        };
        let items = plan.steps.iter().map(|step| {
            let one = &step.transition;
            format!(
                "{}:{} ({}, {})",
                one.name,
                one.architecture,
                version(one.old.as_ref()),
                version(one.new.as_ref())
            )
        });
        Self {
            items: items.collect(),
            checks: {
                let names: Vec<_> = plan.checks.iter().map(ToString::to_string).collect();
                names.join(", ")
            },
            way_back: plan.rollback().as_str().to_owned(),
            test: if plan.checks.is_empty() {
                Plan::Missing
            } else {
                Plan::Given
            },
            rollback: if plan.rollback() == RollbackSource::Unavailable {
                Plan::Missing
            } else {
                Plan::Given
            },
        }
    }
}

impl Run {
    fn rows(
        &self,
        plans: &BTreeMap<(ChangeId, HostId), Planned>,
        holds: bool,
        rows: &mut Vec<Row>,
    ) {
        let plan = plans.get(&(self.change.clone(), self.host.clone()));
        let (change, host) = (self.change.to_string(), self.host.to_string());
        let agent = Actor::new(self.agent.to_string(), Nature::Automation);
        let references = vec![Reference::Countersign(change.clone())];
        let until = match &self.ended {
            Some((ended, ..)) => (*ended).max(self.expires),
            None => self.expires,
        };
        let id = format!("countersign:{change}@{host}");
        // Of a log that does not hold, only what hosts are said to have done counts.
        if holds {
            self.record(&id, plan, &agent, &references, until, rows);
        }
        let Some((started, place)) = self.started else {
            return;
        };
        let places = [Some(place), self.ended.map(|(.., place)| place)];
        if matches!(self.ended, Some((_, Ending::NeverStarted, _))) {
            return rows.push(Row::Excluded(Exclusion::Failed));
        }
        let items = plan.map(|plan| plan.items.clone()).unwrap_or_default();
        rows.push(Row::Action(Box::new(Action {
            key: key(
                Format::Countersign,
                &[&change, &host, &self.issued.to_string()],
            ),
            format: Format::Countersign,
            places: places.into_iter().flatten().collect(),
            started: Moment::exact(started),
            ended: self.ended.map(|(ended, ..)| Moment::exact(ended)),
            system: host,
            environment: None,
            summary: match &self.ended {
                Some((_, ending, _)) => format!("{change}: {}", ending.as_str()),
                None => format!("{change}: no receipt yet"),
            },
            items,
            actor: agent,
            references,
        })));
    }

    fn record(
        &self,
        id: &str,
        plan: Option<&Planned>,
        agent: &Actor,
        references: &[Reference],
        until: Timestamp,
        rows: &mut Vec<Row>,
    ) {
        // Who answers for the agent may sign the policy under which it acts, but no change of its.
        let owner = match self.ground {
            Ground::Standing => None,
            Ground::Approved => self.owner.as_ref(),
        };
        let owner = owner.map(person);
        rows.push(Row::Change(Box::new(Change {
            key: id.to_owned(),
            format: Format::Countersign,
            places: vec![self.place],
            number: self.change.to_string(),
            references: references.to_vec(),
            kind: match self.ground {
                Ground::Standing => ChangeKind::Standard,
                Ground::Approved => ChangeKind::Normal,
            },
            targets: vec![self.host.to_string()],
            window: Some((Moment::exact(self.issued), Moment::exact(until))),
            requesters: std::iter::once(agent.clone()).chain(owner).collect(),
            withdrawn: false,
            pending: false,
            unclear: Vec::new(),
            also: Vec::new(),
            head: None,
            test: plan.map_or(Plan::Missing, |plan| plan.test),
            rollback: plan.map_or(Plan::Missing, |plan| plan.rollback),
            named: Naming {
                policy_version: Some(self.policy.to_string()),
                test: plan
                    .map(|plan| plan.checks.clone())
                    .filter(|checks| !checks.is_empty()),
                rollback: plan
                    .filter(|plan| plan.rollback == Plan::Given)
                    .map(|plan| plan.way_back.clone()),
            },
        })));
        for signer in &self.signers {
            rows.push(Row::Decision(Box::new(Decision {
                change: id.to_owned(),
                format: Format::Countersign,
                places: vec![self.place],
                approver: person(&signer.person),
                entered_by: None,
                outcome: Outcome::Approved,
                decided: Some(Moment::exact(signer.at)),
                commit: None,
            })));
        }
    }
}
