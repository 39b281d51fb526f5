//! Data directories: founding, opening, and what is refused.

use crate::app::{TestApp, founding, person};
use crate::program::{command, countersign};
use countersign::deployment::{Deployment, DeploymentError};
use countersign::serve::{Reach, ServeError, Server};
use countersign::signing::SshKey;
use countersign_store::OpenError;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

fn problem(dir: &std::path::Path) -> DeploymentError {
    match Deployment::open(dir) {
        Err(error) => error,
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn a_directory_is_private_and_opens_again() {
    let app = TestApp::founded();
    for name in [
        "",
        "keys",
        "keys/warrant.seed",
        "operator.token",
        "countersign.db",
    ] {
        let mode = fs::metadata(app.dir().join(name))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{name}");
    }
    // Nothing of the founding is left beside it.
    assert_eq!(fs::read_dir(app.folder.path()).unwrap().count(), 1);
    drop(Deployment::open(&app.dir()).unwrap());
}

#[test]
fn founding_never_overwrites_and_leaves_nothing_half_made() {
    let app = TestApp::founded();
    let key = SshKey::generate().unwrap();
    let again = Deployment::create(
        &app.dir(),
        founding(true, &key),
        &[(person("ada"), &key)],
        None,
    );
    assert!(matches!(again, Err(DeploymentError::Occupied(_))));
    // Signed by somebody who is not in it: refused, and the directory is not there.
    let other = SshKey::generate().unwrap();
    let dir = app.folder.path().join("forged");
    let forged = Deployment::create(&dir, founding(true, &key), &[(person("ada"), &other)], None);
    assert!(forged.is_err());
    assert_eq!(fs::read_dir(app.folder.path()).unwrap().count(), 1);
}

#[test]
fn another_deployments_parts_are_refused() {
    let (one, other) = (TestApp::founded(), TestApp::founded());
    assert!(matches!(
        problem(&one.folder.path().join("none")),
        DeploymentError::Absent(_)
    ));
    // The log of one with the keys of the other.
    fs::copy(
        other.dir().join("countersign.db"),
        one.dir().join("countersign.db"),
    )
    .unwrap();
    let error = problem(&one.dir());
    assert!(
        matches!(
            error,
            DeploymentError::Open(OpenError::OtherDeployment { .. })
        ),
        "{error}"
    );
    // Everything of one but the warrant key.
    let third = TestApp::founded();
    fs::copy(
        other.dir().join("keys/warrant.seed"),
        third.dir().join("keys/warrant.seed"),
    )
    .unwrap();
    let error = problem(&third.dir());
    assert!(matches!(error, DeploymentError::Other { .. }), "{error}");
    // Without its log it is damaged, not new.
    fs::remove_file(third.dir().join("countersign.db")).unwrap();
    assert!(matches!(
        problem(&third.dir()),
        DeploymentError::Damaged { .. }
    ));
    let ran = countersign(&third.dir(), &["halt", "list"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("backup"), "{}", ran.stderr);
}

#[test]
fn a_newer_form_is_left_alone() {
    let app = TestApp::founded();
    let path = app.dir().join("deployment.toml");
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("form = 1", "form = 2\nnovel = true");
    fs::write(&path, text).unwrap();
    assert!(matches!(
        problem(&app.dir()),
        DeploymentError::Newer { found: 2, .. }
    ));
    let ran = countersign(&app.dir(), &["roster", "show"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("newer program"), "{}", ran.stderr);
}

#[test]
fn secrets_that_others_can_read_are_refused() {
    let app = TestApp::founded();
    let path = app.dir().join("keys/warrant.seed");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = problem(&app.dir());
    assert!(matches!(error, DeploymentError::Exposed { .. }), "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn a_port_in_use_is_named() {
    let app = TestApp::founded();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let deployment = Deployment::open(&app.dir()).unwrap();
    let error = match Server::start(deployment, Reach::at(address)) {
        Err(error) => error,
        Ok(_) => panic!("started"),
    };
    assert!(matches!(error, ServeError::PortInUse { .. }));
    let ran = countersign(&app.dir(), &["serve", "--listen", &address.to_string()]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains(&address.port().to_string()),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--listen"), "{}", ran.stderr);
    // The failed attempts did not keep the directory, nor announce a server.
    assert!(!app.dir().join("server.json").exists());
    drop(Deployment::open(&app.dir()).unwrap());
}

#[test]
fn the_network_needs_a_flag() {
    let app = TestApp::founded();
    let ran = countersign(&app.dir(), &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("--allow-remote") && ran.stderr.contains("TLS"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_served_directory_is_found_and_given_back_on_a_signal() {
    let app = TestApp::founded();
    let mut served = command(&app.dir(), &["serve", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let file = app.dir().join("server.json");
    for _ in 0..200 {
        if file.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    // Another process has the store, so this one goes through that server.
    assert!(matches!(
        problem(&app.dir()),
        DeploymentError::Open(OpenError::InUse { .. })
    ));
    countersign(&app.dir(), &["halt", "list"]).done();
    let killed = std::process::Command::new("kill")
        .arg(served.id().to_string())
        .status()
        .unwrap();
    assert!(killed.success());
    assert!(served.wait().unwrap().success());
    assert!(!file.exists());
    drop(Deployment::open(&app.dir()).unwrap());
}
