//! What the README tells people to type exists: the tasks of this program, and the subcommands of ours, by
//! the names under which their sources declare them. Runs none of them.

use super::Finding;
use super::lexer::{Piece, tokens};
use super::tree::Tree;
use crate::TASKS;
use crate::metadata::Workspace;
use std::collections::BTreeSet;

const README: &str = "README.md";

/// The first things a newcomer types.
const REQUIRED: [&str; 2] = ["cargo run --release -- quickstart", "cargo xtask test"];

/// A program, and where its command line is declared.
const PROGRAMS: [(&str, &str); 2] = [
    ("countersign", "crates/countersign/src/"),
    ("countersign-host", "crates/host/src/"),
];

/// Checks the README's commands.
pub fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let Some(text) = tree.text(README) else {
        return vec![Finding::new(README, 1, "is missing", "write it")];
    };
    let commands = commands(text);
    let mut findings = Vec::new();
    for required in REQUIRED {
        let given = commands
            .iter()
            .any(|(_, command)| command.starts_with(required));
        if !given {
            findings.push(Finding::new(
                README,
                1,
                format!("does not show `{required}`"),
                "show it in a code block: it is what newcomers type first",
            ));
        }
    }
    if workspace.default_binaries != ["countersign"] {
        findings.push(Finding::new(
            "Cargo.toml",
            1,
            "a bare `cargo run` does not mean `countersign`",
            "let `default-members` hold the one package with that one binary",
        ));
    }
    let names = PROGRAMS.map(|(program, folder)| (program, names_in(tree, folder)));
    for (line, command) in &commands {
        if let Some((program, word)) = unknown(command, &names) {
            findings.push(Finding::new(
                README,
                *line,
                format!("`{program} {word}` does not exist"),
                "correct the README or add the command",
            ));
        }
    }
    findings
}

/// The program and its subcommand, where nothing declares that.
fn unknown<'a>(
    command: &'a str,
    names: &[(&'static str, BTreeSet<String>)],
) -> Option<(&'static str, &'a str)> {
    let mut words = command.split_whitespace();
    let (program, word) = match words.next()? {
        "cargo" => match words.next()? {
            "xtask" => {
                let task = words.next()?;
                return (!TASKS.contains(&task)).then_some(("cargo xtask", task));
            }
            "run" => {
                words.find(|word| *word == "--")?;
                ("countersign", words.next()?)
            }
            _ => return None,
        },
        first => {
            let name = first.rsplit('/').next()?;
            let (program, _) = names.iter().find(|(program, _)| *program == name)?;
            (*program, words.next()?)
        }
    };
    let (_, declared) = names.iter().find(|(name, _)| *name == program)?;
    (!word.starts_with('-') && !declared.contains(word)).then_some((program, word))
}

/// Every name in the sources that could declare a subcommand: strings as they are, type names and variants
/// in kebab case.
fn names_in(tree: &Tree, folder: &str) -> BTreeSet<String> {
    let sources = tree
        .with_ending(".rs")
        .filter(|(path, _)| path.starts_with(folder));
    sources
        .flat_map(|(_, text)| tokens(text))
        .filter_map(|token| match token.piece {
            Piece::Word(word) if word.starts_with(char::is_uppercase) => Some(kebab(&word)),
            Piece::Text(text) => Some(text),
            Piece::Word(_) | Piece::Mark(_) => None,
        })
        .collect()
}

fn kebab(word: &str) -> String {
    let mut name = String::new();
    for character in word.chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(character.to_lowercase());
    }
    name
}

/// Line and text of every command: the lines of code blocks (fenced, or indented by four), a `$` cut off.
fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut commands = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced || line.starts_with("    ") {
            let line = line.trim();
            let command = line.strip_prefix("$ ").unwrap_or(line);
            commands.push((index + 1, command));
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::metadata::Workspace;
    use crate::tidy::tree::Tree;

    const CLI: &str = "//! The command line.\nenum Command { Quickstart, LogVerify, #[command(name = \"why\")] Explain }\n// Fiction\n";

    fn found(readme: &str, default_binary: &str) -> Vec<String> {
        let tree = Tree::of(&[
            ("README.md", readme),
            ("crates/countersign/src/cli.rs", CLI),
            ("crates/host/src/main.rs", "enum Command { Enroll }"),
        ]);
        let workspace = Workspace {
            default_binaries: vec![default_binary.into()],
            ..Workspace::default()
        };
        let findings = check(&tree, &workspace);
        findings
            .into_iter()
            .map(|f| format!("{}:{} {}", f.path, f.line, f.what))
            .collect()
    }

    #[test]
    fn commands_that_exist_pass() {
        let readme = "```\n$ cargo run --release -- quickstart --yes\ncountersign why CHANGE\ncountersign log-verify\n```\n    cargo xtask test\n    target/release/countersign-host enroll\n    countersign --help\n    apt-get update\n\nSay countersign nonsense.\n";
        assert_eq!(found(readme, "countersign"), Vec::<String>::new());
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        let readme = "```\ncargo run --release -- quickstart\ncargo xtask test\ncargo xtask deploy\ncountersign fiction\ncountersign enroll\ncargo run -- fly\n```\n";
        assert_eq!(
            found(readme, "countersign"),
            [
                "README.md:4 `cargo xtask deploy` does not exist",
                "README.md:5 `countersign fiction` does not exist",
                "README.md:6 `countersign enroll` does not exist",
                "README.md:7 `countersign fly` does not exist",
            ]
        );
    }

    #[test]
    fn a_readme_without_the_first_commands_is_found() {
        let findings = found("Type `cargo xtask test`.\n", "other");
        assert_eq!(findings.len(), 3, "{findings:?}");
        let nothing = check(&Tree::of(&[]), &Workspace::default());
        assert_eq!(nothing.len(), 1);
    }
}
