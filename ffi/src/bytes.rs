//! Bytes on their way out: owned, viewed and pinned; and lists of names.

use std::ffi::{CString, c_char};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use engine::{Result, ValueRef};

use crate::error::{Failure, OPENDB_NOT_FOUND, OPENDB_OK, Status, c_string};
use crate::guard::{guard, guard_or, required};
use crate::handle::{self, Handle, Table};

/// Bytes that belong to the caller until `opendb_bytes_free`. NULL and 0 where there are none. Neither field may
/// be changed before they are freed.
#[repr(C)]
pub struct Bytes {
    /// The first byte; NULL where the length is 0.
    pub data: *mut u8,
    /// How many bytes there are.
    pub length: usize,
}

/// Bytes that belong to OpenDB. How long they live is said where a view is handed out.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct View {
    /// The first byte; may be NULL where the length is 0.
    pub data: *const u8,
    /// How many bytes there are.
    pub length: usize,
}

impl Bytes {
    /// No bytes.
    pub(crate) const EMPTY: Bytes = Bytes { data: ptr::null_mut(), length: 0 };

    /// Hands the bytes to C.
    pub(crate) fn give(bytes: Vec<u8>) -> Bytes {
        if bytes.is_empty() {
            return Bytes::EMPTY;
        }
        let length = bytes.len();
        Bytes { data: Box::into_raw(bytes.into_boxed_slice()).cast(), length }
    }
}

impl View {
    /// No bytes.
    pub(crate) const EMPTY: View = View { data: ptr::null(), length: 0 };

    /// A view of the bytes.
    pub(crate) fn of(bytes: &[u8]) -> View {
        View { data: bytes.as_ptr(), length: bytes.len() }
    }
}

/// Frees bytes and leaves NULL and 0 in their place, so that freeing them again does nothing. NULL does nothing.
/// What is in the place came from OpenDB and was not changed, or is all zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn opendb_bytes_free(bytes: Option<&mut Bytes>) {
    let Some(bytes) = bytes else { return };
    let Bytes { data, length } = std::mem::replace(bytes, Bytes::EMPTY);
    if !data.is_null() {
        // SAFETY: convention 3 of the header: the fields are as `Bytes::give` filled them, from a box of this length.
        drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(data, length)) });
    }
}

/// A value that is read where it lies, without a copy. Free it with `opendb_pinned_free`.
pub struct Pinned {
    value: ValueRef,
}

static PINNED: Table<Pinned> = Table::new();

impl Handle for Pinned {
    const NAME: &'static str = "pinned";
    const TYPE: usize = 2;
    fn table() -> &'static Table<Pinned> {
        &PINNED
    }
}

/// Frees a pinned value: the view that came with it ends here.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_pinned_free(pinned: *mut Pinned) {
    handle::free(pinned);
}

/// A list of names. Free it with `opendb_names_free`.
pub struct Names {
    names: Vec<CString>,
}

static NAMES: Table<Names> = Table::new();

impl Handle for Names {
    const NAME: &'static str = "names";
    const TYPE: usize = 3;
    fn table() -> &'static Table<Names> {
        &NAMES
    }
}

impl Names {
    pub(crate) fn new(names: Vec<String>) -> Names {
        Names { names: names.into_iter().map(c_string).collect() }
    }
}

/// How many names the list has; 0 for NULL and what is no live list.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_names_length(names: *const Names) -> usize {
    guard_or(0, || Ok(handle::borrow(names)?.names.len()))
}

/// The name at a place, counted from 0: UTF-8 with a zero byte at its end. It lives until the list is freed. NULL
/// where the list has no such place, for NULL and for what is no live list.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_names_at(names: *const Names, index: usize) -> *const c_char {
    guard_or(ptr::null(), || {
        let names = handle::borrow(names)?;
        Ok(names.names.get(index).map_or(ptr::null(), |name| name.as_ptr()))
    })
}

/// Frees a list of names and the names in it.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_names_free(names: *mut Names) {
    handle::free(names);
}

/// Runs the body of an export that reads a value into bytes of the caller's own.
pub(crate) fn found(
    value_out: Option<&mut MaybeUninit<Bytes>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    find: impl FnOnce() -> Result<Option<Vec<u8>>>,
) -> Status {
    guard(error_out, || {
        let value_out = required("value_out", value_out, Bytes::EMPTY)?;
        let Some(value) = find()? else { return Ok(OPENDB_NOT_FOUND) };
        *value_out = Bytes::give(value);
        Ok(OPENDB_OK)
    })
}

/// Runs the body of an export that reads a value where it lies: a handle that keeps it there, and the view of it.
pub(crate) fn found_pinned(
    pinned_out: Option<&mut MaybeUninit<*mut Pinned>>,
    value_out: Option<&mut MaybeUninit<View>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    find: impl FnOnce() -> Result<Option<ValueRef>>,
) -> Status {
    guard(error_out, || {
        // Both are written before either is refused, so that no place is left as it was.
        let pinned_out = required("pinned_out", pinned_out, ptr::null_mut());
        let value_out = required("value_out", value_out, View::EMPTY);
        let (pinned_out, value_out) = (pinned_out?, value_out?);
        let Some(value) = find()? else { return Ok(OPENDB_NOT_FOUND) };
        // The bytes may lie inside the guard itself, so the view is taken where the guard stays.
        let pinned = Arc::new(Pinned { value });
        let bytes = View::of(&pinned.value);
        *pinned_out = handle::give(pinned)?;
        *value_out = bytes;
        Ok(OPENDB_OK)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_freed_once_however_often_it_is_asked() {
        let mut bytes = Bytes::give(vec![1, 2, 3]);
        assert_eq!(bytes.length, 3);
        for _ in 0..2 {
            // SAFETY: the bytes came from `give`, and are zero afterwards.
            unsafe { opendb_bytes_free(Some(&mut bytes)) };
            assert!(bytes.data.is_null() && bytes.length == 0);
        }
        let empty = Bytes::give(Vec::with_capacity(16));
        assert!(empty.data.is_null() && empty.length == 0);
        // SAFETY: nothing is there to be freed.
        unsafe { opendb_bytes_free(None) };
    }

    #[test]
    fn names_are_read_by_their_place() {
        let names = handle::give(Names::new(vec!["a".to_owned(), "b\0c".to_owned()])).unwrap();
        assert_eq!(opendb_names_length(names), 2);
        // SAFETY: the name ends in a zero byte and lives until the list is freed.
        let second = unsafe { std::ffi::CStr::from_ptr(opendb_names_at(names, 1)) };
        assert_eq!(second, c"b?c");
        assert!(opendb_names_at(names, 2).is_null());
        opendb_names_free(names);
        assert_eq!(opendb_names_length(names), 0);
        assert!(opendb_names_at(names, 0).is_null());
        assert!(opendb_names_at(ptr::null(), 0).is_null());
    }
}
