//! Salvage: of a damaged database everything that can be read comes into a new one, what cannot is told, and nothing is made
//! up.

use std::path::{Path, PathBuf};

use super::model::{Driven, History, PATH, Random, assert_same, options, read_all};
use crate::database::salvage::{Salvage, salvage_from};
use crate::disk::{Disk, OpenMode, SimulatedDisk};
use crate::log::{MANIFEST_NAME, MARK_NAME, serial_of_name};
use crate::manifest::SegmentHeader;
use crate::options::Options;
use crate::{Error, OpenDB, Result, Scan};

const NEW: &str = "/new";
const HISTORIES: u64 = 10;

fn salvage(disk: &SimulatedDisk) -> Result<(OpenDB, Salvage)> {
    let open_new = || OpenDB::open_on(disk, Path::new(NEW), &Options::new().segment_bytes(1 << 20));
    let salvage = salvage_from(&disk.shared(), Path::new(PATH), &open_new)?;
    Ok((open_new()?, salvage))
}

/// Salvages: nothing is in the new database that never was, and it is all there unless something is told to be lost.
fn check(disk: &SimulatedDisk, history: &History, context: &str) -> (OpenDB, Salvage) {
    let before = files(disk);
    let (db, salvage) = match salvage(disk) {
        Ok(done) => done,
        Err(error) => panic!("salvage failed: {error}, {context}"),
    };
    assert_eq!(files(disk), before, "the damaged directory was changed, {context}");
    let mut keys = 0;
    for name in db.keyspaces().unwrap() {
        let known = (!name.starts_with("lost name")).then_some(&name[..]);
        for entry in db.keyspace(&name).unwrap().iter(&Scan::all()).unwrap() {
            let (key, value) = entry.unwrap();
            keys += 1;
            assert!(history.ever_had(known, &key, &value), "{key:?} never had this value, {context}");
        }
    }
    assert_eq!((keys, db.keyspaces().unwrap().len() as u64), (salvage.keys, salvage.keyspaces));
    assert!(db.verify().unwrap().violations.is_empty());
    if salvage.lost.is_empty() {
        assert_whole(&db, history, context);
    }
    (db, salvage)
}

fn assert_whole(db: &OpenDB, history: &History, context: &str) {
    assert_same(&read_all(db), &history.state(history.len()), context);
}

/// Every file of the database but the lock, with its content.
fn files(disk: &SimulatedDisk) -> Vec<(String, Vec<u8>)> {
    let mut names = disk.list(Path::new(PATH)).unwrap();
    names.retain(|name| name != "LOCK");
    names.sort();
    names.into_iter().map(|name| (name.clone(), content(disk, &name))).collect()
}

fn path(name: &str) -> PathBuf {
    Path::new(PATH).join(name)
}

fn content(disk: &SimulatedDisk, name: &str) -> Vec<u8> {
    let file = disk.open(&path(name), OpenMode::ReadOnly).unwrap();
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    bytes
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    let mut names = disk.list(Path::new(PATH)).unwrap();
    names.retain(|name| serial_of_name(name).is_some());
    names.sort();
    names
}

/// Flips a bit of what is not zeros.
fn flip(disk: &SimulatedDisk, name: &str, random: &mut Random) {
    let bytes = content(disk, name);
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    flip_at(disk, name, random.below(used));
}

fn flip_at(disk: &SimulatedDisk, name: &str, at: usize) {
    let file = disk.open(&path(name), OpenMode::ReadWrite).unwrap();
    let mut byte = [0];
    file.read_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at as u64).unwrap();
}

/// A database with segments of every kind: closed in order, or as the death of its process leaves it.
fn lived(seed: u64, random: &mut Random) -> (SimulatedDisk, History) {
    let mut driven = Driven::new(&SimulatedDisk::new(), &options(random));
    driven.large_one_in = 30;
    for step in 0..120 {
        driven.step(random).unwrap();
        if step % 40 == 39 {
            driven.db.compact().unwrap();
        }
    }
    let history = driven.history.clone();
    match seed.is_multiple_of(2) {
        true => (driven.disk.process_death(), history),
        false => {
            driven.db.close().unwrap();
            (driven.disk.process_death(), history)
        }
    }
}

#[test]
fn nothing_is_lost_of_a_database_that_is_not_damaged() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed);
        let (disk, history) = lived(seed, &mut random);
        let (_, salvage) = check(&disk, &history, &format!("seed {seed}"));
        assert_eq!(salvage.lost, Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn all_of_it_is_there_without_the_manifest_and_with_a_damaged_one() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0x50);
        let (disk, history) = lived(seed, &mut random);
        for kind in ["missing", "damaged", "with nothing else"] {
            let image = disk.process_death();
            match kind {
                "damaged" => flip(&image, MANIFEST_NAME, &mut random),
                "missing" => image.remove(&path(MANIFEST_NAME)).unwrap(),
                _ => {
                    for (name, _) in files(&image).iter().filter(|(name, _)| serial_of_name(name).is_none()) {
                        image.remove(&path(name)).unwrap();
                    }
                }
            }
            let context = format!("manifest {kind}, seed {seed}");
            let (db, salvage) = check(&image, &history, &context);
            assert_eq!(salvage.lost.len(), 1, "{:?}, {context}", salvage.lost);
            assert_whole(&db, &history, &context);
        }
    }
}

#[test]
fn all_of_it_is_there_with_damaged_headers() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0x4ead);
        let (disk, history) = lived(seed, &mut random);
        for has_manifest in [true, false] {
            let image = disk.process_death();
            let names = segments(&image);
            // One is left to tell whose they are, which the manifest does otherwise.
            let spared = if has_manifest { names.len() } else { random.below(names.len()) };
            if !has_manifest {
                image.remove(&path(MANIFEST_NAME)).unwrap();
            }
            for (number, name) in names.iter().enumerate().filter(|(number, _)| *number != spared) {
                flip_at(&image, name, (number * 7 + seed as usize) % 64);
            }
            let context = format!("headers, manifest {has_manifest}, seed {seed}");
            let (db, salvage) = check(&image, &history, &context);
            assert!(!salvage.lost.is_empty());
            assert_whole(&db, &history, &context);
        }
    }
}

#[test]
fn what_is_damaged_anywhere_is_told_and_the_rest_is_right() {
    let (mut lost, mut whole) = (0, 0);
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0xf11b);
        let (disk, history) = lived(seed, &mut random);
        let names = segments(&disk);
        for round in 0..4 {
            let image = disk.process_death();
            let name = &names[random.below(names.len())];
            match round {
                0 => image.remove(&path(name)).unwrap(),
                1 => flip(&image, name, &mut random),
                2 => (0..6).for_each(|_| flip(&image, &names[random.below(names.len())], &mut random)),
                _ => {
                    image.remove(&path(MANIFEST_NAME)).unwrap();
                    (0..3).for_each(|_| flip(&image, &names[random.below(names.len())], &mut random));
                }
            }
            let (_, salvage) = check(&image, &history, &format!("round {round}, seed {seed}"));
            if round == 0 {
                assert!(!salvage.lost.is_empty(), "a segment is missing, seed {seed}");
            }
            lost += usize::from(!salvage.lost.is_empty());
            whole += usize::from(salvage.lost.is_empty());
        }
    }
    // Some flips hit what is not in use.
    assert!(lost > 4 * whole, "{lost} times something was lost, {whole} times nothing");
}

#[test]
fn an_old_manifest_hides_nothing_that_came_after_it() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0x01d);
        let mut driven = Driven::new(&SimulatedDisk::new(), &options(&mut random));
        driven.large_one_in = 30;
        for _ in 0..30 {
            driven.step(&mut random).unwrap();
        }
        let old = content(&driven.disk, MANIFEST_NAME);
        for _ in 0..80 {
            driven.step(&mut random).unwrap();
        }
        let image = driven.disk.process_death();
        image.remove(&path(MANIFEST_NAME)).unwrap();
        image.open(&path(MANIFEST_NAME), OpenMode::CreateNew).unwrap().write_all_at(&old, 0).unwrap();
        if seed.is_multiple_of(2) {
            image.remove(&path(MARK_NAME)).unwrap();
        }
        let (db, _) = check(&image, &driven.history, &format!("seed {seed}"));
        assert_whole(&db, &driven.history, &format!("seed {seed}"));
    }
}

/// Somebody put the manifest of another database into the directory. Salvage took its word for whose the segments had to be, left out
/// all of them, and made an empty database.
#[test]
fn a_manifest_of_another_database_is_as_good_as_none() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0x07e4);
        let (disk, history) = lived(seed, &mut random);
        let (other, _) = lived(seed + 1, &mut random);
        disk.remove(&path(MANIFEST_NAME)).unwrap();
        let file = disk.open(&path(MANIFEST_NAME), OpenMode::CreateNew).unwrap();
        file.write_all_at(&content(&other, MANIFEST_NAME), 0).unwrap();
        let context = format!("manifest of another database, seed {seed}");
        let (db, salvage) = check(&disk, &history, &context);
        assert_eq!(salvage.lost.len(), 1, "{:?}, {context}", salvage.lost);
        assert_whole(&db, &history, &context);
    }
}

/// The last commits of a log that was not closed had become zeros, as pages do that a device loses. They had been on the device, and
/// what they had overwritten may have been given up since: but zeros at the end of an open segment are what it is made with, and
/// salvage told of no loss.
#[test]
fn zeros_in_the_place_of_commits_that_had_been_on_the_device_are_told() {
    const RECORD_BYTES: usize = 520;
    for is_flushed in [true, false] {
        let disk = SimulatedDisk::new();
        let options = Options::new().segment_bytes(64 << 10);
        let db = OpenDB::open_on(&disk, Path::new(PATH), &options).unwrap();
        for number in 0..6_u8 {
            db.put(&[number], &[number; 500]).unwrap();
        }
        if is_flushed {
            db.flush().unwrap();
        }
        let died = disk.process_death();
        let file = died.open(&path("0000000000000001.segment"), OpenMode::ReadWrite).unwrap();
        file.write_all_at(&[0; 2 * RECORD_BYTES], (64 + 4 * RECORD_BYTES) as u64).unwrap();
        let (db, salvage) = salvage(&died).unwrap();
        assert_eq!(db.len().unwrap(), 4);
        assert_eq!(salvage.lost.len(), usize::from(is_flushed), "{:?}", salvage.lost);
    }
}

/// The end of the first of two open segments had become zeros. The second had later commits, so that the highest one was there, and
/// salvage and `read_damaged` told of no loss.
#[test]
fn zeros_at_the_end_of_the_first_of_two_open_segments_are_told() {
    let options = Options::new().segment_bytes(64 << 10);
    for flushed in [9, 0] {
        let disk = SimulatedDisk::new();
        let db = OpenDB::open_on(&disk, Path::new(PATH), &options).unwrap();
        for number in 0..14_u64 {
            // Ten fit.
            db.put(&number.to_be_bytes(), &[7; 6000]).unwrap();
            if number + 1 == flushed {
                db.flush().unwrap();
            }
        }
        let died = disk.process_death();
        let record_bytes = (db.stats().unwrap().log_bytes / 14) as usize;
        let name = segments(&died)[0].clone();
        let file = died.open(&path(&name), OpenMode::ReadWrite).unwrap();
        let from = 64 + 7 * record_bytes;
        file.write_all_at(&vec![0; (64 << 10) - from], from as u64).unwrap();
        for has_manifest in [true, false] {
            let image = died.process_death();
            let mut told = Vec::new();
            if has_manifest {
                let read = OpenDB::open_on(
                    &died.process_death(),
                    Path::new(PATH),
                    &options.clone().read_damaged(true),
                );
                told.push(read.unwrap().stats().unwrap().recovery.damaged);
            } else {
                image.remove(&path(MANIFEST_NAME)).unwrap();
            }
            let (new, salvage) = salvage(&image).unwrap();
            assert_eq!(new.len().unwrap(), 11);
            told.push(salvage.lost);
            for told in &told {
                // A sync of the background may have come between.
                let is_told = told.iter().any(|sentence| sentence.starts_with("commits 8 to "));
                assert!(is_told || flushed == 0, "{told:?}, manifest {has_manifest}");
                assert!(told.len() <= 1 + usize::from(!has_manifest), "{told:?}, manifest {has_manifest}");
            }
        }
    }
}

/// What was between two segments and was compacted away is no loss.
#[test]
fn commits_that_were_given_up_are_not_told_as_lost() {
    let options = Options::new().segment_bytes(64 << 10);
    let disk = SimulatedDisk::new();
    let db = OpenDB::open_on(&disk, Path::new(PATH), &options).unwrap();
    let put = |number: u64| db.put(&(number % 20).to_be_bytes(), &[7; 6000]).unwrap();
    // The keys of the first and the last segments are not written again.
    (0..10).for_each(|number| db.put(&[number], &[8; 6000]).unwrap());
    (0..100).for_each(put);
    db.compact().unwrap();
    (0..15).for_each(put);
    db.flush().unwrap();
    for has_manifest in [true, false] {
        let image = disk.process_death();
        if !has_manifest {
            image.remove(&path(MANIFEST_NAME)).unwrap();
        }
        let (_, salvage) = salvage(&image).unwrap();
        assert_eq!(salvage.lost.len(), usize::from(!has_manifest), "{:?}", salvage.lost);
    }
}

/// The same of a segment that was sealed when it was full to its last byte: zeros up to its end were taken for those of an open one.
#[test]
fn zeros_at_the_end_of_a_segment_that_is_full_are_told() {
    let disk = SimulatedDisk::new();
    let db = OpenDB::open_on(&disk, Path::new(PATH), &Options::new().segment_bytes(64 << 10)).unwrap();
    // Eight take all that the header leaves.
    for number in 0..9_u64 {
        db.put(&number.to_be_bytes(), &[7; 8156]).unwrap();
    }
    assert_eq!(db.stats().unwrap().log_bytes, 9 * ((64 << 10) - 64) / 8);
    db.close().unwrap();
    let name = segments(&disk)[0].clone();
    let file = disk.open(&path(&name), OpenMode::ReadWrite).unwrap();
    let length = file.length().unwrap();
    let last = (length - 64) / 8;
    file.write_all_at(&vec![0; last as usize], length - last).unwrap();
    let (_, salvage) = salvage(&disk).unwrap();
    assert_eq!(salvage.lost.len(), 1, "{:?}", salvage.lost);
    // Not only by the commits behind them, which need not be there.
    assert!(salvage.lost[0].starts_with("segment 1: no commit can be read"), "{:?}", salvage.lost);
}

#[test]
fn commits_that_a_recovery_had_dropped_do_not_come_back() {
    let options = Options::new().segment_bytes(64 << 10);
    let disk = SimulatedDisk::new();
    let db = OpenDB::open_on(&disk, Path::new(PATH), &options).unwrap();
    for number in 0..6_u8 {
        db.put(&[number], &[number; 500]).unwrap();
        if number == 1 {
            db.flush().unwrap();
        }
    }
    // The third one is torn. With it go the three behind it, which nobody had been promised.
    let died = disk.process_death();
    flip_at(&died, "0000000000000001.segment", 64 + 2 * 528 + 100);
    let kept = content(&died, "0000000000000001.segment");
    let db = OpenDB::open_on(&died, Path::new(PATH), &options).unwrap();
    assert_eq!(db.len().unwrap(), 2);
    db.put(b"new", b"third commit").unwrap();
    db.close().unwrap();
    // The room behind the cut was not given back, and the manifest is lost.
    died.remove(&path(MANIFEST_NAME)).unwrap();
    died.remove(&path("0000000000000001.segment")).unwrap();
    let file = died.open(&path("0000000000000001.segment"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&kept, 0).unwrap();
    let (db, salvage) = salvage(&died).unwrap();
    let keys: Vec<_> = db.keys(&Scan::all()).unwrap().map(|key| key.unwrap()).collect();
    assert_eq!(keys, [vec![0], vec![1], b"new".to_vec()], "{:?}", salvage.lost);
}

#[test]
fn files_of_other_databases_are_left_out_and_an_empty_place_is_refused() {
    let mut random = Random(3);
    let (disk, history) = lived(2, &mut random);
    let (other, _) = lived(4, &mut random);
    disk.remove(&path(MANIFEST_NAME)).unwrap();
    let name = segments(&other)[0].clone();
    let strange = content(&other, &name);
    assert!(SegmentHeader::decode(&strange).is_some());
    let file = disk.open(&path("00000000000000ff.segment"), OpenMode::CreateNew).unwrap();
    file.write_all_at(&strange, 0).unwrap();
    let (db, salvage_of_both) = check(&disk, &history, "with a segment of another database");
    assert_eq!(salvage_of_both.lost.len(), 2, "{:?}", salvage_of_both.lost);
    assert_whole(&db, &history, "with a segment of another database");
    let empty = SimulatedDisk::new();
    empty.create_directory(Path::new(PATH)).unwrap();
    assert!(matches!(salvage(&empty), Err(Error::Io { .. })));
    assert!(empty.list(Path::new(NEW)).is_err(), "nothing was created");
}

#[cfg(not(miri))]
mod on_the_real_disk {
    use super::*;

    #[test]
    fn a_database_without_a_manifest_is_salvaged_and_both_places_are_checked() {
        let place = tempfile::tempdir().unwrap();
        let (from, into) = (place.path().join("from"), place.path().join("into"));
        assert!(matches!(OpenDB::salvage(&from, &into), Err(Error::Io { .. })));
        let db = OpenDB::open_with_options(&from, Options::new().segment_bytes(64 << 10)).unwrap();
        for number in 0..300_u32 {
            db.put(&number.to_le_bytes(), &[number as u8; 1000]).unwrap();
        }
        db.put(b"large", &vec![5; 2 << 20]).unwrap();
        db.keyspace("empty").unwrap();
        assert!(matches!(OpenDB::salvage(&from, &into), Err(Error::Locked(_))));
        db.close().unwrap();
        std::fs::remove_file(from.join(MANIFEST_NAME)).unwrap();
        assert!(matches!(OpenDB::salvage(&from, from.join("new")), Err(Error::InvalidArgument(_))));
        assert!(matches!(OpenDB::salvage(&from, place.path()), Err(Error::InvalidArgument(_))));
        let salvage = OpenDB::salvage(&from, &into).unwrap();
        assert_eq!((salvage.keys, salvage.keyspaces, salvage.lost.len()), (301, 2, 1));
        let db = OpenDB::open(&into).unwrap();
        assert_eq!(db.get(&7_u32.to_le_bytes()).unwrap().unwrap(), [7; 1000]);
        assert_eq!(db.get(b"large").unwrap().unwrap(), vec![5; 2 << 20]);
    }
}
