//! What the hook reads, and what it lets pass.

use super::*;
use crate::journal::{Journal, Record, Runner};
use crate::session::Session;
use countersign_domain::{ChangeId, Digest, Nonce};
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt as _;

const HEAD: &str =
    "VERSION 3\nAPT::Architecture=amd64\nCommandLine::AsString=apt-get%20upgrade\n\n";

fn lines(body: &str) -> Result<Vec<Line>, HookError> {
    parse(&format!("{HEAD}{body}"))
}

#[test]
fn every_form_that_apt_writes_is_read() {
    let body = "cs-demo 1.0 all none < 1.1 all none /a b/cs-demo_1.1_all.deb\ncs-lib - - none < 1.0 all none /x.deb\njq 1.6-2.1+deb12u3 amd64 foreign > - - none **REMOVE**\nlibssl3 3.0.20-1~deb12u2 amd64 same < 3.0.22-1~deb12u2 amd64 same **CONFIGURE**\ncs-demo 1.0 all none = 1.0 all none /y.deb\n";
    let lines = lines(body).unwrap();
    assert_eq!(
        lines[0].target,
        Target::File("/a b/cs-demo_1.1_all.deb".into())
    );
    assert_eq!(
        (lines[1].old.clone(), lines[1].direction),
        (None, Direction::Up)
    );
    assert_eq!(lines[2].target, Target::Remove);
    assert_eq!(lines[3].target, Target::Configure);
    assert_eq!(lines[4].direction, Direction::Same);
}

#[test]
fn what_is_not_understood_is_refused_whole() {
    let good = "a1 1 all none < 2 all none /x.deb\n";
    assert!(lines(good).is_ok());
    for wrong in [
        "",
        "a1 1 all none < 2 all none /x.deb",
        "a1 1 all none ? 2 all none /x.deb\n",
        "a1 1 all none < 2 all none x.deb\n",
        "a1 1 all none < - - none /x.deb\n",
        "a1 - - none > - - none **REMOVE**\n",
        "a1 1 all none < 2 all none **PURGE**\n",
        "a1 1 all < 2 all /x.deb\n",
        "../a 1 all none < 2 all none /x.deb\n",
    ] {
        assert!(lines(wrong).is_err(), "{wrong}");
        assert!(
            lines(&format!("{good}{wrong}")).is_err() || wrong.is_empty(),
            "{wrong}"
        );
    }
    assert_eq!(
        parse(&format!("VERSION 2\n\n{good}")),
        Err(HookError::Version)
    );
    assert_eq!(parse(good), Err(HookError::Version));
    assert_eq!(parse("VERSION 3\nA=b\n"), Err(HookError::Settings));
}

struct Scene {
    dir: tempfile::TempDir,
    journal: Journal,
}

/// An execution that takes `cs-web` from 1.0 to 1.1 and removes `cs-old`.
fn scene(session: Session, phase: Option<Phase>) -> Scene {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("web.deb");
    std::fs::write(&file, b"new").unwrap();
    std::fs::write(dir.path().join("back.deb"), b"old").unwrap();
    let transition = |name: &str, old: &str, new: Option<&str>, bytes: Option<&[u8]>| Transition {
        name: name.parse().unwrap(),
        architecture: "all".parse().unwrap(),
        old: Some(old.parse().unwrap()),
        new: new.map(|new| new.parse().unwrap()),
        sha256: bytes.map(Digest::of),
    };
    let forward = vec![
        transition("cs-web", "1.0", Some("1.1"), Some(b"new")),
        transition("cs-old", "1.0", None, None),
    ];
    let reverse = vec![transition("cs-web", "1.1", Some("1.0"), Some(b"old"))];
    let mut journal = Journal::open(&dir.path().join("state"), Timestamp::EPOCH).unwrap();
    let warrant = Digest::of(b"w");
    let at = Timestamp::EPOCH;
    let intent = Record::Intent {
        at,
        warrant,
        jti: Nonce::new("n").unwrap(),
        change: ChangeId::new("c").unwrap(),
        plan: warrant,
        jws: String::new(),
        forward: forward.clone(),
        reverse: reverse.clone(),
        session,
        runner: Runner::Host,
        until: None,
        emergency: None,
        notice: String::new(),
    };
    journal.append(intent).unwrap();
    let mut spend = |phase, transitions| {
        journal
            .append(Record::Spent {
                at,
                warrant,
                phase,
                transitions,
                session: None,
            })
            .unwrap();
    };
    if phase.is_some() {
        spend(Phase::Forward, forward);
    }
    if phase == Some(Phase::Reverse) {
        spend(Phase::Reverse, reverse);
    }
    Scene { dir, journal }
}

impl Scene {
    /// The folder of this scene is the one that its host was told of.
    fn ground(&self) -> Ground {
        Ground::below(self.dir.path())
    }

    fn judge(&self, body: &str) -> Verdict {
        let body = body.replace("DIR", &self.dir.path().display().to_string());
        judge(self.journal.state(), &self.ground(), &lines(&body).unwrap())
    }
}

const FORWARD: &str = "cs-web 1.0 all none < 1.1 all none DIR/web.deb\n";
const REMOVE: &str = "cs-old 1.0 all none > - - none **REMOVE**\n";
const BACK: &str = "cs-web 1.1 all none > 1.0 all none DIR/back.deb\n";

#[test]
fn exactly_the_spent_transitions_pass() {
    let scene = scene(Session::current().unwrap(), Some(Phase::Forward));
    for covered in [
        FORWARD,
        REMOVE,
        &format!("{FORWARD}{REMOVE}"),
        "cs-web 1.0 all none < 1.1 all none **CONFIGURE**\n",
    ] {
        assert_eq!(scene.judge(covered), Verdict::Covered, "{covered}");
    }
    for (attack, body) in [
        (
            "another package rides along",
            &format!("{FORWARD}jq 1 all none < 2 all none /x.deb\n"),
        ),
        ("another version", &FORWARD.replace("1.1", "1.2")),
        ("another old version", &FORWARD.replace("1.0", "0.9")),
        (
            "another architecture",
            &FORWARD.replace("1.1 all", "1.1 amd64"),
        ),
        ("another file", &FORWARD.replace("web.deb", "back.deb")),
        ("no file", &FORWARD.replace("web.deb", "none.deb")),
        ("another removal", &REMOVE.replace("cs-old", "cs-web")),
        ("going back too early", &BACK.to_owned()),
        (
            "the same again",
            &"cs-web 1.1 all none = 1.1 all none DIR/web.deb\n".to_owned(),
        ),
    ] {
        assert!(
            matches!(scene.judge(body), Verdict::NotCovered(_)),
            "{attack}"
        );
    }
}

#[test]
fn a_file_that_somebody_else_could_exchange_is_not_covered() {
    let scene = scene(Session::current().unwrap(), Some(Phase::Forward));
    let file = scene.dir.path().join("web.deb");
    let folder = scene.dir.path().join("folder");
    let inside = folder.join("web.deb");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(&file, &inside).unwrap();
    let set = |path: &Path, mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, mode).unwrap();
    };
    set(&folder, 0o755);
    set(&inside, 0o644);
    let body = FORWARD.replace("web.deb", "folder/web.deb");
    assert_eq!(scene.judge(&body), Verdict::Covered);
    for (path, mode) in [(&folder, 0o777), (&folder, 0o1777), (&inside, 0o666)] {
        let before = std::fs::metadata(path).unwrap().permissions();
        set(path, mode);
        let Verdict::NotCovered(why) = scene.judge(&body) else {
            panic!("{path:?} {mode:o}");
        };
        assert!(why.contains("others than root can change"), "{why}");
        std::fs::set_permissions(path, before).unwrap();
    }
    assert_eq!(scene.judge(&body), Verdict::Covered);
    // The same bytes by way of a link that could lead elsewhere.
    std::os::unix::fs::symlink(&folder, scene.dir.path().join("link")).unwrap();
    let linked = FORWARD.replace("web.deb", "link/web.deb");
    assert!(matches!(scene.judge(&linked), Verdict::NotCovered(_)));
    // Outside of what the configuration names, every folder counts, the one for temporary files too.
    let elsewhere = Ground::below(Path::new("/nonexistent"));
    let private = |path: &Path| elsewhere.check(path);
    assert!(private(Path::new("/bin/../bin/sh")).is_err());
    let temporary = std::env::temp_dir();
    let mode = std::fs::metadata(&temporary).unwrap().permissions().mode();
    assert_eq!(private(&inside).is_err(), mode & 0o022 != 0);
    // Somebody else's, where this process can make it so.
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&inside, Some(65_534), None).unwrap();
        assert!(matches!(scene.judge(&body), Verdict::NotCovered(_)));
    }
}

#[test]
fn the_way_back_passes_only_while_rolling_back() {
    let scene = scene(Session::current().unwrap(), Some(Phase::Reverse));
    assert_eq!(scene.judge(BACK), Verdict::Covered);
    assert!(matches!(scene.judge(FORWARD), Verdict::NotCovered(_)));
}

#[test]
fn nothing_passes_without_a_spent_intent_of_this_session() {
    let here = Session::current().unwrap();
    assert!(matches!(
        scene(here.clone(), None).judge(FORWARD),
        Verdict::NotCovered(_)
    ));
    let other = Session {
        start_ticks: 1,
        ..here
    };
    let scene = scene(other, Some(Phase::Forward));
    assert!(matches!(scene.judge(FORWARD), Verdict::NotCovered(_)));
    let nobody = judge(&State::default(), &scene.ground(), &lines(REMOVE).unwrap());
    assert!(matches!(nobody, Verdict::Ask(_)));
}

#[test]
fn a_hook_command_that_apt_would_misread_is_not_configured() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let text = apt_configuration(&words("/usr/bin/countersign-host apt-hook")).unwrap();
    assert!(text.contains("Options::/usr/bin/countersign-host::InfoFD \"20\""));
    assert!(apt_configuration(&words("countersign-host")).is_none());
    assert!(apt_configuration(&["/a b".to_owned()]).is_none());
    assert!(apt_configuration(&words("/a \";")).is_none());
    assert!(apt_configuration(&[]).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_makes_it_panic(text in "(VERSION 3\\n|[ -~]{0,10}|\\n|\\*\\*REMOVE\\*\\*| < | - ){0,30}") {
        let _ = parse(&text);
    }
}
