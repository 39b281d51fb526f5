//! What the journal amounts to: the fold of its records, with the order that is allowed among them.

use super::record::{Phase, Record, Runner};
use crate::session::Session;
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, Nonce, Timestamp, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// A record that may not follow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// One spend (invariant 4).
    #[error("warrant `{0}` was used on this host before; a warrant is spent once")]
    Used(Digest),
    /// Its order makes no sense.
    #[error("journal: {what} of warrant `{warrant}` cannot follow")]
    Order {
        /// What was to be recorded.
        what: &'static str,
        /// For which warrant.
        warrant: Digest,
    },
    /// A step after the warrant's time.
    #[error(
        "warrant `{0}` expired at `{1}`: what this run has not begun by then needs another one"
    )]
    Late(Digest, Timestamp),
    /// A beginning in the middle.
    #[error("journal: a beginning cannot follow what stands there")]
    Begun,
    /// A transition that the intent does not hold.
    #[error("`{package}` is not among the transitions that warrant `{warrant}` covers")]
    Foreign {
        /// The package.
        package: String,
        /// The warrant.
        warrant: Digest,
    },
}

/// What was intended under a warrant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intended {
    /// When intent was journalled.
    pub at: Timestamp,
    /// The plan.
    pub plan: Digest,
    /// What it permits.
    pub forward: Vec<Transition>,
    /// The way back.
    pub reverse: Vec<Transition>,
    /// Who acts now.
    pub session: Session,
    /// Whose package tool acts forward.
    pub runner: Runner,
    /// No further step is begun after this.
    pub until: Option<Timestamp>,
    /// Where the glass was broken: the bundle that was signed.
    pub emergency: Option<Digest>,
    /// The signed start notice.
    pub notice: String,
    /// True when the gate has it.
    pub notice_delivered: bool,
    /// The direction that is spent last, and what is spent in it.
    pub spent: Option<(Phase, Vec<Transition>)>,
}

impl Intended {
    /// What is spent forward; nothing once the way back is gone.
    #[must_use]
    pub fn spent_forward(&self) -> &[Transition] {
        match &self.spent {
            Some((Phase::Forward, spent)) => spent,
            Some((Phase::Reverse, _)) | None => &[],
        }
    }

    /// True while a run that the hook saw may go on asking.
    #[must_use]
    pub fn is_seen_forward(&self) -> bool {
        let back = matches!(self.spent, Some((Phase::Reverse, _)));
        self.runner == Runner::Seen && !back
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// When.
    pub at: Timestamp,
    /// How.
    pub ending: Ending,
    /// The signed receipt.
    pub receipt: String,
    /// True when the gate has it.
    pub delivered: bool,
    /// What the gate said when it refused it for good.
    pub refused: Option<String>,
}

/// One warrant on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// The warrant.
    pub warrant: Digest,
    /// The change.
    pub change: ChangeId,
    /// None when it was refused before intent.
    pub intended: Option<Intended>,
    /// None while it is open.
    pub settlement: Option<Settlement>,
}

impl Execution {
    /// True when it was acted on because the glass was broken, not on a warrant.
    #[must_use]
    pub fn is_emergency(&self) -> bool {
        self.intended
            .as_ref()
            .is_some_and(|intended| intended.emergency.is_some())
    }
}

/// The fold of the journal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    executions: BTreeMap<Digest, Execution>,
    jtis: BTreeSet<Nonce>,
    begun: Option<(Timestamp, u64)>,
}

impl State {
    /// What is known of a warrant; none when this host never saw it.
    #[must_use]
    pub fn get(&self, warrant: &Digest) -> Option<&Execution> {
        self.executions.get(warrant)
    }

    /// Every warrant that this host used or refused.
    pub fn executions(&self) -> impl Iterator<Item = &Execution> {
        self.executions.values()
    }

    /// Those with an intent and no end.
    pub fn open(&self) -> impl Iterator<Item = &Execution> {
        self.executions()
            .filter(|execution| execution.settlement.is_none())
    }

    /// True when nothing stands in it yet, not even its beginning.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.begun.is_none() && self.executions.is_empty()
    }

    /// The size of the log before which this journal knows nothing, when the host had acted before
    /// it began: an earlier journal was lost. Warrants of that time may have been used (invariant 4).
    #[must_use]
    pub fn blind_before(&self) -> Option<u64> {
        self.begun
            .map(|(_, log_size)| log_size)
            .filter(|log_size| *log_size > 0)
    }

    /// When this journal began; none before it has. Of what was spent earlier it knows nothing.
    #[must_use]
    pub fn begun_at(&self) -> Option<Timestamp> {
        self.begun.map(|(at, _)| at)
    }

    /// Those whose receipt the gate does not have yet, and has not refused for good.
    pub fn undelivered(&self) -> impl Iterator<Item = &Execution> {
        self.executions().filter(|execution| {
            execution
                .settlement
                .as_ref()
                .is_some_and(|settlement| !settlement.delivered && settlement.refused.is_none())
        })
    }

    /// True when a warrant with this id was used before, under whatever bytes.
    #[must_use]
    pub fn knows_jti(&self, jti: &Nonce) -> bool {
        self.jtis.contains(jti)
    }

    /// Checks that the record may follow.
    ///
    /// # Errors
    /// Names what does not fit.
    pub fn admits(&self, record: &Record) -> Result<(), StateError> {
        let order = |what, warrant: &Digest| StateError::Order {
            what,
            warrant: *warrant,
        };
        match record {
            Record::Intent {
                warrant,
                jti,
                session,
                runner,
                ..
            } => {
                // INVARIANT (one spend): neither these bytes nor this id a second time.
                if self.executions.contains_key(warrant) || self.jtis.contains(jti) {
                    return Err(StateError::Used(*warrant));
                }
                // INVARIANT: one run at a time, so that the hook knows which one is meant. A run
                // that the hook sees may need several plans.
                let other = |open: &&Execution| {
                    *runner != Runner::Seen
                        || !open
                            .intended
                            .as_ref()
                            .is_some_and(|one| one.is_seen_forward() && one.session == *session)
                };
                match self.open().find(other) {
                    Some(open) => Err(order("a second open intent beside that", &open.warrant)),
                    None => Ok(()),
                }
            }
            Record::Spent {
                at,
                warrant,
                phase,
                transitions,
                ..
            } => {
                let intended = self
                    .executions
                    .get(warrant)
                    .filter(|execution| execution.settlement.is_none())
                    .and_then(|execution| execution.intended.as_ref())
                    .ok_or_else(|| order("spending without an open intent", warrant))?;
                let (covered, fits) = match (phase, &intended.spent) {
                    (Phase::Forward, None) => (&intended.forward, true),
                    (Phase::Reverse, Some((Phase::Forward, _))) => (&intended.reverse, true),
                    // INVARIANT (one spend): in further steps, but each transition once.
                    (Phase::Forward, Some((Phase::Forward, before)))
                        if intended.runner == Runner::Seen =>
                    {
                        let fresh = transitions.iter().all(|one| !before.contains(one));
                        (&intended.forward, fresh)
                    }
                    (Phase::Forward, Some(_)) => (&intended.forward, false),
                    (Phase::Reverse, None | Some((Phase::Reverse, _))) => {
                        (&intended.reverse, false)
                    }
                };
                if !fits {
                    return Err(order("a second spending", warrant));
                }
                // INVARIANT (no warrant, no effect): the way back stays open, further steps do not.
                if let Some(until) = intended.until
                    && *phase == Phase::Forward
                    && *at > until
                {
                    return Err(StateError::Late(*warrant, until));
                }
                match transitions.iter().find(|one| !covered.contains(one)) {
                    Some(foreign) => Err(StateError::Foreign {
                        package: foreign.name.to_string(),
                        warrant: *warrant,
                    }),
                    None => Ok(()),
                }
            }
            Record::Settled {
                warrant, ending, ..
            } => match self.executions.get(warrant) {
                None if matches!(ending, Ending::NeverStarted | Ending::Unknown) => Ok(()),
                None => Err(order("an end without an intent", warrant)),
                Some(execution) if execution.settlement.is_some() => {
                    Err(order("a second end", warrant))
                }
                Some(_) if *ending == Ending::NeverStarted => {
                    Err(order("`never started` after an intent", warrant))
                }
                Some(_) => Ok(()),
            },
            Record::NoticeDelivered { warrant } => match self.executions.get(warrant) {
                Some(Execution {
                    intended: Some(_), ..
                }) => Ok(()),
                Some(_) | None => Err(order("delivery of a notice", warrant)),
            },
            Record::ReceiptDelivered { warrant } | Record::ReceiptRefused { warrant, .. } => {
                match self.executions.get(warrant) {
                    Some(Execution {
                        settlement: Some(_),
                        ..
                    }) => Ok(()),
                    Some(_) | None => Err(order("delivery of a receipt", warrant)),
                }
            }
            Record::Begun { .. } if self.is_blank() => Ok(()),
            Record::Begun { .. } => Err(StateError::Begun),
            Record::TornTailRemoved { .. } => Ok(()),
        }
    }

    /// Takes a record in.
    ///
    /// # Errors
    /// As [`State::admits`]; nothing changes then.
    pub(super) fn take(&mut self, record: Record) -> Result<(), StateError> {
        self.admits(&record)?;
        match record {
            Record::Intent {
                at,
                warrant,
                jti,
                change,
                plan,
                jws: _,
                forward,
                reverse,
                session,
                runner,
                until,
                emergency,
                notice,
            } => {
                self.jtis.insert(jti);
                let intended = Intended {
                    at,
                    plan,
                    forward,
                    reverse,
                    session,
                    runner,
                    until,
                    emergency,
                    notice,
                    notice_delivered: false,
                    spent: None,
                };
                self.executions.insert(
                    warrant,
                    Execution {
                        warrant,
                        change,
                        intended: Some(intended),
                        settlement: None,
                    },
                );
            }
            Record::Spent {
                warrant,
                phase,
                transitions,
                session,
                ..
            } => {
                if let Some(intended) = self.intended(&warrant) {
                    match &mut intended.spent {
                        Some((before, spent)) if *before == phase => spent.extend(transitions),
                        Some(_) | None => intended.spent = Some((phase, transitions)),
                    }
                    if let Some(session) = session {
                        intended.session = session;
                    }
                }
            }
            Record::Settled {
                at,
                warrant,
                change,
                ending,
                receipt,
            } => {
                let settlement = Settlement {
                    at,
                    ending,
                    receipt,
                    delivered: false,
                    refused: None,
                };
                self.executions
                    .entry(warrant)
                    .or_insert_with(|| Execution {
                        warrant,
                        change,
                        intended: None,
                        settlement: None,
                    })
                    .settlement = Some(settlement);
            }
            Record::NoticeDelivered { warrant } => {
                if let Some(intended) = self.intended(&warrant) {
                    intended.notice_delivered = true;
                }
            }
            Record::ReceiptDelivered { warrant } => {
                if let Some(execution) = self.executions.get_mut(&warrant)
                    && let Some(settlement) = &mut execution.settlement
                {
                    settlement.delivered = true;
                }
            }
            Record::ReceiptRefused { warrant, why } => {
                if let Some(execution) = self.executions.get_mut(&warrant)
                    && let Some(settlement) = &mut execution.settlement
                {
                    settlement.refused = Some(why);
                }
            }
            Record::Begun { at, log_size } => self.begun = Some((at, log_size)),
            Record::TornTailRemoved { .. } => {}
        }
        Ok(())
    }

    fn intended(&mut self, warrant: &Digest) -> Option<&mut Intended> {
        self.executions.get_mut(warrant)?.intended.as_mut()
    }
}
