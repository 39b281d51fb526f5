//! The Debian package, built by `cargo deb` from the program that the tests built, and installed and
//! removed by real dpkg and apt in a private root. (The shipped one is built by `cargo xtask deb`.)

use crate::sandboxed::{Place, place};
use crate::units::packaging;
use countersign_host::guard;
use countersign_host::network::{self, Relay, Settings};
use countersign_host::{Config, cli, hook};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const NAME: &str = "countersign-host";
const PROGRAM: &str = "usr/bin/countersign-host";

fn run(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let output = command.output();
    output.unwrap_or_else(|error| panic!("{shown}: {error}"))
}

fn done(command: &mut Command) -> String {
    let output = run(command);
    let said = said(&output);
    assert!(output.status.success(), "{command:?}: {said}");
    said
}

/// What it wrote to either; tests of one order among both write into one file instead.
fn said(output: &Output) -> String {
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    format!("{out}{err}")
}

/// The package, in a folder of its own.
fn package() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let built = Path::new(env!("CARGO_BIN_EXE_countersign-host"));
    // Where cargo-deb looks for a release. Stripped, as a release is.
    let release = dir.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    let program = release.join(NAME);
    done(Command::new("strip").arg("-o").arg(&program).arg(built));
    // `cargo xtask test` puts cargo-deb into the target folder when there is none on PATH.
    let profile = built.parent().unwrap();
    let tools = profile.parent().unwrap().join("tools/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(tools).chain(std::env::split_paths(&path));
    let deb = dir.path().join("built.deb");
    let output = run(Command::new(env!("CARGO"))
        .args(["deb", "--no-build", "--locked", "--fast", "--no-dbgsym"])
        .args(["--package", NAME, "--output"])
        .arg(&deb)
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("CARGO_TARGET_DIR", dir.path().join("target"))
        .current_dir(env!("CARGO_MANIFEST_DIR")));
    let said = said(&output);
    assert!(
        output.status.success(),
        "{said}\nhint: `cargo xtask test` installs cargo-deb"
    );
    (dir, deb)
}

fn field(deb: &Path, name: &str) -> String {
    let text = done(Command::new("dpkg-deb").arg("-f").arg(deb).arg(name));
    text.trim_end().to_owned()
}

/// A private root, and dpkg and apt in it. Their configuration is read from that root: dpkg's through
/// the only other file that it knows, the one in the home folder.
struct Machine {
    place: Place,
    home: PathBuf,
    deb: PathBuf,
    _built: tempfile::TempDir,
}

impl Machine {
    /// With all that the package depends on.
    fn new() -> Self {
        let (built, deb) = package();
        let place = place();
        let home = place.dir.path().join("home");
        std::fs::create_dir(&home).unwrap();
        let settings = place.sandbox.root().join(guard::DPKG);
        std::os::unix::fs::symlink(settings, home.join(".dpkg.cfg")).unwrap();
        let machine = Self {
            place,
            home,
            deb,
            _built: built,
        };
        let base = machine.base();
        machine.dpkg(&["-i", base.to_str().unwrap()]);
        machine
    }

    /// A package that provides whatever the package depends on, so that apt and dpkg hold it to that.
    fn base(&self) -> PathBuf {
        let depends = field(&self.deb, "Depends");
        let provided: Vec<_> = depends
            .split(',')
            .filter_map(|clause| clause.split_whitespace().next())
            .map(|name| format!("{name} (= 999)"))
            .collect();
        assert!(provided.len() >= 4, "{depends}");
        let tree = self.place.dir.path().join("base");
        std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        std::fs::set_permissions(&tree, std::fs::Permissions::from_mode(0o755)).unwrap();
        let control = format!(
            "Package: base\nVersion: 1\nArchitecture: all\nMaintainer: tests\nProvides: {}\nDescription: what a machine has\n",
            provided.join(", ")
        );
        std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
        self.repacked(&tree, "base")
    }

    fn repacked(&self, tree: &Path, name: &str) -> PathBuf {
        let deb = self.place.dir.path().join(format!("{name}.deb"));
        done(
            Command::new("dpkg-deb")
                .args(["--root-owner-group", "-Znone", "-b"])
                .arg(tree)
                .arg(&deb),
        );
        deb
    }

    fn path(&self, below: &str) -> PathBuf {
        self.place.sandbox.root().join(below)
    }

    fn has(&self, below: &str) -> bool {
        std::fs::symlink_metadata(self.path(below)).is_ok()
    }

    fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", &self.home)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("APT_CONFIG", self.place.sandbox.apt_config_path());
        command
    }

    fn dpkg_command(&self, arguments: &[&str]) -> Command {
        let root = self.place.sandbox.root();
        let mut dpkg = self.tool("dpkg");
        dpkg.arg(format!("--root={}", root.display()))
            .arg(format!("--log={}", root.join("var/log/dpkg.log").display()))
            .args(["--force-not-root", "--force-script-chrootless"])
            .args(arguments);
        dpkg
    }

    fn dpkg(&self, arguments: &[&str]) -> String {
        done(&mut self.dpkg_command(arguments))
    }

    fn apt(&self, arguments: &[&str]) -> Output {
        run(self.tool("apt-get").args(["-y", "-q"]).args(arguments))
    }

    fn install(&self) {
        self.dpkg(&["-i", self.deb.to_str().unwrap()]);
    }

    /// The configuration that an administrator writes, and what the host keeps.
    fn configure(&self) -> PathBuf {
        let path = self.path("etc/countersign/host.toml");
        std::fs::write(&path, self.place.config.to_toml().unwrap()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let state = self.path("var/lib/countersign-host");
        std::fs::create_dir_all(&state).unwrap();
        std::fs::write(state.join("host.key"), "a key").unwrap();
        path
    }

    /// `countersign-host hook …` of the program that is installed.
    fn hook(&self, words: &[&str]) -> Output {
        let root = self.place.sandbox.root();
        let mut command = self.tool(self.path(PROGRAM).to_str().unwrap());
        run(command.arg("hook").args(words).arg("--root").arg(root))
    }

    fn guarded(&self, mode: &str) {
        let config = self.path("etc/countersign/host.toml");
        let output = self.hook(&[
            "enable",
            "--mode",
            mode,
            "--config",
            config.to_str().unwrap(),
        ]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(self.has(guard::APT) && self.has(guard::DPKG));
    }

    fn status(&self) -> String {
        let output = run(&mut self.dpkg_command(&["-l", NAME]));
        let said = said(&output);
        let line = said.lines().find(|line| line.contains(NAME));
        let word = line.and_then(|line| line.split(' ').next());
        word.unwrap_or_default().to_owned()
    }
}

#[test]
fn the_package_holds_what_units_and_hooks_expect_and_nothing_else() {
    let (_dir, deb) = package();
    let listed = done(Command::new("dpkg-deb").arg("-c").arg(&deb));
    let mut files: Vec<_> = listed
        .lines()
        .filter(|line| !line.starts_with('d'))
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            format!("{} {} {}", words[0], words[1], words[5])
        })
        .collect();
    files.sort();
    assert_eq!(
        files,
        [
            "-rw-r--r-- 0/0 ./usr/lib/systemd/system/countersign-host-network.service",
            "-rw-r--r-- 0/0 ./usr/lib/systemd/system/countersign-host.service",
            "-rw-r--r-- 0/0 ./usr/lib/sysusers.d/countersign-host.conf",
            "-rw-r--r-- 0/0 ./usr/share/doc/countersign-host/README.Debian",
            "-rw-r--r-- 0/0 ./usr/share/doc/countersign-host/copyright",
            "-rw-r--r-- 0/0 ./usr/share/doc/countersign-host/examples/host.toml",
            "-rw-r--r-- 0/0 ./usr/share/doc/countersign-host/examples/network.toml",
            "-rwxr-xr-x 0/0 ./usr/bin/countersign-host",
        ]
    );
    for folder in listed.lines().filter(|line| line.starts_with('d')) {
        assert!(folder.starts_with("drwxr-xr-x 0/0"), "{folder}");
    }
    // The C library, and nothing else that is linked.
    let depends = field(&deb, "Depends");
    assert!(depends.contains("libc6 ("), "{depends}");
    assert!(!depends.contains("libssl"), "{depends}");
    let scripts = done(Command::new("dpkg-deb").arg("-I").arg(&deb));
    for script in ["postinst", "prerm", "postrm"] {
        assert!(scripts.contains(&format!("*  {script} ")), "{scripts}");
    }
}

#[test]
fn the_examples_are_configurations() {
    let examples = packaging().join("examples");
    let host = std::fs::read_to_string(examples.join("host.toml")).unwrap();
    let config: Config = toml::from_str(&host).unwrap();
    config.check().unwrap();
    let relay: Relay = toml::from_str("").unwrap();
    assert_eq!(config.network, Some(relay));
    let network = std::fs::read_to_string(examples.join("network.toml")).unwrap();
    let settings: Settings = toml::from_str(&network).unwrap();
    assert_eq!(settings.port(), Some(443));
    // Where the package's text and scripts say that they lie.
    let readme = std::fs::read_to_string(packaging().join("debian/README.Debian")).unwrap();
    for path in [cli::CONFIG_PATH, network::CONFIG_PATH] {
        assert!(readme.contains(path), "{path}");
    }
    let prerm = std::fs::read_to_string(packaging().join("debian/prerm")).unwrap();
    for path in [guard::APT, guard::DPKG] {
        assert!(prerm.contains(&format!(" /{path}")), "{path}");
    }
}

#[test]
fn installing_guards_enables_and_starts_nothing() {
    let machine = Machine::new();
    machine.install();
    assert_eq!(machine.status(), "ii");
    let accounts = std::fs::read_to_string(machine.path("etc/passwd")).unwrap();
    let relay: Relay = toml::from_str("").unwrap();
    let account = accounts
        .lines()
        .find(|line| line.starts_with(&format!("{}:", relay.user)))
        .unwrap_or_else(|| panic!("{accounts}"));
    assert!(account.ends_with("/nologin"), "{account}");
    let folder = std::fs::metadata(machine.path("etc/countersign")).unwrap();
    assert_eq!(folder.permissions().mode() & 0o7777, 0o755);
    assert!(!machine.has(guard::APT) && !machine.has(guard::DPKG));
    assert!(!machine.has("etc/systemd"));
    // apt goes on as before, and hooks without a configuration, which would refuse all, are refused.
    assert!(machine.apt(&["install", "cs-web"]).status.success());
    let output = machine.hook(&["enable", "--mode", "enforce", "--config", "/no/host.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("not switched on"),
        "{}",
        said(&output)
    );
    assert!(!machine.has(guard::APT) && !machine.has(guard::DPKG));
}

#[test]
fn removal_takes_the_hooks_before_the_program_and_keeps_state_until_a_purge() {
    let machine = Machine::new();
    machine.install();
    let config = machine.configure();
    machine.guarded("enforce");
    // Everybody who asks apt something reads that file.
    let mode = std::fs::metadata(machine.path(guard::APT))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o644);
    // Both hooks stand, for this package too.
    for refused in [
        machine.apt(&["remove", NAME]),
        run(&mut machine.dpkg_command(&["--remove", NAME])),
        machine.apt(&["install", "cs-web"]),
    ] {
        assert!(!refused.status.success(), "{}", said(&refused));
        assert!(
            said(&refused).contains("refused, nothing was changed"),
            "{}",
            said(&refused)
        );
    }
    assert_eq!(machine.status(), "ii");
    machine.guarded("observe");
    // In the order in which it happened: dpkg tells of scripts and of each file that it removes.
    let log = machine.place.dir.path().join("removal");
    let file = std::fs::File::create(&log).unwrap();
    let mut removal = machine.dpkg_command(&["-D0102", "--remove", NAME]);
    let status = removal
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .status();
    let told = std::fs::read_to_string(log).unwrap();
    assert!(status.unwrap().success(), "{told}");
    let at = |what: &str| {
        told.find(what)
            .unwrap_or_else(|| panic!("`{what}` in {told}"))
    };
    let program = at(&format!("'{}'", machine.path(PROGRAM).display()));
    assert!(
        at("removed /etc/apt/apt.conf.d/90countersign") < program,
        "{told}"
    );
    assert!(
        at("removed /etc/dpkg/dpkg.cfg.d/countersign") < program,
        "{told}"
    );
    for gone in [PROGRAM, guard::APT, guard::DPKG] {
        assert!(!machine.has(gone), "{gone}");
    }
    // Nothing asks a program that is not there.
    let after = machine.apt(&["install", "cs-web"]);
    assert!(after.status.success(), "{}", said(&after));
    machine.dpkg(&["--remove", "cs-web"]);
    // What is the machine's own is there, until it is purged.
    let key = machine.path("var/lib/countersign-host/host.key");
    assert!(config.exists() && key.exists());
    assert_eq!(machine.status(), "rc");
    let wanted = machine.path("etc/systemd/system/multi-user.target.wants");
    std::fs::create_dir_all(&wanted).unwrap();
    let unit = "/usr/lib/systemd/system/countersign-host.service";
    std::os::unix::fs::symlink(unit, wanted.join("countersign-host.service")).unwrap();
    machine.dpkg(&["--purge", NAME]);
    for gone in ["etc/countersign", "var/lib/countersign-host"] {
        assert!(!machine.has(gone), "{gone}");
    }
    assert_eq!(std::fs::read_dir(wanted).unwrap().count(), 0);
}

#[test]
fn apt_itself_removes_an_observing_host_in_one_run() {
    let machine = Machine::new();
    machine.install();
    machine.configure();
    machine.guarded("observe");
    let output = machine.apt(&["remove", NAME]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(!machine.has(PROGRAM) && !machine.has(guard::APT) && !machine.has(guard::DPKG));
    let refusals = hook::refusals_path(&machine.place.config.state_dir);
    let told = std::fs::read_to_string(refusals).unwrap();
    assert!(
        told.contains("\"observed\"") && told.contains(NAME),
        "{told}"
    );
    // Switched off by hand, it is off; and to be off already is no failure.
    machine.install();
    machine.guarded("enforce");
    assert!(machine.hook(&["disable"]).status.success());
    assert!(!machine.has(guard::APT) && !machine.has(guard::DPKG));
    let again = machine.hook(&["disable"]);
    assert!(again.status.success());
    assert!(said(&again).contains("were not on"));
    assert!(machine.apt(&["install", "cs-web"]).status.success());
}

#[test]
fn an_upgrade_leaves_hooks_and_configuration_as_they_are() {
    let machine = Machine::new();
    machine.install();
    let config = machine.configure();
    machine.guarded("observe");
    let kept = [guard::APT, guard::DPKG].map(|path| machine.path(path));
    let before: Vec<_> = kept
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let tree = machine.place.dir.path().join("next");
    done(
        Command::new("dpkg-deb")
            .arg("-R")
            .arg(&machine.deb)
            .arg(&tree),
    );
    let control = std::fs::read_to_string(tree.join("DEBIAN/control")).unwrap();
    let version = field(&machine.deb, "Version");
    let next = control.replace(&format!("Version: {version}"), "Version: 99");
    assert_ne!(next, control);
    std::fs::write(tree.join("DEBIAN/control"), next).unwrap();
    let deb = machine.repacked(&tree, "next");
    let told = machine.dpkg(&["-i", deb.to_str().unwrap()]);
    // The old program was asked, and the new one is.
    assert!(told.contains("observing"), "{told}");
    let after: Vec<_> = kept
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert_eq!(after, before);
    assert!(config.exists());
    assert_eq!(machine.status(), "ii");
    machine.guarded("enforce");
    let refused = machine.apt(&["install", "cs-web"]);
    assert!(said(&refused).contains("refused"), "{}", said(&refused));
}
