//! The socket: what is asked arrives, what is hostile is bounded, who asks is the kernel's word.

use super::*;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

const LINES: &str = "VERSION 3\n\ncs-web 1.0 all none > - - none **REMOVE**\n";

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

#[test]
fn a_question_arrives_with_its_process_and_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/hook.sock");
    let listener = Listener::open(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for (said, covered) in [(Ok(()), true), (Err("not this".to_owned()), false)] {
        let asker = path.clone();
        let asker = std::thread::spawn(move || {
            let mut stream = UnixStream::connect(asker).unwrap();
            frame::send(&mut stream, LINES.as_bytes(), soon()).unwrap();
            frame::receive(&mut stream, ANSWER_BYTES_MAX, soon()).unwrap()
        });
        let question = listener.wait(Duration::from_secs(5)).unwrap().unwrap();
        assert_eq!(question.pid, std::process::id());
        assert_eq!(question.lines.len(), 1);
        let why = said.clone().err().unwrap_or_default();
        question.answer(said);
        let answer: Answer = serde_json::from_slice(&asker.join().unwrap()).unwrap();
        assert_eq!(answer, Answer { covered, why });
    }
    assert!(listener.wait(Duration::ZERO).unwrap().is_none());
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn what_is_too_long_or_never_whole_is_not_taken() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hook.sock");
    let listener = Listener::open(&path).unwrap();
    for attack in [
        u32::MAX.to_be_bytes().to_vec(),
        vec![0, 0],
        [&8_u32.to_be_bytes()[..], b"VERSION"].concat(),
        [&4_u32.to_be_bytes()[..], b"\xff\xff\xff\xff"].concat(),
    ] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.write_all(&attack).unwrap();
        let began = Instant::now();
        assert!(
            listener.wait(Duration::from_secs(1)).unwrap().is_none(),
            "{attack:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}

#[test]
fn a_daemon_that_hangs_is_not_waited_for_beyond_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hook.sock");
    let _hung = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut stream = UnixStream::connect(&path).unwrap();
    let began = Instant::now();
    let deadline = began + Duration::from_millis(300);
    frame::send(&mut stream, LINES.as_bytes(), deadline).unwrap();
    let error = frame::receive(&mut stream, ANSWER_BYTES_MAX, deadline).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn only_a_leftover_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hook.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    drop(Listener::open(&path).unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(Listener::open(&path).is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[test]
fn nobody_asks_when_nobody_holds_the_package_lock() {
    let dir = tempfile::tempdir().unwrap();
    let asker = std::process::id();
    assert!(matches!(
        session(dir.path(), asker),
        Err(HolderError::Io { .. })
    ));
    let folder = dir.path().join("var/lib/dpkg");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("lock-frontend"), "").unwrap();
    assert!(matches!(
        session(dir.path(), asker),
        Err(HolderError::Free(_))
    ));
}

#[test]
fn a_socket_of_somebody_elses_is_asked_nothing() {
    assert!(is_ours(Uid::ROOT) && is_ours(rustix::process::geteuid()));
    let stranger = Uid::from_raw(rustix::process::geteuid().as_raw() ^ 0x7ffe);
    assert!(!is_ours(stranger));
}
