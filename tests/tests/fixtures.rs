//! Databases that earlier versions have written, kept under `tests/fixtures` as they were: every version reads them.
//!
//! `UPDATE=1 cargo test -p opendb-tests --test fixtures` writes those that are missing, with the version at hand. What is
//! there is never written again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use opendb::{Durability, OpenDB, Options};
use opendb_tests::bytes::pattern;
use opendb_tests::damage::{Content, read_content};
use opendb_tests::place;

/// How each fixture's life ended.
const ENDINGS: [&str; 2] = ["closed", "killed"];
const KEYS: usize = 300;
const LARGE_BYTES: usize = (1 << 20) + 77;

fn fixture(ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/format-1").join(ending)
}

fn options() -> Options {
    Options::new().segment_bytes(64 << 10)
}

fn key(number: usize) -> Vec<u8> {
    format!("key {number:04}").into_bytes()
}

/// What makes a fixture: every kind of record, several segments, a commit that is synced and some behind it that are not.
fn write(db: &OpenDB) -> opendb::Result<()> {
    for number in 0..KEYS {
        db.put(&key(number), &pattern(number, (number % 251) as u8))?;
    }
    let users = db.keyspace("users")?;
    db.keyspace("leer – empty")?;
    let mut batch = db.batch();
    for number in 0..KEYS {
        batch.put("users", &key(number), &pattern(100, (number % 251) as u8))?;
    }
    batch.delete("default", &key(7))?;
    batch.commit()?;
    db.put(b"large", &pattern(LARGE_BYTES, 1))?;
    for number in (0..KEYS).step_by(3) {
        db.delete(&key(number))?;
    }
    db.put_with(b"", b"the empty key", Durability::Sync)?;
    let mut transaction = db.begin_transaction()?;
    let value = transaction.get("users", &key(1))?.unwrap_or_default();
    transaction.put("default", b"copied", &value)?;
    transaction.delete("users", &key(1))?;
    transaction.commit()?;
    users.put(&key(2), b"")?;
    users.put(&[0xff; 300], &[0; 300])
}

fn expected() -> Content {
    let mut default: BTreeMap<Vec<u8>, Vec<u8>> = (0..KEYS)
        .filter(|number| !number.is_multiple_of(3) && *number != 7)
        .map(|number| (key(number), pattern(number, (number % 251) as u8)))
        .collect();
    default.insert(b"large".to_vec(), pattern(LARGE_BYTES, 1));
    default.insert(Vec::new(), b"the empty key".to_vec());
    default.insert(b"copied".to_vec(), pattern(100, 1));
    let mut users: BTreeMap<Vec<u8>, Vec<u8>> =
        (0..KEYS).map(|number| (key(number), pattern(100, (number % 251) as u8))).collect();
    users.remove(&key(1));
    users.insert(key(2), Vec::new());
    users.insert(vec![0xff; 300], vec![0; 300]);
    Content::from([
        ("default".to_owned(), default),
        ("users".to_owned(), users),
        ("leer – empty".to_owned(), BTreeMap::new()),
    ])
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    // The lock file says who has written it last, which is nobody's business.
    for file in place::files(from).unwrap().into_iter().filter(|file| !file.ends_with("LOCK")) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

fn write_if_missing(ending: &str) {
    let fixture = fixture(ending);
    if fixture.exists() {
        return;
    }
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open_with_options(directory.path(), options()).unwrap();
    write(&db).unwrap();
    match ending {
        "closed" => db.close().unwrap(),
        _ => {
            copy(directory.path(), &fixture);
            return;
        }
    }
    copy(directory.path(), &fixture);
}

#[test]
fn every_version_reads_what_the_first_has_written() {
    for ending in ENDINGS {
        if std::env::var_os("UPDATE").is_some() {
            write_if_missing(ending);
        }
        let directory = place::in_memory().unwrap();
        copy(&fixture(ending), directory.path());
        let db = OpenDB::open_with_options(directory.path(), options()).unwrap();
        assert_eq!(db.stats().unwrap().recovery.clean, ending == "closed");
        assert_eq!(read_content(&db).unwrap(), expected(), "{ending}");
        // It is a database like any other from here on.
        db.put(b"more", b"1").unwrap();
        db.close().unwrap();
        let db = OpenDB::open(directory.path()).unwrap();
        let mut expected = expected();
        expected.get_mut("default").unwrap().insert(b"more".to_vec(), b"1".to_vec());
        assert_eq!(read_content(&db).unwrap(), expected, "{ending}, written to");
    }
}
