//! What the public documentation shows has to compile and behave as written.

#![allow(clippy::unwrap_used, reason = "the examples stand here as they are published")]

use std::error::Error as StdError;
use std::ops::Bound;
use std::sync::Arc;
use std::thread;

use opendb::{Error, ErrorKind, OpenDB, Options, Result, Scan};
use opendb_tests::place;
use serde::{Deserialize, Serialize};

type TestResult = std::result::Result<(), Box<dyn StdError>>;

#[test]
fn put_get_delete_exists() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    db.put(b"user:123", b"Alice")?;

    let value: Option<Vec<u8>> = db.get(b"user:123")?;
    match value {
        Some(bytes) => assert_eq!(String::from_utf8_lossy(&bytes), "Alice"),
        None => panic!("what was put is not found"),
    }
    assert!(db.exists(b"user:123")?);
    db.delete(b"user:123")?;
    assert_eq!(db.get(b"user:123")?, None);
    assert!(!db.exists(b"user:123")?);
    // Deleting what is not there succeeds.
    db.delete(b"user:123")?;
    db.delete(b"user:never")?;
    Ok(())
}

#[test]
fn scans_are_sorted() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    db.put(b"user:456", b"Bob")?;
    db.put(b"session:xyz", b"user:456")?;
    db.put(b"user:123", b"Alice")?;
    db.put(b"session:abc", b"user:123")?;

    let mut found = Vec::new();
    for (key, value) in db.scan_prefix(b"user:")? {
        found.push(format!("{} = {}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value)));
    }
    assert_eq!(found, ["user:123 = Alice", "user:456 = Bob"]);
    Ok(())
}

fn increment_counter(db: &OpenDB, key: &[u8]) -> Result<u64> {
    let mut txn = db.begin_transaction()?;

    let current = txn.get("default", key)?.map(|v| u64::from_le_bytes(v.try_into().unwrap())).unwrap_or(0);

    let new_val = current + 1;
    txn.put("default", key, &new_val.to_le_bytes())?;
    txn.commit()?;

    Ok(new_val)
}

#[test]
fn an_atomic_counter() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    assert_eq!(increment_counter(&db, b"visits")?, 1);
    assert_eq!(increment_counter(&db, b"visits")?, 2);
    drop(db);
    let db = OpenDB::open(directory.path())?;
    assert_eq!(increment_counter(&db, b"visits")?, 3);
    Ok(())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Config {
    host: String,
    port: u16,
}

#[test]
fn serialized_values() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    let config = Config { host: "localhost".to_string(), port: 8080 };

    let bytes = bincode::serialize(&config)?;
    db.put(b"config", &bytes)?;

    let bytes = db.get(b"config")?.unwrap();
    let read: Config = bincode::deserialize(&bytes)?;
    assert_eq!(read, config);
    Ok(())
}

/// The match of the documentation.
fn describe(result: Result<Option<Vec<u8>>>) -> String {
    match result {
        Ok(Some(value)) => format!("{} bytes", value.len()),
        Ok(None) => "not found".to_owned(),
        Err(Error::Storage(e)) => format!("storage: {e}"),
        Err(Error::Cache(e)) => format!("cache: {e}"),
        Err(e) => format!("other: {}", e.kind().name()),
    }
}

#[test]
fn errors_are_matched() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    db.put(b"key", b"value")?;
    assert_eq!(describe(db.get(b"key")), "5 bytes");
    assert_eq!(describe(db.get(b"other")), "not found");
    assert_eq!(describe(db.get(&vec![0; opendb::KEY_BYTES_MAX + 1])), "other: INVALID_ARGUMENT");
    db.close()?;
    assert_eq!(describe(db.get(b"key")), "other: CLOSED");
    assert_eq!(describe(Err(Error::Storage("full".to_owned()))), "storage: full");
    assert_eq!(describe(Err(Error::Cache("cold".to_owned()))), "cache: cold");
    Ok(())
}

#[test]
fn ten_threads_put_through_an_arc() -> TestResult {
    let directory = place::temporary()?;
    let db = Arc::new(OpenDB::open(directory.path())?);

    let handles: Vec<_> = (0..10)
        .map(|i| {
            let db = Arc::clone(&db);
            thread::spawn(move || {
                db.put(format!("key_{}", i).as_bytes(), b"value").unwrap();
            })
        })
        .collect();

    for handle in handles {
        handle.join().unwrap();
    }
    assert_eq!(db.scan_prefix(b"key_")?.len(), 10);
    assert_eq!(db.len()?, 10);
    Ok(())
}

#[test]
fn handles_are_shared_between_threads_and_have_no_lifetime() {
    fn shared<T: Send + Sync + Clone + 'static>() {}
    fn sent<T: Send + 'static>() {}
    shared::<OpenDB>();
    shared::<opendb::Keyspace>();
    shared::<opendb::Snapshot>();
    sent::<opendb::Transaction>();
    sent::<opendb::Batch>();
    sent::<opendb::Iter>();
    sent::<opendb::Keys>();
    sent::<opendb::ValueRef>();
}

#[test]
fn a_value_is_read_in_place_and_outlives_the_database() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    db.put(b"k", b"in place")?;
    assert!(db.get_ref(b"absent")?.is_none());
    let value = db.get_ref(b"k")?.unwrap();
    assert_eq!(&*value, b"in place");
    db.put(b"k", b"overwritten")?;
    let from_keyspace = db.keyspace("default")?.get_ref(b"k")?.unwrap();
    assert_eq!(from_keyspace.as_ref(), b"overwritten");
    db.close()?;
    assert_eq!(&*value, b"in place", "a held value changed");
    assert_eq!(&*from_keyspace, b"overwritten", "a held value changed");
    Ok(())
}

#[test]
fn a_clone_is_the_same_handle_and_opening_again_is_another() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    let clone = db.clone();
    let other = OpenDB::open(directory.path())?;
    db.put(b"k", b"v")?;
    assert_eq!(other.get(b"k")?.as_deref(), Some(&b"v"[..]));
    db.close()?;
    assert_eq!(clone.get(b"k").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(other.get(b"k")?.as_deref(), Some(&b"v"[..]));
    Ok(())
}

#[test]
fn options_that_contradict_the_open_engine_are_refused() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open_with_options(directory.path(), Options::new().segment_bytes(65536))?;
    let contradiction = OpenDB::open_with_options(directory.path(), Options::new().segment_bytes(131_072));
    assert_eq!(contradiction.err().map(|error| error.kind()), Some(ErrorKind::InvalidArgument));
    // The same ones are not.
    let other = OpenDB::open_with_options(directory.path(), Options::new().segment_bytes(65536))?;
    db.put(b"k", b"v")?;
    assert!(other.exists(b"k")?);
    Ok(())
}

#[test]
fn ranges_of_every_form() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    for key in ["a", "b", "c", "d"] {
        db.put(key.as_bytes(), b"")?;
    }
    let keys = |scan: Scan| -> Result<String> {
        let keys = db.keys(&scan)?.collect::<Result<Vec<_>>>()?;
        Ok(String::from_utf8_lossy(&keys.concat()).into_owned())
    };
    let key = |text: &str| text.as_bytes().to_vec();
    assert_eq!(keys(Scan::all())?, "abcd");
    assert_eq!(keys(Scan::range(..))?, "abcd");
    assert_eq!(keys(Scan::range(key("b")..))?, "bcd");
    assert_eq!(keys(Scan::range(key("b")..key("d")))?, "bc");
    assert_eq!(keys(Scan::range(key("b")..=key("d")))?, "bcd");
    assert_eq!(keys(Scan::range(..key("c")))?, "ab");
    assert_eq!(keys(Scan::range(..=key("c")))?, "abc");
    assert_eq!(keys(Scan::range((Bound::Excluded(key("a")), Bound::Included(key("c")))))?, "bc");
    assert_eq!(keys(Scan::range(key("b")..=key("d")).reverse().limit(2))?, "dc");
    assert_eq!(keys(Scan::range(key("b")..).start_after("c"))?, "d");
    assert_eq!(keys(Scan::prefix("b").from("a").until("z"))?, "b");
    Ok(())
}

#[test]
fn stats_count_keys_and_keyspaces() -> TestResult {
    let directory = place::temporary()?;
    let db = OpenDB::open(directory.path())?;
    let logs = db.keyspace("logs")?;
    assert_eq!(logs.name(), "logs");
    assert!(logs.is_empty()?);
    assert!(db.is_empty()?);
    db.put(b"a", b"1")?;
    db.put(b"a", b"2")?;
    logs.put(b"a", b"3")?;
    logs.put(b"b", b"4")?;
    logs.delete(b"b")?;
    let stats = db.stats()?;
    assert_eq!((stats.keys, stats.keyspaces), (2, 2));
    assert!(!stats.poisoned);
    db.flush()?;
    let stats = db.stats()?;
    assert_eq!(
        stats.durable_sequence, stats.last_sequence,
        "a flush leaves something that is not on the device"
    );
    assert!(!db.is_empty()? && !logs.is_empty()?);
    assert_eq!(db.path().canonicalize()?, directory.path().canonicalize()?);
    Ok(())
}
