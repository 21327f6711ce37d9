//! Compaction as its callers see it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::model::{PATH, all_options, check, lose_checkpoints, open};
use crate::database::OpenDB;
use crate::disk::{Disk, OpenMode, SimulatedDisk};
use crate::options::Options;
use crate::{Error, ErrorKind, Scan};

/// A database in which every key was written twice.
fn overwritten(disk: &SimulatedDisk, options: &Options) -> OpenDB {
    let db = open(disk, options).unwrap();
    for round in 0..2_u8 {
        for number in 0..200_u32 {
            db.put(&number.to_be_bytes(), &[round; 2_000]).unwrap();
        }
    }
    db
}

fn assert_whole(db: &OpenDB) {
    assert!(db.verify().unwrap().violations.is_empty());
    for number in 0..200_u32 {
        assert_eq!(db.get(&number.to_be_bytes()).unwrap(), Some(vec![1; 2_000]));
    }
}

#[test]
fn compaction_gives_back_what_was_overwritten_and_everything_is_still_there() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = overwritten(&disk, &options);
        let snapshot = db.snapshot().unwrap();
        db.delete(&7_u32.to_be_bytes()).unwrap();
        let mut told = Vec::new();
        db.compact_with(|progress| {
            told.push((progress.bytes_done, progress.bytes_total));
            true
        })
        .unwrap();
        assert!(told.windows(2).all(|two| two[0].0 <= two[1].0), "{told:?}");
        assert!(told.last().is_some_and(|(done, total)| done == total), "{told:?}");
        let stats = db.stats().unwrap();
        assert!(stats.log_bytes < stats.live_bytes * 11 / 10, "{stats:?}");
        assert!(stats.pinned_bytes > 0, "a snapshot keeps the segment with the key that was deleted");
        assert_eq!(snapshot.get(&7_u32.to_be_bytes()).unwrap(), Some(vec![1; 2_000]));
        drop(snapshot);
        db.put(&7_u32.to_be_bytes(), &[1; 2_000]).unwrap();
        db.compact().unwrap();
        assert_eq!(db.stats().unwrap().pinned_bytes, 0);
        assert_whole(&db);
        db.close().unwrap();
        assert_whole(&open(&disk, &options).unwrap());
    }
}

/// The segment that is ended for it has to be sealed, also if no sync has anything left to do.
#[test]
fn what_is_on_the_device_already_is_compacted_as_well() {
    for options in all_options(4 << 20) {
        let db = overwritten(&SimulatedDisk::new(), &options);
        db.flush().unwrap();
        assert!(db.compact().unwrap().segments_removed > 0);
        let stats = db.stats().unwrap();
        assert!(stats.log_bytes < stats.live_bytes * 11 / 10, "{stats:?}");
        assert_whole(&db);
    }
}

#[test]
fn whoever_says_no_ends_it_early_and_is_told_nothing_more() {
    let options = &all_options(64 << 10)[1];
    let db = overwritten(&SimulatedDisk::new(), options);
    let mut calls = 0;
    db.compact_with(|_| {
        calls += 1;
        false
    })
    .unwrap();
    assert_eq!(calls, 1);
    assert_whole(&db);
}

/// A call from the progress of a compaction that compacts, verifies or backs up would have waited for itself for ever.
#[test]
fn calls_from_the_progress_of_a_compaction_are_refused_instead_of_waiting_for_themselves() {
    let options = &all_options(64 << 10)[1];
    let db = overwritten(&SimulatedDisk::new(), options);
    let mut kinds = Vec::new();
    db.compact_with(|_| {
        kinds.extend(
            [db.compact().map(drop), db.verify().map(drop)].map(|refused| refused.unwrap_err().kind()),
        );
        true
    })
    .unwrap();
    assert!(kinds.len() >= 4 && kinds.iter().all(|kind| *kind == ErrorKind::InvalidArgument), "{kinds:?}");
    assert_whole(&db);
}

/// A close in the middle must leave a manifest that names everything that is needed.
#[test]
fn a_database_that_is_closed_from_the_progress_of_a_compaction_is_whole() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = overwritten(&disk, &options);
        for round in 0..3 {
            let db = if round == 0 { db.clone() } else { open(&disk, &options).unwrap() };
            let mut calls = 0;
            let ended = db.compact_with(|_| {
                calls += 1;
                if calls == 2 - round % 2 {
                    db.close().unwrap();
                }
                true
            });
            assert!(matches!(ended, Ok(_) | Err(Error::Closed)), "{ended:?}");
            let again = open(&disk, &options).unwrap();
            assert_whole(&again);
            again.close().unwrap();
        }
    }
}

#[test]
fn at_most_two_segments_are_left_when_everything_was_deleted() {
    for options in all_options(64 << 10) {
        let db = overwritten(&SimulatedDisk::new(), &options);
        for number in 0..200_u32 {
            db.delete(&number.to_be_bytes()).unwrap();
        }
        db.compact().unwrap();
        assert!(db.stats().unwrap().segments <= 2, "{:?}", db.stats());
        assert!(db.is_empty().unwrap() && db.verify().unwrap().violations.is_empty());
    }
}

/// Deleting must be a way out of a full device.
#[test]
fn on_a_full_device_deleting_and_compacting_makes_room() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = overwritten(&disk, &options);
        let length = |name: &String| {
            let file = disk.open(&Path::new(PATH).join(name), OpenMode::ReadOnly);
            file.map_or(0, |file| file.length().unwrap())
        };
        let used: u64 = disk.list(Path::new(PATH)).unwrap().iter().map(length).sum();
        disk.set_room(used + (8 << 10));
        let full =
            (0..1000_u32).find_map(|number| db.put(&(1_000 + number).to_be_bytes(), &[2; 2_000]).err());
        assert!(matches!(full, Some(Error::NoSpace(_))), "{full:?}");
        // Tombstones fit where no value does any more.
        let deleted = (0..200_u32).take_while(|number| db.delete(&number.to_be_bytes()).is_ok()).count();
        assert!(deleted > 0, "{deleted}");
        // The background may have been here before: then there is nothing to be had, and no room to sort what is left.
        let compacted = db.compact();
        assert!(matches!(compacted, Ok(_) | Err(Error::NoSpace(_))), "{compacted:?}");
        let stats = db.stats().unwrap();
        assert!(stats.log_bytes < stats.live_bytes * 5 / 4, "{stats:?}");
        let goes_on = db.put(b"again", &[3; 2_000]).is_ok();
        assert!(goes_on || compacted.is_err());
        // There may be no room for the manifest of an orderly end; then the next open reads the log.
        let closed = db.close();
        assert!(matches!(closed, Ok(()) | Err(Error::NoSpace(_))), "{closed:?}");
        disk.set_room(u64::MAX);
        let db = open(&disk, &options).unwrap();
        assert!(db.verify().unwrap().violations.is_empty());
        assert_eq!(db.get(&0_u32.to_be_bytes()).unwrap(), None);
        assert_eq!(db.get(&199_u32.to_be_bytes()).unwrap(), (deleted < 200).then(|| vec![1; 2_000]));
        assert_eq!(db.get(b"again").unwrap().is_some(), goes_on);
    }
}

fn files(disk: &SimulatedDisk, suffix: &str) -> Vec<String> {
    let names = disk.list(Path::new(PATH)).unwrap();
    names.into_iter().filter(|name| name.ends_with(suffix)).collect()
}

/// Segments that the checkpoint knows go at once, and the checkpoint stays of use: only what came behind it is read again, also
/// where a key whose record went was put again, deleted, or is like another one.
#[test]
fn segments_go_between_two_checkpoints_and_a_crash_finds_what_was_moved() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = overwritten(&disk, &options);
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let (mut segments, mut checkpoint) = (Vec::new(), Vec::new());
        store.compact_a_little(true, 100, || {
            (segments, checkpoint) = (files(&disk, ".segment"), files(&disk, ".checkpoint"));
            for number in (0..200_u32).filter(|number| number % 3 != 0) {
                db.put(&number.to_be_bytes(), &[2; 2_000]).unwrap();
            }
            for number in (0..200_u32).filter(|number| number % 12 == 1) {
                db.delete(&number.to_be_bytes()).unwrap();
            }
        });
        let image = disk.process_death();
        assert_eq!(files(&image, ".moves").len(), 1, "one list for the one checkpoint");
        assert_eq!(files(&image, ".checkpoint"), checkpoint);
        let left = files(&image, ".segment");
        assert!(segments.iter().any(|name| !left.contains(name)), "{segments:?} {left:?}");
        drop(store);
        let (keys, last) = (db.len().unwrap(), db.stats().unwrap().last_sequence);
        let db = open(&image, &options).unwrap();
        let stats = db.stats().unwrap();
        assert!(stats.recovery.frames < last / 2, "the checkpoint is of use: {stats:?}");
        for life in 0..2 {
            assert_eq!(db.verify().unwrap().violations, Vec::new(), "life {life}");
            assert_eq!(db.len().unwrap(), keys);
            for number in 0..200_u32 {
                let expected = match number {
                    number if number % 12 == 1 => None,
                    number if number % 3 == 0 => Some(vec![1; 2_000]),
                    _ => Some(vec![2; 2_000]),
                };
                assert_eq!(db.get(&number.to_be_bytes()).unwrap(), expected, "key {number}");
            }
            // Goes on behind what it found, in the same list.
            let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
            store.compact_a_little(false, 100, || {});
        }
    }
}

/// What is counted by a checkpoint is not counted again by whoever reads the log behind it, though commits went on while it was made.
#[test]
fn commits_that_come_while_a_checkpoint_is_made_count_once() {
    for options in all_options(256 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let is_over = AtomicBool::new(false);
        let images: Vec<_> = std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0_u32.. {
                    let key = (number.wrapping_mul(2_654_435_761) >> 20).to_be_bytes();
                    if number % 3 == 0 { db.delete(&key) } else { db.put(&key, &key) }.unwrap();
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    // On a busy machine it would run away from those who sync and compact.
                    if number.is_multiple_of(256) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            let image = |_| {
                store.compact_or_checkpoint(false).unwrap();
                disk.process_death()
            };
            let images = (0..12).map(image).collect();
            is_over.store(true, Ordering::Relaxed);
            images
        });
        for image in images {
            let db = open(&image, &options).unwrap();
            let found = db.verify().unwrap();
            assert!(found.counts_compared && found.violations.is_empty(), "{:?}", found.violations);
            assert_eq!(db.keys(&Scan::all()).unwrap().count() as u64, db.len().unwrap());
        }
    }
}

/// The last commits come while the background makes a checkpoint, which then knows them in part: a close makes one that knows all.
#[test]
fn after_a_close_nothing_is_read_again_although_the_last_commits_came_while_a_checkpoint_was_made() {
    let options = Options::new().segment_bytes(4 << 20);
    for commits in (0..40_u32).map(|round| 100 + 100 * round) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        db.put(b"first", b"").unwrap();
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| store.compact_or_checkpoint(false).unwrap());
            (0..commits).for_each(|number| db.put(&number.to_be_bytes(), b"").unwrap());
        });
        drop(store);
        db.close().unwrap();
        let again = open(&disk.process_death(), &options).unwrap();
        assert_eq!(again.stats().unwrap().recovery.frames, 0, "{commits} commits");
        assert_eq!(again.len().unwrap(), u64::from(commits) + 1);
    }
}

/// Deaths one after the other, each behind segments that were given up at once, and with no checkpoint between them: the slots that the
/// checkpoint leads into are nobody else's.
#[test]
fn slots_that_a_checkpoint_leads_into_are_not_used_again_before_the_next() {
    for options in all_options(64 << 10) {
        let mut disk = SimulatedDisk::new();
        let mut db = overwritten(&disk, &options);
        for life in 0..6_u8 {
            let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
            store.compact_a_little(life == 0, 100, || {
                for number in (0..200_u32).filter(|number| number % 4 == u32::from(life % 4)) {
                    db.put(&number.to_be_bytes(), &[2; 2_000]).unwrap();
                }
                db.flush().unwrap();
            });
            // So that segments are made.
            (0..200_u32).for_each(|number| db.put(&number.to_be_bytes(), &[1; 2_000]).unwrap());
            drop(store);
            disk = disk.process_death();
            drop(db);
            db = open(&disk, &options).unwrap();
            assert_whole(&db);
        }
    }
}

/// A segment that waits for a checkpoint has the put of a key. Its tombstone stays although the segment that has it goes before. And a
/// record of a large value that is out of use has its segment wait: whoever took its place has to know which value it was.
#[test]
fn a_tombstone_outlives_a_segment_that_waits_for_a_checkpoint() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let fill = |of: u8, with: u8| {
            (0..30_u8).for_each(|number| db.put(&[of, number], &[with; 2_000]).unwrap());
        };
        let large = vec![1; (1 << 20) + 1];
        db.put(b"large", &large).unwrap();
        db.put(b"deleted", b"put").unwrap();
        fill(1, 0);
        fill(2, 0);
        db.delete(b"deleted").unwrap();
        fill(3, 0);
        fill(4, 0);
        let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
        store.compact_or_checkpoint(false).unwrap();
        for of in 1..5 {
            db.put(b"large", &large).unwrap();
            fill(of, of);
            db.flush().unwrap();
            store.compact_or_checkpoint(true).unwrap();
            for loses in [false, true] {
                let image = disk.process_death();
                if loses {
                    lose_checkpoints(&image);
                }
                let again = open(&image, &options).unwrap();
                check(&again, &format!("filled {of}, checkpoints are lost: {loses}"));
                assert_eq!(again.get(b"deleted").unwrap(), None, "filled {of}");
                assert!(again.get(b"large").unwrap().as_deref() == Some(&large[..]));
            }
        }
    }
}

/// Of the records of a victim that are dead nothing stays, and least of all a key by which another one is sorted.
#[test]
fn copies_stand_in_the_order_of_their_keys() {
    let key = |number: u32| format!("sorted {:04}", number.wrapping_mul(7919) % 3_000).into_bytes();
    for options in all_options(4 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        (0..3_000).for_each(|number| db.put(&key(number), b"").unwrap());
        (0..3_000).filter(|number| number % 3 == 0).for_each(|number| db.delete(&key(number)).unwrap());
        db.compact().unwrap();
        db.close().unwrap();
        let in_file = |name: &String| -> Vec<Vec<u8>> {
            let file = disk.open(&Path::new(PATH).join(name), OpenMode::ReadOnly).unwrap();
            let mut bytes = vec![0; file.length().unwrap() as usize];
            file.read_at(&mut bytes, 0).unwrap();
            bytes.windows(11).filter(|window| window.starts_with(b"sorted ")).map(<[u8]>::to_vec).collect()
        };
        let segments = files(&disk, "segment");
        let copies = segments.iter().map(in_file).max_by_key(Vec::len).unwrap();
        assert!(copies.len() >= 2_000, "{}", copies.len());
        assert!(copies.is_sorted());
    }
}

/// Two transactions that read the same value and write one key each: one of them is told that it conflicts.
#[test]
fn no_update_of_a_single_key_is_lost_among_threads() {
    let db = open(&SimulatedDisk::new(), &Options::new()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    db.transact(|transaction| {
                        let old =
                            transaction.get("default", b"n")?.map_or(0, |n| u16::from_be_bytes([n[0], n[1]]));
                        std::thread::yield_now();
                        transaction.put("default", b"n", &(old + 1).to_be_bytes())
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(db.get(b"n").unwrap().unwrap(), 2_000_u16.to_be_bytes());
    assert_eq!(db.stats().unwrap().versions, 0);
}
