//! OpenDB at scale: what a key costs in memory, how fast a large database opens, what scans, space and latency are while
//! the background works. Every figure prints one line of JSON for each thing it measures, with its target.
//!
//! # Layout
//! - [`flags`]: sizes, in their real and their short form
//! - [`report`]: lines of JSON
//! - [`engine`]: what the store does not have yet
//! - [`child`]: what figures do in another process
//! - [`figures`]: one module each
//!
//! Data, clocks and the machine are in `opendb-measure`, which the benchmark uses as well.

mod child;
mod engine;
mod figures;
mod flags;
mod report;

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use figures::Figure;
use flags::Flags;
use report::Report;

/// OpenDB at scale, one line of JSON for each thing measured.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    #[command(flatten)]
    One(Figure),
    /// All figures, one after the other, each in a process of its own
    All(Flags),
    /// What a figure has done in another process
    #[command(hide = true)]
    Child(child::Arguments),
}

fn main() -> Result<ExitCode> {
    let failed = match Arguments::parse().task {
        Task::One(figure) => {
            let mut report = Report::new(figure.name());
            let flags = figure.flags();
            figure.run(&mut report).with_context(|| format!("measuring {}", figure.name()))?;
            flags.strict && report.failures() > 0
        }
        Task::All(_) => all()?,
        Task::Child(arguments) => child::run(&arguments).map(|()| false)?,
    };
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs every figure with the flags that this process was given. A process each, so that none sees the memory that another
/// one's allocator keeps. Gives whether any of them failed.
fn all() -> Result<bool> {
    let program = std::env::current_exe().context("finding this program")?;
    let mut failed = false;
    for name in Figure::NAMES {
        let arguments = std::env::args_os().skip(2);
        let status = Command::new(&program).arg(name).args(arguments).status();
        let status = status.with_context(|| format!("starting {}", program.display()))?;
        failed |= !status.success();
    }
    Ok(failed)
}
