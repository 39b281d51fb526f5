//! `cargo xtask deb`: the Debian package of `countersign-host`, built by `cargo deb` from the metadata in
//! its manifest. Also makes sure that there is a cargo-deb, for this and for the tests. Publishes nothing.

use crate::metadata::Workspace;
use crate::root::{cargo, locked};
use crate::step::succeeds;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The version that was looked at: it writes what is installed as root.
const VERSION: &str = "3.8.0";

/// Builds the package; `arguments` go to `cargo deb` as they are.
pub fn run(root: &Path, arguments: &[String]) -> Result<bool, String> {
    let target = Workspace::read(root)?.target_folder;
    ensure(root, &target)?;
    succeeds(
        with_tools(cargo(root), &target)?
            .args(["deb", "--package", "countersign-host"])
            .args(locked())
            .args(arguments),
    )
}

/// Makes sure that there is a cargo-deb on `PATH` or in the target folder, where it is put otherwise: once,
/// in some two minutes, and nothing outside of that folder changes.
pub fn ensure(root: &Path, target: &Path) -> Result<(), String> {
    let mut probe = with_tools(Command::new("cargo-deb"), target)?;
    probe.arg("--version").stdin(Stdio::null());
    if probe.output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    println!("==== install: cargo-deb {VERSION} into the target folder ====");
    let mut install = cargo(root);
    install
        .args(["install", "--locked", "--quiet", "--version", VERSION])
        .arg("--root")
        .arg(tools(target))
        .arg("cargo-deb");
    if succeeds(&mut install)? {
        return Ok(());
    }
    Err(format!(
        "cargo-deb could not be installed; hint: `cargo install --locked --version {VERSION} cargo-deb`"
    ))
}

fn tools(target: &Path) -> PathBuf {
    target.join("tools")
}

/// The command, finding what is in the target folder after what is on `PATH`.
fn with_tools(mut command: Command, target: &Path) -> Result<Command, String> {
    command.env(
        "PATH",
        search_path(&std::env::var_os("PATH").unwrap_or_default(), target)?,
    );
    Ok(command)
}

fn search_path(path: &OsString, target: &Path) -> Result<OsString, String> {
    let ours = tools(target).join("bin");
    std::env::join_paths(std::env::split_paths(path).chain([ours]))
        .map_err(|error| format!("the target folder cannot stand in PATH: {error}"))
}

#[cfg(test)]
mod tests {
    use super::search_path;
    use std::path::Path;

    #[test]
    fn what_is_on_path_comes_first() {
        let path = search_path(&"/usr/bin:/bin".into(), Path::new("/w/target")).unwrap();
        assert_eq!(path, "/usr/bin:/bin:/w/target/tools/bin");
        assert!(search_path(&"/bin".into(), Path::new("/w:x")).is_err());
    }
}
