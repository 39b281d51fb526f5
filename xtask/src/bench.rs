//! `cargo xtask bench`: builds `countersign` for release, lets it measure, shows the figures and keeps
//! them in `target/bench`. Measures nothing itself.

use crate::metadata::Workspace;
use crate::root::{cargo, locked};
use crate::step::succeeds;
use serde_json::Value;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

/// What there is to measure, as `countersign bench` names it.
const ALL: [&str; 7] = ["p1", "p2", "p3", "p5", "p6", "p7", "audit"];

/// The release that the audit is measured beside.
const DUCKDB: &str = "duckdb==2.0.0";

/// Builds, measures, prints, writes. The first of `arguments` may say what; the others go to the
/// measuring program as they are.
pub fn run(root: &Path, arguments: &[String]) -> Result<bool, String> {
    let (what, arguments) = chosen(arguments)?;
    let target = Workspace::read(root)?.target_folder;
    let mut build = cargo(root);
    build.args(["build", "--release", "--package", "countersign"]);
    if !succeeds(build.args(locked()))? {
        return Err("`countersign` does not build for release".to_owned());
    }
    let asks_for_help = arguments.iter().any(|one| one == "--help" || one == "-h");
    for name in what {
        println!("{name}");
        let mut program = Command::new(target.join("release/countersign"));
        if asks_for_help {
            succeeds(program.args(["bench", name, "--help"]))?;
            continue;
        }
        program.args(["bench", name, "--json"]);
        if name == "audit" {
            program.args(peers(&target));
        }
        let figures = measure(program.args(arguments))?;
        for (name, figure) in rows(&figures) {
            println!("{name:<48} {figure:>20}");
        }
        let file = target.join(format!("bench/{name}.json"));
        write(&file, &figures)?;
        println!("written to {}\n", file.display());
    }
    Ok(true)
}

/// What the audit is measured beside: jq where it is installed, and DuckDB in a Python environment of its
/// own below `target`. What cannot be had is left out, and said.
fn peers(target: &Path) -> Vec<OsString> {
    let mut arguments = Vec::new();
    if runs(Command::new("jq").arg("--version")) {
        arguments.extend(["--jq".into(), "jq".into()]);
    } else {
        eprintln!("without jq: it is not installed; hint: `apt-get install jq`");
    }
    let folder = target.join("tools/duckdb");
    let python = folder.join("bin/python");
    let there = || runs(Command::new(&python).args(["-c", "import duckdb"]));
    if !there() {
        let made = runs(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        if made {
            runs(Command::new(&python).args(["-m", "pip", "install", "--quiet", DUCKDB]));
        }
    }
    if there() {
        arguments.extend(["--duckdb".into(), python.into()]);
    } else {
        eprintln!(
            "without DuckDB: `{DUCKDB}` cannot be installed for `python3`; hint: python3-venv"
        );
    }
    arguments
}

fn runs(command: &mut Command) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// What to measure, and what to hand on.
fn chosen(arguments: &[String]) -> Result<(Vec<&'static str>, &[String]), String> {
    let Some((first, rest)) = arguments.split_first() else {
        return Ok((ALL.to_vec(), arguments));
    };
    match ALL.into_iter().find(|name| name == first) {
        Some(name) => Ok((vec![name], rest)),
        None => Err(format!(
            "`{first}` is nothing to measure; hint: one of {}, or nothing for all of them",
            ALL.join(", ")
        )),
    }
}

/// Runs the program and reads the one JSON document that it prints; its progress on stderr is ours.
fn measure(program: &mut Command) -> Result<Value, String> {
    let output = program
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("`{program:?}` did not start: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "`countersign bench` ended with {}; hint: see its message above",
            output.status
        ));
    }
    match serde_json::from_slice(&output.stdout) {
        Ok(figures @ Value::Object(_)) => Ok(figures),
        Ok(_) => Err("`countersign bench --json` printed no JSON object".to_owned()),
        Err(error) => Err(format!(
            "`countersign bench --json` printed no JSON document: {error}"
        )),
    }
}

/// Every leaf of the document with its path, in the document's order.
fn rows(figures: &Value) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    collect(figures, String::new(), &mut rows);
    rows
}

fn collect(value: &Value, path: String, rows: &mut Vec<(String, String)>) {
    let below = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(field, below(name), rows);
            }
        }
        Value::Array(items) => {
            for (position, item) in items.iter().enumerate() {
                collect(item, below(&position.to_string()), rows);
            }
        }
        Value::String(text) => rows.push((path, text.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) => rows.push((path, value.to_string())),
    }
}

/// Writes beside the file and renames, so that a reader never sees half of it.
fn write(file: &Path, figures: &Value) -> Result<(), String> {
    let text = format!("{figures:#}\n");
    let part = file.with_extension("json.part");
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&part, text))
        .and_then(|()| std::fs::rename(&part, file))
        .map_err(|error| format!("`{}` cannot be written: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::{ALL, chosen, measure, rows, write};
    use std::process::Command;

    fn program(script: &str) -> Command {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script]);
        shell
    }

    #[test]
    fn one_or_all_are_chosen() {
        let words = |line: &str| -> Vec<String> { line.split(' ').map(Into::into).collect() };
        assert_eq!(chosen(&[]).unwrap().0.len(), ALL.len());
        let line = words("p3 --clients 8");
        let (what, rest) = chosen(&line).unwrap();
        assert_eq!((what, rest.len()), (vec!["p3"], 2));
        assert!(chosen(&words("--rounds 3")).unwrap_err().contains("p1, p2"));
    }

    #[test]
    fn figures_are_read_shown_and_kept() {
        let figures = measure(&mut program(
            r#"echo '{"clients":64,"p1":[{"p99":"7 ms"}]}'"#,
        ));
        let figures = figures.unwrap();
        let expected = [
            ("clients".to_owned(), "64".to_owned()),
            ("p1.0.p99".to_owned(), "7 ms".to_owned()),
        ];
        assert_eq!(rows(&figures), expected);
        let folder = std::env::temp_dir().join(format!("xtask-bench-{}", std::process::id()));
        let file = folder.join("new/p1.json");
        write(&file, &figures).unwrap();
        let kept = std::fs::read(&file).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&kept).unwrap(),
            figures
        );
    }

    #[test]
    fn silence_nonsense_and_failure_are_errors() {
        for (script, expected) in [
            ("true", "no JSON document"),
            ("echo 7", "no JSON object"),
            ("echo '{}'; exit 3", "exit status: 3"),
        ] {
            let error = measure(&mut program(script)).unwrap_err();
            assert!(error.contains(expected), "{script}: {error}");
        }
    }
}
