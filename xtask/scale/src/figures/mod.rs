//! The figures.

mod churn;
mod history;
mod hot_key;
mod latency;
mod load;
mod memory_limit;
mod open;
pub(crate) mod readers;
mod scan;
mod stalls;
mod ticks;

use anyhow::Result;
use clap::Subcommand;

use crate::flags::Flags;
use crate::report::Report;

/// What can be measured.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Figure {
    /// Memory of the index and of the whole process a key, while keys are put one by one
    Load(Flags),
    /// Time to the first value after a clean close, after a kill, and without checkpoints
    Open(Flags),
    /// Scans beside those of LMDB, and the first result right after a load
    Scan(Flags),
    /// Space and writes while keys are overwritten, and what stays when all are deleted
    Churn(Flags),
    /// How long puts take while the background works
    Latency(Flags),
    /// The core's random histories, many of them
    History(Flags),
    /// One key overwritten under a snapshot
    HotKey(Flags),
    /// Gets from a database four times as large as memory
    MemoryLimit(Flags),
    /// Processes that read beside one that writes
    Readers(Flags),
}

impl Figure {
    /// Every figure's name, in the order in which all of them run.
    pub(crate) const NAMES: [&str; 9] =
        ["load", "open", "scan", "churn", "latency", "history", "hot-key", "memory-limit", "readers"];

    /// The name, as on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Figure::Load(_) => "load",
            Figure::Open(_) => "open",
            Figure::Scan(_) => "scan",
            Figure::Churn(_) => "churn",
            Figure::Latency(_) => "latency",
            Figure::History(_) => "history",
            Figure::HotKey(_) => "hot-key",
            Figure::MemoryLimit(_) => "memory-limit",
            Figure::Readers(_) => "readers",
        }
    }

    /// How large it is to be.
    pub(crate) fn flags(&self) -> &Flags {
        match self {
            Figure::Load(flags)
            | Figure::Open(flags)
            | Figure::Scan(flags)
            | Figure::Churn(flags)
            | Figure::Latency(flags)
            | Figure::History(flags)
            | Figure::HotKey(flags)
            | Figure::MemoryLimit(flags)
            | Figure::Readers(flags) => flags,
        }
    }

    /// Measures it.
    pub(crate) fn run(&self, report: &mut Report) -> Result<()> {
        match self {
            Figure::Load(flags) => load::run(flags, report),
            Figure::Open(flags) => open::run(flags, report),
            Figure::Scan(flags) => scan::run(flags, report),
            Figure::Churn(flags) => churn::run(flags, report),
            Figure::Latency(flags) => latency::run(flags, report),
            Figure::History(flags) => history::run(flags, report),
            Figure::HotKey(flags) => hot_key::run(flags, report),
            Figure::MemoryLimit(flags) => memory_limit::run(flags, report),
            Figure::Readers(flags) => readers::run(flags, report),
        }
    }
}
