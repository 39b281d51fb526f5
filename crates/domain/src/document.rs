//! What entries name by digest and what is kept beside the logs: documents, which stay for good, and
//! texts of people, which can be erased. Says only what should be there; who keeps it, and whether it
//! is there, is seen elsewhere.

use crate::digest::Digest;
use crate::entry::{Event, LogEntry};
use crate::jws::{self, PROPOSAL_TYP};
use crate::proposal::Proposal;
use crate::roster::{Operation, RosterChange, SignedRosterChange};
use crate::statement::{SignedStatement, Subject};
use crate::warrant::Warrant;

/// What something kept beside the logs is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A file of a policy version.
    PolicyFile,
    /// An inventory.
    Inventory,
    /// Imported intelligence.
    Feed,
    /// A host's signed observation.
    Observation,
    /// The facts of a decision.
    Facts,
    /// A host's signed report of its packages.
    PackageReport,
    /// Order, plan and statements of an emergency.
    Emergency,
    /// An agent's reasons: a text.
    AgentRationale,
    /// The reasons of somebody who voted, or who broke the glass: a text.
    Rationale,
    /// A reviewer's note: a text.
    Note,
    /// A person's name: a text.
    Name,
}

impl DocumentKind {
    /// The word used on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PolicyFile => "policy file",
            Self::Inventory => "inventory",
            Self::Feed => "feed document",
            Self::Observation => "signed observation",
            Self::Facts => "facts of the decision",
            Self::PackageReport => "signed package report",
            Self::Emergency => "signed emergency",
            Self::AgentRationale => "agent's rationale",
            Self::Rationale => "rationale",
            Self::Note => "reviewer's note",
            Self::Name => "person's name",
        }
    }

    /// True for what people wrote or what names them. It stands in the log by salted digest, so that
    /// it can be erased: that it is gone is lawful. All else has to be there for good.
    #[must_use]
    pub const fn is_erasable(self) -> bool {
        match self {
            Self::AgentRationale | Self::Rationale | Self::Note | Self::Name => true,
            Self::PolicyFile
            | Self::Inventory
            | Self::Feed
            | Self::Observation
            | Self::Facts
            | Self::PackageReport
            | Self::Emergency => false,
        }
    }
}

/// Something that an entry names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedDocument {
    /// What it is.
    pub kind: DocumentKind,
    /// Its digest; salted where it is erasable.
    pub digest: Digest,
}

/// All that the bytes of an entry of either log name. What cannot be read names nothing: that it
/// cannot be read is for others to say.
#[must_use]
pub fn named_in(entry: &[u8]) -> Vec<NamedDocument> {
    if let Ok(entry) = LogEntry::read(entry) {
        return named_by(&entry);
    }
    let proposal = std::str::from_utf8(entry)
        .ok()
        .and_then(|text| jws::take_apart(text).ok())
        .filter(|parts| parts.header.typ == PROPOSAL_TYP)
        .and_then(|parts| serde_json::from_slice::<Proposal>(&parts.payload).ok());
    proposal.as_ref().map(named_by_proposal).unwrap_or_default()
}

/// All that an entry of the authorizations log names.
#[must_use]
pub fn named_by(entry: &LogEntry) -> Vec<NamedDocument> {
    let mut named = Named::default();
    match entry {
        LogEntry::Entry(entry) => named.event(&entry.event),
        LogEntry::Warrant(warrant) => {
            let warrant = jws::take_apart(warrant)
                .ok()
                .and_then(|parts| serde_json::from_slice::<Warrant>(&parts.payload).ok());
            if let Some(warrant) = warrant {
                named.add(DocumentKind::Facts, warrant.basis.facts);
            }
        }
    }
    named.0
}

/// All that a proposal names.
#[must_use]
pub fn named_by_proposal(proposal: &Proposal) -> Vec<NamedDocument> {
    let mut named = Named::default();
    named.text(DocumentKind::AgentRationale, proposal.rationale);
    named.0
}

#[derive(Default)]
struct Named(Vec<NamedDocument>);

impl Named {
    fn add(&mut self, kind: DocumentKind, digest: Digest) {
        self.0.push(NamedDocument { kind, digest });
    }

    fn text(&mut self, kind: DocumentKind, digest: Option<Digest>) {
        if let Some(digest) = digest {
            self.add(kind, digest);
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Roster { signed } => self.roster(signed),
            Event::Policy {
                files, statements, ..
            } => {
                for file in files {
                    self.add(DocumentKind::PolicyFile, file.sha256);
                }
                self.statements(statements);
            }
            Event::Inventory {
                inventory,
                statements,
                ..
            } => {
                self.add(DocumentKind::Inventory, *inventory);
                self.statements(statements);
            }
            Event::Feed { document, .. } => self.add(DocumentKind::Feed, *document),
            Event::Observed { observation, .. } => {
                self.add(DocumentKind::Observation, *observation);
            }
            Event::Decided { decision, .. } => self.add(DocumentKind::Facts, decision.facts),
            Event::PackagesReported { report, .. }
            | Event::Unwarranted { report, .. }
            | Event::ExecutionReconciled { report, .. } => {
                self.add(DocumentKind::PackageReport, *report);
            }
            Event::Emergency {
                bundle, statements, ..
            } => {
                self.add(DocumentKind::Emergency, *bundle);
                self.statements(statements);
            }
            Event::Voted { statement, .. }
            | Event::EndingStated { statement, .. }
            | Event::Reviewed { statement, .. }
            | Event::UnwarrantedReviewed { statement, .. }
            | Event::EmergencyReviewed { statement, .. }
            | Event::Halted { statement, .. } => self.statement(statement),
            Event::Resumed { statements, .. } => self.statements(statements),
            Event::Proposed { .. }
            | Event::Prepared { .. }
            | Event::Unprepared { .. }
            | Event::Authorized { .. }
            | Event::Started { .. }
            | Event::Settled { .. }
            | Event::ExecutionClosed { .. }
            | Event::Closed { .. }
            | Event::ReviewRequired { .. }
            | Event::ReviewOverdue { .. }
            | Event::UnwarrantedOverdue { .. }
            | Event::EmergencyOverdue { .. }
            | Event::Alarm { .. }
            | Event::HostSilent { .. }
            | Event::CrossCommitted { .. } => {}
        }
    }

    fn roster(&mut self, signed: &SignedRosterChange) {
        let change = crate::canonical::from_bytes::<RosterChange>(signed.change.as_bytes());
        let operations = change.map(|change| change.operations).unwrap_or_default();
        for operation in operations {
            if let Operation::AddPerson { name, .. } = operation {
                self.add(DocumentKind::Name, name);
            }
        }
        self.statements(&signed.statements);
    }

    fn statements(&mut self, signed: &[SignedStatement]) {
        for one in signed {
            self.statement(one);
        }
    }

    fn statement(&mut self, signed: &SignedStatement) {
        let Ok(statement) = signed.unverified() else {
            return;
        };
        match statement.subject {
            Subject::Change {
                rationale: text, ..
            }
            | Subject::Emergency { reason: text, .. } => self.text(DocumentKind::Rationale, text),
            Subject::Review { note, .. }
            | Subject::Ending { note, .. }
            | Subject::Unwarranted { note, .. }
            | Subject::EmergencyReview { note, .. } => self.text(DocumentKind::Note, note),
            Subject::Policy { .. }
            | Subject::Roster { .. }
            | Subject::Inventory { .. }
            | Subject::Halt { .. }
            | Subject::Resume { .. } => {}
        }
    }
}
