//! OpenDB beside LMDB: the same puts and gets, in one process, in rounds whose order is shuffled, so that neither a warm
//! processor nor a busy moment of the machine favours one of them.
//!
//! # Layout
//! - [`workload`]: keys, values and the order of the calls
//! - [`store`], [`lmdb`]: the stores behind one trait
//! - [`measure`]: one round
//! - [`report`]: the table and the file

mod lmdb;
mod measure;
mod report;
mod store;
mod workload;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;

use measure::Phase;
use report::{Report, Sample};
use store::Kind;
use workload::{Random, Workload};

/// Puts and gets of OpenDB and LMDB, in one run.
#[derive(Parser)]
struct Arguments {
    /// How many keys are written, and how many calls each kind gets
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..))]
    keys: u32,
    /// How many rounds; each runs every store once, in a shuffled order
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Start of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also measures an ordered map in memory, as the floor
    #[arg(long)]
    floor: bool,
    /// Directory in which the stores put their files; they are deleted afterwards
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// File for the table in Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
    /// File for every sample in JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Fails when a call of OpenDB takes more than this many times that of the faster LMDB
    #[arg(long)]
    ratio_max: Option<f64>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let report = run(&arguments)?;
    let markdown = report.markdown();
    println!("{markdown}");
    if let Some(path) = &arguments.markdown {
        fs::write(path, &markdown).with_context(|| format!("writing {}", path.display()))?;
    }
    if let Some(path) = &arguments.json {
        fs::write(path, format!("{:#}\n", report.json()))
            .with_context(|| format!("writing {}", path.display()))?;
    }
    arguments.ratio_max.map_or(Ok(()), |ratio_max| check_ratios(&report, ratio_max))
}

fn run(arguments: &Arguments) -> Result<Report> {
    fs::create_dir_all(&arguments.directory)
        .with_context(|| format!("creating {}", arguments.directory.display()))?;
    let mut kinds = vec![Kind::OpenDb, Kind::Lmdb, Kind::LmdbWritableMap];
    if arguments.floor {
        kinds.push(Kind::Memory);
    }
    let keys = arguments.keys as usize;
    let workload = Workload::new(keys, arguments.seed);
    let mut order = kinds.clone();
    let mut random = Random::new(arguments.seed);
    let mut samples = Vec::new();
    for round in 1..=arguments.rounds {
        random.shuffle(&mut order);
        for &kind in &order {
            eprintln!("round {round} of {}: {}", arguments.rounds, kind.name());
            let directory = tempfile::tempdir_in(&arguments.directory)?;
            kind.with_store(directory.path(), keys, &mut |store| {
                let timings = measure::run_round(store, &workload)?;
                samples.extend(timings.into_iter().map(|(phase, timing)| Sample { kind, phase, timing }));
                Ok(())
            })
            .with_context(|| format!("measuring {}", kind.name()))?;
        }
    }
    Ok(Report { kinds, keys, rounds: arguments.rounds as usize, samples })
}

fn check_ratios(report: &Report, ratio_max: f64) -> Result<()> {
    let slower: Vec<&str> = Phase::ALL
        .into_iter()
        .filter(|phase| report.ratio(*phase).is_some_and(|ratio| ratio > ratio_max))
        .map(Phase::name)
        .collect();
    if !slower.is_empty() {
        bail!("slower than {ratio_max} times the faster LMDB: {}", slower.join("; "));
    }
    Ok(())
}
