//! Errors of the core as Python exceptions: one class for each kind, none left out, and panics as one of them.
//!
//! The classes are written in Python (`opendb.errors`), where a reader and a type checker find them.

use std::collections::HashMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use opendb::{Error, ErrorKind, Result};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;

/// The exception classes, imported when the first of them is needed.
static CLASSES: PyOnceLock<HashMap<ErrorKind, Py<PyType>>> = PyOnceLock::new();

/// Runs a call of the core that is over in microseconds: the interpreter is kept.
pub(crate) fn call<T>(py: Python<'_>, work: impl FnOnce() -> Result<T>) -> PyResult<T> {
    guard(work).map_err(|error| exception(py, &error))
}

/// Runs a call of the core that can wait for the device or moves much data: other Python threads run meanwhile.
pub(crate) fn call_detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(|| guard(work)).map_err(|error| exception(py, &error))
}

/// [`call_detached`] where the call `blocks`, otherwise [`call`].
pub(crate) fn call_maybe_detached<T: Send>(
    py: Python<'_>,
    blocks: bool,
    work: impl FnOnce() -> Result<T> + Send,
) -> PyResult<T> {
    if blocks { call_detached(py, work) } else { call(py, work) }
}

/// Turns a panic of the core into an error. PyO3 would raise it as `PanicException`, which `except Exception` does not
/// catch. The panic's own message is not repeated, because it could quote a key or a value.
pub(crate) fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    // A panic can leave nothing of this crate half done: its own state changes after the core's call has returned.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_payload| {
        Err(Error::Internal(
            "a call of the store panicked; standard error has the panic's own message".into(),
        ))
    })
}

/// The Python exception for an error: the class of its kind, with the error's message.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    exception_at(py, error, None)
}

/// [`exception`] where the core was to open this path: what is also an `OSError` names it.
pub(crate) fn exception_at(py: Python<'_>, error: &Error, path: Option<&Path>) -> PyErr {
    build(py, error, path).map_or_else(|broken_package| broken_package, PyErr::from_value)
}

fn build<'py>(py: Python<'py>, error: &Error, path: Option<&Path>) -> PyResult<Bound<'py, PyAny>> {
    let class = class(py, error.kind())?;
    let message = error.to_string();
    // As text, as Python's own `open` has it, where `Path` would become a `pathlib.Path`.
    let path = path.map(Path::as_os_str);
    match error {
        Error::Corruption { segment, offset, .. } => class.call1((message, *segment, *offset)),
        Error::Io { source, .. } => {
            let errno = errno(py, source)?;
            // Where there is a number, Python has the text for it.
            let said = errno.is_none().then(|| source.to_string());
            py.import("opendb.errors")?.getattr("_io_error")?.call1((message, errno, said, path))
        }
        Error::NoSpace(_) => {
            let errno = py.import("errno")?.getattr("ENOSPC")?;
            class.call1((message, errno, None::<&str>, path))
        }
        _ => class.call1((message,)),
    }
}

/// The system's number, also where the core has found out by itself what the system would have said.
fn errno(py: Python<'_>, source: &io::Error) -> PyResult<Option<i32>> {
    if let Some(number) = source.raw_os_error() {
        return Ok(Some(number));
    }
    let name = match source.kind() {
        io::ErrorKind::NotFound => "ENOENT",
        io::ErrorKind::PermissionDenied => "EACCES",
        io::ErrorKind::AlreadyExists => "EEXIST",
        io::ErrorKind::NotADirectory => "ENOTDIR",
        io::ErrorKind::OutOfMemory => "ENOMEM",
        _ => return Ok(None),
    };
    py.import("errno")?.getattr(name)?.extract().map(Some)
}

fn class<'py>(py: Python<'py>, kind: ErrorKind) -> PyResult<Bound<'py, PyAny>> {
    let classes = CLASSES.get_or_try_init(py, || {
        let errors = py.import("opendb.errors")?;
        let class_of = |kind| {
            let class = errors.getattr(class_name(kind))?.cast_into::<PyType>()?;
            PyResult::Ok((kind, class.unbind()))
        };
        ErrorKind::ALL.into_iter().map(class_of).collect::<PyResult<HashMap<_, _>>>()
    })?;
    match classes.get(&kind) {
        Some(class) => Ok(class.bind(py).as_any().clone()),
        None => py.import("opendb.errors")?.getattr(class_name(kind)),
    }
}

/// No wildcard: a kind that the core gains does not compile until it has its class.
fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Storage => "StorageError",
        ErrorKind::Cache => "CacheError",
        ErrorKind::Transaction => "TransactionError",
        ErrorKind::Corruption => "CorruptionError",
        ErrorKind::InvalidArgument => "InvalidArgumentError",
        ErrorKind::KeyspaceNotFound => "KeyspaceNotFoundError",
        ErrorKind::Locked => "LockedError",
        ErrorKind::Closed => "ClosedError",
        ErrorKind::ReadOnly => "ReadOnlyError",
        ErrorKind::NoSpace => "NoSpaceError",
        ErrorKind::Io => "IoError",
        ErrorKind::Poisoned => "PoisonedError",
        ErrorKind::Unsupported => "UnsupportedError",
        ErrorKind::Forked => "ForkedError",
        ErrorKind::Internal => "InternalError",
    }
}

/// An error of each kind, for the package's tests.
fn sample(kind: ErrorKind) -> Error {
    let message = || String::from("raised by a test");
    match kind {
        ErrorKind::Storage => Error::Storage(message()),
        ErrorKind::Cache => Error::Cache(message()),
        ErrorKind::Transaction => Error::Transaction(message()),
        ErrorKind::Corruption => Error::Corruption { segment: 7, offset: 4096, reason: message() },
        ErrorKind::InvalidArgument => Error::InvalidArgument(message()),
        ErrorKind::KeyspaceNotFound => Error::KeyspaceNotFound(message()),
        ErrorKind::Locked => Error::Locked(message()),
        ErrorKind::Closed => Error::Closed,
        ErrorKind::ReadOnly => Error::ReadOnly(message()),
        ErrorKind::NoSpace => Error::NoSpace(message()),
        ErrorKind::Io => Error::Io { context: message(), source: io::Error::from_raw_os_error(5) },
        ErrorKind::Poisoned => Error::Poisoned(message()),
        ErrorKind::Unsupported => Error::Unsupported(message()),
        ErrorKind::Forked => Error::Forked,
        ErrorKind::Internal => Error::Internal(message()),
    }
}

/// Every error kind of the core as (code, name, retryable), for the package's tests.
#[pyfunction]
pub(crate) fn _kinds() -> Vec<(i32, &'static str, bool)> {
    ErrorKind::ALL.into_iter().map(|kind| (kind.code(), kind.name(), sample(kind).retryable())).collect()
}

/// Raises an error of the kind that has this code, for the package's tests.
#[pyfunction]
pub(crate) fn _raise_kind(py: Python<'_>, code: i32) -> PyResult<()> {
    call(py, || match ErrorKind::ALL.into_iter().find(|kind| kind.code() == code) {
        Some(kind) => Err(sample(kind)),
        None => Err(Error::InvalidArgument(format!("no error kind has the code {code}"))),
    })
}

/// Panics where the core would, with or without the interpreter, for the package's tests.
#[pyfunction]
pub(crate) fn _panic(py: Python<'_>, detached: bool) -> PyResult<()> {
    call_maybe_detached(py, detached, || resume_unwind(Box::new("raised by a test")))
}
