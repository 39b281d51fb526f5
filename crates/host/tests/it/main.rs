//! Integration tests of the host on real apt and dpkg, in private roots of their own: no root rights,
//! no network, nothing of the machine is touched.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod command_line;
mod dependencies;
mod dpkg;
mod edges;
mod emergency;
mod gate;
mod http;
mod killed;
mod log;
mod loop_end_to_end;
mod misfortunes;
mod network;
mod package;
mod packages;
mod private_lists;
mod sandboxed;
mod seen;
mod unattended;
mod units;
