//! A directory of arbitrary files: opened, read, verified, written to, closed and opened again. Checksums are passed over.
//!
//! The bytes are files one behind the other: a byte for the length of the name, the name, three bytes for the length of the content,
//! the content.
#![no_main]

use std::path::{Path, PathBuf};

use libfuzzer_sys::fuzz_target;
use opendb::simulation::{Sabotage, disk_with_files, open_simulated};
use opendb::{OpenDB, Options, Scan};

const DIRECTORY: &str = "/db";

fuzz_target!(init: Sabotage::BlindChecksums.plant(), |bytes: &[u8]| {
    let Ok(disk) = disk_with_files(Path::new(DIRECTORY), &files(bytes)) else { return };
    for round in 0..2 {
        let options = Options::new().segment_bytes(64 << 10).read_damaged(round == 0);
        if let Ok(db) = open_simulated(&disk, DIRECTORY, &options) {
            use_all_of(&db);
            let _whatever = db.close();
        }
    }
});

/// The files of the directory, of which none has the name of another.
fn files(mut bytes: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    while let Some((length, rest)) = bytes.split_first() {
        let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else { break };
        let Some((length, rest)) = rest.split_first_chunk::<3>() else { break };
        let length = usize::from(length[0]) | usize::from(length[1]) << 8 | usize::from(length[2]) << 16;
        let (content, rest) = rest.split_at(length.min(rest.len()));
        bytes = rest;
        let name = PathBuf::from(String::from_utf8_lossy(name).replace(['/', '\0'], "_"));
        let is_name = !matches!(name.to_str(), None | Some("" | "." | ".."));
        if is_name && !files.iter().any(|(known, _)| *known == name) {
            files.push((name, content.to_vec()));
        }
    }
    files
}

fn use_all_of(db: &OpenDB) {
    for name in db.keyspaces().unwrap_or_default() {
        let Ok(keyspace) = db.keyspace(&name) else { continue };
        let Ok(entries) = keyspace.iter(&Scan::all()) else { continue };
        for (key, _) in entries.map_while(Result::ok) {
            let _value = keyspace.get(&key);
        }
    }
    let _verification = db.verify();
    let _writes = (db.put(b"key", b"value"), db.delete(b"key"), db.compact());
}
