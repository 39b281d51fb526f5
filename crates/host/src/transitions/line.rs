//! Reads one line of dpkg's log. Lines are the word of whoever may write there: bounded, and what is
//! not understood is counted and told, never guessed at.

use countersign_domain::package_report::{SeenIn, SeenTransition};
use countersign_domain::{Architecture, PackageName, Timestamp, Version};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What a line says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A package goes from one version to another.
    Transition(SeenTransition),
    /// Something that changes no version, and when.
    Other(Timestamp),
    /// Not a line as dpkg writes it.
    NotUnderstood,
}

/// Words that dpkg begins other lines with.
const OTHER: [&str; 5] = ["startup", "status", "configure", "trigproc", "conffile"];

/// Reads a line without its end. `last` is the time of the line before: where the clock was set back
/// an hour, a time stands for two, and the log's order says which.
pub(super) fn read(line: &[u8], zone: &TimeZone, last: Timestamp) -> Line {
    understood(line, zone, last).unwrap_or(Line::NotUnderstood)
}

fn understood(line: &[u8], zone: &TimeZone, last: Timestamp) -> Option<Line> {
    let line = std::str::from_utf8(line).ok()?;
    let (date, rest) = line.split_once(' ')?;
    let (time, rest) = rest.split_once(' ')?;
    let at = instant(date, time, zone, last)?;
    let mut words = rest.split(' ');
    let action = words.next()?;
    if OTHER.contains(&action) {
        return Some(Line::Other(at));
    }
    let (package, old, new) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() {
        return None;
    }
    let (name, architecture) = package.split_once(':')?;
    let (old, new) = (version(old)?, version(new)?);
    let (old, new) = match action {
        // The old version is that of configuration files that a removal left behind.
        "install" => (None, Some(new?)),
        "upgrade" => (Some(old?), Some(new?)),
        "remove" | "purge" | "disappear" => (Some(old?), None),
        _ => return None,
    };
    Some(Line::Transition(SeenTransition {
        name: PackageName::new(name).ok()?,
        architecture: Architecture::new(architecture).ok()?,
        old,
        new,
        at: Some(at),
        seen_in: SeenIn::PackageLog,
    }))
}

/// A version; `Some(None)` for dpkg's `<none>`.
fn version(word: &str) -> Option<Option<Version>> {
    match word {
        "<none>" => Some(None),
        other => Version::new(other).ok().map(Some),
    }
}

fn instant(date: &str, time: &str, zone: &TimeZone, last: Timestamp) -> Option<Timestamp> {
    if date.len() != 10 || time.len() != 8 {
        return None;
    }
    let local: DateTime = format!("{date}T{time}").parse().ok()?;
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let of = |instant: jiff::Timestamp| Timestamp::from_unix_millis(instant.as_millisecond());
    let earlier = of(ambiguous.earlier().ok()?);
    let later = of(ambiguous.later().ok()?);
    Some(if earlier < last { later } else { earlier })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(text: &str) -> Line {
        read(text.as_bytes(), &TimeZone::UTC, Timestamp::EPOCH)
    }

    fn words(text: &str) -> String {
        let version = |v: &Option<Version>| v.as_ref().map_or("-".into(), Version::to_string);
        match line(text) {
            Line::Transition(seen) => format!(
                "{}:{} {}>{} {}",
                seen.name,
                seen.architecture,
                version(&seen.old),
                version(&seen.new),
                seen.at.unwrap()
            ),
            Line::Other(at) => format!("other {at}"),
            Line::NotUnderstood => "not understood".into(),
        }
    }

    #[test]
    fn lines_are_read_as_dpkg_writes_them() {
        for (text, expected) in [
            ("install cs-web:all <none> 1.0", "cs-web:all ->1.0"),
            ("install cs-web:all 0.9 1.0", "cs-web:all ->1.0"),
            (
                "upgrade libc6:amd64 2.36-9 2.36-10",
                "libc6:amd64 2.36-9>2.36-10",
            ),
            ("upgrade a1:all 1.0 1.0", "a1:all 1.0>1.0"),
            ("remove cs-web:all 1.1 <none>", "cs-web:all 1.1>-"),
            ("purge cs-web:all 1.1 <none>", "cs-web:all 1.1>-"),
            ("disappear cs-web:all 1.1 <none>", "cs-web:all 1.1>-"),
        ] {
            let expected = format!("{expected} 2026-11-21T16:31:02Z");
            assert_eq!(words(&format!("2026-11-21 16:31:02 {text}")), expected);
        }
        for text in [
            "startup archives unpack",
            "status half-configured cs-web:all 1.0",
            "configure cs-web:all 1.0 <none>",
            "trigproc man-db:amd64 2.11 <none>",
            "conffile /etc/x keep",
        ] {
            let expected = "other 2026-11-21T16:31:02Z";
            assert_eq!(
                words(&format!("2026-11-21 16:31:02 {text}")),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn hostile_lines_are_not_understood() {
        for text in [
            "",
            "x",
            "2026-11-21 16:31:02",
            "2026-11-21 16:31:02 ",
            "2026-11-21 25:31:02 upgrade cs-web:all 1.0 1.1",
            "2026-02-30 16:31:02 upgrade cs-web:all 1.0 1.1",
            "2026-11-21 16:31:02 upgrade cs-web 1.0 1.1",
            "2026-11-21 16:31:02 upgrade cs-web:all 1.0",
            "2026-11-21 16:31:02 upgrade cs-web:all 1.0 1.1 1.2",
            "2026-11-21 16:31:02 upgrade cs-web:all <none> 1.1",
            "2026-11-21 16:31:02 upgrade cs-web:all 1.0 <none>",
            "2026-11-21 16:31:02 install cs-web:all <none> <none>",
            "2026-11-21 16:31:02 upgrade Cs\u{1b}[2J:all 1.0 1.1",
            "2026-11-21 16:31:02 upgrade cs-web:all 1.0 $(id)",
            "2026-11-21 16:31:02 approve cs-web:all 1.0 1.1",
            "+99999-11-21 16:31:02 upgrade cs-web:all 1.0 1.1",
        ] {
            assert_eq!(line(text), Line::NotUnderstood, "{text:?}");
        }
        let bytes = b"2026-11-21 16:31:02 upgrade cs\xff:all 1.0 1.1";
        assert_eq!(
            read(bytes, &TimeZone::UTC, Timestamp::EPOCH),
            Line::NotUnderstood
        );
    }

    #[test]
    fn local_times_are_told_in_utc_and_the_order_tells_the_hour_that_comes_twice() {
        // Central Europe: clocks go back on 2026-10-25 at 03:00.
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let at = |time: &str, last: Timestamp| {
            let text = format!("2026-10-25 {time} startup archives unpack");
            match read(text.as_bytes(), &zone, last) {
                Line::Other(at) => at,
                other => panic!("{other:?}"),
            }
        };
        let first = at("02:59:00", Timestamp::EPOCH);
        assert_eq!(first.to_string(), "2026-10-25T00:59:00Z");
        let second = at("02:10:00", first);
        assert_eq!(second.to_string(), "2026-10-25T01:10:00Z");
        assert_eq!(at("03:00:00", second).to_string(), "2026-10-25T02:00:00Z");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes, &TimeZone::UTC, Timestamp::EPOCH);
        }

        #[test]
        fn no_words_make_it_panic(text in "20[0-9]{2}-[0-9]{2}-[0-9]{2} [0-9:]{8} (upgrade|install|remove) \\PC{0,40}") {
            line(&text);
        }
    }
}
