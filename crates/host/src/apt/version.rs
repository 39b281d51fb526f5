//! The order of Debian versions (policy 5.6.12), by a library; what it cannot read has no order.

use countersign_domain::Version;
use std::cmp::Ordering;

/// How two versions stand to each other; `None` when either is malformed.
#[must_use]
pub fn compare(a: &Version, b: &Version) -> Option<Ordering> {
    let read = |version: &Version| version.as_str().parse::<debversion::Version>().ok();
    Some(read(a)?.cmp(&read(b)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_debians_order() {
        for (a, b, expected) in [
            ("1.0", "1.1", Ordering::Less),
            ("1.0~rc1", "1.0", Ordering::Less),
            ("1:0.9", "2.0", Ordering::Greater),
            ("5.2.15-2+b8", "5.2.15-2+b13", Ordering::Less),
            ("3.0.9-1", "3.0.10-1", Ordering::Less),
            ("1.0-1", "1.0-1", Ordering::Equal),
        ] {
            let (a, b) = (Version::new(a).unwrap(), Version::new(b).unwrap());
            assert_eq!(compare(&a, &b), Some(expected), "{a} {b}");
        }
    }
}
