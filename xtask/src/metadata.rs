//! What `cargo metadata` says of the workspace, reduced to what the checks ask. Judges nothing.

use crate::root::{cargo, locked};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The workspace as cargo resolved it for the platforms that we ship for.
#[derive(Debug, Default)]
pub struct Workspace {
    /// Our packages.
    pub members: Vec<Member>,
    /// Every package in the resolved graph, ours included.
    pub packages: Vec<Package>,
    /// Package id → ids of the packages that it links or builds with (no development dependencies).
    pub shipped_edges: BTreeMap<String, Vec<String>>,
    /// Binaries that a bare `cargo run` could mean.
    pub default_binaries: Vec<String>,
    /// Where cargo puts what it builds.
    pub target_folder: PathBuf,
}

/// One package of ours.
#[derive(Debug, Default, Clone)]
pub struct Member {
    /// The id in the resolved graph.
    pub id: String,
    /// The name of the package.
    pub name: String,
    /// `Cargo.toml`, relative to the workspace root.
    pub manifest: String,
    /// What its manifest asks for, of every kind.
    pub dependencies: BTreeSet<String>,
    /// What cargo builds from it.
    pub targets: Vec<Target>,
}

/// One thing that cargo builds.
#[derive(Debug, Clone)]
pub struct Target {
    /// `lib`, `bin`, `test`, `example`, `bench`, `custom-build` …
    pub kind: String,
    /// The root source file, relative to the workspace root.
    pub source: String,
}

/// One package of the resolved graph.
#[derive(Debug, Default, Clone)]
pub struct Package {
    /// The id in the resolved graph.
    pub id: String,
    /// The name of the package.
    pub name: String,
    /// The version.
    pub version: String,
    /// The licence expression, when the manifest gives one.
    pub licence: Option<String>,
    /// Where it comes from; none for a path of ours.
    pub source: Option<String>,
}

impl Workspace {
    /// Asks cargo. Needs no network when everything has been fetched.
    pub fn read(root: &Path) -> Result<Self, String> {
        let output = cargo(root)
            .args(["metadata", "--format-version", "1", "--all-features"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .args(["--filter-platform", "aarch64-unknown-linux-gnu"])
            .args(locked())
            .output()
            .map_err(|error| format!("`cargo metadata` did not start: {error}"))?;
        if !output.status.success() {
            return Err(format!(
                "`cargo metadata` failed: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            ));
        }
        let document = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("`cargo metadata` printed no JSON: {error}"))?;
        Self::parse(&document, root).ok_or_else(|| {
            "`cargo metadata` printed a document of an unknown shape; hint: is cargo too new?"
                .to_owned()
        })
    }

    /// Reduces the document; none when a field that we rest on is absent.
    fn parse(document: &Value, root: &Path) -> Option<Self> {
        let member_ids = strings(document.get("workspace_members")?)?;
        let default_ids = strings(document.get("workspace_default_members")?)?;
        let mut workspace = Self {
            target_folder: PathBuf::from(document.get("target_directory")?.as_str()?),
            ..Self::default()
        };
        for package in document.get("packages")?.as_array()? {
            let id = text(package, "id")?;
            workspace.packages.push(Package {
                id: id.clone(),
                name: text(package, "name")?,
                version: text(package, "version")?,
                licence: text(package, "license"),
                source: text(package, "source"),
            });
            if !member_ids.contains(&id) {
                continue;
            }
            let targets = targets(package, root)?;
            if default_ids.contains(&id) {
                let array = package.get("targets")?.as_array()?;
                for (target, json) in targets.iter().zip(array) {
                    if target.kind == "bin" {
                        workspace.default_binaries.push(text(json, "name")?);
                    }
                }
            }
            let mut dependencies = BTreeSet::new();
            for dependency in package.get("dependencies")?.as_array()? {
                dependencies.insert(text(dependency, "name")?);
            }
            workspace.members.push(Member {
                id,
                name: text(package, "name")?,
                manifest: relative(&text(package, "manifest_path")?, root),
                dependencies,
                targets,
            });
        }
        for node in document.get("resolve")?.get("nodes")?.as_array()? {
            let mut edges = Vec::new();
            for edge in node.get("deps")?.as_array()? {
                let kinds = edge.get("dep_kinds")?.as_array()?;
                if kinds
                    .iter()
                    .any(|kind| kind.get("kind").and_then(Value::as_str) != Some("dev"))
                {
                    edges.push(text(edge, "pkg")?);
                }
            }
            workspace.shipped_edges.insert(text(node, "id")?, edges);
        }
        Some(workspace)
    }

    /// The names of our packages that have a library (and so may have doc tests).
    pub fn members_with_a_library(&self) -> Vec<String> {
        let has_library =
            |member: &&Member| member.targets.iter().any(|target| target.kind == "lib");
        let members = self.members.iter().filter(has_library);
        members.map(|member| member.name.clone()).collect()
    }

    /// The names of everything that ends up in, or builds, the package with this id.
    pub fn shipped_with(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                open.extend(
                    self.shipped_edges
                        .get(id)
                        .into_iter()
                        .flatten()
                        .map(String::as_str),
                );
            }
        }
        let packages = self.packages.iter();
        packages
            .filter(|package| seen.contains(package.id.as_str()))
            .map(|package| package.name.as_str())
            .collect()
    }
}

fn targets(package: &Value, root: &Path) -> Option<Vec<Target>> {
    let mut targets = Vec::new();
    for target in package.get("targets")?.as_array()? {
        targets.push(Target {
            kind: target
                .get("kind")?
                .as_array()?
                .first()?
                .as_str()?
                .to_owned(),
            source: relative(&text(target, "src_path")?, root),
        });
    }
    Some(targets)
}

fn text(value: &Value, field: &str) -> Option<String> {
    value.get(field)?.as_str().map(str::to_owned)
}

fn strings(value: &Value) -> Option<BTreeSet<String>> {
    let items = value.as_array()?.iter();
    items.map(|item| item.as_str().map(str::to_owned)).collect()
}

fn relative(path: &str, root: &Path) -> String {
    let path = Path::new(path);
    let inside = path.strip_prefix(root).unwrap_or(path);
    inside.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::Workspace;
    use serde_json::{Value, json};
    use std::path::Path;

    fn document() -> Value {
        json!({
            "workspace_members": ["a#1", "b#1"],
            "workspace_default_members": ["a#1"],
            "target_directory": "/w/target",
            "packages": [
                {"id": "a#1", "name": "a", "version": "1.0.0", "license": "MIT", "source": null,
                 "manifest_path": "/w/crates/a/Cargo.toml",
                 "dependencies": [{"name": "b", "kind": null}, {"name": "c", "kind": "dev"}],
                 "targets": [{"kind": ["bin"], "name": "tool", "src_path": "/w/crates/a/src/main.rs"}]},
                {"id": "b#1", "name": "b", "version": "1.0.0", "license": null, "source": null,
                 "manifest_path": "/w/crates/b/Cargo.toml", "dependencies": [],
                 "targets": [{"kind": ["lib"], "name": "b", "src_path": "/w/crates/b/src/lib.rs"}]},
                {"id": "c#1", "name": "c", "version": "2.0.0", "license": "ISC", "source": "registry",
                 "manifest_path": "/home/c/Cargo.toml", "dependencies": [], "targets": []},
            ],
            "resolve": {"nodes": [
                {"id": "a#1", "deps": [
                    {"pkg": "b#1", "dep_kinds": [{"kind": null}]},
                    {"pkg": "c#1", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "b#1", "deps": [{"pkg": "c#1", "dep_kinds": [{"kind": "dev"}, {"kind": "build"}]}]},
                {"id": "c#1", "deps": []},
            ]},
        })
    }

    #[test]
    fn the_document_is_reduced_to_what_we_ask() {
        let workspace = Workspace::parse(&document(), Path::new("/w")).unwrap();
        let names: Vec<_> = workspace.members.iter().map(|m| m.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(workspace.members[0].manifest, "crates/a/Cargo.toml");
        assert_eq!(
            workspace.members[0].targets[0].source,
            "crates/a/src/main.rs"
        );
        assert!(workspace.members[0].dependencies.contains("c"));
        assert_eq!(workspace.default_binaries, ["tool"]);
        assert_eq!(workspace.members_with_a_library(), ["b"]);
        assert_eq!(workspace.packages.len(), 3);
    }

    #[test]
    fn what_ships_excludes_development_dependencies_only() {
        let mut document = document();
        let shipped = |document: &Value| {
            let workspace = Workspace::parse(document, Path::new("/w")).unwrap();
            let names = workspace.shipped_with("a#1");
            names.into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(shipped(&document), ["a", "b", "c"]);
        document["resolve"]["nodes"][1]["deps"] = json!([]);
        assert_eq!(shipped(&document), ["a", "b"]);
    }

    #[test]
    fn an_unknown_shape_is_no_workspace() {
        for field in [
            "packages",
            "workspace_members",
            "resolve",
            "target_directory",
        ] {
            let mut document = document();
            document.as_object_mut().unwrap().remove(field);
            assert!(
                Workspace::parse(&document, Path::new("/w")).is_none(),
                "{field}"
            );
        }
    }
}
