//! FIRST's EPSS scores as the daily CSV: a comment line with the model and the day, a header, and a
//! line for each CVE. The form has no quotes, so lines are cut at commas and nothing more.

use super::record::{EpssScore, Intel, IntelRecord, lenient_time};
use super::{Batch, FeedError};
use countersign_domain::package::CveId;
use countersign_domain::time::Timestamp;
use std::io::{BufRead, Read};

/// The longest line, in bytes.
const LINE_BYTES_MAX: u64 = 1024;

/// Reads the scores into `batch` and gives the day they are for.
pub(super) fn read(
    mut document: impl BufRead,
    batch: &mut Batch,
) -> Result<Option<Timestamp>, FeedError> {
    let mut score_date = None;
    let mut header_seen = false;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        // Borrowed anew for each line, so that the bound is the line's own.
        (&mut document)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        let broken = |why: &str| FeedError::Broken {
            position: format!("line {number}"),
            why: why.to_owned(),
        };
        if line.len() as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
            return Err(broken("the line is longer than 1024 bytes"));
        }
        let text = std::str::from_utf8(&line).map_err(|_| broken("not UTF-8 text"))?;
        let text = text.trim_end_matches(['\n', '\r']);
        if let Some(comment) = text.strip_prefix('#') {
            score_date = score_date.or_else(|| {
                comment
                    .split(',')
                    .find_map(|part| part.strip_prefix("score_date:"))
                    .and_then(score_time)
            });
        } else if !header_seen {
            if text != "cve,epss,percentile" {
                return Err(broken("the header `cve,epss,percentile` was expected"));
            }
            header_seen = true;
        } else if !text.is_empty() {
            match score(text) {
                Ok(record) => batch.push(record)?,
                Err(why) => batch.skip(format!("line {number}"), &why),
            }
        }
    }
    if header_seen {
        Ok(score_date)
    } else {
        Err(FeedError::Broken {
            position: "the end".into(),
            why: "the header `cve,epss,percentile` was expected".into(),
        })
    }
}

/// The score date, which older files write with the offset `+0000`.
fn score_time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    lenient_time(text).or_else(|| lenient_time(text.strip_suffix("+0000")?))
}

fn score(line: &str) -> Result<IntelRecord, String> {
    let mut fields = line.split(',');
    let (Some(cve), Some(epss), Some(percentile), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return Err("three fields were expected".into());
    };
    Ok(IntelRecord {
        cve: CveId::new(cve).map_err(|error| error.to_string())?,
        says: Intel::Epss(EpssScore {
            ten_thousandths: ten_thousandths(epss)?,
            percentile_ten_thousandths: ten_thousandths(percentile)?,
        }),
    })
}

/// A number from 0 to 1 in ten-thousandths, rounded to the nearest.
fn ten_thousandths(text: &str) -> Result<u16, String> {
    let value: f64 = text
        .parse()
        .ok()
        .filter(|value| (0.0..=1.0).contains(value))
        .ok_or("a number from 0 to 1 was expected")?;
    // Within 0 to 10,000 by the filter above, so nothing is cut.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok((value * 10_000.0).round() as u16)
}
