//! The files beside the log: each of them missing, cut, damaged, or an older one than belongs there.

use std::path::Path;

use super::model::{Driven, PATH, Random, all_options, assert_same, check, open, read_all};
use crate::Error;
use crate::disk::{Disk, OpenMode, SimulatedDisk};
use crate::options::Options;

/// Ways to harm a file. The last ones flip a bit each.
const WAYS: usize = 12;

fn bytes_of(disk: &SimulatedDisk, path: &Path) -> Option<Vec<u8>> {
    let file = disk.open(path, OpenMode::ReadOnly).ok()?;
    let mut bytes = vec![0; file.length().unwrap() as usize];
    file.read_at(&mut bytes, 0).unwrap();
    Some(bytes)
}

/// What takes the place of a file: the bytes of another one, or none.
fn harmed(own: &[u8], older: Option<Vec<u8>>, way: usize, random: &mut Random) -> Option<Vec<u8>> {
    match way {
        0 => None,
        1 => Some(own[..own.len() / 2].to_vec()),
        2 => Some(Vec::new()),
        3 => Some([own, own].concat()),
        4 => older,
        _ => {
            let (mut bytes, at) = (own.to_vec(), random.below(own.len().max(1)));
            bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << random.below(8));
            Some(bytes)
        }
    }
}

/// A database in the middle of its life, with every kind of file, and how it was some time before.
fn lived(options: &Options, random: &mut Random) -> (Driven, SimulatedDisk, SimulatedDisk) {
    let disk = SimulatedDisk::new();
    let mut driven = Driven::new(&disk, options);
    driven.large_one_in = 0;
    let mut older = None;
    for step in 0..200 {
        driven.step(random).unwrap();
        if step % 50 == 40 {
            let store = driven.db.keyspace("default").unwrap().handle.shared_store().unwrap();
            store.compact_a_little(step % 100 < 50, 2, || {});
            store.write_missing_hints();
            older.get_or_insert_with(|| disk.process_death());
        }
    }
    driven.db.flush().unwrap();
    let now = disk.process_death();
    (driven, now, older.unwrap())
}

/// Opens a database, reads all of it and compares it. Where damage is told, which says so, the second attempt finds everything: a run
/// file with a damaged block was believed again by every open, so that scans failed for ever.
fn open_and_compare(disk: &SimulatedDisk, options: &Options, driven: &Driven, context: &str) {
    let attempt = || -> crate::Result<bool> {
        let db = open(disk, options)?;
        let found = db.verify()?;
        let is_whole = found.violations.is_empty();
        if is_whole {
            assert_eq!(db.stats()?.last_sequence as usize, driven.history.len(), "{context}");
            assert_same(&read_all(&db), &driven.state, context);
        }
        let _what_is_damaged = db.close();
        Ok(is_whole)
    };
    match attempt() {
        Ok(true) => {}
        Ok(false) | Err(Error::Storage(_)) => assert!(attempt().unwrap(), "{context}"),
        Err(error) => panic!("{error}, {context}"),
    }
    check(&open(disk, options).unwrap(), context);
}

#[test]
fn no_file_beside_the_log_is_needed_or_believed_for_long() {
    let mut random = Random(77);
    let mut kinds = std::collections::BTreeSet::new();
    for options in all_options(64 << 10) {
        let (driven, now, older) = lived(&options, &mut random);
        for name in now.list(Path::new(PATH)).unwrap() {
            let Some((_, kind)) = name.split_once('.').filter(|(_, kind)| *kind != "segment") else {
                continue;
            };
            kinds.insert(kind.to_owned());
            let path = Path::new(PATH).join(&name);
            let own = bytes_of(&now, &path).unwrap();
            for way in 0..WAYS {
                let disk = now.process_death();
                disk.remove(&path).unwrap();
                if let Some(bytes) = harmed(&own, bytes_of(&older, &path), way, &mut random) {
                    let file = disk.open(&path, OpenMode::CreateNew).unwrap();
                    file.write_all_at(&bytes, 0).unwrap();
                }
                let context = format!("{name} harmed in way {way}, {options:?}");
                open_and_compare(&disk, &options, &driven, &context);
            }
        }
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["checkpoint", "hint", "moves", "run"]);
}
