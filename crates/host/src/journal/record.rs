//! What can stand in the journal.

use crate::session::Session;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, Nonce, Timestamp, Transition};
use serde::{Deserialize, Serialize};

/// In which direction a warrant is being spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The transitions that it permits.
    Forward,
    /// The reverse transitions of its rollback plan.
    Reverse,
}

/// Whose package tool acts on a warrant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Runner {
    /// This host's own: all of it at once.
    #[default]
    Host,
    /// Somebody else's, which the hook saw: as much of it, in as many steps, as that one asks for.
    Seen,
}

impl Runner {
    // serde wants a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    const fn is_host(&self) -> bool {
        matches!(self, Self::Host)
    }
}

/// One record. A warrant is named by the digest of its JWS.
// One is held at a time.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Record {
    /// This host is about to act on a warrant that it verified.
    Intent {
        /// When.
        at: Timestamp,
        /// The warrant.
        warrant: Digest,
        /// Its unique id.
        jti: Nonce,
        /// The change.
        change: ChangeId,
        /// The plan that is acted on.
        plan: Digest,
        /// The warrant itself, for whoever looks later.
        jws: String,
        /// What it permits.
        forward: Vec<Transition>,
        /// The way back, as far as there is one.
        reverse: Vec<Transition>,
        /// Who acts: this process, or the one that holds the package lock.
        session: Session,
        /// Whose package tool that is.
        #[serde(default, skip_serializing_if = "Runner::is_host")]
        runner: Runner,
        /// No further step is begun after this: when the warrant expires. Only where somebody else's
        /// package tool takes its steps one by one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// Where the glass was broken: the digest of the bundle that the quorum signed, which is kept
        /// beside the journal. The order's digest then stands in the place of the warrant's, and its
        /// nonce in that of the id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        emergency: Option<Digest>,
        /// The signed start notice (compact JWS).
        notice: String,
    },
    /// These transitions are spent: they may happen now, and never again.
    Spent {
        /// When.
        at: Timestamp,
        /// The warrant.
        warrant: Digest,
        /// In which direction.
        phase: Phase,
        /// Which.
        transitions: Vec<Transition>,
        /// Who acts from now on, when it is another session than before: this host itself goes the
        /// way back of a run that the hook saw.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        session: Option<Session>,
    },
    /// It ended, or will never start under this warrant.
    Settled {
        /// When.
        at: Timestamp,
        /// The warrant.
        warrant: Digest,
        /// The change.
        change: ChangeId,
        /// How.
        ending: Ending,
        /// The signed receipt (compact JWS).
        receipt: String,
    },
    /// The gate has the start notice.
    NoticeDelivered {
        /// The warrant.
        warrant: Digest,
    },
    /// The gate has the receipt.
    ReceiptDelivered {
        /// The warrant.
        warrant: Digest,
    },
    /// The gate refused the receipt for good: it is not handed over again by itself.
    ReceiptRefused {
        /// The warrant.
        warrant: Digest,
        /// What the gate said.
        why: String,
    },
    /// This journal begins. Of warrants that the log held before, it knows nothing.
    Begun {
        /// When.
        at: Timestamp,
        /// The size of the authorizations log that this host had believed by then; 0 for none.
        log_size: u64,
    },
    /// A crash had cut off the last line; it was removed.
    TornTailRemoved {
        /// When.
        at: Timestamp,
        /// How many bytes.
        bytes: u64,
    },
}
