//! The read side over log entries.
