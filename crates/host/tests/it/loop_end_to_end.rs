//! The host's whole loop against a gate, on real apt: what runs, what is rolled back, what is refused.

use crate::gate::Gate;
use crate::sandboxed::{Place, now, place, proposal};
use countersign_domain::receipt::Ending;
use countersign_domain::{ChangeId, Digest, Receipt};
use countersign_host::artifact::Artifacts;
use countersign_host::config::{CheckConfig, Pattern};
use countersign_host::enroll::enroll;
use countersign_host::journal::{Journal, Phase, Record, Runner};
use countersign_host::progress::Progress;
use countersign_host::session::Session;
use countersign_host::work::{Host, Summary, WorkError, World};
use rand::SeedableRng as _;

pub struct Deployment {
    pub place: Place,
    pub gate: Gate,
}

pub fn world() -> World<'static> {
    World {
        clock: &now,
        progress: Progress::silent(),
    }
}

/// An enrolled and admitted host in a guarded sandbox.
pub fn deployment(change: impl FnOnce(&mut Place)) -> Deployment {
    let mut place = place();
    change(&mut place);
    let gate = Gate::start(&place.config.host, &place.config.deployment, now());
    place.config.server = gate.server.clone();
    place.config.genesis = gate.genesis;
    place.write_config();
    let enrolled = enroll(&place.config, [7; 32], false).unwrap();
    assert!(!enrolled.admitted);
    gate.admit(&enrolled.public_key);
    place.guard("enforce");
    Deployment { place, gate }
}

impl Deployment {
    pub fn try_run(&self) -> Result<Summary, WorkError> {
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        Host::open(self.place.config.clone(), world())?.run_once(world(), &mut rng)
    }

    pub fn run(&self) -> Summary {
        self.try_run().unwrap()
    }

    /// Proposed, prepared and authorized, not yet redeemed.
    pub fn authorized(&self, package: &str, to: &str) -> ChangeId {
        self.authorized_beside(package, to, 1)
    }

    /// The same, where that many proposals are to be prepared in all.
    pub fn authorized_beside(&self, package: &str, to: &str, prepared: usize) -> ChangeId {
        let change = self
            .gate
            .propose(proposal(&self.place.config, &[(package, to)]));
        let summary = self.run();
        assert_eq!((summary.prepared, summary.executed), (prepared, 0));
        self.gate.authorize(&change);
        change
    }

    /// The one receipt of a change, verified as the gate would.
    pub fn receipt(&self, change: &ChangeId) -> Receipt {
        let receipts = self.gate.change(change).receipts;
        assert_eq!(receipts.len(), 1);
        let roster =
            countersign_verify::roster::chain(&self.gate.genesis, &self.gate.state().roster);
        let receipt = countersign_verify::receipt::verify(&receipts[0], &roster.unwrap());
        receipt.unwrap().into_inner()
    }

    fn is_pristine(&self, name: &str) -> bool {
        let apt = self.place.apt();
        let digest = self.place.sandbox.digest(name, "1.0").unwrap();
        let artifact = Artifacts::new(&self.place.config.state_dir)
            .verified(&digest)
            .unwrap();
        apt.differences(&artifact).unwrap().is_empty()
            && self.place.version(name).as_deref() == Some("1.0")
    }
}

#[test]
fn a_warranted_upgrade_runs_and_is_settled_once() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    let summary = here.run();
    assert_eq!((summary.executed, summary.refused), (1, 0));
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.1"));
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::Succeeded, "{:?}", receipt.notes);
    assert_eq!(receipt.in_place.len(), 1);
    assert!(receipt.health[0].passed);
    assert_eq!(here.gate.change(&change).notices.len(), 1);
    assert!(here.gate.state().observations.len() >= 2);
    // The same warrant handed over again is not acted on again, and the receipt stands.
    here.gate.authorize(&change);
    assert_eq!(here.run().executed, 0);
    assert_eq!(here.gate.change(&change).receipts.len(), 1);
}

#[test]
fn a_failing_check_rolls_back_for_real() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-cache", "1.2");
    assert_eq!(here.run().executed, 1);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::RolledBack, "{:?}", receipt.notes);
    assert!(!receipt.health[0].passed && receipt.in_place.is_empty());
    assert!(
        receipt.notes[0].contains("cannot read"),
        "{:?}",
        receipt.notes
    );
    assert!(here.is_pristine("cs-cache"));
    let log = std::fs::read_to_string(here.place.sandbox.root().join("var/log/dpkg.log")).unwrap();
    assert!(
        log.contains("upgrade cs-cache:all 1.0 1.2")
            && log.contains("upgrade cs-cache:all 1.2 1.0")
    );
}

#[test]
fn a_removal_is_rolled_back_with_the_rest() {
    let here = deployment(|place| {
        let sick = CheckConfig {
            command: Some(vec!["/bin/false".into()]),
            http: None,
            tcp: None,
            timeout_seconds: 5,
            packages: vec![Pattern("cs-legacy".into())],
        };
        place
            .config
            .checks
            .insert("always-sick".parse().unwrap(), sick);
    });
    let change = here.authorized("cs-legacy", "1.1");
    assert_eq!(here.run().executed, 1);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::RolledBack, "{:?}", receipt.notes);
    assert!(here.is_pristine("cs-legacy") && here.is_pristine("cs-old"));
}

#[test]
fn without_a_way_back_a_failure_is_said_to_be_one() {
    let here = deployment(|place| {
        for check in place.config.checks.values_mut() {
            check.command = Some(vec!["/bin/false".into()]);
        }
    });
    let change = here.authorized("cs-tools", "1.1");
    assert_eq!(here.run().executed, 1);
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::Failed);
    assert_eq!(receipt.in_place.len(), 1);
    assert!(
        receipt
            .notes
            .iter()
            .any(|note| note.contains("no rollback artifact"))
    );
}

#[test]
fn a_swapped_artifact_is_refused_at_the_last_moment() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-lib", "1.1");
    let state_dir = &here.place.config.state_dir;
    here.place
        .sandbox
        .swap_retained(state_dir, "cs-lib", "1.1")
        .unwrap();
    here.run();
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(
        receipt.notes[0].contains("swapped or damaged"),
        "{:?}",
        receipt.notes
    );
    assert_eq!(here.place.version("cs-lib").as_deref(), Some("1.0"));
}

#[test]
fn a_host_that_changed_meanwhile_does_not_start() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    here.place.guard("observe");
    assert_eq!(
        here.place
            .sandbox
            .plain_install("cs-web")
            .unwrap()
            .exit_code,
        Some(0)
    );
    here.run();
    let receipt = here.receipt(&change);
    assert_eq!(receipt.ending, Ending::NeverStarted);
    assert!(receipt.notes[0].contains("1.1 now"), "{:?}", receipt.notes);
}

/// What a host refuses to act on, whatever the gate says: by attack.
#[test]
fn a_misbehaving_gate_is_not_obeyed() {
    type Attack = (&'static str, fn(&Gate), &'static str);
    let attacks: [Attack; 6] = [
        (
            "a halted deployment",
            |gate| gate.state().halted = true,
            "halt",
        ),
        (
            "a warrant that is not in the log",
            |gate| {
                gate.state().tamper_handover = Some(Box::new(|handover| {
                    let last = handover.proof.rfind('—').unwrap();
                    handover.proof.truncate(last);
                }));
            },
            "",
        ),
        (
            "a warrant for another plan",
            |gate| {
                gate.state().tamper_warrant = Some(Box::new(|warrant| {
                    warrant.authorization_details[0].plan_digest = Digest::of(b"other");
                }));
            },
            "plan",
        ),
        (
            "a warrant for another host",
            |gate| {
                gate.state().tamper_warrant = Some(Box::new(|warrant| {
                    warrant.aud = "other-1".parse().unwrap();
                    warrant.authorization_details[0].locations = vec!["other-1".parse().unwrap()];
                }));
            },
            "other-1",
        ),
        (
            "a warrant that ran out",
            |gate| {
                gate.state().tamper_warrant = Some(Box::new(|warrant| {
                    warrant.iat -= 5000;
                    warrant.nbf -= 5000;
                    warrant.exp -= 5000;
                    warrant.basis.approvers[0].at =
                        warrant.basis.approvers[0].at.plus_seconds(-9000);
                }));
            },
            "expired",
        ),
        (
            "a proposal that the agent did not sign",
            |gate| {
                gate.state().tamper_handover = Some(Box::new(|handover| {
                    handover.proposal.truncate(handover.proposal.len() - 4);
                    handover.proposal.push_str("AAAA");
                }));
            },
            "",
        ),
    ];
    for (attack, misbehave, said) in attacks {
        let here = deployment(|_| {});
        let change = here.authorized("cs-web", "1.1");
        misbehave(&here.gate);
        let summary = here.run();
        assert_eq!((summary.executed, summary.refused), (0, 1), "{attack}");
        assert_eq!(
            here.place.version("cs-web").as_deref(),
            Some("1.0"),
            "{attack}"
        );
        let receipt = here.receipt(&change);
        assert_eq!(receipt.ending, Ending::NeverStarted, "{attack}");
        assert!(
            receipt.notes[0].contains(said),
            "{attack}: {:?}",
            receipt.notes
        );
        assert!(here.gate.change(&change).notices.is_empty(), "{attack}");
    }
}

#[test]
fn a_receipt_waits_until_the_gate_takes_it() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    here.gate.state().receipts_fail = true;
    assert!(matches!(here.try_run(), Err(WorkError::Client(_))));
    assert!(here.gate.change(&change).receipts.is_empty());
    here.gate.state().receipts_fail = false;
    assert_eq!(here.run().executed, 0);
    assert_eq!(here.receipt(&change).ending, Ending::Succeeded);
}

#[test]
fn a_handover_lost_on_its_way_is_asked_for_again() {
    let here = deployment(|_| {});
    let change = here.authorized("cs-web", "1.1");
    here.gate.state().lose_handover = true;
    assert!(matches!(here.try_run(), Err(WorkError::Client(_))));
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    let warrant = here.gate.change(&change).warrant;
    assert_eq!(here.run().executed, 1);
    assert_eq!(here.receipt(&change).ending, Ending::Succeeded);
    assert_eq!(here.gate.change(&change).warrant, warrant);
}

/// What a crashed executor leaves behind: an intent, spent, without an end.
pub fn crash(here: &Deployment, change: &ChangeId) {
    let plan: countersign_domain::PreparedPlan = {
        let jws = here.gate.change(change).plan.unwrap();
        let parts = countersign_domain::jws::take_apart(&jws).unwrap();
        serde_json::from_slice(&parts.payload).unwrap()
    };
    let mut journal = Journal::open(&here.place.config.state_dir, now()).unwrap();
    let warrant = Digest::of(b"the warrant");
    let forward: Vec<_> = plan
        .steps
        .iter()
        .map(|step| step.transition.clone())
        .collect();
    let intent = Record::Intent {
        at: now(),
        warrant,
        jti: "jti".parse().unwrap(),
        change: change.clone(),
        plan: Digest::of(b"plan"),
        jws: String::new(),
        forward: forward.clone(),
        reverse: Vec::new(),
        session: Session {
            start_ticks: 1,
            ..Session::current().unwrap()
        },
        runner: Runner::Host,
        until: None,
        emergency: None,
        notice: "notice".into(),
    };
    journal.append(intent).unwrap();
    let spent = Record::Spent {
        at: now(),
        warrant,
        phase: Phase::Forward,
        transitions: forward,
        session: None,
    };
    journal.append(spent).unwrap();
}

#[test]
fn a_crash_is_settled_by_inspection_and_never_acted_on_again() {
    for (installed, expected) in [(false, Ending::RolledBack), (true, Ending::Succeeded)] {
        let here = deployment(|_| {});
        let change = here
            .gate
            .propose(proposal(&here.place.config, &[("cs-web", "1.1")]));
        here.run();
        crash(&here, &change);
        // While the intent is open, apt run by anybody else is refused all the same.
        assert_eq!(
            here.place
                .sandbox
                .plain_install("cs-web")
                .unwrap()
                .exit_code,
            Some(100)
        );
        if installed {
            here.place.guard("observe");
            here.place.sandbox.plain_install("cs-web").unwrap();
        }
        let before = here.place.version("cs-web");
        assert_eq!(here.run().executed, 0);
        assert_eq!(here.receipt(&change).ending, expected);
        assert_eq!(here.place.version("cs-web"), before);
    }
}

#[test]
fn a_host_that_is_not_admitted_says_what_to_type() {
    let place = place();
    let gate = Gate::start(&place.config.host, &place.config.deployment, now());
    let mut config = place.config.clone();
    config.server = gate.server.clone();
    assert!(
        enroll(&config, [7; 32], false)
            .unwrap_err()
            .to_string()
            .contains("pins")
    );
    config.genesis = gate.genesis;
    enroll(&config, [7; 32], false).unwrap();
    let mut host = Host::open(config, world()).unwrap();
    let error = host.run_once(world(), &mut rand::rngs::StdRng::seed_from_u64(1));
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("countersign roster add-host sandbox-1 --public-key"),
        "{error}"
    );
}
