//! Lazy scans. Entries are fetched from the core in small batches that grow, so that a loop over many entries gives
//! other threads their turn without paying for it at every entry.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use opendb::{Error, Result};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use crate::database::Handle;
use crate::error::{call, exception, guard};
use crate::held::{Release, hold};

/// The first batch: fetched without giving up the interpreter, so that a short scan stays cheap.
const FIRST_BATCH_ENTRIES: usize = 4;
/// The largest batch, and so the most that a scan fetches without being asked for it.
const BATCH_ENTRIES_MAX: usize = 256;
/// A batch ends with the entry that reaches this size, whatever their number.
const BATCH_BYTES_MAX: usize = 256 << 10;
/// Items up to this size are packed.
const PACKED_BYTES_MAX: usize = 4 << 10;
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

/// Values in their order, `None` for those that are absent.
pub(crate) fn list_of<'py, 'v>(
    py: Python<'py>,
    values: impl ExactSizeIterator<Item = Option<&'v [u8]>>,
) -> PyResult<Bound<'py, PyList>> {
    let objects: Vec<_> =
        values.map(|value| value.map(|value| to_bytes(py, value)).transpose()).collect::<PyResult<_>>()?;
    PyList::new(py, objects)
}

/// A scan of the core: of entries, or of keys alone.
pub(crate) trait Scan: Send + 'static {
    /// What it gives, as Python sees it.
    type Item<'py>: IntoPyObject<'py>;

    /// The next key and its value or nothing, where they stand.
    fn next_ref(&mut self) -> Option<Result<(&[u8], &[u8])>>;
    /// What it gave last, in memory of its own.
    fn take_last(&mut self) -> Option<(Vec<u8>, Vec<u8>)>;
    /// The same as Python sees it. It makes `bytes` and nothing that Python's collector looks after, so that no Python code
    /// runs meanwhile.
    fn to_python<'py>(py: Python<'py>, key: &[u8], value: &[u8]) -> PyResult<Self::Item<'py>>;
}

impl Scan for opendb::Iter {
    type Item<'py> = (Bound<'py, PyBytes>, Bound<'py, PyBytes>);

    fn next_ref(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        self.next_ref()
    }

    fn take_last(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.take_last()
    }

    fn to_python<'py>(py: Python<'py>, key: &[u8], value: &[u8]) -> PyResult<Self::Item<'py>> {
        Ok((to_bytes(py, key)?, to_bytes(py, value)?))
    }
}

impl Scan for opendb::Keys {
    type Item<'py> = Bound<'py, PyBytes>;

    fn next_ref(&mut self) -> Option<Result<(&[u8], &[u8])>> {
        self.next_ref().map(|key| Ok((key?, &[][..])))
    }

    fn take_last(&mut self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.take_last().map(|key| (key, Vec::new()))
    }

    fn to_python<'py>(py: Python<'py>, key: &[u8], _value: &[u8]) -> PyResult<Self::Item<'py>> {
        to_bytes(py, key)
    }
}

/// What was fetched and not yet handed out.
enum Ready {
    /// A small item: where its key begins, where its value does, and where that ends.
    Packed(usize, usize, usize),
    Large(Vec<u8>, Vec<u8>),
    Failed(Error),
}

/// What a scan hands out: a small item as Python sees it, or one that takes long enough to copy for that to be done
/// outside the lock.
enum Next<'py, S: Scan> {
    Small(S::Item<'py>),
    Large(Vec<u8>, Vec<u8>),
}

impl<'py, S: Scan> Next<'py, S> {
    fn into_python(self, py: Python<'py>) -> PyResult<S::Item<'py>> {
        match self {
            Next::Small(item) => Ok(item),
            Next::Large(key, value) => S::to_python(py, &key, &value),
        }
    }
}

/// A scan of the core, and what was fetched from it and not yet handed out.
struct Source<S> {
    /// `None` once there is nothing more to fetch: the scan's snapshot is released then.
    scan: Option<S>,
    /// At most one error, and then at the end.
    ready: VecDeque<Ready>,
    /// The bytes of the small items.
    packed: Vec<u8>,
    batch_entries: usize,
    /// Whether the database was closed before the last item was handed out.
    cut_off: bool,
}

impl<S: Scan> Source<S> {
    fn new(scan: S) -> Source<S> {
        let (ready, packed, batch_entries) = (VecDeque::new(), Vec::new(), FIRST_BATCH_ENTRIES);
        Source { scan: Some(scan), ready, packed, batch_entries, cut_off: false }
    }

    /// The next item that was fetched; where there is none and `fetch` says so, the first of a new batch.
    fn next<'py>(&mut self, py: Python<'py>, fetch: bool) -> Taken<'py, S> {
        if self.ready.is_empty() && fetch {
            self.refill(py).map_err(Failure::Core)?;
        }
        let Some(ready) = self.ready.pop_front() else { return Ok(None) };
        match ready {
            Ready::Packed(key, value, end) => {
                let part = |begin: usize, end: usize| self.packed.get(begin..end).unwrap_or_default();
                let item = S::to_python(py, part(key, value), part(value, end)).map_err(Failure::Python)?;
                Ok(Some(Next::Small(item)))
            }
            Ready::Large(key, value) => Ok(Some(Next::Large(key, value))),
            Ready::Failed(error) => Err(Failure::Core(error)),
        }
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
        self.packed.clear();
        let Some(scan) = &mut self.scan else { return };
        let (mut bytes, mut ended) = (0, false);
        while self.ready.len() < self.batch_entries && bytes < BATCH_BYTES_MAX && !ended {
            let large = match scan.next_ref() {
                Some(Ok((key, value))) if key.len() + value.len() <= PACKED_BYTES_MAX => {
                    bytes += key.len() + value.len();
                    let begin = self.packed.len();
                    self.packed.extend_from_slice(key);
                    let middle = self.packed.len();
                    self.packed.extend_from_slice(value);
                    self.ready.push_back(Ready::Packed(begin, middle, self.packed.len()));
                    continue;
                }
                Some(Ok((key, value))) => {
                    bytes += key.len() + value.len();
                    true
                }
                Some(Err(error)) => {
                    self.ready.push_back(Ready::Failed(error));
                    break;
                }
                None => false,
            };
            let item = if large { scan.take_last() } else { None };
            ended = item.is_none();
            self.ready.extend(item.map(|(key, value)| Ready::Large(key, value)));
        }
        if ended {
            self.scan = None;
        }
        self.batch_entries = (self.batch_entries * 2).min(BATCH_ENTRIES_MAX);
    }

    /// Drops what is not handed out yet.
    fn clear(&mut self) {
        self.scan = None;
        self.ready.clear();
        self.packed = Vec::new();
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

/// Why there is no next item: an error of the core, of which an exception is still to be made, or one that is made.
enum Failure {
    Core(Error),
    Python(PyErr),
}

type Taken<'py, S> = std::result::Result<Option<Next<'py, S>>, Failure>;

/// Raises the failure. An exception is made by Python code, so not under a lock.
fn raised<T>(py: Python<'_>, taken: std::result::Result<T, Failure>) -> PyResult<T> {
    taken.map_err(|failure| match failure {
        Failure::Core(error) => exception(py, &error),
        Failure::Python(error) => error,
    })
}

impl<S: Scan> Release for Mutex<Source<S>> {
    fn release(&self) {
        let mut source = self.lock().unwrap_or_else(PoisonError::into_inner);
        // What it returns is for the next call of the iterator, which asks again.
        let _closed = source.cut_off();
    }
}

/// What is behind the two iterator classes.
struct Cursor<S> {
    // Before the handle, so that the scan lets go of the database first.
    source: Arc<Mutex<Source<S>>>,
    handle: Arc<Handle>,
}

impl<S: Scan> Cursor<S> {
    fn new(handle: Arc<Handle>, scan: S) -> Cursor<S> {
        Cursor { source: hold(&handle, Source::new(scan)), handle }
    }

    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<S::Item<'py>>> {
        if let Some(item) = self.take(py, false)? {
            return item.into_python(py).map(Some);
        }
        // Outside the lock, because a signal's handler is Python code and could use this very iterator.
        py.check_signals()?;
        self.take(py, true)?.map(|item| item.into_python(py)).transpose()
    }

    /// [`Source::next`] under the lock, unless the database was closed or is the parent's.
    fn take<'py>(&self, py: Python<'py>, fetch: bool) -> PyResult<Option<Next<'py, S>>> {
        let checked = self.handle.check();
        if let Err(Error::Forked) = checked {
            return raised(py, Err(Failure::Core(Error::Forked)));
        }
        let mut source = self.source.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        // Who closes the database between the look and the lock has taken away what is here, or waits for the lock.
        let open = if checked.is_err() || source.cut_off { source.cut_off() } else { Ok(()) };
        let next = open.map_err(Failure::Core).and_then(|()| source.next(py, fetch));
        drop(source);
        raised(py, next)
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
        while let Some(entry) = raised(py, source.next(py, false))? {
            entries.append(entry.into_python(py)?)?;
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
pub(crate) struct Iter(Cursor<opendb::Iter>);

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
pub(crate) struct Keys(Cursor<opendb::Keys>);

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
