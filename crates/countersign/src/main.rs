//! The `countersign` program: hands its arguments to the library and exits. Nothing else is here.

use std::process::ExitCode;

fn main() -> ExitCode {
    countersign::cli::run(std::env::args_os())
}
