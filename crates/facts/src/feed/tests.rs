//! Tests of the importers: what they read, what they refuse, and that nothing hostile hurts them.
//! The CVE records here are invented, in the form of real ones.

use super::*;
use countersign_domain::digest::Digest;
use expect_test::{Expect, expect};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use std::io::Write;

const KEV: &str = r#"{
  "title": "Catalogue", "catalogVersion": "2026.05.18", "dateReleased": "2026-05-18T17:04:19.9796Z",
  "count": 3,
  "vulnerabilities": [
    {"cveID": "CVE-2024-3094", "dateAdded": "2026-05-01", "dueDate": "2026-05-22", "knownRansomwareCampaignUse": "Known", "cwes": ["CWE-506"]},
    {"cveID": "CVE-2021-44228", "dateAdded": "soon", "knownRansomwareCampaignUse": 7},
    {"cveID": "CVE-oops", "dateAdded": "2026-05-01"}
  ]
}"#;

const EPSS: &str = "#model_version:v2025.03.14,score_date:2026-05-18T00:00:00+0000\n\
    cve,epss,percentile\n\
    CVE-2024-3094,0.04525,0.92176\n\
    CVE-1999-0001,9e-05,0.5\r\n\
    CVE-1999-0002,1.5,0.1\n\
    CVE-1999-0003,nan,0.1\n";

fn cve_record(id: &str, updated: &str, score: &str, exploitation: &str) -> String {
    format!(
        r#"{{"dataType":"CVE_RECORD","containers":{{
          "cna":{{"providerMetadata":{{"orgId":"o","shortName":"acme","dateUpdated":"{updated}"}},
            "metrics":[{{"cvssV3_1":{{"baseScore":{score}}}}},{{"cvssV4_0":{{"baseScore":2.3}}}},
              {{"other":{{"type":"kev","content":{{}}}}}}]}},
          "adp":[{{"title":"CISA ADP Vulnrichment",
            "providerMetadata":{{"orgId":"134c704f-9b21-4f2e-91b3-4a467353bcc0","shortName":"CISA-ADP"}},
            "metrics":[{{"other":{{"type":"ssvc","content":{{"timestamp":"2026-05-02T03:55:09.393016Z",
              "options":[{{"Exploitation":"{exploitation}"}},{{"Automatable":"Yes"}},{{"Technical Impact":"total"}}]}}}}}}]}}]}},
        "cveMetadata":{{"cveId":"{id}","state":"PUBLISHED","dateUpdated":"2026-04-01T00:00:00"}},"dataVersion":"5.1"}}"#
    )
}

fn import(text: impl AsRef<[u8]>) -> Result<Import, FeedError> {
    read(text.as_ref(), &Limits::default())
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn shows(import: &Import, expected: Expect) {
    let mut lines: Vec<String> = import
        .records()
        .iter()
        .map(|record| countersign_domain::canonical::to_text(record).unwrap())
        .collect();
    for record in import.records() {
        let bytes = countersign_domain::canonical::to_bytes(record).unwrap();
        let back: IntelRecord = countersign_domain::canonical::from_bytes(&bytes).unwrap();
        assert_eq!(back, *record);
        assert_eq!(record.feed(), import.kind);
    }
    lines.push(format!("published {:?}", import.published_at));
    lines.extend(import.skipped.first.clone());
    expected.assert_eq(&lines.join("\n"));
}

#[test]
fn kev_keeps_every_entry_that_has_an_id() {
    let import = import(KEV).unwrap();
    assert_eq!(import.digest, Digest::of(KEV.as_bytes()));
    assert_eq!(import.skipped.count, 1);
    shows(
        &import,
        expect![[r#"
        {"cve":"CVE-2021-44228","says":{"cisa-kev":{"ransomware":false}}}
        {"cve":"CVE-2024-3094","says":{"cisa-kev":{"added":"2026-05-01T00:00:00Z","due":"2026-05-22T00:00:00Z","ransomware":true}}}
        published Some(2026-05-18T17:04:19.979Z)
        vulnerabilities[2]: `CVE-oops` is not a CVE id; expected `CVE-`, a year, `-` and 4 to 10 digits"#]],
    );
}

#[test]
fn epss_rounds_and_takes_gzip() {
    let plain = import(EPSS).unwrap();
    shows(
        &plain,
        expect![[r#"
        {"cve":"CVE-1999-0001","says":{"epss":{"percentile_ten_thousandths":5000,"ten_thousandths":1}}}
        {"cve":"CVE-2024-3094","says":{"epss":{"percentile_ten_thousandths":9218,"ten_thousandths":453}}}
        published Some(2026-05-18T00:00:00Z)
        line 5: a number from 0 to 1 was expected
        line 6: a number from 0 to 1 was expected"#]],
    );
    let bytes = packed(EPSS.as_bytes());
    let unpacked = import(&bytes).unwrap();
    assert_eq!(unpacked.records(), plain.records());
    // The digest is of the document as it was fetched.
    assert_eq!(unpacked.digest, Digest::of(&bytes));
    assert_eq!(unpacked.bytes, bytes.len() as u64);
}

#[test]
fn cve_records_come_alone_in_arrays_and_in_lines() {
    let one = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "poc");
    let alone = import(&one).unwrap();
    // The CNA's own `kev` mark does not count: only CISA's container speaks for CISA.
    shows(
        &alone,
        expect![[r#"
        {"cve":"CVE-2026-0001","says":{"cve":{"cvss":{"by":"acme","tenths":98,"version":"3.1"},"kev":false,"rejected":false,"ssvc":{"at":"2026-05-02T03:55:09.393Z","automatable":true,"exploitation":"public-poc","technical_impact":"total"},"updated_at":"2026-05-01T00:00:00Z"}}}
        published Some(2026-05-01T00:00:00Z)"#]],
    );
    let other = cve_record("CVE-2026-0002", "2026-05-03T00:00:00Z", "5", "Active");
    let array = import(format!("[{one},\n{other}]")).unwrap();
    let lines = import(format!("{}\n{}\n", one.replace('\n', " "), other)).unwrap();
    assert_eq!(array.records(), lines.records());
    assert_eq!(array.records().len(), 2);
    assert_eq!(array.published_at, "2026-05-03T00:00:00Z".parse().ok());
}

#[test]
fn of_two_records_of_a_cve_the_newer_stands() {
    let old = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "none");
    let new = cve_record("CVE-2026-0001", "2026-05-02T00:00:00Z", "4.0", "none");
    for text in [format!("[{old},{new}]"), format!("[{new},{old}]")] {
        let import = import(text).unwrap();
        let [record] = import.records() else { panic!() };
        let Intel::Cve(record) = &record.says else {
            panic!()
        };
        assert_eq!(record.cvss.as_ref().unwrap().tenths, 40);
    }
}

#[test]
fn rejected_records_say_so_and_bad_ones_are_counted() {
    let rejected = r#"{"cveMetadata":{"cveId":"CVE-2026-0009","state":"REJECTED"},"containers":{"cna":{"metrics":[{"cvssV3_1":{"baseScore":9.9}}]}}}"#;
    let steep = cve_record("CVE-2026-0001", "x", "98", "none");
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let import = import(format!("[{rejected}, 7, {{\"a\":}}, {steep}, {deep}]")).unwrap();
    shows(
        &import,
        expect![[r#"
        {"cve":"CVE-2026-0009","says":{"cve":{"kev":false,"rejected":true}}}
        published None
        record 2: invalid type: integer `7`, expected struct Record at line 1 column 1
        record 3: expected value at line 1 column 6
        record 4: `baseScore` is not from 0 to 10
        record 5: nested too deep"#]],
    );
}

fn refuses(text: impl AsRef<[u8]>, expected: Expect) {
    expected.assert_eq(&import(text).unwrap_err().to_string());
}

#[test]
fn broken_documents_are_refused_whole() {
    let one = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "poc");
    refuses(
        "",
        expect![
            "this is none of the feeds known here; expected CISA KEV (JSON), EPSS (CSV), CVE 5 records (JSON, JSON Lines) or an SSVC decision table (JSON)"
        ],
    );
    refuses(
        "<html>sign in</html>",
        expect![
            "this is none of the feeds known here; expected CISA KEV (JSON), EPSS (CSV), CVE 5 records (JSON, JSON Lines) or an SSVC decision table (JSON)"
        ],
    );
    refuses(
        r#"{"resultsPerPage":1,"vulnerabilities":[]}"#,
        expect![
            "this is none of the feeds known here; expected CISA KEV (JSON), EPSS (CSV), CVE 5 records (JSON, JSON Lines) or an SSVC decision table (JSON)"
        ],
    );
    refuses(
        &KEV[..300],
        expect!["broken at byte 300: the document ends within a value; fetch it again"],
    );
    refuses(
        KEV.replace("\"count\": 3", "\"count\": 1404"),
        expect!["the document states 1404 records but has 3; fetch it again"],
    );
    refuses(
        format!("{KEV}{KEV}"),
        expect!["broken at the end: there is more after the document; fetch it again"],
    );
    refuses(
        format!("[{one},"),
        expect!["broken at byte 778: the array does not close; fetch it again"],
    );
    refuses(
        format!("[{one}]x"),
        expect!["broken at byte 778: there is more after the end of the array; fetch it again"],
    );
    refuses(
        format!("[{one} {one}]"),
        expect!["broken at byte 778: `,` or `]` was expected; fetch it again"],
    );
    refuses(
        format!("[{one},,{one}]"),
        expect!["broken at byte 778: a value was expected; fetch it again"],
    );
    refuses("[]", expect!["no record in it can be read"]);
    refuses(
        "[1]",
        expect![
            "no record in it can be read; the first: record 1: invalid type: integer `1`, expected struct Record at line 1 column 1"
        ],
    );
    refuses(
        "cve,epss,other\n",
        expect!["broken at line 1: the header `cve,epss,percentile` was expected; fetch it again"],
    );
    refuses(
        "#score_date:2026-05-18T00:00:00Z\n",
        expect!["broken at the end: the header `cve,epss,percentile` was expected; fetch it again"],
    );
    refuses(
        format!("#{}\n", "x".repeat(2000)),
        expect!["broken at line 1: the line is longer than 1024 bytes; fetch it again"],
    );
    refuses(
        &packed(EPSS.as_bytes())[..60],
        expect!["cannot read the document: incomplete deflate stream"],
    );
}

#[test]
fn everything_is_bounded() {
    let small = Limits {
        document_bytes: 10_000,
        unpacked_bytes: 100_000,
        record_bytes: 2_000,
        records: 2,
    };
    let bomb = packed(&vec![b' '; 5_000_000]);
    assert!(bomb.len() < 10_000);
    let mut epss_bomb = b"#score_date:x\ncve,epss,percentile\n".to_vec();
    epss_bomb.extend(b"\n".repeat(5_000_000));
    let epss_bomb = packed(&epss_bomb);
    let mut json_bomb = b"[".to_vec();
    json_bomb.extend(b"[".repeat(5_000_000));
    let json_bomb = packed(&json_bomb);
    assert!(matches!(
        read(bomb.as_slice(), &small),
        Err(FeedError::Unrecognised)
    ));
    for bomb in [epss_bomb, json_bomb] {
        assert!(matches!(
            read(bomb.as_slice(), &small),
            Err(FeedError::UnpackedTooLarge { limit: 100_000 })
        ));
    }
    let long = format!("{EPSS}{}", "CVE-2024-3094,0.1,0.1\n".repeat(1000));
    assert!(matches!(
        read(long.as_bytes(), &small),
        Err(FeedError::TooManyRecords { limit: 2 } | FeedError::TooLarge { .. })
    ));
    let endless = std::io::repeat(b'[');
    assert!(matches!(
        read(endless, &small),
        Err(FeedError::TooLarge { limit: 10_000 })
    ));
    let one = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "poc");
    let large = format!("[{{\"x\":\"{}\"}},{one}]", "y".repeat(5_000));
    let import = read(large.as_bytes(), &small).unwrap();
    assert_eq!((import.records().len(), import.skipped.count), (1, 1));
    assert_eq!(import.skipped.first, ["record 1: too large"]);
}

#[test]
fn a_slow_reader_gives_the_same() {
    struct Drip<'a>(&'a [u8]);
    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }
    let one = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "poc");
    let gz = packed(EPSS.as_bytes());
    for text in [KEV.as_bytes(), EPSS.as_bytes(), one.as_bytes(), &gz] {
        assert_eq!(
            read(Drip(text), &Limits::default()).unwrap(),
            import(text).unwrap()
        );
    }
}

#[test]
fn age_is_by_what_the_source_can_vouch_for() {
    let limits = FreshnessLimits {
        kev_hours: 48,
        epss_hours: 48,
        cve_hours: 48,
    };
    let time = |text: &str| -> Timestamp { text.parse().unwrap() };
    let stale = |text: &str, live: bool, now: &str| {
        let import = import(text).unwrap();
        FeedState::new(&import, "x", live, time("2026-05-25T00:00:00Z"))
            .is_stale(&limits, time(now))
    };
    // From a file the publisher's date counts; fetched, the catalogue is current as of then.
    assert!(stale(KEV, false, "2026-05-25T01:00:00Z"));
    assert!(!stale(KEV, true, "2026-05-25T01:00:00Z"));
    assert!(stale(KEV, true, "2026-05-28T01:00:00Z"));
    // EPSS is daily: its own date counts, however it was fetched.
    assert!(stale(EPSS, true, "2026-05-25T01:00:00Z"));
    assert!(!stale(EPSS, false, "2026-05-19T01:00:00Z"));
    // Dated ahead, or not dated at all: not to be trusted.
    assert!(stale(EPSS, false, "2026-05-10T01:00:00Z"));
    assert!(stale(
        "cve,epss,percentile\nCVE-2024-3094,0.1,0.1\n",
        true,
        "2026-05-25T01:00:00Z"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// One byte changed or the rest cut off: an import or an error, never a panic, and the digest
    /// is always that of what was read.
    #[test]
    fn mutated_documents_never_panic(
        which in 0_usize..4, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
    ) {
        let gz = packed(EPSS.as_bytes());
        let one = cve_record("CVE-2026-0001", "2026-05-01T00:00:00Z", "9.8", "poc");
        let mut bytes = [KEV.as_bytes(), EPSS.as_bytes(), one.as_bytes(), &gz][which].to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(import) = import(&bytes) {
            prop_assert_eq!(import.digest, Digest::of(&bytes));
        }
    }

    /// However an array of JSON values is written, the splitter finds as many as serde does.
    #[test]
    fn splitting_agrees_with_a_json_parser(
        values in prop::collection::vec("[ -~\\\\\"{}\\[\\],é]{0,12}", 0..6), pretty in any::<bool>(),
    ) {
        let values: Vec<serde_json::Value> =
            values.iter().map(|text| serde_json::json!({"a": [text], "b": text})).collect();
        let text = if pretty {
            serde_json::to_vec_pretty(&values).unwrap()
        } else {
            serde_json::to_vec(&values).unwrap()
        };
        let mut elements = Elements::new(text.as_slice(), true, 10_000, 10);
        let mut found = Vec::new();
        while let Some((_, element)) = elements.next().unwrap() {
            let Element::Whole(bytes) = element else { panic!() };
            found.push(serde_json::from_slice::<serde_json::Value>(bytes).unwrap());
        }
        prop_assert_eq!(found, values);
    }

    /// Arbitrary bytes are never read as a feed by accident, and never panic.
    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(import(&bytes).is_err());
    }
}
