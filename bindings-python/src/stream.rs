//! `ValueReader` and `ValueWriter`: values that are read and written piece by piece, with the calls of Python's raw
//! streams.

use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use opendb::{Durability, Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PySlice};

use crate::database::Handle;
use crate::error::call_detached;
use crate::held::Slot;
use crate::options::{Data, DurabilityName};

/// From this size on, a piece is read while other threads run.
const DETACHED_BYTES: usize = 64 << 10;
/// The largest piece that `readinto` reads at a time.
const PIECE_BYTES_MAX: usize = 1 << 20;

/// A value that is read piece by piece, made by value_reader, with the calls of a raw stream of Python.
///
/// It stays the same value when its key is overwritten. As a context manager it closes itself. A value over 1 MiB that is
/// damaged is noticed by who reads from its beginning to its end: the read that would give the last byte raises
/// CorruptionError. Once it is closed, its calls raise InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct ValueReader {
    slot: Slot<opendb::ValueReader>,
    length: u64,
}

impl ValueReader {
    pub(crate) fn new(handle: &Arc<Handle>, reader: opendb::ValueReader) -> ValueReader {
        let (length, finished) = (reader.len(), "the reader is closed: make another one");
        ValueReader { slot: Slot::new(handle, reader, finished), length }
    }

    /// Bytes from the position to the end.
    fn left(&self, py: Python<'_>) -> PyResult<usize> {
        let position = self.slot.with(py, |reader| Ok(reader.stream_position()?))?;
        Ok(usize::try_from(self.length.saturating_sub(position)).unwrap_or(usize::MAX))
    }

    /// Fills `target` as far as the value goes.
    fn fill(&self, py: Python<'_>, target: &mut [u8]) -> PyResult<usize> {
        let is_large = target.len() >= DETACHED_BYTES;
        let work = |reader: &mut opendb::ValueReader| {
            let mut filled = 0;
            while let Some(rest) = target.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match reader.read(rest)? {
                    0 => break,
                    count => filled += count,
                }
            }
            Ok(filled)
        };
        if is_large { self.slot.with_detached(py, work) } else { self.slot.with(py, work) }
    }
}

#[pymethods]
impl ValueReader {
    /// The next bytes of the value: so many, or all that are left where size is None or negative. None are left at the
    /// end.
    #[pyo3(signature = (size=None))]
    fn read<'py>(&self, py: Python<'py>, size: Option<i64>) -> PyResult<Bound<'py, PyBytes>> {
        let wanted = size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        let count = wanted.min(self.left(py)?);
        let mut filled = 0;
        let bytes = PyBytes::new_with(py, count, |target| {
            filled = self.fill(py, target)?;
            Ok(())
        })?;
        // Another thread may have read meanwhile.
        if filled == count { Ok(bytes) } else { Ok(PyBytes::new(py, &bytes.as_bytes()[..filled])) }
    }

    /// All bytes that are left.
    fn readall<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        self.read(py, None)
    }

    /// Reads into a writable buffer of bytes and returns how many: fewer than it has room for at the end, and at most 1 MiB.
    fn readinto(&self, py: Python<'_>, buffer: &Bound<'_, PyAny>) -> PyResult<usize> {
        let view = PyMemoryView::from(buffer)?.call_method1("cast", ("B",))?;
        let piece = self.read(py, i64::try_from(view.len()?.min(PIECE_BYTES_MAX)).ok())?;
        let count = piece.as_bytes().len();
        // Not PySlice::new, which keeps a reference to each of its numbers for ever (PyO3 0.30).
        view.set_item(py.get_type::<PySlice>().call1((count,))?, piece)?;
        Ok(count)
    }

    /// Goes to a place of the value, counted from its beginning (whence 0), from here (1) or from its end (2), and returns
    /// it.
    #[pyo3(signature = (offset, whence=0))]
    fn seek(&self, py: Python<'_>, offset: i64, whence: u8) -> PyResult<u64> {
        self.slot.with(py, |reader| {
            let to = match (whence, u64::try_from(offset)) {
                (0, Ok(offset)) => SeekFrom::Start(offset),
                (1, _) => SeekFrom::Current(offset),
                (2, _) => SeekFrom::End(offset),
                (0, Err(_)) => {
                    return Err(Error::InvalidArgument(format!("offset is {offset}: it is negative")));
                }
                _ => return Err(Error::InvalidArgument(format!("whence is {whence}: give 0, 1 or 2"))),
            };
            Ok(reader.seek(to)?)
        })
    }

    /// The place at which the next byte is read.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.slot.with(py, |reader| Ok(reader.stream_position()?))
    }

    /// Length of the value in bytes.
    #[getter]
    fn length(&self) -> u64 {
        self.length
    }

    /// True.
    fn readable(&self) -> bool {
        true
    }

    /// True.
    fn seekable(&self) -> bool {
        true
    }

    /// False.
    fn writable(&self) -> bool {
        false
    }

    /// Does nothing: there is nothing to write.
    fn flush(&self) {}

    /// Closes the reader. A second close does nothing.
    fn close(&self, py: Python<'_>) {
        self.slot.finish(py);
    }

    /// Whether it is closed, or its database is.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        !self.slot.is_open(py)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().slot.check(slf.py())?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) {
        let _ = (exc_type, exc, traceback);
        self.close(py);
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if self.slot.is_open(py) { "" } else { " closed" };
        format!("<opendb.ValueReader length={}{state}>", self.length)
    }
}

/// A value that is written piece by piece, made by value_writer, with the calls of a raw stream of Python.
///
/// Nobody sees anything of it before it is finished. As a context manager it finishes on a clean exit and gives the value up
/// on an exception; a writer that is dropped gives it up. Once it is finished or closed, its calls raise
/// InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct ValueWriter {
    slot: Slot<opendb::ValueWriter>,
    length: u64,
    durability: Option<Durability>,
}

impl ValueWriter {
    pub(crate) fn new(
        handle: &Arc<Handle>,
        writer: opendb::ValueWriter,
        durability: Option<DurabilityName>,
    ) -> ValueWriter {
        let (length, finished) = (writer.length(), "the writer is finished or closed: make another one");
        let durability = durability.map(|name| name.0);
        ValueWriter { slot: Slot::new(handle, writer, finished), length, durability }
    }

    fn apply(
        &self,
        py: Python<'_>,
        writer: opendb::ValueWriter,
        durability: Option<Durability>,
    ) -> PyResult<()> {
        call_detached(py, || match durability.or(self.durability) {
            Some(durability) => writer.finish_with(durability),
            None => writer.finish(),
        })
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl ValueWriter {
    /// Writes the next piece, all of it, and returns its length. Each piece goes to the log as it is: gather many little ones
    /// with io.BufferedWriter.
    fn write(&self, py: Python<'_>, data: Data<'_>) -> PyResult<usize> {
        let piece = data.get();
        let work = |writer: &mut opendb::ValueWriter| -> Result<()> { Ok(writer.write_all(piece)?) };
        let written =
            if data.is_large() { self.slot.with_detached(py, work) } else { self.slot.with(py, work) };
        written.map(|()| piece.len())
    }

    /// Stores the value, all of which was written, under its key.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the writer was made with.
    #[pyo3(signature = (durability=None))]
    fn finish(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        self.apply(py, self.slot.take(py)?, durability.map(|name| name.0))
    }

    /// Bytes that were written so far.
    fn tell(&self, py: Python<'_>) -> PyResult<u64> {
        self.slot.with(py, |writer| Ok(writer.written()))
    }

    /// Length that the value will have, in bytes.
    #[getter]
    fn length(&self) -> u64 {
        self.length
    }

    /// Does nothing: finish does.
    fn flush(&self) {}

    /// False.
    fn readable(&self) -> bool {
        false
    }

    /// False.
    fn seekable(&self) -> bool {
        false
    }

    /// True.
    fn writable(&self) -> bool {
        true
    }

    /// Gives the value up, if it is not finished. A second close does nothing.
    fn close(&self, py: Python<'_>) {
        self.slot.finish(py);
    }

    /// Whether it is finished or closed, or its database is closed.
    #[getter]
    fn closed(&self, py: Python<'_>) -> bool {
        !self.slot.is_open(py)
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().slot.check(slf.py())?;
        Ok(slf)
    }

    /// Finishes, or gives up on an exception. What the block has finished itself stays as it is, and so does in the child
    /// of a fork what the parent has begun.
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc, traceback);
        if !exc_type.is_none() {
            self.slot.finish(py);
            return Ok(());
        }
        match self.slot.take_at_end(py)? {
            Some(held) => self.apply(py, held, None),
            None => Ok(()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if self.slot.is_open(py) { "" } else { " finished" };
        format!("<opendb.ValueWriter length={}{state}>", self.length)
    }
}
