//! Scans that follow records which lie in the order of their keys, beside a map of what was written.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};

use super::model::{Random, all_options, lose_checkpoints, open};
use crate::database::{OpenDB, Snapshot};
use crate::disk::SimulatedDisk;
use crate::options::{AppendMode, Durability, Options};
use crate::scan::FOLLOWED;
use crate::{Scan, Transaction};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Entries = Vec<(Vec<u8>, Vec<u8>)>;
const DEFAULT: &str = "default";

fn key(number: usize) -> Vec<u8> {
    format!("key {number:05}").into_bytes()
}

/// Entries that `work` followed.
fn followed<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = FOLLOWED.get();
    let done = work();
    (FOLLOWED.get() - before, done)
}

fn all(db: &OpenDB) -> Entries {
    db.iter(&Scan::all()).unwrap().map(Result::unwrap).collect()
}

fn mapped(segment_bytes: u64) -> Options {
    Options::new().segment_bytes(segment_bytes).append(AppendMode::Mapped)
}

/// The first batches tell that the records lie in order; from then on they are followed, and the next scan does so from its first
/// entry on.
fn assert_followed(db: &OpenDB, expected: &Map, context: &str) {
    let keys = expected.len() as u64;
    for few in [60, 40] {
        let (count, found) = followed(|| all(db));
        assert!(found.into_iter().eq(expected.clone()), "{context}");
        assert!(count + few >= keys, "{count} of {keys} were followed, {context}");
    }
    let (count, found) = followed(|| db.keys(&Scan::all()).unwrap().map(Result::unwrap).count() as u64);
    assert!(found == keys && count + 40 >= keys, "{count} of {keys} keys were followed, {context}");
    let (count, _) = followed(|| db.iter(&Scan::all().from(key(500)).limit(10)).unwrap().count());
    assert!(count >= 8, "{count} of ten, {context}");
    let (count, _) = followed(|| db.iter(&Scan::all().reverse()).unwrap().count());
    assert_eq!(count, 0, "backwards, {context}");
}

#[test]
fn records_in_the_order_of_their_keys_are_followed() {
    let expected: Map = (0..2_000).map(|number| (key(number), vec![number as u8; 50])).collect();
    // Record by record, in an order that is not that of the keys, and then compacted.
    let disk = SimulatedDisk::new();
    let db = open(&disk, &mapped(64 << 10)).unwrap();
    (0..2_000).for_each(|number| db.put(&key(number * 7 % 2_000), b"first").unwrap());
    (0..2_000)
        .for_each(|number| db.put(&key(number * 7 % 2_000), &expected[&key(number * 7 % 2_000)]).unwrap());
    assert_eq!(followed(|| all(&db)).0, 0);
    db.compact().unwrap();
    assert_followed(&db, &expected, "compacted");
    db.close().unwrap();
    let db = open(&disk, &mapped(64 << 10)).unwrap();
    assert_followed(&db, &expected, "compacted and opened");
    drop(db);
    let db = open(&disk.process_death(), &mapped(64 << 10)).unwrap();
    assert_followed(&db, &expected, "after the death of the process");
    // In order, one by one and in batches, of which some have anchors.
    for together in [1, 2, 700] {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &mapped(1 << 20)).unwrap();
        for some in expected.iter().collect::<Vec<_>>().chunks(together) {
            let mut batch = db.batch();
            some.iter().for_each(|(key, value)| batch.put(DEFAULT, key, value).unwrap());
            batch.commit().unwrap();
        }
        assert_followed(&db, &expected, &format!("{together} together"));
    }
}

/// Each read would be a call of the system of its own.
#[test]
fn what_is_not_mapped_is_not_followed() {
    let db = open(&SimulatedDisk::new(), &all_options(64 << 10)[2]).unwrap();
    (0..1_000).for_each(|number| db.put(&key(number), b"value").unwrap());
    assert_eq!(followed(|| all(&db).len()), (0, 1_000));
}

/// Whatever the length of frames and segments, the record behind the last one of a frame is the first one of the next, and behind
/// the last one of a segment is none.
#[test]
fn the_last_record_of_a_frame_is_followed_by_the_first_of_the_next_and_that_of_a_segment_by_none() {
    for value_bytes in [0, 1, 6, 13, 100, 1_000] {
        for together in [1, 2, 3, 17, 100] {
            let db = open(&SimulatedDisk::new(), &mapped(64 << 10)).unwrap();
            let expected: Map = (0..1_000).map(|number| (key(number), vec![1; value_bytes])).collect();
            for some in expected.iter().collect::<Vec<_>>().chunks(together) {
                let mut batch = db.batch();
                some.iter().for_each(|(key, value)| batch.put(DEFAULT, key, value).unwrap());
                batch.commit().unwrap();
            }
            let segments = db.stats().unwrap().segments;
            let (count, found) = followed(|| all(&db));
            assert!(found.into_iter().eq(expected), "{value_bytes} bytes, {together} together");
            // Where a segment ends, the rest of the batch is looked up.
            let few = 64 * segments + 30;
            assert!(count + few >= 1_000, "{count}, {value_bytes} bytes, {together} together, {segments}");
        }
    }
}

/// A database beside a map, with snapshots that stay.
struct Beside {
    db: OpenDB,
    disk: SimulatedDisk,
    options: Options,
    map: Map,
    kept: Vec<(Snapshot, Map)>,
    random: Random,
    keys: usize,
    context: String,
}

impl Beside {
    fn key(&mut self) -> Vec<u8> {
        key(self.random.below(self.keys))
    }

    fn value(&mut self) -> Vec<u8> {
        let bytes = if self.random.one_in(30) { 2_000 } else { self.random.below(60) };
        self.random.bytes(bytes).to_vec()
    }

    fn durability(&mut self) -> Durability {
        if self.random.one_in(6) { Durability::Sync } else { Durability::Buffered }
    }

    /// All keys, or every second one, in order.
    fn load(&mut self) {
        let step = 1 + self.random.below(2);
        let together = [1, 5, 100][self.random.below(3)];
        let keys: Vec<_> = (0..self.keys).step_by(step).map(key).collect();
        for some in keys.chunks(together) {
            let mut batch = self.db.batch();
            for key in some {
                let value = self.value();
                batch.put(DEFAULT, key, &value).unwrap();
                self.map.insert(key.clone(), value);
            }
            batch.commit().unwrap();
        }
    }

    fn write_together(&mut self) {
        // Some keys twice.
        let keys: Vec<_> = (0..1 + self.random.below(12)).map(|_| self.key()).collect();
        let durability = self.durability();
        let mut batch = self.db.batch();
        for key in keys.iter().chain(keys.iter().take(3)) {
            if self.random.one_in(4) {
                batch.delete(DEFAULT, key).unwrap();
                self.map.remove(key);
            } else {
                let value = self.value();
                batch.put(DEFAULT, key, &value).unwrap();
                self.map.insert(key.clone(), value);
            }
        }
        batch.commit_with(durability).unwrap();
    }

    fn transact(&mut self) {
        let mut transaction = self.db.begin_transaction().unwrap();
        let mut own = self.map.clone();
        for _ in 0..1 + self.random.below(8) {
            let (key, value) = (self.key(), self.value());
            if self.random.one_in(3) {
                transaction.delete(DEFAULT, &key).unwrap();
                own.remove(&key);
            } else {
                transaction.put(DEFAULT, &key, &value).unwrap();
                own.insert(key, value);
            }
        }
        let (scan, expected) = self.scan(&own);
        let found = scan_of(&mut transaction, &scan);
        assert!(found == expected, "a transaction, {scan:?}, {}", self.context);
        if self.random.one_in(4) {
            transaction.rollback().unwrap();
        } else {
            transaction.commit_with(self.durability()).unwrap();
            self.map = own;
        }
    }

    /// A scan, and what it is to find in a map.
    fn scan(&mut self, map: &Map) -> (Scan, Entries) {
        let (one, other) = (self.random.below(self.keys), self.random.below(self.keys));
        let bounds = (Bound::Included(key(one.min(other))), Bound::Excluded(key(one.max(other) + 1)));
        let mut scan = Scan::range(bounds.clone());
        let mut expected: Vec<_> =
            map.range(bounds).map(|(key, value)| (key.clone(), value.clone())).collect();
        if self.random.one_in(5) {
            scan = scan.reverse();
            expected.reverse();
        }
        if self.random.one_in(2) {
            let limit = 1 + self.random.below(200);
            scan = scan.limit(limit as u64);
            expected.truncate(limit);
        }
        (scan, expected)
    }

    fn compare(&mut self) {
        let map = std::mem::take(&mut self.map);
        let (scan, expected) = self.scan(&map);
        let found: Vec<_> = self.db.iter(&scan).unwrap().map(Result::unwrap).collect();
        assert!(found == expected, "{scan:?}, {}", self.context);
        let (scan, expected) = self.scan(&map);
        let keys: Vec<_> = self.db.keys(&scan).unwrap().map(Result::unwrap).collect();
        assert!(keys.iter().eq(expected.iter().map(|(key, _)| key)), "keys of {scan:?}, {}", self.context);
        self.map = map;
        for at in 0..self.kept.len() {
            let map = self.kept[at].1.clone();
            let (scan, expected) = self.scan(&map);
            let found: Vec<_> = self.kept[at].0.iter(&scan).unwrap().map(Result::unwrap).collect();
            assert!(found == expected, "snapshot {at}, {scan:?}, {}", self.context);
        }
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=34 => {
                let (key, value, durability) = (self.key(), self.value(), self.durability());
                self.db.put_with(&key, &value, durability).unwrap();
                self.map.insert(key, value);
            }
            35..=49 => {
                let (key, durability) = (self.key(), self.durability());
                self.db.delete_with(&key, durability).unwrap();
                self.map.remove(&key);
            }
            50..=64 => self.write_together(),
            65..=79 => self.transact(),
            80..=84 if self.kept.len() < 3 => {
                self.kept.push((self.db.snapshot().unwrap(), self.map.clone()));
            }
            85..=87 if !self.kept.is_empty() => {
                let at = self.random.below(self.kept.len());
                drop(self.kept.swap_remove(at));
            }
            88..=91 => drop(self.db.compact().unwrap()),
            92..=94 => {
                let store = self.db.keyspace(DEFAULT).unwrap().handle.shared_store().unwrap();
                store.compact_a_little(self.random.one_in(2), 1 + self.random.below(3), || {});
            }
            95 => self.load(),
            96 => self.reopen(),
            97 => self.die(),
            _ => {}
        }
        self.compare();
    }

    fn reopen(&mut self) {
        self.kept.clear();
        self.db.close().unwrap();
        self.db = open(&self.disk, &self.options).unwrap();
    }

    fn die(&mut self) {
        self.kept.clear();
        self.disk = self.disk.process_death();
        if self.random.one_in(2) {
            lose_checkpoints(&self.disk);
        }
        self.db = open(&self.disk, &self.options).unwrap();
    }
}

fn scan_of(transaction: &mut Transaction, scan: &Scan) -> Entries {
    transaction.iter(DEFAULT, scan).unwrap().map(Result::unwrap).collect()
}

#[test]
fn scans_that_follow_find_what_a_map_has_whatever_was_written_and_moved() {
    let (count, ()) = followed(|| {
        for seed in 0..40_u64 {
            let options = if seed % 8 == 7 { all_options(64 << 10)[2].clone() } else { mapped(64 << 10) };
            let disk = SimulatedDisk::new();
            let db = open(&disk, &options).unwrap();
            let (map, kept, context) = (Map::new(), Vec::new(), String::new());
            let random = Random(seed.wrapping_mul(0x9e37_79b9));
            let keys = [100, 1_000][seed as usize % 2];
            let mut beside = Beside { db, disk, options, map, kept, random, keys, context };
            beside.load();
            for step in 0..150 {
                beside.context = format!("seed {seed}, step {step}");
                beside.step();
            }
            let found = all(&beside.db);
            assert!(found.into_iter().eq(beside.map), "seed {seed}");
        }
    });
    assert!(count > 100_000, "{count} entries were followed");
}

/// A record that is overwritten after compaction has read it, and before the index is moved, is copied in vain: its copy has an old
/// sequence and stands in the order of the keys, and is no record of any snapshot that begins then.
#[test]
fn copies_that_were_overtaken_are_not_followed() {
    let db = open(&SimulatedDisk::new(), &mapped(1 << 20)).unwrap();
    let keys = 4_000;
    let mut expected: Vec<u64> = vec![0; keys];
    (0..keys).for_each(|number| db.put(&key(number), &0_u64.to_le_bytes()).unwrap());
    let is_over = AtomicBool::new(false);
    let mut random = Random(1);
    std::thread::scope(|scope| {
        /// Also when what goes on beside has failed.
        struct Ends<'a>(&'a AtomicBool);
        impl Drop for Ends<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let _ends = Ends(&is_over);
        // Beside somebody who overwrites all the time one compaction may have as much to do as there is time.
        let _compacts = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                db.compact().unwrap();
            }
        });
        for version in 1..=20_000 {
            let number = random.below(keys);
            expected[number] = version;
            db.put(&key(number), &version.to_le_bytes()).unwrap();
            let first = random.below(keys).min(number.saturating_sub(20));
            let first = if random.one_in(2) { first } else { number.saturating_sub(3) };
            let scan = Scan::all().from(key(first)).limit(40);
            for (at, entry) in db.iter(&scan).unwrap().enumerate() {
                let (found, value) = entry.unwrap();
                assert_eq!(found, key(first + at));
                assert_eq!(value, expected[first + at].to_le_bytes(), "{} at version {version}", first + at);
            }
        }
    });
    let found = all(&db).into_iter().map(|(_, value)| value);
    assert!(found.eq(expected.iter().map(|version| version.to_le_bytes().to_vec())));
}
