//! Being asked to end (SIGTERM, SIGINT, SIGHUP) is put off while this host acts: an apt whose reader has
//! gone away stops half way. What is asked meanwhile happens as soon as that is over. SIGKILL and a power
//! cut cannot be put off; `recover` is for those.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// While this lives, being asked to end waits. Processes that are started meanwhile are not affected: the
/// standard library gives them an empty mask.
#[must_use]
pub(crate) struct PutOff {
    before: Option<SigSet>,
}

impl PutOff {
    /// From now on. Where the kernel refuses, which it has no reason for, nothing is put off.
    pub(crate) fn begin() -> Self {
        let asked: SigSet = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP]
            .into_iter()
            .collect();
        Self {
            before: asked.thread_swap_mask(SigmaskHow::SIG_BLOCK).ok(),
        }
    }
}

impl Drop for PutOff {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // The mask was the kernel's own a moment ago.
            let _ = before.thread_set_mask();
        }
    }
}
