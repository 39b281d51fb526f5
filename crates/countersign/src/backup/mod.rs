//! Backup while the server runs, and restore with proof that nothing is missing. A backup is a folder
//! with a manifest: the database at one moment, the newest signed checkpoints, the configuration,
//! and the keys where that was asked for.
//!
//! Restoring forks the logs where the copy that is restored is older than one that lived on. So
//! whoever restores hands in the newest signed checkpoint that anybody has, or says that nobody has
//! one; witnesses that the deployment names are asked too.

mod documents;
mod error;
mod files;
mod known;
mod manifest;
mod restore;
mod salvage;
mod take;

pub use documents::MissingDocuments;
pub use error::BackupError;
pub use known::{HeldAgainst, Known};
pub use manifest::{FileMark, LogMark, MANIFEST, Manifest};
pub use restore::{Restored, Restoring, restore};
pub use salvage::{Salvaged, SalvagedLog, Salvaging, salvage};
pub use take::{Taken, Taking, take};

use files::{CONFIG, LATEST};

/// How far a long step has got: its name, what is done, and of how much.
pub type Progress<'a> = dyn FnMut(&str, u64, u64) + 'a;
