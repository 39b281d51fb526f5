//! Human signatures by `ssh-keygen` itself: key files that the library does not read, and agents.

use crate::app::{TestApp, person};
use countersign::ambient;
use countersign::signing::{Signer, SshKey};
use countersign_domain::SignedStatement;
use countersign_domain::statement::{HaltScope, SSH_NAMESPACE, Subject};
use std::path::Path;
use std::process::{Command, Stdio};

fn keygen(arguments: &[&str], path: &Path) {
    let made = Command::new("ssh-keygen")
        .args(["-q", "-N", "", "-C", "a comment"])
        .args(arguments)
        .arg("-f")
        .arg(path)
        .status()
        .unwrap();
    assert!(made.success());
}

/// A statement by this key, in the name of somebody whose roster it is in.
fn stated(key: &SshKey, app: &TestApp) -> SignedStatement {
    let world = app.gate().world().unwrap();
    let signer = Signer {
        key,
        person: person("ada"),
        deployment: world.roster.deployment.clone(),
        roster_version: world.roster.version,
    };
    let subject = Subject::Halt {
        halt: HaltScope::Everything,
    };
    signer.state(subject, ambient::now()).unwrap()
}

/// Has OpenSSH itself check the signature.
fn openssh_accepts(key: &SshKey, signed: &SignedStatement, folder: &Path) {
    let allowed = folder.join("allowed");
    std::fs::write(&allowed, format!("ada {}\n", key.public_key())).unwrap();
    let signature = folder.join("signature");
    std::fs::write(&signature, &signed.signature).unwrap();
    let mut child = Command::new("ssh-keygen")
        .args(["-Y", "verify", "-n", SSH_NAMESPACE, "-I", "ada", "-f"])
        .arg(&allowed)
        .arg("-s")
        .arg(&signature)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(
        &mut child.stdin.take().unwrap(),
        signed.statement.as_bytes(),
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn every_kind_of_key_file_signs() {
    let mut app = TestApp::founded();
    app.serve();
    let folder = app.folder.path().to_owned();
    let kinds: [(&str, &[&str]); 4] = [
        ("ed25519", &["-t", "ed25519"]),
        ("ecdsa", &["-t", "ecdsa", "-b", "256"]),
        ("rsa", &["-t", "rsa", "-b", "2048"]),
        // A form that the library does not read, so `ssh-keygen -Y sign` has to be run.
        ("pem", &["-t", "ecdsa", "-b", "256", "-m", "PEM"]),
    ];
    for (name, arguments) in kinds {
        let path = folder.join(name);
        keygen(arguments, &path);
        let key = SshKey::open(&path).unwrap();
        assert!(!key.public_key().contains("comment"));
        openssh_accepts(&key, &stated(&key, &app), &folder);
        // By its public half as well.
        let same = SshKey::open(&folder.join(format!("{name}.pub"))).unwrap();
        assert_eq!(same.fingerprint(), key.fingerprint());
    }
    assert!(SshKey::open(&folder.join("allowed")).is_err());
}

/// An agent that ends with the test.
struct Agent(std::process::Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_key_in_the_agent_signs_for_the_command_line() {
    let mut app = TestApp::founded();
    app.serve();
    app.sign_starter();
    let folder = app.folder.path().to_owned();
    let socket = folder.join("agent");
    let _agent = Agent(
        Command::new("ssh-agent")
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdout(Stdio::null())
            .spawn()
            .unwrap(),
    );
    for _ in 0..100 {
        if socket.exists() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Ada's second key lives in the agent alone.
    let path = folder.join("second");
    keygen(&["-t", "ed25519"], &path);
    let added = Command::new("ssh-add")
        .arg("-q")
        .arg(&path)
        .env("SSH_AUTH_SOCK", &socket)
        .status()
        .unwrap();
    assert!(added.success());
    std::fs::remove_file(&path).unwrap();
    let public = folder.join("second.pub");
    let dir = app.dir();
    let add = [
        "roster",
        "add-key",
        "ada",
        "--public-key",
        public.to_str().unwrap(),
        "--yes",
    ];
    crate::program::countersign(&dir, &add).done();
    // Without the trial's own key, only the agent is left.
    std::fs::remove_file(dir.join("keys/human")).unwrap();
    let alone = crate::program::countersign(&dir, &["halt", "--yes"]);
    assert_eq!(alone.code, 1, "{}", alone.stderr);
    let halted = crate::program::ran(
        crate::program::command(&dir, &["halt", "--yes", "--json"])
            .env("SSH_AUTH_SOCK", &socket)
            .output()
            .unwrap(),
    );
    assert_eq!(halted.code, 0, "{}", halted.stderr);
    assert_eq!(app.gate().halts().unwrap().epoch, 1);
}
