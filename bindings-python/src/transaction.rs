//! `Transaction` and `Batch`, and `transact`.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opendb::{Durability, Error, Result, Scan};
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use pyo3::types::{PyBytes, PyList};

use crate::database::Handle;
use crate::error::{call, call_detached, exception, guard};
use crate::options::{Bytes, Count, DurabilityName, ScanArguments};
use crate::scan::{Iter, Keys, collect};

/// What the core's calls consume: a transaction, batch or snapshot that is there until it is finished. Python keeps
/// its object for as long as it likes and is told so in each later call.
pub(crate) struct Slot<T> {
    held: Mutex<Option<T>>,
    /// What a call says that comes too late.
    finished: &'static str,
}

impl<T: Send> Slot<T> {
    pub(crate) fn new(held: T, finished: &'static str) -> Slot<T> {
        Slot { held: Mutex::new(Some(held)), finished }
    }

    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Option<T>> {
        // A panic of the core is caught inside the lock, so the lock is never poisoned.
        self.held.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_held(&self, py: Python<'_>) -> bool {
        self.lock(py).is_some()
    }

    pub(crate) fn take(&self, py: Python<'_>) -> Option<T> {
        self.lock(py).take()
    }

    fn take_or_raise(&self, py: Python<'_>) -> PyResult<T> {
        self.take(py).ok_or_else(|| self.too_late(py))
    }

    /// One call of the core. It runs no Python code, so the lock is not held for longer than the call takes.
    pub(crate) fn with<R>(&self, py: Python<'_>, work: impl FnOnce(&mut T) -> Result<R>) -> PyResult<R> {
        let mut held = self.lock(py);
        let outcome = held.as_mut().map(|held| guard(|| work(held)));
        drop(held);
        match outcome {
            Some(outcome) => call(py, || outcome),
            None => Err(self.too_late(py)),
        }
    }

    fn too_late(&self, py: Python<'_>) -> PyErr {
        exception(py, &Error::InvalidArgument(self.finished.into()))
    }
}

/// A serializable transaction, made by OpenDB.begin_transaction: it reads its own writes and one snapshot.
///
/// As a context manager it commits on a clean exit and rolls back on an exception. A transaction that is dropped is
/// rolled back. Once it is committed or rolled back, its calls raise InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Transaction {
    // Before the handle, so that the transaction lets go of the database first.
    slot: Slot<opendb::Transaction>,
    handle: Arc<Handle>,
    durability: Option<Durability>,
    /// Whether transact has made it, which commits it itself.
    lent: bool,
}

impl Transaction {
    const FINISHED: &'static str = "the transaction is committed or rolled back: begin another one";

    pub(crate) fn begin(
        py: Python<'_>,
        handle: &Arc<Handle>,
        durability: Option<DurabilityName>,
    ) -> PyResult<Transaction> {
        let transaction = call(py, || handle.database.begin_transaction())?;
        Ok(Transaction {
            slot: Slot::new(transaction, Transaction::FINISHED),
            handle: Arc::clone(handle),
            durability: durability.map(|name| name.0),
            lent: false,
        })
    }

    fn lent(handle: &Arc<Handle>, transaction: opendb::Transaction) -> Transaction {
        Transaction {
            slot: Slot::new(transaction, Transaction::FINISHED),
            handle: Arc::clone(handle),
            durability: None,
            lent: true,
        }
    }

    fn refuse_if_lent(&self, py: Python<'_>) -> PyResult<()> {
        if self.lent && self.slot.is_held(py) {
            let message = "transact commits the transaction itself: return to commit, raise to roll back";
            return Err(exception(py, &Error::InvalidArgument(message.into())));
        }
        Ok(())
    }

    fn finish(&self, py: Python<'_>, durability: Option<Durability>) -> PyResult<()> {
        let transaction = self.slot.take_or_raise(py)?;
        call_detached(py, || match durability.or(self.durability) {
            Some(durability) => transaction.commit_with(durability),
            None => transaction.commit(),
        })
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl Transaction {
    /// The value of a key as this transaction sees it, or None where the key is absent.
    fn get<'py>(
        &self,
        py: Python<'py>,
        keyspace: &str,
        key: Bytes<'_>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.slot.with(py, |held| held.get(keyspace, key.get()))?;
        value.map(|value| crate::scan::to_bytes(py, &value)).transpose()
    }

    /// Stores a value under a key, when the transaction commits.
    fn put(&self, py: Python<'_>, keyspace: &str, key: Bytes<'_>, value: Bytes<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.put(keyspace, key.get(), value.get()))
    }

    /// Removes a key, when the transaction commits. An absent key is no error.
    fn delete(&self, py: Python<'_>, keyspace: &str, key: Bytes<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.delete(keyspace, key.get()))
    }

    /// Whether a key is present as this transaction sees it. Cheaper than get: the value is not read.
    fn exists(&self, py: Python<'_>, keyspace: &str, key: Bytes<'_>) -> PyResult<bool> {
        self.slot.with(py, |held| held.exists(keyspace, key.get()))
    }

    /// All (key, value) tuples whose key begins with the prefix, sorted by key, as this transaction sees them.
    fn scan_prefix<'py>(
        &self,
        py: Python<'py>,
        keyspace: &str,
        prefix: Bytes<'_>,
    ) -> PyResult<Bound<'py, PyList>> {
        let scan = Scan::prefix(prefix.get());
        collect(py, self.slot.with(py, |held| held.iter(keyspace, &scan))?)
    }

    /// A lazy iterator over (key, value) tuples, sorted by key, with the writes made before this call.
    ///
    /// The bounds are those of OpenDB.iter.
    #[pyo3(signature = (keyspace, prefix=None, *, start=None, stop=None, reverse=false, start_after=None,
        limit=None))]
    #[expect(clippy::too_many_arguments, reason = "the bounds are keyword arguments in Python")]
    fn iter(
        &self,
        py: Python<'_>,
        keyspace: &str,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        stop: Option<Bytes<'_>>,
        reverse: bool,
        start_after: Option<Bytes<'_>>,
        limit: Option<Count>,
    ) -> PyResult<Iter> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit }.into();
        let scan = self.slot.with(py, |held| held.iter(keyspace, &scan))?;
        Ok(Iter::new(Arc::clone(&self.handle), scan))
    }

    /// As iter, but over the keys alone: values are never read.
    #[pyo3(signature = (keyspace, prefix=None, *, start=None, stop=None, reverse=false, start_after=None,
        limit=None))]
    #[expect(clippy::too_many_arguments, reason = "the bounds are keyword arguments in Python")]
    fn keys(
        &self,
        py: Python<'_>,
        keyspace: &str,
        prefix: Option<Bytes<'_>>,
        start: Option<Bytes<'_>>,
        stop: Option<Bytes<'_>>,
        reverse: bool,
        start_after: Option<Bytes<'_>>,
        limit: Option<Count>,
    ) -> PyResult<Keys> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit }.into();
        let scan = self.slot.with(py, |held| held.keys(keyspace, &scan))?;
        Ok(Keys::new(Arc::clone(&self.handle), scan))
    }

    /// Applies all writes at once. On a conflict it raises TransactionError and nothing of them is applied.
    ///
    /// durability: what this commit waits for, "buffered" or "sync"; without, what the transaction was begun with.
    #[pyo3(signature = (durability=None))]
    fn commit(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        self.refuse_if_lent(py)?;
        self.finish(py, durability.map(|name| name.0))
    }

    /// Discards all writes.
    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        self.refuse_if_lent(py)?;
        let transaction = self.slot.take_or_raise(py)?;
        call(py, || transaction.rollback())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let transaction = slf.get();
        transaction.refuse_if_lent(slf.py())?;
        if !transaction.slot.is_held(slf.py()) {
            return Err(transaction.slot.too_late(slf.py()));
        }
        Ok(slf)
    }

    /// Commits, or rolls back on an exception. What the block has finished itself stays as it is.
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc, traceback);
        if !exc_type.is_none() {
            // Dropping is rolling back, and has no error of its own to hide the exception behind.
            drop(self.slot.take(py));
            return Ok(());
        }
        if self.slot.is_held(py) { self.finish(py, None) } else { Ok(()) }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if self.slot.is_held(py) { "open" } else { "finished" };
        format!("<opendb.Transaction {state}>")
    }
}

/// Runs `work` in the core's own `transact`, which knows when to try again and for how long.
pub(crate) fn transact(py: Python<'_>, handle: &Arc<Handle>, work: &Py<PyAny>) -> PyResult<Py<PyAny>> {
    // The exception of the last attempt, which is more than the core's error can carry.
    let mut raised = None;
    let outcome = py.detach(|| {
        guard(|| {
            handle.database.transact(|transaction| {
                Python::attach(|py| {
                    raised = None;
                    let spare = handle.database.begin_transaction()?;
                    attempt(py, handle, work, transaction, spare).map_err(|exception| {
                        let error = as_core_error(py, &exception);
                        raised = Some(exception);
                        error
                    })
                })
            })
        })
    });
    outcome.map_err(|error| raised.unwrap_or_else(|| exception(py, &error)))
}

/// Calls `work` with the core's transaction in a Python object, and takes the transaction back afterwards. The core
/// lends it by reference and Python objects own what they hold, so a `spare` one stands in its place meanwhile.
fn attempt(
    py: Python<'_>,
    handle: &Arc<Handle>,
    work: &Py<PyAny>,
    transaction: &mut opendb::Transaction,
    spare: opendb::Transaction,
) -> PyResult<Py<PyAny>> {
    py.check_signals()?;
    let lent = Transaction::lent(handle, mem::replace(transaction, spare));
    let lent = Bound::new(py, lent)?;
    let outcome = work.call1(py, (&lent,));
    *transaction = lent.get().slot.take_or_raise(py)?;
    outcome
}

/// What the core is told of an exception: a conflict where `work` met one itself, so that it tries again, and otherwise
/// anything that makes it roll back. The exception itself is raised in the end.
fn as_core_error(py: Python<'_>, raised: &PyErr) -> Error {
    let conflict = exception(py, &Error::Transaction(String::new()));
    if raised.get_type(py).is_subclass(&conflict.get_type(py)).unwrap_or(false) {
        Error::Transaction("the work met a conflict; run it again".into())
    } else {
        Error::InvalidArgument("the work raised an exception".into())
    }
}

/// Writes that are applied all together or not at all, made by OpenDB.batch.
///
/// As a context manager it commits on a clean exit and discards everything on an exception. A batch that is dropped
/// does nothing. Of several writes to one key the last one counts. Once it is committed or discarded, its calls raise
/// InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Batch {
    // Before the handle, so that the batch lets go of the database first.
    slot: Slot<opendb::Batch>,
    #[expect(dead_code, reason = "keeps the database open")]
    handle: Arc<Handle>,
    durability: Option<Durability>,
}

impl Batch {
    pub(crate) fn new(handle: &Arc<Handle>, durability: Option<DurabilityName>) -> Batch {
        let finished = "the batch is committed or discarded: make another one";
        Batch {
            slot: Slot::new(handle.database.batch(), finished),
            handle: Arc::clone(handle),
            durability: durability.map(|name| name.0),
        }
    }

    fn finish(&self, py: Python<'_>, durability: Option<Durability>) -> PyResult<()> {
        let batch = self.slot.take_or_raise(py)?;
        call_detached(py, || match durability.or(self.durability) {
            Some(durability) => batch.commit_with(durability),
            None => batch.commit(),
        })
    }
}

#[pymethods]
#[expect(clippy::needless_pass_by_value, reason = "PyO3 hands extracted arguments over by value")]
impl Batch {
    /// Stores a value under a key, when the batch commits.
    fn put(&self, py: Python<'_>, keyspace: &str, key: Bytes<'_>, value: Bytes<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.put(keyspace, key.get(), value.get()))
    }

    /// Removes a key, when the batch commits. An absent key is no error.
    fn delete(&self, py: Python<'_>, keyspace: &str, key: Bytes<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.delete(keyspace, key.get()))
    }

    /// Applies all writes at once.
    ///
    /// durability: what this commit waits for, "buffered" or "sync"; without, what the batch was made with.
    #[pyo3(signature = (durability=None))]
    fn commit(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        self.finish(py, durability.map(|name| name.0))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.slot.with(py, |held| Ok(held.len()))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let batch = slf.get();
        if !batch.slot.is_held(slf.py()) {
            return Err(batch.slot.too_late(slf.py()));
        }
        Ok(slf)
    }

    /// Commits, or discards on an exception. What the block has committed itself stays as it is.
    fn __exit__(
        &self,
        py: Python<'_>,
        exc_type: &Bound<'_, PyAny>,
        exc: &Bound<'_, PyAny>,
        traceback: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let _ = (exc, traceback);
        if !exc_type.is_none() {
            drop(self.slot.take(py));
            return Ok(());
        }
        if self.slot.is_held(py) { self.finish(py, None) } else { Ok(()) }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        match self.slot.lock(py).as_ref().map(opendb::Batch::len) {
            Some(writes) => format!("<opendb.Batch writes={writes}>"),
            None => "<opendb.Batch finished>".into(),
        }
    }
}
