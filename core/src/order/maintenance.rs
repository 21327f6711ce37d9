//! Which runs are merged with which: merges that are under way, and when a new one begins.

use super::run::Run;
use std::sync::Arc;

/// Runs of one tier that are merged into one of the next.
const TIER_FAN_OUT: usize = 4;
/// Bytes below which every run is of tier 0; each tier above reaches four times further.
const TIER_BYTES: u64 = 256 << 10;

/// A merge that is under way. It has no state but its runs in the view: what is merged is in the output, what is still
/// to come is behind the fences of the inputs.
pub(super) struct Job {
    /// Numbers of the runs that are read, ascending.
    inputs: Vec<u64>,
    /// Number of the run that is written; it is in the view from its first piece on.
    pub(super) output: u64,
    /// For a merge of everything: the deletes noted before it began, which it makes good.
    pub(super) deletes: Option<u64>,
}

impl Job {
    pub(super) fn new<'a>(
        runs: impl Iterator<Item = &'a Arc<Run>>,
        output: u64,
        deletes: Option<u64>,
    ) -> Self {
        let mut inputs: Vec<u64> = runs.map(|run| run.number).collect();
        inputs.sort_unstable();
        Self { inputs, output, deletes }
    }

    pub(super) fn reads(&self, run: &Run) -> bool {
        self.inputs.binary_search(&run.number).is_ok()
    }

    pub(super) fn touches(&self, run: &Run) -> bool {
        run.number == self.output || self.reads(run)
    }

    fn bytes_left(&self, runs: &[Arc<Run>]) -> u64 {
        runs.iter().filter(|run| self.reads(run)).map(|run| run.memory_bytes()).sum()
    }
}

/// The merges under way. Only the thread in `maintain` has it.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
}

impl Plan {
    /// The runs the next merge should take: those of the highest tier that has enough runs outside of all jobs, and
    /// with them all smaller ones, which cost little more and would go the same way later. Empty when all is well.
    pub(super) fn due<'a>(&self, runs: &'a [Arc<Run>]) -> Vec<&'a Arc<Run>> {
        let idle = runs.iter().filter(|run| !self.jobs.iter().any(|job| job.touches(run)));
        let mut idle: Vec<(u32, &Arc<Run>)> = idle.map(|run| (tier(run.memory_bytes()), run)).collect();
        idle.sort_by_key(|(tier, _)| *tier);
        let tiers = idle.chunk_by(|a, b| a.0 == b.0);
        let highest = tiers.filter(|runs| runs.len() >= TIER_FAN_OUT).map(|runs| runs[0].0).max();
        let taken = idle.into_iter().filter(|(tier, _)| highest.is_some_and(|highest| *tier <= highest));
        taken.map(|(_, run)| run).collect()
    }

    /// The job with the least left to do. Small merges go first: they keep the number of runs low while a large one
    /// is under way, and a large one waits well, since each of its steps is complete in itself.
    pub(super) fn smallest(&self, runs: &[Arc<Run>]) -> Option<usize> {
        (0..self.jobs.len()).min_by_key(|&job| self.jobs[job].bytes_left(runs))
    }

    pub(super) fn merges_everything(&self) -> bool {
        self.jobs.iter().any(|job| job.deletes.is_some())
    }
}

/// By bytes and not by keys, so that long keys do not make a tier larger than it seems.
pub(super) fn tier(bytes: u64) -> u32 {
    (bytes / TIER_BYTES).checked_ilog2().map_or(0, |power| power / 2 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tier_reaches_four_times_further() {
        assert_eq!(tier(0), 0);
        for number in 0..10 {
            let end = TIER_BYTES << (2 * number);
            assert_eq!((tier(end - 1), tier(end)), (number, number + 1));
        }
    }
}
