//! Where the artifact for going back comes from: the very file still in a cache, the mirror, a
//! repack, or nowhere. What is said of it is what was found, not what is hoped for.

use super::index::Records;
use super::inspect::Installed;
use super::{Apt, AptError, Spec, deb};
use crate::artifact::{Artifacts, file_digest};
use crate::child::Run;
use countersign_domain::Digest;
use countersign_domain::plan::RollbackSource;
use std::path::PathBuf;

/// The artifact for going back to an installed version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// Where it comes from.
    pub source: RollbackSource,
    /// Its digest, where it is known.
    pub sha256: Option<Digest>,
    /// True when it is retained in our store now.
    pub stored: bool,
    /// What is wanting about it, in words.
    pub note: Option<String>,
}

impl Apt {
    /// Finds the artifact of an installed version, and retains it when `artifacts` is given.
    ///
    /// # Errors
    /// When a file that was found cannot be read or stored. Finding none is no error.
    pub fn rollback(
        &self,
        spec: &Spec,
        records: &Records,
        artifacts: Option<&Artifacts>,
    ) -> Result<Rollback, AptError> {
        let offered = records.get(spec).and_then(|record| record.sha256);
        if let Some(found) = self.cached(spec, offered.as_ref(), artifacts)? {
            return Ok(found);
        }
        if let Some(digest) = offered {
            let fetched = match artifacts {
                Some(artifacts) => self
                    .fetch(std::slice::from_ref(spec), records, artifacts)
                    .map(|_| true),
                None => Ok(false),
            };
            match fetched {
                Ok(stored) => {
                    return Ok(Rollback {
                        source: RollbackSource::Mirror,
                        sha256: Some(digest),
                        stored,
                        note: (!stored).then(|| "known from the package index, not fetched".into()),
                    });
                }
                // The index names it, the mirror no longer serves it: go on looking.
                Err(AptError::Said { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.repacked(spec, artifacts)
    }

    /// Where it would come from, from the index alone: for observations.
    #[must_use]
    pub fn rollback_outlook(&self, spec: &Spec, records: &Records) -> RollbackSource {
        if self.cached_file(spec).is_some() {
            RollbackSource::Cached
        } else if records.get(spec).is_some_and(super::index::Record::offered) {
            RollbackSource::Mirror
        } else if self.could_repack() {
            RollbackSource::Repacked
        } else {
            RollbackSource::Unavailable
        }
    }

    /// The file in the machine's own package cache, by the name that apt gives it.
    fn cached_file(&self, spec: &Spec) -> Option<PathBuf> {
        let version = spec.version.as_str().replace(':', "%3a");
        let name = format!("{}_{version}_{}.deb", spec.name, spec.architecture);
        let path = self.config.root.join("var/cache/apt/archives").join(name);
        let plain = std::fs::symlink_metadata(&path).is_ok_and(|metadata| metadata.is_file());
        plain.then_some(path)
    }

    /// A cached file counts when it is the one that was installed: by the index's digest, or else
    /// because its files are those on disk. Its name proves nothing.
    fn cached(
        &self,
        spec: &Spec,
        offered: Option<&Digest>,
        artifacts: Option<&Artifacts>,
    ) -> Result<Option<Rollback>, AptError> {
        let Some(path) = self.cached_file(spec) else {
            return Ok(None);
        };
        // INVARIANT (never hash-then-use): with a store, everything is judged on our own copy.
        let (digest, looked_at) = match artifacts {
            Some(artifacts) => {
                let digest = artifacts.take(&path, None)?;
                (digest, artifacts.verified(&digest)?)
            }
            None => (
                file_digest(&path).map_err(|source| AptError::io(&path, source))?,
                path,
            ),
        };
        let genuine = match offered {
            Some(offered) => *offered == digest,
            None => {
                deb::identity(&looked_at).is_ok_and(|found| found == *spec)
                    && self.differences(&looked_at).is_ok_and(|d| d.is_empty())
            }
        };
        Ok(genuine.then(|| Rollback {
            source: RollbackSource::Cached,
            sha256: Some(digest),
            stored: artifacts.is_some(),
            note: None,
        }))
    }

    /// Whether a repack is thinkable on this host at all, perhaps with rights that we lack now.
    fn could_repack(&self) -> bool {
        self.config.repack && (self.config.private || can_repack())
    }

    fn repacked(&self, spec: &Spec, artifacts: Option<&Artifacts>) -> Result<Rollback, AptError> {
        let unavailable = |note: String| Rollback {
            source: RollbackSource::Unavailable,
            sha256: None,
            stored: false,
            note: Some(note),
        };
        let gone = "the installed version is in no cache and no archive any more";
        if !self.config.repack {
            return Ok(unavailable(format!(
                "{gone}, and repacking is switched off"
            )));
        }
        let Some(artifacts) = artifacts.filter(|_| can_repack()) else {
            if self.config.private {
                return Ok(Rollback {
                    source: RollbackSource::Repacked,
                    sha256: None,
                    stored: false,
                    note: Some(format!(
                        "{gone}; a repack would need root and `dpkg-repack`"
                    )),
                });
            }
            return Ok(unavailable(format!(
                "{gone}; a repack needs root and `dpkg-repack`"
            )));
        };
        let scratch = self.scratch()?;
        let run = self
            .environment(Run::new("dpkg-repack"))
            .arg(format!("--root={}", self.config.root.display()))
            .arg(self.qualified(&spec.name, &spec.architecture))
            .folder(scratch.path())
            .seconds(300);
        let ended = run.end()?;
        let file = std::fs::read_dir(scratch.path())
            .map_err(|source| AptError::io(scratch.path(), source))?
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|extension| extension == "deb"));
        let Some(file) = file.filter(|_| ended.status.success()) else {
            return Ok(unavailable(format!(
                "{gone}, and repacking failed: {}",
                ended.complaint()
            )));
        };
        let digest = artifacts.take(&file, None)?;
        if deb::identity(&artifacts.verified(&digest)?)? != *spec {
            return Ok(unavailable(format!(
                "{gone}, and the repack is of another version"
            )));
        }
        Ok(Rollback {
            source: RollbackSource::Repacked,
            sha256: Some(digest),
            stored: true,
            note: Some("rebuilt from the installed files: not byte-identical".into()),
        })
    }

    /// The versions that `installed` says these packages have, to ask the index for.
    #[must_use]
    pub fn installed_specs<'a>(
        &self,
        installed: &Installed,
        packages: impl IntoIterator<Item = &'a Spec>,
    ) -> Vec<Spec> {
        packages
            .into_iter()
            .filter_map(|spec| {
                let package = installed.get(&spec.name, &spec.architecture)?;
                Some(Spec {
                    version: package.version.clone(),
                    ..spec.clone()
                })
            })
            .collect()
    }
}

fn can_repack() -> bool {
    rustix::process::geteuid().is_root()
        && crate::child::PATH
            .split(':')
            .any(|folder| std::path::Path::new(folder).join("dpkg-repack").exists())
}
