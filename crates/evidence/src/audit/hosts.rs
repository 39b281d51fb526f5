//! Tells which host logs are of that name none (apt's, dpkg's, unattended-upgrades', dnf's): by their
//! folders, where the same kind of log lies in several. An assumption, which the report names.

use super::collect::FileRead;
use super::model::{Action, FileNumber, Format};
use super::reader::Context;
use super::reader::lenient::{clip, key};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

/// The formats that name no host.
const NAMELESS: [Format; 4] = [
    Format::AptHistory,
    Format::Dpkg,
    Format::UnattendedUpgrades,
    Format::Dnf,
];
/// Folders in which every host keeps such logs, and which are no host's name.
const USUAL: [&str; 9] = [
    "apt",
    "unattended-upgrades",
    "dnf",
    "libdnf5",
    "sysimage",
    "log",
    "var",
    "lib",
    "usr",
];

/// A host whose logs name none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Host {
    /// How it is called here.
    pub name: String,
    /// The folder that its logs lie in or below; none where all that were read are taken to be its.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// The hosts of all files.
#[derive(Debug)]
pub(crate) struct Hosts {
    default: String,
    of: BTreeMap<FileNumber, String>,
    /// All of them.
    pub(crate) all: Vec<Host>,
}

/// Whether actions of this format are of a host that only the place of the log tells.
pub(crate) fn is_nameless(format: Format) -> bool {
    NAMELESS.contains(&format)
}

impl Hosts {
    /// The hosts of these files. They are of one, unless the same kind of log lies in the folders of
    /// several.
    pub(crate) fn of(files: &[FileRead], context: &Context) -> Self {
        let mut roots: BTreeMap<&Path, Vec<FileNumber>> = BTreeMap::new();
        let mut kinds: BTreeMap<Format, BTreeSet<&Path>> = BTreeMap::new();
        for (number, file) in files.iter().enumerate() {
            let of = file.rows.keys().filter(|format| is_nameless(**format));
            for format in of {
                let root = root(&file.path);
                kinds.entry(*format).or_default().insert(root);
                let number = FileNumber(u32::try_from(number).unwrap_or(u32::MAX));
                roots.entry(root).or_default().push(number);
            }
        }
        let several = !context.one_host && kinds.values().any(|roots| roots.len() > 1);
        let mut hosts = Self {
            default: context.host.clone(),
            of: BTreeMap::new(),
            all: Vec::new(),
        };
        if several {
            let names = names(&roots.keys().copied().collect::<Vec<_>>(), &context.host);
            for ((root, files), name) in roots.into_iter().zip(names) {
                hosts
                    .of
                    .extend(files.into_iter().map(|file| (file, name.clone())));
                let folder = Some(root.to_owned());
                hosts.all.push(Host { name, folder });
            }
        } else if !roots.is_empty() {
            hosts.all.push(Host {
                name: context.host.clone(),
                folder: None,
            });
        }
        hosts
    }

    /// The host that a file is of.
    pub(crate) fn name(&self, file: FileNumber) -> &str {
        self.of.get(&file).unwrap_or(&self.default)
    }

    /// Says of an action on which host it was, where its log does not.
    pub(crate) fn place(&self, action: &mut Action) {
        let place = action.places.first();
        if let Some(name) = place.map(|place| self.name(place.file))
            && is_nameless(action.format)
            && name != self.default
        {
            action.key = key(action.format, &[&action.key.to_string(), name]);
            name.clone_into(&mut action.system);
        }
    }
}

/// The folder of a host that a log lies in.
pub(crate) fn root(path: &Path) -> &Path {
    folder_above(path, &USUAL)
}

/// The nearest folder above a file that is called otherwise than these.
pub(super) fn folder_above<'p>(path: &'p Path, usual: &[&str]) -> &'p Path {
    let mut folder = path.parent().unwrap_or(Path::new(""));
    while let (Some(name), Some(above)) = (folder.file_name(), folder.parent())
        && usual.iter().any(|usual| name == *usual)
    {
        folder = above;
    }
    folder
}

/// What hosts are called: by the part of their folders that tells them apart. The one whose folder holds
/// all others is `default`.
fn names(roots: &[&Path], default: &str) -> Vec<String> {
    let parts: Vec<Vec<Component<'_>>> = roots
        .iter()
        .map(|root| root.components().collect())
        .collect();
    let shared = parts.first().map_or(0, |first| {
        (0..first.len())
            .take_while(|at| parts.iter().all(|parts| parts.get(*at) == first.get(*at)))
            .count()
    });
    let below: Vec<Vec<String>> = parts
        .iter()
        .map(|parts| {
            let below = parts.iter().skip(shared);
            below
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect()
        })
        .collect();
    let named = |name: fn(&[String]) -> Option<String>| -> Vec<String> {
        let all = below
            .iter()
            .map(|below| name(below).unwrap_or_else(|| default.to_owned()));
        all.map(|name| clip(&name)).collect()
    };
    let first = named(|below| below.first().cloned());
    let last = named(|below| below.last().cloned());
    let whole = named(|below| (!below.is_empty()).then(|| below.join("/")));
    let distinct = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    [first, last]
        .into_iter()
        .find(distinct)
        .unwrap_or_else(|| numbered(whole))
}

/// Names of which none stands twice: what was shortened, is no text or is called like this host gets a
/// number where another is called the same.
pub(super) fn numbered(names: Vec<String>) -> Vec<String> {
    let mut taken: BTreeSet<String> = names.iter().cloned().collect();
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    names
        .into_iter()
        .map(|name| {
            let number = last.entry(name.clone()).or_default();
            *number += 1;
            if *number == 1 {
                return name;
            }
            loop {
                let other = format!("{name} ({number})");
                if taken.insert(other.clone()) {
                    return other;
                }
                *number += 1;
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::Hosts;
    use crate::audit::model::{FileNumber, Format};
    use crate::audit::{Context, FileRead};
    use std::collections::BTreeSet;

    fn of(files: &[(&str, Format)], one_host: bool) -> Vec<String> {
        let files: Vec<_> = files
            .iter()
            .map(|(path, format)| {
                let mut file = FileRead::new(path.into());
                file.rows.insert(*format, 1);
                file
            })
            .collect();
        let mut context = Context::new(Some("UTC"), "here").unwrap();
        if one_host {
            context = context.of_one_host();
        }
        let hosts = Hosts::of(&files, &context);
        let numbers = (0..files.len()).map(|at| FileNumber(u32::try_from(at).unwrap()));
        numbers.map(|file| hosts.name(file).to_owned()).collect()
    }

    #[test]
    fn hosts_whose_names_would_be_the_same_are_numbered() {
        use Format::AptHistory as Apt;
        use std::os::unix::ffi::OsStrExt as _;
        let own = [
            ("logs/h", Apt),
            ("logs/here (2)/h", Apt),
            ("logs/here/h", Apt),
            ("logs/here/var/log/h", Apt),
        ];
        assert_eq!(
            of(&own, false),
            ["here", "here (2)", "here (3)", "here (3)"]
        );
        // Names that are longer than what is shown, and differ at their ends only.
        let long = |end: &str| format!("logs/x/{}/{}{end}/h", "a/b".repeat(100), "c".repeat(100));
        let (one, other) = (long("1/y"), long("2/y"));
        let names = of(&[(&one, Apt), (&other, Apt), ("logs/z/y/h", Apt)], false);
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 3, "{names:?}");
        assert!(names[1].ends_with("… (2)"), "{names:?}");
        // Nor are bytes that are no text the same where they are shown alike.
        let bytes: [&[u8]; 2] = [b"logs/\xfe/h", b"logs/\xff/h"];
        let files: Vec<_> = bytes
            .iter()
            .map(|path| {
                let mut file = FileRead::new(std::ffi::OsStr::from_bytes(path).into());
                file.rows.insert(Apt, 1);
                file
            })
            .collect();
        let hosts = Hosts::of(&files, &Context::new(Some("UTC"), "here").unwrap());
        assert_ne!(hosts.name(FileNumber(0)), hosts.name(FileNumber(1)));
    }

    #[test]
    fn hosts_are_told_by_the_folders_that_tell_them_apart() {
        use Format::{AptHistory as Apt, CloudTrail, Dnf, Dpkg};
        let two = [
            ("logs/web1/var/log/apt/history.log", Apt),
            ("logs/web1/var/log/dpkg.log", Dpkg),
            ("logs/web2/var/log/apt/history.log.1", Apt),
            ("logs/web2/dpkg.log", Dpkg),
            ("logs/trail/t.json", CloudTrail),
        ];
        assert_eq!(of(&two, false), ["web1", "web1", "web2", "web2", "here"]);
        assert_eq!(of(&two, true), ["here"; 5]);
        // One host's logs, by kind or as they lie.
        for one in [
            &[
                ("/var/log/apt/history.log", Apt),
                ("/var/log/dpkg.log", Dpkg),
                ("/var/lib/dnf/h", Dnf),
            ][..],
            &[("logs/a/history.log", Apt), ("logs/b/dpkg.log", Dpkg)],
            &[("history.log", Apt), ("history.log.1", Apt), ("-", Dpkg)],
        ] {
            assert!(of(one, false).iter().all(|name| name == "here"), "{one:?}");
        }
        for (paths, names) in [
            (
                ["x/web1/logs/h", "x/web2/logs/h", "x/web3/h"],
                ["web1", "web2", "web3"],
            ),
            (
                ["x/dc1/web1/h", "x/dc1/web2/h", "x/dc2/db1/h"],
                ["web1", "web2", "db1"],
            ),
            (
                ["dc1/web1/h", "dc1/web2/h", "dc2/web1/h"],
                ["dc1/web1", "dc1/web2", "dc2/web1"],
            ),
            (
                ["logs/h", "logs/web1/h", "logs/web1/h.1"],
                ["here", "web1", "web1"],
            ),
        ] {
            assert_eq!(of(&paths.map(|path| (path, Apt)), false), names);
        }
    }
}
