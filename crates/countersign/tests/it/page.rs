//! The plain page: for this machine only, and harmless whatever agents write.

use crate::app::TestApp;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

fn raw(app: &TestApp, host: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(app.running.as_ref().unwrap().addr).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn only_loopback_names_are_served() {
    let app = TestApp::start();
    for host in ["localhost:8440", "127.0.0.1", "[::1]:8440"] {
        let answer = raw(&app, host, "/");
        assert!(answer.starts_with("HTTP/1.1 200"), "{host}: {answer}");
        let lower = answer.to_lowercase();
        assert!(lower.contains("content-security-policy: default-src 'none'; style-src 'self'"));
        assert!(!lower.contains("<script") && !lower.contains(" style="));
    }
    // A web site that points its own name here.
    for host in [
        "evil.example",
        "localhost.evil.example:8440",
        "127.0.0.1.evil.example",
    ] {
        assert!(raw(&app, host, "/").starts_with("HTTP/1.1 403"), "{host}");
    }
    // A proxy on this machine that keeps no secret of it.
    let forwarded = raw(&app, "localhost\r\nX-Forwarded-For: 192.0.2.1", "/");
    assert!(forwarded.starts_with("HTTP/1.1 403"), "{forwarded}");
    assert!(raw(&app, "localhost", "/static/style.css").contains("prefers-color-scheme: dark"));
}
