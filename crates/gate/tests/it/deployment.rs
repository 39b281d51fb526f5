//! Roster, policy, inventory, feeds: each is a change too.

use crate::fixture::*;
use countersign_domain::roster::{Operation, SignedRosterChange};
use countersign_domain::statement::Subject;
use countersign_domain::{ChangeState, Digest, Environment, PersonId, RosterChange, canonical};
use countersign_facts::Inventory;
use countersign_gate::{FeedImport, GateError, InventoryChange, PolicyChange};
use countersign_policy::PolicySource;
use countersign_store::Log;
use pollster::block_on;

pub fn change_roster(
    world: &World,
    signer: &str,
    operations: Vec<Operation>,
) -> Result<u64, GateError> {
    let roster = world.gate.world()?.roster.clone();
    let change = RosterChange {
        v: 1,
        deployment: world.deployment(),
        trial: roster.trial,
        version: roster.version + 1,
        previous: Some(roster.head),
        at: world.now,
        operations,
    };
    let subject = Subject::Roster {
        change: canonical::digest(&change).unwrap(),
        version: change.version,
    };
    let signed = SignedRosterChange {
        change: canonical::to_text(&change).unwrap(),
        statements: vec![world.sign(signer, subject)],
    };
    block_on(world.gate.change_roster(signed, Vec::new(), world.now))
}

#[test]
fn only_the_threshold_changes_the_roster() {
    let world = World::new(&["web-1"]);
    let revoke = || {
        vec![Operation::RevokeKey {
            fingerprint: fingerprint("omar"),
        }]
    };
    assert!(change_roster(&world, "omar", revoke()).is_err());
    assert_eq!(change_roster(&world, "maria", revoke()).unwrap(), 2);
    // A revoked key signs nothing any more.
    let subject = Subject::Halt {
        halt: countersign_domain::statement::HaltScope::Everything,
    };
    let signed = world.sign("omar", subject);
    assert!(matches!(
        block_on(world.gate.halt(signed, world.now)),
        Err(GateError::Unproven(_))
    ));
}

#[test]
fn a_policy_that_does_not_validate_leaves_the_old_in_force() {
    let world = World::new(&["web-1"]);
    let before = world
        .gate
        .world()
        .unwrap()
        .policy
        .as_ref()
        .unwrap()
        .record
        .clone();
    let mut files = countersign_policy::starter().files().clone();
    files.insert(
        "rules/bad.cedar".into(),
        b"@id(\"X\") permit (principal, action, resource) when { context.nonsense };".to_vec(),
    );
    let source = PolicySource::new(files).unwrap();
    let subject = Subject::Policy {
        policy: source.digest(),
        version: 2,
        authors: Vec::new(),
    };
    let change = PolicyChange {
        statements: vec![world.sign("chen", subject)],
        source,
        authors: Vec::new(),
    };
    assert!(matches!(
        block_on(world.gate.change_policy(change, world.now)),
        Err(GateError::Policy(_))
    ));
    assert_eq!(
        world.gate.world().unwrap().policy.as_ref().unwrap().record,
        before
    );
    assert_eq!(
        world.prepared("openssl", &[&["web-1"]]).state,
        ChangeState::Authorized
    );
}

#[test]
fn nobody_approves_a_policy_that_they_wrote() {
    let world = World::new(&["web-1"]);
    let source = countersign_policy::starter_for(&person("maria"));
    let sign = |signed: Vec<PersonId>, said: Vec<PersonId>| {
        let subject = Subject::Policy {
            policy: source.digest(),
            version: 2,
            authors: signed,
        };
        let change = PolicyChange {
            statements: vec![world.sign("maria", subject)],
            source: source.clone(),
            authors: said,
        };
        block_on(world.gate.change_policy(change, world.now))
    };
    let author = vec![person("maria")];
    let error = sign(author.clone(), author.clone()).unwrap_err();
    assert!(matches!(error, GateError::Forbidden(_)), "{error}");
    // Who wrote it is signed too: whoever hands it in cannot change that.
    assert!(matches!(
        sign(author, Vec::new()),
        Err(GateError::Invalid { .. })
    ));
}

#[test]
fn a_lapsed_policy_asks_for_everything() {
    let mut world = World::new(&["web-1"]);
    world.now = world.now.plus_seconds(93 * 86_400);
    world.observe("web-1", countersign_domain::plan::RollbackSource::Mirror);
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert_eq!(
        change.state,
        ChangeState::AwaitingApproval,
        "{:?}",
        change.reasons
    );
    world.sign_policy().unwrap();
    assert_eq!(
        world.prepared("openssl", &[&["web-1"]]).state,
        ChangeState::Authorized
    );
}

#[test]
fn an_inventory_that_raises_authority_needs_signatures() {
    let world = World::new(&["web-1"]);
    let replace = |tier, signer: Option<&str>| {
        let assets = [asset("web-1", Environment::Production, tier)];
        let bytes = Inventory::from_assets(assets)
            .to_toml()
            .unwrap()
            .into_bytes();
        let subject = Subject::Inventory {
            inventory: Digest::of(&bytes),
        };
        let statements = signer
            .map(|name| world.sign(name, subject))
            .into_iter()
            .collect();
        block_on(
            world
                .gate
                .change_inventory(InventoryChange { bytes, statements }, world.now),
        )
    };
    assert!(
        matches!(replace(0, None), Err(GateError::Unproven(_))),
        "nobody signed"
    );
    assert!(
        replace(0, Some("chen")).unwrap().is_empty(),
        "stricter needs one"
    );
    assert!(matches!(
        replace(4, Some("omar")),
        Err(GateError::Forbidden(_))
    ));
    assert!(!replace(4, Some("maria")).unwrap().is_empty());
}

#[test]
fn a_broken_feed_imports_nothing_and_a_good_one_becomes_a_fact() {
    let world = World::new(&["web-1"]);
    let import = |text: &str| {
        let import = FeedImport {
            bytes: text.as_bytes().to_vec(),
            source: "test".into(),
            live: true,
        };
        block_on(world.gate.import_feed(import, world.now))
    };
    let size = world.gate.store().checkpoint(Log::Authorizations).0;
    assert!(import("{\"vulnerabilities\": 7}").is_err());
    assert_eq!(size, world.gate.store().checkpoint(Log::Authorizations).0);
    let kev = r#"{"title":"CISA Catalog of Known Exploited Vulnerabilities","catalogVersion":"2026.11.20",
        "dateReleased":"2026-11-20T10:00:00.0000Z","count":1,"vulnerabilities":[{"cveID":"CVE-2024-0001",
        "vendorProject":"x","product":"y","vulnerabilityName":"z","dateAdded":"2026-11-19",
        "shortDescription":"d","requiredAction":"a","dueDate":"2026-12-10",
        "knownRansomwareCampaignUse":"Unknown","notes":"","cwes":[]}]}"#;
    assert_eq!(import(kev).unwrap(), ("cisa-kev".into(), 1));
    let findings = world.gate.findings(world.now).unwrap();
    let exploited: Vec<_> = findings
        .iter()
        .filter(|finding| finding.vulnerability.kev.fresh() == Some(&true))
        .map(|finding| finding.package.as_str())
        .collect();
    assert_eq!(exploited, ["openssl"]);
    let change = world.prepared("openssl", &[&["web-1"]]);
    assert!(
        change.rules.iter().any(|rule| rule.as_str() == "SA-210"),
        "{:?}",
        change.rules
    );
}

#[test]
fn a_deployment_is_founded_once() {
    let world = World::new(&["web-1"]);
    let signed = world.gate.roster_after(0).unwrap().remove(0);
    assert!(block_on(world.gate.found(signed, Vec::new(), world.now)).is_err());
}

#[test]
fn a_change_is_of_the_owner_that_the_roster_names_then() {
    let world = World::new(&["web-1"]);
    let owner = |package: &str| {
        let proposed = world.submit(&world.proposal(package, &[&["web-1"]]))?;
        Ok::<_, GateError>(world.gate.change(&proposed.change).unwrap().owner)
    };
    assert_eq!(owner("openssl").unwrap(), person("ana"));
    let moved = Operation::SetAgent {
        agent: agent(),
        owner: person("omar"),
        public_key: countersign_gate::found::hex_key(&key(AGENT)),
    };
    change_roster(&world, "maria", vec![moved]).unwrap();
    assert_eq!(owner("openssl").unwrap(), person("omar"));
    let removed = Operation::RemoveAgent { agent: agent() };
    change_roster(&world, "maria", vec![removed]).unwrap();
    assert!(owner("openssl").is_err());
    let report = countersign_store::rebuild(
        &database(&world),
        countersign_store::Apply::No,
        &mut |tx, index, bytes| countersign_gate::fold::apply(tx, index, bytes),
    );
    assert_eq!(report.unwrap().differences, Vec::new());
}
