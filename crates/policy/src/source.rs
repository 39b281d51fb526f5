//! The files of one policy version, in memory, and their digest. What they mean is read elsewhere.

use countersign_domain::Digest;
use countersign_domain::canonical;
use countersign_domain::entry::PolicyFile;
use std::collections::BTreeMap;

/// Files in one policy at most.
pub const FILES_MAX: usize = 500;
/// One file at most, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// All files together at most, in bytes.
pub const SOURCE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A path inside the folder at most, in bytes.
pub const PATH_BYTES_MAX: usize = 200;

/// The files of a policy version, bounded, with the digest that the quorum signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicySource {
    files: BTreeMap<String, Vec<u8>>,
    digest: Digest,
}

/// A set of files that cannot be a policy.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Too many files.
    #[error(
        "the policy has {0} files; at most {FILES_MAX} are allowed: keep only rules, cases and calendars in its folder"
    )]
    Files(usize),
    /// A file, or all together, are too large.
    #[error("`{path}` makes the policy larger than allowed ({limit} bytes); split or shorten it")]
    Size {
        /// The file.
        path: String,
        /// The limit it breaks, in bytes.
        limit: usize,
    },
    /// A path that is not plain.
    #[error(
        "`{0}` is not a plain relative path; use letters, digits, `.`, `_`, `-` and `/`, no name starting with `.`, at most {PATH_BYTES_MAX} bytes"
    )]
    Path(String),
    /// A link, socket or device.
    #[error(
        "`{0}` is neither a file nor a folder; links are not followed: put the file itself there"
    )]
    Kind(String),
    /// It could not be read.
    #[error("cannot read `{path}`: {error}")]
    Read {
        /// What was read.
        path: String,
        /// Why it failed.
        error: std::io::Error,
    },
    /// The list of files has no canonical form.
    #[error("the list of files has no canonical form: {0}")]
    Canonical(#[from] canonical::CanonicalError),
}

impl PolicySource {
    /// Checks and takes files by their path inside the policy folder.
    ///
    /// # Errors
    /// When there are too many, they are too large, or a path is not plain.
    pub fn new(files: BTreeMap<String, Vec<u8>>) -> Result<Self, SourceError> {
        if files.len() > FILES_MAX {
            return Err(SourceError::Files(files.len()));
        }
        let mut total = 0_usize;
        for (path, bytes) in &files {
            if !is_plain(path) {
                return Err(SourceError::Path(countersign_domain::text::shown(path, 80)));
            }
            total = total.saturating_add(bytes.len());
            for (size, limit) in [(bytes.len(), FILE_BYTES_MAX), (total, SOURCE_BYTES_MAX)] {
                if size > limit {
                    return Err(SourceError::Size {
                        path: path.clone(),
                        limit,
                    });
                }
            }
        }
        let digest = canonical::digest(&list(&files))?;
        Ok(Self { files, digest })
    }

    /// The files, by path.
    #[must_use]
    pub const fn files(&self) -> &BTreeMap<String, Vec<u8>> {
        &self.files
    }

    /// Paths and digests, sorted by path: what a policy entry in the log lists.
    #[must_use]
    pub fn list(&self) -> Vec<PolicyFile> {
        list(&self.files)
    }

    /// The digest of the canonical bytes of [`Self::list`].
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

fn list(files: &BTreeMap<String, Vec<u8>>) -> Vec<PolicyFile> {
    files
        .iter()
        .map(|(path, bytes)| PolicyFile {
            path: path.clone(),
            sha256: Digest::of(bytes),
        })
        .collect()
}

fn is_plain(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX
        && path.split('/').all(|part| {
            !part.is_empty()
                && !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(files: &[(&str, &[u8])]) -> Result<PolicySource, SourceError> {
        PolicySource::new(
            files
                .iter()
                .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
                .collect(),
        )
    }

    #[test]
    fn the_digest_binds_paths_and_bytes() {
        let one = source(&[("policy.toml", b"a"), ("rules/x.cedar", b"b")]).unwrap();
        let same = source(&[("rules/x.cedar", b"b"), ("policy.toml", b"a")]).unwrap();
        assert_eq!(one.digest(), same.digest());
        for other in [
            source(&[("policy.toml", b"a"), ("rules/x.cedar", b"c")]),
            source(&[("policy.toml", b"a"), ("rules/y.cedar", b"b")]),
            source(&[("policy.toml", b"a")]),
        ] {
            assert_ne!(one.digest(), other.unwrap().digest());
        }
    }

    #[test]
    fn only_plain_bounded_files_are_taken() {
        for path in ["", "/etc/x", "../x", "a/../b", "a//b", ".git/config", "a b"] {
            assert!(
                matches!(source(&[(path, b"")]), Err(SourceError::Path(_))),
                "{path}"
            );
        }
        let large = vec![0_u8; FILE_BYTES_MAX + 1];
        assert!(matches!(
            source(&[("a", &large)]),
            Err(SourceError::Size { .. })
        ));
        let many = (0..=FILES_MAX)
            .map(|n| (format!("f{n}"), Vec::new()))
            .collect();
        assert!(matches!(
            PolicySource::new(many),
            Err(SourceError::Files(_))
        ));
    }
}
