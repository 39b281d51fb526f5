//! `cargo xtask tidy`: the rules of the house that the compiler does not know. Each check is a function
//! from the tracked files and cargo's view of the workspace to findings; none changes a file.

mod attacks;
mod dependencies;
mod documents;
mod imports;
mod lexer;
mod licence;
mod manifest;
mod reachable;
mod readme;
mod sources;
mod toml_lines;
mod tree;

use crate::metadata::Workspace;
use std::fmt;
use std::path::Path;
use tree::Tree;

/// Something that breaks a rule: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    line: usize,
    what: String,
    remedy: String,
}

impl Finding {
    /// `line` counts from 1.
    fn new(path: &str, line: usize, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            what,
            remedy,
        } = self;
        write!(out, "{path}:{line}: {what}\n    remedy: {remedy}")
    }
}

/// One check.
type Check = fn(&Tree, &Workspace) -> Vec<Finding>;

/// All of them, by the name under which they report.
const CHECKS: [(&str, Check); 13] = [
    ("imports", imports::check),
    ("headers", |tree, _| sources::headers(tree)),
    ("lengths", |tree, _| sources::lengths(tree)),
    ("unfinished code", |tree, _| sources::unfinished(tree)),
    ("foreign words", |tree, _| sources::foreign_words(tree)),
    ("dead sources", reachable::check),
    ("manifests", manifest::check),
    ("licences", dependencies::licences),
    ("bans and origins", dependencies::bans_and_origins),
    ("decision records", |tree, _| {
        documents::decision_records(tree)
    }),
    ("links", |tree, _| documents::links(tree)),
    ("attacks", |tree, _| attacks::check(tree)),
    ("readme", readme::check),
];

/// Runs every check and prints what each found; true when nothing was.
pub fn run(root: &Path) -> Result<bool, String> {
    let workspace = Workspace::read(root)?;
    let tree = Tree::read(root)?;
    let mut count = 0;
    for (name, check) in CHECKS {
        let mut findings = check(&tree, &workspace);
        findings.sort();
        count += findings.len();
        match findings.len() {
            0 => println!("tidy: {name}: ok"),
            found => println!("tidy: {name}: {found} to mend"),
        }
        for finding in findings {
            println!("{finding}");
        }
    }
    match count {
        0 => println!(
            "tidy: {} files, {} checks, all well",
            tree.len(),
            CHECKS.len()
        ),
        count => println!("tidy: {count} to mend"),
    }
    Ok(count == 0)
}

#[cfg(test)]
mod tests {
    use super::Finding;

    #[test]
    fn a_finding_says_where_what_and_what_to_do() {
        let finding = Finding::new("src/lib.rs", 7, "no header", "write one");
        assert_eq!(
            finding.to_string(),
            "src/lib.rs:7: no header\n    remedy: write one"
        );
    }
}
