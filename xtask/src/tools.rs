//! What the tests need from the system: found, or installed through the package manager with service
//! start-up blocked. Leaves the machine's own policy as it was. Installs nothing when not root. What
//! would act by itself once installed is unpacked below `target` instead.

mod axe;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that tests start (or, by its absolute path, a file that one needs), and the Debian
/// package that brings it.
struct Tool {
    program: &'static str,
    package: &'static str,
}

/// Everything the tests start. apt-get comes first: without it nothing can be installed.
const TOOLS: [Tool; 16] = [
    Tool {
        program: "apt-get",
        package: "apt",
    },
    Tool {
        program: "dpkg",
        package: "dpkg",
    },
    Tool {
        program: "dpkg-deb",
        package: "dpkg",
    },
    Tool {
        program: "git",
        package: "git",
    },
    Tool {
        program: "ssh-keygen",
        package: "openssh-client",
    },
    Tool {
        program: "sqlite3",
        package: "sqlite3",
    },
    Tool {
        program: "systemd-analyze",
        package: "systemd",
    },
    Tool {
        program: "systemd-sysusers",
        package: "systemd",
    },
    Tool {
        program: "dpkg-shlibdeps",
        package: "dpkg-dev",
    },
    Tool {
        program: "strip",
        package: "binutils",
    },
    Tool {
        program: "c++",
        package: "g++",
    },
    Tool {
        program: "/usr/bin/python3",
        package: "python3",
    },
    Tool {
        program: "/usr/lib/python3/dist-packages/apt/__init__.py",
        package: "python3-apt",
    },
    Tool {
        program: "/usr/lib/python3/dist-packages/distro_info.py",
        package: "python3-distro-info",
    },
    Tool {
        program: "chromium",
        package: "chromium",
    },
    Tool {
        program: "lsb_release",
        package: "lsb-release",
    },
];

/// Installed, it would upgrade the machine every night: the tests run it from a folder below `target`.
const UNATTENDED: &str = "unattended-upgrades";
/// Its program, below `/` or below that folder.
const UNATTENDED_PROGRAM: &str = "usr/bin/unattended-upgrade";

/// Fetches a package and unpacks it into a new folder. Arguments: the folder, the package, and `root`
/// where the package lists may be renewed.
const UNPACK: &str = r#"
set -eu
folder=$1; package=$2; who=$3
scratch=$folder.partial.$$
rm -rf "$scratch"; mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
cd "$scratch"
if ! apt-get download "$package"; then
    [ "$who" = root ]
    apt-get update
    apt-get download "$package"
fi
dpkg-deb -x "$package"_*.deb tree
rm -rf "$folder"
mv tree "$folder"
"#;

/// Where maintainer scripts ask whether they may start a service (invoke-rc.d, deb-systemd-invoke).
const SERVICE_POLICY: &str = "/usr/sbin/policy-rc.d";

/// Installs with service start-up blocked. Arguments: the policy's path, then packages.
///
/// `--no-upgrade`: what is missing is added; a package that is there already (its program not on `PATH`, say)
/// stays at its version, because upgrading the machine is not this task's to decide.
///
/// `set -C` (create, never overwrite) decides the race: the file is ours only when we created it, and only
/// then is it removed, on every way out that a process can notice. A leftover of a run that was killed
/// outright carries our mark and is replaced.
const INSTALL: &str = r#"
set -eu
policy=$1; shift
mark='# written by "cargo xtask test" while it installs packages'
if [ -f "$policy" ] && grep -qxF "$mark" "$policy"; then rm -f "$policy"; fi
if [ ! -e "$policy" ] && [ ! -L "$policy" ]; then
    trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
    set -C
    printf '#!/bin/sh\n%s\nexit 101\n' "$mark" > "$policy"
    trap 'rm -f "$policy"' EXIT
    set +C
    chmod 755 "$policy"
fi
rc=0
"$policy" countersign-probe start || rc=$?
if [ "$rc" -ne 101 ]; then
    echo "error: $policy does not block service start-up (exit code $rc, not 101)" >&2
    echo "hint: install by hand: $*" >&2
    exit 1
fi
apt-get update
apt-get install --yes --no-upgrade --no-install-recommends "$@"
"#;

/// Makes sure that every tool is there, or says what is missing.
pub fn ensure(target: &Path) -> Result<(), String> {
    ensure_installed()?;
    axe::ensure(target)?;
    let folder = target.join("tools").join(UNATTENDED);
    if folder.join(UNATTENDED_PROGRAM).is_file()
        || Path::new("/").join(UNATTENDED_PROGRAM).is_file()
    {
        return Ok(());
    }
    println!("==== unpack: {UNATTENDED} ====");
    unpack(
        &folder,
        UNATTENDED,
        &std::env::var_os("PATH").unwrap_or_default(),
    )
}

fn unpack(folder: &Path, package: &str, path: &OsStr) -> Result<(), String> {
    let status = Command::new("/bin/sh")
        .args(["-c", UNPACK, "unpack"])
        .arg(folder)
        .args([package, if is_root() { "root" } else { "user" }])
        .env("PATH", path)
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("`/bin/sh` did not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "`{package}` could not be fetched ({status}); hint: `apt-get download {package}` must work; renew the package lists as root"
    ))
}

fn ensure_installed() -> Result<(), String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = missing(&path);
    if missing.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = missing
        .iter()
        .map(|tool| tool.package)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    if !is_root() || find_program("apt-get", &path).is_none() {
        return Err(complaint(&missing, &packages));
    }
    println!("==== install: {} ====", packages.join(" "));
    install(Path::new(SERVICE_POLICY), &packages, &path)?;
    match self::missing(&path).as_slice() {
        [] => Ok(()),
        still => Err(complaint(still, &packages)),
    }
}

fn install(policy: &Path, packages: &[&str], path: &OsStr) -> Result<(), String> {
    let status = Command::new("/bin/sh")
        .args(["-c", INSTALL, "install"])
        .arg(policy)
        .args(packages)
        .env("PATH", path)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null())
        .status()
        .map_err(|error| format!("`/bin/sh` did not start: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!(
        "`{}` could not be installed ({status}); hint: see the messages above",
        packages.join(" ")
    ))
}

fn missing(path: &OsStr) -> Vec<&'static Tool> {
    let tools = TOOLS.iter();
    tools
        .filter(|tool| find_program(tool.program, path).is_none())
        .collect()
}

fn complaint(missing: &[&Tool], packages: &[&str]) -> String {
    let programs: Vec<String> = missing
        .iter()
        .map(|tool| format!("`{}`", tool.program))
        .collect();
    format!(
        "the tests need {}; hint: as root, `apt-get install --no-install-recommends {}`",
        programs.join(", "),
        packages.join(" ")
    )
}

/// The first executable file of that name in `path`; with an absolute path, that file.
fn find_program(program: &str, path: &OsStr) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Some(PathBuf::from(program)).filter(|file| file.is_file());
    }
    std::env::split_paths(path)
        .map(|folder| folder.join(program))
        .find(|candidate| {
            candidate
                .metadata()
                .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
        })
}

/// True for user id 0. Asked of `id`, because std does not tell and this is no reason for a dependency.
fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .stdin(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

#[cfg(test)]
mod tests;
