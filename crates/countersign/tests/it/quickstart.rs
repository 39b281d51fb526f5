//! The quickstart, as a newcomer runs it: on real apt, in a private root, and on this machine.

use crate::program::{Ran, command, countersign, ran};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const NAMED: [&str; 4] = ["--name", "Maria Ortiz", "--yes", "--no-serve"];

fn quickstart(dir: &Path, more: &[&str]) -> Ran {
    let mut arguments = vec!["quickstart"];
    arguments.extend(NAMED);
    arguments.extend(more);
    countersign(dir, &arguments)
}

fn change<'a>(document: &'a Value, package: &str) -> &'a Value {
    document["changes"]
        .as_array()
        .unwrap()
        .iter()
        .find(|change| change["package"] == package)
        .unwrap_or_else(|| panic!("no change of {package} in {document:#}"))
}

/// The versions that dpkg itself finds in the sandbox's root.
fn installed(dir: &Path) -> Vec<String> {
    let output = Command::new("dpkg-query")
        .arg(format!(
            "--admindir={}",
            dir.join("sandbox/root/var/lib/dpkg").display()
        ))
        .args(["-W", "-f", "${Package} ${Version} ${db:Status-Abbrev}\n"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

/// What the sandbox has to show, each read from the document.
fn check_the_play(document: &Value) {
    assert_eq!(document["trial"], true);
    assert_eq!(document["policy"]["signed_by"][0], "maria.ortiz");
    assert!(document["policy"]["signed_at"].is_string());
    assert!(
        document["policy"]["digest"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    for (package, outcome, rule, state, execution) in [
        ("cs-web", "allow", "SA-200", "review-due", "succeeded"),
        ("cs-cache", "allow", "SA-200", "review-due", "rolled-back"),
        ("cs-lib", "allow", "SA-200", "settled", "revoked"),
        ("cs-db", "ask", "RQ-331", "settled", "succeeded"),
        ("cs-tools", "ask", "RQ-350", "awaiting-approval", "waiting"),
        ("cs-legacy", "escalate", "HL-906", "escalated", "waiting"),
    ] {
        let change = change(document, package);
        assert_eq!(change["outcome"], outcome, "{change:#}");
        assert_eq!(change["rule"], rule, "{change:#}");
        assert_eq!(change["state"], state, "{change:#}");
        assert_eq!(change["executions"][0]["state"], execution, "{change:#}");
        assert_eq!(change["from"], "1.0");
        assert!(!change["reasons"].as_array().unwrap().is_empty());
    }
    let notes = change(document, "cs-lib")["executions"][0]["notes"].to_string();
    assert!(notes.contains("swapped"), "{notes}");
    // Nothing came before in the sandbox.
    assert_eq!(document["audit"], Value::Null);
    assert_eq!(document["plain_apt"]["refused"], true);
    assert_eq!(document["plain_apt"]["exit_code"], 100);
}

#[test]
fn the_sandbox_runs_for_real_and_everything_verifies() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    let document = quickstart(&dir, &["--sandbox", "--json"]).done().json();
    check_the_play(&document);
    assert_eq!(
        installed(&dir),
        [
            // Rolled back for real, refused for real, never asked for.
            "cs-cache 1.0 ii",
            "cs-db 1.1 ii",
            "cs-legacy 1.0 ii",
            "cs-lib 1.0 ii",
            "cs-old 1.0 ii",
            "cs-tools 1.0 ii",
            "cs-web 1.1 ii",
        ]
    );

    let genesis = document["genesis"].as_str().unwrap();
    let verified = countersign(&dir, &["log", "verify", "--json", "--genesis", genesis]).done();
    assert_eq!(verified.json()["genesis_pinned"], true);
    countersign(&dir, &["log", "fsck", "--rebuild"]).done();
    for change in document["changes"].as_array().unwrap() {
        let why = countersign(&dir, &["why", change["id"].as_str().unwrap()]).done();
        for word in [
            "WHO", "WHAT", "BASIS", "DECIDED", "ROLLBACK", "REVIEW", "PROOFS", "VERIFY",
        ] {
            assert!(why.stdout.contains(word), "{word} in {}", why.stdout);
        }
        assert!(why.stdout.contains("Maria Ortiz"));
        let lines = why.stdout.lines().count();
        assert!(
            lines <= 50,
            "one screen, not {lines} lines:\n{}",
            why.stdout
        );
    }

    let out = temp.path().join("exported");
    let out = out.to_str().unwrap();
    countersign(&dir, &["log", "export", out]).done();
    for log in ["recommendations", "authorizations"] {
        for file in ["checkpoint", "vkey", "tile/0/000.p", "tile/entries/000.p"] {
            assert!(Path::new(out).join(log).join(file).exists(), "{log}/{file}");
        }
    }
    countersign(&dir, &["log", "verify", out, "--genesis", genesis]).done();
    check_the_audit(&dir, out, genesis);
    // Another genesis, or one flipped byte, is noticed.
    let other = format!("sha256:{}", "0".repeat(64));
    assert_eq!(
        countersign(&dir, &["log", "verify", out, "--genesis", &other]).code,
        1
    );
    let bundles = Path::new(out).join("authorizations/tile/entries/000.p");
    let bundle = std::fs::read_dir(bundles)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut bytes = std::fs::read(&bundle).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&bundle, bytes).unwrap();
    assert_eq!(
        countersign(&dir, &["log", "verify", out, "--genesis", genesis]).code,
        1
    );
}

/// The audit of the deployment's own log beside what apt itself wrote: each run counts once.
fn check_the_audit(dir: &Path, exported: &str, genesis: &str) {
    let logs = dir.join("sandbox/root/var/log");
    let logs = logs.to_str().unwrap();
    let audit = |log: &str| {
        let arguments = [
            "audit",
            log,
            logs,
            "--genesis",
            genesis,
            "--host",
            "sandbox",
            "--json",
        ];
        countersign(dir, &arguments).json()
    };
    let report = audit(exported);
    assert_eq!(report["counts"], audit(dir.to_str().unwrap())["counts"]);
    // Two ran under standing authority, and one was approved by the person who asked: a trial.
    assert_eq!(report["counts"]["clean"], 2);
    assert_eq!(report["counts"]["partial"], 1);
    assert_eq!(report["counts"]["ungoverned"], 0);
    // What apt tells of them, and of the one that was rolled back: by the id that the host gave it.
    let repeated = &report["excluded"][0];
    assert_eq!(repeated["format"], "apt-history");
    assert_eq!(repeated["why"], "repeated");
    assert_eq!(repeated["records"], 4);
    // Somebody else filled the root before, by dpkg alone.
    assert_eq!(report["counts"]["cannot_tell"], 1);
}

#[test]
fn the_next_commands_work_as_they_are_printed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    let shown = quickstart(&dir, &["--sandbox"]).done();
    let next: Vec<Vec<&str>> = shown
        .stdout
        .lines()
        .skip_while(|line| *line != "Next:")
        .skip(1)
        .map(|line| line.split_whitespace().skip(1).collect())
        .collect();
    assert_eq!(next.len(), 3, "{}", shown.stdout);
    for words in next {
        // `--dir` is named twice then: once as printed, once by the helper. The printed one counts.
        let words: Vec<&str> = words
            .into_iter()
            .take_while(|word| *word != "--dir")
            .collect();
        let mut words = words;
        if words.first() == Some(&"approve") {
            words.push("--yes");
        }
        countersign(&dir, &words).done();
    }
    // What was escalated has been taken up by the human, and a review closes what ran by itself.
    let changes = countersign(&dir, &["change", "list", "--json"])
        .done()
        .json();
    let list = changes["changes"]
        .as_array()
        .or(changes.as_array())
        .unwrap()
        .clone();
    let due = list
        .iter()
        .find(|change| change["state"] == "review-due")
        .unwrap();
    countersign(
        &dir,
        &["review", "accept", due["id"].as_str().unwrap(), "--yes"],
    )
    .done();
    countersign(&dir, &["log", "verify"]).done();
}

#[test]
fn it_needs_no_root() {
    if !rustix::process::getuid().is_root() {
        return; // Then every other test of this module shows it.
    }
    let temp = tempfile::tempdir().unwrap();
    let nobody = Some(rustix::process::Uid::from_raw(65_534));
    rustix::fs::chown(temp.path(), nobody, None).unwrap();
    let dir = temp.path().join("deployment");
    // A copy, because the build folder may lie where others cannot look.
    let program = temp.path().join("countersign");
    std::fs::copy(env!("CARGO_BIN_EXE_countersign"), &program).unwrap();
    let mut arguments = vec!["quickstart", "--sandbox", "--json"];
    arguments.extend(NAMED);
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(&arguments)
        .arg("--dir")
        .arg(&dir)
        .env("HOME", temp.path())
        .env("TMPDIR", temp.path())
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    check_the_play(&ran(output).done().json());
}

#[test]
fn a_deployment_that_is_there_is_never_overwritten() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("precious"), "data").unwrap();
    let refused = quickstart(&dir, &["--sandbox", "--json"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stdout.is_empty());
    assert!(refused.stderr.contains("--fresh"), "{}", refused.stderr);
    assert_eq!(
        std::fs::read_to_string(dir.join("precious")).unwrap(),
        "data"
    );
    quickstart(&dir, &["--sandbox", "--json", "--fresh"]).done();
    let kept = std::fs::read_dir(temp.path())
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.unwrap().path().join("precious")).ok())
        .count();
    assert_eq!(kept, 1, "moved aside, not deleted");
}

#[test]
fn bad_flags_name_the_field_and_the_remedy() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    for (flags, code, said) in [
        (vec!["--tier", "7"], 2, "0 (highest) to 4"),
        (vec!["--environment", "moon"], 2, "development"),
        (vec!["--person", "../etc"], 1, "person"),
        (vec!["--key", "/nonexistent"], 1, "/nonexistent"),
    ] {
        let refused = quickstart(&dir, &flags);
        assert_eq!(refused.code, code, "{flags:?}: {}", refused.stderr);
        assert!(
            refused.stderr.contains(said),
            "{flags:?}: {}",
            refused.stderr
        );
        assert!(!dir.exists(), "{flags:?} left something behind");
    }
    let mut nobody = command(&dir, &["quickstart", "--yes", "--no-serve", "--sandbox"]);
    let refused = ran(nobody
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .unwrap());
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--name"), "{}", refused.stderr);
}

#[test]
fn a_port_in_use_founds_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let arguments = [
        "quickstart",
        "--sandbox",
        "--name",
        "Maria",
        "--yes",
        "--listen",
        &address,
    ];
    let refused = countersign(&dir, &arguments);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("--listen"), "{}", refused.stderr);
    assert!(!dir.exists());
}

/// On this very machine nothing is changed, whether or not a mirror can be reached: either its
/// pending upgrades are decided, or the error says what works instead.
#[test]
fn the_machine_itself_is_only_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("deployment");
    let status = || std::fs::read("/var/lib/dpkg/status").unwrap();
    let before = status();
    let seen = quickstart(&dir, &["--json", "--limit", "2"]);
    assert_eq!(status(), before, "the machine's package state was touched");
    if seen.code == 0 {
        let document = seen.json();
        let changes = document["changes"].as_array().unwrap();
        assert!(changes.len() <= 2);
        for change in changes {
            assert_ne!(change["outcome"], Value::Null, "{change:#}");
            // Decided, but nothing of it ran.
            assert_eq!(change["executions"][0]["state"], "waiting", "{change:#}");
        }
        // Its own logs are judged, or it says why they are not.
        let past = &document["audit"];
        let judged = &past["judged"];
        if judged.is_null() {
            assert!(past["unread"].is_string(), "{document:#}");
        } else {
            let count = |name: &str| judged[name].as_u64().unwrap();
            let verdicts = count("clean") + count("partial") + count("ungoverned");
            assert_eq!(count("autonomous"), verdicts, "{judged:#}");
        }
        countersign(&dir, &["log", "verify"]).done();
    } else {
        assert!(seen.stderr.contains("--sandbox"), "{}", seen.stderr);
        assert!(seen.stdout.is_empty());
    }
}
