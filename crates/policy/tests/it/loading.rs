//! A policy that is wrong anywhere does not load, and says where.

use countersign_policy::{Finding, Policy, PolicySource, starter};

/// The starter policy with `from` replaced by `to` in `file`.
fn edited(file: &str, from: &str, to: &str) -> PolicySource {
    let mut files = starter().files().clone();
    let text = String::from_utf8(files.remove(file).unwrap()).unwrap();
    assert!(text.contains(from), "`{from}` is not in {file}");
    files.insert(file.to_owned(), text.replacen(from, to, 1).into_bytes());
    PolicySource::new(files).unwrap()
}

fn findings(source: &PolicySource) -> Vec<Finding> {
    Policy::load(source).map(drop).unwrap_err()
}

#[test]
fn a_mistake_is_found_at_its_place() {
    let mut misses = Vec::new();
    for (file, from, to, wanted) in [
        // Annotations.
        (
            "rules/requests.cedar",
            "@approvers",
            "@aprovers",
            "rules/requests.cedar:10:1: annotation `@aprovers` is not known",
        ),
        (
            "rules/requests.cedar",
            "@approvers(\"change-approvers=1\")\n",
            "",
            "rules/requests.cedar:6:1: a permit of `request` needs `@approvers`: whom it asks",
        ),
        (
            "rules/requests.cedar",
            "change-approvers=1",
            "change-approvers=0",
            "rules/requests.cedar:10:1: `change-approvers=0` is not `group=n` with n from 1 to 20",
        ),
        (
            "rules/requests.cedar",
            "change-approvers=1",
            "chnge-approvers=1",
            "rules/requests.cedar:10:1: group `chnge-approvers` is not in [groups] of policy.toml",
        ),
        (
            "rules/standing.cedar",
            "72h",
            "72 hours",
            "rules/standing.cedar:9:1: `72 hours` is not a duration",
        ),
        (
            "rules/standing.cedar",
            "@review_within",
            "@decide_within",
            "rules/standing.cedar:9:1: `@decide_within` stands only on",
        ),
        (
            "rules/standing.cedar",
            "@owner(\"platform\")",
            "@owner(\"platfrom\")",
            "rules/standing.cedar:6:1: owner `platfrom` is not in [owners]",
        ),
        (
            "rules/standing.cedar",
            "@id(\"SA-100\")\n",
            "",
            "rules/standing.cedar:5:1: every rule needs `@id`",
        ),
        (
            "rules/standing.cedar",
            "SA-200",
            "SA-100",
            "rules/standing.cedar:25:1: rule `SA-100` is already defined at rules/standing.cedar:5",
        ),
        (
            "rules/standing.cedar",
            "@review_within(\"72h\")",
            "@outcome(\"escalate\")",
            "rules/standing.cedar:9:1: `@outcome(\"escalate\")` stands only on a forbid",
        ),
        (
            "rules/limits.cedar",
            "@outcome(\"escalate\")",
            "@outcome(\"deny\")",
            "rules/limits.cedar:8:1: outcome `deny` is not known",
        ),
        (
            "rules/standing.cedar",
            "A small patch",
            "A \u{202e}small patch",
            "rules/standing.cedar:8:1: every rule needs `@why`",
        ),
        // Words of the schema, and groups.
        (
            "rules/standing.cedar",
            "\"staging\"",
            "\"stagging\"",
            "rules/standing.cedar:12:32: ",
        ),
        (
            "rules/standing.cedar",
            "context.chain.added",
            "context.chain.aded",
            "rules/standing.cedar:17:3: ",
        ),
        (
            "rules/people.cedar",
            "[Group::\"reviewers\"",
            "[Group::\"reviewrs\"",
            "rules/people.cedar:23:4: group `reviewrs` is not in [groups] of policy.toml",
        ),
        // Forms of rules.
        (
            "rules/standing.cedar",
            "permit (",
            "permit ",
            "rules/standing.cedar:10:8: ",
        ),
        (
            "rules/standing.cedar",
            "action == Action::\"execute\"",
            "action in Action::\"remediate\"",
            "a permit covers either `execute` or `request`, not both",
        ),
        (
            "rules/standing.cedar",
            "action == Action::\"execute\"",
            "action == Action::\"exeucte\"",
            "the rule covers no action",
        ),
        (
            "rules/limits.cedar",
            "context.contradictions > 0",
            "context.contradictions > 0 && resource.environment == Environment::\"staging\" && resource.environment == 3",
            "rules/limits.cedar:",
        ),
        // Optional facts without asking whether they are there.
        (
            "rules/standing.cedar",
            "context.vuln has cves && ",
            "",
            "rules/standing.cedar:37:3: ",
        ),
        // policy.toml.
        (
            "policy.toml",
            "form = 1",
            "form = 2",
            "policy.toml:4:1: `form`: form 2 is not known",
        ),
        ("policy.toml", "cadence_days", "cadence_day", "policy.toml:"),
        (
            "policy.toml",
            "warrant_lifetime_seconds = 900",
            "warrant_lifetime_seconds = 901",
            "`warrant_lifetime_seconds`: 901 is out of range",
        ),
        (
            "policy.toml",
            "host_silence_seconds = 86400",
            "host_silence_seconds = 7199",
            "`host_silence_seconds`: 7199 is out of range; use 7200",
        ),
        (
            "policy.toml",
            "group = \"policy-owners\"",
            "group = \"policy-owner\"",
            "group `policy-owner` is not declared in [groups]",
        ),
        ("policy.toml", "\"libc6*\"", "\"*\"", "`core-system`: `*`"),
        (
            "policy.toml",
            "platform = [\"policy-owner\"]",
            "platform = []",
            "`owners`: every owner needs",
        ),
        // Cases.
        (
            "cases/agents.toml",
            "cves = 0",
            "cvse = 0",
            "case `an update that fixes no known CVE asks`: unknown field `cvse`",
        ),
        (
            "cases/agents.toml",
            "cves = 0",
            "cves = \"0\"",
            "case `an update that fixes no known CVE asks`: ",
        ),
        (
            "cases/agents.toml",
            "base = \"debian\"\ntrial",
            "base = \"debain\"\ntrial",
            "there is no [base.debain] in this file",
        ),
        (
            "cases/agents.toml",
            "expect = \"allow\"",
            "expect = \"ask\"",
            "case `a security update with known CVEs runs by itself`: `expect`: `ask`, but it is `allow`",
        ),
        (
            "cases/agents.toml",
            "rules = [\"SA-200\"]",
            "rules = [\"SA-999\"]",
            "there is no rule `SA-999`",
        ),
        (
            "cases/people.toml",
            "expect = true",
            "expect = false",
            "case `a member of the group that is asked approves`: `expect`: false, but it is true",
        ),
        (
            "cases/people.toml",
            "may = \"approve\"",
            "may = \"aprove\"",
            "`may`: `aprove` is not an action",
        ),
    ] {
        let found = findings(&edited(file, from, to));
        let shown: Vec<_> = found.iter().map(ToString::to_string).collect();
        if !shown.iter().any(|line| line.contains(wanted)) {
            misses.push(format!("wanted {wanted}\nfound {shown:#?}"));
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn a_deleted_limit_fails_its_case() {
    let source = edited(
        "rules/limits.cedar",
        "context.blast.hosts > 50",
        "context.blast.hosts > 60",
    );
    let found = findings(&source);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found
            .iter()
            .all(|f| f.file == "cases/agents.toml" && f.line > 1)
    );
    assert!(found[0].to_string().contains("more than 50 hosts"));
}

#[test]
fn files_that_would_be_ignored_are_refused() {
    for (path, bytes, wanted) in [
        (
            "standing.cedar",
            &b""[..],
            "rules are read from `rules/NAME.cedar` only",
        ),
        (
            "rules/more/x.cedar",
            b"",
            "rules are read from `rules/NAME.cedar` only",
        ),
        ("rules/x.cedar.bak", b"", "is not read"),
        ("cases/x.json", b"", "is not read"),
        (
            "other.toml",
            b"",
            "`policy.toml` and `cases/NAME.toml` are read",
        ),
        ("rules/x.cedar", b"\xff", "is not UTF-8 from byte 0"),
    ] {
        let mut files = starter().files().clone();
        files.insert(path.to_owned(), bytes.to_vec());
        let found = findings(&PolicySource::new(files).unwrap());
        assert!(found[0].to_string().contains(wanted), "{path}: {found:?}");
    }
    let empty = findings(&PolicySource::new([].into()).unwrap());
    assert_eq!(empty[0].to_string(), "policy.toml:1:1: is missing");
    let mut files = starter().files().clone();
    files.retain(|path, _| path == "policy.toml");
    let none = findings(&PolicySource::new(files).unwrap());
    assert_eq!(none[0].to_string(), "rules:1:1: the policy has no rules");
}

#[test]
fn a_report_shows_the_source() {
    let found = findings(&edited("rules/requests.cedar", "@approvers", "@aprovers"));
    let report = format!("{:?}", found[0].report());
    for part in [
        "@aprovers",
        "change-approvers=1",
        "did you mean `@approvers`?",
    ] {
        assert!(report.contains(part), "{report}");
    }
}

#[test]
fn a_folder_is_read_without_following_links() {
    use countersign_policy::{SourceError, load::from_folder};
    let folder = std::env::temp_dir().join(format!("countersign-policy-{}", std::process::id()));
    let rules = folder.join("rules");
    std::fs::create_dir_all(folder.join(".git")).unwrap();
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(folder.join(".git/config"), "x").unwrap();
    std::fs::write(rules.join("a.cedar"), "// a").unwrap();
    let read = from_folder(&folder).unwrap();
    assert_eq!(read.files().keys().collect::<Vec<_>>(), ["rules/a.cedar"]);
    std::os::unix::fs::symlink("/etc/hostname", rules.join("b.cedar")).unwrap();
    assert!(
        matches!(from_folder(&folder), Err(SourceError::Kind(path)) if path == "rules/b.cedar")
    );
    std::fs::remove_file(rules.join("b.cedar")).unwrap();
    std::fs::write(rules.join("c.cedar"), vec![b'/'; 1024 * 1024 + 1]).unwrap();
    assert!(matches!(
        from_folder(&folder),
        Err(SourceError::Size { .. })
    ));
    std::fs::remove_dir_all(&folder).unwrap();
}
