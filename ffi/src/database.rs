//! The database: opening, closing, and the key-value calls on the keyspace `default`.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::path::PathBuf;

use engine::{Error, OpenDB, Result, Scan};

use crate::bytes::{Bytes, Names, Pinned, View, found, found_pinned};
use crate::error::{Failure, Status, c_string};
use crate::guard::{counted, done, guard_or, input, inputs, made, optional_input, present, read_text, told};
use crate::handle::{self, Handle, Table};
use crate::many::Values;
use crate::options::{self, Durability, OpenOptions};
use crate::scan::{Iterator, ScanOptions, iterate};

/// An open database. Close it with `opendb_close`.
pub struct Database {
    engine: OpenDB,
    path: CString,
}

static DATABASES: Table<Database> = Table::new();

impl Handle for Database {
    const NAME: &'static str = "database";
    const TYPE: usize = 6;
    fn table() -> &'static Table<Database> {
        &DATABASES
    }
}

impl Database {
    /// The engine behind the handle.
    pub(crate) fn engine(&self) -> &OpenDB {
        &self.engine
    }
}

/// The path in a caller's bytes: as they are on Unix, UTF-8 elsewhere.
pub(crate) fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    if bytes.is_empty() {
        return Err(Error::InvalidArgument("path is empty: name a directory, \".\" for this one".to_owned()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(bytes);
        text.map(PathBuf::from).map_err(|_| Error::InvalidArgument("path is not UTF-8".to_owned()))
    }
}

/// Opens the database in the directory `path`, which is created if it is missing, takes the directory's lock
/// against other processes and recovers what a crash left behind. `options` may be NULL for the defaults. Opening
/// a directory again within a process gives another handle on the same database. `OPENDB_ERROR_LOCKED` where
/// another process has it, `OPENDB_ERROR_CORRUPTION` where it is damaged, `OPENDB_ERROR_INVALID_ARGUMENT` for an
/// empty path and for options outside their limits or against those it is open with, `OPENDB_ERROR_UNSUPPORTED` for
/// a newer format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_open(
    path: *const c_char,
    options: *const OpenOptions,
    database_out: Option<&mut MaybeUninit<*mut Database>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("database_out", database_out, error_out, || {
        // SAFETY: convention 4 of the header: a path ends in a zero byte and stays as it is while the call runs.
        let path = path_of(unsafe { read_text("path", path) }?)?;
        let engine = OpenDB::open_with_options(path, OpenOptions::settings(options)?)?;
        let path = c_string(engine.path().as_os_str().as_encoded_bytes());
        Ok(Database { engine, path })
    })
}

/// Closes the database. The handle is consumed in every case, also where the last sync fails and the status says
/// so. Keyspaces, batches, transactions, snapshots and iterators made from it answer `OPENDB_ERROR_CLOSED` from
/// now on and are still to be freed; pinned values stay readable. NULL does nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_close(
    database: *mut Database,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || if database.is_null() { Ok(()) } else { handle::take(database)?.engine.close() })
}

/// The directory of the database. The text lives until the database is closed. NULL for NULL and what is no live
/// database.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_path(database: *const Database) -> *const c_char {
    guard_or(std::ptr::null(), || Ok(handle::borrow(database)?.path.as_ptr()))
}

/// Writes a value under a key; an older value is replaced. When it returns, the write survives the death of the
/// process; with `OPENDB_DURABILITY_SYNC` among the options it is on the device as well.
/// `OPENDB_ERROR_INVALID_ARGUMENT` for a key over `OPENDB_KEY_BYTES_MAX` or a value over `OPENDB_VALUE_BYTES_MAX`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_put(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        handle::borrow(database)?.engine().put(input!(key, key_length), input!(value, value_length))
    })
}

/// Like `opendb_put`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_put_with(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(database)?.engine().put_with(
            input!(key, key_length),
            input!(value, value_length),
            durability,
        )
    })
}

/// Removes a key. Succeeds also where the key is absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_delete(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || handle::borrow(database)?.engine().delete(input!(key, key_length)))
}

/// Like `opendb_delete`, with a durability for this delete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_delete_with(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(database)?.engine().delete_with(input!(key, key_length), durability)
    })
}

/// Stores a replacement under a key where its value is the expected one; nobody else changes the key in between. NULL stands for a
/// key that is not there, on either side: it is created only where it is missing, or removed. `OPENDB_NOT_FOUND`, with nothing
/// written, where the key has another value. Otherwise like `opendb_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_compare_and_swap(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    expected: *const View,
    replacement: *const View,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || {
        let (expected, replacement) = (optional_input!(expected), optional_input!(replacement));
        handle::borrow(database)?.engine().compare_and_swap(input!(key, key_length), expected, replacement)
    })
}

/// Like `opendb_compare_and_swap`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_compare_and_swap_with(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    expected: *const View,
    replacement: *const View,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || {
        let (expected, replacement) = (optional_input!(expected), optional_input!(replacement));
        handle::borrow(database)?.engine().compare_and_swap_with(
            input!(key, key_length),
            expected,
            replacement,
            options::durability(durability)?,
        )
    })
}

/// Removes a key and gives the value that it had, which `opendb_bytes_free` frees: of those who take the same key at once one gets
/// it. `OPENDB_NOT_FOUND`, with nothing written, where the key is not there. Otherwise like `opendb_delete`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_take(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || handle::borrow(database)?.engine().take(input!(key, key_length)))
}

/// Like `opendb_take`, with a durability for this delete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_take_with(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    durability: Durability,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(database)?.engine().take_with(input!(key, key_length), durability)
    })
}

/// Adds to the number under a key and gives the sum; nobody else changes the key in between. A key that is not there counts as
/// 0. Numbers are 8 bytes, little endian, signed (two's complement): an unsigned one below 2^63 is the same bytes.
/// `OPENDB_ERROR_INVALID_ARGUMENT`, with nothing written, where the value does not have 8 bytes or the sum is beyond what they
/// hold. Otherwise like `opendb_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_increment(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    by: i64,
    sum_out: Option<&mut MaybeUninit<i64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    told("sum_out", sum_out, error_out, || {
        handle::borrow(database)?.engine().increment(input!(key, key_length), by)
    })
}

/// Like `opendb_increment`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_increment_with(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    by: i64,
    durability: Durability,
    sum_out: Option<&mut MaybeUninit<i64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    told("sum_out", sum_out, error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(database)?.engine().increment_with(input!(key, key_length), by, durability)
    })
}

/// Reads the newest value of a key into bytes of the caller's own, which `opendb_bytes_free` frees.
/// `OPENDB_NOT_FOUND` where there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_get(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || handle::borrow(database)?.engine().get(input!(key, key_length)))
}

/// Reads the newest value of a key where it lies, without a copy. The view lives until the pinned value is freed
/// with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_get_pinned(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    pinned_out: Option<&mut MaybeUninit<*mut Pinned>>,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found_pinned(pinned_out, value_out, error_out, || {
        handle::borrow(database)?.engine().get_ref(input!(key, key_length))
    })
}

/// Reads the newest values of many keys with one call, as of one moment; a view in `keys` for each. Faster than as many
/// calls of `opendb_get`, and no value is copied. A key that is not there has its place among the values all the same. Free
/// them with `opendb_values_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_get_many(
    database: *const Database,
    keys: *const View,
    count: usize,
    values_out: Option<&mut MaybeUninit<*mut Values>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("values_out", values_out, error_out, || {
        let keys = inputs!(keys, count);
        handle::borrow(database)?.engine().get_many_ref(&keys).map(Values::lying)
    })
}

/// Whether a key is there: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no value is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_exists(
    database: *const Database,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || handle::borrow(database)?.engine().exists(input!(key, key_length)))
}

/// Makes an iterator over what the scan asks for, sorted by key in byte order, as it is at this moment; NULL asks
/// for every entry. Lazy: a scan of a large database holds no large memory. Free it with `opendb_iterator_free`.
/// `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_iter(
    database: *const Database,
    scan: *const ScanOptions,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || iterate!(scan, handle::borrow(database)?.engine()))
}

/// Makes an iterator over the keys that begin with the prefix: `opendb_iter` with nothing but a prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_scan_prefix(
    database: *const Database,
    prefix: *const c_void,
    prefix_length: usize,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || {
        let scan = Scan::prefix(input!(prefix, prefix_length));
        handle::borrow(database)?.engine().iter(&scan).map(Iterator::entries)
    })
}

/// Counts the keys of the keyspace `default`: exact, and without walking over them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_len(
    database: *const Database,
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    counted(count_out, error_out, || handle::borrow(database)?.engine().len())
}

/// Waits until everything written so far is on the device. After a failed sync the database is poisoned and writes
/// are refused until it is opened again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_flush(
    database: *const Database,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || handle::borrow(database)?.engine().flush())
}

/// Sees to it that everything is seen that was committed before this call, by whatever process. It is for a database that was opened
/// for reading only, which otherwise looks for new commits with each use, at most once in a millisecond. What it sees only grows, by
/// whole commits. Any other one sees every commit at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_refresh(
    database: *const Database,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || handle::borrow(database)?.engine().refresh())
}

/// Lists the names of the keyspaces, sorted, `default` included. Free the list with `opendb_names_free`. A zero
/// byte in a name, which C cannot write, shows as `?`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspaces(
    database: *const Database,
    names_out: Option<&mut MaybeUninit<*mut Names>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("names_out", names_out, error_out, || handle::borrow(database)?.engine().keyspaces().map(Names::new))
}
