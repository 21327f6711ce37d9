//! OpenDB under torture. Each campaign does to a database, many times over, what life does to one, and compares all that can
//! be read afterwards with what must be there. The last line tells the seed and counts what was done.
//!
//! # Layout
//! - [`plan`]: how much is done and from which seed, and what was counted
//! - [`campaigns`]: the list of campaigns, and one module each
//! - [`planted`]: the list of faults that are planted on purpose, each with the campaign that finds it
//! - [`look`]: what databases are opened with and looked at by
//! - [`mounted`]: filesystems that are mounted for a while, and copies of a device as it is under power
//! - [`worker`]: what a campaign does in a process that it kills

mod campaigns;
mod look;
mod mounted;
mod plan;
mod planted;
mod worker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Parser;
use opendb_tests::allocation::Watched;

use campaigns::{CAMPAIGNS, Campaign};
use plan::{Plan, Tally};

#[global_allocator]
static WATCHED: Watched = Watched;

/// Panics of any thread so far, those of the engine's own threads included.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// What is exited with where a campaign has found something.
const FOUND: u8 = 3;

/// Torments databases and looks whether anything is lost, comes back or goes wrong.
#[derive(Parser)]
#[command(name = "cargo xtask torture", after_help = help())]
struct Arguments {
    /// A campaign, `all` of them, or `planted`: whether each planted fault is found
    campaign: String,
    /// How often, in the campaign's own unit
    #[arg(long)]
    iterations: Option<u64>,
    /// Where the random numbers begin; one from the clock where it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// The short form of each campaign: all of them within four minutes
    #[arg(long)]
    quick: bool,
    /// A rule of the engine that is broken on purpose
    #[arg(long)]
    sabotage: Option<String>,
    /// The index tells keys apart by eight bits of their hashes only, so that they collide
    #[arg(long)]
    collisions: bool,
    /// Where databases on a real device are made
    #[arg(long)]
    directory: Option<PathBuf>,
}

fn help() -> String {
    let campaigns = CAMPAIGNS.iter().map(|one| format!("  {:<12} {}\n", one.name, one.what));
    let planted = planted::PLANTED.iter().map(|one| format!("  {}\n", one.sabotage));
    format!(
        "Campaigns:\n{}\nWhat can be broken with --sabotage:\n{}",
        campaigns.collect::<String>(),
        planted.collect::<String>()
    )
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("worker", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return worker::main(rest);
    }
    if let Some(("member", rest)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return campaigns::processes::member::main(rest);
    }
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(FOUND),
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was found.
fn run(arguments: &Arguments) -> Result<bool> {
    let seed =
        arguments.seed.unwrap_or_else(|| opendb_tests::random::seed_from_environment("OPENDB_TORTURE_SEED"));
    if arguments.campaign == "planted" {
        return planted::run(seed, arguments.directory.as_deref());
    }
    let chosen: Vec<&Campaign> = CAMPAIGNS
        .iter()
        .filter(|one| arguments.campaign == "all" || arguments.campaign == one.name)
        .collect();
    if chosen.is_empty() {
        let names: Vec<_> = CAMPAIGNS.iter().map(|one| one.name).collect();
        bail!(
            "there is no campaign {:?}; there are {}, all and planted",
            arguments.campaign,
            names.join(", ")
        );
    }
    plan::take(arguments.sabotage.as_deref(), arguments.collisions)?;
    count_panics();
    let mut all_passed = true;
    for campaign in chosen {
        let usual = if arguments.quick { campaign.quick } else { campaign.full };
        let iterations = arguments.iterations.unwrap_or(usual);
        let directory = arguments.directory.clone().unwrap_or_else(std::env::temp_dir);
        let (sabotage, collisions) = (arguments.sabotage.clone(), arguments.collisions);
        let plan = Plan { seed, iterations, directory, sabotage, collisions };
        all_passed &= run_one(campaign, &plan);
    }
    Ok(all_passed)
}

/// Panics of any thread so far.
fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

fn count_panics() {
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        tell(panic);
    }));
}

fn run_one(campaign: &Campaign, plan: &Plan) -> bool {
    println!(
        "{}: seed {}, {} {}: {}",
        campaign.name, plan.seed, plan.iterations, campaign.unit, campaign.what
    );
    let (mut tally, begin) = (Tally::default(), Instant::now());
    let before = panics();
    let outcome = catch_unwind(AssertUnwindSafe(|| (campaign.run)(plan, &mut tally)));
    let finding = match outcome {
        Ok(Err(failure)) => Some(failure.0),
        Ok(Ok(())) if panics() == before => None,
        _ => Some("a panic, told above".to_owned()),
    };
    let verdict = if finding.is_none() { "passed" } else { "FAILED" };
    if let Some(finding) = &finding {
        println!("{}: found with seed {}:\n{finding}", campaign.name, plan.seed);
    }
    println!("{}: {verdict}; seed {}; {tally}; {} s", campaign.name, plan.seed, begin.elapsed().as_secs());
    finding.is_none()
}
