//! The files that belong to the project: tracked by git, or new and not ignored. Reads, never writes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Every file by its path from the root, `/` between the parts. What is not UTF-8 is there without text.
#[derive(Debug, Default)]
pub struct Tree {
    files: BTreeMap<String, Option<String>>,
}

impl Tree {
    /// Reads the checkout; without git (a source archive), every file outside `target` and hidden folders.
    pub fn read(root: &Path) -> Result<Self, String> {
        let names = match listed_by_git(root) {
            Some(names) => names,
            None => {
                let mut names = Vec::new();
                walk(root, "", &mut names)
                    .map_err(|error| format!("the checkout cannot be listed: {error}"))?;
                names
            }
        };
        let mut files = BTreeMap::new();
        for name in names {
            let path = root.join(&name);
            // Deleted but not yet committed, or a link whose target is elsewhere.
            if !path.symlink_metadata().is_ok_and(|meta| meta.is_file()) {
                continue;
            }
            let bytes = std::fs::read(&path)
                .map_err(|error| format!("`{name}` cannot be read: {error}"))?;
            files.insert(name, String::from_utf8(bytes).ok());
        }
        Ok(Self { files })
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True when the file is there, text or not.
    pub fn contains(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// True when some file lies under the folder.
    pub fn contains_folder(&self, folder: &str) -> bool {
        let below = format!("{}/", folder.trim_end_matches('/'));
        self.files.keys().any(|path| path.starts_with(&below))
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path)?.as_deref()
    }

    /// Every text file: path and text.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.files.iter();
        files.filter_map(|(path, text)| Some((path.as_str(), text.as_deref()?)))
    }

    /// Every text file with this ending, such as `.rs`.
    pub fn with_ending<'a>(&'a self, ending: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.texts().filter(move |(path, _)| path.ends_with(ending))
    }

    /// An invented tree.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter();
        Self {
            files: files
                .map(|(path, text)| ((*path).to_owned(), Some((*text).to_owned())))
                .collect(),
        }
    }
}

fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let names = String::from_utf8(output.stdout).ok()?;
    let names: Vec<String> = names.split_terminator('\0').map(str::to_owned).collect();
    (output.status.success() && !names.is_empty()).then_some(names)
}

fn walk(root: &Path, folder: &str, names: &mut Vec<String>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(root.join(folder))? {
        let entry = entry?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else {
            continue;
        };
        let path = match folder {
            "" => name.clone(),
            folder => format!("{folder}/{name}"),
        };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let ours = matches!(name.as_str(), ".ci" | ".cargo" | ".config");
            if ours || !(name.starts_with('.') || path == "target") {
                walk(root, &path, names)?;
            }
        } else if kind.is_file() {
            names.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn an_archive_without_git_is_walked() {
        let root = std::env::temp_dir().join(format!("xtask-tree-{}", std::process::id()));
        for (path, bytes) in [
            ("crates/a/src/lib.rs", &b"//! A."[..]),
            (".ci/run", b"#!/bin/sh"),
            (".hidden/x", b"x"),
            ("target/debug/x.rs", b"x"),
            ("crates/a/image", b"\xff\xfe"),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let tree = Tree::read(&root).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        let names: Vec<_> = tree.files.keys().map(String::as_str).collect();
        assert_eq!(names, [".ci/run", "crates/a/image", "crates/a/src/lib.rs"]);
        assert_eq!(tree.text("crates/a/image"), None);
        assert!(tree.contains_folder("crates/a") && !tree.contains_folder("crates/b"));
    }
}
