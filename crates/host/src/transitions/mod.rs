//! What this host reports of its packages: transitions from dpkg's log, and what is installed, in a
//! chain of signed reports that survives a crash at any point. It judges nothing: which transitions
//! had a warrant is found by the gate, which trusts no host to say so.

mod line;
mod log;

use crate::apt::{Apt, AptError};
use crate::durable;
use crate::key::{HostKey, KeyError};
use crate::words::within;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::jws::PACKAGE_REPORT_TYP;
use countersign_domain::package_report::{
    GAP_BYTES_MAX, GAPS_MAX, INSTALLED_MAX, InstalledPackage, InstalledState, PackageReport,
    REPORT_BYTES_MAX, installed_digest,
};
use countersign_domain::{DeploymentId, Digest, Timestamp};
use jiff::tz::TimeZone;
use log::{Piece, Place};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Where the machine keeps its time zone: dpkg writes local time.
const ZONE_PATH: &str = "/etc/localtime";
/// The largest zone file that is read, in bytes.
const ZONE_BYTES_MAX: u64 = 1024 * 1024;
/// The largest state that is read back, in bytes: a signed report and a few digests.
const KEPT_BYTES_MAX: u64 = 2 * REPORT_BYTES_MAX as u64;
/// How often it is tried to see log and state at rest, before the state is left for the next report.
const TRIES_MAX: usize = 3;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Reading or writing failed.
    #[error("`{path}`: {source}", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is installed could not be read.
    #[error(transparent)]
    Apt(#[from] AptError),
    /// It could not be signed.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// It has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The machine's time zone.
    #[error("`{ZONE_PATH}` is no time zone: {0}; hint: set the machine's time zone")]
    Zone(String),
    /// More is installed than a report may hold.
    #[error("{0} packages are installed, more than a report may hold ({INSTALLED_MAX})")]
    TooMany(usize),
}

/// What the gate has taken last.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    sequence: u64,
    report: Digest,
    /// The last list of what is installed that was told.
    installed: Digest,
    place: Place,
}

/// What there is to do after a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Next {
    /// Nothing: it told all there was.
    Rest,
    /// Another at once: there are more lines than it could hold.
    More,
    /// Another when the package tool has ended: it tells nothing of what is installed.
    State,
}

/// A report that is signed and not known to be taken: the same is handed in until it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pending {
    signed: String,
    then: Told,
    next: Next,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    told: Option<Told>,
    pending: Option<Pending>,
}

/// Whose packages, and in whose name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) deployment: &'a DeploymentId,
    pub(crate) key: &'a HostKey,
    pub(crate) apt: &'a Apt,
    /// False while this host acts on something itself: then only lines are told.
    pub(crate) at_rest: bool,
}

/// A host's reports, and how far they have come.
#[derive(Debug)]
pub(crate) struct Reports {
    path: PathBuf,
    kept: Kept,
}

impl Reports {
    /// Reads how far they have come. A state that is missing or damaged begins anew, which the gate
    /// makes an alarm of where it had reports of this host.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn load(state_dir: &Path) -> Result<Self, ReportError> {
        let path = state_dir.join("packages.json");
        let kept = match durable::read_bounded(&path, KEPT_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge
                ) =>
            {
                Kept::default()
            }
            Err(source) => return Err(ReportError::Io { path, source }),
        };
        Ok(Self { path, kept })
    }

    /// The report to hand in now: the one that was signed and not taken yet, or the next. None when a
    /// package tool was at work and there is nothing to tell without the state.
    ///
    /// # Errors
    /// When log, state or time zone cannot be read, or it cannot be signed or kept.
    pub(crate) fn next(
        &mut self,
        subject: Subject<'_>,
        now: Timestamp,
    ) -> Result<Option<&str>, ReportError> {
        if self.kept.pending.is_none() {
            let zone = zone()?;
            self.kept.pending = self.make(subject, now, &zone)?;
            self.keep()?;
        }
        Ok(self
            .kept
            .pending
            .as_ref()
            .map(|pending| pending.signed.as_str()))
    }

    /// The gate took it; what to do next.
    ///
    /// # Errors
    /// When it cannot be kept: the same is then handed in again, which changes nothing.
    pub(crate) fn taken(&mut self) -> Result<Next, ReportError> {
        let Some(pending) = self.kept.pending.take() else {
            return Ok(Next::Rest);
        };
        self.kept.told = Some(pending.then);
        self.keep()?;
        Ok(pending.next)
    }

    /// The gate will not take it: the next is made anew from the same place.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn put_off(&mut self) -> Result<(), ReportError> {
        self.kept.pending = None;
        self.keep()
    }

    /// The gate knows another last report: the chain begins anew. It alarms there, and what is
    /// installed is held against what was told before.
    ///
    /// # Errors
    /// When it cannot be kept.
    pub(crate) fn begin_anew(&mut self) -> Result<(), ReportError> {
        self.kept = Kept::default();
        self.keep()
    }

    /// True while no report of this host has been taken.
    pub(crate) const fn is_first(&self) -> bool {
        self.kept.told.is_none()
    }

    fn keep(&self) -> Result<(), ReportError> {
        let bytes = serde_json::to_vec(&self.kept).map_err(CanonicalError::from);
        let bytes = bytes?;
        durable::replace(&self.path, &bytes).map_err(|source| ReportError::Io {
            path: self.path.clone(),
            source,
        })
    }

    fn make(
        &self,
        subject: Subject<'_>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Option<Pending>, ReportError> {
        let told = self.kept.told.as_ref();
        let folder = log_folder(subject.apt);
        let io = |source| ReportError::Io {
            path: folder.clone(),
            source,
        };
        let (piece, installed) = look(subject, &folder, told.map(|told| &told.place), now, zone)
            .map_err(|error| error.or(io))?;
        if told.is_none() {
            // The first tells what is installed, or is not made.
            return match installed {
                Some(installed) => self.sign(subject, now, piece, Some(installed)).map(Some),
                None => Ok(None),
            };
        }
        let nothing_new = piece.transitions.is_empty() && piece.gaps.is_empty();
        if installed.is_none() && nothing_new {
            return Ok(None);
        }
        self.sign(subject, now, piece, installed).map(Some)
    }

    fn sign(
        &self,
        subject: Subject<'_>,
        now: Timestamp,
        piece: Piece,
        installed: Option<Vec<InstalledPackage>>,
    ) -> Result<Pending, ReportError> {
        let told = self.kept.told.as_ref();
        let mut last_installed = told.map(|told| told.installed);
        let installed = match installed {
            None => None,
            Some(packages) => {
                let digest = installed_digest(&packages)?;
                let known = last_installed == Some(digest);
                last_installed = Some(digest);
                Some(InstalledState {
                    digest,
                    packages: (!known).then_some(packages),
                })
            }
        };
        let whole = installed.is_some();
        let mut gaps = piece.gaps;
        if gaps.len() > GAPS_MAX {
            gaps.truncate(GAPS_MAX - 1);
            gaps.push("and more".into());
        }
        let report = PackageReport {
            v: 1,
            deployment: subject.deployment.clone(),
            host: subject.key.host().clone(),
            sequence: told.map_or(1, |told| told.sequence.saturating_add(1)),
            previous: told.map(|told| told.report),
            observed_at: now,
            transitions: piece.transitions,
            installed,
            gaps: gaps.iter().map(|gap| within(gap, GAP_BYTES_MAX)).collect(),
        };
        let signed = subject.key.sign(PACKAGE_REPORT_TYP, &report)?;
        Ok(Pending {
            then: Told {
                sequence: report.sequence,
                report: Digest::of(signed.as_bytes()),
                installed: last_installed.unwrap_or_else(|| Digest::of(b"")),
                place: piece.place,
            },
            signed,
            next: match (piece.more, whole) {
                (true, _) => Next::More,
                (false, true) => Next::Rest,
                (false, false) => Next::State,
            },
        })
    }
}

/// Where dpkg keeps its log.
fn log_folder(apt: &Apt) -> PathBuf {
    apt.config().root.join("var/log")
}

/// What tells whether dpkg's log has grown or been replaced since: its length and its number.
pub(crate) fn log_mark(apt: &Apt) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::metadata(log_folder(apt).join(log::NAME)).ok()?;
    Some((metadata.len(), metadata.ino()))
}

enum LookError {
    Io(io::Error),
    Other(ReportError),
}

impl LookError {
    fn or(self, io: impl FnOnce(io::Error) -> ReportError) -> ReportError {
        match self {
            Self::Io(error) => io(error),
            Self::Other(error) => error,
        }
    }
}

impl From<io::Error> for LookError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The log from `place` on (from its end, for the first report), and what is installed, where no
/// package tool was at work between the two.
fn look(
    subject: Subject<'_>,
    folder: &Path,
    place: Option<&Place>,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(Piece, Option<Vec<InstalledPackage>>), LookError> {
    let read = |place: Option<&Place>| match place {
        Some(place) => log::read(folder, place, zone),
        None => log::end(folder, now).map(|place| Piece {
            transitions: Vec::new(),
            place,
            more: false,
            gaps: Vec::new(),
        }),
    };
    let mut piece = read(place)?;
    for _ in 0..TRIES_MAX {
        if piece.more || !subject.at_rest || !subject.apt.package_lock_is_free() {
            break;
        }
        let installed = installed(subject.apt).map_err(LookError::Other)?;
        // INVARIANT: a run that came between log and state has left lines, or still holds the lock.
        let again = read(place)?;
        let rest = again.place == piece.place && subject.apt.package_lock_is_free();
        piece = again;
        if rest {
            return Ok((piece, Some(installed)));
        }
    }
    Ok((piece, None))
}

fn installed(apt: &Apt) -> Result<Vec<InstalledPackage>, ReportError> {
    let installed = apt.installed()?;
    if installed.count() > INSTALLED_MAX {
        return Err(ReportError::TooMany(installed.count()));
    }
    Ok(installed
        .iter()
        .map(|((name, architecture), package)| InstalledPackage {
            name: name.clone(),
            architecture: architecture.clone(),
            version: package.version.clone(),
        })
        .collect())
}

/// The machine's time zone; UTC where none is set.
fn zone() -> Result<TimeZone, ReportError> {
    match durable::read_bounded(Path::new(ZONE_PATH), ZONE_BYTES_MAX) {
        Ok(bytes) => {
            TimeZone::tzif("local", &bytes).map_err(|error| ReportError::Zone(error.to_string()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(TimeZone::UTC),
        Err(source) => Err(ReportError::Io {
            path: ZONE_PATH.into(),
            source,
        }),
    }
}
