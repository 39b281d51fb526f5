//! No dead sources: every `.rs` file is the root of something that cargo builds, or a module of one.
//! Follows `mod`, `#[path]` and `include!` as they are written; does not evaluate `cfg`.

use super::Finding;
use super::lexer::{Piece, Token, tokens};
use super::toml_lines::settings;
use super::tree::Tree;
use crate::metadata::Workspace;
use std::collections::BTreeSet;

/// Every `.rs` file that nothing reaches.
pub fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<(String, bool)> = roots(tree, workspace)
        .into_iter()
        .map(|path| (path, true))
        .collect();
    while let Some((path, is_root)) = open.pop() {
        let Some(text) = tree.text(&path) else {
            continue;
        };
        if reached.insert(path.clone()) {
            open.extend(children(tree, &path, is_root, &tokens(text)));
        }
    }
    let dead = tree
        .with_ending(".rs")
        .filter(|(path, _)| !reached.contains(*path));
    dead.map(|(path, _)| {
        Finding::new(
            path,
            1,
            "is reached from no target",
            "declare it with `mod` where it belongs, or delete it",
        )
    })
    .collect()
}

/// The root files of cargo's targets, and those named in manifests outside of the workspace (fuzz targets).
fn roots(tree: &Tree, workspace: &Workspace) -> BTreeSet<String> {
    let members = workspace.members.iter();
    let mut roots: BTreeSet<String> = members
        .flat_map(|member| &member.targets)
        .map(|target| target.source.clone())
        .collect();
    for (manifest, text) in tree.with_ending("Cargo.toml") {
        let ours = workspace
            .members
            .iter()
            .any(|member| member.manifest == manifest);
        if ours || manifest == "Cargo.toml" {
            continue;
        }
        let folder = parent(manifest);
        for setting in settings(text) {
            if setting.key == "path" && setting.value.trim_matches('"').ends_with(".rs") {
                roots.insert(join(folder, setting.value.trim_matches('"')));
            }
        }
        roots.extend(["src/lib.rs", "src/main.rs"].map(|path| join(folder, path)));
    }
    roots
}

/// The files that one file brings in, each with whether its own modules lie beside it, as those of a root.
fn children(tree: &Tree, path: &str, is_root: bool, tokens: &[Token]) -> Vec<(String, bool)> {
    let beside = parent(path);
    let own = if is_root || path.ends_with("/mod.rs") {
        beside.to_owned()
    } else {
        path.trim_end_matches(".rs").to_owned()
    };
    let mut found = Vec::new();
    // One entry an open brace: the name where it opens an inline module.
    let mut braces: Vec<Option<&str>> = Vec::new();
    let mut path_attribute: Option<&str> = None;
    let mut rest = tokens;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let pieces = (
            after.first().map(|t| &t.piece),
            after.get(1).map(|t| &t.piece),
        );
        let third = after.get(2).map(|t| &t.piece);
        if first.is_word("mod") {
            let Some(Piece::Word(name)) = pieces.0 else {
                continue;
            };
            let inline = braces
                .iter()
                .flatten()
                .fold(own.clone(), |at, name| join(&at, name));
            match pieces.1 {
                Some(Piece::Mark(';')) => match path_attribute.take() {
                    Some(file) => {
                        let from = if braces.iter().flatten().count() == 0 {
                            beside
                        } else {
                            &inline
                        };
                        // A file named by `#[path]` looks for its own modules beside itself.
                        found.push((join(from, file), true));
                    }
                    None => {
                        let flat = join(&inline, &format!("{name}.rs"));
                        let folder = join(&inline, &format!("{name}/mod.rs"));
                        found.extend([flat, folder].map(|file| (file, false)));
                    }
                },
                Some(Piece::Mark('{')) => {
                    braces.push(Some(name));
                    rest = rest.get(2..).unwrap_or_default();
                    path_attribute = None;
                }
                _ => {}
            }
        } else if first.is_mark('{') {
            braces.push(None);
        } else if first.is_mark('}') {
            braces.pop();
            path_attribute = None;
        } else if first.is_word("path") {
            if let (Some(Piece::Mark('=')), Some(Piece::Text(file)), Some(Piece::Mark(']'))) =
                (pieces.0, pieces.1, third)
            {
                path_attribute = Some(file);
            }
        } else if first.is_word("include")
            && let (Some(Piece::Mark('!')), Some(Piece::Mark('(')), Some(Piece::Text(file))) =
                (pieces.0, pieces.1, third)
        {
            found.push((join(beside, file), true));
        }
    }
    found.retain(|(file, _)| tree.contains(file));
    found
}

/// The folder of a path; empty for the root.
pub(super) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// `folder` and `path` as one, with `.` and `..` resolved.
pub(super) fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::metadata::{Member, Target, Workspace};
    use crate::tidy::tree::Tree;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        let targets = ["a/src/lib.rs", "a/tests/it/main.rs"].map(|source| Target {
            kind: "lib".into(),
            source: source.into(),
        });
        let workspace = Workspace {
            members: vec![Member {
                manifest: "a/Cargo.toml".into(),
                targets: targets.into(),
                ..Member::default()
            }],
            ..Workspace::default()
        };
        let findings = check(&Tree::of(files), &workspace);
        findings.into_iter().map(|finding| finding.path).collect()
    }

    #[test]
    fn modules_are_followed_in_every_form() {
        let files = [
            (
                "a/src/lib.rs",
                "mod b;\npub(crate) mod c;\nmod inline { mod d; mod deep { mod e; } }\nfn f() { if x {} }\nmod after;\n#[path = \"odd name.rs\"]\nmod odd;\n",
            ),
            ("a/src/b.rs", "#[cfg(test)]\nmod tests;"),
            ("a/src/b/tests.rs", ""),
            ("a/src/c/mod.rs", "mod g;"),
            ("a/src/c/g.rs", "include!(\"../made/table.rs\");"),
            ("a/src/inline/d.rs", ""),
            ("a/src/inline/deep/e.rs", ""),
            ("a/src/after.rs", ""),
            ("a/src/odd name.rs", "mod kin;"),
            ("a/src/kin.rs", ""),
            ("a/src/made/table.rs", ""),
            ("a/tests/it/main.rs", "mod one;"),
            ("a/tests/it/one.rs", ""),
        ];
        assert_eq!(dead(&files), Vec::<String>::new());
    }

    #[test]
    fn a_file_that_nobody_declares_is_dead() {
        let files = [
            (
                "a/src/lib.rs",
                "// mod b;\nconst X: &str = \"mod b;\";\nmod c;",
            ),
            ("a/src/b.rs", "mod d;"),
            ("a/src/b/d.rs", ""),
            ("a/src/c.rs", "mod e;"),
            ("a/src/e.rs", ""),
            ("a/src/c/e.rs", ""),
        ];
        assert_eq!(dead(&files), ["a/src/b.rs", "a/src/b/d.rs", "a/src/e.rs"]);
    }

    #[test]
    fn fuzz_targets_outside_of_the_workspace_count() {
        let files = [
            (
                "fuzz/Cargo.toml",
                "[[bin]]\nname = \"f\"\npath = \"targets/f.rs\"\n",
            ),
            ("fuzz/targets/f.rs", "mod g;"),
            ("fuzz/targets/g.rs", ""),
            ("fuzz/targets/old.rs", ""),
        ];
        assert_eq!(dead(&files), ["fuzz/targets/old.rs"]);
    }
}
