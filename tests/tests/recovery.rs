//! One test for each bug in the opening of a database that files of a real disk can show, headed by its story.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::path::{Path, PathBuf};

use opendb::{AppendMode, Durability, OpenDB, Options, Scan};
use opendb_tests::damage::damage_or;
use opendb_tests::place;
use opendb_tests::watch::Watch;
use tempfile::TempDir;

mod common {
    pub(crate) mod killed;
}

use common::killed::killed;

/// A value that stands in a segment of its own.
const LARGE_BYTES: usize = (1 << 20) + 1;
/// Where the first frame of a segment stands.
const HEADER_BYTES: usize = 64;

fn small_segments() -> Options {
    Options::new().segment_bytes(64 << 10)
}

/// The same without any map.
fn unmapped(options: Options) -> Options {
    options.append(AppendMode::Write).mapped_reads(false)
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "segment");
    place::files(directory).unwrap().into_iter().filter(is_segment).collect()
}

/// Changes the bytes of a file.
fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

/// A directory in the manifest's way: it cannot be written while this lives, and nothing else fails.
struct Obstacle(PathBuf);

impl Obstacle {
    fn put(directory: &Path) -> Obstacle {
        let path = directory.join("MANIFEST.new");
        std::fs::create_dir(&path).unwrap();
        Obstacle(path)
    }
}

impl Drop for Obstacle {
    fn drop(&mut self) {
        // Where it stays, the next open says so.
        let _removed = std::fs::remove_dir(&self.0);
    }
}

/// Writes over several segments, closes, opens again, and reads: whoever opened a database can work with it.
fn assert_usable(db: OpenDB, directory: &Path, options: &Options) {
    let keys = db.len().unwrap();
    for key in 0..50_u32 {
        db.put(&[b"usable", &key.to_be_bytes()[..]].concat(), &[9; 5000]).unwrap();
    }
    db.put_with(b"usable", &[9; LARGE_BYTES], Durability::Sync).unwrap();
    db.close().unwrap();
    drop(db);
    let db = OpenDB::open_with_options(directory, options.clone()).unwrap();
    assert_eq!(db.len().unwrap(), keys + 51);
    assert_eq!(db.get(b"usable").unwrap().map(|value| value.len()), Some(LARGE_BYTES));
    db.close().unwrap();
}

/// A close failed, and somebody still held values that had been read without a copy. The next open in the same process
/// wrote the tail of the log anew and gave the room behind the cut of the old segments back, under the held values' feet:
/// touching them ended the process with SIGBUS.
#[test]
fn values_that_are_held_outlive_a_failed_close_and_the_recovery_after_it() {
    for options in [Options::new().segment_bytes(1 << 20), small_segments(), Options::new()] {
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open_with_options(directory.path(), options.clone()).unwrap();
        db.put_with(b"first", b"", Durability::Sync).unwrap();
        for key in 0..30_u32 {
            let length = if key % 10 == 9 { LARGE_BYTES } else { 5000 };
            db.put(&key.to_be_bytes(), &vec![7; length]).unwrap();
        }
        let held: Vec<_> = (0..30_u32).map(|key| db.get_ref(&key.to_be_bytes()).unwrap().unwrap()).collect();
        let snapshot = db.snapshot().unwrap();
        let obstacle = Obstacle::put(directory.path());
        db.close().unwrap_err();
        drop((snapshot, db, obstacle));
        let again = OpenDB::open_with_options(directory.path(), options.clone()).unwrap();
        assert!(!again.stats().unwrap().recovery.clean);
        assert_eq!(again.len().unwrap(), 31);
        assert_usable(again, directory.path(), &options);
        for value in held {
            assert!(value.iter().all(|byte| *byte == 7), "a held value has changed");
        }
    }
}

/// A recovery that could not write its manifest left its copies of the tail behind, and the next try could not know what
/// they were and made others: each try took more room, until the device was full.
#[test]
fn recoveries_that_fail_do_not_pile_up_files() {
    for options in [small_segments(), unmapped(small_segments())] {
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open_with_options(directory.path(), options.clone()).unwrap();
        for key in 0..30_u32 {
            db.put(&key.to_be_bytes(), &[1; 5000]).unwrap();
        }
        db.put(b"large", &[1; LARGE_BYTES]).unwrap();
        let copy = killed(directory.path());
        let before = segments(copy.path()).len();
        let obstacle = Obstacle::put(copy.path());
        let mut left = Vec::new();
        for _ in 0..4 {
            OpenDB::open_with_options(copy.path(), options.clone()).unwrap_err();
            left.push(segments(copy.path()).len());
        }
        assert_eq!(left[0], left[3], "files after each try, {before} before: {left:?}");
        drop(obstacle);
        let db = OpenDB::open_with_options(copy.path(), options.clone()).unwrap();
        assert_eq!(db.len().unwrap(), 31);
        let files = segments(copy.path()).len() as u64;
        assert_eq!(files, db.stats().unwrap().segments, "files that belong to nobody are left");
        assert_usable(db, copy.path(), &options);
    }
}

/// A file with a name like a segment's and the highest number of all, put there by whoever: the next serial was reckoned
/// from it, came to its end, and the segments made then stood before the older ones. Everything could be written, and
/// nothing could be opened any more.
#[test]
fn a_foreign_file_with_a_huge_serial_does_no_harm() {
    for serial in [u64::MAX, u64::MAX - 1, 1 << 63, u64::from(u32::MAX)] {
        for closed in [true, false] {
            let directory = place::in_memory().unwrap();
            let db = OpenDB::open_with_options(directory.path(), small_segments()).unwrap();
            db.put(b"a", b"1").unwrap();
            let copy = if closed {
                db.close().unwrap();
                directory
            } else {
                killed(directory.path())
            };
            std::fs::write(copy.path().join(format!("{serial:016x}.segment")), b"").unwrap();
            // The second time with whatever the first one made of it.
            for _ in 0..2 {
                let db = OpenDB::open_with_options(copy.path(), small_segments()).unwrap();
                assert_eq!(db.get(b"a").unwrap().as_deref(), Some(&b"1"[..]));
                for key in 0..60_u32 {
                    db.put(&key.to_be_bytes(), &[1; 5000]).unwrap();
                }
                db.close().unwrap();
            }
            let db = OpenDB::open_with_options(copy.path(), small_segments()).unwrap();
            assert_eq!(db.len().unwrap(), 61, "serial {serial:x}, closed: {closed}");
        }
    }
}

/// The checksum of Castagnoli, bit by bit: a test that forges a manifest does not use what it tests.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

/// Numbers of a manifest at their limit, with a right checksum: one more than the greatest was asked for, which ended the
/// process in a build that checks, and went round to 0 in one that does not. Now they are either borne or corruption.
#[test]
fn numbers_at_their_limit_in_a_manifest_are_borne_or_refused() {
    const GENERATION: usize = 48;
    const NEXT_SERIAL: usize = 56;
    const DURABLE_SEQUENCE: usize = 64;
    const SEGMENT: usize = 96;
    let of_a_segment = [0, 16, 24, 32, 40].map(|at| SEGMENT + at);
    for closed in [true, false] {
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open_with_options(directory.path(), small_segments()).unwrap();
        for key in 0..20_u32 {
            db.put(&key.to_be_bytes(), &[1; 5000]).unwrap();
        }
        let base = if closed {
            db.close().unwrap();
            directory
        } else {
            db.flush().unwrap();
            killed(directory.path())
        };
        for at in [GENERATION, NEXT_SERIAL, DURABLE_SEQUENCE].into_iter().chain(of_a_segment) {
            for number in [u64::MAX, u64::MAX - 1, 1 << 63, 1 << 32, 0] {
                let copy = killed(base.path());
                change(&copy.path().join("MANIFEST"), |bytes| {
                    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
                    let end = bytes.len() - 4;
                    let sum = crc32c(&bytes[..end]);
                    bytes[end..].copy_from_slice(&sum.to_le_bytes());
                });
                let remains = small_segments().read_damaged(true);
                if let Some(db) = damage_or(OpenDB::open_with_options(copy.path(), remains)).unwrap() {
                    let _entries = damage_or(db.scan_prefix(b"")).unwrap();
                }
                let opened = OpenDB::open_with_options(copy.path(), small_segments());
                let context = format!("{number:x} at {at}, closed: {closed}");
                let Some(db) = damage_or(opened).unwrap_or_else(|failure| panic!("{context}: {failure}"))
                else {
                    continue;
                };
                assert_eq!(db.scan_prefix(b"").unwrap().len(), 20, "{context}");
                assert_usable(db, copy.path(), &small_segments());
            }
        }
    }
}

/// Bytes that this thread has read from files so far, by calls.
#[cfg(target_os = "linux")]
fn bytes_read() -> u64 {
    let counters = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let read = counters.lines().find_map(|line| line.strip_prefix("rchar: "));
    read.unwrap().parse().unwrap()
}

/// Elsewhere nobody counts.
#[cfg(not(target_os = "linux"))]
fn bytes_read() -> u64 {
    0
}

/// A walk over a segment without a map reads a megabyte at a time, and one that only looks at one commit did so too: the
/// tail of the log, written anew commit by commit, cost a megabyte of reading for each.
#[test]
fn recovery_without_a_map_reads_each_byte_a_few_times_only() {
    const SEGMENT_BYTES: u64 = 1 << 20;
    let options = unmapped(Options::new().segment_bytes(SEGMENT_BYTES));
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open_with_options(directory.path(), options.clone()).unwrap();
    for key in 0..3000_u32 {
        db.put(&key.to_be_bytes(), b"v").unwrap();
    }
    let copy = killed(directory.path());
    let before = bytes_read();
    let again = OpenDB::open_with_options(copy.path(), options).unwrap();
    let read = bytes_read() - before;
    assert_eq!(again.len().unwrap(), 3000);
    assert!(read < 16 * SEGMENT_BYTES, "{read} bytes were read for {} segments", segments(copy.path()).len());
}

/// Values that look like the heads of commits of a megabyte each, one at every place where one could begin.
fn heads(is_short: bool, sequence: Option<u64>) -> Vec<u8> {
    // Checksum, value length of 1 MiB, no key, standalone put in "default"; then lag and sequence, or in a short one the sequence.
    let length_and_kind = [[0, 0, 0x10, 0], [0, 0, 0, if is_short { 0xd0 } else { 0x90 }]];
    let unit: Vec<u8> = match sequence.map(u64::to_le_bytes) {
        // Two heads in each other: the second half of one is the first of the next.
        None => [length_and_kind[1], length_and_kind[0]].concat(),
        Some(sequence) if is_short => [&[1; 4], &length_and_kind.concat()[..], &sequence, &[0; 4]].concat(),
        Some(sequence) => [&[1; 4], &length_and_kind.concat()[..], &[0; 4], &sequence].concat(),
    };
    unit.repeat((1 << 20) / unit.len())
}

/// Behind a torn place recovery looks for commits at every multiple of 8, and believed each length that it found: values
/// that are full of such lengths had it check a megabyte every 8 bytes. A power cut, and the database opened after hours.
#[test]
fn values_full_of_false_lengths_behind_a_torn_place_are_read_a_few_times_only() {
    const VALUES: u32 = 12;
    let all: [fn(Options) -> Options; 2] = [std::convert::identity, unmapped];
    let ways = [(0, None), (1, None), (0, Some(2)), (1, Some(2)), (0, Some(9)), (1, Some(9))];
    for ((way, sequence), is_short) in ways.into_iter().flat_map(|way| [(way, false), (way, true)]) {
        // All of it in one segment.
        let options = all[way](Options::new().segment_bytes(16 << 20));
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open_with_options(directory.path(), options.clone()).unwrap();
        db.put_with(b"first", b"1", Durability::Sync).unwrap();
        let mut batch = db.batch();
        for key in 0..VALUES {
            batch.put("default", &key.to_be_bytes(), &heads(is_short, sequence)).unwrap();
        }
        batch.commit().unwrap();
        let copy = killed(directory.path());
        // One page of the batch never reached the device.
        change(&segments(copy.path())[0], |bytes| bytes[8192..12288].fill(0));
        let watch = Watch::start("recovery of a tail that is full of false lengths");
        let before = bytes_read();
        let again = OpenDB::open_with_options(copy.path(), options).unwrap();
        let read = bytes_read() - before;
        drop(watch);
        assert_eq!(again.scan_prefix(b"").unwrap(), [(b"first".to_vec(), b"1".to_vec())]);
        let segment = again.stats().unwrap().allocated_bytes;
        assert!(
            read < 8 * segment,
            "{read} bytes were read of a segment of {segment}, way {way}, {sequence:?}, short: {is_short}"
        );
    }
}

/// Opened for reading what is left.
fn remains(directory: &Path) -> OpenDB {
    OpenDB::open_with_options(directory, Options::new().read_damaged(true)).unwrap()
}

/// Two segments' worth of keys, closed in order or killed.
fn two_segments(closed: bool) -> TempDir {
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open_with_options(directory.path(), small_segments()).unwrap();
    for key in 0..20_u32 {
        db.put(&key.to_be_bytes(), &[1; 5000]).unwrap();
    }
    if closed {
        db.close().unwrap();
        return directory;
    }
    killed(directory.path())
}

/// A segment file that is shorter than a segment's header could not be opened, and so nothing of the database could: the
/// help for damaged databases failed for those that were damaged most.
#[test]
fn what_is_left_can_be_read_where_a_segment_file_is_cut_short() {
    // A commit of `two_segments`: after one of them the cut leaves no trace in the file itself.
    const FRAME_BYTES: usize = (18_usize + 4 + 5000).next_multiple_of(8);
    for closed in [true, false] {
        for length in
            [0, 4, HEADER_BYTES - 1, HEADER_BYTES, HEADER_BYTES + 8, HEADER_BYTES + FRAME_BYTES, 20_000]
        {
            for number in [0, 1] {
                let directory = two_segments(closed);
                let path = &segments(directory.path())[number];
                change(path, |bytes| bytes.truncate(length));
                let before = opendb_tests::damage::read_files(directory.path()).unwrap();
                let db = remains(directory.path());
                let keys: Vec<_> = db.keys(&Scan::all()).unwrap().map(Result::unwrap).collect();
                let context = format!("segment {number} has {length} bytes, closed: {closed}");
                // Thirteen commits fit a segment.
                let lost = if number == 0 { 0..13 } else { 13..20 };
                let kept =
                    (0..20_u32).filter(|key| !lost.contains(key)).map(|key| key.to_be_bytes().to_vec());
                assert!(kept.into_iter().all(|key| keys.contains(&key)), "{context}: {} keys", keys.len());
                assert!(keys.len() < 20, "{context}");
                assert!(!db.stats().unwrap().recovery.damaged.is_empty(), "{context}: nothing is told");
                db.close().unwrap();
                let mut after = opendb_tests::damage::read_files(directory.path()).unwrap();
                after.retain(|name, _| before.contains_key(name));
                assert_eq!(after.len(), before.len(), "{context}");
                assert!(
                    after.iter().all(|(name, bytes)| name == Path::new("LOCK") || before[name] == *bytes)
                );
            }
        }
    }
}

/// The record that names a keyspace was damaged: the next one had a number that was not expected, and so nothing of the
/// database could be read, though only one name was lost.
#[test]
fn what_is_left_can_be_read_where_the_name_of_a_keyspace_is_lost() {
    for lost in ["one", "two", "three"] {
        let directory = place::in_memory().unwrap();
        let db = OpenDB::open(directory.path()).unwrap();
        db.put(b"before", b"1").unwrap();
        for name in ["one", "two", "three"] {
            db.keyspace(name).unwrap().put(b"key", name.as_bytes()).unwrap();
        }
        db.put(b"after", b"2").unwrap();
        db.close().unwrap();
        change(&segments(directory.path())[0], |bytes| {
            let at = bytes.windows(lost.len()).position(|window| window == lost.as_bytes()).unwrap();
            bytes[at] = b'X';
        });
        let db = remains(directory.path());
        let stats = db.stats().unwrap();
        assert!(!stats.recovery.damaged.is_empty(), "{lost}: nothing is told");
        for (key, value) in [(&b"before"[..], b"1"), (b"after", b"2")] {
            assert_eq!(db.get(key).unwrap().as_deref(), Some(&value[..]), "{lost}");
        }
        for name in ["one", "two", "three"].into_iter().filter(|name| *name != lost) {
            assert!(db.keyspaces().unwrap().contains(&name.to_owned()), "{name} without {lost}");
            let keyspace = db.keyspace(name).unwrap();
            assert_eq!(keyspace.get(b"key").unwrap().as_deref(), Some(name.as_bytes()), "without {lost}");
            assert_eq!(keyspace.scan_prefix(b"").unwrap().len(), 1, "{name} without {lost}");
        }
        let keys: u64 =
            db.keyspaces().unwrap().iter().map(|name| db.keyspace(name).unwrap().len().unwrap()).sum();
        assert!(keys >= 4, "{lost}: {keys} keys");
    }
}
