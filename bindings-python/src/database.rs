//! `OpenDB` and `Keyspace`, and the writing calls that they have in common.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use opendb::{Durability, Error, KeyspaceOptions, Result, ValueWriter as Writer};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyMemoryView, PyTuple};

use crate::error::{call, call_detached, call_maybe_detached, guard};
use crate::held::Holders;
use crate::maintenance::{self, Backup, Compaction, Salvage, Verification};
use crate::mapping::{self, View};
use crate::opening::Opened;
use crate::options::{
    AppendName, By, Bytes, CacheBytes, CompressionName, DurabilityName, Expected, Key, Length, Limit,
    LockTimeout, ManyKeys, New, OpenArguments, Prefix, Retries, ScanArguments, SegmentBytes, Start,
    StartAfter, Stop, Value, compression_name,
};
use crate::scan::{Iter, Keys, to_bytes};
use crate::snapshot::{Snapshot, exists, get_many, get_view, iter, keys, scan_prefix, value_reader};
use crate::stats::Stats;
use crate::stream::{ValueReader, ValueWriter};
use crate::transaction::{Batch, Transaction, decorator, transact};

/// The keyspace that the calls of a database work on.
const DEFAULT: &str = "default";

/// The core's handle, shared by a Python database and everything made from it: the database stays open while any of
/// them is alive, also where the program has let go of the `OpenDB` object.
pub(crate) struct Handle {
    pub(crate) database: opendb::OpenDB,
    /// What a write waits for that does not say so itself.
    pub(crate) durability: Durability,
    /// What iterators, transactions, batches and snapshots of it hold.
    pub(crate) holders: Holders,
}

impl Handle {
    pub(crate) fn new(database: opendb::OpenDB, durability: Durability) -> Handle {
        Handle { database, durability, holders: Holders::default() }
    }

    /// Whether calls would be refused, because the database is closed or the parent's.
    pub(crate) fn check(&self) -> Result<()> {
        self.database.check_open()
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.check(), Err(Error::Closed))
    }

    /// Whether this process is the child of a fork, and the database was opened by its parent. Locks of this crate are
    /// not to be waited for then: a thread of the parent may have held them, which is not there in the child.
    pub(crate) fn is_of_the_parent(&self) -> bool {
        matches!(self.check(), Err(Error::Forked))
    }

    pub(crate) fn close(&self, py: Python<'_>) -> PyResult<()> {
        call_detached(py, || {
            let closed = self.database.close();
            if self.is_closed() {
                self.holders.release();
            }
            closed
        })
    }
}

impl Drop for Handle {
    /// Closes where nobody has: that is the same as dropping the core's handle, and other threads run while it waits
    /// for the device. Nobody is left whom an error could reach.
    fn drop(&mut self) {
        if self.check().is_err() {
            return;
        }
        let close = || guard(|| self.database.close()).is_ok();
        // At the end of the process there may be no interpreter to hand over.
        if Python::try_attach(|py| py.detach(close)).is_none() {
            close();
        }
    }
}

/// The writing calls that a database and a keyspace share.
pub(crate) trait Write: Sync {
    fn put(&self, key: &[u8], value: &[u8], durability: Option<Durability>) -> Result<()>;
    fn delete(&self, key: &[u8], durability: Option<Durability>) -> Result<()>;
    fn compare_and_swap(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        new: Option<&[u8]>,
        durability: Option<Durability>,
    ) -> Result<bool>;
    fn take(&self, key: &[u8], durability: Option<Durability>) -> Result<Option<Vec<u8>>>;
    fn increment(&self, key: &[u8], by: i64, durability: Option<Durability>) -> Result<i64>;
    fn value_writer(&self, key: &[u8], length: u64) -> Result<Writer>;
    fn len(&self) -> Result<u64>;
}

macro_rules! write {
    ($($writer:ty),*) => {$(
        impl Write for $writer {
            fn put(&self, key: &[u8], value: &[u8], durability: Option<Durability>) -> Result<()> {
                match durability {
                    Some(durability) => self.put_with(key, value, durability),
                    None => <$writer>::put(self, key, value),
                }
            }
            fn delete(&self, key: &[u8], durability: Option<Durability>) -> Result<()> {
                match durability {
                    Some(durability) => self.delete_with(key, durability),
                    None => <$writer>::delete(self, key),
                }
            }
            fn compare_and_swap(
                &self,
                key: &[u8],
                expected: Option<&[u8]>,
                new: Option<&[u8]>,
                durability: Option<Durability>,
            ) -> Result<bool> {
                match durability {
                    Some(durability) => self.compare_and_swap_with(key, expected, new, durability),
                    None => <$writer>::compare_and_swap(self, key, expected, new),
                }
            }
            fn take(&self, key: &[u8], durability: Option<Durability>) -> Result<Option<Vec<u8>>> {
                match durability {
                    Some(durability) => self.take_with(key, durability),
                    None => <$writer>::take(self, key),
                }
            }
            fn increment(&self, key: &[u8], by: i64, durability: Option<Durability>) -> Result<i64> {
                match durability {
                    Some(durability) => self.increment_with(key, by, durability),
                    None => <$writer>::increment(self, key, by),
                }
            }
            fn value_writer(&self, key: &[u8], length: u64) -> Result<Writer> {
                <$writer>::value_writer(self, key, length)
            }
            fn len(&self) -> Result<u64> {
                <$writer>::len(self)
            }
        }
    )*};
}

write!(opendb::OpenDB, opendb::Keyspace);

pub(crate) fn put(
    py: Python<'_>,
    handle: &Handle,
    writer: &impl Write,
    (key, value): (&Bytes<'_>, &Bytes<'_>),
    durability: Option<DurabilityName>,
) -> PyResult<()> {
    let durability = durability.map(|name| name.0);
    let blocks = value.is_large() || durability.unwrap_or(handle.durability) == Durability::Sync;
    let (key, value) = (key.get(), value.get());
    call_maybe_detached(py, blocks, || writer.put(key, value, durability))
}

fn delete(
    py: Python<'_>,
    handle: &Handle,
    writer: &impl Write,
    key: &Bytes<'_>,
    durability: Option<DurabilityName>,
) -> PyResult<()> {
    let durability = durability.map(|name| name.0);
    let blocks = durability.unwrap_or(handle.durability) == Durability::Sync;
    let key = key.get();
    call_maybe_detached(py, blocks, || writer.delete(key, durability))
}

/// Other threads run meanwhile: it may rest until those have got on that change the same key.
fn compare_and_swap(
    py: Python<'_>,
    writer: &impl Write,
    key: &Bytes<'_>,
    (expected, new): (Option<&Bytes<'_>>, Option<&Bytes<'_>>),
    durability: Option<DurabilityName>,
) -> PyResult<bool> {
    let (key, expected, new) = (key.get(), expected.map(Bytes::get), new.map(Bytes::get));
    let durability = durability.map(|name| name.0);
    call_detached(py, || writer.compare_and_swap(key, expected, new, durability))
}

/// As [`compare_and_swap`].
pub(crate) fn take<'py>(
    py: Python<'py>,
    writer: &impl Write,
    key: &Bytes<'_>,
    durability: Option<DurabilityName>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (key, durability) = (key.get(), durability.map(|name| name.0));
    let taken = call_detached(py, || writer.take(key, durability))?;
    taken.map(|value| to_bytes(py, &value)).transpose()
}

/// As [`compare_and_swap`].
fn increment(
    py: Python<'_>,
    writer: &impl Write,
    (key, by): (&Bytes<'_>, By),
    durability: Option<DurabilityName>,
) -> PyResult<i64> {
    let (key, durability) = (key.get(), durability.map(|name| name.0));
    call_detached(py, || writer.increment(key, by.0, durability))
}

fn value_writer(
    py: Python<'_>,
    handle: &Arc<Handle>,
    writer: &impl Write,
    (key, length): (&Bytes<'_>, Length),
    durability: Option<DurabilityName>,
) -> PyResult<ValueWriter> {
    // A segment may have to be made for it.
    let key = key.get();
    let begun = call_detached(py, || writer.value_writer(key, length.0))?;
    Ok(ValueWriter::new(handle, begun, durability))
}

fn length(py: Python<'_>, writer: &impl Write) -> PyResult<usize> {
    call(py, || {
        let keys = writer.len()?;
        usize::try_from(keys)
            .map_err(|_| Error::Internal(format!("{keys} keys are more than can be counted")))
    })
}

/// An embedded key-value store in one directory. Keys and values are bytes.
///
/// OpenDB(path) opens the database in the directory `path`, creates both where they are missing, takes the
/// directory's lock and recovers what an unclean end has left. Its own calls work on the keyspace "default". A
/// database is used from any number of threads. As a context manager it closes itself.
///
/// - create: whether a missing directory or database is created.
/// - durability: what commits wait for unless they say otherwise. With "buffered" a write survives the death of the
///   process at any instant and the device is synced in the background at least once a second, so a power cut loses
///   at most the last second. With "sync" it is on the device before the call returns; concurrent committers share
///   one sync.
/// - append: how the log is appended to. "auto" is "mapped" where the filesystem keeps the room it promised,
///   otherwise "write".
/// - mapped_reads: whether segments are read through memory maps.
/// - cache_bytes: bound of the cache (default: 64 MiB); 0 turns it off.
/// - segment_bytes: size of new segments (default: 8 MiB, growing to 256 MiB as the database grows).
/// - read_damaged: opens a damaged database for reading what is still readable. Every write is refused.
/// - read_only: opens for reading only, without a lock and without any change of the directory: beside a process that
///   writes, beside any number of others that read, or from what cannot be written to. What the other process commits
///   is seen within milliseconds. Every write is refused.
/// - lock_timeout: how many seconds to wait for another process that has the directory open for writing, before that is
///   a LockedError. Ctrl-C ends the wait. Nobody waits with read_only.
///
/// A database can be pickled, and copied: what comes of it has the same path and options, and opens with its first use
/// in the process that uses it. There a database that another process has open for writing can be read with read_only.
#[pyclass(frozen, subclass, weakref, module = "opendb")]
pub(crate) struct OpenDB {
    opened: Opened,
}

impl OpenDB {
    #[inline]
    fn handle(&self, py: Python<'_>) -> PyResult<&Arc<Handle>> {
        self.opened.handle(py)
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl OpenDB {
    #[new]
    #[pyo3(
        signature = (path, *, create=true, durability=DurabilityName::default(), append=AppendName::default(),
            mapped_reads=true, cache_bytes=None, segment_bytes=None, read_damaged=false, read_only=false,
            lock_timeout=LockTimeout::default(), _at_first_use=false),
        text_signature = "(path, *, create=True, durability='buffered', append='auto', mapped_reads=True, \
            cache_bytes=None, segment_bytes=None, read_damaged=False, read_only=False, lock_timeout=0.0)"
    )]
    #[expect(clippy::too_many_arguments, reason = "the settings are keyword arguments in Python")]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        create: bool,
        durability: DurabilityName,
        append: AppendName,
        mapped_reads: bool,
        cache_bytes: Option<CacheBytes>,
        segment_bytes: Option<SegmentBytes>,
        read_damaged: bool,
        read_only: bool,
        lock_timeout: LockTimeout,
        _at_first_use: bool,
    ) -> PyResult<OpenDB> {
        let arguments = OpenArguments {
            create,
            durability: durability.0,
            append: append.0,
            mapped_reads,
            cache_bytes,
            segment_bytes,
            read_damaged,
            read_only,
            lock_timeout,
        };
        let opened = match _at_first_use {
            true => Opened::at_first_use(path, arguments),
            false => Opened::at_once(py, path, arguments)?,
        };
        Ok(OpenDB { opened })
    }

    /// Stores a value under a key. The write is in the log before the call returns.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, value, durability=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        value: Value<'_>,
        durability: Option<DurabilityName>,
    ) -> PyResult<()> {
        let handle = self.handle(py)?;
        put(py, handle, &handle.database, (&key, &value), durability)
    }

    /// The newest committed value of a key, or the default where the key is absent.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        mapping::get_or(py, &self.handle(py)?.database, &key, default)
    }

    /// The newest committed value of a key where it lies, as a read-only memoryview, or None where the key is absent.
    ///
    /// Nothing is copied, which pays from some KiB on. The bytes stay there and as they are for as long as the memoryview, or
    /// anything that was made of it, is held, also after the key is overwritten or removed and the database closed; as long
    /// the space on the device is not given back.
    ///
    /// >>> numpy.frombuffer(db.get_view(b"embedding:1"), dtype="f4")
    fn get_view<'py>(&self, py: Python<'py>, key: Key<'_>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        get_view(py, &self.handle(py)?.database, &key)
    }

    /// The newest committed values of many keys, as of one moment: a list in the order of the keys, with None for each
    /// absent key.
    ///
    /// keys: any iterable of keys. Faster than as many calls of get: what the keys lead to is fetched for some tens of them
    /// at once. All values are in memory together.
    ///
    /// >>> db.get_many([b"user:1", b"user:2"])
    fn get_many<'py>(&self, py: Python<'py>, keys: ManyKeys<'_>) -> PyResult<Bound<'py, PyList>> {
        get_many(py, &self.handle(py)?.database, &keys)
    }

    /// The newest committed value of a key, to be read piece by piece, or None where the key is absent.
    fn value_reader(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Option<ValueReader>> {
        let handle = self.handle(py)?;
        value_reader(py, handle, &handle.database, &key)
    }

    /// Begins a value of so many bytes, which is written piece by piece and stored under the key when it is finished.
    ///
    /// durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, length, durability=None))]
    fn value_writer(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        length: Length,
        durability: Option<DurabilityName>,
    ) -> PyResult<ValueWriter> {
        let handle = self.handle(py)?;
        value_writer(py, handle, &handle.database, (&key, length), durability)
    }

    /// Removes a key. An absent key is no error.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, durability=None))]
    fn delete(&self, py: Python<'_>, key: Key<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        let handle = self.handle(py)?;
        delete(py, handle, &handle.database, &key, durability)
    }

    /// Stores the value `new` under a key where its value is `expected`, and tells whether it was. Nobody else changes the key
    /// in between.
    ///
    /// None stands for a key that is not there: it is created only where it is missing, or removed.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.compare_and_swap(b"lock", None, b"mine")
    #[pyo3(signature = (key, expected, new, durability=None))]
    fn compare_and_swap(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        expected: Option<Expected<'_>>,
        new: Option<New<'_>>,
        durability: Option<DurabilityName>,
    ) -> PyResult<bool> {
        let values = (expected.as_deref(), new.as_deref());
        compare_and_swap(py, &self.handle(py)?.database, &key, values, durability)
    }

    /// Removes a key and returns the value that it had: of those who take the same key at once one gets it. None, and nothing is
    /// written, where the key is absent.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.take(b"job:1")
    #[pyo3(signature = (key, durability=None))]
    fn take<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        durability: Option<DurabilityName>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        take(py, &self.handle(py)?.database, &key, durability)
    }

    /// Adds to the number under a key, 0 where the key is absent, and returns the sum. Nobody else changes the key in between.
    ///
    /// Numbers are 8 bytes, little endian, signed: what int.to_bytes(8, "little", signed=True) makes. InvalidArgumentError, with
    /// nothing written, where the value does not have 8 bytes or the sum is beyond what they hold.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.increment(b"visits")
    #[pyo3(signature = (key, by=By(1), durability=None), text_signature = "($self, key, by=1, durability=None)")]
    fn increment(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        by: By,
        durability: Option<DurabilityName>,
    ) -> PyResult<i64> {
        increment(py, &self.handle(py)?.database, (&key, by), durability)
    }

    /// Whether a key is present. Cheaper than get: the value is not read. The same as `key in db`.
    fn exists(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.handle(py)?.database, &key)
    }

    /// All (key, value) tuples whose key begins with the prefix, sorted by key, from one consistent moment.
    fn scan_prefix<'py>(&self, py: Python<'py>, prefix: Prefix<'_>) -> PyResult<Bound<'py, PyList>> {
        scan_prefix(py, &self.handle(py)?.database, &prefix)
    }

    /// A lazy iterator over (key, value) tuples, sorted by key, from one consistent moment. The bounds combine.
    ///
    /// - prefix: only keys that begin with it.
    /// - start: only keys from this one on, itself included.
    /// - stop: only keys before this one.
    /// - reverse: from the last key to the first.
    /// - start_after: resumes a scan: only keys that come after this one in the scan's direction.
    /// - limit: at most so many.
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
        let handle = self.handle(py)?;
        iter(py, handle, &handle.database, scan)
    }

    /// As iter, but over the keys alone: values are never read.
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
        let handle = self.handle(py)?;
        keys(py, handle, &handle.database, scan)
    }

    /// A view of the keys, in their order, also a set. It shows what is there when it is looked at, as of one moment for each
    /// loop over it; the arguments are those of iter. Its length is known without a scan where there are no bounds.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn keys<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, slf.get().handle(py)?)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Keys, &scan)
    }

    /// A view of the values, in the order of their keys. See keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn values<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, slf.get().handle(py)?)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Values, &scan)
    }

    /// A view of the (key, value) tuples, in the order of the keys. See keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn items<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, slf.get().handle(py)?)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Items, &scan)
    }

    /// Stores many values, all together or not at all.
    ///
    /// entries: a mapping, or an iterable of (key, value) tuples. Of several values for one key the last one counts.
    ///
    /// durability: what the commit waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.put_many({b"user:1": b"Ada", b"user:2": b"Bob"})
    #[pyo3(signature = (entries, durability=None))]
    fn put_many(
        &self,
        py: Python<'_>,
        entries: Bound<'_, PyAny>,
        durability: Option<DurabilityName>,
    ) -> PyResult<()> {
        mapping::put_many(py, self.handle(py)?, DEFAULT, &entries, durability)
    }

    /// The same as put_many, under the name that it has in Python's mappings.
    #[pyo3(signature = (entries, /))]
    fn update(&self, py: Python<'_>, entries: Bound<'_, PyAny>) -> PyResult<()> {
        mapping::put_many(py, self.handle(py)?, DEFAULT, &entries, None)
    }

    /// Removes a key and returns the value that it had. The default, or KeyError without one, where the key is absent.
    #[pyo3(signature = (key, /, *default), text_signature = "($self, key, default=..., /)")]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        mapping::pop(py, &self.handle(py)?.database, &key, default)
    }

    /// Removes the first key and returns it with the value that it had. KeyError where there is none.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        mapping::pop_item(py, &self.handle(py)?.database)
    }

    /// The value of a key. Where the key is absent, the default, which is stored under it. Nobody else changes the key in between.
    fn setdefault<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: Value<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        mapping::set_default(py, &self.handle(py)?.database, &key, &default)
    }

    /// Removes all keys, in steps of some of them.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        let handle = self.handle(py)?;
        mapping::clear(py, handle, DEFAULT, &handle.database)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Key<'py>) -> PyResult<Bound<'py, PyBytes>> {
        mapping::item(py, &self.handle(py)?.database, &key)
    }

    fn __setitem__(&self, py: Python<'_>, key: Key<'_>, value: Value<'_>) -> PyResult<()> {
        let handle = self.handle(py)?;
        mapping::set(py, handle, &handle.database, &key, &value)
    }

    fn __delitem__(&self, py: Python<'_>, key: Key<'_>) -> PyResult<()> {
        mapping::remove(py, &self.handle(py)?.database, &key)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Keys> {
        let handle = self.handle(py)?;
        keys(py, handle, &handle.database, ScanArguments::all())
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<Keys> {
        let handle = self.handle(py)?;
        keys(py, handle, &handle.database, ScanArguments { reverse: true, ..ScanArguments::all() })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        length(py, &self.handle(py)?.database)
    }

    fn __contains__(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.handle(py)?.database, &key)
    }

    /// The keyspace of this name. It is created, durably, where it does not exist.
    ///
    /// compression: how its values are stored from now on, "none" or "lz4"; without, as they are until now, and "none" in a
    /// new keyspace. The setting stays with the keyspace.
    #[pyo3(signature = (name, *, compression=None))]
    fn keyspace(
        &self,
        py: Python<'_>,
        name: &str,
        compression: Option<CompressionName>,
    ) -> PyResult<Keyspace> {
        let database = &self.handle(py)?.database;
        let keyspace = call_detached(py, || match compression {
            Some(wanted) => {
                database.keyspace_with_options(name, KeyspaceOptions::new().compression(wanted.0))
            }
            None => database.keyspace(name),
        })?;
        Ok(Keyspace { keyspace, handle: Arc::clone(self.handle(py)?) })
    }

    /// The names of all keyspaces, sorted, "default" among them.
    fn keyspaces(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let handle = self.handle(py)?;
        call(py, || handle.database.keyspaces())
    }

    /// Collects writes that are applied all together or not at all.
    ///
    /// As a context manager it commits on a clean exit and discards everything on an exception.
    ///
    /// durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (durability=None))]
    fn batch(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<Batch> {
        Batch::new(py, self.handle(py)?, durability)
    }

    /// The same as batch, under the name that others give it.
    #[pyo3(signature = (durability=None))]
    fn write_batch(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<Batch> {
        Batch::new(py, self.handle(py)?, durability)
    }

    /// Begins a serializable transaction: it reads its own writes and one snapshot.
    ///
    /// What was read must not have changed by the commit, which otherwise raises TransactionError and applies nothing.
    /// The transaction is a context manager: it commits on a clean exit and rolls back on an exception.
    ///
    /// durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (durability=None))]
    fn begin_transaction(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<Transaction> {
        Transaction::begin(py, self.handle(py)?, durability)
    }

    /// The same as begin_transaction, for use as `with db.transaction() as transaction:`.
    #[pyo3(signature = (durability=None))]
    fn transaction(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<Transaction> {
        Transaction::begin(py, self.handle(py)?, durability)
    }

    /// Calls work(transaction), commits, and returns what work has returned.
    ///
    /// On a conflict work is called again in a new transaction, a bounded number of times, so it should have no effect
    /// besides the transaction. An exception rolls back and is raised. work may not commit or roll back itself.
    ///
    /// - retries: how often work is called again, at most (default: 99).
    /// - durability: what the commit waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// Without work it is a decorator: each call of the function is run so, with the transaction before its own arguments.
    ///
    /// >>> @db.transact(retries=3)
    /// ... def move(transaction, amount): ...
    #[pyo3(signature = (work=None, *, retries=None, durability=None))]
    fn transact<'py>(
        slf: &Bound<'py, Self>,
        work: Option<Bound<'py, PyAny>>,
        retries: Option<Retries>,
        durability: Option<DurabilityName>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match work {
            Some(work) => {
                let outcome = transact(py, slf.get().handle(py)?, &work.unbind(), retries, durability)?;
                Ok(outcome.into_bound(py))
            }
            None => decorator(slf.as_any(), retries, durability),
        }
    }

    /// A consistent read-only view of the database at this moment, of the keyspace "default".
    ///
    /// It is a context manager that releases itself. Release it when it is not needed any more: what it can see is
    /// kept for it.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        let handle = self.handle(py)?;
        let snapshot = call(py, || handle.database.snapshot())?;
        Ok(Snapshot::new(self.handle(py)?, snapshot, DEFAULT))
    }

    /// Returns when everything written so far is on the device.
    fn flush(&self, py: Python<'_>) -> PyResult<()> {
        let handle = self.handle(py)?;
        call_detached(py, || handle.database.flush())
    }

    /// Returns when everything is seen that was committed before this call, by whatever process.
    ///
    /// It is for a database that was opened with read_only, which otherwise looks for new commits with each use, at most
    /// once in a millisecond. What it sees only grows, by whole commits. Any other one sees every commit at once.
    fn refresh(&self, py: Python<'_>) -> PyResult<()> {
        let handle = self.handle(py)?;
        call_detached(py, || handle.database.refresh())
    }

    /// What the database holds and has done, at this moment.
    fn stats(&self, py: Python<'_>) -> PyResult<Stats> {
        let handle = self.handle(py)?;
        call_detached(py, || handle.database.stats()).map(Stats)
    }

    /// Gives back, at once, the room of everything that was overwritten or deleted.
    ///
    /// Without this call the same goes on in the background whenever there is enough of it. Reads and writes go on
    /// meanwhile, in other threads too.
    ///
    /// progress: called as progress(bytes_done, bytes_total), and, unless it was ended early, once more at the end; False ends the compaction early,
    /// and so does an exception, which is raised here. What was done before stays done. It may read and write, but not
    /// compact, verify, back up or close the database: those wait for this call.
    ///
    /// Raises NoSpaceError where there is no room for the copies, IoError from the device, and CorruptionError where a
    /// segment cannot be read.
    #[pyo3(signature = (progress=None))]
    fn compact(&self, py: Python<'_>, progress: Option<Py<PyAny>>) -> PyResult<Compaction> {
        maintenance::compact(py, self.handle(py)?, progress.as_ref())
    }

    /// Looks at everything: reads and checks every record, follows every entry of the index and every key of the order,
    /// and compares what is counted.
    ///
    /// What is found to be wrong is in the result and raises nothing. It takes about as long as reading the whole database;
    /// reads and writes go on, and compaction waits.
    fn verify(&self, py: Python<'_>) -> PyResult<Verification> {
        maintenance::verify(py, self.handle(py)?)
    }

    /// Makes a backup: a database of its own in another directory, with everything that was written before the call.
    /// Reads and writes go on, and compaction waits.
    ///
    /// The directory is created, or must be empty. Files that are not written to any more are shared with the backup where
    /// both directories are on one filesystem that can do that, and are otherwise copied. A backup that is to outlive the
    /// device belongs on another one. What is interrupted leaves a directory that is no database; empty it before it is used
    /// again. verify of the backup tells whether its bytes are whole.
    ///
    /// Raises InvalidArgumentError for a directory that is not empty or is inside of the database's own, LockedError while
    /// somebody else has it, NoSpaceError and IoError from the system.
    fn backup(&self, py: Python<'_>, directory: PathBuf) -> PyResult<Backup> {
        maintenance::backup(py, self.handle(py)?, &directory)
    }

    /// Makes a new database of everything that can be read of a damaged one, and tells what cannot.
    ///
    /// The damaged directory is not changed, but for its lock file; its manifest need not even be there. Where a commit is
    /// lost, its keys have the values that they had before, or none, and keys that it deleted come back. Keys are held in
    /// memory meanwhile. The new directory is created, or must be empty; after an error it holds a part of what was read.
    ///
    /// Raises IoError where there is no database, LockedError while somebody has it open, UnsupportedError for a newer format,
    /// CorruptionError where not one segment tells whose it is, InvalidArgumentError for a new directory that is not empty or
    /// is inside of the damaged one, and NoSpaceError and IoError from writing the new database.
    #[staticmethod]
    fn salvage(py: Python<'_>, damaged: PathBuf, into: PathBuf) -> PyResult<Salvage> {
        maintenance::salvage(py, &damaged, &into)
    }

    /// Closes the database. Every later call of it and of everything made from it raises ClosedError.
    ///
    /// With the last open handle of the process the writes are synced and the directory is unlocked. A second close
    /// does nothing.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.opened.close(py)
    }

    /// The directory.
    #[getter]
    fn path(&self) -> PathBuf {
        self.opened.path().to_owned()
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let handle = slf.get().opened.handle(slf.py())?;
        call(slf.py(), || handle.check())?;
        Ok(slf)
    }

    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc_type, exc, traceback);
        // The child of a fork leaves the block too, and the database is still its parent's.
        let is_of_the_parent = self.opened.used().is_some_and(|handle| handle.is_of_the_parent());
        if is_of_the_parent { Ok(()) } else { self.opened.close(py) }
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let opened = &slf.get().opened;
        let state = if opened.is_closed() { " closed" } else { "" };
        let class = slf.get_type().name()?;
        Ok(format!("<opendb.{class} {:?}{state}>", opened.path()))
    }

    /// What the unpickling and copying of Python hands to `__new__`. The path is text: a `Path` would have `pathlib` imported, and
    /// the worker of a pool that is forked while its parent's thread imports a module waits for that module for ever.
    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<((OsString,), Bound<'py, PyDict>)> {
        let arguments = self.opened.arguments().named(py)?;
        arguments.set_item("_at_first_use", true)?;
        Ok(((self.opened.path().into(),), arguments))
    }
}

/// A key space of its own within the database, made by OpenDB.keyspace. It has the database's key-value calls.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Keyspace {
    keyspace: opendb::Keyspace,
    handle: Arc<Handle>,
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl Keyspace {
    /// The name under which the keyspace was asked for.
    #[getter]
    fn name(&self) -> &str {
        self.keyspace.name()
    }

    /// How values are stored that are written from now on: "none" or "lz4".
    #[getter]
    fn compression(&self) -> &'static str {
        compression_name(self.keyspace.compression())
    }

    /// Stores a value under a key. The write is in the log before the call returns.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, value, durability=None))]
    fn put(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        value: Value<'_>,
        durability: Option<DurabilityName>,
    ) -> PyResult<()> {
        put(py, &self.handle, &self.keyspace, (&key, &value), durability)
    }

    /// The newest committed value of a key, or the default where the key is absent.
    #[pyo3(signature = (key, default=None))]
    fn get<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        mapping::get_or(py, &self.keyspace, &key, default)
    }

    /// The newest committed value of a key where it lies, as a memoryview, or None where the key is absent. See OpenDB.get_view.
    fn get_view<'py>(&self, py: Python<'py>, key: Key<'_>) -> PyResult<Option<Bound<'py, PyMemoryView>>> {
        get_view(py, &self.keyspace, &key)
    }

    /// The newest committed values of many keys, as of one moment: a list in the order of the keys, with None for each
    /// absent key.
    ///
    /// keys: any iterable of keys. Faster than as many calls of get: what the keys lead to is fetched for some tens of them
    /// at once. All values are in memory together.
    ///
    /// >>> db.get_many([b"user:1", b"user:2"])
    fn get_many<'py>(&self, py: Python<'py>, keys: ManyKeys<'_>) -> PyResult<Bound<'py, PyList>> {
        get_many(py, &self.keyspace, &keys)
    }

    /// The newest committed value of a key, to be read piece by piece, or None where the key is absent.
    fn value_reader(&self, py: Python<'_>, key: Key<'_>) -> PyResult<Option<ValueReader>> {
        value_reader(py, &self.handle, &self.keyspace, &key)
    }

    /// Begins a value of so many bytes, which is written piece by piece and stored under the key when it is finished.
    ///
    /// durability: what its commit waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, length, durability=None))]
    fn value_writer(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        length: Length,
        durability: Option<DurabilityName>,
    ) -> PyResult<ValueWriter> {
        value_writer(py, &self.handle, &self.keyspace, (&key, length), durability)
    }

    /// Removes a key. An absent key is no error.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    #[pyo3(signature = (key, durability=None))]
    fn delete(&self, py: Python<'_>, key: Key<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        delete(py, &self.handle, &self.keyspace, &key, durability)
    }

    /// Stores the value `new` under a key where its value is `expected`, and tells whether it was. Nobody else changes the key
    /// in between.
    ///
    /// None stands for a key that is not there: it is created only where it is missing, or removed.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.compare_and_swap(b"lock", None, b"mine")
    #[pyo3(signature = (key, expected, new, durability=None))]
    fn compare_and_swap(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        expected: Option<Expected<'_>>,
        new: Option<New<'_>>,
        durability: Option<DurabilityName>,
    ) -> PyResult<bool> {
        let values = (expected.as_deref(), new.as_deref());
        compare_and_swap(py, &self.keyspace, &key, values, durability)
    }

    /// Removes a key and returns the value that it had: of those who take the same key at once one gets it. None, and nothing is
    /// written, where the key is absent.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.take(b"job:1")
    #[pyo3(signature = (key, durability=None))]
    fn take<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        durability: Option<DurabilityName>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        take(py, &self.keyspace, &key, durability)
    }

    /// Adds to the number under a key, 0 where the key is absent, and returns the sum. Nobody else changes the key in between.
    ///
    /// Numbers are 8 bytes, little endian, signed: what int.to_bytes(8, "little", signed=True) makes. InvalidArgumentError, with
    /// nothing written, where the value does not have 8 bytes or the sum is beyond what they hold.
    ///
    /// durability: what this write waits for, "buffered" or "sync"; without, what the database was opened with.
    ///
    /// >>> db.increment(b"visits")
    #[pyo3(signature = (key, by=By(1), durability=None), text_signature = "($self, key, by=1, durability=None)")]
    fn increment(
        &self,
        py: Python<'_>,
        key: Key<'_>,
        by: By,
        durability: Option<DurabilityName>,
    ) -> PyResult<i64> {
        increment(py, &self.keyspace, (&key, by), durability)
    }

    /// Whether a key is present. Cheaper than get: the value is not read. The same as `key in keyspace`.
    fn exists(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.keyspace, &key)
    }

    /// All (key, value) tuples whose key begins with the prefix, sorted by key, from one consistent moment.
    fn scan_prefix<'py>(&self, py: Python<'py>, prefix: Prefix<'_>) -> PyResult<Bound<'py, PyList>> {
        scan_prefix(py, &self.keyspace, &prefix)
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
        iter(py, &self.handle, &self.keyspace, scan)
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
        keys(py, &self.handle, &self.keyspace, scan)
    }

    /// A view of the keys, in their order. See OpenDB.keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn keys<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, &slf.get().handle)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Keys, &scan)
    }

    /// A view of the values, in the order of their keys. See OpenDB.keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn values<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, &slf.get().handle)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Values, &scan)
    }

    /// A view of the (key, value) tuples, in the order of the keys. See OpenDB.keys.
    #[pyo3(signature = (prefix=None, *, start=None, stop=None, reverse=false, start_after=None, limit=None))]
    fn items<'py>(
        slf: &Bound<'py, Self>,
        prefix: Option<Prefix<'py>>,
        start: Option<Start<'py>>,
        stop: Option<Stop<'py>>,
        reverse: bool,
        start_after: Option<StartAfter<'py>>,
        limit: Option<Limit>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        mapping::check_open(py, &slf.get().handle)?;
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit };
        mapping::view(slf.as_any(), View::Items, &scan)
    }

    /// Stores many values, all together or not at all. See OpenDB.put_many.
    #[pyo3(signature = (entries, durability=None))]
    fn put_many(
        &self,
        py: Python<'_>,
        entries: Bound<'_, PyAny>,
        durability: Option<DurabilityName>,
    ) -> PyResult<()> {
        mapping::put_many(py, &self.handle, self.keyspace.name(), &entries, durability)
    }

    /// The same as put_many, under the name that it has in Python's mappings.
    #[pyo3(signature = (entries, /))]
    fn update(&self, py: Python<'_>, entries: Bound<'_, PyAny>) -> PyResult<()> {
        mapping::put_many(py, &self.handle, self.keyspace.name(), &entries, None)
    }

    /// Removes a key and returns the value that it had. The default, or KeyError without one, where the key is absent.
    #[pyo3(signature = (key, /, *default), text_signature = "($self, key, default=..., /)")]
    fn pop<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        mapping::pop(py, &self.keyspace, &key, default)
    }

    /// Removes the first key and returns it with the value that it had. KeyError where there is none.
    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
        mapping::pop_item(py, &self.keyspace)
    }

    /// The value of a key. Where the key is absent, the default, which is stored under it. Nobody else changes the key in between.
    fn setdefault<'py>(
        &self,
        py: Python<'py>,
        key: Key<'_>,
        default: Value<'py>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        mapping::set_default(py, &self.keyspace, &key, &default)
    }

    /// Removes all keys, in steps of some of them.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        mapping::clear(py, &self.handle, self.keyspace.name(), &self.keyspace)
    }

    fn __getitem__<'py>(&self, py: Python<'py>, key: Key<'py>) -> PyResult<Bound<'py, PyBytes>> {
        mapping::item(py, &self.keyspace, &key)
    }

    fn __setitem__(&self, py: Python<'_>, key: Key<'_>, value: Value<'_>) -> PyResult<()> {
        mapping::set(py, &self.handle, &self.keyspace, &key, &value)
    }

    fn __delitem__(&self, py: Python<'_>, key: Key<'_>) -> PyResult<()> {
        mapping::remove(py, &self.keyspace, &key)
    }

    fn __iter__(&self, py: Python<'_>) -> PyResult<Keys> {
        keys(py, &self.handle, &self.keyspace, ScanArguments::all())
    }

    fn __reversed__(&self, py: Python<'_>) -> PyResult<Keys> {
        keys(py, &self.handle, &self.keyspace, ScanArguments { reverse: true, ..ScanArguments::all() })
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        length(py, &self.keyspace)
    }

    fn __contains__(&self, py: Python<'_>, key: Key<'_>) -> PyResult<bool> {
        exists(py, &self.keyspace, &key)
    }

    fn __repr__(&self) -> String {
        format!("<opendb.Keyspace {:?} of {:?}>", self.keyspace.name(), self.handle.database.path())
    }
}
