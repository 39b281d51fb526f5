//! Where the workspace is, and how cargo is called from within cargo. Parses no manifest.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace root: where `cargo xtask` was called from, or any folder above it.
pub fn find() -> Result<PathBuf, String> {
    let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
        Some(manifest_folder) => PathBuf::from(manifest_folder),
        None => std::env::current_dir()
            .map_err(|error| format!("the current directory cannot be read: {error}"))?,
    };
    start
        .ancestors()
        .find(|folder| {
            folder.join("xtask/Cargo.toml").is_file() && folder.join("Cargo.toml").is_file()
        })
        .map(Path::to_path_buf)
        .ok_or_else(|| "no workspace here; hint: run it inside the checkout".to_owned())
}

/// True where a build server runs us: no colours, no questions, the lock file as it stands.
pub fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// A call of cargo in the workspace, with an environment as if it had been typed in a shell.
pub fn cargo(root: &Path) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).stdin(Stdio::null());
    // What `cargo run` set for us would look like a changed environment to build scripts that watch these
    // names, and each alternation of `cargo build` and `cargo xtask` would compile them again.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_set_by_cargo_run) {
            command.env_remove(name);
        }
    }
    if is_ci() {
        command
            .env("CARGO_TERM_COLOR", "never")
            .env("CARGO_TERM_PROGRESS_WHEN", "never")
            .env("NO_COLOR", "1");
    }
    command
}

/// `--locked` on a build server: a lock file that lags behind is a mistake there, not something to repair.
pub fn locked() -> &'static [&'static str] {
    if is_ci() { &["--locked"] } else { &[] }
}

fn is_set_by_cargo_run(name: &str) -> bool {
    name.starts_with("CARGO_PKG_")
        || matches!(
            name,
            "CARGO_MANIFEST_DIR"
                | "CARGO_MANIFEST_PATH"
                | "CARGO_CRATE_NAME"
                | "CARGO_BIN_NAME"
                | "CARGO_PRIMARY_PACKAGE"
                | "OUT_DIR"
        )
}

#[cfg(test)]
mod tests {
    use super::is_set_by_cargo_run;

    #[test]
    fn only_what_cargo_run_set_is_dropped() {
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_VERSION", "OUT_DIR"] {
            assert!(is_set_by_cargo_run(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_TARGET_DIR", "CARGO_BUILD_JOBS", "PATH"] {
            assert!(!is_set_by_cargo_run(name), "{name}");
        }
    }
}
