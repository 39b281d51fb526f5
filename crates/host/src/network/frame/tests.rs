//! Frames: what comes through whole, and what is refused.

use super::*;
use proptest::prelude::*;

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// What reading an answer makes of `bytes`, after which the other side hangs up.
fn answer_of(bytes: &[u8]) -> Result<Result<Reply, String>, FrameError> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = theirs.write_all(bytes);
        });
        read_answer(&ours, soon())
    })
}

fn request_of(bytes: &[u8]) -> Result<Request, FrameError> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(bytes).unwrap();
    drop(theirs);
    read_request(&ours, soon())
}

fn framed(head: &str, body: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    [
        MAGIC.as_slice(),
        &length(head.len()),
        &length(body.len()),
        head.as_bytes(),
        body,
    ]
    .concat()
}

#[test]
fn requests_and_answers_come_through_whole() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let request = Request {
        endpoint: Endpoint::Observations {
            host: "web-1".parse().unwrap(),
        },
        bearer: Some("eyJ.a-b_c.x".into()),
        body: vec![b'x'; 3 * CHUNK_BYTES + 1],
    };
    let reply = Reply {
        status: 409,
        body: vec![0xff; 2 * CHUNK_BYTES],
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(read_request(&theirs, soon()).unwrap(), request);
            write_answer(&theirs, &Ok(reply.clone()), soon()).unwrap();
        });
        write_request(&ours, &request, soon()).unwrap();
        assert_eq!(read_answer(&ours, soon()).unwrap(), Ok(reply.clone()));
    });
    assert!(!format!("{request:?}").contains("eyJ"));
}

#[test]
fn what_is_no_answer_of_ours_is_refused() {
    let good = framed(r#"{"status":200}"#, b"{}");
    assert!(answer_of(&good).unwrap().is_ok());
    assert_eq!(
        answer_of(&framed(r#"{"failed":"no route"}"#, b"")).unwrap(),
        Err("no route".to_owned())
    );
    for (what, bytes) in [
        ("nothing", Vec::new()),
        ("HTTP", b"HTTP/1.1 200 OK\r\n\r\n{}".to_vec()),
        ("another version", [b"CSN2", &good[4..]].concat()),
        ("a frame cut short", good[..good.len() - 1].to_vec()),
        ("a status beyond HTTP", framed(r#"{"status":20000}"#, b"")),
        ("an unknown head", framed(r#"{"stat":200}"#, b"")),
        ("no JSON", framed("status 200", b"")),
    ] {
        assert!(answer_of(&bytes).is_err(), "{what}");
    }
}

#[test]
fn a_length_beyond_the_bounds_is_refused_before_anything_is_read() {
    let announced = |head: u32, body: u32| {
        [MAGIC.as_slice(), &head.to_be_bytes(), &body.to_be_bytes()].concat()
    };
    for (bytes, part) in [
        (announced(u32::MAX, 0), "head"),
        (announced(16 * 1024 + 1, 0), "head"),
        (announced(2, u32::MAX), "body"),
        (announced(2, 16 * 1024 * 1024 + 1), "body"),
    ] {
        let error = answer_of(&bytes).unwrap_err();
        assert!(
            matches!(error, FrameError::TooLarge { part: told, .. } if told == part),
            "{error}"
        );
    }
}

#[test]
fn a_request_for_another_path_cannot_be_said() {
    for (head, body) in [
        (r#"{"endpoint":{"at":"policy"}}"#, ""),
        (r#"{"endpoint":{"at":"work","host":"../../halt"}}"#, ""),
        (r#"{"endpoint":{"at":"work","host":"a?b"}}"#, ""),
        (r#"{"endpoint":{"at":"deployment","path":"/halts"}}"#, ""),
        (
            r#"{"endpoint":{"at":"deployment"},"server":"https://evil"}"#,
            "",
        ),
        (
            r#"{"endpoint":{"at":"deployment"},"bearer":"a\r\nhost: evil"}"#,
            "",
        ),
        (r#"{"endpoint":{"at":"deployment"}}"#, "{}"),
    ] {
        assert!(
            request_of(&framed(head, body.as_bytes())).is_err(),
            "{head}"
        );
    }
    assert!(request_of(&framed(r#"{"endpoint":{"at":"deployment"}}"#, b"")).is_ok());
}

#[test]
fn one_byte_at_a_time_does_not_outlast_the_deadline() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let slow = std::thread::spawn(move || {
        for byte in framed(r#"{"status":200}"#, &[0; 4096]) {
            if theirs.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let begun = Instant::now();
    let error = read_answer(&ours, begun + Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, FrameError::Io(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
    drop(ours);
    slow.join().unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_make_either_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let framed = [MAGIC.as_slice(), &bytes].concat();
        for bytes in [&bytes, &framed] {
            let _ = answer_of(bytes);
            let _ = request_of(bytes);
        }
    }
}
