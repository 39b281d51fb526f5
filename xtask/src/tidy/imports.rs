//! Who may import whom: the table of ARCHITECTURE.md, for every kind of dependency, so that tests cannot
//! reach where the product may not. Also what must never be linked into the crates made to be audited.

use super::Finding;
use super::tree::Tree;
use crate::metadata::{Member, Workspace};

/// Our packages that one may import.
enum May {
    All,
    Only(&'static [&'static str]),
}

/// The table. A crate without a row may not exist: whoever adds one decides its place first.
const TABLE: [(&str, May); 15] = [
    ("domain", May::Only(&[])),
    ("ledger", May::Only(&[])),
    ("verify", May::Only(&["domain"])),
    ("policy", May::Only(&["domain"])),
    ("facts", May::Only(&["domain"])),
    ("connect", May::Only(&["domain"])),
    ("agent", May::Only(&["domain"])),
    ("host", May::Only(&["domain", "verify"])),
    ("evidence", May::Only(&["domain", "verify", "ledger"])),
    ("gateway", May::Only(&["domain", "verify", "host"])),
    ("store", May::Only(&["domain", "ledger"])),
    (
        "gate",
        May::Only(&["domain", "ledger", "verify", "policy", "facts", "store"]),
    ),
    ("countersign", May::All),
    ("simulation", May::All),
    ("xtask", May::Only(&[])),
];

/// Engines that one crate alone may name, so that there is one door to each (the third-party package, whole
/// or as the first part of a name, then the crates).
const DOORS: [(&str, &[&str]); 3] = [
    ("cedar-policy", &["policy"]),
    // Evidence reads copies of foreign databases (dnf's history), never our own.
    ("rusqlite", &["store", "evidence"]),
    ("axum", &["countersign"]),
];

/// What must not be linked into a crate, however far away: `countersign-host` runs as root and is read by
/// auditors; `domain` and `verify` are pure.
const NEVER_WITHIN: [(&str, &[&str]); 3] = [
    (
        "host",
        &[
            "cedar-policy",
            "cedar-policy-core",
            "rusqlite",
            "libsqlite3-sys",
            "sqlx",
            "postgres",
            "axum",
            "hyper",
            "h2",
            "tiny_http",
            "tokio",
        ],
    ),
    (
        "verify",
        &[
            "tokio",
            "ureq",
            "rusqlite",
            "libsqlite3-sys",
            "cedar-policy",
            "axum",
        ],
    ),
    (
        "domain",
        &[
            "tokio",
            "ureq",
            "rusqlite",
            "libsqlite3-sys",
            "cedar-policy",
            "axum",
        ],
    ),
];

/// Checks every member against the three tables.
pub fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for member in &workspace.members {
        let Some((_, may)) = TABLE.iter().find(|(name, _)| *name == short(&member.name)) else {
            findings.push(Finding::new(
                &member.manifest,
                1,
                format!("`{}` has no row in the import table", member.name),
                "decide what it may import and add it to ARCHITECTURE.md and to `TABLE` in xtask/src/tidy/imports.rs",
            ));
            continue;
        };
        for dependency in &member.dependencies {
            let line = line_of(tree, &member.manifest, dependency);
            let ours = workspace
                .members
                .iter()
                .any(|other| other.name == *dependency);
            if ours && !allowed(may, short(dependency)) {
                findings.push(Finding::new(
                    &member.manifest,
                    line,
                    format!("`{}` may not import `{dependency}`", member.name),
                    "move the code to where it may be imported from; imports run one way (ARCHITECTURE.md)",
                ));
            }
            if let Some((engine, doors)) = door(dependency)
                && !doors.contains(&short(&member.name))
            {
                findings.push(Finding::new(
                    &member.manifest,
                    line,
                    format!("`{}` may not depend on `{dependency}`", member.name),
                    format!(
                        "only {} may name `{engine}`: go through it",
                        doors.join(", ")
                    ),
                ));
            }
        }
        findings.extend(never_within(tree, workspace, member));
    }
    findings
}

fn never_within(tree: &Tree, workspace: &Workspace, member: &Member) -> Vec<Finding> {
    let Some((_, banned)) = NEVER_WITHIN
        .iter()
        .find(|(name, _)| *name == short(&member.name))
    else {
        return Vec::new();
    };
    let shipped = workspace.shipped_with(&member.id);
    let found = banned.iter().filter(|name| shipped.contains(**name));
    found
        .map(|name| {
            Finding::new(
                &member.manifest,
                line_of(tree, &member.manifest, name),
                format!("`{name}` is linked into `{}`", member.name),
                format!(
                    "see `cargo tree -p {} -i {name}`; drop what brings it",
                    member.name
                ),
            )
        })
        .collect()
}

fn allowed(may: &May, name: &str) -> bool {
    match may {
        // The binary may import every crate of the house; this one is a tool beside it.
        May::All => name != "xtask",
        May::Only(names) => names.contains(&name),
    }
}

fn door(dependency: &str) -> Option<&'static (&'static str, &'static [&'static str])> {
    DOORS.iter().find(|(engine, _)| {
        let rest = dependency.strip_prefix(engine);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}

/// `countersign-gate` is `gate`; names without the prefix stand as they are.
fn short(name: &str) -> &str {
    name.strip_prefix("countersign-").unwrap_or(name)
}

/// The line of the manifest that begins with this name, or the first.
pub(super) fn line_of(tree: &Tree, manifest: &str, name: &str) -> usize {
    let text = tree.text(manifest).unwrap_or_default();
    let position = text.lines().position(|line| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    });
    position.map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::metadata::{Member, Package, Workspace};
    use crate::tidy::tree::Tree;

    fn workspace(imports: &[(&str, &[&str])]) -> Workspace {
        let mut workspace = Workspace::default();
        for (name, dependencies) in imports {
            let mut ids = Vec::new();
            for dependency in *dependencies {
                ids.push((*dependency).to_owned());
                workspace.packages.push(Package {
                    id: (*dependency).to_owned(),
                    name: (*dependency).to_owned(),
                    ..Package::default()
                });
            }
            workspace.shipped_edges.insert((*name).to_owned(), ids);
            workspace.members.push(Member {
                id: (*name).to_owned(),
                name: (*name).to_owned(),
                manifest: format!("crates/{name}/Cargo.toml"),
                dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
                ..Member::default()
            });
        }
        workspace
    }

    fn found(imports: &[(&str, &[&str])]) -> Vec<String> {
        let manifest = "[dependencies]\ncountersign-gate.workspace = true\n";
        let tree = Tree::of(&[("crates/countersign-host/Cargo.toml", manifest)]);
        let findings = check(&tree, &workspace(imports));
        findings
            .into_iter()
            .map(|f| format!("{}: {}", f.line, f.what))
            .collect()
    }

    #[test]
    fn what_the_table_allows_passes() {
        let imports: [(&str, &[&str]); 6] = [
            ("countersign-domain", &["serde"]),
            ("countersign-verify", &["countersign-domain"]),
            (
                "countersign-host",
                &["countersign-domain", "countersign-verify"],
            ),
            (
                "countersign-policy",
                &["countersign-domain", "cedar-policy"],
            ),
            (
                "countersign",
                &["countersign-host", "countersign-domain", "axum"],
            ),
            ("xtask", &["serde_json"]),
        ];
        assert_eq!(found(&imports), Vec::<String>::new());
    }

    #[test]
    fn an_import_against_the_table_is_found_at_its_line() {
        let imports: [(&str, &[&str]); 4] = [
            ("countersign-gate", &[]),
            ("countersign-host", &["countersign-gate"]),
            ("countersign", &["xtask"]),
            ("xtask", &["countersign-gate"]),
        ];
        assert_eq!(
            found(&imports),
            [
                "2: `countersign-host` may not import `countersign-gate`",
                "1: `countersign` may not import `xtask`",
                "1: `xtask` may not import `countersign-gate`",
            ]
        );
    }

    #[test]
    fn a_crate_without_a_row_is_found() {
        assert_eq!(
            found(&[("countersign-extra", &[])]),
            ["1: `countersign-extra` has no row in the import table"]
        );
    }

    #[test]
    fn engines_have_one_door_and_the_root_binary_stays_small() {
        let imports: [(&str, &[&str]); 3] = [
            ("countersign-gate", &["cedar-policy-symcc", "rusqlite"]),
            ("countersign-agent", &["axumette", "rusqlite_migration"]),
            ("countersign-host", &["hyper"]),
        ];
        assert_eq!(
            found(&imports),
            [
                "1: `countersign-gate` may not depend on `cedar-policy-symcc`",
                "1: `countersign-gate` may not depend on `rusqlite`",
                "1: `hyper` is linked into `countersign-host`",
            ]
        );
    }
}
