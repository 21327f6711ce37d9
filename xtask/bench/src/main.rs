//! OpenDB beside the stores that a user would otherwise pick: the same work in one process, in rounds in which they take turns
//! in an order of chance, so that neither a warm processor nor a busy moment of the machine favours one of them.
//!
//! Every store has the fastest setting that keeps what is promised, and every answer is checked: one that does less work is
//! found out.
//!
//! # Layout
//! - [`data`]: entries, and what every answer must be
//! - [`stores`]: the stores behind one trait, with what is to be known of each
//! - [`rows`], [`scenes`], [`run`]: what is measured; how; one round of one store
//! - [`clock`]: how long calls take
//! - [`report`], [`chart`]: tables, bars and a file for programs
//! - [`lines`]: what the runners for other languages have measured, as such a report

mod chart;
mod clock;
mod data;
mod lines;
mod report;
mod rows;
mod run;
mod scenes;
mod stores;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Parser, Subcommand};
use opendb_measure::machine::Machine;
use opendb_measure::workload::Random;

use data::{Data, Order};
use report::{Conditions, Report};
use rows::{Group, ROWS};
use run::{Plan, Run};
use scenes::children;
use stores::Kind;

/// OpenDB beside other stores.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How many keys are loaded
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    keys: Option<u32>,
    /// Length of a value in bytes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(24..=1024))]
    value_bytes: u32,
    /// How many rounds; each measures every store once, in a shuffled order
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long a row is measured at most, in each round
    #[arg(long)]
    seconds: Option<f64>,
    /// Start of the random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What is measured; everything where it is not given
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Group>,
    /// Which stores; all that are compiled in where it is not given
    #[arg(long, value_delimiter = ',')]
    stores: Vec<String>,
    /// Fewer keys and less time, for a first look within minutes
    #[arg(long)]
    quick: bool,
    /// Directory in which the stores put their files; they are deleted afterwards
    #[arg(long, default_value = "target/bench")]
    directory: PathBuf,
    /// Directory for the tables, the charts and the file for programs
    #[arg(long)]
    results: Option<PathBuf>,
    /// Fails when OpenDB takes more than this many times what the best of the others takes, in any row
    #[arg(long)]
    ratio_max: Option<f64>,
    #[command(subcommand)]
    task: Option<Task>,
}

#[derive(Subcommand)]
enum Task {
    /// Makes tables and charts of the lines that a runner for another language has printed
    Lines {
        /// The file of the lines
        lines: PathBuf,
        /// A directory on the filesystem that was measured on
        #[arg(long)]
        directory: PathBuf,
        /// Directory for the tables, the charts and the file for programs
        #[arg(long)]
        results: PathBuf,
    },
    /// What is done in another process
    #[command(hide = true, subcommand)]
    Child(children::Task),
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.task {
        Some(Task::Child(task)) => children::child(task),
        Some(Task::Lines { lines, directory, results }) => {
            show(&lines::read(lines, Machine::of(directory))?, Some(results))
        }
        None => {
            let report = measure(&arguments.plan()?)?;
            show(&report, arguments.results.as_deref())?;
            arguments.ratio_max.map_or(Ok(()), |ratio_max| check_ratios(&report, ratio_max))
        }
    }
}

/// Prints the tables, and writes everything where it is wanted. An error where OpenDB has failed.
fn show(report: &Report, results: Option<&Path>) -> Result<()> {
    println!("{}", report.markdown());
    if let Some(directory) = results {
        write_results(report, directory)?;
    }
    let failures = report.own_failures();
    ensure!(failures.is_empty(), "OpenDB failed: {failures:?}");
    Ok(())
}

impl Arguments {
    fn plan(&self) -> Result<Plan> {
        let named = self.stores.iter().map(|id| {
            let kind =
                Kind::named(id).with_context(|| format!("there is no store {id}; there are {}", ids()))?;
            ensure!(kind.is_built(), "{id} is not compiled in: build with --features {id}");
            Ok(kind)
        });
        let mut kinds: Vec<Kind> = named.collect::<Result<_>>()?;
        if kinds.is_empty() {
            kinds = Kind::ALL.into_iter().filter(|kind| kind.is_built()).collect();
        }
        let groups: BTreeSet<Group> = self.only.iter().copied().collect();
        let (keys, seconds) = if self.quick { (100_000, 0.2) } else { (1_000_000, 5.0) };
        let count = u64::from(self.keys.unwrap_or(keys));
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("creating {}", self.directory.display()))?;
        Ok(Plan {
            data: Data { count, value_bytes: u64::from(self.value_bytes), seed: self.seed },
            rounds: self.rounds,
            time: Duration::try_from_secs_f64(self.seconds.unwrap_or(seconds)).context("--seconds")?,
            groups: if groups.is_empty() { ROWS.iter().map(|row| row.group).collect() } else { groups },
            kinds,
            directory: self.directory.clone(),
        })
    }
}

fn ids() -> String {
    Kind::ALL.map(|kind| kind.profile().id).join(", ")
}

/// Measures every store of the plan, as often as there are rounds.
fn measure(plan: &Plan) -> Result<Report> {
    let machine = Machine::of(&plan.directory);
    let order = Order::new(&plan.data);
    let mut turns = plan.kinds.clone();
    let mut random = Random::new(plan.data.seed);
    let mut samples = Vec::new();
    for round in 1..=plan.rounds {
        random.shuffle(&mut turns);
        for kind in turns.iter().copied() {
            eprintln!("round {round} of {}: {}", plan.rounds, kind.profile().name);
            samples.extend(Run { plan, order: &order, kind, round, samples: Vec::new() }.measure());
        }
    }
    let left_out = Kind::ALL.iter().filter(|kind| !plan.kinds.contains(kind));
    Ok(Report {
        asked: conditions(plan),
        machine,
        stores: plan.kinds.iter().map(|kind| kind.profile().notes()).collect(),
        rows: ROWS.iter().filter(|row| plan.groups.contains(&row.group)).collect(),
        samples,
        left_out: left_out.map(|kind| kind.profile().name.to_owned()).collect(),
    })
}

fn conditions(plan: &Plan) -> Conditions {
    Conditions {
        language: "rust".to_owned(),
        keys: plan.data.count,
        value_bytes: plan.data.value_bytes,
        seed: plan.data.seed,
        rounds: u64::from(plan.rounds),
        seconds_per_row: plan.time.as_secs_f64(),
    }
}

fn write_results(report: &Report, directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    let write = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write("results.md", report.markdown())?;
    write("summary.md", report.summary())?;
    write("results.json", format!("{:#}\n", report.json()))?;
    for (name, heading, blocks) in report.charts() {
        write(&format!("{name}.svg"), chart::svg(heading, &blocks))?;
    }
    Ok(())
}

fn check_ratios(report: &Report, ratio_max: f64) -> Result<()> {
    let slower: Vec<String> = report
        .ratios()
        .into_iter()
        .filter(|(_, ratio)| *ratio > ratio_max)
        .map(|(row, ratio)| format!("{} ({ratio:.2})", row.title))
        .collect();
    if !slower.is_empty() {
        bail!("more than {ratio_max} times the best of the others: {}", slower.join("; "));
    }
    Ok(())
}
