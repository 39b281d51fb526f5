//! Signed notes (C2SP signed-note): a text and signature lines, taken apart within bounds.
//! Verifies nothing; which lines count is decided in `proof`.

use super::LogError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The longest signed note, in bytes.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;
/// The most signature lines under one note.
const SIGNATURES_MAX: usize = 64;
/// The longest name of a key, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// A note, not verified.
#[derive(Debug)]
pub(super) struct Note<'a> {
    /// What is signed, final newline included.
    pub text: &'a str,
    /// One or more.
    pub signatures: Vec<NoteSignature<'a>>,
}

/// A signature line.
#[derive(Debug)]
pub(super) struct NoteSignature<'a> {
    /// In whose name.
    pub name: &'a str,
    /// The first four bytes: which key of that name.
    pub id: [u8; 4],
    /// The rest.
    pub signature: Vec<u8>,
}

/// True when `name` can name a key: not empty, bounded, no spaces, control characters or plus.
pub(super) fn check_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// Takes a note apart.
///
/// # Errors
/// [`LogError::Malformed`] and [`LogError::TooLong`].
pub(super) fn parse(note: &str) -> Result<Note<'_>, LogError> {
    if note.len() > NOTE_BYTES_MAX {
        return Err(LogError::TooLong("signed note"));
    }
    let malformed = LogError::Malformed("signed note");
    if note.chars().any(|c| c.is_control() && c != '\n') {
        return Err(malformed);
    }
    let end = note.rfind("\n\n").ok_or_else(|| malformed.clone())?;
    let (text, lines) = note.split_at(end + 1);
    let lines = lines
        .strip_prefix('\n')
        .and_then(|lines| lines.strip_suffix('\n'))
        .ok_or(malformed)?;
    let mut signatures = Vec::new();
    for line in lines.split('\n') {
        if signatures.len() == SIGNATURES_MAX {
            return Err(LogError::TooLong("signature lines"));
        }
        signatures.push(parse_line(line).ok_or(LogError::Malformed("signature line"))?);
    }
    Ok(Note { text, signatures })
}

fn parse_line(line: &str) -> Option<NoteSignature<'_>> {
    let (name, encoded) = line.strip_prefix("— ")?.split_once(' ')?;
    let bytes = STANDARD.decode(encoded).ok()?;
    let (id, signature) = bytes.split_first_chunk::<4>()?;
    if !check_name(name) || signature.is_empty() {
        return None;
    }
    Some(NoteSignature {
        name,
        id: *id,
        signature: signature.to_vec(),
    })
}
