//! The countersign-host command.
fn main() {}
