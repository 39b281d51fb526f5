//! The 30-day question over logs that exist already: was there, for each autonomous action in
//! production, a named human approver and an authorization from before it ran? Logs of many formats
//! are read into actions, change records and decisions, linked, and judged. Offline; writes nothing.

pub mod model;
pub mod moment;
mod reader;
