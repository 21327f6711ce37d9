//! Everything made anew from the segments, in each way that there is: record by record, which is the reference, and at once on one
//! thread or several, with hints and without.

use std::path::Path;
use std::sync::Arc;

use super::model::{Driven, PATH, Random, all_options, open, open_image};
use crate::Durability;
use crate::compaction::Effort;
use crate::disk::{DirectoryLock, Disk, OpenMode, SimulatedDisk};
use crate::error::Result;
use crate::log::{LogConfig, SegmentSizes, read_manifest};
use crate::manifest::Manifest;
use crate::options::{AppendMode, Options};
use crate::segment::Access;
use crate::store::{Rebuilt, rebuilt};

const HINT: &str = ".hint";

/// What a log on this disk is opened with, without an engine: its configuration, its manifest, and the lock on its directory.
pub(super) fn without_engine(
    disk: &SimulatedDisk,
    options: &Options,
) -> Result<(LogConfig, Manifest, DirectoryLock)> {
    let shared: Arc<dyn Disk> = disk.shared();
    let manifest = read_manifest(&*shared, Path::new(PATH))?.unwrap();
    let lock = DirectoryLock::acquire(&shared, Path::new(PATH))?;
    let mapped_append = options.append == AppendMode::Mapped;
    let config = LogConfig {
        disk: shared,
        directory: PATH.into(),
        access: Access { mapped_append, mapped_reads: options.mapped_reads },
        sizes: SegmentSizes { fixed: options.segment_bytes, device: None },
        identity: manifest.identity,
        lock: lock.identity(),
    };
    Ok((config, manifest, lock))
}

/// What a rebuild of this image ends with. The image is left as it is.
fn rebuild(disk: &SimulatedDisk, options: &Options, threads: usize) -> Result<(Rebuilt, u64)> {
    let (config, mut manifest, _lock) = without_engine(&disk.process_death(), options)?;
    manifest.checkpoint = None;
    rebuilt(config, manifest, threads)
}

fn hints(disk: &SimulatedDisk) -> Vec<std::path::PathBuf> {
    let mut names = disk.list(Path::new(PATH)).unwrap();
    names.retain(|name| name.ends_with(HINT));
    names.sort();
    names.into_iter().map(|name| Path::new(PATH).join(name)).collect()
}

fn write_hints(driven: &Driven) {
    driven.db.keyspace("default").unwrap().handle.shared_store().unwrap().write_missing_hints();
}

/// All ways lead to the same end. Gives how many commits were read one by one, by the reference and with hints.
pub(super) fn all_agree(
    disk: &SimulatedDisk,
    options: &Options,
    random: &mut Random,
    context: &str,
) -> (u64, u64) {
    let (expected, all) = rebuild(disk, options, 0).unwrap();
    let (found, hinted) = rebuild(disk, options, 1).unwrap();
    assert_eq!(found, expected, "with hints, {context}");
    assert_eq!(rebuild(disk, options, 3).unwrap(), (expected, hinted), "three threads, {context}");
    let (expected, _) = rebuild(disk, options, 0).unwrap();
    let other = disk.process_death();
    for (number, path) in hints(&other).iter().enumerate() {
        match (number + random.below(3)) % 3 {
            0 => other.remove(path).unwrap(),
            1 => damage(&other, path, random),
            _ => {}
        }
    }
    assert_eq!(rebuild(&other, options, 2).unwrap().0, expected, "with few hints, {context}");
    (all, hinted)
}

fn damage(disk: &SimulatedDisk, path: &Path, random: &mut Random) {
    let file = disk.open(path, OpenMode::ReadWrite).unwrap();
    let length = file.length().unwrap() as usize;
    if length == 0 {
        return;
    }
    let at = random.below(length) as u64;
    let mut byte = [0];
    file.read_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1 << random.below(8)], at).unwrap();
}

#[test]
fn every_way_to_rebuild_ends_in_the_same_state() {
    let (mut all, mut with_hints) = (0, 0);
    for seed in 1..=20 {
        let options = all_options(64 << 10)[seed as usize % 3].clone();
        let disk = SimulatedDisk::new();
        let mut random = Random(seed * 7_919);
        let mut driven = Driven::new(&disk, &options);
        driven.large_one_in = if seed % 4 == 0 { 30 } else { 0 };
        for step in 0..60 {
            match random.below(20) {
                0 => drop(driven.db.compact().unwrap()),
                1 => write_hints(&driven),
                _ => driven.step(&mut random).unwrap(),
            }
            if random.one_in(12) {
                let image =
                    if random.one_in(2) { disk.process_death() } else { disk.crash(&mut || random.next()) };
                let (frames, hinted) =
                    all_agree(&image, &options, &mut random, &format!("seed {seed}, step {step}"));
                all += frames;
                with_hints += hinted;
            }
        }
        driven.db.close().unwrap();
        all_agree(&disk, &options, &mut random, &format!("seed {seed}, closed"));
    }
    assert!(with_hints < all, "hints are of use: {with_hints} of {all} commits were read");
}

#[test]
fn hints_go_with_their_segments() {
    let options = all_options(64 << 10)[1].clone();
    let disk = SimulatedDisk::new();
    let mut random = Random(5);
    let mut driven = Driven::new(&disk, &options);
    for number in 0..40_u32 {
        let name = ("default", number.to_be_bytes().to_vec());
        driven.put_value(name, random.bytes(9_000), Durability::Buffered).unwrap();
    }
    driven.db.flush().unwrap();
    write_hints(&driven);
    let before = hints(&disk);
    assert!(before.len() >= 5, "{before:?}");
    for number in 0..40_u32 {
        driven.delete_key(("default", number.to_be_bytes().to_vec()), Durability::Buffered).unwrap();
    }
    driven.db.compact().unwrap();
    write_hints(&driven);
    assert!(hints(&disk).iter().all(|path| !before.contains(path)), "{:?}", hints(&disk));
    let all = driven.history.len();
    driven.db.close().unwrap();
    // One of a segment that is not there, and one that was not written to its end.
    for serial in ["00000000000000aa", "0000000000000001"] {
        disk.open(&Path::new(PATH).join(format!("{serial}{HINT}")), OpenMode::CreateNew).unwrap();
    }
    let (db, _) = open_image(&disk, &options, &driven.history, all, "hints of nothing");
    db.keyspace("default").unwrap().handle.shared_store().unwrap().write_missing_hints();
    assert!(
        hints(&disk).iter().all(|path| disk.open(path, OpenMode::ReadOnly).unwrap().length().unwrap() > 64)
    );
}

/// Also while others write all the time, when nobody comes to tidy.
#[test]
fn a_hint_is_gone_as_soon_as_its_segment_is_retired() {
    let options = &all_options(64 << 10)[1];
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    for round in 0..3_u8 {
        for number in 0..100_u8 {
            db.put(&[number], &[round; 2_000]).unwrap();
        }
        db.flush().unwrap();
        if round == 0 {
            db.compact().unwrap();
        }
    }
    let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
    store.write_missing_hints();
    let before = hints(&disk).len();
    store.compact_a_little(true, 100, || {});
    let segments = disk.list(Path::new(PATH)).unwrap();
    let has_segment = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().replace(HINT, ".segment");
        segments.contains(&name)
    };
    assert!(hints(&disk).iter().all(has_segment), "{:?} beside {segments:?}", hints(&disk));
    assert!(hints(&disk).len() < before, "some segments were retired");
}

/// They would be compacted before the hint is of use.
#[test]
fn while_others_write_segments_with_much_garbage_have_no_hint() {
    let options = &all_options(64 << 10)[1];
    let disk = SimulatedDisk::new();
    let db = open(&disk, options).unwrap();
    // Two thirds of the first half are overwritten.
    for number in (0..200_u8).chain((0..100).filter(|number| number % 3 > 0)) {
        db.put(&[number], &[1; 2_000]).unwrap();
    }
    db.flush().unwrap();
    let store = db.keyspace("default").unwrap().handle.shared_store().unwrap();
    store.tidy_hints(Effort::Rest);
    let all = hints(&disk);
    store.tidy_hints(Effort::Busy);
    let few = hints(&disk);
    assert!(all.len() >= 8 && (2..=4).contains(&(all.len() - few.len())), "{few:?} of {all:?}");
    assert!(few.iter().all(|path| all[2..].contains(path)), "the oldest have the garbage");
    store.tidy_hints(Effort::Rest);
    assert_eq!(hints(&disk), all);
}

#[test]
fn a_record_that_is_not_what_its_hint_says_is_corruption() {
    let options = all_options(64 << 10)[1].clone();
    let disk = SimulatedDisk::new();
    let mut random = Random(6);
    let mut driven = Driven::new(&disk, &options);
    for number in 0..20_u32 {
        let name = ("default", format!("a key of some length {number}").into_bytes());
        driven.put_value(name, random.bytes(9_000), Durability::Sync).unwrap();
    }
    write_hints(&driven);
    assert!(!hints(&disk).is_empty());
    let image = disk.process_death();
    let segment = Path::new(PATH).join(crate::log::segment_name(1));
    let file = image.open(&segment, OpenMode::ReadWrite).unwrap();
    // In the key of the first record.
    file.write_all_at(b"?", 64 + 24 + 3).unwrap();
    for threads in 0..2 {
        let error = rebuild(&image, &options, threads).unwrap_err();
        assert!(matches!(error, crate::Error::Corruption { segment: 1, .. }), "{error}");
    }
}
