//! `Snapshot`, and the reading calls that it shares with databases and keyspaces.

use std::sync::Arc;

use opendb::{Result, Scan, ValueReader as Reader, ValueRef};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyMemoryView};

use crate::database::Handle;
use crate::error::{call, call_maybe_detached};
use crate::held::Slot;
use crate::mapping::get_or;
use crate::options::{Bytes, Key, Limit, ManyKeys, Prefix, ScanArguments, Start, StartAfter, Stop};
use crate::scan::{Iter, Keys, collect, list_of, to_bytes};
use crate::stream::ValueReader;
use crate::view::ViewedValue;

/// The reading calls that a database, a keyspace and a snapshot share.
pub(crate) trait Read {
    fn get_ref(&self, key: &[u8]) -> Result<Option<ValueRef>>;
    fn get_many_ref(&self, keys: &[&[u8]]) -> Result<Vec<Option<ValueRef>>>;
    fn value_reader(&self, key: &[u8]) -> Result<Option<Reader>>;
    fn exists(&self, key: &[u8]) -> Result<bool>;
    fn iter(&self, scan: &Scan) -> Result<opendb::Iter>;
    fn keys(&self, scan: &Scan) -> Result<opendb::Keys>;
}

macro_rules! read {
    ($($reader:ty),*) => {$(
        impl Read for $reader {
            fn get_ref(&self, key: &[u8]) -> Result<Option<ValueRef>> {
                <$reader>::get_ref(self, key)
            }
            fn get_many_ref(&self, keys: &[&[u8]]) -> Result<Vec<Option<ValueRef>>> {
                <$reader>::get_many_ref(self, keys)
            }
            fn value_reader(&self, key: &[u8]) -> Result<Option<Reader>> {
                <$reader>::value_reader(self, key)
            }
            fn exists(&self, key: &[u8]) -> Result<bool> {
                <$reader>::exists(self, key)
            }
            fn iter(&self, scan: &Scan) -> Result<opendb::Iter> {
                <$reader>::iter(self, scan)
            }
            fn keys(&self, scan: &Scan) -> Result<opendb::Keys> {
                <$reader>::keys(self, scan)
            }
        }
    )*};
}

read!(opendb::OpenDB, opendb::Keyspace, opendb::Snapshot);

pub(crate) fn get<'py>(
    py: Python<'py>,
    reader: &impl Read,
    key: &Bytes<'_>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    call(py, || reader.get_ref(key.get()))?.map(|value| to_bytes(py, &value)).transpose()
}

/// A `memoryview` of the value where it lies.
pub(crate) fn get_view<'py>(
    py: Python<'py>,
    reader: &impl Read,
    key: &Bytes<'_>,
) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
    let Some(value) = call(py, || reader.get_ref(key.get()))? else { return Ok(None) };
    PyMemoryView::from(Bound::new(py, ViewedValue(value))?.as_any()).map(Some)
}

pub(crate) fn get_many<'py>(
    py: Python<'py>,
    reader: &(impl Read + Sync),
    keys: &ManyKeys<'_>,
) -> PyResult<Bound<'py, PyList>> {
    let slices = keys.get();
    let values = call_maybe_detached(py, keys.are_many(), || reader.get_many_ref(&slices))?;
    list_of(py, values.iter().map(|value| value.as_deref()))
}

pub(crate) fn value_reader(
    py: Python<'_>,
    handle: &Arc<Handle>,
    reader: &impl Read,
    key: &Bytes<'_>,
) -> PyResult<Option<ValueReader>> {
    let found = call(py, || reader.value_reader(key.get()))?;
    Ok(found.map(|found| ValueReader::new(handle, found)))
}

pub(crate) fn exists(py: Python<'_>, reader: &impl Read, key: &Bytes<'_>) -> PyResult<bool> {
    call(py, || reader.exists(key.get()))
}

pub(crate) fn scan_prefix<'py>(
    py: Python<'py>,
    reader: &impl Read,
    prefix: &Bytes<'_>,
) -> PyResult<Bound<'py, PyList>> {
    collect(py, call(py, || reader.iter(&Scan::prefix(prefix.get())))?)
}

pub(crate) fn iter(
    py: Python<'_>,
    handle: &Arc<Handle>,
    reader: &impl Read,
    scan: ScanArguments<'_>,
) -> PyResult<Iter> {
    Ok(Iter::new(Arc::clone(handle), call(py, || reader.iter(&scan.into()))?))
}

pub(crate) fn keys(
    py: Python<'_>,
    handle: &Arc<Handle>,
    reader: &impl Read,
    scan: ScanArguments<'_>,
) -> PyResult<Keys> {
    Ok(Keys::new(Arc::clone(handle), call(py, || reader.keys(&scan.into()))?))
}

/// A consistent read-only view of one moment, made by OpenDB.snapshot.
///
/// As a context manager it releases itself. Once it is released, its calls raise InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Snapshot {
    slot: Slot<opendb::Snapshot>,
    keyspace: String,
}

impl Snapshot {
    pub(crate) fn new(handle: &Arc<Handle>, snapshot: opendb::Snapshot, keyspace: &str) -> Snapshot {
        let finished = "the snapshot is released: take another one";
        Snapshot { slot: Slot::new(handle, snapshot, finished), keyspace: keyspace.into() }
    }

    /// The core's snapshot, to work with outside the lock.
    fn held(&self, py: Python<'_>) -> PyResult<opendb::Snapshot> {
        self.slot.with(py, |held| Ok(held.clone()))
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl Snapshot {
    /// The value of a key at that moment, or the default where the key was absent.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        get_or(py, &self.held(py)?, &key, default)
    }

    /// The value of a key at that moment where it lies, as a memoryview, or None where the key was absent. See OpenDB.get_view.
    fn get_view<'py>(&self, py: Python<'py>, key: Key<'_>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        get_view(py, &self.held(py)?, &key)
    }

    /// The values of many keys at that moment, in a list in the order of the keys, with None for each absent key. See
    /// OpenDB.get_many.
    fn get_many<'py>(&self, py: Python<'py>, keys: ManyKeys<'_>) -> PyResult<Bound<'py, PyList>> {
        get_many(py, &self.held(py)?, &keys)
    }

    /// The value of a key at that moment, to be read piece by piece, or None where the key was absent.
    fn value_reader(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Option<ValueReader>> {
        value_reader(py, &self.slot.handle, &self.held(py)?, &key)
    }

    /// Whether a key was present at that moment. Cheaper than get. The same as `key in snapshot`.
    fn exists(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.held(py)?, &key)
    }

    /// All (key, value) tuples whose key begins with the prefix, sorted by key.
    fn scan_prefix<'py>(&self, py: Python<'py>, prefix: Prefix<'_>) -> PyResult<Bound<'py, PyList>> {
        scan_prefix(py, &self.held(py)?, &prefix)
    }

    /// A lazy iterator over (key, value) tuples, sorted by key. See OpenDB.iter.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "the bounds are keyword arguments in Python")]
    fn iter(
        &self,
        py: Python<'_>,
        prefix: Option<Prefix<'_>>,
        start: Option<Start<'_>>,
        stop: Option<Stop<'_>>,
        reverse: bool,
        start_after: Option<StartAfter<'_>>,
        limit: Option<Limit>,
    ) -> PyResult<Iter> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        iter(py, &self.slot.handle, &self.held(py)?, scan)
    }

    /// A lazy iterator over the keys alone: values are never read. See OpenDB.iter_keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    #[expect(clippy::too_many_arguments, reason = "the bounds are keyword arguments in Python")]
    fn iter_keys(
        &self,
        py: Python<'_>,
        prefix: Option<Prefix<'_>>,
        start: Option<Start<'_>>,
        stop: Option<Stop<'_>>,
        reverse: bool,
        start_after: Option<StartAfter<'_>>,
        limit: Option<Limit>,
    ) -> PyResult<Keys> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        keys(py, &self.slot.handle, &self.held(py)?, scan)
    }

    /// The same moment of another keyspace. KeyspaceNotFoundError where there is none of this name.
    fn keyspace(&self, py: Python<'_>, name: &str) -> PyResult<Snapshot> {
        let snapshot = self.slot.with(py, |held| held.keyspace(name))?;
        Ok(Snapshot::new(&self.slot.handle, snapshot, name))
    }

    /// Releases the snapshot. A second close does nothing.
    fn close(&self, py: Python<'_>) {
        self.slot.finish(py);
    }

    fn __contains__(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.held(py)?, &key)
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
        let state = if self.slot.is_open(py) { "" } else { " released" };
        format!("<opendb.Snapshot of {:?}{state}>", self.keyspace)
    }
}
