//! Lazy scans. Entries are fetched from the core in small batches that grow, so that a loop over many entries gives
//! other threads their turn without paying for it at every entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use opendb::{Error, Result};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use crate::database::Handle;
use crate::error::{call, guard};
use crate::held::{Release, hold};

/// The first batch: fetched without giving up the interpreter, so that a short scan stays cheap.
const FIRST_BATCH_ENTRIES: usize = 4;
/// The largest batch, and so the most that a scan fetches without being asked for it.
const BATCH_ENTRIES_MAX: usize = 256;
/// A batch ends with the entry that reaches this size, whatever their number.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Values from this size on are copied while other threads run.
const DETACHED_COPY_BYTES: usize = 1 << 20;

/// A copy of a value as Python's `bytes`: the only copy on the way out of `get`.
pub(crate) fn to_bytes<'py>(py: Python<'py>, value: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    if value.len() < DETACHED_COPY_BYTES {
        return Ok(PyBytes::new(py, value));
    }
    // Also the way to a MemoryError instead of a panic where there is no room for the value.
    PyBytes::new_with(py, value.len(), |target| {
        py.detach(|| target.copy_from_slice(value));
        Ok(())
    })
}

/// An item of a scan: a key with its value, or a key alone.
pub(crate) trait Item: Send + 'static {
    /// The item as Python sees it.
    type Python<'py>: IntoPyObject<'py>;

    fn bytes(&self) -> usize;
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Self::Python<'py>>;
}

impl Item for (Vec<u8>, Vec<u8>) {
    type Python<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

    fn bytes(&self) -> usize {
        self.0.len() + self.1.len()
    }

    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Self::Python<'py>> {
        Ok((to_bytes(py, &self.0)?, to_bytes(py, &self.1)?))
    }
}

impl Item for Vec<u8> {
    type Python<'py> = Bound<'py, PyBytes>;

    fn bytes(&self) -> usize {
        self.len()
    }

    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Self::Python<'py>> {
        to_bytes(py, self)
    }
}

/// A scan of the core, and what was fetched from it and not yet handed out.
struct Source<T, S> {
    /// `None` once there is nothing more to fetch: the scan's snapshot is released then.
    scan: Option<S>,
    /// At most one error, and then at the end.
    ready: VecDeque<Result<T>>,
    batch_entries: usize,
    /// Whether the database was closed before the last item was handed out.
    cut_off: bool,
}

impl<T: Item, S: Iterator<Item = Result<T>> + Send> Source<T, S> {
    fn new(scan: S) -> Source<T, S> {
        let (ready, batch_entries) = (VecDeque::new(), FIRST_BATCH_ENTRIES);
        Source { scan: Some(scan), ready, batch_entries, cut_off: false }
    }

    /// The next item that was fetched; where there is none and `fetch` says so, the first of a new batch.
    fn next(&mut self, py: Python<'_>, fetch: bool) -> Result<Option<T>> {
        if self.ready.is_empty() && fetch {
            self.refill(py)?;
        }
        self.ready.pop_front().transpose()
    }

    /// Fetches the next batch, if there is one. Only the first keeps the interpreter.
    fn refill(&mut self, py: Python<'_>) -> Result<()> {
        if self.scan.is_none() {
            return Ok(());
        }
        let keep_interpreter = self.batch_entries == FIRST_BATCH_ENTRIES;
        let fetch = || {
            self.fetch();
            Ok(())
        };
        if keep_interpreter { guard(fetch) } else { py.detach(|| guard(fetch)) }
    }

    fn fetch(&mut self) {
        let mut bytes = 0;
        while self.ready.len() < self.batch_entries && bytes < BATCH_BYTES_MAX {
            match self.scan.as_mut().and_then(Iterator::next) {
                Some(Ok(item)) => {
                    bytes += item.bytes();
                    self.ready.push_back(Ok(item));
                }
                Some(error) => {
                    self.ready.push_back(error);
                    break;
                }
                None => {
                    self.scan = None;
                    break;
                }
            }
        }
        self.batch_entries = (self.batch_entries * 2).min(BATCH_ENTRIES_MAX);
    }

    /// Drops what is not handed out yet.
    fn clear(&mut self) {
        self.scan = None;
        self.ready.clear();
    }

    /// The database is closed: what was fetched before is not served after, and its absence is an error, not the end.
    fn cut_off(&mut self) -> Result<()> {
        if self.scan.is_some() || !self.ready.is_empty() {
            self.clear();
            self.cut_off = true;
        }
        if self.cut_off { Err(Error::Closed) } else { Ok(()) }
    }
}

impl<T: Item, S: Iterator<Item = Result<T>> + Send> Release for Mutex<Source<T, S>> {
    fn release(&self) {
        let mut source = self.lock().unwrap_or_else(PoisonError::into_inner);
        // What it returns is for the next call of the iterator, which asks again.
        let _closed = source.cut_off();
    }
}

/// What is behind the two iterator classes.
struct Cursor<T, S> {
    // Before the handle, so that the scan lets go of the database first.
    source: Arc<Mutex<Source<T, S>>>,
    handle: Arc<Handle>,
}

impl<T: Item, S: Iterator<Item = Result<T>> + Send + 'static> Cursor<T, S> {
    fn new(handle: Arc<Handle>, scan: S) -> Cursor<T, S> {
        Cursor { source: hold(&handle, Source::new(scan)), handle }
    }

    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<T::Python<'py>>> {
        if let Some(item) = self.take(py, false)? {
            return item.to_python(py).map(Some);
        }
        // Outside the lock, because a signal's handler is Python code and could use this very iterator.
        py.check_signals()?;
        self.take(py, true)?.map(|item| item.to_python(py)).transpose()
    }

    /// [`Source::next`] under the lock, unless the database was closed or is the parent's.
    fn take(&self, py: Python<'_>, fetch: bool) -> PyResult<Option<T>> {
        if self.handle.is_of_the_parent() {
            return call(py, || Err(Error::Forked));
        }
        let mut source = self.source.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let open = if self.handle.is_closed() { source.cut_off() } else { Ok(()) };
        let next = open.and_then(|()| source.next(py, fetch));
        // An exception is made by Python code, so not under the lock.
        drop(source);
        call(py, || next)
    }

    fn close(&self, py: Python<'_>) {
        if self.handle.is_of_the_parent() {
            return;
        }
        let mut source = self.source.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        source.clear();
    }
}

/// All entries of a scan as a list. Signals are looked at between batches, so Ctrl-C ends a long one.
pub(crate) fn collect<'py>(py: Python<'py>, scan: opendb::Iter) -> PyResult<Bound<'py, PyList>> {
    let mut source = Source::new(scan);
    let entries = PyList::empty(py);
    while source.scan.is_some() {
        call(py, || source.refill(py))?;
        for entry in source.ready.drain(..) {
            entries.append(call(py, || entry)?.to_python(py)?)?;
        }
        py.check_signals()?;
    }
    Ok(entries)
}

/// A lazy iterator over `(key, value)` tuples in key order, made by `iter`.
///
/// It reads the moment at which it was made, whatever is written meanwhile. The snapshot behind it is released when it
/// comes to its end, is closed, or is dropped.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Iter(Cursor<(Vec<u8>, Vec<u8>), opendb::Iter>);

impl Iter {
    pub(crate) fn new(handle: Arc<Handle>, scan: opendb::Iter) -> Iter {
        Iter(Cursor::new(handle, scan))
    }
}

#[pymethods]
#[expect(clippy::self_named_constructors, reason = "Python's name for it, and no constructor")]
impl Iter {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)>> {
        self.0.next(py)
    }

    /// Releases the snapshot now. The iterator is at its end then. A second call does nothing.
    fn close(&self, py: Python<'_>) {
        self.0.close(py);
    }
}

/// A lazy iterator over keys in key order, made by `keys`. It never reads a value.
///
/// It reads the moment at which it was made, whatever is written meanwhile. The snapshot behind it is released when it
/// comes to its end, is closed, or is dropped.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Keys(Cursor<Vec<u8>, opendb::Keys>);

impl Keys {
    pub(crate) fn new(handle: Arc<Handle>, scan: opendb::Keys) -> Keys {
        Keys(Cursor::new(handle, scan))
    }
}

#[pymethods]
impl Keys {
    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.0.next(py)
    }

    /// Releases the snapshot now. The iterator is at its end then. A second call does nothing.
    fn close(&self, py: Python<'_>) {
        self.0.close(py);
    }
}
