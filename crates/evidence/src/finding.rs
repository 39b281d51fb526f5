//! What an examination found wrong, with the entry it stands at. (A vulnerability on an asset is
//! another kind of finding; see `domain`.)

use crate::source::LogName;
use countersign_domain::text::shown;
use serde::Serialize;
use std::fmt;

/// Findings kept at most; what comes after is only counted.
pub const FINDINGS_MAX: usize = 500;
/// The words of one finding at most, in characters.
const WORDS_MAX: usize = 600;

/// What kind of thing does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingKind {
    /// An entry that is not one of ours, or not in its canonical form.
    Form,
    /// The first entry is no genesis, or another than the one pinned.
    Genesis,
    /// A roster change that does not follow or was not signed by its quorum.
    Roster,
    /// A signature that does not verify.
    Signature,
    /// An entry of another deployment.
    Deployment,
    /// A trial mark that is missing or does not belong.
    Trial,
    /// Times that contradict each other.
    Clock,
    /// A policy that its quorum did not sign, or authority taken from one that is not in force.
    Policy,
    /// A reference to another entry, plan, proposal or root that does not match.
    Link,
    /// Too few people approved.
    Quorum,
    /// Somebody decided on what is their own (invariant 5).
    SelfApproval,
    /// Something happened that cannot happen at that point.
    Order,
    /// A warrant that the entries before it do not support.
    Warrant,
    /// Something ran before, after or beside its permission.
    Execution,
    /// Something went on although a human had stopped it.
    Halt,
    /// The two logs contradict each other.
    CrossCommitment,
    /// The signed checkpoint does not belong to these entries.
    Checkpoint,
    /// Something that should be there is not.
    Missing,
    /// The folder is not what an export writes.
    Folder,
}

impl FindingKind {
    /// The word used on screen.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Genesis => "genesis",
            Self::Roster => "roster",
            Self::Signature => "signature",
            Self::Deployment => "deployment",
            Self::Trial => "trial",
            Self::Clock => "clock",
            Self::Policy => "policy",
            Self::Link => "link",
            Self::Quorum => "quorum",
            Self::SelfApproval => "self-approval",
            Self::Order => "order",
            Self::Warrant => "warrant",
            Self::Execution => "execution",
            Self::Halt => "halt",
            Self::CrossCommitment => "cross-commitment",
            Self::Checkpoint => "checkpoint",
            Self::Missing => "missing",
            Self::Folder => "folder",
        }
    }
}

/// One thing that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which log.
    pub log: LogName,
    /// At which entry; none when it concerns the log as a whole.
    pub index: Option<u64>,
    /// What kind.
    pub kind: FindingKind,
    /// In words, harmless to show.
    pub words: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.log)?;
        if let Some(index) = self.index {
            write!(f, " entry {index}")?;
        }
        write!(f, " ({}): {}", self.kind.as_str(), self.words)
    }
}

/// All of them, within bounds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// The first [`FINDINGS_MAX`], in the order they were found.
    pub list: Vec<Finding>,
    /// How many more there were.
    pub more: u64,
}

impl Findings {
    /// True when nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty() && self.more == 0
    }

    /// How many there are, those not listed included.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.list.len() as u64 + self.more
    }

    /// True when one of this kind is listed.
    #[must_use]
    pub fn has(&self, kind: FindingKind) -> bool {
        self.list.iter().any(|finding| finding.kind == kind)
    }

    pub(crate) fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.more = self.more.saturating_add(1);
        }
    }

    /// Where findings about one entry, or one log, are put down.
    pub(crate) fn at(&mut self, log: LogName, index: Option<u64>) -> Note<'_> {
        Note {
            findings: self,
            log,
            index,
        }
    }
}

/// Findings about one entry.
pub(crate) struct Note<'f> {
    findings: &'f mut Findings,
    log: LogName,
    index: Option<u64>,
}

impl Note<'_> {
    /// Puts one down.
    pub(crate) fn say(&mut self, kind: FindingKind, words: impl AsRef<str>) {
        self.findings.add(Finding {
            log: self.log,
            index: self.index,
            kind,
            words: shown(words.as_ref(), WORDS_MAX),
        });
    }

    /// Findings about another place, which came up at this one.
    pub(crate) fn elsewhere(&mut self, log: LogName, index: Option<u64>) -> Note<'_> {
        self.findings.at(log, index)
    }

    /// Puts one down unless it holds; gives back whether it does.
    pub(crate) fn expect(
        &mut self,
        holds: bool,
        kind: FindingKind,
        words: impl AsRef<str>,
    ) -> bool {
        if !holds {
            self.say(kind, words);
        }
        holds
    }
}
