//! One test for each bug that power cuts and failing calls have brought to light, headed by its story.

use std::path::Path;

use super::model::{Driven, History, PATH, Random, all_options, open, open_image};
use crate::compaction::Effort;
use crate::disk::{Call, Disk, Fault, OpenMode, SimulatedDisk};
use crate::log::{LiveCount, Settled, segment_name};
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::options::{Durability, Options};

fn name(number: usize) -> (&'static str, Vec<u8>) {
    ("default", format!("key {number}").into_bytes())
}

/// A large-value segment stays open for long. After an unclean end it was kept only as far as records of *open* log
/// segments named values in it: those that sealed ones named were cut off, or the whole file was removed.
#[test]
fn values_that_a_sealed_segment_names_survive_an_unclean_end() {
    let large = (1 << 20) + 1;
    for options in all_options(4 << 20) {
        let mut random = Random(1);
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        driven.put_value(name(0), random.bytes(large), Durability::Buffered).unwrap();
        for number in 1..10 {
            driven.put_value(name(number), random.bytes(900_000), Durability::Sync).unwrap();
        }
        // In the same large-value segment, named by nobody but a frame that the power cut may lose.
        driven.put_value(name(10), random.bytes(large), Durability::Buffered).unwrap();
        for image in [disk.process_death(), disk.crash(&mut || random.next())] {
            let (db, _) = open_image(&image, &options, &driven.history, 10, "first");
            drop(db);
            open_image(&image, &options, &driven.history, 10, "after a close");
        }
    }
}

/// The process dies; the next one copies the commits that may not be on the device into a new segment and syncs it, and
/// the power goes before the manifest names the copy. The original went with the power, so the copy had "newer" commits
/// than the log: the database was said to be damaged and did not open any more.
#[test]
fn a_copy_that_an_interrupted_recovery_left_is_no_corruption() {
    for options in all_options(64 << 10) {
        let mut random = Random(2);
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        driven.put_value(name(0), random.bytes(50), Durability::Sync).unwrap();
        for number in 1..20 {
            driven.put_value(name(number), random.bytes(500), Durability::Buffered).unwrap();
        }
        let dying = disk.process_death();
        dying.fail_after(Fault::next(Call::Rename, std::io::ErrorKind::Other));
        assert!(open(&dying, &options).is_err());
        // Odd numbers lose everything that was not synced.
        open_image(&dying.crash(&mut || 3), &options, &driven.history, 1, "nothing unsynced is left");
        for _ in 0..5 {
            open_image(&dying.crash(&mut || random.next()), &options, &driven.history, 1, "some is left");
        }
    }
}

/// The manifest could not be written after a sync had succeeded: the commit that had waited for the sync was told to have
/// failed, and was seen a little later all the same.
#[test]
fn a_commit_that_is_on_the_device_has_not_failed_where_only_its_segment_could_not_be_sealed() {
    for options in all_options(64 << 10) {
        let mut random = Random(3);
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        for number in 0..2 {
            driven.put_value(name(number), random.bytes(40_000), Durability::Buffered).unwrap();
        }
        // The spare is there, so that the next write to a new file is the manifest's.
        disk.fail_after(Fault::next(Call::Create, std::io::ErrorKind::Other));
        driven.put_value(name(2), random.bytes(10), Durability::Sync).unwrap();
        let history = &driven.history;
        open_image(&disk.crash(&mut || random.next()), &options, history, 3, "not sealed");
        driven.db.close().unwrap();
        open_image(&disk, &options, history, 3, "closed");
    }
}

/// A poisoned log was closed as if in order where everything acknowledged happened to be on the device: a rename or a sync
/// of the directory that had failed was tried again and believed.
#[test]
fn a_poisoned_log_is_not_closed_in_order() {
    let options = &all_options(64 << 10)[1];
    let mut random = Random(4);
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    driven.put_value(name(0), random.bytes(10), Durability::Sync).unwrap();
    disk.fail_after(Fault::next(Call::Write, std::io::ErrorKind::Other));
    assert!(driven.put_value(name(1), random.bytes(10), Durability::Buffered).is_err());
    assert!(matches!(driven.db.close(), Err(crate::Error::Poisoned(_))));
    let (db, _) = open_image(&disk, options, &driven.history, 1, "opened again");
    assert!(!db.stats().unwrap().recovery.clean);
}

/// After a sync of the directory had failed, the background still prepared a segment: it wrote a manifest and synced the
/// directory once more.
#[test]
fn nothing_is_prepared_ahead_in_a_poisoned_log() {
    let options = &all_options(64 << 10)[1];
    let mut random = Random(7);
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    // Too little for the background to prepare anything by itself meanwhile.
    driven.put_value(name(0), random.bytes(10), Durability::Buffered).unwrap();
    disk.fail_after(Fault::next(Call::Sync, std::io::ErrorKind::Other));
    assert!(driven.db.flush().is_err());
    disk.clear_trace();
    assert!(matches!(driven.prepare_spare(), Err(crate::Error::Poisoned(_))));
    assert_eq!(disk.trace(), []);
}

/// Records of one size are the worst case for a tail that was cut off: where the first of them is written anew, the old ones
/// behind it would be the next commits again.
#[test]
fn what_stands_behind_a_cut_never_comes_back() {
    for options in all_options(64 << 10) {
        for seed in 0..12 {
            let mut random = Random(seed);
            let disk = SimulatedDisk::new();
            let mut driven = Driven::new(&disk, &options);
            let put = |driven: &mut Driven, random: &mut Random, count| {
                for _ in 0..count {
                    let number = 10 + random.below(20);
                    driven.put_value(name(number), random.bytes(480), Durability::Buffered).unwrap();
                }
            };
            put(&mut driven, &mut random, 30);
            for life in 0..3 {
                let context = format!("seed {seed}, life {life}");
                let image = driven.disk.crash(&mut || random.next());
                let (db, found) = open_image(&image, &options, &driven.history, driven.durable(), &context);
                let mut history = driven.history.clone();
                history.cut_to(found);
                driven = Driven::on(&image, db, history);
                put(&mut driven, &mut random, 1 + life);
                let death = image.process_death();
                open_image(&death, &options, &driven.history, driven.history.len(), &context);
                put(&mut driven, &mut random, 8);
            }
        }
    }
}

/// A segment that was prepared ahead and too small for a commit was used for a later one: its serial is lower, so the next
/// recovery read the commits in the wrong order.
#[test]
fn a_spare_that_was_too_small_once_is_not_used_later() {
    for options in all_options(64 << 10) {
        let mut random = Random(5);
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        driven.put_value(name(0), random.bytes(40_000), Durability::Buffered).unwrap();
        driven.prepare_spare().unwrap();
        driven.put_value(name(1), random.bytes(90_000), Durability::Buffered).unwrap();
        driven.put_value(name(2), random.bytes(40_000), Durability::Buffered).unwrap();
        open_image(&disk.process_death(), &options, &driven.history, 3, "unclean");
        driven.db.close().unwrap();
        open_image(&disk, &options, &driven.history, 3, "closed");
    }
}

/// A segment that was prepared ahead and passed over is sealed with nothing in it. Since nothing in it was dead either, it was never
/// compacted, and every commit longer than a segment left one behind it for ever.
#[test]
fn the_room_of_spares_that_were_too_small_comes_back() {
    for options in all_options(64 << 10) {
        let mut random = Random(12);
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        for round in 0..10 {
            driven.put_value(name(2 * round), random.bytes(60_000), Durability::Buffered).unwrap();
            driven.prepare_spare().unwrap();
            driven.put_value(name(2 * round + 1), random.bytes(90_000), Durability::Sync).unwrap();
        }
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        (0..2).for_each(|_| store.compact_a_little(true, 100, || {}));
        assert!(store.log.settled().iter().all(|one| one.entry.length > SEGMENT_HEADER_BYTES as u64));
        drop(store);
        open_image(&disk.process_death(), &options, &driven.history, 20, "unclean");
    }
}

/// A segment that a recovery had removed came back with the power cut after it, since nothing had synced the directory
/// since: it had commits that the recovery had dropped, so the database was said to be damaged.
#[test]
fn a_removed_segment_that_comes_back_is_no_corruption() {
    let options = &all_options(64 << 10)[1];
    let mut random = Random(6);
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    driven.put_value(name(0), random.bytes(10), Durability::Buffered).unwrap();
    driven.put_value(name(1), random.bytes((1 << 20) + 1), Durability::Buffered).unwrap();
    // The commit's record reaches the device, its large value does not: recovery drops both, and the segment.
    let path = Path::new(PATH).join(segment_name(1));
    disk.open(&path, OpenMode::ReadOnly).unwrap().sync().unwrap();
    let cut = disk.crash(&mut || 3);
    let (db, found) = open_image(&cut, options, &driven.history, 1, "the value is lost");
    assert_eq!(found, 1);
    let mut history: History = driven.history.clone();
    history.cut_to(found);
    open_image(&cut.crash(&mut || 3), options, &history, 1, "the removal is lost");
    drop(db);
}

/// While a sync decides how far it goes, others fill whole segments. They were in its list, were synced and named as sealed,
/// though what they hold was not yet said to be durable; a process that was killed then left a manifest that contradicted
/// itself, and the database was refused for ever.
#[test]
fn segments_that_fill_up_while_a_sync_begins_are_not_sealed_by_it() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        driven.put_value(name(0), vec![1; 500].into(), Durability::Buffered).unwrap();
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        let driven = std::cell::RefCell::new(driven);
        let target = || {
            let target = store.log.appended();
            for number in 1..400 {
                let value = vec![number as u8; 500].into();
                driven.borrow_mut().put_value(name(number), value, Durability::Buffered).unwrap();
            }
            target
        };
        let synced = store.log.sync_to(store.log.appended(), &target).unwrap();
        let driven = driven.into_inner();
        let image = disk.process_death();
        open_image(&image, &options, &driven.history, 400, "the process died then");
        let cut = disk.crash(&mut || 3);
        open_image(&cut, &options, &driven.history, synced as usize, "the power went then");
    }
}

/// A manifest was taken for somebody else's by whoever looked between its rename and the note of what it is.
#[test]
fn a_manifest_that_is_just_being_replaced_is_nobody_elses() {
    let options = Options::new().segment_bytes(64 << 10);
    let mut driven = Driven::new(&SimulatedDisk::new(), &options);
    let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                store.log.check_directory().unwrap();
            }
        });
        // Each fills a segment.
        for number in 0..200 {
            driven.put_value(name(number), vec![7; 60_000].into(), Durability::Buffered).unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

/// A sync took the commit of another thread along, and then failed to name a seal: that commit, which was on the device, was
/// told to have failed.
#[test]
fn a_commit_that_somebody_else_has_synced_has_not_failed() {
    let options = Options::new().segment_bytes(64 << 10);
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, &options);
    let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
    // More than a segment, so that the sync has one to seal.
    for number in 0..3 {
        driven.put_value(name(number), vec![7; 40_000].into(), Durability::Buffered).unwrap();
    }
    let wanted = store.log.appended();
    let begun = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let synced = store.log.sync_to(wanted, &|| {
                begun.wait();
                // Until the other one waits for its turn, and the background has prepared what it wants to.
                std::thread::sleep(std::time::Duration::from_millis(100));
                disk.fail_after(Fault::next(Call::Rename, std::io::ErrorKind::Other));
                wanted
            });
            assert!(synced.is_err());
        });
        begun.wait();
        assert_eq!(store.log.sync_to(wanted, &|| wanted).unwrap(), wanted);
    });
    assert!(driven.db.stats().unwrap().poisoned);
}

/// A checkpoint by somebody who makes the checksums right said that more was live in a segment than anything can have bytes. The background
/// multiplied that by a hundred to see whether the segment will be compacted soon, and panicked.
#[test]
fn no_more_is_live_in_a_segment_than_it_has() {
    let options = Options::new().segment_bytes(64 << 10);
    let db = open(&SimulatedDisk::new(), &options).unwrap();
    for number in 0..100 {
        db.put(&name(number).1, &[0; 2000]).unwrap();
    }
    db.flush().unwrap();
    let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
    let all = store.log.settled();
    assert!(!all.is_empty());
    let made_up =
        |one: &Settled| (one.entry.serial, LiveCount { bytes: u64::MAX / 3, records: u64::MAX / 3 });
    store.log.set_live(&all.iter().map(made_up).collect());
    for one in store.log.settled() {
        assert!(one.live.bytes <= one.segment.published());
    }
    store.tidy_hints(Effort::Busy);
    let stats = db.stats().unwrap();
    assert!(stats.live_bytes <= stats.allocated_bytes);
}

/// A mark that could not be written, since there was no room, had destroyed the one before in its slot. That one was synced all the same,
/// and so the next one went to the other slot, over the only mark that was left, and failed there too: the database was said to be damaged.
#[test]
fn a_mark_that_could_not_be_written_leaves_the_other_one_alone() {
    let disk = SimulatedDisk::new();
    let options = Options::new().segment_bytes(64 << 10);
    let db = open(&disk, &options).unwrap();
    disk.set_tears_writes(true);
    let mark_fails = |fails: bool| {
        let hook = move |call| match call {
            Call::Write if fails => Err(std::io::ErrorKind::StorageFull.into()),
            _ => Ok(()),
        };
        disk.set_hook(Some(std::sync::Arc::new(hook)));
    };
    for round in 0..6_u8 {
        for (key, fails) in [(b"written", false), (b"in vain", true), (b"again  ", true)] {
            mark_fails(fails);
            db.put_with(key, &[round], Durability::Sync).unwrap();
            if fails {
                // As the background does when the log rests.
                let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
                store.log.sync_mark().unwrap();
            }
            let opened = open(&disk.process_death(), &options).unwrap();
            assert_eq!(opened.get(key).unwrap().unwrap(), [round]);
        }
    }
}
