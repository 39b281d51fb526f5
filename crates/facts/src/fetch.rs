//! Gets a feed document from a file, a folder of CVE records, or an http(s) URL. The only module of
//! this crate that touches files or the network. Bounded in size, time and redirects; plain http
//! only to this machine itself. Does not say what a document means; `feed` does.

use crate::feed::bounded::Exceeded;
use crate::feed::{self, Batch, Content, FeedError, FeedKind, Import, Limits};
use countersign_domain::digest::Digest;
use countersign_domain::text::shown;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::http::Uri;

/// Redirects that are followed at most.
const REDIRECTS_MAX: usize = 5;
/// A whole fetch at most.
const FETCH_SECONDS_MAX: u64 = 600;
/// Connecting, and waiting for the headers of an answer, at most.
const ANSWER_SECONDS_MAX: u64 = 30;
/// A folder may hold this many times what one document may: all CVE records there are, unpacked.
const FOLDER_DOCUMENTS: u64 = 8;
/// Folders within a folder at most.
const FOLDER_DEPTH_MAX: usize = 8;

/// Where a feed document comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file, or a folder of CVE records.
    Path(PathBuf),
    /// A URL that may be fetched.
    Url(Uri),
}

/// Why a document could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The URL may not be fetched.
    #[error("`{url}` {problem}")]
    Url {
        /// The URL, without anything secret.
        url: String,
        /// Why not, and what would be right.
        problem: &'static str,
    },
    /// The server did not give the document.
    #[error("cannot fetch `{url}`: {problem}; try again, or import a downloaded file")]
    Http {
        /// The URL.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The file or folder cannot be read.
    #[error("cannot read `{path}`: {problem}")]
    Path {
        /// The path.
        path: String,
        /// What happened.
        problem: String,
    },
    /// The document was had, but it is not a feed.
    #[error("`{source_name}`: {error}")]
    Feed {
        /// Where it came from.
        source_name: String,
        /// What is wrong with it.
        #[source]
        error: FeedError,
    },
}

impl Source {
    /// Reads a URL (`http://…`, `https://…`) or else a path.
    ///
    /// # Errors
    /// When it is a URL that may not be fetched: plain http to another machine, or one that
    /// carries a user name or password, which would end up in logs.
    pub fn parse(text: &str) -> Result<Self, FetchError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        match scheme {
            Some(_) => Ok(Self::Url(allowed(text)?)),
            None => Ok(Self::Path(PathBuf::from(text))),
        }
    }

    /// True when importing from it now shows what its publisher says now.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self, Self::Url(_))
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Path(path) => f.write_str(&shown(&path.to_string_lossy(), 300)),
            Self::Url(url) => f.write_str(&shown(&url.to_string(), 300)),
        }
    }
}

/// Gets the document from `source` and reads it.
///
/// # Errors
/// When it cannot be had, or is not a feed.
pub fn import(source: &Source, limits: &Limits) -> Result<Import, FetchError> {
    let not_a_feed = |error| FetchError::Feed {
        source_name: source.to_string(),
        error,
    };
    match source {
        Source::Url(url) => feed::read(open_url(url)?, limits).map_err(not_a_feed),
        Source::Path(path) => {
            let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            if about.is_dir() {
                folder(path, limits, not_a_feed)
            } else if about.is_file() {
                let file = File::open(path).map_err(|error| unreadable(path, &error))?;
                feed::read(file, limits).map_err(not_a_feed)
            } else {
                Err(FetchError::Path {
                    path: source.to_string(),
                    problem: "neither a file nor a folder".into(),
                })
            }
        }
    }
}

/// Gets the document from `source` as it is, for a server that reads it itself.
///
/// # Errors
/// When it cannot be had, is a folder, or is longer than a document may be.
pub fn document(source: &Source, limits: &Limits) -> Result<Vec<u8>, FetchError> {
    let reader: Box<dyn Read> = match source {
        Source::Url(url) => Box::new(open_url(url)?),
        Source::Path(path) => {
            let about = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
            if !about.is_file() {
                return Err(FetchError::Path {
                    path: source.to_string(),
                    problem: "is not a file; import the files in it one by one".into(),
                });
            }
            Box::new(File::open(path).map_err(|error| unreadable(path, &error))?)
        }
    };
    let failed = |problem: String| FetchError::Path {
        path: source.to_string(),
        problem,
    };
    let mut bytes = Vec::new();
    let limit = limits.document_bytes;
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > limit {
        return Err(failed(format!("is longer than {limit} bytes")));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &std::io::Error) -> FetchError {
    FetchError::Path {
        path: shown(&path.to_string_lossy(), 300),
        problem: error.to_string(),
    }
}

/// Checks that `text` is a URL that may be fetched.
fn allowed(text: &str) -> Result<Uri, FetchError> {
    let refuse = |shown_as: &str, problem| {
        Err(FetchError::Url {
            url: shown(shown_as, 300),
            problem,
        })
    };
    let Ok(url) = text.parse::<Uri>() else {
        return refuse("the URL", "cannot be read; expected `https://host/path`");
    };
    let Some(authority) = url.authority() else {
        return refuse("the URL", "names no host; expected `https://host/path`");
    };
    if authority.as_str().contains('@') {
        return refuse(
            authority.host(),
            "may not carry a user name or password in its URL; import a downloaded file instead",
        );
    }
    match url.scheme_str() {
        Some("https") => Ok(url),
        Some("http") if is_loopback(authority.host()) => Ok(url),
        Some("http") => refuse(text, "is not encrypted; use `https://`"),
        Some(_) | None => refuse(text, "is not a URL known here; use `https://`"),
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// Follows redirects by hand, so that each hop is held to the same rules as the first.
fn open_url(url: &Uri) -> Result<impl Read + use<>, FetchError> {
    let failed = |url: &Uri, problem: String| FetchError::Http {
        url: shown(&url.to_string(), 300),
        problem: shown(&problem, 300),
    };
    let mut url = url.clone();
    for _ in 0..=REDIRECTS_MAX {
        let local = url.host().is_some_and(is_loopback);
        let mut config = ureq::Agent::config_builder()
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept_encoding("identity")
            .user_agent("countersign")
            .timeout_connect(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
            .timeout_recv_response(Some(Duration::from_secs(ANSWER_SECONDS_MAX)))
            .timeout_global(Some(Duration::from_secs(FETCH_SECONDS_MAX)));
        if local {
            config = config.proxy(None);
        }
        let answer = ureq::Agent::new_with_config(config.build())
            .get(url.clone())
            .call()
            .map_err(|error| failed(&url, error.to_string()))?;
        let status = answer.status();
        if status.is_redirection() {
            let target = answer
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok())
                .ok_or_else(|| failed(&url, format!("status {status} names no target")))?;
            let next = allowed(&absolute(&url, target))?;
            if !local && next.host().is_some_and(is_loopback) {
                return Err(failed(&url, "redirects to this machine itself".into()));
            }
            url = next;
            continue;
        }
        if status != ureq::http::StatusCode::OK {
            return Err(failed(&url, format!("status {status}")));
        }
        // `feed::read` bounds the size; ureq's own bound would end in an error of its own words.
        return Ok(answer
            .into_body()
            .into_with_config()
            .limit(u64::MAX)
            .reader());
    }
    Err(failed(&url, format!("more than {REDIRECTS_MAX} redirects")))
}

/// The target of a redirect: absolute, or a path on the same host.
fn absolute(from: &Uri, target: &str) -> String {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |authority| authority.as_str());
    if target.starts_with("//") {
        format!("{scheme}:{target}")
    } else if target.starts_with('/') {
        format!("{scheme}://{authority}{target}")
    } else {
        target.to_owned()
    }
}

/// Reads every `CVE-*.json` below `root`. The digest is over one line for each file, sorted by
/// path: the file's SHA-256 in hex, two spaces, its path below `root` (as `sha256sum` prints it).
fn folder(
    root: &Path,
    limits: &Limits,
    not_a_feed: impl Fn(FeedError) -> FetchError,
) -> Result<Import, FetchError> {
    let mut paths = Vec::new();
    walk(root, 0, limits.records, &mut paths)?;
    paths.sort_unstable();
    let mut batch = Batch::new(limits);
    let mut listing = Sha256::new();
    let mut total = 0_u64;
    for path in &paths {
        let below = path.strip_prefix(root).unwrap_or(path);
        let below = shown(&below.to_string_lossy(), 300);
        let mut bytes = Vec::new();
        let bound = limits.record_bytes as u64;
        File::open(path)
            .and_then(|file| file.take(bound + 1).read_to_end(&mut bytes))
            .map_err(|error| unreadable(path, &error))?;
        total = total.saturating_add(bytes.len() as u64);
        let limit = limits.document_bytes.saturating_mul(FOLDER_DOCUMENTS);
        if total > limit {
            let bound = Exceeded {
                limit,
                unpacked: false,
            };
            return Err(not_a_feed(std::io::Error::other(bound).into()));
        }
        let digest = Digest::of(&bytes).to_string();
        let hex = digest.trim_start_matches("sha256:");
        listing.update(format!("{hex}  {below}\n"));
        if bytes.len() as u64 > bound {
            batch.skip(&below, "too large");
        } else {
            batch.cve(&below, &bytes).map_err(&not_a_feed)?;
        }
    }
    let (records, skipped) = batch.finish().map_err(&not_a_feed)?;
    Ok(Import {
        kind: FeedKind::Cve,
        published_at: feed::newest(&records),
        content: Content::Records(records),
        digest: Digest::from_bytes(listing.finalize().into()),
        bytes: total,
        skipped,
    })
}

/// Gathers the CVE files below `folder`. Symbolic links are not followed.
fn walk(
    folder: &Path,
    depth: usize,
    files_max: usize,
    found: &mut Vec<PathBuf>,
) -> Result<(), FetchError> {
    let refuse = |problem: String| FetchError::Path {
        path: shown(&folder.to_string_lossy(), 300),
        problem,
    };
    if depth > FOLDER_DEPTH_MAX {
        return Err(refuse(format!(
            "nested deeper than {FOLDER_DEPTH_MAX} folders"
        )));
    }
    for entry in fs::read_dir(folder).map_err(|error| unreadable(folder, &error))? {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let kind = entry
            .file_type()
            .map_err(|error| unreadable(folder, &error))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() {
            walk(&entry.path(), depth + 1, files_max, found)?;
        } else if kind.is_file() && name.starts_with("CVE-") && name.ends_with(".json") {
            if found.len() >= files_max {
                return Err(refuse(format!("more than {files_max} records")));
            }
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
