//! Applies entries about the deployment as a whole: roster, policy, inventory, feeds, observations,
//! halts, alarms.

use super::{FoldError, contact, required};
use crate::state::{
    self, AgentRecord, AlarmRecord, AssetRecord, FeedRecord, HaltRecord, HostRecord,
    InventoryRecord, PendingRecord, PolicyRecord, Record, RosterRecord, SpentRecord, StoredIntel,
};
use countersign_domain::canonical;
use countersign_domain::entry::{Entry, Event};
use countersign_domain::observation::{Observation, PENDING_MAX};
use countersign_domain::roster::Agent;
use countersign_domain::statement::{HaltScope, SignedStatement};
use countersign_domain::warrant::Signer;
use countersign_domain::{AgentId, CveId, Digest, Roster, RosterChange, Timestamp, jws};
use countersign_facts::feed::{self, FeedError, FeedKind, FeedState, Import, Intel, IntelRecord};
use countersign_facts::inventory::Inventory;
use countersign_store::{DocumentQuery, IntelRow, Read, StoreError, Write};
use std::collections::BTreeMap;

/// The kind of the alarm that calendars in force cannot be read: raised once for a policy version.
pub(crate) const CALENDARS_UNREAD: &str = "calendars-unreadable";

pub(super) fn apply(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    match &entry.event {
        Event::Roster { signed } => {
            let change: RosterChange = canonical::from_bytes(signed.change.as_bytes())?;
            let (record, agents, hosts) = match state::load::<RosterRecord>(tx, "current")? {
                None => {
                    let roster = Roster::found(&change)?;
                    let entries = vec![index];
                    let record = RosterRecord { roster, entries };
                    (record, BTreeMap::new(), BTreeMap::new())
                }
                Some(mut record) => {
                    let roster = record.roster.extended(&change)?;
                    let before = std::mem::replace(&mut record.roster, roster);
                    record.entries.push(index);
                    (record, before.agents, before.hosts)
                }
            };
            spend(tx, index, &signed.statements)?;
            agents_replaced(tx, &agents, &record.roster.agents)?;
            contact::hosts_replaced(tx, entry.at, &hosts, &record.roster.hosts)?;
            Ok(state::save(tx, &record)?)
        }
        Event::Policy {
            policy,
            version,
            files,
            review_due_at,
            authors,
            statements,
        } => {
            spend(tx, index, statements)?;
            let record = PolicyRecord {
                policy: *policy,
                version: *version,
                index,
                at: entry.at,
                files: files.clone(),
                review_due_at: *review_due_at,
                authors: authors.clone(),
                signers: signers(index, statements)?,
                calendars_alarm: None,
            };
            Ok(state::save(tx, &record)?)
        }
        Event::Inventory {
            inventory,
            statements,
            ..
        } => {
            spend(tx, index, statements)?;
            inventory_replaced(tx, index, entry.at, inventory)
        }
        Event::Feed { .. } => feed_imported(tx, index, entry),
        Event::Observed {
            host,
            observation,
            observed_at,
        } => {
            let record = HostRecord {
                host: host.clone(),
                observation: *observation,
                observed_at: *observed_at,
                received_at: entry.at,
                index,
            };
            state::save(tx, &record)?;
            contact::heard(tx, entry.at, host)?;
            pending_replaced(tx, index, &record)
        }
        Event::HostSilent {
            host,
            since,
            reported,
        } => contact::silent(tx, index, entry.at, host, *since, *reported),
        Event::Halted {
            halt,
            epoch,
            statement,
        } => {
            spend(tx, index, std::slice::from_ref(statement))?;
            let mut record = state::load::<HaltRecord>(tx, "current")?.unwrap_or_default();
            record.epoch = *epoch;
            record.active.insert(halt_key(halt)?, (halt.clone(), index));
            Ok(state::save(tx, &record)?)
        }
        Event::Resumed {
            halt,
            epoch,
            statements,
        } => {
            spend(tx, index, statements)?;
            let mut record: HaltRecord = required(tx, index, "current")?;
            record.epoch = *epoch;
            record.active.remove(&halt_key(halt)?);
            Ok(state::save(tx, &record)?)
        }
        Event::Alarm { kind, change, text } => {
            let record = AlarmRecord {
                index,
                at: entry.at,
                kind: kind.clone(),
                change: change.clone(),
                text: text.clone(),
            };
            state::save(tx, &record)?;
            if kind == CALENDARS_UNREAD
                && let Some(mut policy) = state::load::<PolicyRecord>(tx, "current")?
            {
                policy.calendars_alarm = Some(index);
                state::save(tx, &policy)?;
            }
            Ok(())
        }
        Event::Proposed { .. }
        | Event::Prepared { .. }
        | Event::Unprepared { .. }
        | Event::Decided { .. }
        | Event::Voted { .. }
        | Event::Authorized { .. }
        | Event::Started { .. }
        | Event::Settled { .. }
        | Event::ExecutionClosed { .. }
        | Event::ExecutionReconciled { .. }
        | Event::EndingStated { .. }
        | Event::Closed { .. }
        | Event::ReviewRequired { .. }
        | Event::ReviewOverdue { .. }
        | Event::Reviewed { .. }
        | Event::PackagesReported { .. }
        | Event::Unwarranted { .. }
        | Event::UnwarrantedReviewed { .. }
        | Event::UnwarrantedOverdue { .. }
        | Event::Emergency { .. }
        | Event::EmergencyReviewed { .. }
        | Event::EmergencyOverdue { .. }
        | Event::CrossCommitted { .. } => Ok(()),
    }
}

/// Writes the agents that the roster has now and had not, or not like this, before.
fn agents_replaced(
    tx: &mut dyn Write,
    before: &BTreeMap<AgentId, Agent>,
    after: &BTreeMap<AgentId, Agent>,
) -> Result<(), FoldError> {
    for gone in before.keys().filter(|agent| !after.contains_key(agent)) {
        tx.remove_document(AgentRecord::KIND, gone.as_str())?;
    }
    for (agent, entry) in after {
        if before.get(agent) != Some(entry) {
            let record = AgentRecord {
                agent: agent.clone(),
                owner: entry.owner.clone(),
            };
            state::save(tx, &record)?;
        }
    }
    Ok(())
}

/// The key under which a halt stands: its canonical text.
pub(crate) fn halt_key(halt: &HaltScope) -> Result<String, FoldError> {
    Ok(canonical::to_text(halt)?)
}

/// Remembers the statements' nonces, so that none is used twice.
pub(super) fn spend(
    tx: &mut dyn Write,
    index: u64,
    statements: &[SignedStatement],
) -> Result<(), FoldError> {
    for signed in statements {
        let statement = signed.unverified()?;
        let record = SpentRecord {
            person: statement.approver,
            nonce: statement.nonce,
            index,
        };
        state::save(tx, &record)?;
    }
    Ok(())
}

fn signers(index: u64, statements: &[SignedStatement]) -> Result<Vec<Signer>, FoldError> {
    let mut signers = statements
        .iter()
        .map(|signed| {
            let statement = signed.unverified()?;
            Ok(Signer {
                person: statement.approver,
                at: statement.signed_at,
            })
        })
        .collect::<Result<Vec<_>, countersign_domain::canonical::CanonicalError>>()
        .map_err(|error| FoldError::Unreadable {
            index,
            problem: error.to_string(),
        })?;
    signers.sort();
    Ok(signers)
}

/// Each pending upgrade becomes a document of its own, so that a decision looks up the packages it
/// is about only.
fn pending_replaced(tx: &mut dyn Write, index: u64, host: &HostRecord) -> Result<(), FoldError> {
    let query = DocumentQuery {
        key_prefix: Some(&PendingRecord::key_prefix(&host.host)),
        limit: PENDING_MAX,
        ..Default::default()
    };
    for document in state::documents::<PendingRecord>(tx, &query)? {
        tx.remove_document(PendingRecord::KIND, &document.key)?;
    }
    let blob = tx
        .blob(&host.observation)?
        .ok_or_else(|| FoldError::Unknown {
            index,
            what: format!("observation {}", host.observation),
        })?;
    let unreadable = |problem: String| FoldError::Unreadable { index, problem };
    let text = std::str::from_utf8(&blob.bytes).map_err(|error| unreadable(error.to_string()))?;
    let parts = jws::take_apart(text).map_err(|error| unreadable(error.to_string()))?;
    let observation: Observation =
        canonical::from_bytes(&parts.payload).map_err(|error| unreadable(error.to_string()))?;
    for upgrade in observation.pending {
        let record = PendingRecord {
            host: host.host.clone(),
            observation: host.observation,
            observed_at: host.observed_at,
            index,
            upgrade,
        };
        state::save(tx, &record)?;
    }
    Ok(())
}

/// Every asset becomes a document of its own, so that a decision looks up its targets only.
fn inventory_replaced(
    tx: &mut dyn Write,
    index: u64,
    at: Timestamp,
    inventory: &Digest,
) -> Result<(), FoldError> {
    if let Some(old) = state::load::<InventoryRecord>(tx, "current")? {
        for asset in read_inventory(tx, index, &old.inventory)?.assets() {
            tx.remove_document(AssetRecord::KIND, asset.host.as_str())?;
        }
    }
    let mut assets = BTreeMap::new();
    for asset in read_inventory(tx, index, inventory)?.assets() {
        *assets.entry(asset.environment).or_insert(0) += 1;
        let record = AssetRecord {
            asset: asset.clone(),
        };
        state::save(tx, &record)?;
    }
    let record = InventoryRecord {
        inventory: *inventory,
        index,
        at,
        assets,
    };
    Ok(state::save(tx, &record)?)
}

fn read_inventory(tx: &dyn Read, index: u64, digest: &Digest) -> Result<Inventory, FoldError> {
    let blob = tx.blob(digest)?.ok_or_else(|| FoldError::Unknown {
        index,
        what: format!("inventory {digest}"),
    })?;
    Inventory::parse(&blob.bytes).map_err(|error| FoldError::Unreadable {
        index,
        problem: error.to_string(),
    })
}

/// Intelligence is read again from the document that the entry names, so that its rows can be
/// rebuilt like everything else.
fn feed_imported(tx: &mut dyn Write, index: u64, entry: &Entry) -> Result<(), FoldError> {
    let Event::Feed {
        feed: name,
        document,
        source,
        records,
        live,
        ..
    } = &entry.event
    else {
        return Ok(());
    };
    let blob = tx.blob(document)?.ok_or_else(|| FoldError::Unknown {
        index,
        what: format!("document {document}"),
    })?;
    let unreadable = |error: FeedError| FoldError::Unreadable {
        index,
        problem: error.to_string(),
    };
    let import = feed::read(blob.bytes.as_slice(), &feed::Limits::default()).map_err(unreadable)?;
    let state = FeedState::new(&import, source, *live, entry.at);
    put_records(tx, name, &import, &state)?;
    let record = FeedRecord {
        feed: name.clone(),
        import: state,
        records: *records,
        index,
    };
    Ok(state::save(tx, &record)?)
}

/// A catalogue replaces the one before; CVE records come in parts, each with its own import, and
/// the newer of two stands.
fn put_records(
    tx: &mut dyn Write,
    name: &str,
    import: &Import,
    state: &FeedState,
) -> Result<(), FoldError> {
    let row = |record: &IntelRecord, import: Option<&FeedState>| {
        let stored = StoredIntel {
            record: record.clone(),
            import: import.cloned(),
        };
        Ok(IntelRow {
            feed: name.to_owned(),
            cve: record.cve.clone(),
            body: canonical::to_text(&stored)?,
        })
    };
    match import.kind {
        FeedKind::CisaKev | FeedKind::Epss => {
            let rows: Result<Vec<_>, FoldError> = import
                .records()
                .iter()
                .map(|record| row(record, None))
                .collect();
            tx.put_intel(name, true, &mut rows?.into_iter())?;
        }
        FeedKind::Cve => {
            for chunk in import.records().chunks(500) {
                let older = older_records(tx, name, chunk)?;
                let newer = chunk.iter().filter(|record| {
                    older
                        .get(&record.cve)
                        .is_none_or(|kept| updated_at(kept) <= updated_at(record))
                });
                let rows: Result<Vec<_>, FoldError> =
                    newer.map(|record| row(record, Some(state))).collect();
                tx.put_intel(name, false, &mut rows?.into_iter())?;
            }
        }
        // Read from its document where it is used.
        FeedKind::SsvcTable => {}
    }
    Ok(())
}

fn older_records(
    tx: &dyn Read,
    name: &str,
    records: &[IntelRecord],
) -> Result<BTreeMap<CveId, IntelRecord>, FoldError> {
    let cves: Vec<CveId> = records.iter().map(|record| record.cve.clone()).collect();
    tx.intel(&cves)?
        .into_iter()
        .filter(|row| row.feed == name)
        .map(|row| {
            let stored: StoredIntel = serde_json::from_str(&row.body).map_err(|error| {
                StoreError::Damaged(format!("{} of {}: {error}", row.feed, row.cve))
            })?;
            Ok((row.cve, stored.record))
        })
        .collect()
}

const fn updated_at(record: &IntelRecord) -> Option<Timestamp> {
    match &record.says {
        Intel::Cve(says) => says.updated_at,
        Intel::CisaKev(_) | Intel::Epss(_) => None,
    }
}
