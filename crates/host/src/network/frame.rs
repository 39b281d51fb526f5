//! What the executor and its network process say to one another over their socket: one request and
//! one answer a connection, each a frame of a few fixed bytes, a small head in JSON, and a body. Both
//! sides hold the other to bounds and to a deadline. Knows nothing of HTTP, and believes nothing.

use crate::client::{ANSWER_BYTES_MAX, Endpoint, Reply, Request};
use serde::{Deserialize, Serialize};
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// What every frame begins with; the last is the version.
const MAGIC: [u8; 4] = *b"CSN1";
/// The largest head, in bytes: an endpoint and a token, or a sentence.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The largest request's body, in bytes: an observation in its envelope.
const REQUEST_BYTES_MAX: usize = countersign_domain::observation::OBSERVATION_BYTES_MAX + 64 * 1024;
/// Read at once, in bytes, so that a length that is only announced takes no memory.
const CHUNK_BYTES: usize = 64 * 1024;

/// Why a frame could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side is gone, or slower than it may be.
    #[error("no whole frame came through: {0}")]
    Io(#[from] io::Error),
    /// Not what this program says to itself.
    #[error("the frame is not understood: {0}")]
    Form(&'static str),
    /// More than is taken.
    #[error("a {part} of {bytes} bytes was announced; at most {most} are taken")]
    TooLarge {
        /// Head or body.
        part: &'static str,
        /// How much.
        bytes: usize,
        /// What is taken.
        most: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestHead {
    endpoint: Endpoint,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bearer: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AnswerHead {
    Status(u16),
    Failed(String),
}

/// Writes a request.
pub(super) fn write_request(
    stream: &UnixStream,
    request: &Request,
    deadline: Instant,
) -> Result<(), FrameError> {
    let head = RequestHead {
        endpoint: request.endpoint.clone(),
        bearer: request.bearer.clone(),
    };
    write(stream, &head, &request.body, REQUEST_BYTES_MAX, deadline)
}

/// Reads a request.
pub(super) fn read_request(stream: &UnixStream, deadline: Instant) -> Result<Request, FrameError> {
    let (head, body): (RequestHead, _) = read(stream, REQUEST_BYTES_MAX, deadline)?;
    if !head.endpoint.takes_a_body() && !body.is_empty() {
        return Err(FrameError::Form("nothing can be handed in there"));
    }
    if head.bearer.as_ref().is_some_and(|token| !is_token(token)) {
        return Err(FrameError::Form("the token has characters that none has"));
    }
    Ok(Request {
        endpoint: head.endpoint,
        bearer: head.bearer,
        body,
    })
}

/// Writes an answer, or in words why there is none.
pub(super) fn write_answer(
    stream: &UnixStream,
    answer: &Result<Reply, String>,
    deadline: Instant,
) -> Result<(), FrameError> {
    let (head, body): (_, &[u8]) = match answer {
        Ok(reply) => (AnswerHead::Status(reply.status), &reply.body),
        Err(why) => (AnswerHead::Failed(why.clone()), &[]),
    };
    write(stream, &head, body, answer_bytes_max(), deadline)
}

/// Reads an answer, or in words why there is none.
pub(super) fn read_answer(
    stream: &UnixStream,
    deadline: Instant,
) -> Result<Result<Reply, String>, FrameError> {
    let (head, body) = read(stream, answer_bytes_max(), deadline)?;
    match head {
        AnswerHead::Status(status) if (100..=599).contains(&status) => {
            Ok(Ok(Reply { status, body }))
        }
        AnswerHead::Status(_) => Err(FrameError::Form("no such HTTP status")),
        AnswerHead::Failed(why) => Ok(Err(why)),
    }
}

fn answer_bytes_max() -> usize {
    usize::try_from(ANSWER_BYTES_MAX).unwrap_or(usize::MAX)
}

/// The characters of a compact JWS.
fn is_token(text: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    text.bytes().all(known)
}

fn write<T: Serialize>(
    stream: &UnixStream,
    head: &T,
    body: &[u8],
    body_most: usize,
    deadline: Instant,
) -> Result<(), FrameError> {
    let head = serde_json::to_vec(head).map_err(|_| FrameError::Form("a head is no JSON"))?;
    let mut frame = MAGIC.to_vec();
    for (part, bytes, most) in [
        ("head", head.len(), HEAD_BYTES_MAX),
        ("body", body.len(), body_most),
    ] {
        let too_large = FrameError::TooLarge { part, bytes, most };
        if bytes > most {
            return Err(too_large);
        }
        frame.extend(u32::try_from(bytes).map_err(|_| too_large)?.to_be_bytes());
    }
    frame.extend(head);
    for piece in [frame.as_slice(), body] {
        let mut rest = piece;
        while !rest.is_empty() {
            stream.set_write_timeout(Some(left(deadline)?))?;
            match (&mut &*stream).write(rest) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(
    stream: &UnixStream,
    body_most: usize,
    deadline: Instant,
) -> Result<(T, Vec<u8>), FrameError> {
    let mut fixed = exactly(stream, 12, deadline)?.into_iter();
    if !fixed.by_ref().take(MAGIC.len()).eq(MAGIC) {
        return Err(FrameError::Form("it does not begin as one of ours"));
    }
    let mut length = |part, most| {
        let number = fixed.by_ref().take(4);
        let bytes = number.fold(0_usize, |sum, byte| (sum << 8) | usize::from(byte));
        if bytes > most {
            return Err(FrameError::TooLarge { part, bytes, most });
        }
        Ok(bytes)
    };
    let (head, body) = (length("head", HEAD_BYTES_MAX)?, length("body", body_most)?);
    let head = exactly(stream, head, deadline)?;
    let head =
        serde_json::from_slice(&head).map_err(|_| FrameError::Form("the head is unknown"))?;
    Ok((head, exactly(stream, body, deadline)?))
}

fn exactly(stream: &UnixStream, bytes: usize, deadline: Instant) -> Result<Vec<u8>, FrameError> {
    let mut all = Vec::new();
    while all.len() < bytes {
        stream.set_read_timeout(Some(left(deadline)?))?;
        let mut chunk = vec![0; CHUNK_BYTES.min(bytes - all.len())];
        match (&mut &*stream).read(&mut chunk) {
            Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
            Ok(read) => all.extend(chunk.into_iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(all)
}

/// What is left until `deadline`; a deadline that has passed is an error, never "no limit".
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    Ok(left)
}

#[cfg(test)]
mod tests;
