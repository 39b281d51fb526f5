//! The network process: HTTP for an executor that runs as root, in a process that is not root, holds
//! no key, and can do little else. It takes a request for one of the gate's addresses over a unix
//! socket, sends it to the one server of its own configuration, and hands back the answer, unread.
//! Whoever captures it can refuse service and use tokens for the minutes that they live, and is
//! believed in nothing: the executor verifies every answer by itself.

mod account;
mod frame;
mod relay;
mod sandbox;
mod selfcheck;
mod serve;
mod settings;

pub use account::AccountError;
pub use frame::FrameError;
pub use relay::{Relay, RelayError};
pub use sandbox::{Enforced, SandboxError};
pub use selfcheck::{Attempt, Report, selfcheck};
pub use serve::{NetworkError, serve};
pub use settings::Settings;

use std::path::PathBuf;

/// Where the network process's own configuration lies unless another place is named.
pub const CONFIG_PATH: &str = "/etc/countersign/network.toml";

/// Where it listens unless its configuration names another place: a folder of its own, so that it
/// cannot replace what others put beside.
fn socket_path() -> PathBuf {
    PathBuf::from("/run/countersign-network/network.sock")
}

/// The account that the package makes for it.
fn user() -> String {
    "countersign-network".to_owned()
}
