//! `scan`: the first result right after a load, and short and long scans beside those of LMDB.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use opendb::{OpenDB, Scan};
use serde_json::json;

use crate::engine;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Outcome, Report, Target};
use opendb_measure::lmdb::{Lmdb, Settings, with_lmdb};
use opendb_measure::numbers::{largest, median};
use opendb_measure::workload::{KEY_BYTES, Keys, Random, Values};

/// Bytes of a key that a prefix takes: of a million random keys, about fifteen have it.
const PREFIX_BYTES: usize = 2;
/// Scans of one store before the other one gets its turn.
const SCANS_PER_TURN: usize = 10;

/// How long a scan is, what is asked of it fresh and after a compaction, and the names of both.
struct Length {
    entries: usize,
    fresh: (&'static str, f64),
    compacted: (&'static str, f64),
}

const LENGTHS: [Length; 2] = [
    Length {
        entries: 1000,
        fresh: ("scan of 1,000 entries, fresh, to LMDB's", 3.0),
        compacted: ("scan of 1,000 entries, after compact(), to LMDB's", 2.0),
    },
    Length {
        entries: 10,
        fresh: ("scan of 10 entries, fresh, to LMDB's", 3.0),
        compacted: ("scan of 10 entries, after compact(), to LMDB's", 3.0),
    },
];

/// Loads some databases for their first scans, and goes on with the last of them.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let keys = flags.keys(Sizes(1_000_000, 20_000));
    let value_bytes = flags.value_bytes(150);
    let rounds = flags.rounds(Sizes(20, 2));
    let loads = if flags.short { 1 } else { 3 };
    report.parameters(json!({
        "keys": keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": value_bytes,
        "loads": loads,
        "rounds": rounds,
        "scans_per_round": SCANS_PER_TURN,
    }));
    let directory = flags.directory()?;
    let numbers = Keys::new(flags.seed);
    let mut values = Values::new(value_bytes);
    let mut first_ms = Vec::new();
    let mut newest = None;
    for load in 0..loads {
        drop(newest.take());
        let db = OpenDB::open(directory.path().join(format!("opendb-{load}")))?;
        first_ms.push(load_and_time_first(&db, numbers, &mut values, keys)?);
        newest = Some(db);
    }
    report.line(
        &Line::new("first result of a prefix scan right after the load, median", "ms", median(&first_ms))
            .target(Target::AtMost(2.0))
            .details(json!({"each_ms": first_ms, "slowest_ms": largest(&first_ms)})),
    );
    let db = newest.context("no database was loaded")?;
    let random = Random::new(flags.seed);
    let data_bytes = keys * (KEY_BYTES as u64 + value_bytes);
    with_lmdb(directory.path(), Settings { data_bytes, ..Settings::default() }, |lmdb| {
        lmdb.load(numbers, &mut values, keys)?;
        Pair { db: &db, lmdb, numbers, random, rounds }.report(report)
    })?;
    Ok(db.close()?)
}

fn load_and_time_first(db: &OpenDB, numbers: Keys, values: &mut Values, keys: u64) -> Result<f64> {
    for number in 0..keys {
        let key = numbers.key(number);
        db.put(&key, values.value(&key, 0))?;
    }
    let key = numbers.key(keys / 2);
    let prefix = key.get(..PREFIX_BYTES).unwrap_or_default();
    let begin = Instant::now();
    let first = db.iter(&Scan::prefix(prefix))?.next().transpose()?;
    let milliseconds = begin.elapsed().as_secs_f64() * 1e3;
    ensure!(first.is_some_and(|(key, _)| key.starts_with(prefix)), "a scan missed keys that were put");
    Ok(milliseconds)
}

/// The two stores, full of the same.
struct Pair<'a> {
    db: &'a OpenDB,
    lmdb: &'a Lmdb<'a>,
    numbers: Keys,
    random: Random,
    rounds: u64,
}

impl Pair<'_> {
    fn report(&mut self, report: &mut Report) -> Result<()> {
        for length in &LENGTHS {
            let (name, target) = length.fresh;
            self.report_ratio(report, length.entries, name, target)?;
        }
        let compacted = engine::compact(self.db)?.is_some();
        for length in &LENGTHS {
            let (name, target) = length.compacted;
            if compacted {
                self.report_ratio(report, length.entries, name, target)?;
            } else {
                let unavailable = Outcome::Unavailable(engine::MISSING.to_owned());
                report
                    .line(&Line::new(name, "times", 0.0).target(Target::AtMost(target)).outcome(unavailable));
            }
        }
        Ok(())
    }

    fn report_ratio(
        &mut self,
        report: &mut Report,
        entries: usize,
        name: &'static str,
        target: f64,
    ) -> Result<()> {
        let (mut own, mut of_lmdb, mut borrowed) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..self.rounds {
            let starts: Vec<_> = (0..SCANS_PER_TURN).map(|_| self.numbers.key(self.random.bits())).collect();
            // Who is first finds a colder processor, so they take turns at that as well.
            for turn in 0..2 {
                for start in &starts {
                    if (round + turn).is_multiple_of(2) {
                        own.push(microseconds(|seen| scan_opendb(self.db, start, entries, seen))?);
                    } else {
                        of_lmdb.push(microseconds(|seen| scan_lmdb(self.lmdb, start, entries, seen))?);
                        borrowed
                            .push(microseconds(|seen| scan_lmdb_borrowed(self.lmdb, start, entries, seen))?);
                    }
                }
            }
        }
        let (own, of_lmdb, borrowed) = (split(own)?, split(of_lmdb)?, split(borrowed)?);
        ensure!(own.1 == of_lmdb.1, "the two stores returned different entries: the run is worth nothing");
        report.line(
            &Line::new(name, "times", median(&own.0) / median(&of_lmdb.0))
                .target(Target::AtMost(target))
                .details(json!({
                    "opendb_us": median(&own.0),
                    "lmdb_us": median(&of_lmdb.0),
                    "lmdb_borrowed_us": median(&borrowed.0),
                    "what": "both give entries that are the caller's own; borrowed: LMDB's looked at where they are, right after",
                })),
        );
        Ok(())
    }
}

/// What a scan saw: entries, and a digest of their keys and of the ends of their values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    entries: u64,
    digest: u64,
}

impl Seen {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let word = |bytes: &[u8]| bytes.last_chunk::<8>().map_or(0, |word| u64::from_le_bytes(*word));
        self.entries += 1;
        self.digest = self.digest.rotate_left(5) ^ word(key) ^ word(value);
    }
}

fn microseconds(scan: impl FnOnce(&mut Seen) -> Result<()>) -> Result<(f64, Seen)> {
    let mut seen = Seen::default();
    let begin = Instant::now();
    scan(&mut seen)?;
    let elapsed = begin.elapsed();
    Ok((elapsed.as_secs_f64() * 1e6, black_box(seen)))
}

fn scan_opendb(db: &OpenDB, start: &[u8], entries: usize, seen: &mut Seen) -> Result<()> {
    for entry in db.iter(&Scan::all().from(start).limit(entries as u64))? {
        let (key, value) = entry?;
        seen.add(&key, &value);
    }
    Ok(())
}

/// Entries of their own, as the other store gives them.
fn scan_lmdb(lmdb: &Lmdb<'_>, start: &[u8], entries: usize, seen: &mut Seen) -> Result<()> {
    lmdb.scan(start, entries, |key, value| {
        let (key, value) = black_box((key.to_vec(), value.to_vec()));
        seen.add(&key, &value);
    })
}

/// Entries that are looked at where they are.
fn scan_lmdb_borrowed(lmdb: &Lmdb<'_>, start: &[u8], entries: usize, seen: &mut Seen) -> Result<()> {
    lmdb.scan(start, entries, |key, value| seen.add(key, value))
}

/// Times and what was seen. An error where scans saw nothing at all.
fn split(scans: Vec<(f64, Seen)>) -> Result<(Vec<f64>, Vec<Seen>)> {
    ensure!(scans.iter().any(|(_, seen)| seen.entries > 0), "no scan returned anything");
    Ok(scans.into_iter().unzip())
}
