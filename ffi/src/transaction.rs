//! Transactions: one snapshot, their own writes, and all or nothing at the end.

use std::ffi::{c_char, c_void};
use std::mem::{self, MaybeUninit};
use std::ptr::NonNull;
use std::sync::Arc;

use engine::{Error, Result, Scan, TransactOptions};
use parking_lot::Mutex;

use crate::bytes::{Bytes, View, found};
use crate::database::Database;
use crate::error::{Failure, OPENDB_ERROR_TRANSACTION, OPENDB_OK, Status};
use crate::guard::{done, guard, input, inputs, made, present, utf8};
use crate::handle::{self, Handle, Table};
use crate::many::Values;
use crate::options::{self, Durability};
use crate::scan::{Iterator, ScanOptions, iterate};

/// A transaction reads one snapshot and its own writes. Commit and rollback consume it; `opendb_transaction_free`
/// rolls it back.
pub struct Transaction {
    state: Mutex<State>,
}

enum State {
    /// Begun by the caller, who will end it.
    Owned(engine::Transaction),
    /// Lent to the work of [`opendb_transact`] while that runs.
    Lent(Loan),
    /// Over. Only a call that was waiting for the lock meanwhile can see this.
    Ended,
}

/// The transaction of a running [`opendb_transact`].
struct Loan(NonNull<engine::Transaction>);

// SAFETY: the pointer is followed only under the lock of `Transaction::state` and is gone from there before the
// transaction it leads to is (see `Lending`); a transaction itself may go from thread to thread.
unsafe impl Send for Loan where engine::Transaction: Send {}

static TRANSACTIONS: Table<Transaction> = Table::new();

impl Handle for Transaction {
    const NAME: &'static str = "transaction";
    const TYPE: usize = 10;
    fn table() -> &'static Table<Transaction> {
        &TRANSACTIONS
    }
}

fn with<T>(
    handle: *const Transaction,
    work: impl FnOnce(&mut engine::Transaction) -> Result<T>,
) -> Result<T> {
    let transaction = handle::borrow(handle)?;
    let mut state = transaction.state.lock();
    match &mut *state {
        State::Owned(transaction) => work(transaction),
        // SAFETY: the lock is held, and while the loan stands in the state the transaction is alive and nobody else
        // uses it (see `Lending`).
        State::Lent(loan) => work(unsafe { loan.0.as_mut() }),
        State::Ended => Err(ended()),
    }
}

/// Consumes the handle and takes the transaction out of it. One that is lent is not the caller's to end.
fn take(handle: *mut Transaction) -> Result<engine::Transaction> {
    let transaction = handle::borrow(handle)?;
    let mut state = transaction.state.lock();
    if let State::Lent(_) = &*state {
        return Err(Error::InvalidArgument(
            "transaction: the one of opendb_transact is ended by what the work returns".to_owned(),
        ));
    }
    handle::take(handle)?;
    match mem::replace(&mut *state, State::Ended) {
        State::Owned(transaction) => Ok(transaction),
        State::Lent(_) | State::Ended => Err(ended()),
    }
}

fn ended() -> Error {
    Error::InvalidArgument("transaction: another thread has ended it".to_owned())
}

/// A handle on a transaction that somebody else owns. When this is dropped, the handle is dead and the pointer
/// gone.
struct Lending<'a> {
    handle: *mut Transaction,
    lent: Arc<Transaction>,
    /// Nobody else uses the transaction while it is lent.
    _transaction: std::marker::PhantomData<&'a mut engine::Transaction>,
}

impl<'a> Lending<'a> {
    fn new(transaction: &'a mut engine::Transaction) -> Result<Lending<'a>> {
        let state = Mutex::new(State::Lent(Loan(NonNull::from(transaction))));
        let lent = Arc::new(Transaction { state });
        let handle = handle::give(Arc::clone(&lent))?;
        Ok(Lending { handle, lent, _transaction: std::marker::PhantomData })
    }
}

impl Drop for Lending<'_> {
    fn drop(&mut self) {
        // Waits for a call on another thread that still uses the transaction.
        *self.lent.state.lock() = State::Ended;
        handle::free(self.handle);
    }
}

/// Begins a transaction on a snapshot of this moment. Transactions are optimistic and serializable: nothing is
/// locked, and a commit fails where something that was read, a scanned range included, has changed since.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_begin(
    database: *const Database,
    transaction_out: Option<&mut MaybeUninit<*mut Transaction>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("transaction_out", transaction_out, error_out, || {
        let engine = handle::borrow(database)?.engine().begin_transaction()?;
        Ok(Transaction { state: Mutex::new(State::Owned(engine)) })
    })
}

/// Reads the value of a key, as the snapshot or this transaction's own writes have it, into bytes of the caller's
/// own, which `opendb_bytes_free` frees. `OPENDB_NOT_FOUND` where there is no such key,
/// `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_get(
    transaction: *const Transaction,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || {
        let (keyspace, key) = (utf8!(keyspace), input!(key, key_length));
        with(transaction, |transaction| transaction.get(keyspace, key))
    })
}

/// Reads the values of many keys with one call, as `opendb_transaction_get` gives each; all of them count as read. A key that
/// is not there has its place among the values all the same. Free them with `opendb_values_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_get_many(
    transaction: *const Transaction,
    keyspace: *const c_char,
    keys: *const View,
    count: usize,
    values_out: Option<&mut MaybeUninit<*mut Values>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("values_out", values_out, error_out, || {
        let (keyspace, keys) = (utf8!(keyspace), inputs!(keys, count));
        with(transaction, |transaction| transaction.get_many(keyspace, &keys)).map(Values::own)
    })
}

/// Whether a key is there, as the snapshot or this transaction's own writes have it: `OPENDB_OK` if so, otherwise
/// `OPENDB_NOT_FOUND`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_exists(
    transaction: *const Transaction,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || {
        let (keyspace, key) = (utf8!(keyspace), input!(key, key_length));
        with(transaction, |transaction| transaction.exists(keyspace, key))
    })
}

/// Writes a value, seen by this transaction at once and by others after the commit. Limits as for `opendb_put`;
/// `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name. A refused write leaves the transaction as it
/// was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_put(
    transaction: *mut Transaction,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let (keyspace, key, value) = (utf8!(keyspace), input!(key, key_length), input!(value, value_length));
        with(transaction, |transaction| transaction.put(keyspace, key, value))
    })
}

/// Removes a key, otherwise like `opendb_transaction_put`. Succeeds also where the key is absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_delete(
    transaction: *mut Transaction,
    keyspace: *const c_char,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let (keyspace, key) = (utf8!(keyspace), input!(key, key_length));
        with(transaction, |transaction| transaction.delete(keyspace, key))
    })
}

/// Makes an iterator over what the scan asks for, with the writes that this transaction made before. NULL asks for
/// every entry. Keys that another transaction puts into the scanned range, or takes out of it, make the commit a
/// conflict. Free it with `opendb_iterator_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_iter(
    transaction: *const Transaction,
    keyspace: *const c_char,
    scan: *const ScanOptions,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || {
        let keyspace = utf8!(keyspace);
        with(transaction, |transaction| iterate!(scan, transaction, keyspace))
    })
}

/// Makes an iterator over the keys that begin with the prefix: `opendb_transaction_iter` with nothing but a
/// prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_scan_prefix(
    transaction: *const Transaction,
    keyspace: *const c_char,
    prefix: *const c_void,
    prefix_length: usize,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || {
        let (keyspace, scan) = (utf8!(keyspace), Scan::prefix(input!(prefix, prefix_length)));
        with(transaction, |transaction| transaction.iter(keyspace, &scan)).map(Iterator::entries)
    })
}

/// Commits: every write of the transaction is applied or, where the call fails, none. The handle is consumed in
/// every case. `OPENDB_ERROR_TRANSACTION` where something it read has changed: begin again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_commit(
    transaction: *mut Transaction,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || take(transaction)?.commit())
}

/// Like `opendb_transaction_commit`, with a durability for this commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_commit_with(
    transaction: *mut Transaction,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let transaction = take(transaction)?;
        transaction.commit_with(options::durability(durability)?)
    })
}

/// Rolls back: nothing of the transaction is applied. The handle is consumed in every case.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transaction_rollback(
    transaction: *mut Transaction,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || take(transaction)?.rollback())
}

/// Rolls back a transaction that is still live, as `opendb_transaction_rollback` does, but has no status. Does
/// nothing after a commit or rollback, and nothing to the transaction of `opendb_transact`.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_transaction_free(transaction: *mut Transaction) {
    crate::guard::guard_or((), || take(transaction).map(drop));
}

/// The work of `opendb_transact`. What it returns decides: `OPENDB_OK` commits, `OPENDB_ERROR_TRANSACTION` asks
/// for another run, and any other number rolls back and is what `opendb_transact` returns. It must return: no
/// exception and no `longjmp` may leave it.
pub type Work = Option<unsafe extern "C" fn(transaction: *mut Transaction, user_data: *mut c_void) -> Status>;

/// Runs the work in a transaction and commits it, again from the beginning after a conflict, with growing pauses
/// and not for ever: the last conflict is then the error. The transaction lives until the work returns and must
/// not be committed or rolled back by it. `user_data` is handed to the work as it is. A number other than
/// `OPENDB_OK` and `OPENDB_ERROR_TRANSACTION` that the work returns is returned from here, with an error that
/// names it where it is greater than 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transact(
    database: *const Database,
    work: Work,
    user_data: *mut c_void,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || transact(database, TransactOptions::new(), work, user_data))
}

/// Like `opendb_transact`, with how often the work is run again after a conflict, at most (99 there), and with a durability for the
/// commit.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_transact_with(
    database: *const Database,
    retries: u32,
    durability: Durability,
    work: Work,
    user_data: *mut c_void,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let durability = options::durability(durability)?;
        let options = TransactOptions::new().retries(retries).durability(durability);
        transact(database, options, work, user_data)
    })
}

fn transact(
    database: *const Database,
    options: TransactOptions,
    work: Work,
    user_data: *mut c_void,
) -> Result<Status> {
    let work = work.ok_or_else(|| Error::InvalidArgument("work is NULL".to_owned()))?;
    let engine = handle::borrow(database)?.engine().clone();
    let mut stopped = None;
    let outcome = engine.transact_with(options, |transaction| {
        let lending = Lending::new(transaction)?;
        // SAFETY: convention 8 of the header: the work takes these two and returns.
        let status = unsafe { work(lending.handle, user_data) };
        drop(lending);
        stopped = (status != OPENDB_OK && status != OPENDB_ERROR_TRANSACTION).then_some(status);
        worked(status)
    });
    match stopped {
        Some(status) => Ok(status),
        None => outcome.map(|()| OPENDB_OK),
    }
}

/// What the engine is told about a run of the work.
fn worked(status: Status) -> Result<()> {
    match status {
        OPENDB_OK => Ok(()),
        OPENDB_ERROR_TRANSACTION => {
            Err(Error::Transaction("the work of the transaction asked to be run again".to_owned()))
        }
        // Only rolls back: the caller gets the number itself.
        _ => Err(Error::Internal("the work stopped its transaction".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{opendb_close, opendb_open};
    use crate::error::OPENDB_ERROR_INVALID_ARGUMENT;
    use std::ffi::CString;
    use std::ptr;
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};

    /// Leaves a thread behind that goes on writing through the handle for as long as it is taken.
    unsafe extern "C" fn lend_to_a_thread(transaction: *mut Transaction, user_data: *mut c_void) -> Status {
        let number = transaction.addr();
        let (wrote, written) = mpsc::channel();
        let writer = thread::spawn(move || {
            let transaction = ptr::without_provenance_mut(number);
            loop {
                let (keyspace, key) = (c"default".as_ptr(), b"k".as_ptr().cast());
                // SAFETY: the key has one byte, and so has the value.
                let status = unsafe { opendb_transaction_put(transaction, keyspace, key, 1, key, 1, None) };
                if status != OPENDB_OK {
                    return status;
                }
                let _ = wrote.send(());
            }
        });
        written.recv().unwrap();
        // SAFETY: the test passes a place of this type, which nobody else uses meanwhile.
        unsafe { *user_data.cast::<Option<JoinHandle<Status>>>() = Some(writer) };
        OPENDB_OK
    }

    #[test]
    fn a_lent_transaction_is_out_of_reach_once_the_work_is_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = CString::new(directory.path().to_str().unwrap()).unwrap();
        let mut database = MaybeUninit::uninit();
        // SAFETY: the path ends in a zero byte.
        let opened = unsafe { opendb_open(path.as_ptr(), ptr::null(), Some(&mut database), None) };
        assert_eq!(opened, OPENDB_OK);
        // SAFETY: every call writes its places.
        let database = unsafe { database.assume_init() };
        let mut writer: Option<JoinHandle<Status>> = None;
        let place = (&raw mut writer).cast();
        // SAFETY: the work takes the place of a writer.
        let status = unsafe { opendb_transact(database, Some(lend_to_a_thread), place, None) };
        assert_eq!(status, OPENDB_OK);
        assert_eq!(writer.unwrap().join().unwrap(), OPENDB_ERROR_INVALID_ARGUMENT);
        // SAFETY: the handle is live.
        assert_eq!(unsafe { opendb_close(database, None) }, OPENDB_OK);
    }
}
