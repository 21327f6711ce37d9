//! The version, and how many handles are live.

use std::ffi::{CStr, c_char};

use crate::batch::Batch;
use crate::bytes::{Names, Pinned};
use crate::database::Database;
use crate::error::Failure;
use crate::guard::guard_or;
use crate::handle::Handle;
use crate::keyspace::Keyspace;
use crate::maintenance::Verification;
use crate::options::OpenOptions;
use crate::scan::Iterator;
use crate::snapshot::Snapshot;
use crate::stream::{ValueReader, ValueWriter};
use crate::transaction::Transaction;

/// The version of the header: goes up with changes that are not compatible.
pub const OPENDB_VERSION_MAJOR: u32 = 0;
/// The version of the header: goes up with additions.
pub const OPENDB_VERSION_MINOR: u32 = 1;
/// The version of the header: goes up with corrections.
pub const OPENDB_VERSION_PATCH: u32 = 0;

const VERSION: &[u8] = concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes();

/// The version of the library that is linked, such as `0.1.0`; `OPENDB_VERSION` is that of the header. The text is
/// never NULL and lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_version() -> *const c_char {
    CStr::from_bytes_with_nul(VERSION).unwrap_or(c"").as_ptr()
}

/// Counts the handles of every type that are live in this process: 0 where everything was freed. Handles are not
/// memory of the caller, so a leak detector does not see those that were forgotten; this is for tests that want
/// to.
#[unsafe(no_mangle)]
pub extern "C" fn opendb_handles_live() -> usize {
    fn live<T: Handle>() -> usize {
        T::table().live()
    }
    guard_or(0, || {
        let shared = live::<Database>() + live::<Keyspace>() + live::<Snapshot>() + live::<OpenOptions>();
        let single = live::<Batch>() + live::<Transaction>() + live::<Iterator>();
        let streams = live::<ValueReader>() + live::<ValueWriter>();
        let results = live::<Failure>() + live::<Pinned>() + live::<Names>() + live::<Verification>();
        Ok(shared + single + streams + results)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_library_have_one_version() {
        let parts = format!("{OPENDB_VERSION_MAJOR}.{OPENDB_VERSION_MINOR}.{OPENDB_VERSION_PATCH}");
        assert_eq!(parts, env!("CARGO_PKG_VERSION"));
        let line = format!("#define OPENDB_VERSION \"{parts}\"\n");
        assert!(include_str!("../include/opendb.h").contains(&line), "the header lacks: {line}");
        // SAFETY: the version ends in a zero byte.
        assert_eq!(unsafe { CStr::from_ptr(opendb_version()) }.to_str(), Ok(env!("CARGO_PKG_VERSION")));
    }
}
