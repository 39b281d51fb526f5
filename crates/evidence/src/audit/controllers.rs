//! Tells systems apart that count alike: two controllers of AWX give the same id to different runs, and
//! an export does not say whose it is. They are told apart by what contradicts itself and by the folders
//! of their exports; where neither tells, a link by such an id is an unclear one.

use super::collect::FileRead;
use super::hosts::{folder_above, numbered};
use super::model::{Action, Change, FileNumber, Reference};
use super::reader::lenient::clip;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What stands between an id and the number of the file that it was read in, until the controllers are
/// known. No text that is read has it.
const MARK: char = '\u{1f}';
/// The kinds of records that the ids of runs come from.
pub(crate) const JOB: &str = "job";
const EVENT: &str = "event";
/// What a controller is called of whose exports nothing is known but that they lie elsewhere. No folder is
/// called so.
const ELSEWHERE: &str = "elsewhere/";
/// Folders that exports of one controller lie in, by what they are of.
const USUAL: [&str; 8] = [
    "ad_hoc_commands",
    "api",
    "approvals",
    "events",
    "job_events",
    "jobs",
    "v2",
    "workflow_approvals",
];

/// An id that a controller gave to a job or an approval, which count alike.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Given {
    /// The file that says so.
    pub file: FileNumber,
    /// The id.
    pub id: String,
    /// What kind of record has it: a job, an approval; or an event, which only says where events lie.
    pub kind: &'static str,
    /// What one controller gives it to only once: when that was made, and its name.
    pub to: String,
}

impl Given {
    /// Events of jobs that are actions lie in this file.
    pub(crate) const fn event(file: FileNumber) -> Self {
        Self {
            file,
            id: String::new(),
            kind: EVENT,
            to: String::new(),
        }
    }
}

/// An id as it is kept until the controllers are known.
pub(crate) fn marked(id: &str, file: FileNumber) -> String {
    format!("{id}{MARK}{}", file.0)
}

/// The controllers whose exports were read.
#[derive(Debug, Default)]
pub(crate) struct Controllers {
    /// By the folder of its exports, its name, and whether several are mixed in it. Empty where all is
    /// of one.
    groups: Vec<(String, bool)>,
    of: BTreeMap<FileNumber, usize>,
    /// Something shows that they are several, and not one whose exports lie in several folders.
    shown: bool,
}

impl Controllers {
    pub(crate) fn of(files: &[FileRead], given: &BTreeSet<Given>) -> Self {
        let root_of = |file: FileNumber| files.get(file.0 as usize).map(|file| root(&file.path));
        let mut kinds: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
        let mut to: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        let mut mixed: BTreeMap<(&Path, &str), BTreeSet<&str>> = BTreeMap::new();
        for one in given.iter().filter(|one| one.kind != EVENT) {
            let Some(root) = root_of(one.file) else {
                continue;
            };
            kinds.entry(one.kind).or_default().insert(root);
            to.entry(&one.id).or_default().insert(&one.to);
            mixed.entry((root, &one.id)).or_default().insert(&one.to);
        }
        let shown = to.values().any(|to| to.len() > 1);
        let roots: BTreeSet<&Path> = kinds.values().flatten().copied().collect();
        let roots: Vec<&Path> = roots.into_iter().collect();
        // A file is of the nearest folder with jobs or approvals above it.
        let nearest = |path: &Path| {
            let near = path
                .ancestors()
                .find_map(|at| roots.binary_search(&at).ok());
            near.unwrap_or(roots.len())
        };
        // Events that lie apart from all jobs may be of another controller's.
        let apart = kinds.get(JOB).is_some_and(|jobs| {
            let mut events = given.iter().filter(|one| one.kind == EVENT);
            events.any(|one| {
                let file = files.get(one.file.0 as usize);
                let near = file.and_then(|file| roots.get(nearest(&file.path)));
                near.is_none_or(|root| !jobs.contains(root))
            })
        });
        if !shown && !apart && kinds.values().all(|roots| roots.len() < 2) {
            return Self::default();
        }
        let several = |root: &Path| {
            let mut all = mixed.iter();
            all.any(|((of, _), to)| *of == root && to.len() > 1)
        };
        let names = roots.iter().map(|root| clip(&root.to_string_lossy()));
        let groups = numbered(names.collect())
            .into_iter()
            .zip(roots.iter().map(|root| several(root)))
            .collect();
        let of = files.iter().enumerate().map(|(number, file)| {
            let number = FileNumber(u32::try_from(number).unwrap_or(u32::MAX));
            (number, nearest(&file.path))
        });
        Self {
            of: of.collect(),
            groups,
            shown,
        }
    }

    /// An id without the file that it was read in, where nothing but folders speaks for several
    /// controllers: in another folder, it may be of the same one.
    pub(crate) fn alike<'m>(&self, marked: &'m str) -> Option<&'m str> {
        if self.shown || self.groups.is_empty() {
            return None;
        }
        marked.split_once(MARK).map(|(id, _)| id)
    }

    /// Such an id, as that of a controller of which no more is known: a link by it is an unclear one.
    pub(crate) fn elsewhere(id: &str) -> String {
        format!("{id} of {ELSEWHERE}")
    }

    /// An id, with the controller that gave it where they are several.
    pub(crate) fn id(&self, marked: &str) -> String {
        let Some((id, file)) = marked.split_once(MARK) else {
            return marked.to_owned();
        };
        match self.group(file) {
            None => id.to_owned(),
            Some(None) => Self::elsewhere(id),
            Some(Some((name, _))) => format!("{id} of {name}"),
        }
    }

    /// Whether records of several controllers are mixed where this id stands.
    pub(crate) fn is_mixed(&self, marked: &str) -> bool {
        let file = marked.split_once(MARK).map(|(_, file)| file);
        file.and_then(|file| self.group(file))
            .is_some_and(|group| group.is_none_or(|(_, mixed)| *mixed))
    }

    /// The group of a file where there are several: none where it is of none of them.
    fn group(&self, file: &str) -> Option<Option<&(String, bool)>> {
        if self.groups.is_empty() {
            return None;
        }
        let group = self.of.get(&FileNumber(file.parse().ok()?))?;
        Some(self.groups.get(*group))
    }

    /// What an action names, with controllers.
    pub(crate) fn of_action(&self, action: &mut Action) {
        self.references(&mut action.references);
    }

    /// What a list names, with controllers.
    pub(crate) fn references(&self, references: &mut Vec<Reference>) {
        for reference in &mut *references {
            if let Reference::Native(id) = reference {
                *id = self.id(id);
            }
        }
        references.sort();
        references.dedup();
    }

    /// A change record with its controller. Where several are mixed, it is of any of theirs; where
    /// nothing but folders speaks for several, the same id in another folder may be of this one.
    pub(crate) fn of_change(&self, change: &mut Change) {
        let mut unclear: Vec<Reference> = Vec::new();
        for reference in &change.references {
            let Reference::Native(marked) = reference else {
                continue;
            };
            let own = self.id(marked);
            if self.is_mixed(marked) {
                unclear.push(Reference::Native(own));
            } else if let Some(id) = self.alike(marked) {
                unclear.push(Reference::Native(Self::elsewhere(id)));
                let others = self
                    .groups
                    .iter()
                    .map(|(name, _)| format!("{id} of {name}"));
                unclear.extend(others.filter(|other| *other != own).map(Reference::Native));
            }
        }
        self.references(&mut change.references);
        change
            .references
            .retain(|reference| !unclear.contains(reference));
        change.unclear = unclear;
        change.key = self.id(&change.key);
    }
}

/// The folder of a controller's exports that a file lies in.
fn root(path: &Path) -> &Path {
    folder_above(path, &USUAL)
}

#[cfg(test)]
mod tests {
    use super::{Controllers, Given, marked};
    use crate::audit::FileRead;
    use crate::audit::model::FileNumber;

    #[test]
    fn controllers_whose_folders_are_shown_alike_are_not_the_same() {
        let path = |end: &str| format!("{}{end}/jobs.json", "a/long/".repeat(60));
        let files = [path("1"), path("2")].map(|path| FileRead::new(path.into()));
        let given = [0, 1].map(|file| Given {
            file: FileNumber(file),
            id: "42".into(),
            kind: "job",
            to: format!("made at {file}"),
        });
        let all = Controllers::of(&files, &given.into());
        let ids = [0, 1].map(|file| all.id(&marked("42", FileNumber(file))));
        assert_ne!(ids[0], ids[1]);
        assert!(ids[0].starts_with("42 of a/long/"), "{ids:?}");
    }
}
