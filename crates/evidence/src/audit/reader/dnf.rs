//! Reads dnf's history, a database: that of dnf 4 (`/var/lib/dnf/history.sqlite`) and that of dnf 5
//! (`/usr/lib/sysimage/libdnf5/transaction_history.sqlite`). A transaction is an action on the host.

use super::lenient::{bounded, clip, key};
use super::references;
use super::{About, Context};
use crate::audit::database::{Database, words};
use crate::audit::model::{
    Action, Actor, Exclusion, FileNumber, Format, Nature, Place, Reference, Row,
};
use crate::audit::moment::Moment;
use rusqlite::types::ValueRef;
use std::collections::{BTreeMap, BTreeSet};
use std::io;

/// The most packages of a transaction that are kept by name.
const ITEMS_MAX: usize = 2_000;
/// The most packages of all transactions together that are kept by name.
const ALL_ITEMS_MAX: usize = 500_000;
/// The most transactions that are read.
const TRANSACTIONS_MAX: usize = 1_000_000;
/// What an unset login user is stored as: by dnf, and as the kernel writes it.
const NO_LOGIN: [i64; 2] = [-1, 4_294_967_295];

/// What dnf's history says of itself.
pub(crate) const ABOUT: About = About {
    format: Format::Dnf,
    reads: "dnf's history: the database of dnf 4 (history.sqlite, with its -wal) and of dnf 5 \
            (transaction_history.sqlite, documented shape, unproven)",
    actions: "each transaction that installed, upgraded, downgraded, reinstalled or removed a \
              package; not those of which nothing was done, nor mere changes of the reason",
    approvals: "none; a change number in the command line or in --comment refers to one",
    people: "by the login user (loginuid): people from 1000 to 59999; below, services; none at all \
             (a timer, a service) is an automation; root cannot be told",
    proven: true,
};

/// The two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Four,
    Five,
}

/// What was done to the packages of a transaction.
#[derive(Debug, Default)]
struct Items {
    verbs: BTreeSet<&'static str>,
    names: Vec<String>,
    done: usize,
    failed: usize,
}

/// What a row came to: its time, or why it is unreadable.
pub(crate) type Told = (Place, Result<Moment, &'static str>);

/// Reads all transactions. None where the database is another.
///
/// # Errors
/// Where it cannot be read on.
pub(crate) fn read(
    database: &Database,
    file: FileNumber,
    context: &Context,
    rows: &mut Vec<Row>,
) -> io::Result<Option<Vec<Told>>> {
    let reading = read_all(database, file, context, rows);
    reading.map_err(|error| io::Error::other(words(&error)))
}

fn read_all(
    database: &Database,
    file: FileNumber,
    context: &Context,
    rows: &mut Vec<Row>,
) -> rusqlite::Result<Option<Vec<Told>>> {
    let Some(shape) = shape(database)? else {
        return Ok(None);
    };
    let items = items(database, shape)?;
    let none = Items::default();
    let mut told = Vec::new();
    let columns = columns(database, "trans")?;
    let comment = if columns.contains("comment") {
        "comment"
    } else {
        "''"
    };
    let sql = match shape {
        Shape::Four => {
            format!("SELECT id, dt_begin, dt_end, user_id, cmdline, {comment} FROM main.trans")
        }
        Shape::Five => {
            format!("SELECT id, dt_begin, dt_end, user_id, description, {comment} FROM main.trans")
        }
    };
    let mut statement = database.connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let id = integer(row.get_ref(0)?).unwrap_or_default();
        let place = Place {
            file,
            offset: 0,
            line: u64::try_from(id).ok(),
        };
        if told.len() >= TRANSACTIONS_MAX {
            told.push((place, Err("more than a million transactions")));
            break;
        }
        let time = |value: ValueRef<'_>| {
            integer(value)?
                .checked_mul(1000)
                .and_then(Moment::of_millis)
        };
        let Some(started) = time(row.get_ref(1)?) else {
            told.push((place, Err("dt_begin is no time")));
            continue;
        };
        told.push((place, Ok(started)));
        let items = items.get(&id).unwrap_or(&none);
        if items.done == 0 {
            rows.push(Row::Excluded(if items.failed > 0 {
                Exclusion::Failed
            } else {
                Exclusion::Other
            }));
            continue;
        }
        let (command, comment) = (text(row.get_ref(4)?), text(row.get_ref(5)?));
        let mut named: Vec<Reference> = Vec::new();
        references::find(&command, &mut named);
        references::find(&comment, &mut named);
        let user = integer(row.get_ref(3)?);
        let parts = [
            context.host.as_str(),
            &id.to_string(),
            &started.earliest.to_string(),
            &command,
        ];
        let error = if items.failed > 0 {
            ", with an error"
        } else {
            ""
        };
        let verbs: Vec<_> = items.verbs.iter().copied().collect();
        let packages = if items.done == 1 {
            "package"
        } else {
            "packages"
        };
        rows.push(Row::Action(Box::new(Action {
            key: key(Format::Dnf, &parts),
            format: Format::Dnf,
            places: vec![place],
            started,
            ended: time(row.get_ref(2)?).filter(|ended| ended.latest >= started.earliest),
            system: context.host.clone(),
            environment: None,
            summary: format!("{} {} {packages}{error}", verbs.join(", "), items.done),
            items: items.names.clone(),
            actor: actor(user),
            references: named,
        })));
    }
    Ok(Some(told))
}

/// The rows of a transaction as the database has them, so many at most, and whether there are more.
/// No more is read once there are so many bytes.
///
/// # Errors
/// Where it cannot be read.
pub(crate) fn quoted(
    database: &Database,
    id: u64,
    rows_max: usize,
    bytes_max: usize,
) -> io::Result<(Vec<String>, bool)> {
    let read = || -> rusqlite::Result<(Vec<String>, bool)> {
        let mut quoted = Vec::new();
        let mut bytes = 0;
        let Some(shape) = shape(database)? else {
            return Ok((quoted, false));
        };
        const ITEMS: &str = "SELECT item_id FROM main.trans_item WHERE trans_id = ?1";
        let mut tables = vec![
            ("trans", "id = ?1".to_owned()),
            ("trans_item", "trans_id = ?1".to_owned()),
            ("rpm", format!("item_id IN ({ITEMS})")),
        ];
        if shape == Shape::Five {
            let of = format!("SELECT name_id FROM main.rpm WHERE item_id IN ({ITEMS})");
            tables.push(("pkg_names", format!("id IN ({of})")));
        }
        for (table, which) in tables {
            let sql = format!("SELECT * FROM main.{table} WHERE {which}");
            let mut statement = database.connection.prepare(&sql)?;
            let names: Vec<String> = statement.column_names().map(clip).collect();
            let mut rows = statement.query([i64::try_from(id).unwrap_or(-1)])?;
            while let Some(row) = rows.next()? {
                if quoted.len() >= rows_max || bytes > bytes_max {
                    return Ok((quoted, true));
                }
                let mut line = format!("{table}:");
                for (at, name) in names.iter().enumerate() {
                    if bytes + line.len() > bytes_max {
                        break;
                    }
                    let value = match row.get_ref(at)? {
                        ValueRef::Null => "NULL".to_owned(),
                        ValueRef::Integer(number) => number.to_string(),
                        ValueRef::Real(number) => number.to_string(),
                        value @ ValueRef::Text(_) => format!("'{}'", text(value)),
                        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
                    };
                    line.push_str(&format!(" {name}={value}"));
                }
                bytes += line.len();
                quoted.push(line);
            }
        }
        Ok((quoted, bytes > bytes_max))
    };
    read().map_err(|error| io::Error::other(words(&error)))
}

/// Which of the two it is, by its tables; none of them a view or anything else that runs.
fn shape(database: &Database) -> rusqlite::Result<Option<Shape>> {
    let mut statement = database.connection.prepare(
        "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0 \
         AND name IN ('trans', 'trans_item', 'rpm', 'pkg_names', 'archs')",
    )?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?;
    let names: BTreeSet<String> = names.collect::<rusqlite::Result<_>>()?;
    if !["trans", "trans_item", "rpm"]
        .iter()
        .all(|name| names.contains(*name))
    {
        return Ok(None);
    }
    let columns = columns(database, "trans")?;
    let has = |name: &str| columns.contains(name);
    if !has("dt_begin") || !has("user_id") {
        return Ok(None);
    }
    Ok(if has("cmdline") && has("state") {
        Some(Shape::Four)
    } else if has("description") && names.contains("pkg_names") && names.contains("archs") {
        Some(Shape::Five)
    } else {
        None
    })
}

fn columns(database: &Database, table: &str) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = database
        .connection
        .prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = statement.query_map([table], |row| row.get::<_, String>(0))?;
    names.collect()
}

/// What was done in each transaction.
fn items(database: &Database, shape: Shape) -> rusqlite::Result<BTreeMap<i64, Items>> {
    let sql = match shape {
        Shape::Four => {
            "SELECT i.trans_id, i.action, i.state, r.name, r.epoch, r.version, r.release, r.arch \
             FROM main.trans_item AS i LEFT JOIN main.rpm AS r ON r.item_id = i.item_id"
        }
        Shape::Five => {
            "SELECT i.trans_id, i.action_id, i.state_id, n.name, r.epoch, r.version, r.release, a.name \
             FROM main.trans_item AS i LEFT JOIN main.rpm AS r ON r.item_id = i.item_id \
             LEFT JOIN main.pkg_names AS n ON n.id = r.name_id \
             LEFT JOIN main.archs AS a ON a.id = r.arch_id"
        }
    };
    let mut statement = database.connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut all: BTreeMap<i64, Items> = BTreeMap::new();
    let mut kept = 0;
    while let Some(row) = rows.next()? {
        let Some(id) = integer(row.get_ref(0)?) else {
            continue;
        };
        let Some(verb) = verb(shape, integer(row.get_ref(1)?).unwrap_or_default()) else {
            continue;
        };
        if !all.contains_key(&id) && all.len() >= TRANSACTIONS_MAX {
            continue;
        }
        let of = all.entry(id).or_default();
        let state = integer(row.get_ref(2)?);
        if state == Some(if shape == Shape::Four { 2 } else { 3 }) {
            of.failed += 1;
            continue;
        }
        of.done += 1;
        of.verbs.insert(verb);
        if of.names.len() < ITEMS_MAX && kept < ALL_ITEMS_MAX {
            kept += 1;
            let part = |at: usize| -> rusqlite::Result<String> { Ok(text(row.get_ref(at)?)) };
            let epoch = integer(row.get_ref(4)?).filter(|epoch| *epoch > 0);
            let epoch = epoch.map_or_else(String::new, |epoch| format!("{epoch}:"));
            let (name, version, release, arch) = (part(3)?, part(5)?, part(6)?, part(7)?);
            of.names.push(if name.is_empty() {
                format!("{verb} of something that is no package")
            } else {
                clip(&format!(
                    "{name}.{arch} ({verb} {epoch}{version}-{release})"
                ))
            });
        }
    }
    Ok(all)
}

/// What an action is. None of a package that another replaces, and of a mere change of the reason.
const fn verb(shape: Shape, action: i64) -> Option<&'static str> {
    Some(match (shape, action) {
        (_, 1) => "install",
        (Shape::Four, 2) | (Shape::Five, 3) => "downgrade",
        (Shape::Four, 4) => "obsolete",
        (Shape::Four, 6) | (Shape::Five, 2) => "upgrade",
        (Shape::Four, 8) | (Shape::Five, 5) => "remove",
        (Shape::Four, 9) | (Shape::Five, 4) => "reinstall",
        (Shape::Four, 3 | 5 | 7 | 10 | 11) | (Shape::Five, 6 | 7) => return None,
        // Whatever it is, something was done.
        _ => "change",
    })
}

/// Who it was, by the user who had logged in.
fn actor(user: Option<i64>) -> Actor {
    match user {
        Some(user) if NO_LOGIN.contains(&user) => {
            Actor::new("dnf, by nobody who had logged in", Nature::Automation)
        }
        Some(0) => Actor::new("root, by dnf", Nature::Unclear),
        Some(user @ 1..=999) => Actor::new(format!("uid {user}"), Nature::Automation),
        Some(user @ 1_000..=59_999) => Actor::new(format!("uid {user}"), Nature::Person),
        Some(user) => Actor::new(format!("uid {user}"), Nature::Unclear),
        None => Actor::new("dnf, by a user that is not told", Nature::Unclear),
    }
}

fn integer(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Integer(number) => Some(number),
        _ => None,
    }
}

/// The text, bounded; empty where there is none.
fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Text(bytes) => bounded(&String::from_utf8_lossy(bytes), 4_000),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
