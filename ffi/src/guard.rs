//! What stands between a caller's arguments and safe code: NULL, lengths, text, panics, and the places of results.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::slice;

use engine::{Error, Result};

use crate::bytes::View;
use crate::error::{Failure, OPENDB_NOT_FOUND, OPENDB_OK, Status, status_of};
use crate::handle::{self, Handle};

/// Runs the body of an export. An error becomes its status and, where the caller asked for it, an error handle; a
/// panic becomes an internal error, since it must not cross into C.
pub(crate) fn guard(
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    work: impl FnOnce() -> Result<Status>,
) -> Status {
    let outcome = caught(work).and_then(|outcome| outcome);
    let (status, failure) = match outcome {
        // Greater than 0 without an error: the number of a transaction's own work.
        Ok(status) => (status, (status > OPENDB_OK).then(|| Failure::stopped(status))),
        Err(error) => (status_of(error.kind()), Some(Failure::new(&error))),
    };
    if let Some(error_out) = error_out {
        error_out.write(failure.map_or(std::ptr::null_mut(), Failure::give));
    }
    status
}

/// Runs the body of an export that has no status to return: a default stands for every failure.
pub(crate) fn guard_or<T>(default: T, work: impl FnOnce() -> Result<T>) -> T {
    caught(work).and_then(|outcome| outcome).unwrap_or(default)
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T> {
    // Nothing that a panic leaves half done is used without its lock, and the engine answers for its own state.
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Error::Internal(panic_message(payload.as_ref())))
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("a panic was stopped at the border to C: {}", text.unwrap_or("without a message"))
}

/// Runs the body of an export that does something and answers with nothing but its status.
pub(crate) fn done(
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    work: impl FnOnce() -> Result<()>,
) -> Status {
    guard(error_out, || work().map(|()| OPENDB_OK))
}

/// Runs the body of an export that asks whether something is there.
pub(crate) fn present(
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    ask: impl FnOnce() -> Result<bool>,
) -> Status {
    guard(error_out, || Ok(if ask()? { OPENDB_OK } else { OPENDB_NOT_FOUND }))
}

/// Runs the body of an export that counts.
pub(crate) fn counted(
    count_out: Option<&mut MaybeUninit<u64>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    count: impl FnOnce() -> Result<u64>,
) -> Status {
    told("count_out", count_out, error_out, count)
}

/// Runs the body of an export that answers with a number.
pub(crate) fn told<N: Default>(
    name: &str,
    place: Option<&mut MaybeUninit<N>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    tell: impl FnOnce() -> Result<N>,
) -> Status {
    guard(error_out, || {
        let place = required(name, place, N::default())?;
        *place = tell()?;
        Ok(OPENDB_OK)
    })
}

/// Runs the body of an export that makes something and hands out a handle of it.
pub(crate) fn made<T: Handle>(
    name: &str,
    place: Option<&mut MaybeUninit<*mut T>>,
    error_out: Option<&mut MaybeUninit<*mut Failure>>,
    make: impl FnOnce() -> Result<T>,
) -> Status {
    guard(error_out, || {
        let place = required(name, place, std::ptr::null_mut())?;
        *place = handle::give(make()?)?;
        Ok(OPENDB_OK)
    })
}

/// A place for a result, which must not be NULL. The default stands in it until the call succeeds.
pub(crate) fn required<'a, T>(
    name: &str,
    place: Option<&'a mut MaybeUninit<T>>,
    default: T,
) -> Result<&'a mut T> {
    match place {
        Some(place) => Ok(place.write(default)),
        None => Err(Error::InvalidArgument(format!("{name} is NULL"))),
    }
}

/// Bytes of a caller: NULL with length 0 is the empty byte string.
///
/// # Safety
/// Where the length is not 0 and the pointer not NULL, that many bytes can be read and stay as they are for `'a`.
pub(crate) unsafe fn read_bytes<'a>(name: &str, data: *const c_void, length: usize) -> Result<&'a [u8]> {
    if length == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::InvalidArgument(format!("{name} is NULL and its length is {length}")));
    }
    if isize::try_from(length).is_err() {
        return Err(Error::InvalidArgument(format!("{name}: no memory holds {length} bytes")));
    }
    // SAFETY: the caller of this function answers for the bytes; NULL and impossible lengths are behind us.
    Ok(unsafe { slice::from_raw_parts(data.cast(), length) })
}

/// The bytes of a caller's views.
///
/// # Safety
/// Where the count is not 0 and the pointer not NULL, that many views can be read and each has its length in readable bytes;
/// all of it stays as it is for `'a`.
pub(crate) unsafe fn read_views<'a>(name: &str, views: *const View, count: usize) -> Result<Vec<&'a [u8]>> {
    if count == 0 {
        return Ok(Vec::new());
    }
    if views.is_null() || !views.is_aligned() {
        return Err(Error::InvalidArgument(format!("{name} is no address of {count} views")));
    }
    if count.checked_mul(size_of::<View>()).is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(Error::InvalidArgument(format!("{name}: no memory holds {count} views")));
    }
    // SAFETY: the caller of this function answers for the views; NULL and impossible counts are behind us.
    let views = unsafe { slice::from_raw_parts(views, count) };
    // SAFETY: the caller of this function answers for the bytes of each.
    views.iter().map(|view| unsafe { read_bytes(name, view.data.cast(), view.length) }).collect()
}

/// A caller's buffer, all zeros: what stood there may never have been written.
///
/// # Safety
/// Where the length is not 0 and the pointer not NULL, that many bytes can be written and are nobody else's for `'a`.
pub(crate) unsafe fn clear_bytes<'a>(name: &str, data: *mut c_void, length: usize) -> Result<&'a mut [u8]> {
    if length == 0 {
        return Ok(&mut []);
    }
    if data.is_null() {
        return Err(Error::InvalidArgument(format!("{name} is NULL and its length is {length}")));
    }
    if isize::try_from(length).is_err() {
        return Err(Error::InvalidArgument(format!("{name}: no memory holds {length} bytes")));
    }
    let data = data.cast::<u8>();
    // SAFETY: the caller of this function answers for the bytes; NULL and impossible lengths are behind us.
    unsafe { data.write_bytes(0, length) };
    // SAFETY: as above, and every byte was just written.
    Ok(unsafe { slice::from_raw_parts_mut(data, length) })
}

/// Text of a caller that ends in a zero byte.
///
/// # Safety
/// Where the pointer is not NULL, it leads to bytes that end in a zero byte and stay as they are for `'a`.
pub(crate) unsafe fn read_text<'a>(name: &str, text: *const c_char) -> Result<&'a [u8]> {
    if text.is_null() {
        return Err(Error::InvalidArgument(format!("{name} is NULL")));
    }
    // SAFETY: the caller of this function answers for the zero byte.
    Ok(unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// Text of a caller as UTF-8.
///
/// # Safety
/// As [`read_text`].
pub(crate) unsafe fn read_utf8<'a>(name: &str, data: *const c_char) -> Result<&'a str> {
    // SAFETY: the caller of this function answers for the zero byte.
    let bytes = unsafe { read_text(name, data) }?;
    std::str::from_utf8(bytes).map_err(|_| Error::InvalidArgument(format!("{name} is not UTF-8")))
}

/// The bytes of the parameters `$data` and `$length`, or a return with the error.
macro_rules! input {
    ($data:ident, $length:ident) => {
        // SAFETY: convention 4 of the header: an input has its length in readable bytes while the call runs.
        unsafe { $crate::guard::read_bytes(stringify!($data), $data, $length) }?
    };
}

/// The bytes of the views in the parameters `$views` and `$count`, or a return with the error.
macro_rules! inputs {
    ($views:ident, $count:ident) => {
        // SAFETY: convention 4 of the header: an input has its length in readable bytes while the call runs.
        unsafe { $crate::guard::read_views(stringify!($views), $views, $count) }?
    };
}

/// The bytes of the view in the parameter `$view`, none for NULL, or a return with the error.
macro_rules! optional_input {
    ($view:ident) => {
        match $view.is_null() {
            true => None,
            // SAFETY: convention 4 of the header: an input has its length in readable bytes while the call runs.
            false => unsafe { $crate::guard::read_views(stringify!($view), $view, 1) }?.first().copied(),
        }
    };
}

/// The buffer of the parameters `$data` and `$length`, or a return with the error.
macro_rules! output {
    ($data:ident, $length:ident) => {
        // SAFETY: convention 4 of the header: a buffer has its length in bytes that are the call's while it runs.
        unsafe { $crate::guard::clear_bytes(stringify!($data), $data, $length) }?
    };
}

/// The UTF-8 text of the parameter `$text`, or a return with the error.
macro_rules! utf8 {
    ($text:ident) => {
        // SAFETY: convention 4 of the header: a name ends in a zero byte and stays as it is while the call runs.
        unsafe { $crate::guard::read_utf8(stringify!($text), $text) }?
    };
}

pub(crate) use {input, inputs, optional_input, output, utf8};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{OPENDB_ERROR_INTERNAL, opendb_error_free, opendb_error_kind, opendb_error_message};

    #[test]
    fn a_panic_becomes_an_internal_error_with_its_message() {
        let mut error = MaybeUninit::uninit();
        let status = guard(Some(&mut error), || panic!("out of {}", "paper"));
        // SAFETY: every call writes the place of its error.
        let error = unsafe { error.assume_init() };
        assert_eq!(status, OPENDB_ERROR_INTERNAL);
        assert_eq!(opendb_error_kind(error), OPENDB_ERROR_INTERNAL);
        // SAFETY: the message ends in a zero byte and lives as long as the error.
        let message = unsafe { CStr::from_ptr(opendb_error_message(error)) }.to_str().unwrap().to_owned();
        assert!(message.contains("out of paper"), "{message}");
        opendb_error_free(error);
        assert_eq!(guard(None, || panic!("nobody asks")), OPENDB_ERROR_INTERNAL);
        assert_eq!(guard_or(7, || panic!("nobody asks")), 7);
    }

    #[test]
    fn success_leaves_null_in_the_place_of_the_error() {
        let mut error = MaybeUninit::new(std::ptr::without_provenance_mut(0xabc0));
        assert_eq!(guard(Some(&mut error), || Ok(OPENDB_OK)), OPENDB_OK);
        // SAFETY: the place was written before the call.
        assert!(unsafe { error.assume_init() }.is_null());
    }

    #[test]
    fn inputs_are_checked_before_they_are_read() {
        let bytes = [1u8, 2, 3];
        let null = std::ptr::null();
        // SAFETY: three bytes are there; NULL and impossible lengths are refused before anything is read.
        let read = |data: *const c_void, length| unsafe { read_bytes("key", data, length) };
        assert_eq!(read(bytes.as_ptr().cast(), 3).unwrap(), bytes);
        assert_eq!(read(bytes.as_ptr().cast(), 0).unwrap(), b"");
        assert_eq!(read(null, 0).unwrap(), b"");
        assert!(read(null, 1).unwrap_err().to_string().contains("key is NULL"));
        assert!(read(bytes.as_ptr().cast(), usize::MAX).unwrap_err().to_string().contains("no memory"));
        let views = [View { data: bytes.as_ptr(), length: 2 }, View { data: std::ptr::null(), length: 0 }];
        // SAFETY: two views are there, with their bytes; NULL and impossible counts are refused before anything is read.
        let many = |views: *const View, count| unsafe { read_views("keys", views, count) };
        assert_eq!(many(views.as_ptr(), 2).unwrap(), [&bytes[..2], b""]);
        assert!(many(std::ptr::null(), 0).unwrap().is_empty());
        assert!(many(std::ptr::null(), 1).unwrap_err().to_string().contains("keys is no address"));
        assert!(many(views.as_ptr().wrapping_byte_add(1), 1).unwrap_err().to_string().contains("no address"));
        assert!(many(views.as_ptr(), usize::MAX).unwrap_err().to_string().contains("no memory"));
        let missing = [View { data: std::ptr::null(), length: 1 }];
        assert!(many(missing.as_ptr(), 1).unwrap_err().to_string().contains("keys is NULL"));
        let mut room = [7u8; 3];
        // SAFETY: three bytes are there; NULL and impossible lengths are refused before anything is written.
        let clear = |data: *mut c_void, length| unsafe { clear_bytes("buffer", data, length) };
        assert_eq!(clear(room.as_mut_ptr().cast(), 2).unwrap(), [0, 0]);
        assert_eq!(room, [0, 0, 7]);
        assert_eq!(clear(std::ptr::null_mut(), 0).unwrap(), b"");
        assert!(clear(std::ptr::null_mut(), 1).unwrap_err().to_string().contains("buffer is NULL"));
        assert!(clear(room.as_mut_ptr().cast(), usize::MAX).unwrap_err().to_string().contains("no memory"));
        // SAFETY: the literals end in a zero byte; NULL is refused before it is read.
        let name = |text: *const c_char| unsafe { read_utf8("name", text) };
        assert_eq!(name(c"caf\u{e9}".as_ptr()).unwrap(), "caf\u{e9}");
        assert!(name(c"\xff".as_ptr()).unwrap_err().to_string().contains("name is not UTF-8"));
        assert!(name(null.cast()).unwrap_err().to_string().contains("name is NULL"));
    }
}
