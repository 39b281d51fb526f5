//! Witnesses: the process that cosigns checkpoints (`countersign witness`), and the server's side
//! that asks it. Whether a checkpoint may be cosigned is decided in `ledger`.

mod asking;
mod heads;
mod service;

pub use asking::Cosigners;
pub(crate) use asking::{Seen, ask_all};
pub use heads::{FileHeads, HeadsError};
pub use service::{WitnessDir, WitnessError, WitnessRunning};
