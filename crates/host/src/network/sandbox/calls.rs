//! System calls, by seccomp: a list of those that reading a request, asking the gate and answering
//! need. All others fail with EPERM: no program is started, no process made, no file opened to be
//! written, no address listened on, no identity changed, no process traced. Not which files there are
//! (`files`).

use super::SandboxError;
use libc::c_long;
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition,
    SeccompFilter, SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

/// `FIONBIO` as a 32-bit argument.
const FIONBIO: i32 = libc::FIONBIO as i32;

/// Allowed whatever their arguments.
const ALLOWED: &[c_long] = &[
    // What is open already: the log, the listener, connections.
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_close,
    libc::SYS_lseek,
    libc::SYS_fcntl,
    // Looking at files.
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    // Sockets, once made; for sending see below.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_shutdown,
    libc::SYS_ppoll,
    // Memory; modules of the name service are mapped to be run.
    libc::SYS_mmap,
    libc::SYS_mprotect,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    // Threads; see below for `clone`. `clone3` fails before it gets here.
    libc::SYS_clone3,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Signals to oneself: aborting.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_tgkill,
    // Time, chance, and who one is.
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
];

/// Older forms that the C library still uses where they exist.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c_long] = &[
    libc::SYS_poll,
    libc::SYS_stat,
    libc::SYS_access,
    libc::SYS_readlink,
];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];

/// Restricts this thread and those it starts.
pub(super) fn restrict() -> Result<(), SandboxError> {
    let wrong = |error: seccompiler::Error| SandboxError::Calls(error.to_string());
    let backend = |error: BackendError| SandboxError::Calls(error.to_string());
    for program in programs().map_err(backend)? {
        seccompiler::apply_filter(&program).map_err(wrong)?;
    }
    Ok(())
}

/// Both filters, in the order in which they are applied: the later one no longer lets a filter be
/// added. The kernel takes the strictest answer of the two.
fn programs() -> Result<[BpfProgram; 2], BackendError> {
    let architecture: TargetArch = std::env::consts::ARCH.try_into()?;
    let mut rules = conditional()?;
    for call in ALLOWED.iter().chain(ALLOWED_HERE) {
        rules.insert(*call, Vec::new());
    }
    let refuse = SeccompAction::Errno(errno(libc::EPERM));
    let allowed = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture)?;
    // Its flags lie in memory, where no filter can look: "not there" makes the C library use `clone`.
    let absent = SeccompFilter::new(
        BTreeMap::from([(libc::SYS_clone3, Vec::new())]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno(libc::ENOSYS)),
        architecture,
    )?;
    Ok([absent.try_into()?, allowed.try_into()?])
}

/// Allowed with some arguments only.
fn conditional() -> Result<BTreeMap<c_long, Vec<SeccompRule>>, BackendError> {
    let to_change = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
    // Sending that would connect by the way: the rules for ports are asked at `connect` alone.
    let connecting_not = |flags| argument(flags, libc::MSG_FASTOPEN, 0);
    Ok(BTreeMap::from([
        (libc::SYS_sendto, vec![connecting_not(3)?]),
        (libc::SYS_sendmsg, vec![connecting_not(2)?]),
        (libc::SYS_sendmmsg, vec![connecting_not(3)?]),
        // To be read only.
        (
            libc::SYS_openat,
            vec![argument(2, to_change, libc::O_RDONLY)?],
        ),
        (libc::SYS_socket, sockets()?),
        // A thread, not a process.
        (
            libc::SYS_clone,
            vec![argument(0, libc::CLONE_THREAD, libc::CLONE_THREAD)?],
        ),
        // Waiting or not, as the standard library sets it; nothing of terminals or devices.
        (libc::SYS_ioctl, vec![argument(1, -1, FIONBIO)?]),
        // A thread's name.
        (libc::SYS_prctl, vec![argument(0, -1, libc::PR_SET_NAME)?]),
    ]))
}

/// TCP, UDP and unix sockets: no raw packets, no kernel interfaces, and none of the other protocols of
/// the same types (MPTCP, SCTP), which the rules for ports do not know.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let kind = !(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK);
    let (stream, datagram) = (libc::SOCK_STREAM, libc::SOCK_DGRAM);
    let mut rules = Vec::new();
    for family in [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6] {
        for (of, protocol) in [
            (stream, 0),
            (stream, libc::IPPROTO_TCP),
            (datagram, 0),
            (datagram, libc::IPPROTO_UDP),
        ] {
            rules.push(SeccompRule::new(vec![
                condition(0, -1, family)?,
                condition(1, kind, of)?,
                condition(2, -1, protocol)?,
            ])?);
        }
    }
    Ok(rules)
}

/// The argument at `index` has, under `mask`, this value.
fn argument(index: u8, mask: i32, value: i32) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(vec![condition(index, mask, value)?])
}

fn condition(index: u8, mask: i32, value: i32) -> Result<SeccompCondition, BackendError> {
    let bits = |number: i32| u64::from(number.cast_unsigned());
    SeccompCondition::new(
        index,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::MaskedEq(bits(mask)),
        bits(value),
    )
}

const fn errno(number: i32) -> u32 {
    number.cast_unsigned()
}
