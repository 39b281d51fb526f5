//! A file of JSON records that several threads read: whoever is free cuts the next batch out, and while
//! another one does, hashes what was read of the file. Knows nothing of what records mean.

use super::super::collect::FileRead;
use super::super::frames::{Frame, Frames, RECORD_BYTES_MAX};
use super::super::hashing::Hashing;
use super::super::input::Shared;
use super::super::model::{FileNumber, Place};
use super::{Work, locked};
use std::io::BufRead;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

/// How many bytes of records are cut out at once; one record may be longer.
const BATCH_BYTES: usize = 128 * 1024;

/// The records of a file.
pub(super) struct Records {
    cutter: Mutex<Cutter>,
    hashing: Arc<Hashing>,
}

/// Cuts batches out of a file.
struct Cutter {
    number: FileNumber,
    frames: Frames<Box<dyn BufRead + Send>>,
    /// Bytes before the first that `frames` sees.
    offset: u64,
    /// Gone once the file was read to its end.
    rest: Option<(FileRead, Shared)>,
}

/// Records that were cut out.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    /// Where each stands, and which of the bytes are it, or why it is broken.
    pub(super) cuts: Vec<(Place, Result<Range<usize>, &'static str>)>,
}

impl Records {
    /// Of a file's content, behind so many bytes of it.
    pub(super) fn new(
        number: FileNumber,
        content: Box<dyn BufRead + Send>,
        offset: u64,
        file: FileRead,
        source: Shared,
    ) -> Self {
        let hashing = source.hashing();
        Self {
            cutter: Mutex::new(Cutter {
                number,
                frames: Frames::new(content, RECORD_BYTES_MAX),
                offset,
                rest: Some((file, source)),
            }),
            hashing,
        }
    }

    /// Somebody else reads them too.
    pub(super) fn is_helped(&self) {
        self.hashing.is_helped();
    }

    /// Cuts the next records out, for this thread to read. False at the end.
    pub(super) fn cut(&self, batch: &mut Batch, work: &Work<'_>) -> bool {
        self.hashing.relieve();
        let mut cutter = loop {
            match self.cutter.try_lock() {
                Ok(cutter) => break cutter,
                Err(TryLockError::Poisoned(cutter)) => break PoisonError::into_inner(cutter),
                Err(TryLockError::WouldBlock) if self.hashing.help() => {}
                Err(TryLockError::WouldBlock) => break locked(&self.cutter),
            }
        };
        batch.bytes.clear();
        batch.cuts.clear();
        cutter.cut(work, |place, cut| {
            let from = batch.bytes.len();
            let cut = cut.map(|bytes| {
                batch.bytes.extend_from_slice(bytes);
                from..batch.bytes.len()
            });
            batch.cuts.push((place, cut));
        })
    }

    /// Reads the next records where they stand, as long as nobody helps. False where somebody does, and
    /// at the end.
    pub(super) fn each(&self, work: &Work<'_>, each: impl FnMut(Place, Cut<'_>)) -> bool {
        !self.hashing.helped() && locked(&self.cutter).cut(work, each)
    }
}

/// A record, or why there is none.
type Cut<'a> = Result<&'a [u8], &'static str>;

impl Cutter {
    /// Cuts the next records out. False at the end.
    fn cut(&mut self, work: &Work<'_>, mut each: impl FnMut(Place, Cut<'_>)) -> bool {
        let Some((file, _)) = &mut self.rest else {
            return false;
        };
        let before = self.frames.position();
        let (mut bytes_all, mut count) = (0, 0);
        let mut ended = false;
        while bytes_all < BATCH_BYTES && count < BATCH_BYTES {
            let (offset, line, cut) = match self.frames.next() {
                Ok(None) => {
                    ended = true;
                    break;
                }
                Err(error) => {
                    file.broken = Some(error.to_string());
                    ended = true;
                    break;
                }
                Ok(Some(Frame::Broken { offset, line, why })) => (offset, line, Err(why)),
                Ok(Some(Frame::Object {
                    bytes,
                    offset,
                    line,
                })) => (offset, line, Ok(bytes)),
            };
            bytes_all += cut.map_or(0, <[u8]>::len);
            count += 1;
            let place = Place {
                file: self.number,
                offset: self.offset + offset,
                line: Some(line),
            };
            each(place, cut);
        }
        work.passed(self.frames.position() - before);
        if ended && let Some((mut file, source)) = self.rest.take() {
            file.pages = self.frames.pages();
            work.finished(self.number, file, source);
        }
        true
    }
}
