//! What figures do in another process: this program started anew, so that an open is really the first one, a kill kills
//! nobody else, and a limit of memory holds for one database alone. A child prints one object of JSON.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use opendb::{OpenDB, Options};
use serde_json::{Value, json};

use crate::engine;
use crate::figures::readers;
use opendb_measure::cgroup;
use opendb_measure::child::{End, output_of, print_and_die, this_program};
use opendb_measure::lmdb::{Settings, with_lmdb};
use opendb_measure::system::drop_from_cache;
use opendb_measure::workload::{KEY_BYTES, Key, Keys, Random, Values, Zipfian, version_of};

/// After so many checkpoints that came before the wanted bytes were written, a little less than the longest way between
/// two of them has to do.
const CHECKPOINTS_AWAITED: u64 = 2;
/// Puts between two looks at the statistics.
const PUTS_PER_LOOK: u64 = 256;
/// Gets between two looks at the clock.
const GETS_PER_LOOK: u64 = 64;
/// To what is counted, how long gets go on before.
const FILLING_TIMES: u32 = 5;

/// What every child is told.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What a child does.
#[derive(Debug, Clone, Subcommand)]
enum Task {
    Open {
        #[command(flatten)]
        database: Database,
        #[arg(long)]
        verify: bool,
    },
    OverwriteAndDie {
        #[command(flatten)]
        database: Database,
        #[arg(long)]
        bytes: u64,
    },
    LimitedLoad {
        #[command(flatten)]
        database: Database,
        #[arg(long)]
        cgroup: PathBuf,
    },
    LoadLmdb {
        #[command(flatten)]
        database: Database,
    },
    LimitedGetsOfLmdb {
        #[command(flatten)]
        database: Database,
        #[arg(long)]
        cgroup: PathBuf,
        #[arg(long)]
        seconds: f64,
    },
    LimitedGets {
        #[command(flatten)]
        database: Database,
        #[arg(long)]
        cgroup: PathBuf,
        #[arg(long)]
        mapped: bool,
        #[arg(long)]
        cache_bytes: u64,
        #[arg(long)]
        seconds: f64,
    },
    Reader {
        #[command(flatten)]
        database: Database,
    },
}

/// The database that a child works on, full of the keys that belong to a seed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Database {
    /// Where it is
    #[arg(long)]
    pub(crate) path: PathBuf,
    /// How many keys it has
    #[arg(long)]
    pub(crate) keys: u64,
    /// Length of its values
    #[arg(long)]
    pub(crate) value_bytes: u64,
    /// What its keys belong to
    #[arg(long)]
    pub(crate) seed: u64,
}

impl Database {
    /// Its keys.
    pub(crate) fn keys(&self) -> Keys {
        Keys::new(self.seed)
    }

    /// Puts every key once.
    pub(crate) fn load(&self, db: &OpenDB) -> Result<()> {
        let (keys, mut values) = (self.keys(), Values::new(self.value_bytes));
        for number in 0..self.keys {
            let key = keys.key(number);
            db.put(&key, values.value(&key, 0))?;
        }
        Ok(())
    }

    fn arguments(&self, task: &str) -> Command {
        let mut command = this_program();
        self.add_arguments(command.args(["child", task]));
        command
    }

    /// Tells a child which database it works on.
    pub(crate) fn add_arguments(&self, command: &mut Command) {
        command.arg("--path").arg(&self.path);
        command.args(["--keys", &self.keys.to_string(), "--value-bytes", &self.value_bytes.to_string()]);
        command.args(["--seed", &self.seed.to_string()]);
    }

    /// Opens it in a child, up to the first value read; gives nanoseconds and more. A full check afterwards is not in
    /// the time.
    pub(crate) fn open_in_child(&self, verify: bool) -> Result<Value> {
        output_of(self.arguments("open").args(verify.then_some("--verify")), End::Well)
    }

    /// Overwrites in a child until `bytes` bytes stand behind the last checkpoint, and kills it.
    pub(crate) fn overwrite_in_child_and_kill(&self, bytes: u64) -> Result<Value> {
        let mut command = self.arguments("overwrite-and-die");
        output_of(command.args(["--bytes", &bytes.to_string()]), End::Killed)
    }

    /// Loads it in a child that joined a control group.
    pub(crate) fn load_in_group(&self, group: &Path) -> Result<Value> {
        output_of(self.arguments("limited-load").arg("--cgroup").arg(group), End::Well)
    }

    /// Zipfian gets in a child that joined a control group.
    pub(crate) fn gets_in_group(
        &self,
        group: &Path,
        mapped: bool,
        cache_bytes: u64,
        seconds: f64,
    ) -> Result<Value> {
        let mut command = self.arguments("limited-gets");
        command.arg("--cgroup").arg(group).args(["--cache-bytes", &cache_bytes.to_string()]);
        command.args(["--seconds", &seconds.to_string()]).args(mapped.then_some("--mapped"));
        output_of(&mut command, End::Well)
    }
}

impl Database {
    /// Loads LMDB in a child, and has nothing of it in the cache of the system afterwards. Without a limit: how it is loaded is not
    /// measured, and would take it minutes.
    pub(crate) fn load_lmdb(&self) -> Result<Value> {
        output_of(&mut self.arguments("load-lmdb"), End::Well)
    }

    /// Zipfian gets of LMDB in a child that joined a control group.
    pub(crate) fn gets_of_lmdb_in_group(&self, group: &Path, seconds: f64) -> Result<Value> {
        let mut command = self.arguments("limited-gets-of-lmdb");
        output_of(command.arg("--cgroup").arg(group).args(["--seconds", &seconds.to_string()]), End::Well)
    }

    fn lmdb_settings(&self) -> Settings {
        let data_bytes = self.keys * (KEY_BYTES as u64 + self.value_bytes);
        Settings { data_bytes, reads_nothing_ahead: true, ..Settings::default() }
    }
}

/// The work of a child.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let printed = match &arguments.task {
        Task::Open { database, verify } => open(database, *verify)?,
        Task::OverwriteAndDie { database, bytes } => return overwrite_and_die(database, *bytes),
        Task::Reader { database } => return readers::read(database),
        Task::LimitedLoad { database, cgroup } => {
            cgroup::join(cgroup)?;
            limited_load(database)?
        }
        Task::LoadLmdb { database } => load_lmdb(database)?,
        Task::LimitedGetsOfLmdb { database, cgroup, seconds } => {
            cgroup::join(cgroup)?;
            limited_gets_of_lmdb(database, Duration::try_from_secs_f64(*seconds)?)?
        }
        Task::LimitedGets { database, cgroup, mapped, cache_bytes, seconds } => {
            cgroup::join(cgroup)?;
            let options = Options::new().mapped_reads(*mapped).cache_bytes(*cache_bytes);
            limited_gets(database, options, Duration::try_from_secs_f64(*seconds)?)?
        }
    };
    println!("{printed}");
    Ok(())
}

fn open(database: &Database, verify: bool) -> Result<Value> {
    let key = database.keys().key(0);
    let begin = Instant::now();
    let db = OpenDB::open(&database.path)?;
    let value = db.get(&key)?;
    let nanoseconds = begin.elapsed().as_nanos() as u64;
    version_of(&key, &value.context("a key that was put is not there")?)?;
    ensure!(db.len()? == database.keys, "the database has lost or found keys");
    let recovery = db.stats()?.recovery;
    let violations = if verify { engine::violations(&db)? } else { None };
    db.close()?;
    Ok(json!({
        "nanoseconds": nanoseconds,
        "clean": recovery.clean,
        "frames_read": recovery.frames,
        "violations": violations,
    }))
}

fn overwrite_and_die(database: &Database, bytes: u64) -> Result<()> {
    let db = OpenDB::open_with_options(&database.path, Options::new().create(false))?;
    let (keys, mut values) = (database.keys(), Values::new(database.value_bytes));
    let mut random = Random::new(database.seed ^ bytes);
    let mut unreplayed = Unreplayed::new(appended_and_checkpoints(&db)?);
    let mut version = 1;
    while !unreplayed.is_enough(appended_and_checkpoints(&db)?, bytes) {
        for _ in 0..PUTS_PER_LOOK {
            let key = keys.key(random.below(database.keys));
            db.put(&key, values.value(&key, version))?;
            version += 1;
        }
    }
    print_and_die(&json!({"unreplayed_bytes": unreplayed.bytes, "checkpoints": unreplayed.checkpoints}))
}

/// How far the log has gone since the last checkpoint, as far as the statistics tell.
struct Unreplayed {
    bytes: u64,
    checkpoints: u64,
    begin: u64,
    at_open: u64,
    longest: u64,
}

impl Unreplayed {
    fn new((appended, checkpoints): (u64, u64)) -> Unreplayed {
        Unreplayed { bytes: 0, checkpoints, begin: appended, at_open: checkpoints, longest: 0 }
    }

    /// Whether so many bytes stand behind the last checkpoint, or nearly as many as ever do.
    fn is_enough(&mut self, (appended, checkpoints): (u64, u64), wanted: u64) -> bool {
        if checkpoints != self.checkpoints {
            (self.begin, self.checkpoints) = (appended, checkpoints);
        }
        self.bytes = appended.saturating_sub(self.begin);
        self.longest = self.longest.max(self.bytes);
        let awaited = checkpoints.saturating_sub(self.at_open) >= CHECKPOINTS_AWAITED;
        let enough = if awaited { wanted.min(self.longest / 20 * 19) } else { wanted };
        self.bytes >= enough
    }
}

fn appended_and_checkpoints(db: &OpenDB) -> Result<(u64, u64)> {
    let stats = db.stats()?;
    Ok(engine::work(&stats).map_or((stats.log_bytes, 0), |work| (work.bytes_appended, work.checkpoints)))
}

fn limited_load(database: &Database) -> Result<Value> {
    let begin = Instant::now();
    let db = OpenDB::open_with_options(&database.path, Options::new().cache_bytes(0))?;
    database.load(&db)?;
    db.close()?;
    Ok(json!({"puts_per_second": database.keys as f64 / begin.elapsed().as_secs_f64()}))
}

fn load_lmdb(database: &Database) -> Result<Value> {
    fs::create_dir_all(&database.path)?;
    with_lmdb(&database.path, database.lmdb_settings(), |lmdb| {
        lmdb.load(database.keys(), &mut Values::new(database.value_bytes), database.keys)?;
        Ok(lmdb.environment.force_sync()?)
    })?;
    drop_from_cache(&database.path)?;
    Ok(json!({}))
}

fn limited_gets_of_lmdb(database: &Database, duration: Duration) -> Result<Value> {
    with_lmdb(&database.path, database.lmdb_settings(), |lmdb| {
        let per_second = gets_per_second(database, duration, |key| {
            lmdb.get(key, |value| check(key, value.context("a key that was put is not there")?))
        })?;
        Ok(json!({"gets_per_second": per_second}))
    })
}

fn limited_gets(database: &Database, options: Options, duration: Duration) -> Result<Value> {
    let db = OpenDB::open_with_options(&database.path, options)?;
    let per_second = gets_per_second(database, duration, |key| {
        check(key, &db.get(key)?.context("a key that was put is not there")?)
    })?;
    let stats = db.stats()?;
    db.close()?;
    Ok(json!({
        "gets_per_second": per_second,
        "cache_bytes": stats.cache_bytes,
        "cache_hits": stats.cache_hits,
        "cache_misses": stats.cache_misses,
        "cache_admissions": stats.cache_admissions,
    }))
}

fn check(key: &Key, value: &[u8]) -> Result<()> {
    version_of(key, value).map(drop)
}

/// Zipfian gets. Those that are counted come after several times as many, which fill the caches.
fn gets_per_second(
    database: &Database,
    duration: Duration,
    mut get: impl FnMut(&Key) -> Result<()>,
) -> Result<f64> {
    let (keys, zipfian) = (database.keys(), Zipfian::new(database.keys));
    let mut random = Random::new(database.seed);
    let mut gets_per_second = |duration: Duration| -> Result<f64> {
        let (begin, mut gets) = (Instant::now(), 0_u64);
        while begin.elapsed() < duration {
            for _ in 0..GETS_PER_LOOK {
                get(&keys.key(zipfian.next(&mut random)))?;
            }
            gets += GETS_PER_LOOK;
        }
        Ok(gets as f64 / begin.elapsed().as_secs_f64())
    };
    gets_per_second(duration * FILLING_TIMES)?;
    gets_per_second(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_checkpoints_the_wanted_bytes_are_written_before_the_kill() {
        let mut unreplayed = Unreplayed::new((1000, 7));
        assert!(!unreplayed.is_enough((1000, 7), 100));
        assert!(!unreplayed.is_enough((1099, 7), 100));
        assert!(unreplayed.is_enough((1100, 7), 100));
    }

    #[test]
    fn where_checkpoints_come_earlier_nearly_the_longest_way_between_two_of_them_is_enough() {
        let mut unreplayed = Unreplayed::new((0, 0));
        assert!(!unreplayed.is_enough((59, 0), 100));
        assert!(!unreplayed.is_enough((60, 1), 100));
        assert!(!unreplayed.is_enough((119, 1), 100));
        assert!(!unreplayed.is_enough((121, 2), 100), "a kill right behind a checkpoint replays nothing");
        assert!(!unreplayed.is_enough((150, 2), 100));
        assert!(unreplayed.is_enough((121 + 57, 2), 100));
        assert_eq!(unreplayed.bytes, 57);
    }
}
