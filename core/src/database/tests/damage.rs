//! Damaged bytes: what had been on the device is never cut away in silence, and what stands elsewhere than it was written
//! is nothing.

use std::path::Path;

use super::model::{Driven, PATH, Random, all_options, open, open_image};
use crate::Error;
use crate::disk::{Disk, DiskFile, OpenMode, SimulatedDisk};
use crate::log::{MANIFEST_NAME, MARK_NAME, segment_name};
use crate::manifest::SEGMENT_HEADER_BYTES;
use crate::options::{Durability, Options};
use crate::record::{Kind, NewRecord};

const VALUE_BYTES: usize = 500;
const FRAMES: usize = 4;

/// Four commits in one segment, three of them synced, which only the last one tells: the manifest is older than all.
fn four_commits(options: &Options) -> Driven {
    let mut random = Random(1);
    let mut driven = Driven::new(&SimulatedDisk::new(), options);
    for number in 0..FRAMES {
        let durability = if number < 3 { Durability::Sync } else { Durability::Buffered };
        let name = ("default", vec![b'k', number as u8]);
        driven.put_value(name, random.bytes(VALUE_BYTES), durability).unwrap();
    }
    driven
}

fn segment(disk: &SimulatedDisk) -> std::sync::Arc<dyn DiskFile> {
    disk.open(&Path::new(PATH).join(segment_name(1)), OpenMode::ReadWrite).unwrap()
}

/// Where a commit stands, counted from 0.
fn offset(number: usize) -> u64 {
    let record = NewRecord { kind: Kind::Put, keyspace: 0, key: b"k?", value: &[0; VALUE_BYTES] };
    (SEGMENT_HEADER_BYTES + number * record.standalone_bytes(1)) as u64
}

#[test]
fn a_damaged_commit_that_had_been_durable_is_corruption() {
    for options in all_options(64 << 10) {
        let driven = four_commits(&options);
        for number in 0..3 {
            let image = driven.disk.process_death();
            segment(&image).write_all_at(b"damage", offset(number) + 100).unwrap();
            let refused = open(&image, &options);
            assert!(matches!(&refused, Err(Error::Corruption { segment: 1, .. })), "{number}: {refused:?}");
            let db = open(&image, &options.clone().read_damaged(true)).unwrap();
            assert_eq!(db.len().unwrap(), FRAMES as u64 - 1);
            assert!(!db.stats().unwrap().recovery.damaged.is_empty());
        }
    }
}

#[test]
fn a_damaged_commit_that_may_not_have_been_durable_is_a_torn_tail() {
    for options in all_options(64 << 10) {
        let driven = four_commits(&options);
        let image = driven.disk.process_death();
        segment(&image).write_all_at(b"damage", offset(3) + 100).unwrap();
        // With the last commit goes the word of what had been durable, but nothing of it.
        let (db, found) = open_image(&image, &options, &driven.history, 3, "the last one is damaged");
        let recovery = db.stats().unwrap().recovery;
        assert_eq!((found, recovery.torn_segment, recovery.torn_offset), (3, 1, offset(3)));
        assert!(recovery.bytes_dropped as usize > VALUE_BYTES);
    }
}

#[test]
fn damage_to_the_last_synced_commit_is_corruption_though_nothing_follows_it() {
    for options in all_options(64 << 10) {
        for flushed in [false, true] {
            let mut driven = Driven::new(&SimulatedDisk::new(), &options);
            let durability = if flushed { Durability::Buffered } else { Durability::Sync };
            driven.put_value(("default", b"k0".to_vec()), vec![7; VALUE_BYTES].into(), durability).unwrap();
            if flushed {
                driven.db.flush().unwrap();
            }
            let image = driven.disk.process_death();
            segment(&image).write_all_at(b"damage", offset(0) + 100).unwrap();
            let refused = open(&image, &options);
            assert!(matches!(&refused, Err(Error::Corruption { segment: 1, .. })), "{flushed}: {refused:?}");
            assert!(image.open(&Path::new(PATH).join(segment_name(1)), OpenMode::ReadOnly).is_ok());
        }
    }
}

#[test]
fn a_manifest_that_is_an_old_copy_is_refused() {
    for options in all_options(64 << 10) {
        let driven = four_commits(&options);
        let path = Path::new(PATH).join(MANIFEST_NAME);
        let file = driven.disk.open(&path, OpenMode::ReadOnly).unwrap();
        let mut old = vec![0; file.length().unwrap() as usize];
        file.read_at(&mut old, 0).unwrap();
        let disk = driven.disk.clone();
        drop(driven); // closes the database, so that a newer manifest is written
        disk.remove(&path).unwrap();
        disk.open(&path, OpenMode::CreateNew).unwrap().write_all_at(&old, 0).unwrap();
        let refused = open(&disk, &options);
        assert!(matches!(&refused, Err(Error::Corruption { segment: 0, .. })), "{refused:?}");
    }
}

#[test]
fn a_commit_that_stands_elsewhere_is_nothing() {
    for options in all_options(64 << 10) {
        let driven = four_commits(&options);
        let image = driven.disk.process_death();
        let file = segment(&image);
        let mut last = vec![0; (offset(4) - offset(3)) as usize];
        file.read_at(&mut last, offset(3)).unwrap();
        // Without the durable mark only commits tell what had been durable.
        image.remove(&Path::new(PATH).join(MARK_NAME)).unwrap();
        // The last three are gone, and the last one, which says that they had been durable, stands somewhere behind.
        file.write_all_at(&vec![0; (offset(4) - offset(1)) as usize], offset(1)).unwrap();
        file.write_all_at(&last, 8192).unwrap();
        let (_, found) = open_image(&image, &options, &driven.history, 1, "moved");
        assert_eq!(found, 1);
    }
}

/// The record is in the log by the time that the one before it is found to be damaged. It must be in no later life, and the next commit
/// takes its place.
#[test]
fn a_put_over_a_damaged_record_is_refused_and_leaves_nothing() {
    for options in all_options(64 << 10) {
        let mut driven = four_commits(&options);
        driven.db.close().unwrap();
        segment(&driven.disk).write_all_at(b"damage", offset(1) + 4).unwrap();
        driven.db = open(&driven.disk, &options).unwrap();
        let (damaged, value) = (&[b'k', 1], &[1; 40]);
        for durability in [Durability::Buffered, Durability::Sync] {
            let refused = driven.db.put_with(damaged, value, durability);
            assert!(matches!(&refused, Err(Error::Corruption { segment: 1, .. })), "{refused:?}");
        }
        let image = driven.disk.process_death();
        let later = open(&image, &options.clone().read_damaged(true)).unwrap();
        assert_ne!(later.get(damaged).ok().flatten().as_deref(), Some(&value[..]));
        let other = ("default", b"other".to_vec());
        driven.put_value(other.clone(), vec![2; 40].into(), Durability::Buffered).unwrap();
        let image = driven.disk.process_death();
        let later = open(&image, &options.clone().read_damaged(true)).unwrap();
        assert_eq!(later.get(&other.1).unwrap().as_deref(), Some(&[2; 40][..]));
        assert_ne!(later.get(damaged).ok().flatten().as_deref(), Some(&value[..]));
    }
}
