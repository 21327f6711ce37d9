//! What a neighbour on the machine, a name or a key can not do: see `SECURITY.md`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test fail like the test")]
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use opendb::{OpenDB, Options, Scan};
use opendb_tests::damage::{Content, damage_or, make, read_content};
use opendb_tests::place;
use tempfile::TempDir;

mod common {
    pub(crate) mod watch;
}

use common::watch::Watch;

const SECRET_KEY: &[u8] = b"hush-the-key-5c1d";
const SECRET_VALUE: &[u8] = b"hush-the-value-77e0";

fn options() -> Options {
    Options::new().segment_bytes(64 << 10)
}

/// A database with some of everything, closed, and what is in it.
fn closed() -> (TempDir, Content) {
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open_with_options(directory.path().join("db"), options()).unwrap();
    make(&db, |_| Ok(())).unwrap();
    db.put(b"large", &vec![7; (1 << 20) + 1]).unwrap();
    db.compact().unwrap();
    let content = read_content(&db).unwrap();
    db.close().unwrap();
    (directory, content)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(directory: &Path) -> Vec<PathBuf> {
    place::files(directory).unwrap()
}

#[test]
fn files_and_directories_are_for_their_owner_alone() {
    let (directory, _) = closed();
    let path = directory.path().join("db");
    let db = OpenDB::open(&path).unwrap();
    db.backup(directory.path().join("backup")).unwrap();
    drop(db);
    OpenDB::salvage(&path, directory.path().join("salvaged")).unwrap();
    for made in ["db", "backup", "salvaged"] {
        let made = directory.path().join(made);
        assert_eq!(mode(&made), 0o700, "{}", made.display());
        let files = files(&made);
        assert!(files.len() > 3, "{files:?}");
        for file in files {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}

/// What stands in the place of a file of a database.
#[derive(Debug, Clone, Copy)]
enum Instead {
    /// A symbolic link to the file itself, which is elsewhere.
    Link,
    /// A pipe that nobody writes to.
    Pipe,
    Directory,
}

/// Whether a database with one thing in the place of one of its files shows all it has, or says that it is damaged. Who
/// opened it has waited for nobody, and the file that a link leads to is as it was.
#[test]
fn what_is_no_file_of_its_own_is_refused_in_the_place_of_each_file() {
    let (directory, content) = closed();
    for file in files(&directory.path().join("db")) {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        for instead in [Instead::Link, Instead::Pipe, Instead::Directory] {
            let _watch = Watch::start(&format!("{instead:?} in the place of {name}"));
            let copy = place::in_memory().unwrap();
            let path = copy.path().join("db");
            fs::create_dir(&path).unwrap();
            for file in files(&directory.path().join("db")) {
                fs::copy(&file, path.join(file.file_name().unwrap())).unwrap();
            }
            let (place, elsewhere) = (path.join(&name), copy.path().join("elsewhere"));
            fs::rename(&place, &elsewhere).unwrap();
            match instead {
                Instead::Link => symlink(&elsewhere, &place).unwrap(),
                Instead::Pipe => assert!(Command::new("mkfifo").arg(&place).status().unwrap().success()),
                Instead::Directory => fs::create_dir(&place).unwrap(),
            }
            let before = fs::read(&elsewhere).unwrap();
            let opened = damage_or(OpenDB::open_with_options(&path, options()));
            let opened = opened.unwrap_or_else(|failure| panic!("{instead:?} for {name}: {failure}"));
            let is_needed =
                ["LOCK", "MANIFEST", "DURABLE"].contains(&name.as_str()) || name.ends_with(".segment");
            if is_needed && opened.is_some() && name != "DURABLE" {
                let read = damage_or(
                    opened
                        .as_ref()
                        .unwrap()
                        .iter(&Scan::all())
                        .and_then(Iterator::collect::<Result<Vec<_>, _>>),
                );
                assert!(read.unwrap().is_none(), "{instead:?} was taken for {name}");
            } else if let Some(db) = opened {
                assert_eq!(read_content(&db).unwrap(), content, "{instead:?} for {name}");
            }
            assert!(fs::read(&elsewhere).unwrap() == before, "{name} was written to through a link");
        }
    }
}

#[test]
fn names_of_keyspaces_are_data_and_never_paths() {
    let directory = place::in_memory().unwrap();
    let path = directory.path().join("db");
    let names = [
        "../outside",
        "/tmp/outside",
        "a/b",
        "..",
        ".",
        "MANIFEST",
        "0000000000000001.segment",
        "a\nb",
        "a\0b",
    ];
    for _ in 0..2 {
        let db = OpenDB::open(&path).unwrap();
        for name in names {
            let keyspace = db.keyspace(name).unwrap();
            keyspace.put(b"k", name.as_bytes()).unwrap();
            assert_eq!(keyspace.get(b"k").unwrap().unwrap(), name.as_bytes());
        }
        db.compact().unwrap();
        db.close().unwrap();
    }
    let beside: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(beside, ["db"]);
    assert!(fs::read_dir(&path).unwrap().all(|entry| entry.unwrap().file_type().unwrap().is_file()));
}

#[test]
fn two_databases_never_hash_alike() {
    const HASH_SEED: std::ops::Range<usize> = 32..48;
    let seed = || {
        let directory = place::in_memory().unwrap();
        OpenDB::open(directory.path()).unwrap().close().unwrap();
        fs::read(directory.path().join("MANIFEST")).unwrap()[HASH_SEED].to_vec()
    };
    let (one, other) = (seed(), seed());
    assert!(one != other && one != [0; 16]);
}

#[test]
fn the_lock_file_stays() {
    let directory = place::in_memory().unwrap();
    let lock = directory.path().join("LOCK");
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&lock).unwrap());
    let db = OpenDB::open(directory.path()).unwrap();
    let first = inode();
    db.close().unwrap();
    assert_eq!(inode(), first);
    OpenDB::open(directory.path()).unwrap().compact().unwrap();
    assert_eq!(inode(), first);
}

/// Messages go to logs, which others read.
#[test]
fn messages_and_debug_output_hold_no_bytes_of_keys_or_values() {
    let directory = place::in_memory().unwrap();
    let db = OpenDB::open_with_options(directory.path(), options()).unwrap();
    db.put(SECRET_KEY, SECRET_VALUE).unwrap();
    let mut transaction = db.begin_transaction().unwrap();
    transaction.get("default", SECRET_KEY).unwrap();
    transaction.put("default", SECRET_KEY, SECRET_VALUE).unwrap();
    let mut batch = db.batch();
    batch.put("default", SECRET_KEY, SECRET_VALUE).unwrap();
    let snapshot = db.snapshot().unwrap();
    let (iter, keys) = (db.iter(&Scan::all()).unwrap(), db.keys(&Scan::all()).unwrap());
    let value = db.get_ref(SECRET_KEY).unwrap().unwrap();
    let mut said = vec![
        format!("{db:?} {transaction:?} {batch:?} {snapshot:?} {iter:?} {keys:?} {value:?}"),
        format!("{:?}", db.stats()),
        format!("{:?}", db.verify()),
    ];
    db.put(SECRET_KEY, b"another").unwrap();
    said.push(format!("{:?}", transaction.commit().unwrap_err()));
    let long: Vec<u8> = SECRET_KEY.iter().copied().cycle().take(70_000).collect();
    let errors = [db.put(&long, b"").unwrap_err(), db.get(&long).unwrap_err(), db.delete(&long).unwrap_err()];
    said.extend(errors.into_iter().flat_map(|error| [format!("{error:?}"), error.to_string()]));
    drop((batch, snapshot, iter, keys, value));
    db.put(SECRET_KEY, SECRET_VALUE).unwrap();
    db.close().unwrap();
    drop(db);
    said.extend(said_of_damage(directory.path()));
    for line in said {
        for secret in [SECRET_KEY, SECRET_VALUE] {
            let secret = String::from_utf8_lossy(secret);
            let in_numbers = format!("{:?}", secret.as_bytes());
            let in_numbers = in_numbers.trim_matches(['[', ']']);
            assert!(!line.contains(&*secret) && !line.contains(in_numbers), "a secret is told: {line}");
        }
    }
}

/// What is said of a database whose values have all rotted.
fn said_of_damage(directory: &Path) -> Vec<String> {
    for file in
        files(directory).into_iter().filter(|file| file.extension().is_some_and(|end| end == "segment"))
    {
        let mut bytes = fs::read(&file).unwrap();
        while let Some(at) = bytes.windows(SECRET_VALUE.len()).position(|window| window == SECRET_VALUE) {
            bytes[at] ^= 1;
        }
        fs::write(&file, bytes).unwrap();
    }
    let mut said = Vec::new();
    match OpenDB::open_with_options(directory, options()) {
        Err(error) => said.push(format!("{error:?} {error}")),
        Ok(db) => {
            said.push(format!("{:?}", db.get(SECRET_KEY).unwrap_err()));
            said.push(format!("{:?}", db.verify().unwrap()));
        }
    }
    let salvaged = place::in_memory().unwrap();
    said.push(format!("{:?}", OpenDB::salvage(directory, salvaged.path().join("new"))));
    said
}
