//! Calls that fail, one at a time, and a device that is full: a typed error, nothing of the failed write to be seen, reads
//! that go on, and after the next open everything that was acknowledged.

use std::io::ErrorKind as IoKind;

use super::model::{Driven, Random, all_options, assert_same, check, open, open_image, read_all};
use crate::disk::{Call, Fault, SimulatedDisk};
use crate::log::Settled;
use crate::manifest::NUMBER_MAX;
use crate::options::{AppendMode, Durability, Options};
use crate::{Error, ErrorKind};

const STEPS: usize = 60;
/// Calls of one kind that are made to fail, in turn.
const SWEEP: u64 = 9;

/// Runs random operations until one fails. `None` where none did.
fn until_error(driven: &mut Driven, random: &mut Random, steps: usize) -> Option<Error> {
    (0..steps).find_map(|_| driven.step(random).err())
}

/// Every way to write is refused, and so is a flush that would have something to do.
fn assert_refuses_writes(driven: &mut Driven, context: &str) {
    let db = &driven.db;
    let mut batch = db.batch();
    batch.put("default", b"key 1", b"refused").unwrap();
    let mut transaction = db.begin_transaction().unwrap();
    transaction.put("default", b"key 1", b"refused").unwrap();
    let outcomes = [
        db.put(b"key 1", b"refused"),
        db.put_with(b"key 1", b"refused", Durability::Sync),
        db.put(b"key 1", &vec![1; (1 << 20) + 1]),
        db.delete(b"key 1"),
        batch.commit(),
        transaction.commit(),
        db.keyspace("refused").map(|_| ()),
    ];
    for (number, outcome) in outcomes.into_iter().enumerate() {
        assert!(matches!(outcome, Err(Error::Poisoned(_))), "write {number}: {outcome:?}, {context}");
    }
}

/// What must hold after an operation has failed, whatever it was.
fn check_after(mut driven: Driven, error: &Error, options: &Options, random: &mut Random, context: &str) {
    let context = &format!("{context}: {error}");
    let kinds = [ErrorKind::Io, ErrorKind::Poisoned, ErrorKind::NoSpace];
    assert!(kinds.contains(&error.kind()), "{:?}, {context}", error.kind());
    assert_same(&read_all(&driven.db), &driven.state, context);
    if driven.db.stats().unwrap().poisoned {
        assert!(error.kind() != ErrorKind::NoSpace, "a full device is a clean error, {context}");
        // Waits for a round of the background that had begun before.
        let _whatever_it_finds = driven.db.verify();
        driven.disk.clear_trace();
        assert_refuses_writes(&mut driven, context);
        assert_same(&read_all(&driven.db), &driven.state, context);
        let (image, durable) = (driven.disk.process_death(), driven.durable());
        let _poisoned = driven.db.flush();
        assert!(matches!(driven.db.close(), Err(Error::Poisoned(_))), "closing, {context}");
        // Nothing is written or synced any more, above all not what had failed.
        assert_eq!(driven.disk.trace(), [], "{context}");
        let history = driven.history.with(&driven.attempt);
        open_image(&image, options, &history, driven.history.len(), context);
        // What the failure left on the device is as good as any other end: nothing says of lost commits that they were there.
        for _ in 0..4 {
            let image = driven.disk.crash(&mut || random.next());
            open_image(&image, options, &history, durable, context);
        }
        // The same directory, in the same process, after the close that failed.
        open_image(&driven.disk, options, &history, driven.history.len(), context);
    } else {
        // A clean error: the same handle goes on.
        if let Some(error) = until_error(&mut driven, random, 12) {
            panic!("the handle does not go on: {error}, {context}");
        }
        assert_same(&read_all(&driven.db), &driven.state, context);
        let image = driven.disk.process_death();
        open_image(&image, options, &driven.history, driven.history.len(), context);
        // Asked before the cut: the background may sync between the two.
        let least = driven.durable();
        let image = driven.disk.crash(&mut || random.next());
        open_image(&image, options, &driven.history, least, context);
    }
}

#[test]
fn a_call_that_fails_is_a_typed_error_and_leaves_nothing_to_be_seen() {
    let kinds = [
        Call::Create,
        Call::Allocate,
        Call::Write,
        Call::Sync,
        Call::SyncDirectory,
        Call::Rename,
        Call::Remove,
        Call::Length,
        Call::Map,
        Call::Populate,
    ];
    let mut failed = [0_u32; 10];
    for (way, options) in all_options(64 << 10).into_iter().enumerate() {
        for (number, call) in kinds.into_iter().enumerate() {
            for after in 0..SWEEP {
                let mut random = Random(after * 31 + way as u64);
                let disk = SimulatedDisk::new();
                let mut driven = Driven::new(&disk, &options);
                driven.large_one_in = if after % 3 == 0 { 12 } else { 0 };
                let half_written = random.one_in(2);
                disk.fail_after(Fault { call: Some(call), after, error: IoKind::Other, half_written });
                let context = format!("{call:?} {after} fails, {options:?}");
                if let Some(error) = until_error(&mut driven, &mut random, STEPS) {
                    failed[number] += 1;
                    disk.clear_faults();
                    check_after(driven, &error, &options, &mut random, &context);
                }
            }
        }
    }
    for (call, failed) in kinds.into_iter().zip(failed) {
        // A file that cannot be removed is no error of anybody's write, and neither is one asked for its length.
        let must = !matches!(call, Call::Remove);
        assert!(!must || failed > 0, "no operation ever met a failing {call:?}");
    }
}

/// A compaction between two checkpoints meets each failure, and goes on or not. What it has moved is found by whoever opens the
/// database next, and what it writes down is as the format has it: copies of which not even the first could be made had their lowest
/// sequence written down as the highest number there is.
#[test]
fn a_compaction_that_meets_a_failing_call_leaves_everything_where_it_is_found() {
    let kinds = [
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::Create,
        Call::Allocate,
        Call::SyncDirectory,
        Call::Rename,
    ];
    let mut random = Random(31);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let mut driven = Driven::new(&disk, &options);
        (0..120).for_each(|_| driven.step(&mut random).unwrap());
        let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
        store.compact_a_little(true, 3, || {});
        drop(store);
        (0..40).for_each(|_| driven.step(&mut random).unwrap());
        driven.db.flush().unwrap();
        for (call, after) in kinds.into_iter().flat_map(|call| (0..14).map(move |after| (call, after))) {
            let context = format!("{call:?} {after} fails, {options:?}");
            let disk = disk.process_death();
            let db = open(&disk, &options).unwrap();
            let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
            disk.fail_after(Fault { call: Some(call), after, error: IoKind::Other, half_written: true });
            for round in 0..6 {
                let _fails_once = store.compact_or_checkpoint(round != 3);
            }
            disk.clear_faults();
            let is_number = |one: &Settled| one.entry.first_sequence < NUMBER_MAX;
            assert!(store.log.settled().iter().all(is_number), "{context}");
            drop(store);
            assert_same(&read_all(&db), &driven.state, &context);
            let all = driven.history.len();
            for image in [disk.process_death(), disk.crash(&mut || random.next())] {
                let (again, _) = open_image(&image, &options, &driven.history, all, &context);
                check(&again, &context);
            }
            let _poisoned = db.close();
            check(&open_image(&disk, &options, &driven.history, all, &context).0, &context);
        }
    }
}

#[test]
fn a_failed_append_or_sync_of_the_log_ends_all_writing() {
    for options in all_options(1 << 20) {
        // Stores into a map cannot fail; what can is a write.
        let writes = options != all_options(1 << 20)[0];
        for call in [Call::Sync].into_iter().chain(writes.then_some(Call::Write)) {
            let disk = SimulatedDisk::new();
            let mut driven = Driven::new(&disk, &options);
            let name = ("default", b"key 1".to_vec());
            driven.put_value(name.clone(), (*b"first").into(), Durability::Sync).unwrap();
            disk.fail_after(Fault { half_written: true, ..Fault::next(call, IoKind::Other) });
            let context = format!("{call:?} fails, {options:?}");
            let error = driven.put_value(name, vec![7; 3000].into(), Durability::Sync).unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{error}, {context}");
            assert!(driven.db.stats().unwrap().poisoned, "{context}");
            check_after(driven, &error, &options, &mut Random(1), &context);
        }
    }
}

#[test]
fn a_commit_whose_sync_fails_is_never_seen() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        db.put(b"a", b"old").unwrap();
        let snapshot = db.snapshot().unwrap();
        disk.fail_after(Fault::next(Call::Sync, IoKind::Other));
        assert!(matches!(db.put_with(b"a", b"new", Durability::Sync), Err(Error::Io { .. })));
        assert_eq!(db.get(b"a").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(db.scan_prefix(b"").unwrap(), [(b"a".to_vec(), b"old".to_vec())]);
        assert_eq!(db.snapshot().unwrap().get(b"a").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(snapshot.get(b"a").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(
            db.begin_transaction().unwrap().get("default", b"a").unwrap().as_deref(),
            Some(&b"old"[..])
        );
    }
}

#[test]
fn a_full_device_is_a_clean_error_and_the_same_handle_goes_on_with_room() {
    let mut met = 0;
    for (way, options) in all_options(64 << 10).into_iter().enumerate() {
        for room_kib in (0..400).step_by(25) {
            let mut random = Random(room_kib + way as u64);
            let disk = SimulatedDisk::new();
            let mut driven = Driven::new(&disk, &options);
            driven.large_one_in = if room_kib % 2 == 0 { 0 } else { 10 };
            disk.set_room(room_kib << 10);
            let context = format!("{room_kib} KiB of room, {options:?}");
            for _ in 0..STEPS {
                let Err(error) = driven.step(&mut random) else { continue };
                met += 1;
                assert!(matches!(error, Error::NoSpace(_)), "{error}, {context}");
                assert!(!driven.db.stats().unwrap().poisoned, "{context}");
                assert_same(&read_all(&driven.db), &driven.state, &context);
            }
            let image = driven.disk.process_death();
            image.set_room(u64::MAX);
            open_image(&image, &options, &driven.history, driven.history.len(), &context);
            disk.set_room(u64::MAX);
            let error = until_error(&mut driven, &mut random, 20);
            assert!(error.is_none(), "{error:?}, {context}");
            assert_same(&read_all(&driven.db), &driven.state, &context);
            driven.db.flush().unwrap();
            let cut = driven.disk.crash(&mut || random.next());
            open_image(&cut, &options, &driven.history, driven.history.len(), &context);
        }
    }
    assert!(met > 100, "the device was full {met} times only");
}

#[test]
fn pages_that_cannot_be_populated_on_a_full_device_are_a_clean_error() {
    let options = &all_options(1 << 20)[0];
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    let mut random = Random(5);
    let mut put = |driven: &mut Driven, number: u8| {
        let value = random.bytes(100_000);
        driven.put_value(("default", vec![number]), value, Durability::Buffered)
    };
    put(&mut driven, 0).unwrap();
    for _ in 0..2 {
        // So many that the background cannot help either.
        (0..1000).for_each(|_| disk.fail_after(Fault::next(Call::Populate, IoKind::StorageFull)));
        let error = (1..40).find_map(|number| put(&mut driven, number).err()).unwrap();
        assert!(matches!(error, Error::NoSpace(_)), "{error}");
        assert!(!driven.db.stats().unwrap().poisoned);
        assert_same(&read_all(&driven.db), &driven.state, "populating fails");
        disk.clear_faults();
        put(&mut driven, 40).unwrap();
        let image = disk.process_death();
        open_image(&image, options, &driven.history, driven.history.len(), "after populating failed");
    }
}

/// The mark is written when the commits are on the device already: a quota that is used up by then is no failure.
#[test]
fn a_device_without_room_for_the_mark_does_not_end_writing() {
    for error in [IoKind::StorageFull, IoKind::QuotaExceeded] {
        for options in
            all_options(64 << 10).into_iter().filter(|options| options.append == AppendMode::Mapped)
        {
            let disk = SimulatedDisk::new();
            let db = open(&disk, &options).unwrap();
            db.put_with(b"k", b"v", Durability::Sync).unwrap();
            disk.fail_after(Fault::next(Call::Write, error));
            db.put_with(b"k", b"v", Durability::Sync).unwrap();
            assert!(!db.stats().unwrap().poisoned);
        }
    }
}

/// A sync, or the replacing of a manifest, met a device that was full or a quota that was used up. All writing ended, as it must, but the
/// error was that of a full device, which says that nothing of the write is there and that the handle goes on once there is room: who
/// made room and tried again was refused for ever, and found the write after the next open.
#[test]
fn a_sync_that_finds_no_room_is_no_clean_error() {
    for options in all_options(64 << 10) {
        for call in [Call::Sync, Call::SyncDirectory, Call::Rename] {
            for error in [IoKind::StorageFull, IoKind::QuotaExceeded] {
                let context = format!("{call:?} fails with {error}, {options:?}");
                let disk = SimulatedDisk::new();
                let mut driven = Driven::new(&disk, &options);
                let mut put = |number: u8| {
                    driven.put_value(("default", vec![number]), vec![number; 3000].into(), Durability::Sync)
                };
                put(0).unwrap();
                disk.fail_after(Fault::next(call, error));
                let error = (1..60).find_map(|number| put(number).err()).unwrap();
                assert!(matches!(error, Error::Io { .. } | Error::Poisoned(_)), "{error}, {context}");
                check_after(driven, &error, &options, &mut Random(1), &context);
            }
        }
    }
}

/// A compaction whose copies had no room left all of a sudden ended all writing, where one that had none from the beginning is only
/// refused.
#[test]
fn copies_that_find_no_room_end_nothing() {
    for options in all_options(64 << 10) {
        for after in 0..12 {
            let disk = SimulatedDisk::new();
            let mut driven = Driven::new(&disk, &options);
            // Half of what each segment has is dead.
            for number in (0..60).chain((0..60).step_by(2)) {
                let value = vec![number; 3000].into();
                driven.put_value(("default", vec![number]), value, Durability::Buffered).unwrap();
            }
            driven.db.flush().unwrap();
            let fault = Fault::next(Call::Write, IoKind::StorageFull);
            disk.fail_after(Fault { half_written: true, after, ..fault });
            let compacted = driven.db.compact();
            disk.clear_faults();
            let context = format!("write {after} finds no room, {compacted:?}, {options:?}");
            assert!(matches!(compacted, Ok(_) | Err(Error::NoSpace(_))), "{context}");
            assert!(!driven.db.stats().unwrap().poisoned, "{context}");
            assert_same(&read_all(&driven.db), &driven.state, &context);
            driven.db.compact().unwrap();
            check(&driven.db, &context);
            let image = disk.process_death();
            open_image(&image, &options, &driven.history, driven.history.len(), &context);
        }
    }
}
