//! What calendars say; what they are refused for is beside it.

mod refused;

use super::*;
use crate::calendar::value::YEARS;
use countersign_domain::Timestamp;
use proptest::prelude::*;

use Environment::{Development, Production, Staging};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A file with these lines between the calendar's own.
fn file(lines: &str) -> String {
    format!("BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{lines}\nEND:VCALENDAR\n")
}

/// A file with one event.
fn one(lines: &str) -> String {
    file(&format!(
        "BEGIN:VEVENT\nUID:e1\nDTSTAMP:20260101T000000Z\n{lines}\nEND:VEVENT"
    ))
}

fn read(files: &[(&str, &str)]) -> Result<Calendars, CalendarError> {
    Calendars::read(files.iter().map(|(path, text)| (*path, text.as_bytes())))
}

fn calendars(files: &[(&str, &str)]) -> Calendars {
    read(files).unwrap_or_else(|error| panic!("{error}"))
}

/// The spans in which an event holds, of these days, in UTC, as `05-24T18:00..05-25T04:00`.
fn spans(kind: &str, lines: &str, from: &str, days: i64) -> Vec<String> {
    let path = format!("calendars/{kind}.ics");
    let calendars = calendars(&[(&path, &one(lines))]);
    let from = at(from).unix_seconds();
    let mut spans = Vec::new();
    for calendar in &calendars.calendars {
        for event in &calendar.events {
            event.spans(
                calendar.kind,
                from,
                from + days * 86_400,
                |(from, until)| {
                    let short = |seconds| {
                        let text = Timestamp::from_unix_seconds(seconds).to_string();
                        text[5..16].to_owned()
                    };
                    spans.push(format!("{}..{}", short(from), short(until)));
                },
            );
        }
    }
    spans
}

#[test]
fn without_calendars_every_hour_is_in_the_window_and_none_is_frozen() {
    let answer = Calendars::read([("rules/a.cedar", &b"x"[..])])
        .unwrap()
        .answer(Production, at("2026-11-21T12:00:00Z"));
    assert!(answer.in_window && !answer.frozen);
    assert_eq!(answer.holds_until(), None);
    assert_eq!(
        answer.until,
        at("2026-11-21T12:00:00Z").plus_seconds(HORIZON_SECONDS)
    );
}

#[test]
fn the_name_of_a_file_says_what_it_is_and_where() {
    let open = one("DTSTART:20261121T100000Z\nDTEND:20261121T140000Z");
    let now = at("2026-11-21T12:00:00Z");
    let later = at("2026-11-21T15:00:00Z");
    let windows = calendars(&[("calendars/windows.production.ics", &open)]);
    assert!(windows.answer(Production, now).in_window);
    assert!(!windows.answer(Production, later).in_window);
    assert!(
        windows.answer(Staging, later).in_window,
        "no windows apply there"
    );
    let both = calendars(&[
        (
            "calendars/windows.ics",
            &one("DTSTART:20261121T145000Z\nDURATION:PT1H"),
        ),
        ("calendars/windows.production.ics", &open),
    ]);
    assert!(both.answer(Production, later).in_window && both.answer(Production, now).in_window);
    assert!(!both.answer(Development, now).in_window);
    let freeze = calendars(&[("calendars/freezes.staging.ics", &open)]);
    assert!(freeze.answer(Staging, now).frozen);
    assert!(!freeze.answer(Production, now).frozen && !freeze.answer(Staging, later).frozen);
    for name in [
        "calendars/holidays.ics",
        "calendars/Windows.ics",
        "calendars/windows.prod.ics",
        "calendars/windows.production.old.ics",
        "calendars/windows.ical",
        "calendars/more/windows.ics",
        "calendars/README.md",
        "windows.ics",
        "rules/freezes.ICS",
    ] {
        let error = read(&[(name, &open)]).unwrap_err();
        assert_eq!(error.problem, Problem::Name, "{name}");
        assert!(error.to_string().contains("windows.production.ics"));
    }
}

#[test]
fn several_environments_need_a_window_in_each_and_no_freeze_in_any() {
    let day = |hours: &str| one(&format!("DTSTART:20261121T{hours}0000Z\nDURATION:PT4H"));
    let remembered = Remembered::new(calendars(&[
        ("calendars/windows.production.ics", &day("10")),
        ("calendars/windows.staging.ics", &day("12")),
        ("calendars/freezes.development.ics", &day("13")),
    ]));
    let ask = |environments: &[Environment], hour: &str| {
        let answer = remembered.answer(
            environments.iter().copied(),
            at(&format!("2026-11-21T{hour}:30:00Z")),
        );
        (answer.in_window, answer.frozen)
    };
    assert_eq!(ask(&[Production], "10"), (true, false));
    assert_eq!(ask(&[Production, Staging], "10"), (false, false));
    assert_eq!(ask(&[Production, Staging], "12"), (true, false));
    assert_eq!(
        ask(&[Production, Staging, Development], "12"),
        (true, false)
    );
    assert_eq!(ask(&[Production, Staging, Development], "13"), (true, true));
    assert_eq!(
        ask(&[], "12"),
        (false, true),
        "of nothing, nothing is known"
    );
    let answer = remembered.answer([Production, Development], at("2026-11-21T12:30:00Z"));
    assert_eq!(answer.window_ends, Some(at("2026-11-21T14:00:00Z")));
    assert_eq!(answer.freeze_begins, Some(at("2026-11-21T13:00:00Z")));
    assert_eq!(answer.holds_until(), Some(at("2026-11-21T13:00:00Z")));
    assert_eq!(answer.until, at("2026-11-21T13:00:00Z"));
}

#[test]
fn berlin_and_new_york_change_their_clocks_inside_and_outside_of_events() {
    let berlin = "DTSTART;TZID=Europe/Berlin:20260101T220000\nDTEND;TZID=Europe/Berlin:20260102T060000\nRRULE:FREQ=DAILY";
    let york = "DTSTART;TZID=America/New_York:20260101T220000\nDTEND;TZID=America/New_York:20260102T060000\nRRULE:FREQ=DAILY";
    for (zone, from, expected) in [
        // Winter, the short night, summer.
        (
            berlin,
            "2026-03-27T12:00:00Z",
            [
                "03-27T21:00..03-28T05:00",
                "03-28T21:00..03-29T04:00",
                "03-29T20:00..03-30T04:00",
            ],
        ),
        // Summer, the long night (eight hours of it: RFC 5545 keeps the length), winter.
        (
            berlin,
            "2026-10-23T12:00:00Z",
            [
                "10-23T20:00..10-24T04:00",
                "10-24T20:00..10-25T04:00",
                "10-25T21:00..10-26T05:00",
            ],
        ),
        (
            york,
            "2026-03-06T12:00:00Z",
            [
                "03-07T03:00..03-07T11:00",
                "03-08T03:00..03-08T10:00",
                "03-09T02:00..03-09T10:00",
            ],
        ),
        (
            york,
            "2026-10-30T12:00:00Z",
            [
                "10-31T02:00..10-31T10:00",
                "11-01T02:00..11-01T10:00",
                "11-02T03:00..11-02T11:00",
            ],
        ),
    ] {
        assert_eq!(spans("windows", zone, from, 3), expected, "{from}");
    }
    // A freeze takes the longer reading: the eight hours of the short night, the whole long one.
    assert_eq!(
        spans("freezes", berlin, "2026-03-28T12:00:00Z", 1),
        ["03-28T21:00..03-29T05:00"]
    );
    assert_eq!(
        spans("freezes", berlin, "2026-10-24T12:00:00Z", 1),
        ["10-24T20:00..10-25T05:00"]
    );
}

#[test]
fn a_time_that_the_clock_skips_or_repeats_is_read_as_is_stricter() {
    let night = "DTSTART;TZID=Europe/Berlin:20260101T023000\nDURATION:PT2H\nRRULE:FREQ=DAILY";
    for (kind, from, expected) in [
        // 02:30 does not happen on March 29: the window opens at 03:30 summer time.
        (
            "windows",
            "2026-03-29T00:00:00Z",
            "03-29T01:30..03-29T02:30",
        ),
        (
            "freezes",
            "2026-03-29T00:00:00Z",
            "03-29T00:30..03-29T02:30",
        ),
        // It happens twice on October 25: the window opens at the second, the freeze at the first.
        (
            "windows",
            "2026-10-25T00:00:00Z",
            "10-25T01:30..10-25T03:30",
        ),
        (
            "freezes",
            "2026-10-25T00:00:00Z",
            "10-25T00:30..10-25T03:30",
        ),
    ] {
        assert_eq!(spans(kind, night, from, 1), [expected], "{kind} {from}");
    }
}

#[test]
fn whole_days_end_at_midnight_where_they_are() {
    let zone = |lines: &str| {
        file(&format!(
            "X-WR-TIMEZONE:Europe/Berlin\nBEGIN:VEVENT\nUID:e\n{lines}\nEND:VEVENT"
        ))
    };
    let frozen = |text: &str, when: &str| {
        calendars(&[("calendars/freezes.ics", text)])
            .answer(Production, at(when))
            .frozen
    };
    let easter = zone("DTSTART;VALUE=DATE:20260329");
    for (when, expected) in [
        ("2026-03-28T22:59:59Z", false),
        ("2026-03-28T23:00:00Z", true),
        ("2026-03-29T21:59:59Z", true),
        ("2026-03-29T22:00:00Z", false),
    ] {
        assert_eq!(frozen(&easter, when), expected, "{when}");
    }
    // DTEND is the first day that is free again.
    let year_end = zone("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20270102");
    assert!(
        frozen(&year_end, "2027-01-01T22:59:00Z") && !frozen(&year_end, "2027-01-01T23:00:00Z")
    );
}

#[test]
fn occurrences_come_and_go_as_rules_dates_and_exceptions_say() {
    let zone = "TZID=Europe/Berlin";
    let cases = [
        (
            "RRULE:FREQ=WEEKLY;BYDAY=TU,TH;COUNT=3",
            vec!["11-03", "11-05", "11-10"],
        ),
        ("RRULE:FREQ=WEEKLY;UNTIL=20261110T200000Z", vec!["11-03"]),
        (
            "RRULE:FREQ=WEEKLY;UNTIL=20261110T210000Z",
            vec!["11-03", "11-10"],
        ),
        (
            "RRULE:FREQ=WEEKLY;COUNT=3\nEXDATE;TZID=Europe/Berlin:20261110T220000",
            vec!["11-03", "11-17"],
        ),
        (
            "RRULE:FREQ=WEEKLY;COUNT=3\nEXDATE:20261110T210000Z",
            vec!["11-03", "11-17"],
        ),
        (
            "RDATE;TZID=America/New_York:20261120T160000,20261121T160000",
            vec!["11-03", "11-20", "11-21"],
        ),
        (
            "RRULE:FREQ=MONTHLY;BYDAY=1TU;COUNT=2",
            vec!["11-03", "12-01"],
        ),
        (
            "RRULE:FREQ=MONTHLY;INTERVAL=1;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=2;COUNT=1",
            vec!["11-03"],
        ),
        ("RRULE:FREQ=YEARLY;BYWEEKNO=45;BYDAY=TU", vec!["11-03"]),
        ("RRULE:FREQ=DAILY;COUNT=2\nSTATUS:CANCELLED", vec![]),
    ];
    for (lines, expected) in cases {
        let event =
            format!("DTSTART;{zone}:20261103T220000\nDTEND;{zone}:20261103T230000\n{lines}");
        let found: Vec<_> = spans("windows", &event, "2026-11-01T00:00:00Z", 60)
            .iter()
            .map(|span| span[..5].to_owned())
            .collect();
        assert_eq!(found, expected, "{lines}");
    }
}

#[test]
fn a_changed_occurrence_takes_the_place_of_the_one_it_names() {
    let series = "BEGIN:VEVENT\nUID:s\nDTSTART:20261103T100000Z\nDTEND:20261103T120000Z\nRRULE:FREQ=WEEKLY;COUNT=3\nEND:VEVENT\n";
    let moved = "BEGIN:VEVENT\nUID:s\nRECURRENCE-ID:20261110T100000Z\nDTSTART:20261111T100000Z\nDTEND:20261111T110000Z\nEND:VEVENT";
    let cancelled = "BEGIN:VEVENT\nUID:s\nRECURRENCE-ID:20261117T100000Z\nSTATUS:CANCELLED\nDTSTART:20261117T100000Z\nEND:VEVENT";
    // In any order.
    for lines in [
        format!("{series}{moved}\n{cancelled}"),
        format!("{cancelled}\n{moved}\n{series}"),
    ] {
        let text = file(lines.trim_end());
        let windows = calendars(&[("calendars/windows.ics", &text)]);
        for (when, expected) in [
            ("2026-11-03T11:00:00Z", true),
            ("2026-11-10T11:00:00Z", false),
            ("2026-11-11T10:30:00Z", true),
            ("2026-11-11T11:30:00Z", false),
            ("2026-11-17T11:00:00Z", false),
        ] {
            assert_eq!(
                windows.answer(Production, at(when)).in_window,
                expected,
                "{when}"
            );
        }
    }
}

#[test]
fn what_is_tentative_freezes_and_opens_nothing() {
    let event = one("DTSTART:20261121T100000Z\nDURATION:PT4H\nSTATUS:TENTATIVE");
    let now = at("2026-11-21T12:00:00Z");
    assert!(
        calendars(&[("calendars/freezes.ics", &event)])
            .answer(Production, now)
            .frozen
    );
    assert!(
        !calendars(&[("calendars/windows.ics", &event)])
            .answer(Production, now)
            .in_window
    );
}

#[test]
fn a_zone_that_the_file_defines_is_read_by_its_own_rules() {
    // As mail programs export it, under a name that no database knows.
    let zone = "BEGIN:VTIMEZONE\nTZID:W. Europe Standard Time\nBEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\nBEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nRRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE\n";
    let event = |zone: &str, name: &str| {
        file(&format!(
            "{zone}BEGIN:VEVENT\nUID:e\nDTSTART;TZID={name}:20260101T220000\nDTEND;TZID={name}:20260102T060000\nRRULE:FREQ=DAILY\nEND:VEVENT"
        ))
    };
    let own = calendars(&[(
        "calendars/windows.ics",
        &event(zone, "\"W. Europe Standard Time\""),
    )]);
    let iana = calendars(&[("calendars/windows.ics", &event(zone, "Europe/Berlin"))]);
    let mut when = at("2026-01-02T00:00:00Z");
    while when < at("2027-01-02T00:00:00Z") {
        assert_eq!(
            own.answer(Production, when),
            iana.answer(Production, when),
            "{when}"
        );
        when = when.plus_seconds(3 * 86_400 + 1_799);
    }
    for (zone, problem) in [
        (zone.replace("TZOFFSETTO:+0100\n", ""), "TZOFFSETTO"),
        (zone.replace("+0100", "+1"), "TZOFFSET"),
        (zone.replace("FREQ=YEARLY", "FREQ=MONTHLY"), "FREQ=YEARLY"),
        (zone.replace("STANDARD\n", "NORMAL\n"), "NORMAL"),
        (format!("{zone}{zone}"), "twice"),
        (zone.replace("W. Europe", "E. Europe"), "IANA"),
    ] {
        let text = event(&zone, "W. Europe Standard Time");
        let error = read(&[("calendars/windows.ics", &text)]).unwrap_err();
        assert!(error.to_string().contains(problem), "{error}");
    }
}

#[test]
fn where_nothing_can_be_said_it_is_frozen_and_outside() {
    let now = at("2026-11-21T12:00:00Z");
    let unreadable = Calendars::unreadable().answer(Development, now);
    assert_eq!(unreadable, Answer::unknown(now));
    assert!(unreadable.frozen && !unreadable.in_window);
    // Calendars end in 2099: beyond, they say nothing.
    let beyond = at("2099-06-01T00:00:00Z");
    assert_eq!(
        calendars(&[]).answer(Production, beyond),
        Answer::unknown(beyond)
    );
    assert_eq!(YEARS.end, 2100);
}

#[test]
fn an_answer_is_remembered_until_it_ends_and_no_longer() {
    let remembered = Remembered::new(calendars(&[(
        "calendars/windows.ics",
        &one(
            "DTSTART;TZID=Europe/Berlin:20260101T220000\nDTEND;TZID=Europe/Berlin:20260102T060000\nRRULE:FREQ=DAILY",
        ),
    )]));
    // Forwards, and back again: clocks do.
    for when in [
        "2026-06-01T19:59:59.999Z",
        "2026-06-01T20:00:00Z",
        "2026-06-02T03:59:59Z",
        "2026-06-02T04:00:00Z",
        "2026-06-01T20:00:00Z",
    ] {
        let direct = remembered.calendars().answer(Production, at(when));
        let kept = remembered.answer([Production], at(when));
        assert_eq!(
            (kept.in_window, kept.frozen, kept.until),
            (direct.in_window, direct.frozen, direct.until),
            "{when}"
        );
    }
}

#[test]
fn the_outlook_names_the_event_and_the_next_turns() {
    let windows =
        one("SUMMARY:Night work\nDTSTART:20261121T200000Z\nDURATION:PT8H\nRRULE:FREQ=DAILY");
    let freezes = one("SUMMARY:Year end\nDTSTART:20261123T000000Z\nDTEND:20261124T000000Z");
    let calendars = calendars(&[
        ("calendars/windows.ics", &windows),
        ("calendars/freezes.ics", &freezes),
    ]);
    let outlook = calendars.outlook(Production, at("2026-11-21T21:00:00Z"));
    assert!(outlook.answer.in_window && outlook.has_windows);
    assert_eq!(outlook.because.len(), 1);
    assert_eq!(outlook.because[0].summary, "Night work");
    assert_eq!(outlook.because[0].until, at("2026-11-22T04:00:00Z"));
    assert_eq!(
        outlook.next[..4],
        [
            (at("2026-11-22T04:00:00Z"), Turn::WindowCloses),
            (at("2026-11-22T20:00:00Z"), Turn::WindowOpens),
            (at("2026-11-23T00:00:00Z"), Turn::FreezeBegins),
            (at("2026-11-23T04:00:00Z"), Turn::WindowCloses),
        ]
    );
    assert_eq!(outlook.next.len(), 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No bytes make reading or asking fall over.
    #[test]
    fn hostile_calendars_are_answered_or_refused(
        lines in proptest::collection::vec("[A-Z-]{1,13}[;:=][A-Z0-9;:=,+T-]{0,30}", 0..12),
        seconds in 0_i64..4_200_000_000,
    ) {
        if let Ok(calendars) = read(&[("calendars/windows.ics", &one(&lines.join("\n")))]) {
            let outlook = calendars.outlook(Production, Timestamp::from_unix_seconds(seconds));
            prop_assert!(outlook.answer.until >= outlook.at);
        }
    }

    /// The answer holds, unchanged, until the instant that it names.
    #[test]
    fn an_answer_is_the_same_until_it_ends(
        hour in 0_u8..24, hours in 1_i64..40, interval in 1_u32..4,
        zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
        freezes in any::<bool>(),
        start in 1_767_225_600_i64..1_798_761_600, share in 0_i64..1_000,
    ) {
        let path = if freezes { "calendars/freezes.ics" } else { "calendars/windows.ics" };
        let event = one(&format!(
            "DTSTART;TZID={zone}:20260101T{hour:02}1500\nDURATION:PT{hours}H\nRRULE:FREQ=DAILY;INTERVAL={interval}"
        ));
        let calendars = calendars(&[(path, &event)]);
        let from = Timestamp::from_unix_seconds(start);
        let answer = calendars.answer(Production, from);
        prop_assert!(answer.until > from);
        let between = from.plus_seconds((answer.until.seconds_since(from) - 1) * share / 1_000);
        let again = calendars.answer(Production, between);
        prop_assert_eq!((answer.in_window, answer.frozen), (again.in_window, again.frozen));
        let then = calendars.answer(Production, answer.until);
        let last = answer.until == from.plus_seconds(HORIZON_SECONDS);
        prop_assert!(last || (answer.in_window, answer.frozen) != (then.in_window, then.frozen));
    }
}
