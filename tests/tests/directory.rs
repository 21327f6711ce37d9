//! What happens to the directory of an open database: moved, removed, replaced, copied into, put back from a copy. Nothing
//! that is acknowledged may be lost without an error, and no other database may be harmed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use opendb::{Durability, ErrorKind, OpenDB, Options};
use opendb_tests::place;

const PROCESS: &str = "OPENDB_TEST_OTHER_PROCESS";

/// Not a test of its own: the second process of the tests below, which runs this very binary.
#[test]
fn other_process() {
    let Some(path) = std::env::var_os(PROCESS) else { return };
    let db = OpenDB::open(path).unwrap();
    db.put_with(b"theirs", b"2", Durability::Sync).unwrap();
    db.close().unwrap();
}

/// Has another process open the database, put a key and close it.
fn in_another_process(path: &Path) -> bool {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "other_process"])
        .env(PROCESS, path)
        .output()
        .unwrap()
        .status
        .success()
}

fn ours_and_theirs(path: &Path) -> (bool, bool) {
    let db = OpenDB::open(path).unwrap();
    (db.exists(b"ours").unwrap(), db.exists(b"theirs").unwrap())
}

fn open_with_ours(path: &Path) -> OpenDB {
    let db = OpenDB::open(path).unwrap();
    db.put_with(b"ours", b"1", Durability::Sync).unwrap();
    db
}

fn segments(path: &Path) -> Vec<PathBuf> {
    let is_segment = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "segment");
    place::files(path).unwrap().into_iter().filter(is_segment).collect()
}

#[test]
fn a_database_that_is_moved_goes_on_where_it_is() {
    let root = place::in_memory().unwrap();
    let (path, moved) = (root.path().join("database"), root.path().join("moved"));
    let db = OpenDB::open_with_options(&path, Options::new().segment_bytes(64 << 10)).unwrap();
    db.put_with(b"ours", b"1", Durability::Sync).unwrap();
    fs::rename(&path, &moved).unwrap();
    assert!(in_another_process(&path), "the path is free");
    assert!(!in_another_process(&moved), "the database is locked wherever it is");
    // Enough for several segments and manifests.
    for number in 0..1000_u32 {
        db.put(&number.to_le_bytes(), &[7; 500]).unwrap();
    }
    assert!(OpenDB::open(&moved).unwrap().exists(b"ours").unwrap(), "the same engine under its new name");
    assert!(!OpenDB::open(&path).unwrap().exists(b"ours").unwrap(), "another database");
    db.close().unwrap();
    assert_eq!(ours_and_theirs(&path), (false, true));
    assert_eq!(ours_and_theirs(&moved), (true, false));
    assert_eq!(OpenDB::open(&moved).unwrap().len().unwrap(), 1001);
}

#[test]
fn a_database_that_is_removed_says_so_and_leaves_its_successor_alone() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    let db = open_with_ours(&path);
    fs::remove_dir_all(&path).unwrap();
    assert!(in_another_process(&path));
    assert_eq!(db.put_with(b"more", b"1", Durability::Sync).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(db.put(b"more", b"1").unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(db.get(b"ours").unwrap().as_deref(), Some(b"1".as_slice()), "what was read can be read");
    assert!(db.close().is_err());
    assert_eq!(ours_and_theirs(&path), (false, true));
}

#[test]
fn a_directory_that_is_emptied_is_not_joined_and_not_written_to() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    let db = open_with_ours(&path);
    for name in place::files(&path).unwrap() {
        fs::remove_file(name).unwrap();
    }
    assert_eq!(OpenDB::open(&path).unwrap_err().kind(), ErrorKind::Io);
    assert!(in_another_process(&path));
    assert!(db.flush().is_err() && db.close().is_err());
    assert_eq!(ours_and_theirs(&path), (false, true));
}

#[test]
fn a_directory_that_takes_the_place_of_an_open_one_is_another_database() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    let db = open_with_ours(&path);
    fs::remove_dir_all(&path).unwrap();
    let second = OpenDB::open(&path).unwrap();
    assert!(!second.exists(b"ours").unwrap());
    second.put_with(b"theirs", b"2", Durability::Sync).unwrap();
    second.close().unwrap();
    assert!(db.close().is_err());
    assert_eq!(ours_and_theirs(&path), (false, true));
}

#[test]
fn a_segment_that_was_copied_into_the_directory_is_left_alone() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    open_with_ours(&path).close().unwrap();
    let segment = segments(&path).pop().unwrap();
    let copy = path.join("0000000000000007.segment");
    fs::copy(&segment, &copy).unwrap();
    let before = fs::read(&copy).unwrap();
    let options = Options::new().segment_bytes(64 << 10);
    let db = OpenDB::open_with_options(&path, options).unwrap();
    // As many segments as it takes to come past the name.
    for number in 0..2000_u32 {
        db.put(&number.to_le_bytes(), &[7; 500]).unwrap();
    }
    db.close().unwrap();
    assert_eq!(fs::read(&copy).unwrap(), before);
    assert_eq!(OpenDB::open(&path).unwrap().len().unwrap(), 2001);
}

#[test]
fn an_old_manifest_that_is_put_back_is_refused_and_nothing_is_deleted() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    let options = Options::new().segment_bytes(64 << 10);
    let db = OpenDB::open_with_options(&path, options.clone()).unwrap();
    db.put(b"first", b"1").unwrap();
    fs::copy(path.join("MANIFEST"), root.path().join("kept")).unwrap();
    for number in 0..1000_u32 {
        db.put(&number.to_le_bytes(), &[7; 500]).unwrap();
    }
    db.close().unwrap();
    let before = segments(&path);
    let newest = fs::read(path.join("MANIFEST")).unwrap();
    fs::copy(root.path().join("kept"), path.join("MANIFEST")).unwrap();
    let error = OpenDB::open_with_options(&path, options.clone()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corruption, "{error}");
    assert_eq!(segments(&path), before);
    fs::write(path.join("MANIFEST"), newest).unwrap();
    assert_eq!(OpenDB::open_with_options(&path, options).unwrap().len().unwrap(), 1001);
}

#[test]
fn a_directory_that_lost_its_manifest_and_segments_is_not_taken_for_a_new_one() {
    let root = place::in_memory().unwrap();
    let path = root.path().join("database");
    open_with_ours(&path).close().unwrap();
    for name in segments(&path) {
        fs::remove_file(name).unwrap();
    }
    fs::remove_file(path.join("MANIFEST")).unwrap();
    assert_eq!(OpenDB::open(&path).unwrap_err().kind(), ErrorKind::Corruption);
}

#[test]
fn what_cannot_be_a_path_is_said_clearly() {
    let root = place::in_memory().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"").unwrap();
    for path in ["", "a\0b"] {
        assert_eq!(OpenDB::open(path).unwrap_err().kind(), ErrorKind::InvalidArgument, "{path:?}");
    }
    let error = OpenDB::open(&file).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(error.to_string().contains("not a directory"), "{error}");
    let missing = root.path().join("missing");
    let error = OpenDB::open_with_options(&missing, Options::new().read_damaged(true)).unwrap_err();
    assert_eq!((error.kind(), missing.exists()), (ErrorKind::Io, false), "{error}");
}

#[test]
fn options_that_contradict_are_named() {
    let root = place::in_memory().unwrap();
    let options = Options::new().segment_bytes(1 << 20).cache_bytes(0);
    let _open = OpenDB::open_with_options(root.path(), options.clone()).unwrap();
    let error = OpenDB::open_with_options(root.path(), options.clone().mapped_reads(false)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().contains("(mapped_reads)"), "{error}");
    // Who has no wish does not contradict.
    OpenDB::open_with_options(root.path(), Options::new().cache_bytes(0)).unwrap();
}

/// Copies every file but the lock.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in place::files(from).unwrap().into_iter().filter(|file| !file.ends_with("LOCK")) {
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn a_backup_that_is_put_over_an_open_database_is_noticed_and_left_alone() {
    let root = place::in_memory().unwrap();
    let (path, backup) = (root.path().join("database"), root.path().join("backup"));
    open_with_ours(&path).close().unwrap();
    copy(&path, &backup);
    let db = OpenDB::open(&path).unwrap();
    db.put_with(b"later", b"1", Durability::Sync).unwrap();
    for file in place::files(&backup).unwrap() {
        fs::rename(&file, path.join(file.file_name().unwrap())).unwrap();
    }
    assert_eq!(db.put_with(b"lost", b"1", Durability::Sync).unwrap_err().kind(), ErrorKind::Io);
    assert!(db.close().is_err());
    assert_eq!(ours_and_theirs(&path), (true, false));
    assert!(!OpenDB::open(&path).unwrap().exists(b"later").unwrap(), "the backup is what there is now");
}

#[test]
fn files_that_are_removed_beside_the_lock_are_missed_at_the_next_sync() {
    for removed in ["MANIFEST", "segment"] {
        let root = place::in_memory().unwrap();
        let path = root.path().join("database");
        let db = open_with_ours(&path);
        let is_it = |file: &PathBuf| file.to_str().unwrap().ends_with(removed);
        for file in place::files(&path).unwrap().into_iter().filter(is_it) {
            fs::remove_file(file).unwrap();
        }
        assert_eq!(
            db.put_with(b"lost", b"1", Durability::Sync).unwrap_err().kind(),
            ErrorKind::Io,
            "{removed}"
        );
        assert!(db.close().is_err());
    }
}

#[test]
fn an_old_manifest_and_mark_of_an_orderly_end_are_refused_together() {
    for closed in [true, false] {
        let root = place::in_memory().unwrap();
        let (path, kept) = (root.path().join("database"), root.path().join("kept"));
        open_with_ours(&path).close().unwrap();
        copy(&path, &kept);
        let db = OpenDB::open(&path).unwrap();
        db.put_with(b"later", b"1", Durability::Sync).unwrap();
        let other = root.path().join("copy");
        if closed {
            db.close().unwrap();
        }
        copy(&path, &other);
        for name in ["MANIFEST", "DURABLE"] {
            fs::copy(kept.join(name), other.join(name)).unwrap();
        }
        assert_eq!(OpenDB::open(&other).unwrap_err().kind(), ErrorKind::Corruption, "closed: {closed}");
    }
}
