//! The installer's script against an invented apt-get and policy file: nothing of the machine is touched.

use super::{INSTALL, complaint, find_program, install, missing, unpack};
use super::{TOOLS, Tool};
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn executable(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// An apt-get that notes its arguments and whether the policy was there and said no.
    fn with_apt(&self, exit_code: u8) -> OsString {
        let (log, policy) = (self.0.join("log"), self.policy());
        self.executable(
            "apt-get",
            &format!(
                "#!/bin/sh\n{} x start; echo \"$? $*\" >> {}\nexit {exit_code}\n",
                policy.display(),
                log.display()
            ),
        );
        let mut path = OsString::from(&self.0);
        path.push(":/usr/bin:/bin");
        path
    }

    fn policy(&self) -> PathBuf {
        self.0.join("policy-rc.d")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.0.join("log")).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const INSTALLED: &str =
    "101 update\n101 install --yes --no-upgrade --no-install-recommends git jq\n";

#[test]
fn services_are_blocked_while_installing_and_nothing_is_left() {
    let folder = Folder::new("clean");
    let path = folder.with_apt(0);
    install(&folder.policy(), &["git", "jq"], &path).unwrap();
    assert_eq!(folder.log(), INSTALLED);
    assert!(!folder.policy().exists());
}

#[test]
fn a_failing_apt_is_an_error_and_nothing_is_left() {
    let folder = Folder::new("failing");
    let path = folder.with_apt(100);
    let error = install(&folder.policy(), &["git"], &path).unwrap_err();
    assert!(error.contains("`git` could not be installed"), "{error}");
    assert_eq!(folder.log(), "101 update\n");
    assert!(!folder.policy().exists());
}

#[test]
fn a_policy_of_the_machine_is_used_and_stays() {
    let folder = Folder::new("theirs");
    let path = folder.with_apt(0);
    let theirs = "#!/bin/sh\nexit 101\n";
    folder.executable("policy-rc.d", theirs);
    install(&folder.policy(), &["git", "jq"], &path).unwrap();
    assert_eq!(folder.log(), INSTALLED);
    assert_eq!(std::fs::read_to_string(folder.policy()).unwrap(), theirs);
}

#[test]
fn a_policy_that_lets_services_start_stops_the_installation() {
    let folder = Folder::new("lax");
    let path = folder.with_apt(0);
    folder.executable("policy-rc.d", "#!/bin/sh\nexit 0\n");
    assert!(install(&folder.policy(), &["git"], &path).is_err());
    assert_eq!(folder.log(), "");
    assert!(folder.policy().exists());
}

#[test]
fn a_leftover_of_a_killed_run_is_replaced_and_removed() {
    let folder = Folder::new("leftover");
    let path = folder.with_apt(0);
    let mark = INSTALL
        .lines()
        .find_map(|line| line.strip_prefix("mark='")?.strip_suffix('\''))
        .unwrap();
    folder.executable("policy-rc.d", &format!("#!/bin/sh\n{mark}\nexit 101\n"));
    install(&folder.policy(), &["git", "jq"], &path).unwrap();
    assert_eq!(folder.log(), INSTALLED);
    assert!(!folder.policy().exists());
}

#[test]
fn programs_are_found_only_where_they_can_be_started() {
    let folder = Folder::new("path");
    let path = folder.0.clone().into_os_string();
    // Those with an absolute path are there or not, whatever the path.
    let searched = |tool: &&&Tool| !tool.program.starts_with('/');
    let missing = || missing(&path).iter().filter(searched).count();
    let all = TOOLS.iter().filter(|tool| searched(&tool)).count();
    assert_eq!(missing(), all);
    std::fs::write(folder.0.join("git"), "not executable").unwrap();
    assert_eq!(find_program("git", &path), None);
    let git = folder.executable("git", "#!/bin/sh\n");
    assert_eq!(find_program("git", &path), Some(git));
    assert_eq!(missing(), all - 1);
    assert_eq!(find_program("/no/such/file.py", &path), None);
    std::fs::write(folder.0.join("module.py"), "").unwrap();
    let module = folder.0.join("module.py");
    assert_eq!(
        find_program(module.to_str().unwrap(), &path),
        Some(module.clone())
    );
}

#[test]
fn a_package_is_unpacked_whole_or_not_at_all() {
    let folder = Folder::new("unpack");
    folder.executable(
        "apt-get",
        "#!/bin/sh\n[ \"$1\" = download ] && [ \"$2\" = uu ] && echo deb > uu_1_all.deb\n",
    );
    let target = folder.0.join("tools/uu");
    let mut path = OsString::from(&folder.0);
    path.push(":/usr/bin:/bin");
    folder.executable("dpkg-deb", "#!/bin/sh\nexit 1\n");
    assert!(unpack(&target, "uu", &path).is_err());
    assert!(!target.exists());
    folder.executable(
        "dpkg-deb",
        "#!/bin/sh\n[ \"$1 $2\" = '-x uu_1_all.deb' ] && mkdir -p \"$3/usr\" && touch \"$3/usr/uu\"\n",
    );
    unpack(&target, "uu", &path).unwrap();
    assert!(target.join("usr/uu").is_file());
    let left = std::fs::read_dir(folder.0.join("tools")).unwrap().count();
    assert_eq!(left, 1);
    let error = unpack(&folder.0.join("tools/other"), "other", &path).unwrap_err();
    assert!(error.contains("apt-get download other"), "{error}");
}

#[test]
fn the_complaint_names_programs_and_packages() {
    let tools: Vec<_> = TOOLS
        .iter()
        .filter(|tool| tool.program == "ssh-keygen")
        .collect();
    let text = complaint(&tools, &["openssh-client"]);
    assert!(
        text.contains("`ssh-keygen`") && text.contains("openssh-client"),
        "{text}"
    );
}
