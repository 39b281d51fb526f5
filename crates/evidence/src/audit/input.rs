//! The bytes of what is to be read: files, folders, standard input; gzip, xz and zstd, told by their
//! content. Everything is streamed; what a file expands to is bounded; its own bytes are hashed as
//! they pass.

use super::hashing::Hashing;
use crate::LogName;
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;
use schemars::JsonSchema;
use serde::Serialize;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Files that one audit reads at most.
pub const FILES_MAX: usize = 1_000_000;
/// How deep folders are looked into.
const DEPTH_MAX: usize = 32;
/// A file may expand to so many times its size, and to so much more.
const EXPANSION_MAX: u64 = 512;
const EXPANSION_FREE: u64 = 64 * 1024 * 1024;
/// What a decoder may allocate, in KiB: `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 80 * 1024;
const ZSTD_WINDOW_MAX: u64 = 64 * 1024 * 1024;
/// How far a file is looked into to tell its compression and shape.
const HEAD: usize = 64 * 1024;
const BUFFER: usize = 128 * 1024;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    fn of(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::None,
        }
    }
}

/// Something that is not read, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Skipped {
    /// Its path.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// What is found under some paths, in the order of their names.
#[derive(Debug, Default)]
pub struct Found {
    /// Files to read; `-` is standard input.
    pub files: Vec<PathBuf>,
    /// Folders of Countersign's own log, as it is exported.
    pub exports: Vec<PathBuf>,
    /// What is there and not read.
    pub skipped: Vec<Skipped>,
}

/// Finds the files under `paths`. Links within folders are not followed.
///
/// # Errors
/// Where one of `paths` itself cannot be looked at.
pub fn find(paths: &[PathBuf]) -> Result<Found, Skipped> {
    let mut found = Found::default();
    for path in paths {
        if path.as_os_str() == "-" {
            found.files.push(path.clone());
            continue;
        }
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => walk(path, 0, &mut found),
            Ok(metadata) if metadata.is_file() => found.files.push(path.clone()),
            Ok(_) => found.skip(path, "neither a file nor a folder"),
            Err(error) => {
                return Err(Skipped {
                    path: path.clone(),
                    why: error.to_string(),
                });
            }
        }
    }
    found.files.sort();
    found.files.dedup();
    found.exports.sort();
    found.exports.dedup();
    Ok(found)
}

impl Found {
    fn skip(&mut self, path: &Path, why: impl Into<String>) {
        self.skipped.push(Skipped {
            path: path.to_owned(),
            why: why.into(),
        });
    }
}

fn walk(folder: &Path, depth: usize, found: &mut Found) {
    if depth >= DEPTH_MAX {
        return found.skip(folder, "too deep");
    }
    if [LogName::Authorizations, LogName::Recommendations]
        .iter()
        .all(|log| folder.join(log.as_str()).join("checkpoint").is_file())
    {
        return found.exports.push(folder.to_owned());
    }
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return found.skip(folder, error.to_string()),
    };
    for entry in entries {
        let (path, kind) = match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok(entry) => entry,
            Err(error) => {
                found.skip(folder, error.to_string());
                continue;
            }
        };
        if kind.is_dir() {
            walk(&path, depth + 1, found);
        } else if !kind.is_file() {
            found.skip(&path, "neither a file nor a folder");
        } else if found.files.len() >= FILES_MAX {
            found.skip(&path, "too many files");
        } else {
            found.files.push(path);
        }
    }
}

/// A file's own bytes, counted and hashed as they are read.
struct Source {
    inner: Chain<Cursor<Vec<u8>>, Box<dyn Read + Send>>,
    bytes: u64,
    hashing: Arc<Hashing>,
}

/// The source, for a decoder and for whoever asks at the end what the whole file was.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Source>>);

impl Shared {
    fn source(&self) -> MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Shared {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut source = self.source();
        let count = source.inner.read(buffer)?;
        let read = buffer.get(..count).unwrap_or_default();
        source.hashing.take(read);
        source.bytes += count as u64;
        Ok(count)
    }
}

/// Refuses to go on where a file expands beyond all reason.
struct Bounded<R> {
    inner: R,
    out: u64,
    source: Shared,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.out += count as u64;
        let read = self.source.source().bytes;
        let most = read.saturating_mul(EXPANSION_MAX) + EXPANSION_FREE;
        if self.out > most {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("expands to more than {EXPANSION_MAX} times its size"),
            ));
        }
        Ok(count)
    }
}

/// Zstandard frames, one after the other.
struct Zstd<R: BufRead> {
    source: Option<R>,
    frame: Option<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                match frame.read(buffer)? {
                    0 => self.source = self.frame.take().map(StreamingDecoder::into_inner),
                    count => return Ok(count),
                }
            }
            let Some(mut source) = self.source.take() else {
                return Ok(0);
            };
            if source.fill_buf()?.is_empty() {
                return Ok(0);
            }
            let frame = StreamingDecoder::new_with_max_window_size(source, ZSTD_WINDOW_MAX)
                .map_err(io::Error::other)?;
            self.frame = Some(frame);
        }
    }
}

/// A file that is being read.
pub(crate) struct Opened {
    /// Its content, expanded.
    pub(crate) content: Box<dyn BufRead + Send>,
    /// How it is compressed.
    pub(crate) compression: Compression,
    /// The file itself, for whoever asks at the end what it was.
    pub(crate) source: Shared,
}

/// What a file was, known at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Its own bytes.
    pub(crate) bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
    /// How long hashing took.
    pub(crate) hashing: Duration,
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> io::Result<Opened> {
    let source: Box<dyn Read + Send> = if path.as_os_str() == "-" {
        Box::new(io::stdin())
    } else {
        Box::new(File::open(path)?)
    };
    read(source)
}

/// Reads a stream of any compression.
pub(crate) fn read(mut source: Box<dyn Read + Send>) -> io::Result<Opened> {
    let mut head = Vec::new();
    source.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    let compression = Compression::of(&head);
    let source = Shared(Arc::new(Mutex::new(Source {
        inner: Cursor::new(head).chain(source),
        bytes: 0,
        hashing: Arc::default(),
    })));
    let raw = BufReader::with_capacity(BUFFER, source.clone());
    let bounded = |inner: Box<dyn Read + Send>| -> Box<dyn BufRead + Send> {
        let bounded = Bounded {
            inner,
            out: 0,
            source: source.clone(),
        };
        Box::new(BufReader::with_capacity(BUFFER, bounded))
    };
    let content = match compression {
        Compression::None => Box::new(raw),
        Compression::Gzip => bounded(Box::new(MultiGzDecoder::new(raw))),
        Compression::Xz => bounded(Box::new(XzReader::new_mem_limit(raw, true, XZ_MEMORY_KIB))),
        Compression::Zstd => bounded(Box::new(Zstd {
            source: Some(raw),
            frame: None,
        })),
    };
    Ok(Opened {
        content,
        compression,
        source,
    })
}

impl Shared {
    /// Where its bytes are hashed.
    pub(crate) fn hashing(&self) -> Arc<Hashing> {
        Arc::clone(&self.source().hashing)
    }

    /// What the file is, to its very end: also what stands behind where its content broke off.
    ///
    /// # Errors
    /// Where the rest cannot be read.
    pub(crate) fn whole(mut self) -> io::Result<Whole> {
        io::copy(&mut self, &mut io::sink())?;
        let source = self.source();
        let (sha256, hashing) = source.hashing.end();
        Ok(Whole {
            bytes: source.bytes,
            sha256,
            hashing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Compression, Opened, find, read};
    use std::io::{Read as _, Write as _};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    fn opened(bytes: &[u8]) -> Opened {
        read(Box::new(std::io::Cursor::new(bytes.to_vec()))).unwrap()
    }

    fn content(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        opened(bytes).content.read_to_end(&mut out)?;
        Ok(out)
    }

    /// Made with `xz`, `zstd`: the same line.
    const XZ: &str = "fd377a585a000004e6d6b4460200210116000000742fe5a301000b68656c6c6f20776f\
        726c640a00a1f2ffc46a7fbfcf0001240ca618d8d81fb6f37d010000000004595a";

    #[test]
    fn compression_is_told_by_content_and_files_of_several_members_are_read_whole() {
        let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
        assert_eq!(content(&two).unwrap(), b"one\ntwo\n");
        assert_eq!(opened(&two).compression, Compression::Gzip);
        assert_eq!(content(b"plain\n").unwrap(), b"plain\n");
        assert_eq!(content(b"").unwrap(), b"");
        let zstd = |bytes: &[u8]| {
            ruzstd::encoding::compress_to_vec(
                bytes,
                ruzstd::encoding::CompressionLevel::Uncompressed,
            )
        };
        let two = [zstd(b"one\n"), zstd(b"two\n")].concat();
        assert_eq!(opened(&two).compression, Compression::Zstd);
        assert_eq!(content(&two).unwrap(), b"one\ntwo\n");
        let xz: Vec<u8> = (0..XZ.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&XZ[at..at + 2], 16).unwrap())
            .collect();
        assert_eq!(opened(&xz).compression, Compression::Xz);
        assert_eq!(content(&xz).unwrap(), b"hello world\n");
        assert_eq!(
            content(&[xz.clone(), xz.clone()].concat()).unwrap().len(),
            24
        );
        // Cut short: an error, after what was there.
        assert!(content(&xz[..xz.len() - 20]).is_err());
        assert!(content(&gzip(b"cut short, cut short")[..20]).is_err());
    }

    #[test]
    fn the_hash_is_of_the_files_own_bytes() {
        let bytes = [gzip(b"abc"), b"behind the end".to_vec()].concat();
        let mut opened = opened(&bytes);
        let _ = opened.content.read_to_end(&mut Vec::new());
        let whole = opened.source.whole().unwrap();
        assert_eq!(whole.bytes, bytes.len() as u64);
        let expected = countersign_domain::Digest::of(&bytes);
        assert!(expected.to_string().ends_with(&whole.sha256));
    }

    #[test]
    fn a_bomb_is_given_up() {
        let bomb = gzip(&vec![0; 200 * 1024 * 1024]);
        let mut opened = opened(&bomb);
        let error = std::io::copy(&mut opened.content, &mut std::io::sink()).unwrap_err();
        assert!(error.to_string().contains("expands"), "{error}");
        assert_eq!(opened.source.whole().unwrap().bytes, bomb.len() as u64);
    }

    #[test]
    fn folders_are_walked_and_links_in_them_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        std::fs::write(folder.path().join("b/log"), "x").unwrap();
        std::fs::write(folder.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        let found = find(&[folder.path().to_owned(), folder.path().join("a")]).unwrap();
        let names: Vec<_> = found
            .files
            .iter()
            .map(|path| path.strip_prefix(folder.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(names, ["a", "b/log"]);
        assert_eq!(found.skipped.len(), 1);
        assert!(find(&[folder.path().join("nowhere")]).is_err());
    }
}
