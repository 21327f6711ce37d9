//! Status numbers, and errors as handles with a message.

use std::ffi::{CStr, CString, c_char};

use engine::{Error, ErrorKind};

use crate::guard::guard_or;
use crate::handle::{self, Handle, Table};

/// What a call came to: `OPENDB_OK`, `OPENDB_NOT_FOUND`, or the number of an error, which is greater than 0. The
/// numbers stay the same for ever. Later versions may add some: treat an unknown number greater than 0 as an
/// error.
pub type Status = i32;

/// The call did what it was asked.
pub const OPENDB_OK: Status = 0;
/// There is no such key, or the iterator is at its end. Not an error: no `opendb_error` is made.
pub const OPENDB_NOT_FOUND: Status = -1;
/// The files of the database are not what they have to be, or an internal limit of the storage was reached.
pub const OPENDB_ERROR_STORAGE: Status = 1;
/// The cache could not do its work. The data are not affected.
pub const OPENDB_ERROR_CACHE: Status = 2;
/// The transaction conflicts with one that committed after it began. Nothing of it was applied; run it again.
pub const OPENDB_ERROR_TRANSACTION: Status = 3;
/// Bytes that had been durable do not pass their checksum or break the format. The message says where.
pub const OPENDB_ERROR_CORRUPTION: Status = 4;
/// An argument is NULL, outside its limits or no live handle, or options contradict those the directory is open
/// with.
pub const OPENDB_ERROR_INVALID_ARGUMENT: Status = 5;
/// A transaction, batch or snapshot named a keyspace that was never created.
pub const OPENDB_ERROR_KEYSPACE_NOT_FOUND: Status = 6;
/// Another process has the directory open for writing.
pub const OPENDB_ERROR_LOCKED: Status = 7;
/// The database was closed.
pub const OPENDB_ERROR_CLOSED: Status = 8;
/// The database is open for reading only.
pub const OPENDB_ERROR_READ_ONLY: Status = 9;
/// The device is full. Nothing of the write is there, and the same handle goes on once there is room.
pub const OPENDB_ERROR_NO_SPACE: Status = 10;
/// The operating system refused a call.
pub const OPENDB_ERROR_IO: Status = 11;
/// An earlier write or sync failed. Reads go on; writes are refused until the database is opened again.
pub const OPENDB_ERROR_POISONED: Status = 12;
/// The directory was written by a newer version of the format. Nothing in it was touched.
pub const OPENDB_ERROR_UNSUPPORTED: Status = 13;
/// The handle was made before a `fork` and is used in the child. Open the database again there.
pub const OPENDB_ERROR_FORKED: Status = 14;
/// OpenDB broke one of its own rules. This is a bug; please report it.
pub const OPENDB_ERROR_INTERNAL: Status = 15;

/// The status of an error's kind. Without a wildcard, so that a new kind does not compile until it has its
/// constant.
pub(crate) fn status_of(kind: ErrorKind) -> Status {
    match kind {
        ErrorKind::Storage => OPENDB_ERROR_STORAGE,
        ErrorKind::Cache => OPENDB_ERROR_CACHE,
        ErrorKind::Transaction => OPENDB_ERROR_TRANSACTION,
        ErrorKind::Corruption => OPENDB_ERROR_CORRUPTION,
        ErrorKind::InvalidArgument => OPENDB_ERROR_INVALID_ARGUMENT,
        ErrorKind::KeyspaceNotFound => OPENDB_ERROR_KEYSPACE_NOT_FOUND,
        ErrorKind::Locked => OPENDB_ERROR_LOCKED,
        ErrorKind::Closed => OPENDB_ERROR_CLOSED,
        ErrorKind::ReadOnly => OPENDB_ERROR_READ_ONLY,
        ErrorKind::NoSpace => OPENDB_ERROR_NO_SPACE,
        ErrorKind::Io => OPENDB_ERROR_IO,
        ErrorKind::Poisoned => OPENDB_ERROR_POISONED,
        ErrorKind::Unsupported => OPENDB_ERROR_UNSUPPORTED,
        ErrorKind::Forked => OPENDB_ERROR_FORKED,
        ErrorKind::Internal => OPENDB_ERROR_INTERNAL,
    }
}

/// The name of a status in capitals, such as `INVALID_ARGUMENT`, without the prefix of the constant; `UNKNOWN` for
/// a number that is none. The text is never NULL and lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_status_name(status: Status) -> *const c_char {
    let name = match status {
        OPENDB_OK => c"OK",
        OPENDB_NOT_FOUND => c"NOT_FOUND",
        OPENDB_ERROR_STORAGE => c"STORAGE",
        OPENDB_ERROR_CACHE => c"CACHE",
        OPENDB_ERROR_TRANSACTION => c"TRANSACTION",
        OPENDB_ERROR_CORRUPTION => c"CORRUPTION",
        OPENDB_ERROR_INVALID_ARGUMENT => c"INVALID_ARGUMENT",
        OPENDB_ERROR_KEYSPACE_NOT_FOUND => c"KEYSPACE_NOT_FOUND",
        OPENDB_ERROR_LOCKED => c"LOCKED",
        OPENDB_ERROR_CLOSED => c"CLOSED",
        OPENDB_ERROR_READ_ONLY => c"READ_ONLY",
        OPENDB_ERROR_NO_SPACE => c"NO_SPACE",
        OPENDB_ERROR_IO => c"IO",
        OPENDB_ERROR_POISONED => c"POISONED",
        OPENDB_ERROR_UNSUPPORTED => c"UNSUPPORTED",
        OPENDB_ERROR_FORKED => c"FORKED",
        OPENDB_ERROR_INTERNAL => c"INTERNAL",
        _ => c"UNKNOWN",
    };
    name.as_ptr()
}

/// Why a call failed: a kind and a message. Free it with `opendb_error_free`.
pub struct Failure {
    status: Status,
    retryable: bool,
    message: CString,
}

static FAILURES: Table<Failure> = Table::new();

impl Handle for Failure {
    const NAME: &'static str = "error";
    const TYPE: usize = 1;
    fn table() -> &'static Table<Failure> {
        &FAILURES
    }
}

impl Failure {
    /// What C is told of an error of the engine.
    pub(crate) fn new(error: &Error) -> Failure {
        let message = c_string(error.to_string());
        Failure { status: status_of(error.kind()), retryable: error.retryable(), message }
    }

    /// The work of a transaction stopped it with a number of its own choice.
    pub(crate) fn stopped(status: Status) -> Failure {
        let message =
            format!("the work stopped its transaction with status {status}: nothing of it was applied");
        Failure { status, retryable: false, message: c_string(message) }
    }

    /// A handle of the error; NULL when no more handles can be made, since that failure has no place of its own.
    pub(crate) fn give(self) -> *mut Failure {
        handle::give(self).unwrap_or(std::ptr::null_mut())
    }
}

/// Text for C. A zero byte inside, which would end the text early, becomes a question mark.
pub(crate) fn c_string(text: impl Into<Vec<u8>>) -> CString {
    let mut bytes: Vec<u8> = text.into();
    bytes.iter_mut().filter(|byte| **byte == 0).for_each(|byte| *byte = b'?');
    CString::new(bytes).unwrap_or_default()
}

/// The kind of an error: the same number as the status of the call that made it, one of `OPENDB_ERROR_...` or what
/// the work of `opendb_transact` returned. `OPENDB_OK` for NULL, `OPENDB_ERROR_INVALID_ARGUMENT` for what is no
/// live error.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_error_kind(error: *const Failure) -> Status {
    if error.is_null() {
        return OPENDB_OK;
    }
    guard_or(OPENDB_ERROR_INVALID_ARGUMENT, || Ok(handle::borrow(error)?.status))
}

/// What was being done, to what, and what to do about it: UTF-8, lower case, without bytes of keys or values.
/// Never NULL. The text lives until the error is freed; for NULL and what is no live error it is a fixed one.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_error_message(error: *const Failure) -> *const c_char {
    const NONE: &CStr = c"no error";
    const DEAD: &CStr = c"the error is not live: it was freed";
    if error.is_null() {
        return NONE.as_ptr();
    }
    guard_or(DEAD.as_ptr(), || Ok(handle::borrow(error)?.message.as_ptr()))
}

/// Whether the same work, done again from its beginning, may succeed without anybody's help: true for a conflict
/// of transactions and for a directory in use by another process. False for NULL and what is no live error.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_error_retryable(error: *const Failure) -> bool {
    guard_or(false, || Ok(handle::borrow(error)?.retryable))
}

/// Frees an error and its message.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_error_free(error: *mut Failure) {
    handle::free(error);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: *const c_char) -> String {
        // SAFETY: what the module returns ends in a zero byte.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn every_kind_has_its_number_name_and_line_in_the_header() {
        let header = include_str!("../include/opendb.h");
        for kind in ErrorKind::ALL {
            assert_eq!(status_of(kind), kind.code(), "{kind:?}");
            assert_eq!(text(opendb_status_name(kind.code())), kind.name());
            let line = format!("#define OPENDB_ERROR_{} {}\n", kind.name(), kind.code());
            assert!(header.contains(&line), "the header lacks: {line}");
        }
        assert_eq!(header.matches("#define OPENDB_ERROR_").count(), ErrorKind::ALL.len());
        assert!(header.contains("#define OPENDB_OK 0\n") && header.contains("#define OPENDB_NOT_FOUND -1\n"));
        assert_eq!(text(opendb_status_name(OPENDB_OK)), "OK");
        assert_eq!(text(opendb_status_name(OPENDB_NOT_FOUND)), "NOT_FOUND");
        assert_eq!(text(opendb_status_name(16)), "UNKNOWN");
        assert_eq!(text(opendb_status_name(Status::MIN)), "UNKNOWN");
    }

    #[test]
    fn an_error_keeps_kind_message_and_advice_until_it_is_freed() {
        let error = Failure::new(&Error::Transaction("run\0again".to_owned())).give();
        assert_eq!(opendb_error_kind(error), OPENDB_ERROR_TRANSACTION);
        assert_eq!(text(opendb_error_message(error)), "transaction conflict: run?again");
        assert!(opendb_error_retryable(error));
        opendb_error_free(error);
        assert_eq!(opendb_error_kind(error), OPENDB_ERROR_INVALID_ARGUMENT);
        assert!(text(opendb_error_message(error)).contains("not live"));
        assert!(!opendb_error_retryable(error));
        opendb_error_free(error);
    }

    #[test]
    fn null_is_no_error() {
        let none = std::ptr::null_mut();
        assert_eq!(opendb_error_kind(none), OPENDB_OK);
        assert_eq!(text(opendb_error_message(none)), "no error");
        assert!(!opendb_error_retryable(none));
        opendb_error_free(none);
    }
}
