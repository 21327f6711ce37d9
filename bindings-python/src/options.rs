//! What Python hands in, as the core's own types: bytes-like objects, settings, the bounds of a scan.

use opendb::{AppendMode, Durability, Error, Options, Scan};
use pyo3::Borrowed;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyMemoryView, PyString};

use crate::error::exception;

/// From this size on, copying a value takes longer than handing the interpreter to another thread and back.
const LARGE_BYTES: usize = 64 << 10;

/// A key, value or prefix. A `bytes` object is used where it stands; what another object holds could change while the
/// core reads it, so that is copied first.
pub(crate) struct Bytes<'py>(Bound<'py, PyBytes>);

impl Bytes<'_> {
    pub(crate) fn get(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Whether writing this is worth letting other threads run.
    pub(crate) fn is_large(&self) -> bool {
        self.get().len() >= LARGE_BYTES
    }
}

impl<'py> FromPyObject<'_, 'py> for Bytes<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Bytes<'py>> {
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Bytes(bytes.to_owned()));
        }
        if object.is_instance_of::<PyString>() {
            return Err(PyTypeError::new_err(
                "a bytes-like object is required, not 'str': encode it first, as in key.encode()",
            ));
        }
        copy_of_buffer(&object).map(Bytes)
    }
}

/// The bytes that a `bytearray`, `memoryview`, `array.array`, NumPy array or any other buffer holds at this moment.
fn copy_of_buffer<'py>(object: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let view = PyMemoryView::from(object).map_err(|error| not_a_buffer(object, error))?;
    if !view.getattr("c_contiguous")?.is_truthy()? {
        return Err(invalid(
            object.py(),
            "the buffer is not contiguous: pass a contiguous copy, such as bytes(buffer)",
        ));
    }
    // A buffer of Python objects holds addresses, which mean nothing once they are stored.
    if view.getattr("format")?.extract::<&str>()?.contains('O') {
        return Err(PyTypeError::new_err(
            "a bytes-like object is required, not a buffer of Python objects: convert it to bytes first",
        ));
    }
    Ok(view.call_method0("tobytes")?.cast_into()?)
}

/// Names what was given instead of bytes. An object that has a buffer and refuses it says why itself.
fn not_a_buffer(object: &Bound<'_, PyAny>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(object.py()) {
        return error;
    }
    let class =
        object.get_type().name().map_or_else(|_| String::from("this object"), |name| name.to_string());
    PyTypeError::new_err(format!("a bytes-like object is required, not '{class}'"))
}

/// An `InvalidArgumentError`.
fn invalid(py: Python<'_>, message: impl Into<String>) -> PyErr {
    exception(py, &Error::InvalidArgument(message.into()))
}

/// `"buffered"` or `"sync"`.
#[derive(Clone, Copy, Default)]
pub(crate) struct DurabilityName(pub(crate) Durability);

impl FromPyObject<'_, '_> for DurabilityName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<DurabilityName> {
        match object.extract::<&str>()? {
            "buffered" => Ok(DurabilityName(Durability::Buffered)),
            "sync" => Ok(DurabilityName(Durability::Sync)),
            other => {
                Err(invalid(object.py(), format!("durability is {other:?}: give \"buffered\" or \"sync\"")))
            }
        }
    }
}

/// `"auto"`, `"mapped"` or `"write"`.
#[derive(Clone, Copy, Default)]
pub(crate) struct AppendName(pub(crate) AppendMode);

impl FromPyObject<'_, '_> for AppendName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<AppendName> {
        match object.extract::<&str>()? {
            "auto" => Ok(AppendName(AppendMode::Auto)),
            "mapped" => Ok(AppendName(AppendMode::Mapped)),
            "write" => Ok(AppendName(AppendMode::Write)),
            other => Err(invalid(
                object.py(),
                format!("append is {other:?}: give \"auto\", \"mapped\" or \"write\""),
            )),
        }
    }
}

/// The name that [`AppendName`] reads.
pub(crate) fn append_name(mode: AppendMode) -> &'static str {
    match mode {
        AppendMode::Auto => "auto",
        AppendMode::Mapped => "mapped",
        AppendMode::Write => "write",
    }
}

/// A size or count. A negative one is refused with its value, where PyO3 alone would raise `OverflowError`.
#[derive(Clone, Copy)]
pub(crate) struct Count(u64);

impl FromPyObject<'_, '_> for Count {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<Count> {
        let number: i128 = object.extract()?;
        u64::try_from(number).map(Count).map_err(|_| {
            invalid(object.py(), format!("the number is {number}: give one from 0 to {}", u64::MAX))
        })
    }
}

/// The settings of `OpenDB(path, ...)` as Python gives them. What is `None` keeps the core's default.
pub(crate) struct OpenArguments {
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) append: AppendMode,
    pub(crate) mapped_reads: bool,
    pub(crate) cache_bytes: Option<Count>,
    pub(crate) segment_bytes: Option<Count>,
    pub(crate) read_damaged: bool,
}

impl From<OpenArguments> for Options {
    fn from(arguments: OpenArguments) -> Options {
        let mut options = Options::new()
            .create(arguments.create)
            .durability(arguments.durability)
            .append(arguments.append)
            .mapped_reads(arguments.mapped_reads)
            .read_damaged(arguments.read_damaged);
        if let Some(Count(bytes)) = arguments.cache_bytes {
            options = options.cache_bytes(bytes);
        }
        if let Some(Count(bytes)) = arguments.segment_bytes {
            options = options.segment_bytes(bytes);
        }
        options
    }
}

/// What `iter` and `keys` take, besides the keyspace in a transaction.
pub(crate) struct ScanArguments<'py> {
    pub(crate) prefix: Option<Bytes<'py>>,
    pub(crate) start: Option<Bytes<'py>>,
    pub(crate) stop: Option<Bytes<'py>>,
    pub(crate) reverse: bool,
    pub(crate) start_after: Option<Bytes<'py>>,
    pub(crate) limit: Option<Count>,
}

impl From<ScanArguments<'_>> for Scan {
    fn from(arguments: ScanArguments<'_>) -> Scan {
        let mut scan = arguments.prefix.map_or_else(Scan::all, |prefix| Scan::prefix(prefix.get()));
        if let Some(start) = arguments.start {
            scan = scan.from(start.get());
        }
        if let Some(stop) = arguments.stop {
            scan = scan.until(stop.get());
        }
        if let Some(key) = arguments.start_after {
            scan = scan.start_after(key.get());
        }
        if let Some(Count(entries)) = arguments.limit {
            scan = scan.limit(entries);
        }
        if arguments.reverse { scan.reverse() } else { scan }
    }
}
