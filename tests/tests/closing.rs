//! What a close gives back, while the closed handle and all that was made through it are still there.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::thread;
use std::time::Duration;

use opendb::{Batch, Error, Iter, Keys, Keyspace, OpenDB, Options, Scan, Snapshot, Transaction};
use opendb_tests::place;
use opendb_tests::watch::Watch;

/// Everything that a program may still hold when it closes a database, each with something in it.
struct Held {
    db: OpenDB,
    clone: OpenDB,
    keyspace: Keyspace,
    snapshot: Snapshot,
    iterator: Iter,
    keys: Keys,
    transaction: Transaction,
    own_iterator: Iter,
    batch: Batch,
}

impl Held {
    fn of(db: &OpenDB) -> Held {
        let mut iterator = db.iter(&Scan::all()).unwrap();
        let mut keys = db.keys(&Scan::all().reverse()).unwrap();
        let mut transaction = db.begin_transaction().unwrap();
        transaction.put("default", b"own", b"write").unwrap();
        transaction.get("default", &key(3)).unwrap();
        let mut own_iterator = transaction.iter("default", &Scan::all()).unwrap();
        let mut batch = db.batch();
        batch.put("other", b"key", b"value").unwrap();
        iterator.next().unwrap().unwrap();
        keys.next().unwrap().unwrap();
        own_iterator.next().unwrap().unwrap();
        Held {
            db: db.clone(),
            clone: db.clone(),
            keyspace: db.keyspace("other").unwrap(),
            snapshot: db.snapshot().unwrap(),
            iterator,
            keys,
            transaction,
            own_iterator,
            batch,
        }
    }

    /// Every call says that the handle is closed, and nothing that is dropped afterwards minds.
    fn assert_closed(mut self) {
        assert_is_closed(self.clone.get(&key(1)));
        assert_is_closed(self.clone.put(&key(1), b""));
        assert_is_closed(self.clone.len());
        assert_is_closed(self.clone.stats());
        assert_is_closed(self.clone.flush());
        assert_is_closed(self.clone.keyspace("other"));
        assert_is_closed(self.clone.begin_transaction());
        assert_is_closed(self.keyspace.get_ref(&key(1)));
        assert_is_closed(self.snapshot.get(&key(1)));
        assert_is_closed(self.snapshot.iter(&Scan::all()));
        assert_is_closed(self.iterator.next().unwrap());
        assert!(self.iterator.next().is_none());
        assert_is_closed(self.keys.next().unwrap());
        assert_is_closed(self.own_iterator.next().unwrap());
        assert_is_closed(self.transaction.get("default", &key(1)));
        assert_is_closed(self.transaction.put("default", &key(1), b""));
        assert_is_closed(self.transaction.commit());
        assert_is_closed(self.batch.put("other", b"key", b"value"));
        assert_is_closed(self.batch.commit());
        self.db.close().unwrap();
    }
}

fn assert_is_closed<T>(result: opendb::Result<T>) {
    match result {
        Err(Error::Closed) => {}
        Err(error) => panic!("another error: {error}"),
        Ok(_) => panic!("the handle was closed"),
    }
}

#[cfg(target_os = "linux")]
const NOTHING: [&std::path::Path; 0] = [];

fn key(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

/// A value that tells its key, long enough for a few segments.
fn value(number: u32) -> Vec<u8> {
    number.to_le_bytes().repeat(250)
}

/// What the process has from the system for a directory: its open files, and the maps of its files.
#[cfg(target_os = "linux")]
mod given {
    use std::fs;
    use std::path::{Path, PathBuf};

    /// The files of the directory that are open, one for each descriptor.
    pub(crate) fn open_files(directory: &Path) -> Vec<PathBuf> {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        let names = descriptors.filter_map(|descriptor| fs::read_link(descriptor.unwrap().path()).ok());
        names.filter(|name| name.starts_with(directory)).collect()
    }

    /// The files of the directory that are mapped, each once.
    pub(crate) fn mapped_files(directory: &Path) -> Vec<PathBuf> {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let names = maps.lines().filter_map(|line| line.find('/').map(|at| PathBuf::from(&line[at..])));
        let mut names: Vec<PathBuf> = names.filter(|name| name.starts_with(directory)).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// A closed database kept its engine, with all maps, descriptors and memory, until the last object that was made through
/// it was dropped, which under a garbage collector is whenever it likes.
#[cfg(target_os = "linux")]
#[test]
fn a_close_gives_everything_back_whatever_is_still_held() {
    let _watch = Watch::start("closing while everything is held");
    for options in
        [Options::new(), Options::new().append(opendb::AppendMode::Write), Options::new().mapped_reads(false)]
    {
        let directory = place::in_memory().unwrap();
        let path = directory.path().canonicalize().unwrap();
        let db = OpenDB::open_with_options(&path, options.clone().segment_bytes(64 << 10)).unwrap();
        db.keyspace("other").unwrap();
        (0..500).for_each(|number| db.put(&key(number), &value(number)).unwrap());
        db.put(b"large", &vec![7; 2 << 20]).unwrap();
        let held = Held::of(&db);
        assert!(given::open_files(&path).len() > 5, "there is nothing to give back under {options:?}");
        db.close().unwrap();
        assert_eq!(given::open_files(&path), NOTHING, "open files under {options:?}");
        assert_eq!(given::mapped_files(&path), NOTHING, "mapped files under {options:?}");
        held.assert_closed();
    }
}

/// A closed reader kept the directory open, so that its filesystem could not be unmounted.
#[cfg(target_os = "linux")]
#[test]
fn a_reader_gives_everything_back_too_also_what_it_had_before_an_exchange() {
    let _watch = Watch::start("closing a reader while everything is held");
    let directory = place::in_memory().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let db = OpenDB::open_with_options(&path, Options::new().segment_bytes(64 << 10)).unwrap();
    (0..500).for_each(|number| db.put(&key(number), &value(number)).unwrap());
    let reader = OpenDB::open_read_only(&path).unwrap();
    let snapshot = reader.snapshot().unwrap();
    let mut iterator = reader.iter(&Scan::all()).unwrap();
    iterator.next().unwrap().unwrap();
    (0..500).for_each(|number| db.put(&key(number), &value(number + 1)).unwrap());
    db.compact().unwrap();
    db.close().unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.get(&key(1)).unwrap().unwrap(), value(2));
    assert_eq!(snapshot.get(&key(1)).unwrap().unwrap(), value(1));
    assert!(given::open_files(&path).len() > 5, "there is nothing to give back");
    reader.close().unwrap();
    assert_eq!(given::open_files(&path), NOTHING);
    assert_eq!(given::mapped_files(&path), NOTHING);
    assert_is_closed(snapshot.get(&key(1)));
    assert_is_closed(iterator.next().unwrap());
    assert_is_closed(reader.refresh());
}

#[cfg(target_os = "linux")]
#[test]
fn a_value_without_a_copy_keeps_its_own_segment_and_no_other() {
    let _watch = Watch::start("closing while a value is held");
    let directory = place::in_memory().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let db = OpenDB::open_with_options(&path, Options::new().segment_bytes(64 << 10)).unwrap();
    (0..500).for_each(|number| db.put(&key(number), &value(number)).unwrap());
    let held = db.get_ref(&key(7)).unwrap().unwrap();
    assert!(given::mapped_files(&path).len() > 5, "there are not enough segments");
    db.close().unwrap();
    assert_eq!(given::mapped_files(&path).len(), 1, "{:?}", given::mapped_files(&path));
    assert!(given::open_files(&path).len() <= 1, "{:?}", given::open_files(&path));
    assert_eq!(*held, *value(7));
    let again = OpenDB::open(&path).unwrap();
    assert_eq!(again.get(&key(7)).unwrap(), Some(value(7)));
    again.close().unwrap();
    assert_eq!(*held, *value(7));
    drop(held);
    assert_eq!(given::mapped_files(&path), NOTHING);
}

/// A loop that opened, wrote and closed ended after a thousand rounds for want of descriptors.
#[cfg(target_os = "linux")]
#[test]
fn thousands_of_closed_handles_hold_no_files() {
    let _watch = Watch::start("opening and closing many times");
    let directory = place::in_memory().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let mut closed = Vec::new();
    for round in 0..2000 {
        let options = Options::new().segment_bytes(64 << 10);
        let db = OpenDB::open_with_options(&path, options).unwrap();
        db.put(&key(round % 50), &key(round)).unwrap();
        db.close().unwrap();
        closed.push(db);
        if round % 100 == 99 {
            assert_eq!(given::open_files(&path), NOTHING, "open files after {round} rounds");
        }
    }
    assert_eq!(given::mapped_files(&path), NOTHING);
    closed.iter().for_each(|db| assert_is_closed(db.get(&key(1))));
}

#[cfg(target_os = "linux")]
#[test]
fn a_handle_that_is_closed_takes_nothing_from_the_others() {
    let directory = place::in_memory().unwrap();
    let path = directory.path().canonicalize().unwrap();
    let (one, other) = (OpenDB::open(&path).unwrap(), OpenDB::open(&path).unwrap());
    one.keyspace("other").unwrap();
    (0..10).for_each(|number| one.put(&key(number), &value(number)).unwrap());
    let held = Held::of(&one);
    let snapshot = other.snapshot().unwrap();
    one.close().unwrap();
    held.assert_closed();
    other.put(&key(1), b"new").unwrap();
    assert_eq!(snapshot.get(&key(1)).unwrap(), Some(value(1)));
    drop(snapshot);
    assert_eq!(other.stats().unwrap().snapshots, 0, "what was held by the closed handle pins nothing");
    let third = OpenDB::open(&path).unwrap();
    other.close().unwrap();
    assert_eq!(third.get(&key(1)).unwrap().unwrap(), b"new");
    third.close().unwrap();
    assert_eq!(given::open_files(&path), NOTHING);
}

/// What a call of another thread may meet while the handle is closed.
fn is_open<T>(result: opendb::Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("neither a value nor closed: {error}"),
    }
}

fn reads(db: &OpenDB, number: u32) -> bool {
    let copy = db.get(&key(number));
    if let Ok(found) = &copy {
        assert_eq!(found.as_deref(), Some(&*value(number)));
    }
    let held = db.get_ref(&key(number));
    if let Ok(found) = &held {
        assert_eq!(found.as_deref(), Some(&*value(number)));
    }
    is_open(copy) && is_open(held)
}

fn scans(db: &OpenDB) -> bool {
    match db.iter(&Scan::all()) {
        Err(error) => is_open::<()>(Err(error)),
        Ok(entries) => entries.enumerate().all(|(number, entry)| {
            if let Ok((_, found)) = &entry {
                assert_eq!(*found, value(u32::try_from(number).unwrap()));
            }
            is_open(entry)
        }),
    }
}

fn transacts(db: &OpenDB, number: u32) -> bool {
    let work = || {
        let mut transaction = db.begin_transaction()?;
        transaction.get("default", &key(number))?;
        transaction.put("default", &key(number), &value(number))?;
        transaction.commit()
    };
    match work() {
        Err(Error::Transaction(_)) => true,
        result => is_open(result),
    }
}

#[test]
fn threads_inside_of_calls_get_values_or_closed() {
    let _watch = Watch::start("closing under the eyes of other threads");
    let rounds: u64 = std::env::var("OPENDB_CLOSING_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let directory = place::in_memory().unwrap();
    for round in 0..rounds {
        let db = OpenDB::open_with_options(directory.path(), Options::new().segment_bytes(64 << 10)).unwrap();
        (0..100).for_each(|number| db.put(&key(number), &value(number)).unwrap());
        thread::scope(|scope| {
            scope.spawn(|| while (0..100).all(|number| reads(&db, number)) {});
            scope.spawn(|| while scans(&db) {});
            scope.spawn(|| while (0..100).all(|number| is_open(db.put(&key(number), &value(number)))) {});
            scope.spawn(|| while (0..100).all(|number| transacts(&db, number)) {});
            thread::sleep(Duration::from_micros(round * 137 % 5000));
            db.close().unwrap();
        });
        #[cfg(target_os = "linux")]
        assert_eq!(given::open_files(&directory.path().canonicalize().unwrap()), NOTHING, "round {round}");
    }
}

#[test]
fn a_database_is_shown_by_its_names_and_not_by_its_memory() {
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open(directory.path()).unwrap();
    let path = directory.path().canonicalize().unwrap();
    assert_eq!(format!("{db:?}"), format!("OpenDB {{ path: {path:?}, .. }}"));
    db.put(b"key", b"value").unwrap();
    assert_eq!(format!("{:?}", db.keyspace("other").unwrap()), r#"Keyspace { name: "other", .. }"#);
    assert_eq!(format!("{:?}", db.snapshot().unwrap()), "Snapshot { sequence: 2, .. }");
}
