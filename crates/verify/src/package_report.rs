//! Reports of package transitions as a host signed them: signature, form and bounds. Whether a
//! report follows the one before, and which transitions had a warrant, is judged by `gate`.

use crate::document::{DocumentError, Signed, by_host, content};
use crate::jws::Verified;
use countersign_domain::jws::PACKAGE_REPORT_TYP;
use countersign_domain::package_report::{
    GAP_BYTES_MAX, GAPS_MAX, INSTALLED_MAX, PackageReport, REPORT_BYTES_MAX, SEEN_MAX, SeenIn,
    installed_digest,
};
use countersign_domain::{DeploymentId, Roster};

impl Signed for PackageReport {
    const KIND: &'static str = "package report";
    const TYP: &'static str = PACKAGE_REPORT_TYP;
    const BYTES_MAX: usize = REPORT_BYTES_MAX;

    fn deployment(&self) -> &DeploymentId {
        &self.deployment
    }

    fn signer(&self) -> &str {
        self.host.as_str()
    }
}

/// Verifies a report that a host of the roster signed in its own name, and its bounds.
///
/// # Errors
/// [`DocumentError`].
pub fn verify(jws: &str, roster: &Roster) -> Result<Verified<PackageReport>, DocumentError> {
    let report: Verified<PackageReport> = by_host(jws, roster)?;
    match problem(&report) {
        None => Ok(report),
        Some(problem) => Err(content::<PackageReport>(problem)),
    }
}

fn problem(report: &PackageReport) -> Option<String> {
    if report.v != 1 {
        return Some(format!(
            "`v`: version {} is not known; expected 1",
            report.v
        ));
    }
    if report.sequence == 0 || (report.sequence == 1) != report.previous.is_none() {
        return Some(
            "`sequence`: starts at 1, and every report but the first names the one before".into(),
        );
    }
    if report.transitions.len() > SEEN_MAX {
        return Some(format!("`transitions`: more than {SEEN_MAX}"));
    }
    if report.sequence == 1 && !report.transitions.is_empty() {
        return Some("`transitions`: the first report is the baseline and tells none".into());
    }
    if report.transitions.iter().any(|seen| {
        seen.seen_in != SeenIn::PackageLog
            || seen.at.is_none()
            || (seen.old.is_none() && seen.new.is_none())
    }) {
        return Some(
            "`transitions`: each comes from the package log, with a time and a version".into(),
        );
    }
    if report.gaps.len() > GAPS_MAX || report.gaps.iter().any(|gap| gap.len() > GAP_BYTES_MAX) {
        return Some(format!(
            "`gaps`: more than {GAPS_MAX}, or one longer than {GAP_BYTES_MAX} bytes"
        ));
    }
    let Some(installed) = &report.installed else {
        return (report.sequence == 1)
            .then(|| "`installed`: the first report tells what is installed".into());
    };
    let Some(packages) = &installed.packages else {
        return (report.sequence == 1)
            .then(|| "`installed`: the first report lists what is installed".into());
    };
    if packages.len() > INSTALLED_MAX {
        return Some(format!("`installed`: more than {INSTALLED_MAX} packages"));
    }
    let ascending = packages
        .iter()
        .zip(packages.iter().skip(1))
        .all(|(a, b)| (&a.name, &a.architecture) < (&b.name, &b.architecture));
    if !ascending {
        return Some("`installed`: not sorted by name and architecture, each once".into());
    }
    (installed_digest(packages).ok() != Some(installed.digest))
        .then(|| "`installed`: the digest is not that of the list".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::package_report::{InstalledPackage, InstalledState, SeenTransition};
    use countersign_domain::{Digest, Timestamp};

    fn package(name: &str) -> InstalledPackage {
        InstalledPackage {
            name: name.parse().unwrap(),
            architecture: "all".parse().unwrap(),
            version: "1.0".parse().unwrap(),
        }
    }

    fn first(packages: Vec<InstalledPackage>) -> PackageReport {
        PackageReport {
            v: 1,
            deployment: "example/test".parse().unwrap(),
            host: "web-1".parse().unwrap(),
            sequence: 1,
            previous: None,
            observed_at: Timestamp::EPOCH,
            transitions: Vec::new(),
            installed: Some(InstalledState {
                digest: installed_digest(&packages).unwrap(),
                packages: Some(packages),
            }),
            gaps: Vec::new(),
        }
    }

    #[test]
    fn a_report_keeps_to_its_bounds_and_its_order() {
        let good = first(vec![package("aa"), package("bb")]);
        assert_eq!(problem(&good), None);
        let seen = SeenTransition {
            name: "aa".parse().unwrap(),
            architecture: "all".parse().unwrap(),
            old: Some("1.0".parse().unwrap()),
            new: Some("1.1".parse().unwrap()),
            at: Some(Timestamp::EPOCH),
            seen_in: SeenIn::PackageLog,
        };
        let second = PackageReport {
            sequence: 2,
            previous: Some(Digest::of(b"first")),
            transitions: vec![seen.clone()],
            installed: None,
            ..good.clone()
        };
        assert_eq!(problem(&second), None);
        let wrong: [(&str, PackageReport); 9] = [
            (
                "`v`",
                PackageReport {
                    v: 2,
                    ..good.clone()
                },
            ),
            (
                "`sequence`",
                PackageReport {
                    sequence: 2,
                    ..good.clone()
                },
            ),
            (
                "`sequence`",
                PackageReport {
                    previous: Some(Digest::of(b"x")),
                    ..good.clone()
                },
            ),
            (
                "`transitions`",
                PackageReport {
                    transitions: vec![seen.clone()],
                    ..good.clone()
                },
            ),
            (
                "`transitions`",
                PackageReport {
                    transitions: vec![seen.clone(); SEEN_MAX + 1],
                    ..second.clone()
                },
            ),
            (
                "`transitions`",
                PackageReport {
                    transitions: vec![SeenTransition { at: None, ..seen }],
                    ..second.clone()
                },
            ),
            (
                "`gaps`",
                PackageReport {
                    gaps: vec!["x".repeat(GAP_BYTES_MAX + 1)],
                    ..second
                },
            ),
            ("`installed`", first(vec![package("bb"), package("aa")])),
            (
                "`installed`",
                PackageReport {
                    installed: Some(InstalledState {
                        digest: Digest::of(b"another list"),
                        packages: Some(vec![package("aa")]),
                    }),
                    ..good
                },
            ),
        ];
        for (field, report) in wrong {
            let said = problem(&report).unwrap_or_default();
            assert!(said.starts_with(field), "{field}: {said}");
        }
    }
}
