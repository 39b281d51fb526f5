//! Whom to believe about a log: its own key, its witnesses, and how many of them. Comes from the
//! roster and from a host's pins, never from a proof.

use super::vkey::{LogKey, VkeyError, WitnessKey};
use super::{authorizations_origin, recommendations_origin};
use countersign_domain::Roster;

/// The most witnesses that a roster names.
const WITNESSES_MAX: usize = 32;

/// The keys that decide whether a checkpoint is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogKeys {
    log: LogKey,
    witnesses: Vec<WitnessKey>,
    quorum: u32,
}

/// Why keys cannot be relied on together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogKeysError {
    /// One of them.
    #[error(transparent)]
    Vkey(#[from] VkeyError),
    /// A log's key under another name than the log's origin.
    #[error("verifier key is named `{found}`, expected the log's origin `{expected}`")]
    Origin {
        /// The origin that follows from the deployment.
        expected: String,
        /// The name in the key.
        found: String,
    },
    /// The same key or name twice: one party would count as two.
    #[error("witness `{0}` shares its name or key with another signer; give each its own")]
    Shared(String),
    /// The quorum can never be reached.
    #[error(
        "`{quorum}` witnesses are needed, but the roster names {witnesses}; add witnesses to the roster or lower the pin"
    )]
    Quorum {
        /// How many are needed.
        quorum: u32,
        /// How many there are.
        witnesses: usize,
    },
    /// More than can be checked.
    #[error("`{0}` witnesses are more than {WITNESSES_MAX}")]
    TooMany(usize),
}

impl LogKeys {
    /// A log, its witnesses, and how many distinct ones of them a checkpoint needs.
    ///
    /// # Errors
    /// [`LogKeysError`]: above all when two of the keys are one, or the quorum is out of reach.
    pub fn new(log: LogKey, witnesses: Vec<WitnessKey>, quorum: u32) -> Result<Self, LogKeysError> {
        if witnesses.len() > WITNESSES_MAX {
            return Err(LogKeysError::TooMany(witnesses.len()));
        }
        for (at, witness) in witnesses.iter().enumerate() {
            let shared =
                |other: &WitnessKey| other.name() == witness.name() || other.key() == witness.key();
            if witness.key() == log.key() || witnesses.iter().take(at).any(shared) {
                return Err(LogKeysError::Shared(witness.name().to_owned()));
            }
        }
        if quorum as usize > witnesses.len() {
            return Err(LogKeysError::Quorum {
                quorum,
                witnesses: witnesses.len(),
            });
        }
        Ok(Self {
            log,
            witnesses,
            quorum,
        })
    }

    /// The keys of a roster's authorizations log. `pinned_quorum` can only raise the roster's.
    ///
    /// # Errors
    /// As [`LogKeys::new`].
    pub fn authorizations(roster: &Roster, pinned_quorum: u32) -> Result<Self, LogKeysError> {
        let origin = authorizations_origin(&roster.deployment);
        Self::of(roster, &roster.gate.authorizations, origin, pinned_quorum)
    }

    /// The keys of a roster's recommendations log. `pinned_quorum` can only raise the roster's.
    ///
    /// # Errors
    /// As [`LogKeys::new`].
    pub fn recommendations(roster: &Roster, pinned_quorum: u32) -> Result<Self, LogKeysError> {
        let origin = recommendations_origin(&roster.deployment);
        Self::of(roster, &roster.gate.recommendations, origin, pinned_quorum)
    }

    fn of(
        roster: &Roster,
        vkey: &str,
        origin: String,
        pinned_quorum: u32,
    ) -> Result<Self, LogKeysError> {
        let log = LogKey::parse(vkey)?;
        if log.name() != origin {
            return Err(LogKeysError::Origin {
                expected: origin,
                found: log.name().to_owned(),
            });
        }
        let witnesses: Result<Vec<_>, _> = roster
            .witnesses
            .iter()
            .take(WITNESSES_MAX + 1)
            .map(|vkey| WitnessKey::parse(vkey))
            .collect();
        Self::new(log, witnesses?, roster.witness_quorum.max(pinned_quorum))
    }

    /// The log's key.
    #[must_use]
    pub const fn log(&self) -> &LogKey {
        &self.log
    }

    /// The witnesses.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// How many distinct witnesses a checkpoint needs.
    #[must_use]
    pub const fn quorum(&self) -> u32 {
        self.quorum
    }
}
