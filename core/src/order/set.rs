//! The set itself: what is shared between the writer, the cursors and the background, and under which lock.

use super::bounds::Bounds;
use super::cursor::Cursor;
use super::delta::{Chunk, Delta};
use super::file::RunFiles;
use super::maintenance::{Circumstances, HasRoom, IsLive, Job, Plan};
use super::parking::Lot;
use super::run::Run;
use super::writer::RunWriter;
use crate::error::Result;
use crate::wish::Wish;
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unsorted chunks that may wait for the background; with one more the writer sorts one. A cursor over everything
/// sorts what is waiting before its first key, so this bounds how long that takes.
const UNSORTED_MAX: usize = 3;
/// Deletes below which a merge of everything is not worth its work, whatever their share.
const DELETES_MIN: u64 = 4096;
/// Bytes of runs in memory that go into a file. About as much again may be waiting while a file is being written.
const FLUSH_BYTES: u64 = 6 << 20;

/// The ordered set of keys. See the documentation of the module for its invariants.
pub(crate) struct Order {
    /// Taken for an append, a swap or a small copy only; whatever it releases is dropped outside.
    pub(super) state: Mutex<State>,
    /// Held through a whole `maintain`, `checkpoint` or `release`, and by nobody else. Taken before `state`, never after.
    pub(super) plan: Mutex<Plan>,
    /// Deletes noted and not yet made good by a merge of everything.
    pub(super) deletes: AtomicU64,
    /// Where runs go that are too large for memory; without it all stay there.
    pub(super) files: Option<Arc<RunFiles>>,
    pub(super) flush_bytes: u64,
    pub(super) lot: Arc<Lot>,
    /// That the background sorts what is waiting.
    wants_sorting: Wish,
}

/// What an order has, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct OrderStats {
    /// Sorted runs in memory, and chunks that will be.
    pub(crate) memory_runs: u64,
    pub(crate) file_runs: u64,
    /// Memory that belongs to the process: not what is mapped, nor what only cursors keep alive.
    pub(crate) memory_bytes: u64,
    pub(crate) file_bytes: u64,
    /// Written to run files since the set was opened.
    pub(crate) bytes_written: u64,
    /// Keys, with those that are there more than once, or dead.
    pub(crate) entries: u64,
}

#[derive(Default)]
pub(super) struct State {
    active: Delta,
    pub(super) view: Arc<View>,
    pub(super) last_number: u64,
}

/// Everything that is not in the active delta.
#[derive(Clone, Default)]
pub(super) struct View {
    /// Frozen and not yet sorted, oldest first.
    chunks: Vec<Arc<Chunk>>,
    /// In no order of their own.
    pub(super) runs: Vec<Arc<Run>>,
}

impl State {
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// Moves the active delta into the view as a chunk.
    fn freeze(&mut self) {
        let number = self.next_number();
        let next = Delta::with_room_of(&self.active);
        let chunk = Chunk::new(number, std::mem::replace(&mut self.active, next));
        Arc::make_mut(&mut self.view).chunks.push(Arc::new(chunk));
    }
}

impl Order {
    /// An empty set, whose larger runs go into files. The directory should have no run files yet.
    pub(crate) fn new(files: RunFiles) -> Self {
        Self { files: Some(Arc::new(files)), ..Self::in_memory() }
    }

    /// An empty set in a directory in which files of an earlier one may be left: they are removed.
    pub(crate) fn anew(files: RunFiles) -> Self {
        files.remove_all_but(&[]);
        Self::new(files)
    }

    /// An empty set that stays in memory.
    pub(crate) fn in_memory() -> Self {
        Self {
            state: Mutex::default(),
            plan: Mutex::default(),
            deletes: AtomicU64::new(0),
            files: None,
            flush_bytes: FLUSH_BYTES,
            lot: Arc::default(),
            wants_sorting: Wish::new(),
        }
    }

    /// The same set, but with files from this many bytes on.
    #[cfg(test)]
    pub(super) fn with_flush_bytes(self, flush_bytes: u64) -> Self {
        Self { flush_bytes, ..self }
    }

    /// Adds a key that is not in the set, or that was deleted since it was added.
    #[inline]
    pub(crate) fn insert(&self, key: &[u8]) {
        let mut state = self.state.lock();
        state.active.push(key);
        if !state.active.is_full() {
            return;
        }
        state.freeze();
        let unsorted = &state.view.chunks;
        // The newest one: the background begins with the oldest, so that they do not wait for each other.
        let helped = if unsorted.len() > UNSORTED_MAX { unsorted.last().cloned() } else { None };
        drop(state);
        self.wants_sorting.make();
        if let Some(chunk) = helped {
            self.sort(&chunk);
        }
    }

    /// The wish that `maintain` is called: made when there is something new to sort.
    #[inline]
    pub(crate) fn wish_for_sorting(&self) -> &Wish {
        &self.wants_sorting
    }

    /// Counts keys that were deleted since they were added. A key that stayed visible to a snapshot is counted when the
    /// snapshot ends.
    pub(crate) fn note_deleted(&self, count: u64) {
        self.deletes.fetch_add(count, Ordering::Relaxed);
    }

    /// The keys between two bounds, ascending or in reverse, as of now.
    ///
    /// # Errors
    /// Where a run file cannot be read.
    pub(crate) fn cursor(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, reverse: bool) -> Result<Cursor> {
        let bounds = Bounds::new(lower, upper);
        let (view, recent) = self.capture(&bounds);
        let mut made: Vec<Arc<Run>> = Vec::with_capacity(view.chunks.len() + 1);
        if recent.len() > 0 {
            made.push(Arc::new(recent.to_run(0)));
        }
        for chunk in &view.chunks {
            let narrow = chunk.narrow_run(&bounds).map(Arc::new);
            made.push(narrow.unwrap_or_else(|| self.sort(chunk)));
        }
        Cursor::new(made.iter().chain(&view.runs), &bounds, reverse)
    }

    /// One step of the background's work: sorts what is waiting and takes a merge a few milliseconds further. Returns
    /// whether there may be more to do; where not, a call some time later may find that all is quiet and merge more. Keys
    /// that `is_live` denies are left out of what is merged.
    ///
    /// A file that cannot be written or read is no error here: all stays as it was, and is tried again later. What
    /// cannot be read is told to those who scan it.
    pub(crate) fn maintain(&self, is_live: &IsLive<'_>) -> bool {
        self.maintain_with_room(is_live, &|_| true)
    }

    /// [`Order::maintain`] where only files are written for which `has_room` says that there is so much room to spare.
    pub(crate) fn maintain_with_room(&self, is_live: &IsLive<'_>, has_room: &HasRoom<'_>) -> bool {
        let mut plan = self.plan.lock();
        let waiting = self.view().chunks.len();
        for _ in 0..waiting {
            if let Some(chunk) = self.oldest_chunk() {
                self.sort(&chunk);
            }
        }
        self.begin_merges(&mut plan, has_room);
        let worked = self.advance_merge(&mut plan, is_live) || waiting > 0;
        plan.note_rest((!worked).then(|| self.what_is_there()));
        worked
    }

    /// Keys that the set holds, with those that are there more than once, or dead.
    pub(crate) fn entries(&self) -> u64 {
        self.stats().entries
    }

    /// What the set has, and where.
    pub(crate) fn stats(&self) -> OrderStats {
        let state = self.state.lock();
        let (view, bytes, entries) =
            (Arc::clone(&state.view), state.active.memory_bytes(), state.active.len());
        drop(state);
        let mut stats = OrderStats { memory_bytes: bytes, entries: entries as u64, ..OrderStats::default() };
        stats.bytes_written = self.files.as_ref().map_or(0, |files| files.bytes_written());
        for chunk in &view.chunks {
            stats.memory_runs += 1;
            stats.memory_bytes += chunk.memory_bytes();
            stats.entries += chunk.len() as u64;
        }
        for run in &view.runs {
            stats.memory_bytes += run.memory_bytes();
            stats.entries += run.entries();
            match run.file() {
                None => stats.memory_runs += 1,
                Some(file) => {
                    stats.file_runs += 1;
                    stats.file_bytes += file.bytes();
                }
            }
        }
        stats
    }

    /// Number of key runs.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.view().runs.len()
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.state.lock().view)
    }

    /// The one that waits longest for being sorted. The view is not held on to: whoever changes one that somebody has copies it under
    /// the lock.
    fn oldest_chunk(&self) -> Option<Arc<Chunk>> {
        self.state.lock().view.chunks.first().cloned()
    }

    /// Changes whenever something comes in.
    fn what_is_there(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.last_number, state.active.len())
    }

    /// Everything a cursor reads, of one instant: the view, and a copy of what the delta has inside the bounds.
    fn capture(&self, bounds: &Bounds<'_>) -> (Arc<View>, Delta) {
        let mut state = self.state.lock();
        if state.active.is_large_to_copy() {
            state.freeze();
        }
        (Arc::clone(&state.view), state.active.within(bounds))
    }

    /// Sorts a chunk and puts the run into its place in the view. Others may do the same at the same time: the one who
    /// finds the chunk still in the view exchanges it.
    fn sort(&self, chunk: &Arc<Chunk>) -> Arc<Run> {
        let run = chunk.sorted();
        let mut state = self.state.lock();
        let place = state.view.chunks.iter().position(|other| other.number == chunk.number);
        if let Some(place) = place {
            let view = Arc::make_mut(&mut state.view);
            view.chunks.remove(place);
            view.runs.push(Arc::clone(run));
        }
        Arc::clone(run)
    }

    /// Freezes what was inserted so far, sorts it, and gives all runs.
    pub(super) fn all_as_runs(&self) -> Vec<Arc<Run>> {
        let mut state = self.state.lock();
        if state.active.len() > 0 {
            state.freeze();
        }
        let chunks = state.view.chunks.clone();
        drop(state);
        for chunk in &chunks {
            self.sort(chunk);
        }
        self.view().runs.clone()
    }

    /// Puts the merges that are due into the plan.
    fn begin_merges(&self, plan: &mut Plan, has_room: &HasRoom<'_>) {
        let may_try = self.files.is_some() && plan.may_try_files();
        let has_files = may_try.then_some(has_room);
        // Read before the delta is frozen: what was deleted by then was inserted by then, and is merged.
        let deletes = self.deletes.load(Ordering::Relaxed);
        if deletes >= DELETES_MIN && deletes > self.entries() / 2 && !plan.merges_everything() {
            let runs = self.all_as_runs();
            if may_try || runs.iter().all(|run| run.file().is_none()) {
                // Merges under way are given up: their inputs are all still there.
                plan.jobs.clear();
                self.begin_merge(plan, &runs, has_files, Some(deletes));
                return;
            }
        }
        let is_quiet = plan.is_quiet(self.what_is_there());
        let now = Circumstances { flush_bytes: self.flush_bytes, has_files: may_try, is_quiet };
        let due = plan.due(&self.view().runs, now);
        if !due.is_empty() {
            self.begin_merge(plan, &due, has_files, None);
        }
    }

    /// Begins a merge of these runs, into a file where that is worth it and `has_files` says that there is room for one.
    fn begin_merge(
        &self,
        plan: &mut Plan,
        runs: &[Arc<Run>],
        has_files: Option<&HasRoom<'_>>,
        deletes: Option<u64>,
    ) {
        let bytes: u64 = runs.iter().map(|run| run.bytes()).sum();
        let is_large = bytes >= self.flush_bytes || runs.iter().any(|run| run.file().is_some());
        let has_room = has_files.filter(|_| is_large);
        if has_room.is_some_and(|has_room| !has_room(bytes)) {
            return plan.note_failure();
        }
        let files = self.files.as_ref().filter(|_| has_room.is_some());
        match self.job(runs, files, deletes) {
            Ok(job) => plan.jobs.push(job),
            Err(_) => plan.note_failure(),
        }
    }

    /// A merge of these runs, into a file where there are to be `files`.
    pub(super) fn job(
        &self,
        runs: &[Arc<Run>],
        files: Option<&Arc<RunFiles>>,
        deletes: Option<u64>,
    ) -> Result<Job> {
        let number = self.state.lock().next_number();
        let writer = match files {
            Some(files) => RunWriter::to_file(files, number)?,
            None => RunWriter::in_memory(number),
        };
        Job::new(runs, writer, deletes)
    }

    /// Takes the smallest merge a step further; false where there is none, or where it had to be given up.
    fn advance_merge(&self, plan: &mut Plan, is_live: &IsLive<'_>) -> bool {
        let Some(smallest) = plan.smallest() else { return false };
        let outcome = match plan.jobs[smallest].step(self.asks(is_live)) {
            Ok(false) => return true,
            Ok(true) => {
                let job = plan.jobs.swap_remove(smallest);
                self.complete(plan, job)
            }
            Err(error) => {
                plan.jobs.swap_remove(smallest);
                Err(error)
            }
        };
        if outcome.is_err() {
            plan.note_failure();
        }
        outcome.is_ok()
    }

    /// While nothing was deleted nothing can be dead, and asking is dearer than merging.
    pub(super) fn asks<'a>(&self, is_live: &'a IsLive<'a>) -> Option<&'a IsLive<'a>> {
        (self.deletes.load(Ordering::Relaxed) > 0).then_some(is_live)
    }

    /// Puts the run that a job has made into the place of its inputs.
    pub(super) fn complete(&self, plan: &mut Plan, job: Job) -> Result<()> {
        let (deletes, writes_file) = (job.deletes, job.writes_file());
        // Until these are dropped, nothing is freed under the lock.
        let inputs: Vec<Arc<Run>> = self.view().runs.iter().filter(|run| job.reads(run)).cloned().collect();
        let made = job.finish()?.map(Arc::new);
        let mut state = self.state.lock();
        let next = Arc::make_mut(&mut state.view);
        next.runs.retain(|run| !inputs.iter().any(|input| input.number == run.number));
        next.runs.extend(made);
        drop(state);
        plan.retire(self.files.as_ref(), &inputs);
        if writes_file {
            plan.note_success();
        }
        self.deletes.fetch_sub(deletes.unwrap_or(0), Ordering::Relaxed);
        Ok(())
    }

    /// Proves what must hold of every run, and gives how many keys each has.
    #[cfg(test)]
    pub(super) fn check(&self) -> Vec<usize> {
        let view = self.view();
        let mut numbers: Vec<u64> = view.runs.iter().map(|run| run.number).collect();
        numbers.sort_unstable();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "every run has a number of its own");
        view.runs.iter().map(|run| run.check().len()).collect()
    }

    /// Bytes of each run in memory.
    #[cfg(test)]
    pub(super) fn memory_run_bytes(&self) -> Vec<u64> {
        let view = self.view();
        view.runs.iter().filter(|run| run.file().is_none()).map(|run| run.bytes()).collect()
    }

    /// Tries files again at once that could not be written.
    #[cfg(test)]
    pub(super) fn retry_now(&self) {
        self.plan.lock().retry_now();
    }
}
