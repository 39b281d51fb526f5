//! Break-glass on real apt, without a gate: the pinned quorum's signatures are enough, and nothing else
//! is. The gate of these tests is down while the host acts.

use crate::gate::person;
use crate::loop_end_to_end::{Deployment, deployment, world};
use crate::sandboxed::now;
use countersign_domain::emergency::{EMERGENCY_BYTES_MAX, EmergencyBundle};
use countersign_domain::receipt::Ending;
use countersign_domain::roster::Operation;
use countersign_domain::statement::{SSH_NAMESPACE, Subject};
use countersign_domain::{
    Digest, GroupQuorum, Nonce, SignedStatement, Statement, Timestamp, canonical,
};
use countersign_host::config::Config;
use countersign_host::journal;
use countersign_host::progress::Progress;
use countersign_host::work::emergency::{Asked, EmergencyError, read_bundles};
use countersign_host::work::{Host, World};
use rand::SeedableRng as _;

/// A host whose configuration pins two of the group `oncall`, and whose gate is gone by now.
fn pinned() -> Deployment {
    let here = deployment(|place| {
        place.config.pins.emergency = vec![GroupQuorum {
            group: "oncall".parse().unwrap(),
            quorum: 2,
        }];
    });
    let mut operations = Vec::new();
    for name in ["ana", "ben", "eve"] {
        let id: countersign_domain::PersonId = name.parse().unwrap();
        operations.push(Operation::AddPerson {
            person: id.clone(),
            name: Digest::of(name.as_bytes()),
        });
        operations.push(Operation::AddKey {
            person: id,
            fingerprint: person(name)
                .fingerprint(ssh_key::HashAlg::Sha256)
                .to_string(),
            public_key: person(name)
                .public_key()
                .to_openssh()
                .unwrap()
                .trim_end()
                .to_owned(),
        });
    }
    // Eve is in the roster, and not on call.
    operations.push(Operation::SetGroup {
        group: "oncall".parse().unwrap(),
        members: ["ana".parse().unwrap(), "ben".parse().unwrap()].into(),
    });
    here.gate.change_roster(operations);
    here.run();
    here
}

/// The configuration of a host that reaches no gate.
fn offline(here: &Deployment) -> Config {
    let mut config = here.place.config.clone();
    config.server = "http://127.0.0.1:9".into();
    config
}

fn prepare(here: &Deployment, asked: &str) -> EmergencyBundle {
    let mut rng = rand::rngs::StdRng::seed_from_u64(9);
    let asked: Asked = asked.parse().unwrap();
    Host::open(offline(here), world())
        .unwrap()
        .prepare_emergency(world(), &mut rng, &[asked])
        .unwrap()
}

fn subject(bundle: &EmergencyBundle) -> Subject {
    Subject::Emergency {
        host: bundle.order.host.clone(),
        order: bundle.order.digest().unwrap(),
        plan: canonical::digest(&bundle.plan).unwrap(),
        reason: None,
    }
}

fn state(name: &str, bundle: &EmergencyBundle, subject: Subject, at: Timestamp) -> SignedStatement {
    let key = person(name);
    let statement = Statement {
        v: 1,
        deployment: bundle.order.deployment.clone(),
        approver: name.parse().unwrap(),
        credential: key.fingerprint(ssh_key::HashAlg::Sha256).to_string(),
        roster_version: bundle.roster_version,
        nonce: Nonce::new(format!("nonce-of-{name}")).unwrap(),
        signed_at: at,
        not_after: at.plus_seconds(7 * 86_400),
        subject,
    };
    let statement = canonical::to_text(&statement).unwrap();
    let signature = key
        .sign(
            SSH_NAMESPACE,
            ssh_key::HashAlg::Sha512,
            statement.as_bytes(),
        )
        .unwrap()
        .to_pem(ssh_key::LineEnding::LF)
        .unwrap();
    SignedStatement {
        statement,
        signature,
    }
}

fn sign(bundle: &mut EmergencyBundle, names: &[&str]) {
    for name in names {
        let signed = state(name, bundle, subject(bundle), now());
        bundle.statements.push(signed);
    }
}

fn act_at(
    here: &Deployment,
    bundle: &EmergencyBundle,
    at: Timestamp,
) -> Result<Ending, EmergencyError> {
    let clock = move || at;
    let world = World {
        clock: &clock,
        progress: Progress::silent(),
    };
    let mut host = Host::open(offline(here), world).unwrap();
    host.run_emergency(world, bundle)
        .map(|receipt| receipt.ending)
}

fn act(here: &Deployment, bundle: &EmergencyBundle) -> Result<Ending, EmergencyError> {
    act_at(here, bundle, now())
}

fn upgrades(here: &Deployment, line: &str) -> usize {
    let log = here.place.sandbox.root().join("var/log/dpkg.log");
    std::fs::read_to_string(log).unwrap().matches(line).count()
}

#[test]
fn the_pinned_quorum_breaks_the_glass_without_a_gate_and_once() {
    let here = pinned();
    // A halt is the gate's word; nobody hears it here.
    here.gate.state().halted = true;
    let mut bundle = prepare(&here, "cs-web=1.1");
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    sign(&mut bundle, &["ana", "ben"]);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::Succeeded);
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.1"));
    let journalled = journal::read(&here.place.config.state_dir).unwrap();
    let execution = journalled.get(&bundle.order.digest().unwrap()).unwrap();
    assert!(execution.is_emergency());
    assert_eq!(execution.change, bundle.order.change().unwrap());
    // What was signed is kept, and the receipt waits for the gate.
    let kept = execution.intended.as_ref().unwrap().emergency.unwrap();
    let name = format!("{}.json", kept.to_string().replace("sha256:", ""));
    let kept = here.place.config.state_dir.join("emergencies").join(name);
    assert_eq!(
        std::fs::read(kept).unwrap(),
        canonical::to_bytes(&bundle).unwrap()
    );
    assert_eq!(journalled.undelivered().count(), 1);
    // A replay is refused, and so is the order with other signatures around it.
    assert!(matches!(act(&here, &bundle), Err(EmergencyError::Spent)));
    bundle.statements.reverse();
    assert!(matches!(act(&here, &bundle), Err(EmergencyError::Spent)));
    assert_eq!(upgrades(&here, "upgrade cs-web:all 1.0 1.1"), 1);
}

#[test]
fn a_broken_glass_rolls_back_like_anything_else() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-cache=1.2");
    sign(&mut bundle, &["ben", "ana"]);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::RolledBack);
    assert_eq!(here.place.version("cs-cache").as_deref(), Some("1.0"));
    assert!(matches!(act(&here, &bundle), Err(EmergencyError::Spent)));
}

#[test]
fn whatever_is_not_what_the_pinned_quorum_signed_is_refused_and_spends_nothing() {
    type Attack = (
        &'static str,
        fn(&Deployment, &mut EmergencyBundle),
        &'static str,
    );
    let attacks: [Attack; 11] = [
        (
            "nobody signed",
            |_, bundle| bundle.statements.clear(),
            "has to sign",
        ),
        (
            "one signed",
            |_, bundle| bundle.statements.truncate(1),
            "has to sign",
        ),
        (
            "one signed twice",
            |_, bundle| {
                bundle.statements.truncate(1);
                sign(bundle, &["ana"]);
            },
            "has to sign",
        ),
        (
            "the other is not on call",
            |_, bundle| {
                bundle.statements.truncate(1);
                sign(bundle, &["eve"]);
            },
            "has to sign",
        ),
        (
            "a forged signature",
            |_, bundle| {
                let other = bundle.statements[0].signature.clone();
                bundle.statements[1].signature = other;
            },
            "did not count",
        ),
        (
            "an altered statement",
            |_, bundle| {
                let text = &mut bundle.statements[1].statement;
                *text = text.replace("nonce-of-ben", "nonce-of-bem");
            },
            "did not count",
        ),
        (
            "signatures for another order",
            |here, bundle| {
                let mut other = prepare(here, "cs-db=1.1");
                sign(&mut other, &["ana", "ben"]);
                bundle.statements = other.statements;
            },
            "did not count",
        ),
        (
            "signatures over another plan for the same order",
            |_, bundle| {
                let mut wanted = subject(bundle);
                if let Subject::Emergency { plan, .. } = &mut wanted {
                    *plan = Digest::of(b"another");
                }
                bundle.statements = ["ana", "ben"]
                    .map(|name| state(name, bundle, wanted.clone(), now()))
                    .to_vec();
            },
            "did not count",
        ),
        (
            "another package in the order",
            |_, bundle| {
                bundle.order.packages[0].to = "1.2".parse().unwrap();
                bundle.statements.clear();
                sign(bundle, &["ana", "ben"]);
            },
            "another order",
        ),
        (
            "a plan that this host did not make",
            |_, bundle| {
                bundle.plan.steps[0].transition.sha256 = Some(Digest::of(b"evil"));
                bundle.statements.clear();
                sign(bundle, &["ana", "ben"]);
            },
            "holds no plan",
        ),
        (
            "an order for another host",
            |_, bundle| {
                bundle.order.host = "other-1".parse().unwrap();
                bundle.statements.clear();
                sign(bundle, &["ana", "ben"]);
            },
            "other-1",
        ),
    ];
    let here = pinned();
    let mut good = prepare(&here, "cs-web=1.1");
    sign(&mut good, &["ana", "ben"]);
    for (attack, alter, said) in attacks {
        let mut bundle = good.clone();
        alter(&here, &mut bundle);
        let error = act(&here, &bundle).unwrap_err().to_string();
        assert!(error.contains(said), "{attack}: {error}");
        assert_eq!(
            here.place.version("cs-web").as_deref(),
            Some("1.0"),
            "{attack}"
        );
    }
    // Too late: a day after it was signed, and once the plan has expired.
    let late = act_at(&here, &good, now().plus_seconds(86_401)).unwrap_err();
    assert!(matches!(late, EmergencyError::Refused(_)), "{late}");
    let late = act_at(&here, &good, now().plus_seconds(3_601)).unwrap_err();
    assert!(late.to_string().contains("expired"), "{late}");
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.executions().count(), 0);
    // None of it spent anything.
    assert_eq!(act(&here, &good).unwrap(), Ending::Succeeded);
}

#[test]
fn an_order_of_before_the_journal_began_is_not_acted_on() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::Succeeded);
    let path = journal::path(&here.place.config.state_dir);
    std::fs::rename(&path, path.with_extension("aside")).unwrap();
    // Put back by hand, so that only the journal could have known.
    here.place.guard("observe");
    let back = here.place.sandbox.plain_downgrade("cs-web=1.0").unwrap();
    assert_eq!(back.exit_code, Some(0), "{}", back.said);
    let later = now().plus_seconds(60);
    let error = act_at(&here, &bundle, later).unwrap_err();
    assert!(
        matches!(error, EmergencyError::OlderThanJournal { .. }),
        "{error}"
    );
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
}

#[test]
fn a_host_that_changed_since_does_not_start_and_spends_nothing() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-lib=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    let state_dir = &here.place.config.state_dir;
    here.place
        .sandbox
        .swap_retained(state_dir, "cs-lib", "1.1")
        .unwrap();
    let error = act(&here, &bundle).unwrap_err();
    assert!(
        matches!(&error, EmergencyError::NotStarted(reasons) if reasons[0].contains("swapped")),
        "{error}"
    );
    let state = journal::read(state_dir).unwrap();
    assert_eq!(state.executions().count(), 0);
}

#[test]
fn who_pins_nobody_prepares_and_runs_nothing() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    let mut config = offline(&here);
    config.pins.emergency.clear();
    let mut host = Host::open(config, world()).unwrap();
    let mut rng = rand::rngs::StdRng::seed_from_u64(9);
    let asked: Asked = "cs-web=1.1".parse().unwrap();
    let error = host.prepare_emergency(world(), &mut rng, &[asked]);
    assert!(matches!(error, Err(EmergencyError::NotPinned)));
    let error = host.run_emergency(world(), &bundle).unwrap_err();
    assert!(error.to_string().contains("pins nobody"), "{error}");
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
}

/// Statements that nobody signed, as large as a file takes them.
fn padding(count: usize) -> Vec<SignedStatement> {
    (0..count)
        .map(|n| SignedStatement {
            statement: format!("{n}{}", "x".repeat(60 * 1024)),
            signature: String::new(),
        })
        .collect()
}

#[test]
fn padding_beside_what_the_quorum_signed_keeps_no_emergency_from_the_gate() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    // Ana's first, hers again with another nonce, and more than the gate would take.
    sign(&mut bundle, &["ana"]);
    sign(&mut bundle, &["ana"]);
    bundle.statements[1] = state("ana", &bundle, subject(&bundle), now().plus_seconds(-60));
    // Hers once more, as anybody could stretch it without breaking it, and before the others.
    let mut stretched = bundle.statements[0].clone();
    stretched.signature.push_str(&"\n".repeat(7 * 1024));
    bundle.statements.insert(0, stretched);
    bundle.statements.extend(padding(12));
    sign(&mut bundle, &["ben"]);
    let signed: Vec<_> = [1, 15].map(|n| bundle.statements[n].clone()).into();
    assert!(canonical::to_bytes(&bundle).unwrap().len() > EMERGENCY_BYTES_MAX);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::Succeeded);
    here.run();
    let handed = here.gate.state().emergencies[0].clone();
    let taken: EmergencyBundle = serde_json::from_value(handed["bundle"].clone()).unwrap();
    assert_eq!(taken.statements, signed);
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.undelivered().count(), 0);
}

#[test]
fn what_could_not_be_recorded_is_refused_before_anything_is_done() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    // As long as a statement may be: they count, and two take more than an entry has room for.
    for signed in &mut bundle.statements {
        signed.signature.push_str(&"\n".repeat(7 * 1024));
    }
    let error = act(&here, &bundle).unwrap_err();
    assert!(
        matches!(error, EmergencyError::TooLarge { bytes, .. } if bytes > 28 * 1024),
        "{error}"
    );
    assert_eq!(here.place.version("cs-web").as_deref(), Some("1.0"));
    let state = journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(state.executions().count(), 0);
}

#[test]
fn an_emergency_whose_bundle_is_lost_waits_and_stops_nothing_else() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::Succeeded);
    let kept = here.place.config.state_dir.join("emergencies");
    let aside = kept.with_extension("aside");
    std::fs::rename(&kept, &aside).unwrap();
    let change = here.authorized("cs-db", "1.1");
    assert_eq!(here.run().executed, 1);
    assert_eq!(here.receipt(&change).ending, Ending::Succeeded);
    assert!(here.gate.state().emergencies.is_empty());
    // Put back, it is handed in.
    std::fs::rename(&aside, &kept).unwrap();
    here.run();
    assert_eq!(here.gate.state().emergencies.len(), 1);
}

#[test]
fn an_emergency_is_handed_in_again_at_each_start_and_daily_whatever_was_answered() {
    let here = pinned();
    let mut bundle = prepare(&here, "cs-web=1.1");
    sign(&mut bundle, &["ana", "ben"]);
    assert_eq!(act(&here, &bundle).unwrap(), Ending::Succeeded);
    // What a captured network process would answer: no, for good.
    let refused = ("emergencies".to_owned(), (409, "conflict"));
    here.gate.state().refuse.extend([refused]);
    here.run();
    let read = || journal::read(&here.place.config.state_dir).unwrap();
    assert_eq!(read().undelivered().count(), 0);
    here.gate.state().refuse.clear();
    let handed = || here.gate.state().emergencies.len();
    here.run();
    assert_eq!(handed(), 1);
    let order = bundle.order.digest().unwrap();
    let settlement = read().get(&order).unwrap().settlement.clone().unwrap();
    assert!(settlement.delivered && settlement.refused.is_some());
    // The answer to that may be forged too: again, at the next start and a day later.
    let seconds = std::sync::atomic::AtomicI64::new(0);
    let clock = || now().plus_seconds(seconds.load(std::sync::atomic::Ordering::SeqCst));
    let world = World {
        clock: &clock,
        progress: Progress::silent(),
    };
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    let mut host = Host::open(here.place.config.clone(), world).unwrap();
    for (later, count) in [(0, 2), (86_399, 2), (86_400, 3)] {
        seconds.store(later, std::sync::atomic::Ordering::SeqCst);
        host.run_once(world, &mut rng).unwrap();
        assert_eq!(handed(), count, "{later}");
    }
    let before = std::fs::read(journal::path(&here.place.config.state_dir)).unwrap();
    seconds.store(2 * 86_400, std::sync::atomic::Ordering::SeqCst);
    host.run_once(world, &mut rng).unwrap();
    // Which takes no room in the journal.
    let after = std::fs::read(journal::path(&here.place.config.state_dir)).unwrap();
    assert_eq!((handed(), before == after), (4, true));
}

#[test]
fn copies_that_were_signed_apart_are_read_as_one() {
    let here = pinned();
    let bundle = prepare(&here, "cs-web=1.1");
    let other = prepare(&here, "cs-db=1.1");
    let write = |name: &str, bundle: &EmergencyBundle, signers: &[&str]| {
        let mut bundle = bundle.clone();
        sign(&mut bundle, signers);
        let path = here.place.dir.path().join(name);
        std::fs::write(&path, serde_json::to_vec_pretty(&bundle).unwrap()).unwrap();
        path
    };
    let (ana, ben) = (
        write("ana", &bundle, &["ana"]),
        write("ben", &bundle, &["ben"]),
    );
    let both = read_bundles(&[ana.clone(), ben, ana.clone()]).unwrap();
    assert_eq!(both.statements.len(), 2);
    let mixed = read_bundles(&[ana.clone(), write("other", &other, &["ben"])]);
    assert!(mixed.unwrap_err().to_string().contains("another order"));
    std::fs::write(&ana, vec![b' '; 600 * 1024]).unwrap();
    assert!(read_bundles(&[ana]).is_err());
    assert_eq!(act(&here, &both).unwrap(), Ending::Succeeded);
}
