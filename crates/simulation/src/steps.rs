//! What happens in one step: agents propose and lie, people decide and err, an attacker replays, clocks
//! jump. What hosts do is in `hosts`. Judges nothing.

mod hosts;

use crate::actors::{self, Asked};
use crate::deployment;
use crate::network::Message;
use crate::run::{GateFlaw, Simulation, Violation};
use crate::truth;
use countersign_domain::asset::{Environment, Tier};
use countersign_domain::package::{Architecture, PackageName, Version};
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, RemediationPath, RollbackPlan,
};
use countersign_domain::roster::{Operation, SignedRosterChange};
use countersign_domain::statement::{HaltScope, SignedStatement, Subject, Verdict, Vote};
use countersign_domain::{
    ChangeId, ChangeState, Nonce, Proposal, RequestId, RosterChange, canonical, jws,
};
use countersign_gate::view::ChangeView;
use countersign_gate::{PolicyChange, Submission};
use rand::Rng;
use rand::seq::SliceRandom as _;

/// For how long a plan holds, in seconds.
const PLAN_SECONDS: i64 = 3600;

impl Simulation {
    /// Takes one step.
    pub(crate) fn take_step(&mut self) -> Result<(), Violation> {
        let millis = self.rng.gen_range(0..4_000);
        self.now = countersign_domain::Timestamp::from_unix_millis(self.now.unix_millis() + millis);
        match self.rng.gen_range(0..100) {
            0..12 => self.propose(),
            12..60 => self.host_works(),
            60..74 => self.person_decides(),
            74..78 => self.held_permit(),
            78..83 => self.network_moves(),
            83..86 => self.attacker_replays(),
            86..89 => self.host_dies(),
            89..91 => self.halt_or_resume(),
            91..93 => self.clock_jumps(),
            93..96 => self.send(Message::Sweep).map(|_| ()),
            96 => self.send(Message::CrossCommit).map(|_| ()),
            97 => self.govern(),
            98 => self.restart(true),
            _ => self.tamper(),
        }
    }

    pub(crate) fn nonce(&mut self) -> Nonce {
        self.nonces += 1;
        Nonce::new(format!("n{:031}", self.nonces)).unwrap()
    }

    fn propose(&mut self) -> Result<(), Violation> {
        let (name, _) = *actors::AGENTS.choose(&mut self.rng).unwrap();
        let package = *actors::PACKAGES.choose(&mut self.rng).unwrap();
        let mut hosts: Vec<&str> = if self.rng.gen_bool(0.5) {
            vec!["web-1", "web-2"]
        } else {
            vec!["stage-1", "stage-2"]
        };
        hosts.shuffle(&mut self.rng);
        let waves = match self.rng.gen_range(0..4) {
            0 => hosts.iter().map(|host| vec![actors::host(host)]).collect(),
            1 => vec![hosts.iter().map(|host| actors::host(host)).collect()],
            _ => vec![vec![actors::host(hosts[0])]],
        };
        let installed = self.machines.iter().find(|one| one.name == hosts[0]);
        let old = installed
            .and_then(|one| one.installed.get(package).copied())
            .unwrap_or(0);
        let lie = self.rng.gen_bool(0.15);
        let claims = Claims {
            tier: Some(
                Tier::new(match (actors::environment(hosts[0]), lie) {
                    (Environment::Production, false) => 2,
                    (_, false) => 3,
                    (_, true) => 4,
                })
                .unwrap(),
            ),
            ..Claims::default()
        };
        let proposal = Proposal {
            v: 1,
            deployment: actors::deployment(),
            agent: actors::agent(name),
            nonce: self.nonce(),
            proposed_at: self.now,
            path: RemediationPath::Patch,
            category: if package == "postgresql-15" {
                Category::DatabaseEngine
            } else {
                Category::OsSecurity
            },
            waves,
            packages: vec![PackageRequest {
                name: PackageName::new(package).unwrap(),
                architecture: Architecture::new("amd64").unwrap(),
                from: None,
                to: Version::new(format!("1.{}", old + 1)).unwrap(),
            }],
            checks: Vec::new(),
            recipe: None,
            rollback: RollbackPlan::ReverseTransitions,
            claims,
            rationale: None,
        };
        // Another agent's name over this agent's key: a forgery.
        let forged = self.rng.gen_bool(0.05);
        let signer = if forged { "mallory" } else { name };
        let signed = actors::sign_as(signer, name, jws::PROPOSAL_TYP, &proposal);
        let change = ChangeId::from_proposal(&canonical::digest(&proposal).unwrap());
        if !forged {
            self.truth
                .recommended
                .insert(countersign_domain::Digest::of(signed.as_bytes()));
            self.truth.proposals.insert(change.clone(), proposal);
            if lie || self.gate_flaw == GateFlaw::BelievesClaims {
                self.truth.lies.insert(change);
            }
        }
        let submission = Submission {
            request: RequestId::new(self.nonce().as_str()).unwrap(),
            proposal: signed,
            rationale: None,
            plans: Vec::new(),
        };
        self.send(Message::Propose(actors::agent(name), submission))
            .map(|_| ())
    }

    fn any_machine(&mut self) -> usize {
        self.rng.gen_range(0..self.machines.len())
    }

    /// A statement that `name` signs; remembered as signed unless it is a forgery.
    fn sign(
        &mut self,
        name: &str,
        subject: Subject,
        forged: bool,
    ) -> Result<SignedStatement, Violation> {
        let world = self.deployment.gate().world();
        let world = world.map_err(|error| self.violation("the roster can be read", error))?;
        let asked = Asked {
            subject,
            roster_version: world.roster.version,
            nonce: self.nonce(),
            at: self.now,
            seconds: if self.rng.gen_bool(0.1) { 5 } else { 3600 },
        };
        let signed = actors::statement(name, if forged { "mallory" } else { name }, asked);
        if !forged && self.gate_flaw != GateFlaw::StolenKey {
            self.truth.signed.insert(truth::digest(&signed));
        }
        Ok(signed)
    }

    fn person_decides(&mut self) -> Result<(), Violation> {
        let states = [
            "awaiting approval",
            "escalated",
            "review due",
            "review overdue",
        ];
        let states: &[&str] = if self.rng.gen_bool(0.9) { &states } else { &[] };
        let changes = self.deployment.gate().changes(states, None, 12);
        let changes = changes.map_err(|error| self.violation("changes can be read", error))?;
        let Some(change) = changes.choose(&mut self.rng).cloned() else {
            return Ok(());
        };
        let name = *actors::PEOPLE.choose(&mut self.rng).unwrap();
        let forged = self.rng.gen_bool(0.08);
        let (Some(change_digest), Some(policy), Some(outcome), Some(duties)) = (
            change.digest,
            change.policy,
            change.outcome,
            change.duties.clone(),
        ) else {
            return Ok(());
        };
        let ChangeView {
            id, rules, state, ..
        } = change;
        if matches!(state, ChangeState::ReviewDue | ChangeState::Overdue(_)) {
            let subject = Subject::Review {
                change: id.clone(),
                change_digest,
                verdict: Verdict::Accept,
                note: None,
            };
            let signed = self.sign(name, subject, forged)?;
            return self.send(Message::Review(id, signed)).map(|_| ());
        }
        let vote = if self.rng.gen_bool(0.9) {
            Vote::Approve
        } else {
            Vote::Refuse
        };
        // Now and then somebody signs what is not asked.
        let rules = if self.rng.gen_bool(0.05) {
            Vec::new()
        } else {
            rules
        };
        let subject = Subject::Change {
            change: id.clone(),
            change_digest,
            vote,
            policy,
            outcome,
            rules,
            duties,
            rationale: None,
        };
        let signed = self.sign(name, subject, forged)?;
        self.send(Message::Vote(id, signed)).map(|_| ())
    }

    fn network_moves(&mut self) -> Result<(), Violation> {
        if !self.answers.is_empty() && self.rng.gen_bool(0.6) {
            let at = self.rng.gen_range(0..self.answers.len());
            let handed = self.answers.swap_remove(at);
            return self.handed(handed);
        }
        if self.in_flight.is_empty() {
            return Ok(());
        }
        let at = self.rng.gen_range(0..self.in_flight.len());
        let message = self.in_flight.swap_remove(at);
        self.deliver(message).map(|_| ())
    }

    fn attacker_replays(&mut self) -> Result<(), Violation> {
        if self.captured.is_empty() {
            return Ok(());
        }
        let at = self.rng.gen_range(0..self.captured.len());
        let message = self.captured[at].clone();
        let thief = actors::host(actors::HOSTS.choose(&mut self.rng).unwrap());
        let (name, _) = *actors::AGENTS.choose(&mut self.rng).unwrap();
        let message = if self.rng.gen_bool(0.5) {
            message
        } else {
            message.stolen(&thief, &actors::agent(name))
        };
        self.note(format_args!("replayed: {}", message.word()));
        self.deliver(message).map(|_| ())
    }

    pub(crate) fn halt_or_resume(&mut self) -> Result<(), Violation> {
        let scopes = [
            HaltScope::Everything,
            HaltScope::Agent(actors::agent("patch-bot")),
            HaltScope::Environment(Environment::Production),
        ];
        let name = *actors::PEOPLE.choose(&mut self.rng).unwrap();
        let active = self.truth.halted.iter().next().cloned();
        let Some(halt) = active else {
            if self.rng.gen_bool(0.5) {
                return Ok(());
            }
            let halt = scopes.choose(&mut self.rng).unwrap().clone();
            let forged = self.rng.gen_bool(0.1);
            let signed = self.sign(name, Subject::Halt { halt }, forged)?;
            return self.send(Message::Halt(signed)).map(|_| ());
        };
        let halt_epoch = self.truth.epochs.len() as u64;
        let alone = self.rng.gen_bool(0.2);
        let mut signed = Vec::new();
        for name in if alone {
            &["maria"][..]
        } else {
            &["maria", "chen"][..]
        } {
            signed.push(self.sign(
                name,
                Subject::Resume {
                    halt: halt.clone(),
                    halt_epoch,
                },
                false,
            )?);
        }
        self.send(Message::Resume(signed)).map(|_| ())
    }

    fn clock_jumps(&mut self) -> Result<(), Violation> {
        let seconds = match self.rng.gen_range(0..10) {
            0..5 => self.rng.gen_range(30..120),
            5..8 => self.rng.gen_range(600..2_000),
            8 => 8 * 3600,
            _ => 10 * 86_400,
        };
        self.now = self.now.plus_seconds(seconds);
        self.note(format_args!("{seconds} s pass"));
        Ok(())
    }

    pub(crate) fn govern(&mut self) -> Result<(), Violation> {
        let world = self.deployment.gate().world();
        let world = world.map_err(|error| self.violation("the roster can be read", error))?;
        if self.rng.gen_bool(0.1) {
            let change = RosterChange {
                v: 1,
                deployment: actors::deployment(),
                trial: false,
                version: world.roster.version + 1,
                previous: Some(world.roster.head),
                at: self.now,
                operations: vec![Operation::RevokeKey {
                    fingerprint: actors::fingerprint("omar"),
                }],
            };
            let subject = Subject::Roster {
                change: canonical::digest(&change).unwrap(),
                version: change.version,
            };
            let name = *actors::PEOPLE.choose(&mut self.rng).unwrap();
            let signed = SignedRosterChange {
                change: canonical::to_text(&change).unwrap(),
                statements: vec![self.sign(name, subject, false)?],
            };
            return self.send(Message::Roster(signed)).map(|_| ());
        }
        let version = world
            .policy
            .as_ref()
            .map_or(1, |policy| policy.record.version + 1);
        let (change, subject) = deployment::policy(version);
        let name = *actors::PEOPLE.choose(&mut self.rng).unwrap();
        let statements = vec![self.sign(name, subject, false)?];
        self.send(Message::Policy(PolicyChange {
            statements,
            ..change
        }))
        .map(|_| ())
    }

    fn tamper(&mut self) -> Result<(), Violation> {
        let at = self.any_machine();
        if !self.rng.gen_bool(0.2) {
            return Ok(());
        }
        let package = *actors::PACKAGES.choose(&mut self.rng).unwrap();
        let name = self.machines[at].name;
        let effect = self.machines[at].tamper(package);
        self.happened(name, vec![effect])
    }
}
