//! State and log entries in one transaction.
