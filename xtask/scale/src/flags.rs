//! How large a figure is measured.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use opendb_measure::workload::VALUE_BYTES_MIN;

/// What every figure takes. A size that is not given is the figure's own, and a small one with `--short`; a figure leaves
/// alone what it has no use for.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Flags {
    /// Sizes that are over in a moment, to see that every figure comes out; what they measure means nothing
    #[arg(long)]
    pub(crate) short: bool,
    /// Fails when a target is missed
    #[arg(long)]
    pub(crate) strict: bool,
    /// How many keys
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// Length of a value in bytes
    #[arg(long, value_parser = clap::value_parser!(u64).range(VALUE_BYTES_MIN..))]
    value_bytes: Option<u64>,
    /// How often a round is repeated, where there are rounds
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// How often the keys are overwritten (churn), or the one key is (hot-key)
    #[arg(long)]
    overwrites: Option<u64>,
    /// For how long calls are measured (latency, memory-limit)
    #[arg(long)]
    seconds: Option<f64>,
    /// How long the background is given before space is looked at (churn)
    #[arg(long)]
    settle_seconds: Option<f64>,
    /// Bytes written after the last checkpoint and before the kill (open)
    #[arg(long)]
    unreplayed_bytes: Option<u64>,
    /// The limit (memory-limit)
    #[arg(long)]
    memory_bytes: Option<u64>,
    /// How many histories (history)
    #[arg(long)]
    histories: Option<u64>,
    /// Start of the random numbers
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Directory in which databases are made; they are deleted afterwards
    #[arg(long, default_value = "target/scale", overrides_with = "directory")]
    directory: PathBuf,
}

/// The real size of something, and the one for `--short`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes<T>(pub(crate) T, pub(crate) T);

impl Flags {
    fn choose<T>(&self, given: Option<T>, sizes: Sizes<T>) -> T {
        given.unwrap_or(if self.short { sizes.1 } else { sizes.0 })
    }

    /// How many keys.
    pub(crate) fn keys(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.keys, sizes)
    }

    /// Length of a value.
    pub(crate) fn value_bytes(&self, bytes: u64) -> u64 {
        self.value_bytes.unwrap_or(bytes)
    }

    /// How many rounds.
    pub(crate) fn rounds(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.rounds, sizes)
    }

    /// How many overwrites.
    pub(crate) fn overwrites(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.overwrites, sizes)
    }

    /// For how long calls are measured.
    pub(crate) fn seconds(&self, sizes: Sizes<f64>) -> f64 {
        self.choose(self.seconds, sizes)
    }

    /// How long the background is given.
    pub(crate) fn settle_seconds(&self, sizes: Sizes<f64>) -> f64 {
        self.choose(self.settle_seconds, sizes)
    }

    /// Bytes written before the kill.
    pub(crate) fn unreplayed_bytes(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.unreplayed_bytes, sizes)
    }

    /// The limit of memory.
    pub(crate) fn memory_bytes(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.memory_bytes, sizes)
    }

    /// How many histories.
    pub(crate) fn histories(&self, sizes: Sizes<u64>) -> u64 {
        self.choose(self.histories, sizes)
    }

    /// A new directory, deleted when the value is dropped.
    pub(crate) fn directory(&self) -> Result<TempDir> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("creating {}", self.directory.display()))?;
        tempfile::tempdir_in(&self.directory)
            .with_context(|| format!("creating a directory in {}", self.directory.display()))
    }
}
