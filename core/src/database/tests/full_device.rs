//! A device that is full, with nothing left for anybody: reads go on, and deleting, compacting and opening again are ways out
//! of it, because room was kept in reserve.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::model::{Driven, PATH, Random, all_options, assert_same, open, open_image, read_all};
use crate::disk::{Call, Disk, Fault, OpenMode, SimulatedDisk};
use crate::options::{Durability, Options};
use crate::{Error, Result};

const SEGMENT_BYTES: u64 = 64 << 10;
const ROOM_BYTES: u64 = 20 * SEGMENT_BYTES;

fn length(disk: &SimulatedDisk, name: &str) -> Option<u64> {
    let file = disk.open(&Path::new(PATH).join(name), OpenMode::ReadOnly).ok()?;
    Some(file.length().unwrap())
}

fn used_bytes(disk: &SimulatedDisk) -> u64 {
    disk.list(Path::new(PATH)).unwrap().iter().filter_map(|name| length(disk, name)).sum()
}

fn reserve_bytes(disk: &SimulatedDisk) -> Option<u64> {
    length(disk, "RESERVE")
}

/// What is put into a database until its device is full.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// Each key once: all of it is live.
    Live,
    /// Few keys, over and over.
    Overwrites,
    /// Some of the values in segments of their own.
    LargeValues,
    /// Commits that wait for the device.
    Synced,
}

const LOADS: [Load; 4] = [Load::Live, Load::Overwrites, Load::LargeValues, Load::Synced];

impl Load {
    fn put(self, driven: &mut Driven, random: &mut Random, number: u64) -> Result<()> {
        let key = match self {
            Load::Overwrites => random.below(40) as u64,
            _ => number,
        };
        let value = match self {
            Load::LargeValues if number.is_multiple_of(8) => random.large_value(),
            _ => random.bytes(2_000),
        };
        let durability = if matches!(self, Load::Synced) { Durability::Sync } else { Durability::Buffered };
        driven.put_value(("default", key.to_be_bytes().to_vec()), value, durability)
    }

    fn room(self) -> u64 {
        // A large value has more than a MiB.
        if matches!(self, Load::LargeValues) { 6 * ROOM_BYTES } else { ROOM_BYTES }
    }
}

/// A database that has filled its device, of which others have taken the rest.
fn full(load: Load, options: &Options, random: &mut Random) -> Driven {
    let disk = SimulatedDisk::new();
    disk.set_room(load.room());
    let mut driven = Driven::new(&disk, options);
    // While compaction makes room puts go on.
    let mut refused = 0;
    for number in 0..4_000 {
        let Err(error) = load.put(&mut driven, random, number) else { continue };
        assert!(matches!(error, Error::NoSpace(_)), "{error}");
        refused += 1;
        if refused == 3 {
            break;
        }
    }
    // Not while the reserve is lent.
    let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let nobody_compacts = store.nobody_compacts();
    // Nor faster than the background looks.
    disk.set_room(used_bytes(&disk) + 3 * SEGMENT_BYTES - 4096);
    store.log.tend_reserve();
    disk.set_room(used_bytes(&disk));
    drop(nobody_compacts);
    drop(store);
    driven
}

/// Deletes some of the keys; where there is no room for a tombstone any more it compacts and tries again.
fn delete_every(driven: &mut Driven, step: usize, context: &str) {
    let keys: Vec<_> = driven.state.entries.keys().cloned().step_by(step).collect();
    for name in keys {
        let deleted = (0..4).any(|_| match driven.delete_key(name.clone(), Durability::Buffered) {
            Ok(()) => true,
            Err(error) => {
                assert!(matches!(error, Error::NoSpace(_)), "{error}, {context}");
                let compacted = driven.db.compact();
                assert!(matches!(compacted, Ok(_) | Err(Error::NoSpace(_))), "{compacted:?}, {context}");
                false
            }
        });
        assert!(deleted, "no way out, {context}");
    }
}

#[test]
fn a_database_gets_out_of_a_full_device_by_deleting_and_compacting() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        for load in LOADS {
            let context = &format!("{load:?}, {options:?}");
            let mut random = Random(way as u64);
            let mut driven = full(load, &options, &mut random);
            assert_same(&read_all(&driven.db), &driven.state, context);
            delete_every(&mut driven, 2, context);
            assert_same(&read_all(&driven.db), &driven.state, context);
            let compacted = driven.db.compact();
            assert!(compacted.is_ok(), "{compacted:?}, {context}");
            let stats = driven.db.stats().unwrap();
            assert!(!stats.poisoned, "{context}");
            assert!(stats.log_bytes < stats.live_bytes * 11 / 10 + SEGMENT_BYTES, "{stats:?}, {context}");
            // The same handle goes on.
            load.put(&mut driven, &mut random, 100_001).unwrap();
            assert_same(&read_all(&driven.db), &driven.state, context);
            assert!(driven.db.verify().unwrap().violations.is_empty(), "{context}");
            delete_every(&mut driven, 1, context);
            driven.db.compact().unwrap();
            assert!(used_bytes(&driven.disk) < 5 * SEGMENT_BYTES, "{context}");
            driven.db.close().unwrap();
            let history = driven.history.clone();
            open_image(&driven.disk, &options, &history, history.len(), context);
        }
    }
}

#[test]
fn a_full_device_keeps_no_database_from_opening() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        for load in LOADS {
            let context = &format!("{load:?}, {options:?}");
            let mut random = Random(100 + way as u64);
            let driven = full(load, &options, &mut random);
            // Also what is not on the device yet, and is written anew.
            let image = driven.disk.process_death();
            let again = open(&image, &options).unwrap();
            assert_same(&read_all(&again), &driven.state, context);
            again.close().unwrap();
            // What is free once nobody has it open is anybody's, but for what a manifest takes.
            image.set_room(used_bytes(&image) + (16 << 10));
            let again = open(&image, &options).unwrap();
            assert!(again.stats().unwrap().recovery.clean, "{context}");
            assert_same(&read_all(&again), &driven.state, context);
        }
    }
}

/// What a crash leaves of a tail that is written over itself is what was there before.
#[test]
fn opening_on_a_full_device_can_be_cut_off_anywhere() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        for load in [Load::Live, Load::LargeValues] {
            let context = &format!("{load:?}, {options:?}");
            let mut random = Random(200 + way as u64);
            let driven = full(load, &options, &mut random);
            let (image, least) = (driven.disk.process_death(), driven.durable());
            // No reserve either.
            image.remove(&Path::new(PATH).join("RESERVE")).unwrap();
            image.set_room(used_bytes(&image) + (16 << 10));
            for after in (0..90).step_by(9) {
                let half = image.process_death();
                half.fail_after(Fault::any_after(after, std::io::ErrorKind::Other));
                let _opened_or_cut_off = open(&half, &options);
                let cut = half.crash(&mut || random.next());
                // Removals may be undone as well, and then there is less room than there was.
                cut.set_room(u64::MAX);
                open_image(&cut, &options, &driven.history, least, &format!("cut after {after}, {context}"));
            }
            open_image(&image, &options, &driven.history, driven.history.len(), context);
        }
    }
}

/// Without that nothing would be left for what makes room.
#[test]
fn what_adds_to_a_database_never_takes_of_the_reserve() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        let disk = SimulatedDisk::new();
        disk.set_room(ROOM_BYTES);
        let mut driven = Driven::new(&disk, &options);
        assert_eq!(reserve_bytes(&disk), None, "there is plenty of room");
        let mut random = Random(way as u64);
        let refused = (0..4_000).find_map(|number| Load::Live.put(&mut driven, &mut random, number).err());
        assert!(matches!(refused, Some(Error::NoSpace(_))), "{refused:?}");
        // Beside tombstones a few manifests may have taken of it.
        let held = reserve_bytes(&disk);
        assert!(held.is_some_and(|bytes| bytes >= SEGMENT_BYTES * 3 / 2), "{held:?}, {options:?}");
        disk.set_room(u64::MAX);
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        store.log.tend_reserve();
        assert_eq!(reserve_bytes(&disk), None, "there is plenty of room again");
        Load::Live.put(&mut driven, &mut random, 5_000).unwrap();
    }
}

/// Each manifest that met a full device took 64 KiB of the reserve and gave back none, and hints, checkpoints and key runs filled what
/// it had left free. After some of that compaction had no room any more for the copies of a single segment: what was deleted was never
/// given back, and a close or an opening found no room for its manifest.
#[test]
fn a_manifest_gives_back_what_it_takes_of_the_reserve() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        let mut random = Random(300 + way as u64);
        let driven = full(Load::Live, &options, &mut random);
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let _nobody_compacts = store.nobody_compacts();
        let before = reserve_bytes(&driven.disk).unwrap();
        assert!(before >= SEGMENT_BYTES * 3 / 2, "{before}, {options:?}");
        for _ in 0..20 {
            store.log.write_manifest_now().unwrap();
            assert_eq!(reserve_bytes(&driven.disk), Some(before), "{options:?}");
        }
    }
}

/// The same, by what could have been done without.
#[test]
fn what_can_be_done_without_takes_nothing_that_the_reserve_is_short_of() {
    for (way, options) in all_options(SEGMENT_BYTES).into_iter().enumerate() {
        let (disk, mut random) = (SimulatedDisk::new(), Random(400 + way as u64));
        let mut driven = Driven::new(&disk, &options);
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        // Nor does anybody write hints.
        let nobody_compacts = store.nobody_compacts();
        for number in 0..100 {
            Load::Live.put(&mut driven, &mut random, number).unwrap();
        }
        driven.db.flush().unwrap();
        let made = |suffix: &str| {
            let names = disk.list(Path::new(PATH)).unwrap();
            names.iter().filter(|name| name.ends_with(suffix)).count()
        };
        let before = made(".checkpoint");
        assert_eq!(made(".hint"), 0, "{options:?}");
        // All but a part of the reserve could be had.
        disk.set_room(used_bytes(&disk) + SEGMENT_BYTES * 2);
        store.write_missing_hints();
        assert_eq!(made(".hint"), 0, "{options:?}");
        store.log.tend_reserve();
        assert!(reserve_bytes(&disk).is_some_and(|bytes| bytes > SEGMENT_BYTES * 3 / 2), "{options:?}");
        disk.set_room(used_bytes(&disk) + (16 << 10));
        drop(nobody_compacts);
        let refused = store.compact_or_checkpoint(false);
        assert!(matches!(refused, Err(Error::NoSpace(_))), "{refused:?}, {options:?}");
        assert_eq!((made(".checkpoint"), made(".hint")), (before, 0), "{options:?}");
        // With room beside the reserve they are made.
        disk.set_room(used_bytes(&disk) + 2 * SEGMENT_BYTES);
        store.compact_or_checkpoint(false).unwrap();
        store.write_missing_hints();
        assert!(made(".checkpoint") > before || made(".hint") > 0, "{options:?}");
    }
}

/// Two that made a segment at the same time each found plenty of room, and together took what was to be the reserve. The same came of
/// a manifest that was written with a share of the reserve between the look at the room and the making.
#[test]
fn who_looked_for_the_same_room_as_somebody_else_does_without() {
    let options = &all_options(SEGMENT_BYTES)[0];
    let disk = SimulatedDisk::new();
    let driven = Driven::new(&disk, options);
    let keyspace = driven.db.keyspace("default").unwrap();
    let store = keyspace.handle.shared_store().unwrap();
    let _nobody_compacts = store.nobody_compacts();
    let value = Random(1).bytes((1 << 20) + 1);
    keyspace.put(b"first", &value).unwrap();
    let names = disk.list(Path::new(PATH)).unwrap();
    let segment_bytes = names.iter().filter_map(|name| length(&disk, name)).max().unwrap();
    // Enough for both, and then for less than the reserve.
    disk.set_room(used_bytes(&disk) + 2 * segment_bytes + SEGMENT_BYTES);
    let (arrived, since) = (AtomicUsize::new(0), Instant::now());
    disk.set_hook(Some(Arc::new(move |call| {
        if call == Call::Create {
            arrived.fetch_add(1, Ordering::Relaxed);
            while arrived.load(Ordering::Relaxed) < 2 && since.elapsed() < Duration::from_secs(5) {
                std::thread::yield_now();
            }
        }
        Ok(())
    })));
    let put = |key: &[u8]| keyspace.put(key, &value);
    let outcomes = std::thread::scope(|scope| {
        let other = scope.spawn(|| put(b"second"));
        [put(b"third"), other.join().unwrap()]
    });
    disk.set_hook(None);
    let refused = outcomes.iter().filter(|outcome| matches!(outcome, Err(Error::NoSpace(_)))).count();
    assert!(refused >= 1, "{outcomes:?}");
    store.log.tend_reserve();
    let held = reserve_bytes(&disk);
    let free = disk.room(Path::new(PATH)).unwrap().free;
    assert!(free >= 3 * SEGMENT_BYTES || held.is_some_and(|bytes| bytes > 2 * SEGMENT_BYTES), "{held:?}");
}

/// All of the reserve was free while compaction had it, and anybody on the device could take it.
#[test]
fn what_is_lent_is_free_only_when_it_is_taken() {
    let options = &all_options(SEGMENT_BYTES)[0];
    let driven = full(Load::Live, options, &mut Random(10));
    let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let _nobody_else_compacts = store.nobody_compacts();
    let before = reserve_bytes(&driven.disk).unwrap();
    let lent = store.log.lend_reserve().unwrap();
    assert!(lent.bytes >= SEGMENT_BYTES, "{}", lent.bytes);
    assert!(reserve_bytes(&driven.disk).unwrap() >= SEGMENT_BYTES, "all of it is free");
    let copies = store.log.begin_copies(SEGMENT_BYTES / 2).unwrap();
    let held = reserve_bytes(&driven.disk).unwrap();
    assert!(held < before && held >= SEGMENT_BYTES / 4, "{held} of {before}");
    drop((copies, lent));
}

#[test]
fn nobody_makes_a_segment_of_what_is_lent_to_compaction() {
    let options = &all_options(SEGMENT_BYTES)[0];
    let mut random = Random(9);
    let mut driven = full(Load::Live, options, &mut random);
    let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let _nobody_else_compacts = store.nobody_compacts();
    let lent = store.log.lend_reserve().unwrap();
    assert!(lent.bytes >= SEGMENT_BYTES, "{}", lent.bytes);
    let free = driven.disk.room(Path::new(PATH)).unwrap().free;
    let refused = (0..100).find_map(|number| Load::Live.put(&mut driven, &mut random, 9_000 + number).err());
    assert!(matches!(refused, Some(Error::NoSpace(_))), "{refused:?}");
    assert!(driven.disk.room(Path::new(PATH)).unwrap().free + (64 << 10) >= free);
    // Whoever had made room was told that there is none for as long as the compaction took.
    driven.disk.set_room(u64::MAX);
    (0..100).for_each(|number| Load::Live.put(&mut driven, &mut random, 9_000 + number).unwrap());
    driven.disk.set_room(used_bytes(&driven.disk) + SEGMENT_BYTES);
    drop(lent);
    assert!(reserve_bytes(&driven.disk).is_some_and(|bytes| bytes >= SEGMENT_BYTES));
}

#[test]
fn what_is_left_over_of_a_segment_is_given_back_once_it_is_sealed() {
    for options in all_options(1 << 20) {
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        let mut random = Random(3);
        for number in 0..10 {
            Load::Live.put(&mut driven, &mut random, number).unwrap();
        }
        // Does not fit behind them.
        let value = random.bytes((1 << 20) - 10_000);
        driven.put_value(("default", b"long".to_vec()), value, Durability::Buffered).unwrap();
        let lengths = |disk: &SimulatedDisk| -> Vec<u64> {
            let names = disk.list(Path::new(PATH)).unwrap();
            let segments = names.iter().filter(|name| name.ends_with(".segment"));
            segments.map(|name| length(disk, name).unwrap()).collect()
        };
        driven.db.flush().unwrap();
        let cut = lengths(&disk);
        assert!(cut.iter().any(|bytes| *bytes < 64 << 10), "{cut:?}, {options:?}");
        assert_same(&read_all(&driven.db), &driven.state, "cut");
        let image = disk.crash(&mut || random.next());
        open_image(&image, &options, &driven.history, driven.history.len(), "after a power cut");
    }
}

/// A compaction had copied everything, and its checkpoint took the last of the room, so that there was none for the manifest that
/// names it, nor for the one that does without: the checkpoint's file was still there. What was emptied stayed, the next put was refused,
/// and the caller had been told that the room was given back.
#[test]
fn a_checkpoint_that_leaves_no_room_for_its_manifest_is_given_up() {
    for options in all_options(SEGMENT_BYTES) {
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        let mut random = Random(1);
        // Half of what each segment has is dead.
        for number in (0..60).chain((0..60).step_by(2)) {
            let value = random.bytes(3000);
            driven.put_value(("default", vec![number]), value, Durability::Buffered).unwrap();
        }
        driven.db.flush().unwrap();
        // There is no room for a file beside a whole checkpoint.
        let (looked_at, is_whole) = (disk.clone(), AtomicBool::new(false));
        disk.set_hook(Some(Arc::new(move |call| {
            if !matches!(call, Call::SyncDirectory | Call::Create) {
                return Ok(());
            }
            let names = looked_at.list(Path::new(PATH))?;
            let is_there = names.iter().any(|name| name.ends_with(".checkpoint"));
            is_whole.fetch_or(is_there && call == Call::SyncDirectory, Ordering::Relaxed);
            let is_full = is_there && call == Call::Create && is_whole.load(Ordering::Relaxed);
            if is_full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })));
        let compacted = driven.db.compact();
        disk.set_hook(None);
        let stats = driven.db.stats().unwrap();
        let context = format!("{compacted:?}, {stats:?}, {options:?}");
        assert!(compacted.is_ok(), "{context}");
        assert!(stats.log_bytes < stats.live_bytes * 11 / 10 + SEGMENT_BYTES, "{context}");
        assert_same(&read_all(&driven.db), &driven.state, &context);
    }
}
