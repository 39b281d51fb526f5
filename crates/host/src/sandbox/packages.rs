//! The demonstration packages: what each is for, and what is in it. Their CVE ids are invented
//! (year 2099) and say so.

/// One version of a demonstration package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Demo {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) section: &'static str,
    pub(super) suite: Suite,
    /// Further control fields.
    pub(super) relations: &'static str,
    /// Lines of the changelog entry.
    pub(super) changes: &'static [&'static str],
    /// What the service's own test finds; `None` is healthy.
    pub(super) fault: Option<&'static str>,
    /// Installed when the root is built.
    pub(super) installed: bool,
    /// Kept in the archive.
    pub(super) offered: bool,
}

/// The two archives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Suite {
    /// The ordinary one.
    Demo,
    /// The one for security updates.
    Security,
}

impl Suite {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Security => "demo-security",
        }
    }

    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Demo => "Demo",
            Self::Security => "Demo-Security",
        }
    }
}

const OLD: Demo = Demo {
    name: "",
    version: "1.0",
    section: "misc",
    suite: Suite::Demo,
    relations: "",
    changes: &["First demo version."],
    fault: None,
    installed: true,
    offered: true,
};
const FIXED: Demo = Demo {
    version: "1.1",
    suite: Suite::Security,
    installed: false,
    ..OLD
};

/// All of them.
pub(super) const DEMOS: [Demo; 13] = [
    // Healthy security fix.
    Demo {
        name: "cs-web",
        section: "httpd",
        ..OLD
    },
    Demo {
        name: "cs-web",
        section: "httpd",
        changes: &["Demo fix for CVE-2099-0001.", "Demo fix for CVE-2099-0002."],
        ..FIXED
    },
    // A database engine by section: policy asks.
    Demo {
        name: "cs-db",
        section: "database",
        ..OLD
    },
    Demo {
        name: "cs-db",
        section: "database",
        changes: &["Demo fix for CVE-2099-0003."],
        ..FIXED
    },
    // Its own test fails after the upgrade: rolled back.
    Demo {
        name: "cs-cache",
        ..OLD
    },
    Demo {
        name: "cs-cache",
        version: "1.2",
        changes: &["Demo fix for CVE-2099-0004, which breaks the service."],
        fault: Some("cs-cache 1.2 cannot read what cs-cache 1.0 has stored"),
        ..FIXED
    },
    // Its artifact is swapped after preparation: refused.
    Demo {
        name: "cs-lib",
        section: "libs",
        ..OLD
    },
    Demo {
        name: "cs-lib",
        section: "libs",
        changes: &["Demo fix for CVE-2099-0005."],
        ..FIXED
    },
    // Its upgrade removes another package: escalated.
    Demo {
        name: "cs-legacy",
        ..OLD
    },
    Demo {
        name: "cs-legacy",
        relations: "Conflicts: cs-old\nReplaces: cs-old\n",
        changes: &["Demo fix for CVE-2099-0006.", "Takes over from cs-old."],
        ..FIXED
    },
    Demo {
        name: "cs-old",
        ..OLD
    },
    // No security fix, and no way back: asks.
    Demo {
        name: "cs-tools",
        section: "utils",
        offered: false,
        ..OLD
    },
    Demo {
        name: "cs-tools",
        section: "utils",
        suite: Suite::Demo,
        changes: &["Nicer output."],
        ..FIXED
    },
];

/// Services with a test of their own.
pub(super) const SERVICES: [&str; 6] = [
    "cs-web",
    "cs-db",
    "cs-cache",
    "cs-lib",
    "cs-legacy",
    "cs-tools",
];

impl Demo {
    /// The service's test, as a shell script: exits with 0 when healthy.
    pub(super) fn selftest(&self) -> String {
        match self.fault {
            None => format!(
                "#!/bin/sh\necho \"{} {} is healthy\"\n",
                self.name, self.version
            ),
            Some(fault) => format!("#!/bin/sh\necho \"{fault}\" >&2\nexit 1\n"),
        }
    }

    /// The changelog, newest entry first.
    pub(super) fn changelog(&self) -> String {
        let mut text = String::new();
        if self.version != OLD.version {
            text.push_str(&entry(self.name, self.version, self.suite, self.changes));
        }
        text.push_str(&entry(self.name, OLD.version, Suite::Demo, OLD.changes));
        text
    }
}

fn entry(name: &str, version: &str, suite: Suite, changes: &[&str]) -> String {
    let mut text = format!("{name} ({version}) {}; urgency=medium\n\n", suite.name());
    for change in changes {
        text.push_str(&format!("  * {change}\n"));
    }
    text.push_str(
        "\n -- Countersign Demo <demo@countersign.invalid>  Mon, 01 Jan 2024 00:00:00 +0000\n\n",
    );
    text
}
