//! What others wrote and we ship: licences, bans and origins as `deny.toml` has them, enforced here too, so
//! that they hold where cargo-deny is not installed. Knows no advisories: those need the network.

use super::Finding;
use super::licence::satisfied;
use super::toml_lines::{Setting, settings};
use super::tree::Tree;
use crate::metadata::{Package, Workspace};

const LIST: &str = "deny.toml";

/// The only registry, in the form in which cargo names it whatever mirror it uses.
const REGISTRY: &str = concat!("registry+https://github.com/rust-lang/crates", ".io-index");

/// Every package's licence is on the list of `deny.toml`.
pub fn licences(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let settings = settings(tree.text(LIST).unwrap_or_default());
    let allowed = strings(&settings, "licenses", "allow");
    if allowed.is_empty() {
        return vec![Finding::new(
            LIST,
            1,
            "lists no allowed licence",
            "list them under `[licenses]` as `allow = [\"…\"]`",
        )];
    }
    let mut findings = Vec::new();
    for package in &workspace.packages {
        let exceptions = exceptions(&settings, &package.name);
        let allows = |name: &str| allowed.contains(&name) || exceptions.contains(&name);
        let verdict = match &package.licence {
            None => Err("no licence expression".to_owned()),
            Some(expression) => match satisfied(expression, &allows) {
                Ok(true) => Ok(()),
                Ok(false) => Err(format!("licence `{expression}`, which is not allowed")),
                Err(message) => Err(message),
            },
        };
        if let Err(why) = verdict {
            findings.push(about(
                tree,
                package,
                &why,
                "drop the dependency, or decide on the licence in deny.toml",
            ));
        }
    }
    findings
}

/// No banned package, and none from elsewhere than the registry or this workspace.
pub fn bans_and_origins(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let settings = settings(tree.text(LIST).unwrap_or_default());
    let banned: Vec<&str> = strings(&settings, "bans", "deny");
    if banned.is_empty() {
        return vec![Finding::new(
            LIST,
            1,
            "bans nothing",
            "list bans under `[bans]` as `deny = [{ crate = \"…\" }]`",
        )];
    }
    let mut findings = Vec::new();
    for package in &workspace.packages {
        if banned.contains(&package.name.as_str()) {
            let remedy = format!("see `cargo tree -i {}`; drop what brings it", package.name);
            findings.push(about(tree, package, "banned by deny.toml", &remedy));
        }
        let ours = workspace
            .members
            .iter()
            .any(|member| member.id == package.id);
        match package.source.as_deref() {
            None if ours => {}
            Some(REGISTRY) => {}
            source => findings.push(about(
                tree,
                package,
                &format!(
                    "it comes from `{}`",
                    source.unwrap_or("a path outside of the workspace")
                ),
                "take it from the default registry",
            )),
        }
    }
    findings
}

fn strings<'a>(settings: &'a [Setting], section: &str, key: &str) -> Vec<&'a str> {
    let settings = settings.iter();
    settings
        .filter(|setting| setting.section == section && setting.key == key)
        .flat_map(Setting::strings)
        .collect()
}

/// What `[[licenses.exceptions]]` allows this crate alone.
fn exceptions<'a>(settings: &'a [Setting], name: &str) -> Vec<&'a str> {
    let in_exceptions = |setting: &&Setting| setting.section == "licenses.exceptions";
    let tables: Vec<usize> = settings
        .iter()
        .filter(in_exceptions)
        .filter(|setting| setting.key == "crate" && setting.strings() == [name])
        .map(|setting| setting.section_number)
        .collect();
    settings
        .iter()
        .filter(|setting| setting.key == "allow" && tables.contains(&setting.section_number))
        .flat_map(Setting::strings)
        .collect()
}

/// A finding at the package's place in `Cargo.lock`.
fn about(tree: &Tree, package: &Package, why: &str, remedy: &str) -> Finding {
    let lock = tree.text("Cargo.lock").unwrap_or_default();
    let (name, version) = (&package.name, &package.version);
    let entry = format!("name = \"{name}\"\nversion = \"{version}\"\n");
    let before = lock.find(&entry).and_then(|at| lock.get(..at));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    Finding::new(
        "Cargo.lock",
        line,
        format!("`{name}` {version}: {why}"),
        remedy,
    )
}

#[cfg(test)]
mod tests {
    use super::{REGISTRY, bans_and_origins, licences};
    use crate::metadata::{Member, Package, Workspace};
    use crate::tidy::Finding;
    use crate::tidy::tree::Tree;

    const DENY: &str = "[licenses]\nallow = [\n  \"MIT\", # fine\n]\n[[licenses.exceptions]]\ncrate = \"roots\"\nallow = [\"CDLA\"]\n[[licenses.exceptions]]\ncrate = \"other\"\nallow = [\"GPL\"]\n[bans]\ndeny = [{ crate = \"openssl\" }]\n";
    const LOCK: &str = "[[package]]\nname = \"roots\"\nversion = \"1\"\n\n[[package]]\nname = \"x\"\nversion = \"1\"\n";

    fn workspace(name: &str, licence: Option<&str>, source: Option<&str>) -> Workspace {
        Workspace {
            members: vec![Member {
                id: "ours".into(),
                ..Member::default()
            }],
            packages: vec![Package {
                id: name.into(),
                name: name.into(),
                version: "1".into(),
                licence: licence.map(str::to_owned),
                source: source.map(str::to_owned),
            }],
            ..Workspace::default()
        }
    }

    fn shown(findings: Vec<Finding>) -> Vec<String> {
        let findings = findings.into_iter();
        findings
            .map(|f| format!("{}:{} {}", f.path, f.line, f.what))
            .collect()
    }

    fn judged(name: &str, licence: Option<&str>) -> Vec<String> {
        let tree = Tree::of(&[("deny.toml", DENY), ("Cargo.lock", LOCK)]);
        shown(licences(&tree, &workspace(name, licence, Some(REGISTRY))))
    }

    #[test]
    fn licences_on_the_list_pass_and_exceptions_are_for_their_crate_alone() {
        assert_eq!(judged("x", Some("GPL OR MIT")), Vec::<String>::new());
        assert_eq!(judged("roots", Some("CDLA")), Vec::<String>::new());
        assert_eq!(
            judged("x", Some("CDLA")),
            ["Cargo.lock:6 `x` 1: licence `CDLA`, which is not allowed"]
        );
        assert_eq!(judged("roots", Some("GPL")).len(), 1);
    }

    #[test]
    fn a_missing_or_unreadable_licence_is_found() {
        assert_eq!(
            judged("x", None),
            ["Cargo.lock:6 `x` 1: no licence expression"]
        );
        assert_eq!(
            judged("x", Some("MIT AND")),
            ["Cargo.lock:6 `x` 1: `MIT AND` is not an SPDX expression"]
        );
    }

    #[test]
    fn bans_and_foreign_origins_are_found() {
        let tree = Tree::of(&[("deny.toml", DENY)]);
        let found = |name, source| shown(bans_and_origins(&tree, &workspace(name, None, source)));
        assert_eq!(found("x", Some(REGISTRY)), Vec::<String>::new());
        assert_eq!(found("ours", None), Vec::<String>::new());
        assert_eq!(
            found("openssl", Some(REGISTRY)),
            ["Cargo.lock:1 `openssl` 1: banned by deny.toml"]
        );
        assert_eq!(found("x", Some("git+https://example.org/x")).len(), 1);
        assert_eq!(found("x", None).len(), 1);
    }

    #[test]
    fn an_empty_list_is_a_finding_and_not_a_pass() {
        let workspace = workspace("x", Some("MIT"), Some(REGISTRY));
        assert_eq!(licences(&Tree::of(&[]), &workspace).len(), 1);
        assert_eq!(bans_and_origins(&Tree::of(&[]), &workspace).len(), 1);
    }
}
