//! What the network process can no longer do once it has entered: enforced by the kernel on this
//! process and every thread it starts, and never lifted. Not a sandbox for the executor: maintainer
//! scripts would inherit it.

mod calls;
mod files;

/// What is enforced beyond what is always demanded (files, programs, system calls).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Enforced {
    /// Outgoing TCP connections go to the allowed ports only (Linux 6.7 and later).
    pub tcp_ports: bool,
}

/// Why the sandbox could not be entered.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A thread that is there already would stay outside.
    #[error("{0} threads run already; all but one would stay outside the sandbox")]
    Threads(usize),
    /// The threads could not be counted.
    #[error("`/proc/self/task`: {0}")]
    Proc(#[from] std::io::Error),
    /// Landlock.
    #[error(
        "landlock is not enforced ({0}); hint: Linux 5.13 or later with `landlock` in the `lsm=` list of its command line"
    )]
    Files(String),
    /// seccomp.
    #[error(
        "seccomp is not enforced ({0}); hint: a kernel with CONFIG_SECCOMP_FILTER on x86_64 or aarch64"
    )]
    Calls(String),
}

/// Enters the sandbox for good. TCP connections stay possible to `ports` only, where the kernel can
/// hold that.
///
/// # Errors
/// When any part that is always demanded cannot be enforced; other parts may be in force by then.
pub fn enter(ports: &[u16]) -> Result<Enforced, SandboxError> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(SandboxError::Threads(threads));
    }
    let tcp_ports = files::restrict(ports)?;
    calls::restrict()?;
    Ok(Enforced { tcp_ports })
}
