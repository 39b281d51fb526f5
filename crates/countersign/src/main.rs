//! The `countersign` program: hands its arguments to the library and exits. Nothing else is here.

use std::process::ExitCode;

/// A server allocates on one thread and frees on another all the time: what the system's allocator
/// is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::run(std::env::args_os())
}
