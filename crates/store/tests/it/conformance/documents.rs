//! Documents: replacing, selecting, ordering, paging.

use std::path::Path;
use std::sync::Arc;

use countersign_domain::Timestamp;
use countersign_store::{Document, DocumentQuery, Read, StoreError};

use super::Backend;
use crate::fixture::{Refusal, at, document};

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

pub fn a_job_sees_its_own_documents_as_they_will_be<B: Backend>(place: &Path) {
    let store = B::open(place);
    // A fixed walk through puts and removals: what each query gives inside of the job is what it
    // gives once the job is kept.
    let mut chance = 7_u64;
    let mut next = move |below: u64| {
        chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (chance >> 33) % below
    };
    for round in 0..20_u64 {
        let edits: Vec<_> = (0..12)
            .map(|edit| {
                let key = format!("{}/{}", ["a", "b"][next(2) as usize], next(6));
                let state = ["new", "open", "done"][next(3) as usize];
                let due_at = (next(2) == 0).then(|| next(50) as i64);
                let order = [7, round * 100 + edit][next(2) as usize];
                let put = Document {
                    listed: next(4) != 0,
                    ..document(&key, state, due_at, order)
                };
                // Some are read before they are written.
                (next(2) == 0, (next(4) != 0).then_some(put).ok_or(key))
            })
            .collect();
        let inside = store.write(move |tx| {
            for (is_read, edit) in edits {
                let key = edit.as_ref().map_or_else(|key| key, |put| &put.key);
                if is_read {
                    tx.document("change", key)?;
                }
                match edit {
                    Ok(put) => tx.put_document(&put)?,
                    Err(key) => tx.remove_document("change", &key)?,
                }
            }
            Ok(answers(tx)?)
        });
        assert_eq!(inside, store.read(answers), "round {round}");
    }
}

/// What a number of queries give.
fn answers(view: &dyn Read) -> Result<Vec<Vec<Document>>, StoreError> {
    let mut answers = Vec::new();
    for states in [[].as_slice(), &["new"], &["done", "open"]] {
        for due_by in [None, Some(at(25))] {
            for key_prefix in [None, Some("a/")] {
                for (before, limit) in [(None, 0), (Some(900), 3), (None, 2)] {
                    answers.push(view.documents(
                        "change",
                        &DocumentQuery {
                            states,
                            due_by,
                            key_prefix,
                            before,
                            limit,
                        },
                    )?);
                }
            }
        }
    }
    Ok(answers)
}

pub fn what_is_not_listed_is_found_by_key_and_due_time_only<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        tx.put_document(&Document {
            listed: false,
            ..document("a/1", "new", Some(5), 1)
        })?;
        Ok(())
    });
    store.read(|view| {
        let found = |query: &DocumentQuery<'_>| view.documents("change", query).unwrap().len();
        assert_eq!(found(&DocumentQuery::default()), 0);
        let prefixed = DocumentQuery {
            key_prefix: Some("a/"),
            ..DocumentQuery::default()
        };
        assert_eq!(found(&prefixed), 1);
        let due = DocumentQuery {
            due_by: Some(at(5)),
            ..DocumentQuery::default()
        };
        assert_eq!(found(&due), 1);
        assert!(view.document("change", "a/1")?.is_some());
        Ok(())
    });
}

pub fn documents_of_a_job_that_fails_are_not_kept<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| Ok(tx.put_document(&document("kept", "new", None, 1))?));
    let failed = store
        .submit::<()>(|tx| {
            tx.put_document(&document("kept", "done", None, 2))?;
            tx.put_document(&document("lost", "new", None, 3))?;
            Err(Refusal::Own("no"))
        })
        .wait();
    assert!(failed.is_err());
    // A number that cannot be stored is found only when the job has ended: it undoes the job.
    let unfit = store
        .submit(|tx| {
            tx.put_document(&document("lost too", "new", None, 4))?;
            Ok(tx.put_document(&document("unfit", "new", None, u64::MAX))?)
        })
        .wait();
    assert!(unfit.is_err());
    store.read(|view| {
        assert_eq!(view.document("change", "kept")?.unwrap().state, "new");
        for key in ["lost", "lost too", "unfit"] {
            assert_eq!(view.document("change", key)?, None, "{key}");
        }
        Ok(())
    });
}

/// A backend need not remember; what it recalls is of the document as it stands.
pub fn what_a_document_was_read_as_is_recalled_only_while_it_stands<B: Backend>(place: &Path) {
    fn read_as(tx: &dyn Read) -> (Option<String>, Option<String>) {
        let recalled = tx.recall("change", "a");
        let recalled = recalled.map(|value| value.downcast_ref::<String>().unwrap().clone());
        let found = tx.document("change", "a").unwrap();
        (recalled, found.map(|it| it.state))
    }
    let store = B::open(place);
    let put = |state: &'static str, keep: bool| {
        let written = store.submit(move |tx| {
            tx.put_document(&document("a", state, None, 1))?;
            tx.remember("change", "a", Arc::new(state.to_owned()));
            assert_eq!(read_as(tx).1.as_deref(), Some(state));
            if keep {
                Ok(())
            } else {
                Err(Refusal::Own("no"))
            }
        });
        assert_eq!(written.wait().is_ok(), keep);
    };
    let stands = |state: Option<&str>| {
        let (recalled, found) = store.write(|tx| Ok(read_as(tx)));
        assert_eq!(found.as_deref(), state);
        assert!(
            recalled.is_none() || recalled.as_deref() == state,
            "{recalled:?}"
        );
    };
    put("first", true);
    stands(Some("first"));
    put("second", false);
    stands(Some("first"));
    // Written by who does not say what it reads as.
    store.write(|tx| Ok(tx.put_document(&document("a", "third", None, 1))?));
    stands(Some("third"));
    store.write(|tx| Ok(tx.remove_document("change", "a")?));
    stands(None);
}

pub fn a_trail_holds_the_entries_of_one_change_in_order<B: Backend>(place: &Path) {
    let store = B::open(place);
    store.write(|tx| {
        for (of, index) in [(7, 7), (8, 8), (7, 300), (7, 9), (7, 7)] {
            tx.put_trail(of, index)?;
        }
        assert_eq!(tx.trail(7)?, [7, 9, 300]);
        Ok(())
    });
    store.read(|view| {
        assert_eq!(view.trail(7)?, [7, 9, 300]);
        assert_eq!(view.trail(8)?, [8]);
        assert!(view.trail(9)?.is_empty());
        Ok(())
    });
}
