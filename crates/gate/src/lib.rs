//! The authorization lifecycle.
