//! The agent's round: fetch, rank, propose, follow up; once, or again and again. It keeps nothing
//! between starts: what it proposed before it learns from the server, and the idempotency key of
//! the day keeps a rerun from proposing twice. It never retries what was refused.

mod book;
mod report;
mod standing;

pub use report::{Proposed, Report, Skip, Skipped};

use crate::Randomness;
use crate::client::{ChangeView, Client, ClientError};
use crate::propose::{Draft, Grouping, ProposeError, SignedProposal, Subject, drafts};
use crate::rank::{Ranked, rank, sentences};
use book::Book;
use countersign_domain::finding::Finding;
use countersign_domain::{ChangeId, ChangeState, Timestamp};
use standing::Standings;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The longest sleep between two looks at the stop flag.
const NAP: Duration = Duration::from_millis(50);
/// Polls while following up at most, whatever the options say.
const POLLS_MAX: u32 = 10_000;

/// Whether to go on after the first round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One round.
    Once,
    /// A round, then a pause of this length, until told to stop.
    Continuous {
        /// The pause between rounds.
        interval: Duration,
    },
}

/// How to run.
pub struct Options<'a> {
    /// Once, or continuously.
    pub mode: Mode,
    /// Proposals in one round at most; the most urgent go first.
    pub max_proposals: usize,
    /// Whether the same upgrade on several hosts is one proposal.
    pub grouping: Grouping,
    /// Propose again what a human refused, or what failed, on the same host at the same version.
    pub again: bool,
    /// Take back own changes that wait while a newer version is offered.
    pub withdraw_superseded: bool,
    /// The pause between two looks at changes that are being prepared.
    pub poll_every: Duration,
    /// How long to wait for changes to be prepared, in each round.
    pub follow_for: Duration,
    /// Which findings to look at.
    pub filter: &'a dyn Fn(&Finding) -> bool,
    /// Told of everything as it happens.
    pub on_event: &'a mut dyn FnMut(Event<'_>),
    /// The clock.
    pub now: &'a dyn Fn() -> Timestamp,
    /// For nonces and salts.
    pub rng: &'a mut dyn Randomness,
    /// Set it to stop cleanly: nothing new is begun.
    pub stop: &'a AtomicBool,
}

/// Something that happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The findings are ranked, most urgent first.
    Ranked(&'a [Ranked<'a>]),
    /// A finding is not proposed.
    Skipped(&'a Skipped),
    /// A proposal was taken.
    Proposed(&'a Proposed),
    /// A change of this agent went from one state to another (from none: seen for the first time).
    Moved {
        /// Where it stood.
        from: Option<ChangeState>,
        /// The change as it is now.
        view: &'a ChangeView,
    },
    /// A change of this agent was taken back, because a newer version is offered.
    Withdrawn(&'a ChangeId),
    /// A request or a proposal failed.
    Failed(&'a RunError),
}

/// What went wrong in a round. The round goes on where it can.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A proposal could not be made.
    #[error("{subject}: {error}")]
    Propose {
        /// What it was about.
        subject: String,
        /// Why not.
        error: ProposeError,
    },
    /// The server lists more changes than are read.
    #[error(
        "the server lists more than `{0}` changes; older ones were not read, and what they cover may be proposed again"
    )]
    ManyChanges(usize),
}

/// Runs the agent until its round is over, or (continuously) until it is told to stop. Failures are
/// events and stand in the report; they never end a continuous run.
#[must_use]
pub fn run(client: &Client, options: &mut Options<'_>) -> Report {
    let mut round = Round {
        client,
        book: Book::default(),
        report: Report::default(),
    };
    loop {
        round.run(options);
        let Mode::Continuous { interval } = options.mode else {
            break;
        };
        if !pause(options.stop, interval.max(Duration::from_millis(10))) {
            break;
        }
    }
    round.report.stopped = options.stop.load(Ordering::Relaxed);
    round.book.finish(round.report)
}

struct Round<'c> {
    client: &'c Client,
    book: Book,
    report: Report,
}

impl Round<'_> {
    fn run(&mut self, options: &mut Options<'_>) {
        self.report.begin_round();
        if let Err(error) = self.propose_new(options) {
            self.fail(options, error.into());
        }
        self.follow(options);
        self.book.prune();
    }

    fn fail(&mut self, options: &mut Options<'_>, error: RunError) {
        (options.on_event)(Event::Failed(&error));
        self.report.failed(error.to_string());
    }

    fn skip(&mut self, options: &mut Options<'_>, subject: Subject, why: Skip) {
        let skipped = Skipped { subject, why };
        (options.on_event)(Event::Skipped(&skipped));
        self.report.skipped(skipped);
    }

    /// Everything up to the proposals. An error ends the round's proposing, not its following up.
    fn propose_new(&mut self, options: &mut Options<'_>) -> Result<(), ClientError> {
        let found = self.client.findings((options.now)())?;
        let listing = self.client.changes((options.now)())?;
        let standings = Standings::of(&listing.changes);
        if !listing.complete {
            self.fail(options, RunError::ManyChanges(listing.changes.len()));
        }
        for view in &listing.changes {
            if view.agent == self.client.identity().id {
                self.saw(options, view);
            }
        }
        if options.withdraw_superseded {
            self.withdraw_superseded(options, &listing.changes, &found.findings)?;
        }

        let ranked = rank(&found.findings);
        (options.on_event)(Event::Ranked(&ranked));
        self.report.findings = ranked.len();
        let mut open = Vec::new();
        for one in ranked.iter().filter(|one| (options.filter)(one.finding)) {
            match standings.skip(one.finding, options.again) {
                Some(why) => self.skip(options, Subject::of(one.finding), why),
                None => open.push(one),
            }
        }
        let drafts = drafts(open, options.grouping);
        self.report.left_for_later = drafts.len().saturating_sub(options.max_proposals);
        for draft in drafts.iter().take(options.max_proposals) {
            if options.stop.load(Ordering::Relaxed) {
                break;
            }
            self.propose(options, draft)?;
        }
        Ok(())
    }

    /// Proposes one draft. An error means that the others would fare no better.
    fn propose(&mut self, options: &mut Options<'_>, draft: &Draft<'_>) -> Result<(), ClientError> {
        let (Some(subject), Some(urgent)) = (draft.subject(), draft.most_urgent()) else {
            return Ok(());
        };
        let signed = match draft.sign(self.client.identity(), (options.now)(), options.rng) {
            Ok(signed) => signed,
            Err(error) => {
                let subject = subject.to_string();
                self.fail(options, RunError::Propose { subject, error });
                return Ok(());
            }
        };
        match self.hand_in(options, &signed) {
            Ok(accepted) => {
                let proposed = Proposed {
                    change: accepted.change,
                    subject,
                    score: urgent.score,
                    explanation: sentences(urgent),
                    state: accepted.state,
                    view: None,
                };
                (options.on_event)(Event::Proposed(&proposed));
                self.book.proposed(proposed);
                Ok(())
            }
            Err(error) if error.is_identity() || error.is_halt() || error.is_passing() => {
                Err(error)
            }
            // The idempotency key was used today: it was proposed before, and has ended since.
            Err(ClientError::Refused {
                status: 409,
                problem,
                ..
            }) => {
                self.skip(options, subject, Skip::ProposedToday(problem.to_string()));
                Ok(())
            }
            Err(error) => {
                self.fail(options, error.into());
                Ok(())
            }
        }
    }

    /// Hands the same bytes in a second time when the first answer was lost: by its idempotency key
    /// it stays one proposal.
    fn hand_in(
        &self,
        options: &Options<'_>,
        signed: &SignedProposal,
    ) -> Result<crate::client::Accepted, ClientError> {
        match self.client.propose(signed, (options.now)()) {
            Err(error) if error.is_passing() && pause(options.stop, options.poll_every) => {
                self.client.propose(signed, (options.now)())
            }
            answer => answer,
        }
    }

    fn withdraw_superseded(
        &mut self,
        options: &mut Options<'_>,
        changes: &[ChangeView],
        findings: &[Finding],
    ) -> Result<(), ClientError> {
        let own = &self.client.identity().id;
        for id in standing::superseded(changes, findings, own) {
            if options.stop.load(Ordering::Relaxed) {
                break;
            }
            match self.client.withdraw(&id, (options.now)()) {
                Ok(state) => {
                    self.book.moved(&id, state);
                    self.report.withdrawn(id.clone());
                    (options.on_event)(Event::Withdrawn(&id));
                }
                Err(error) if error.is_identity() || error.is_passing() => return Err(error),
                // It may have moved on meanwhile: then it is not to be withdrawn.
                Err(error) => self.fail(options, error.into()),
            }
        }
        Ok(())
    }

    /// Looks at own changes until each is past `preparing`, within bounds.
    fn follow(&mut self, options: &mut Options<'_>) {
        let every = options.poll_every.max(Duration::from_millis(10));
        let polls = options.follow_for.as_millis() / every.as_millis();
        let polls = u32::try_from(polls).unwrap_or(POLLS_MAX).min(POLLS_MAX);
        for poll in 0..=polls {
            let undecided = self.book.undecided();
            if undecided.is_empty() || (poll > 0 && !pause(options.stop, every)) {
                return;
            }
            for id in undecided {
                if options.stop.load(Ordering::Relaxed) {
                    return;
                }
                match self.client.change(&id, (options.now)()) {
                    Ok(view) => self.saw(options, &view),
                    // The next poll asks again.
                    Err(error) if error.is_passing() && poll < polls => break,
                    Err(error) => {
                        self.fail(options, error.into());
                        return;
                    }
                }
            }
        }
    }

    fn saw(&mut self, options: &mut Options<'_>, view: &ChangeView) {
        if let Some(from) = self.book.saw(view) {
            (options.on_event)(Event::Moved { from, view });
        }
    }
}

/// Sleeps for `length`; false when it was told to stop.
fn pause(stop: &AtomicBool, length: Duration) -> bool {
    let mut left = length;
    loop {
        if stop.load(Ordering::Relaxed) {
            return false;
        }
        if left.is_zero() {
            return true;
        }
        let nap = left.min(NAP);
        std::thread::sleep(nap);
        left = left.saturating_sub(nap);
    }
}
