//! Scans, which read some entries ahead of the one that is asked for.

use std::path::Path;

use super::model::{PATH, Random, all_options, open};
use crate::disk::{Disk, OpenMode, SimulatedDisk};
use crate::log::segment_name;
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::options::{Compression, KeyspaceOptions};
use crate::record::{Kind, NewRecord};
use crate::{Error, OpenDB, Scan};

const VALUE_BYTES: usize = 500;

fn key(number: u64) -> Vec<u8> {
    format!("key {number:03}").into_bytes()
}

fn value(number: u64) -> Vec<u8> {
    vec![number as u8; VALUE_BYTES]
}

fn filled(db: &OpenDB, count: u64) {
    (0..count).for_each(|number| db.put(&key(number), &value(number)).unwrap());
}

/// However long a value is, and however it is stored, it is given in its turn and with its own key.
#[test]
fn values_of_every_length_are_given_in_their_turn() {
    let mut random = Random(1);
    let lengths = [0, 1, 1024, 1025, 40_000, 200, 70_000, (1 << 20) + 1];
    for options in all_options(4 << 20) {
        for compression in [Compression::None, Compression::Lz4] {
            let db = open(&SimulatedDisk::new(), &options).unwrap();
            let pages =
                db.keyspace_with_options("pages", KeyspaceOptions::new().compression(compression)).unwrap();
            let mut expected: Vec<_> = (0..80)
                .map(|number| (key(number), random.compressible(lengths[number as usize % 8]).to_vec()))
                .collect();
            expected.iter().for_each(|(key, value)| pages.put(key, value).unwrap());
            let scanned = |scan: &Scan| -> Vec<_> { pages.iter(scan).unwrap().map(Result::unwrap).collect() };
            assert!(scanned(&Scan::all()) == expected);
            for limit in [1, 7, 16, 17, 79] {
                assert!(scanned(&Scan::all().limit(limit)) == expected[..limit as usize]);
            }
            let keys: Vec<_> = pages.keys(&Scan::all()).unwrap().map(Result::unwrap).collect();
            assert!(keys.iter().eq(expected.iter().map(|(key, _)| key)));
            expected.reverse();
            assert!(scanned(&Scan::all().reverse()) == expected);
        }
    }
}

/// Entries as `next_ref` gives them, some of them taken from it.
fn by_reference(mut scan: crate::Iter, take_each: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    while let Some(entry) = scan.next_ref() {
        let (key, value) = entry.unwrap();
        let copied = (key.to_vec(), value.to_vec());
        if entries.len() % take_each == 0 {
            assert!(scan.take_last().as_ref() == Some(&copied), "{:?}", copied.0);
        }
        entries.push(copied);
    }
    assert!(scan.next_ref().is_none() && scan.next().is_none() && scan.take_last().is_none());
    entries
}

/// What is given where it stands is what is given in memory of its own: of every length, in both directions, with a limit, and mixed
/// with a transaction's own writes.
#[test]
fn entries_where_they_stand_are_those_in_memory_of_their_own() {
    let mut random = Random(2);
    let lengths = [0, 1, 1024, 1025, 300, 70_000, 200, (1 << 20) + 1];
    let mut any = |number: usize| random.compressible(lengths[number % 8]).to_vec();
    let db = open(&SimulatedDisk::new(), &all_options(4 << 20)[0]).unwrap();
    (0..90).for_each(|number| db.put(&key(number), &any(number as usize)).unwrap());
    let mut transaction = db.begin_transaction().unwrap();
    for number in (0..120).step_by(7) {
        transaction.put("default", &key(number), &any(number as usize + 1)).unwrap();
        transaction.delete("default", &key(number + 2)).unwrap();
    }
    for scan in [Scan::all(), Scan::range(key(10)..key(100)), Scan::prefix(b"key 0"), Scan::prefix(b"none")] {
        for scan in [scan.clone(), scan.clone().reverse(), scan.clone().limit(17), scan.reverse().limit(1)] {
            let wanted: Vec<_> = db.iter(&scan).unwrap().map(Result::unwrap).collect();
            let mixed: Vec<_> = transaction.iter("default", &scan).unwrap().map(Result::unwrap).collect();
            for take_each in [1, 3, usize::MAX] {
                assert!(by_reference(db.iter(&scan).unwrap(), take_each) == wanted, "{scan:?}");
                assert!(
                    by_reference(transaction.iter("default", &scan).unwrap(), take_each) == mixed,
                    "{scan:?}"
                );
            }
            let mut keys = db.keys(&scan).unwrap();
            for (key, _) in &wanted {
                assert_eq!(keys.next_ref().unwrap().unwrap(), key);
                assert_eq!(keys.take_last().as_ref(), Some(key));
            }
            assert!(keys.next_ref().is_none());
        }
    }
}

/// What was read before a damaged value is given before the damage is told, and then there is nothing more.
#[test]
fn damage_is_told_when_its_turn_comes() {
    for options in all_options(1 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        filled(&db, 100);
        let file = disk.open(&Path::new(PATH).join(segment_name(1)), OpenMode::ReadWrite).unwrap();
        let record =
            NewRecord { kind: Kind::Put, keyspace: 0, key: &key(0), value: &value(0) }.standalone_bytes(1);
        for damaged in [60, 20, 1, 0] {
            let offset = SEGMENT_HEADER_BYTES + damaged * record + record / 2;
            file.write_all_at(b"damage", offset as u64).unwrap();
            for scan in [Scan::all(), Scan::all().limit(61)] {
                let mut entries = db.iter(&scan).unwrap();
                for number in 0..damaged as u64 {
                    assert_eq!(entries.next().unwrap().unwrap(), (key(number), value(number)));
                }
                assert!(matches!(entries.next(), Some(Err(Error::Corruption { segment: 1, .. }))));
                assert!(entries.next().is_none());
            }
        }
    }
}

/// What is committed, compacted or closed between two entries changes none of those that follow.
#[test]
fn a_scan_is_of_one_moment_whatever_happens_between_two_entries() {
    for options in all_options(64 << 10) {
        let db = open(&SimulatedDisk::new(), &options).unwrap();
        filled(&db, 200);
        let mut entries = db.iter(&Scan::all()).unwrap();
        for number in 0..200_u64 {
            assert_eq!(entries.next().unwrap().unwrap(), (key(number), value(number)), "{number}");
            for other in (number % 7..200).step_by(7) {
                match other % 2 {
                    0 => db.delete(&key(other)).unwrap(),
                    _ => db.put(&key(other), b"newer").unwrap(),
                }
            }
            if number % 50 == 9 {
                db.compact().unwrap();
            }
        }
        assert!(entries.next().is_none());
        let mut rest = db.iter(&Scan::all()).unwrap();
        assert_eq!(rest.next().unwrap().unwrap(), (key(1), b"newer".to_vec()));
        db.close().unwrap();
        assert!(matches!(rest.next(), Some(Err(Error::Closed))), "entries that wait are given no more");
        assert!(rest.next().is_none());
    }
}

/// Long values are read when their turn comes. What waits for that may have been moved meanwhile, and its segment's slot may be another
/// segment's.
#[test]
fn entries_that_wait_are_found_where_they_were_moved() {
    for options in all_options(64 << 10) {
        let db = open(&SimulatedDisk::new(), &options).unwrap();
        let other = db.keyspace("other").unwrap();
        let long = |number: u64| vec![number as u8; 20_000];
        for number in 0..40 {
            db.put(&key(number), &long(number)).unwrap();
            other.put(&key(number), &long(number)).unwrap();
        }
        for scan in [Scan::all(), Scan::all().reverse(), Scan::all().limit(40)] {
            let mut entries = db.iter(&scan).unwrap();
            for at in 0..40 {
                let number = if scan == Scan::all().reverse() { 39 - at } else { at };
                assert!(
                    entries.next().unwrap().unwrap() == (key(number), long(number)),
                    "{number}, {scan:?}"
                );
                if at % 5 == 4 {
                    (0..10).for_each(|other_key| other.put(&key(other_key), &long(at)).unwrap());
                    db.compact().unwrap();
                    (10..20).for_each(|other_key| other.put(&key(other_key), &long(at)).unwrap());
                }
            }
            assert!(entries.next().is_none());
        }
    }
}

/// Keys so long that a batch is full with two of them, or with one.
#[test]
fn keys_of_every_length_are_given_in_their_turn() {
    for options in all_options(1 << 20) {
        let db = open(&SimulatedDisk::new(), &options).unwrap();
        let length = |number: usize| [20_000, 65_535, 40, 32_768, 65_534][number % 5];
        let mut expected: Vec<_> = (0..40).map(|number| vec![number as u8; length(number)]).collect();
        expected.iter().for_each(|key| db.put(key, b"").unwrap());
        let scanned = |scan: &Scan| -> Vec<_> { db.keys(scan).unwrap().map(Result::unwrap).collect() };
        assert!(scanned(&Scan::all()) == expected);
        for limit in [1, 2, 13, 39] {
            assert!(scanned(&Scan::all().limit(limit)) == expected[..limit as usize]);
        }
        expected.reverse();
        assert!(scanned(&Scan::all().reverse()) == expected);
        assert!(scanned(&Scan::all().reverse().limit(13)) == expected[..13]);
    }
}

/// A run file with a damaged block: what comes before is given and then the damage is told, and a scan never just ends there. The next
/// open makes the keys anew. It took the file for a good one again, since it looks at no block, so that scans failed for ever.
#[test]
fn a_damaged_block_of_keys_is_told_and_made_anew() {
    for options in all_options(1 << 20) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let keys: Vec<_> = (0..6_000_u64).map(|number| format!("{number:08}").into_bytes()).collect();
        keys.iter().for_each(|key| db.put(key, b"").unwrap());
        db.close().unwrap();
        let run =
            disk.list(Path::new(PATH)).unwrap().into_iter().find(|name| name.ends_with(".run")).unwrap();
        let file = disk.open(&Path::new(PATH).join(run), OpenMode::ReadWrite).unwrap();
        file.write_all_at(b"damage", file.length().unwrap() * 6 / 10).unwrap();
        let db = open(&disk, &options).unwrap();
        let mut scan = db.keys(&Scan::all()).unwrap();
        let given: Vec<_> = scan.by_ref().map_while(Result::ok).collect();
        assert!(!given.is_empty() && given.len() < keys.len() && keys.starts_with(&given));
        assert!(scan.next().is_none());
        let last = db.keys(&Scan::all()).unwrap().last().unwrap();
        assert!(matches!(last, Err(Error::Storage(_))), "{last:?}");
        let _told = db.close();
        let db = open(&disk, &options).unwrap();
        let found: Vec<_> = db.keys(&Scan::all()).unwrap().map(Result::unwrap).collect();
        assert!(found == keys);
    }
}

/// A transaction gives up its snapshot when it commits, so that what it overwrites itself need not be kept. A scan that it has
/// begun goes on, and must see neither that nor what comes after it.
#[test]
fn a_scan_of_a_transaction_that_has_committed_sees_its_snapshot_to_the_end() {
    for options in all_options(4 << 20) {
        for writes in [1, 2] {
            let db = open(&SimulatedDisk::new(), &options).unwrap();
            filled(&db, 300);
            let mut transaction = db.begin_transaction().unwrap();
            let mut scan = transaction.iter("default", &Scan::all()).unwrap();
            assert_eq!(scan.next().unwrap().unwrap(), (key(0), value(0)));
            (0..writes).for_each(|number| transaction.put("default", &key(200 + number), b"own").unwrap());
            transaction.commit().unwrap();
            assert_eq!(db.stats().unwrap().snapshots, 1, "the scan's");
            (0..300).for_each(|number| db.put(&key(number), b"later").unwrap());
            let rest: Vec<_> = scan.by_ref().map(Result::unwrap).collect();
            let expected: Vec<_> = (1..300).map(|number| (key(number), value(number))).collect();
            assert_eq!(rest, expected);
            drop(scan);
            let stats = db.stats().unwrap();
            assert_eq!((stats.snapshots, stats.versions), (0, 0));
        }
    }
}
