//! The gate under fire: killed, out of disk, damaged. What it acknowledged is found again, or it
//! refuses to start and says how to recover.

mod backups;
mod behind;
mod crew;
mod damaged;
mod documents;
mod killed;
mod load;
pub mod process;
mod salvaged;
