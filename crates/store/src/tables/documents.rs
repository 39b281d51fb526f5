//! Documents: projection rows whose meaning their writer knows.

use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use crate::contract::{Document, DocumentQuery, StoreError};
use crate::engine::{column, number};
use countersign_domain::Timestamp;

/// How many a query gives that names no limit.
const LIMIT_DEFAULT: usize = 1_000;

/// Writes a document, replacing one of the same kind and key.
pub(crate) fn put(conn: &Connection, document: &Document) -> Result<(), StoreError> {
    conn.prepare_cached(
        "INSERT INTO documents (kind, key, state, due_at, ord, listed, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (kind, key) DO UPDATE SET state = excluded.state, due_at = excluded.due_at,
         ord = excluded.ord, listed = excluded.listed, body = excluded.body",
    )?
    .execute(params![
        document.kind,
        document.key,
        document.state,
        document.due_at.map(Timestamp::unix_millis),
        column(document.order)?,
        document.listed,
        document.body
    ])?;
    Ok(())
}

/// By what a document is found, besides its kind and key: all that indexes hold of it.
#[derive(PartialEq, Eq)]
pub(crate) struct Found {
    state: String,
    due_at: Option<Timestamp>,
    order: u64,
    listed: bool,
}

impl Found {
    pub(crate) fn of(document: &Document) -> Self {
        Self {
            state: document.state.clone(),
            due_at: document.due_at,
            order: document.order,
            listed: document.listed,
        }
    }
}

/// Replaces a document that is there as `stored`, without the indexes that would say the same: an
/// update touches each index of which it sets a column, whatever it sets it to. The two ways that
/// steps of a change go have statements of their own.
pub(crate) fn replace(
    conn: &Connection,
    document: &Document,
    stored: &Found,
) -> Result<(), StoreError> {
    let Document {
        kind,
        key,
        state,
        body,
        ..
    } = document;
    let due_at = document.due_at.map(Timestamp::unix_millis);
    let updated = if Found::of(document) == *stored {
        conn.prepare_cached("UPDATE documents SET body = ?3 WHERE kind = ?1 AND key = ?2")?
            .execute(params![kind, key, body])?
    } else if (document.order, document.listed) == (stored.order, stored.listed) {
        conn.prepare_cached(
            "UPDATE documents SET state = ?3, due_at = ?4, body = ?5
             WHERE kind = ?1 AND key = ?2",
        )?
        .execute(params![kind, key, state, due_at, body])?
    } else {
        return put(conn, document);
    };
    if updated == 1 {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!(
            "the {kind} `{key}` is not there any more"
        )))
    }
}

/// Removes a document, if it is there.
pub(crate) fn remove(conn: &Connection, kind: &str, key: &str) -> Result<(), StoreError> {
    conn.prepare_cached("DELETE FROM documents WHERE kind = ?1 AND key = ?2")?
        .execute([kind, key])?;
    Ok(())
}

/// Columns of a row, in the order that [`document`] reads them.
const COLUMNS: &str = "SELECT key, state, due_at, ord, listed, body FROM documents";

fn document(kind: &'static str, row: &Row<'_>) -> Result<Document, StoreError> {
    let due_at: Option<i64> = row.get(2)?;
    Ok(Document {
        kind,
        key: row.get(0)?,
        state: row.get(1)?,
        due_at: due_at.map(Timestamp::from_unix_millis),
        order: number(row.get(3)?)?,
        listed: row.get(4)?,
        body: row.get(5)?,
    })
}

/// One document.
pub(crate) fn get(
    conn: &Connection,
    kind: &'static str,
    key: &str,
) -> Result<Option<Document>, StoreError> {
    let sql = format!("{COLUMNS} WHERE kind = ?1 AND key = ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement
        .query_row([kind, key], |row| Ok(document(kind, row)))
        .optional()?;
    found.transpose()
}

/// At most how many a query gives.
pub(crate) const fn limit(query: &DocumentQuery<'_>) -> usize {
    match query.limit {
        0 => LIMIT_DEFAULT,
        limit => limit,
    }
}

/// What the statement of a query says of a row, said of a document.
pub(crate) fn fits(document: &Document, query: &DocumentQuery<'_>) -> bool {
    let due = |by: Timestamp| document.due_at.is_some_and(|due_at| due_at <= by);
    (document.listed || !query.is_listing())
        && (query.states.is_empty() || query.states.contains(&document.state.as_str()))
        && query.due_by.is_none_or(due)
        && query
            .key_prefix
            .is_none_or(|prefix| document.key.starts_with(prefix))
        && query.before.is_none_or(|before| document.order < before)
}

/// The order in which a query gives documents.
pub(crate) fn sort(documents: &mut [Document], query: &DocumentQuery<'_>) {
    if query.due_by.is_some() {
        documents.sort_by(|a, b| (a.due_at, &a.key).cmp(&(b.due_at, &b.key)));
    } else {
        documents.sort_by(|a, b| (b.order, &a.key).cmp(&(a.order, &b.key)));
    }
}

/// Documents of one kind: newest first, or the earliest due first when asked by due time.
/// One pass through an index for each state, then merged, so that a page costs a page.
pub(crate) fn query(
    conn: &Connection,
    kind: &'static str,
    query: &DocumentQuery<'_>,
) -> Result<Vec<Document>, StoreError> {
    let limit = limit(query);
    let mut states: Vec<&str> = query.states.to_vec();
    states.sort_unstable();
    states.dedup();
    if states.is_empty() {
        return one_pass(conn, kind, None, query, limit);
    }
    let mut found = Vec::new();
    for state in &states {
        found.extend(one_pass(conn, kind, Some(state), query, limit)?);
    }
    if states.len() > 1 {
        sort(&mut found, query);
        found.truncate(limit);
    }
    Ok(found)
}

fn one_pass(
    conn: &Connection,
    kind: &'static str,
    state: Option<&str>,
    query: &DocumentQuery<'_>,
    limit: usize,
) -> Result<Vec<Document>, StoreError> {
    let (sql, values) = selection(kind, state, query, limit);
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(values))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(document(kind, row)?);
    }
    Ok(found)
}

/// The statement for one pass, and its values.
fn selection(
    kind: &'static str,
    state: Option<&str>,
    query: &DocumentQuery<'_>,
    limit: usize,
) -> (String, Vec<Box<dyn ToSql>>) {
    // An index by time, or by key, is of no use once the planner prefers the one by state or order:
    // a unary plus keeps it from that.
    let by_state = query.is_listing();
    let plus = if by_state { "" } else { "+" };
    let mut sql = format!("{COLUMNS} WHERE kind = ?");
    let mut values: Vec<Box<dyn ToSql>> = vec![Box::new(kind)];
    if by_state {
        sql.push_str(" AND listed");
    }
    if let Some(state) = state {
        sql.push_str(&format!(" AND {plus}state = ?"));
        values.push(Box::new(state.to_owned()));
    }
    if let Some(due_by) = query.due_by {
        sql.push_str(" AND due_at <= ?");
        values.push(Box::new(due_by.unix_millis()));
    }
    if let Some(prefix) = query.key_prefix {
        let plus = if query.due_by.is_some() { "+" } else { "" };
        sql.push_str(&format!(" AND {plus}key >= ?"));
        values.push(Box::new(prefix.to_owned()));
        if let Some(end) = prefix_end(prefix) {
            sql.push_str(&format!(" AND {plus}key < ?"));
            values.push(Box::new(end));
        }
    }
    if let Some(before) = query.before {
        sql.push_str(&format!(" AND {plus}ord < ?"));
        // Beyond what is stored, everything is before it.
        values.push(Box::new(i64::try_from(before).unwrap_or(i64::MAX)));
    }
    sql.push_str(match (query.due_by, by_state) {
        (Some(_), _) => " ORDER BY due_at, key LIMIT ?",
        (None, true) => " ORDER BY ord DESC, key LIMIT ?",
        (None, false) => " ORDER BY +ord DESC, key LIMIT ?",
    });
    values.push(Box::new(i64::try_from(limit).unwrap_or(i64::MAX)));
    (sql, values)
}

/// The smallest text behind all that start with `prefix`; none where nothing can be behind.
fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        // The next character after the surrogates, where the last one ends before them.
        let next = (u32::from(last) + 1..=u32::from(char::MAX)).find_map(char::from_u32);
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selection_goes_by_its_index() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let plain = DocumentQuery::default();
        let paged = DocumentQuery {
            before: Some(9),
            ..plain
        };
        let due = DocumentQuery {
            due_by: Some(Timestamp::EPOCH),
            ..plain
        };
        let prefixed = DocumentQuery {
            key_prefix: Some("chg-1/"),
            ..paged
        };
        for (state, query, by) in [
            (None, &plain, "documents_by_order (kind=?)"),
            (None, &paged, "documents_by_order (kind=? AND ord<?)"),
            (
                Some("new"),
                &plain,
                "documents_by_state (kind=? AND state=?)",
            ),
            (
                Some("new"),
                &paged,
                "documents_by_state (kind=? AND state=? AND ord<?)",
            ),
            (None, &due, "documents_by_due (kind=? AND due_at<?)"),
            (Some("new"), &due, "documents_by_due (kind=? AND due_at<?)"),
            (
                None,
                &prefixed,
                "sqlite_autoindex_documents_1 (kind=? AND key>? AND key<?)",
            ),
            (
                Some("new"),
                &prefixed,
                "sqlite_autoindex_documents_1 (kind=? AND key>? AND key<?)",
            ),
        ] {
            let (sql, values) = selection("change", state, query, 10);
            let mut plan = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let steps = plan.query_map(rusqlite::params_from_iter(values), |row| {
                row.get::<_, String>(3)
            });
            let steps: Vec<String> = steps.unwrap().map(Result::unwrap).collect();
            assert!(steps[0].ends_with(by), "{sql}\n{steps:#?}");
            let sorts_all = steps
                .iter()
                .any(|step| step.ends_with("TEMP B-TREE FOR ORDER BY"));
            assert_eq!(sorts_all, query.key_prefix.is_some(), "{sql}\n{steps:#?}");
        }
    }

    #[test]
    fn a_replaced_document_is_found_by_what_it_says_now_alone() {
        let conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&conn).unwrap();
        let first = Document {
            kind: "kind",
            key: "key".into(),
            state: "new".into(),
            due_at: Some(Timestamp::from_unix_seconds(1)),
            order: 1,
            listed: true,
            body: "first".into(),
        };
        put(&conn, &first).unwrap();
        let mut stored = first;
        let next = |change: &dyn Fn(&mut Document)| {
            let mut next = stored.clone();
            change(&mut next);
            next
        };
        let states = ["new", "done"];
        for changed in [
            next(&|it| it.body = "second".into()),
            next(&|it| it.state = "done".into()),
            next(&|it| it.due_at = None),
            next(&|it| it.order = 7),
            next(&|it| it.listed = false),
        ] {
            replace(&conn, &changed, &Found::of(&stored)).unwrap();
            let found = get(&conn, "kind", "key").unwrap();
            assert_eq!(found.as_ref(), Some(&changed));
            for state in states {
                for (due_by, before) in [(None, None), (Some(9), None), (None, Some(5))] {
                    let asked = DocumentQuery {
                        states: &[state],
                        due_by: due_by.map(Timestamp::from_unix_seconds),
                        before,
                        ..DocumentQuery::default()
                    };
                    let expected: Vec<_> = Some(changed.clone())
                        .filter(|it| fits(it, &asked))
                        .into_iter()
                        .collect();
                    assert_eq!(query(&conn, "kind", &asked).unwrap(), expected);
                }
            }
            // Back to the first, from what it became.
            replace(&conn, &stored, &Found::of(&changed)).unwrap();
        }
        stored.key = "another".into();
        let nowhere = replace(&conn, &stored, &Found::of(&stored));
        assert!(matches!(nowhere, Err(StoreError::Damaged(_))));
    }

    #[test]
    fn a_prefix_ends_where_the_next_one_begins() {
        for (prefix, end) in [
            ("", None),
            ("a", Some("b")),
            ("chg-1/", Some("chg-10")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
        ] {
            assert_eq!(prefix_end(prefix).as_deref(), end, "{prefix:?}");
        }
    }
}
