//! `memory-limit`: a database four times as large as the memory that its process and its page cache may take, and LMDB with the same.

use anyhow::Result;
use serde_json::json;

use crate::child::Database;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Outcome, Report, Target};
use opendb_measure::cgroup::Cgroup;
use opendb_measure::child::number;
use opendb_measure::system::drop_from_cache;
use opendb_measure::workload::KEY_BYTES;

/// Data to memory.
const TIMES: u64 = 4;
/// The part of the memory that is for the cache: the rest is for the index, and for pages that are on their way.
const CACHE_PERCENT: u64 = 75;

/// The two ways to read: the names of their lines, with and without a cache and of the ratio.
const WAYS: [(bool, [&str; 3]); 2] = [
    (
        true,
        ["gets, mapped, with a cache", "gets, mapped, without a cache", "mapped, with a cache to without"],
    ),
    (false, ["gets, pread, with a cache", "gets, pread, without a cache", "pread, with a cache to without"]),
];

/// The same of LMDB.
const OF_LMDB: &str = "gets, LMDB";
const TO_LMDB: &str = "mapped, with a cache, to LMDB's";

/// Loads and reads in children under a limit; says why not where the machine has no such limits.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let memory_bytes = flags.memory_bytes(Sizes(256 << 20, 64 << 20));
    let value_bytes = flags.value_bytes(400);
    let keys = (TIMES * memory_bytes / (KEY_BYTES as u64 + value_bytes)).max(1);
    let keys = flags.keys(Sizes(keys, keys));
    let seconds = flags.seconds(Sizes(10.0, 0.2));
    let cache_bytes = memory_bytes / 100 * CACHE_PERCENT;
    report.parameters(json!({
        "memory_bytes": memory_bytes,
        "keys": keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": value_bytes,
        "cache_bytes": cache_bytes,
        "seconds": seconds,
    }));
    match Cgroup::new(memory_bytes) {
        Err(reason) => skip(report, &reason),
        Ok(group) => {
            let directory = flags.directory()?;
            let path = directory.path().join("db");
            let database = Database { path, keys, value_bytes, seed: flags.seed };
            let loaded = database.load_in_group(group.path())?;
            report.line(&Line::new("puts", "per second", number(&loaded, "puts_per_second")?));
            measure(report, &database, &group, cache_bytes, seconds)?;
        }
    }
    Ok(())
}

fn measure(
    report: &mut Report,
    database: &Database,
    group: &Cgroup,
    cache_bytes: u64,
    seconds: f64,
) -> Result<()> {
    let mut mapped_with_cache = 0.0;
    for (mapped, [with, without, ratio]) in WAYS {
        let mut both = Vec::new();
        for (name, cache_bytes) in [(with, cache_bytes), (without, 0)] {
            let printed = database.gets_in_group(group.path(), mapped, cache_bytes, seconds)?;
            let per_second = number(&printed, "gets_per_second")?;
            report.line(&Line::new(name, "per second", per_second).details(printed));
            both.push(per_second);
        }
        if let [with, without] = both[..] {
            report.line(&Line::new(ratio, "times", with / without).target(Target::AtLeast(2.0)));
            if mapped {
                mapped_with_cache = with;
            }
        }
    }
    // Last, and with nothing of ours in the cache of the system, so that neither has the other's pages to make way.
    drop_from_cache(&database.path)?;
    let of_lmdb = gets_of_lmdb(report, database, group, seconds)?;
    report.line(&Line::new(TO_LMDB, "times", mapped_with_cache / of_lmdb).target(Target::AtLeast(2.0)));
    Ok(())
}

fn gets_of_lmdb(report: &mut Report, database: &Database, group: &Cgroup, seconds: f64) -> Result<f64> {
    let lmdb = Database { path: database.path.with_file_name("lmdb"), ..database.clone() };
    lmdb.load_lmdb()?;
    let printed = lmdb.gets_of_lmdb_in_group(group.path(), seconds)?;
    let per_second = number(&printed, "gets_per_second")?;
    report.line(&Line::new(OF_LMDB, "per second", per_second));
    Ok(per_second)
}

fn skip(report: &mut Report, reason: &str) {
    let skipped = |name, unit| Line::new(name, unit, 0.0).outcome(Outcome::Skipped(reason.to_owned()));
    report.line(&skipped("puts", "per second"));
    report.line(&skipped(OF_LMDB, "per second"));
    report.line(&skipped(TO_LMDB, "times").target(Target::AtLeast(2.0)));
    for (_, [with, without, ratio]) in WAYS {
        report.line(&skipped(with, "per second"));
        report.line(&skipped(without, "per second"));
        report.line(&skipped(ratio, "times").target(Target::AtLeast(2.0)));
    }
}
