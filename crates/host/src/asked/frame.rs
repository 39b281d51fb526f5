//! Frames on a stream: four bytes of length, most significant first, then that many bytes. Bounded in
//! size, and in time as a whole: a peer that trickles does not get longer.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What is read or written at once, in bytes.
const PIECE: usize = 64 * 1024;

fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(late());
    }
    Ok(left)
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn named(error: io::Error) -> io::Error {
    // What a socket's own time limit gives.
    if error.kind() == io::ErrorKind::WouldBlock {
        late()
    } else {
        error
    }
}

/// Sends one frame.
pub(super) fn send(stream: &mut UnixStream, bytes: &[u8], deadline: Instant) -> io::Result<()> {
    let length = u32::try_from(bytes.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "too long for a frame"))?;
    for piece in [length.to_be_bytes().as_slice()]
        .into_iter()
        .chain(bytes.chunks(PIECE))
    {
        let mut rest = piece;
        while !rest.is_empty() {
            stream.set_write_timeout(Some(left(deadline)?))?;
            let written = stream.write(rest).map_err(named)?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            rest = rest.split_at_checked(written).map_or(&[], |(_, rest)| rest);
        }
    }
    Ok(())
}

/// Receives one frame of at most `bytes_max` bytes.
pub(super) fn receive(
    stream: &mut UnixStream,
    bytes_max: usize,
    deadline: Instant,
) -> io::Result<Vec<u8>> {
    let length = exactly(stream, 4, deadline)?;
    let length = <[u8; 4]>::try_from(length.as_slice())
        .map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > bytes_max {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a frame of {length} bytes; at most {bytes_max} are taken"),
        ));
    }
    exactly(stream, length, deadline)
}

fn exactly(stream: &mut UnixStream, length: usize, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while bytes.len() < length {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let wanted = (length - bytes.len()).min(PIECE);
        let before = bytes.len();
        // One read at a time, so that the deadline counts for the whole.
        let mut piece = vec![0_u8; wanted];
        let read = stream.read(&mut piece).map_err(named)?;
        piece.truncate(read);
        bytes.append(&mut piece);
        if bytes.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(bytes)
}
