//! A keyspace: the same calls over keys of its own.

use std::ffi::{CString, c_char, c_void};
use std::mem::MaybeUninit;

use engine::{KeyspaceOptions, Scan};

use crate::bytes::{Bytes, Pinned, View, found, found_pinned};
use crate::database::Database;
use crate::error::{Failure, Status, c_string};
use crate::guard::{counted, done, guard_or, input, inputs, made, optional_input, present, told, utf8};
use crate::handle::{self, Handle, Table};
use crate::many::Values;
use crate::options::{self, Compression, Durability, OPENDB_COMPRESSION_NONE};
use crate::scan::{Iterator, ScanOptions, iterate};

/// A key space of its own within a database. Free it with `opendb_keyspace_free`.
pub struct Keyspace {
    engine: engine::Keyspace,
    name: CString,
}

static KEYSPACES: Table<Keyspace> = Table::new();

impl Handle for Keyspace {
    const NAME: &'static str = "keyspace";
    const TYPE: usize = 7;
    fn table() -> &'static Table<Keyspace> {
        &KEYSPACES
    }
}

impl Keyspace {
    pub(crate) fn engine(&self) -> &engine::Keyspace {
        &self.engine
    }
}

/// Gives a handle on the keyspace with this name (UTF-8, 1 to `OPENDB_KEYSPACE_NAME_BYTES_MAX` bytes), which is
/// created if it is missing. `default` always exists and is what the calls on the database itself use.
/// `OPENDB_ERROR_INVALID_ARGUMENT` for a name outside the limits, or one more than `OPENDB_KEYSPACES_MAX` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_open(
    database: *const Database,
    name: *const c_char,
    keyspace_out: Option<&mut MaybeUninit<*mut Keyspace>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("keyspace_out", keyspace_out, error_out, || {
        let engine = handle::borrow(database)?.engine().keyspace(utf8!(name))?;
        let name = c_string(engine.name());
        Ok(Keyspace { engine, name })
    })
}

/// Like `opendb_keyspace_open`, and sees to it that its values are stored so from now on: one of
/// `OPENDB_COMPRESSION_...`. The setting stays with the keyspace, and `default` can have one as well; what was written
/// before stays as it is.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_open_with(
    database: *const Database,
    name: *const c_char,
    compression: Compression,
    keyspace_out: Option<&mut MaybeUninit<*mut Keyspace>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("keyspace_out", keyspace_out, error_out, || {
        let settings = KeyspaceOptions::new().compression(options::compression(compression)?);
        let engine = handle::borrow(database)?.engine().keyspace_with_options(utf8!(name), settings)?;
        let name = c_string(engine.name());
        Ok(Keyspace { engine, name })
    })
}

/// How values are stored that are written to the keyspace from now on: one of `OPENDB_COMPRESSION_...`;
/// `OPENDB_COMPRESSION_NONE` also for NULL and what is no live keyspace.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_keyspace_compression(keyspace: *const Keyspace) -> Compression {
    guard_or(OPENDB_COMPRESSION_NONE, || {
        Ok(options::compression_number(handle::borrow(keyspace)?.engine.compression()))
    })
}

/// The name of the keyspace. The text lives until the keyspace is freed. NULL for NULL and what is no live
/// keyspace.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_keyspace_name(keyspace: *const Keyspace) -> *const c_char {
    guard_or(std::ptr::null(), || Ok(handle::borrow(keyspace)?.name.as_ptr()))
}

/// Writes a value under a key in the keyspace; an older value is replaced. When it returns, the write survives the
/// death of the process; with `OPENDB_DURABILITY_SYNC` among the options it is on the device as well.
/// `OPENDB_ERROR_INVALID_ARGUMENT` for a key over `OPENDB_KEY_BYTES_MAX` or a value over `OPENDB_VALUE_BYTES_MAX`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_put(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        handle::borrow(keyspace)?.engine().put(input!(key, key_length), input!(value, value_length))
    })
}

/// Like `opendb_keyspace_put`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_put_with(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    value: *const c_void,
    value_length: usize,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(keyspace)?.engine().put_with(
            input!(key, key_length),
            input!(value, value_length),
            durability,
        )
    })
}

/// Removes a key in the keyspace. Succeeds also where the key is absent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_delete(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || handle::borrow(keyspace)?.engine().delete(input!(key, key_length)))
}

/// Like `opendb_keyspace_delete`, with a durability for this delete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_delete_with(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    done(error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(keyspace)?.engine().delete_with(input!(key, key_length), durability)
    })
}

/// Like `opendb_compare_and_swap`, in the keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_compare_and_swap(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    expected: *const View,
    replacement: *const View,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || {
        let (expected, replacement) = (optional_input!(expected), optional_input!(replacement));
        handle::borrow(keyspace)?.engine().compare_and_swap(input!(key, key_length), expected, replacement)
    })
}

/// Like `opendb_keyspace_compare_and_swap`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_compare_and_swap_with(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    expected: *const View,
    replacement: *const View,
    durability: Durability,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || {
        let (expected, replacement) = (optional_input!(expected), optional_input!(replacement));
        handle::borrow(keyspace)?.engine().compare_and_swap_with(
            input!(key, key_length),
            expected,
            replacement,
            options::durability(durability)?,
        )
    })
}

/// Like `opendb_take`, in the keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_take(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || handle::borrow(keyspace)?.engine().take(input!(key, key_length)))
}

/// Like `opendb_keyspace_take`, with a durability for this delete.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_take_with(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    durability: Durability,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(keyspace)?.engine().take_with(input!(key, key_length), durability)
    })
}

/// Like `opendb_increment`, in the keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_increment(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    by: i64,
    sum_out: Option<&mut MaybeUninit<i64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    told("sum_out", sum_out, error_out, || {
        handle::borrow(keyspace)?.engine().increment(input!(key, key_length), by)
    })
}

/// Like `opendb_keyspace_increment`, with a durability for this write.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_increment_with(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    by: i64,
    durability: Durability,
    sum_out: Option<&mut MaybeUninit<i64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    told("sum_out", sum_out, error_out, || {
        let durability = options::durability(durability)?;
        handle::borrow(keyspace)?.engine().increment_with(input!(key, key_length), by, durability)
    })
}

/// Reads the newest value of a key in the keyspace into bytes of the caller's own, which `opendb_bytes_free`
/// frees. `OPENDB_NOT_FOUND` where there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_get(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || handle::borrow(keyspace)?.engine().get(input!(key, key_length)))
}

/// Reads the newest value of a key in the keyspace where it lies, without a copy. The view lives until the pinned
/// value is freed with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is
/// no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_get_pinned(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    pinned_out: Option<&mut MaybeUninit<*mut Pinned>>,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found_pinned(pinned_out, value_out, error_out, || {
        handle::borrow(keyspace)?.engine().get_ref(input!(key, key_length))
    })
}

/// Like `opendb_get_many`, in the keyspace.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_get_many(
    keyspace: *const Keyspace,
    keys: *const View,
    count: usize,
    values_out: Option<&mut MaybeUninit<*mut Values>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("values_out", values_out, error_out, || {
        let keys = inputs!(keys, count);
        handle::borrow(keyspace)?.engine().get_many_ref(&keys).map(Values::lying)
    })
}

/// Whether a key is there in the keyspace: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no
/// value is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_exists(
    keyspace: *const Keyspace,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || handle::borrow(keyspace)?.engine().exists(input!(key, key_length)))
}

/// Makes an iterator over what the scan asks for in the keyspace, sorted by key in byte order, as it is at this
/// moment; NULL asks for every entry. Lazy: a scan of a large database holds no large memory. Free it with
/// `opendb_iterator_free`. `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_iter(
    keyspace: *const Keyspace,
    scan: *const ScanOptions,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || iterate!(scan, handle::borrow(keyspace)?.engine()))
}

/// Makes an iterator over the keys that begin with the prefix in the keyspace: `opendb_keyspace_iter` with nothing
/// but a prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_scan_prefix(
    keyspace: *const Keyspace,
    prefix: *const c_void,
    prefix_length: usize,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || {
        let scan = Scan::prefix(input!(prefix, prefix_length));
        handle::borrow(keyspace)?.engine().iter(&scan).map(Iterator::entries)
    })
}

/// Counts the keys in the keyspace: exact, and without walking over them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_keyspace_len(
    keyspace: *const Keyspace,
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    counted(count_out, error_out, || handle::borrow(keyspace)?.engine().len())
}

/// Frees the handle of a keyspace. What is in the keyspace stays.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_keyspace_free(keyspace: *mut Keyspace) {
    handle::free(keyspace);
}
