//! Blobs, reservations, outcomes and intelligence.

use std::path::Path;

use countersign_domain::facts::Reservations;
use countersign_domain::{CveId, Digest, Environment};
use countersign_store::{Blob, Reservation, ReservationQuery, StoreError};

use super::Backend;
use crate::fixture::{
    Refusal, agent, at, host, intel, outcome, person, plain, reservation, salted,
};

pub fn blobs_are_kept_once_and_only_under_their_digest<B: Backend>(place: &Path) {
    let store = B::open(place);
    let (digest, blob) = plain(b"a policy file");
    let (salted_digest, salted_blob) = salted([9; 16], b"because");
    let same = (blob.clone(), salted_blob.clone());
    store.write(move |tx| {
        for _ in 0..2 {
            tx.put_blob(&digest, &blob)?;
            tx.put_blob(&salted_digest, &salted_blob)?;
        }
        Ok(())
    });
    store.read(|view| {
        assert_eq!(view.blob(&digest)?.unwrap(), same.0);
        assert_eq!(view.blob(&salted_digest)?.unwrap(), same.1);
        assert_eq!(view.blob(&Digest::of(b"absent"))?, None);
        Ok(())
    });
    let wrong = [
        (Digest::of(b"other"), None),
        (Digest::of(b"text"), Some("00".repeat(16))),
        (Digest::of(b"text"), Some("no hex".to_owned())),
    ];
    for (digest, salt) in wrong {
        let blob = Blob {
            salt,
            bytes: b"text".to_vec(),
        };
        let refused = store.submit(move |tx| Ok(tx.put_blob(&digest, &blob)?));
        assert!(matches!(
            refused.wait(),
            Err(Refusal::Store(StoreError::Damaged(_)))
        ));
    }
}

fn count<B: Backend>(store: &B, own: u64, now: i64) -> Reservations {
    let (agent, owner) = (agent("patcher"), person("maria"));
    let query = ReservationQuery {
        opened: Some(own),
        agent: &agent,
        owner: &owner,
        services: &["shop".to_owned(), "mail".to_owned()],
        environments: &[Environment::Staging, Environment::Production],
        hosts: &[],
        now: at(now),
    };
    store.read(|view| view.reservations(&query))
}

pub fn reservations_count_what_others_have_in_flight<B: Backend>(place: &Path) {
    let store = B::open(place);
    assert_eq!(count(&store, 0, 0), Reservations::default());
    store.write(|tx| {
        tx.reserve(&reservation(1, "web-1", 0))?;
        tx.reserve(&reservation(1, "web-2", 0))?;
        // Another agent of the same owner, in staging, asked of a human.
        tx.reserve(&Reservation {
            agent: agent("scanner"),
            service: Some("mail".to_owned()),
            environment: Environment::Staging,
            standing: false,
            ..reservation(2, "mail-1", 0)
        })?;
        // Another owner.
        tx.reserve(&Reservation {
            agent: agent("theirs"),
            owner: person("kim"),
            service: None,
            ..reservation(3, "db-1", 0)
        })?;
        Ok(())
    });
    let all = Reservations {
        in_flight_agent: 2,
        in_flight_owner: 3,
        in_flight_service: 2,
        in_flight_environment: 3,
        in_flight_fleet: 4,
        hour_owner: 2,
        hour_fleet: 3,
        day_owner: 2,
        day_fleet: 3,
    };
    assert_eq!(count(&store, 0, 10), all);
    // The change itself is left out.
    let without_own = Reservations {
        in_flight_agent: 0,
        in_flight_owner: 1,
        in_flight_service: 1,
        in_flight_environment: 1,
        in_flight_fleet: 2,
        hour_owner: 0,
        hour_fleet: 1,
        day_owner: 0,
        day_fleet: 1,
    };
    assert_eq!(count(&store, 1, 10), without_own);
    // Released: out of flight, still in the windows. Releasing again changes nothing.
    for _ in 0..2 {
        store.write(|tx| {
            tx.release(1, Some(&host("web-1")), at(20))?;
            tx.release(3, None, at(20))?;
            Ok(tx.release(9, None, at(20))?)
        });
    }
    let released = Reservations {
        in_flight_agent: 1,
        in_flight_owner: 2,
        in_flight_service: 1,
        in_flight_environment: 1,
        in_flight_fleet: 2,
        ..all
    };
    assert_eq!(count(&store, 0, 30), released);
}

pub fn windows_slide_by_hour_and_day<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| Ok(tx.reserve(&reservation(1, "web-1", 0))?));
    let windows = |now: i64| {
        let found = count(&store, 0, now);
        assert_eq!(found.hour_owner, found.hour_fleet);
        assert_eq!(found.day_owner, found.day_fleet);
        (found.hour_fleet, found.day_fleet)
    };
    let (minute, hour, day) = (60, 3_600, 86_400);
    assert_eq!(windows(0), (1, 1));
    assert_eq!(windows(hour - 1), (1, 1));
    // Rounded outward to the minute: it may count up to a minute longer, never shorter.
    assert_eq!(windows(hour), (1, 1));
    assert_eq!(windows(hour + minute), (0, 1));
    assert_eq!(windows(day - 1), (0, 1));
    assert_eq!(windows(day), (0, 1));
    assert_eq!(windows(day + minute), (0, 0));
    // A row from a clock that runs ahead counts as well.
    assert_eq!(windows(-hour), (1, 1));
    // Many rows over more than a day, against a plain count.
    let times: Vec<i64> = (0..200).map(|n| 200_000 + n * 977).collect();
    let written = times.clone();
    store.write(move |tx| {
        for (number, time) in (0..).zip(written) {
            tx.reserve(&reservation(100 + number, "web-1", time))?;
        }
        Ok(())
    });
    let rounded = |now: i64, width: i64| {
        let since = at(now - width).unix_millis() / 60_000 * 60_000;
        times
            .iter()
            .filter(|time| at(**time).unix_millis() >= since)
            .count() as u32
    };
    for now in (200_000..500_000).step_by(3_001) {
        assert_eq!(
            windows(now),
            (rounded(now, hour), rounded(now, day)),
            "{now}"
        );
    }
}

pub fn reserving_again_replaces_and_unreserving_forgets<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        tx.reserve(&reservation(1, "web-1", 0))?;
        tx.release(1, None, at(1))?;
        // The same host of the same change again, now as another service, two hours later.
        tx.reserve(&Reservation {
            service: Some("mail".to_owned()),
            ..reservation(1, "web-1", 7_200)
        })?;
        tx.reserve(&reservation(1, "web-2", 7_200))?;
        Ok(())
    });
    let found = count(&store, 0, 7_200);
    assert_eq!((found.in_flight_fleet, found.in_flight_service), (2, 1));
    assert_eq!((found.hour_fleet, found.day_fleet), (2, 2));
    store.write(|tx| Ok(tx.unreserve(1, Some(&host("web-2")))?));
    let found = count(&store, 0, 7_200);
    assert_eq!(
        (found.in_flight_fleet, found.hour_fleet, found.day_owner),
        (1, 1, 1)
    );
    store.write(|tx| {
        tx.release(1, None, at(7_300))?;
        Ok(tx.unreserve(1, None)?)
    });
    assert_eq!(count(&store, 0, 7_300), Reservations::default());
}

pub fn the_last_word_on_an_outcome_counts<B: Backend>(place: &Path) {
    const OPENSSL: &str = "openssl|amd64|1|2";
    const CURL: &str = "curl|amd64|7|8";
    const BASH: &str = "bash|amd64|5|6";
    const ALL: [Environment; 2] = [Environment::Staging, Environment::Development];
    let store = B::open(place);
    store.write(|tx| {
        tx.record_outcome(&outcome(1, "a", OPENSSL, 10, false))?;
        // The late receipt.
        tx.record_outcome(&outcome(1, "a", OPENSSL, 50, true))?;
        tx.record_outcome(&outcome(1, "b", OPENSSL, 40, true))?;
        tx.record_outcome(&outcome(2, "a", CURL, 45, false))?;
        tx.record_outcome(&outcome(3, "a", BASH, 60, false))?;
        tx.record_outcome(&outcome(4, "b", CURL, 44, false))?;
        tx.record_outcome(&outcome(5, "b", CURL, 47, true))?;
        Ok(())
    });
    let of = |names: &[&str]| -> Vec<String> { names.iter().map(|&name| name.into()).collect() };
    let both = of(&[OPENSSL, CURL]);
    let twice = [both.clone(), both.clone(), vec!["none".to_owned()]].concat();
    store.read(|view| {
        assert_eq!(
            view.failures(&twice, at(0))?,
            [
                outcome(2, "a", CURL, 45, false),
                outcome(4, "b", CURL, 44, false),
            ]
        );
        assert_eq!(view.failures(&both, at(45))?.len(), 1);
        assert!(view.failures(&[], at(0))?.is_empty());
        let healthy = |names: &[&str], environments: &[Environment], since| {
            let healthy = view.healthy(&of(names), environments, at(since))?;
            Ok::<_, StoreError>((healthy.hosts, healthy.first))
        };
        assert_eq!(healthy(&[OPENSSL], &ALL, 0)?, (2, Some(at(40))));
        assert_eq!(healthy(&[OPENSSL], &ALL, 45)?, (1, Some(at(50))));
        // On `a` the last word on curl is a failure; on `b` all was well when the later one was.
        assert_eq!(healthy(&[OPENSSL, CURL], &ALL, 0)?, (1, Some(at(47))));
        assert_eq!(healthy(&[BASH], &ALL, 0)?, (0, None));
        assert_eq!(healthy(&[], &ALL, 0)?, (0, None));
        assert_eq!(healthy(&[OPENSSL], &[], 0)?, (0, None));
        let elsewhere = [Environment::Production];
        assert_eq!(healthy(&[OPENSSL], &elsewhere, 0)?, (0, None));
        // One of them was tried nowhere.
        let none = [of(&[OPENSSL]), vec!["none".to_owned()]].concat();
        assert_eq!(view.healthy(&none, &ALL, at(0))?.hosts, 0);
        Ok(())
    });
    // Of two at the same time, the failure counts.
    store.write(|tx| Ok(tx.record_outcome(&outcome(6, "b", CURL, 47, false))?));
    store.read(|view| {
        assert_eq!(view.healthy(&of(&[CURL]), &ALL, at(0))?.hosts, 0);
        Ok(())
    });
    // Failures are bounded, and the newest are those that are given; hosts are counted, all of them.
    store.write(|tx| {
        for number in 0..1_200 {
            let (failed, well) = (format!("failed-{number}"), format!("well-{number}"));
            tx.record_outcome(&outcome(7, &failed, CURL, 100 + number, false))?;
            tx.record_outcome(&outcome(7, &well, CURL, 100 + number, true))?;
        }
        Ok(())
    });
    store.read(|view| {
        let found = view.failures(&both, at(0))?;
        assert_eq!(found.len(), 1_000);
        assert_eq!((found[0].at, found[999].at), (at(1_299), at(300)));
        assert_eq!(view.healthy(&of(&[CURL]), &ALL, at(0))?.hosts, 1_200);
        Ok(())
    });
}

pub fn intel_is_replaced_whole_or_by_id<B: Backend>(place: &Path) {
    let store = B::open(place);
    let (one, two, three) = ("CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003");
    store.write(move |tx| {
        let rows = [intel("kev", one, "1"), intel("kev", two, "1")];
        tx.put_intel("kev", true, &mut rows.into_iter())?;
        tx.put_intel("epss", true, &mut [intel("epss", one, "e")].into_iter())?;
        Ok(())
    });
    let asked: Vec<CveId> = [two, one, two, three]
        .map(|c| CveId::new(c).unwrap())
        .into();
    let rows = |asked: &[CveId]| store.read(|view| view.intel(asked));
    assert_eq!(
        rows(&asked),
        [
            intel("epss", one, "e"),
            intel("kev", one, "1"),
            intel("kev", two, "1")
        ]
    );
    store.write(move |tx| {
        let rows = [intel("kev", two, "2"), intel("kev", three, "2")];
        Ok(tx.put_intel("kev", false, &mut rows.into_iter())?)
    });
    assert_eq!(
        rows(&asked),
        [
            intel("epss", one, "e"),
            intel("kev", one, "1"),
            intel("kev", two, "2"),
            intel("kev", three, "2")
        ]
    );
    store.write(move |tx| {
        Ok(tx.put_intel("kev", true, &mut [intel("kev", three, "3")].into_iter())?)
    });
    assert_eq!(
        rows(&asked),
        [intel("epss", one, "e"), intel("kev", three, "3")]
    );
    let stray = store.submit(move |tx| {
        Ok(tx.put_intel("kev", true, &mut [intel("epss", one, "x")].into_iter())?)
    });
    assert!(stray.wait().is_err());
    assert_eq!(rows(&asked).len(), 2);
}
