//! Being asked to end (SIGTERM, SIGINT, SIGHUP) is put off while this host acts: an apt whose reader has
//! gone away stops half way. What is asked meanwhile happens as soon as that is over. SIGKILL and a power
//! cut cannot be put off; `recover` is for those.
//!
//! By handlers, not by a mask: what this host starts would inherit a mask, and could not be asked to end.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const ASKING: [i32; 3] = [SIGTERM, SIGINT, SIGHUP];

/// True while nothing is put off.
static MAY_END: AtomicBool = AtomicBool::new(true);
/// How many `PutOff` live.
static LIVING: AtomicUsize = AtomicUsize::new(0);
/// By which signal this process was asked to end meanwhile; 0 for none.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// While this lives, being asked to end waits. Processes that are started meanwhile are not affected:
/// handlers end with this program's image, and no signal is blocked.
#[must_use]
pub(crate) struct PutOff(());

impl PutOff {
    /// From now on. Where the kernel refuses, which it has no reason for, nothing is put off.
    pub(crate) fn begin() -> Self {
        static HANDLED: OnceLock<()> = OnceLock::new();
        HANDLED.get_or_init(|| {
            let ignored = ignored();
            for signal in ASKING.into_iter().filter(|one| !is_in(ignored, *one)) {
                let number = usize::try_from(signal).unwrap_or_default();
                // INVARIANT: noted before it is asked whether it may end, and `drop` does it the other
                // way round, so that one of the two sees it.
                let _ = flag::register_usize(signal, &ASKED, number)
                    .and_then(|_| flag::register_conditional_default(signal, &MAY_END));
            }
        });
        LIVING.fetch_add(1, Ordering::SeqCst);
        MAY_END.store(false, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for PutOff {
    fn drop(&mut self) {
        if LIVING.fetch_sub(1, Ordering::SeqCst) > 1 {
            return;
        }
        MAY_END.store(true, Ordering::SeqCst);
        let asked = ASKED.swap(0, Ordering::SeqCst);
        if let Some(signal) = ASKING
            .into_iter()
            .find(|one| usize::try_from(*one).is_ok_and(|number| number == asked))
        {
            // It ends here.
            let _ = low_level::emulate_default_handler(signal);
        }
    }
}

/// The signals that this process was started to ignore, as the kernel tells them: `nohup` stays so.
fn ignored() -> u64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let bits = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(bits.trim(), 16).ok()
        })
        .unwrap_or(0)
}

fn is_in(signals: u64, signal: i32) -> bool {
    u32::try_from(signal - 1)
        .ok()
        .and_then(|bit| signals.checked_shr(bit))
        .is_some_and(|shifted| shifted & 1 == 1)
}
