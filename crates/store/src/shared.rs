//! What the threads of one open store share: the readers, what is published, and whether it has
//! stopped.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};

use crate::contract::{Log, StoreError};
use crate::locked::{copied, locked, replace_if};
use crate::per_log::PerLog;
use crate::pool::Pool;
use countersign_ledger::{SignedCheckpoint, TileCache, Tree, VerifierKey};

/// A log as the outside sees it: a signed checkpoint, and the tree that proofs under it come from.
pub(crate) struct Published {
    pub(crate) tree: Tree,
    pub(crate) note: SignedCheckpoint,
    pub(crate) cosigned: bool,
}

/// One open store.
pub(crate) struct Shared {
    path: PathBuf,
    pub(crate) keys: PerLog<VerifierKey>,
    pub(crate) pool: Pool,
    pub(crate) tiles: PerLog<TileCache>,
    published: PerLog<RwLock<Arc<Published>>>,
    /// The newest cosigned state of the authorizations log: what it covers stays provable to
    /// hosts that demand a witness, also while the witness is away.
    cosigned: RwLock<Option<Arc<Published>>>,
    stopped: Mutex<Option<String>>,
}

impl Shared {
    pub(crate) fn new(
        path: PathBuf,
        keys: PerLog<VerifierKey>,
        published: PerLog<Published>,
        cosigned: Option<Published>,
    ) -> Self {
        Self {
            pool: Pool::new(path.clone()),
            tiles: PerLog::default(),
            path,
            keys,
            published: PerLog {
                recommendations: RwLock::new(Arc::new(published.recommendations)),
                authorizations: RwLock::new(Arc::new(published.authorizations)),
            },
            cosigned: RwLock::new(cosigned.map(Arc::new)),
            stopped: Mutex::new(None),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn published(&self, log: Log) -> Arc<Published> {
        copied(self.published.get(log))
    }

    /// The state under which an entry is proven: the published one, unless only an earlier one
    /// that holds the entry is cosigned.
    pub(crate) fn published_for(&self, log: Log, index: u64) -> Arc<Published> {
        let published = self.published(log);
        if log == Log::Authorizations
            && !published.cosigned
            && let Some(cosigned) = copied(&self.cosigned)
            && index < cosigned.tree.size()
        {
            return cosigned;
        }
        published
    }

    /// Publishes unless a later state is published already; the same state is only replaced by
    /// its cosigned note.
    pub(crate) fn publish(&self, log: Log, published: Arc<Published>) {
        if log == Log::Authorizations && published.cosigned {
            let later = |old: &Option<Arc<Published>>, new: &Option<Arc<Published>>| {
                let size = |state: &Option<Arc<Published>>| state.as_ref().map(|s| s.tree.size());
                size(new) > size(old)
            };
            replace_if(&self.cosigned, Some(Arc::clone(&published)), later);
        }
        replace_if(self.published.get(log), published, |old, new| {
            (new.tree.size(), new.cosigned) > (old.tree.size(), old.cosigned)
        });
    }

    /// Nothing is written any more. The first reason stays.
    pub(crate) fn stop(&self, why: String) {
        locked(&self.stopped).get_or_insert(why);
    }

    /// The reason for which nothing is written any more.
    pub(crate) fn stopped(&self) -> Option<StoreError> {
        locked(&self.stopped).clone().map(StoreError::Stopped)
    }
}
