//! What a scan asks for, and the iterator that answers.

use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::slice;

use engine::{Error, Iter, Keys, Result, Scan};
use parking_lot::Mutex;

use crate::bytes::View;
use crate::error::{Failure, OPENDB_NOT_FOUND, OPENDB_OK, Status};
use crate::guard::{guard, input, required};
use crate::handle::{self, Handle, Table};
use crate::sized::STRUCT_BYTES_MAX;

/// A flag of a scan: from the last key to the first.
pub const OPENDB_SCAN_REVERSE: u32 = 1;
/// A flag of a scan: values are never read, and the value of every entry is an empty view.
pub const OPENDB_SCAN_KEYS_ONLY: u32 = 2;
/// The limit of a scan that has none.
pub const OPENDB_SCAN_NO_LIMIT: u64 = u64::MAX;

/// Which entries a scan returns and in which order: those that pass every bound that is set. Begin with
/// `opendb_scan scan = OPENDB_SCAN_INIT;`, which is every entry in key order, and set what is wanted. Here a NULL
/// pointer is a bound that is not set; the empty byte string is a pointer that is not NULL, with length 0. The
/// bytes need to stay only while the call that takes the scan runs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ScanOptions {
    /// `sizeof(opendb_scan)`, set by `OPENDB_SCAN_INIT`, so that later versions can add fields.
    pub size: usize,
    /// Only keys that begin with these bytes.
    pub prefix: *const c_void,
    /// Length of the prefix in bytes.
    pub prefix_length: usize,
    /// Only this key and those after it in byte order.
    pub from: *const c_void,
    /// Length of the lower bound in bytes.
    pub from_length: usize,
    /// Only keys before this one in byte order.
    pub until: *const c_void,
    /// Length of the upper bound in bytes.
    pub until_length: usize,
    /// Only keys that come after this one in the direction of the scan: the way to go on where another scan ended.
    pub start_after: *const c_void,
    /// Length of that key in bytes.
    pub start_after_length: usize,
    /// The most entries to return; `OPENDB_SCAN_NO_LIMIT` for all.
    pub limit: u64,
    /// `OPENDB_SCAN_REVERSE`, `OPENDB_SCAN_KEYS_ONLY`, both joined by `|`, or 0.
    pub flags: u32,
    /// Must be 0.
    pub reserved: u32,
}

/// A scan as the engine takes it.
pub(crate) struct Wanted {
    pub(crate) scan: Scan,
    pub(crate) keys_only: bool,
}

/// Reads a caller's scan; NULL is every entry.
///
/// # Safety
/// Convention 4 of the header: what is not NULL has as many readable bytes as its `size` says, at least those of
/// `size` itself, and every bound has its length in readable bytes.
pub(crate) unsafe fn wanted(scan: *const ScanOptions) -> Result<Wanted> {
    if scan.is_null() {
        return Ok(Wanted { scan: Scan::all(), keys_only: false });
    }
    // SAFETY: the caller of this function answers for the struct.
    let options = unsafe { copied(scan) }?;
    check_flags(options.flags, options.reserved)?;
    let ScanOptions { prefix, prefix_length, from, from_length, until, until_length, .. } = options;
    let ScanOptions { start_after, start_after_length, .. } = options;
    let mut wanted = match input!(prefix, prefix_length) {
        [] => Scan::all(),
        prefix => Scan::prefix(prefix),
    };
    let from = input!(from, from_length);
    if !from.is_empty() {
        wanted = wanted.from(from);
    }
    let (until_set, until) = (!until.is_null(), input!(until, until_length));
    if until_set {
        wanted = wanted.until(until);
    }
    let (start_after_set, start_after) = (!start_after.is_null(), input!(start_after, start_after_length));
    if start_after_set {
        wanted = wanted.start_after(start_after);
    }
    if options.limit != OPENDB_SCAN_NO_LIMIT {
        wanted = wanted.limit(options.limit);
    }
    if options.flags & OPENDB_SCAN_REVERSE != 0 {
        wanted = wanted.reverse();
    }
    Ok(Wanted { scan: wanted, keys_only: options.flags & OPENDB_SCAN_KEYS_ONLY != 0 })
}

fn check_flags(flags: u32, reserved: u32) -> Result<()> {
    if flags & !(OPENDB_SCAN_REVERSE | OPENDB_SCAN_KEYS_ONLY) != 0 {
        return Err(Error::InvalidArgument(format!(
            "scan.flags is {flags}: use OPENDB_SCAN_REVERSE, OPENDB_SCAN_KEYS_ONLY, both joined by |, or 0"
        )));
    }
    if reserved != 0 {
        return Err(Error::InvalidArgument(format!(
            "scan.reserved is {reserved} and must be 0: begin with OPENDB_SCAN_INIT"
        )));
    }
    Ok(())
}

/// Copies a caller's struct. One of a later version is taken as long as it asks for nothing that this one lacks.
///
/// # Safety
/// As [`wanted`].
unsafe fn copied(scan: *const ScanOptions) -> Result<ScanOptions> {
    const KNOWN: usize = size_of::<ScanOptions>();
    // SAFETY: the size is the first field and always there.
    let size = unsafe { scan.cast::<usize>().read() };
    if !(KNOWN..=STRUCT_BYTES_MAX).contains(&size) {
        return Err(Error::InvalidArgument(format!("scan.size is {size}: begin with OPENDB_SCAN_INIT")));
    }
    // SAFETY: the struct has as many bytes as it says, which is more than those of the known fields.
    let later = unsafe { scan.cast::<u8>().add(KNOWN) };
    // SAFETY: as above; the bytes after the known fields are the rest of the size.
    if unsafe { slice::from_raw_parts(later, size - KNOWN) }.iter().any(|byte| *byte != 0) {
        return Err(Error::InvalidArgument(
            "scan sets a field that this version of the library does not know".to_owned(),
        ));
    }
    // SAFETY: the known fields are all there.
    Ok(unsafe { scan.read() })
}

/// Walks over the entries of a scan as they were when it was made. Free it with `opendb_iterator_free`.
pub struct Iterator {
    /// The caller's views lead to the entry that it gave last.
    source: Mutex<Source>,
}

enum Source {
    Entries(Iter),
    Keys(Keys),
    /// After the last entry, or an error: there is nothing more.
    Ended,
    /// The database was closed on the way.
    Closed,
}

static ITERATORS: Table<Iterator> = Table::new();

impl Handle for Iterator {
    const NAME: &'static str = "iterator";
    const TYPE: usize = 5;
    fn table() -> &'static Table<Iterator> {
        &ITERATORS
    }
}

impl Iterator {
    /// An iterator over entries.
    pub(crate) fn entries(entries: Iter) -> Iterator {
        Iterator::new(Source::Entries(entries))
    }

    /// An iterator over keys.
    pub(crate) fn keys(keys: Keys) -> Iterator {
        Iterator::new(Source::Keys(keys))
    }

    fn new(source: Source) -> Iterator {
        Iterator { source: Mutex::new(source) }
    }

    /// The next entry, as views of what the iterator keeps until it is asked again.
    fn step(&self) -> Result<Option<(View, View)>> {
        let mut source = self.source.lock();
        let views = |(key, value): (&[u8], &[u8])| (View::of(key), View::of(value));
        let next = match &mut *source {
            Source::Entries(entries) => entries.next_ref().map(|entry| entry.map(views)).transpose(),
            Source::Keys(keys) => keys.next_ref().map(|key| key.map(|key| views((key, &[])))).transpose(),
            Source::Ended => Ok(None),
            Source::Closed => Err(Error::Closed),
        };
        if !matches!(next, Ok(Some(_))) {
            // What the walk and the last entry hold is let go of here, not only when the caller frees the handle.
            *source = if matches!(next, Err(Error::Closed)) { Source::Closed } else { Source::Ended };
        }
        next
    }
}

/// Reads the parameter `$scan` and makes the iterator it asks for out of `$source`, which has the calls `iter` and
/// `keys`; `$before` are their arguments before the scan.
macro_rules! iterate {
    ($scan:ident, $source:expr $(, $before:expr)*) => {{
        // SAFETY: convention 4 of the header: a scan has its size in readable bytes while the call runs, and so has
        // each of its bounds.
        let wanted = unsafe { $crate::scan::wanted($scan) }?;
        if wanted.keys_only {
            $source.keys($($before,)* &wanted.scan).map($crate::scan::Iterator::keys)
        } else {
            $source.iter($($before,)* &wanted.scan).map($crate::scan::Iterator::entries)
        }
    }};
}

pub(crate) use iterate;

/// Goes to the next entry and returns `OPENDB_OK`, or `OPENDB_NOT_FOUND` after the last one. Both views live until
/// the next call with this iterator, its freeing included. `value_out` may be NULL where values are not wanted.
/// After an error the iterator is at its end, except that `OPENDB_ERROR_CLOSED` is answered again.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_iterator_next(
    iterator: *mut Iterator,
    key_out: Option<&mut MaybeUninit<View>>,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
) -> Status {
    guard(error_out, || {
        let value_out = value_out.map(|place| place.write(View::EMPTY));
        let key_out = required("key_out", key_out, View::EMPTY)?;
        let Some((key, value)) = handle::borrow(iterator)?.step()? else { return Ok(OPENDB_NOT_FOUND) };
        *key_out = key;
        if let Some(value_out) = value_out {
            *value_out = value;
        }
        Ok(OPENDB_OK)
    })
}

/// Frees an iterator, at its end or before.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_iterator_free(iterator: *mut Iterator) {
    handle::free(iterator);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr;

    const ALL: ScanOptions = ScanOptions {
        size: size_of::<ScanOptions>(),
        prefix: ptr::null(),
        prefix_length: 0,
        from: ptr::null(),
        from_length: 0,
        until: ptr::null(),
        until_length: 0,
        start_after: ptr::null(),
        start_after_length: 0,
        limit: OPENDB_SCAN_NO_LIMIT,
        flags: 0,
        reserved: 0,
    };

    fn read(scan: &ScanOptions) -> Result<Wanted> {
        // SAFETY: the scan is a whole struct of the size it names, and its bounds are literals.
        unsafe { wanted(scan) }
    }

    #[test]
    fn every_bound_reaches_the_engine() {
        assert_eq!(read(&ALL).unwrap().scan, Scan::all());
        let scan = ScanOptions {
            prefix: b"user:".as_ptr().cast(),
            prefix_length: 5,
            from: b"user:b".as_ptr().cast(),
            from_length: 6,
            until: b"user:x".as_ptr().cast(),
            until_length: 6,
            start_after: b"user:w".as_ptr().cast(),
            start_after_length: 6,
            limit: 3,
            flags: OPENDB_SCAN_REVERSE | OPENDB_SCAN_KEYS_ONLY,
            ..ALL
        };
        let wanted = read(&scan).unwrap();
        let expected =
            Scan::prefix("user:").from("user:b").until("user:x").start_after("user:w").limit(3).reverse();
        assert_eq!(wanted.scan, expected);
        assert!(wanted.keys_only);
    }

    #[test]
    fn an_empty_bound_differs_from_none() {
        let empty = b"".as_ptr().cast();
        assert_eq!(read(&ScanOptions { until: empty, ..ALL }).unwrap().scan, Scan::all().until(""));
        assert_eq!(
            read(&ScanOptions { start_after: empty, ..ALL }).unwrap().scan,
            Scan::all().start_after("")
        );
        assert_eq!(read(&ScanOptions { limit: 0, ..ALL }).unwrap().scan, Scan::all().limit(0));
    }

    #[test]
    fn sizes_flags_and_bounds_outside_the_contract_are_refused() {
        let refused = [
            ScanOptions { size: 0, ..ALL },
            ScanOptions { size: ALL.size - 1, ..ALL },
            ScanOptions { size: usize::MAX, ..ALL },
            ScanOptions { flags: 4, ..ALL },
            ScanOptions { reserved: 1, ..ALL },
            ScanOptions { prefix_length: 1, ..ALL },
            ScanOptions { until_length: 1, ..ALL },
            ScanOptions { from_length: usize::MAX, ..ALL },
        ];
        for (at, scan) in refused.iter().enumerate() {
            assert!(matches!(read(scan), Err(Error::InvalidArgument(_))), "scan {at} was taken");
        }
    }

    #[test]
    fn an_iterator_at_its_end_or_closed_holds_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let database = engine::OpenDB::open(directory.path()).unwrap();
        database.put(b"key", b"value").unwrap();
        let ended = Iterator::entries(database.iter(&Scan::all()).unwrap());
        let closed = Iterator::keys(database.keys(&Scan::all()).unwrap());
        assert!(ended.step().unwrap().is_some() && closed.step().unwrap().is_some());
        for _ in 0..2 {
            assert!(ended.step().unwrap().is_none());
        }
        database.close().unwrap();
        for _ in 0..2 {
            assert!(matches!(closed.step(), Err(Error::Closed)));
        }
        assert!(matches!(ended.source.into_inner(), Source::Ended));
        assert!(matches!(closed.source.into_inner(), Source::Closed));
    }

    #[test]
    fn a_later_version_of_the_struct_is_taken_unless_it_asks_for_more() {
        #[repr(C)]
        struct Later {
            known: ScanOptions,
            more: u64,
        }
        let mut later = Later { known: ScanOptions { size: size_of::<Later>(), limit: 2, ..ALL }, more: 0 };
        // SAFETY: the struct has the size it names.
        assert_eq!(unsafe { wanted((&raw const later).cast()) }.unwrap().scan, Scan::all().limit(2));
        later.more = 1;
        // SAFETY: as above.
        assert!(unsafe { wanted((&raw const later).cast()) }.is_err());
    }
}
