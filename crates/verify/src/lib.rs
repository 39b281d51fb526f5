//! Pure checks shared by gate, host and evidence.
