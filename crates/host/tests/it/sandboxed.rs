//! The sandbox, observing and preparing in it, and the hook that guards it.

use countersign_domain::id::Nonce;
use countersign_domain::observation::{CveCoverage, PendingUpgrade};
use countersign_domain::plan::RollbackSource;
use countersign_domain::proposal::{
    Category, Claims, PackageRequest, RemediationPath, RollbackPlan,
};
use countersign_domain::{Digest, PreparedPlan, Proposal, Tier, Timestamp};
use countersign_host::apt::Apt;
use countersign_host::config::{Config, HookConfig, Pins};
use countersign_host::prepare::{PrepareError, prepare};
use countersign_host::progress::Progress;
use countersign_host::sandbox::Sandbox;
use countersign_host::{journal, observe};
use std::path::Path;

pub const NOW: &str = "2026-11-21T12:00:00Z";

pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// A sandbox with its host, configured and guarded.
pub struct Place {
    pub sandbox: Sandbox,
    pub config: Config,
    pub dir: tempfile::TempDir,
}

pub fn place() -> Place {
    let dir = tempfile::Builder::new()
        .prefix("cs-host-")
        .tempdir()
        .unwrap();
    let sandbox = Sandbox::build(&dir.path().join("sandbox")).unwrap();
    let config = Config {
        host: "sandbox-1".parse().unwrap(),
        deployment: "localhost/trial".parse().unwrap(),
        genesis: Digest::of(b"not enrolled"),
        server: "http://127.0.0.1:9".into(),
        state_dir: dir.path().join("state"),
        key_file: None,
        observe_seconds: 3600,
        plan_seconds: 3600,
        pins: Pins {
            tier: Tier::LOWEST,
            trial: true,
            required_humans: Vec::new(),
            emergency: Vec::new(),
            witness_quorum: 0,
            offline_start: false,
            lease_seconds_max: 60,
            clock_skew_seconds_max: 30,
        },
        apt: sandbox.apt_config(),
        checks: sandbox.checks(),
        recipes: std::collections::BTreeMap::new(),
        hook: HookConfig::default(),
        network: None,
    };
    config.check().unwrap();
    let place = Place {
        sandbox,
        config,
        dir,
    };
    place.write_config();
    place
}

impl Place {
    pub fn config_path(&self) -> std::path::PathBuf {
        self.dir.path().join("host.toml")
    }

    pub fn write_config(&self) {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::write(self.config_path(), self.config.to_toml().unwrap()).unwrap();
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(self.config_path(), private).unwrap();
    }

    pub fn guard(&self, mode: &str) {
        let config = self.config_path();
        let words = [
            env!("CARGO_BIN_EXE_countersign-host"),
            "apt-hook",
            "--config",
            config.to_str().unwrap(),
            "--mode",
            mode,
        ];
        self.sandbox.guard(&words.map(str::to_owned)).unwrap();
    }

    pub fn apt(&self) -> Apt {
        Apt::open(&self.config.apt, &self.config.state_dir).unwrap()
    }

    pub fn version(&self, name: &str) -> Option<String> {
        self.apt()
            .installed()
            .unwrap()
            .get(&name.parse().unwrap(), &"all".parse().unwrap())
            .map(|package| package.version.to_string())
    }
}

pub fn proposal(config: &Config, packages: &[(&str, &str)]) -> Proposal {
    Proposal {
        v: 1,
        deployment: config.deployment.clone(),
        agent: "patcher".parse().unwrap(),
        nonce: Nonce::new(format!("n-{}", packages[0].0)).unwrap(),
        proposed_at: now(),
        path: RemediationPath::Patch,
        category: Category::OsSecurity,
        waves: vec![vec![config.host.clone()]],
        packages: packages
            .iter()
            .map(|(name, to)| PackageRequest {
                name: name.parse().unwrap(),
                architecture: "all".parse().unwrap(),
                from: None,
                to: to.parse().unwrap(),
            })
            .collect(),
        checks: Vec::new(),
        recipe: None,
        rollback: RollbackPlan::ReverseTransitions,
        claims: Claims::default(),
        rationale: None,
    }
}

fn prepared(place: &Place, packages: &[(&str, &str)]) -> Result<PreparedPlan, PrepareError> {
    let proposal = proposal(&place.config, packages);
    let digest = countersign_domain::canonical::digest(&proposal).unwrap();
    prepare(&place.config, &place.apt(), &proposal, &digest, now())
}

#[test]
fn the_host_observes_what_is_really_pending() {
    let place = place();
    let observation =
        observe::observe(&place.config, &mut place.apt(), now(), Progress::silent()).unwrap();
    let pending = |name: &str| -> &PendingUpgrade {
        let found = observation
            .pending
            .iter()
            .find(|one| one.name.as_str() == name);
        found.unwrap_or_else(|| panic!("`{name}` in {:?}", observation.pending))
    };
    let names: Vec<_> = observation
        .pending
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    // Security updates first.
    assert_eq!(
        names,
        [
            "cs-cache",
            "cs-db",
            "cs-legacy",
            "cs-lib",
            "cs-web",
            "cs-tools"
        ]
    );
    let ids = |name: &str| match &pending(name).cves {
        CveCoverage::Read { ids } => ids.iter().map(ToString::to_string).collect::<Vec<_>>(),
        CveCoverage::Unknown { why } => panic!("{name}: {why}"),
    };
    assert_eq!(ids("cs-web"), ["CVE-2099-0001", "CVE-2099-0002"]);
    assert_eq!(ids("cs-tools"), [""; 0]);
    assert!(pending("cs-web").security && !pending("cs-tools").security);
    assert_eq!(pending("cs-web").origin, "Demo-Security:1/demo-security");
    assert_eq!(pending("cs-db").section.as_deref(), Some("database"));
    assert_eq!(pending("cs-web").rollback, RollbackSource::Mirror);
    assert_eq!(pending("cs-tools").rollback, RollbackSource::Unavailable);
    let legacy = &pending("cs-legacy").pulls_in;
    assert_eq!(legacy.len(), 1);
    assert_eq!((legacy[0].name.as_str(), &legacy[0].new), ("cs-old", &None));
    assert_eq!(observation.health.len(), 6);
    assert!(observation.health.iter().all(|health| health.passed));
    assert!(observation.gaps.is_empty(), "{:?}", observation.gaps);
    // A second look reads the changelogs from our own cache and says the same.
    let again = observe::observe(&place.config, &mut place.apt(), now(), Progress::silent());
    assert_eq!(again.unwrap().pending, observation.pending);
}

#[test]
fn a_plan_is_exact_and_retains_its_artifacts() {
    let place = place();
    let plan = prepared(&place, &[("cs-web", "1.1")]).unwrap();
    assert_eq!(plan.steps.len(), 1);
    let step = &plan.steps[0];
    assert_eq!(
        step.transition.sha256,
        place.sandbox.digest("cs-web", "1.1")
    );
    assert_eq!(
        step.reverse.transition.sha256,
        place.sandbox.digest("cs-web", "1.0")
    );
    assert!(step.fetched && step.reverse.stored && step.requested && step.security);
    assert_eq!(plan.checks.len(), 1);
    assert!(plan.limits.is_empty());
    let artifacts = countersign_host::artifact::Artifacts::new(&place.config.state_dir);
    for digest in [step.transition.sha256, step.reverse.transition.sha256] {
        assert!(artifacts.verified(&digest.unwrap()).is_ok());
    }

    let removing = prepared(&place, &[("cs-legacy", "1.1")]).unwrap();
    assert_eq!(removing.steps.len(), 2);
    assert_eq!(removing.rollback(), RollbackSource::Mirror);

    let no_way_back = prepared(&place, &[("cs-tools", "1.1")]).unwrap();
    assert_eq!(no_way_back.rollback(), RollbackSource::Unavailable);
    assert!(
        no_way_back.steps[0]
            .reverse
            .note
            .as_ref()
            .unwrap()
            .contains("no archive")
    );
}

#[test]
fn what_cannot_be_prepared_says_why() {
    let place = place();
    let why = |packages: &[(&str, &str)]| prepared(&place, packages).unwrap_err().to_string();
    assert!(why(&[("cs-web", "9.9")]).contains("9.9"));
    assert!(why(&[("no-such-package", "1.0")]).contains("no-such-package"));
    assert!(why(&[("cs-web", "1.0")]).contains("no upgrade"));
    assert!(why(&[("cs-web", "1.1-")]).contains("misread"));
    let mut other = proposal(&place.config, &[("cs-web", "1.1")]);
    other.checks = vec!["no-such-check".parse().unwrap()];
    let error = prepare(&place.config, &place.apt(), &other, &Digest::of(b""), now());
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("no check `no-such-check`")
    );
}

#[test]
fn a_host_that_only_observes_fetches_nothing() {
    let mut place = place();
    place.config.apt.execute = false;
    let plan = prepared(&place, &[("cs-web", "1.1")]).unwrap();
    let step = &plan.steps[0];
    assert!(!step.fetched && !step.reverse.stored);
    assert_eq!(
        step.transition.sha256,
        place.sandbox.digest("cs-web", "1.1")
    );
    assert!(plan.limits[0].contains("only observes"));
    assert!(!place.config.state_dir.join("artifacts").exists());
}

fn refusals(place: &Place) -> String {
    std::fs::read_to_string(place.config.state_dir.join("refusals.jsonl")).unwrap_or_default()
}

#[test]
fn a_plain_apt_get_is_refused_and_changes_nothing() {
    let place = place();
    place.guard("enforce");
    let run = place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert!(
        run.said.contains("no warrant is being acted on"),
        "{}",
        run.said
    );
    assert_eq!(place.version("cs-web").as_deref(), Some("1.0"));
    assert!(refusals(&place).contains("\"refused\""));
    // A pure removal is seen as well.
    let run = place.sandbox.plain_install("cs-old-").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert_eq!(place.version("cs-old").as_deref(), Some("1.0"));
}

#[test]
fn an_observing_hook_reports_and_lets_pass() {
    let place = place();
    place.guard("observe");
    let run = place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(0), "{}", run.said);
    assert_eq!(place.version("cs-web").as_deref(), Some("1.1"));
    assert!(refusals(&place).contains("\"observed\""));
}

#[test]
fn a_missing_hook_or_configuration_fails_closed() {
    let place = place();
    let missing = place.dir.path().join("no-such-hook");
    place
        .sandbox
        .guard(&[missing.display().to_string()])
        .unwrap();
    let run = place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    place.guard("enforce");
    std::fs::remove_file(place.config_path()).unwrap();
    let run = place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert_eq!(place.version("cs-web").as_deref(), Some("1.0"));
}

#[test]
fn a_damaged_journal_refuses_everything() {
    let place = place();
    place.guard("enforce");
    let path = journal::path(&place.config.state_dir);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "0000002 sha256:00 {}\n").unwrap();
    let run = place.sandbox.plain_install("cs-web").unwrap();
    assert_eq!(run.exit_code, Some(100), "{}", run.said);
    assert!(run.said.contains("damaged"), "{}", run.said);
}

#[test]
fn a_sandbox_is_only_ever_in_a_folder_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("precious"), "x").unwrap();
    assert!(Sandbox::build(dir.path()).is_err());
    assert!(Sandbox::build(Path::new("relative")).is_err());
    assert!(Sandbox::build(&dir.path().join("with space")).is_err());
    assert!(dir.path().join("precious").exists());
    // Ours is built anew.
    let ours = dir.path().join("ours");
    Sandbox::build(&ours).unwrap();
    Sandbox::build(&ours).unwrap();
}
