//! Which runs are merged with which: merges that are under way, and when a new one begins.

use super::file::RunFiles;
use super::merge::Merge;
use super::run::Run;
use super::walk::Ascending;
use super::writer::RunWriter;
use crate::error::Result;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs in memory, and files, at which some of them are merged.
pub(super) const RUNS_MAX: usize = 8;
/// Files beside those that are just being merged at which there is another merge all the same.
const FILES_MIN: usize = 3;
/// Runs in memory, and in files, that are left alone while nothing comes in. More are merged then, since fewer make
/// scans faster.
const QUIET_RUNS: (usize, usize) = (2, 3);
/// What a step makes, so that it takes a few milliseconds.
const STEP_BYTES: u64 = 512 << 10;
/// Keys after which a step ends whatever it has made: where most keys are dead, little comes out of much work.
const STEP_ENTRIES_MAX: usize = 1 << 15;
/// How long files are left alone after one could not be written or read; doubled with each failure in a row.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const RETRY_DOUBLINGS_MAX: u32 = 8;

/// Whether a key is alive; asked about each key of a merge.
pub(super) type IsLive<'a> = dyn Fn(&[u8]) -> bool + 'a;

/// Whether there is so much room to spare on the device.
pub(super) type HasRoom<'a> = dyn Fn(u64) -> bool + 'a;

/// A merge that is under way. Until it is done its inputs stay in the view, and what it makes is seen by nobody.
pub(super) struct Job {
    /// Numbers of the runs that are read, ascending.
    inputs: Vec<u64>,
    merge: Merge<Ascending>,
    writer: RunWriter,
    /// Bytes of the inputs: about what it makes in the end.
    bytes: u64,
    /// For a merge of everything: the deletes noted before it began, which it makes good.
    pub(super) deletes: Option<u64>,
}

impl Job {
    /// Begins a merge of these runs.
    pub(super) fn new(runs: &[Arc<Run>], writer: RunWriter, deletes: Option<u64>) -> Result<Self> {
        let mut inputs: Vec<u64> = runs.iter().map(|run| run.number).collect();
        inputs.sort_unstable();
        let mut walks = Vec::with_capacity(runs.len());
        for run in runs {
            walks.extend(Ascending::new(run, 0, Bound::Unbounded)?);
        }
        let bytes = runs.iter().map(|run| run.bytes()).sum();
        Ok(Self { inputs, merge: Merge::new(walks), writer, bytes, deletes })
    }

    pub(super) fn reads(&self, run: &Run) -> bool {
        self.inputs.binary_search(&run.number).is_ok()
    }

    pub(super) fn writes_file(&self) -> bool {
        self.writer.writes_file()
    }

    /// Number of the run that it makes.
    pub(super) fn output(&self) -> u64 {
        self.writer.number()
    }

    fn bytes_left(&self) -> u64 {
        self.bytes.saturating_sub(self.writer.bytes())
    }

    /// Takes the merge a step further, leaving out keys that `is_live` denies; without it every key is kept. True when
    /// the inputs are at their end.
    pub(super) fn step(&mut self, is_live: Option<&IsLive<'_>>) -> Result<bool> {
        let goal = self.writer.bytes() + STEP_BYTES;
        for _ in 0..STEP_ENTRIES_MAX {
            let Some(key) = self.merge.next()? else { return Ok(true) };
            if is_live.is_none_or(|is_live| is_live(key)) {
                self.writer.push(key);
            }
            if self.writer.bytes() >= goal {
                break;
            }
        }
        self.writer.flush()?;
        Ok(false)
    }

    /// The run that was made, or `None` where no key is left.
    pub(super) fn finish(self) -> Result<Option<Run>> {
        self.writer.finish()
    }
}

/// The merges under way, and what may become of files. Only the thread in `maintain`, or in a call about
/// checkpoints, has it.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    /// Files that an image names, with their bytes.
    pub(super) held: BTreeMap<u64, u64>,
    /// How often in a row files could not be written or read, and until when they are left alone.
    failures: u32,
    retry_at: Option<Instant>,
    /// What there was when nothing was left to do.
    rest: Option<(u64, usize)>,
}

/// What `Plan::due` goes by.
#[derive(Clone, Copy)]
pub(super) struct Circumstances {
    /// Bytes of runs in memory that are worth a file.
    pub(super) flush_bytes: u64,
    /// Whether files are to be had.
    pub(super) has_files: bool,
    /// Whether nothing has come in for a while.
    pub(super) is_quiet: bool,
}

impl Plan {
    /// The runs the next merge should take. Empty when all is well.
    pub(super) fn due(&self, runs: &[Arc<Run>], now: Circumstances) -> Vec<Arc<Run>> {
        let (busy, idle): (Vec<&Arc<Run>>, Vec<&Arc<Run>>) =
            runs.iter().partition(|run| self.jobs.iter().any(|job| job.reads(run)));
        let (files, memory): (Vec<&Arc<Run>>, Vec<&Arc<Run>>) =
            idle.into_iter().partition(|run| run.file().is_some());
        if now.has_files && memory.iter().map(|run| run.bytes()).sum::<u64>() >= now.flush_bytes {
            return cloned(&memory);
        }
        if memory.len() >= RUNS_MAX {
            return of_like_size(&memory);
        }
        let busy_files = busy.iter().filter(|run| run.file().is_some()).count();
        if now.has_files && files.len() >= RUNS_MAX.saturating_sub(busy_files).max(FILES_MIN) {
            return of_like_size(&files);
        }
        let is_quiet = now.is_quiet && self.jobs.is_empty();
        if is_quiet && memory.len() > QUIET_RUNS.0 {
            return of_like_size(&memory);
        }
        if is_quiet && now.has_files && files.len() > QUIET_RUNS.1 {
            return of_like_size(&files);
        }
        Vec::new()
    }

    /// The job with the least left to do. Small merges go first: they keep the number of runs low while a large one
    /// is under way, and a large one waits well.
    pub(super) fn smallest(&self) -> Option<usize> {
        (0..self.jobs.len()).min_by_key(|&job| self.jobs[job].bytes_left())
    }

    pub(super) fn merges_everything(&self) -> bool {
        self.jobs.iter().any(|job| job.deletes.is_some())
    }

    /// Whether files may be tried.
    pub(super) fn may_try_files(&self) -> bool {
        self.retry_at.is_none_or(|at| Instant::now() >= at)
    }

    /// Leaves files alone for a while.
    pub(super) fn note_failure(&mut self) {
        self.retry_at = Some(Instant::now() + RETRY_AFTER * (1 << self.failures.min(RETRY_DOUBLINGS_MAX)));
        self.failures += 1;
    }

    /// A file was written.
    pub(super) fn note_success(&mut self) {
        (self.failures, self.retry_at) = (0, None);
    }

    /// Tries files again at once.
    #[cfg(test)]
    pub(super) fn retry_now(&mut self) {
        self.retry_at = None;
    }

    /// Whether there was nothing to do the last time, and this was there then as well.
    pub(super) fn is_quiet(&self, there: (u64, usize)) -> bool {
        self.rest == Some(there)
    }

    /// Remembers what is there, now that there is nothing to do; `None` when there is.
    pub(super) fn note_rest(&mut self, there: Option<(u64, usize)>) {
        self.rest = there;
    }

    /// Removes the files of runs that have left the view, unless they are held.
    pub(super) fn retire(&self, files: Option<&Arc<RunFiles>>, runs: &[Arc<Run>]) {
        let unheld =
            runs.iter().filter_map(|run| run.file()).filter(|file| !self.held.contains_key(&file.number()));
        for file in unheld {
            if let Some(files) = files {
                files.remove(file.number(), file.identity());
            }
        }
    }
}

fn cloned(runs: &[&Arc<Run>]) -> Vec<Arc<Run>> {
    runs.iter().map(|run| Arc::clone(run)).collect()
}

/// The smallest two runs, and as many more as there are of which the largest is not larger than the rest. So a key is
/// written again mostly into a run of at least twice the size, and a large run waits until there is as much again.
fn of_like_size(runs: &[&Arc<Run>]) -> Vec<Arc<Run>> {
    let mut sorted = cloned(runs);
    sorted.sort_by_key(|run| run.bytes());
    let (mut sum, mut taken) = (0, 0);
    for (smaller, run) in sorted.iter().enumerate() {
        if smaller < 2 || run.bytes() <= sum {
            taken = smaller + 1;
        }
        sum += run.bytes();
    }
    sorted.truncate(taken);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_of_blocks(number: u64, keys: usize) -> Arc<Run> {
        let mut writer = RunWriter::in_memory(number);
        (0..keys).for_each(|key| writer.push(&key.to_be_bytes()));
        Arc::new(writer.finish().unwrap().unwrap())
    }

    #[test]
    fn runs_of_like_size_are_merged_and_a_large_one_waits_for_as_much_again() {
        let numbers = |sizes: &[usize]| {
            let runs: Vec<_> =
                sizes.iter().zip(1..).map(|(keys, number)| run_of_blocks(number, *keys)).collect();
            let mut taken: Vec<_> = of_like_size(&runs.iter().collect::<Vec<_>>());
            taken.sort_by_key(|run| run.number);
            taken.iter().map(|run| run.number).collect::<Vec<_>>()
        };
        assert_eq!(numbers(&[100, 100, 100]), [1, 2, 3]);
        assert_eq!(numbers(&[9000, 100, 100, 100]), [2, 3, 4]);
        assert_eq!(numbers(&[9000, 3000, 100]), [2, 3]);
        assert_eq!(numbers(&[100, 90, 150, 300, 5000]), [1, 2, 3, 4]);
    }
}
