//! A snapshot: the database as it was at one moment.

use std::ffi::{c_char, c_void};
use std::mem::MaybeUninit;

use engine::Scan;

use crate::bytes::{Bytes, Pinned, View, found, found_pinned};
use crate::database::Database;
use crate::error::{Failure, Status};
use crate::guard::{input, inputs, made, present, utf8};
use crate::handle::{self, Handle, Table};
use crate::many::Values;
use crate::scan::{Iterator, ScanOptions, iterate};

/// One keyspace as it was at one moment. Free it with `opendb_snapshot_free`: while it is live, old versions are
/// kept.
pub struct Snapshot {
    engine: engine::Snapshot,
}

static SNAPSHOTS: Table<Snapshot> = Table::new();

impl Handle for Snapshot {
    const NAME: &'static str = "snapshot";
    const TYPE: usize = 8;
    fn table() -> &'static Table<Snapshot> {
        &SNAPSHOTS
    }
}

impl Snapshot {
    pub(crate) fn engine(&self) -> &engine::Snapshot {
        &self.engine
    }
}

/// Holds the database as it is at this moment and looks at the keyspace `default` of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_new(
    database: *const Database,
    snapshot_out: Option<&mut MaybeUninit<*mut Snapshot>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("snapshot_out", snapshot_out, error_out, || {
        handle::borrow(database)?.engine().snapshot().map(|engine| Snapshot { engine })
    })
}

/// The same moment, another keyspace: a snapshot of its own, to be freed on its own.
/// `OPENDB_ERROR_KEYSPACE_NOT_FOUND` where no keyspace has the name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_keyspace(
    snapshot: *const Snapshot,
    keyspace: *const c_char,
    snapshot_out: Option<&mut MaybeUninit<*mut Snapshot>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("snapshot_out", snapshot_out, error_out, || {
        handle::borrow(snapshot)?.engine.keyspace(utf8!(keyspace)).map(|engine| Snapshot { engine })
    })
}

/// Reads the value of a key in the snapshot into bytes of the caller's own, which `opendb_bytes_free` frees.
/// `OPENDB_NOT_FOUND` where there is no such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_get(
    snapshot: *const Snapshot,
    key: *const c_void,
    key_length: usize,
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found(value_out, error_out, || handle::borrow(snapshot)?.engine().get(input!(key, key_length)))
}

/// Reads the value of a key in the snapshot where it lies, without a copy. The view lives until the pinned value
/// is freed with `opendb_pinned_free`, also after the database is closed. `OPENDB_NOT_FOUND` where there is no
/// such key.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_get_pinned(
    snapshot: *const Snapshot,
    key: *const c_void,
    key_length: usize,
    pinned_out: Option<&mut MaybeUninit<*mut Pinned>>,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    found_pinned(pinned_out, value_out, error_out, || {
        handle::borrow(snapshot)?.engine().get_ref(input!(key, key_length))
    })
}

/// Like `opendb_get_many`, in the snapshot.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_get_many(
    snapshot: *const Snapshot,
    keys: *const View,
    count: usize,
    values_out: Option<&mut MaybeUninit<*mut Values>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("values_out", values_out, error_out, || {
        let keys = inputs!(keys, count);
        handle::borrow(snapshot)?.engine().get_many_ref(&keys).map(Values::lying)
    })
}

/// Whether a key is there in the snapshot: `OPENDB_OK` if so, otherwise `OPENDB_NOT_FOUND`. Cheaper than a get: no
/// value is read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_exists(
    snapshot: *const Snapshot,
    key: *const c_void,
    key_length: usize,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    present(error_out, || handle::borrow(snapshot)?.engine().exists(input!(key, key_length)))
}

/// Makes an iterator over what the scan asks for in the snapshot, sorted by key in byte order, as it is at this
/// moment; NULL asks for every entry. Lazy: a scan of a large database holds no large memory. Free it with
/// `opendb_iterator_free`. `OPENDB_ERROR_INVALID_ARGUMENT` for a scan with a wrong size or an unknown flag.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_iter(
    snapshot: *const Snapshot,
    scan: *const ScanOptions,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || iterate!(scan, handle::borrow(snapshot)?.engine()))
}

/// Makes an iterator over the keys that begin with the prefix in the snapshot: `opendb_snapshot_iter` with nothing
/// but a prefix.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_snapshot_scan_prefix(
    snapshot: *const Snapshot,
    prefix: *const c_void,
    prefix_length: usize,
    iterator_out: Option<&mut MaybeUninit<*mut Iterator>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    made("iterator_out", iterator_out, error_out, || {
        let scan = Scan::prefix(input!(prefix, prefix_length));
        handle::borrow(snapshot)?.engine().iter(&scan).map(Iterator::entries)
    })
}

/// Frees a snapshot. Iterators made from it go on.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_snapshot_free(snapshot: *mut Snapshot) {
    handle::free(snapshot);
}
