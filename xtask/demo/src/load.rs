//! Puts the files into the database and reads some of them back.

use std::fs;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use opendb::OpenDB;

use crate::sources::File;

/// Keyspace with the length (8 bytes) and the CRC-32C (4 bytes) of every file, both little endian.
const SUMS: &str = "sums";
/// A step that visits a list in an order far from that of the keys; a prime, so that every file is met unless their
/// number is a multiple of it.
const STRIDE: usize = 7_919;

/// Loads every file that can be read and gives those back: content and checksum go in as one batch, so there is never
/// one without the other.
pub(crate) fn load<'a>(database: &OpenDB, files: &'a [File]) -> Result<Vec<&'a File>> {
    database.keyspace(SUMS)?;
    let bytes_total = files.iter().map(|file| file.length).sum();
    let mut progress = Progress::new(bytes_total);
    let mut in_database = Duration::ZERO;
    let mut loaded = Vec::with_capacity(files.len());
    let mut bytes = 0_u64;
    for file in files {
        // A file that has gone, or that we may not read, is none of the demonstration's business.
        let Ok(content) = fs::read(&file.path) else { continue };
        let begin = Instant::now();
        let mut batch = database.batch();
        batch.put("default", &file.key, &content)?;
        batch.put(SUMS, &file.key, &sum(&content))?;
        batch.commit()?;
        in_database += begin.elapsed();
        loaded.push(file);
        bytes += content.len() as u64;
        progress.advance(file.length);
    }
    let begin = Instant::now();
    database.flush()?;
    let flush = begin.elapsed();
    progress.finish();
    ensure!(!loaded.is_empty(), "none of the files that were found could be read");
    println!(
        "  loaded {} files, {} MiB, in batches of content and checksum: {:.2} s in the database, {:.0} files/s, \
         {:.0} MiB/s; flushing to the device took {:.2} s",
        loaded.len(),
        bytes >> 20,
        in_database.as_secs_f64(),
        loaded.len() as f64 / in_database.as_secs_f64(),
        bytes as f64 / f64::from(1 << 20) / in_database.as_secs_f64(),
        flush.as_secs_f64(),
    );
    Ok(loaded)
}

/// Reads the files in an order far from that of the keys and checks the length and checksum of each.
pub(crate) fn read_back(database: &OpenDB, files: &[&File]) -> Result<()> {
    let sums = database.keyspace(SUMS)?;
    let mut in_database = Duration::ZERO;
    let mut bytes = 0_u64;
    for at in 0..files.len() {
        let Some(file) = files.get((at * STRIDE) % files.len()) else { continue };
        let begin = Instant::now();
        let found = database.get_ref(&file.key)?.zip(sums.get(&file.key)?);
        in_database += begin.elapsed();
        let (content, expected) =
            found.with_context(|| format!("{} was put and is not there", file.path.display()))?;
        let is_same = expected == sum(&content);
        ensure!(is_same, "{} differs from what was put", file.path.display());
        bytes += content.len() as u64;
    }
    println!(
        "  read all {} back in a scattered order with their checksums: {} MiB, {:.2} us a file for both gets",
        files.len(),
        bytes >> 20,
        in_database.as_secs_f64() * 1e6 / files.len().max(1) as f64,
    );
    Ok(())
}

/// Says what the database looks like now.
pub(crate) fn describe(database: &OpenDB) -> Result<()> {
    let stats = database.stats()?;
    println!(
        "  the database: {} keys in keyspaces {}, {} segments, {} MiB of log, {} KiB of index",
        stats.keys,
        database.keyspaces()?.join(", "),
        stats.segments,
        stats.log_bytes >> 20,
        stats.index_bytes >> 10,
    );
    Ok(())
}

fn sum(content: &[u8]) -> [u8; 12] {
    let mut sum = [0; 12];
    sum[..8].copy_from_slice(&(content.len() as u64).to_le_bytes());
    sum[8..].copy_from_slice(&crc32c::crc32c(content).to_le_bytes());
    sum
}

/// A bar on a terminal, a line for every fifth of the way elsewhere.
struct Progress {
    bar: ProgressBar,
    lines: bool,
    done: u64,
    next_line: u64,
    total: u64,
}

impl Progress {
    fn new(total: u64) -> Progress {
        let bar = ProgressBar::new(total);
        let template = "  loading {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let lines = !std::io::stderr().is_terminal();
        Progress { bar, lines, done: 0, next_line: total / 5, total }
    }

    fn advance(&mut self, bytes: u64) {
        self.done += bytes;
        self.bar.inc(bytes);
        if self.lines && self.done >= self.next_line && self.next_line > 0 {
            println!("  loading: {} %", self.done * 100 / self.total.max(1));
            self.next_line += self.total / 5;
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_loaded_with_their_sums_and_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"123456789").unwrap();
        let database = OpenDB::open(directory.path().join("database")).unwrap();
        let file = File { key: b"here/file".to_vec(), path, length: 9 };
        let loaded = load(&database, std::slice::from_ref(&file)).unwrap();
        let sum = database.keyspace(SUMS).unwrap().get(b"here/file").unwrap().unwrap();
        // The check value of CRC-32C.
        assert_eq!(sum, [[9, 0, 0, 0, 0, 0, 0, 0].as_slice(), &0xe306_9283_u32.to_le_bytes()].concat());

        read_back(&database, &loaded).unwrap();
        database.put(b"here/file", b"123456780").unwrap();
        assert!(read_back(&database, &loaded).is_err());
        database.delete(b"here/file").unwrap();
        assert!(read_back(&database, &loaded).is_err());
    }

    #[test]
    fn a_file_that_is_gone_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let database = OpenDB::open(directory.path().join("database")).unwrap();
        let gone = File { key: b"gone".to_vec(), path: directory.path().join("gone"), length: 1 };
        assert!(load(&database, &[gone]).is_err());
        assert!(database.is_empty().unwrap());
    }
}
