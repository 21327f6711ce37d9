//! Threads meet on few keys, with commits that wait for the device and commits that do not, and compaction beside them. What each
//! of them saw has to be of one order of whole commits.
//!
//! A history is one of three, by turns:
//! - single calls on single keys, which have to be linearizable ([`registers`]);
//! - transactions, batches and snapshots, which have to be serializable in an order that time does not contradict
//!   ([`transactions`], [`graph`]);
//! - one of the programs by which anomalies were published, with its result exact ([`programs`]).
//!
//! Some databases are in memory, where a sync takes no time, and some on the device, where a commit is hidden for as long as its
//! sync takes. The seed repeats what the threads do, though not the instants at which they do it.

mod graph;
mod programs;
mod registers;
mod transactions;

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opendb::{Durability, OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::watch::Watch;
use opendb_tests::{Failure, Outcome, place};
use tempfile::TempDir;

use crate::plan::{Plan, Tally};

/// Histories of one database.
const HISTORIES: u64 = 60;
/// How seldom a database is on the device, and how seldom a commit waits for it.
const ON_THE_DEVICE: u64 = 3;
const WAITS: u64 = 5;
/// The other keyspace; the first one is `default`.
const OTHER: &str = "other";
/// How long compaction rests.
const COMPACTION_RESTS: Duration = Duration::from_millis(15);

/// Has as many histories as are wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let mut random = Random::new(plan.seed);
    let mut next = 0;
    while next < plan.iterations {
        let until = plan.iterations.min(next + HISTORIES);
        let directory = make_directory(&plan.directory, random.one_in(ON_THE_DEVICE))?;
        let options = Options::new().segment_bytes(256 << 10).cache_bytes(1 << 20);
        let database = OpenDB::open_with_options(directory.path(), options)?;
        database.keyspace(OTHER)?;
        beside_compaction(&database, || {
            (next..until).try_for_each(|number| one(&database, plan.seed, number, tally))
        })?;
        database.close()?;
        next = until;
    }
    Ok(())
}

fn make_directory(device: &Path, is_on_device: bool) -> Outcome<TempDir> {
    match is_on_device {
        true => Ok(tempfile::Builder::new().prefix("opendb-torture-").tempdir_in(device)?),
        false => place::in_memory(),
    }
}

/// One history, with keys of its own.
fn one(database: &OpenDB, seed: u64, number: u64, tally: &mut Tally) -> Outcome<()> {
    let case = format!("history {number} of seed {seed}");
    let _watch = Watch::start(&case);
    let mut random = Random::new(seed ^ Random::new(number).bits());
    let prefix = format!("{number}:");
    let done = match number % 3 {
        0 => registers::run(database, &prefix, &mut random, tally),
        1 => transactions::run(database, &prefix, &mut random, tally),
        _ => programs::run(database, &prefix, number / 3, &mut random, tally),
    };
    tally.add("histories", 1);
    done.map_err(|failure| Failure(format!("{case}: {failure}")))
}

/// Has a thread compact again and again while the work is done.
fn beside_compaction(database: &OpenDB, work: impl FnOnce() -> Outcome<()>) -> Outcome<()> {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| -> Outcome<()> {
            while !is_over.load(Ordering::Relaxed) {
                database.compact()?;
                std::thread::sleep(COMPACTION_RESTS);
            }
            Ok(())
        });
        let worked = work();
        is_over.store(true, Ordering::Relaxed);
        worked.and(compacting.join().unwrap_or_else(|_| Err("compaction panicked".into())))
    })
}

/// What a thread is to do.
type Work<'a, T> = Box<dyn FnOnce() -> Outcome<T> + Send + 'a>;

/// Does each work in a thread of its own; all of them begin together. What they came to, in their order.
fn together<T: Send>(works: Vec<Work<'_, T>>) -> Outcome<Vec<T>> {
    let start = Barrier::new(works.len());
    std::thread::scope(|scope| {
        let start = &start;
        let works = works.into_iter().map(|work| {
            scope.spawn(move || {
                start.wait();
                work()
            })
        });
        let threads: Vec<_> = works.collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, Outcome<T>>| {
            thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
        };
        threads.into_iter().map(join).collect()
    })
}

fn durability(random: &mut Random) -> Durability {
    if random.one_in(WAITS) { Durability::Sync } else { Durability::Buffered }
}

/// Whether a commit was made; if not, it was in conflict with another.
fn is_committed(result: opendb::Result<()>) -> Outcome<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == opendb::ErrorKind::Transaction => Ok(false),
        Err(error) => Err(error.into()),
    }
}
