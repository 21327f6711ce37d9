//! Two threads work for long on a live set that does not grow: overwrites, deletes and puts, batches, transactions, scans, snapshots
//! that are held for a while, compaction; and every so often the database is closed and opened. Whatever the process and the
//! directory take stays within bounds that come from the first tenth of the run, and nothing is left after the last close.
//!
//! Each thread has keys of its own and knows what is in them, so that every read is compared. In the long form the last part of
//! the run has to be about as fast as an early one.

mod figures;
mod worker;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

use opendb::{OpenDB, Options};
use opendb_tests::random::Random;
use opendb_tests::watch::Watch;
use opendb_tests::{Failure, Outcome, place};

use crate::plan::{Plan, Tally};
use figures::{Bounds, Figures};
use worker::Worker;

const THREADS: u64 = 2;
/// Rounds of a run, each from an opening to a close: twenty, or more where that would make them long.
const ROUNDS: u32 = 20;
const ROUND_MAX: Duration = Duration::from_secs(20);
/// How often it is looked what everything takes.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// From how many seconds on a run is long enough to compare how fast its parts were.
const LONG_SECONDS: u64 = 600;
/// How many percent slower the last part may be.
const SLOWER_PERCENT_MAX: u64 = 20;

/// Works for as many seconds as are wanted.
pub(super) fn run(plan: &Plan, tally: &mut Tally) -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("opendb-torture-").tempdir_in(&plan.directory)?;
    let path = directory.path().join("db");
    let before = Figures::now(&path)?;
    let mut run = Run::new(plan);
    let begin = Instant::now();
    let whole = Duration::from_secs(plan.iterations);
    while begin.elapsed() < whole {
        let until = (begin.elapsed() + (whole / ROUNDS).min(ROUND_MAX)).min(whole);
        run.round(&path, begin, until, tally)?;
    }
    for name in run.bounds.told() {
        println!("endurance: {name}");
    }
    check_left(&path, &before)?;
    run.check_speed(tally)
}

/// What goes on from round to round.
struct Run {
    seed: u64,
    seconds: u64,
    workers: Vec<Worker>,
    bounds: Bounds,
    /// By round: when it ended, as a part of the whole in percent, its operations and its nanoseconds.
    rounds: Vec<(u64, u64, u64)>,
}

impl Run {
    fn new(plan: &Plan) -> Run {
        let mut random = Random::new(plan.seed);
        let workers = (0..THREADS).map(|thread| Worker::new(thread, Random::new(random.bits()))).collect();
        let (seed, seconds) = (plan.seed, plan.iterations);
        Run { seed, seconds, workers, bounds: Bounds::default(), rounds: Vec::new() }
    }

    /// Opens, works and closes.
    fn round(&mut self, path: &Path, begin: Instant, until: Duration, tally: &mut Tally) -> Outcome<()> {
        let _watch = Watch::start(&format!("endurance, a round from {} s on", begin.elapsed().as_secs()));
        let database = OpenDB::open_with_options(path, options())?;
        database.keyspace(worker::OTHER)?;
        let (start, done_before) = (Instant::now(), self.done());
        let is_over = AtomicBool::new(false);
        let seconds = self.seconds;
        let (workers, bounds) = (&mut self.workers, &mut self.bounds);
        let worked = std::thread::scope(|scope| {
            let (database, is_over) = (&database, &is_over);
            let work = |worker| scope.spawn(move || Worker::work(worker, database, is_over));
            let threads: Vec<_> = workers.iter_mut().map(work).collect();
            let mut looked = Ok(());
            while looked.is_ok()
                && begin.elapsed() < until
                && !threads.iter().all(ScopedJoinHandle::is_finished)
            {
                std::thread::sleep(LOOK_EVERY);
                let percent = percent(begin.elapsed(), seconds);
                looked = Figures::now(path).and_then(|figures| bounds.take(percent, &figures));
                tally.add("looks at what everything takes", 1);
            }
            is_over.store(true, Ordering::Relaxed);
            let join = |thread: ScopedJoinHandle<'_, Outcome<()>>| {
                thread.join().unwrap_or_else(|_| Err("a thread panicked".into()))
            };
            threads.into_iter().map(join).fold(looked, Outcome::and)
        });
        let nanoseconds = start.elapsed().as_nanos() as u64;
        let at = |failure: Failure| {
            Failure(format!("seed {}, after {} s: {failure}", self.seed, begin.elapsed().as_secs()))
        };
        worked.map_err(at)?;
        database.close()?;
        let operations = self.done() - done_before;
        self.rounds.push((percent(begin.elapsed(), seconds), operations, nanoseconds));
        tally.add("operations", operations);
        tally.add("rounds from an opening to a close", 1);
        Ok(())
    }

    fn done(&self) -> u64 {
        self.workers.iter().map(|worker| worker.done).sum()
    }

    /// Tells how fast an early part and the last one were, and compares them in a long run.
    fn check_speed(&self, tally: &mut Tally) -> Outcome<()> {
        let early = self.speed(10..30);
        let late = self.speed(80..101);
        tally.add("a second early on", early);
        tally.add("a second at the end", late);
        if self.seconds >= LONG_SECONDS && late * 100 < early * (100 - SLOWER_PERCENT_MAX) {
            return Err(Failure(format!("{early} operations a second early on, and {late} at the end")));
        }
        Ok(())
    }

    /// Operations a second of the rounds that ended in this part, in percent, of the run.
    fn speed(&self, part: std::ops::Range<u64>) -> u64 {
        let of_part = self.rounds.iter().filter(|(percent, ..)| part.contains(percent));
        let sum = of_part.fold((0, 0), |sum, (_, operations, time)| (sum.0 + operations, sum.1 + time));
        sum.0 * 1000 / (sum.1 / 1_000_000).max(1)
    }
}

fn options() -> Options {
    Options::new().segment_bytes(1 << 20).cache_bytes(4 << 20)
}

fn percent(elapsed: Duration, seconds: u64) -> u64 {
    elapsed.as_millis() as u64 / (10 * seconds.max(1))
}

/// After the last close there are as many descriptors as before the first opening, no maps of the database, and only such files as
/// an orderly close leaves.
fn check_left(path: &Path, before: &Figures) -> Outcome<()> {
    let after = Figures::now(path)?;
    if after.descriptors > before.descriptors {
        let (after, before) = (after.descriptors, before.descriptors);
        return Err(Failure(format!(
            "{after} open descriptors after the last close, {before} before the first opening"
        )));
    }
    let maps = std::fs::read_to_string("/proc/self/maps")?;
    let own = path.display().to_string();
    if let Some(line) = maps.lines().find(|line| line.contains(&own)) {
        return Err(Failure(format!("a map is left after the last close: {line}")));
    }
    let known = ["segment", "hint", "checkpoint", "run", "moves"];
    let is_known = |path: &Path| match path.extension() {
        Some(extension) => known.iter().any(|known| extension == *known),
        None => true,
    };
    match place::files(path)?.into_iter().find(|path| !is_known(path)) {
        Some(left) => Err(Failure(format!("{} is left after the last close", left.display()))),
        None => Ok(()),
    }
}
