//! Builds the reports of packages that a host signs.

use crate::fixture::*;
use countersign_domain::package_report::{
    InstalledPackage, InstalledState, PackageReport, SeenIn, SeenTransition, installed_digest,
};
use countersign_domain::{Digest, HostId, PackageName, Timestamp, Version, jws};
use countersign_gate::GateError;
use countersign_gate::state::UnwarrantedRecord;
use pollster::block_on;
use std::collections::BTreeMap;

/// A host that reports its packages.
pub struct Reporter {
    pub host: HostId,
    pub installed: BTreeMap<&'static str, &'static str>,
    pub sequence: u64,
    pub previous: Option<Digest>,
}

/// A line of the package log.
pub fn line(name: &str, old: Option<&str>, new: Option<&str>, at: Timestamp) -> SeenTransition {
    let version = |text: &str| Version::new(text).unwrap();
    SeenTransition {
        name: PackageName::new(name).unwrap(),
        architecture: "amd64".parse().unwrap(),
        old: old.map(version),
        new: new.map(version),
        at: Some(at),
        seen_in: SeenIn::PackageLog,
    }
}

impl Reporter {
    /// Its packages as [`World::observe`] tells them, before its first report.
    pub fn new(name: &str) -> Self {
        Self {
            host: host(name),
            installed: [
                ("openssl", "1.0"),
                ("curl", "1.0"),
                ("postgresql-15", "1.0"),
            ]
            .into(),
            sequence: 0,
            previous: None,
        }
    }

    /// A host whose first report the gate has taken.
    pub fn begun(world: &World, name: &str) -> Self {
        let mut reporter = Self::new(name);
        reporter.report(world, Vec::new()).unwrap();
        reporter
    }

    /// The next report, with what is installed.
    pub fn next(&self, world: &World, transitions: Vec<SeenTransition>) -> PackageReport {
        let packages: Vec<_> = self
            .installed
            .iter()
            .map(|(name, version)| InstalledPackage {
                name: PackageName::new(*name).unwrap(),
                architecture: "amd64".parse().unwrap(),
                version: Version::new(*version).unwrap(),
            })
            .collect();
        PackageReport {
            v: 1,
            deployment: world.deployment(),
            host: self.host.clone(),
            sequence: self.sequence + 1,
            previous: self.previous,
            observed_at: world.now,
            transitions,
            installed: Some(InstalledState {
                digest: installed_digest(&packages).unwrap(),
                packages: Some(packages),
            }),
            gaps: Vec::new(),
        }
    }

    /// Hands the next report in.
    pub fn report(
        &mut self,
        world: &World,
        transitions: Vec<SeenTransition>,
    ) -> Result<String, GateError> {
        let report = self.next(world, transitions);
        self.hand_in(world, &report)
    }

    /// Signs a report and hands it in; what was signed.
    pub fn hand_in(&mut self, world: &World, report: &PackageReport) -> Result<String, GateError> {
        let signed = sign_jws(self.host.as_str(), jws::PACKAGE_REPORT_TYP, report);
        block_on(
            world
                .gate
                .packages_reported(&self.host, signed.clone(), world.now),
        )?;
        self.sequence = report.sequence;
        self.previous = Some(Digest::of(signed.as_bytes()));
        Ok(signed)
    }
}

/// What nobody has looked at yet, the oldest first, in words.
pub fn open_findings(world: &World) -> Vec<String> {
    let mut found: Vec<String> = records(world).iter().map(words).collect();
    found.reverse();
    found
}

pub fn records(world: &World) -> Vec<UnwarrantedRecord> {
    world.gate.unwarranted(None, false).unwrap()
}

fn words(record: &UnwarrantedRecord) -> String {
    let version =
        |version: &Option<Version>| version.as_ref().map_or("-".into(), Version::to_string);
    let seen = &record.transition;
    format!(
        "{} {} {}>{} {}",
        record.host,
        seen.name,
        version(&seen.old),
        version(&seen.new),
        seen.seen_in.as_str()
    )
}
