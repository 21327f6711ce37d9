//! The one error type of the crate, and the stable numbers that every language door maps its errors to.

use std::fmt;
use std::io;

/// What every fallible call of the crate returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed.
///
/// Messages say what was being done, to what, and what to do about it. They never contain bytes of keys or values.
/// The list may grow; [`Error::kind`] gives the stable category.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The files of the database are not what they have to be, or an internal limit of the storage was reached.
    Storage(String),
    /// The cache could not do its work. The data in the log are not affected.
    Cache(String),
    /// The transaction conflicts with one that committed after it began. Nothing of it was applied; run it again.
    Transaction(String),
    /// Bytes that had been durable do not pass their checksum or break the format.
    Corruption {
        /// Serial of the damaged segment; 0 names the manifest.
        segment: u64,
        /// Byte offset in that file at which the damage was met.
        offset: u64,
        /// What was found to be wrong.
        reason: String,
    },
    /// An argument is outside its limits, or options contradict the engine that already has the directory open.
    InvalidArgument(String),
    /// A transaction, batch or snapshot named a keyspace that was never created.
    KeyspaceNotFound(String),
    /// Another process has the directory open for writing.
    Locked(String),
    /// The handle was closed.
    Closed,
    /// The database is open for reading only.
    ReadOnly(String),
    /// The device is full. Nothing of the write is there, and the same handle goes on once there is room.
    NoSpace(String),
    /// The operating system refused a call.
    Io {
        /// What was being done, to what.
        context: String,
        /// The system's own error.
        source: io::Error,
    },
    /// An earlier write or sync failed, so what reached the device is not known. Reads go on; writes are refused
    /// until the database is opened again.
    Poisoned(String),
    /// The directory was written by a newer version of the format. Nothing in it was touched.
    Unsupported(String),
    /// The handle was made before a `fork` and is used in the child. Open the database again there.
    Forked,
    /// OpenDB broke one of its own rules. This is a bug; please report it.
    Internal(String),
}

/// Whether the device, or what this user may have of it, is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The category of an [`Error`]: fieldless, with numbers that stay the same for ever and in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum ErrorKind {
    /// See [`Error::Storage`].
    Storage = 1,
    /// See [`Error::Cache`].
    Cache = 2,
    /// See [`Error::Transaction`].
    Transaction = 3,
    /// See [`Error::Corruption`].
    Corruption = 4,
    /// See [`Error::InvalidArgument`].
    InvalidArgument = 5,
    /// See [`Error::KeyspaceNotFound`].
    KeyspaceNotFound = 6,
    /// See [`Error::Locked`].
    Locked = 7,
    /// See [`Error::Closed`].
    Closed = 8,
    /// See [`Error::ReadOnly`].
    ReadOnly = 9,
    /// See [`Error::NoSpace`].
    NoSpace = 10,
    /// See [`Error::Io`].
    Io = 11,
    /// See [`Error::Poisoned`].
    Poisoned = 12,
    /// See [`Error::Unsupported`].
    Unsupported = 13,
    /// See [`Error::Forked`].
    Forked = 14,
    /// See [`Error::Internal`].
    Internal = 15,
}

impl ErrorKind {
    /// Every kind, in the order of the numbers. Bindings walk it in their tests, so that none is left unmapped.
    pub const ALL: [ErrorKind; 15] = [
        ErrorKind::Storage,
        ErrorKind::Cache,
        ErrorKind::Transaction,
        ErrorKind::Corruption,
        ErrorKind::InvalidArgument,
        ErrorKind::KeyspaceNotFound,
        ErrorKind::Locked,
        ErrorKind::Closed,
        ErrorKind::ReadOnly,
        ErrorKind::NoSpace,
        ErrorKind::Io,
        ErrorKind::Poisoned,
        ErrorKind::Unsupported,
        ErrorKind::Forked,
        ErrorKind::Internal,
    ];

    /// The stable number: 1 and up; 0 is left for success.
    #[must_use]
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The stable name in capitals with underscores, such as `INVALID_ARGUMENT`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Storage => "STORAGE",
            ErrorKind::Cache => "CACHE",
            ErrorKind::Transaction => "TRANSACTION",
            ErrorKind::Corruption => "CORRUPTION",
            ErrorKind::InvalidArgument => "INVALID_ARGUMENT",
            ErrorKind::KeyspaceNotFound => "KEYSPACE_NOT_FOUND",
            ErrorKind::Locked => "LOCKED",
            ErrorKind::Closed => "CLOSED",
            ErrorKind::ReadOnly => "READ_ONLY",
            ErrorKind::NoSpace => "NO_SPACE",
            ErrorKind::Io => "IO",
            ErrorKind::Poisoned => "POISONED",
            ErrorKind::Unsupported => "UNSUPPORTED",
            ErrorKind::Forked => "FORKED",
            ErrorKind::Internal => "INTERNAL",
        }
    }
}

impl Error {
    /// The category, with its stable number.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Storage(_) => ErrorKind::Storage,
            Error::Cache(_) => ErrorKind::Cache,
            Error::Transaction(_) => ErrorKind::Transaction,
            Error::Corruption { .. } => ErrorKind::Corruption,
            Error::InvalidArgument(_) => ErrorKind::InvalidArgument,
            Error::KeyspaceNotFound(_) => ErrorKind::KeyspaceNotFound,
            Error::Locked(_) => ErrorKind::Locked,
            Error::Closed => ErrorKind::Closed,
            Error::ReadOnly(_) => ErrorKind::ReadOnly,
            Error::NoSpace(_) => ErrorKind::NoSpace,
            Error::Io { .. } => ErrorKind::Io,
            Error::Poisoned(_) => ErrorKind::Poisoned,
            Error::Unsupported(_) => ErrorKind::Unsupported,
            Error::Forked => ErrorKind::Forked,
            Error::Internal(_) => ErrorKind::Internal,
        }
    }

    /// Whether the same work, done again from its beginning, may succeed without anybody's help: true for a conflict
    /// ([`Error::Transaction`]) and for a directory in use ([`Error::Locked`]).
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Error::Transaction(_) | Error::Locked(_))
    }

    /// Wraps an error of the operating system with what was being done. A full device becomes [`Error::NoSpace`].
    pub(crate) fn io(context: impl Into<String>, source: io::Error) -> Error {
        let context = context.into();
        if is_full(&source) {
            return Error::NoSpace(format!("{context}: {source}; make room and try again"));
        }
        Error::Io { context, source }
    }

    /// Wraps an error after which nobody knows what is on the device, so that all writing ends. Also where the device is full
    /// it is no [`Error::NoSpace`]: room does not help, and something of the write may be there.
    pub(crate) fn uncertain(context: impl Into<String>, source: io::Error) -> Error {
        Error::Io { context: context.into(), source }
    }

    /// Damage at a place in a segment.
    pub(crate) fn corruption(segment: u64, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corruption { segment, offset, reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Storage(message) => write!(f, "storage: {message}"),
            Error::Cache(message) => write!(f, "cache: {message}"),
            Error::Transaction(message) => write!(f, "transaction conflict: {message}"),
            Error::Corruption { segment: 0, offset, reason } => {
                write!(f, "corruption in the manifest at offset {offset}: {reason}")
            }
            Error::Corruption { segment, offset, reason } => {
                write!(f, "corruption in segment {segment} at offset {offset}: {reason}")
            }
            Error::InvalidArgument(message) => write!(f, "invalid argument: {message}"),
            Error::KeyspaceNotFound(name) => {
                write!(f, "keyspace {name:?} does not exist: create it by asking the database for its handle")
            }
            Error::Locked(message) => write!(f, "locked: {message}"),
            Error::Closed => f.write_str("the database handle is closed: open the database again"),
            Error::ReadOnly(message) => write!(f, "read only: {message}"),
            Error::NoSpace(message) => write!(f, "no space: {message}"),
            Error::Io { context, source } => write!(f, "{context}: {source}"),
            Error::Poisoned(message) => {
                write!(
                    f,
                    "writes are refused since an earlier write failed: {message}; open the database again"
                )
            }
            Error::Unsupported(message) => write!(f, "unsupported: {message}"),
            Error::Forked => f.write_str(
                "the database handle was made before a fork: open the database again in the child",
            ),
            Error::Internal(message) => write!(f, "internal error, please report it: {message}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. } => Some(source),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    /// The error that [`io::Error`]'s own conversion has wrapped, or one of kind [`ErrorKind::Io`].
    fn from(error: io::Error) -> Error {
        error.downcast::<Error>().unwrap_or_else(|error| Error::io("working with a stream", error))
    }
}

impl From<Error> for io::Error {
    /// For code that works with streams. The error itself is inside: [`io::Error::get_ref`].
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Corruption { .. } => io::ErrorKind::InvalidData,
            Error::InvalidArgument(_) => io::ErrorKind::InvalidInput,
            Error::NoSpace(_) => io::ErrorKind::StorageFull,
            Error::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_distinct_and_in_order() {
        for (at, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind.code() as usize, at + 1, "{kind:?} stands out of order");
        }
        let mut names: Vec<_> = ErrorKind::ALL.into_iter().map(ErrorKind::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn an_error_comes_through_a_stream_as_it_was() {
        for (error, kind) in [
            (Error::corruption(7, 64, "damaged"), io::ErrorKind::InvalidData),
            (Error::InvalidArgument("too long".to_owned()), io::ErrorKind::InvalidInput),
            (Error::NoSpace("full".to_owned()), io::ErrorKind::StorageFull),
            (Error::io("reading", io::ErrorKind::TimedOut.into()), io::ErrorKind::TimedOut),
            (Error::Closed, io::ErrorKind::Other),
        ] {
            let (before, text) = (error.kind(), error.to_string());
            let wrapped = io::Error::from(error);
            assert_eq!(wrapped.kind(), kind);
            let again = Error::from(wrapped);
            assert_eq!((again.kind(), again.to_string()), (before, text));
        }
        assert_eq!(Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).kind(), ErrorKind::Io);
    }

    #[test]
    fn a_full_device_is_no_space() {
        let error = Error::io("allocating a segment", io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(error.kind(), ErrorKind::NoSpace);
        assert!(!error.retryable());
    }
}
