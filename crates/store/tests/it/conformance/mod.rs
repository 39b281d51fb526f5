//! What every backend has to pass, as functions generic over it. SQLite runs them below; another
//! engine implements [`Backend`] and adds its line to `suite!`.

mod documents;
mod groups;
mod logs;
mod rows;

use std::path::Path;

use countersign_ledger::{QuorumPolicy, SignedCheckpoint, TlogProof};
use countersign_store::{Log, Pending, Read, Store, StoreError, Write};

use crate::fixture::{self, Refusal};

/// A store under test, opened on what `place` holds; opening the same place again finds the same.
pub trait Backend: Send + Sync + Sized {
    fn open(place: &Path) -> Self;
    fn read<T>(&self, read: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T;
    fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Write) -> Result<T, Refusal> + Send + 'static,
    ) -> Pending<T, Refusal>;
    fn checkpoint(&self, log: Log) -> (u64, SignedCheckpoint);
    fn proof(&self, log: Log, index: u64) -> Result<TlogProof, StoreError>;

    fn write<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Write) -> Result<T, Refusal> + Send + 'static,
    ) -> T {
        self.submit(job).wait().unwrap()
    }
}

impl Backend for Store {
    fn open(place: &Path) -> Self {
        fixture::open(place)
    }

    fn read<T>(&self, read: impl FnOnce(&dyn Read) -> Result<T, StoreError>) -> T {
        Store::read(self, read).unwrap()
    }

    fn submit<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut dyn Write) -> Result<T, Refusal> + Send + 'static,
    ) -> Pending<T, Refusal> {
        Store::submit(self, job)
    }

    fn checkpoint(&self, log: Log) -> (u64, SignedCheckpoint) {
        Store::checkpoint(self, log)
    }

    fn proof(&self, log: Log, index: u64) -> Result<TlogProof, StoreError> {
        Store::proof(self, log, index)
    }
}

/// Verifies against the log's own key, not what the store says its key is.
pub fn policy(log: Log) -> QuorumPolicy {
    let key = fixture::signers().get(log).verifier_key().clone();
    QuorumPolicy::log_only(vec![key]).unwrap()
}

macro_rules! suite {
    ($engine:ident: $backend:ty => $($module:ident { $($case:ident),+ $(,)? })+) => {
        mod $engine {$(
            mod $module {$(
                #[test]
                fn $case() {
                    let place = tempfile::tempdir().unwrap();
                    crate::conformance::$module::$case::<$backend>(place.path());
                }
            )+}
        )+}
    };
}

macro_rules! all_cases {
    ($engine:ident: $backend:ty) => {
        suite! { $engine: $backend =>
            logs {
                an_append_gives_the_head_inside_the_transaction,
                entries_are_found_by_index_and_range,
                an_oversized_entry_is_refused_and_the_largest_taken,
                checkpoints_after_commit_verify_and_prove_every_entry,
                reopening_gives_the_same_roots,
                old_entries_are_proven_from_storage,
            }
            groups {
                a_failing_job_takes_nothing_of_others_with_it,
                a_panicking_job_is_alone_in_its_misfortune,
                a_swallowed_write_error_still_undoes_the_job,
                acknowledged_entries_of_many_threads_are_there_and_dense,
                a_snapshot_does_not_move_while_others_write,
                state_and_entries_commit_together,
            }
            documents {
                a_document_is_replaced_and_removed,
                queries_select_order_and_page,
                due_documents_come_earliest_first,
                prefixes_are_exact,
                a_job_sees_its_own_documents_as_they_will_be,
                what_is_not_listed_is_found_by_key_and_due_time_only,
                documents_of_a_job_that_fails_are_not_kept,
                what_a_document_was_read_as_is_recalled_only_while_it_stands,
                a_trail_holds_the_entries_of_one_change_in_order,
            }
            rows {
                blobs_are_kept_once_and_only_under_their_digest,
                reservations_count_what_others_have_in_flight,
                windows_slide_by_hour_and_day,
                reserving_again_replaces_and_unreserving_forgets,
                the_last_word_on_an_outcome_counts,
                intel_is_replaced_whole_or_by_id,
            }
        }
    };
}

all_cases!(sqlite: countersign_store::Store);
