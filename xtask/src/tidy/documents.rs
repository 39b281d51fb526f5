//! The documents hang together: each decision record stands in its index, and no relative link is broken.
//! Reads Markdown line by line; fetches nothing.

use super::Finding;
use super::reachable::{join, parent};
use super::tree::Tree;

const RECORDS: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";

/// Every file in `docs/adr` is linked from its index.
pub fn decision_records(tree: &Tree) -> Vec<Finding> {
    let linked: Vec<String> = links_of(tree.text(INDEX).unwrap_or_default())
        .into_iter()
        .map(|(_, target)| join(parent(INDEX), target))
        .collect();
    let records = tree.texts().filter(|(path, _)| {
        path.starts_with(RECORDS) && *path != INDEX && !linked.iter().any(|link| link == path)
    });
    records
        .map(|(path, _)| {
            Finding::new(
                path,
                1,
                "is not linked from the index of decision records",
                format!("add a line for it to {INDEX}"),
            )
        })
        .collect()
}

/// Every relative link of every Markdown file leads to a file or folder of the project.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".md") {
        for (line, target) in links_of(text) {
            let file = join(parent(path), target);
            if !file.is_empty() && !tree.contains(&file) && !tree.contains_folder(&file) {
                findings.push(Finding::new(
                    path,
                    line,
                    format!("links to `{target}`, which does not exist"),
                    "mend the link or remove it",
                ));
            }
        }
    }
    findings
}

/// Line and target of every inline link to a file, fragments cut off. Code blocks and code spans are no
/// links.
fn links_of(text: &str) -> Vec<(usize, &str)> {
    let mut links = Vec::new();
    let mut in_code_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code_block = !in_code_block;
        }
        if in_code_block {
            continue;
        }
        for prose in line.split('`').step_by(2) {
            links.extend(targets(prose).map(|target| (index + 1, target)));
        }
    }
    links
}

fn targets(prose: &str) -> impl Iterator<Item = &str> {
    prose.split("](").skip(1).filter_map(|rest| {
        let target = rest.split([')', ' ']).next()?;
        let file = target.split('#').next()?;
        let elsewhere = file.contains("://") || file.starts_with("mailto:");
        (!file.is_empty() && !elsewhere).then_some(file)
    })
}

#[cfg(test)]
mod tests {
    use super::{Finding, Tree, decision_records, links};

    fn shown(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|f| format!("{}:{}", f.path, f.line))
            .collect()
    }

    #[test]
    fn a_decision_record_that_no_index_names_is_found() {
        let tree = Tree::of(&[
            (
                "docs/adr/README.md",
                "- [One](0001-one.md)\n- 0003-three.md\n",
            ),
            ("docs/adr/0001-one.md", ""),
            ("docs/adr/0002-two.md", ""),
            ("docs/adr/0003-three.md", ""),
        ]);
        assert_eq!(
            shown(&decision_records(&tree)),
            ["docs/adr/0002-two.md:1", "docs/adr/0003-three.md:1"]
        );
        let without_index = Tree::of(&[("docs/adr/0001-one.md", "")]);
        assert_eq!(
            shown(&decision_records(&without_index)),
            ["docs/adr/0001-one.md:1"]
        );
    }

    #[test]
    fn broken_links_are_found_and_code_is_no_link() {
        let tree = Tree::of(&[
            (
                "docs/a.md",
                "[up](../README.md#top), [folder](adr), [web](https://example.org/x), [here](#there)\n\
                 [gone](b.md)\n\
                 `[code](c.md)` and [`named`](d.md)\n\
                 ```\n[block](e.md)\n```\n\
                 [titled](f.md \"F\")\n",
            ),
            ("README.md", ""),
            ("docs/adr/README.md", ""),
        ]);
        assert_eq!(
            shown(&links(&tree)),
            ["docs/a.md:2", "docs/a.md:3", "docs/a.md:7"]
        );
    }
}
