//! `latency`: how long each put takes, while the index grows and whatever the background does goes on.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use anyhow::Result;
use opendb::OpenDB;
use serde_json::{Value, json};

use super::stalls::Stalls;
use super::ticks::{Ticks, Watch};
use crate::engine;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Report, Target};
use opendb_measure::histogram::Histogram;
use opendb_measure::system::ThreadCounts;
use opendb_measure::workload::{KEY_BYTES, Keys, Random, Values};

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
/// What counts as slow, to see how often it happens.
const SLOW_NANOSECONDS: [(&str, u64); 3] =
    [("over_1_ms", 1_000_000), ("over_5_ms", 5_000_000), ("over_20_ms", 20_000_000)];
/// From here on a put is looked into: whether it worked that long, waited for a processor, or read from the device.
const LOOKED_INTO_NANOSECONDS: u64 = 1_000_000;
/// Stalls of the machine itself are looked for this part of the time, once alone and once beside threads that write.
const STALLS_PART: f64 = 4.0;
/// So many of the slowest are looked at again when it is known whether the machine stood still.
const SLOWEST: usize = 256;
/// So many of them are told one by one.
const TOLD: usize = 5;
/// Pairs of puts between two looks at the clock and at what the scheduler has done.
const PAIRS_PER_LOOK: u64 = 128;

/// One thread puts in turns a key that is there and one that is not.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let keys = flags.keys(Sizes(1_000_000, 20_000));
    let value_bytes = flags.value_bytes(150);
    let seconds = flags.seconds(Sizes(60.0, 0.5));
    report.parameters(json!({
        "keys": keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": value_bytes,
        "seconds": seconds,
    }));
    let directory = flags.directory()?;
    let stalls = Stalls::measure(directory.path(), Duration::try_from_secs_f64(seconds / STALLS_PART)?)?;
    let db = OpenDB::open(directory.path().join("db"))?;
    let (numbers, mut values) = (Keys::new(flags.seed), Values::new(value_bytes));
    let mut random = Random::new(flags.seed);
    let mut put = |number: u64, version: u64| -> Result<u64> {
        let key = numbers.key(number);
        let value = values.value(&key, version);
        let begin = Instant::now();
        db.put(&key, value)?;
        Ok(begin.elapsed().as_nanos() as u64)
    };
    for number in 0..keys {
        put(number, 0)?;
    }
    let watch = Watch::begin();
    let mut times = Times::new();
    let duration = Duration::try_from_secs_f64(seconds)?;
    let mut version = 0;
    while times.begin.elapsed() < duration {
        times.begin_block();
        for _ in 0..PAIRS_PER_LOOK {
            version += 1;
            times.add(put(random.below(keys), version)?);
            times.add(put(keys + version, version)?);
        }
    }
    let ticks = watch.end();
    let details = details(&db, &times, &stalls, &ticks)?;
    lines(&times, &ticks, &details).iter().for_each(|line| report.line(line));
    Ok(db.close()?)
}

/// What the puts took, and the slow ones again without the time in which the scheduler gave the processor to somebody
/// else: on a machine that is not alone, that is most of the slowest ones.
struct Times {
    all: Histogram,
    slow_with_processor: Histogram,
    /// Slowest first.
    slowest: Vec<SlowPut>,
    begin: Instant,
    counts: ThreadCounts,
}

struct SlowPut {
    nanoseconds: u64,
    end: Instant,
    /// Since the block began or since the slow put before, which is this put and the little that the quick ones did.
    counts: ThreadCounts,
}

impl Times {
    fn new() -> Times {
        Times {
            all: Histogram::new(),
            slow_with_processor: Histogram::new(),
            slowest: Vec::new(),
            begin: Instant::now(),
            counts: ThreadCounts::default(),
        }
    }

    fn begin_block(&mut self) {
        self.counts = ThreadCounts::now();
    }

    fn add(&mut self, nanoseconds: u64) {
        self.all.add(nanoseconds);
        if nanoseconds >= LOOKED_INTO_NANOSECONDS {
            let end = Instant::now();
            let before = self.counts;
            self.begin_block();
            let counts = self.counts.since(before);
            self.slow_with_processor.add(nanoseconds.saturating_sub(counts.without_processor));
            self.slowest.push(SlowPut { nanoseconds, end, counts });
            self.slowest.sort_unstable_by_key(|put| Reverse(put.nanoseconds));
            self.slowest.truncate(SLOWEST);
        }
    }

    /// The slowest put without the time in which the machine stood still.
    fn slowest_of_a_running_machine(&self, ticks: &Ticks) -> u64 {
        let without_stalls = self.slowest.iter().map(|put| put.nanoseconds - put.stood_still(ticks));
        // Those that were not kept are no slower than the last one of a full list.
        let not_kept = self.slowest.get(SLOWEST - 1).map(|put| put.nanoseconds);
        without_stalls.chain(not_kept).max().unwrap_or(self.all.slowest())
    }
}

impl SlowPut {
    /// Nanoseconds in which the processor stood still; 0 where that is not known. A processor that has nothing to do gets no
    /// interrupts either, so what the put slept may explain as many that are missing.
    fn stood_still(&self, ticks: &Ticks) -> u64 {
        let duration = Duration::from_nanos(self.nanoseconds);
        let missing = ticks.missing(self.end, duration, self.counts.processor).unwrap_or_default();
        let awake = self.counts.running + self.counts.without_processor;
        let slept = self.nanoseconds.saturating_sub(awake);
        (missing.as_nanos() as u64).saturating_sub(slept)
    }

    fn details(&self, begin: Instant, ticks: &Ticks) -> Value {
        json!({
            "ms": milliseconds(self.nanoseconds),
            "at_second": self.end.duration_since(begin).as_secs_f64(),
            "running_ms": milliseconds(self.counts.running),
            "without_processor_ms": milliseconds(self.counts.without_processor),
            "machine_stood_still_ms": milliseconds(self.stood_still(ticks)),
            "pages_read": self.counts.major_faults,
        })
    }
}

fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / NANOSECONDS_PER_MILLISECOND
}

fn lines(times: &Times, ticks: &Ticks, details: &Value) -> [Line; 5] {
    let line = |name, nanoseconds| Line::new(name, "ms", milliseconds(nanoseconds)).details(details.clone());
    let all = &times.all;
    [
        line("put, p50", all.quantile(0.5)),
        line("put, p99", all.quantile(0.99)),
        line("put, p99.99", all.quantile(0.9999)).target(Target::AtMost(5.0)),
        line("put, slowest", all.slowest()).target(Target::AtMost(20.0)),
        line("put, slowest, less what the machine stood still", times.slowest_of_a_running_machine(ticks))
            .target(Target::AtMost(20.0)),
    ]
}

fn details(db: &OpenDB, times: &Times, stalls: &Stalls, ticks: &Ticks) -> Result<Value> {
    let stats = db.stats()?;
    let work = engine::work(&stats);
    let slowest = times.slowest.iter().take(TOLD).map(|put| put.details(times.begin, ticks));
    Ok(json!({
        "puts": times.all.count(),
        "keys_at_end": stats.keys,
        "slow": slow(&times.all),
        "slowest": slowest.collect::<Vec<_>>(),
        "slow_less_waits_for_a_processor": slow(&times.slow_with_processor),
        "slowest_ms_less_waits_for_a_processor": milliseconds(times.slow_with_processor.slowest()),
        "machine_alone": gaps(&stalls.alone),
        "machine_beside_writers_of_files": gaps(&stalls.beside_writers),
        "checkpoints": work.map(|work| work.checkpoints),
        "compactions": work.map(|work| work.compactions),
        "order_runs": work.map(|work| work.order_runs),
    }))
}

/// What a thread saw that did nothing but look at the clock.
fn gaps(gaps: &Histogram) -> Value {
    json!({ "gaps": slow(gaps), "longest_ms": milliseconds(gaps.slowest()) })
}

fn slow(times: &Histogram) -> Value {
    let counts =
        SLOW_NANOSECONDS.map(|(name, nanoseconds)| (name.to_owned(), json!(times.at_least(nanoseconds))));
    Value::Object(counts.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_put_is_counted_again_without_what_it_waited_for_a_processor() {
        let mut times = Times::new();
        times.add(1000);
        times.add(30_000_000);
        assert_eq!((times.all.count(), times.slow_with_processor.count(), times.slowest.len()), (2, 1, 1));
        assert_eq!(slow(&times.all)["over_20_ms"], 1);
        assert!(times.slow_with_processor.slowest() <= 30_000_000);
    }

    #[test]
    fn a_put_that_slept_is_not_taken_for_a_machine_that_stood_still() {
        let begin = Instant::now();
        let ticks = Ticks::with_a_gap(begin, 200, 240);
        let put = |running| SlowPut {
            nanoseconds: 40_000_000,
            end: begin + Duration::from_millis(240),
            counts: ThreadCounts { running, ..ThreadCounts::default() },
        };
        assert!(put(40_000_000).stood_still(&ticks) >= 30_000_000);
        assert_eq!(put(0).stood_still(&ticks), 0);
    }
}
