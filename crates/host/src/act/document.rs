//! A receipt within the bounds that whoever verifies it holds it to: one that does not fit would be
//! refused for good, and the execution would never be settled.

use crate::words::within;
use countersign_domain::Receipt;
use countersign_domain::emergency::EMERGENCY_RECEIPT_BYTES_MAX;
use countersign_verify::document::EMBEDDED_BYTES_MAX;
use countersign_verify::receipt::{NOTE_BYTES_MAX, NOTES_MAX};

/// Notes within the bounds of a receipt; one that says so stands for those that are left out.
pub(super) fn bounded(notes: Vec<String>) -> Vec<String> {
    let count = notes.len();
    let keep = if count > NOTES_MAX {
        NOTES_MAX - 1
    } else {
        count
    };
    let mut kept: Vec<String> = notes
        .iter()
        .take(keep)
        .map(|note| within(note, NOTE_BYTES_MAX))
        .collect();
    if count > keep {
        kept.push(format!("and {} notes more", count - keep));
    }
    kept
}

/// How long a signed receipt may be, in bytes: one that is recorded together with what a quorum
/// signed in an emergency has less room.
pub(super) const fn bytes_max(is_emergency: bool) -> usize {
    if is_emergency {
        EMERGENCY_RECEIPT_BYTES_MAX
    } else {
        EMBEDDED_BYTES_MAX
    }
}

/// Signs the receipt, leaving out details, then notes, then the list of what is in place, until it
/// takes at most `bytes_max`. How it ended and which checks passed is never left out.
pub(super) fn fitting<E>(
    mut receipt: Receipt,
    bytes_max: usize,
    sign: impl Fn(&Receipt) -> Result<String, E>,
) -> Result<(Receipt, String), E> {
    let steps: [fn(&mut Receipt); 4] = [
        |receipt| {
            for health in receipt.health.iter_mut().filter(|health| health.passed) {
                health.detail = None;
            }
        },
        |receipt| {
            for health in &mut receipt.health {
                health.detail = None;
            }
        },
        |receipt| {
            if receipt.notes.len() > 5 {
                receipt.notes.truncate(5);
                receipt.notes.push("further notes did not fit".into());
            }
        },
        |receipt| {
            let count = receipt.in_place.len();
            receipt.in_place.clear();
            receipt.notes.push(format!(
                "{count} transitions in place: the list did not fit"
            ));
        },
    ];
    let mut signed = sign(&receipt)?;
    for step in steps {
        if signed.len() <= bytes_max {
            break;
        }
        step(&mut receipt);
        signed = sign(&receipt)?;
    }
    Ok((receipt, signed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::emergency::EMERGENCY_SIGNED_BYTES_MAX;
    use countersign_domain::entry::{ENTRY_BYTES_MAX, Entry, Event};
    use countersign_domain::observation::Health;
    use countersign_domain::receipt::Ending;
    use countersign_domain::{Digest, Timestamp, Transition};

    fn receipt(transitions: usize, detail: usize) -> Receipt {
        Receipt {
            v: 1,
            deployment: "localhost/trial".parse().unwrap(),
            host: "sandbox-1".parse().unwrap(),
            change: "chg-1".parse().unwrap(),
            warrant: Digest::of(b"w"),
            started_at: Some(Timestamp::EPOCH),
            ended_at: Timestamp::EPOCH,
            ending: Ending::Failed,
            in_place: (0..transitions)
                .map(|n| Transition {
                    name: format!("{}-{n}", "p".repeat(90)).parse().unwrap(),
                    architecture: "all".parse().unwrap(),
                    old: Some(format!("1.{}", "0".repeat(90)).parse().unwrap()),
                    new: Some(format!("2.{}", "0".repeat(90)).parse().unwrap()),
                    sha256: Some(Digest::of(b"x")),
                })
                .collect(),
            health: (0..64)
                .map(|n| Health {
                    check: format!("check-{n}").parse().unwrap(),
                    passed: n % 2 == 0,
                    detail: Some("d".repeat(detail)),
                })
                .collect(),
            notes: bounded(vec!["n".repeat(400); 30]),
        }
    }

    fn sign(receipt: &Receipt) -> Result<String, ()> {
        // As long as base64 makes it.
        let bytes = countersign_domain::canonical::to_bytes(receipt).unwrap();
        Ok("x".repeat(bytes.len() * 4 / 3 + 200))
    }

    #[test]
    fn notes_keep_to_their_bounds() {
        let notes = receipt(0, 0).notes;
        assert_eq!(notes.len(), NOTES_MAX);
        assert!(notes.iter().all(|note| note.len() <= NOTE_BYTES_MAX));
        assert_eq!(notes[NOTES_MAX - 1], "and 11 notes more");
    }

    #[test]
    fn a_receipt_always_fits_and_keeps_its_ending() {
        let small = receipt(10, 10);
        let whole = fitting(small.clone(), bytes_max(false), sign).unwrap();
        assert_eq!(whole.0, small);
        for is_emergency in [false, true] {
            let bytes_max = bytes_max(is_emergency);
            for (transitions, detail) in [(10, 700), (100, 300), (100, 700)] {
                let long = receipt(transitions, detail);
                let (fitted, signed) = fitting(long, bytes_max, sign).unwrap();
                assert!(signed.len() <= bytes_max, "{transitions}");
                assert_eq!((fitted.ending, fitted.health.len()), (Ending::Failed, 64));
                let listed = fitted.in_place.len();
                assert!(
                    listed == transitions
                        || fitted.notes.iter().any(|note| note.contains("did not fit"))
                );
            }
        }
    }

    #[test]
    fn the_receipt_of_an_emergency_and_what_was_signed_fit_one_entry() {
        let (_, receipt) = fitting(receipt(100, 700), bytes_max(true), sign).unwrap();
        let entry = Entry {
            v: 1,
            deployment: format!("{}.example/trial", "d".repeat(60)).parse().unwrap(),
            at: Timestamp::EPOCH,
            trial: false,
            event: Event::Emergency {
                emergency: "c".repeat(64).parse().unwrap(),
                host: "h".repeat(63).parse().unwrap(),
                order: Digest::of(b"o"),
                plan: Digest::of(b"p"),
                bundle: Digest::of(b"b"),
                statements: Vec::new(),
                receipt: receipt.clone(),
                due_at: Timestamp::EPOCH,
            },
        };
        let bytes = countersign_domain::canonical::to_bytes(&entry).unwrap();
        let frame = bytes.len() - receipt.len();
        let most = frame + EMERGENCY_RECEIPT_BYTES_MAX + EMERGENCY_SIGNED_BYTES_MAX;
        assert!(most <= ENTRY_BYTES_MAX, "{most}");
    }
}
