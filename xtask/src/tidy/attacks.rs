//! The attack table of SECURITY.md names tests that exist: each row at least one, each with the file it
//! is in. Whether a test is worth its name is for reviewers.

use super::Finding;
use super::tree::Tree;

const DOCUMENT: &str = "SECURITY.md";
const HEADING: &str = "## Attacks and their tests";

/// Every row names a test, and every test that it names is a test of the file named before it.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let finding = |line, what: String| {
        let remedy = "name the file and then its tests, each in backticks";
        Finding::new(DOCUMENT, line, what, remedy)
    };
    let text = tree.text(DOCUMENT).unwrap_or_default();
    let rows = rows(text);
    if rows.is_empty() {
        return vec![finding(1, format!("has no table under `{HEADING}`"))];
    }
    let mut findings = Vec::new();
    for (line, row) in rows {
        let mut file = None;
        let mut tests = 0;
        for span in row.split('`').skip(1).step_by(2) {
            if span.ends_with(".rs") {
                file = Some(format!("crates/{span}"));
                continue;
            }
            tests += 1;
            let path = file.as_deref().unwrap_or_default();
            if !has_test(tree.text(path).unwrap_or_default(), span) {
                findings.push(finding(line, format!("`{span}` is no test of `{path}`")));
            }
        }
        if tests == 0 {
            findings.push(finding(line, "an attack without a test".to_owned()));
        }
    }
    findings
}

/// Line number and last cell of each row of the table.
fn rows(text: &str) -> Vec<(usize, &str)> {
    let section = text
        .lines()
        .zip(1..)
        .skip_while(|(line, _)| *line != HEADING)
        .skip(1)
        .take_while(|(line, _)| !line.starts_with("## "));
    section
        .filter(|(line, _)| line.starts_with('|'))
        // The head, and the rule under it.
        .skip(2)
        .filter_map(|(line, number)| Some((number, line.trim_end_matches('|').rsplit('|').next()?)))
        .collect()
}

/// True when a function of this name stands right behind a `#[test]`.
fn has_test(source: &str, name: &str) -> bool {
    let head = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines
        .windows(2)
        .any(|pair| matches!(pair, [mark, line] if *mark == "#[test]" && line.starts_with(&head)))
}

#[cfg(test)]
mod tests {
    use super::{Tree, check};

    fn found(rows: &str) -> Vec<String> {
        let text = format!(
            "## Attacks and their tests\n\n| Attack | Tests |\n|---|---|\n{rows}\n## Next\n| x | y |\n"
        );
        let source = "#[test]\nfn it_is_refused() {}\nfn helper() {}\n";
        let tree = Tree::of(&[("SECURITY.md", &text), ("crates/a/tests/it/x.rs", source)]);
        check(&tree)
            .iter()
            .map(|finding| format!("{}: {}", finding.line, finding.what))
            .collect()
    }

    #[test]
    fn a_row_names_tests_that_exist() {
        let good = "| forged | `a/tests/it/x.rs`: `it_is_refused` |";
        assert_eq!(found(good), Vec::<String>::new());
        assert_eq!(
            found(&format!(
                "{good}\n| lost | `a/tests/it/x.rs`: `it_is_gone` |"
            )),
            ["6: `it_is_gone` is no test of `crates/a/tests/it/x.rs`"]
        );
        assert_eq!(
            found("| helped | `a/tests/it/x.rs`: `helper` |"),
            ["5: `helper` is no test of `crates/a/tests/it/x.rs`"]
        );
        assert_eq!(found("| untried | |"), ["5: an attack without a test"]);
        assert_eq!(found("| nowhere | `it_is_refused` |").len(), 1);
    }

    #[test]
    fn a_missing_table_is_found() {
        assert_eq!(found("").len(), 1);
        assert_eq!(
            check(&Tree::of(&[("SECURITY.md", "# Security\n")])).len(),
            1
        );
    }
}
