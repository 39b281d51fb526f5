//! Enforcement on a machine: prepare, verify, journal, execute, settle.
