//! Accounts of this machine: found by name or number, and becoming one for good. Not here: the
//! roster's people, who are no accounts.

use countersign_domain::text::shown;
use nix::unistd::{Gid, Uid, User};

/// An account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Why an account cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// There is none.
    #[error(
        "there is no account `{0}` here; hint: the package makes `countersign-network`, or see `adduser --system`"
    )]
    Unknown(String),
    /// It could not be looked up, or become.
    #[error("account `{user}`: {problem}")]
    Failed {
        /// Which.
        user: String,
        /// Why.
        problem: nix::errno::Errno,
    },
    /// It is root.
    #[error("`{0}` is root, which a network process must not be")]
    Root(String),
}

/// Looks an account up, by name or number.
pub(super) fn find(user: &str) -> Result<Account, AccountError> {
    let found = match user.parse() {
        // A number needs no entry: it is what the kernel tells of a peer.
        Ok(number) => User::from_uid(Uid::from_raw(number)).map(|known| {
            let gid = known.map_or(number, |known| known.gid.as_raw());
            Some(Account { uid: number, gid })
        }),
        Err(_) => User::from_name(user).map(|known| {
            known.map(|known| Account {
                uid: known.uid.as_raw(),
                gid: known.gid.as_raw(),
            })
        }),
    };
    found
        .map_err(|problem| failed(user, problem))?
        .ok_or_else(|| AccountError::Unknown(shown(user, 64)))
}

/// Becomes `user` for good, with its own group and no other.
pub(super) fn become_for_good(user: &str) -> Result<(), AccountError> {
    let account = find(user)?;
    if account.uid == 0 || account.gid == 0 {
        return Err(AccountError::Root(shown(user, 64)));
    }
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    nix::unistd::setgroups(&[])
        .and_then(|()| nix::unistd::setresgid(gid, gid, gid))
        .and_then(|()| nix::unistd::setresuid(uid, uid, uid))
        .map_err(|problem| failed(user, problem))
}

fn failed(user: &str, problem: nix::errno::Errno) -> AccountError {
    AccountError::Failed {
        user: shown(user, 64),
        problem,
    }
}
