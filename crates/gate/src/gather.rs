//! Turns claims into facts: gathers, on one consistent view, everything a decision rests on.

use crate::error::GateError;
use crate::state::{self, ChangeRecord, ExecutionRecord, HostRecord, PendingRecord, StoredIntel};
use crate::world::{self, EpochRecord, World};
use countersign_domain::asset::Asset;
use countersign_domain::entry::change_digest;
use countersign_domain::facts::{
    BlastRadius, CalendarFacts, DecisionFacts, LowerFacts, Reservations, TargetScope,
};
use countersign_domain::id::{AccountId, ClusterId};
use countersign_domain::lease::HostPlan;
use countersign_domain::observation::{Observation, PendingUpgrade};
use countersign_domain::{
    AgentId, ChangeId, CveId, Digest, Environment, HostId, PersonId, PreparedPlan, Proposal,
    Timestamp,
};
use countersign_facts::calendar::Answer;
use countersign_facts::contradiction::{Against, contradictions};
use countersign_facts::feed::{Feeds, Intel};
use countersign_facts::observed::{self, Observed, PlanFacts};
use countersign_facts::vulnerability::{IntelRow, Question, vulnerability};
use countersign_store::{Healthy, Read, ReservationQuery, StoreError, TransitionOutcome};
use std::collections::{BTreeMap, BTreeSet};

/// How far back rollbacks and healthy runs count, in seconds.
const OUTCOMES_SECONDS: i64 = 90 * 86_400;

/// What facts are gathered for.
pub(crate) struct Inputs<'a> {
    pub(crate) change: &'a ChangeId,
    /// The index of the entry that opened the change; none while no entry has.
    pub(crate) opened: Option<u64>,
    pub(crate) agent: &'a AgentId,
    pub(crate) owner: &'a PersonId,
    pub(crate) proposal: &'a Proposal,
    pub(crate) proposal_digest: &'a Digest,
    pub(crate) plans: &'a Plans,
}

impl<'a> Inputs<'a> {
    /// Those of a change that is on record.
    pub(crate) const fn of(
        record: &'a ChangeRecord,
        proposal: &'a Proposal,
        plans: &'a Plans,
    ) -> Self {
        Self {
            change: &record.id,
            opened: Some(record.opened),
            agent: &record.agent,
            owner: &record.owner,
            proposal,
            proposal_digest: &record.proposal,
            plans,
        }
    }
}

/// The plans of a change, and what binds them, in the order of their hosts.
pub(crate) struct Plans {
    whole: Vec<PreparedPlan>,
    bound: Vec<HostPlan>,
}

impl Plans {
    /// Plans with their digests.
    pub(crate) fn new(plans: impl IntoIterator<Item = (PreparedPlan, Digest)>) -> Self {
        let (whole, mut bound): (Vec<_>, Vec<_>) = plans
            .into_iter()
            .map(|(plan, digest)| {
                let host = plan.host.clone();
                (plan, HostPlan { host, plan: digest })
            })
            .unzip();
        bound.sort();
        Self { whole, bound }
    }

    /// The plans of these executions, from the log.
    pub(crate) fn read<'a>(
        store: &dyn Read,
        executions: impl IntoIterator<Item = &'a ExecutionRecord>,
    ) -> Result<Self, StoreError> {
        let mut plans = Vec::new();
        for execution in executions {
            let digest = execution.plan.as_ref().map(|plan| plan.digest);
            plans.extend(state::plan(store, execution)?.zip(digest));
        }
        Ok(Self::new(plans))
    }
}

/// What binds the plans of these executions.
pub(crate) fn bound<'a>(
    executions: impl IntoIterator<Item = &'a ExecutionRecord>,
) -> Vec<HostPlan> {
    let mut bound: Vec<HostPlan> = executions
        .into_iter()
        .filter_map(|execution| {
            Some(HostPlan {
                host: execution.host.clone(),
                plan: execution.plan.as_ref()?.digest,
            })
        })
        .collect();
    bound.sort();
    bound
}

/// Facts, what they were gathered on, and the digest that binds the change. What other changes do to
/// them is not in them yet: [`Gathered::facts_now`].
pub(crate) struct Gathered {
    facts: DecisionFacts,
    pub(crate) plans: Vec<HostPlan>,
    pub(crate) change_digest: Digest,
    /// What is asked for, as outcomes are remembered by.
    transitions: Vec<String>,
    /// The last observation of each target.
    observed: Vec<(HostId, Option<Digest>)>,
    opened: Option<u64>,
    epoch: EpochRecord,
}

impl Gathered {
    /// True when nothing that the facts were gathered on has changed since: roster, policy,
    /// inventory, feeds, halts, the plans, what the targets' hosts observed.
    pub(crate) fn still_holds(
        &self,
        store: &dyn Read,
        plans: &[HostPlan],
    ) -> Result<bool, GateError> {
        let epoch = state::load::<EpochRecord>(store, "current")?;
        if epoch != Some(self.epoch) || self.plans != plans {
            return Ok(false);
        }
        for (host, known) in &self.observed {
            if observation_digest(store, host)? != *known {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The facts at `now`, with what other changes do to them as this view has it: what they have
    /// reserved, and how the same transitions fared. In the transaction that decides, nothing can
    /// come between.
    pub(crate) fn facts_now(
        &self,
        store: &dyn Read,
        world: &World,
        now: Timestamp,
    ) -> Result<DecisionFacts, GateError> {
        let mut facts = self.facts.clone();
        facts.calendar = calendar_facts(&calendar_answer(world, &facts, now)?);
        facts.reservations = reservations(store, &facts, self.opened, now)?;
        facts.blast.percent = percent(world, &facts);
        let assets = || facts.scopes.iter().flat_map(|scope| &scope.assets);
        let since = now.plus_seconds(-OUTCOMES_SECONDS);
        let failures = store.failures(&self.transitions, since)?;
        let healthy = store.healthy(&self.transitions, &lower_environments(assets()), since)?;
        let rollbacks = rollbacks_in_similar(&failures, assets());
        facts.rollback.prior_in_similar = rollbacks;
        facts.lower = lower(healthy, now);
        Ok(facts)
    }
}

/// What the calendars of the policy in force say at `now` of everything that these facts are about.
pub(crate) fn calendar_answer(
    world: &World,
    facts: &DecisionFacts,
    now: Timestamp,
) -> Result<Answer, GateError> {
    let assets = facts.scopes.iter().flat_map(|scope| &scope.assets);
    let environments = assets.map(|asset| asset.environment);
    Ok(world.policy()?.calendars.answer(environments, now))
}

const fn calendar_facts(said: &Answer) -> CalendarFacts {
    CalendarFacts {
        in_window: said.in_window,
        freeze: said.frozen,
    }
}

fn observation_digest(store: &dyn Read, host: &HostId) -> Result<Option<Digest>, StoreError> {
    let host = state::read::<HostRecord>(store, host.as_str())?;
    Ok(host.map(|host| host.observation))
}

/// Gathers the facts for a decision, all but what other changes do to them.
pub(crate) fn gather(
    store: &dyn Read,
    world: &World,
    inputs: &Inputs<'_>,
    now: Timestamp,
) -> Result<Gathered, GateError> {
    let policy = world.policy()?;
    let settings = policy.policy.settings();
    let missing = || GateError::Conflict("a plan without steps cannot be decided".into());
    let plans: Vec<&PreparedPlan> = inputs.plans.whole.iter().collect();
    let plan_facts = PlanFacts::of(&plans, &policy.patterns).ok_or_else(missing)?;
    let assets = plans
        .iter()
        .map(|plan| world::asset(store, &plan.host))
        .collect::<Result<Vec<_>, _>>()?;
    let observations = observations(store, world, inputs)?;
    let observed: Vec<Observed<'_>> = observations
        .iter()
        .map(|(observation, digest)| Observed {
            observation,
            digest: *digest,
        })
        .collect();
    let cves = observed::cves(
        inputs.proposal,
        &observed,
        settings.limits.observation_max_age_seconds,
        now,
    );
    let rows = intel(store, cves.fresh().into_iter().flatten())?;
    let vulnerability = vulnerability(&Question {
        cves: &cves,
        rows: &rows_of(&rows, &world.feeds),
        feeds: &world.feeds,
        limits: policy.limits,
        assets: &assets,
        tables: &world.tables,
        now,
    });
    let contradictions = contradictions(
        inputs.proposal,
        &Against {
            assets: &assets,
            vulnerability: &vulnerability,
            cves: &cves,
            plans: &plans,
            plan_facts: Some(&plan_facts),
        },
    );
    let times = observations
        .iter()
        .map(|(observation, _)| observation.observed_at)
        .chain(plans.iter().map(|plan| plan.prepared_at));
    let last_observed = plans
        .iter()
        .map(|plan| Ok((plan.host.clone(), observation_digest(store, &plan.host)?)))
        .collect::<Result<_, StoreError>>()?;
    let environments = assets.iter().map(|asset| asset.environment);
    let said = policy.calendars.answer(environments, now);
    let mut facts = DecisionFacts {
        change: inputs.change.clone(),
        at: now,
        agent: inputs.agent.clone(),
        owner: inputs.owner.clone(),
        path: inputs.proposal.path,
        category: plan_facts.category,
        security_origin: plan_facts.security_origin,
        blast: blast(&assets),
        // Set where it is decided, like the reservations.
        rollback: plan_facts.rollback_facts(inputs.proposal.rollback, u32::MAX),
        lower: LowerFacts {
            healthy_hosts: 0,
            healthy_hours: 0,
        },
        scopes: scopes(assets),
        vulnerability,
        reservations: Reservations::default(),
        chain: plan_facts.chain,
        calendar: calendar_facts(&said),
        evidence_age_seconds: observed::evidence_age_seconds(times, now),
        contradictions,
        policy_lapsed: world.policy_lapsed(now),
        trial: world.roster.trial,
    };
    // Where a target was never observed, no plan makes up for it.
    if observations.len() < plans.len() {
        facts.evidence_age_seconds = u32::MAX;
    }
    Ok(Gathered {
        change_digest: change_digest(
            inputs.proposal_digest,
            &inputs.proposal.waves,
            &inputs.plans.bound,
        )?,
        facts,
        plans: inputs.plans.bound.clone(),
        transitions: requested_transitions(inputs),
        observed: last_observed,
        opened: inputs.opened,
        epoch: world.epoch,
    })
}

/// What other changes have reserved, as this view has it.
fn reservations(
    store: &dyn Read,
    facts: &DecisionFacts,
    opened: Option<u64>,
    now: Timestamp,
) -> Result<Reservations, StoreError> {
    let assets = || facts.scopes.iter().flat_map(|scope| &scope.assets);
    let services: BTreeSet<String> = assets().filter_map(|asset| asset.service.clone()).collect();
    let environments: BTreeSet<Environment> = assets().map(|asset| asset.environment).collect();
    store.reservations(&ReservationQuery {
        opened,
        agent: &facts.agent,
        owner: &facts.owner,
        services: &services.into_iter().collect::<Vec<_>>(),
        environments: &environments.into_iter().collect::<Vec<_>>(),
        hosts: &assets().map(|asset| asset.host.clone()).collect::<Vec<_>>(),
        now,
    })
}

/// Each target's last observation, with the packages that are asked for only, and the digest of
/// what the host signed.
fn observations(
    store: &dyn Read,
    world: &World,
    inputs: &Inputs<'_>,
) -> Result<Vec<(Observation, Digest)>, StoreError> {
    let mut observations = Vec::new();
    for plan in &inputs.plans.whole {
        let Some(host) = state::load::<HostRecord>(store, plan.host.as_str())? else {
            continue;
        };
        let mut pending = Vec::new();
        for package in &inputs.proposal.packages {
            let key = PendingRecord::key_of(&plan.host, &package.name, &package.architecture);
            pending.extend(state::load::<PendingRecord>(store, &key)?.map(|record| record.upgrade));
        }
        observations.push((observation_of(world, &host, pending), host.observation));
    }
    Ok(observations)
}

/// An observation with only some of its pending upgrades: what facts are derived from.
pub(crate) fn observation_of(
    world: &World,
    host: &HostRecord,
    pending: Vec<PendingUpgrade>,
) -> Observation {
    Observation {
        v: 1,
        deployment: world.deployment().clone(),
        host: host.host.clone(),
        observed_at: host.observed_at,
        lists_refreshed_at: None,
        pending,
        health: Vec::new(),
        gaps: Vec::new(),
    }
}

/// The rows of intelligence for these CVE ids.
pub(crate) fn intel<'a>(
    store: &dyn Read,
    cves: impl IntoIterator<Item = &'a CveId>,
) -> Result<Vec<StoredIntel>, StoreError> {
    let cves: Vec<CveId> = cves.into_iter().cloned().collect();
    store
        .intel(&cves)?
        .iter()
        .map(|row| {
            serde_json::from_str(&row.body).map_err(|error| {
                StoreError::Damaged(format!("{} of {}: {error}", row.feed, row.cve))
            })
        })
        .collect()
}

/// Rows with the import that brought each; a row whose feed is not there any more counts not.
pub(crate) fn rows_of<'a>(stored: &'a [StoredIntel], feeds: &'a Feeds) -> Vec<IntelRow<'a>> {
    stored
        .iter()
        .filter_map(|row| {
            let feed = match row.record.says {
                Intel::CisaKev(_) => feeds.kev.as_ref(),
                Intel::Epss(_) => feeds.epss.as_ref(),
                Intel::Cve(_) => feeds.cve.as_ref(),
            };
            Some(IntelRow {
                record: &row.record,
                import: row.import.as_ref().or(feed)?,
            })
        })
        .collect()
}

/// Hosts that share environment, account and cluster form one scope.
fn scopes(assets: Vec<Asset>) -> Vec<TargetScope> {
    let mut scopes: BTreeMap<(Environment, Option<AccountId>, Option<ClusterId>), Vec<Asset>> =
        BTreeMap::new();
    for asset in assets {
        let key = (
            asset.environment,
            asset.account.clone(),
            asset.cluster.clone(),
        );
        scopes.entry(key).or_default().push(asset);
    }
    scopes
        .into_values()
        .map(|assets| TargetScope { assets })
        .collect()
}

/// The largest share of an environment's hosts that this change and all that is in flight there
/// touch together, in percent, rounded up: split in parts, a change gains nothing.
fn percent(world: &World, facts: &DecisionFacts) -> u32 {
    let share = |environment: Environment| {
        let touched = facts
            .scopes
            .iter()
            .flat_map(|scope| &scope.assets)
            .filter(|asset| asset.environment == environment)
            .count() as u64;
        let known = world
            .inventory
            .as_ref()
            .and_then(|inventory| inventory.assets.get(&environment).copied())
            .unwrap_or(0);
        match (touched, known) {
            (0, _) => 0,
            // Nothing known to compare with: all of it.
            (_, 0) => 100,
            (touched, known) => {
                let others = u64::from(facts.reservations.in_flight_environment);
                let percent = ((touched + others) * 100).div_ceil(u64::from(known));
                u32::try_from(percent).unwrap_or(u32::MAX).min(100)
            }
        }
    };
    let all = [
        Environment::Development,
        Environment::Staging,
        Environment::Production,
    ];
    all.into_iter().map(share).max().unwrap_or(100)
}

fn blast(assets: &[Asset]) -> BlastRadius {
    let distinct = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    BlastRadius {
        hosts: distinct(assets.len()),
        // Set where the reservations are read.
        percent: 100,
        clusters: distinct(
            assets
                .iter()
                .filter_map(|asset| asset.cluster.as_ref())
                .collect::<BTreeSet<_>>()
                .len(),
        ),
        accounts: distinct(
            assets
                .iter()
                .filter_map(|asset| asset.account.as_ref())
                .collect::<BTreeSet<_>>()
                .len(),
        ),
    }
}

/// The transitions that are asked for, each once.
fn requested_transitions(inputs: &Inputs<'_>) -> Vec<String> {
    let transitions: BTreeSet<String> = inputs
        .plans
        .whole
        .iter()
        .flat_map(|plan| &plan.steps)
        .filter(|step| step.requested)
        .map(|step| world::transition_key(&step.transition))
        .collect();
    transitions.into_iter().collect()
}

/// Rollbacks and failures of the same transition on hosts of the same environment and tier.
fn rollbacks_in_similar<'a>(
    failures: &[TransitionOutcome],
    assets: impl Iterator<Item = &'a Asset>,
) -> u32 {
    let similar: BTreeSet<(Environment, u8)> = assets
        .map(|asset| (asset.environment, asset.tier.number()))
        .collect();
    let failed: BTreeSet<_> = failures
        .iter()
        .filter(|failure| similar.contains(&(failure.environment, failure.tier)))
        .map(|failure| (failure.opened, &failure.host))
        .collect();
    u32::try_from(failed.len()).unwrap_or(u32::MAX)
}

/// The environments below those of the targets.
fn lower_environments<'a>(assets: impl Iterator<Item = &'a Asset>) -> Vec<Environment> {
    let lower: BTreeSet<Environment> = assets
        .flat_map(|asset| asset.environment.lower().iter().copied())
        .collect();
    lower.into_iter().collect()
}

/// Hosts in lower environments where all that is asked for succeeded last, and since when.
fn lower(healthy: Healthy, now: Timestamp) -> LowerFacts {
    let hours = healthy
        .first
        .map_or(0, |first| now.seconds_since(first).max(0) / 3600);
    LowerFacts {
        healthy_hosts: healthy.hosts,
        healthy_hours: u32::try_from(hours).unwrap_or(u32::MAX),
    }
}
