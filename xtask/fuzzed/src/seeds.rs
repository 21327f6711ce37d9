//! Valid bytes for each target, made from databases of which every kind of file is there.
//!
//! They are committed, under `xtask/fuzz/seeds`, since a database has random bytes in it and no two makings are alike.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use opendb::simulation::{Sabotage, pieces};
use opendb::{Compression, Error, KeyspaceOptions, OpenDB, Options, Result};

use crate::{decoders, directory};

/// How long moves are waited for, which compaction makes when it likes, and how long it is let alone in between.
const MOVES_WITHIN: Duration = Duration::from_secs(30);
const LET_ALONE: Duration = Duration::from_millis(60);
/// What a value has beside zeros, which take no room in a seed, and how long it is.
const VALUE_BYTES: usize = 2000;
const LARGE_VALUE_BYTES: usize = (1 << 20) + 1;
const KEYS: u64 = 40;
/// What is still a short seed.
const SHORT_BYTES: usize = 4096;

/// Files by name.
pub type Files = Vec<(String, Vec<u8>)>;

/// Bytes that a target has to find valid.
#[derive(Debug)]
pub struct Seed {
    /// The name of the target.
    pub target: &'static str,
    /// Its own.
    pub name: String,
    /// What is taken.
    pub bytes: Vec<u8>,
}

/// Makes all of them anew, in an empty directory. Checksums are blind behind this.
///
/// # Errors
/// Where a database cannot be made, or has not come to have what there has to be.
pub fn make(place: &Path) -> Result<Vec<Seed>> {
    Sabotage::BlindChecksums.plant();
    let databases = [
        ("closed", closed(&place.join("closed"))?),
        ("killed", killed(&place.join("killed"))?),
        ("moved", moved(&place.join("moved"))?),
        ("large", large(&place.join("large"))?),
    ];
    let mut seeds = Vec::new();
    for (name, files) in &databases {
        let bytes = directory::bytes_of(files).ok_or_else(|| missing("a short directory"))?;
        seeds.push(Seed { target: "open", name: (*name).to_owned(), bytes });
    }
    let files = databases.iter().flat_map(|(_, files)| files);
    seeds.extend(for_decoders(files)?);
    seeds.extend(for_operations());
    Ok(seeds)
}

/// The seeds of a target as they were committed, with their names.
///
/// # Errors
/// Where one cannot be read.
pub fn committed(target: &str) -> std::io::Result<Files> {
    read_once(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target))
}

fn missing(what: &str) -> Error {
    Error::Storage(format!("no database has come to have {what}"))
}

/// Of each kind of piece the longest that is still short, or else the first.
fn for_decoders<'a>(files: impl Iterator<Item = &'a (String, Vec<u8>)>) -> Result<Vec<Seed>> {
    let mut seeds: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for piece in files.flat_map(|(name, content)| pieces(name, content)) {
        let name = format!("{} {}", piece.decoder, piece.kind).replace(' ', "-");
        let bytes = decoders::bytes_for(piece.decoder, &piece.bytes);
        let bytes = bytes.ok_or_else(|| missing(piece.decoder))?;
        let is_better = |known: &Vec<u8>| (known.len() + 1..SHORT_BYTES).contains(&bytes.len());
        if seeds.get(&name).is_none_or(is_better) {
            seeds.insert(name, bytes);
        }
    }
    let seed = |(name, bytes)| Seed { target: "decoders", name, bytes };
    Ok(seeds.into_iter().map(seed).collect())
}

/// Steps of every kind, with and without deaths, each written out.
fn for_operations() -> [Seed; 3] {
    let puts = |from: u8, length: u8| (from..from + 40).flat_map(move |key| [0, key, length, 7]);
    let all: Vec<u8> = [
        &[8_u8, 2, 5, 30, 2, 3, 6, 0, 0, 4, 6][..],
        &[5, 5, 1, 9, 2, 8, 3, 0, 4, 200, 11, 77],
        &[6, 1, 3, 1, 5, 2, 4, 7, 50, 6, 4, 2, 9, 1, 10, 2],
        &[7, 0, 0, 7, 1, 1, 9, 12, 63, 8, 3, 12, 10, 8, 11, 12],
    ]
    .concat();
    let overwritten = puts(0, 200).chain(puts(0, 100)).chain([3, 1, 3, 2, 10, 13, 8]).chain(puts(20, 3));
    let deleted = puts(0, 9).chain((0..40).flat_map(|key| [3, key])).chain([11, 10, 13, 10, 12, 7, 0, 0]);
    let seed = |name: &str, bytes| Seed { target: "operations", name: name.to_owned(), bytes };
    [
        seed("every-kind", all),
        seed("overwritten", overwritten.chain([13, 10, 12]).collect()),
        seed("deleted", deleted.collect()),
    ]
}

fn open(path: &Path) -> Result<OpenDB> {
    let options = Options::new().segment_bytes(64 << 10).cache_bytes(1 << 20);
    let db = OpenDB::open_with_options(path, options)?;
    db.keyspace_with_options("packed", KeyspaceOptions::new().compression(Compression::Lz4))?;
    Ok(db)
}

/// Puts some keys, in every manner, and deletes some.
fn work(db: &OpenDB, round: u64) -> Result<()> {
    for key in 0..KEYS {
        let mut value = format!("value {key} of round {round}").into_bytes();
        value.resize(VALUE_BYTES, 0);
        db.put(format!("key {key}").as_bytes(), &value)?;
    }
    let packed = db.keyspace("packed")?;
    packed.put(b"text", "the same again and again; ".repeat(20).as_bytes())?;
    let mut batch = db.batch();
    for key in 0..KEYS / 4 {
        batch.put("packed", format!("{round}, {key}").as_bytes(), &[key as u8; 120])?;
        batch.put("default", format!("key {key}").as_bytes(), b"short")?;
    }
    batch.delete("default", b"key 30")?;
    batch.commit()?;
    db.delete(b"key 31")
}

/// Closed in order, behind a compaction.
fn closed(path: &Path) -> Result<Files> {
    let db = open(path)?;
    work(&db, 0)?;
    work(&db, 1)?;
    db.compact()?;
    work(&db, 2)?;
    db.close()?;
    read(path)
}

/// As a process leaves it that is killed, with commits behind what is on the device.
fn killed(path: &Path) -> Result<Files> {
    let db = open(path)?;
    work(&db, 0)?;
    db.flush()?;
    db.put(b"late", b"value")?;
    db.delete(b"key 1")?;
    read(path)
}

/// With a value in a segment of its own, apart, since its length takes much of the time of a run.
fn large(path: &Path) -> Result<Files> {
    let db = open(path)?;
    let mut value = b"large".to_vec();
    value.resize(LARGE_VALUE_BYTES, 0);
    db.put(b"large", &value)?;
    db.put(b"small", b"value")?;
    db.close()?;
    read(path)
}

/// As a process leaves it that is killed, when segments had been given up since the last checkpoint.
fn moved(path: &Path) -> Result<Files> {
    let db = open(path)?;
    work(&db, 0)?;
    db.compact()?;
    let (end, mut round) = (Instant::now() + MOVES_WITHIN, 1);
    while Instant::now() < end {
        work(&db, round)?;
        std::thread::sleep(LET_ALONE);
        let files = read(path)?;
        if files.iter().any(|(name, content)| name.ends_with(".moves") && !content.is_empty()) {
            return Ok(files);
        }
        round += 1;
    }
    Err(missing("moves"))
}

/// The files of a directory at one moment: what is the same twice was so in between.
fn read(path: &Path) -> Result<Files> {
    loop {
        // A file that is removed in the middle is no reason to give up.
        if let (Ok(first), Ok(second)) = (read_once(path), read_once(path))
            && first == second
        {
            return Ok(first);
        }
    }
}

fn read_once(path: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != "LOCK" {
            files.push((name, std::fs::read(entry.path())?));
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TARGETS;
    use opendb::simulation::DECODERS;

    /// Made anew, and as they were committed: every target finds its seeds valid, and every decoder has one. One test, since what is
    /// planted is so for the whole process.
    #[test]
    fn every_seed_is_valid_and_every_decoder_has_one() {
        let place = tempfile::tempdir().unwrap();
        let made = make(place.path()).unwrap();
        let mut all: Vec<(String, String, Vec<u8>)> =
            made.into_iter().map(|seed| (seed.target.to_owned(), seed.name, seed.bytes)).collect();
        for target in TARGETS {
            for (name, bytes) in committed(target.name).unwrap() {
                all.push((target.name.to_owned(), format!("{name}, as it was committed"), bytes));
            }
        }
        for target in TARGETS {
            target.prepare();
            for (_, name, bytes) in all.iter().filter(|(of, ..)| of == target.name) {
                assert!((target.take)(bytes), "{}: {name} is not valid", target.name);
            }
        }
        for (decoder, _) in DECODERS {
            let begin = decoder.replace(' ', "-");
            for committed in [true, false] {
                let is_one = |(of, name, _): &&(String, String, Vec<u8>)| {
                    of == "decoders" && name.starts_with(&begin) && name.ends_with("committed") == committed
                };
                assert!(all.iter().any(|seed| is_one(&seed)), "no seed for {decoder}");
            }
        }
    }
}
