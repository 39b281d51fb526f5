//! What `countersign-host` is made of: its dependency tree, printed, and held against the list of names
//! that somebody looked at. What must never be among them is checked by `cargo xtask tidy` too.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// No SQL, no Cedar, no HTTP server, no other TLS than rustls, no async runtime: names, or how they begin.
const NEVER: [&str; 22] = [
    "rusqlite",
    "libsqlite",
    "sqlx",
    "diesel",
    "postgres",
    "tokio",
    "async-std",
    "smol",
    "cedar",
    "axum",
    "hyper",
    "h2",
    "actix",
    "warp",
    "rocket",
    "rouille",
    "tiny_http",
    "openssl",
    "native-tls",
    "countersign-gate",
    "countersign-store",
    "countersign-policy",
];

/// `cargo tree` of the shipped binary, as it would be built for that platform.
fn tree(platform: &str, more: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--package", "countersign-host"])
        .args(["--edges", "normal,build", "--target", platform])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

fn names(platform: &str) -> BTreeSet<String> {
    tree(platform, &["--prefix", "none"])
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_host_links_what_was_looked_at_and_nothing_else() {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("dependencies.txt");
    let list = std::fs::read_to_string(list).unwrap();
    let listed: BTreeSet<_> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    println!("{}", tree(PLATFORMS[0], &[]));
    let linked: BTreeSet<_> = PLATFORMS.into_iter().flat_map(names).collect();
    println!("{} packages", linked.len());
    let added: Vec<_> = linked.difference(&listed).collect();
    let gone: Vec<_> = listed.difference(&linked).collect();
    assert!(
        added.is_empty() && gone.is_empty(),
        "crates/host/dependencies.txt is behind: added {added:?}, no longer there {gone:?}; \
         hint: `cargo tree -p countersign-host -i NAME` shows what brings one"
    );
}

#[test]
fn the_host_has_no_sql_no_cedar_and_no_http_server() {
    let linked: BTreeSet<_> = PLATFORMS.into_iter().flat_map(names).collect();
    // Not an empty tree: the client of HTTP is there.
    assert!(linked.contains("ureq") && linked.contains("rustls"));
    let found: Vec<_> = linked
        .iter()
        .filter(|name| NEVER.iter().any(|never| name.starts_with(never)))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}
