//! What decisions look at besides the change itself: roster, policy, halts, feeds. Read once and
//! kept until an entry changes any of it; the targets' assets are looked up one by one.

use crate::error::GateError;
use crate::fold::FoldError;
use crate::state::{
    self, AssetRecord, FeedRecord, HaltRecord, InventoryRecord, PolicyRecord, Record, RosterRecord,
};
use countersign_domain::entry::Event;
use countersign_domain::id::DeploymentId;
use countersign_domain::proposal::Category;
use countersign_domain::roster::SignedRosterChange;
use countersign_domain::statement::HaltScope;
use countersign_domain::{AgentId, Asset, Environment, HostId, RuleId, Timestamp, Transition};
use countersign_facts::calendar::{Calendars, Remembered};
use countersign_facts::feed::{self, Content, FeedKind, Feeds, FreshnessLimits};
use countersign_facts::observed::CategoryPatterns;
use countersign_facts::ssvc::Tables;
use countersign_policy::{Policy, PolicySource, Sensitive};
use countersign_store::{DocumentQuery, Read, Store, StoreError, Write};
use countersign_verify::roster::{self, VerifiedRoster};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The index of the last entry that changed roster, policy, inventory, feeds or halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// The entry's index.
    pub index: u64,
}

impl Record for EpochRecord {
    const KIND: &'static str = "epoch";
    fn key(&self) -> String {
        "current".into()
    }
}

/// Roster, policy, halts and feeds at one epoch.
pub struct World {
    /// The epoch.
    pub epoch: EpochRecord,
    /// The roster, verified from its genesis on.
    pub roster: VerifiedRoster,
    /// The entries of its changes.
    pub roster_entries: Vec<u64>,
    /// The policy in force.
    pub policy: Option<PolicyInForce>,
    /// The inventory's record.
    pub inventory: Option<InventoryRecord>,
    /// Halts.
    pub halts: HaltRecord,
    /// The latest import of each feed.
    pub feeds: Feeds,
    /// The decision tables in use.
    pub tables: Tables,
}

/// A policy, compiled, with what is derived from it once.
pub struct PolicyInForce {
    /// Its record.
    pub record: PolicyRecord,
    /// The compiled rules.
    pub policy: Arc<Policy>,
    /// Its change windows and freezes.
    pub calendars: Arc<Remembered>,
    /// Why they cannot be read any more, where that is so: everything is frozen then.
    pub calendars_unread: Option<Arc<str>>,
    /// Which package names make which category.
    pub patterns: CategoryPatterns,
    /// How old feeds may be.
    pub limits: FreshnessLimits,
}

impl World {
    /// The policy in force.
    ///
    /// # Errors
    /// When none has been signed yet: nothing can be decided.
    pub fn policy(&self) -> Result<&PolicyInForce, GateError> {
        self.policy.as_ref().ok_or_else(|| {
            GateError::Conflict(
                "no policy is in force; sign one with `countersign policy sign`".into(),
            )
        })
    }

    /// True when the policy's periodic review is not current (invariant 7).
    #[must_use]
    pub fn policy_lapsed(&self, now: Timestamp) -> bool {
        self.policy
            .as_ref()
            .is_none_or(|policy| now > policy.record.review_due_at)
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &DeploymentId {
        &self.roster.deployment
    }

    /// True when a halt covers what this agent does under these rules in these environments.
    #[must_use]
    pub fn halted(&self, agent: &AgentId, rules: &[RuleId], environments: &[Environment]) -> bool {
        self.halts
            .active
            .values()
            .any(|(scope, _)| covers(scope, agent, rules, environments))
    }

    fn read(
        store: &dyn Read,
        epoch: EpochRecord,
        before: Option<&Self>,
    ) -> Result<Self, GateError> {
        let roster: RosterRecord = state::load(store, "current")?
            .ok_or_else(|| StoreError::Damaged("there is no roster".into()))?;
        let policy = match state::load::<PolicyRecord>(store, "current")? {
            Some(record) => Some(policy_in_force(store, record, before)?),
            None => None,
        };
        let (feeds, tables) = read_feeds(store)?;
        Ok(Self {
            epoch,
            roster: verified_roster(store, &roster, before)?,
            roster_entries: roster.entries,
            policy,
            inventory: state::load(store, "current")?,
            halts: state::load(store, "current")?.unwrap_or_default(),
            feeds,
            tables,
        })
    }
}

/// The roster is believed only from its signatures, the gate's own database included. Changes that
/// were verified before are not verified again.
fn verified_roster(
    store: &dyn Read,
    record: &RosterRecord,
    before: Option<&World>,
) -> Result<VerifiedRoster, GateError> {
    let damaged =
        |error: roster::ChainError| StoreError::Damaged(format!("the roster's chain: {error}"));
    let signed = |index: &u64| match crate::redeem::read_entry(store, *index)?.event {
        Event::Roster { signed } => Ok::<SignedRosterChange, GateError>(signed),
        _ => Err(StoreError::Damaged(format!("entry {index} is not a roster change")).into()),
    };
    let (mut verified, known) = match before {
        Some(world) if record.entries.starts_with(&world.roster_entries) => {
            (world.roster.clone(), world.roster_entries.len())
        }
        Some(_) | None => {
            let first = record
                .entries
                .first()
                .ok_or_else(|| StoreError::Damaged("there is no genesis".into()))?;
            let genesis =
                roster::found(&record.roster.genesis, &signed(first)?).map_err(damaged)?;
            (genesis, 1)
        }
    };
    for index in record.entries.iter().skip(known) {
        verified = roster::extend(&verified, &signed(index)?).map_err(damaged)?;
    }
    if *verified == record.roster {
        Ok(verified)
    } else {
        Err(StoreError::Damaged("the roster is not what its chain says".into()).into())
    }
}

fn policy_in_force(
    store: &dyn Read,
    record: PolicyRecord,
    before: Option<&World>,
) -> Result<PolicyInForce, GateError> {
    let kept = before
        .and_then(|world| world.policy.as_ref())
        .filter(|kept| kept.record.policy == record.policy);
    let (policy, calendars, calendars_unread) = match kept {
        Some(kept) => (
            Arc::clone(&kept.policy),
            Arc::clone(&kept.calendars),
            kept.calendars_unread.clone(),
        ),
        None => {
            let source = read_source(store, &record)?;
            let (calendars, unread) = calendars_in_force(&source);
            (
                Arc::new(crate::govern::load_policy(&source)?),
                Arc::new(calendars),
                unread,
            )
        }
    };
    let settings = policy.settings();
    let freshness = &settings.freshness;
    Ok(PolicyInForce {
        limits: FreshnessLimits {
            kev_hours: freshness.kev_hours,
            epss_hours: freshness.epss_hours,
            cve_hours: freshness.cve_hours,
        },
        patterns: patterns(&settings.sensitive),
        policy,
        calendars,
        calendars_unread,
        record,
    })
}

/// What is in force was understood when it was handed in. Where it no longer is, everything is
/// frozen, people decide, and the sweep raises an alarm (`unread.rs`) that says why.
fn calendars_in_force(source: &PolicySource) -> (Remembered, Option<Arc<str>>) {
    let (calendars, unread) = match crate::govern::calendars(source) {
        Ok(calendars) => (calendars, None),
        Err(error) => (Calendars::unreadable(), Some(error.to_string().into())),
    };
    (Remembered::new(calendars), unread)
}

fn patterns(sensitive: &Sensitive) -> CategoryPatterns {
    let of = |category: Category, patterns: &[String]| {
        patterns
            .iter()
            .map(move |pattern| (category, pattern.clone()))
            .collect::<Vec<_>>()
    };
    CategoryPatterns(
        [
            of(Category::Kernel, &sensitive.kernel),
            of(Category::DatabaseEngine, &sensitive.database_engine),
            of(Category::CoreSystem, &sensitive.core_system),
        ]
        .concat(),
    )
}

/// The latest imports, and the decision tables that were among them.
fn read_feeds(store: &dyn Read) -> Result<(Feeds, Tables), GateError> {
    let damaged = |problem: String| GateError::from(StoreError::Damaged(problem));
    let mut feeds = Feeds::default();
    let mut tables = Tables::embedded().map_err(|error| damaged(error.to_string()))?;
    for document in state::documents::<FeedRecord>(store, &DocumentQuery::default())? {
        let record: FeedRecord = state::parse(&document)?;
        match record.import.kind {
            FeedKind::CisaKev => feeds.kev = Some(record.import),
            FeedKind::Epss => feeds.epss = Some(record.import),
            FeedKind::Cve => feeds.cve = Some(record.import),
            FeedKind::SsvcTable => {
                let blob = store.blob(&record.import.digest)?.ok_or_else(|| {
                    damaged(format!("document {} is missing", record.import.digest))
                })?;
                let import = feed::read(blob.bytes.as_slice(), &feed::Limits::default())
                    .map_err(|error| damaged(error.to_string()))?;
                if let Content::Table(table) = import.content {
                    tables
                        .replace(table)
                        .map_err(|error| damaged(error.to_string()))?;
                }
            }
        }
    }
    Ok((feeds, tables))
}

/// True when a halt covers what this agent does under these rules in these environments.
pub(crate) fn covers(
    halt: &HaltScope,
    agent: &AgentId,
    rules: &[RuleId],
    environments: &[Environment],
) -> bool {
    match halt {
        HaltScope::Everything => true,
        HaltScope::Agent(halted) => halted == agent,
        HaltScope::Rule(halted) => rules.contains(halted),
        HaltScope::Environment(halted) => environments.contains(halted),
    }
}

/// Keeps the last [`World`] until its epoch passes.
#[derive(Default)]
pub struct WorldCache {
    kept: Mutex<Option<Arc<World>>>,
    /// The newest epoch that a job met or made, committed or not.
    met: AtomicU64,
}

impl WorldCache {
    /// The world as this view has it.
    ///
    /// # Errors
    /// When storage fails, or the deployment has not been founded.
    pub fn at(&self, store: &dyn Read) -> Result<Arc<World>, GateError> {
        let epoch: EpochRecord = state::load(store, "current")?.ok_or_else(|| {
            GateError::Conflict(
                "this deployment has not been founded; run `countersign init`".into(),
            )
        })?;
        let mut kept = locked(&self.kept);
        match kept.as_ref() {
            Some(world) if world.epoch == epoch => Ok(Arc::clone(world)),
            Some(_) | None => {
                let world = Arc::new(World::read(store, epoch, kept.as_deref())?);
                *kept = Some(Arc::clone(&world));
                Ok(world)
            }
        }
    }

    /// The world as the store has it, without a view where no job has made another since.
    ///
    /// # Errors
    /// As [`WorldCache::at`].
    pub(crate) fn now(&self, store: &Store) -> Result<Arc<World>, GateError> {
        // INVARIANT (what is committed holds): every job that changes the epoch is told to `meet` it
        // before it is committed. Who only reads is told nothing, and looks each time.
        if store.is_writer()
            && let Some(world) = locked(&self.kept).as_ref()
            && world.epoch.index >= self.met.load(Ordering::SeqCst)
        {
            return Ok(Arc::clone(world));
        }
        store.read(|view| self.at(view))
    }

    /// A job met or made this epoch: worlds before it hold only as long as it is not committed.
    pub(crate) fn meet(&self, epoch: EpochRecord) {
        self.met.fetch_max(epoch.index, Ordering::SeqCst);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_source(store: &dyn Read, record: &PolicyRecord) -> Result<PolicySource, GateError> {
    let mut files = BTreeMap::new();
    for file in &record.files {
        let blob = store.blob(&file.sha256)?.ok_or_else(|| {
            StoreError::Damaged(format!("policy file `{}` is missing", file.path))
        })?;
        files.insert(file.path.clone(), blob.bytes);
    }
    // What is in force validated when it was signed; if it no longer does, nothing is decided.
    Ok(PolicySource::new(files).map_err(|error| StoreError::Damaged(error.to_string()))?)
}

/// Remembers that roster, policy, inventory, feeds or halts changed.
pub(crate) fn advance_epoch(tx: &mut dyn Write, index: u64) -> Result<(), FoldError> {
    Ok(state::save(tx, &EpochRecord { index })?)
}

/// An asset; one that the inventory does not know gets the strictest reading (invariant 2).
///
/// # Errors
/// When storage fails.
pub fn asset(store: &dyn Read, host: &HostId) -> Result<Asset, StoreError> {
    Ok(state::load::<AssetRecord>(store, host.as_str())?
        .map_or_else(|| Asset::unknown(host.clone()), |record| record.asset))
}

/// The key under which outcomes of a transition are remembered: what changed, not from which bytes.
#[must_use]
pub fn transition_key(transition: &Transition) -> String {
    let version = |version: &Option<countersign_domain::Version>| {
        version
            .as_ref()
            .map_or("-", |version| version.as_str())
            .to_owned()
    };
    format!(
        "{}|{}|{}|{}",
        transition.name,
        transition.architecture,
        version(&transition.old),
        version(&transition.new)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::PackageName;

    #[test]
    fn calendars_that_cannot_be_read_any_more_freeze_everything() {
        let at = "2026-11-20T12:00:00Z".parse().unwrap();
        let says = |files: &[(&str, &str)]| {
            let mut all = countersign_policy::starter().files().clone();
            for (path, text) in files {
                all.insert((*path).to_owned(), text.as_bytes().to_vec());
            }
            let source = PolicySource::new(all).unwrap();
            let (calendars, unread) = calendars_in_force(&source);
            let answer = calendars.answer([Environment::Development], at);
            (answer.in_window, answer.frozen, unread.is_some())
        };
        assert_eq!(says(&[]), (true, false, false));
        let bad = ("calendars/freezes.ics", "BEGIN:VCALENDAR");
        assert_eq!(says(&[bad]), (false, true, true));
    }

    #[test]
    fn the_starters_patterns_give_the_most_sensitive_category() {
        let policy = crate::govern::load_policy(&countersign_policy::starter()).unwrap();
        let patterns = patterns(&policy.settings().sensitive);
        for (name, category) in [
            ("linux-image-6.12.5-amd64", Some(Category::Kernel)),
            ("grub-efi-amd64", Some(Category::Kernel)),
            ("linux-libc-dev", None),
            ("postgresql-17", Some(Category::DatabaseEngine)),
            ("postgresql-client-17", None),
            ("libc6", Some(Category::CoreSystem)),
            ("systemd", Some(Category::CoreSystem)),
            ("systemd-boot", Some(Category::Kernel)),
            ("libssl3", None),
        ] {
            let package = PackageName::new(name).unwrap();
            assert_eq!(patterns.category(&package), category, "{name}");
        }
    }
}
