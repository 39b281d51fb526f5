//! Faults of a disk as an argument, so that a simulation can let any commit fail. Nothing here decides
//! when; a store without faults never asks.

/// Where a commit fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitPoint {
    /// Before it: the disk is full, and nothing of the group is kept.
    Before,
    /// After it: the group is on the disk, and the caller never hears so (a failed fsync, a crash).
    After,
}

/// A disk that can fail.
pub trait Faults: Send + Sync {
    /// Called at each point of each commit, on the writer's thread: what went wrong, or none. What
    /// failed stops the store, as a real failure would.
    fn strike(&self, point: CommitPoint) -> Option<String>;
}
