//! What is done in another process: opening what was closed or killed, and memory that is one store's alone.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use opendb_measure::child::{End, number, output_of, print_and_die, this_program};
use opendb_measure::system::{anonymous_bytes, directory_bytes};
use opendb_measure::workload::Random;
use serde_json::{Value, json};

use super::load::{ENTRIES_PER_BATCH, entries, load};
use crate::clock::Timing;
use crate::data::{Data, expect};
use crate::rows::{Group, ROWS};
use crate::run::Run;
use crate::stores::{Guarantee, Kind, Setup, Store, Work};

/// Entries that are put one by one right before the kill.
const PUT_LAST: u64 = 1000;
/// Entries that are read after an open.
const CHECKED: u64 = 10_000;
/// How often everything is overwritten.
const OVERWRITES: u64 = 5;

/// What a child does.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Task {
    /// Loads a store and closes it
    Load(Place),
    /// Loads a store, puts some entries more and kills itself
    LoadAndDie(Place),
    /// Opens a store
    Open {
        #[command(flatten)]
        place: Place,
        /// It was killed, and the last entries are newer
        #[arg(long)]
        killed: bool,
    },
    /// Loads and overwrites a store, and says what that takes
    Footprint(Place),
}

/// The store that a child works on.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    #[arg(long)]
    store: String,
    #[arg(long)]
    path: PathBuf,
    #[arg(long)]
    keys: u64,
    #[arg(long)]
    value_bytes: u64,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    data_bytes: u64,
}

/// The work of a child.
pub(crate) fn child(task: &Task) -> Result<()> {
    let printed = match task {
        Task::Load(place) => {
            place.with_store(&mut |store| load(store, &place.data(), 0..place.keys))?;
            json!({})
        }
        Task::LoadAndDie(place) => return load_and_die(place),
        Task::Open { place, killed } => open_and_check(place, *killed)?,
        Task::Footprint(place) => measure_footprint(place)?,
    };
    println!("{printed}");
    Ok(())
}

impl Place {
    fn data(&self) -> Data {
        Data { count: self.keys, value_bytes: self.value_bytes, seed: self.seed }
    }

    fn with_store(&self, work: Work<'_>) -> Result<()> {
        let setup = Setup {
            directory: &self.path,
            guarantee: Guarantee::Survives,
            transactions: false,
            scans: false,
            data_bytes: self.data_bytes,
        };
        Kind::named(&self.store).context("there is no such store")?.with_store(&setup, work)
    }

    fn command(&self, task: &str) -> Command {
        let mut command = this_program();
        command.args(["child", task, "--store", &self.store, "--path"]).arg(&self.path);
        for (name, number) in [
            ("--keys", self.keys),
            ("--value-bytes", self.value_bytes),
            ("--seed", self.seed),
            ("--data-bytes", self.data_bytes),
        ] {
            command.args([name, &number.to_string()]);
        }
        command
    }
}

fn load_and_die(place: &Place) -> Result<()> {
    place.with_store(&mut |store| {
        let (data, mut values) = (place.data(), place.data().values());
        load(store, &data, 0..data.count)?;
        for number in 0..PUT_LAST.min(data.count) {
            let key = data.key(number);
            store.put(&key, values.value(&key, 1))?;
        }
        print_and_die(&json!({}))
    })
}

fn open_and_check(place: &Place, killed: bool) -> Result<Value> {
    let data = place.data();
    let begin = Instant::now();
    let mut nanoseconds = 0;
    let mut lost = 0;
    place.with_store(&mut |store| {
        let key = data.key(0);
        let first = store.get(&key)?;
        nanoseconds = begin.elapsed().as_nanos() as u64;
        lost = u64::from(first.is_none());
        lost += count_lost(store, &data, killed)?;
        Ok(())
    })?;
    Ok(json!({"nanoseconds": nanoseconds, "lost": lost}))
}

/// How many entries are not there, or in an older version.
fn count_lost(store: &dyn Store, data: &Data, killed: bool) -> Result<u64> {
    let newer = if killed { PUT_LAST.min(data.count) } else { 0 };
    let older = (newer..data.count).step_by((data.count / CHECKED).max(1) as usize);
    let mut lost = 0;
    for number in (0..newer).chain(older) {
        let key = data.key(number);
        lost += u64::from(expect(&key, store.get(&key)?, Some(u64::from(number < newer))).is_err());
    }
    Ok(lost)
}

fn measure_footprint(place: &Place) -> Result<Value> {
    let (data, mut printed) = (place.data(), json!({}));
    let before = anonymous_bytes()?;
    place.with_store(&mut |store| {
        load(store, &data, 0..data.count)?;
        let loaded = (anonymous_bytes()?.saturating_sub(before), directory_bytes(&place.path)?);
        let mut random = Random::new(data.seed);
        for version in 0..OVERWRITES * data.count.div_ceil(ENTRIES_PER_BATCH) {
            let numbers = (0..ENTRIES_PER_BATCH).map(|_| random.below(data.count));
            store.batch(&entries(&data, numbers, version + 1))?;
        }
        let overwritten = (anonymous_bytes()?.saturating_sub(before), directory_bytes(&place.path)?);
        store.settle()?;
        printed = json!({
            "memory-loaded": loaded.0,
            "disk-loaded": loaded.1,
            "memory-overwritten": overwritten.0,
            "disk-overwritten": overwritten.1,
            "disk-settled": directory_bytes(&place.path)?,
        });
        Ok(())
    })?;
    Ok(printed)
}

fn place(run: &Run<'_>, path: PathBuf) -> Place {
    let (data, data_bytes) = (run.data(), run.plan.data_bytes());
    let store = run.kind.profile().id.to_owned();
    Place { store, path, keys: data.count, value_bytes: data.value_bytes, seed: data.seed, data_bytes }
}

/// Opens what another process has closed, and what one has left when it was killed. Nothing may be lost.
pub(super) fn open(run: &mut Run<'_>) -> Result<()> {
    for (id, task, end) in [("open-closed", "load", End::Well), ("open-killed", "load-and-die", End::Killed)]
    {
        let directory = tempfile::tempdir_in(&run.plan.directory).context("making a directory")?;
        let place = place(run, directory.path().to_owned());
        output_of(&mut place.command(task), end)?;
        let mut command = place.command("open");
        let opened = output_of(command.args((end == End::Killed).then_some("--killed")), End::Well)?;
        let lost = number(&opened, "lost")?;
        ensure!(lost == 0.0, "{lost} entries were lost: {id}");
        let mean = number(&opened, "nanoseconds")?;
        let once = mean as u64;
        let timing =
            Timing { calls: 1, complete: true, mean, p50: once, p99: once, p999: once, slowest: once };
        run.timing(id, timing)?;
    }
    Ok(())
}

/// Memory and disk of a store that has a process for itself.
pub(super) fn footprint(run: &mut Run<'_>) -> Result<()> {
    let directory = tempfile::tempdir_in(&run.plan.directory).context("making a directory")?;
    let place = place(run, directory.path().to_owned());
    let printed = output_of(&mut place.command("footprint"), End::Well)?;
    for row in ROWS.iter().filter(|row| row.group == Group::Footprint) {
        if run.kind.profile().lacks(row.call).is_none() {
            run.bytes(row.id, number(&printed, row.id)? as u64)?;
        }
    }
    Ok(())
}
