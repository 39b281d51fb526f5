//! Break-glass at the console: an order is prepared here, signed elsewhere by the quorum that this host
//! pins, and acted on here, without a word from the gate (the one exception of invariant 1). The gate
//! gets the receipt and what was signed at the next contact.

use super::{Host, WorkError, World};
use crate::act::ActError;
use crate::apt::AptError;
use crate::durable;
use crate::journal::{JournalError, StateError};
use crate::prepare::{self, PrepareError};
use crate::put_off::PutOff;
use countersign_domain::canonical::CanonicalError;
use countersign_domain::emergency::{
    EMERGENCY_BYTES_MAX, EMERGENCY_SIGNED_BYTES_MAX, EmergencyBundle, OrderError,
};
use countersign_domain::proposal::PackageRequest;
use countersign_domain::{
    Architecture, ChangeId, Digest, EmergencyOrder, Nonce, PackageName, PersonId, Receipt, Roster,
    SignedStatement, Timestamp, Version, canonical,
};
use countersign_verify::emergency::{self, EmergencyRefusal, EmergencyView};
use rand::RngCore;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Why nothing was done in an emergency.
#[derive(Debug, thiserror::Error)]
pub enum EmergencyError {
    /// The host pins nobody.
    #[error(
        "this host pins nobody who could break the glass; set `[[pins.emergency]]` in its configuration"
    )]
    NotPinned,
    /// The host only observes.
    #[error("this host only observes (`apt.execute = false`)")]
    OnlyObserves,
    /// A package that is installed for no architecture, or for several.
    #[error(
        "`{0}` is installed for no or for several architectures here; name it as `NAME:ARCHITECTURE=VERSION`"
    )]
    Architecture(PackageName),
    /// The order is out of bounds.
    #[error(transparent)]
    Order(#[from] OrderError),
    /// This host cannot do it.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// A plan that is not kept here.
    #[error("this host holds no plan `{plan}`: {problem}; prepare the order again, here")]
    NotHeld {
        /// The bundle's plan.
        plan: Digest,
        /// Why.
        problem: String,
    },
    /// What was signed does not suffice.
    #[error(transparent)]
    Refused(#[from] EmergencyRefusal),
    /// An order of a time of which the journal knows nothing.
    #[error(
        "the order is of `{ordered_at}`, and this host's journal was begun anew since (`{begun_at}`): it may have been acted on; prepare another"
    )]
    OlderThanJournal {
        /// The order's time.
        ordered_at: Timestamp,
        /// The journal's.
        begun_at: Timestamp,
    },
    /// Larger than what the gate takes.
    #[error(
        "what was signed takes {bytes} bytes and could not be recorded at the gate, which takes {bytes_max}; order fewer packages at once, or hand in fewer signatures"
    )]
    TooLarge {
        /// How many it takes.
        bytes: usize,
        /// How many it may.
        bytes_max: usize,
    },
    /// Acted on before.
    #[error("this order was acted on before; an order is spent once, prepare another")]
    Spent,
    /// Something else is open.
    #[error("change `{0}` is being acted on; try again when it has ended")]
    Busy(ChangeId),
    /// Not started, and nothing spent.
    #[error("not started, and nothing is spent: {}", .0.join("; "))]
    NotStarted(Vec<String>),
    /// A file that is no bundle, or several that are about different orders.
    #[error("`{path}`: {problem}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The host itself.
    #[error(transparent)]
    Work(#[from] WorkError),
}

impl From<AptError> for EmergencyError {
    fn from(error: AptError) -> Self {
        Self::Work(error.into())
    }
}

impl From<CanonicalError> for EmergencyError {
    fn from(error: CanonicalError) -> Self {
        Self::Work(error.into())
    }
}

impl From<ActError> for EmergencyError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Journal(JournalError::State(StateError::Used(_))) => Self::Spent,
            error => Self::Work(error.into()),
        }
    }
}

/// A package as it is asked for at the console: `NAME=VERSION` or `NAME:ARCHITECTURE=VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    name: PackageName,
    architecture: Option<Architecture>,
    to: Version,
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "is not `NAME=VERSION` or `NAME:ARCHITECTURE=VERSION`".to_owned();
        let (package, version) = text.split_once('=').ok_or_else(form)?;
        let (name, architecture) = match package.split_once(':') {
            Some((name, architecture)) => (name, Some(architecture)),
            None => (package, None),
        };
        Ok(Self {
            name: PackageName::new(name).map_err(|error| error.to_string())?,
            architecture: architecture
                .map(Architecture::new)
                .transpose()
                .map_err(|error| error.to_string())?,
            to: Version::new(version).map_err(|error| error.to_string())?,
        })
    }
}

/// Reads copies of one bundle that were signed apart, as one.
///
/// # Errors
/// When a file cannot be read or is no bundle, or they are about different orders.
pub fn read_bundles(paths: &[PathBuf]) -> Result<EmergencyBundle, EmergencyError> {
    let mut all: Option<EmergencyBundle> = None;
    for path in paths {
        let wrong = |problem: String| EmergencyError::File {
            path: path.clone(),
            problem,
        };
        let bytes = durable::read_bounded(path, EMERGENCY_BYTES_MAX as u64)
            .map_err(|error| wrong(error.to_string()))?;
        let bundle: EmergencyBundle =
            serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
        match &mut all {
            None => all = Some(bundle),
            Some(all) => {
                let same = (&all.order, &all.plan) == (&bundle.order, &bundle.plan);
                if !same {
                    return Err(wrong("is about another order than the first file".into()));
                }
                for statement in bundle.statements {
                    if !all.statements.contains(&statement) {
                        all.statements.push(statement);
                    }
                }
            }
        }
    }
    all.ok_or_else(|| EmergencyError::File {
        path: PathBuf::new(),
        problem: "no file was named".into(),
    })
}

impl Host {
    /// Makes an order and prepares it: the file that the quorum signs. Nothing is changed.
    ///
    /// # Errors
    /// When this host pins no quorum, or cannot do what is asked.
    pub fn prepare_emergency(
        &mut self,
        world: World<'_>,
        rng: &mut dyn RngCore,
        asked: &[Asked],
    ) -> Result<EmergencyBundle, EmergencyError> {
        if self.config.pins.emergency.is_empty() {
            return Err(EmergencyError::NotPinned);
        }
        if !self.config.apt.execute {
            return Err(EmergencyError::OnlyObserves);
        }
        let packages = self.requested(asked)?;
        let mut bytes = [0_u8; 16];
        rng.fill_bytes(&mut bytes);
        let now = (world.clock)();
        let order = EmergencyOrder {
            v: 1,
            deployment: self.config.deployment.clone(),
            host: self.config.host.clone(),
            nonce: Nonce::from_random(bytes),
            ordered_at: now,
            packages,
        };
        order.check()?;
        let plan = prepare::prepare_emergency(&self.config, &self.apt, &order, now)?;
        let path = self.plan_path(&canonical::digest(&plan)?);
        keep(&path, &canonical::to_bytes(&plan)?)?;
        Ok(EmergencyBundle {
            order,
            plan,
            roster_version: self.seen.roster().version,
            statements: Vec::new(),
        })
    }

    fn requested(&self, asked: &[Asked]) -> Result<Vec<PackageRequest>, EmergencyError> {
        let installed = self.apt.installed()?;
        asked
            .iter()
            .map(|one| {
                let mut found = installed
                    .iter()
                    .filter(|((name, _), _)| *name == one.name)
                    .map(|((_, architecture), _)| architecture);
                let architecture = match (&one.architecture, found.next(), found.next()) {
                    (Some(named), _, _) => named.clone(),
                    (None, Some(only), None) => only.clone(),
                    (None, _, _) => {
                        return Err(EmergencyError::Architecture(one.name.clone()));
                    }
                };
                Ok(PackageRequest {
                    name: one.name.clone(),
                    architecture,
                    from: None,
                    to: one.to.clone(),
                })
            })
            .collect()
    }

    /// Acts on an order that the pinned quorum signed, whatever the gate says or does not say.
    ///
    /// # Errors
    /// When anything does not hold: then nothing has happened and nothing is spent, unless the error
    /// is the journal's or the receipt's, in which case the next start settles what it finds.
    pub fn run_emergency(
        &mut self,
        world: World<'_>,
        bundle: &EmergencyBundle,
    ) -> Result<Receipt, EmergencyError> {
        // What was interrupted may be rolled back here.
        let _put_off = PutOff::begin();
        self.executor(world, &|_, _| false).recover()?;
        self.conclude_seen(world)?;
        if let Some(open) = self.journal.state().open().next() {
            return Err(EmergencyError::Busy(open.change.clone()));
        }
        let digest = canonical::digest(&bundle.plan)?;
        let plan = self
            .held_plan(&digest)
            .map_err(|problem| EmergencyError::NotHeld {
                plan: digest,
                problem,
            })?;
        let view = EmergencyView {
            host: &self.config.host,
            roster: self.seen.roster(),
            quorum: &self.config.pins.emergency,
            trial: self.config.pins.trial,
            own_plan_digest: &digest,
            now: (world.clock)(),
        };
        let permit = emergency::verify(bundle, &view)?;
        // INVARIANT (one spend): although the journal that knew of it may be lost.
        if let Some(begun_at) = self.journal.state().begun_at()
            && bundle.order.ordered_at < begun_at
        {
            return Err(EmergencyError::OlderThanJournal {
                ordered_at: bundle.order.ordered_at,
                begun_at,
            });
        }
        let people: Vec<&str> = permit
            .approvals()
            .iter()
            .map(|one| one.approver.as_str())
            .collect();
        world.progress.line(format!(
            "the glass is broken for `{}` by {}",
            permit.change(),
            people.join(", ")
        ));
        // What was signed is durable before anything rests on it: the gate gets it later.
        let bytes = recordable(bundle, self.seen.roster(), view.now)?;
        let kept = Digest::of(&bytes);
        keep(&self.bundle_path(&kept), &bytes)?;
        self.executor(world, &|_, _| false)
            .execute_emergency(&permit, kept, &plan)?
            .map_err(EmergencyError::NotStarted)
    }

    /// A bundle that was acted on, as it was kept.
    pub(super) fn kept_bundle(&self, digest: &Digest) -> Result<EmergencyBundle, WorkError> {
        let path = self.bundle_path(digest);
        let bytes = durable::read_bounded(&path, EMERGENCY_BYTES_MAX as u64)
            .map_err(|source| WorkError::Io { path, source })?;
        Ok(canonical::from_bytes(&bytes)?)
    }

    /// Where it is kept.
    fn bundle_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string().replace("sha256:", "");
        self.config
            .state_dir
            .join("emergencies")
            .join(format!("{name}.json"))
    }
}

/// The bytes of a bundle as it is kept and handed in: with the statements that count, one of each
/// person, so that nothing that somebody else put beside them keeps the gate from recording it.
fn recordable(
    bundle: &EmergencyBundle,
    roster: &Roster,
    now: Timestamp,
) -> Result<Vec<u8>, EmergencyError> {
    let mut shortest: BTreeMap<PersonId, &SignedStatement> = BTreeMap::new();
    let length = |one: &SignedStatement| one.statement.len() + one.signature.len();
    for signed in &bundle.statements {
        let alone = EmergencyBundle {
            statements: vec![signed.clone()],
            ..bundle.clone()
        };
        let (good, _) = emergency::statements(&alone, roster, Some(now))?;
        if let Some(statement) = good.first() {
            let kept = shortest.entry(statement.approver.clone()).or_insert(signed);
            // White space around a signature, which anybody can add, takes nobody's room.
            if length(signed) < length(kept) {
                *kept = signed;
            }
        }
    }
    let counted = EmergencyBundle {
        statements: shortest.into_values().cloned().collect(),
        ..bundle.clone()
    };
    let fits = |bytes: usize, bytes_max: usize| {
        if bytes > bytes_max {
            return Err(EmergencyError::TooLarge { bytes, bytes_max });
        }
        Ok(())
    };
    // The statements stand in one entry of the log with the receipt, which leaves them this much.
    let signed = canonical::to_bytes(&counted.statements)?;
    fits(signed.len(), EMERGENCY_SIGNED_BYTES_MAX)?;
    let bytes = canonical::to_bytes(&counted)?;
    fits(bytes.len(), EMERGENCY_BYTES_MAX)?;
    Ok(bytes)
}

fn keep(path: &Path, bytes: &[u8]) -> Result<(), EmergencyError> {
    durable::replace(path, bytes).map_err(|source| {
        EmergencyError::Work(WorkError::Io {
            path: path.to_owned(),
            source,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_named_with_a_version_and_perhaps_an_architecture() {
        let asked = |text: &str| text.parse::<Asked>();
        assert_eq!(asked("cs-web=1.1").unwrap().architecture, None);
        let full = asked("libssl3:amd64=3.0.22-1~deb12u2").unwrap();
        assert_eq!(full.architecture.unwrap().as_str(), "amd64");
        for wrong in ["", "cs-web", "cs-web=", "=1", "-y=1", "a b=1", "cs-web=1;x"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }
}
