//! The database: opening, closing, and the key-value calls on the keyspace `default`.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;
use std::path::PathBuf;

use engine::{OpenDB, Result, Scan};

use crate::bytes::{Bytes, Names, Pinned, View, pinned_places};
use crate::error::{Failure, OPENDB_OK, Status, c_string};
use crate::guard::{give_into, guard, guard_or, input, present, read_text, required, required_handle};
use crate::handle::{self, Handle, Table};
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
fn path_of(bytes: &[u8]) -> Result<PathBuf> {
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        Ok(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
    }
    #[cfg(not(unix))]
    {
        let text = std::str::from_utf8(bytes);
        text.map(PathBuf::from).map_err(|_| engine::Error::InvalidArgument("path is not UTF-8".to_owned()))
    }
}

/// Opens the database in the directory `path`, which is created if it is missing, takes the directory's lock
/// against other processes and recovers what a crash left behind. `options` may be NULL for the defaults. Opening
/// a directory again within a process gives another handle on the same database. `OPENDB_ERROR_LOCKED` where
/// another process has it, `OPENDB_ERROR_CORRUPTION` where it is damaged, `OPENDB_ERROR_INVALID_ARGUMENT` for
/// options outside their limits or against those it is open with, `OPENDB_ERROR_UNSUPPORTED` for a newer format.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_open(
    path: *const c_char,
    options: *const OpenOptions,
    database_out: Option<&mut MaybeUninit<*mut Database>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let database_out = required_handle("database_out", database_out)?;
        // SAFETY: convention 4 of the header: a path ends in a zero byte and stays as it is while the call runs.
        let path = path_of(unsafe { read_text("path", path) }?)?;
        let engine = OpenDB::open_with_options(path, OpenOptions::settings(options)?)?;
        let path = c_string(engine.path().as_os_str().as_encoded_bytes());
        give_into(database_out, Database { engine, path })
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
    guard(error_out, || {
        if !database.is_null() {
            handle::take(database)?.engine.close()?;
        }
        Ok(OPENDB_OK)
    })
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
    guard(error_out, || {
        let database = handle::borrow(database)?;
        database.engine().put(input!(key, key_length), input!(value, value_length))?;
        Ok(OPENDB_OK)
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
    guard(error_out, || {
        let durability = options::durability(durability)?;
        let database = handle::borrow(database)?;
        database.engine().put_with(input!(key, key_length), input!(value, value_length), durability)?;
        Ok(OPENDB_OK)
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
    guard(error_out, || {
        handle::borrow(database)?.engine().delete(input!(key, key_length))?;
        Ok(OPENDB_OK)
    })
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
    guard(error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(database)?.engine().delete_with(input!(key, key_length), durability)?;
        Ok(OPENDB_OK)
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
    guard(error_out, || {
        let value_out = required("value_out", value_out, Bytes::EMPTY)?;
        let value = handle::borrow(database)?.engine().get(input!(key, key_length))?;
        Ok(Bytes::found(value_out, value))
    })
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
    guard(error_out, || {
        let (pinned_out, value_out) = pinned_places(pinned_out, value_out)?;
        let value = handle::borrow(database)?.engine().get_ref(input!(key, key_length))?;
        Pinned::found(pinned_out, value_out, value)
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
    guard(error_out, || Ok(present(handle::borrow(database)?.engine().exists(input!(key, key_length))?)))
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
    guard(error_out, || {
        let iterator_out = required_handle("iterator_out", iterator_out)?;
        let database = handle::borrow(database)?;
        give_into(iterator_out, iterate!(scan, database.engine()))
    })
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
    guard(error_out, || {
        let iterator_out = required_handle("iterator_out", iterator_out)?;
        let scan = Scan::prefix(input!(prefix, prefix_length));
        let entries = handle::borrow(database)?.engine().iter(&scan)?;
        give_into(iterator_out, Iterator::entries(entries))
    })
}

/// Counts the keys of the keyspace `default`: exact, and without walking over them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_len(
    database: *const Database,
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let count_out = required("count_out", count_out, 0)?;
        *count_out = handle::borrow(database)?.engine().len()?;
        Ok(OPENDB_OK)
    })
}

/// Waits until everything written so far is on the device. After a failed sync the database is poisoned and writes
/// are refused until it is opened again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_flush(
    database: *const Database,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        handle::borrow(database)?.engine.flush()?;
        Ok(OPENDB_OK)
    })
}

/// Lists the names of the keyspaces, sorted, `default` included. Free the list with `opendb_names_free`. A zero
/// byte in a name, which C cannot write, shows as `?`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspaces(
    database: *const Database,
    names_out: Option<&mut MaybeUninit<*mut Names>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let names_out = required_handle("names_out", names_out)?;
        let names = handle::borrow(database)?.engine.keyspaces()?;
        give_into(names_out, Names::new(names))
    })
}
