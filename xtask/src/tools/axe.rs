//! axe-core, which tells what of WCAG a page fails: fetched in a Python package, whose digest is pinned, into
//! a folder below `target`; nothing is installed. Only tests use it; nothing of it is built in or shipped.

use super::{SERVICE_POLICY, install, is_root};
use std::path::Path;
use std::process::{Command, Stdio};

/// The package that carries axe-core 4.12.1, and its digest.
const REQUIREMENT: &str = "axe-playwright-python==0.1.8 \
    --hash=sha256:fdd263c998388f1a8e67cad02677e612d946248bd44d163be5e8650ea31f95f8";

/// Arguments: the folder that shall hold `axe.min.js`, and the requirement.
const FETCH: &str = r#"
set -eu
folder=$1; requirement=$2
scratch=$folder.partial.$$
rm -rf "$scratch"; mkdir -p "$scratch/found"
trap 'rm -rf "$scratch"' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM
printf '%s\n' "$requirement" > "$scratch/requirements"
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
    --require-hashes --requirement "$scratch/requirements" --dest "$scratch"
python3 -m zipfile -e "$scratch"/*.whl "$scratch/package"
find "$scratch/package" -name axe.min.js -exec mv {} "$scratch/found" \;
[ -s "$scratch/found/axe.min.js" ]
rm -rf "$folder"
mv "$scratch/found" "$folder"
"#;

/// Makes sure that `axe.min.js` is in a folder below `target`.
pub(super) fn ensure(target: &Path) -> Result<(), String> {
    let folder = target.join("tools/axe-4.12.1");
    if folder.join("axe.min.js").is_file() {
        return Ok(());
    }
    println!("==== fetch: axe-core ====");
    let pip = ["-m", "pip", "--version"];
    if !succeeds(Command::new("python3").args(pip).stdout(Stdio::null()))? && is_root() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        install(Path::new(SERVICE_POLICY), &["python3-pip"], &path)?;
    }
    let mut fetch = Command::new("/bin/sh");
    fetch
        .args(["-c", FETCH, "fetch"])
        .arg(&folder)
        .arg(REQUIREMENT);
    if succeeds(&mut fetch)? {
        return Ok(());
    }
    Err("axe-core could not be fetched; hint: `python3 -m pip download` must work (Debian: python3-pip)".to_owned())
}

fn succeeds(command: &mut Command) -> Result<bool, String> {
    let status = command.stdin(Stdio::null()).status();
    let failed = |error| {
        format!(
            "`{}` did not start: {error}",
            command.get_program().display()
        )
    };
    Ok(status.map_err(failed)?.success())
}
