//! One line of the journal: `LENGTH DIGEST JSON`. The digest chains it to the line before.

use countersign_domain::Digest;
use sha2::{Digest as _, Sha256};
use std::io;

/// The largest record, in bytes of JSON.
const RECORD_BYTES_MAX: usize = 1024 * 1024;
/// What the first line is chained to.
pub(super) const START: Digest = Digest::from_bytes([0; 32]);

fn chained(before: &Digest, json: &[u8]) -> Digest {
    let mut hasher = Sha256::new();
    hasher.update(before.as_bytes());
    hasher.update(json);
    Digest::from_bytes(hasher.finalize().into())
}

/// The line for `json`, and the digest that the next one is chained to.
pub(super) fn write(json: &[u8], before: &Digest) -> io::Result<(Vec<u8>, Digest)> {
    if json.len() > RECORD_BYTES_MAX || json.contains(&b'\n') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a record is at most 1 MiB and one line",
        ));
    }
    let digest = chained(before, json);
    let mut line = format!("{:07} {digest} ", json.len()).into_bytes();
    line.extend_from_slice(json);
    line.push(b'\n');
    Ok((line, digest))
}

/// The JSON of a whole line, and the digest that the next one is chained to.
pub(super) fn read<'a>(
    line: &'a [u8],
    before: &Digest,
) -> Result<(&'a [u8], Digest), &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("the line does not end")?;
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(length), Some(digest), Some(json)) = (parts.next(), parts.next(), parts.next())
    else {
        return Err("not `LENGTH DIGEST JSON`");
    };
    let text = |bytes| std::str::from_utf8(bytes).unwrap_or_default();
    if text(length) != format!("{:07}", json.len()) {
        return Err("its length is another");
    }
    let computed = chained(before, json);
    if text(digest).parse() != Ok(computed) {
        return Err("its digest is another: it was altered, or a line before it is missing");
    }
    Ok((json, computed))
}
