//! What is really installed: versions and states from dpkg, and the installed files compared byte by
//! byte with the artifact (`dpkg --verify` exits with 0 even on tampering). Exit codes of an
//! installation prove nothing (invariant 10); this does.

use super::{Apt, AptError, deb, succeeded};
use crate::child::Run;
use countersign_domain::{Architecture, PackageName, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Files compared per package at most.
const FILES_MAX: usize = 200_000;
/// Differences named at most.
const DIFFERENCES_MAX: usize = 5;
/// What administrators commonly keep dpkg from unpacking (`path-exclude`): may be missing, may not
/// differ.
const OPTIONAL: [&str; 6] = [
    "usr/share/doc/",
    "usr/share/man/",
    "usr/share/info/",
    "usr/share/locale/",
    "usr/share/lintian/",
    "usr/share/groff/",
];

/// One package that dpkg knows and that is not wholly removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its version.
    pub version: Version,
    /// False when it is half installed, half configured or waits for triggers.
    pub sound: bool,
    /// Its source package; itself where dpkg names none that is understood.
    pub source: PackageName,
    /// The version of that. Both are for reading changelogs alone.
    pub source_version: Version,
}

/// What is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    native: Architecture,
    packages: BTreeMap<(PackageName, Architecture), Package>,
}

impl Installed {
    /// The package, when it is there (soundly or not).
    #[must_use]
    pub fn get(&self, name: &PackageName, architecture: &Architecture) -> Option<&Package> {
        self.packages.get(&(name.clone(), architecture.clone()))
    }

    /// How many packages there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.packages.len()
    }

    /// All packages, by name and architecture.
    pub fn iter(&self) -> impl Iterator<Item = (&(PackageName, Architecture), &Package)> {
        self.packages.iter()
    }

    /// The architecture of a package that apt named without one: the native one or `all`.
    pub(super) fn architecture_of(
        &self,
        name: &PackageName,
        version: Option<&Version>,
    ) -> Option<Architecture> {
        self.packages
            .iter()
            .filter(|((known, architecture), package)| {
                known == name
                    && (*architecture == self.native || architecture.as_str() == "all")
                    && version.is_none_or(|version| *version == package.version)
            })
            .map(|((_, architecture), _)| architecture.clone())
            .next()
    }

    fn parse(text: &str, native: Architecture) -> Result<Self, AptError> {
        let mut packages = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let form = || AptError::form("dpkg-query", line);
            let fields: Vec<_> = line.split('\t').collect();
            let [name, architecture, version, status, source, source_version] = fields.as_slice()
            else {
                return Err(form());
            };
            // Not installed, or only its configuration files are left.
            if matches!(status.as_bytes().get(1), Some(b'n' | b'c')) {
                continue;
            }
            let key = (
                PackageName::new(*name).map_err(|_| form())?,
                Architecture::new(*architecture).map_err(|_| form())?,
            );
            let version = Version::new(*version).map_err(|_| form())?;
            let package = Package {
                sound: status.as_bytes().get(1) == Some(&b'i')
                    && matches!(status.as_bytes().get(2), None | Some(b' ')),
                source: PackageName::new(*source).unwrap_or_else(|_| key.0.clone()),
                source_version: Version::new(*source_version).unwrap_or_else(|_| version.clone()),
                version,
            };
            packages.insert(key, package);
        }
        Ok(Self { native, packages })
    }
}

impl Apt {
    fn dpkg_query(&self) -> Run {
        self.environment(Run::new("dpkg-query"))
            .arg(format!("--admindir={}", self.admin_folder().display()))
            .bytes_max(32 * 1024 * 1024)
    }

    /// What is installed now.
    ///
    /// # Errors
    /// When dpkg's database cannot be read.
    pub fn installed(&self) -> Result<Installed, AptError> {
        let format = "--showformat=${Package}\\t${Architecture}\\t${Version}\\t${db:Status-Abbrev}\\t${source:Package}\\t${source:Version}\\n";
        let run = self.dpkg_query().args(["--show", format]);
        Installed::parse(&succeeded("dpkg-query", &run.end()?)?, self.native.clone())
    }

    /// True when no package tool holds dpkg's lock. False when that cannot be told.
    #[must_use]
    pub fn package_lock_is_free(&self) -> bool {
        ["lock-frontend", "lock"].into_iter().all(|name| {
            let path = self.admin_folder().join(name);
            match fs::OpenOptions::new().write(true).open(&path) {
                Ok(file) => {
                    // POSIX locks, as apt and dpkg take them; ours goes when the file is closed.
                    let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
                    rustix::fs::fcntl_lock(&file, lock).is_ok()
                }
                Err(error) => error.kind() == io::ErrorKind::NotFound,
            }
        })
    }

    /// How the installed files differ from those in the artifact at `path`, in words; empty when
    /// they are the same. Configuration files and diverted ones are compared where they may be.
    ///
    /// # Errors
    /// When the artifact or the installed files cannot be read.
    pub fn differences(&self, path: &Path) -> Result<Vec<String>, AptError> {
        let scratch = self.scratch()?;
        deb::unpack(path, scratch.path())?;
        let conffiles: BTreeSet<_> = deb::conffiles(path)?.into_iter().collect();
        let diverted = self.diversions(&deb::identity(path)?.name)?;
        let mut differences = Vec::new();
        let mut folders = vec![PathBuf::new()];
        let mut seen = 0_usize;
        while let Some(folder) = folders.pop() {
            let here = scratch.path().join(&folder);
            for entry in fs::read_dir(&here).map_err(|source| AptError::io(&here, source))? {
                let entry = entry.map_err(|source| AptError::io(&here, source))?;
                let relative = folder.join(entry.file_name());
                seen += 1;
                if seen > FILES_MAX || differences.len() >= DIFFERENCES_MAX {
                    differences.push("and more".into());
                    return Ok(differences);
                }
                let kind = entry
                    .file_type()
                    .map_err(|source| AptError::io(&entry.path(), source))?;
                let shown = format!("/{}", relative.display());
                if kind.is_dir() {
                    folders.push(relative);
                    continue;
                }
                if conffiles.contains(&shown) {
                    continue;
                }
                let place = diverted.get(&shown).unwrap_or(&shown);
                let installed = self.config.root.join(place.trim_start_matches('/'));
                match same(&entry.path(), &installed) {
                    Ok(true) => {}
                    Ok(false) => differences.push(format!("`{shown}` differs from the artifact")),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let optional = relative.to_string_lossy();
                        if !OPTIONAL.iter().any(|start| optional.starts_with(start)) {
                            differences.push(format!("`{shown}` is missing"));
                        }
                    }
                    Err(source) => return Err(AptError::io(&installed, source)),
                }
            }
        }
        Ok(differences)
    }

    /// An empty folder of ours that goes away by itself.
    pub(super) fn scratch(&self) -> Result<tempfile::TempDir, AptError> {
        let parent = self.folder.join("scratch");
        crate::durable::folder(&parent).map_err(|source| AptError::io(&parent, source))?;
        tempfile::tempdir_in(&parent).map_err(|source| AptError::io(&parent, source))
    }

    /// Where other packages diverted files to that `package` brings.
    fn diversions(&self, package: &PackageName) -> Result<BTreeMap<String, String>, AptError> {
        let run = self
            .environment(Run::new("dpkg-divert"))
            .arg(format!("--admindir={}", self.admin_folder().display()))
            .arg("--list");
        let text = succeeded("dpkg-divert --list", &run.end()?)?;
        Ok(text
            .lines()
            .filter_map(|line| {
                let rest = line
                    .strip_prefix("diversion of ")
                    .or_else(|| line.strip_prefix("local diversion of "))?;
                let (from, rest) = rest.split_once(" to ")?;
                let (to, by) = rest.split_once(" by ").unwrap_or((rest, ""));
                (by != package.as_str()).then(|| (from.to_owned(), to.to_owned()))
            })
            .collect())
    }
}

/// Whether two files have the same bytes, or two links the same target.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (kind_a, kind_b) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    if kind_a.is_symlink() || kind_b.is_symlink() {
        return Ok(kind_a.is_symlink()
            && kind_b.is_symlink()
            && fs::read_link(a)? == fs::read_link(b)?);
    }
    if !kind_a.is_file() || !kind_b.is_file() || kind_a.len() != kind_b.len() {
        return Ok(false);
    }
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut left, mut right) = (vec![0_u8; 64 * 1024], vec![0_u8; 64 * 1024]);
    loop {
        let count = a.read(&mut left)?;
        let (left, right) = (left.get(..count), right.get_mut(..count));
        let (Some(left), Some(right)) = (left, right) else {
            return Ok(false);
        };
        if left.is_empty() {
            return Ok(true);
        }
        b.read_exact(right)?;
        if left != right {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn installed(text: &str) -> Result<Installed, AptError> {
        Installed::parse(text, Architecture::new("amd64").unwrap())
    }

    #[test]
    fn states_are_read_and_leftovers_left_out() {
        let text = "libc6\tamd64\t2.36\tii \tglibc\t2.36\nlibc6\ti386\t2.36\tii \tglibc\t2.36\nold\tall\t1.0\trc \told\t1.0\nhalf\tall\t1.0\tiU \thalf\t1.0\nbad\tall\t1.0\tiiR\tbad\t1.0\n";
        let all = installed(text).unwrap();
        assert_eq!(all.count(), 4);
        let name = |text| PackageName::new(text).unwrap();
        let any = Architecture::new("all").unwrap();
        assert!(!all.get(&name("half"), &any).unwrap().sound);
        assert!(!all.get(&name("bad"), &any).unwrap().sound);
        assert!(all.get(&name("old"), &any).is_none());
        assert_eq!(
            all.architecture_of(&name("libc6"), None).unwrap().as_str(),
            "amd64"
        );
        assert!(installed("libc6\tamd64\n").is_err());
        assert!(installed("lib c6\tamd64\t2.36\tii \tglibc\t2.36").is_err());
    }

    #[test]
    fn an_odd_source_does_not_stop_the_host() {
        let all = installed("vendor-tool\tall\t2.0\tii \tVendor_Tool!\t(odd)\n").unwrap();
        let name = PackageName::new("vendor-tool").unwrap();
        let package = all.get(&name, &Architecture::new("all").unwrap()).unwrap();
        assert_eq!(package.source, name);
        assert_eq!(package.source_version.as_str(), "2.0");
    }

    #[test]
    fn files_are_compared_by_content() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), vec![1_u8; 200_000]).unwrap();
        fs::write(path("b"), vec![1_u8; 200_000]).unwrap();
        assert!(same(&path("a"), &path("b")).unwrap());
        let mut bytes = vec![1_u8; 200_000];
        bytes[199_999] = 2;
        fs::write(path("b"), bytes).unwrap();
        assert!(!same(&path("a"), &path("b")).unwrap());
        std::os::unix::fs::symlink("x", path("l")).unwrap();
        assert!(!same(&path("a"), &path("l")).unwrap());
        assert!(same(&path("a"), &path("none")).is_err());
    }
}
