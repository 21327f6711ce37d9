//! `load`: what a key costs in memory.

use std::time::Instant;

use anyhow::Result;
use opendb::OpenDB;
use serde_json::json;

use crate::flags::{Flags, Sizes};
use crate::report::{Line, Report, Target};
use opendb_measure::system;
use opendb_measure::workload::{KEY_BYTES, Keys, Values};

const SAMPLES: u64 = 200;
/// An index with fewer keys is mostly its shards' smallest tables, and says nothing about a key.
const KEYS_COUNTED_FROM: u64 = 100_000;

/// Puts one key after the other. Nothing of the load is held: keys come from their numbers.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let keys = flags.keys(Sizes(10_000_000, 20_000));
    let value_bytes = flags.value_bytes(150);
    let counted_from = KEYS_COUNTED_FROM.min(keys);
    report.parameters(json!({
        "keys": keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": value_bytes,
        "counted_from_keys": counted_from,
    }));
    let directory = flags.directory()?;
    let (numbers, mut values) = (Keys::new(flags.seed), Values::new(value_bytes));
    let before = system::anonymous_bytes()?;
    let db = OpenDB::open(directory.path().join("db"))?;
    let every = (keys / SAMPLES).max(1);
    let (mut per_key_max, mut at_keys, mut per_key) = (0.0, 0, 0.0);
    let begin = Instant::now();
    for number in 0..keys {
        let key = numbers.key(number);
        db.put(&key, values.value(&key, 0))?;
        let put = number + 1;
        if put >= counted_from && (put % every == 0 || put == keys) {
            per_key = db.stats()?.index_bytes as f64 / put as f64;
            if per_key > per_key_max {
                (per_key_max, at_keys) = (per_key, put);
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    report.line(
        &Line::new("memory of the index a key, at most", "bytes", per_key_max)
            .target(Target::AtMost(12.5))
            .details(json!({"at_keys": at_keys, "at_end": per_key})),
    );
    report_memory(report, &db, before)?;
    report.line(&Line::new("puts", "per second", keys as f64 / seconds));
    Ok(db.close()?)
}

fn report_memory(report: &mut Report, db: &OpenDB, before: u64) -> Result<()> {
    let after = system::anonymous_bytes()?;
    let stats = db.stats()?;
    let of_keys = after.saturating_sub(before).saturating_sub(stats.cache_bytes);
    report.line(
        &Line::new("anonymous memory of the process a key", "bytes", of_keys as f64 / stats.keys as f64)
            .target(Target::AtMost(25.0))
            .details(json!({
                "what": "Anonymous + Swap of smaps_rollup, less the same before the open, less cache_bytes",
                "anonymous_bytes_before": before,
                "anonymous_bytes_after": after,
                "index_bytes": stats.index_bytes,
                "order_bytes": stats.order_bytes,
                "cache_bytes": stats.cache_bytes,
            })),
    );
    Ok(())
}
