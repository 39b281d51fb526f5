//! What apt would do: `apt-get -s`, parsed strictly. A line that looks like an action and is not
//! understood is an error, never skipped.

use super::inspect::Installed;
use super::{Apt, AptError, Spec, succeeded};
use countersign_domain::{Architecture, PackageName, Version};
use std::path::Path;

/// Actions in one simulation at most.
const ACTIONS_MAX: usize = 10_000;

/// One package that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version installed now.
    pub old: Option<Version>,
    /// The version afterwards; none when it is removed.
    pub new: Option<Version>,
    /// Where the new version comes from, as apt names it, such as
    /// `Debian-Security:12/oldstable-security`; empty for a removal.
    pub origins: Vec<String>,
}

/// A line of `apt-get -s`, before the architecture of removals is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    name: PackageName,
    architecture: Option<Architecture>,
    old: Option<Version>,
    new: Option<Version>,
    origins: Vec<String>,
}

impl Apt {
    /// What upgrading everything would do.
    ///
    /// # Errors
    /// When apt fails or its answer is not understood.
    pub fn simulate_upgrade(&self, installed: &Installed) -> Result<Vec<Action>, AptError> {
        let run = self.apt("apt-get").args(["-s", "dist-upgrade"]);
        let text = succeeded("apt-get -s dist-upgrade", &run.end()?)?;
        resolve(parse(&text)?, installed)
    }

    /// What installing exactly these versions would do.
    ///
    /// # Errors
    /// When apt cannot do it (an unknown version, broken dependencies), or its answer is not
    /// understood.
    pub fn simulate_install(
        &self,
        wanted: &[Spec],
        installed: &Installed,
    ) -> Result<Vec<Action>, AptError> {
        let mut run = self.apt("apt-get").args(["-s", "install", "--"]);
        for spec in wanted {
            run = run.arg(self.argument(spec)?);
        }
        let text = succeeded("apt-get -s install", &run.end()?)?;
        resolve(parse(&text)?, installed)
    }

    /// What installing exactly these files, and removing exactly these packages, would do.
    ///
    /// # Errors
    /// As [`Apt::simulate_install`].
    pub(super) fn simulate_files(
        &self,
        arguments: &[String],
        installed: &Installed,
    ) -> Result<Vec<Action>, AptError> {
        let run = self
            .apt_without_sources()
            .args(["-s", "--allow-downgrades", "install", "--"])
            .args(arguments);
        let text = succeeded("apt-get -s install FILES", &run.end()?)?;
        resolve(parse(&text)?, installed)
    }
}

/// The words that apt takes for installing this file.
pub(super) fn file_argument(path: &Path) -> String {
    path.display().to_string()
}

fn resolve(lines: Vec<Line>, installed: &Installed) -> Result<Vec<Action>, AptError> {
    lines
        .into_iter()
        .map(|line| {
            let architecture = match line.architecture {
                Some(architecture) => architecture,
                None => installed
                    .architecture_of(&line.name, line.old.as_ref())
                    .ok_or_else(|| AptError::form("apt-get -s", line.name.as_str()))?,
            };
            Ok(Action {
                name: line.name,
                architecture,
                old: line.old,
                new: line.new,
                origins: line.origins,
            })
        })
        .collect()
}

fn parse(text: &str) -> Result<Vec<Line>, AptError> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let parsed = match word {
            "Inst" => parse_install(rest),
            "Remv" | "Purg" => parse_removal(rest),
            // `Conf` repeats what `Inst` said; everything else is talk.
            _ => continue,
        };
        lines.push(parsed.ok_or_else(|| AptError::form("apt-get -s", line))?);
        if lines.len() > ACTIONS_MAX {
            return Err(AptError::said("apt-get -s", "more than 10000 actions"));
        }
    }
    Ok(lines)
}

/// `libssl3 [3.0.20] (3.0.22 Debian-Security:12/oldstable-security [amd64]) [openssl:amd64 ]`
fn parse_install(rest: &str) -> Option<Line> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, _) = parse_name(name)?;
    let (old, rest) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (old, rest) = rest.split_once("] ")?;
            (Some(Version::new(old).ok()?), rest)
        }
        None => (None, rest),
    };
    // What follows the closing bracket tells which packages are broken meanwhile.
    let (inner, _) = rest.strip_prefix('(')?.split_once("])")?;
    let (before, architecture) = inner.rsplit_once(" [")?;
    let (new, origins) = before.split_once(' ').unwrap_or((before, ""));
    Some(Line {
        name,
        architecture: Some(Architecture::new(architecture).ok()?),
        old,
        new: Some(Version::new(new).ok()?),
        origins: origins
            .split(", ")
            .filter(|origin| !origin.is_empty())
            .map(|origin| countersign_domain::text::shown(origin, 200))
            .collect(),
    })
}

/// `jq [1.6-2.1+deb12u3]`, with broken packages behind as above.
fn parse_removal(rest: &str) -> Option<Line> {
    let (name, rest) = rest.split_once(' ')?;
    let (name, architecture) = parse_name(name)?;
    let (old, _) = rest.strip_prefix('[')?.split_once(']')?;
    Some(Line {
        name,
        architecture,
        old: Some(Version::new(old).ok()?),
        new: None,
        origins: Vec::new(),
    })
}

fn parse_name(text: &str) -> Option<(PackageName, Option<Architecture>)> {
    match text.split_once(':') {
        Some((name, architecture)) => Some((
            PackageName::new(name).ok()?,
            Some(Architecture::new(architecture).ok()?),
        )),
        None => Some((PackageName::new(text).ok()?, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Line {
        let mut lines = parse(line).unwrap();
        assert_eq!(lines.len(), 1, "{line}");
        lines.remove(0)
    }

    #[test]
    fn every_form_that_apt_writes_is_read() {
        let line = one(
            "Inst libext2fs2 [1.47.0-2] (1.47.0-2+b2 Debian:12.15/oldstable [amd64]) [e2fsprogs:amd64 on libext2fs2:amd64] [e2fsprogs:amd64 ]",
        );
        assert_eq!(line.new.unwrap().as_str(), "1.47.0-2+b2");
        assert_eq!(line.origins, ["Debian:12.15/oldstable"]);
        let line = one(
            "Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64])",
        );
        assert_eq!(line.origins.len(), 2);
        let line = one("Inst cs-new (1.0 Debian Backports:12/x [all])");
        assert_eq!(
            (line.old, line.origins),
            (None, vec!["Debian Backports:12/x".to_owned()])
        );
        let line = one("Inst libc6:i386 [2.36] (2.37 Debian [i386]) []");
        assert_eq!(line.architecture.unwrap().as_str(), "i386");
        let line = one("Remv jq [1.6-2.1+deb12u3] [a:amd64 ]");
        assert_eq!((line.new, line.architecture), (None, None));
        let line = one("Inst cs-web [1.0] (1.1 [all])");
        assert!(line.origins.is_empty());
        assert!(
            parse("Conf libssl3 (3 x [amd64])\nReading package lists...\n\n")
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn an_action_that_is_not_understood_is_an_error() {
        for wrong in [
            "Inst",
            "Remv",
            "Inst x",
            "Inst libssl3 [1.0 (1.1 [all])",
            "Inst libssl3 [1.0] 1.1",
            "Inst libssl3 [1;0] (1.1 x [all])",
            "Inst ../x [1.0] (1.1 x [all])",
            "Remv jq",
            "Purg jq 1.6",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn nothing_makes_it_panic(text in "(Inst|Remv|Purg) [ -~]{0,80}") {
            let _ = parse(&text);
        }
    }
}
