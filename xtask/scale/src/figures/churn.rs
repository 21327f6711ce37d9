//! `churn`: space and writes while keys are overwritten at random, and what stays when all are deleted.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use opendb::OpenDB;
use serde_json::{Value, json};

use crate::engine;
use crate::flags::{Flags, Sizes};
use crate::report::{Line, Outcome, Report, Target};
use opendb_measure::system::{bytes_by_extension, directory_bytes, files_with_extension};
use opendb_measure::workload::{KEY_BYTES, Keys, Random, Values};

/// Looks at the directory for each time that as many puts as there are keys were made.
const SAMPLES_PER_PASS: u64 = 20;

/// The database and what was seen of it.
struct Churn {
    db: OpenDB,
    path: PathBuf,
    keys: u64,
    user_bytes: u64,
    numbers: Keys,
}

/// Space as it lies on the disk, in times of two measures of what is alive.
#[derive(Debug, Clone, Copy, Default)]
struct Space {
    bytes: u64,
    of_user: f64,
    of_live: f64,
    /// When that was, in passes over the keys.
    passes: f64,
}

/// What the space is made of: files by their kind, and what is in the segments.
fn composition(path: &Path, db: &OpenDB) -> Result<Value> {
    let stats = db.stats()?;
    let files = bytes_by_extension(path)?;
    let segments = files.get("segment").copied().unwrap_or_default();
    Ok(json!({
        "files": files,
        "live_bytes": stats.live_bytes,
        "dead_bytes": stats.dead_bytes,
        "room_bytes": segments.saturating_sub(stats.log_bytes + stats.large_bytes),
        "bytes_put": stats.bytes_appended,
        "checkpoints": stats.checkpoints,
    }))
}

/// Loads, overwrites, deletes.
pub(crate) fn run(flags: &Flags, report: &mut Report) -> Result<()> {
    let keys = flags.keys(Sizes(2_000_000, 20_000));
    let value_bytes = flags.value_bytes(150);
    let overwrites = flags.overwrites(Sizes(5, 2));
    let settle = flags.settle_seconds(Sizes(10.0, 0.2));
    report.parameters(json!({
        "keys": keys,
        "key_bytes": KEY_BYTES,
        "value_bytes": value_bytes,
        "overwrites": overwrites,
        "settle_seconds": settle,
    }));
    let settle = Duration::try_from_secs_f64(settle)?;
    let directory = flags.directory()?;
    let path = directory.path().join("db");
    let user_bytes = keys * (KEY_BYTES as u64 + value_bytes);
    let churn = Churn { db: OpenDB::open(&path)?, path, keys, user_bytes, numbers: Keys::new(flags.seed) };
    let (most, made_of) = churn.put_all(overwrites, value_bytes, flags.seed)?;
    report.line(
        &Line::new("space to bytes of keys and values, at most", "times", most.of_user)
            .target(Target::AtMost(2.0))
            .details(json!({
                "directory_bytes": most.bytes,
                "of_live_bytes": most.of_live,
                "passes": most.passes,
                "made_of": made_of,
            })),
    );
    thread::sleep(settle);
    churn.report_end(report, overwrites)?;
    churn.delete_all()?;
    thread::sleep(settle);
    churn.report_deleted(report)?;
    Ok(churn.db.close()?)
}

impl Churn {
    /// Puts every key, then as many overwrites as asked for. Gives the most space that was taken, once all keys are there.
    fn put_all(&self, overwrites: u64, value_bytes: u64, seed: u64) -> Result<(Space, Value)> {
        let (mut values, mut random) = (Values::new(value_bytes), Random::new(seed));
        let every = (self.keys / SAMPLES_PER_PASS).max(1);
        let (mut most, mut made_of) = (Space::default(), Value::Null);
        for put in 0..self.keys * (1 + overwrites) {
            let number = if put < self.keys { put } else { random.below(self.keys) };
            let key = self.numbers.key(number);
            self.db.put(&key, values.value(&key, put))?;
            if put >= self.keys && put % every == 0 {
                let space = self.space()?;
                if space.bytes > most.bytes {
                    most = Space { passes: put as f64 / self.keys as f64, ..space };
                    made_of = composition(&self.path, &self.db)?;
                }
            }
        }
        Ok((most, made_of))
    }

    fn space(&self) -> Result<Space> {
        let bytes = directory_bytes(&self.path)?;
        let live = self.db.stats()?.live_bytes;
        let times = |of: u64| bytes as f64 / of.max(1) as f64;
        Ok(Space { bytes, of_user: times(self.user_bytes), of_live: times(live), passes: 0.0 })
    }

    fn report_end(&self, report: &mut Report, overwrites: u64) -> Result<()> {
        let space = self.space()?;
        let violations = engine::violations(&self.db)?;
        report.line(
            &Line::new("space to bytes of keys and values, at the end", "times", space.of_user)
                .target(Target::AtMost(1.6))
                .details(json!({
                    "directory_bytes": space.bytes,
                    "of_live_bytes": space.of_live,
                    "violations": violations,
                    "made_of": composition(&self.path, &self.db)?,
                })),
        );
        let name = "bytes written to bytes that were put";
        let line = match engine::work(&self.db.stats()?) {
            None => Line::new(name, "times", 0.0).outcome(Outcome::Unavailable(engine::MISSING.to_owned())),
            Some(work) => {
                let put = self.user_bytes * (1 + overwrites);
                Line::new(name, "times", work.bytes_written() as f64 / put as f64).details(json!({
                    "put_bytes": put,
                    "bytes_appended": work.bytes_appended,
                    "bytes_copied": work.bytes_copied,
                    "bytes_checkpointed": work.bytes_checkpointed,
                    "bytes_hinted": work.bytes_hinted,
                    "bytes_ordered": work.bytes_ordered,
                    "compactions": work.compactions,
                    "checkpoints": work.checkpoints,
                }))
            }
        };
        report.line(&line.target(Target::AtMost(2.2)));
        Ok(())
    }

    fn delete_all(&self) -> Result<()> {
        for number in 0..self.keys {
            self.db.delete(&self.numbers.key(number))?;
        }
        ensure!(self.db.is_empty()?, "keys are left after all were deleted");
        Ok(())
    }

    fn report_deleted(&self, report: &mut Report) -> Result<()> {
        let segments = segments(&self.path)?;
        report.line(
            &Line::new("segments after all was deleted", "files", segments as f64)
                .target(Target::AtMost(2.0))
                .details(json!({"directory_bytes": directory_bytes(&self.path)?})),
        );
        Ok(())
    }
}

fn segments(path: &Path) -> Result<usize> {
    Ok(files_with_extension(path, "segment")?.len())
}
