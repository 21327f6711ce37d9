//! The set itself: what is shared between the writer, the cursors and the background, and under which lock.

use super::bounds::Bounds;
use super::cursor::Cursor;
use super::delta::{Chunk, Delta};
use super::maintenance::{Job, Plan};
use super::merge::{Step, merge_step};
use super::run::Run;
use parking_lot::Mutex;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Unsorted chunks that may wait for the background; with one more the writer sorts one. A cursor over everything
/// sorts what is waiting before its first key, so this bounds how long that takes.
const UNSORTED_MAX: usize = 3;
/// Deletes below which a merge of everything is not worth its work, whatever their share.
const DELETES_MIN: u64 = 4096;

/// The ordered set of keys. See the documentation of the module for its invariants.
pub(crate) struct Order {
    /// Taken for an append, a swap or a small copy only; whatever it releases is dropped outside.
    state: Mutex<State>,
    /// Held through a whole `maintain`, and by nobody else. Taken before `state`, never after.
    plan: Mutex<Plan>,
    /// Deletes noted and not yet made good by a merge of everything.
    deletes: AtomicU64,
    pub(super) interim: super::interim::Interim,
}

#[derive(Default)]
struct State {
    active: Delta,
    view: Arc<View>,
    last_number: u64,
}

/// Everything that is not in the active delta.
#[derive(Clone, Default)]
struct View {
    /// Frozen and not yet sorted, oldest first.
    chunks: Vec<Arc<Chunk>>,
    /// In no order of their own.
    runs: Vec<Arc<Run>>,
}

impl State {
    fn next_number(&mut self) -> u64 {
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
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            plan: Mutex::default(),
            deletes: AtomicU64::new(0),
            interim: Default::default(),
        }
    }

    /// Adds a key that is not in the set, or that was deleted since it was added. Returns whether there is new work for
    /// `maintain`, so that the caller can wake the background.
    #[inline]
    pub(crate) fn insert(&self, key: &[u8]) -> bool {
        let mut state = self.state.lock();
        state.active.push(key);
        if !state.active.is_full() {
            return false;
        }
        state.freeze();
        let unsorted = &state.view.chunks;
        // The newest one: the background begins with the oldest, so that they do not wait for each other.
        let helped = if unsorted.len() > UNSORTED_MAX { unsorted.last().cloned() } else { None };
        drop(state);
        if let Some(chunk) = helped {
            self.sort(&chunk);
        }
        true
    }

    /// Counts keys that were deleted since they were added. A key that stayed visible to a snapshot is counted when the
    /// snapshot ends.
    pub(crate) fn note_deleted(&self, count: u64) {
        self.deletes.fetch_add(count, Ordering::Relaxed);
    }

    /// The keys between two bounds, ascending or in reverse, as of now.
    pub(crate) fn cursor(&self, lower: Bound<&[u8]>, upper: Bound<&[u8]>, reverse: bool) -> Cursor {
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

    /// One step of the background's work: sorts what is waiting and takes a merge one piece further. Returns whether there may
    /// be more to do. Keys that `is_live` denies are left out of what is merged.
    pub(crate) fn maintain(&self, is_live: &dyn Fn(&[u8]) -> bool) -> bool {
        let mut plan = self.plan.lock();
        let waiting = self.view();
        for chunk in &waiting.chunks {
            self.sort(chunk);
        }
        self.begin_merges(&mut plan);
        let merged = self.advance_merge(&mut plan, is_live);
        !waiting.chunks.is_empty() || merged
    }

    /// Bytes of memory that the set holds, apart from what only cursors keep alive.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let (view, active) = self.view_with(Delta::memory_bytes);
        let chunks: u64 = view.chunks.iter().map(|chunk| chunk.memory_bytes()).sum();
        active + chunks + view.runs.iter().map(|run| run.memory_bytes()).sum::<u64>()
    }

    /// Keys that the set holds, with those that are there more than once, dead, or just being merged.
    pub(crate) fn entries(&self) -> u64 {
        let (view, active) = self.view_with(|active| active.len() as u64);
        let chunks: u64 = view.chunks.iter().map(|chunk| chunk.len() as u64).sum();
        active + chunks + view.runs.iter().map(|run| run.entries()).sum::<u64>()
    }

    /// Number of key runs.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> usize {
        self.view().runs.len()
    }

    fn view(&self) -> Arc<View> {
        Arc::clone(&self.state.lock().view)
    }

    fn view_with(&self, of_active: impl Fn(&Delta) -> u64) -> (Arc<View>, u64) {
        let state = self.state.lock();
        (Arc::clone(&state.view), of_active(&state.active))
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

    /// Puts the merges that are due into the plan.
    fn begin_merges(&self, plan: &mut Plan) {
        // Read before the delta is frozen: what was deleted by then was inserted by then, and is merged.
        let deletes = self.deletes.load(Ordering::Relaxed);
        if deletes >= DELETES_MIN && deletes > self.entries() / 2 && !plan.merges_everything() {
            self.begin_merge_of_everything(plan, deletes);
        }
        let view = self.view();
        let due = plan.due(&view.runs);
        if !due.is_empty() {
            let output = self.state.lock().next_number();
            plan.jobs.push(Job::new(due.into_iter(), output, None));
        }
    }

    /// Gives up the merges under way, which leaves their outputs and the rest of their inputs as runs like others, and
    /// begins one over all runs.
    fn begin_merge_of_everything(&self, plan: &mut Plan, deletes: u64) {
        let mut state = self.state.lock();
        if state.active.len() > 0 {
            state.freeze();
        }
        let output = state.next_number();
        let chunks = state.view.chunks.clone();
        drop(state);
        for chunk in &chunks {
            self.sort(chunk);
        }
        plan.jobs.clear();
        plan.jobs.push(Job::new(self.view().runs.iter(), output, Some(deletes)));
    }

    /// Takes the smallest merge one piece further; false where there is none.
    fn advance_merge(&self, plan: &mut Plan, is_live: &dyn Fn(&[u8]) -> bool) -> bool {
        let view = self.view();
        let Some(smallest) = plan.smallest(&view.runs) else { return false };
        let job = &plan.jobs[smallest];
        let inputs: Vec<Arc<Run>> = view.runs.iter().filter(|run| job.reads(run)).cloned().collect();
        // While nothing was deleted nothing can be dead, and asking is dearer than merging.
        let ask = self.deletes.load(Ordering::Relaxed) > 0;
        let step = merge_step(&inputs, ask.then_some(is_live));
        let is_done = step.fence.is_none();
        self.install(job, &view, &inputs, step);
        if is_done {
            let job = plan.jobs.swap_remove(smallest);
            self.deletes.fetch_sub(job.deletes.unwrap_or(0), Ordering::Relaxed);
        }
        true
    }

    /// Exchanges the runs of a job for what they are after a step. Until the lock is released again the old runs are
    /// alive through `view`, so nothing is freed under it.
    fn install(&self, job: &Job, view: &Arc<View>, inputs: &[Arc<Run>], step: Step) {
        let mut output = view.runs.iter().find(|run| run.number == job.output).cloned();
        if let Some(piece) = step.piece {
            output = Some(Arc::new(match &output {
                Some(run) => run.extended(piece),
                None => Run::new(job.output, Some(piece)),
            }));
        }
        let mut changed: Vec<Arc<Run>> = output.into_iter().collect();
        if let Some(fence) = &step.fence {
            changed.extend(inputs.iter().filter_map(|run| run.trimmed(fence)).map(Arc::new));
        }
        let mut state = self.state.lock();
        let next = Arc::make_mut(&mut state.view);
        next.runs.retain(|run| !job.touches(run));
        next.runs.append(&mut changed);
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

    #[cfg(test)]
    pub(super) fn run_bytes(&self) -> Vec<u64> {
        self.view().runs.iter().map(|run| run.memory_bytes()).collect()
    }
}
