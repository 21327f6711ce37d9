//! Stores right after they were opened, while what the log has behind a checkpoint is not known yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::model::{PATH, Random, all_options, open};
use super::rebuilds::without_engine;
use crate::disk::{DirectoryLock, Disk, OpenMode, SimulatedDisk};
use crate::index::shard_of;
use crate::options::{Compression, Options};
use crate::record::{Kind, NewRecord, SHORT_HEADER_BYTES};
use crate::scan::{Scan, Walk};
use crate::store::{Commit, Opening, Store};
use crate::{Durability, Error, Result};

const KEYS: usize = 400;

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn key(number: usize) -> Vec<u8> {
    format!("key {number}").into_bytes()
}

/// A store whose background never runs, with the lock on its directory.
struct Quiet {
    store: Arc<Store>,
    _lock: DirectoryLock,
}

impl Quiet {
    fn open(disk: &SimulatedDisk, options: &Options) -> Result<Quiet> {
        let (config, manifest, lock) = without_engine(disk, options)?;
        Ok(Quiet { store: Store::open(config, manifest, Opening::InOrder, 0)?, _lock: lock })
    }

    fn write(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let kind = if value.is_some() { Kind::Put } else { Kind::Tombstone };
        let record = NewRecord { kind, keyspace: 0, key, value: value.unwrap_or_default() };
        let commit = Commit::One(record, self.store.keys.hash(0, key), Compression::None);
        self.store.commit(commit, Durability::Buffered, &mut |_| Ok(()))
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.get(0, key, None, &self.store.log.pin())
    }

    /// Shards that nobody has looked into yet, of those that have these keys.
    fn absent(&self, keys: impl Iterator<Item = Vec<u8>>) -> usize {
        let hashes = keys.map(|key| self.store.keys.hash(0, &key));
        let shards: BTreeMap<usize, u64> = hashes.map(|hash| (shard_of(hash), hash)).collect();
        shards.values().filter(|hash| self.store.keys.index.is_absent(**hash)).count()
    }

    fn scan(&self) -> Result<Model> {
        let pin = Arc::new(self.store.pin(false));
        let mut walk = Walk::new(&self.store, pin, 0, &Scan::all(), false, None)?;
        std::iter::from_fn(|| {
            walk.advance(&self.store).map(|is_there| is_there.then(|| walk.take()).flatten()).transpose()
        })
        .collect()
    }

    fn assert_is(&self, model: &Model) {
        for number in 0..2 * KEYS {
            assert_eq!(self.get(&key(number)).unwrap().as_ref(), model.get(&key(number)), "key {number}");
        }
        assert_eq!(&self.scan().unwrap(), model);
        assert_eq!(self.store.keys.keyspaces.keys(), model.len() as u64);
        assert_eq!(self.store.verify().unwrap().violations, []);
    }
}

/// The image of a process that died with `count` commits behind the last checkpoint, and what was in it.
fn killed(options: &Options, count: usize) -> (SimulatedDisk, Model) {
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    (0..KEYS).for_each(|number| db.put(&key(number), &[b'a'; 100]).unwrap());
    db.close().unwrap();
    let (store, mut random) = (Quiet::open(&disk, options).unwrap(), Random(count as u64));
    let mut model: Model = (0..KEYS).map(|number| (key(number), vec![b'a'; 100])).collect();
    for number in 0..count {
        change(&store, &mut model, &mut random, number);
    }
    (disk.process_death(), model)
}

/// Puts or deletes a key, that may be there.
fn change(store: &Quiet, model: &mut Model, random: &mut Random, number: usize) {
    let key = key(random.below(2 * KEYS));
    let value = (!random.one_in(4)).then(|| number.to_le_bytes().to_vec());
    store.write(&key, value.as_deref()).unwrap();
    match value {
        Some(value) => drop(model.insert(key, value)),
        None => drop(model.remove(&key)),
    }
}

#[test]
fn whoever_looks_for_a_key_makes_one_shard_known_and_whoever_scans_all_of_them() {
    for options in all_options(64 << 10) {
        let (disk, model) = killed(&options, 80);
        let store = Quiet::open(&disk, &options).unwrap();
        let all = || (0..2 * KEYS).map(key);
        let before = store.absent(all());
        assert_eq!(store.get(&key(7)).unwrap().as_ref(), model.get(&key(7)));
        assert_eq!(store.absent(all()), before - 1);
        assert_eq!(store.scan().unwrap(), model);
        assert_eq!(store.store.keys.keyspaces.keys(), model.len() as u64);
        store.assert_is(&model);
    }
}

#[test]
fn what_is_committed_comes_behind_what_the_log_had() {
    for options in all_options(64 << 10) {
        // More than are gathered at once, and fewer.
        for count in [1, 80, 350] {
            let (disk, mut model) = killed(&options, count);
            let (store, mut random) = (Quiet::open(&disk, &options).unwrap(), Random(99));
            for number in 0..150 {
                change(&store, &mut model, &mut random, 1_000 + number);
                let looked = key(random.below(2 * KEYS));
                assert_eq!(store.get(&looked).unwrap().as_ref(), model.get(&looked));
            }
            store.assert_is(&model);
        }
    }
}

#[test]
fn a_snapshot_begun_before_all_is_known_sees_what_was_there() {
    for options in all_options(64 << 10) {
        let (disk, model) = killed(&options, 80);
        let store = Quiet::open(&disk, &options).unwrap();
        let pin = Arc::new(store.store.pin(false));
        (0..2 * KEYS).step_by(3).for_each(|number| store.write(&key(number), Some(b"later")).unwrap());
        for number in 0..2 * KEYS {
            let found = store.store.get(0, &key(number), Some(pin.sequence), &store.store.log.pin()).unwrap();
            assert_eq!(found.as_ref(), model.get(&key(number)), "key {number}");
        }
    }
}

#[test]
fn a_process_may_die_again_and_again_before_all_is_known() {
    for options in all_options(64 << 10) {
        let (mut disk, mut model) = killed(&options, 60);
        let mut random = Random(3);
        for round in 0..8 {
            let store = Quiet::open(&disk, &options).unwrap();
            for number in 0..random.below(12) {
                change(&store, &mut model, &mut random, round * 100 + number);
            }
            disk = disk.process_death();
        }
        let store = Quiet::open(&disk, &options).unwrap();
        assert!(store.store.recovery.frames >= 60);
        store.assert_is(&model);
    }
}

#[test]
fn a_close_right_after_the_open_makes_all_of_it_known() {
    for options in all_options(64 << 10) {
        let (disk, model) = killed(&options, 80);
        Quiet::open(&disk, &options).unwrap().store.close().unwrap();
        let store = Quiet::open(&disk, &options).unwrap();
        assert_eq!((store.store.recovery.clean, store.store.recovery.frames), (true, 0));
        store.assert_is(&model);
    }
}

/// A record that a later one makes old is read for that. Where it has rotted nobody may be told that a key is not there, or see
/// an older value: whoever needs that shard gets an error, every time, and the others their values.
#[test]
fn what_cannot_be_made_known_is_an_error_for_whoever_needs_it_and_never_a_missing_key() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        (0..KEYS).for_each(|number| db.put(&key(number), &[b'a'; 300]).unwrap());
        db.close().unwrap();
        let store = Quiet::open(&disk, &options).unwrap();
        // A key that is new, in the shard of the damaged one, before it and often enough that it is made known in a batch before.
        let shard = |number| shard_of(store.store.keys.hash(0, &key(number)));
        let new = (2 * KEYS..).find(|number| shard(*number) == shard(0)).unwrap();
        (0..40).for_each(|_| store.write(&key(new), Some(b"new")).unwrap());
        (0..40).for_each(|number| store.write(&key(number), Some(b"new")).unwrap());
        let disk = disk.process_death();
        // The first byte of the key in the first commit of all, which the checkpoint knows and the log makes old.
        let path = Path::new(PATH).join("0000000000000001.segment");
        let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
        file.write_all_at(b"K", 64 + SHORT_HEADER_BYTES as u64).unwrap();

        let store = Quiet::open(&disk, &options).unwrap();
        let is_damaged =
            |result: Result<()>| matches!(result, Err(Error::Corruption { segment: 1, offset: 64, .. }));
        let all_at_once = |store: &Quiet| {
            assert!(is_damaged(store.get(&key(0)).map(drop)));
            assert!(is_damaged(store.write(&key(0), Some(b"newer"))));
            assert!(is_damaged(store.write(&key(0), None)));
            assert!(is_damaged(store.scan().map(drop)));
            assert!(is_damaged(store.store.know_all()));
            assert!(is_damaged(store.store.verify().map(drop)));
        };
        all_at_once(&store);
        let shard = |number| shard_of(store.store.keys.hash(0, &key(number)));
        for number in (1..KEYS).filter(|number| shard(*number) != shard(0)) {
            let value = if number < 40 { &b"new"[..] } else { &[b'a'; 300] };
            assert_eq!(store.get(&key(number)).unwrap().as_deref(), Some(value));
        }
        all_at_once(&store);
        // It is no different after a close, which cannot make a checkpoint of that.
        store.store.close().unwrap();
        drop(store);
        let store = Quiet::open(&disk, &options).unwrap();
        all_at_once(&store);
        // With the byte as it was nothing is lost, and nothing of what was tried in vain was counted.
        file.write_all_at(b"k", 64 + SHORT_HEADER_BYTES as u64).unwrap();
        assert_eq!(store.get(&key(0)).unwrap().as_deref(), Some(&b"new"[..]));
        assert_eq!(store.scan().unwrap().len(), KEYS + 1);
        assert_eq!(store.store.verify().unwrap().violations, []);
    }
}

#[test]
fn many_threads_may_look_while_the_background_makes_all_known() {
    for (options, round) in all_options(64 << 10).iter().cycle().zip(0..12) {
        let (disk, model) = killed(options, 90);
        let db = open(&disk, options).unwrap();
        let (db, model) = (&db, &model);
        let is_left_alone = |(key, _): &(Vec<u8>, Vec<u8>)| {
            let number: usize = std::str::from_utf8(&key[4..]).unwrap().parse().unwrap();
            number % 8 >= 4
        };
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    let mut random = Random(round * 10 + thread);
                    // Keys that this thread alone writes, and others that nobody does.
                    for step in 0..200_u64 {
                        let number = random.below(KEYS / 4) * 8 + thread as usize;
                        match random.below(40) {
                            0 => assert_eq!(db.stats().unwrap().recovery.frames, 90),
                            1..3 => {
                                let found = db.scan_prefix(b"key ").unwrap();
                                let found: Model = found.into_iter().filter(is_left_alone).collect();
                                let expected = model.clone().into_iter().filter(is_left_alone);
                                assert_eq!(found, expected.collect());
                            }
                            3..20 => {
                                db.put(&key(number), &step.to_le_bytes()).unwrap();
                                assert_eq!(db.get(&key(number)).unwrap(), Some(step.to_le_bytes().to_vec()));
                            }
                            _ => assert_eq!(
                                db.get(&key(number + 4)).unwrap().as_ref(),
                                model.get(&key(number + 4))
                            ),
                        }
                    }
                });
            }
        });
        for number in (0..2 * KEYS).filter(|number| number % 8 >= 4) {
            assert_eq!(db.get(&key(number)).unwrap().as_ref(), model.get(&key(number)));
        }
        assert_eq!(db.verify().unwrap().violations, []);
        assert_eq!(db.len().unwrap() as usize, db.scan_prefix(b"").unwrap().len());
        db.close().unwrap();
    }
}

/// What was committed while a checkpoint was made is behind some of its shards, and behind its counts or in them.
#[test]
fn what_was_committed_beside_a_checkpoint_is_counted_once() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut numbers = (0..).take_while(|_| !done.load(std::sync::atomic::Ordering::Relaxed));
                numbers.try_for_each(|number| db.put(&key(number), b"value")).unwrap();
            });
            for _ in 0..3 {
                db.compact().unwrap();
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let store = Quiet::open(&disk.process_death(), &options).unwrap();
        assert_eq!(store.store.verify().unwrap().violations, []);
        assert_eq!(store.store.keys.keyspaces.keys(), db.len().unwrap());
    }
}
