//! Scans of OpenDB beside LMDB, in one process: `cargo run --release -p opendb-bench --example scans -- [keys]`.
//!
//! Random keys of 24 bytes with values of 150, then scans of 10 and of 1,000 entries from random places. OpenDB gives copies
//! of keys and values; LMDB is measured borrowing them, which is its cheapest way, and copying them as well.

use std::hint::black_box;
use std::ops::Bound;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use heed::types::Bytes;
use heed::{CommitOrAbort, Database, Env, EnvFlags, EnvOpenOptions};
use opendb::{OpenDB, Scan};

const KEY_BYTES: usize = 24;
const VALUE_BYTES: usize = 150;
/// Scans that are timed together, ours and the others' in turn.
const SCANS_PER_BLOCK: usize = 100;
const BLOCKS: usize = 150;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn key(&mut self) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&self.next().to_be_bytes()));
        key
    }
}

/// Scans so many entries from a key on, and gives something that depends on all of them.
type Scanner<'a> = (&'a str, Box<dyn Fn(&[u8], usize) -> Result<u64> + 'a>);

fn digest(key: &[u8], value: &[u8]) -> u64 {
    key.last().zip(value.last()).map_or(0, |(key, value)| 1 + u64::from(*key) * 256 + u64::from(*value))
}

fn open_lmdb(path: &Path) -> Result<Env> {
    let mut options = EnvOpenOptions::new();
    options.map_size(16 << 30);
    #[allow(unsafe_code)]
    // SAFETY: the environment lives in a directory made for this run and is deleted afterwards.
    unsafe {
        options.flags(EnvFlags::NO_SYNC)
    };
    #[allow(unsafe_code)]
    // SAFETY: nothing else touches the files of that directory.
    let environment = unsafe { options.open(path) }?;
    Ok(environment)
}

fn create_database(environment: &Env) -> Result<Database<'_, Bytes, Bytes>> {
    let transaction = environment.write_txn()?;
    let created = environment.create_databases_and_commit(transaction, |opener, transaction| {
        opener.create_database::<Bytes, Bytes>(transaction, None).map(CommitOrAbort::<_, ()>::Commit)
    })?;
    created.commit().context("LMDB gave up creating its database")
}

fn fill(keys: usize, db: &OpenDB, environment: &Env, database: &Database<'_, Bytes, Bytes>) -> Result<()> {
    let mut random = Random(1);
    let mut value = [7; VALUE_BYTES];
    for _ in 0..keys.div_ceil(10_000) {
        let mut transaction = environment.write_txn()?;
        for _ in 0..10_000 {
            let key = random.key();
            value[VALUE_BYTES - 1] = key[3];
            db.put(&key, &value)?;
            database.put(&mut transaction, &key, &value)?;
        }
        transaction.commit()?;
    }
    Ok(())
}

fn measure(scanners: &[Scanner<'_>], entries: usize) -> Result<()> {
    let mut random = Random(99);
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); scanners.len()];
    for _ in 0..10 {
        let start = random.key();
        let sums: Vec<u64> = scanners.iter().map(|(_, scan)| scan(&start, entries)).collect::<Result<_>>()?;
        ensure!(sums.windows(2).all(|pair| pair[0] == pair[1]), "the scans disagree: {sums:?}");
    }
    for _ in 0..BLOCKS {
        for ((_, scan), times) in scanners.iter().zip(&mut times) {
            // Places of its own for each, so that none finds what another has brought into the processor's caches.
            let starts: Vec<_> = (0..SCANS_PER_BLOCK.min(100_000 / entries)).map(|_| random.key()).collect();
            let begin = Instant::now();
            for start in &starts {
                black_box(scan(start, entries)?);
            }
            times.push(begin.elapsed() / starts.len() as u32);
        }
    }
    // Compared block by block, so that a busy moment of the machine is in both.
    let ratio = |times: &[Duration], others: &[Duration]| {
        let ratios = times.iter().zip(others).map(|(time, other)| time.as_secs_f64() / other.as_secs_f64());
        let mut ratios: Vec<f64> = ratios.collect();
        ratios.sort_unstable_by(f64::total_cmp);
        ratios[ratios.len() / 2]
    };
    for (number, (name, _)) in scanners.iter().enumerate() {
        let mut sorted = times[number].clone();
        sorted.sort_unstable();
        let (best, median) = (sorted[sorted.len() / 10], sorted[sorted.len() / 2]);
        let (ours, theirs) = (&times[0], &times[number]);
        println!(
            "  {entries:>5} entries, {name:<14} median {median:>9.2?}   p10 {best:>9.2?}   OpenDB takes {:.2} of it",
            ratio(ours, theirs)
        );
    }
    Ok(())
}

fn main() -> Result<()> {
    let keys = std::env::args().nth(1).map_or(Ok(1_000_000), |keys| keys.parse())?;
    std::fs::create_dir_all("target/bench").context("creating target/bench")?;
    let (ours, theirs) = (tempfile::tempdir_in("target/bench")?, tempfile::tempdir_in("target/bench")?);
    let db = OpenDB::open(ours.path())?;
    let environment = open_lmdb(theirs.path())?;
    let database = create_database(&environment)?;
    fill(keys, &db, &environment, &database)?;
    let forward = |start: &[u8], entries: usize| -> Result<u64> {
        let scan = Scan::all().from(start).limit(entries as u64);
        let mut sum = 0_u64;
        for entry in db.iter(&scan)? {
            let (key, value) = entry?;
            sum = sum.wrapping_add(digest(&key, &value));
        }
        Ok(sum)
    };
    let borrowed = |start: &[u8], entries: usize| -> Result<u64> {
        let transaction = environment.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        let mut sum = 0_u64;
        for entry in database.range(&transaction, &range)?.take(entries) {
            let (key, value) = entry?;
            sum = sum.wrapping_add(digest(key, value));
        }
        Ok(sum)
    };
    let copied = |start: &[u8], entries: usize| -> Result<u64> {
        let transaction = environment.read_txn()?;
        let range = (Bound::Included(start), Bound::Unbounded);
        let mut sum = 0_u64;
        for entry in database.range(&transaction, &range)?.take(entries) {
            let (key, value) = entry?;
            let (key, value) = (key.to_vec(), value.to_vec());
            sum = sum.wrapping_add(digest(&key, &value));
        }
        Ok(sum)
    };
    let scanners: [Scanner<'_>; 3] = [
        ("OpenDB", Box::new(forward)),
        ("LMDB, borrowed", Box::new(borrowed)),
        ("LMDB, copied", Box::new(copied)),
    ];
    for moment in ["right after the puts", "after a pause"] {
        println!("{keys} keys, {moment}, order in memory: {} KiB", db.stats()?.order_bytes >> 10);
        measure(&scanners, 10)?;
        measure(&scanners, 1000)?;
        std::thread::sleep(Duration::from_secs(2));
    }
    drop(scanners);
    db.close()?;
    Ok(())
}
