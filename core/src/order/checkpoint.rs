//! The set as a checkpoint has it: everything in run files that are on the device, and a list of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::file::{RunFile, RunFiles, Synced};
use super::maintenance::{IsLive, Job, Plan};
use super::run::Run;
use super::set::Order;
use crate::error::{Error, Result};

/// One run file, as an image names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RunRef {
    /// It makes the name of the file.
    pub(crate) number: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Keys in it.
    pub(crate) entries: u64,
}

/// What it takes to open a set again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OrderImage {
    pub(crate) runs: Vec<RunRef>,
    /// Numbers up to this one were given out.
    pub(crate) last_number: u64,
    /// Deletes that are not made good yet.
    pub(crate) deletes: u64,
}

impl Order {
    /// Brings everything that was inserted before this call to the device, and tells in which files it is. They are *held*
    /// from then on: they stay, also when a merge has made them superfluous, until [`Order::release`] gives them up.
    ///
    /// What is in memory is merged into one new file; files that are there already are not written anew. Keys that
    /// `is_live` denies are left out of what is merged. Others may insert and scan meanwhile; `maintain` waits.
    ///
    /// # Errors
    /// Where a file cannot be written or synced. The set is as good as before, and the files of earlier images are as
    /// they were.
    pub(crate) fn checkpoint(&self, is_live: &IsLive<'_>) -> Result<OrderImage> {
        let files =
            self.files.as_ref().ok_or_else(|| Error::Internal("the key order has no files".to_owned()))?;
        let mut plan = self.plan.lock();
        // Read before the delta is frozen: what was deleted by then was inserted by then.
        let deletes = self.deletes.load(Ordering::Relaxed);
        self.write_what_is_in_memory(&mut plan, files, is_live)?;
        // No merge ends while the plan is held, so these stay the files of the view.
        let view = self.view();
        let mut runs = Vec::new();
        for file in view.runs.iter().filter_map(|run| run.file()) {
            file.sync()?;
            let entries =
                view.runs.iter().find(|run| run.number == file.number()).map_or(0, |run| run.entries());
            runs.push(RunRef { number: file.number(), bytes: file.bytes(), entries });
        }
        let context =
            |error| Error::io(format!("syncing the directory {}", files.directory.display()), error);
        files.disk.sync_directory(&files.directory).map_err(context)?;
        plan.held.extend(runs.iter().map(|run| (run.number, run.bytes)));
        Ok(OrderImage { runs, last_number: self.state.lock().last_number, deletes })
    }

    /// Merges what is in memory into a new file, and with it files of which a sync has failed: of them only what can be
    /// read is known.
    fn write_what_is_in_memory(
        &self,
        plan: &mut Plan,
        files: &Arc<RunFiles>,
        is_live: &IsLive<'_>,
    ) -> Result<()> {
        let is_at_risk = |run: &Arc<Run>| run.file().is_none_or(|file| file.synced() == Synced::Never);
        let runs: Vec<Arc<Run>> = self.all_as_runs().into_iter().filter(is_at_risk).collect();
        if runs.is_empty() {
            return Ok(());
        }
        // Their inputs are all still there.
        plan.jobs.retain(|job| !runs.iter().any(|run| job.reads(run)));
        let mut job = self.job(&runs, Some(files), None)?;
        while !job.step(self.asks(is_live))? {}
        self.complete(plan, job)
    }

    /// Opens the set that an image describes. The files' directories are read, their keys are not.
    ///
    /// # Errors
    /// Where a file is missing, is not the one that the image means, or has a damaged directory.
    pub(crate) fn open(files: RunFiles, image: &OrderImage) -> Result<Order> {
        let mut runs = Vec::with_capacity(image.runs.len());
        for run in &image.runs {
            runs.push(Arc::new(Run::open(&files, run.number, run.bytes, run.entries)?));
        }
        let order = Order::new(files);
        order.plan.lock().held.extend(image.runs.iter().map(|run| (run.number, run.bytes)));
        let numbers = image.runs.iter().map(|run| run.number);
        let mut state = order.state.lock();
        state.last_number = numbers.max().unwrap_or(0).max(image.last_number);
        Arc::make_mut(&mut state.view).runs = runs;
        drop(state);
        order.deletes.store(image.deletes, Ordering::Relaxed);
        Ok(order)
    }

    /// Gives up the files of all images but those in `keep`, and removes every run file of the directory that is neither in
    /// use nor in `keep`. Best effort.
    pub(crate) fn release(&self, keep: &[u64]) {
        let Some(files) = &self.files else { return };
        let mut plan = self.plan.lock();
        plan.held.retain(|number, _| keep.contains(number));
        let mut in_use = self.run_numbers();
        in_use.extend(plan.jobs.iter().map(Job::output));
        in_use.extend_from_slice(keep);
        files.remove_all_but(&in_use);
    }

    /// Bytes of files that are there only because an image names them: merges have made them superfluous.
    pub(crate) fn superseded_bytes(&self) -> u64 {
        let plan = self.plan.lock();
        let in_use = self.run_numbers();
        plan.held.iter().filter(|(number, _)| !in_use.contains(number)).map(|(_, bytes)| bytes).sum()
    }

    /// Numbers of the run files in use.
    pub(crate) fn run_numbers(&self) -> Vec<u64> {
        self.view().runs.iter().filter_map(|run| run.file()).map(RunFile::number).collect()
    }

    /// Removes the files that no image names: for the end of the database's use. Cursors read on.
    #[cfg(test)]
    pub(crate) fn discard_files(&self) {
        let mut plan = self.plan.lock();
        plan.jobs.clear();
        plan.retire(self.files.as_ref(), &self.view().runs);
    }
}
