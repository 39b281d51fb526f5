//! Builds the demonstration packages and their archives: `dpkg-deb` alone, the `Packages` and
//! `Release` files written here.

use super::SandboxError;
use super::packages::{DEMOS, Demo, Suite};
use crate::child::Run;
use countersign_domain::Digest;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Demo packages bear this date, so that the same sources give the same bytes.
const EPOCH_SECONDS: &str = "1704067200";

/// A package file that was built.
#[derive(Debug, Clone)]
pub(super) struct Built {
    pub(super) demo: Demo,
    pub(super) path: PathBuf,
    pub(super) sha256: Digest,
}

/// Writes a file with exactly these permissions, whatever the umask.
pub(super) fn place(path: &Path, bytes: &[u8], mode: u32) -> Result<(), SandboxError> {
    let io = |source| SandboxError::io(path, source);
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    fs::write(path, bytes).map_err(io)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(io)
}

/// Makes a folder that everybody can enter (dpkg-deb wants that of a package's folders).
pub(super) fn folder(path: &Path) -> Result<(), SandboxError> {
    let io = |source| SandboxError::io(path, source);
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        folder(parent)?;
    }
    fs::create_dir(path).map_err(io)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(io)
}

/// Builds one package into `to`; `extra` goes into its service's file, to make other bytes.
pub(super) fn package(demo: &Demo, to: &Path, extra: &str) -> Result<PathBuf, SandboxError> {
    let scratch = tempfile::Builder::new()
        .prefix(".package-")
        .tempdir_in(to)
        .map_err(|source| SandboxError::io(to, source))?;
    let tree = scratch.path().join("tree");
    let Demo {
        name,
        version,
        section,
        relations,
        ..
    } = demo;
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: all\nSection: {section}\nPriority: optional\nMaintainer: Countersign Demo <demo@countersign.invalid>\n{relations}Description: demonstration package of Countersign\n"
    );
    place(&tree.join("DEBIAN/control"), control.as_bytes(), 0o644)?;
    let service = tree.join("usr/lib").join(name);
    place(&service.join("selftest"), demo.selftest().as_bytes(), 0o755)?;
    place(
        &service.join("service"),
        format!("{name} {version}\n{extra}").as_bytes(),
        0o644,
    )?;
    let doc = tree.join("usr/share/doc").join(name);
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    gz.write_all(demo.changelog().as_bytes())
        .and_then(|()| gz.finish())
        .map_err(|source| SandboxError::io(&doc, source))
        .and_then(|bytes| place(&doc.join("changelog.Debian.gz"), &bytes, 0o644))?;
    let path = to.join(format!("{name}_{version}_all.deb"));
    let run = Run::new("dpkg-deb")
        .env("SOURCE_DATE_EPOCH", EPOCH_SECONDS)
        .args(["--root-owner-group", "-Znone", "-b"])
        .arg(&tree)
        .arg(&path);
    SandboxError::succeeded("dpkg-deb -b", run)?;
    Ok(path)
}

/// Builds all packages and both archives below `repository`; those that are not offered end up in
/// `aside`.
pub(super) fn archives(repository: &Path, aside: &Path) -> Result<Vec<Built>, SandboxError> {
    folder(aside)?;
    let mut built = Vec::new();
    for demo in DEMOS {
        let home = if demo.offered {
            repository.join(demo.suite.name())
        } else {
            aside.to_owned()
        };
        folder(&home)?;
        let path = package(&demo, &home, "")?;
        let sha256 = crate::artifact::file_digest(&path)
            .map_err(|source| SandboxError::io(&path, source))?;
        built.push(Built { demo, path, sha256 });
    }
    for suite in [Suite::Demo, Suite::Security] {
        let members = built
            .iter()
            .filter(|built| built.demo.offered && built.demo.suite == suite);
        index(&repository.join(suite.name()), suite, members)?;
    }
    Ok(built)
}

/// Writes `Packages` and `Release`.
fn index<'a>(
    folder: &Path,
    suite: Suite,
    members: impl Iterator<Item = &'a Built>,
) -> Result<(), SandboxError> {
    let mut packages = String::new();
    for built in members {
        let Demo {
            name,
            version,
            section,
            relations,
            ..
        } = built.demo;
        let size = fs::metadata(&built.path)
            .map_err(|source| SandboxError::io(&built.path, source))?
            .len();
        let hex = built.sha256.to_string().replace("sha256:", "");
        packages.push_str(&format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nSection: {section}\nPriority: optional\nMaintainer: Countersign Demo <demo@countersign.invalid>\n{relations}Filename: ./{name}_{version}_all.deb\nSize: {size}\nSHA256: {hex}\nDescription: demonstration package of Countersign\n\n"
        ));
    }
    let hex = Digest::of(packages.as_bytes())
        .to_string()
        .replace("sha256:", "");
    let release = format!(
        "Origin: Countersign Demo\nLabel: {}\nSuite: {}\nCodename: {}\nVersion: 1\nDate: Mon, 01 Jan 2024 00:00:00 UTC\nArchitectures: all\nComponents: main\nSHA256:\n {hex} {} Packages\n",
        suite.label(),
        suite.name(),
        suite.name(),
        packages.len()
    );
    place(&folder.join("Packages"), packages.as_bytes(), 0o644)?;
    place(&folder.join("Release"), release.as_bytes(), 0o644)
}
