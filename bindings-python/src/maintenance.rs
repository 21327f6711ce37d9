//! The calls that look after a database, and what they return: `Compaction`, `Verification`, `Violation`, `Backup` and
//! `Salvage`.

use std::path::Path;

use opendb::CompactionProgress;
use pyo3::prelude::*;
use pyo3::types::PyBool;

use crate::database::Handle;
use crate::error::{call_detached, exception_at, guard};
use crate::stats::{Tuple, record};

record! {
    Compaction {
        segments_removed,
        bytes_copied,
        bytes_freed,
    }
}

record! {
    Verification {
        segments,
        records,
        keys,
        counts_compared,
        violations = each,
    }
}

record! {
    Violation {
        segment,
        offset,
        reason,
    }
}

record! {
    Backup {
        sequence,
        segments_linked,
        segments_copied,
        bytes_copied,
    }
}

record! {
    Salvage {
        keys,
        keyspaces,
        lost = Tuple,
    }
}

fn each(violations: Vec<opendb::Violation>) -> Tuple<Violation> {
    Tuple(violations.into_iter().map(Violation).collect())
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
        None => done.map(Compaction),
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
    call_detached(py, || handle.database.verify()).map(Verification)
}

pub(crate) fn backup(py: Python<'_>, handle: &Handle, directory: &Path) -> PyResult<Backup> {
    py.detach(|| guard(|| handle.database.backup(directory)))
        .map(Backup)
        .map_err(|error| exception_at(py, &error, Some(directory)))
}

pub(crate) fn salvage(py: Python<'_>, damaged: &Path, into: &Path) -> PyResult<Salvage> {
    py.detach(|| guard(|| opendb::OpenDB::salvage(damaged, into)))
        .map(Salvage)
        .map_err(|error| exception_at(py, &error, Some(damaged)))
}
