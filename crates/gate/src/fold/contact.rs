//! Applies what tells when a host was last heard of: its enrolment, its reports, its silence.

use super::packages::alarm;
use super::{FoldError, required};
use crate::state::{self, ContactRecord, Record};
use countersign_domain::{HostId, Timestamp};
use countersign_store::Write;
use std::collections::BTreeMap;

/// The kind of the alarm that silence is.
const HOST_SILENT: &str = "host-silent";

/// Hosts that are enrolled now are waited for; those that left are not.
pub(super) fn hosts_replaced<H>(
    tx: &mut dyn Write,
    at: Timestamp,
    before: &BTreeMap<HostId, H>,
    after: &BTreeMap<HostId, H>,
) -> Result<(), FoldError> {
    for gone in before.keys().filter(|host| !after.contains_key(host)) {
        tx.remove_document(ContactRecord::KIND, gone.as_str())?;
    }
    for new in after.keys().filter(|host| !before.contains_key(host)) {
        let record = ContactRecord {
            host: new.clone(),
            since: at,
            reported: false,
            silent: None,
        };
        state::save(tx, &record)?;
    }
    Ok(())
}

/// A host reported: whatever silence there was has ended.
pub(super) fn heard(tx: &mut dyn Write, at: Timestamp, host: &HostId) -> Result<(), FoldError> {
    let record = ContactRecord {
        host: host.clone(),
        since: at,
        reported: true,
        silent: None,
    };
    Ok(state::save(tx, &record)?)
}

/// A host has been silent for too long.
pub(super) fn silent(
    tx: &mut dyn Write,
    index: u64,
    at: Timestamp,
    host: &HostId,
    since: Timestamp,
    reported: bool,
) -> Result<(), FoldError> {
    let mut record: ContactRecord = required(tx, index, host.as_str())?;
    record.silent = Some((at, index));
    state::save(tx, &record)?;
    let text = match reported {
        true => format!("host `{host}` has not reported since {since}"),
        false => format!("host `{host}` was enrolled at {since} and has never reported"),
    };
    alarm(tx, index, at, HOST_SILENT, &text)
}
