//! Documents: replacing, selecting, ordering, paging.

use std::path::Path;

use countersign_domain::Timestamp;
use countersign_store::{Document, DocumentQuery};

use super::Backend;
use crate::fixture::{at, document};

fn keys(documents: &[Document]) -> Vec<&str> {
    documents.iter().map(|d| d.key.as_str()).collect()
}

pub fn a_document_is_replaced_and_removed<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        tx.put_document(&document("a", "new", Some(5), 1))?;
        tx.put_document(&document("a", "done", None, 2))?;
        tx.put_document(&Document {
            kind: "host",
            ..document("a", "up", None, 9)
        })?;
        assert_eq!(
            tx.document("change", "a")?.unwrap(),
            document("a", "done", None, 2)
        );
        Ok(())
    });
    let found = store.read(|view| view.document("change", "a"));
    assert_eq!(found.unwrap(), document("a", "done", None, 2));
    store.write(|tx| {
        tx.remove_document("change", "a")?;
        Ok(tx.remove_document("change", "never there")?)
    });
    store.read(|view| {
        assert_eq!(view.document("change", "a")?, None);
        assert_eq!(view.document("host", "a")?.unwrap().state, "up");
        Ok(())
    });
}

pub fn queries_select_order_and_page<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        for order in 0..30_u64 {
            let state = ["new", "open", "done"][(order % 3) as usize];
            tx.put_document(&document(&format!("c{order:02}"), state, None, order))?;
        }
        tx.put_document(&Document {
            kind: "host",
            ..document("h", "new", None, 99)
        })?;
        Ok(())
    });
    store.read(|view| {
        let all = view.documents("change", &DocumentQuery::default())?;
        assert_eq!(all.len(), 30);
        assert_eq!(keys(&all)[..3], ["c29", "c28", "c27"]);
        let query = |states: &[&str], before, limit| {
            let query = DocumentQuery {
                states,
                before,
                limit,
                ..DocumentQuery::default()
            };
            let found = view.documents("change", &query).unwrap();
            keys(&found)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(query(&["new"], None, 3), ["c27", "c24", "c21"]);
        assert_eq!(
            query(&["new", "done", "new"], None, 4),
            ["c29", "c27", "c26", "c24"]
        );
        assert_eq!(query(&["done", "new"], Some(26), 2), ["c24", "c23"]);
        assert_eq!(query(&[], Some(2), 10), ["c01", "c00"]);
        assert_eq!(query(&[], Some(u64::MAX), 1), ["c29"]);
        assert!(query(&["absent"], None, 10).is_empty());
        // Paging by `before` shows each document once.
        let (mut seen, mut before) = (Vec::new(), None);
        loop {
            let query = DocumentQuery {
                states: &["new", "open"],
                before,
                limit: 7,
                ..DocumentQuery::default()
            };
            let page = view.documents("change", &query)?;
            let Some(last) = page.last() else { break };
            before = Some(last.order);
            seen.extend(page.into_iter().map(|d| d.order));
        }
        let expected = (0..30).rev().filter(|order| order % 3 != 2);
        assert!(seen.into_iter().eq(expected));
        Ok(())
    });
}

pub fn due_documents_come_earliest_first<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        tx.put_document(&document("late", "open", Some(300), 1))?;
        tx.put_document(&document("early", "done", Some(100), 2))?;
        tx.put_document(&document("same", "open", Some(100), 3))?;
        tx.put_document(&document("never", "open", None, 4))?;
        Ok(())
    });
    store.read(|view| {
        let due = |by: Timestamp, states: &[&str], limit| {
            let query = DocumentQuery {
                due_by: Some(by),
                states,
                limit,
                ..DocumentQuery::default()
            };
            let found = view.documents("change", &query).unwrap();
            keys(&found)
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(due(at(300), &[], 0), ["early", "same", "late"]);
        assert_eq!(due(at(299), &[], 0), ["early", "same"]);
        assert_eq!(due(at(300), &["open"], 0), ["same", "late"]);
        assert_eq!(due(at(300), &["open", "done"], 2), ["early", "same"]);
        assert!(due(at(99), &[], 0).is_empty());
        Ok(())
    });
}

pub fn prefixes_are_exact<B: Backend>(place: &Path) {
    let store = B::open(place);
    let all = [
        "chg-1/a",
        "chg-1/b",
        "chg-10/a",
        "chg-1",
        "chg%1/x",
        "chg-1/\u{10ffff}z",
        "é",
    ];
    store.write(move |tx| {
        for (order, key) in (0..).zip(all) {
            let due = (order % 2 == 0).then_some(10);
            tx.put_document(&document(key, "s", due, order))?;
        }
        Ok(())
    });
    store.read(|view| {
        for prefix in [
            "",
            "chg-1/",
            "chg-1",
            "chg%",
            "chg_1",
            "é",
            "chg-1/\u{10ffff}",
            "z",
        ] {
            for due_by in [None, Some(at(10))] {
                for states in [[].as_slice(), &["s"]] {
                    let query = DocumentQuery {
                        key_prefix: Some(prefix),
                        due_by,
                        states,
                        ..DocumentQuery::default()
                    };
                    let mut expected: Vec<_> = (0_usize..)
                        .zip(all)
                        .filter(|(order, key)| {
                            key.starts_with(prefix) && (due_by.is_none() || order % 2 == 0)
                        })
                        .map(|(_, key)| key)
                        .collect();
                    let found = view.documents("change", &query)?;
                    let mut found = keys(&found);
                    found.sort_unstable();
                    expected.sort_unstable();
                    assert_eq!(found, expected, "{prefix:?} {due_by:?}");
                }
            }
        }
        Ok(())
    });
}
