//! Handles that only read, beside one that writes, in one directory of the real disk.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::model::Random;
use crate::{
    Compression, Durability, Error, ErrorKind, KeyspaceOptions, OpenDB, Options, Result, Scan, Snapshot,
};

type Model = BTreeMap<(String, Vec<u8>), Vec<u8>>;

const KEYSPACES: [&str; 3] = ["default", "other", "packed"];

fn small() -> Options {
    Options::new().segment_bytes(crate::SEGMENT_BYTES_MIN)
}

fn reader(path: &Path, mapped: bool) -> OpenDB {
    OpenDB::open_to_read_apart(path, &Options::new().read_only(true).mapped_reads(mapped)).unwrap()
}

/// All that a snapshot has.
fn contents(snapshot: &Snapshot) -> Result<Model> {
    let mut found = Model::new();
    for name in KEYSPACES {
        let Ok(keyspace) = snapshot.keyspace(name) else { continue };
        for entry in keyspace.iter(&Scan::all())? {
            let (key, value) = entry?;
            assert_eq!(keyspace.get(&key)?.as_ref(), Some(&value));
            found.insert((name.to_owned(), key), value);
        }
    }
    Ok(found)
}

fn check(db: &OpenDB, model: &Model) {
    let snapshot = db.snapshot().unwrap();
    let found = contents(&snapshot).unwrap();
    assert_eq!(found.len(), model.len());
    assert!(found == *model);
    let count =
        model.range(("default".to_owned(), vec![])..).take_while(|((name, _), _)| name == "default").count();
    assert_eq!(db.len().unwrap(), count as u64);
    for number in 0..200 {
        let name = ("default".to_owned(), key(number));
        assert_eq!(db.get(&name.1).unwrap().as_ref(), model.get(&name));
        assert_eq!(db.exists(&name.1).unwrap(), model.contains_key(&name));
    }
}

fn key(number: usize) -> Vec<u8> {
    format!("key {number:04}").into_bytes()
}

/// A writer with a model of what it has committed.
struct Writer {
    db: OpenDB,
    model: Model,
    random: Random,
}

impl Writer {
    fn open(path: &Path, seed: u64) -> Writer {
        let db = OpenDB::open_with_options(path, small()).unwrap();
        db.keyspace("other").unwrap();
        db.keyspace_with_options("packed", KeyspaceOptions::new().compression(Compression::Lz4)).unwrap();
        Writer { db, model: Model::new(), random: Random(seed) }
    }

    fn value(&mut self) -> Vec<u8> {
        let length = match self.random.below(200) {
            0 => (1 << 20) + 5,
            1..20 => 5000,
            _ => self.random.below(300),
        };
        let byte = self.random.below(256) as u8;
        vec![byte; length]
    }

    /// One commit of some kind.
    fn commit(&mut self) {
        let (name, key) = (KEYSPACES[self.random.below(3)], key(self.random.below(300)));
        let durability = if self.random.below(50) == 0 { Durability::Sync } else { Durability::Buffered };
        match self.random.below(10) {
            0..6 => {
                let value = self.value();
                self.db.keyspace(name).unwrap().put_with(&key, &value, durability).unwrap();
                self.model.insert((name.to_owned(), key), value);
            }
            6..8 => {
                self.db.keyspace(name).unwrap().delete_with(&key, durability).unwrap();
                self.model.remove(&(name.to_owned(), key));
            }
            _ => {
                let mut batch = self.db.batch();
                for _ in 0..self.random.below(30) {
                    let (name, key) =
                        (KEYSPACES[self.random.below(3)], super::reading::key(self.random.below(300)));
                    if self.random.below(3) > 0 {
                        let value = self.value();
                        batch.put(name, &key, &value).unwrap();
                        self.model.insert((name.to_owned(), key), value);
                    } else {
                        batch.delete(name, &key).unwrap();
                        self.model.remove(&(name.to_owned(), key));
                    }
                }
                batch.commit_with(durability).unwrap();
            }
        }
    }

    fn rest(&mut self, path: &Path) {
        match self.random.below(40) {
            0 => drop(self.db.compact().unwrap()),
            1 => self.db.flush().unwrap(),
            2 => {
                self.db.close().unwrap();
                self.db = OpenDB::open_with_options(path, small()).unwrap();
            }
            _ => {}
        }
    }
}

/// Follows through compactions, closes and openings; snapshots stay what they were.
fn follow(seed: u64, mapped: bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let mut writer = Writer::open(&path, seed);
    let steady = reader(&path, mapped);
    // Looks now and then only, so that much has gone on meanwhile.
    let rare = reader(&path, !mapped);
    let mut kept: Vec<(Snapshot, Model)> = Vec::new();
    for round in 0..40 {
        for _ in 0..writer.random.below(60) {
            writer.commit();
        }
        writer.rest(&path);
        steady.refresh().unwrap();
        check(&steady, &writer.model);
        if round % 7 == 0 {
            kept.push((steady.snapshot().unwrap(), writer.model.clone()));
        }
        if kept.len() > 3 {
            let number = writer.random.below(kept.len());
            kept.swap_remove(number);
        }
        for (snapshot, model) in &kept {
            assert!(contents(snapshot).unwrap() == *model);
        }
        if round % 13 == 12 {
            rare.refresh().unwrap();
            check(&rare, &writer.model);
            let fresh = reader(&path, mapped);
            check(&fresh, &writer.model);
            let verified = fresh.verify().unwrap();
            assert!(verified.violations.is_empty(), "{verified:?}");
        }
    }
    writer.db.close().unwrap();
    check(&steady, &writer.model);
    rare.refresh().unwrap();
    check(&rare, &writer.model);
}

#[test]
fn a_reader_follows_a_writer_through_compactions_closes_and_openings() {
    for seed in 0..2 {
        follow(seed, seed == 0);
    }
}

#[test]
fn a_reader_refuses_writes_and_takes_no_lock() {
    let directory = tempfile::tempdir().unwrap();
    let missing = OpenDB::open_read_only(directory.path().join("db")).unwrap_err();
    assert!(matches!(missing, Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::NotFound));
    assert!(!directory.path().join("db").exists());
    let path = directory.path().join("db");
    let writer = OpenDB::open(&path).unwrap();
    writer.put(b"key", b"value").unwrap();
    let db = OpenDB::open_read_only(&path).unwrap();
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"value"[..]));
    let mut batch = db.batch();
    let mut transaction = db.begin_transaction().unwrap();
    let refused: Vec<Result<()>> = vec![
        db.put(b"key", b"other"),
        db.delete(b"key"),
        batch.put("default", b"key", b"other"),
        transaction.put("default", b"key", b"other"),
        db.flush(),
        db.compact().map(drop),
        db.backup(directory.path().join("backup")).map(drop),
        db.value_writer(b"key", 5).map(drop),
    ];
    for refused in refused {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnly);
    }
    assert_eq!(transaction.get("default", b"key").unwrap().as_deref(), Some(&b"value"[..]));
    transaction.commit().unwrap();
    assert_eq!(db.keyspace("none").unwrap_err().kind(), ErrorKind::KeyspaceNotFound);
    // A handle that reads keeps nobody from writing.
    writer.close().unwrap();
    let writer = OpenDB::open(&path).unwrap();
    writer.put(b"key", b"new").unwrap();
    db.refresh().unwrap();
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"new"[..]));
    db.close().unwrap();
    assert_eq!(db.get(b"key").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(db.refresh().unwrap_err().kind(), ErrorKind::Closed);
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Sums of transfers never change, and what a reader has seen it sees from then on.
#[test]
fn readers_see_whole_commits_and_never_go_back() {
    const ACCOUNTS: u64 = 20;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = OpenDB::open_with_options(&path, small()).unwrap();
    let mut batch = db.batch();
    (0..ACCOUNTS)
        .for_each(|account| batch.put("default", &account.to_be_bytes(), &100_u64.to_be_bytes()).unwrap());
    batch.put("default", b"count", &0_u64.to_be_bytes()).unwrap();
    batch.commit().unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also where an assertion fails.
        let _over = Over(&is_over);
        let readers: Vec<_> = (0..3)
            .map(|number| {
                let db = reader(&path, number != 1);
                let is_over = &is_over;
                scope.spawn(move || {
                    let (mut last, mut looks) = (0, 0);
                    while !is_over.load(Ordering::Relaxed) {
                        let snapshot = db.snapshot().unwrap();
                        let entries = snapshot.scan_prefix(b"").unwrap();
                        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
                        let (accounts, count): (Vec<_>, Vec<_>) =
                            entries.iter().partition(|(key, _)| key != b"count");
                        assert_eq!(
                            accounts.iter().map(|(_, value)| number(value)).sum::<u64>(),
                            100 * ACCOUNTS
                        );
                        let count = number(&count[0].1);
                        assert!(count >= last);
                        last = count;
                        looks += 1;
                    }
                    (looks, last)
                })
            })
            .collect();
        let mut random = Random(7);
        for count in 1..=3000_u64 {
            let mut account = || random.below(ACCOUNTS as usize) as u64;
            let (from, to) = (account(), account());
            db.transact(|transaction| {
                let read = |account: u64| -> Result<u64> {
                    let value = transaction.get("default", &account.to_be_bytes())?.unwrap();
                    Ok(u64::from_be_bytes(value.try_into().unwrap()))
                };
                let (mut left, mut right) = (read(from)?, read(to)?);
                if from != to && left > 0 {
                    (left, right) = (left - 1, right + 1);
                }
                transaction.put("default", &from.to_be_bytes(), &left.to_be_bytes())?;
                if from != to {
                    transaction.put("default", &to.to_be_bytes(), &right.to_be_bytes())?;
                }
                transaction.put("default", b"count", &count.to_be_bytes())
            })
            .unwrap();
            if count % 1000 == 0 {
                db.compact().unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for reader in readers {
            let (looks, last) = reader.join().unwrap();
            assert!(looks > 3, "{looks} looks, up to {last}");
        }
    });
}
