//! Developer tasks: `cargo xtask test`, `tidy`, `bench`, `deb`, `sim`. Imports nothing of ours, so that it builds and
//! judges the house even while a crate of it does not compile. Not shipped.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)
)]

mod bench;
mod deb;
mod fuzz;
mod metadata;
mod options;
mod root;
mod sim;
mod step;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

/// The tasks, as a reader of the README may type them.
const TASKS: [&str; 7] = ["test", "tidy", "bench", "deb", "fuzz", "sim", "help"];

const USAGE: &str = "\
Developer tasks for Countersign.

Usage: cargo xtask TASK [OPTIONS]

Tasks:
  test [--quick] [FILTER] [-- ARGS]  install what the tests need (as root; otherwise list it), then
                                     format, tidy, clippy, dependency policy, doc tests, fuzz targets
                                     and all tests
                                     --quick: only the tests (no doc tests, no lints, no fuzzing)
                                     FILTER:  only tests whose name contains it
                                     ARGS:    handed to the test runner as they are
  tidy                               check the rules of the house that the compiler does not know
  bench [WHAT] [ARGS]                build for release, measure, write `target/bench/WHAT.json`
                                     WHAT: p1 p2 p3 p5 p6 p7 [default: each in turn]
                                     ARGS: handed to `countersign bench WHAT` as they are
  deb [ARGS]                         build the Debian package of `countersign-host` into `target/debian`
                                     ARGS: handed to `cargo deb` as they are
  fuzz [TARGET] [--seconds N]        fuzz every target, or one, for N seconds each (default 60)
  sim [ARGS]                         simulate gate, hosts, agents and people from a seed
                                     ARGS: --seed N, --steps N, --runs N
  help                               show this

CI=true: no colours, no questions, and `Cargo.lock` must be up to date.
Exit code: 0 when all is well, 1 when something failed, 2 for a wrong command line.
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        None => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Some((task, rest)) => (task.as_str(), rest),
    };
    let outcome = match task {
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        "test" => match options::TestOptions::parse(rest) {
            Ok(options) => root::find().and_then(|root| test::run(&root, &options)),
            Err(message) => return wrong_command_line(&message),
        },
        "tidy" => match rest.first() {
            None => root::find().and_then(|root| tidy::run(&root)),
            Some(extra) => {
                return wrong_command_line(&format!("`tidy` takes no argument, got `{extra}`"));
            }
        },
        "bench" => root::find().and_then(|root| bench::run(&root, rest)),
        "fuzz" => match fuzz::Options::parse(rest) {
            Ok(options) => root::find().and_then(|root| fuzz::run(&root, &options)),
            Err(message) => return wrong_command_line(&message),
        },
        "deb" => root::find().and_then(|root| deb::run(&root, rest)),
        "sim" => root::find().and_then(|root| sim::run(&root, rest)),
        unknown => return wrong_command_line(&format!("no task is called `{unknown}`")),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

fn wrong_command_line(message: &str) -> ExitCode {
    eprintln!(
        "error: {message}\nhint: the tasks are {}; see `cargo xtask help`",
        TASKS.map(|task| format!("`{task}`")).join(", ")
    );
    ExitCode::from(2)
}
