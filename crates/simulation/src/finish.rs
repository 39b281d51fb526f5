//! The end of a run: the network heals, machines start, time passes, and everything that was begun must
//! come to an end. Then the whole is verified by those who believe nothing: `evidence`, and a rebuild
//! of every projection.

use crate::network::Message;
use crate::run::{Simulation, Violation};
use countersign_domain::Digest;
use countersign_evidence::{Blob, LogName, Source, SourceError, TrustedRoots, verify_log};
use countersign_gate::{Gate, fold};
use countersign_store::{Apply, Log, StoreError, rebuild};

/// Rounds in which machines hand over what waits.
const ROUNDS: usize = 40;

impl Simulation {
    /// Lets everything end, and verifies all of it.
    pub(crate) fn finish(&mut self) -> Result<(), Violation> {
        self.note("the network heals");
        self.in_flight.clear();
        self.answers.clear();
        self.held.clear();
        for at in 0..self.machines.len() {
            if !self.machines[at].is_up() {
                self.boot(at)?;
            }
            for _ in 0..ROUNDS {
                if self.machines[at].undelivered().is_empty() {
                    break;
                }
                self.settle_waiting(at)?;
            }
        }
        self.now = self.now.plus_seconds(10 * 86_400);
        // A disk may fail even now: time goes on, and it is tried again.
        for _ in 0..8 {
            self.deliver(Message::Sweep)?.ok();
        }
        let open = self.truth.changes.iter().find_map(|(change, told)| {
            let part = told
                .parts
                .iter()
                .find(|(_, part)| part.warrant.is_some() && part.ended.is_none());
            part.map(|(host, part)| format!("{change} on `{host}`: {part:?}"))
        });
        if let Some(open) = open {
            return Err(self.violation("10 every redemption settles", open));
        }
        let trusted = TrustedRoots {
            genesis: Some(self.deployment.genesis),
            ..TrustedRoots::default()
        };
        let report = verify_log(&StoreSource(self.deployment.gate()), &trusted, &mut |_| {});
        let report = report.map_err(|error| self.violation("12 evidence agrees", error))?;
        if !report.is_ok() {
            return Err(self.violation("12 evidence agrees", format!("{:#?}", report.findings)));
        }
        let rebuilt = rebuild(
            &self.deployment.database(),
            Apply::No,
            &mut |tx, index, bytes| fold::apply(tx, index, bytes),
        );
        let rebuilt =
            rebuilt.map_err(|error| self.violation("projections follow from the log", error))?;
        if !rebuilt.differences.is_empty() {
            return Err(self.violation(
                "projections follow from the log",
                format!("{:?}", rebuilt.differences),
            ));
        }
        Ok(())
    }
}

/// The store as `evidence` reads it.
struct StoreSource<'a>(&'a Gate);

const fn log(name: LogName) -> Log {
    match name {
        LogName::Recommendations => Log::Recommendations,
        LogName::Authorizations => Log::Authorizations,
    }
}

fn failed(what: &str) -> impl Fn(StoreError) -> SourceError {
    move |error| SourceError::new(what, error)
}

impl Source for StoreSource<'_> {
    fn entry(&self, name: LogName, index: u64) -> Result<Option<Vec<u8>>, SourceError> {
        self.0
            .store()
            .read(|view| view.entry(log(name), index))
            .map_err(failed("an entry"))
    }

    fn size(&self, name: LogName) -> Result<u64, SourceError> {
        Ok(self.0.store().checkpoint(log(name)).0)
    }

    fn blob(&self, digest: &Digest) -> Result<Option<Blob>, SourceError> {
        let blob = self
            .0
            .store()
            .read(|view| view.blob(digest))
            .map_err(failed("a blob"))?;
        Ok(blob.map(|blob| (blob.salt, blob.bytes)))
    }

    fn proof(&self, name: LogName, index: u64) -> Result<String, SourceError> {
        let proof = self
            .0
            .store()
            .proof(log(name), index)
            .map_err(failed("a proof"))?;
        Ok(proof.to_string())
    }

    fn checkpoint(&self, name: LogName) -> Result<String, SourceError> {
        Ok(self.0.store().checkpoint(log(name)).1.as_str().to_owned())
    }
}
