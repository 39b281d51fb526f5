//! Tests of fetching: from files, folders and a server on this machine; what is never fetched.

use super::*;
use expect_test::{Expect, expect};
use std::io::Write;
use std::net::TcpListener;

const EPSS: &str = "#score_date:2026-05-18T00:00:00Z\ncve,epss,percentile\nCVE-2024-3094,0.1,0.1\n";

fn refuses(text: &str, expected: Expect) {
    expected.assert_eq(&Source::parse(text).unwrap_err().to_string());
}

#[test]
fn only_safe_urls_are_fetched() {
    for good in [
        "https://example.org/feed.json",
        "http://127.0.0.1:80/x",
        "http://localhost/x",
        "http://[::1]:8080/x",
    ] {
        assert!(Source::parse(good).unwrap().is_live(), "{good}");
    }
    assert!(!Source::parse("feeds/kev.json").unwrap().is_live());
    refuses(
        "http://example.org/x",
        expect!["`http://example.org/x` is not encrypted; use `https://`"],
    );
    refuses(
        "http://localhost.example.org/x",
        expect!["`http://localhost.example.org/x` is not encrypted; use `https://`"],
    );
    refuses(
        "ftp://example.org/x",
        expect!["`ftp://example.org/x` is not a URL known here; use `https://`"],
    );
    // The password is not repeated.
    refuses(
        "https://user:secret@example.org/x",
        expect![
            "`example.org` may not carry a user name or password in its URL; import a downloaded file instead"
        ],
    );
    refuses(
        "https://",
        expect!["`the URL` cannot be read; expected `https://host/path`"],
    );
}

#[test]
fn redirects_stay_within_the_rules() {
    let from: Uri = "https://example.org/a/b".parse().unwrap();
    assert_eq!(absolute(&from, "/c"), "https://example.org/c");
    assert_eq!(absolute(&from, "//other.org/c"), "https://other.org/c");
    assert!(allowed(&absolute(&from, "http://example.org/c")).is_err());
    assert!(allowed(&absolute(&from, "c")).is_err());
}

/// Serves `answers`, one to a connection, and gives the URL.
fn serve(answers: Vec<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/feed", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn moved(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

fn fetch(url: &str, limits: &Limits) -> Result<Import, FetchError> {
    import(&Source::parse(url).unwrap(), limits)
}

#[test]
fn a_url_is_fetched_through_redirects() {
    let url = serve(vec![moved("/elsewhere"), ok(EPSS)]);
    let import = fetch(&url, &Limits::default()).unwrap();
    assert_eq!(import.kind, FeedKind::Epss);
    assert_eq!(import.digest, Digest::of(EPSS.as_bytes()));
}

#[test]
fn what_a_server_does_wrong_is_an_error() {
    let problem = |answers: Vec<String>, limits: &Limits| {
        let url = serve(answers);
        let error = fetch(&url, limits).unwrap_err().to_string();
        error.replace(&url, "URL")
    };
    let limits = Limits::default();
    expect!["cannot fetch `URL`: status 404 Not Found; try again, or import a downloaded file"]
        .assert_eq(&problem(
            vec!["HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()],
            &limits,
        ));
    let endless = problem(vec![moved("/feed"); 10], &limits);
    expect!["cannot fetch `URL`: more than 5 redirects; try again, or import a downloaded file"]
        .assert_eq(&endless);
    expect!["`http://example.org/x` is not encrypted; use `https://`"]
        .assert_eq(&problem(vec![moved("http://example.org/x")], &limits));
    let small = Limits {
        document_bytes: 20,
        ..limits
    };
    expect!["`URL`: the document has more than 20 bytes; import it in parts"]
        .assert_eq(&problem(vec![ok(EPSS)], &small));
    // A body that ends before its stated length must not pass for a whole one.
    let cut = ok(EPSS).replace("Content-Length: ", "Content-Length: 1");
    let cut = problem(vec![cut], &limits);
    assert!(cut.contains("cannot read the document"), "{cut}");
}

#[test]
fn a_folder_of_cve_records_is_one_import() {
    let folder = tempfile::tempdir().unwrap();
    let record = |id: &str| {
        format!(
            r#"{{"cveMetadata":{{"cveId":"{id}","state":"PUBLISHED","dateUpdated":"2026-05-01T00:00:00Z"}},"containers":{{"cna":{{}}}}}}"#
        )
    };
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("2026/0xxx/CVE-2026-0001.json", &record("CVE-2026-0001"));
    write("2026/0xxx/CVE-2026-0002.json", "{");
    write("2025/CVE-2025-0001.json", &record("CVE-2025-0001"));
    write("delta.json", "[]");
    let source = Source::Path(folder.path().to_owned());
    let found = import(&source, &Limits::default()).unwrap();
    let cves: Vec<&str> = found.records().iter().map(|r| r.cve.as_str()).collect();
    assert_eq!(cves, ["CVE-2025-0001", "CVE-2026-0001"]);
    assert_eq!(found.skipped.count, 1);
    assert!(found.skipped.first[0].starts_with("2026/0xxx/CVE-2026-0002.json: "));
    assert_eq!(import(&source, &Limits::default()).unwrap(), found);
    write("2025/CVE-2025-0001.json", &record("CVE-2025-0009"));
    assert_ne!(
        import(&source, &Limits::default()).unwrap().digest,
        found.digest
    );

    let few = Limits {
        records: 2,
        ..Limits::default()
    };
    assert!(import(&source, &few).is_err());
    let small = Limits {
        document_bytes: 10,
        ..Limits::default()
    };
    assert!(matches!(
        import(&source, &small),
        Err(FetchError::Feed {
            error: FeedError::TooLarge { .. },
            ..
        })
    ));
    let empty = tempfile::tempdir().unwrap();
    assert!(import(&Source::Path(empty.path().to_owned()), &Limits::default()).is_err());
}

#[cfg(unix)]
#[test]
fn symbolic_links_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::NamedTempFile::new().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("CVE-2026-0001.json")).unwrap();
    std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
    let error = import(&Source::Path(folder.path().to_owned()), &Limits::default());
    assert!(matches!(
        error,
        Err(FetchError::Feed {
            error: FeedError::Empty { .. },
            ..
        })
    ));
}
