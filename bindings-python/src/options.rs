//! What Python hands in, as the core's own types: bytes-like objects, settings, the bounds of a scan.

use std::fmt::Display;
use std::ops::{Deref, RangeInclusive};
use std::time::Duration;

use opendb::{
    AppendMode, Compression, Durability, Error, Options, SEGMENT_BYTES_MAX, SEGMENT_BYTES_MIN, Scan,
    VALUE_BYTES_MAX,
};
use pyo3::Borrowed;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyMemoryView, PyString};

use crate::error::exception;

/// From this size on, copying a value takes longer than handing the interpreter to another thread and back.
const LARGE_BYTES: usize = 64 << 10;

/// A key, value or prefix. A `bytes` object is used where it stands; what another object holds could change while the
/// core reads it, so that is copied first.
pub(crate) struct Bytes<'py>(Bound<'py, PyBytes>);

impl<'py> Bytes<'py> {
    pub(crate) fn get(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The same as Python has it.
    pub(crate) fn object(&self) -> &Bound<'py, PyBytes> {
        &self.0
    }

    /// Whether writing this is worth letting other threads run.
    pub(crate) fn is_large(&self) -> bool {
        self.get().len() >= LARGE_BYTES
    }
}

/// Bytes under the name of their argument, which a refusal tells.
macro_rules! bytes {
    ($($type:ident: $name:literal;)*) => {$(
        pub(crate) struct $type<'py>(Bytes<'py>);

        impl<'py> Deref for $type<'py> {
            type Target = Bytes<'py>;

            fn deref(&self) -> &Bytes<'py> {
                &self.0
            }
        }

        impl<'py> FromPyObject<'_, 'py> for $type<'py> {
            type Error = PyErr;

            fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<$type<'py>> {
                bytes(&object, $name).map($type)
            }
        }
    )*};
}

bytes! {
    Key: "key";
    Value: "value";
    Prefix: "prefix";
    Start: "start";
    Stop: "stop";
    StartAfter: "start_after";
    Expected: "expected";
    New: "new";
    Data: "data";
}

/// The keys of one call.
pub(crate) struct ManyKeys<'py>(Vec<Bytes<'py>>);

/// From so many keys on, reading them takes longer than handing the interpreter to another thread and back.
const MANY_KEYS: usize = 32;

impl ManyKeys<'_> {
    pub(crate) fn get(&self) -> Vec<&[u8]> {
        self.0.iter().map(Bytes::get).collect()
    }

    /// Whether reading these is worth letting other threads run.
    pub(crate) fn are_many(&self) -> bool {
        self.0.len() >= MANY_KEYS
    }
}

impl<'py> FromPyObject<'_, 'py> for ManyKeys<'py> {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<ManyKeys<'py>> {
        let class = class_of(&object);
        // Each of them is iterable, and none of what they give is a key.
        if matches!(class.as_str(), "bytes" | "bytearray" | "memoryview" | "str") {
            return Err(PyTypeError::new_err(format!(
                "keys: an iterable of keys is required, not '{class}': put one key into a list"
            )));
        }
        object.try_iter()?.map(|key| bytes(&key?, "key")).collect::<PyResult<_>>().map(ManyKeys)
    }
}

fn bytes<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bytes<'py>> {
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Bytes(bytes.to_owned()));
    }
    if object.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!(
            "{name}: a bytes-like object is required, not 'str': encode it first, as in {name}.encode()"
        )));
    }
    copy_of_buffer(object, name).map(Bytes)
}

/// The bytes that a `bytearray`, `memoryview`, `array.array`, NumPy array or any other buffer holds at this moment.
fn copy_of_buffer<'py>(object: &Bound<'py, PyAny>, name: &str) -> PyResult<Bound<'py, PyBytes>> {
    let view = PyMemoryView::from(object).map_err(|error| not_a_buffer(object, name, error))?;
    if !view.getattr("c_contiguous")?.is_truthy()? {
        return Err(invalid(
            object.py(),
            format!("{name}: the buffer is not contiguous: pass a contiguous copy, such as bytes({name})"),
        ));
    }
    // A buffer of Python objects holds addresses, which mean nothing once they are stored.
    if view.getattr("format")?.extract::<&str>()?.contains('O') {
        return Err(PyTypeError::new_err(format!(
            "{name}: a bytes-like object is required, not a buffer of Python objects: convert it to bytes first"
        )));
    }
    Ok(view.call_method0("tobytes")?.cast_into()?)
}

/// Names what was given instead of bytes. An object that has a buffer and refuses it says why itself.
fn not_a_buffer(object: &Bound<'_, PyAny>, name: &str, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyTypeError>(object.py()) {
        return error;
    }
    let class = class_of(object);
    PyTypeError::new_err(format!("{name}: a bytes-like object is required, not '{class}'"))
}

fn class_of(object: &Bound<'_, PyAny>) -> String {
    object.get_type().name().map_or_else(|_| String::from("this object"), |name| name.to_string())
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
        let choices = [("buffered", Durability::Buffered), ("sync", Durability::Sync)];
        choice(&object, "durability", "\"buffered\" or \"sync\"", &choices).map(DurabilityName)
    }
}

impl DurabilityName {
    /// The word itself.
    pub(crate) fn name(self) -> &'static str {
        durability_name(self.0)
    }
}

/// The name that [`DurabilityName`] reads.
fn durability_name(durability: Durability) -> &'static str {
    match durability {
        Durability::Buffered => "buffered",
        Durability::Sync => "sync",
    }
}

/// `"auto"`, `"mapped"` or `"write"`.
#[derive(Clone, Copy, Default)]
pub(crate) struct AppendName(pub(crate) AppendMode);

impl FromPyObject<'_, '_> for AppendName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<AppendName> {
        let choices =
            [("auto", AppendMode::Auto), ("mapped", AppendMode::Mapped), ("write", AppendMode::Write)];
        choice(&object, "append", "\"auto\", \"mapped\" or \"write\"", &choices).map(AppendName)
    }
}

/// `"none"` or `"lz4"`.
#[derive(Clone, Copy)]
pub(crate) struct CompressionName(pub(crate) Compression);

impl FromPyObject<'_, '_> for CompressionName {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<CompressionName> {
        let choices = [("none", Compression::None), ("lz4", Compression::Lz4)];
        choice(&object, "compression", "\"none\" or \"lz4\"", &choices).map(CompressionName)
    }
}

/// The name that [`CompressionName`] reads.
pub(crate) fn compression_name(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
    }
}

/// What a word stands for, among the words that an argument takes.
fn choice<T: Copy>(object: &Bound<'_, PyAny>, name: &str, words: &str, choices: &[(&str, T)]) -> PyResult<T> {
    let Ok(given) = object.extract::<&str>() else {
        let class = class_of(object);
        return Err(PyTypeError::new_err(format!("{name}: {words} is required, not '{class}'")));
    };
    let meant = choices.iter().find(|(word, _)| *word == given).map(|(_, meant)| *meant);
    meant.ok_or_else(|| invalid(object.py(), format!("{name} is {given:?}: give {words}")))
}

/// The name that [`AppendName`] reads.
pub(crate) fn append_name(mode: AppendMode) -> &'static str {
    match mode {
        AppendMode::Auto => "auto",
        AppendMode::Mapped => "mapped",
        AppendMode::Write => "write",
    }
}

/// A size or count under the name that Python gives it. One outside its limits is refused with both, where PyO3 alone
/// would raise `OverflowError` and say neither.
macro_rules! number {
    ($($type:ident($number:ty): $name:literal, $range:expr, $none:expr;)*) => {$(
        #[derive(Clone, Copy)]
        pub(crate) struct $type(pub(crate) $number);

        impl FromPyObject<'_, '_> for $type {
            type Error = PyErr;

            fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<$type> {
                number(&object, $name, $range, $none).map($type)
            }
        }
    )*};
}

number! {
    Limit(u64): "limit", 0..=u64::MAX, Some("no limit");
    CacheBytes(u64): "cache_bytes", 0..=u64::MAX, Some("the default");
    SegmentBytes(u64): "segment_bytes", SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX, Some("the default");
    Length(u64): "length", 0..=VALUE_BYTES_MAX as u64, None;
    Retries(u32): "retries", 0..=u32::MAX, Some("the default");
    By(i64): "by", i64::MIN..=i64::MAX, None;
}

/// `none` is what `None` stands for, where it may be given.
fn number<N: TryFrom<i128> + PartialOrd + Display>(
    object: &Bound<'_, PyAny>,
    name: &str,
    range: RangeInclusive<N>,
    none: Option<&str>,
) -> PyResult<N> {
    let py = object.py();
    let number: Option<i128> = match object.extract() {
        Ok(number) => Some(number),
        Err(error) if error.is_instance_of::<PyOverflowError>(py) => None,
        Err(_) => {
            let class = class_of(object);
            let or_none = if none.is_some() { " or None" } else { "" };
            return Err(PyTypeError::new_err(format!(
                "{name}: a number{or_none} is required, not '{class}'"
            )));
        }
    };
    let inside = number.and_then(|number| N::try_from(number).ok()).filter(|number| range.contains(number));
    inside.ok_or_else(|| {
        let given = number.map_or_else(|| "beyond every limit".into(), |number| number.to_string());
        let (first, last) = range.into_inner();
        let or_none = none.map(|none| format!(", or None for {none}")).unwrap_or_default();
        invalid(py, format!("{name} is {given}: give a number from {first} to {last}{or_none}"))
    })
}

/// A time in seconds, as the modules `threading` and `queue` take it.
#[derive(Clone, Copy, Default)]
pub(crate) struct LockTimeout(pub(crate) Duration);

impl LockTimeout {
    fn seconds(self) -> f64 {
        if self.0 == Duration::MAX { f64::INFINITY } else { self.0.as_secs_f64() }
    }
}

impl FromPyObject<'_, '_> for LockTimeout {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, '_, PyAny>) -> PyResult<LockTimeout> {
        let Ok(seconds) = object.extract::<f64>() else {
            let class = class_of(&object);
            return Err(PyTypeError::new_err(format!("lock_timeout: a number is required, not '{class}'")));
        };
        if seconds.is_nan() || seconds < 0.0 {
            let message = format!("lock_timeout is {seconds}: give a number of seconds from 0");
            return Err(invalid(object.py(), message));
        }
        // What is too long for a duration is for ever.
        Ok(LockTimeout(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }
}

/// The settings of `OpenDB(path, ...)` as Python gives them. What is `None` keeps the core's default.
pub(crate) struct OpenArguments {
    pub(crate) create: bool,
    pub(crate) durability: Durability,
    pub(crate) append: AppendMode,
    pub(crate) mapped_reads: bool,
    pub(crate) cache_bytes: Option<CacheBytes>,
    pub(crate) segment_bytes: Option<SegmentBytes>,
    pub(crate) read_damaged: bool,
    pub(crate) read_only: bool,
    pub(crate) lock_timeout: LockTimeout,
}

impl OpenArguments {
    /// By the names of the arguments.
    pub(crate) fn named<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let named = PyDict::new(py);
        named.set_item("create", self.create)?;
        named.set_item("durability", durability_name(self.durability))?;
        named.set_item("append", append_name(self.append))?;
        named.set_item("mapped_reads", self.mapped_reads)?;
        named.set_item("cache_bytes", self.cache_bytes.map(|CacheBytes(bytes)| bytes))?;
        named.set_item("segment_bytes", self.segment_bytes.map(|SegmentBytes(bytes)| bytes))?;
        named.set_item("read_damaged", self.read_damaged)?;
        named.set_item("read_only", self.read_only)?;
        named.set_item("lock_timeout", self.lock_timeout.seconds())?;
        Ok(named)
    }
}

impl From<&OpenArguments> for Options {
    fn from(arguments: &OpenArguments) -> Options {
        let mut options = Options::new()
            .create(arguments.create)
            .durability(arguments.durability)
            .append(arguments.append)
            .mapped_reads(arguments.mapped_reads)
            .read_damaged(arguments.read_damaged)
            .read_only(arguments.read_only)
            .lock_timeout(arguments.lock_timeout.0);
        if let Some(CacheBytes(bytes)) = arguments.cache_bytes {
            options = options.cache_bytes(bytes);
        }
        if let Some(SegmentBytes(bytes)) = arguments.segment_bytes {
            options = options.segment_bytes(bytes);
        }
        options
    }
}

/// What scans and views take, besides the keyspace in a transaction.
pub(crate) struct ScanArguments<'py> {
    pub(crate) prefix: Option<Prefix<'py>>,
    pub(crate) start: Option<Start<'py>>,
    pub(crate) stop: Option<Stop<'py>>,
    pub(crate) reverse: bool,
    pub(crate) start_after: Option<StartAfter<'py>>,
    pub(crate) limit: Option<Limit>,
}

impl<'py> ScanArguments<'py> {
    /// No bounds.
    pub(crate) fn all() -> ScanArguments<'py> {
        ScanArguments {
            prefix: None,
            start: None,
            stop: None,
            reverse: false,
            start_after: None,
            limit: None,
        }
    }

    /// Those that were given, by the names of the arguments.
    pub(crate) fn named(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let named = PyDict::new(py);
        let bounds = [
            ("prefix", self.prefix.as_deref()),
            ("start", self.start.as_deref()),
            ("stop", self.stop.as_deref()),
            ("start_after", self.start_after.as_deref()),
        ];
        for (name, bound) in bounds {
            if let Some(bound) = bound {
                named.set_item(name, bound.object())?;
            }
        }
        if self.reverse {
            named.set_item("reverse", true)?;
        }
        if let Some(Limit(entries)) = self.limit {
            named.set_item("limit", entries)?;
        }
        Ok(named)
    }
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
        if let Some(Limit(entries)) = arguments.limit {
            scan = scan.limit(entries);
        }
        if arguments.reverse { scan.reverse() } else { scan }
    }
}
