//! Calls of all kinds on a simulated disk, held against a map: puts, deletes, gets, scans, batches, transactions, snapshots,
//! compactions, closes, and deaths of the process.
//!
//! The bytes are steps one behind the other, each a byte for its kind and some for what it takes.
#![allow(clippy::expect_used, reason = "a panic is how a finding is told")]

use std::collections::BTreeMap;
use std::rc::Rc;

use opendb::simulation::{SimulatedDisk, open_simulated};
use opendb::{Compression, Durability, KeyspaceOptions, OpenDB, Options, Scan, Snapshot};

const DIRECTORY: &str = "/db";
/// Keys with odd numbers are in the second one, whose values are compressed.
const KEYSPACES: [&str; 2] = ["default", "packed"];
/// Steps that are taken of any bytes.
const STEPS_MAX: usize = 400;
/// Writes of one batch or transaction.
const WRITES_MAX: u8 = 24;
const LARGE_VALUE_BYTES: usize = (1 << 20) + 1;

type Key = (usize, Vec<u8>);
/// Values are shared: a snapshot and a transaction keep a whole map.
type Model = BTreeMap<Key, Rc<Vec<u8>>>;

/// Takes the steps. Whether there were enough of them to have come to an end of the database and back.
#[must_use]
pub fn take(mut bytes: &[u8]) -> bool {
    let mut run = Run::begin();
    let (mut steps, mut openings) = (0, 0);
    while steps < STEPS_MAX
        && let Some((kind, rest)) = bytes.split_first()
    {
        bytes = rest;
        openings += usize::from(run.step(*kind, &mut bytes));
        steps += 1;
    }
    run.end();
    openings > 0
}

/// A database and what must be in it.
struct Run {
    disk: SimulatedDisk,
    db: OpenDB,
    model: Model,
    snapshot: Option<(Snapshot, Model)>,
}

impl Run {
    fn begin() -> Run {
        let disk = SimulatedDisk::new();
        Run { db: open(&disk), disk, model: Model::new(), snapshot: None }
    }

    /// One step. Whether the database was opened again.
    fn step(&mut self, kind: u8, bytes: &mut &[u8]) -> bool {
        match kind % 14 {
            0 | 1 => self.put(bytes, Durability::Buffered),
            2 => self.put(bytes, Durability::Sync),
            3 => self.delete(bytes),
            4 => self.get(bytes),
            5 => self.batch(bytes),
            6 => self.transaction(bytes),
            7 => self.scan(bytes),
            8 => self.take_snapshot(),
            9 => self.put_large(bytes),
            10 => drop(self.db.compact().expect("compacting")),
            11 => self.db.flush().expect("flushing"),
            12 => return self.close_and_open(),
            _ => return self.die_and_open(),
        }
        false
    }

    fn set(&mut self, (space, key): Key, value: Option<Vec<u8>>) {
        match value {
            Some(value) => drop(self.model.insert((space, key), Rc::new(value))),
            None => drop(self.model.remove(&(space, key))),
        }
    }

    fn put(&mut self, bytes: &mut &[u8], durability: Durability) {
        let ((space, key), length) = (key(bytes), u16::from_le_bytes([byte(bytes), byte(bytes)]));
        let value = value(length);
        let keyspace = self.db.keyspace(KEYSPACES[space]).expect("a keyspace");
        keyspace.put_with(&key, &value, durability).expect("putting");
        self.set((space, key), Some(value));
    }

    /// Seldom a value in a segment of its own: its length takes as long as some hundred other steps.
    fn put_large(&mut self, bytes: &mut &[u8]) {
        let (_, key) = key(bytes);
        let filling = byte(bytes);
        let value = vec![filling; if filling % 8 == 7 { LARGE_VALUE_BYTES } else { 5000 }];
        self.db.put(&key, &value).expect("putting a large value");
        self.set((0, key), Some(value));
    }

    fn delete(&mut self, bytes: &mut &[u8]) {
        let (space, key) = key(bytes);
        self.db.keyspace(KEYSPACES[space]).and_then(|keyspace| keyspace.delete(&key)).expect("deleting");
        self.set((space, key), None);
    }

    fn get(&self, bytes: &mut &[u8]) {
        let (space, key) = key(bytes);
        let found = self.db.keyspace(KEYSPACES[space]).and_then(|keyspace| keyspace.get(&key));
        assert_eq!(found.expect("getting").as_ref(), self.model.get(&(space, key)).map(|value| &**value));
    }

    fn batch(&mut self, bytes: &mut &[u8]) {
        let mut batch = self.db.batch();
        for ((space, key), value) in writes(bytes) {
            match &value {
                Some(value) => batch.put(KEYSPACES[space], &key, value),
                None => batch.delete(KEYSPACES[space], &key),
            }
            .expect("adding to a batch");
            self.set((space, key), value);
        }
        batch.commit().expect("committing");
    }

    fn transaction(&mut self, bytes: &mut &[u8]) {
        let is_rolled_back = byte(bytes).is_multiple_of(4);
        let before = self.model.clone();
        let mut transaction = self.db.begin_transaction().expect("beginning");
        for ((space, key), value) in writes(bytes) {
            let found = transaction.get(KEYSPACES[space], &key).expect("getting");
            assert_eq!(found.as_ref(), self.model.get(&(space, key.clone())).map(|value| &**value));
            match &value {
                Some(value) => transaction.put(KEYSPACES[space], &key, value),
                None => transaction.delete(KEYSPACES[space], &key),
            }
            .expect("adding to a transaction");
            self.set((space, key), value);
        }
        if is_rolled_back {
            drop(transaction);
            self.model = before;
        } else {
            transaction.commit().expect("committing");
        }
    }

    fn scan(&self, bytes: &mut &[u8]) {
        let ((space, from), reverse) = (key(bytes), byte(bytes) % 2 == 1);
        let behind = self.model.iter().filter(|((at, key), _)| *at == space && *key >= from);
        let mut expected: Vec<_> = behind.map(|((_, key), value)| (key.clone(), value.to_vec())).collect();
        let mut scan = Scan::all().from(from);
        if reverse {
            expected.reverse();
            scan = scan.reverse();
        }
        let keyspace = self.db.keyspace(KEYSPACES[space]).expect("a keyspace");
        let found: Result<Vec<_>, _> = keyspace.iter(&scan).expect("scanning").collect();
        assert_eq!(found.expect("scanning"), expected);
    }

    /// Compares the snapshot that is held, and takes another one.
    fn take_snapshot(&mut self) {
        if let Some((snapshot, model)) = self.snapshot.take() {
            for (space, name) in KEYSPACES.into_iter().enumerate() {
                let part = snapshot.keyspace(name).expect("a keyspace of a snapshot");
                let found: Result<Vec<_>, _> = part.iter(&Scan::all()).expect("scanning").collect();
                assert_eq!(found.expect("scanning a snapshot"), of_space(&model, space));
            }
        }
        self.snapshot = Some((self.db.snapshot().expect("a snapshot"), self.model.clone()));
    }

    fn close_and_open(&mut self) -> bool {
        self.db.close().expect("closing");
        self.open_again()
    }

    fn die_and_open(&mut self) -> bool {
        self.disk = self.disk.process_death();
        self.open_again()
    }

    fn open_again(&mut self) -> bool {
        self.snapshot = None;
        self.db = open(&self.disk);
        self.compare();
        true
    }

    fn compare(&self) {
        for (space, name) in KEYSPACES.into_iter().enumerate() {
            let keyspace = self.db.keyspace(name).expect("a keyspace");
            let found: Result<Vec<_>, _> = keyspace.iter(&Scan::all()).expect("scanning").collect();
            assert_eq!(found.expect("scanning"), of_space(&self.model, space));
            assert_eq!(keyspace.len().expect("counting"), of_space(&self.model, space).len() as u64);
        }
    }

    fn end(mut self) {
        self.take_snapshot();
        self.compare();
        assert!(self.db.verify().expect("verifying").violations.is_empty());
        self.db.close().expect("closing");
    }
}

fn open(disk: &SimulatedDisk) -> OpenDB {
    let options = Options::new().segment_bytes(64 << 10).cache_bytes(1 << 20);
    let db = open_simulated(disk, DIRECTORY, &options).expect("opening");
    let lz4 = KeyspaceOptions::new().compression(Compression::Lz4);
    db.keyspace_with_options(KEYSPACES[1], lz4).expect("a keyspace");
    db
}

fn of_space(model: &Model, space: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let own = model.iter().filter(|((at, _), _)| *at == space);
    own.map(|((_, key), value)| (key.clone(), value.to_vec())).collect()
}

fn byte(bytes: &mut &[u8]) -> u8 {
    let Some((first, rest)) = bytes.split_first() else { return 0 };
    *bytes = rest;
    *first
}

fn key(bytes: &mut &[u8]) -> Key {
    let number = byte(bytes);
    let key = vec![b'k'; usize::from(number % 5)].into_iter().chain([number]).collect();
    (usize::from(number % 2), key)
}

/// Of every length; what is long repeats itself, so that it can be compressed.
fn value(length: u16) -> Vec<u8> {
    (0..length).map(|at| ((at % 48) ^ length) as u8).collect()
}

fn writes(bytes: &mut &[u8]) -> Vec<(Key, Option<Vec<u8>>)> {
    let count = byte(bytes) % WRITES_MAX;
    let write = |_| {
        let (key, length) = (key(bytes), byte(bytes));
        (key, (!length.is_multiple_of(4)).then(|| value(u16::from(length) * 8)))
    };
    (0..count).map(write).collect()
}
