//! `latency`: how long each put takes, while the index grows and whatever the background does goes on.

use std::time::{Duration, Instant};

use anyhow::Result;
use opendb::OpenDB;
use serde_json::{Value, json};

use crate::engine;
use crate::flags::{Flags, Sizes};
use crate::histogram::Histogram;
use crate::report::{Line, Report, Target};
use crate::system;
use crate::workload::{KEY_BYTES, Keys, Random, Values};

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
/// What counts as slow, to see how often it happens.
const SLOW_NANOSECONDS: [(&str, u64); 3] =
    [("over_1_ms", 1_000_000), ("over_5_ms", 5_000_000), ("over_20_ms", 20_000_000)];

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
    let preemptions = system::preemptions();
    let mut histogram = Histogram::new();
    let (begin, duration) = (Instant::now(), Duration::try_from_secs_f64(seconds)?);
    let mut version = 0;
    while begin.elapsed() < duration {
        version += 1;
        histogram.add(put(random.below(keys), version)?);
        histogram.add(put(keys + version, version)?);
    }
    let details = details(&db, &histogram, system::preemptions() - preemptions)?;
    lines(&histogram, &details).iter().for_each(|line| report.line(line));
    Ok(db.close()?)
}

fn lines(histogram: &Histogram, details: &Value) -> [Line; 4] {
    let line = |name, nanoseconds: u64| {
        Line::new(name, "ms", nanoseconds as f64 / NANOSECONDS_PER_MILLISECOND).details(details.clone())
    };
    [
        line("put, p50", histogram.quantile(0.5)),
        line("put, p99", histogram.quantile(0.99)),
        line("put, p99.99", histogram.quantile(0.9999)).target(Target::AtMost(5.0)),
        line("put, slowest", histogram.slowest()).target(Target::AtMost(20.0)),
    ]
}

fn details(db: &OpenDB, histogram: &Histogram, preemptions: u64) -> Result<Value> {
    let stats = db.stats()?;
    let work = engine::work(&stats);
    let slow: serde_json::Map<String, Value> = SLOW_NANOSECONDS
        .into_iter()
        .map(|(name, nanoseconds)| (name.to_owned(), json!(histogram.at_least(nanoseconds))))
        .collect();
    Ok(json!({
        "puts": histogram.count(),
        "keys_at_end": stats.keys,
        "slow": slow,
        "preemptions": preemptions,
        "checkpoints": work.map(|work| work.checkpoints),
        "compactions": work.map(|work| work.compactions),
        "order_runs": work.map(|work| work.order_runs),
    }))
}
