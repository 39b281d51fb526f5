//! What calendars are refused for, and where it says the fault is.

use super::*;

#[test]
fn whatever_is_not_understood_is_refused_with_its_place() {
    let good = "DTSTART:20261121T100000Z\nDTEND:20261121T140000Z";
    for (lines, line, problem) in [
        ("DTSTART:20261121T100000Z", 4, "has no length"),
        (
            "DTSTART:20261121T100000Z\nDTEND:20261121T100000Z",
            4,
            "has no length",
        ),
        (
            "DTSTART:20261121T100000Z\nDURATION:-PT1H",
            8,
            "`DURATION` cannot be read",
        ),
        (
            "DTSTART:20261121T100000Z\nDURATION:1H",
            8,
            "`DURATION` cannot be read",
        ),
        (
            "DTSTART:20261121T100000Z\nDTEND:20361221T140000Z",
            4,
            "more than 3660 days",
        ),
        ("DTEND:20261121T100000Z", 4, "`DTSTART` is missing"),
        ("DTSTART:20261121T100000\nDURATION:PT1H", 7, "X-WR-TIMEZONE"),
        ("DTSTART;VALUE=DATE:20261121", 7, "X-WR-TIMEZONE"),
        ("DTSTART:20261121", 7, "does not go with it"),
        (
            "DTSTART;TZID=Europe/Berlin:20261121T100000Z\nDURATION:PT1H",
            7,
            "does not go with it",
        ),
        (
            "DTSTART;TZID=Europe/Berlim:20261121T100000\nDURATION:PT1H",
            4,
            "Europe/Berlim",
        ),
        (
            "DTSTART;LANGUAGE=de:20261121T100000Z\nDURATION:PT1H",
            7,
            "does not go with it",
        ),
        (
            "DTSTART:20260231T100000Z\nDURATION:PT1H",
            7,
            "`20260231T100000Z` is no time",
        ),
        ("DTSTART:2026+1+1T100000Z\nDURATION:PT1H", 7, "is no time"),
        ("DTSTART:21010101T100000Z\nDURATION:PT1H", 7, "is no time"),
        (
            "DTSTART:2026-11-21T10:00:00Z\nDURATION:PT1H",
            7,
            "is no time",
        ),
        (
            "DTSTART:20261121T100000Z\nDTEND;TZID=Europe/Berlin:20261121T140000",
            4,
            "in the same zone",
        ),
        (
            "DTSTART:20261121T100000Z\nDTSTART:20261121T110000Z\nDURATION:PT1H",
            8,
            "`DTSTART` is there twice",
        ),
        (
            "RULE:FREQ=DAILY\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "`RULE` is not understood",
        ),
        (
            "EXRULE:FREQ=DAILY\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "`EXRULE` is not understood",
        ),
        (
            "DUE:20261121T100000Z\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "`DUE` is not understood",
        ),
        (
            "STATUS:MAYBE\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "STATUS is",
        ),
        (
            "nonsense\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "`nonsense` is no line",
        ),
        (
            "BEGIN:X\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            10,
            "does not match",
        ),
        (
            "BEGIN:VEVENT\nUID:2\nEND:VEVENT\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "`VEVENT` is not read",
        ),
        (
            "SUMMARY;ENCODING=QUOTED-PRINTABLE:a=\nDTSTART:20261121T100000Z",
            7,
            "`SUMMARY` cannot be read",
        ),
        (
            "RDATE;VALUE=PERIOD:20261122T100000Z/PT1H\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "does not go with it",
        ),
        (
            "RECURRENCE-ID;RANGE=THISANDFUTURE:20261121T100000Z\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            7,
            "RANGE is not read",
        ),
        (
            "EXDATE:20261122T100000Z\nDTSTART:20261121T100000Z\nDURATION:PT1H",
            4,
            "`EXDATE` names no occurrence",
        ),
    ] {
        let error = read(&[("calendars/freezes.ics", &one(lines))]).unwrap_err();
        assert!(error.to_string().contains(problem), "{lines}\n  {error}");
        assert_eq!(error.line, Some(line), "{lines}\n  {error}");
    }
    for (text, problem) in [
        (String::new(), "one VCALENDAR"),
        ("BEGIN:VCALENDAR\n".into(), "BEGIN has no END"),
        (one(good).replace("VERSION:2.0\n", ""), "one VCALENDAR"),
        (
            one(good).replace("VERSION:2.0", "VERSION:1.0"),
            "one VCALENDAR",
        ),
        (
            one(good).replace("VERSION:2.0", "VERSION:2.0\nMETHOD:CANCEL"),
            "one VCALENDAR",
        ),
        (
            one(good).replace("VERSION:2.0", "VERSION:2.0\nCALSCALE:JULIAN"),
            "one VCALENDAR",
        ),
        (one(good).replace("UID:e1\n", ""), "`UID` is missing"),
        (one(good).replace("VEVENT", "VTODO"), "`VTODO` is not read"),
        (
            one(good).replace("END:VEVENT", "END:VTODO"),
            "does not match",
        ),
        (format!("{}{}", one(good), one(good)), "one VCALENDAR"),
        (format!("{}more", one(good)), "`more` is no line"),
        ("BEGIN:VEVENT\nEND:VEVENT".into(), "one VCALENDAR"),
        ("BEGIN:A\n".repeat(9), "too deeply"),
    ] {
        let error = read(&[("calendars/freezes.ics", &text)]).unwrap_err();
        assert!(error.to_string().contains(problem), "{text}\n  {error}");
    }
    let bytes = b"BEGIN:VCALENDAR\n\xff";
    let error = Calendars::read([("calendars/freezes.ics", &bytes[..])]).unwrap_err();
    assert_eq!((error.problem, error.line), (Problem::Encoding, Some(2)));
}

#[test]
fn the_event_at_fault_is_named_and_cannot_deceive_the_terminal() {
    let text = one("DTSTART:20261121T100000Z").replace("UID:e1", "UID:red\u{1b}[31m\u{202e}");
    let error = read(&[("calendars/freezes.ics", &text)]).unwrap_err();
    let shown = error.to_string();
    assert!(
        shown.starts_with("`calendars/freezes.ics`, line 4, event `red\\u{1b}[31m\\u{202e}`:"),
        "{shown}"
    );
}

#[test]
fn rules_that_are_not_wholly_understood_are_refused() {
    for (rule, problem) in [
        ("FREQ=SECONDLY", "more often than every hour"),
        ("FREQ=MINUTELY;INTERVAL=90", "more often than every hour"),
        ("FREQ=DAILY;BYMINUTE=0,30", "more often than every hour"),
        ("FREQ=DAILY;BYSECOND=0,30", "more often than every hour"),
        ("FREQ=DAILY;BYSECOND=60", "leap second"),
        ("FREQ=FORTNIGHTLY", "cannot be read"),
        ("INTERVAL=2", "cannot be read"),
        ("FREQ=DAILY;BYDAYS=MO", "`BYDAYS` is not understood"),
        ("FREQ=DAILY;RSCALE=HEBREW", "`RSCALE` is not understood"),
        ("FREQ=DAILY;COUNT=2;COUNT=3", "twice"),
        ("FREQ=DAILY;COUNT", "no part of a rule"),
        ("FREQ=DAILY;", "no part of a rule"),
        ("FREQ=DAILY;COUNT=0", "COUNT is from 1"),
        ("FREQ=DAILY;COUNT=10001", "COUNT is from 1"),
        ("FREQ=DAILY;INTERVAL=0", "cannot be read"),
        ("FREQ=DAILY;INTERVAL=1001", "INTERVAL is at most"),
        ("FREQ=WEEKLY;BYDAY=", "cannot be read"),
        ("FREQ=WEEKLY;BYDAY=SA,", "cannot be read"),
        ("FREQ=WEEKLY;BYDAY=1SA", "BYDAY ordinal"),
        ("FREQ=MONTHLY;BYDAY=0SA", "BYDAY counts"),
        ("FREQ=MONTHLY;BYMONTHDAY=32", "cannot be read"),
        (
            "FREQ=DAILY;COUNT=2;UNTIL=20261201T000000Z",
            "UNTIL and COUNT",
        ),
        ("FREQ=DAILY;UNTIL=20261201", "UNTIL is a date where"),
        ("FREQ=DAILY;UNTIL=20261201T000000", "UNTIL is a date where"),
        ("FREQ=DAILY;UNTIL=20261101T000000Z", "UNTIL is a date where"),
        ("FREQ=WEEKLY;BYDAY=MO", "not an occurrence of its own"),
        (
            "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
            "not an occurrence of its own",
        ),
    ] {
        let lines = format!("DTSTART:20261121T100000Z\nDURATION:PT1H\nRRULE:{rule}");
        let error = read(&[("calendars/freezes.ics", &one(&lines))]).unwrap_err();
        assert!(error.to_string().contains(problem), "{rule}\n  {error}");
    }
}

#[test]
fn sizes_are_bounded() {
    let large = one(&format!(
        "DTSTART:20261121T100000Z\nDURATION:PT1H\nSUMMARY:{}",
        "a".repeat(CALENDAR_BYTES_MAX)
    ));
    let error = read(&[("calendars/freezes.ics", &large)]).unwrap_err();
    assert!(matches!(error.problem, Problem::Bytes(_)), "{error}");
    let events = |from: usize, count: usize| {
        let event = |n| {
            format!("BEGIN:VEVENT\nUID:{n}\nDTSTART:20261121T100000Z\nDURATION:PT1H\nEND:VEVENT")
        };
        file(
            &(from..from + count)
                .map(event)
                .collect::<Vec<_>>()
                .join("\n"),
        )
    };
    let (half, rest) = (events(0, EVENTS_MAX / 2), events(0, EVENTS_MAX / 2));
    read(&[
        ("calendars/freezes.ics", &half),
        ("calendars/windows.ics", &rest),
    ])
    .unwrap();
    let more = events(0, EVENTS_MAX / 2 + 1);
    let error = read(&[
        ("calendars/freezes.ics", &half),
        ("calendars/windows.ics", &more),
    ])
    .unwrap_err();
    assert_eq!(error.problem, Problem::Events);
    let hourly = |count: usize| {
        let event = |n| {
            format!(
                "BEGIN:VEVENT\nUID:{n}\nDTSTART:19700101T000000Z\nDURATION:PT1H\nRRULE:FREQ=HOURLY\nEND:VEVENT"
            )
        };
        file(&(0..count).map(event).collect::<Vec<_>>().join("\n"))
    };
    let error = read(&[("calendars/freezes.ics", &hourly(40))]).unwrap_err();
    assert_eq!(error.problem, Problem::Work);
    assert!(
        calendars(&[("calendars/freezes.ics", &hourly(2))])
            .answer(Production, at("2098-01-01T00:30:00Z"))
            .frozen
    );
}
