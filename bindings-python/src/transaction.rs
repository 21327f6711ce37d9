//! `Transaction` and `Batch`, and `transact`.

use std::mem;
use std::sync::Arc;

use opendb::{Durability, Error, Scan, TransactOptions};
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyDict, PyList, PyType};

use crate::database::Handle;
use crate::error::{call, call_detached, exception, guard};
use crate::held::Slot;
use crate::options::{
    DurabilityName, Key, Limit, ManyKeys, Prefix, Retries, ScanArguments, Start, StartAfter, Stop, Value,
};
use crate::scan::{Iter, Keys, collect, list_of};

/// A serializable transaction, made by OpenDB.begin_transaction: it reads its own writes and one snapshot.
///
/// As a context manager it commits on a clean exit and rolls back on an exception. A transaction that is dropped is
/// rolled back. Once it is committed or rolled back, its calls raise InvalidArgumentError.
#[pyclass(frozen, module = "opendb")]
pub(crate) struct Transaction {
    slot: Slot<opendb::Transaction>,
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
            slot: Slot::new(handle, transaction, Transaction::FINISHED),
            durability: durability.map(|name| name.0),
            lent: false,
        })
    }

    fn lent(handle: &Arc<Handle>, transaction: opendb::Transaction) -> Transaction {
        Transaction {
            slot: Slot::new(handle, transaction, Transaction::FINISHED),
            durability: None,
            lent: true,
        }
    }

    fn refuse_if_lent(&self, py: Python<'_>) -> PyResult<()> {
        if self.lent && self.slot.is_open(py) {
            let message = "transact commits the transaction itself: return to commit, raise to roll back";
            return Err(exception(py, &Error::InvalidArgument(message.into())));
        }
        Ok(())
    }

    fn apply(
        &self,
        py: Python<'_>,
        transaction: opendb::Transaction,
        durability: Option<Durability>,
    ) -> PyResult<()> {
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
        key: Key<'_>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let value = self.slot.with(py, |held| held.get(keyspace, key.get()))?;
        value.map(|value| crate::scan::to_bytes(py, &value)).transpose()
    }

    /// The values of many keys as this transaction sees them, in a list in the order of the keys, with None for each absent
    /// key. All of them count as read. See OpenDB.get_many.
    fn get_many<'py>(
        &self,
        py: Python<'py>,
        keyspace: &str,
        keys: ManyKeys<'_>,
    ) -> PyResult<Bound<'py, PyList>> {
        let slices = keys.get();
        let values = if keys.are_many() {
            self.slot.with_detached(py, |held| held.get_many(keyspace, &slices))?
        } else {
            self.slot.with(py, |held| held.get_many(keyspace, &slices))?
        };
        list_of(py, values.iter().map(Option::as_deref))
    }

    /// Stores a value under a key, when the transaction commits.
    fn put(&self, py: Python<'_>, keyspace: &str, key: Key<'_>, value: Value<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.put(keyspace, key.get(), value.get()))
    }

    /// Removes a key, when the transaction commits. An absent key is no error.
    fn delete(&self, py: Python<'_>, keyspace: &str, key: Key<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.delete(keyspace, key.get()))
    }

    /// Whether a key is present as this transaction sees it. Cheaper than get: the value is not read.
    fn exists(&self, py: Python<'_>, keyspace: &str, key: Key<'_>) -> PyResult<bool> {
        self.slot.with(py, |held| held.exists(keyspace, key.get()))
    }

    /// All (key, value) tuples whose key begins with the prefix, sorted by key, as this transaction sees them.
    fn scan_prefix<'py>(
        &self,
        py: Python<'py>,
        keyspace: &str,
        prefix: Prefix<'_>,
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
        prefix: Option<Prefix<'_>>,
        start: Option<Start<'_>>,
        stop: Option<Stop<'_>>,
        reverse: bool,
        start_after: Option<StartAfter<'_>>,
        limit: Option<Limit>,
    ) -> PyResult<Iter> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit }.into();
        let scan = self.slot.with(py, |held| held.iter(keyspace, &scan))?;
        Ok(Iter::new(Arc::clone(&self.slot.handle), scan))
    }

    /// As iter, but over the keys alone: values are never read.
    #[pyo3(signature = (keyspace, prefix=None, *, start=None, stop=None, reverse=false, start_after=None,
        limit=None))]
    #[expect(clippy::too_many_arguments, reason = "the bounds are keyword arguments in Python")]
    fn iter_keys(
        &self,
        py: Python<'_>,
        keyspace: &str,
        prefix: Option<Prefix<'_>>,
        start: Option<Start<'_>>,
        stop: Option<Stop<'_>>,
        reverse: bool,
        start_after: Option<StartAfter<'_>>,
        limit: Option<Limit>,
    ) -> PyResult<Keys> {
        let scan = ScanArguments { prefix, start, stop, reverse, start_after, limit }.into();
        let scan = self.slot.with(py, |held| held.keys(keyspace, &scan))?;
        Ok(Keys::new(Arc::clone(&self.slot.handle), scan))
    }

    /// Applies all writes at once. On a conflict it raises TransactionError and nothing of them is applied.
    ///
    /// durability: what this commit waits for, "buffered" or "sync"; without, what the transaction was begun with.
    #[pyo3(signature = (durability=None))]
    fn commit(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        self.refuse_if_lent(py)?;
        self.apply(py, self.slot.take(py)?, durability.map(|name| name.0))
    }

    /// Discards all writes.
    fn rollback(&self, py: Python<'_>) -> PyResult<()> {
        self.refuse_if_lent(py)?;
        let transaction = self.slot.take(py)?;
        call(py, || transaction.rollback())
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        let transaction = slf.get();
        transaction.refuse_if_lent(slf.py())?;
        transaction.slot.check(slf.py())?;
        Ok(slf)
    }

    /// Commits, or rolls back on an exception. What the block has finished itself stays as it is, and so does in the
    /// child of a fork what the parent has begun.
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
            self.slot.finish(py);
            return Ok(());
        }
        match self.slot.take_at_end(py)? {
            Some(held) => self.apply(py, held, None),
            None => Ok(()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> String {
        let state = if self.slot.is_open(py) { "open" } else { "finished" };
        format!("<opendb.Transaction {state}>")
    }
}

/// Runs `work` in the core's own `transact`, which knows when to try again and for how long.
pub(crate) fn transact(
    py: Python<'_>,
    handle: &Arc<Handle>,
    work: &Py<PyAny>,
    retries: Option<Retries>,
    durability: Option<DurabilityName>,
) -> PyResult<Py<PyAny>> {
    let mut options = TransactOptions::new();
    if let Some(Retries(retries)) = retries {
        options = options.retries(retries);
    }
    if let Some(DurabilityName(durability)) = durability {
        options = options.durability(durability);
    }
    // The exception of the last attempt, which is more than the core's error can carry.
    let mut raised = None;
    let outcome = py.detach(|| {
        guard(|| {
            handle.database.transact_with(options, |transaction| {
                let tried = Python::try_attach(|py| {
                    raised = None;
                    let spare = handle.database.begin_transaction()?;
                    attempt(py, handle, work, transaction, spare).map_err(|exception| {
                        let error = as_core_error(py, &exception);
                        raised = Some(exception);
                        error
                    })
                });
                // The interpreter has ended meanwhile: nobody is told what becomes of this.
                tried.unwrap_or(Err(Error::Closed))
            })
        })
    });
    outcome.map_err(|error| raised.unwrap_or_else(|| exception(py, &error)))
}

/// What `transact` gives without work: it makes of a function one that is run in a transaction each time it is called.
pub(crate) fn decorator<'py>(
    database: &Bound<'py, PyAny>,
    retries: Option<Retries>,
    durability: Option<DurabilityName>,
) -> PyResult<Bound<'py, PyAny>> {
    static DECORATOR: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let py = database.py();
    let settings = PyDict::new(py);
    settings.set_item("retries", retries.map(|Retries(retries)| retries))?;
    settings.set_item("durability", durability.map(DurabilityName::name))?;
    DECORATOR.import(py, "opendb._transact", "Transacting")?.call((database,), Some(&settings))
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
    match (lent.get().slot.take(py), outcome) {
        (Ok(returned), outcome) => {
            *transaction = returned;
            let result = outcome?;
            refuse_what_is_not_done(result.bind(py))?;
            Ok(result)
        }
        // The work has closed the database. What it has raised itself tells more.
        (Err(closed), outcome) => Err(outcome.err().unwrap_or(closed)),
    }
}

/// Refuses the result of an `async def` or generator function: nothing of its body has run, and what runs later comes
/// after the commit.
fn refuse_what_is_not_done(result: &Bound<'_, PyAny>) -> PyResult<()> {
    static GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static ASYNCHRONOUS_GENERATOR: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let (py, class) = (result.py(), result.get_type());
    let is_generator = class.is(GENERATOR.import(py, "types", "GeneratorType")?)
        || class.is(ASYNCHRONOUS_GENERATOR.import(py, "types", "AsyncGeneratorType")?);
    if !is_generator && !class.hasattr(intern!(py, "__await__"))? {
        return Ok(());
    }
    // So that Python does not warn of a coroutine that was never awaited. What has no such call needs none.
    if result.hasattr(intern!(py, "close"))? {
        result.call_method0(intern!(py, "close"))?;
    }
    let class = class.name()?;
    Err(PyTypeError::new_err(format!(
        "transact needs work that is done when it returns, and it returned a '{class}': give a plain function, without \
        async and yield"
    )))
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
    slot: Slot<opendb::Batch>,
    durability: Option<Durability>,
}

impl Batch {
    pub(crate) fn new(
        py: Python<'_>,
        handle: &Arc<Handle>,
        durability: Option<DurabilityName>,
    ) -> PyResult<Batch> {
        let batch = call(py, || handle.check().map(|()| handle.database.batch()))?;
        let finished = "the batch is committed or discarded: make another one";
        Ok(Batch { slot: Slot::new(handle, batch, finished), durability: durability.map(|name| name.0) })
    }

    fn apply(&self, py: Python<'_>, batch: opendb::Batch, durability: Option<Durability>) -> PyResult<()> {
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
    fn put(&self, py: Python<'_>, keyspace: &str, key: Key<'_>, value: Value<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.put(keyspace, key.get(), value.get()))
    }

    /// Removes a key, when the batch commits. An absent key is no error.
    fn delete(&self, py: Python<'_>, keyspace: &str, key: Key<'_>) -> PyResult<()> {
        self.slot.with(py, |held| held.delete(keyspace, key.get()))
    }

    /// Applies all writes at once.
    ///
    /// durability: what this commit waits for, "buffered" or "sync"; without, what the batch was made with.
    #[pyo3(signature = (durability=None))]
    fn commit(&self, py: Python<'_>, durability: Option<DurabilityName>) -> PyResult<()> {
        self.apply(py, self.slot.take(py)?, durability.map(|name| name.0))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        self.slot.with(py, |held| Ok(held.len()))
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().slot.check(slf.py())?;
        Ok(slf)
    }

    /// Commits, or discards on an exception. What the block has committed itself stays as it is, and so does in the child
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
        match self.slot.with(py, |held| Ok(held.len())) {
            Ok(writes) => format!("<opendb.Batch writes={writes}>"),
            Err(_) => "<opendb.Batch finished>".into(),
        }
    }
}
