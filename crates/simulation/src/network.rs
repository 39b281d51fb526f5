//! Messages to the gate, and what a network does to them. Every message can be lost, doubled, held back
//! and delivered later, or captured and sent again by somebody else.

use countersign_domain::lease::Handover;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::SignedStatement;
use countersign_domain::{AgentId, ChangeId, HostId, Timestamp};
use countersign_gate::{Gate, GateError, PolicyChange, Redemption, Submission};
use pollster::block_on;
use rand::Rng;
use rand::rngs::StdRng;

/// What somebody sends to the gate. The first field is who the sender was authenticated as.
#[derive(Debug, Clone)]
pub enum Message {
    /// An agent proposes.
    Propose(AgentId, Submission),
    /// A host observes.
    Observe(HostId, String),
    /// A host has a plan.
    Prepared(HostId, ChangeId, String),
    /// A host cannot.
    Unprepared(HostId, ChangeId),
    /// A host redeems.
    Redeem(Redemption),
    /// A host starts.
    Started(HostId, ChangeId, String),
    /// A host settles.
    Settle(HostId, ChangeId, String),
    /// A person votes.
    Vote(ChangeId, SignedStatement),
    /// A person reviews.
    Review(ChangeId, SignedStatement),
    /// A person halts.
    Halt(SignedStatement),
    /// People resume.
    Resume(Vec<SignedStatement>),
    /// People sign a policy version.
    Policy(PolicyChange),
    /// People change the roster.
    Roster(SignedRosterChange),
    /// Time passes.
    Sweep,
    /// The logs are tied to each other.
    CrossCommit,
}

/// What the gate answers.
#[derive(Debug)]
pub enum Answer {
    /// Done.
    Done,
    /// A warrant with everything around it.
    Handover(Box<Handover>),
}

/// What becomes of a message on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and so does the answer.
    Delivered,
    /// It is lost.
    Lost,
    /// It arrives, and the answer is lost.
    AnswerLost,
    /// It arrives twice.
    Doubled,
    /// It arrives later, perhaps after others.
    Delayed,
}

impl Fate {
    /// One by chance.
    pub fn draw(rng: &mut StdRng) -> Self {
        match rng.gen_range(0..100) {
            0..76 => Self::Delivered,
            76..82 => Self::Lost,
            82..88 => Self::AnswerLost,
            88..93 => Self::Doubled,
            _ => Self::Delayed,
        }
    }
}

impl Message {
    /// Hands it to the gate.
    ///
    /// # Errors
    /// The gate's.
    pub fn deliver(self, gate: &Gate, now: Timestamp) -> Result<Answer, GateError> {
        match self {
            Self::Propose(agent, submission) => {
                block_on(gate.propose(&agent, submission, now)).map(drop)?
            }
            Self::Observe(host, jws) => block_on(gate.observed(&host, jws, now))?,
            Self::Prepared(host, change, plan) => {
                block_on(gate.prepared(&host, &change, plan, now)).map(drop)?
            }
            Self::Unprepared(host, change) => {
                block_on(gate.unprepared(&host, &change, "cannot", now)).map(drop)?
            }
            Self::Redeem(redemption) => {
                let handover = block_on(gate.redeem(redemption, now))?;
                return Ok(Answer::Handover(Box::new(handover)));
            }
            Self::Started(host, change, notice) => {
                block_on(gate.started(&host, &change, notice, now)).map(drop)?
            }
            Self::Settle(host, change, receipt) => {
                block_on(gate.settle(&host, &change, receipt, now)).map(drop)?
            }
            Self::Vote(change, signed) => {
                block_on(gate.vote(&change, signed, None, now)).map(drop)?
            }
            Self::Review(change, signed) => {
                block_on(gate.review(&change, signed, None, now)).map(drop)?
            }
            Self::Halt(signed) => block_on(gate.halt(signed, now)).map(drop)?,
            Self::Resume(signed) => block_on(gate.resume(signed, now)).map(drop)?,
            Self::Policy(change) => block_on(gate.change_policy(change, now)).map(drop)?,
            Self::Roster(signed) => {
                block_on(gate.change_roster(signed, Vec::new(), now)).map(drop)?
            }
            Self::Sweep => {
                block_on(gate.sweep(now))?;
                block_on(gate.sweep_hosts(now)).map(drop)?;
            }
            Self::CrossCommit => block_on(gate.cross_commit(now))?,
        }
        Ok(Answer::Done)
    }

    /// A word for it.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Propose(..) => "propose",
            Self::Observe(..) => "observe",
            Self::Prepared(..) => "prepared",
            Self::Unprepared(..) => "unprepared",
            Self::Redeem(_) => "redeem",
            Self::Started(..) => "started",
            Self::Settle(..) => "settle",
            Self::Vote(..) => "vote",
            Self::Review(..) => "review",
            Self::Halt(_) => "halt",
            Self::Resume(_) => "resume",
            Self::Policy(_) => "policy",
            Self::Roster(_) => "roster",
            Self::Sweep => "sweep",
            Self::CrossCommit => "cross-commit",
        }
    }

    /// The same, sent by somebody else: a captured message under another identity.
    #[must_use]
    pub fn stolen(self, thief: &HostId, agent: &AgentId) -> Self {
        match self {
            Self::Propose(_, submission) => Self::Propose(agent.clone(), submission),
            Self::Observe(_, jws) => Self::Observe(thief.clone(), jws),
            Self::Prepared(_, change, plan) => Self::Prepared(thief.clone(), change, plan),
            Self::Started(_, change, notice) => Self::Started(thief.clone(), change, notice),
            Self::Settle(_, change, receipt) => Self::Settle(thief.clone(), change, receipt),
            other => other,
        }
    }
}
