//! `hot-key`: one key overwritten many times under one snapshot, which keeps one old version and no more.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use opendb::OpenDB;
use serde_json::json;

use crate::flags::{Flags, Sizes};
use crate::report::{Line, Report, Target};
use opendb_measure::workload::{KEY_BYTES, Keys, Values, version_of};

/// Overwrites one key, and looks at the versions and through the snapshot.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let overwrites = flags.overwrites(Sizes(10_000_000, 20_000));
    let value_bytes = flags.value_bytes(150);
    report.parameters(json!({"overwrites": overwrites, "key_bytes": KEY_BYTES, "value_bytes": value_bytes}));
    let directory = flags.directory()?;
    let db = OpenDB::open(directory.path().join("db"))?;
    let key = Keys::new(flags.seed).key(0);
    let mut values = Values::new(value_bytes);
    db.put(&key, values.value(&key, 0))?;
    let snapshot = db.snapshot()?;
    let begin = Instant::now();
    for version in 1..=overwrites {
        db.put(&key, values.value(&key, version))?;
    }
    let seconds = begin.elapsed().as_secs_f64();
    let versions = db.stats()?.versions;
    let old = version_of(&key, &snapshot.get(&key)?.context("the snapshot has lost its value")?)?;
    let new = version_of(&key, &db.get(&key)?.context("the database has lost its value")?)?;
    ensure!(new == overwrites, "the key has version {new} instead of {overwrites}");
    report.line(
        &Line::new("versions kept for a snapshot", "versions", versions as f64)
            .target(Target::Exactly(overwrites.min(1) as f64)),
    );
    report.line(
        &Line::new("version that the snapshot reads", "version", old as f64).target(Target::Exactly(0.0)),
    );
    report.line(&Line::new("overwrites", "per second", overwrites as f64 / seconds));
    drop(snapshot);
    Ok(db.close()?)
}
