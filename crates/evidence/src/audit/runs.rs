//! What is told of a whole run apart from what was done in it: by the record of a job, or by the file
//! beside a run's events that holds its command line. That it was a dry run, who started it, what it
//! was for. Brought together with the actions once everything was read, in whatever order it was.

use super::collect::FileRead;
use super::controllers::Controllers;
use super::model::{Action, Actor, FileNumber, Format, Nature, Reference};
use countersign_domain::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How runner calls the file with a run's command line, and the folder beside it with its events.
const COMMAND: &str = "command";
const EVENTS: &str = "job_events";
/// The most runs that a job of another folder lends to events of its id.
const LENT_MAX: usize = 16;
/// So many are more than one.
const SEVERAL: usize = 2;

/// By what actions belong to a run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum RunKey {
    /// They name it, by the id that the acting system gave it.
    Native(String),
    /// They stand in the folder that this file, named `command`, is of.
    Folder(FileNumber),
    /// They stand in this file.
    Within(FileNumber),
}

/// What a record tells of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Which run.
    pub by: RunKey,
    /// What it tells.
    pub told: Told,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Its command line, or the record of it, was read: what it is can be told.
    pub known: bool,
    /// Events of it were read that are actions.
    pub events: bool,
    /// It only shows what would be done: all that is known of it says so.
    pub dry_run: bool,
    /// What its events call it, and the beginnings that they tell of: where there are several of either,
    /// events of several runs stand together. No more than tells that.
    pub names: BTreeSet<String>,
    /// See `names`.
    pub beginnings: BTreeSet<String>,
    /// Who started it.
    pub actor: Option<Actor>,
    /// What it names as its reason.
    pub references: Vec<Reference>,
    /// What it did as far as its own record tells: counts where no event of it is an action.
    pub actions: Vec<Action>,
}

/// All runs that something is told of.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    told: BTreeMap<RunKey, Told>,
    /// Actions that were none of a dry run, whatever their run was.
    certain: BTreeSet<Digest>,
}

/// What bringing them together came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Applied {
    /// Actions that were none, by format.
    pub(crate) dry_runs: BTreeMap<Format, u64>,
    /// Actions of which it cannot be told whether they were a dry run's.
    pub(crate) unknown: u64,
}

impl Told {
    /// Brings together what two records tell, in whatever order.
    fn and(&mut self, other: Self) {
        // Of two that contradict each other, the one that hides nothing counts.
        self.dry_run = match (self.known, other.known) {
            (true, true) => self.dry_run && other.dry_run,
            _ => self.dry_run || other.dry_run,
        };
        self.known |= other.known;
        self.events |= other.events;
        self.names.extend(other.names);
        self.beginnings.extend(other.beginnings);
        for several in [&mut self.names, &mut self.beginnings] {
            while several.len() > SEVERAL {
                several.pop_last();
            }
        }
        self.actor = match (self.actor.take(), other.actor) {
            (Some(one), Some(other)) => Some(clearer(one, other)),
            (one, other) => one.or(other),
        };
        self.references.extend(other.references);
        self.references.sort();
        self.references.dedup();
        self.actions.extend(other.actions);
    }
}

/// Of two readings of who it was, the one that tells more.
pub(crate) fn clearer(one: Actor, other: Actor) -> Actor {
    let rank = |actor: &Actor| (actor.nature == Nature::Unclear, actor.clone());
    if rank(&other) < rank(&one) {
        other
    } else {
        one
    }
}

impl Runs {
    /// Keeps what a record tells.
    pub(crate) fn keep(&mut self, run: Run) {
        self.told.entry(run.by).or_default().and(run.told);
    }

    /// This action was done, even if its run was a dry one.
    pub(crate) fn certain(&mut self, action: Digest) {
        self.certain.insert(action);
    }

    /// With the controllers that gave the ids of runs. Where several are mixed, nothing says whose run was
    /// a dry one, and none is taken for one.
    pub(crate) fn of(self, controllers: &Controllers) -> Self {
        let mut of = Self {
            certain: self.certain,
            ..Self::default()
        };
        let mut lent: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let mut events: BTreeMap<RunKey, String> = BTreeMap::new();
        for (by, mut told) in self.told {
            if let RunKey::Native(marked) = &by
                && let Some(id) = controllers.alike(marked)
            {
                if told.known {
                    let named = lent.entry(id.to_owned()).or_default();
                    named.extend(told.references.iter().filter_map(|one| match one {
                        Reference::Native(run) => controllers.alike(run).map(str::to_owned),
                        _ => None,
                    }));
                    while named.len() > LENT_MAX {
                        named.pop_last();
                    }
                } else {
                    events.insert(RunKey::Native(controllers.id(marked)), id.to_owned());
                }
            }
            for action in &mut told.actions {
                controllers.of_action(action);
            }
            controllers.references(&mut told.references);
            let by = match by {
                RunKey::Native(id) => {
                    if controllers.is_mixed(&id) {
                        told.dry_run = false;
                        told.known = false;
                    }
                    RunKey::Native(controllers.id(&id))
                }
                by => by,
            };
            of.keep(Run { by, told });
        }
        // Of events without a record of their job, one in another folder may be that record. All that it
        // says is then unclear: not who, not what for, nor that it was a dry run.
        for (by, id) in events {
            if let (Some(told), Some(named)) = (of.told.get_mut(&by), lent.get(&id))
                && !told.known
            {
                let named = named.iter().map(|run| Controllers::elsewhere(run));
                told.references.extend(named.map(Reference::Native));
                told.references.sort();
                told.references.dedup();
            }
        }
        of
    }

    /// Takes in what another part of the logs tells.
    pub(crate) fn and(&mut self, other: Self) {
        for (by, told) in other.told {
            self.keep(Run { by, told });
        }
        self.certain.extend(other.certain);
    }

    /// Actions that only the record of their run tells of.
    pub(crate) fn alone(&mut self) -> Vec<Action> {
        let alone = |told: &mut Told| !told.events && !told.dry_run;
        self.told
            .values_mut()
            .filter_map(|told| alone(told).then(|| std::mem::take(&mut told.actions)))
            .flatten()
            .collect()
    }

    /// Takes what was no more than shown out of `actions`, and tells the others who started their run
    /// and what it was for.
    pub(crate) fn apply(self, files: &[FileRead], actions: &mut Vec<Action>) -> Applied {
        let folders = self.folders(files);
        let mut applied = Applied::default();
        actions.retain_mut(|action| {
            if !matches!(action.format, Format::AnsibleRunner | Format::Awx) {
                return true;
            }
            let told: Vec<&Told> = self
                .natives(action)
                .chain(action.places.iter().filter_map(|place| {
                    // The file is runner's, and says nothing of what AWX ran.
                    if action.format != Format::AnsibleRunner {
                        return None;
                    }
                    let path = &files.get(place.file.0 as usize)?.path;
                    folders.get(folder_of_events(path)?)
                }))
                .collect();
            let mut known = told.iter().filter(|told| told.known).peekable();
            let dry = known.peek().is_some() && known.all(|told| told.dry_run);
            if dry && !self.certain.contains(&action.key) {
                *applied.dry_runs.entry(action.format).or_default() += 1;
                return false;
            }
            if !told.iter().any(|told| told.known) {
                applied.unknown += 1;
            }
            let actors = told.iter().filter_map(|told| told.actor.clone());
            if let Some(actor) = actors.reduce(clearer) {
                action.actor = actor;
            }
            for told in told {
                action.references.extend(told.references.iter().cloned());
            }
            action.references.sort();
            action.references.dedup();
            true
        });
        applied
    }

    /// What is told of the run whose folder it is. Not where events of several runs stand in it: of which
    /// of them its command line is, nothing says.
    fn folders<'f>(&self, files: &'f [FileRead]) -> BTreeMap<&'f Path, Told> {
        let path = |file: &FileNumber| Some(files.get(file.0 as usize)?.path.as_path());
        let mut within: BTreeMap<&Path, Told> = BTreeMap::new();
        let mut folders: BTreeMap<&Path, Told> = BTreeMap::new();
        for (by, told) in &self.told {
            match by {
                RunKey::Native(_) => {}
                RunKey::Within(file) => {
                    if let Some(folder) = path(file).and_then(folder_of_events) {
                        within.entry(folder).or_default().and(told.clone());
                    }
                }
                RunKey::Folder(file) => {
                    if let Some(folder) = path(file).and_then(folder_of_command) {
                        folders.entry(folder).or_default().and(told.clone());
                    }
                }
            }
        }
        folders.retain(|folder, _| {
            within.get(folder).is_none_or(|events| {
                events.names.len() < SEVERAL && events.beginnings.len() < SEVERAL
            })
        });
        folders
    }

    fn natives<'a>(&'a self, action: &Action) -> impl Iterator<Item = &'a Told> {
        let ids: Vec<RunKey> = action
            .references
            .iter()
            .filter_map(|reference| match reference {
                Reference::Native(id) => Some(RunKey::Native(id.clone())),
                _ => None,
            })
            .collect();
        ids.into_iter().filter_map(|by| self.told.get(&by))
    }
}

/// The folder of the run whose events a file holds: the one that it stands in, or that `job_events`
/// stands in. Never one further up: whoever puts a file there would say something of every run below.
fn folder_of_events(path: &Path) -> Option<&Path> {
    if path.as_os_str() == "-" {
        return None;
    }
    let folder = path.parent()?;
    if folder.file_name().is_some_and(|name| name == EVENTS) {
        return folder.parent();
    }
    Some(folder)
}

/// The folder of the run whose command line a file holds, if that is what it is called.
fn folder_of_command(path: &Path) -> Option<&Path> {
    path.file_stem()
        .is_some_and(|name| name == COMMAND)
        .then(|| path.parent())?
}
