//! The calls that look after a database, and what they return: `Compaction`, `Verification`, `Violation`, `Backup` and
//! `Salvage`.

use std::path::Path;

use opendb::CompactionProgress;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::database::Handle;
use crate::error::{call_detached, exception_at, guard};
use crate::stats::record;

record! {
    /// What OpenDB.compact has done. Two are equal where all of their attributes are.
    Compaction {
        /// Segment files that were given up.
        segments_removed: u64,
        /// Bytes of records that were written anew.
        bytes_copied: u64,
        /// Bytes of the segments that were given up, less those that took their place.
        bytes_freed: u64,
    }
}

record! {
    /// What OpenDB.verify has found. Two are equal where all of their attributes are.
    Verification {
        /// Segments whose records were all read and checked.
        segments: u64,
        /// Records that were read and checked, whether they can still be read by their keys or not.
        records: u64,
        /// Keys that were found in the index, in the order and in the log.
        keys: u64,
        /// Whether counts were compared as well, for which nobody may write meanwhile.
        counts_compared: bool,
        /// Everything that is not as it must be, at most 10,000 of it. Empty where all is well.
        violations: Vec<Violation> = each,
    }
}

record! {
    /// Something that is not as it must be, with its place, in an attribute of Verification.
    Violation {
        /// Serial of the segment; 0 where it is of none.
        segment: u64,
        /// Byte offset in that segment; 0 where it is of no place.
        offset: u64,
        /// What is wrong.
        reason: String,
    }
}

record! {
    /// What OpenDB.backup has done. Two are equal where all of their attributes are.
    Backup {
        /// Sequence of the last commit that is in the backup.
        sequence: u64,
        /// Segments whose files the backup shares with the database.
        segments_linked: u64,
        /// Segments that were copied.
        segments_copied: u64,
        /// Bytes that were copied.
        bytes_copied: u64,
    }
}

record! {
    /// What OpenDB.salvage has brought over. Two are equal where all of their attributes are.
    Salvage {
        /// Keys that are in the new database.
        keys: u64,
        /// Keyspaces of the new database, "default" among them.
        keyspaces: u64,
        /// What could not be read, one sentence for each place: at most 10,000 of them, and then one that tells how many more
        /// there are. Empty where nothing was lost.
        lost: Vec<String>,
    }
}

fn each(violations: Vec<opendb::Violation>) -> Vec<Violation> {
    violations.into_iter().map(Violation::from).collect()
}

pub(crate) fn compact(py: Python<'_>, handle: &Handle, progress: Option<&Py<PyAny>>) -> PyResult<Compaction> {
    let mut raised = None;
    let done = call_detached(py, || {
        handle.database.compact_with(|so_far| {
            // It is told again, when there may be an exception already. Where the interpreter has ended meanwhile, nobody waits
            // for the compaction any more.
            raised.is_none()
                && Python::try_attach(|py| report(py, progress, so_far)).unwrap_or(Ok(false)).unwrap_or_else(
                    |exception| {
                        raised = Some(exception);
                        false
                    },
                )
        })
    });
    match raised {
        Some(raised) => Err(raised),
        None => done.map(Compaction::from),
    }
}

/// Whether to go on. Signals are looked at, so Ctrl-C ends a long compaction.
fn report(py: Python<'_>, progress: Option<&Py<PyAny>>, so_far: &CompactionProgress) -> PyResult<bool> {
    py.check_signals()?;
    let Some(progress) = progress else { return Ok(true) };
    let answer = progress.bind(py).call1((so_far.bytes_done, so_far.bytes_total))?;
    Ok(!answer.is(PyBool::new(py, false)))
}

pub(crate) fn verify(py: Python<'_>, handle: &Handle) -> PyResult<Verification> {
    call_detached(py, || handle.database.verify()).map(Verification::from)
}

pub(crate) fn backup(py: Python<'_>, handle: &Handle, directory: &Path) -> PyResult<Backup> {
    py.detach(|| guard(|| handle.database.backup(directory)))
        .map(Backup::from)
        .map_err(|error| exception_at(py, &error, Some(directory)))
}

pub(crate) fn salvage(py: Python<'_>, damaged: &Path, into: &Path) -> PyResult<Salvage> {
    py.detach(|| guard(|| opendb::OpenDB::salvage(damaged, into)))
        .map(Salvage::from)
        .map_err(|error| exception_at(py, &error, Some(damaged)))
}
