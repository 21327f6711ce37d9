//! How errors and panics of the core become JavaScript errors.

use std::panic::{AssertUnwindSafe, catch_unwind};

use napi::Status;
use napi::bindgen_prelude::{AsyncTask, Env, JsObjectValue, JsValue, Result};
use napi_derive::napi;
use opendb::{Error, ErrorKind};

use crate::{Background, done};

/// One kind of error.
#[napi(object, object_from_js = false)]
pub(crate) struct KindOfError {
    /// The stable number.
    pub kind: i32,
    /// `OPENDB_` and the stable name.
    pub code: String,
}

/// Turns an error of the core into one to throw: a JavaScript `Error` with `code`, `kind`, `retryable` and, for
/// damage, `segment` and `offset`. The JavaScript classes make an `OpenDBError` of it.
pub(crate) fn thrown(env: &Env, error: &Error) -> napi::Error {
    build(env, error).unwrap_or_else(|failed| failed)
}

/// Runs work where nothing above catches a panic, and makes an error of one.
pub(crate) fn guarded<T>(work: impl FnOnce() -> opendb::Result<T>) -> opendb::Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Error::Internal(message.unwrap_or("a panic without a message").to_owned()))
    })
}

/// A count as JavaScript takes it: exact up to 2^53.
pub(crate) fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn build(env: &Env, error: &Error) -> Result<napi::Error> {
    let mut object = env.create_error(napi::Error::new(Status::GenericFailure, error.to_string()))?;
    object.set_named_property("code", code(error.kind()))?;
    object.set_named_property("kind", error.kind().code())?;
    object.set_named_property("retryable", error.retryable())?;
    if let Error::Corruption { segment, offset, .. } = error {
        object.set_named_property("segment", number(*segment))?;
        object.set_named_property("offset", number(*offset))?;
    }
    Ok(object.to_unknown().into())
}

fn code(kind: ErrorKind) -> String {
    format!("OPENDB_{}", kind.name())
}

/// An error of the given kind, so that a test can see every kind arrive. A kind that is added to the core does not
/// compile here until it has its line.
fn sample(kind: ErrorKind) -> Error {
    let text = || "raised on demand".to_owned();
    match kind {
        ErrorKind::Storage => Error::Storage(text()),
        ErrorKind::Cache => Error::Cache(text()),
        ErrorKind::Transaction => Error::Transaction(text()),
        ErrorKind::Corruption => Error::Corruption { segment: 7, offset: 4096, reason: text() },
        ErrorKind::InvalidArgument => Error::InvalidArgument(text()),
        ErrorKind::KeyspaceNotFound => Error::KeyspaceNotFound(text()),
        ErrorKind::Locked => Error::Locked(text()),
        ErrorKind::Closed => Error::Closed,
        ErrorKind::ReadOnly => Error::ReadOnly(text()),
        ErrorKind::NoSpace => Error::NoSpace(text()),
        ErrorKind::Io => Error::Io { context: text(), source: std::io::ErrorKind::Other.into() },
        ErrorKind::Poisoned => Error::Poisoned(text()),
        ErrorKind::Unsupported => Error::Unsupported(text()),
        ErrorKind::Forked => Error::Forked,
        ErrorKind::Internal => Error::Internal(text()),
    }
}

#[expect(clippy::panic, reason = "shows that a panic does not take the process down")]
fn fail(kind: i32) -> opendb::Result<()> {
    match ErrorKind::ALL.into_iter().find(|known| known.code() == kind) {
        Some(kind) => Err(sample(kind)),
        None => std::panic::panic_any("a panic on demand"),
    }
}

/// Every kind of error, in the order of the numbers.
#[napi(catch_unwind)]
pub(crate) fn error_kinds() -> Vec<KindOfError> {
    ErrorKind::ALL.into_iter().map(|kind| KindOfError { kind: kind.code(), code: code(kind) }).collect()
}

/// For tests: throws an error of the kind with this number; any other number panics.
#[napi(catch_unwind)]
pub(crate) fn error_raise(env: &Env, kind: i32) -> Result<()> {
    fail(kind).map_err(|error| thrown(env, &error))
}

/// For tests: as `errorRaise`, on a thread of the pool.
#[napi(catch_unwind, ts_return_type = "Promise<void>")]
pub(crate) fn error_raise_async(kind: i32) -> AsyncTask<Background<(), ()>> {
    Background::run(move || fail(kind), done)
}
