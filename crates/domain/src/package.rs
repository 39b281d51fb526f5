//! Packages as Debian's policy names them, transitions between versions, and CVE ids.
//! Versions are only compared for equality here; `host` orders them with a library.

use crate::digest::Digest;
use serde::{Deserialize, Serialize};

/// Text that is not a valid name in a package world.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a {kind}; expected {expected}")]
pub struct PackageError {
    kind: &'static str,
    shown: String,
    expected: &'static str,
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident = $kind:literal, $max:literal, $expected:literal, $check:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks and takes `text`.
            ///
            /// # Errors
            /// When it does not have the form that its specification wants.
            pub fn new(text: impl Into<String>) -> Result<Self, PackageError> {
                let text = text.into();
                let well_formed: fn(&str) -> bool = $check;
                if text.len() <= $max && well_formed(&text) {
                    Ok(Self(text))
                } else {
                    Err(PackageError {
                        kind: $kind,
                        shown: crate::text::shown(&text, 40),
                        expected: $expected,
                    })
                }
            }

            /// As text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = PackageError;

            fn from_str(text: &str) -> Result<Self, PackageError> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = PackageError;

            fn try_from(text: String) -> Result<Self, PackageError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> Self {
                word.0
            }
        }
    )*};
}

words! {
    /// A binary package name (Debian policy 5.6.7).
    PackageName = "package name", 100,
        "2 to 100 of `a-z 0-9 + . -`, starting with a letter or digit",
        |text| {
            text.len() >= 2
                && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+.-".contains(&b))
        };
    /// A package version (Debian policy 5.6.12), uninterpreted.
    Version = "package version", 100,
        "1 to 100 of `a-z A-Z 0-9 . + - : ~`, starting with a letter or digit",
        |text| {
            text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-:~".contains(&b))
        };
    /// An architecture, such as `amd64` or `all`.
    Architecture = "architecture", 30,
        "1 to 30 of `a-z 0-9 -`",
        |text| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
    /// A CVE id, such as `CVE-2024-3094`.
    CveId = "CVE id", 20,
        "`CVE-`, a year, `-` and 4 to 10 digits",
        |text| {
            let mut parts = text.splitn(3, '-');
            let digits = |part: Option<&str>, least: usize, most: usize| {
                part.is_some_and(|p| (least..=most).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()))
            };
            parts.next() == Some("CVE") && digits(parts.next(), 4, 4) && digits(parts.next(), 4, 10)
        };
}

/// One package going from one version to another on one host: the unit that a warrant covers and
/// that is spent at most once (invariant 4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transition {
    /// The package.
    pub name: PackageName,
    /// Its architecture.
    pub architecture: Architecture,
    /// The version installed before; none when it is newly installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Version>,
    /// The version installed afterwards; none when it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new: Option<Version>,
    /// The digest of the artifact that is installed; none only for a removal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// What a transition does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TransitionKind {
    /// Another version of an installed package.
    Upgrade,
    /// A package that was not there.
    Install,
    /// A package goes.
    Remove,
}

impl Transition {
    /// What it does; `None` when it has neither an old nor a new version, which no host may plan.
    #[must_use]
    pub const fn kind(&self) -> Option<TransitionKind> {
        match (&self.old, &self.new) {
            (Some(_), Some(_)) => Some(TransitionKind::Upgrade),
            (None, Some(_)) => Some(TransitionKind::Install),
            (Some(_), None) => Some(TransitionKind::Remove),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_their_specifications() {
        for good in ["libssl3", "g++", "7zip", "libstdc++6"] {
            assert!(PackageName::new(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            "a",
            "-o",
            "Abc",
            "a b",
            "a/../b",
            "lib\u{202e}ssl",
            "a;reboot",
        ] {
            assert!(PackageName::new(wrong).is_err(), "{wrong:?}");
        }
        for good in ["1", "1:4.13+dfsg1-1+deb12u2", "3.0.20-1~deb12u1"] {
            assert!(Version::new(good).is_ok(), "{good}");
        }
        for wrong in ["", "-1", "~1", "1 2", "1;2", "$(id)"] {
            assert!(Version::new(wrong).is_err(), "{wrong:?}");
        }
        for good in ["CVE-2024-3094", "CVE-1999-0001", "CVE-2026-1234567"] {
            assert!(CveId::new(good).is_ok(), "{good}");
        }
        for wrong in [
            "CVE-24-3094",
            "cve-2024-3094",
            "CVE-2024-309",
            "CVE-2024-3094x",
            "CVE-2024-",
        ] {
            assert!(CveId::new(wrong).is_err(), "{wrong:?}");
        }
    }
}
