//! Holds what hosts saw of their packages against the warrants they were given. Whatever no warrant
//! covers is an alarm and waits for a human (invariants 1 and 8). Detection only: it undoes nothing.

mod closing;
mod matching;

use crate::error::GateError;
use crate::state::{self, PackagesRecord, Record, UnwarrantedRecord};
use crate::vote::{govern, keep_rationale, unspent, verified};
use crate::{Frame, Gate, keep};
use countersign_domain::entry::Event;
use countersign_domain::package_report::{InstalledPackage, PackageReport, SeenTransition};
use countersign_domain::statement::{SignedStatement, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{Digest, HostId, Timestamp, canonical, jws};
use countersign_policy::HumanAction;
use countersign_store::{DocumentQuery, Read, StoreError, Write};
use matching::Ledger;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// How far a host's clock may be ahead, in seconds.
const SKEW_SECONDS: i64 = 120;
/// Differences that no log line explains and that become findings of one report, at most; an alarm
/// says how many more there are.
const FINDINGS_MAX: usize = 1_000;
/// Reports between two lists of what is installed at most.
const SINCE_MAX: usize = 200;
/// Findings in one answer at most.
const LISTED_MAX: usize = 1_000;

impl Gate {
    /// Takes a signed report of a host's packages. The same again changes nothing.
    ///
    /// # Errors
    /// When it is not signed by that host, is out of bounds, from the future, or does not follow the
    /// report before; hint: a host that lost its place begins at 1 again.
    pub async fn packages_reported(
        &self,
        host: &HostId,
        report: String,
        now: Timestamp,
    ) -> Result<(), GateError> {
        retried!(self.reported_once(host, report.clone(), now))
    }

    async fn reported_once(
        &self,
        host: &HostId,
        signed: String,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let world = self.world()?;
        let report =
            countersign_verify::package_report::verify(&signed, &world.roster)?.into_inner();
        if report.host != *host {
            return Err(GateError::Forbidden(format!(
                "the report is of host `{}`",
                report.host
            )));
        }
        if report.observed_at > now.plus_seconds(SKEW_SECONDS) {
            return Err(GateError::invalid(
                "observed_at",
                format!(
                    "{} is in the future here ({now}); set the host's clock",
                    report.observed_at
                ),
            ));
        }
        let within = i64::from(world.policy()?.policy.settings().defaults.review_within);
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            take(tx, &frame, &report, signed, within)
        })
        .await
    }

    /// Transitions that no warrant covers, the newest first, at most a thousand: of one host or
    /// all, and those that somebody has looked at only where they are asked for.
    ///
    /// # Errors
    /// When storage fails.
    pub fn unwarranted(
        &self,
        host: Option<&HostId>,
        reviewed: bool,
    ) -> Result<Vec<UnwarrantedRecord>, GateError> {
        let open = [UnwarrantedRecord::OPEN];
        self.view(|view, _| {
            let mut records: Vec<UnwarrantedRecord> = Vec::new();
            let mut query = DocumentQuery {
                states: if reviewed { &[] } else { &open },
                limit: LISTED_MAX,
                ..Default::default()
            };
            // Page after page, so that one host's many do not hide another's few.
            while records.len() < LISTED_MAX {
                let page = state::documents::<UnwarrantedRecord>(view, &query)?;
                let Some(last) = page.last() else { break };
                query.before = Some(last.order);
                for document in &page {
                    let record: UnwarrantedRecord = state::parse(document)?;
                    if host.is_none_or(|host| *host == record.host) {
                        records.push(record);
                    }
                }
            }
            records.truncate(LISTED_MAX);
            Ok(records)
        })
    }

    /// Takes a human's signed look at a transition that no warrant covers.
    ///
    /// # Errors
    /// When the signature does not hold, nothing waits for it, or the person may not review.
    pub async fn review_unwarranted(
        &self,
        finding: u64,
        signed: SignedStatement,
        note: Option<SaltedText>,
        now: Timestamp,
    ) -> Result<(), GateError> {
        let world = self.world()?;
        let verified = verified(&world, &signed, now)?;
        let Subject::Unwarranted {
            finding: stated,
            entry,
            note: note_digest,
            ..
        } = verified.statement().subject.clone()
        else {
            return Err(GateError::invalid(
                "statement",
                "is not a review of a transition",
            ));
        };
        if stated != finding {
            return Err(GateError::invalid(
                "statement",
                "is about another transition",
            ));
        }
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            unspent(tx, verified.statement())?;
            let key = UnwarrantedRecord::key_of(finding);
            let record = state::load::<UnwarrantedRecord>(tx, &key)?.ok_or_else(|| {
                GateError::not_found("unwarranted transition", &finding.to_string())
            })?;
            if record.reviewed.is_some() {
                return Err(GateError::Conflict(
                    "somebody has looked at it already".into(),
                ));
            }
            if record.entry != entry {
                return Err(GateError::Conflict(
                    "what was signed is not what was found; look at it again".into(),
                ));
            }
            govern(&world, &verified.statement().approver, HumanAction::Review)?;
            keep_rationale(tx, note.as_ref(), note_digest)?;
            frame.append(
                tx,
                Event::UnwarrantedReviewed {
                    finding,
                    statement: signed,
                },
            )?;
            Ok(())
        })
        .await
    }
}

impl Gate {
    /// Nobody has looked at it in time: an alarm, and the next rung. True when it was still due.
    pub(crate) async fn unwarranted_overdue(
        &self,
        finding: u64,
        rung_seconds: i64,
        now: Timestamp,
    ) -> Result<bool, GateError> {
        let world = self.world()?;
        let frame = Frame::new(&world, now);
        self.submit(&Arc::clone(&world), move |tx| {
            let key = UnwarrantedRecord::key_of(finding);
            let due = state::load::<UnwarrantedRecord>(tx, &key)?
                .filter(|record| record.due_at().is_some_and(|due_at| due_at <= now));
            let Some(record) = due else {
                return Ok(false);
            };
            frame.append(
                tx,
                Event::UnwarrantedOverdue {
                    finding,
                    rung: record.rung.saturating_add(1),
                    due_at: now.plus_seconds(rung_seconds),
                },
            )?;
            Ok(true)
        })
        .await
    }
}

/// Takes a report that was verified, in one transaction with all that it shows.
fn take(
    tx: &mut dyn Write,
    frame: &Frame,
    report: &PackageReport,
    signed: String,
    review_within_seconds: i64,
) -> Result<(), GateError> {
    let digest = Digest::of(signed.as_bytes());
    let before = state::load::<PackagesRecord>(tx, report.host.as_str())?;
    if before
        .as_ref()
        .is_some_and(|before| before.report == digest)
    {
        return Ok(());
    }
    follows(report, before.as_ref())?;
    let mut found = Vec::new();
    let mut explained = Vec::new();
    let mut more = 0;
    let mut held = None;
    if let Some(before) = &before {
        let mut running = Ledger::new(
            installed(tx, &before.listed)?,
            state::warranted(tx, &report.host)?,
            before.whole_at,
            tx,
        )?;
        // A host that begins anew has told no transition since: what it had told stands.
        for earlier in &before.since {
            for seen in &read(tx, earlier)?.transitions {
                running.replay(seen);
            }
        }
        for seen in &report.transitions {
            running.see(seen);
        }
        if let Some(state) = &report.installed {
            let now_installed = match &state.packages {
                Some(packages) => packages.clone(),
                None => installed(tx, &before.listed)?,
            };
            running.compare(now_installed, report.observed_at);
        }
        (found, explained) = running.take_findings();
        held = report.installed.is_some().then_some(running);
        more = found.len().saturating_sub(FINDINGS_MAX);
        found.truncate(FINDINGS_MAX);
    }
    keep(tx, signed.into_bytes())?;
    frame.append(
        tx,
        Event::PackagesReported {
            host: report.host.clone(),
            report: digest,
            sequence: report.sequence,
            observed_at: report.observed_at,
            installed: report.installed.as_ref().map(|state| state.digest),
            listed: report
                .installed
                .as_ref()
                .is_some_and(|state| state.packages.is_some()),
            explained,
        },
    )?;
    let due_at = frame.at.plus_seconds(review_within_seconds);
    for transition in found {
        unwarranted(tx, frame, &report.host, digest, transition, due_at)?;
    }
    let host = &report.host;
    if let Some(held) = &held {
        closing::close(tx, frame, host, digest, report.observed_at, held)?;
    }
    if more > 0 {
        let text = format!("host `{host}`: {more} more packages changed without a warrant");
        frame.alarm(tx, crate::fold::UNWARRANTED, None, text)?;
    }
    if before.is_some() && report.sequence == 1 {
        let text = format!("host `{host}` lost its place in its package log and began anew");
        frame.alarm(tx, "package-reports-begun-anew", None, text)?;
    }
    if let Some(gap) = report.gaps.first() {
        let text = format!("host `{host}`, {} gaps: {gap}", report.gaps.len());
        frame.alarm(tx, "package-log-gap", None, text)?;
    }
    Ok(())
}

fn unwarranted(
    tx: &mut dyn Write,
    frame: &Frame,
    host: &HostId,
    report: Digest,
    transition: SeenTransition,
    due_at: Timestamp,
) -> Result<(), GateError> {
    frame.append(
        tx,
        Event::Unwarranted {
            host: host.clone(),
            report,
            transition,
            due_at,
        },
    )?;
    Ok(())
}

/// INVARIANT: reports of a host form one chain, so that no transition is told twice or left out.
fn follows(report: &PackageReport, before: Option<&PackagesRecord>) -> Result<(), GateError> {
    let Some(before) = before else {
        return if report.sequence == 1 {
            Ok(())
        } else {
            Err(GateError::Conflict(
                "no report of this host is known here; begin at 1".into(),
            ))
        };
    };
    if report.observed_at < before.observed_at {
        return Err(GateError::Conflict(
            "a later report of this host is there already".into(),
        ));
    }
    let next = report.sequence == before.sequence.saturating_add(1)
        && report.previous == Some(before.report);
    if !next && report.sequence != 1 {
        return Err(GateError::Conflict(format!(
            "it does not follow report {} of this host; begin at 1",
            before.sequence
        )));
    }
    if let Some(state) = &report.installed
        && state.packages.is_none()
        && state.digest != before.installed
    {
        return Err(GateError::invalid(
            "installed",
            "the list is left out, but it is not the one that was told last",
        ));
    }
    if report.installed.is_none() && before.since.len() >= SINCE_MAX {
        return Err(GateError::invalid(
            "installed",
            "too many reports without a list of what is installed",
        ));
    }
    Ok(())
}

/// A report that was verified when it was taken.
fn read(store: &dyn Read, digest: &Digest) -> Result<PackageReport, GateError> {
    read_signed(store, digest)
}

/// A document that was verified when it was taken.
fn read_signed<T: Serialize + DeserializeOwned>(
    store: &dyn Read,
    digest: &Digest,
) -> Result<T, GateError> {
    let damaged = |problem: String| StoreError::Damaged(format!("document {digest}: {problem}"));
    let blob = store
        .blob(digest)?
        .ok_or_else(|| damaged("is missing".into()))?;
    let text = std::str::from_utf8(&blob.bytes).map_err(|error| damaged(error.to_string()))?;
    let parts = jws::take_apart(text).map_err(|error| damaged(error.to_string()))?;
    Ok(canonical::from_bytes(&parts.payload).map_err(|error| damaged(error.to_string()))?)
}

/// The list of what was installed that a report holds.
fn installed(store: &dyn Read, digest: &Digest) -> Result<Vec<InstalledPackage>, GateError> {
    let listed = read(store, digest)?.installed;
    let packages = listed.and_then(|state| state.packages);
    Ok(packages
        .ok_or_else(|| StoreError::Damaged(format!("report {digest} lists nothing installed")))?)
}
