//! What governs the gate itself: roster, policy versions, inventory, feeds. Each is a change too,
//! with the signatures it needs (invariants 6 and 7).

use crate::error::GateError;
use crate::vote::{govern, plain_seat, seated, unspent, verified};
use crate::world::World;
use crate::{Frame, Gate, keep, keep_text};
use countersign_domain::entry::Event;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::{SignedStatement, Statement, Subject};
use countersign_domain::text::SaltedText;
use countersign_domain::{Digest, GroupId, PersonId, Timestamp};
use countersign_facts::calendar::{CalendarError, Calendars};
use countersign_facts::feed::{self, Content};
use countersign_facts::inventory::Inventory;
use countersign_facts::ssvc::Tables;
use countersign_policy::{HumanAction, Policy, PolicySource, Seat};
use countersign_store::Write;
use std::collections::BTreeSet;

/// A policy version, with the signatures of its quorum.
#[derive(Debug, Clone)]
pub struct PolicyChange {
    /// The folder's files.
    pub source: PolicySource,
    /// Who wrote it.
    pub authors: Vec<PersonId>,
    /// Statements of kind `policy`.
    pub statements: Vec<SignedStatement>,
}

/// An inventory; edits that raise the AI's authority need signatures.
#[derive(Debug, Clone)]
pub struct InventoryChange {
    /// The TOML file.
    pub bytes: Vec<u8>,
    /// Statements of kind `inventory`.
    pub statements: Vec<SignedStatement>,
}

/// A feed's document.
#[derive(Debug, Clone)]
pub struct FeedImport {
    /// The document.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub source: String,
    /// True when it was fetched from its publisher just now.
    pub live: bool,
}

impl Gate {
    /// Extends the roster. The version afterwards.
    ///
    /// # Errors
    /// When the change does not follow the roster, or is not signed under its threshold.
    pub async fn change_roster(
        &self,
        signed: SignedRosterChange,
        texts: Vec<SaltedText>,
        now: Timestamp,
    ) -> Result<u64, GateError> {
        let world = self.world()?;
        let roster = countersign_verify::roster::accept(&world.roster, &signed, now)
            .map_err(|error| GateError::Unproven(error.to_string()))?;
        let version = roster.version;
        let frame = Frame::new(&world, now);
        let statements = signed
            .statements
            .iter()
            .map(|one| verified(&world, one, now).map(|verified| verified.statement().clone()))
            .collect::<Result<Vec<_>, _>>()?;
        for statement in statements.iter().filter(|_| world.policy.is_some()) {
            govern(&world, &statement.approver, HumanAction::ApproveRoster)?;
        }
        self.submit(&world, move |tx| {
            for statement in &statements {
                unspent(tx, statement)?;
            }
            keep_texts(tx, &texts)?;
            frame.append(tx, Event::Roster { signed })?;
            Ok(version)
        })
        .await
    }

    /// Puts a policy version in force. Its digest afterwards.
    ///
    /// # Errors
    /// [`GateError::Policy`] when it does not validate, or its cases fail; the version in force
    /// stays. [`GateError::Forbidden`] when the quorum is not complete.
    pub async fn change_policy(
        &self,
        change: PolicyChange,
        now: Timestamp,
    ) -> Result<Digest, GateError> {
        let world = self.world()?;
        let digest = change.source.digest();
        let version = world
            .policy
            .as_ref()
            .map_or(1, |policy| policy.record.version + 1);
        let wanted = Subject::Policy {
            policy: digest,
            version,
            authors: change.authors.clone(),
        };
        // Before the rules are compiled: that takes long, and is not for everybody to ask.
        let (statements, people) = signatures(&world, &change.statements, &wanted, now)?;
        let policy = load_policy(&change.source)?;
        // INVARIANT (silence denies): a freeze that is not understood must not vanish.
        calendars(&change.source).map_err(|error| GateError::Policy(vec![error.to_string()]))?;
        may_approve_policy(&world, &policy, &people, &change.authors)?;
        let in_force = world
            .policy
            .as_ref()
            .map_or(&policy, |policy| &policy.policy);
        quorum(&world, in_force, &people)?;
        let frame = Frame::new(&world, now);
        let review_due_at =
            now.plus_seconds(i64::from(policy.settings().review.cadence_days) * 86_400);
        self.submit(&world, move |tx| {
            for statement in &statements {
                unspent(tx, statement)?;
            }
            for bytes in change.source.files().values() {
                keep(tx, bytes.clone())?;
            }
            let files = change.source.list();
            frame.append(
                tx,
                Event::Policy {
                    policy: digest,
                    version,
                    files,
                    review_due_at,
                    authors: change.authors,
                    statements: change.statements,
                },
            )?;
            Ok(digest)
        })
        .await
    }

    /// Replaces the inventory. What in it raises the AI's authority, in words.
    ///
    /// # Errors
    /// When it does not parse, nobody signed it, or it raises authority without the quorum's
    /// signatures.
    pub async fn change_inventory(
        &self,
        change: InventoryChange,
        now: Timestamp,
    ) -> Result<Vec<String>, GateError> {
        let world = self.world()?;
        // Whoever replaces it is somebody: stricter or not, the signature is the only credential.
        let wanted = Subject::Inventory {
            inventory: Digest::of(&change.bytes),
        };
        let (statements, people) = signatures(&world, &change.statements, &wanted, now)?;
        let inventory = Inventory::parse(&change.bytes)
            .map_err(|error| GateError::invalid("inventory", error.to_string()))?;
        let old = self.inventory()?;
        let raises = old.raises(&inventory);
        for person in &people {
            // Before a first policy there is nobody to ask but the roster's threshold.
            if world.policy.is_some() {
                govern(&world, person, HumanAction::ApproveInventory)?;
            }
        }
        if !raises.is_empty() {
            threshold(&world, &people).map_err(|error| {
                GateError::Forbidden(format!(
                    "it raises the AI's authority ({}); {error}",
                    raises.join("; ")
                ))
            })?;
        }
        let frame = Frame::new(&world, now);
        self.submit(&world, move |tx| {
            for statement in &statements {
                unspent(tx, statement)?;
            }
            let inventory = keep(tx, change.bytes)?;
            // The entry stays small whatever is edited; the full list follows from the two files.
            let shown = raises
                .iter()
                .take(50)
                .map(|text| countersign_domain::text::shown(text, 200));
            frame.append(
                tx,
                Event::Inventory {
                    inventory,
                    raises: shown.collect(),
                    statements: change.statements,
                },
            )?;
            Ok(raises)
        })
        .await
    }

    /// The inventory in force; an empty one when there is none.
    ///
    /// # Errors
    /// When storage fails or what is stored cannot be read.
    pub fn inventory(&self) -> Result<Inventory, GateError> {
        self.view(|view, world| match &world.inventory {
            None => Ok(Inventory::default()),
            Some(record) => {
                let damaged = |what: String| countersign_store::StoreError::Damaged(what);
                let blob = view
                    .blob(&record.inventory)?
                    .ok_or_else(|| damaged("the inventory is missing".into()))?;
                Inventory::parse(&blob.bytes).map_err(|error| {
                    damaged(format!("the inventory cannot be read: {error}")).into()
                })
            }
        })
    }

    /// Imports intelligence, whole or not at all. The feed's name and the records taken.
    ///
    /// # Errors
    /// When the document is not one that is known, or is broken.
    pub async fn import_feed(
        &self,
        import: FeedImport,
        now: Timestamp,
    ) -> Result<(String, u64), GateError> {
        let world = self.world()?;
        let invalid = |error: String| GateError::invalid("document", error);
        let parsed = feed::read(import.bytes.as_slice(), &feed::Limits::default())
            .map_err(|error| invalid(error.to_string()))?;
        let (name, records) = match &parsed.content {
            Content::Records(records) => (parsed.kind.as_str().to_owned(), records.len() as u64),
            Content::Table(table) => {
                Tables::embedded()
                    .and_then(|mut tables| tables.replace(table.clone()))
                    .map_err(|error| invalid(error.to_string()))?;
                (format!("{}/{}", parsed.kind.as_str(), table.id()), 1)
            }
        };
        let frame = Frame::new(&world, now);
        let source = countersign_domain::text::shown(&import.source, 300);
        self.submit(&world, move |tx| {
            let document = keep(tx, import.bytes)?;
            frame.append(
                tx,
                Event::Feed {
                    feed: name.clone(),
                    document,
                    source,
                    published_at: parsed.published_at,
                    records,
                    skipped: parsed.skipped.count,
                    live: import.live,
                },
            )?;
            Ok((name, records))
        })
        .await
    }
}

/// Loads a policy, or says what is wrong with it.
pub(crate) fn load_policy(source: &PolicySource) -> Result<Policy, GateError> {
    Policy::load(source)
        .map_err(|findings| GateError::Policy(findings.iter().map(ToString::to_string).collect()))
}

/// The calendars among a policy's files.
///
/// # Errors
/// When anything in them is not understood.
pub fn calendars(source: &PolicySource) -> Result<Calendars, CalendarError> {
    let files = source.files().iter();
    Calendars::read(files.map(|(path, bytes)| (path.as_str(), bytes.as_slice())))
}

/// Keeps texts beside the log, each under its own digest.
pub(crate) fn keep_texts(tx: &mut dyn Write, texts: &[SaltedText]) -> Result<(), GateError> {
    for text in texts {
        let digest = text
            .digest()
            .map_err(|error| GateError::invalid("texts", error.to_string()))?;
        keep_text(tx, text, &digest)?;
    }
    Ok(())
}

/// The people behind these signatures, all about the same thing.
fn signatures(
    world: &World,
    signed: &[SignedStatement],
    wanted: &Subject,
    now: Timestamp,
) -> Result<(Vec<Statement>, BTreeSet<PersonId>), GateError> {
    if signed.is_empty() {
        return Err(GateError::Unproven("nobody has signed it".into()));
    }
    let mut statements = Vec::new();
    for one in signed {
        let statement = verified(world, one, now)?.statement().clone();
        if statement.subject != *wanted {
            return Err(GateError::invalid(
                "statements",
                format!(
                    "`{}` signed something else than what is handed in",
                    statement.approver
                ),
            ));
        }
        statements.push(statement);
    }
    let people = statements
        .iter()
        .map(|statement| statement.approver.clone())
        .collect();
    Ok((statements, people))
}

/// The roster's own threshold, and the quorum of the policy (the one in force, or the first).
fn quorum(world: &World, policy: &Policy, people: &BTreeSet<PersonId>) -> Result<(), GateError> {
    let wanted = &policy.settings().quorum;
    threshold(world, people)?;
    signed_by(world, people, &wanted.group, wanted.people)
}

/// The roster's own threshold.
fn threshold(world: &World, people: &BTreeSet<PersonId>) -> Result<(), GateError> {
    let threshold = &world.roster.threshold;
    signed_by(world, people, &threshold.group, threshold.quorum)
}

fn signed_by(
    world: &World,
    people: &BTreeSet<PersonId>,
    group: &GroupId,
    quorum: u32,
) -> Result<(), GateError> {
    let counted = world
        .roster
        .members(group)
        .filter(|member| people.contains(*member))
        .count();
    if counted >= quorum as usize {
        Ok(())
    } else {
        Err(GateError::Forbidden(format!(
            "signed by {counted} of {quorum} members of `{group}`"
        )))
    }
}

/// Nobody approves a policy that they wrote, outside a trial. The rules of the version in force
/// say who may; for the first version, those of that version itself.
fn may_approve_policy(
    world: &World,
    new: &Policy,
    people: &BTreeSet<PersonId>,
    authors: &[PersonId],
) -> Result<(), GateError> {
    let policy = world.policy.as_ref().map_or(new, |policy| &policy.policy);
    for person in people {
        let seat = Seat {
            is_rule_author: authors.contains(person),
            ..plain_seat(world, person, Some(policy))
        };
        seated(policy, &seat, HumanAction::ApprovePolicy)?;
    }
    Ok(())
}
