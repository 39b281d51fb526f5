//! `cargo xtask test`: everything a change must pass, in one command. Each step runs whatever the steps
//! before it found, so that one run shows all that is wrong; the tests come last.

use crate::metadata::Workspace;
use crate::options::TestOptions;
use crate::root::{cargo, is_ci, locked};
use crate::step::{Steps, succeeds};
use crate::{deb, fuzz, tidy, tools};
use std::path::Path;
use std::process::{Command, Stdio};

/// Seconds for each fuzz target; `cargo xtask fuzz` takes longer.
const FUZZ_SECONDS: u32 = 20;

/// Runs the steps that `options` ask for; true when all of them passed.
pub fn run(root: &Path, options: &TestOptions) -> Result<bool, String> {
    let target = Workspace::read(root)?.target_folder;
    tools::ensure(&target)?;
    deb::ensure(root, &target)?;
    let mut steps = Steps::default();
    if !options.quick {
        before_the_tests(root, &mut steps);
        steps.print();
    }
    // INVARIANT (last words): the runner's closing line ends the output, so nothing is printed after it
    // but the names of steps that failed.
    steps.run("tests", true, || {
        succeeds(&mut runner(root, options, has_subcommand(root, "nextest")))
    });
    let failed = steps.failed();
    if failed.is_empty() {
        return Ok(true);
    }
    eprintln!("error: failed: {}", failed.join(", "));
    Ok(false)
}

fn before_the_tests(root: &Path, steps: &mut Steps) {
    steps.run("format", false, || {
        succeeds(cargo(root).args(["fmt", "--all", "--check"]))
    });
    steps.run("tidy", false, || tidy::run(root));
    steps.run("clippy", false, || {
        let mut clippy = cargo(root);
        clippy
            .args(["clippy", "--workspace", "--all-targets"])
            .args(locked());
        succeeds(clippy.args(["--", "-D", "warnings"]))
    });
    if has_subcommand(root, "deny") {
        // Advisories need the network and change by themselves: not a reason for a build to fail.
        steps.run("cargo deny", false, || {
            succeeds(cargo(root).args(["deny", "check", "licenses", "bans", "sources"]))
        });
    } else {
        println!("\ncargo-deny is not installed: tidy has checked licences, bans and sources.");
    }
    steps.run("doc tests", false, || {
        let libraries = Workspace::read(root)?.members_with_a_library();
        let mut doc_tests = cargo(root);
        doc_tests.args(["test", "--doc"]).args(locked());
        // `cargo test --doc` refuses packages that have no library: name those that have one.
        for library in &libraries {
            doc_tests.args(["--package", library]);
        }
        succeeds(&mut doc_tests)
    });
    steps.run("fuzz targets", false, || {
        fuzz::run(root, &fuzz::Options::all(FUZZ_SECONDS))
    });
}

/// The test run itself: nextest (a process a test, time limits) where it is installed.
fn runner(root: &Path, options: &TestOptions, with_nextest: bool) -> Command {
    let mut command = cargo(root);
    if with_nextest {
        command.args(["nextest", "run", "--workspace"]);
    } else {
        command.args(["test", "--workspace", "--lib", "--bins", "--tests"]);
        command.arg("--no-fail-fast");
    }
    command.args(locked());
    // A snapshot that differs is a failure, on every machine; accepting one is a deliberate act.
    command.env("INSTA_UPDATE", "no");
    if is_ci() && with_nextest {
        command.args(["--color", "never"]);
    }
    if with_nextest {
        command.args(&options.filter);
        command.args(&options.runner_arguments);
    } else {
        command.arg("--").args(&options.filter);
        command.args(&options.runner_arguments);
    }
    command
}

fn has_subcommand(root: &Path, name: &str) -> bool {
    cargo(root)
        .args([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::{has_subcommand, runner};
    use crate::options::TestOptions;
    use std::path::Path;

    fn line(with_nextest: bool) -> String {
        let options = TestOptions {
            quick: true,
            filter: Some("proofs".into()),
            runner_arguments: vec!["--no-capture".into()],
        };
        let command = runner(Path::new("."), &options, with_nextest);
        let words: Vec<_> = command
            .get_args()
            .map(|word| word.to_string_lossy())
            .collect();
        words
            .into_iter()
            .filter(|word| !matches!(word.as_ref(), "--locked" | "--color" | "never"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_filter_reaches_either_runner() {
        assert_eq!(line(true), "nextest run --workspace proofs --no-capture");
        assert_eq!(
            line(false),
            "test --workspace --lib --bins --tests --no-fail-fast -- proofs --no-capture"
        );
    }

    #[test]
    fn a_missing_subcommand_is_noticed() {
        assert!(has_subcommand(Path::new("."), "fmt"));
        assert!(!has_subcommand(Path::new("."), "no-such-subcommand"));
    }
}
