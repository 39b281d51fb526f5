//! Tells by its beginning how a file's content is laid out, and so how it is cut into records.

use crate::audit::database::{is_beside, is_database};
use crate::audit::reader::{Context, mapped};
use crate::audit::tables::{columns, is_table};
use std::io::{self, BufRead};

/// How a file's content is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::audit) enum Shape {
    /// JSON values.
    Records,
    /// CSV.
    Table,
    /// A database.
    Database,
    /// What stands beside a database, and is read with it.
    Beside,
    /// Lines, of which some may be JSON.
    Lines,
}

impl Shape {
    /// The shape, and how many bytes of a byte order mark stand before the content.
    pub(in crate::audit) fn of(
        content: &mut dyn BufRead,
        context: &Context,
    ) -> io::Result<(Self, u64)> {
        let mut offset = 0;
        if content.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
            content.consume(3);
            offset = 3;
        }
        let beginning = content.fill_buf()?;
        let first = beginning.iter().find(|byte| !byte.is_ascii_whitespace());
        let shape = match first {
            Some(b'{' | b'[') => Self::Records,
            _ if is_database(beginning) => Self::Database,
            _ if is_beside(beginning) => Self::Beside,
            _ if mapped::knows(&columns(beginning), context) => Self::Table,
            _ if is_table(beginning) => Self::Table,
            _ => Self::Lines,
        };
        Ok((shape, offset))
    }
}
