//! CISA's catalogue of known exploited vulnerabilities, in its JSON form.
//!
//! Absence from the catalogue is a fact too, so what cannot be read matters: an entry without a
//! readable CVE id is counted, and then absence proves nothing (see `vulnerability`). Nothing else
//! in an entry makes it unreadable.

use super::record::{Intel, IntelRecord, KevEntry, lenient_time};
use super::{Batch, FeedError};
use countersign_domain::package::CveId;
use countersign_domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Catalogue<'a> {
    date_released: Option<Value>,
    count: Option<u64>,
    #[serde(borrow)]
    vulnerabilities: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve_id: String,
    #[serde(default)]
    date_added: Value,
    #[serde(default)]
    due_date: Value,
    #[serde(default)]
    known_ransomware_campaign_use: Value,
}

/// Reads the catalogue into `batch` and gives when it was released.
pub(super) fn read(document: &[u8], batch: &mut Batch) -> Result<Option<Timestamp>, FeedError> {
    let catalogue: Catalogue<'_> = serde_json::from_slice(document).map_err(FeedError::json)?;
    let found = catalogue.vulnerabilities.len() as u64;
    if let Some(stated) = catalogue.count.filter(|stated| *stated != found) {
        return Err(FeedError::Incomplete { stated, found });
    }
    for (at, raw) in catalogue.vulnerabilities.into_iter().enumerate() {
        match entry(raw) {
            Ok(record) => batch.push(record)?,
            Err(why) => batch.skip(format!("vulnerabilities[{at}]"), &why),
        }
    }
    Ok(time(catalogue.date_released.as_ref()))
}

fn entry(raw: &RawValue) -> Result<IntelRecord, String> {
    let entry: Entry = serde_json::from_str(raw.get()).map_err(|error| error.to_string())?;
    Ok(IntelRecord {
        cve: CveId::new(entry.cve_id).map_err(|error| error.to_string())?,
        says: Intel::CisaKev(KevEntry {
            added: time(Some(&entry.date_added)),
            due: time(Some(&entry.due_date)),
            ransomware: entry
                .known_ransomware_campaign_use
                .as_str()
                .is_some_and(|word| word.eq_ignore_ascii_case("known")),
        }),
    })
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value.and_then(Value::as_str).and_then(lenient_time)
}
