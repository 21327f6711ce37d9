//! What makes a database and a keyspace mappings of Python. The calls that read many keys are views, which are Python's: see
//! `opendb/_views.py`.

use opendb::{Error, Result};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyTuple};

use crate::database::{Handle, Write, put, take};
use crate::error::{call, call_detached, exception};
use crate::options::{Bytes, DurabilityName, Key, ScanArguments, Value};
use crate::scan::to_bytes;
use crate::snapshot::{Read, get};

/// So many keys are removed with one commit by `clear`.
const CLEARED_AT_ONCE: u64 = 1000;

/// Where the views are.
const VIEWS: &str = "opendb._views";

/// A view of the keys, of the values or of both.
#[derive(Clone, Copy)]
pub(crate) enum View {
    Keys,
    Values,
    Items,
}

/// A view of what the scan covers, whatever is in it when it is looked at.
pub(crate) fn view<'py>(
    store: &Bound<'py, PyAny>,
    view: View,
    scan: &ScanArguments<'py>,
) -> PyResult<Bound<'py, PyAny>> {
    static KEYS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static VALUES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static ITEMS: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = store.py();
    let class = match view {
        View::Keys => KEYS.import(py, VIEWS, "KeysView"),
        View::Values => VALUES.import(py, VIEWS, "ValuesView"),
        View::Items => ITEMS.import(py, VIEWS, "ItemsView"),
    }?;
    class.call1((store, scan.named(py)?))
}

fn absent(key: &Bytes<'_>) -> PyErr {
    PyKeyError::new_err(key.object().clone().unbind())
}

/// `store[key]`
pub(crate) fn item<'py>(
    py: Python<'py>,
    reader: &impl Read,
    key: &Bytes<'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    get(py, reader, key)?.ok_or_else(|| absent(key))
}

/// `store.get(key, default)`
pub(crate) fn get_or<'py>(
    py: Python<'py>,
    reader: &impl Read,
    key: &Bytes<'_>,
    default: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(get(py, reader, key)?.map(Bound::into_any).or(default))
}

/// `del store[key]`
pub(crate) fn remove(py: Python<'_>, writer: &impl Write, key: &Bytes<'_>) -> PyResult<()> {
    take(py, writer, key, None)?.map(drop).ok_or_else(|| absent(key))
}

/// `store.pop(key)` and `store.pop(key, default)`
pub(crate) fn pop<'py>(
    py: Python<'py>,
    writer: &impl Write,
    key: &Bytes<'_>,
    default: &Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    if default.len() > 1 {
        let given = default.len() + 1;
        return Err(PyTypeError::new_err(format!("pop expected at most 2 arguments, got {given}")));
    }
    match take(py, writer, key, None)? {
        Some(value) => Ok(value.into_any()),
        None => default.get_item(0).map_err(|_| absent(key)),
    }
}

/// `store.popitem()`: of the first key, or of the next where somebody else has taken that in between.
pub(crate) fn pop_item<'py>(
    py: Python<'py>,
    store: &(impl Read + Write),
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let first = || -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        loop {
            let Some(key) = store.keys(&opendb::Scan::all().limit(1))?.next() else { return Ok(None) };
            let key = key?;
            if let Some(value) = Write::take(store, &key, None)? {
                return Ok(Some((key, value)));
            }
        }
    };
    match call_detached(py, first)? {
        Some((key, value)) => Ok((to_bytes(py, &key)?, to_bytes(py, &value)?)),
        None => Err(PyKeyError::new_err("popitem(): there is no key")),
    }
}

/// `store.setdefault(key, default)`
pub(crate) fn set_default<'py>(
    py: Python<'py>,
    store: &(impl Read + Write),
    key: &Bytes<'_>,
    default: &Bytes<'py>,
) -> PyResult<Bound<'py, PyBytes>> {
    let (key, value) = (key.get(), default.get());
    let found = || loop {
        if let Some(found) = store.get_ref(key)? {
            return Ok(Some(found));
        }
        if store.compare_and_swap(key, None, Some(value), None)? {
            return Ok(None);
        }
    };
    match call_detached(py, found)? {
        Some(found) => to_bytes(py, &found),
        None => Ok(default.object().clone()),
    }
}

/// `store.clear()`, in steps, so that it takes no memory for all keys.
pub(crate) fn clear(
    py: Python<'_>,
    handle: &Handle,
    keyspace: &str,
    store: &(impl Read + Sync),
) -> PyResult<()> {
    let scan = opendb::Scan::all().limit(CLEARED_AT_ONCE);
    let step = || {
        let mut batch = handle.database.batch();
        for key in store.keys(&scan)? {
            batch.delete(keyspace, &key?)?;
        }
        let removed = batch.len();
        batch.commit().map(|()| removed)
    };
    while call_detached(py, step)? > 0 {
        py.check_signals()?;
    }
    Ok(())
}

/// `store.put_many(entries)` and `store.update(entries)`: a mapping, or pairs.
pub(crate) fn put_many(
    py: Python<'_>,
    handle: &Handle,
    keyspace: &str,
    entries: &Bound<'_, PyAny>,
    durability: Option<DurabilityName>,
) -> PyResult<()> {
    let mut batch = handle.database.batch();
    let items = intern!(py, "items");
    let pairs = if entries.hasattr(items)? { entries.call_method0(items)? } else { entries.clone() };
    for pair in pairs.try_iter()? {
        let pair = pair?;
        let Ok((key, value)) = pair.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() else {
            let class = pair.get_type().name()?;
            return Err(PyTypeError::new_err(format!(
                "entries: a mapping or an iterable of (key, value) tuples is required, and it gave '{class}'"
            )));
        };
        let (key, value) = (key.extract::<Key<'_>>()?, value.extract::<Value<'_>>()?);
        call(py, || batch.put(keyspace, key.get(), value.get()))?;
    }
    call_detached(py, || match durability {
        Some(DurabilityName(durability)) => batch.commit_with(durability),
        None => batch.commit(),
    })
}

/// `store[key] = value`
pub(crate) fn set(
    py: Python<'_>,
    handle: &Handle,
    writer: &impl Write,
    key: &Bytes<'_>,
    value: &Bytes<'_>,
) -> PyResult<()> {
    put(py, handle, writer, (key, value), None)
}

/// Refuses a view of what is closed: that is told at once, and not when it is looked at.
pub(crate) fn check_open(py: Python<'_>, handle: &Handle) -> PyResult<()> {
    handle.check().map_err(|error: Error| exception(py, &error))
}
