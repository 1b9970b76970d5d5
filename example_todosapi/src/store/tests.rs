//! The store on real files.

use std::collections::HashSet;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    (folder, store)
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(folder.join("todos.sqlite3"))
}

fn draft(title: &str, done: bool) -> Draft {
    Draft { title: title.to_owned(), done }
}

fn titles(store: &Store, query: &ListQuery) -> Vec<String> {
    store.list(query).unwrap().items.into_iter().map(|todo| todo.title).collect()
}

#[test]
fn a_todo_is_created_read_replaced_and_deleted() {
    let (_folder, store) = store();
    let created = store.create(&draft("milk", false)).unwrap();
    assert_eq!((created.id, created.title.as_str(), created.done), (1, "milk", false));
    assert_eq!(created.created_at, created.updated_at);
    assert_eq!(
        (created.created_at.len(), &created.created_at[10..11]),
        ("2026-01-02T03:04:05.678Z".len(), "T")
    );
    assert_eq!(store.get(1).unwrap(), Some(created.clone()));

    let replaced = store.replace(1, &draft("oat milk", true)).unwrap().unwrap();
    assert_eq!((replaced.id, replaced.title.as_str(), replaced.done), (1, "oat milk", true));
    assert_eq!(replaced.created_at, created.created_at);
    assert!(replaced.updated_at >= created.updated_at);
    assert_eq!(store.get(1).unwrap(), Some(replaced));

    assert!(store.delete(1).unwrap());
    assert!(!store.delete(1).unwrap());
    assert_eq!(store.get(1).unwrap(), None);
    assert_eq!(store.replace(1, &draft("x", false)).unwrap(), None);
    assert_eq!(store.create(&draft("bread", false)).unwrap().id, 2, "ids are not given out twice");
}

#[test]
fn lists_are_filtered_and_paged() {
    let (_folder, store) = store();
    for i in 0..25 {
        store.create(&draft(&format!("todo {i}"), i % 5 == 0)).unwrap();
    }
    let page = store.list(&ListQuery::default()).unwrap();
    assert_eq!((page.items.len(), page.total, page.items[0].id), (20, 25, 1));
    let page = store.list(&ListQuery { offset: 20, ..ListQuery::default() }).unwrap();
    assert_eq!((page.items.len(), page.total, page.items[0].id), (5, 25, 21));
    let page = store.list(&ListQuery { offset: u32::MAX, limit: 100, ..ListQuery::default() }).unwrap();
    assert_eq!((page.items.len(), page.total), (0, 25));
    let page = store.list(&ListQuery { done: Some(true), limit: 2, ..ListQuery::default() }).unwrap();
    assert_eq!((page.items.len(), page.total), (2, 5));
    assert!(page.items.iter().all(|todo| todo.done));
}

#[test]
fn a_search_takes_wildcards_literally() {
    let (_folder, store) = store();
    for title in ["50% off", "50 euros", "a_b", "aXb", r"back\slash", "Üben"] {
        store.create(&draft(title, false)).unwrap();
    }
    let search =
        |text: &str| titles(&store, &ListQuery { text: Some(text.to_owned()), ..ListQuery::default() });
    assert_eq!(search("50%"), ["50% off"]);
    assert_eq!(search("a_b"), ["a_b"]);
    assert_eq!(search(r"\"), [r"back\slash"]);
    assert_eq!(search("BACK"), [r"back\slash"]);
    assert_eq!(search("'; DROP TABLE todos; --"), [""; 0]);
    assert_eq!(search("").len(), 6);
}

#[test]
fn many_threads_write_and_none_is_lost() {
    let (_folder, store) = store();
    thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..50 {
                    store.create(&draft(&format!("{thread}-{i}"), false)).unwrap();
                    store.list(&ListQuery::default()).unwrap();
                }
            });
        }
    });
    let stored: HashSet<_> = (0..4)
        .flat_map(|page| {
            titles(&store, &ListQuery { limit: 100, offset: page * 100, ..ListQuery::default() })
        })
        .collect();
    assert_eq!(stored.len(), 400);
    assert_eq!(store.list(&ListQuery::default()).unwrap().total, 400);
}

#[test]
fn a_new_database_may_be_opened_by_many_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for i in 0..8 {
                let folder = folder.path();
                scope.spawn(move || open(folder).unwrap().create(&draft(&i.to_string(), false)).unwrap());
            }
        });
        assert_eq!(open(folder.path()).unwrap().list(&ListQuery::default()).unwrap().total, 8);
    }
}

#[test]
fn todos_are_kept_across_reopening() {
    let (folder, store) = store();
    let todo = store.create(&draft("stays", true)).unwrap();
    drop(store);
    assert_eq!(open(folder.path()).unwrap().get(todo.id).unwrap(), Some(todo));
}

#[test]
fn a_panic_rolls_back_and_costs_no_slot() {
    let (_folder, store) = store();
    for _ in 0..2 * CONNECTIONS {
        let panic = catch_unwind(AssertUnwindSafe(|| {
            store.write(|transaction| -> rusqlite::Result<()> {
                transaction.execute("INSERT INTO todos (title, done) VALUES ('half', 0)", [])?;
                panic!("half-way")
            })
        }));
        assert!(panic.is_err());
    }
    assert_eq!(store.list(&ListQuery::default()).unwrap().total, 0);
    assert!(store.create(&draft("after", false)).is_ok());
}

#[test]
fn connections_are_set_up() {
    let (_folder, store) = store();
    let text = |pragma: &str| {
        store
            .read(|transaction| transaction.pragma_query_value(None, pragma, |row| row.get::<_, String>(0)))
            .unwrap()
    };
    let number = |pragma: &str| {
        store
            .read(|transaction| transaction.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)))
            .unwrap()
    };
    assert_eq!(text("journal_mode"), "delete");
    assert_eq!((number("foreign_keys"), number("busy_timeout"), number("user_version")), (1, 2_000, 1));
}

#[test]
fn a_database_with_a_newer_schema_is_refused_unchanged() {
    let (folder, store) = store();
    store.write(|transaction| transaction.pragma_update(None, "user_version", 9)).unwrap();
    drop(store);
    let error = open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::UnknownSchema { found: 9, known: 1 }), "{error}");
}

#[test]
fn a_database_that_cannot_be_opened_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let error = Store::open(folder.path().join("missing/todos.sqlite3")).unwrap_err();
    assert!(!error.is_busy() && error.to_string().contains("missing/todos.sqlite3"), "{error}");
}

#[test]
fn a_write_waits_for_another_program_until_its_timeout() {
    let (folder, store) = store();
    let other = Connection::open(folder.path().join("todos.sqlite3")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(store.create(&draft("late", false)).unwrap_err().is_busy());
    other.execute_batch("COMMIT").unwrap();
    assert!(store.create(&draft("in time", false)).is_ok());
}

#[test]
fn a_write_waits_for_another_copy_until_its_timeout() {
    let (folder, store) = store();
    let lock_file = File::options().write(true).open(folder.path().join("todos.sqlite3.lock")).unwrap();
    lock_file.lock_shared().unwrap();
    assert!(store.get(1).is_ok(), "both read");
    assert!(store.create(&draft("late", false)).unwrap_err().is_busy());
    lock_file.unlock().unwrap();
    assert!(store.create(&draft("in time", false)).is_ok());
}

#[test]
fn a_database_in_wal_mode_is_converted() {
    let folder = tempfile::tempdir().unwrap();
    let other = Connection::open(folder.path().join("todos.sqlite3")).unwrap();
    other.pragma_update(None, "journal_mode", "wal").unwrap();
    drop(other);
    let store = open(folder.path()).unwrap();
    let mode: String = store
        .read(|transaction| transaction.pragma_query_value(None, "journal_mode", |row| row.get(0)))
        .unwrap();
    assert_eq!(mode, "delete");
}
