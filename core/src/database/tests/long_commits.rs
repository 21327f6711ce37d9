//! Commits whose values do not fit a segment, and the limits of a commit. With segments of 64 KiB a commit keeps 256 KiB.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::model::{Driven, Random, all_options, open, open_image};
use super::rebuilds::all_agree;
use crate::database::{Batch, OpenDB};
use crate::disk::{Call, Fault, SimulatedDisk};
use crate::options::{
    COMMIT_BYTES_MAX, COMMIT_VALUE_BYTES_KEPT, Compression, Durability, KEY_BYTES_MAX, KeyspaceOptions,
    Options, SEGMENT_BYTES_MAX,
};
use crate::{Error, Scan};

const KEPT: usize = 256 << 10;

fn key(number: usize) -> Vec<u8> {
    format!("key {number:05}").into_bytes()
}

/// A batch of so many values of about 1 KB, in an order that is not that of the keys.
fn fill(db: &OpenDB, random: &mut Random, count: usize) -> (Batch, Vec<Arc<[u8]>>) {
    let values: Vec<_> = (0..count).map(|number| random.bytes(1000 + number % 7)).collect();
    let mut batch = db.batch();
    for number in 0..count {
        let number = number * 7919 % count;
        batch.put("default", &key(number), &values[number]).unwrap();
    }
    (batch, values)
}

fn assert_has(db: &OpenDB, values: &[Arc<[u8]>], context: &str) {
    let found = db.verify().unwrap();
    assert!(found.violations.is_empty(), "{:?}, {context}", found.violations);
    let mut number = 0;
    for entry in db.iter(&Scan::prefix(b"key")).unwrap() {
        let (found, value) = entry.unwrap();
        assert!(found == key(number) && value[..] == values[number][..], "value {number}, {context}");
        number += 1;
    }
    assert_eq!(number, values.len(), "{context}");
    for number in (0..values.len()).step_by(101) {
        let mut read = Vec::new();
        let reader = db.value_reader(&key(number)).unwrap();
        reader.unwrap().read_to_end(&mut read).unwrap();
        assert!(read == values[number][..], "value {number} in pieces, {context}");
        assert!(
            *db.get_ref(&key(number)).unwrap().unwrap() == values[number][..],
            "value {number}, {context}"
        );
    }
}

#[test]
fn a_batch_of_many_segments_is_one_commit() {
    let mut random = Random(21);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        db.put(b"before", b"it").unwrap();
        let (batch, values) = fill(&db, &mut random, 2_000);
        let kept = batch.operations.kept_bytes();
        assert!(kept < KEPT + 2_000 * 64, "{kept} bytes are kept of two MB");
        assert_eq!(db.len().unwrap(), 1, "nothing is there before the commit");
        let snapshot = db.snapshot().unwrap();
        batch.commit().unwrap();
        assert_eq!(snapshot.scan_prefix(b"").unwrap().len(), 1);
        drop(snapshot);
        assert_eq!(db.stats().unwrap().last_sequence, 2);
        assert_has(&db, &values, "committed");
        // A frame that is only in the page cache, and one that is on the device.
        for image in [disk.process_death(), disk.crash(&mut || 3)] {
            let again = open(&image, &options).unwrap();
            let is_there = again.len().unwrap() > 1;
            match is_there {
                true => assert_has(&again, &values, "recovered"),
                false => assert!(again.len().unwrap() == u64::from(again.exists(b"before").unwrap())),
            }
        }
        db.flush().unwrap();
        let image = disk.crash(&mut || 3);
        all_agree(&image, &options, &mut random, "a power cut");
        assert_has(&open(&image, &options).unwrap(), &values, "after a power cut");
        db.close().unwrap();
        let db = open(&disk, &options).unwrap();
        assert_has(&db, &values, "opened again");
    }
}

#[test]
fn what_a_long_commit_has_left_behind_is_compacted() {
    let mut random = Random(22);
    for options in all_options(256 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let (batch, mut values) = fill(&db, &mut random, 2_500);
        batch.commit().unwrap();
        assert!(db.stats().unwrap().large_bytes > 1_000_000);
        for number in (0..2_500).filter(|number| number % 3 != 1) {
            values[number] = random.bytes(100);
            db.put(&key(number), &values[number]).unwrap();
        }
        db.compact().unwrap();
        let stats = db.stats().unwrap();
        assert!(stats.large_bytes * 100 <= stats.large_live_bytes * 101, "{stats:?}");
        assert!(stats.log_bytes * 100 <= stats.live_bytes * 115, "{stats:?}");
        assert_has(&db, &values, "compacted");
        let image = disk.process_death();
        all_agree(&image, &options, &mut random, "compacted");
        db.close().unwrap();
        assert_has(&open(&disk, &options).unwrap(), &values, "opened again");
    }
}

#[test]
fn a_long_commit_that_is_given_up_leaves_nothing() {
    let mut random = Random(23);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        for _ in 0..10 {
            drop(fill(&db, &mut random, 1_000));
        }
        let after = db.stats().unwrap();
        assert_eq!((after.large_bytes, after.last_sequence), (0, 0));
        db.compact().unwrap();
        let after = db.stats().unwrap();
        assert!(after.allocated_bytes <= 64 << 10, "the room comes back: {after:?}");
        // One that meets a conflict, and one that is rolled back.
        let mut transaction = db.begin_transaction().unwrap();
        assert_eq!(transaction.get("default", b"read").unwrap(), None);
        let value = random.bytes(5_000);
        (0..200).for_each(|number| transaction.put("default", &key(number), &value).unwrap());
        db.put(b"read", b"").unwrap();
        assert!(matches!(transaction.commit(), Err(Error::Transaction(_))));
        let mut transaction = db.begin_transaction().unwrap();
        (0..200).for_each(|number| transaction.put("default", &key(number), &value).unwrap());
        transaction.rollback().unwrap();
        assert_eq!((db.stats().unwrap().large_bytes, db.len().unwrap()), (0, 1));
        // What is written next stands where they had been.
        let (batch, values) = fill(&db, &mut random, 1_000);
        batch.commit().unwrap();
        assert_has(&db, &values, "after the others");
        let image = open(&disk.process_death(), &options).unwrap();
        assert_has(&image, &values, "recovered after the others");
    }
}

/// Its segments are full, and only a sync that has something to do seals what is full. Where nobody wrote any more they stayed.
#[test]
fn the_room_of_a_long_commit_that_is_given_up_comes_back_though_nobody_writes() {
    let options = &all_options(64 << 10)[1];
    let db = open(&SimulatedDisk::new(), options).unwrap();
    db.put(b"before", b"it").unwrap();
    let (batch, _) = fill(&db, &mut Random(28), 2_000);
    db.flush().unwrap();
    assert!(db.stats().unwrap().allocated_bytes > 2_000_000);
    drop(batch);
    // As long as it takes: the bound is the runner's.
    while db.stats().unwrap().allocated_bytes > 1 << 20 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(db.len().unwrap(), 1);
}

#[test]
fn a_close_does_not_wait_for_a_long_batch_and_ends_it() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let (mut batch, _) = fill(&db, &mut Random(24), 1_000);
        db.close().unwrap();
        assert!(matches!(batch.put("default", b"k", &[0; 100]), Err(Error::Closed)));
        assert!(matches!(batch.commit(), Err(Error::Closed)));
        let again = open(&disk, &options).unwrap();
        assert!(again.stats().unwrap().recovery.clean && again.is_empty().unwrap());
        let (batch, values) = fill(&again, &mut Random(25), 1_000);
        batch.commit().unwrap();
        assert_has(&again, &values, "the next one");
    }
}

#[test]
fn long_transactions_are_one_commit_with_their_deletes_and_replaced_writes() {
    let mut random = Random(26);
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let (batch, mut values) = fill(&db, &mut random, 600);
        batch.commit().unwrap();
        let mut transaction = db.begin_transaction().unwrap();
        for round in 0..2 {
            for number in (round..600).step_by(2 - round) {
                values[number] = random.bytes(900);
                transaction.put("default", &key(number), &values[number]).unwrap();
            }
        }
        for number in 500..600 {
            transaction.delete("default", &key(number)).unwrap();
        }
        values.truncate(500);
        let found = transaction.scan_prefix("default", b"key").unwrap();
        assert!(found.iter().zip(&values).all(|((_, found), value)| found[..] == value[..]));
        transaction.commit_with(Durability::Sync).unwrap();
        assert_has(&db, &values, "committed");
        assert_has(&open(&disk.crash(&mut || 3), &options).unwrap(), &values, "on the device");
        // In a batch a key may come more than once, and the last one counts.
        let mut batch = db.batch();
        for round in 0..3_u8 {
            (0..500).for_each(|number| batch.put("default", &key(number), &[round; 1_000]).unwrap());
        }
        (400..500).for_each(|number| batch.delete("default", &key(number)).unwrap());
        batch.commit().unwrap();
        let newest: Vec<Arc<[u8]>> = (0..400).map(|_| vec![2; 1_000].into()).collect();
        assert_has(&db, &newest, "the last of each key");
        let image = disk.process_death();
        all_agree(&image, &options, &mut random, "keys that came more than once");
        assert_has(&open(&image, &options).unwrap(), &newest, "recovered");
    }
}

#[test]
fn values_of_a_compressed_keyspace_that_stand_aside_read_back() {
    let mut random = Random(27);
    let db = open(&SimulatedDisk::new(), &all_options(64 << 10)[0]).unwrap();
    let lz4 = KeyspaceOptions::new().compression(Compression::Lz4);
    let pages = db.keyspace_with_options("pages", lz4).unwrap();
    let values: Vec<_> = (0..400).map(|_| random.compressible(3_000)).collect();
    let mut batch = db.batch();
    values.iter().enumerate().for_each(|(number, value)| batch.put("pages", &key(number), value).unwrap());
    batch.commit().unwrap();
    for (number, value) in values.iter().enumerate() {
        assert!(pages.get(&key(number)).unwrap().as_deref() == Some(&value[..]));
    }
}

#[test]
fn a_full_device_refuses_one_value_and_the_batch_goes_on_with_others() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let (mut batch, mut values) = fill(&db, &mut Random(28), 300);
        let before = batch.len();
        disk.set_room(0);
        let value = Random(29).bytes(1_000);
        let refused = (300..50_000).find_map(|number| match batch.put("default", &key(number), &value) {
            Ok(()) => {
                values.push(Arc::clone(&value));
                None
            }
            Err(error) => Some(error),
        });
        assert!(matches!(refused, Some(Error::NoSpace(_))), "{refused:?}");
        assert_eq!(batch.len(), values.len());
        assert!(before < values.len() + 1 && db.is_empty().unwrap());
        disk.set_room(u64::MAX);
        batch.put("default", &key(values.len()), &value).unwrap();
        values.push(value);
        batch.commit().unwrap();
        assert_has(&db, &values, "with room again");
    }
}

/// Values are gathered and written together, so the one that meets the full device is not the only one of them.
#[test]
fn a_full_device_under_gathered_values_loses_none_that_was_taken() {
    let options = &all_options(4 << 20)[1];
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    let value: Arc<[u8]> = Random(32).bytes(100_000);
    let (mut batch, mut taken, mut refused) = (db.batch(), 0, 0);
    for number in 0..230 {
        let result = batch.put("default", &key(taken), &value);
        match result {
            Ok(()) => taken += 1,
            Err(error) => {
                assert!(matches!(error, Error::NoSpace(_)), "{error}");
                refused += 1;
            }
        }
        // Behind those that are kept; each second write of gathered values fails.
        if number > 170 && number % 16 == 0 {
            disk.fail_after(Fault::next(Call::Write, std::io::ErrorKind::StorageFull));
        }
    }
    disk.clear_faults();
    assert!(refused > 1, "{refused} of them");
    batch.commit().unwrap();
    assert_has(&db, &vec![value; taken], "with room again");
    let stats = db.stats().unwrap();
    assert_eq!(stats.large_bytes, stats.large_live_bytes, "nothing of what was refused is there");
    db.flush().unwrap();
    let values = vec![Random(32).bytes(100_000); taken];
    assert_has(&open(&disk.crash(&mut || 3), options).unwrap(), &values, "on the device");
}

/// Whatever call fails while a long commit is made, and then the power: all of it is there or nothing.
#[test]
fn a_long_commit_that_dies_anywhere_is_there_as_a_whole_or_not_at_all() {
    let mut random = Random(30);
    let options = &all_options(64 << 10)[1];
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    driven.put_value(("default", key(7)), random.bytes(2_000), Durability::Sync).unwrap();
    let before = driven.history.clone();
    let values: Vec<_> = (0..600).map(|_| random.bytes(1_000)).collect();
    let writes =
        values.iter().enumerate().map(|(number, value)| (("default", key(number)), Some(Arc::clone(value))));
    let after = before.with(&writes.collect());
    let mut calls = 0;
    loop {
        let dying = disk.process_death();
        let db = open(&dying, options).unwrap();
        for _ in 0..200 {
            dying.fail_after(Fault::any_after(calls, std::io::ErrorKind::Other));
        }
        let mut batch = db.batch();
        let put = values
            .iter()
            .enumerate()
            .try_for_each(|(number, value)| batch.put("default", &key(number), value));
        let ended = put.and_then(|()| batch.commit_with(Durability::Sync));
        let least = if ended.is_ok() { 2 } else { 1 };
        for image in [dying.crash(&mut || random.next()), dying.crash(&mut || 3), dying.process_death()] {
            let (again, _) = open_image(&image, options, &after, least, &format!("call {calls}"));
            assert!(again.verify().unwrap().violations.is_empty(), "call {calls}");
        }
        if ended.is_ok() {
            break;
        }
        calls += 1;
    }
    assert!(calls > 5, "the commit made {calls} calls");
}

fn long_key(number: u32) -> Vec<u8> {
    let mut key = vec![0; KEY_BYTES_MAX];
    key[..4].copy_from_slice(&number.to_be_bytes());
    key
}

/// A batch that takes so many bytes less than there may be, of long keys. Each but the first and the last take 65,552 bytes, and
/// those with an anchor 24 more.
#[test]
fn the_longest_commit_is_taken_and_one_byte_more_is_refused() {
    assert_eq!(COMMIT_BYTES_MAX, SEGMENT_BYTES_MAX - crate::manifest::SEGMENT_HEADER_BYTES as u64);
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().segment_bytes(64 << 10);
    let db = OpenDB::open_with_options(Path::new(directory.path()), options).unwrap();
    let mut batch = db.batch();
    let mut count = 0;
    while batch.delete("default", &long_key(count)).is_ok() {
        count += 1;
    }
    // The rest to the last unit: a record is its header of 12 bytes and its key, and may have an anchor before it.
    let left = COMMIT_BYTES_MAX as usize - batch.operations.kept_bytes();
    let fits = (left - 24) / 8 * 8 - 12;
    for too_long in [fits + 1, fits + 8, 60_000] {
        let refused = batch.put("default", &long_key(count)[..too_long], b"");
        assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{too_long}: {refused:?}");
    }
    // A value that may stand aside takes 24 bytes, one that may not all that it has.
    let short = &long_key(count)[..fits - 24];
    assert!(matches!(batch.put("default", short, &[1; 25]), Err(Error::InvalidArgument(_))));
    assert!(matches!(
        batch.put("default", short, &[1; COMMIT_VALUE_BYTES_KEPT]),
        Err(Error::InvalidArgument(_))
    ));
    let long = Random(31).bytes(100_000);
    batch.put("default", short, &long).unwrap();
    assert!(matches!(batch.delete("default", b""), Err(Error::InvalidArgument(_))));
    batch.commit().unwrap();
    assert!(db.get(short).unwrap().as_deref() == Some(&long[..]));
    assert_eq!((db.len().unwrap(), db.stats().unwrap().last_sequence), (1, 1));
}

#[test]
fn a_transaction_is_refused_before_its_commit_could_be_too_long() {
    let directory = tempfile::tempdir().unwrap();
    let db = OpenDB::open(directory.path()).unwrap();
    let mut transaction = db.begin_transaction().unwrap();
    let refused = (0..5_000).find(|number| transaction.put("default", &long_key(*number), b"v").is_err());
    let count = refused.unwrap();
    assert!(u64::from(count) * 65_600 > COMMIT_BYTES_MAX * 99 / 100, "{count} were taken");
    // What is replaced by less makes room.
    transaction.put("default", b"short", b"").unwrap();
    assert!(matches!(transaction.put("default", &long_key(count), b"v"), Err(Error::InvalidArgument(_))));
    transaction.commit().unwrap();
    assert_eq!(db.len().unwrap(), u64::from(count) + 1);
}
