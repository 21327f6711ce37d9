//! `open`: time from the call to the first value, each time in a process of its own, with the files in the page cache.

use std::fs;

use anyhow::{Context as _, Result};
use opendb::OpenDB;
use serde_json::{Value, json};

use crate::child::Database;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Report, Target};
use opendb_measure::child::number;
use opendb_measure::numbers::median;
use opendb_measure::system::files_with_extension;
use opendb_measure::workload::KEY_BYTES;

const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;
const NANOSECONDS_PER_SECOND: f64 = 1e9;
const CLEAN_OPENS: u64 = 5;
const CHECKPOINT: &str = "checkpoint";

/// Three cases over one database. Every child closes in order, so that the next case begins from a clean state.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let rounds = flags.rounds(Sizes(3, 1));
    let unreplayed_bytes = flags.unreplayed_bytes(Sizes(128 << 20, 1 << 20));
    let directory = flags.directory()?;
    let database = Database {
        path: directory.path().join("db"),
        keys: flags.keys(Sizes(10_000_000, 20_000)),
        value_bytes: flags.value_bytes(150),
        seed: flags.seed,
    };
    report.parameters(json!({
        "keys": database.keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": database.value_bytes,
        "rounds": rounds,
        "unreplayed_bytes": unreplayed_bytes,
    }));
    let db = OpenDB::open(&database.path)?;
    database.load(&db)?;
    db.close()?;
    after_close(report, &database, rounds.max(if flags.short { 1 } else { CLEAN_OPENS }))?;
    // Before the kills: what they overwrite would have to be read as well.
    without_checkpoints(report, &database, rounds)?;
    after_kill(report, &database, rounds, unreplayed_bytes)
}

fn after_close(report: &mut Report, database: &Database, rounds: u64) -> Result<()> {
    let opens =
        (1..=rounds).map(|round| database.open_in_child(round == rounds)).collect::<Result<Vec<_>>>()?;
    let milliseconds = each(&opens, "nanoseconds", NANOSECONDS_PER_MILLISECOND)?;
    report.line(
        &Line::new("open after a clean close, to the first value, median", "ms", median(&milliseconds))
            .target(Target::AtMost(20.0))
            .details(json!({"each_ms": milliseconds, "last": opens.last()})),
    );
    Ok(())
}

fn without_checkpoints(report: &mut Report, database: &Database, rounds: u64) -> Result<()> {
    let (mut removed, mut opens) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let checkpoints = files_with_extension(&database.path, CHECKPOINT)?;
        for path in &checkpoints {
            fs::remove_file(path).with_context(|| format!("removing {}", path.display()))?;
        }
        removed.push(checkpoints.len());
        opens.push(database.open_in_child(round == rounds)?);
    }
    let seconds = each(&opens, "nanoseconds", NANOSECONDS_PER_SECOND)?;
    report.line(
        &Line::new("rebuild without checkpoints", "keys per second", database.keys as f64 / median(&seconds))
            .target(Target::AtLeast(2e6))
            .details(json!({"each_seconds": seconds, "checkpoints_removed": removed, "last": opens.last()})),
    );
    Ok(())
}

fn after_kill(report: &mut Report, database: &Database, rounds: u64, bytes: u64) -> Result<()> {
    let (mut kills, mut opens) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        kills.push(database.overwrite_in_child_and_kill(bytes)?);
        opens.push(database.open_in_child(round == rounds)?);
    }
    let milliseconds = each(&opens, "nanoseconds", NANOSECONDS_PER_MILLISECOND)?;
    report.line(
        &Line::new("open after kill -9, to the first value, median", "ms", median(&milliseconds))
            .target(Target::AtMost(600.0))
            .details(json!({"each_ms": milliseconds, "kills": kills, "last": opens.last()})),
    );
    Ok(())
}

fn each(printed: &[Value], name: &str, divisor: f64) -> Result<Vec<f64>> {
    printed.iter().map(|printed| Ok(number(printed, name)? / divisor)).collect()
}
