//! What every source file keeps: a header, a length that can be read in one sitting, no unfinished code,
//! and no word that makes sense on one machine only.

use super::Finding;
use super::lexer::tokens;
use super::tree::Tree;

/// The length from which a source file is two files.
const LINES_MAX: usize = 600;

/// Files that may be longer, each with its reason.
const LONGER: [(&str, &str); 0] = [];

/// Endings of files that people write and read line by line.
const SOURCE_ENDINGS: [&str; 7] = [".rs", ".cedar", ".sql", ".sh", ".html", ".css", ".js"];

/// Macros that mean "later".
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Where one developer's checkout or home lies.
const MACHINE_FOLDERS: [&str; 2] = [concat!("/", "work/"), concat!("/", "root/")];

/// Registries: their names belong into cargo's own configuration, which knows mirrors.
const REGISTRY_HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("registry.npmjs", ".org"),
    concat!("rubygems", ".org"),
    concat!("proxy.golang", ".org"),
];

/// Every `.rs` file opens with `//!` and words.
pub fn headers(tree: &Tree) -> Vec<Finding> {
    let lacks = |text: &str| {
        let first = text.lines().next().unwrap_or_default();
        first
            .strip_prefix("//!")
            .is_none_or(|words| words.trim().is_empty())
    };
    let files = tree.with_ending(".rs").filter(|(_, text)| lacks(text));
    files
        .map(|(path, _)| {
            Finding::new(
                path,
                1,
                "does not open with a `//!` header",
                "say in its first line what it is and what it is not",
            )
        })
        .collect()
}

/// No source file is too long.
pub fn lengths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.texts() {
        let lines = text.lines().count();
        let is_source = SOURCE_ENDINGS.iter().any(|ending| path.ends_with(ending));
        let may = LONGER.iter().any(|(longer, _)| *longer == path);
        if is_source && lines > LINES_MAX && !may {
            findings.push(Finding::new(
                path,
                LINES_MAX + 1,
                format!("has {lines} lines, {LINES_MAX} at most"),
                "split it by what its parts are about",
            ));
        }
    }
    findings
}

/// No macro that stands for code to come.
pub fn unfinished(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.with_ending(".rs") {
        let tokens = tokens(text);
        for (token, next) in tokens.iter().zip(tokens.iter().skip(1)) {
            let found = UNFINISHED.iter().find(|name| token.is_word(name));
            if let Some(name) = found
                && next.is_mark('!')
            {
                findings.push(Finding::new(
                    path,
                    token.line,
                    format!("`{name}!` is left"),
                    "write the code, or return an error that says what is not supported",
                ));
            }
        }
    }
    findings
}

/// No path of one machine, no registry's host name. `Cargo.lock` names its source by design; tidy checks
/// that apart (bans and origins).
pub fn foreign_words(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree
        .texts()
        .filter(|(path, _)| !path.ends_with("Cargo.lock"))
    {
        for (index, line) in text.lines().enumerate() {
            for folder in MACHINE_FOLDERS {
                if has_path(line, folder) {
                    findings.push(Finding::new(
                        path,
                        index + 1,
                        format!("names `{folder}`, a folder of one machine"),
                        "use a relative path or an argument",
                    ));
                }
            }
            for host in REGISTRY_HOSTS {
                if has_host(line, host) {
                    findings.push(Finding::new(
                        path,
                        index + 1,
                        format!("names the registry `{host}`"),
                        "leave registries to the configuration of cargo and of the system",
                    ));
                }
            }
        }
    }
    findings
}

/// True where the path begins there, rather than further up (a folder of that name inside a project is nobody's home).
fn has_path(line: &str, folder: &str) -> bool {
    let part_of_longer =
        |character: char| character.is_alphanumeric() || "._-~$}/".contains(character);
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        !before.ends_with(part_of_longer)
    })
}

/// True for the host itself and its subdomains, but not for `my-crates.io.example`.
fn has_host(line: &str, host: &str) -> bool {
    let part_of_name = |character: char| character.is_alphanumeric() || character == '-';
    line.match_indices(host).any(|(at, _)| {
        let before = line.get(..at).unwrap_or_default();
        let after = line.get(at + host.len()..).unwrap_or_default();
        !before.ends_with(part_of_name) && !after.starts_with(part_of_name)
    })
}

#[cfg(test)]
mod tests {
    use super::{Finding, Tree, foreign_words, headers, lengths, unfinished};
    use super::{LINES_MAX, MACHINE_FOLDERS, REGISTRY_HOSTS};

    fn places(findings: &[Finding]) -> Vec<String> {
        findings
            .iter()
            .map(|f| format!("{}:{}", f.path, f.line))
            .collect()
    }

    #[test]
    fn a_source_without_a_header_is_found() {
        let tree = Tree::of(&[
            ("good.rs", "//! Says what.\nfn a() {}"),
            ("empty.rs", ""),
            ("late.rs", "use a;\n//! Too late."),
            ("wordless.rs", "//!\n//! Later."),
            ("not-rust.md", "# No header"),
        ]);
        assert_eq!(
            places(&headers(&tree)),
            ["empty.rs:1", "late.rs:1", "wordless.rs:1"]
        );
    }

    #[test]
    fn a_source_that_is_too_long_is_found() {
        let (most, more) = ("x\n".repeat(LINES_MAX), "x\n".repeat(LINES_MAX + 1));
        let tree = Tree::of(&[("a.rs", &most), ("b.rs", &more), ("c.json", &more)]);
        assert_eq!(places(&lengths(&tree)), ["b.rs:601"]);
    }

    #[test]
    fn unfinished_code_is_found_but_not_words_about_it() {
        let tree = Tree::of(&[(
            "a.rs",
            "// todo!()\nlet todo = \"todo!()\";\nfn f() {\n    todo!()\n}\nlet x = dbg!(todo) != 1;\n",
        )]);
        assert_eq!(places(&unfinished(&tree)), ["a.rs:4", "a.rs:6"]);
    }

    #[test]
    fn words_of_one_machine_are_found() {
        let [work, root] = MACHINE_FOLDERS;
        let host = REGISTRY_HOSTS[0];
        let text = format!(
            "see {work}main\ncrates{work}x and ~{root}x\nHOME={root}\nhttps://static.{host}/x\nmy{host} {host}x\n(\"{host}\")\n"
        );
        let tree = Tree::of(&[("a.md", &text), ("Cargo.lock", &text)]);
        assert_eq!(
            places(&foreign_words(&tree)),
            ["a.md:1", "a.md:3", "a.md:4", "a.md:6"]
        );
    }
}
