//! What is cut out of good, broken and arbitrary streams, however they are read.

use super::{Frame, Frames, LOOK_BYTES_MAX, READ_BYTES, RECORD_BYTES_MAX};
use expect_test::{Expect, expect};
use proptest::prelude::*;
use std::io::Read;

/// Gives its bytes in pieces of the given sizes, over and over.
struct Pieces<'a> {
    bytes: &'a [u8],
    sizes: Vec<usize>,
    turn: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let size = self.sizes[self.turn % self.sizes.len()].clamp(1, buffer.len());
        self.turn += 1;
        let count = size.min(self.bytes.len());
        buffer[..count].copy_from_slice(&self.bytes[..count]);
        self.bytes = &self.bytes[count..];
        Ok(count)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Cut {
    Object(Vec<u8>, u64, u64),
    Broken(u64, u64, &'static str),
}

fn cut_in(bytes: &[u8], sizes: Vec<usize>, max: usize) -> Vec<Cut> {
    let mut frames = Frames::new(
        Pieces {
            bytes,
            sizes,
            turn: 0,
        },
        max,
    );
    let mut cuts = Vec::new();
    while let Some(frame) = frames.next().unwrap() {
        cuts.push(match frame {
            Frame::Object {
                bytes,
                offset,
                line,
            } => Cut::Object(bytes.to_vec(), offset, line),
            Frame::Broken { offset, line, why } => Cut::Broken(offset, line, why),
        });
        assert!(frames.buffer.len() <= max + LOOK_BYTES_MAX + 2 * READ_BYTES);
    }
    cuts
}

fn cut(bytes: &[u8]) -> Vec<Cut> {
    cut_in(bytes, vec![usize::MAX], RECORD_BYTES_MAX)
}

fn objects(cuts: &[Cut]) -> Vec<serde_json::Value> {
    cuts.iter()
        .map(|cut| match cut {
            Cut::Object(bytes, ..) => serde_json::from_slice(bytes).unwrap(),
            Cut::Broken(offset, _, why) => panic!("{why} at {offset}"),
        })
        .collect()
}

fn check(text: &str, expect: Expect) {
    let told: String = cut(text.as_bytes())
        .into_iter()
        .map(|cut| match cut {
            Cut::Object(bytes, offset, line) => {
                format!("{line}:{offset} {}\n", String::from_utf8_lossy(&bytes))
            }
            Cut::Broken(offset, line, why) => format!("{line}:{offset} broken: {why}\n"),
        })
        .collect();
    expect.assert_eq(&told);
}

#[test]
fn lines_values_and_arrays_are_cut_alike() {
    check(
        "{\"a\":1}\n{\"b\":{}}\r\n\n{\"c\":\"}{\\\"\"}{\"d\":1} {\"e\":[{}]}\n",
        expect![[r#"
            1:0 {"a":1}
            2:8 {"b":{}}
            4:19 {"c":"}{\""}
            4:31 {"d":1}
            4:39 {"e":[{}]}
        "#]],
    );
    check(
        "\u{feff}[\n {\"a\":1},\n {\"b\":2}\n]\n[[{\"c\":3}],[]]",
        expect![[r#"
            2:6 {"a":1}
            3:16 {"b":2}
            5:28 {"c":3}
        "#]],
    );
}

#[test]
fn known_wrappers_are_opened_whatever_the_order_of_their_keys() {
    check(
        "{\"Records\":[{\"a\":1},{\"b\":2}]}\n{\"result\": [ {\"c\":3} ], \"x\": {\"y\":\"]}\"} }{\"result\":[]}",
        expect![[r#"
            1:12 {"a":1}
            1:20 {"b":2}
            2:43 {"c":3}
        "#]],
    );
    check(
        "{\"size\":1,\"_links\":{\"self\":\"{[\"},\"values\":[{\"v\":1}]}{\"kind\":\"EventList\",\"apiVersion\":\"audit.k8s.io/v1\",\"metadata\":{},\"items\":[{\"k\":1},\n{\"k\":2}]}",
        expect![[r#"
            1:43 {"v":1}
            1:126 {"k":1}
            2:135 {"k":2}
        "#]],
    );
}

#[test]
fn a_record_with_a_list_of_its_own_stays_one_record() {
    for text in [
        r#"{"id":1,"items":[{"a":1}]}"#,
        r#"{"items":{"Records":[{"a":1}]}}"#,
        r#"{"values":[1,2]}"#,
        r#"{"kind":"Event","requestObject":{"items":[{"a":1}]}}"#,
    ] {
        assert_eq!(cut(text.as_bytes()), [Cut::Object(text.into(), 0, 1)]);
    }
}

#[test]
fn what_is_broken_is_told_once_and_the_next_line_is_read() {
    check(
        "{\"a\":\n{\"b\":\"x\n{\"c\":1}\n{\"d\":[1]\n{\"e\":1}\n{\"f\":1}\nnot json, {at all\nnor \"this\n{\"g\":1}\n",
        expect![[r#"
            1:0 broken: its brackets and quotes do not balance
            3:14 {"c":1}
            4:22 broken: its brackets and quotes do not balance
            5:31 {"e":1}
            6:39 {"f":1}
            7:47 broken: no JSON object
            7:57 broken: its brackets and quotes do not balance
            9:75 {"g":1}
        "#]],
    );
    check(
        "[1, \"x, {\", null, {\"a\":1}, 2]",
        expect![[r#"
            1:1 broken: no JSON object
            1:18 {"a":1}
            1:27 broken: no JSON object
        "#]],
    );
}

#[test]
fn a_stream_that_ends_too_early_says_so() {
    for (text, offset, count) in [
        ("{\"a\":1}\n{\"b\":", 8, 2),
        ("{\"Records\":[{\"a\":1},", 20, 2),
        ("{\"Records\":[{\"a\":1}],\"x\":", 25, 2),
        ("{\"a\":\"\\", 0, 1),
        ("{\"a\":{}\n", 0, 1),
        ("{", 0, 1),
    ] {
        let cuts = cut(text.as_bytes());
        assert_eq!(cuts.len(), count, "{text}: {cuts:?}");
        assert!(
            matches!(cuts.last(), Some(Cut::Broken(at, ..)) if *at == offset),
            "{text}: {cuts:?}"
        );
    }
    assert_eq!(cut(b"\n \n"), []);
}

#[test]
fn a_record_over_the_bound_is_passed_over_and_what_follows_is_read() {
    let long = "x".repeat(3 * READ_BYTES);
    for (text, before) in [
        (format!("{{\"a\":\"{long}\"}}\n{{\"b\":1}}"), 0),
        (
            format!("{{\"Records\":[{{\"a\":\"{long}\"}},{{\"b\":1}}]}}"),
            12,
        ),
        (format!("{{\"a\":\"{long}\n{{\"b\":1}}"), 0),
        (format!("{{\"a\":[{}\n{{\"b\":1}}", "{".repeat(900_000)), 0),
    ] {
        for sizes in [vec![usize::MAX], vec![1000, 1, 70_000]] {
            let cuts = cut_in(text.as_bytes(), sizes, 100_000);
            assert_eq!(cuts[0], Cut::Broken(before, 1, super::TOO_LONG));
            assert!(matches!(&cuts[1], Cut::Object(bytes, ..) if bytes == b"{\"b\":1}"));
            assert_eq!(cuts.len(), 2);
        }
    }
}

/// JSON objects with what is hard to cut: brackets and quotes in texts, nesting, line ends.
fn object() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i32>().prop_map(Into::into),
        "[{}\\[\\]\",:\\\\a \n]{0,8}".prop_map(Into::into),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::hash_map("(items|values|[a-c{}\"]{0,3})", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    });
    prop::collection::hash_map("[a-c{}\"]{0,3}", value, 0..4)
        .prop_map(|map| serde_json::Value::Object(map.into_iter().collect()))
}

fn written(value: &serde_json::Value, pretty: bool) -> String {
    if pretty {
        serde_json::to_string_pretty(value).unwrap()
    } else {
        value.to_string()
    }
}

proptest! {
    #[test]
    fn every_object_that_was_written_is_cut_out(
        values in prop::collection::vec((object(), any::<bool>()), 0..6),
        form in 0..6_u8,
        sizes in prop::collection::vec(1..40_usize, 1..4),
    ) {
        let texts: Vec<_> = values.iter().map(|(value, pretty)| written(value, *pretty)).collect();
        let whole = match form {
            0 => texts.join("\n"),
            1 => texts.concat(),
            2 => format!("[{}]", texts.join(",")),
            3 => format!("[\n{}\n]\n", texts.join(" ,\n")),
            4 => format!("{{\"Records\":[{}]}}", texts.join(",")),
            _ => format!("{{\"total\":3, \"values\" : [\n{}\n], \"z\":[{{}}]}}\n", texts.join("\n,")),
        };
        let expected: Vec<_> = values.into_iter().map(|(value, _)| value).collect();
        prop_assert_eq!(objects(&cut(whole.as_bytes())), expected.clone());
        let pieces = cut_in(whole.as_bytes(), sizes, RECORD_BYTES_MAX);
        prop_assert_eq!(objects(&pieces), expected);
    }

    #[test]
    fn arbitrary_bytes_are_cut_alike_however_they_are_read(
        tokens in prop::collection::vec(
            prop_oneof![
                "[{}\\[\\]\",:\\\\a1 \n\r]{0,6}",
                // Longer than what is looked at together.
                "[{}\\[\\]\",a ]{0,150}",
                "[{}\\[\\]a ]{60,70}",
                "(\\{[\\[\\]a,]{50,70}\\})",
                Just("{\"Records\":[".to_owned()),
                Just("{\"a\":1}\n".to_owned()),
                Just("{\"a\":1},".to_owned()),
                Just("\n{".to_owned()),
                Just("\u{feff}".to_owned()),
            ],
            0..24,
        ),
        sizes in prop::collection::vec(1..9_usize, 1..4),
        max in prop_oneof![1..40_usize, 40..2000_usize],
    ) {
        let bytes = tokens.concat().into_bytes();
        let whole = cut_in(&bytes, vec![usize::MAX], max);
        let mut behind = 0;
        for cut in &whole {
            let (at, line, end) = match cut {
                Cut::Object(object, at, line) => {
                    prop_assert_eq!(&bytes[*at as usize..][..object.len()], &object[..]);
                    prop_assert_eq!((object.first(), object.last()), (Some(&b'{'), Some(&b'}')));
                    (*at, *line, *at + object.len() as u64)
                }
                Cut::Broken(at, line, _) => (*at, *line, *at),
            };
            prop_assert!(behind <= at && end <= bytes.len() as u64);
            let before = &bytes[..at as usize];
            prop_assert_eq!(line, 1 + before.iter().filter(|byte| **byte == b'\n').count() as u64);
            behind = end;
        }
        prop_assert_eq!(cut_in(&bytes, sizes, max), whole);
    }
}

/// Prints MB/s: `cargo test --release -p countersign-evidence frames -- --ignored --nocapture`.
#[test]
#[ignore = "measures; run it by hand, in release"]
fn speed() {
    let record = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE0000000001","arn":"arn:aws:iam::000000000001:user/noa","accountId":"000000000001","userName":"noa","sessionContext":{"attributes":{"creationDate":"2026-07-10T11:42:31Z","mfaAuthenticated":"true"}}},"eventTime":"2026-07-10T11:42:36Z","eventSource":"ssm.amazonaws.com","eventName":"GetCommandInvocation","awsRegion":"eu-north-1","sourceIPAddress":"192.0.2.1","userAgent":"Boto3/1.34","requestParameters":{"commandId":"00000000-1a25-4020-b1b4-1872ff8edd12","instanceId":"i-00000000000000001"},"responseElements":null,"requestID":"CC9X0N62QREGTBMN","eventID":"293ba626-3be5-4a26-ab1b-0f4c54f49959","readOnly":true,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"000000000001","eventCategory":"Management"}"#;
    let count = 300_000;
    for (name, text) in [
        ("lines", vec![record; count].join("\n")),
        (
            "wrapped",
            format!("{{\"Records\":[{}]}}", vec![record; count].join(",")),
        ),
        ("one after the other", vec![record; count].concat()),
    ] {
        let began = std::time::Instant::now();
        let mut frames = Frames::new(text.as_bytes(), RECORD_BYTES_MAX);
        let mut objects = 0;
        while let Some(Frame::Object { .. }) = frames.next().unwrap() {
            objects += 1;
        }
        assert_eq!(objects, count);
        let rate = text.len() as f64 / 1e6 / began.elapsed().as_secs_f64();
        eprintln!("{name}: {rate:.0} MB/s");
    }
}
