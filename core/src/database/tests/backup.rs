//! Backups: each is the state at one commit, shares files with its database and outlives it.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::model::{Driven, History, PATH, Random, all_options, assert_same, open, options, read_all};
use crate::disk::{Call, Disk, Fault, OpenMode, Operation, SimulatedDisk};
use crate::options::Options;
use crate::store::Backup;
use crate::{Error, OpenDB, Result};

const COPY: &str = "/copies/first";
const SECOND: &str = "/copies/second";
const HISTORIES: u64 = 12;

fn back_up(db: &OpenDB, target: &str) -> Result<Backup> {
    db.keyspace("default")?.handle.shared_store()?.backup(Path::new(target))
}

/// Opens a backup, which must be whole and the state at a commit.
fn open_backup(disk: &SimulatedDisk, path: &str, options: &Options, history: &History, at: u64) -> OpenDB {
    let db = OpenDB::open_on(disk, Path::new(path), options).unwrap();
    let stats = db.stats().unwrap();
    assert_eq!((stats.last_sequence, stats.recovery.clean), (at, true), "{path}");
    assert_same(&read_all(&db), &history.state(at as usize), path);
    let found = db.verify().unwrap();
    assert!(found.violations.is_empty() && found.counts_compared, "{:?}", found.violations);
    db
}

fn remove_all(disk: &SimulatedDisk, directory: &str) {
    for name in disk.list(Path::new(directory)).unwrap() {
        disk.remove(&Path::new(directory).join(name)).unwrap();
    }
}

/// A database with sealed segments of every kind.
fn lived(random: &mut Random, options: &Options, steps: usize) -> Driven {
    let mut driven = Driven::new(&SimulatedDisk::new(), options);
    driven.large_one_in = 20;
    for step in 0..steps {
        driven.step(random).unwrap();
        if step % 50 == 49 {
            driven.db.compact().unwrap();
        }
    }
    driven
}

#[test]
fn a_backup_is_the_state_at_its_commit_and_outlives_its_database() {
    let mut linked = 0;
    for seed in 1..=HISTORIES {
        let mut random = Random(seed);
        let options = options(&mut random);
        let mut driven = lived(&mut random, &options, 60);
        let made = back_up(&driven.db, COPY).unwrap();
        assert_eq!(made.sequence as usize, driven.history.len(), "everything acknowledged is in it");
        linked += made.segments_linked;
        let history = driven.history.clone();
        for _ in 0..40 {
            driven.step(&mut random).unwrap();
        }
        driven.db.compact().unwrap();
        let db = open_backup(&driven.disk, COPY, &options, &history, made.sequence);
        db.close().unwrap();
        driven.db.close().unwrap();
        remove_all(&driven.disk, PATH);
        drop(open_backup(&driven.disk, COPY, &options, &history, made.sequence));
        // It goes on as a database of its own.
        let db = open_backup(&driven.disk, COPY, &options, &history, made.sequence);
        db.compact().unwrap();
        db.put(b"one more", b"commit").unwrap();
        assert_eq!(back_up(&db, SECOND).unwrap().sequence, made.sequence + 1);
        db.close().unwrap();
        let second = OpenDB::open_on(&driven.disk, Path::new(SECOND), &options).unwrap();
        assert_eq!(second.get(b"one more").unwrap().as_deref(), Some(&b"commit"[..]));
        assert!(second.verify().unwrap().violations.is_empty());
    }
    assert!(linked > HISTORIES, "files are shared");
}

#[test]
fn a_backup_and_its_database_harm_each_other_in_no_way() {
    for seed in 1..=HISTORIES {
        let mut random = Random(seed ^ 0xb0);
        let options = options(&mut random);
        let mut driven = lived(&mut random, &options, 60);
        let made = back_up(&driven.db, COPY).unwrap();
        let history = driven.history.clone();
        // The power goes in the middle of what comes next, and both are recovered and written to.
        for _ in 0..random.below(30) {
            driven.step(&mut random).unwrap();
        }
        let durable = driven.durable();
        let disk = driven.disk.crash(&mut || random.next());
        let original = open(&disk, &options).unwrap();
        assert!(original.stats().unwrap().last_sequence as usize >= durable);
        let backup = open_backup(&disk, COPY, &options, &history, made.sequence);
        for db in [&original, &backup] {
            for number in 0..60_u8 {
                db.put(&[number], &[number; 2000]).unwrap();
            }
            db.compact().unwrap();
        }
        for db in [&original, &backup] {
            let found = db.verify().unwrap();
            assert!(found.violations.is_empty(), "{:?}, seed {seed}", found.violations);
            db.close().unwrap();
        }
        for path in [PATH, COPY] {
            let db = OpenDB::open_on(&disk, Path::new(path), &options).unwrap();
            assert!(db.verify().unwrap().violations.is_empty(), "{path}, seed {seed}");
            assert_eq!(db.get(&[7]).unwrap().as_deref(), Some(&[7; 2000][..]));
        }
    }
}

#[test]
fn a_backup_while_others_write_and_compact_is_a_prefix_with_all_that_was_acknowledged() {
    for options in all_options(64 << 10) {
        let disk = SimulatedDisk::new();
        let db = open(&disk, &options).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0_u64;
                while !done.load(Ordering::Relaxed) {
                    // Each commit says its own number, twice.
                    let mut batch = db.batch();
                    batch.put("default", b"last", &number.to_le_bytes()).unwrap();
                    let key = format!("key {}", number % 100);
                    batch
                        .put("default", key.as_bytes(), &[&number.to_le_bytes()[..], &[7; 900]].concat())
                        .unwrap();
                    batch.commit().unwrap();
                    number += 1;
                    // On a busy machine it would run away from those who sync and compact, of whom each byte of this disk takes longer.
                    if number.is_multiple_of(16) {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
            for round in 0..4 {
                db.compact().unwrap();
                let acknowledged = db.stats().unwrap().last_sequence;
                let path = format!("/copies/{round}");
                let made = back_up(&db, &path).unwrap();
                assert!(made.sequence >= acknowledged);
                let copy = OpenDB::open_on(&disk, Path::new(&path), &options).unwrap();
                assert!(copy.verify().unwrap().violations.is_empty());
                assert_eq!(copy.stats().unwrap().last_sequence, made.sequence);
                let last = made.sequence.checked_sub(1);
                let found =
                    copy.get(b"last").unwrap().map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
                assert_eq!(found, last);
                for back in 0..100_u64 {
                    let Some(number) = last.and_then(|last| last.checked_sub(back)) else { break };
                    let value = copy.get(format!("key {}", number % 100).as_bytes()).unwrap().unwrap();
                    assert_eq!(value[..8], number.to_le_bytes());
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn a_power_cut_leaves_a_whole_backup_or_none() {
    let (mut whole, mut none) = (0, 0);
    for seed in 1..=HISTORIES / 2 {
        let mut random = Random(seed ^ 0xcc);
        let options = options(&mut random);
        let driven = lived(&mut random, &options, 40);
        let mut after = 0;
        loop {
            let disk = driven.disk.process_death();
            let db = open(&disk, &options).unwrap();
            let at = db.stats().unwrap().last_sequence;
            // From there on every call fails, as if the process had died.
            for _ in 0..400 {
                disk.fail_after(Fault::any_after(after, std::io::ErrorKind::Other));
            }
            let made = back_up(&db, COPY);
            disk.clear_faults();
            let cut = disk.crash(&mut || random.next());
            let names = cut.list(Path::new(COPY)).unwrap_or_default();
            if names.iter().any(|name| name == "MANIFEST") {
                drop(open_backup(&cut, COPY, &options, &driven.history, at));
                whole += 1;
            } else {
                none += 1;
            }
            if let Ok(made) = made {
                assert_eq!(made.sequence, at);
                drop(open_backup(&cut, COPY, &options, &driven.history, at));
                break;
            }
            after += 1 + random.next() % 5;
        }
        assert!(after > 5);
    }
    assert!(whole > 0 && none > 0, "{whole} whole, {none} none");
}

#[test]
fn a_file_that_is_written_to_is_never_shared_and_never_written_to_once_it_is() {
    for options in all_options(64 << 10) {
        let mut random = Random(9);
        let mut driven = lived(&mut random, &options, 60);
        driven.disk.clear_trace();
        let made = back_up(&driven.db, COPY).unwrap();
        let links = driven.disk.trace().into_iter().filter_map(|operation| match operation {
            Operation::Link(from, to) => Some([from, to]),
            _ => None,
        });
        let shared: Vec<_> = links.flatten().collect();
        assert_eq!(shared.len() as u64, 2 * made.segments_linked);
        assert!(made.segments_linked > 0 && made.segments_copied > 0 && made.bytes_copied > 0);
        driven.disk.clear_trace();
        for _ in 0..60 {
            driven.step(&mut random).unwrap();
        }
        let backup = OpenDB::open_on(&driven.disk, Path::new(COPY), &options).unwrap();
        backup.put(b"key", b"value").unwrap();
        backup.compact().unwrap();
        backup.close().unwrap();
        let died = driven.disk.process_death();
        died.clear_trace();
        open(&died, &options).unwrap().close().unwrap();
        driven.db.close().unwrap();
        for operation in driven.disk.trace().into_iter().chain(died.trace()) {
            match operation {
                Operation::Write(path, ..)
                | Operation::Store(path, ..)
                | Operation::SetLength(path, _)
                | Operation::Allocate(path, _) => assert!(!shared.contains(&path), "{}", path.display()),
                _ => {}
            }
        }
    }
}

/// A segment was full and synced, and the manifest that says so met a full device. A backup shares its file, the process dies,
/// and the mark is lost: a recovery that took it for open would cut it, in the backup as well.
#[test]
fn a_file_is_shared_only_once_a_manifest_on_the_device_says_that_it_is_sealed() {
    let options = Options::new().segment_bytes(64 << 10).append(crate::AppendMode::Write);
    let disk = SimulatedDisk::new();
    let db = open(&disk, &options).unwrap();
    for number in 0..200_u8 {
        db.put(&[number], &[number; 500]).unwrap();
        if number == 3 {
            db.flush().unwrap();
        }
    }
    disk.fail_after(Fault::next(Call::Create, std::io::ErrorKind::StorageFull));
    db.flush().unwrap();
    assert!(back_up(&db, COPY).unwrap().segments_linked > 0);
    let died = disk.process_death();
    died.remove(&Path::new(PATH).join("DURABLE")).unwrap();
    let original = open(&died, &options).unwrap();
    assert_eq!(original.len().unwrap(), 200);
    let backup = OpenDB::open_on(&died, Path::new(COPY), &options).unwrap();
    for db in [original, backup] {
        assert_eq!(db.len().unwrap(), 200);
        assert!(db.verify().unwrap().violations.is_empty());
    }
}

#[test]
fn a_backup_is_copied_where_files_have_one_name_only() {
    let mut random = Random(4);
    let options = options(&mut random);
    let driven = lived(&mut random, &options, 60);
    for _ in 0..1000 {
        driven.disk.fail_after(Fault::next(Call::Link, std::io::ErrorKind::CrossesDevices));
    }
    let made = back_up(&driven.db, COPY).unwrap();
    assert!(made.segments_linked == 0 && made.segments_copied > 1);
    drop(open_backup(&driven.disk, COPY, &options, &driven.history, made.sequence));
}

#[test]
fn a_directory_that_is_not_empty_or_inside_is_refused_and_left_alone() {
    let disk = SimulatedDisk::new();
    let db = open(&disk, &Options::new()).unwrap();
    db.put(b"key", b"value").unwrap();
    for target in [PATH, "/data/inside"] {
        assert!(matches!(back_up(&db, target), Err(Error::InvalidArgument(_))), "{target}");
    }
    back_up(&db, COPY).unwrap();
    assert!(matches!(back_up(&db, COPY), Err(Error::InvalidArgument(_))));
    disk.create_directory(Path::new(SECOND)).unwrap();
    back_up(&db, SECOND).unwrap();
    disk.remove(&Path::new(SECOND).join("MANIFEST")).unwrap();
    assert!(matches!(back_up(&db, SECOND), Err(Error::InvalidArgument(_))), "what an interruption leaves");
    let interrupted = OpenDB::open_on(&disk, Path::new(SECOND), &Options::new());
    assert!(matches!(interrupted, Err(Error::Corruption { .. })), "is no database");
    // What fails tidies up and can be tried again.
    disk.fail_after(Fault {
        call: Some(Call::Sync),
        ..Fault::next(Call::Sync, std::io::ErrorKind::StorageFull)
    });
    let full = back_up(&db, "/copies/third");
    assert!(full.is_err(), "{full:?}");
    back_up(&db, "/copies/third").unwrap();
    assert!(disk.open(Path::new("/copies/third/MANIFEST"), OpenMode::ReadOnly).is_ok());
}

#[cfg(not(miri))]
mod on_the_real_disk {
    use super::*;

    #[test]
    fn a_backup_shares_files_and_outlives_its_database() {
        let place = tempfile::tempdir().unwrap();
        let (from, to) = (place.path().join("from"), place.path().join("new/to"));
        let db = OpenDB::open_with_options(&from, Options::new().segment_bytes(64 << 10)).unwrap();
        for number in 0..400_u32 {
            db.put(&number.to_le_bytes(), &[number as u8; 1000]).unwrap();
        }
        db.put(b"large", &vec![5; 2 << 20]).unwrap();
        assert!(matches!(db.backup(from.join("a/../b")), Err(Error::InvalidArgument(_))));
        assert!(!from.join("a").exists());
        let made = db.backup(&to).unwrap();
        assert!(made.segments_linked > 3 && made.segments_copied == 1, "{made:?}");
        for number in 0..400_u32 {
            db.delete(&number.to_le_bytes()).unwrap();
        }
        db.compact().unwrap();
        // Both are open at once, and each is an engine of its own.
        let backup = OpenDB::open(&to).unwrap();
        assert_eq!((backup.len().unwrap(), db.len().unwrap()), (401, 1));
        db.close().unwrap();
        std::fs::remove_dir_all(&from).unwrap();
        assert!(backup.verify().unwrap().violations.is_empty());
        backup.close().unwrap();
        let backup = OpenDB::open(&to).unwrap();
        for number in 0..400_u32 {
            assert_eq!(backup.get(&number.to_le_bytes()).unwrap().unwrap(), [number as u8; 1000]);
        }
        assert_eq!(backup.get(b"large").unwrap().unwrap().len(), 2 << 20);
    }
}
