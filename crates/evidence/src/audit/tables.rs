//! Tables: CSV whose first line names columns that a reader knows. One row at a time, each bounded.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// The longest row that is looked at, in bytes.
const ROW_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Columns, by one of which a table is known: their names, and how they are labelled.
const KNOWN: [&str; 4] = ["number", "sysapproval", "approval for", "approving"];

/// Whether a file that begins like this is a table that a reader may know.
pub(crate) fn is_table(beginning: &[u8]) -> bool {
    let columns = columns(beginning);
    columns.len() > 1
        && columns
            .iter()
            .any(|column| KNOWN.contains(&column.as_str()))
}

/// The columns that the first line names, in lower case; none where it is no text.
pub(crate) fn columns(beginning: &[u8]) -> Vec<String> {
    let line = beginning.split(|byte| *byte == b'\n').next();
    let Ok(line) = std::str::from_utf8(line.unwrap_or_default()) else {
        return Vec::new();
    };
    line.split(',')
        .map(|column| column.trim().trim_matches('"').to_lowercase())
        .collect()
}

/// The rows of a table.
pub(crate) struct Table<R> {
    reader: csv::Reader<Guarded<R>>,
    left: Rc<Cell<u64>>,
    /// Why the source broke off.
    failed: Rc<Cell<Option<io::Error>>>,
    head: Vec<String>,
    row: csv::ByteRecord,
}

/// A row.
pub(crate) struct TableRow<'a> {
    /// Columns and what stands in them. None where that is no text.
    pub(crate) cells: Option<Vec<(&'a str, &'a str)>>,
    /// Where it begins.
    pub(crate) offset: u64,
    /// Its line, counted from 1.
    pub(crate) line: u64,
}

impl<R: Read> Table<R> {
    /// # Errors
    /// Where the head cannot be read.
    pub(crate) fn new(source: R) -> io::Result<Self> {
        let left = Rc::new(Cell::new(ROW_BYTES_MAX));
        let failed = Rc::default();
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(Guarded {
                source,
                left: Rc::clone(&left),
                failed: Rc::clone(&failed),
            });
        let head = reader
            .byte_headers()?
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_owned())
            .collect();
        Ok(Self {
            reader,
            left,
            failed,
            head,
            row: csv::ByteRecord::new(),
        })
    }

    /// The next row; none at the end.
    ///
    /// # Errors
    /// Where it cannot be read on, behind all rows that were read before: a row of a length that no row
    /// has ends the table.
    pub(crate) fn next(&mut self) -> io::Result<Option<TableRow<'_>>> {
        self.left.set(ROW_BYTES_MAX);
        if !self.reader.read_byte_record(&mut self.row)? {
            return self.failed.take().map_or(Ok(None), Err);
        }
        let at = self.row.position();
        let cells = self
            .row
            .iter()
            .zip(&self.head)
            .map(|(cell, name)| Some((name.as_str(), std::str::from_utf8(cell).ok()?)))
            .collect();
        Ok(Some(TableRow {
            cells,
            offset: at.map_or(0, csv::Position::byte),
            line: at.map_or(0, csv::Position::line),
        }))
    }
}

/// Lets through so many bytes for one row. Where the source breaks off, that is kept, and what was read
/// ends there.
struct Guarded<R> {
    source: R,
    left: Rc<Cell<u64>>,
    failed: Rc<Cell<Option<io::Error>>>,
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.source.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => {
                self.failed.set(Some(error));
                return Ok(0);
            }
        };
        let left = self.left.get().checked_sub(count as u64);
        self.left.set(left.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "a row of more than 4 MiB")
        })?);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::{ROW_BYTES_MAX, Table, is_table};

    #[test]
    fn tables_are_known_by_their_columns() {
        assert!(is_table(
            b"Number,\"Short description\",Approval\nCHG1,x,y\n"
        ));
        assert!(is_table(b"approver,sysapproval\n"));
        assert!(!is_table(b"2026-11-20 23:41:58,850 INFO Starting\n"));
        assert!(!is_table(b"number\n"));
        assert!(!is_table(b"\xff,number\n"));
    }

    #[test]
    fn rows_have_places_and_an_endless_one_ends_the_table() {
        let text = b"number,note\nCHG1,\"two\nlines\"\nCHG2,\xff\n".to_vec();
        let endless = [
            text,
            b"CHG3,\"".to_vec(),
            vec![b'x'; 2 * ROW_BYTES_MAX as usize],
        ]
        .concat();
        let mut table = Table::new(endless.as_slice()).unwrap();
        let first = table.next().unwrap().unwrap();
        assert_eq!(
            first.cells.unwrap(),
            [("number", "CHG1"), ("note", "two\nlines")]
        );
        assert_eq!((first.offset, first.line), (12, 2));
        assert!(table.next().unwrap().unwrap().cells.is_none());
        assert!(table.next().is_err());
    }
}
