//! The manifests of our packages: lints and versions come from the workspace, licences are stated, and a
//! crate has one integration-test binary at most (each links everything once more).

use super::Finding;
use super::toml_lines::{Setting, settings};
use super::tree::Tree;
use crate::metadata::{Member, Workspace};

/// Package fields that every member inherits.
const INHERITED: [&str; 4] = ["version", "edition", "rust-version", "license"];

/// Checks the manifest of every member.
pub fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !tree.contains("LICENSE") {
        findings.push(Finding::new(
            "LICENSE",
            1,
            "is missing",
            "add the licence's text",
        ));
    }
    for member in &workspace.members {
        let path = &member.manifest;
        let Some(text) = tree.text(path) else {
            findings.push(Finding::new(
                path,
                1,
                "is not a tracked text file",
                "add it to git",
            ));
            continue;
        };
        let settings = settings(text);
        findings.extend(inheritance(path, &settings));
        let dependencies = settings
            .iter()
            .filter_map(|setting| versions(path, setting));
        findings.extend(dependencies);
        findings.extend(test_binaries(member));
    }
    findings
}

fn inheritance(path: &str, settings: &[Setting]) -> Vec<Finding> {
    let has = |section: &str, key: &str| {
        let mut settings = settings.iter();
        settings.any(|s| s.section == section && s.key == key && s.value == "true")
    };
    let mut findings = Vec::new();
    if !has("lints", "workspace") {
        findings.push(Finding::new(
            path,
            1,
            "does not inherit the workspace lints",
            "add `[lints]` with `workspace = true`",
        ));
    }
    for field in INHERITED {
        if !has("package", &format!("{field}.workspace")) {
            findings.push(Finding::new(
                path,
                1,
                format!("does not inherit `{field}`"),
                format!("write `{field}.workspace = true` under `[package]`"),
            ));
        }
    }
    findings
}

/// A dependency that is not taken from the workspace.
fn versions(path: &str, setting: &Setting) -> Option<Finding> {
    let mut parts = setting.section.rsplit('.');
    let last = parts.next()?;
    let is_list = |name: &str| {
        matches!(
            name,
            "dependencies" | "dev-dependencies" | "build-dependencies"
        )
    };
    // `[dependencies.serde]`: one table a dependency.
    let own_table = parts.next().is_some_and(is_list);
    let inherits = if own_table {
        return (setting.key == "version" || setting.key == "path" || setting.key == "git")
            .then(|| not_inherited(path, setting, last));
    } else if is_list(last) {
        let inline = setting.value.replace(' ', "");
        let key = setting.key.strip_suffix(".workspace");
        (key.is_some() && inline == "true") || inline.contains("workspace=true")
    } else {
        true
    };
    let name = setting.key.split('.').next().unwrap_or_default();
    (!inherits).then(|| not_inherited(path, setting, name))
}

fn not_inherited(path: &str, setting: &Setting, name: &str) -> Finding {
    Finding::new(
        path,
        setting.line,
        format!("`{name}` does not take its version from the workspace"),
        format!("put it under `[workspace.dependencies]` and write `{name}.workspace = true`"),
    )
}

fn test_binaries(member: &Member) -> Option<Finding> {
    let tests = member.targets.iter().filter(|target| target.kind == "test");
    let sources: Vec<&str> = tests.map(|target| target.source.as_str()).collect();
    match sources.as_slice() {
        [] | [_] => None,
        [.., last] => Some(Finding::new(
            last,
            1,
            format!(
                "`{}` has {} integration-test binaries",
                member.name,
                sources.len()
            ),
            "make them modules of one, `tests/it/main.rs`",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::metadata::{Member, Target, Workspace};
    use crate::tidy::tree::Tree;

    const GOOD: &str = "[package]\nname = \"a\"\nversion.workspace = true\nedition.workspace = true\nrust-version.workspace = true\nlicense.workspace = true\n\n[lints]\nworkspace = true\n\n[dependencies]\nserde.workspace = true\nrand = { workspace = true, features = [\"small_rng\"] }\n";

    fn found(manifest: &str, tests: &[&str]) -> Vec<String> {
        let targets = tests.iter().map(|source| Target {
            kind: "test".into(),
            source: (*source).to_owned(),
        });
        let workspace = Workspace {
            members: vec![Member {
                name: "a".into(),
                manifest: "crates/a/Cargo.toml".into(),
                targets: targets.collect(),
                ..Member::default()
            }],
            ..Workspace::default()
        };
        let tree = Tree::of(&[("crates/a/Cargo.toml", manifest), ("LICENSE", "")]);
        let findings = check(&tree, &workspace);
        findings
            .into_iter()
            .map(|f| format!("{}: {}", f.line, f.what))
            .collect()
    }

    #[test]
    fn a_manifest_that_inherits_passes() {
        assert_eq!(found(GOOD, &["tests/it/main.rs"]), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_inherited_is_found() {
        let bad = GOOD.replace("[lints]\nworkspace", "[lints]\nother");
        assert_eq!(
            found(&bad, &[]),
            ["1: does not inherit the workspace lints"]
        );
        let bad = GOOD.replace("license.workspace = true", "license = \"MIT\"");
        assert_eq!(found(&bad, &[]), ["1: does not inherit `license`"]);
    }

    #[test]
    fn versions_outside_of_the_workspace_are_found_in_every_form() {
        for (lines, expected) in [
            ("serde = \"1\"", "serde"),
            ("serde = { version = \"1\" }", "serde"),
            ("serde.version = \"1\"", "serde"),
            ("[dev-dependencies]\nrand = \"0.8\"", "rand"),
            ("[target.'cfg(unix)'.dependencies]\nnix = \"1\"", "nix"),
            ("[build-dependencies.cc]\nversion = \"1\"", "cc"),
            ("[dependencies.x]\ngit = \"https://example.org/x\"", "x"),
        ] {
            let what = format!("`{expected}` does not take its version from the workspace");
            let findings = found(&format!("{GOOD}{lines}\n"), &[]);
            assert_eq!(findings.len(), 1, "{lines}: {findings:?}");
            assert!(findings[0].ends_with(&what), "{lines}: {findings:?}");
        }
    }

    #[test]
    fn a_second_test_binary_is_found() {
        assert_eq!(
            found(GOOD, &["tests/it/main.rs", "tests/more.rs"]),
            ["1: `a` has 2 integration-test binaries"]
        );
    }

    #[test]
    fn a_missing_licence_or_manifest_is_found() {
        let workspace = Workspace {
            members: vec![Member {
                manifest: "x/Cargo.toml".into(),
                ..Member::default()
            }],
            ..Workspace::default()
        };
        let findings = check(&Tree::of(&[]), &workspace);
        let what: Vec<_> = findings.iter().map(|f| f.what.as_str()).collect();
        assert_eq!(what, ["is missing", "is not a tracked text file"]);
    }
}
