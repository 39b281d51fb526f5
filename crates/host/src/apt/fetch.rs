//! Fetches exact versions into our own store, by digest. What apt downloaded into a scratch folder
//! is copied, hashed as it is copied, and only the copy is ever used.

use super::index::Records;
use super::{Apt, AptError, Spec};
use crate::artifact::{Artifacts, file_digest};
use countersign_domain::Digest;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Files fetched in one run of apt.
const BATCH: usize = 20;

impl Apt {
    /// Fetches `wanted` and stores each under the digest that the index names.
    ///
    /// # Errors
    /// When the index has no digest for one, the mirror does not serve it, or its bytes are others.
    pub fn fetch(
        &self,
        wanted: &[Spec],
        records: &Records,
        artifacts: &Artifacts,
    ) -> Result<BTreeMap<Spec, Digest>, AptError> {
        let mut stored = BTreeMap::new();
        let mut missing = Vec::new();
        for spec in wanted {
            let digest = records
                .get(spec)
                .and_then(|record| record.sha256)
                .ok_or_else(|| not_offered(spec))?;
            if artifacts.verified(&digest).is_err() {
                missing.push(spec.clone());
            }
            stored.insert(spec.clone(), digest);
        }
        for batch in missing.chunks(BATCH) {
            let scratch = self.scratch()?;
            let files = self.download(batch, scratch.path(), 900)?;
            for spec in batch {
                let expected = stored.get(spec).ok_or_else(|| not_offered(spec))?;
                let file = files
                    .iter()
                    .find(|file| file_digest(file).is_ok_and(|found| found == *expected))
                    .ok_or_else(|| {
                        AptError::said(
                            "apt-get download",
                            &format!(
                                "the mirror did not serve `{}` `{}` with digest `{expected}`",
                                spec.name, spec.version
                            ),
                        )
                    })?;
                artifacts.take(file, Some(expected))?;
            }
        }
        Ok(stored)
    }

    /// Downloads into `folder`; the files that came, whether or not all did.
    pub(super) fn download(
        &self,
        wanted: &[Spec],
        folder: &Path,
        seconds: u64,
    ) -> Result<Vec<PathBuf>, AptError> {
        let mut run = self
            .with_proxy(self.apt("apt-get"))
            .args([
                "-q",
                "-o",
                "Acquire::Retries=1",
                "-o",
                "Acquire::http::Timeout=20",
                "download",
                "--",
            ])
            .folder(folder)
            .seconds(seconds);
        for spec in wanted {
            run = run.arg(self.argument(spec)?);
        }
        let ended = run.end()?;
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|source| AptError::io(folder, source))? {
            let path = entry.map_err(|source| AptError::io(folder, source))?.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                files.push(path);
            }
        }
        if files.is_empty() && !ended.status.success() {
            return Err(AptError::said("apt-get download", &ended.complaint()));
        }
        Ok(files)
    }
}

fn not_offered(spec: &Spec) -> AptError {
    AptError::said(
        "apt-cache show",
        &format!(
            "`{}` `{}` ({}) is not offered by any configured archive, or without a SHA-256",
            spec.name, spec.version, spec.architecture
        ),
    )
}
